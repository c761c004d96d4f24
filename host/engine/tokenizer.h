/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer of the Hunyuan family (sl_tokenizer_* of sluice.h), as its tests see it.
 *
 * Encoding: NFC; special names become ids (parse_special); what lies between is cut into pieces by
 * the split pattern and each piece is merged on its own. Bytes that are not UTF-8 end a piece, are
 * not normalised and become one id each. Ids: the ranks, then <|endoftext|> <|startoftext|> <|bos|>
 * <|eos|> <|pad|>, then min(vocab_size - ranks - 5, 205) times <|extra_i|>. */
#ifndef SL_ENGINE_TOKENIZER_H
#define SL_ENGINE_TOKENIZER_H

#include "engine/ranks.h"
#include "sluice.h"

enum { SL_MAX_EXTRA = 205, SL_MAX_TEXT = 1 << 29 /* bytes of one text */ };

/* Takes the ranks over, also on failure. SL_ERR_SHAPE when vocab_size has no room for them. */
int sl_tokenizer_from_ranks(struct sl_tokenizer **out, struct sl_ranks *ranks, uint64_t vocab_size);
/* Searches in the rank table that encoding `text` costs: grows linearly with len. */
int sl_tokenizer_cost(const struct sl_tokenizer *tok, const char *text, size_t len,
                      uint64_t *n_lookup);

#endif
