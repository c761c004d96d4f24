/* SPDX-License-Identifier: Apache-2.0 */
/* sl_tokenizer_* of sluice.h, as tests and fuzzers see it: opened from memory, and what it costs.
 */
#ifndef SL_ENGINE_TOKENIZER_H
#define SL_ENGINE_TOKENIZER_H

#include "engine/kind.h"
#include "engine/ranks.h"

/* Takes the ranks over, also on failure. SL_ERR_SHAPE when vocab_size has no room for them. */
int sl_tokenizer_from_ranks(struct sl_tokenizer **out, struct sl_ranks *ranks, uint64_t vocab_size);
/* tokenizer.model and tokenizer.json, as if nothing else were in their directory. */
int sl_tokenizer_from_spm(struct sl_tokenizer **out, const uint8_t *model, size_t len);
int sl_tokenizer_from_json(struct sl_tokenizer **out, const char *json, size_t len);

/* Takes self over, also on failure. */
int sl_tokenizer_from_kind(struct sl_tokenizer **out, const struct sl_kind *kind, void *self);

/* Searches in tables that encoding `text` costs: grows linearly with len. */
int sl_tokenizer_cost(const struct sl_tokenizer *tok, const char *text, size_t len,
                      uint64_t *n_lookup);

#endif
