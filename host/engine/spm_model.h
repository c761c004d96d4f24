/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.model: a sentencepiece ModelProto (sentencepiece_model.proto), as far as it decides
 * ids and text. */
#ifndef SL_ENGINE_SPM_MODEL_H
#define SL_ENGINE_SPM_MODEL_H

#include <stdbool.h>

#include "engine/spm_normalizer.h"
#include "engine/vocab.h"

struct sl_spm_model {
    struct sl_vocab vocab; /* indexed: normal, user-defined and unused pieces */
    uint32_t *order;       /* [pieces]: 0 for the highest score; equal scores have equal orders */
    struct sl_matcher reserved; /* pieces that no merge gives: unknown, control, byte; tag: id */
    bool has_unused;
    bool byte_fallback; /* then all 256 bytes have a piece */
    int32_t byte[256];
    int32_t unk, bos, eos; /* bos, eos: -1 where the model has none */
    struct sl_spm_normalizer normalizer;
};

/* Reads BPE models with any normaliser that is compiled into the file. Others (unigram, word,
 * char), white space as a suffix and denormalisers are refused by name: SL_ERR_UNSUPPORTED.
 * SL_ERR_FORMAT for what sentencepiece refuses too: damaged bytes, no or two unknown pieces,
 * pieces that are empty or there twice, byte pieces that do not fit byte_fallback, and scores that
 * are no numbers. name is for messages. On failure *out is zeroed. */
int sl_spm_model_parse(struct sl_spm_model *out, const char *name, const uint8_t *bytes,
                       size_t len);
void sl_spm_model_free(struct sl_spm_model *model);

#endif
