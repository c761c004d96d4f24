/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind of tokenizer is to the rest of the engine: sl_tokenizer_* of sluice.h ask it. */
#ifndef SL_ENGINE_KIND_H
#define SL_ENGINE_KIND_H

#include "engine/bpe.h"
#include "engine/vocab.h"
#include "sluice.h"

/* A text on its way to ids. */
struct sl_encoder {
    struct sl_bpe bpe;
    struct sl_ids ids;
};

struct sl_kind {
    const char *name;
    /* Appends the ids of text[len], len <= SL_MAX_TEXT. */
    int (*encode)(const void *self, struct sl_encoder *e, const uint8_t *text, size_t len,
                  bool parse_special);
    const struct sl_vocab *(*vocab)(const void *self);
    /* What piece[*len] of a token adds at the start of a text, shortening *len; *start: whether the
     * text has still not begun. NULL: all of it. */
    const char *(*begin)(const void *self, int32_t id, const char *piece, size_t *len, bool *start);
    void (*close)(void *self);
    bool own_ends; /* first and last tokens are the family's, whatever tokenizer_config.json says */
};

enum { SL_MAX_EOG = 16, SL_MAX_TEXT = 1 << 29 /* bytes of one text */ };

struct sl_tokenizer {
    const struct sl_kind *kind;
    void *self;
    int32_t bos; /* -1: none */
    int64_t eog[SL_MAX_EOG];
    size_t n_eog;
};

#endif
