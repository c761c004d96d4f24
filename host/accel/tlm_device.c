/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/tlm_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/args.h"
#include "accel/tlm_words.h"
#include "base/err.h"
#include "store/slab.h"

struct tlm_device {
    struct sl_device base;
    struct sl_tlm_words words;
    struct sl_tlm *tlm; /* owned */
    struct sl_tlm_config config;
    struct sl_link link;
    uint64_t launches, cycles;
    struct sl_tlm_traffic traffic;
    struct sl_tlm_time *time; /* owned: of the jobs of a launch, [n_time] */
    uint32_t n_time;
};

/* ---- arenas --------------------------------------------------------------------------------- */

static int tlm_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    return sl_tlm_words_alloc(&((struct tlm_device *)dev)->words, ctl_beats, w_beats);
}

static int put(struct tlm_device *d, int arena, uint32_t off, const void *src, uint32_t n_beats)
{
    if (arena == SL_ARENA_CTL)
        return sl_device_write(d->words.inner, arena, off, src, n_beats);
    sl_tlm_weights_write(&d->words.w, (unsigned)arena, off, src, n_beats);
    return 0;
}

static int tlm_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                     uint32_t n_beats)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    sl_link_enter(&d->link);
    int err = put(d, arena, off, src, n_beats);
    sl_link_write(&d->link, (uint64_t)n_beats * SL_BEAT_BYTES);
    sl_link_leave(&d->link);
    return err;
}

static int tlm_write_begin(struct sl_device *dev, int arena, uint32_t off, const void *src,
                           uint32_t n_beats)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    sl_link_enter(&d->link);
    int err = put(d, arena, off, src, n_beats);
    sl_link_write_begin(&d->link, (uint64_t)n_beats * SL_BEAT_BYTES);
    sl_link_leave(&d->link);
    return err;
}

static int tlm_write_end(struct sl_device *dev)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    sl_link_enter(&d->link);
    sl_link_write_end(&d->link);
    sl_link_leave(&d->link);
    return 0;
}

static int tlm_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    const size_t bytes = (size_t)n_beats * SL_BEAT_BYTES;
    int err = 0;
    sl_link_enter(&d->link);
    if (arena == SL_ARENA_CTL)
        err = sl_device_read(d->words.inner, arena, off, dst, n_beats);
    else
        memcpy(dst, d->words.w.port[arena] + (size_t)off * SL_BEAT_BYTES, bytes);
    sl_link_read(&d->link, bytes);
    sl_link_leave(&d->link);
    return err;
}

/* Nothing moves: the weights of a card of that size would have been there. */
static int tlm_bind(struct sl_device *dev, uint32_t off, const struct sl_slab *slab)
{
    sl_tlm_weights_bind(&((struct tlm_device *)dev)->words.w, off, slab);
    return 0;
}

/* ---- launch --------------------------------------------------------------------------------- */

static int reserve_times(struct tlm_device *d, uint32_t n)
{
    if (n <= d->n_time)
        return 0;
    free(d->time);
    d->n_time = 0;
    if (!(d->time = sl_alloc(n, sizeof *d->time)))
        return SL_ERR_NOMEM;
    d->n_time = n;
    return 0;
}

/* A core of rtl/ with P and T answers, not the CPU. */
static int answer_query(struct tlm_device *d, const struct sl_job *job)
{
    struct sl_caps caps;
    int err = sl_device_read(d->words.inner, SL_ARENA_CTL, job->y_off, &caps, 1);
    caps.n_port = (uint16_t)d->config.n_port;
    caps.n_column = (uint16_t)d->config.n_column;
    caps.core = SL_CORE_RTL;
    caps.router_flags &= ~(uint32_t)(SL_FLAG_NOISE | SL_FLAG_EXPERT_CHOICE); /* no time is known */
    return err ? err : sl_device_write(d->words.inner, SL_ARENA_CTL, job->y_off, &caps, 1);
}

/* Modelled times into the records; the clock goes on. */
static int take_time(struct tlm_device *d, uint32_t job_off, uint32_t n)
{
    struct sl_tlm_traffic t;
    const uint64_t cycles = sl_tlm_launch(d->tlm, d->words.job, n, job_off, d->time, &t);
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        const struct sl_job *job = &d->words.job[i].job;
        d->words.record[i].cycles = d->time[i].cycles;
        d->words.record[i].stall_read = d->time[i].stall_read;
        d->words.record[i].stall_ctl = d->time[i].stall_ctl;
        d->words.record[i].stall_core = d->time[i].stall_core;
        if (job->op == SL_OP_QUERY && d->words.record[i].status == SL_STATUS_OK)
            err = answer_query(d, job);
    }
    d->launches++;
    d->cycles += cycles;
    d->traffic.ctl_read += t.ctl_read;
    d->traffic.ctl_write += t.ctl_write;
    d->traffic.w_read += t.w_read;
    sl_link_launch(&d->link, (double)cycles / SL_TLM_CLOCK_HZ);
    return err;
}

static int tlm_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    sl_link_enter(&d->link);
    int err = reserve_times(d, n_job);
    err = err ? err : sl_tlm_words_run(&d->words, job_off, n_job, deadline_ms);
    err = err ? err : take_time(d, job_off, n_job);
    err = err || !n_job ? err
                        : sl_device_write(d->words.inner, SL_ARENA_CTL, job_off + n_job,
                                          d->words.record, n_job);
    sl_link_leave(&d->link);
    return err;
}

/* ---- counters, open and close --------------------------------------------------------------- */

static struct sl_port_counters beats(uint64_t read, uint64_t written)
{
    return (struct sl_port_counters){.read_bytes = read * SL_BEAT_BYTES,
                                     .write_bytes = written * SL_BEAT_BYTES,
                                     .read_beats = read,
                                     .write_beats = written};
}

static int tlm_counters(struct sl_device *dev, struct sl_device_counters *out)
{
    const struct tlm_device *d = (struct tlm_device *)dev;
    *out = (struct sl_device_counters){.launches = d->launches,
                                       .cycles = d->cycles,
                                       .total_cycles = d->cycles,
                                       .clock_hz = SL_TLM_CLOCK_HZ,
                                       .ceiling = sl_tlm_ceiling(&d->config),
                                       .n_port = d->config.n_port,
                                       .ctl = beats(d->traffic.ctl_read, d->traffic.ctl_write),
                                       .time = d->link.time};
    snprintf(out->memory, sizeof out->memory, "modelled %s", sl_tlm_memory_name(d->config.memory));
    for (unsigned p = 0; p < out->n_port; p++) /* equal shares, to a beat */
        out->w[p] = beats((d->traffic.w_read + out->n_port - 1 - p) / out->n_port, 0);
    return 0;
}

static void tlm_close(struct sl_device *dev)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    sl_tlm_words_close(&d->words);
    sl_tlm_close(d->tlm);
    free(d->time);
    free(d);
}

static const struct sl_device_ops tlm_ops = {.alloc = tlm_alloc,
                                             .write = tlm_write,
                                             .write_begin = tlm_write_begin,
                                             .write_end = tlm_write_end,
                                             .bind = tlm_bind,
                                             .read = tlm_read,
                                             .launch = tlm_launch,
                                             .close = tlm_close,
                                             .counters = tlm_counters};

/* The options of a simulation that no model can follow. */
static int check_options(const struct sl_sim_config *c)
{
    if (!c->dpi && !c->wave[0] && !c->coverage[0] && !c->core.n_fault && c->core.reset_seed < 0 &&
        !c->core.stall_pct && !c->core.seed && c->timeout == SL_CORE_TIMEOUT)
        return 0;
    return sl_fail(SL_ERR_USAGE, "model[:P[xT]][,mem=hbm|ddr|ideal][,latency=N]" SL_LINK_HELP,
                   "device model: nothing is simulated: no dpi, stall, seed, fault, wave, timeout, "
                   "reset-seed, coverage");
}

struct sl_tlm_config sl_tlm_device_core(const struct sl_sim_config *config)
{
    static const enum sl_tlm_memory memory[] = {
        [SL_SIM_HBM] = SL_TLM_HBM, [SL_SIM_DDR] = SL_TLM_DDR, [SL_SIM_IDEAL] = SL_TLM_IDEAL};
    return (struct sl_tlm_config){config->n_port, config->n_column, memory[config->core.memory],
                                  config->core.latency};
}

int sl_tlm_device_open(struct sl_device **out, const char *arg)
{
    struct sl_sim_config c;
    int err = sl_sim_config_parse(&c, arg);
    err = err ? err : check_options(&c);
    struct tlm_device *d = err ? NULL : sl_alloc(1, sizeof *d);
    if (!d)
        return err ? err : SL_ERR_NOMEM;
    d->config = sl_tlm_device_core(&c);
    d->base.ops = &tlm_ops;
    d->base.n_port = c.n_port;
    d->words.base = &d->base;
    sl_link_open(&d->link, &c.link);
    d->base.clock = &d->link;
    err = sl_tlm_open(&d->tlm, &d->config);
    err = err ? err : sl_device_open(&d->words.inner, "cpu");
    if (err) {
        tlm_close(&d->base);
        return err;
    }
    *out = &d->base;
    return 0;
}

size_t sl_tlm_device_list(struct sl_device_desc *out, size_t cap)
{
    if (cap)
        *out = (struct sl_device_desc){
            .name = "model",
            .detail = "the CPU's words in modelled time: any core (model:16x4,mem=hbm), "
                      "calibrated against the RTL; no measurement",
            .usable = true};
    return 1;
}
