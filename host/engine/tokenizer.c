/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer.h"

#include <stdlib.h>

#include "base/err.h"

int sl_tokenizer_from_kind(struct sl_tokenizer **out, const struct sl_kind *kind, void *self)
{
    struct sl_tokenizer *tok = sl_alloc(1, sizeof *tok);
    if (!tok) {
        kind->close(self);
        return SL_ERR_NOMEM;
    }
    tok->kind = kind;
    tok->self = self;
    tok->bos = -1;
    *out = tok;
    return 0;
}

void sl_tokenizer_close(struct sl_tokenizer **tok)
{
    if (!tok || !*tok)
        return;
    (*tok)->kind->close((*tok)->self);
    free(*tok);
    *tok = NULL;
}

/* ---- encoding */

/* Fills e->ids (freed on failure) and e->bpe.n_lookup. */
static int encode(const struct sl_tokenizer *tok, struct sl_encoder *e, const char *text,
                  size_t len, bool parse_special)
{
    if (len > SL_MAX_TEXT)
        return sl_fail(SL_ERR_RANGE, "split the text into smaller parts",
                       "the text has more than 512 MB");
    int err = tok->kind->encode(tok->self, e, (const uint8_t *)text, len, parse_special);
    uint64_t n_lookup = e->bpe.n_lookup;
    sl_bpe_free(&e->bpe);
    e->bpe.n_lookup = n_lookup;
    if (err)
        free(e->ids.v);
    return err;
}

int sl_tokenizer_encode(const struct sl_tokenizer *tok, const char *text, size_t len,
                        bool parse_special, int32_t **ids, size_t *n)
{
    struct sl_encoder e = {0};
    int err = encode(tok, &e, text, len, parse_special);
    if (err)
        return err;
    if (!e.ids.v && !(e.ids.v = sl_alloc(1, sizeof *e.ids.v)))
        return SL_ERR_NOMEM;
    *ids = e.ids.v;
    *n = e.ids.n;
    return 0;
}

int sl_tokenizer_cost(const struct sl_tokenizer *tok, const char *text, size_t len,
                      uint64_t *n_lookup)
{
    struct sl_encoder e = {0};
    int err = encode(tok, &e, text, len, false);
    if (err)
        return err;
    *n_lookup = e.bpe.n_lookup;
    free(e.ids.v);
    return 0;
}

/* ---- questions */

static const struct sl_vocab *vocab_of(const struct sl_tokenizer *tok)
{
    return tok->kind->vocab(tok->self);
}

const char *sl_tokenizer_piece(const struct sl_tokenizer *tok, int32_t id, size_t *len)
{
    const struct sl_vocab *vocab = vocab_of(tok);
    if (id < 0 || (uint32_t)id >= vocab->n || vocab->kind[id] == SL_TOKEN_ABSENT)
        return NULL;
    struct sl_token token = sl_vocab_get(vocab, (uint32_t)id);
    *len = token.n_shown;
    return (const char *)token.shown;
}

const char *sl_tokenizer_text(const struct sl_tokenizer *tok, int32_t id, bool *start, size_t *len)
{
    const char *piece = sl_tokenizer_piece(tok, id, len);
    if (!piece || sl_tokenizer_is_special(tok, id)) {
        *len = 0;
        return "";
    }
    if (*start && tok->kind->begin)
        return tok->kind->begin(tok->self, id, piece, len, start);
    *start = false;
    return piece;
}

bool sl_tokenizer_is_special(const struct sl_tokenizer *tok, int32_t id)
{
    const struct sl_vocab *vocab = vocab_of(tok);
    return id >= 0 && (uint32_t)id < vocab->n && vocab->special[id];
}

int32_t sl_tokenizer_bos(const struct sl_tokenizer *tok)
{
    return tok->bos;
}

bool sl_tokenizer_is_eog(const struct sl_tokenizer *tok, int32_t id)
{
    for (size_t i = 0; i < tok->n_eog; i++)
        if (tok->eog[i] == id)
            return true;
    return false;
}

size_t sl_tokenizer_size(const struct sl_tokenizer *tok)
{
    return vocab_of(tok)->n;
}
