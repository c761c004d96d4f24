/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include "expert_ffn.h"
#include "kv_pack.h"
#include "primitives.h"
#include "router_topk.h"

enum { COUNTER_BEATS = (16 * SL_P + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES };

SL_PORT_FN static void query(SL_GLOBAL sl_beat *ctl, const struct sl_req *r)
{
    sl_beat b;
    sl_beat_clear(&b);
    sl_beat_put(&b, SL_AT_caps_abi_version, SL_ABI_VERSION);
    sl_beat_put(&b, SL_AT_caps_n_port, SL_P);
    sl_beat_put(&b, SL_AT_caps_n_column, SL_T);
    sl_beat_put(&b, SL_AT_caps_formats, (2u << SL_FORMAT_MXFP4) - 1);
    sl_beat_put(&b, SL_AT_caps_ops, (2u << SL_OP_KV_UNPACK) - (1u << SL_OP_QUERY));
    sl_beat_put(&b, SL_AT_caps_max_rows, SL_MAX_ROWS);
    sl_beat_put(&b, SL_AT_caps_max_k, SL_MAX_K);
    sl_beat_put(&b, SL_AT_caps_max_tokens, SL_MAX_TOKENS);
    sl_beat_put(&b, SL_AT_caps_max_expert, SL_MAX_N_EXPERT);
    sl_beat_put(&b, SL_AT_caps_max_topk, SL_MAX_TOPK);
    sl_beat_put(&b, SL_AT_caps_max_head_dim, SL_MAX_HEAD_DIM);
    sl_beat_put(&b, SL_AT_caps_max_jobs, SL_MAX_JOBS);
    sl_beat_put(&b, SL_AT_caps_core, SL_CORE_HLS);
    sl_beat_put(&b, SL_AT_caps_router_flags, SL_ROUTER_FLAGS);
    ctl[r->y_off] = b;
}

/* Sums 8 rows of all parts of one token: one beat of s64. */
SL_PORT_FN static void add_parts(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r, uint64_t at,
                                 uint64_t sum[8])
{
    for (uint32_t i = 0; i < 8; i++)
        sum[i] = 0;
    SL_LOOP(part)
    for (uint32_t p = 0; p < r->n_part; p++) {
        SL_PIPELINE
        sl_beat b = ctl[at + (uint64_t)p * r->part_stride];
        for (uint32_t i = 0; i < 8; i++) {
            SL_UNROLL_BODY
            sum[i] += b.d[i];
        }
    }
}

/* Rows 16 i .. 16 i + 15 of one token. */
SL_PORT_FN static sl_beat reduce_beat(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r,
                                      uint64_t at, uint32_t i)
{
    sl_beat y;
    uint64_t sum[8];
    sl_beat_clear(&y);
    for (uint32_t row = 0; row < 16 && 16 * i + row < r->rows; row++) {
        if (row % 8 == 0)
            add_parts(ctl, r, at + 2 * i + row / 8, sum);
        sl_beat_put(&y, 4 * row, sl_scale_f32((int64_t)sum[row % 8], r->scale_mant, r->scale_exp));
    }
    return y;
}

SL_PORT_FN static void reduce(SL_GLOBAL sl_beat *ctl, const struct sl_req *r)
{
    uint32_t n = sl_beats_of(r->rows, 4);
    SL_LOOP(tok)
    for (uint32_t t = 0; t < r->n_tokens; t++)
        for (uint32_t i = 0; i < n; i++)
            ctl[r->y_off + (uint64_t)t * r->y_stride + i] =
                reduce_beat(ctl, r, r->x_off + (uint64_t)t * r->x_stride, i);
}

SL_PORT_FN void sl_core_compute(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                                const struct sl_limits *limits, SL_WORK_PARAMS,
                                struct sl_report *rep)
{
    struct sl_head head;
    rep->status = sl_job_open(w0, r, limits->w, &head);
    if (rep->status != SL_STATUS_OK)
        return;
    switch (r->op) {
    case SL_OP_QUERY: query(ctl, r); break;
    case SL_OP_REDUCE: reduce(ctl, r); break;
    case SL_OP_ROUTER:
        rep->status = sl_router_topk(ctl, SL_W_ARGS r, &head, SL_WORK_ARGS, rep);
        break;
    case SL_OP_KV_PACK: rep->status = sl_kv_pack(ctl, r); break;
    case SL_OP_KV_UNPACK: sl_kv_unpack(ctl, r); break;
    default:
        rep->status = sl_expert_ffn(ctl, SL_W_ARGS r, &head, limits->ctl, SL_WORK_ARGS, rep);
        break;
    }
}

/* Four u32 per port: beats, and the stalls, which only hardware has. */
SL_PORT_FN static void write_counters(SL_GLOBAL sl_beat *ctl, const struct sl_req *r, uint64_t at)
{
    for (uint32_t i = 0; i < COUNTER_BEATS; i++) {
        sl_beat b;
        sl_beat_clear(&b);
        for (uint32_t p = 4 * i; p < SL_P && p < 4 * i + 4; p++)
            sl_beat_put(&b, 16 * (p % 4), sl_port_beats(r, p));
        ctl[at + i] = b;
    }
}

/* Whether everything that the launch writes about its jobs fits; sets launch->counters. */
SL_PORT_FN static bool launch_fits(SL_GLOBAL const sl_beat *ctl, struct sl_launch *launch)
{
    uint64_t n = launch->job_count;
    uint64_t end = launch->job_off + 2 * n;
    launch->counters = false;
    if (n > SL_MAX_JOBS || end > launch->limits.ctl)
        return false;
    SL_LOOP(job)
    for (uint32_t i = 0; i < launch->job_count; i++) {
        sl_beat b = ctl[launch->job_off + i];
        uint32_t flags = (uint32_t)sl_beat_get(&b, SL_AT_job_flags);
        launch->counters = launch->counters || flags & SL_FLAG_PORT_COUNTERS;
    }
    return !launch->counters || end + n * COUNTER_BEATS <= launch->limits.ctl;
}

SL_PORT_FN void sl_core_run(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS struct sl_launch *launch,
                            SL_WORK_PARAMS)
{
    if (!launch_fits(ctl, launch))
        return;
    SL_LOOP(job)
    for (uint32_t i = 0; i < launch->job_count; i++) {
        uint64_t records = (uint64_t)launch->job_off + launch->job_count;
        sl_beat b = ctl[launch->job_off + i];
        struct sl_req r;
        struct sl_report rep = {SL_STATUS_OK, 0, 0, 0, 0, 0, 0};
        sl_job_parse(&b, &r);
        rep.status = sl_job_check(ctl, &r, launch->limits.ctl, &rep);
        if (rep.status == SL_STATUS_OK)
            sl_core_compute(ctl, SL_W_ARGS & r, &launch->limits, SL_WORK_ARGS, &rep);
        /* A job list that the launch itself overwrote may ask for counters that were not provided
         * for. */
        if (r.flags & SL_FLAG_PORT_COUNTERS && launch->counters && rep.status == SL_STATUS_OK)
            write_counters(ctl, &r, records + launch->job_count + (uint64_t)i * COUNTER_BEATS);
        sl_job_record(&r, &rep, &b);
        ctl[records + i] = b;
    }
}
