/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One small job for a unit's top, -DBENCH_EXPERT, -DBENCH_ROUTER or -DBENCH_KV: as Bambu's test
 * bench (its driver runs the Verilog) and, compiled with the C, as the source of the expected hash
 * of the control buffer.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "sl_abi.h"

#ifdef __BAMBU_SIM__
#include <mdpi/mdpi_user.h>
#else
#define m_param_alloc(index, bytes) ((void)0)
#endif

void sl_expert_ffn_top(void *ctl, void *w, uint32_t job_off, uint32_t ctl_limit, uint32_t w_limit);
void sl_router_topk_top(void *ctl, void *w, uint32_t job_off, uint32_t ctl_limit, uint32_t w_limit);
void sl_kv_pack_top(void *ctl, uint32_t job_off, uint32_t ctl_limit);

enum { CTL_BEATS = 64, W_BEATS = 256, X_OFF = 8, Y_OFF = 32, K = 64 };

static uint64_t ctl[CTL_BEATS][8], w[W_BEATS][8];

static void noise(uint64_t *dst, uint32_t n)
{
    uint64_t s = 88172645463325252u;
    for (uint32_t i = 0; i < n; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        dst[i] = s & 0x7F7F7F7F7F7F7F7Fu; /* no forbidden code */
    }
}

static void put(void *at, const void *object)
{
    memcpy(at, object, SL_BEAT_BYTES);
}

static void put_x(void)
{
    int32_t base = -12;
    memset(ctl[X_OFF], 0, 2 * SL_BEAT_BYTES); /* all block exponents 0 */
    memcpy(ctl[X_OFF], &base, sizeof base);
}

static void run(void)
{
    struct sl_job job = {.cookie = 7, .x_off = X_OFF, .y_off = Y_OFF, .n_tokens = 1, .k = K};
    struct sl_slab head = {.magic = SL_SLAB_MAGIC, .k = K, .mant0 = 1, .mant1 = 1, .mant2 = 1};
    noise(ctl[0], CTL_BEATS * 8);
    noise(w[0], W_BEATS * 8);
    put_x();
    m_param_alloc(0, sizeof ctl);
#if defined BENCH_EXPERT
    job.op = SL_OP_EXPERT;
    job.format = head.format = SL_FORMAT_NF4;
    job.rows = job.slice_count = head.rows = 32;
    head.kind = SL_KIND_EXPERT;
    head.u_h = 10;
    head.exp0 = head.exp1 = head.exp2 = -16;
    put(ctl[0], &job);
    put(w[0], &head);
    m_param_alloc(1, sizeof w);
    sl_expert_ffn_top(ctl, w, 0, CTL_BEATS, W_BEATS);
#elif defined BENCH_ROUTER
    job.op = SL_OP_ROUTER;
    job.rows = head.rows = 16;
    job.top_k = 2;
    head.kind = SL_KIND_ROUTER;
    put(ctl[0], &job);
    put(w[0], &head);
    memset(w[1], 0xF0, SL_BEAT_BYTES); /* row exponents -16 */
    m_param_alloc(1, sizeof w);
    sl_router_topk_top(ctl, w, 0, CTL_BEATS, W_BEATS);
#else
    job.op = SL_OP_KV_PACK;
    job.k = 128;
    job.rows = 1;
    put(ctl[0], &job);
    sl_kv_pack_top(ctl, 0, CTL_BEATS);
#endif
}

int main(void)
{
    uint64_t hash = 14695981039346656037u;
    const uint8_t *bytes = (const uint8_t *)ctl;
    struct sl_record record;
    run();
    for (uint32_t i = 0; i < sizeof ctl; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    memcpy(&record, ctl[1], sizeof record);
    printf("bench status %u macs %llu hash %016llx\n", record.status,
           (unsigned long long)record.macs, (unsigned long long)hash);
    return 0;
}
