/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens of a model: how each is spelled in its file, and what it adds to a text. */
#ifndef SL_ENGINE_VOCAB_H
#define SL_ENGINE_VOCAB_H

#include <stddef.h>
#include <stdint.h>

enum { SL_MAX_TOKENS = 1 << 24 };

/* The numbers of sentencepiece's model files. */
enum sl_token_kind {
    SL_TOKEN_ABSENT = 0, /* an id that no token has */
    SL_TOKEN_NORMAL = 1,
    SL_TOKEN_UNKNOWN = 2,
    SL_TOKEN_CONTROL = 3, /* no text: <s> */
    SL_TOKEN_USER = 4,    /* found in the text as it stands, before anything is merged */
    SL_TOKEN_UNUSED = 5,  /* may arise on the way, is no result */
    SL_TOKEN_BYTE = 6     /* one byte, spelled <0x41> */
};

/* Zeroed is empty. Ids are 0 .. n - 1. */
struct sl_vocab {
    uint32_t n, cap;
    uint8_t *kind;    /* [n] enum sl_token_kind */
    uint8_t *special; /* [n] 1: no part of a text; control and unknown tokens, and declared ones */
    struct sl_spelling {
        uint8_t *bytes;
        uint32_t *offset; /* [n + 1] */
        size_t cap;
    } spelled, shown;     /* shown: the bytes of its text; of specials their name */
    uint32_t *slot, mask; /* table over `spelled`, of the tokens that sl_vocab_index took */
    uint32_t max_len;     /* bytes of the longest of them */
};

struct sl_token {
    enum sl_token_kind kind;
    const uint8_t *spelled, *shown;
    size_t n_spelled, n_shown;
};

/* Appends a token, as id vocab->n. SL_ERR_NOMEM, SL_ERR_FORMAT when there are too many. */
int sl_vocab_add(struct sl_vocab *vocab, const struct sl_token *token);
/* Appends ids without a token until there are n. */
int sl_vocab_pad(struct sl_vocab *vocab, uint32_t n);
/* Makes those of `kinds` (bits) findable by their spelling. SL_ERR_FORMAT when two are the same. */
int sl_vocab_index(struct sl_vocab *vocab, unsigned kinds);
void sl_vocab_free(struct sl_vocab *vocab);

/* Id of the indexed token that is spelled so, or -1. */
int32_t sl_vocab_find(const struct sl_vocab *vocab, const uint8_t *bytes, size_t len);
/* Token number id; id < n. Pointers live as long as the vocabulary is not changed. */
struct sl_token sl_vocab_get(const struct sl_vocab *vocab, uint32_t id);

/* The byte that <0x41> spells, or -1. */
int sl_token_byte(const uint8_t *spelled, size_t len);

/* A token of a sentencepiece vocabulary: <0x41> of kind BYTE shows its byte, U+2581 a blank.
 * shown[len] is written for all but specials, which show their name. */
struct sl_token sl_token_of_piece(enum sl_token_kind kind, const uint8_t *piece, size_t len,
                                  uint8_t *shown);

#define SL_BLANK "\xe2\x96\x81" /* U+2581, how such vocabularies spell a blank */
enum { SL_BLANK_BYTES = 3 };

#endif
