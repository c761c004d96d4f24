/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER and KV_PACK on the CPU's threads: the scores' sums and the head vectors are cut into
 * parts; the choice of experts is the core's. */
#include <string.h>

#include "accel/cpu_device_state.h"
#include "accel/cpu_kernels.h"

/* ---- router ---------------------------------------------------------------------------------- */

enum { ROUTER_PART = 16 };

struct router_run {
    struct sl_cpu_device *cpu;
    struct sl_cpu_router all; /* n_row: of the slab */
    const int8_t *exp;        /* of the rows */
    int32_t base[SL_MAX_TOKENS];
};

static void route_part(void *user, size_t i, unsigned thread)
{
    const struct router_run *run = user;
    struct sl_cpu_work *work = run->cpu->thread[thread].work;
    struct sl_cpu_router part = run->all;
    const uint32_t first = (uint32_t)i * ROUTER_PART, left = part.n_row - first;
    uint32_t n_sat = 0;
    part.row += first * 2 * sl_k64(part.k);
    part.n_row = left < ROUTER_PART ? left : ROUTER_PART;
    run->cpu->ops->router(&part, work);
    for (uint32_t t = 0; t < part.n_tok; t++)
        for (uint32_t r = 0; r < part.n_row; r++)
            run->cpu->logits[t][first + r] = sl_cpu_scale_s32(
                work->sum[t][r], 1, run->exp[first + r] + run->base[t] + 16, &n_sat);
}

static bool take_x16(struct router_run *run, const struct sl_job *job)
{
    bool ok = true;
    for (uint32_t t = 0; t < job->n_tokens; t++) {
        const uint8_t *item = sl_cpu_ctl(run->cpu, job->x_off + (uint64_t)t * job->x_stride);
        run->base[t] = sl_cpu_base_of(item);
        run->all.xe[t] = item + SL_BEAT_BYTES;
        run->all.code[t] = sl_cpu_codes_of(item, job->k);
        ok = ok && !sl_cpu_base_is_bad(run->base[t]) &&
             run->cpu->ops->x16_ok(run->all.xe[t], run->all.code[t], job->k);
    }
    return ok;
}

/* The slab is checked. */
static void find_rows(struct router_run *run, const struct sl_slab *slab, uint32_t n_expert)
{
    const uint8_t *exps = (const uint8_t *)slab + SL_BEAT_BYTES;
    const size_t bias = slab->flags & SL_SLAB_HAS_BIAS ? sl_cpu_round64(4 * (size_t)n_expert) : 0;
    run->exp = (const int8_t *)exps;
    run->all.row = exps + sl_cpu_round64(slab->rows) + bias;
    run->all.k = slab->k;
    run->all.n_row = slab->rows;
}

void sl_cpu_router_run(struct sl_cpu_device *cpu, struct sl_step *step)
{
    struct router_run run = {.cpu = cpu, .all = {.n_tok = step->job.n_tokens}};
    uint32_t w_limit;
    const uint8_t *w = sl_cpu_weights(cpu, &step->job.w_off, &w_limit);
    if (sl_step_open_p1(cpu->base.ctl_host, cpu->base.ctl_beats, w, w_limit, step) != SL_STATUS_OK)
        return;
    if (!take_x16(&run, &step->job)) {
        step->record.status = SL_STATUS_BAD_ACTIVATION;
        return;
    }
    find_rows(&run, (const void *)(w + (size_t)step->job.w_off * SL_BEAT_BYTES), step->job.rows);
    sl_cpu_parallel(cpu, route_part, &run, sl_ceil_div(run.all.n_row, ROUTER_PART),
                    (uint64_t)run.all.n_row * 2 * run.all.k * run.all.n_tok);
    sl_step_choose_p1(cpu->base.ctl_host, w, step, cpu->logits);
}

/* ---- KV_PACK --------------------------------------------------------------------------------- */

enum { KV_PART = 32 };

struct kv_run {
    const struct sl_cpu_device *cpu;
    const struct sl_job *job;
    uint32_t n;
    atomic_bool bad;
};

static void check_part(void *user, size_t i, unsigned thread)
{
    struct kv_run *run = user;
    const uint32_t first = (uint32_t)i * KV_PART;
    (void)thread;
    for (uint32_t v = first; v < first + KV_PART && v < run->n; v++)
        if (!run->cpu->ops->kv_item_ok(
                run->job->k,
                sl_cpu_ctl(run->cpu, run->job->x_off + (uint64_t)v * run->job->x_stride)))
            atomic_store_explicit(&run->bad, true, memory_order_relaxed);
}

static void pack_part(void *user, size_t i, unsigned thread)
{
    const struct kv_run *run = user;
    const struct sl_job *job = run->job;
    const uint32_t first = (uint32_t)i * KV_PART;
    (void)thread;
    for (uint32_t v = first; v < first + KV_PART && v < run->n; v++)
        run->cpu->ops->kv_pack(job->format, job->k,
                               sl_cpu_ctl(run->cpu, job->x_off + (uint64_t)v * job->x_stride),
                               sl_cpu_ctl(run->cpu, job->y_off + (uint64_t)v * job->y_stride));
}

void sl_cpu_kv_pack_run(struct sl_cpu_device *cpu, struct sl_step *step)
{
    enum { WORTH = 4 }; /* times the bytes of a vector: beside a matrix it computes more a byte */
    struct kv_run run = {.cpu = cpu, .job = &step->job, .n = step->job.n_tokens * step->job.rows};
    const uint64_t bytes = (uint64_t)run.n * 2 * step->job.k;
    const uint32_t n_part = sl_ceil_div(run.n, KV_PART);
    atomic_init(&run.bad, false);
    sl_cpu_parallel(cpu, check_part, &run, n_part, bytes);
    if (atomic_load(&run.bad))
        step->record.status = SL_STATUS_BAD_ACTIVATION;
    else
        sl_cpu_parallel(cpu, pack_part, &run, n_part, WORTH * bytes);
}
