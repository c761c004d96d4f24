/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer that a tokenizer.json of Hugging Face's tokenizers library describes, where its
 * model is BPE. Two styles:
 *   byte level      text is cut by patterns and merged from bytes (GPT-2, Llama 3, Qwen)
 *   character level text is merged from characters, blanks are U+2581, characters without a token
 *                   become bytes or the unknown token (Llama 2, Mixtral)
 * In order: added tokens that stand for themselves are cut out of the text; what is between them is
 * normalised; added tokens of normalised text are cut out; the rest is cut by the patterns and
 * merged. Bytes that are not UTF-8: at byte level each is a token of its own and the stretches
 * between them are texts of their own; at character level each is U+FFFD, as in spm.h. */
#ifndef SL_ENGINE_HF_BPE_H
#define SL_ENGINE_HF_BPE_H

#include "engine/added_tokens.h"
#include "engine/kind.h"

struct sl_splitter;

enum { SL_HF_MAX_STEP = 8 };

enum sl_hf_step_kind { SL_HF_NFC, SL_HF_PREPEND, SL_HF_REPLACE };
struct sl_hf_step {
    enum sl_hf_step_kind kind;
    char from[16], to[16]; /* PREPEND puts `to` in front of a text that is not empty */
};

enum sl_hf_blank { SL_HF_BLANK_NONE, SL_HF_BLANK_NEVER, SL_HF_BLANK_FIRST, SL_HF_BLANK_ALWAYS };

/* Joins of two tokens: an open hash table. */
struct sl_hf_pair {
    uint64_t key; /* left << 32 | right; UINT64_MAX: empty */
    uint32_t order, joined;
};

struct sl_hf {
    struct sl_vocab vocab; /* indexed: tokens of the model, at byte level spelled in bytes */
    struct sl_added_set added;
    struct sl_hf_pair *pair;
    uint32_t mask; /* slots of `pair` - 1 */
    bool byte_level;
    bool ignore_merges;     /* a piece that is a token is that token */
    bool byte_fallback;     /* then all bytes have a token */
    bool fuse_unk;          /* unknown characters next to each other are one */
    int32_t unk, byte[256]; /* unk -1: unknown characters vanish */
    struct sl_hf_step step[SL_HF_MAX_STEP];
    unsigned n_step;
    /* Pre-tokenizers: Metaspace (blank, blank_split), or patterns. */
    enum sl_hf_blank blank; /* in front of which texts U+2581 goes; NONE: no Metaspace */
    bool blank_split;       /* cut in front of each U+2581 */
    bool prefix_space;      /* byte level: a blank in front of a text that has none */
    struct sl_splitter *split[SL_HF_MAX_STEP];
    unsigned n_split;
    bool strip;  /* decoding: the blank in front of the text goes */
    int32_t bos; /* that the template puts in front; -1: none */
};

/* Of a struct sl_hf, which close() frees. */
extern const struct sl_kind sl_kind_hf;

/* Slot of a pair, or the empty one where it belongs. */
struct sl_hf_pair *sl_hf_pair_slot(const struct sl_hf *hf, uint32_t left, uint32_t right);
/* Appends text[len] to out as the normaliser leaves it. SL_ERR_NOMEM, SL_ERR_RANGE. */
int sl_hf_normalize(const struct sl_hf *hf, const uint8_t *text, size_t len, struct sl_bytes *out);

#endif
