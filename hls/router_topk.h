/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER (docs/numerics.md 5.4). */
#ifndef SL_HLS_ROUTER_TOPK_H
#define SL_HLS_ROUTER_TOPK_H

#include "activation.h"
#include "job.h"

#define sl_router_topk SL_NAME(sl_router_topk)

/* A checked ROUTER job whose slab header is `head`: SL_STATUS_OK, or BAD_ACTIVATION with nothing
 * written. */
uint32_t sl_router_topk(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                        const struct sl_head *head, SL_WORK_PARAMS);

#endif
