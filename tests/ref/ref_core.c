/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_core.h"

#include <string.h>

static uint64_t counter_beats(unsigned n_port)
{
    return ref_ceil_div(16 * n_port, 64);
}

uint64_t ref_launch_beats(const struct sl_job *job, uint32_t job_count, unsigned n_port)
{
    bool counters = false;
    for (uint32_t i = 0; i < job_count; i++)
        counters = counters || job[i].flags & SL_FLAG_PORT_COUNTERS;
    return 2 * (uint64_t)job_count + (counters ? job_count * counter_beats(n_port) : 0);
}

static void run_query(struct ref_run *run)
{
    const struct ref_core *core = run->core;
    struct sl_caps caps = {.abi_version = SL_ABI_VERSION,
                           .n_port = (uint16_t)core->weights.n_port,
                           .n_column = (uint16_t)core->n_column,
                           .max_rows = SL_MAX_ROWS,
                           .max_k = SL_MAX_K,
                           .max_tokens = SL_MAX_TOKENS,
                           .max_expert = SL_MAX_N_EXPERT,
                           .max_topk = SL_MAX_TOPK,
                           .max_head_dim = SL_MAX_HEAD_DIM,
                           .max_jobs = SL_MAX_JOBS,
                           .core = core->kind,
                           .router_flags = ref_router_flags(core)};
    for (int format = SL_FORMAT_FP8; format <= SL_FORMAT_MXFP4; format++)
        caps.formats |= 1u << format;
    for (int op = SL_OP_QUERY; op <= SL_OP_KV_UNPACK; op++)
        caps.ops |= 1u << op;
    memcpy(ref_ctl(core, run->job.y_off), &caps, sizeof caps);
}

static void run_op(struct ref_run *run)
{
    static void (*const op[])(struct ref_run * run) = {
        [SL_OP_QUERY] = run_query,
        [SL_OP_EXPERT] = ref_run_expert,
        [SL_OP_PLAIN] = ref_run_plain,
        [SL_OP_REDUCE] = ref_run_reduce,
        [SL_OP_ROUTER] = ref_run_router,
        [SL_OP_KV_PACK] = ref_run_kv_pack,
        [SL_OP_KV_UNPACK] = ref_run_kv_unpack,
    };
    op[run->job.op](run);
}

static void put_counters(const struct ref_run *run, uint64_t beat)
{
    uint8_t *p = ref_ctl(run->core, beat);
    memset(p, 0, counter_beats(run->core->weights.n_port) * SL_BEAT_BYTES);
    for (unsigned port = 0; port < run->core->weights.n_port; port++)
        ref_put32(p + 16 * port, run->port_beats[port]);
}

/* A launch may change the list under its own feet: each job is read when its turn comes. */
struct ref_outcome ref_launch(const struct ref_core *core, uint32_t job_off, uint32_t job_count)
{
    struct ref_outcome out = {0};
    uint64_t records = (uint64_t)job_off + job_count, counters = records + job_count;
    if (job_count == 0 || job_count > SL_MAX_JOBS || counters > core->ctl_limit)
        return out;
    const struct sl_job *list = (const void *)ref_ctl(core, job_off);
    if (job_off + ref_launch_beats(list, job_count, core->weights.n_port) > core->ctl_limit)
        return out;
    out.started = true;
    for (uint32_t i = 0; i < job_count; i++) {
        struct ref_run run = {.core = core};
        memcpy(&run.job, ref_ctl(core, (uint64_t)job_off + i), sizeof run.job);
        run.rec.cookie = run.job.cookie;
        run.rec.abi_version = SL_ABI_VERSION;
        run.rec.status = (uint16_t)ref_check(&run);
        if (run.rec.status == SL_STATUS_OK) {
            run_op(&run);
            out.n_ok++;
            if (run.job.flags & SL_FLAG_PORT_COUNTERS)
                put_counters(&run, counters + i * counter_beats(core->weights.n_port));
        }
        memcpy(ref_ctl(core, records + i), &run.rec, sizeof run.rec);
        bool hits_list = run.y.off < records && job_off < run.y.off + run.y.len;
        if (run.undefined || hits_list) {
            out.loose[0] = job_count > 1 ? (struct ref_span){0, core->ctl_limit} : run.y;
            out.loose[1] = (struct ref_span){records, 1};
        }
    }
    return out;
}
