/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER with EXPERT_CHOICE (docs/numerics.md 5.4): each expert takes so many tokens. */
#ifndef SL_HLS_EXPERT_CHOICE_H
#define SL_HLS_EXPERT_CHOICE_H

#include "job.h"

#define sl_choice_share SL_NAME(sl_choice_share)
#define sl_choice_write SL_NAME(sl_choice_write)

/* A token's scores[n], s32 Q16, to its shares[n]: softmax over all of them, Q24. */
void sl_choice_share(uint32_t n, const int32_t scores[SL_MAX_N_EXPERT], int32_t *shares);

/* Table, lists and weights of a checked job at out. shares[n_tokens]: the first r->rows of each. */
void sl_choice_write(SL_GLOBAL sl_beat *out, const struct sl_req *r,
                     int32_t shares[SL_MAX_TOKENS][3 * SL_MAX_N_EXPERT]);

#endif
