/* SPDX-License-Identifier: Apache-2.0 */
/* A job in steps, for who computes some of it otherwise. */
#include <string.h>

#include "core.h"
#include "router_topk.h"
#include "sl_core_native.h"

#if SL_P == 1

_Static_assert((int)SL_STEP_ROUTER_ROWS == SL_MAX_ROUTER_ROWS, "logits of full size");

static void take_job(const struct sl_step *s, struct sl_req *r)
{
    sl_beat b;
    memcpy(&b, &s->job, sizeof b);
    sl_job_parse(&b, r);
}

uint32_t SL_NAME(sl_step_check)(const void *ctl, uint32_t ctl_limit, struct sl_step *s)
{
    struct sl_req r;
    struct sl_report rep = {SL_STATUS_OK, 0, 0, 0, 0, 0, 0};
    take_job(s, &r);
    rep.status = sl_job_check(ctl, &r, ctl_limit, &rep);
    s->job.w_off = r.w_off;
    s->record = (struct sl_record){.cookie = r.cookie,
                                   .status = (uint16_t)rep.status,
                                   .expert = (uint16_t)rep.expert,
                                   .abi_version = SL_ABI_VERSION,
                                   .weight = rep.weight};
    return rep.status;
}

uint32_t SL_NAME(sl_step_open)(const void *ctl, uint32_t ctl_limit, const void *w, uint32_t w_limit,
                               struct sl_step *s)
{
    struct sl_req r;
    struct sl_head head;
    take_job(s, &r);
    uint32_t status = sl_job_open(w, &r, w_limit, &head);
    if (status == SL_STATUS_OK && (r.op == SL_OP_EXPERT || r.op == SL_OP_PLAIN))
        status = sl_x_locate(ctl, &r, ctl_limit, s->x);
    s->record.status = (uint16_t)status;
    return status;
}

uint32_t SL_NAME(sl_step_compute)(void *ctl, uint32_t ctl_limit, const void *w, uint32_t w_limit,
                                  struct sl_core_work *work, struct sl_step *s)
{
    struct sl_req r;
    struct sl_report rep = {SL_STATUS_OK, 0, 0, 0, 0, 0, 0};
    const struct sl_limits limits = {ctl_limit, w_limit};
    take_job(s, &r);
    sl_core_compute(ctl, w, &r, &limits, work->x, work->xe, work->h, work->he, &rep);
    s->record.status = (uint16_t)rep.status;
    s->record.sat_gu = rep.sat_gu;
    s->record.saturations = rep.saturations;
    s->record.clamps = rep.clamps;
    s->record.overflows = rep.overflows;
    return rep.status;
}

void SL_NAME(sl_step_choose)(void *ctl, const void *w, struct sl_step *s,
                             int32_t logits[SL_MAX_TOKENS][SL_STEP_ROUTER_ROWS])
{
    struct sl_req r;
    struct sl_router_tables tables;
    const struct sl_slab *head = (const void *)((const sl_beat *)w + s->job.w_off);
    take_job(s, &r);
    sl_router_load(w, &r, head->flags, &tables);
    s->record.overflows = sl_router_choose(ctl, &r, tables.bias, logits);
}

void SL_NAME(sl_step_finish)(struct sl_step *s)
{
    struct sl_req r;
    if (s->record.status != SL_STATUS_OK)
        return;
    take_job(s, &r);
    s->record.macs = sl_job_macs(&r);
    s->record.beats = sl_port_beats(&r, 0);
}

#endif
