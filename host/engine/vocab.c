/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/vocab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/string_table.h"

enum { MAX_BYTES = 1 << 30 };

static int fail_memory(void)
{
    return sl_fail(SL_ERR_NOMEM, NULL, "out of memory for the vocabulary");
}

static bool grow(struct sl_spelling *s, uint32_t n)
{
    uint32_t *offset = realloc(s->offset, ((size_t)n + 1) * sizeof *offset);
    if (!offset)
        return false;
    if (!s->offset)
        offset[0] = 0;
    s->offset = offset;
    return true;
}

static int reserve(struct sl_vocab *v)
{
    uint32_t cap = v->cap ? 2 * v->cap : 1024;
    if (v->n < v->cap)
        return 0;
    if (v->n >= SL_MAX_TOKENS)
        return sl_fail(SL_ERR_FORMAT, "is this a tokenizer's file?", "more than %d tokens",
                       SL_MAX_TOKENS);
    uint8_t *kind = realloc(v->kind, cap);
    v->kind = kind ? kind : v->kind;
    uint8_t *special = realloc(v->special, cap);
    v->special = special ? special : v->special;
    if (!kind || !special)
        return fail_memory();
    if (!grow(&v->spelled, cap) || !grow(&v->shown, cap))
        return fail_memory();
    v->cap = cap;
    return 0;
}

/* Writes the bytes behind those of n strings. */
static int append(struct sl_spelling *s, uint32_t n, const uint8_t *bytes, size_t len)
{
    size_t at = s->offset[n];
    if (len > MAX_BYTES - at)
        return sl_fail(SL_ERR_FORMAT, "is this a tokenizer's file?",
                       "the tokens have more than 1 GB");
    if (at + len > s->cap) {
        size_t cap = 2 * s->cap + len + 4096;
        uint8_t *grown = realloc(s->bytes, cap);
        if (!grown)
            return fail_memory();
        s->bytes = grown;
        s->cap = cap;
    }
    if (len)
        memcpy(s->bytes + at, bytes, len);
    s->offset[n + 1] = (uint32_t)(at + len);
    return 0;
}

int sl_vocab_add(struct sl_vocab *v, const struct sl_token *token)
{
    int err = reserve(v);
    if (!err)
        err = append(&v->spelled, v->n, token->spelled, token->n_spelled);
    if (!err)
        err = append(&v->shown, v->n, token->shown, token->n_shown);
    if (err)
        return err;
    v->special[v->n] = token->kind == SL_TOKEN_CONTROL || token->kind == SL_TOKEN_UNKNOWN;
    v->kind[v->n++] = (uint8_t)token->kind;
    return 0;
}

int sl_vocab_pad(struct sl_vocab *v, uint32_t n)
{
    int err = 0;
    while (v->n < n && !err)
        err = sl_vocab_add(v, &(struct sl_token){.kind = SL_TOKEN_ABSENT});
    return err;
}

int sl_vocab_index(struct sl_vocab *v, unsigned kinds)
{
    uint32_t slots = sl_strings_slots(v->n);
    v->slot = sl_alloc(slots, sizeof *v->slot);
    if (!v->slot)
        return SL_ERR_NOMEM;
    v->mask = slots - 1;
    const struct sl_strings all = {v->spelled.bytes, v->spelled.offset, v->slot, v->mask};
    for (uint32_t id = 0; id < v->n; id++) {
        struct sl_token t = sl_vocab_get(v, id);
        if (!(kinds >> t.kind & 1))
            continue;
        uint32_t slot = sl_strings_slot(&all, t.spelled, t.n_spelled);
        if (v->slot[slot])
            return sl_fail(SL_ERR_FORMAT, "the file is damaged: copy it again",
                           "tokens %u and %u are spelled the same", v->slot[slot] - 1, id);
        v->slot[slot] = id + 1;
        if (t.n_spelled > v->max_len)
            v->max_len = (uint32_t)t.n_spelled;
    }
    return 0;
}

void sl_vocab_free(struct sl_vocab *v)
{
    free(v->kind);
    free(v->special);
    free(v->spelled.bytes);
    free(v->spelled.offset);
    free(v->shown.bytes);
    free(v->shown.offset);
    free(v->slot);
    memset(v, 0, sizeof *v);
}

int32_t sl_vocab_find(const struct sl_vocab *v, const uint8_t *bytes, size_t len)
{
    const struct sl_strings all = {v->spelled.bytes, v->spelled.offset, v->slot, v->mask};
    if (len > v->max_len)
        return -1;
    return (int32_t)v->slot[sl_strings_slot(&all, bytes, len)] - 1;
}

struct sl_token sl_vocab_get(const struct sl_vocab *v, uint32_t id)
{
    const uint32_t *spelled = v->spelled.offset + id, *shown = v->shown.offset + id;
    return (struct sl_token){
        .kind = v->kind[id],
        .spelled = v->spelled.bytes + spelled[0],
        .n_spelled = spelled[1] - spelled[0],
        .shown = v->shown.bytes + shown[0],
        .n_shown = shown[1] - shown[0],
    };
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sl_token_byte(const uint8_t *spelled, size_t len)
{
    if (len != 6 || memcmp(spelled, "<0x", 3) || spelled[5] != '>')
        return -1;
    int high = hex_value(spelled[3]), low = hex_value(spelled[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

struct sl_token sl_token_of_piece(enum sl_token_kind kind, const uint8_t *piece, size_t len,
                                  uint8_t *shown)
{
    struct sl_token t = {kind, piece, piece, len, len};
    if (kind == SL_TOKEN_CONTROL || kind == SL_TOKEN_UNKNOWN)
        return t;
    t.shown = shown;
    if (kind == SL_TOKEN_BYTE) {
        shown[0] = (uint8_t)sl_token_byte(piece, len);
        t.n_shown = 1;
        return t;
    }
    t.n_shown = 0;
    for (size_t i = 0; i < len;) {
        bool blank = len - i >= SL_BLANK_BYTES && !memcmp(piece + i, SL_BLANK, SL_BLANK_BYTES);
        shown[t.n_shown++] = blank ? ' ' : piece[i];
        i += blank ? SL_BLANK_BYTES : 1;
    }
    return t;
}
