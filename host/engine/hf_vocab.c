/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/hf_json.h"
#include "engine/text.h"

/* ---- GPT-2's alphabet: a character for each byte */

/* Bytes that stand for themselves (Latin-1); the others are U+0100 and on, in their order. */
static bool stands_for_itself(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* The byte that a character of two bytes or less stands for, or -1. */
static int byte_of(unsigned cp)
{
    unsigned other = 0x100;
    if (cp < 0x100)
        return stands_for_itself(cp) ? (int)cp : -1;
    for (unsigned b = 0; b < 256; b++)
        if (!stands_for_itself(b) && other++ == cp)
            return (int)b;
    return -1;
}

/* Bytes that a token spells, to dst; false: it has a character that is none of the alphabet. */
static bool decode_alphabet(const int16_t byte[0x144], const uint8_t *text, size_t len,
                            uint8_t *dst, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < len;) {
        bool two = text[i] >= 0xc0 && i + 1 < len;
        unsigned cp = two ? (text[i] & 0x1fu) << 6 | (text[i + 1] & 0x3fu) : text[i];
        if (text[i] >= 0xe0 || cp >= 0x144 || byte[cp] < 0)
            return false;
        dst[(*n)++] = (uint8_t)byte[cp];
        i += two ? 2 : 1;
    }
    return true;
}

/* ---- tokens in the order of their ids */

struct entry {
    int64_t id;
    const char *text;
    size_t len;
    bool added, special;
};

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : x->added - y->added;
}

struct tokens {
    struct entry *entry;
    size_t n;
    uint8_t *bytes; /* room for what one token shows */
    size_t longest;
    int16_t byte[0x144];
};

static int add_entry(const struct sl_hf_reader *r, struct tokens *t, struct entry e)
{
    if (e.id < 0 || e.id >= SL_MAX_TOKENS)
        return sl_hf_fail(r, "vocab", "an id that is no number from 0 to 16777215");
    t->longest = e.len > t->longest ? e.len : t->longest;
    t->entry[t->n++] = e;
    return 0;
}

static int64_t id_of(const json_t *value)
{
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static int collect(const struct sl_hf_reader *r, struct tokens *t, json_t *vocab,
                   const json_t *added)
{
    const char *key;
    json_t *value;
    size_t i;
    int err = 0;
    json_object_foreach(vocab, key, value) if (!err) err =
        add_entry(r, t, (struct entry){id_of(value), key, strlen(key), false, false});
    json_array_foreach(added, i, value)
    {
        const json_t *text = json_object_get(value, "content");
        if (err || !json_is_string(text))
            return err ? err : sl_hf_fail(r, "added_tokens", "a token without content");
        err = add_entry(r, t,
                        (struct entry){id_of(json_object_get(value, "id")), json_string_value(text),
                                       json_string_length(text), true,
                                       sl_hf_flag(value, "special", false)});
    }
    return err;
}

static int put_token(struct sl_hf_reader *r, struct tokens *t, const struct entry *e)
{
    const uint8_t *text = (const uint8_t *)e->text;
    enum sl_token_kind kind = e->special ? SL_TOKEN_CONTROL
                              : e->added ? SL_TOKEN_USER
                                         : SL_TOKEN_NORMAL;
    struct sl_token token = {kind, text, text, e->len, e->len};
    size_t n;
    if (r->hf->byte_level && kind == SL_TOKEN_NORMAL) {
        if (decode_alphabet(t->byte, text, e->len, t->bytes, &n))
            token = (struct sl_token){kind, t->bytes, t->bytes, n, n};
        else
            token.kind = SL_TOKEN_USER;
    } else if (kind == SL_TOKEN_NORMAL) {
        kind = sl_token_byte(text, e->len) >= 0 ? SL_TOKEN_BYTE : kind;
        token = sl_token_of_piece(kind, text, e->len, t->bytes);
    }
    return sl_vocab_add(&r->hf->vocab, &token);
}

static int put_tokens(struct sl_hf_reader *r, struct tokens *t)
{
    int err = 0;
    qsort(t->entry, t->n, sizeof *t->entry, by_id);
    for (size_t i = 0; i < t->n && !err; i++) {
        const struct entry *e = &t->entry[i], *before = i ? e - 1 : NULL;
        if (before && before->id == e->id) {
            bool same = before->len == e->len && !memcmp(before->text, e->text, e->len);
            if (!same || !e->added)
                return sl_hf_fail(r, "vocab", "two tokens with one id");
            r->hf->vocab.special[e->id] |= e->special;
            continue;
        }
        if ((uint64_t)e->id > 4 * (uint64_t)t->n + 65536)
            return sl_hf_fail(r, "vocab", "most ids are missing");
        err = sl_vocab_pad(&r->hf->vocab, (uint32_t)e->id);
        if (!err)
            err = put_token(r, t, e);
    }
    return err ? err : sl_vocab_index(&r->hf->vocab, 1u << SL_TOKEN_NORMAL | 1u << SL_TOKEN_BYTE);
}

static int read_tokens(struct sl_hf_reader *r, json_t *vocab, const json_t *added)
{
    struct tokens t = {0};
    for (unsigned cp = 0; cp < 0x144; cp++)
        t.byte[cp] = (int16_t)byte_of(cp);
    t.entry = sl_alloc(json_object_size(vocab) + json_array_size(added), sizeof *t.entry);
    int err = t.entry ? collect(r, &t, vocab, added) : SL_ERR_NOMEM;
    if (!err && !(t.bytes = sl_alloc(t.longest, 1)))
        err = SL_ERR_NOMEM;
    if (!err)
        err = put_tokens(r, &t);
    free(t.entry);
    free(t.bytes);
    return err;
}

/* ---- bytes and the unknown token */

static int read_bytes(struct sl_hf_reader *r, const json_t *model)
{
    struct sl_hf *hf = r->hf;
    unsigned n = 0;
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        uint8_t byte = (uint8_t)b;
        snprintf(name, sizeof name, "<0x%02X>", b);
        hf->byte[b] = hf->byte_level ? sl_vocab_find(&hf->vocab, &byte, 1)
                                     : sl_vocab_find(&hf->vocab, (const uint8_t *)name, 6);
        n += hf->byte[b] >= 0;
    }
    hf->byte_fallback = sl_hf_flag(model, "byte_fallback", false) && !hf->byte_level;
    if (n < 256 && (hf->byte_level || hf->byte_fallback))
        return sl_hf_fail(r, "vocab", "not every byte has a token");
    return 0;
}

static int read_unknown(struct sl_hf_reader *r, const json_t *model, const json_t *vocab)
{
    const char *name = json_string_value(json_object_get(model, "unk_token"));
    r->hf->fuse_unk = sl_hf_flag(model, "fuse_unk", false);
    if (!name)
        return 0;
    const json_t *id = json_object_get(vocab, name);
    if (!json_is_integer(id))
        return sl_hf_fail(r, "unk_token", "no token of the vocabulary");
    r->hf->unk = (int32_t)json_integer_value(id);
    r->hf->vocab.special[r->hf->unk] = 1;
    return 0;
}

/* ---- merges */

/* The two halves: "a b", or ["a", "b"]. */
static bool halves(const json_t *merge, const char *text[2], size_t len[2])
{
    const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
    if (json_is_string(merge)) {
        const char *s = json_string_value(merge);
        size_t n = json_string_length(merge);
        const char *blank = memchr(s, ' ', n);
        if (!blank || memchr(blank + 1, ' ', n - (size_t)(blank + 1 - s)))
            return false;
        text[0] = s, len[0] = (size_t)(blank - s);
        text[1] = blank + 1, len[1] = n - len[0] - 1;
        return true;
    }
    if (json_array_size(merge) != 2 || !json_is_string(a) || !json_is_string(b))
        return false;
    text[0] = json_string_value(a), len[0] = json_string_length(a);
    text[1] = json_string_value(b), len[1] = json_string_length(b);
    return true;
}

/* Id of the token that is spelled first[n_first] second[n_second], or -1. */
static int64_t find_joined(const json_t *vocab, const char *first, size_t n_first,
                           const char *second, size_t n_second)
{
    char name[1024];
    if (n_first >= sizeof name || n_second >= sizeof name - n_first)
        return -1;
    memcpy(name, first, n_first);
    memcpy(name + n_first, second, n_second);
    name[n_first + n_second] = 0;
    return id_of(json_object_get(vocab, name));
}

static int read_merge(struct sl_hf_reader *r, const json_t *vocab, const json_t *merge,
                      uint32_t order)
{
    const char *text[2];
    size_t len[2];
    if (!halves(merge, text, len))
        return sl_hf_fail(r, "merges", "an entry that is not two tokens");
    int64_t left = find_joined(vocab, text[0], len[0], "", 0);
    int64_t right = find_joined(vocab, "", 0, text[1], len[1]);
    int64_t both = find_joined(vocab, text[0], len[0], text[1], len[1]);
    if (left < 0 || right < 0 || both < 0)
        return sl_hf_fail(r, "merges", "an entry whose tokens are not in the vocabulary");
    struct sl_hf_pair *pair = sl_hf_pair_slot(r->hf, (uint32_t)left, (uint32_t)right);
    *pair = (struct sl_hf_pair){(uint64_t)left << 32 | (uint64_t)right, order, (uint32_t)both};
    return 0;
}

static int read_merges(struct sl_hf_reader *r, const json_t *vocab, const json_t *merges)
{
    size_t n = json_array_size(merges), slots = 512;
    if (!json_is_array(merges) || n > SL_MAX_TOKENS)
        return sl_hf_fail(r, "merges", "not a list, or too long");
    while (slots < 2 * n)
        slots *= 2;
    r->hf->pair = sl_alloc(slots, sizeof *r->hf->pair);
    if (!r->hf->pair)
        return SL_ERR_NOMEM;
    r->hf->mask = (uint32_t)(slots - 1);
    for (size_t i = 0; i < slots; i++)
        r->hf->pair[i].key = UINT64_MAX;
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        err = read_merge(r, vocab, json_array_get(merges, i), (uint32_t)i);
    return err;
}

/* ---- the whole */

static bool is_empty_text(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
}

static int check_model(const struct sl_hf_reader *r, const json_t *model)
{
    const json_t *dropout = json_object_get(model, "dropout");
    if (!sl_hf_is(model, "BPE"))
        return sl_hf_refuse(r, "model", model);
    if ((dropout && !json_is_null(dropout) && json_number_value(dropout) != 0) ||
        !is_empty_text(json_object_get(model, "continuing_subword_prefix")) ||
        !is_empty_text(json_object_get(model, "end_of_word_suffix")))
        return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                       "%s: dropout, continuing_subword_prefix and end_of_word_suffix are not "
                       "implemented",
                       r->name);
    return 0;
}

static int read_added(struct sl_hf_reader *r, const json_t *added)
{
    json_t *value;
    size_t i;
    int err = 0;
    json_array_foreach(added, i, value)
    {
        const json_t *text = json_object_get(value, "content");
        if (sl_hf_flag(value, "single_word", false))
            return sl_fail(SL_ERR_UNSUPPORTED, "give token ids instead (--tokens FILE)",
                           "%s: added token %.40s: single_word is not implemented", r->name,
                           json_string_value(text));
        struct sl_added token = {.id = (uint32_t)id_of(json_object_get(value, "id")),
                                 .special = sl_hf_flag(value, "special", false),
                                 .normalized = sl_hf_flag(value, "normalized", false),
                                 .lstrip = sl_hf_flag(value, "lstrip", false),
                                 .rstrip = sl_hf_flag(value, "rstrip", false)};
        err =
            sl_added_add(&r->hf->added, &token, json_string_value(text), json_string_length(text));
        if (err)
            break;
    }
    return err;
}

int sl_hf_read_vocab(struct sl_hf_reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *added;
    json_t *vocab = json_object_get(model, "vocab");
    added = json_object_get(root, "added_tokens");
    int err = check_model(r, model);
    if (!err && (!json_is_object(vocab) || (added && !json_is_array(added))))
        err = sl_hf_fail(r, "vocab", "missing, or added_tokens is not a list");
    r->hf->ignore_merges = sl_hf_flag(model, "ignore_merges", false);
    if (!err)
        err = read_tokens(r, vocab, added);
    if (!err)
        err = read_bytes(r, model);
    if (!err)
        err = read_unknown(r, model, vocab);
    if (!err)
        err = read_merges(r, vocab, json_object_get(model, "merges"));
    return err ? err : read_added(r, added);
}

int sl_hf_normalize_names(struct sl_hf_reader *r)
{
    int err = 0;
    for (uint32_t i = 0; i < r->hf->added.n && !err; i++) {
        const struct sl_added *t = &r->hf->added.token[i];
        struct sl_bytes name = {0};
        if (!t->normalized || !r->hf->n_step)
            continue;
        err = sl_hf_normalize(r->hf, r->hf->added.text.v + t->at, t->len, &name);
        if (!err)
            err = sl_added_rename(&r->hf->added, i, name.v, name.n);
        free(name.v);
    }
    return err;
}
