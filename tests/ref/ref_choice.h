/* SPDX-License-Identifier: Apache-2.0 */
/* Experts that choose their tokens (docs/numerics.md 5.4, EXPERT_CHOICE). */
#ifndef SL_REF_CHOICE_H
#define SL_REF_CHOICE_H

#include "ref/ref_num.h"
#include "sl_abi.h"

/* The shares of all tokens in turn. */
struct ref_choice {
    uint32_t share[SL_MAX_TOKENS][SL_MAX_N_EXPERT];
};
/* Token t of the job has score[job->rows]. */
void ref_choice_token(struct ref_choice *c, const struct sl_job *job, unsigned t,
                      const int32_t *score);
/* Table at `table`, lists at `list`, weights at `weight`. */
void ref_choice_put(const struct ref_choice *c, const struct sl_job *job, uint8_t *table,
                    uint8_t *list, uint8_t *weight);

#endif
