/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of the Hunyuan family (sl_tokenizer_from_ranks).
 *
 * Encoding: NFC; special names become ids (parse_special); what lies between is cut into pieces by
 * the split pattern and each piece is merged on its own. Bytes that are not UTF-8 end a piece, are
 * not normalised and become one id each. Ids: the ranks, then <|endoftext|> <|startoftext|> <|bos|>
 * <|eos|> <|pad|>, then min(vocab_size - ranks - 5, 205) times <|extra_i|>. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/text.h"
#include "engine/tokenizer.h"

enum { N_NAMED = 5, MAX_NAME = 16, MAX_EXTRA = 205 };
enum { ENDOFTEXT, STARTOFTEXT, BOS, EOS, PAD }; /* order of the named specials */

static const char *const named[N_NAMED] = {"<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>",
                                           "<|pad|>"};

struct tiktoken {
    struct sl_ranks ranks;
    struct sl_splitter *splitter;
    struct sl_vocab vocab; /* not indexed: the ranks find tokens */
};

struct encoder {
    const struct tiktoken *tok;
    struct sl_encoder *e;
};

/* ---- encoding */

/* Text without special tokens. */
static int encode_plain(struct encoder *e, const uint8_t *text, size_t len)
{
    int err = 0;
    for (size_t i = 0; i < len && !err;) {
        for (size_t bad = sl_utf8_invalid(text + i, len - i); bad && !err; bad--)
            err = sl_ids_push(&e->e->ids, (int32_t)e->tok->ranks.of_byte[text[i++]]);
        size_t end = i + sl_utf8_valid(text + i, len - i), piece = 0;
        for (; i < end && !err; i += piece) {
            err = sl_splitter_next(e->tok->splitter, text, end, i, &piece);
            if (!err)
                err = sl_bpe_encode(&e->e->bpe, &e->tok->ranks, text + i, piece, &e->e->ids);
        }
    }
    return err;
}

/* Id of the special token whose name starts at text, or -1. *n: bytes of the name. */
static int32_t match_special(const struct tiktoken *tok, const uint8_t *text, size_t len, size_t *n)
{
    size_t end = 2;
    if (len < 4 || text[0] != '<' || text[1] != '|')
        return -1;
    while (end < len && end < MAX_NAME && text[end] != '>')
        end++;
    *n = end + 1;
    if (*n > len || *n >= MAX_NAME)
        return -1;
    for (uint32_t id = tok->ranks.n; id < tok->vocab.n; id++) {
        struct sl_token t = sl_vocab_get(&tok->vocab, id);
        if (t.n_spelled == *n && !memcmp(t.spelled, text, *n))
            return (int32_t)id;
    }
    return -1;
}

static int encode_text(struct encoder *e, const uint8_t *text, size_t len, bool parse_special)
{
    size_t from = 0, n;
    for (size_t i = 0; parse_special && i < len; i++) {
        int32_t id = match_special(e->tok, text + i, len - i, &n);
        if (id < 0)
            continue;
        int err = encode_plain(e, text + from, i - from);
        if (!err)
            err = sl_ids_push(&e->e->ids, id);
        if (err)
            return err;
        from = i + n;
        i = from - 1;
    }
    return encode_plain(e, text + from, len - from);
}

static int tiktoken_encode(const void *self, struct sl_encoder *encoder, const uint8_t *text,
                           size_t len, bool parse_special)
{
    struct encoder e = {self, encoder};
    uint8_t *normal;
    size_t n;
    int err = sl_text_normalize(text, len, &normal, &n);
    if (err)
        return err;
    err = encode_text(&e, normal, n, parse_special);
    free(normal);
    return err;
}

static const struct sl_vocab *tiktoken_vocab(const void *self)
{
    return &((const struct tiktoken *)self)->vocab;
}

static void tiktoken_close(void *self)
{
    struct tiktoken *tok = self;
    sl_ranks_free(&tok->ranks);
    sl_splitter_close(&tok->splitter);
    sl_vocab_free(&tok->vocab);
    free(tok);
}

static const struct sl_kind kind = {"tiktoken", tiktoken_encode, tiktoken_vocab,
                                    NULL,       tiktoken_close,  true};

/* ---- opening */

static int add_token(struct tiktoken *tok, enum sl_token_kind token_kind, const void *text,
                     size_t len)
{
    struct sl_token t = {token_kind, text, text, len, len};
    return sl_vocab_add(&tok->vocab, &t);
}

static int fill_vocab(struct tiktoken *tok, uint64_t vocab_size)
{
    uint64_t n_extra = vocab_size - tok->ranks.n - N_NAMED;
    int err = 0;
    size_t len;
    for (uint32_t r = 0; r < tok->ranks.n && !err; r++) {
        const uint8_t *token = sl_ranks_token(&tok->ranks, r, &len);
        err = add_token(tok, SL_TOKEN_NORMAL, token, len);
    }
    for (unsigned i = 0; i < N_NAMED && !err; i++)
        err = add_token(tok, SL_TOKEN_CONTROL, named[i], strlen(named[i]));
    for (unsigned i = 0; i < n_extra && i < MAX_EXTRA && !err; i++) {
        char name[MAX_NAME];
        len = (size_t)snprintf(name, sizeof name, "<|extra_%u|>", i);
        err = add_token(tok, SL_TOKEN_CONTROL, name, len);
    }
    return err;
}

/* The released models stop on <|eos|> and <|extra_5|>; texts of the pretrained one end with
 * <|endoftext|>. */
static void set_ends(struct sl_tokenizer *out, const struct tiktoken *tok)
{
    static const unsigned ends[] = {ENDOFTEXT, EOS, N_NAMED + 5};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (tok->ranks.n + ends[i] < tok->vocab.n)
            out->eog[out->n_eog++] = tok->ranks.n + ends[i];
    out->bos = (int32_t)(tok->ranks.n + STARTOFTEXT);
}

int sl_tokenizer_from_ranks(struct sl_tokenizer **out, struct sl_ranks *ranks, uint64_t vocab_size)
{
    struct tiktoken *tok = sl_alloc(1, sizeof *tok);
    int err = tok ? 0 : SL_ERR_NOMEM;
    if (!tok) {
        sl_ranks_free(ranks);
        return err;
    }
    tok->ranks = *ranks;
    memset(ranks, 0, sizeof *ranks);
    if (vocab_size < (uint64_t)tok->ranks.n + N_NAMED || vocab_size > INT32_MAX)
        err = sl_fail(SL_ERR_SHAPE, "take config.json and the rank file from the same model",
                      "config.json: vocab_size %llu does not fit %u ranks and %d special tokens",
                      (unsigned long long)vocab_size, tok->ranks.n, N_NAMED);
    if (!err)
        err = sl_splitter_open(&tok->splitter);
    if (!err)
        err = fill_vocab(tok, vocab_size);
    if (err) {
        tiktoken_close(tok);
        return err;
    }
    err = sl_tokenizer_from_kind(out, &kind, tok);
    if (!err)
        set_ends(*out, tok);
    return err;
}
