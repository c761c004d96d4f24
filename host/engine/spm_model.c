/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spm_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/protobuf.h"

enum { MODEL_BPE = 2 };

/* Numbers of fields in sentencepiece_model.proto. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_MODEL_TYPE = 3,
    TRAINER_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_BOS_PIECE = 46,
    TRAINER_EOS_PIECE = 47
};
enum {
    NORMALIZER_MAP = 2,
    NORMALIZER_DUMMY_PREFIX = 3,
    NORMALIZER_REMOVE_EXTRA = 4,
    NORMALIZER_ESCAPE = 5
};

struct parser {
    struct sl_spm_model *model;
    const char *name;
    float *score; /* [pieces] */
    size_t cap;
    uint8_t *shown; /* room for what a piece shows */
    uint64_t model_type;
    bool suffix;
    struct sl_pb bos, eos, map; /* borrowed from the file; at NULL: not given */
};

static int fail_format(const struct parser *p, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "the file is damaged or no sentencepiece model: copy it again",
                   "%s: %s", p->name, why);
}

static int fail_damaged(const struct parser *p)
{
    return fail_format(p, "not a protobuf message of sentencepiece");
}

/* ---- pieces */

static float float_of(uint64_t bits)
{
    uint32_t word = (uint32_t)bits;
    float f;
    memcpy(&f, &word, sizeof f);
    return f;
}

static int add_score(struct parser *p, float score)
{
    uint32_t n = p->model->vocab.n;
    if (n >= p->cap) {
        size_t cap = 2 * p->cap + 1024;
        float *v = realloc(p->score, cap * sizeof *v);
        if (!v)
            return sl_fail(SL_ERR_NOMEM, NULL, "%s: out of memory", p->name);
        p->score = v;
        p->cap = cap;
    }
    p->score[n] = score;
    return 0;
}

static int check_piece(struct parser *p, const struct sl_pb *text, uint64_t type)
{
    struct sl_spm_model *m = p->model;
    size_t len = (size_t)(text->end - text->at);
    if (len == 0)
        return fail_format(p, "an empty piece");
    if (type < SL_TOKEN_NORMAL || type > SL_TOKEN_BYTE)
        return fail_format(p, "a piece of unknown type");
    if (type == SL_TOKEN_UNKNOWN) {
        if (m->unk >= 0)
            return fail_format(p, "two unknown pieces");
        m->unk = (int32_t)m->vocab.n;
    }
    m->has_unused |= type == SL_TOKEN_UNUSED;
    if (type == SL_TOKEN_BYTE) {
        int byte = sl_token_byte(text->at, len);
        if (byte < 0)
            return fail_format(p, "a byte piece that is not spelled <0x..>");
        m->byte[byte] = (int32_t)m->vocab.n;
    }
    return 0;
}

static int parse_piece(struct parser *p, struct sl_pb message)
{
    struct sl_pb text = {NULL, NULL};
    struct sl_pb_field f;
    uint64_t type = SL_TOKEN_NORMAL;
    float score = 0;
    bool damaged = false;
    while (sl_pb_next(&message, &f, &damaged)) {
        if (f.number == PIECE_TEXT && f.wire == SL_PB_BYTES)
            text = f.bytes;
        else if (f.number == PIECE_SCORE && f.wire == SL_PB_32)
            score = float_of(f.value);
        else if (f.number == PIECE_TYPE && f.wire == SL_PB_VARINT)
            type = f.value;
    }
    if (damaged)
        return fail_damaged(p);
    if (isnan(score))
        return fail_format(p, "a score that is no number");
    int err = check_piece(p, &text, type);
    if (!err)
        err = add_score(p, score);
    if (err)
        return err;
    struct sl_token t = sl_token_of_piece((enum sl_token_kind)type, text.at,
                                          (size_t)(text.end - text.at), p->shown);
    return sl_vocab_add(&p->model->vocab, &t);
}

/* ---- specs */

static int parse_trainer(struct parser *p, struct sl_pb message)
{
    struct sl_pb_field f;
    bool damaged = false;
    while (sl_pb_next(&message, &f, &damaged)) {
        if (f.number == TRAINER_MODEL_TYPE && f.wire == SL_PB_VARINT)
            p->model_type = f.value;
        else if (f.number == TRAINER_SUFFIX && f.wire == SL_PB_VARINT)
            p->suffix = f.value != 0;
        else if (f.number == TRAINER_BYTE_FALLBACK && f.wire == SL_PB_VARINT)
            p->model->byte_fallback = f.value != 0;
        else if (f.number == TRAINER_BOS_PIECE && f.wire == SL_PB_BYTES)
            p->bos = f.bytes;
        else if (f.number == TRAINER_EOS_PIECE && f.wire == SL_PB_BYTES)
            p->eos = f.bytes;
    }
    return damaged ? fail_damaged(p) : 0;
}

static int parse_normalizer(struct parser *p, struct sl_pb message)
{
    struct sl_spm_normalizer *n = &p->model->normalizer;
    struct sl_pb_field f;
    bool damaged = false;
    while (sl_pb_next(&message, &f, &damaged)) {
        if (f.number == NORMALIZER_MAP && f.wire == SL_PB_BYTES)
            p->map = f.bytes;
        else if (f.number == NORMALIZER_DUMMY_PREFIX && f.wire == SL_PB_VARINT)
            n->dummy_prefix = f.value != 0;
        else if (f.number == NORMALIZER_REMOVE_EXTRA && f.wire == SL_PB_VARINT)
            n->remove_extra_whitespaces = f.value != 0;
        else if (f.number == NORMALIZER_ESCAPE && f.wire == SL_PB_VARINT)
            n->escape_whitespaces = f.value != 0;
    }
    return damaged ? fail_damaged(p) : 0;
}

/* A map there would change text, not ids. */
static int parse_denormalizer(struct parser *p, struct sl_pb message)
{
    struct sl_pb_field f;
    bool damaged = false, map = false;
    while (sl_pb_next(&message, &f, &damaged))
        map |= f.number == NORMALIZER_MAP && f.wire == SL_PB_BYTES && f.bytes.at != f.bytes.end;
    if (map)
        return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                       "%s: a denormalizer is not implemented", p->name);
    return damaged ? fail_damaged(p) : 0;
}

static int parse_message(struct parser *p, struct sl_pb message)
{
    struct sl_pb_field f;
    bool damaged = false;
    int err = 0;
    while (!err && sl_pb_next(&message, &f, &damaged)) {
        if (f.wire != SL_PB_BYTES)
            continue;
        switch (f.number) {
        case MODEL_PIECES: err = parse_piece(p, f.bytes); break;
        case MODEL_TRAINER: err = parse_trainer(p, f.bytes); break;
        case MODEL_NORMALIZER: err = parse_normalizer(p, f.bytes); break;
        case MODEL_DENORMALIZER: err = parse_denormalizer(p, f.bytes); break;
        }
    }
    return err ? err : damaged ? fail_damaged(p) : 0;
}

/* ---- what follows from the whole */

static int check_model(struct parser *p)
{
    static const char *const types[] = {"0", "unigram", "bpe", "word", "char"};
    struct sl_spm_model *m = p->model;
    if (p->model_type != MODEL_BPE)
        return sl_fail(SL_ERR_UNSUPPORTED, "BPE models are read",
                       "%s: a sentencepiece model of type %s is not implemented", p->name,
                       p->model_type < 5 ? types[p->model_type] : "unknown");
    if (p->suffix)
        return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                       "%s: treat_whitespace_as_suffix is not implemented", p->name);
    if (m->unk < 0)
        return fail_format(p, "no unknown piece");
    unsigned n_byte = 0;
    for (unsigned b = 0; b < 256; b++)
        n_byte += m->byte[b] >= 0;
    if (n_byte != (m->byte_fallback ? 256 : 0))
        return fail_format(p, "the byte pieces do not fit byte_fallback");
    return 0;
}

struct scored {
    float score;
    uint32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return (x->score < y->score) - (x->score > y->score);
}

static int rank_scores(struct parser *p)
{
    uint32_t n = p->model->vocab.n, order = 0;
    struct scored *all = sl_alloc(n, sizeof *all);
    p->model->order = sl_alloc(n, sizeof *p->model->order);
    if (!all || !p->model->order) {
        free(all);
        return SL_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < n; i++)
        all[i] = (struct scored){p->score[i], i};
    qsort(all, n, sizeof *all, by_score);
    for (uint32_t i = 0; i < n; i++) {
        order += i && all[i].score < all[i - 1].score;
        p->model->order[all[i].id] = order;
    }
    free(all);
    return 0;
}

/* The names of all pieces of these kinds (bits). */
static int collect(const struct sl_vocab *v, unsigned kinds, struct sl_matcher *out, uint32_t *n)
{
    struct sl_name *name = sl_alloc(v->n, sizeof *name);
    *n = 0;
    if (!name)
        return SL_ERR_NOMEM;
    for (uint32_t id = 0; id < v->n; id++) {
        struct sl_token t = sl_vocab_get(v, id);
        if (kinds >> t.kind & 1)
            name[(*n)++] = (struct sl_name){t.spelled, (uint32_t)t.n_spelled, id};
    }
    int err = sl_matcher_open(out, name, *n);
    free(name);
    return err;
}

/* User-defined pieces, and those that no merge gives: each of them once. */
static int collect_names(struct parser *p)
{
    enum { RESERVED = 1u << SL_TOKEN_CONTROL | 1u << SL_TOKEN_UNKNOWN | 1u << SL_TOKEN_BYTE };
    struct sl_spm_model *m = p->model;
    uint32_t n;
    int err = collect(&m->vocab, 1u << SL_TOKEN_USER, &m->normalizer.user, &n);
    if (!err)
        err = collect(&m->vocab, RESERVED, &m->reserved, &n);
    return err ? err : n != m->reserved.n ? fail_format(p, "a piece that is there twice") : 0;
}

/* Id of the control piece of this name, or -1. */
static int32_t find_control(const struct sl_spm_model *m, const struct sl_pb *given,
                            const char *usual)
{
    const uint8_t *text = given->at ? given->at : (const uint8_t *)usual;
    size_t len = given->at ? (size_t)(given->end - given->at) : strlen(usual);
    const struct sl_name *name = sl_matcher_longest(&m->reserved, text, len);
    bool found = name && name->len == len && m->vocab.kind[name->tag] == SL_TOKEN_CONTROL;
    return found ? (int32_t)name->tag : -1;
}

static int finish(struct parser *p)
{
    struct sl_spm_model *m = p->model;
    bool damaged = false;
    int err = check_model(p);
    if (!err && p->map.at != p->map.end)
        err = sl_spm_normalizer_read_map(&m->normalizer, p->map.at,
                                         (size_t)(p->map.end - p->map.at), &damaged);
    if (damaged)
        err = fail_format(p, "a damaged normaliser");
    if (!err)
        err = rank_scores(p);
    if (!err)
        err = collect_names(p);
    if (!err)
        err = sl_vocab_index(&m->vocab,
                             1u << SL_TOKEN_NORMAL | 1u << SL_TOKEN_USER | 1u << SL_TOKEN_UNUSED);
    m->bos = find_control(m, &p->bos, "<s>");
    m->eos = find_control(m, &p->eos, "</s>");
    return err;
}

int sl_spm_model_parse(struct sl_spm_model *out, const char *name, const uint8_t *bytes, size_t len)
{
    struct parser p = {.model = out, .name = name, .model_type = 1};
    *out = (struct sl_spm_model){.unk = -1, .bos = -1, .eos = -1};
    memset(out->byte, 0xff, sizeof out->byte);
    out->normalizer.dummy_prefix = out->normalizer.remove_extra_whitespaces =
        out->normalizer.escape_whitespaces = true;
    p.shown = sl_alloc(len, 1);
    int err = p.shown ? 0 : SL_ERR_NOMEM;
    if (!err)
        err = parse_message(&p, (struct sl_pb){bytes, bytes + len});
    if (!err)
        err = finish(&p);
    free(p.shown);
    free(p.score);
    if (err)
        sl_spm_model_free(out);
    return err;
}

void sl_spm_model_free(struct sl_spm_model *m)
{
    sl_vocab_free(&m->vocab);
    sl_spm_normalizer_free(&m->normalizer);
    sl_matcher_close(&m->reserved);
    free(m->order);
    memset(m, 0, sizeof *m);
}
