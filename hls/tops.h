/* SPDX-License-Identifier: Apache-2.0 */
/* The units as tops of their own: one job at job_off, its record at job_off + 1. */
#ifndef SL_HLS_TOPS_H
#define SL_HLS_TOPS_H

#include "beat.h"
#include "job.h"

#define sl_expert_ffn_top SL_NAME(sl_expert_ffn_top)
#define sl_router_topk_top SL_NAME(sl_router_topk_top)
#define sl_kv_pack_top SL_NAME(sl_kv_pack_top)

/* A unit's job and the operations that the unit has. */
struct sl_unit_job {
    uint32_t op, also;
    struct sl_req r;
    struct sl_head head;
    struct sl_report rep;
};

void sl_expert_ffn_top(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t ctl_limit,
                       uint32_t w_limit);
void sl_router_topk_top(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t ctl_limit,
                        uint32_t w_limit);
void sl_kv_pack_top(SL_GLOBAL sl_beat *ctl, uint32_t job_off, uint32_t ctl_limit);

#endif
