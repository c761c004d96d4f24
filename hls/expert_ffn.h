/* SPDX-License-Identifier: Apache-2.0 */
/* EXPERT and PLAIN (docs/numerics.md 5.1, 5.2). */
#ifndef SL_HLS_EXPERT_FFN_H
#define SL_HLS_EXPERT_FFN_H

#include "activation.h"
#include "job.h"

#define sl_expert_ffn SL_NAME(sl_expert_ffn)

/*
 * A checked EXPERT or PLAIN job whose slab header is `head`: loads x, computes, writes y and the
 * report's sat_gu, saturations and clamps. SL_STATUS_OK, or BAD_LIST or BAD_ACTIVATION with nothing
 * written.
 */
uint32_t sl_expert_ffn(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                       const struct sl_head *head, uint32_t ctl_limit, SL_WORK_PARAMS,
                       struct sl_report *rep);

#endif
