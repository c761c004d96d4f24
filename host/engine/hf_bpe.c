/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/hf_bpe.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/err.h"
#include "engine/text.h"

/* ---- merging */

struct sl_hf_pair *sl_hf_pair_slot(const struct sl_hf *hf, uint32_t left, uint32_t right)
{
    uint64_t key = (uint64_t)left << 32 | right;
    uint32_t i = (uint32_t)XXH3_64bits(&key, sizeof key) & hf->mask;
    while (hf->pair[i].key != UINT64_MAX && hf->pair[i].key != key)
        i = (i + 1) & hf->mask;
    return &hf->pair[i];
}

static uint32_t find_pair(const void *user, const uint8_t *text, const struct sl_symbol *left,
                          const struct sl_symbol *right, uint32_t *joined)
{
    const struct sl_hf_pair *pair = sl_hf_pair_slot(user, left->id, right->id);
    (void)text;
    *joined = pair->joined;
    return pair->key == UINT64_MAX ? SL_BPE_NONE : pair->order;
}

struct encoding {
    const struct sl_hf *hf;
    struct sl_encoder *e;
    struct sl_bytes normal;   /* the text between two added tokens */
    struct sl_bytes blanked;  /* the same with U+2581 for blanks */
    struct sl_bytes piece[2]; /* struct span: pieces before and behind a pattern */
};

struct span {
    uint32_t at, end;
};

/* One symbol a byte. */
static void cut_bytes(const struct sl_hf *hf, struct sl_bpe *bpe, const uint8_t *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sl_bpe_add(bpe, i, i + 1, (uint32_t)hf->byte[text[i]]);
}

/* One symbol a character, or its bytes, or the unknown token. */
static void cut_chars(const struct sl_hf *hf, struct sl_bpe *bpe, const uint8_t *text, size_t len)
{
    bool after_unknown = false;
    for (size_t i = 0, n; i < len; i += n) {
        n = sl_utf8_char(text + i, len - i);
        int32_t id = sl_vocab_find(&hf->vocab, text + i, n);
        bool unknown = id < 0 && !hf->byte_fallback;
        if (id >= 0)
            sl_bpe_add(bpe, i, i + n, (uint32_t)id);
        else if (hf->byte_fallback)
            cut_bytes(hf, bpe, text + i, n);
        else if (hf->unk >= 0 && !(after_unknown && hf->fuse_unk))
            sl_bpe_add(bpe, i, i + n, (uint32_t)hf->unk);
        after_unknown = unknown;
    }
}

static int encode_piece(struct encoding *c, const uint8_t *text, size_t len)
{
    const struct sl_bpe_rules rules = {find_pair, c->hf};
    struct sl_bpe *bpe = &c->e->bpe;
    if (c->hf->ignore_merges) {
        int32_t id = sl_vocab_find(&c->hf->vocab, text, len);
        bpe->n_lookup++;
        if (id >= 0)
            return sl_ids_push(&c->e->ids, id);
    }
    int err = sl_bpe_reserve(bpe, len);
    if (err)
        return err;
    (c->hf->byte_level ? cut_bytes : cut_chars)(c->hf, bpe, text, len);
    sl_bpe_merge(bpe, &rules, text);
    return sl_bpe_take(bpe, &c->e->ids);
}

/* ---- normalising */

static int replace_all(const struct sl_hf_step *step, struct sl_bytes *in, struct sl_bytes *out)
{
    size_t from = strlen(step->from), to = strlen(step->to);
    int err = 0;
    for (size_t i = 0; i < in->n && !err;) {
        bool found = in->n - i >= from && !memcmp(in->v + i, step->from, from);
        err = found ? sl_bytes_add(out, step->to, to) : sl_bytes_add(out, in->v + i, 1);
        i += found ? from : 1;
    }
    return err;
}

static int run_step(const struct sl_hf_step *step, struct sl_bytes *in, struct sl_bytes *out)
{
    if (step->kind == SL_HF_NFC) {
        int err = sl_text_normalize(in->v, in->n, &out->v, &out->n);
        out->cap = err ? 0 : out->n;
        return err;
    }
    if (step->kind == SL_HF_REPLACE)
        return replace_all(step, in, out);
    int err = in->n ? sl_bytes_add(out, step->to, strlen(step->to)) : 0;
    return err ? err : sl_bytes_add(out, in->v, in->n);
}

int sl_hf_normalize(const struct sl_hf *hf, const uint8_t *text, size_t len, struct sl_bytes *out)
{
    struct sl_bytes now = {0};
    if (hf->n_step == 0)
        return sl_bytes_add(out, text, len);
    int err = sl_bytes_add(&now, text, len);
    for (unsigned i = 0; i < hf->n_step && !err; i++) {
        struct sl_bytes next = {0};
        err = run_step(&hf->step[i], &now, &next);
        free(now.v);
        now = next;
    }
    if (!err)
        err = sl_bytes_add(out, now.v, now.n);
    free(now.v);
    return err;
}

/* ---- pieces */

static int push_span(struct sl_bytes *list, size_t at, size_t end)
{
    struct span s = {(uint32_t)at, (uint32_t)end};
    return at < end ? sl_bytes_add(list, &s, sizeof s) : 0;
}

static int split_span(struct sl_splitter *splitter, const uint8_t *text, struct span s,
                      struct sl_bytes *out)
{
    size_t len = s.end - s.at, at = 0, from = 0, end = 0;
    int err = 0;
    while (at < len && !err) {
        err = sl_splitter_find(splitter, text + s.at, len, at, &from, &end);
        if (!err && !sl_splitter_drops_rest(splitter))
            err = push_span(out, s.at + at, s.at + from);
        if (!err)
            err = push_span(out, s.at + from, s.at + end);
        at = end;
    }
    return err;
}

/* By one pattern after the other: each sees the pieces of those before it as texts. */
static int encode_patterns(struct encoding *c, const uint8_t *text, size_t len)
{
    c->piece[0].n = 0;
    int err = push_span(&c->piece[0], 0, len);
    for (unsigned i = 0; i < c->hf->n_split && !err; i++) {
        const struct sl_bytes *in = &c->piece[i % 2];
        struct sl_bytes *out = &c->piece[1 - i % 2];
        struct span s;
        out->n = 0;
        for (size_t k = 0; k < in->n && !err; k += sizeof s) {
            memcpy(&s, in->v + k, sizeof s);
            err = split_span(c->hf->split[i], text, s, out);
        }
    }
    const struct sl_bytes *list = &c->piece[c->hf->n_split % 2];
    for (size_t k = 0; k < list->n && !err; k += sizeof(struct span)) {
        struct span s;
        memcpy(&s, list->v + k, sizeof s);
        err = encode_piece(c, text + s.at, s.end - s.at);
    }
    return err;
}

static int encode_byte_level(struct encoding *c, const uint8_t *text, size_t len)
{
    if (!c->hf->prefix_space || text[0] == ' ')
        return encode_patterns(c, text, len);
    c->blanked.n = 0;
    int err = sl_bytes_add(&c->blanked, " ", 1);
    if (!err)
        err = sl_bytes_add(&c->blanked, text, len);
    return err ? err : encode_patterns(c, c->blanked.v, c->blanked.n);
}

static bool is_blank(const uint8_t *text, size_t len)
{
    return len >= SL_BLANK_BYTES && !memcmp(text, SL_BLANK, SL_BLANK_BYTES);
}

/* Cuts in front of each blank, where it is asked for. */
static int encode_words(struct encoding *c, const uint8_t *text, size_t len)
{
    int err = 0;
    for (size_t at = 0, end; at < len && !err; at = end) {
        end = c->hf->blank_split ? at + 1 : len;
        while (end < len && !is_blank(text + end, len - end))
            end++;
        err = encode_piece(c, text + at, end - at);
    }
    return err;
}

static int encode_metaspace(struct encoding *c, const uint8_t *text, size_t len, bool first)
{
    const struct sl_hf_step blanks = {SL_HF_REPLACE, " ", SL_BLANK};
    struct sl_bytes in = {(uint8_t *)text, len, len};
    bool front = c->hf->blank == SL_HF_BLANK_ALWAYS || (c->hf->blank == SL_HF_BLANK_FIRST && first);
    c->blanked.n = 0;
    int err = front && text[0] != ' ' && !is_blank(text, len)
                  ? sl_bytes_add(&c->blanked, SL_BLANK, SL_BLANK_BYTES)
                  : 0;
    if (!err)
        err = replace_all(&blanks, &in, &c->blanked);
    return err ? err : encode_words(c, c->blanked.v, c->blanked.n);
}

/* Text without added tokens. first: it is the start of the text. */
static int encode_plain(struct encoding *c, const uint8_t *text, size_t len, bool first)
{
    if (c->hf->byte_level)
        return encode_byte_level(c, text, len);
    if (c->hf->blank != SL_HF_BLANK_NONE)
        return encode_metaspace(c, text, len, first);
    return encode_piece(c, text, len);
}

/* ---- texts */

static int encode_normal(struct encoding *c, bool parse_special, bool first)
{
    struct sl_cutter cutter = {.set = &c->hf->added,
                               .names = &c->hf->added.normal,
                               .text = c->normal.v,
                               .len = c->normal.n,
                               .parse_special = parse_special};
    struct sl_cut cut;
    int err = 0;
    while (!err && sl_cutter_next(&cutter, &cut))
        err = cut.token
                  ? sl_ids_push(&c->e->ids, (int32_t)cut.token->id)
                  : encode_plain(c, cutter.text + cut.at, cut.end - cut.at, first && cut.at == 0);
    return err;
}

/* Valid UTF-8. */
static int encode_valid(struct encoding *c, const uint8_t *text, size_t len, bool parse_special)
{
    struct sl_cutter cutter = {.set = &c->hf->added,
                               .names = &c->hf->added.raw,
                               .text = text,
                               .len = len,
                               .parse_special = parse_special};
    struct sl_cut cut;
    int err = 0;
    while (!err && sl_cutter_next(&cutter, &cut)) {
        if (cut.token) {
            err = sl_ids_push(&c->e->ids, (int32_t)cut.token->id);
            continue;
        }
        c->normal.n = 0;
        err = sl_hf_normalize(c->hf, text + cut.at, cut.end - cut.at, &c->normal);
        if (!err)
            err = encode_normal(c, parse_special, cut.at == 0);
    }
    return err;
}

static int encode_stretches(struct encoding *c, const uint8_t *text, size_t len, bool parse_special)
{
    int err = 0;
    for (size_t i = 0; i < len && !err;) {
        for (size_t bad = sl_utf8_invalid(text + i, len - i); bad && !err; bad--)
            err = sl_ids_push(&c->e->ids, c->hf->byte[text[i++]]);
        size_t good = sl_utf8_valid(text + i, len - i);
        if (!err)
            err = encode_valid(c, text + i, good, parse_special);
        i += good;
    }
    return err;
}

static int encode_replaced(struct encoding *c, const uint8_t *text, size_t len, bool parse_special)
{
    struct sl_bytes valid = {0};
    int err = 0;
    for (size_t i = 0; i < len && !err;) {
        for (size_t bad = sl_utf8_invalid(text + i, len - i); bad && !err; bad--, i++)
            err = sl_bytes_add(&valid, "\xef\xbf\xbd", 3);
        size_t good = sl_utf8_valid(text + i, len - i);
        if (!err)
            err = sl_bytes_add(&valid, text + i, good);
        i += good;
    }
    if (!err)
        err = encode_valid(c, valid.v, valid.n, parse_special);
    free(valid.v);
    return err;
}

static int hf_encode(const void *self, struct sl_encoder *e, const uint8_t *text, size_t len,
                     bool parse_special)
{
    struct encoding c = {.hf = self, .e = e};
    int err = (c.hf->byte_level ? encode_stretches : encode_replaced)(&c, text, len, parse_special);
    free(c.normal.v);
    free(c.blanked.v);
    free(c.piece[0].v);
    free(c.piece[1].v);
    return err;
}

/* ---- questions */

static const char *hf_begin(const void *self, int32_t id, const char *piece, size_t *len,
                            bool *start)
{
    const struct sl_hf *hf = self;
    (void)id;
    *start = *len == 0;
    if (!hf->strip || *len == 0 || piece[0] != ' ')
        return piece;
    --*len;
    return piece + 1;
}

static const struct sl_vocab *hf_vocab(const void *self)
{
    return &((const struct sl_hf *)self)->vocab;
}

static void hf_close(void *self)
{
    struct sl_hf *hf = self;
    for (unsigned i = 0; i < hf->n_split; i++)
        sl_splitter_close(&hf->split[i]);
    sl_vocab_free(&hf->vocab);
    sl_added_free(&hf->added);
    free(hf->pair);
    free(hf);
}

const struct sl_kind sl_kind_hf = {"tokenizer.json", hf_encode, hf_vocab,
                                   hf_begin,         hf_close,  false};
