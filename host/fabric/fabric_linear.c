/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain matrices: Q, K, V, O and the LM head, as jobs of the device or on the CPU, which gives the
 * same words. The CPU reads the store's slabs where they are; its work is cut by rows, which
 * changes no bit.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/link.h"
#include "base/err.h"
#include "fabric/fabric_state.h"
#include "store/slab.h"

enum {
    MAX_CALLS = 8,
    FLOATS_PER_BEAT = SL_BEAT_BYTES / 4,
    PARTS_PER_THREAD = 4, /* so that threads finish together */
    MIN_PART_ROWS = 32    /* below, loading x would cost more than the rows */
};

static uint32_t place_of(const struct sl_fabric *f, const struct sl_linear_call *call)
{
    return call->matrix == SL_MATRIX_LM_HEAD ? 0 : sl_place_of(f, call->layer, call->matrix);
}

static const struct sl_slab *slab_of(const struct sl_fabric *f, const struct sl_linear_call *call)
{
    return sl_place_slab(f, place_of(f, call));
}

static struct sl_member *home_of(struct sl_fabric *f, const struct sl_linear_call *call)
{
    return call->matrix == SL_MATRIX_LM_HEAD ? &f->member[f->n_card ? f->n_card - 1 : 0]
                                             : sl_layer_home(f, call->layer);
}

static uint32_t row_beats(const struct sl_slab *header)
{
    return (header->rows + FLOATS_PER_BEAT - 1) / FLOATS_PER_BEAT;
}

/* Columns of fp32 x; the matrix' k is this, padded. */
static uint32_t x_width(const struct sl_fabric *f, const struct sl_linear_call *call)
{
    return call->matrix == SL_MATRIX_O ? f->config->d_attn : f->config->d_model;
}

static uint32_t largest_k(const struct sl_fabric *f)
{
    uint32_t max = 0;
    for (int m = SL_MATRIX_Q; m <= SL_MATRIX_LM_HEAD; m++) {
        const uint32_t k = sl_store_matrix(f->store, (enum sl_matrix)m, 0).header->k;
        max = k > max ? k : max;
    }
    return max;
}

/* ---- on the device -------------------------------------------------------------------------- */

uint64_t sl_linear_heap_beats(const struct sl_fabric *f)
{
    uint64_t rows = 0;
    uint64_t head = sl_store_matrix(f->store, SL_MATRIX_LM_HEAD, 0).header->rows + FLOATS_PER_BEAT;
    for (int m = SL_MATRIX_Q; m <= SL_MATRIX_O; m++)
        rows += sl_store_matrix(f->store, (enum sl_matrix)m, 0).header->rows + FLOATS_PER_BEAT;
    rows = rows > head ? rows : head;
    return SL_MAX_TOKENS * (sl_act8_beats(largest_k(f)) + rows / FLOATS_PER_BEAT + 1);
}

static int add_plain_job(struct sl_member *m, const struct sl_linear_call *call, uint32_t x_off,
                         size_t n, uint32_t *y_off)
{
    const struct sl_slab *slab = slab_of(m->fabric, call);
    int err = sl_joblist_alloc(&m->jobs, n * row_beats(slab), y_off);
    struct sl_job *job = err ? NULL : sl_joblist_add(&m->jobs);
    if (!job)
        return SL_ERR_NOMEM;
    job->op = SL_OP_PLAIN;
    job->format = slab->format;
    job->w_off = m->w_off[place_of(m->fabric, call)];
    job->x_off = x_off;
    job->x_stride = (uint16_t)sl_act8_beats(slab->k);
    job->y_off = *y_off;
    job->y_stride = (uint16_t)row_beats(slab);
    job->n_tokens = (uint16_t)n;
    job->k = (uint16_t)slab->k;
    job->rows = slab->rows;
    return 0;
}

/* One launch for at most SL_MAX_TOKENS tokens; call->y points at the first of them. All calls are
 * of one layer, or the LM head's. */
static int on_device(struct sl_fabric *f, const struct sl_linear_call *calls, size_t n_call,
                     const float *x, size_t n)
{
    struct sl_member *m = home_of(f, calls);
    uint32_t x_off, y_off[MAX_CALLS];
    sl_joblist_begin(&m->jobs);
    const struct sl_fabric_rows rows = {x, n, x_width(f, calls), slab_of(f, calls)->k};
    int err = sl_fabric_put_x8(m, &rows, &x_off);
    sl_joblist_outputs(&m->jobs);
    for (size_t i = 0; !err && i < n_call; i++)
        err = add_plain_job(m, &calls[i], x_off, n, &y_off[i]);
    err = err ? err : sl_joblist_launch(&m->jobs);
    for (size_t i = 0; !err && i < n_call; i++) {
        const struct sl_slab *slab = slab_of(f, &calls[i]);
        for (size_t t = 0; t < n; t++)
            memcpy(calls[i].y + t * calls[i].y_stride,
                   sl_joblist_at(&m->jobs, y_off[i] + (uint32_t)t * row_beats(slab)),
                   slab->rows * sizeof(float));
    }
    return err;
}

/* ---- on the CPU ----------------------------------------------------------------------------- */

/* Parts of several matrices over the same x. */
struct cpu_run {
    const struct sl_fabric *f;
    const struct sl_linear_call *calls;
    size_t n_call;
    uint32_t n_tok, rows, part_rows; /* rows: of all matrices */
    uint32_t first[MAX_CALLS + 1];   /* first part of each matrix */
    atomic_uint bad;                 /* a status that is not OK */
};

static void run_part(void *user, size_t i, unsigned thread)
{
    struct cpu_run *run = user;
    const struct sl_dense_cpu *cpu = &run->f->cpu;
    size_t m = 0;
    while (i >= run->first[m + 1])
        m++;
    const struct sl_slab *slab = slab_of(run->f, &run->calls[m]);
    uint32_t first = (uint32_t)(i - run->first[m]) * run->part_rows, left = slab->rows - first;
    struct sl_cpu_plain call = {.slab = slab,
                                .x = cpu->x,
                                .n_tok = run->n_tok,
                                .first = first,
                                .n_row = left < run->part_rows ? left : run->part_rows,
                                .y = run->calls[m].y,
                                .y_stride = run->calls[m].y_stride};
    unsigned status = cpu->ops->plain(&call, cpu->work + thread * cpu->work_stride);
    if (status != SL_STATUS_OK)
        atomic_store_explicit(&run->bad, status, memory_order_relaxed);
}

static uint32_t round_up(uint32_t n, uint32_t step)
{
    return (n + step - 1) / step * step;
}

/* Rows of a part: some parts for every thread, within the limits. No bit depends on it. */
static void plan_parts(struct cpu_run *run)
{
    uint32_t n = sl_pool_threads(run->f->pool) * PARTS_PER_THREAD;
    for (size_t i = 0; i < run->n_call; i++)
        run->rows += slab_of(run->f, &run->calls[i])->rows;
    uint32_t part = round_up((run->rows + n - 1) / n, SL_CPU_ROW_STEP);
    part = part < MIN_PART_ROWS ? MIN_PART_ROWS : part;
    run->part_rows = part < SL_CPU_MAX_PART_ROWS ? part : SL_CPU_MAX_PART_ROWS;
    for (size_t i = 0; i < run->n_call; i++) {
        uint32_t rows = slab_of(run->f, &run->calls[i])->rows;
        run->first[i + 1] = run->first[i] + (rows + run->part_rows - 1) / run->part_rows;
    }
}

/* A device with a clock of its own waits for the host meanwhile. */
static void tell_clock(struct sl_fabric *f, const struct sl_linear_call *calls, size_t n_call,
                       size_t n_tok)
{
    struct sl_link *clock = home_of(f, calls)->dev->clock;
    uint64_t bytes = 0;
    for (size_t i = 0; clock && i < n_call; i++)
        bytes += sl_slab_beats(slab_of(f, &calls[i])) * SL_BEAT_BYTES;
    if (!clock)
        return;
    sl_link_host(clock, (uint64_t)((double)bytes * sl_cpu_work(n_tok)));
    sl_link_join(clock);
}

static int on_cpu(struct sl_fabric *f, const struct sl_linear_call *calls, size_t n_call,
                  const float *x, size_t n)
{
    struct sl_span span;
    struct cpu_run run = {.f = f, .calls = calls, .n_call = n_call, .n_tok = (uint32_t)n};
    const struct sl_fabric_rows rows = {x, n, x_width(f, calls), slab_of(f, calls)->k};
    int err = sl_fabric_pack_x8(f, &rows, f->cpu.x);
    if (err)
        return err;
    plan_parts(&run);
    sl_span_begin(f->profile, &span, SL_SPAN_DENSE_CPU, run.rows);
    sl_pool_run(f->pool, run_part, &run, run.first[n_call]);
    sl_span_end(f->profile, &span);
    tell_clock(f, calls, n_call, n);
    unsigned bad = atomic_load(&run.bad);
    return bad ? sl_fail(SL_ERR_DEVICE, NULL, "the CPU's plain matrix ended with status %u", bad)
               : 0;
}

int sl_dense_cpu_open(struct sl_fabric *f)
{
    struct sl_dense_cpu *cpu = &f->cpu;
    cpu->ops = sl_cpu_ops_best();
    cpu->work_stride = (cpu->ops->work_bytes + 63) / 64 * 64;
    cpu->x =
        sl_alloc_aligned(64, (size_t)SL_MAX_TOKENS * sl_act8_beats(largest_k(f)) * SL_BEAT_BYTES);
    cpu->work = sl_alloc_aligned(64, sl_pool_threads(f->pool) * cpu->work_stride);
    return cpu->x && cpu->work ? 0 : SL_ERR_NOMEM;
}

void sl_dense_cpu_close(struct sl_fabric *f)
{
    free(f->cpu.x);
    free(f->cpu.work);
    f->cpu = (struct sl_dense_cpu){0};
}

/* ---- the choice ----------------------------------------------------------------------------- */

int sl_fabric_linear(void *ctx, const struct sl_linear_call *calls, size_t n_call, const float *x,
                     size_t n_tok)
{
    struct sl_fabric *f = ctx;
    struct sl_linear_call part[MAX_CALLS];
    bool cpu = f->dense == SL_DENSE_CPU || (f->dense == SL_DENSE_AUTO && n_tok == 1);
    if (n_call > MAX_CALLS)
        return sl_fail(SL_ERR_USAGE, NULL, "%zu matrices in one call", n_call);
    memcpy(part, calls, n_call * sizeof *part);
    *(cpu ? &f->stats.n_linear_cpu : &f->stats.n_linear) += n_call;
    for (size_t t = 0; t < n_tok; t += SL_MAX_TOKENS) {
        size_t n = n_tok - t < SL_MAX_TOKENS ? n_tok - t : SL_MAX_TOKENS;
        int err = (cpu ? on_cpu : on_device)(f, part, n_call, x + t * x_width(f, calls), n);
        if (err)
            return err;
        for (size_t i = 0; i < n_call; i++)
            part[i].y += n * part[i].y_stride;
    }
    return 0;
}
