/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/spm.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/text.h"

/* ---- merging */

enum { FROZEN = 1, FREE = 0 }; /* ids of symbols: user-defined pieces join nothing */

struct merging {
    const struct sl_spm_model *model;
    /* Of an unused piece the length of its left part, as it was last found anywhere in the text:
     * that is how it is taken apart again. NULL where the model has no unused piece. */
    uint32_t *left;
};

static uint32_t find_pair(const void *user, const uint8_t *text, const struct sl_symbol *left,
                          const struct sl_symbol *right, uint32_t *joined)
{
    const struct merging *m = user;
    if (left->id == FROZEN || right->id == FROZEN)
        return SL_BPE_NONE;
    int32_t id = sl_vocab_find(&m->model->vocab, text + left->at, right->end - left->at);
    if (id < 0)
        return SL_BPE_NONE;
    if (m->left)
        m->left[id] = left->end - left->at;
    *joined = FREE;
    return m->model->order[id];
}

static int32_t piece_id(const struct sl_spm_model *m, const uint8_t *text, size_t len)
{
    const struct sl_name *reserved = sl_matcher_longest(&m->reserved, text, len);
    if (reserved && reserved->len == len)
        return (int32_t)reserved->tag;
    int32_t id = sl_vocab_find(&m->vocab, text, len);
    return id < 0 ? m->unk : id;
}

/* ---- results */

struct encoding {
    struct merging m;
    struct sl_encoder *e;
    struct sl_bytes normal; /* the text between two added tokens */
    struct sl_bytes ends;   /* uint32_t: where the parts end that are being taken apart */
    bool after_unknown;     /* unknown pieces next to each other are one */
};

static int put_piece(struct encoding *c, const uint8_t *text, size_t len, int32_t id)
{
    const struct sl_spm_model *m = c->m.model;
    bool unknown = id == m->unk;
    int err = 0;
    if (unknown && m->byte_fallback)
        for (size_t i = 0; i < len && !err; i++)
            err = sl_ids_push(&c->e->ids, m->byte[text[i]]);
    else if (!unknown || !c->after_unknown)
        err = sl_ids_push(&c->e->ids, id);
    c->after_unknown = unknown;
    return err;
}

static int push_end(struct encoding *c, uint32_t end)
{
    return sl_bytes_add(&c->ends, &end, sizeof end);
}

/* Unused pieces are taken apart again, into the parts of which they were made, and these too. */
static int put_symbol(struct encoding *c, const uint8_t *text, uint32_t len)
{
    uint32_t at = 0, end;
    c->ends.n = 0;
    int err = push_end(c, len);
    while (at < len && !err) {
        memcpy(&end, c->ends.v + c->ends.n - sizeof end, sizeof end);
        int32_t id = piece_id(c->m.model, text + at, end - at);
        bool unused = c->m.left && c->m.model->vocab.kind[id] == SL_TOKEN_UNUSED;
        uint32_t left = unused ? c->m.left[id] : 0;
        if (left && left < end - at) {
            err = push_end(c, at + left);
            continue;
        }
        err = put_piece(c, text + at, end - at, id);
        c->ends.n -= sizeof end;
        at = end;
    }
    return err;
}

/* ---- texts */

static size_t char_len(uint8_t lead)
{
    return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static int cut_symbols(struct sl_bpe *bpe, const struct sl_matcher *user, const struct sl_bytes *b)
{
    int err = sl_bpe_reserve(bpe, b->n);
    for (size_t i = 0, n; i < b->n && !err; i += n) {
        const struct sl_name *name = sl_matcher_longest(user, b->v + i, b->n - i);
        n = name ? name->len : char_len(b->v[i]);
        n = n < b->n - i ? n : b->n - i;
        sl_bpe_add(bpe, i, i + n, name ? FROZEN : FREE);
    }
    return err;
}

static int encode_part(struct encoding *c, const uint8_t *text, size_t len, bool dummy_prefix)
{
    const struct sl_bpe_rules rules = {find_pair, &c->m};
    struct sl_bpe *bpe = &c->e->bpe;
    c->normal.n = 0;
    c->after_unknown = false;
    int err = sl_spm_normalize(&c->m.model->normalizer, text, len, dummy_prefix, &c->normal);
    if (!err)
        err = cut_symbols(bpe, &c->m.model->normalizer.user, &c->normal);
    if (err)
        return err;
    sl_bpe_merge(bpe, &rules, c->normal.v);
    for (uint32_t i = 0; i < bpe->n && !err; i = bpe->symbol[i].next) {
        uint32_t at = bpe->symbol[i].at;
        err = put_symbol(c, c->normal.v + at, bpe->symbol[i].end - at);
    }
    return err;
}

static int encode_parts(const struct sl_spm *spm, struct encoding *c, struct sl_cutter *cutter)
{
    struct sl_cut cut;
    int err = 0;
    while (!err && sl_cutter_next(cutter, &cut)) {
        if (cut.token)
            err = sl_ids_push(&c->e->ids, (int32_t)cut.token->id);
        else
            err =
                encode_part(c, cutter->text + cut.at, cut.end - cut.at, spm->legacy || cut.at == 0);
    }
    return err;
}

static int spm_encode(const void *self, struct sl_encoder *e, const uint8_t *text, size_t len,
                      bool parse_special)
{
    static const struct sl_matcher none;
    const struct sl_spm *spm = self;
    const struct sl_vocab *vocab = &spm->model.vocab;
    struct encoding c = {.m = {.model = &spm->model}, .e = e};
    struct sl_cutter cutter = {.set = &spm->added,
                               .names = parse_special ? &spm->added.raw : &none,
                               .text = text,
                               .len = len,
                               .parse_special = true};
    if (spm->model.has_unused && !(c.m.left = sl_alloc(vocab->n, sizeof *c.m.left)))
        return SL_ERR_NOMEM;
    int err = encode_parts(spm, &c, &cutter);
    free(c.m.left);
    free(c.normal.v);
    free(c.ends.v);
    return err;
}

/* ---- questions */

/* The blank in front of a text, and of one that lost all of them, is none of the text. */
static const char *spm_begin(const void *self, int32_t id, const char *piece, size_t *len,
                             bool *start)
{
    const struct sl_spm *spm = self;
    const struct sl_spm_normalizer *n = &spm->model.normalizer;
    bool blank = spm->model.vocab.kind[id] != SL_TOKEN_BYTE && *len && piece[0] == ' ';
    if (!blank || !(n->dummy_prefix || n->remove_extra_whitespaces)) {
        *start = false;
        return piece;
    }
    --*len;
    *start = n->remove_extra_whitespaces && *len == 0;
    return piece + 1;
}

static const struct sl_vocab *spm_vocab(const void *self)
{
    return &((const struct sl_spm *)self)->model.vocab;
}

static void spm_close(void *self)
{
    struct sl_spm *spm = self;
    sl_spm_model_free(&spm->model);
    sl_added_free(&spm->added);
    free(spm);
}

const struct sl_kind sl_kind_spm = {"sentencepiece", spm_encode, spm_vocab,
                                    spm_begin,       spm_close,  false};
