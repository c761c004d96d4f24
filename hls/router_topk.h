/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER (docs/numerics.md 5.4). */
#ifndef SL_HLS_ROUTER_TOPK_H
#define SL_HLS_ROUTER_TOPK_H

#include "activation.h"
#include "job.h"

#define sl_router_topk SL_NAME(sl_router_topk)
#define sl_router_load SL_NAME(sl_router_load)
#define sl_router_choose SL_NAME(sl_router_choose)

enum { SL_MAX_ROUTER_ROWS = 3 * SL_MAX_N_EXPERT };

/* What a router's slab says besides the rows. */
struct sl_router_tables {
    int8_t exp[SL_MAX_ROUTER_ROWS];
    int32_t bias[SL_MAX_N_EXPERT];
    uint32_t rows_at; /* first beat of the rows */
};

/* A checked ROUTER job whose slab header is `head`: SL_STATUS_OK, or BAD_ACTIVATION with nothing
 * written. Counts overflows in the report. */
uint32_t sl_router_topk(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                        const struct sl_head *head, SL_WORK_PARAMS, struct sl_report *rep);

/* flags: of the slab's header. */
void sl_router_load(SL_GLOBAL const sl_beat *w, const struct sl_req *r, uint32_t flags,
                    struct sl_router_tables *tab);

/* Everything behind the scores' sums: selection, weights, the record at y_off. logits: l of
 * docs/numerics.md 5.4, [token][row of the slab], s32 Q16. Returns the overflows of RECYCLE. */
uint32_t sl_router_choose(SL_GLOBAL sl_beat *ctl, const struct sl_req *r,
                          const int32_t bias[SL_MAX_N_EXPERT],
                          int32_t logits[SL_MAX_TOKENS][SL_MAX_ROUTER_ROWS]);

#endif
