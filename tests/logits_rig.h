/* SPDX-License-Identifier: Apache-2.0 */
/* Logits of one sequence, however a model computes them. */
#ifndef SL_TEST_LOGITS_RIG_H
#define SL_TEST_LOGITS_RIG_H

#include <stdint.h>

#include "sluice.h"

enum {
    LOGITS_PROMPT = 210,
    LOGITS_DECODE = 20,
    LOGITS_MAX_VOCAB = 4096,
    LOGITS_BYTES = (LOGITS_DECODE + 1) * LOGITS_MAX_VOCAB * 4
};

/* Room for them, zeroed; the caller frees. */
float *logits_new(void);
/* Of the prompt's last token, in two chunks, then of every further one. Stops at the first error
 * and returns it. */
int logits_eval(struct sl_session *session, uint32_t n_vocab, float *out);
/* Of a fresh model, which must not fail. stats: at the end; may be NULL (its device names are gone
 * then). */
void logits_of(const struct sl_model_params *params, float *out, struct sl_session_stats *stats);
/* A model and a session for logits_eval. */
void logits_open(const struct sl_model_params *params, struct sl_model **model,
                 struct sl_session **session, uint32_t *n_vocab);

/* A converted copy of a model in a fresh directory (store_rig.h: RIG_PATH). */
void logits_convert(char *dir, const char *from, const char *format);
/* The limit under which only n_slot of its experts are in memory. */
uint64_t logits_memory(const struct sl_model_params *params, uint64_t n_slot);

#endif
