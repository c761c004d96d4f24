/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a synthesis tool starts from: the core, and every unit alone (one job at job_off, its record
 * behind it). The work arrays are local here; OpenCL passes them in (core.cl).
 */
#include "tops.h"

#include "core.h"
#include "expert_ffn.h"
#include "kv_pack.h"
#include "router_topk.h"

#define LOCAL_WORK                                                                                 \
    int8_t x[SL_WORK_CODES], h[SL_WORK_CODES];                                                     \
    uint8_t xe[SL_WORK_EXPS], he[SL_WORK_EXPS];                                                    \
    SL_WIDE(x, 64)                                                                                 \
    SL_WIDE(h, 64)

SL_TOP_OUTSIDE
void sl_core(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t job_count,
             uint32_t ctl_limit, uint32_t w_limit, uint32_t timeout)
{
    SL_TOP_INSIDE
    LOCAL_WORK
    struct sl_launch launch = {job_off, job_count, {ctl_limit, w_limit}, false};
    (void)timeout;
    sl_core_run(ctl, SL_W_ARGS & launch, SL_WORK_ARGS);
}

/* The job of a unit's top; whether its operation is `op` or `also` and every check passed. */
SL_PORT_FN static bool open_unit(SL_GLOBAL const sl_beat *ctl, SL_GLOBAL const sl_beat *w,
                                 uint32_t job_off, const struct sl_limits *limits,
                                 struct sl_unit_job *job)
{
    sl_beat b = ctl[job_off];
    struct sl_report rep = {SL_STATUS_OK, 0, 0, 0, 0, 0, 0};
    job->rep = rep;
    sl_job_parse(&b, &job->r);
    if (job->r.op != job->op && job->r.op != job->also)
        job->rep.status = SL_STATUS_BAD_OP;
    else
        job->rep.status = sl_job_check(ctl, &job->r, limits->ctl, &job->rep);
    if (job->rep.status == SL_STATUS_OK)
        job->rep.status = sl_job_open(w, &job->r, limits->w, &job->head);
    return job->rep.status == SL_STATUS_OK;
}

SL_PORT_FN static void close_unit(SL_GLOBAL sl_beat *ctl, uint32_t job_off,
                                  const struct sl_unit_job *job)
{
    sl_beat b;
    sl_job_record(&job->r, &job->rep, &b);
    ctl[job_off + 1] = b;
}

SL_TOP_OUTSIDE
void sl_expert_ffn_top(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t ctl_limit,
                       uint32_t w_limit)
{
    SL_TOP_INSIDE
    LOCAL_WORK
    struct sl_limits limits = {ctl_limit, w_limit};
    struct sl_unit_job job;
    job.op = SL_OP_EXPERT;
    job.also = SL_OP_PLAIN;
    if (open_unit(ctl, w0, job_off, &limits, &job))
        job.rep.status =
            sl_expert_ffn(ctl, SL_W_ARGS & job.r, &job.head, ctl_limit, SL_WORK_ARGS, &job.rep);
    close_unit(ctl, job_off, &job);
}

SL_TOP_OUTSIDE
void sl_router_topk_top(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t ctl_limit,
                        uint32_t w_limit)
{
    SL_TOP_INSIDE
    LOCAL_WORK
    struct sl_limits limits = {ctl_limit, w_limit};
    struct sl_unit_job job;
    job.op = job.also = SL_OP_ROUTER;
    if (open_unit(ctl, w0, job_off, &limits, &job))
        job.rep.status = sl_router_topk(ctl, SL_W_ARGS & job.r, &job.head, SL_WORK_ARGS, &job.rep);
    close_unit(ctl, job_off, &job);
}

SL_TOP_OUTSIDE_CTL
void sl_kv_pack_top(SL_GLOBAL sl_beat *ctl, uint32_t job_off, uint32_t ctl_limit)
{
    SL_TOP_INSIDE_CTL
    struct sl_limits limits = {ctl_limit, 0};
    struct sl_unit_job job;
    job.op = SL_OP_KV_PACK;
    job.also = SL_OP_KV_UNPACK;
    if (open_unit(ctl, ctl, job_off, &limits, &job)) {
        if (job.r.op == SL_OP_KV_PACK)
            job.rep.status = sl_kv_pack(ctl, &job.r);
        else
            sl_kv_unpack(ctl, &job.r);
    }
    close_unit(ctl, job_off, &job);
}
