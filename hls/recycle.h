/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER with RECYCLE (docs/numerics.md 5.4): experts that take so many tokens and no more. */
#ifndef SL_HLS_RECYCLE_H
#define SL_HLS_RECYCLE_H

#include "job.h"

#define sl_recycle_begin SL_NAME(sl_recycle_begin)
#define sl_recycle_token SL_NAME(sl_recycle_token)

/* A job so far. */
struct sl_recycler {
    uint8_t taken[SL_MAX_N_EXPERT]; /* tokens of each expert */
    uint32_t overflows;             /* choices that found their expert full */
};

void sl_recycle_begin(struct sl_recycler *s);
/* Token t, in ascending order: its choices, best first, some of which get another expert. */
void sl_recycle_token(struct sl_recycler *s, const struct sl_req *r, uint32_t t,
                      uint32_t expert[SL_MAX_TOPK]);

#endif
