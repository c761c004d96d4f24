/* SPDX-License-Identifier: Apache-2.0 */
#include "tlm_rig.h"

#include <stdlib.h>
#include <string.h>

#include "accel/sim_options.h"
#include "store/slab.h"

enum { DEADLINE_MS = 3600000, NOISE_BEATS = 1 << 14, JOBS_OFF = 0 };

static uint32_t div_up(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

/* Bytes that are legal as codes of any format and as activations: no 0x80, no NaN of E4M3. */
static uint8_t *new_noise(void)
{
    uint8_t *noise = malloc((size_t)NOISE_BEATS * SL_BEAT_BYTES);
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; noise && i < (size_t)NOISE_BEATS * SL_BEAT_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        noise[i] = (uint8_t)(x >> 32 & 0x77);
    }
    return noise;
}

static int fill_weights(struct tlm_rig *rig)
{
    int err = 0;
    for (unsigned p = 0; p < rig->dev->n_port; p++)
        for (uint32_t at = 0; !err && at < rig->dev->w_beats; at += NOISE_BEATS) {
            const uint32_t left = rig->dev->w_beats - at;
            err = sl_device_write(rig->dev, (int)p, at, rig->noise,
                                  left < NOISE_BEATS ? left : NOISE_BEATS);
        }
    return err;
}

int tlm_rig_open(struct tlm_rig *rig, const char *device, uint32_t ctl_beats, uint32_t w_beats)
{
    static const enum sl_tlm_memory memory[] = {
        [SL_SIM_HBM] = SL_TLM_HBM, [SL_SIM_DDR] = SL_TLM_DDR, [SL_SIM_IDEAL] = SL_TLM_IDEAL};
    struct sl_sim_config sim;
    const size_t prefix = strcspn(device, ":,");
    *rig = (struct tlm_rig){0};
    int err = sl_sim_config_parse(&sim, device[prefix] ? device + prefix + 1 : NULL);
    rig->config = (struct sl_tlm_config){.n_port = sim.n_port,
                                         .n_column = sim.n_column,
                                         .memory = memory[sim.core.memory],
                                         .latency = sim.core.latency};
    err = err ? err : sl_tlm_open(&rig->tlm, &rig->config);
    err = err ? err : sl_device_open(&rig->dev, device);
    err = err ? err : sl_device_alloc(rig->dev, ctl_beats, w_beats);
    if (!err && !(rig->noise = new_noise()))
        err = SL_ERR_NOMEM;
    return err ? err : fill_weights(rig);
}

void tlm_rig_close(struct tlm_rig *rig)
{
    sl_device_close(&rig->dev);
    sl_tlm_close(rig->tlm);
    free(rig->noise);
    *rig = (struct tlm_rig){0};
}

/* ---- parts ---------------------------------------------------------------------------------- */

/* Beats of the control arena; its end when they do not fit. */
static uint32_t ctl(struct tlm_rig *rig, uint32_t n)
{
    const uint32_t at = rig->ctl_top;
    rig->ctl_top += n;
    return at;
}

/* A slab: its header in front of the noise. */
static int put_slab(struct tlm_rig *rig, int kind, int format, uint32_t k, uint32_t rows,
                    uint32_t *w_off)
{
    struct sl_slab slab = {.magic = SL_SLAB_MAGIC,
                           .kind = (uint8_t)kind,
                           .format = (uint8_t)format,
                           .k = k,
                           .rows = rows,
                           .u_h = kind == SL_KIND_EXPERT ? 20 : 0};
    slab.mant0 = slab.mant1 = slab.mant2 = format == SL_FORMAT_FP8 ? 32768 : 1;
    *w_off = rig->w_top;
    rig->w_top += (uint32_t)sl_slab_port_beats(&slab, rig->dev->n_port) + SL_SLACK_BEATS;
    if (rig->w_top > rig->dev->w_beats)
        return SL_ERR_NOMEM;
    int err = 0;
    for (unsigned p = 0; p < rig->dev->n_port && !err; p++)
        err = sl_device_write(rig->dev, (int)p, *w_off, &slab, 1);
    return err;
}

static struct sl_job *add(struct tlm_rig *rig, int op, int format, uint32_t n_tokens)
{
    struct sl_job *job = &rig->job[rig->n_job];
    *job = (struct sl_job){.op = (uint8_t)op,
                           .format = (uint8_t)format,
                           .cookie = 1 + rig->n_job++,
                           .n_tokens = (uint16_t)n_tokens};
    return job;
}

/* x of n tokens with exponents 0. */
static int put_x(struct tlm_rig *rig, uint32_t n, uint32_t k, bool wide, uint32_t *off,
                 uint16_t *stride)
{
    const uint32_t n_exp = div_up(k / SL_BLOCK, 64), codes = (uint32_t)sl_k64(k) / 64;
    const uint32_t item = 1 + n_exp + (wide ? 2 * codes : codes);
    uint8_t zero[SL_BEAT_BYTES * 17] = {0};
    *stride = (uint16_t)item;
    *off = ctl(rig, n * item);
    int err = rig->ctl_top > rig->dev->ctl_beats ? SL_ERR_NOMEM : 0;
    for (uint32_t t = 0; t < n && !err; t++) {
        err = sl_device_write(rig->dev, SL_ARENA_CTL, *off + t * item, zero, 1 + n_exp);
        err = err ? err
                  : sl_device_write(rig->dev, SL_ARENA_CTL, *off + t * item + 1 + n_exp, rig->noise,
                                    item - 1 - n_exp);
    }
    return err;
}

static void fill_expert(const struct tlm_case *c, struct sl_job *job, struct tlm_rig *rig)
{
    job->k = (uint16_t)c->d_model;
    job->rows = c->d_ff;
    job->slice_count = (uint16_t)c->d_ff;
    job->y_stride = (uint16_t)div_up(c->d_model, 16);
    job->y_off = ctl(rig, job->n_tokens * (uint32_t)job->y_stride);
}

static int add_router(struct tlm_rig *rig, const struct tlm_case *c, uint32_t n, uint32_t w_off)
{
    uint32_t x;
    uint16_t stride;
    int err = put_x(rig, n, c->d_model, true, &x, &stride);
    struct sl_job *job = add(rig, SL_OP_ROUTER, c->mode, n);
    job->flags = c->mode == SL_MODE_SOFTMAX ? SL_FLAG_RENORM : 0;
    job->w_off = w_off;
    job->x_off = x;
    job->x_stride = stride;
    job->k = (uint16_t)c->d_model;
    job->rows = c->n_expert;
    job->top_k = (uint8_t)c->top_k;
    job->y_off = ctl(rig, n + div_up(c->n_expert, 16) + div_up(n * c->top_k, 16));
    return err;
}

static int put_router(struct tlm_rig *rig, const struct tlm_case *c, uint32_t *w_off)
{
    const uint32_t rows = c->mode == SL_MODE_ATTENTION ? 3 * c->n_expert : c->n_expert;
    return put_slab(rig, SL_KIND_ROUTER, 0, c->d_model, rows, w_off);
}

/* Two experts serve as all: even and odd. */
static int put_experts(struct tlm_rig *rig, const struct tlm_case *c, uint32_t w_off[2])
{
    int err = put_slab(rig, SL_KIND_EXPERT, c->format, c->d_model, c->d_ff, &w_off[0]);
    return err ? err : put_slab(rig, SL_KIND_EXPERT, c->format, c->d_model, c->d_ff, &w_off[1]);
}

/* ---- launches ------------------------------------------------------------------------------- */

static int build_decode(struct tlm_rig *rig, const struct tlm_case *c)
{
    uint32_t router, expert[2], shared, table[SL_MAX_N_EXPERT + 16], x;
    uint16_t stride;
    int err = put_router(rig, c, &router);
    err = err ? err : put_experts(rig, c, expert);
    err = err ? err : put_slab(rig, SL_KIND_EXPERT, c->format, c->d_model, c->d_ff, &shared);
    const uint32_t slots = ctl(rig, div_up(c->n_expert, 16));
    for (uint32_t e = 0; e < SL_MAX_N_EXPERT; e++)
        table[e] = expert[e % 2];
    err =
        err ? err : sl_device_write(rig->dev, SL_ARENA_CTL, slots, table, div_up(c->n_expert, 16));
    err = err ? err : put_x(rig, 1, c->d_model, false, &x, &stride);
    err = err ? err : add_router(rig, c, 1, router);
    const uint32_t route = rig->job[rig->n_job - 1].y_off;
    for (uint32_t i = 0; i <= c->top_k && !err; i++) {
        struct sl_job *job = add(rig, SL_OP_EXPERT, c->format, 1);
        fill_expert(c, job, rig);
        job->x_off = x;
        job->x_stride = stride;
        job->w_off = shared;
        if (i == 0)
            continue;
        job->flags = SL_FLAG_INDIRECT;
        job->w_off = 0;
        job->route_off = route;
        job->route_choice = (uint8_t)(i - 1);
        job->slot_off = slots;
        job->n_expert = (uint16_t)c->n_expert;
    }
    return err;
}

static int build_route(struct tlm_rig *rig, const struct tlm_case *c)
{
    uint32_t router, shared, x;
    uint16_t stride;
    int err = put_router(rig, c, &router);
    err = err ? err : put_slab(rig, SL_KIND_EXPERT, c->format, c->d_model, c->d_ff, &shared);
    for (uint32_t t = 0; t < c->n_tokens && !err; t += SL_MAX_TOKENS)
        err = add_router(rig, c, c->n_tokens - t < 64 ? c->n_tokens - t : 64, router);
    for (uint32_t t = 0; t < c->n_tokens && !err; t += SL_MAX_TOKENS) {
        const uint32_t n = c->n_tokens - t < 64 ? c->n_tokens - t : 64;
        err = put_x(rig, n, c->d_model, false, &x, &stride);
        struct sl_job *job = add(rig, SL_OP_EXPERT, c->format, n);
        fill_expert(c, job, rig);
        job->x_off = x;
        job->x_stride = stride;
        job->w_off = shared;
    }
    return err;
}

static int build_recycle(struct tlm_rig *rig, const struct tlm_case *c)
{
    int err = build_route(rig, c);
    for (uint32_t i = 0; i < rig->n_job; i++) {
        struct sl_job *job = &rig->job[i];
        if (job->op != SL_OP_ROUTER)
            continue;
        job->flags |= SL_FLAG_RECYCLE;
        job->slice_count = (uint16_t)div_up(job->n_tokens * c->top_k, c->n_expert);
    }
    return err;
}

static int build_lists(struct tlm_rig *rig, const struct tlm_case *c)
{
    uint32_t expert[2], x, entry[SL_MAX_TOKENS + 16];
    uint16_t stride;
    int err = put_experts(rig, c, expert);
    err = err ? err : put_x(rig, SL_MAX_TOKENS, c->d_model, false, &x, &stride);
    for (uint32_t t = 0; t < SL_MAX_TOKENS; t++)
        entry[t] = t * 7 % SL_MAX_TOKENS;
    for (uint32_t i = 0; i < c->top_k && !err; i++) {
        struct sl_job *job = add(rig, SL_OP_EXPERT, c->format, c->n_tokens);
        job->flags = SL_FLAG_LIST;
        job->list_off = ctl(rig, div_up(c->n_tokens, 16));
        err =
            sl_device_write(rig->dev, SL_ARENA_CTL, job->list_off, entry, div_up(c->n_tokens, 16));
        fill_expert(c, job, rig);
        job->x_off = x;
        job->x_stride = stride;
        job->w_off = expert[i % 2];
    }
    return err;
}

static int build_linear(struct tlm_rig *rig, const struct tlm_case *c)
{
    const uint32_t rows[] = {c->d_ff / 4, c->d_ff / 8, c->d_ff / 8 - 1};
    uint32_t x;
    uint16_t stride;
    int err = put_x(rig, c->n_tokens, c->d_model, false, &x, &stride);
    for (unsigned i = 0; i < 3 && !err; i++) {
        struct sl_job *job = add(rig, SL_OP_PLAIN, c->format, c->n_tokens);
        err = put_slab(rig, SL_KIND_PLAIN, c->format, c->d_model, rows[i], &job->w_off);
        job->k = (uint16_t)c->d_model;
        job->rows = rows[i];
        job->x_off = x;
        job->x_stride = stride;
        job->y_stride = (uint16_t)div_up(rows[i], 16);
        job->y_off = ctl(rig, c->n_tokens * (uint32_t)job->y_stride);
    }
    return err;
}

static int build_slice(struct tlm_rig *rig, const struct tlm_case *c)
{
    enum { PARTS = 4 };
    uint32_t expert[2], x;
    uint16_t stride;
    const uint32_t part = c->d_ff / PARTS / SL_BLOCK * SL_BLOCK;
    const uint32_t beats = div_up(c->d_model, 8);
    int err = put_experts(rig, c, expert);
    err = err ? err : put_x(rig, c->n_tokens, c->d_model, false, &x, &stride);
    const uint32_t sums = ctl(rig, PARTS * c->n_tokens * beats);
    for (uint32_t i = 0; i < PARTS && !err; i++) {
        struct sl_job *job = add(rig, SL_OP_EXPERT, c->format, c->n_tokens);
        job->flags = SL_FLAG_PARTIAL;
        fill_expert(c, job, rig);
        job->y_off = sums + i * c->n_tokens * beats;
        job->y_stride = (uint16_t)beats;
        job->slice_first = (uint16_t)(i * part);
        job->slice_count = (uint16_t)(i + 1 < PARTS ? part : c->d_ff - i * part);
        job->x_off = x;
        job->x_stride = stride;
        job->w_off = expert[0];
    }
    struct sl_job *job = add(rig, SL_OP_REDUCE, 0, c->n_tokens);
    job->rows = c->d_model;
    job->x_off = sums;
    job->x_stride = (uint16_t)beats;
    job->part_stride = c->n_tokens * beats;
    job->n_part = PARTS;
    job->scale_mant = 1;
    job->scale_exp = -40;
    job->y_stride = (uint16_t)div_up(c->d_model, 16);
    job->y_off = ctl(rig, c->n_tokens * (uint32_t)job->y_stride);
    return err;
}

static int build_kv(struct tlm_rig *rig, const struct tlm_case *c)
{
    const uint32_t heads = c->top_k, in = 1 + div_up(c->d_model, 32);
    const uint32_t codes = div_up(c->d_model, c->format == SL_KVREC_INT8 ? 64 : 128);
    const uint32_t n = c->n_tokens * heads, x = ctl(rig, n * in), y = ctl(rig, n * (codes + 1));
    uint8_t zero[SL_BEAT_BYTES] = {0};
    int err = rig->ctl_top > rig->dev->ctl_beats ? SL_ERR_NOMEM : 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        err = sl_device_write(rig->dev, SL_ARENA_CTL, x + i * in, zero, 1);
        err =
            err ? err : sl_device_write(rig->dev, SL_ARENA_CTL, x + i * in + 1, rig->noise, in - 1);
    }
    for (int op = SL_OP_KV_PACK; op <= SL_OP_KV_UNPACK && !err; op++) {
        struct sl_job *job = add(rig, op, c->format, c->n_tokens);
        const bool pack = op == SL_OP_KV_PACK;
        job->k = (uint16_t)c->d_model;
        job->rows = heads;
        job->x_off = pack ? x : y;
        job->x_stride = (uint16_t)(pack ? in : codes + 1);
        job->y_stride = (uint16_t)(pack ? codes + 1 : div_up(c->d_model, 16));
        job->y_off = pack ? y : ctl(rig, n * (uint32_t)job->y_stride);
    }
    return err;
}

static int build_query(struct tlm_rig *rig, const struct tlm_case *c)
{
    add(rig, SL_OP_QUERY, 0, 1)->y_off = ctl(rig, 1);
    (void)c;
    return 0;
}

static int build_mix(struct tlm_rig *rig, const struct tlm_case *c)
{
    const struct tlm_case heads = {.kind = TLM_KV, .d_model = 64, .n_tokens = 2, .top_k = 4};
    int err = build_linear(rig, c);
    err = err ? err : build_kv(rig, &heads);
    err = err ? err : build_decode(rig, c);
    err = err ? err : build_query(rig, c);
    err = err ? err : build_slice(rig, c);
    err = err ? err : build_route(rig, c);
    return err ? err : build_lists(rig, c);
}

/* ---- both ----------------------------------------------------------------------------------- */

static int run_sim(struct tlm_rig *rig, struct tlm_answer *out)
{
    struct sl_device_counters before, after;
    int err = sl_device_counters(rig->dev, &before);
    err = err ? err : sl_device_write(rig->dev, SL_ARENA_CTL, JOBS_OFF, rig->job, rig->n_job);
    err = err ? err : sl_device_launch(rig->dev, JOBS_OFF, rig->n_job, DEADLINE_MS);
    err = err ? err
              : sl_device_read(rig->dev, SL_ARENA_CTL, JOBS_OFF + rig->n_job, out->record,
                               rig->n_job);
    err = err ? err : sl_device_counters(rig->dev, &after);
    if (err)
        return err;
    out->sim = after.cycles - before.cycles;
    out->ctl_read = after.ctl.read_beats - before.ctl.read_beats;
    out->ctl_write = after.ctl.write_beats - before.ctl.write_beats;
    for (unsigned p = 0; p < rig->dev->n_port; p++)
        out->w_read += after.w[p].read_beats - before.w[p].read_beats;
    return 0;
}

/* The model is told what the router chose: the place of the expert. */
static int run_model(struct tlm_rig *rig, struct tlm_answer *out)
{
    struct sl_tlm_job jobs[TLM_MAX_JOBS];
    for (uint32_t i = 0; i < rig->n_job; i++) {
        jobs[i] = (struct sl_tlm_job){.job = rig->job[i],
                                      .status = out->record[i].status,
                                      .overflows = out->record[i].overflows};
        if (rig->job[i].flags & SL_FLAG_INDIRECT && rig->job[i].op == SL_OP_EXPERT) {
            uint32_t table[SL_MAX_N_EXPERT];
            int err = sl_device_read(rig->dev, SL_ARENA_CTL, rig->job[i].slot_off, table,
                                     div_up(rig->job[i].n_expert, 16));
            if (err)
                return err;
            jobs[i].job.w_off = table[out->record[i].expert];
        }
    }
    out->model = sl_tlm_launch(rig->tlm, jobs, rig->n_job, JOBS_OFF, out->time, &out->traffic);
    return 0;
}

int tlm_rig_run(struct tlm_rig *rig, const struct tlm_case *c, struct tlm_answer *out)
{
    static int (*const build[])(struct tlm_rig *, const struct tlm_case *) = {
        [TLM_DECODE] = build_decode, [TLM_ROUTE] = build_route,   [TLM_RECYCLE] = build_recycle,
        [TLM_LISTS] = build_lists,   [TLM_LINEAR] = build_linear, [TLM_SLICE] = build_slice,
        [TLM_KV] = build_kv,         [TLM_QUERY] = build_query,   [TLM_MIX] = build_mix};
    *out = (struct tlm_answer){0};
    rig->n_job = rig->w_top = 0;
    rig->ctl_top = JOBS_OFF + 2 * TLM_MAX_JOBS;
    int err = build[c->kind](rig, c);
    err = !err && rig->ctl_top > rig->dev->ctl_beats ? SL_ERR_NOMEM : err;
    err = err ? err : run_sim(rig, out);
    out->n_job = rig->n_job;
    return err ? err : run_model(rig, out);
}
