/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/tlm_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/args.h"
#include "accel/cpu_device.h"
#include "accel/sim_options.h"
#include "accel/tlm_weights.h"
#include "base/err.h"
#include "sched/tlm.h"
#include "store/slab.h"

enum {
    PART = 256,    /* jobs that the inner device gets at once */
    GAP = 64,      /* beats between our arena and the inner device's list */
    NO_SLAB = PART /* a place without weights */
};

struct tlm_device {
    struct sl_device base;
    struct sl_device *inner; /* owned: computes the words */
    struct sl_tlm *tlm;      /* owned */
    struct sl_tlm_config config;
    struct sl_link link;
    struct sl_tlm_weights w;
    uint32_t list_at; /* beat of the inner device's list */
    uint64_t launches, cycles;
    struct sl_tlm_traffic traffic;
    /* Of the launch at hand: [cap]. */
    struct sl_tlm_job *job;   /* owned, as they are run: see resolve() */
    struct sl_record *record; /* owned */
    struct sl_tlm_time *time; /* owned */
    uint32_t cap;
};

/* ---- arenas --------------------------------------------------------------------------------- */

static int tlm_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct tlm_device *d = (struct tlm_device *)dev;
    int err = sl_tlm_weights_open(&d->w, dev->n_port, w_beats);
    d->list_at = ctl_beats + GAP;
    err = err ? err : sl_device_alloc(d->inner, d->list_at + 2 * PART, PART + 1);
    if (!err) /* the list at its end is ours */
        sl_cpu_device_limit(d->inner, ctl_beats);
    return err;
}

static int put(struct tlm_device *d, int arena, uint32_t off, const void *src, uint32_t n_beats)
{
    if (arena == SL_ARENA_CTL)
        return sl_device_write(d->inner, arena, off, src, n_beats);
    sl_tlm_weights_write(&d->w, (unsigned)arena, off, src, n_beats);
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
        err = sl_device_read(d->inner, arena, off, dst, n_beats);
    else
        memcpy(dst, d->w.port[arena] + (size_t)off * SL_BEAT_BYTES, bytes);
    sl_link_read(&d->link, bytes);
    sl_link_leave(&d->link);
    return err;
}

/* Nothing moves: the weights of a card of that size would have been there. */
static int tlm_bind(struct sl_device *dev, uint32_t off, const struct sl_slab *slab)
{
    sl_tlm_weights_bind(&((struct tlm_device *)dev)->w, off, slab);
    return 0;
}

/* ---- words ---------------------------------------------------------------------------------- */

static bool is_indirect(const struct sl_job *job)
{
    return job->op == SL_OP_EXPERT && job->flags & SL_FLAG_INDIRECT;
}

/* What the router chose, in place of the choice: the expert's slab by itself. A job that the core
 * would refuse, or whose expert is absent, stays as it is: the inner device says why. */
static int resolve(struct tlm_device *d, struct sl_job *job, struct sl_record *record)
{
    struct sl_route_entry route;
    uint32_t slot[SL_BEAT_BYTES / 4];
    const uint64_t route_at = (uint64_t)job->route_off + job->route_token;
    if (job->n_tokens != 1 || job->route_choice >= SL_MAX_TOPK || route_at >= d->base.ctl_beats)
        return 0;
    int err = sl_device_read(d->inner, SL_ARENA_CTL, (uint32_t)route_at, &route, 1);
    const uint32_t expert = (&route.expert0)[job->route_choice];
    const uint64_t slot_at = (uint64_t)job->slot_off + expert / 16;
    if (err || expert >= job->n_expert || slot_at >= d->base.ctl_beats)
        return err;
    const struct sl_slab *slab = NULL;
    err = sl_device_read(d->inner, SL_ARENA_CTL, (uint32_t)slot_at, slot, 1);
    err = err ? err : sl_tlm_weights_get(&d->w, slot[expert % 16], &slab);
    if (err || !slab)
        return err;
    job->flags &= (uint16_t)~SL_FLAG_INDIRECT;
    job->w_off = slot[expert % 16];
    record->expert = (uint16_t)expert;
    record->weight = (&route.weight0)[job->route_choice];
    return 0;
}

/* The slab that a job expects at its w_off. */
static struct sl_slab expected_slab(const struct sl_job *job)
{
    const bool router = job->op == SL_OP_ROUTER;
    const bool three = router && job->format == SL_MODE_ATTENTION;
    return (struct sl_slab){.magic = SL_SLAB_MAGIC,
                            .kind = router                    ? SL_KIND_ROUTER
                                    : job->op == SL_OP_EXPERT ? SL_KIND_EXPERT
                                                              : SL_KIND_PLAIN,
                            .format = router ? 0 : job->format,
                            .k = job->k,
                            .rows = three ? 3 * job->rows : job->rows};
}

static bool is_like(const struct sl_slab *slab, const struct sl_slab *want)
{
    return slab && slab->kind == want->kind && slab->format == want->format && slab->k == want->k &&
           slab->rows == want->rows;
}

/* The slab of job i of a part under the number i. Where another one or none lies, the job ends as
 * on a core: BAD_ADDRESS when the arena ends too early for it, else BAD_HEADER. */
static int bind_slab(struct tlm_device *d, uint32_t i, struct sl_tlm_job *job, struct sl_job *inner)
{
    static const struct sl_slab other = {.k = SL_MAX_K, .rows = SL_MAX_ROWS};
    if (inner->op != SL_OP_EXPERT && inner->op != SL_OP_PLAIN && inner->op != SL_OP_ROUTER) {
        inner->w_off = NO_SLAB; /* whatever it says, a slab bound before is not looked at */
        return 0;
    }
    const struct sl_slab want = expected_slab(inner), *slab;
    const uint64_t n = sl_slab_port_beats(&want, d->w.n_port) + SL_SLACK_BEATS;
    int err = sl_tlm_weights_get(&d->w, inner->w_off, &slab);
    if (err)
        return err;
    if (!is_like(slab, &want) && inner->w_off + n > d->w.n_beats) {
        inner->w_off = NO_SLAB;
        return 0;
    }
    slab = is_like(slab, &want) ? slab : &other;
    job->slab_flags = slab->flags;
    inner->w_off = i;
    return sl_device_bind(d->inner, i, slab);
}

/* Runs jobs [from, end) on the inner device; their records so far say what resolve() found. */
static int run_part(struct tlm_device *d, uint32_t from, uint32_t end, unsigned deadline_ms)
{
    const uint32_t n = end - from, at = d->list_at;
    struct sl_job list[PART];
    struct sl_record record[PART];
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        list[i] = d->job[from + i].job;
        err = bind_slab(d, i, &d->job[from + i], &list[i]);
    }
    if (err || !n)
        return err;
    err = sl_device_write(d->inner, SL_ARENA_CTL, at, list, n);
    err = err ? err : sl_device_launch(d->inner, at, n, deadline_ms);
    err = err ? err : sl_device_read(d->inner, SL_ARENA_CTL, at + n, record, n);
    for (uint32_t i = 0; i < n && !err; i++) {
        if (record[i].abi_version != SL_ABI_VERSION)
            return sl_fail(SL_ERR_DEVICE, NULL, "device %s: no record of job %u", d->base.name,
                           from + i);
        const struct sl_record chosen = d->record[from + i];
        d->record[from + i] = record[i];
        if (record[i].status == SL_STATUS_OK || record[i].status >= SL_STATUS_BAD_HEADER) {
            d->record[from + i].expert |= chosen.expert;
            d->record[from + i].weight |= chosen.weight;
        }
        d->job[from + i].status = record[i].status;
    }
    return err;
}

/* Whether the expert writes the beat. */
static bool writes(const struct sl_job *expert, uint64_t beat)
{
    return beat >= expert->y_off && beat - expert->y_off < (expert->k + 7u) / 8;
}

/* Whether what an INDIRECT job reads to find its expert may be written by jobs [from, i), which
 * have not run: all but experts of one token write records of any length. */
static bool must_wait(const struct tlm_device *d, uint32_t from, uint32_t i)
{
    const struct sl_job *job = &d->job[i].job;
    for (uint32_t j = from; j < i; j++) {
        const struct sl_job *before = &d->job[j].job;
        if (before->op != SL_OP_EXPERT || before->n_tokens != 1 ||
            writes(before, (uint64_t)job->route_off + job->route_token))
            return true;
        for (uint32_t slot = 0; slot < job->n_expert; slot += SL_BEAT_BYTES / 4)
            if (writes(before, (uint64_t)job->slot_off + slot / (SL_BEAT_BYTES / 4)))
                return true;
    }
    return false;
}

static int run_words(struct tlm_device *d, uint32_t n, unsigned deadline_ms)
{
    uint32_t from = 0;
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        struct sl_job *job = &d->job[i].job;
        const bool indirect = is_indirect(job);
        if (i - from == PART || (indirect && must_wait(d, from, i))) {
            err = run_part(d, from, i, deadline_ms);
            from = i;
        }
        if (!err && indirect)
            err = resolve(d, job, &d->record[i]);
    }
    return err ? err : run_part(d, from, n, deadline_ms);
}

/* ---- launch --------------------------------------------------------------------------------- */

static int reserve(struct tlm_device *d, uint32_t n)
{
    if (n <= d->cap)
        return 0;
    free(d->job);
    free(d->record);
    free(d->time);
    d->cap = 0;
    d->job = sl_alloc(n, sizeof *d->job);
    d->record = sl_alloc(n, sizeof *d->record);
    d->time = sl_alloc(n, sizeof *d->time);
    if (!d->job || !d->record || !d->time)
        return SL_ERR_NOMEM;
    d->cap = n;
    return 0;
}

static int fetch_jobs(struct tlm_device *d, uint32_t job_off, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int err = sl_device_read(d->inner, SL_ARENA_CTL, job_off + i, &d->job[i].job, 1);
        if (err)
            return err;
        if (d->job[i].job.flags & SL_FLAG_PORT_COUNTERS)
            return sl_fail(SL_ERR_UNSUPPORTED, "use --device sim",
                           "device %s is modelled: it has no counters of single ports",
                           d->base.name);
        d->record[i] = (struct sl_record){0};
    }
    return 0;
}

/* A core of P and T answers, not the CPU. */
static int answer_query(struct tlm_device *d, const struct sl_job *job)
{
    struct sl_caps caps;
    int err = sl_device_read(d->inner, SL_ARENA_CTL, job->y_off, &caps, 1);
    caps.n_port = (uint16_t)d->config.n_port;
    caps.n_column = (uint16_t)d->config.n_column;
    return err ? err : sl_device_write(d->inner, SL_ARENA_CTL, job->y_off, &caps, 1);
}

/* Modelled times into the records; the clock goes on. */
static int take_time(struct tlm_device *d, uint32_t job_off, uint32_t n)
{
    struct sl_tlm_traffic t;
    const uint64_t cycles = sl_tlm_launch(d->tlm, d->job, n, job_off, d->time, &t);
    int err = 0;
    for (uint32_t i = 0; i < n && !err; i++) {
        const struct sl_job *job = &d->job[i].job;
        d->record[i].cycles = d->time[i].cycles;
        d->record[i].stall_read = d->time[i].stall_read;
        d->record[i].stall_ctl = d->time[i].stall_ctl;
        d->record[i].stall_core = d->time[i].stall_core;
        if (job->op == SL_OP_QUERY && d->record[i].status == SL_STATUS_OK)
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
    int err = reserve(d, n_job);
    err = err ? err : fetch_jobs(d, job_off, n_job);
    err = err ? err : run_words(d, n_job, deadline_ms);
    /* The model goes by the jobs as they are in the list, but for the place of the weights. */
    for (uint32_t i = 0; i < n_job && !err; i++) {
        struct sl_job listed;
        err = sl_device_read(d->inner, SL_ARENA_CTL, job_off + i, &listed, 1);
        d->job[i].job.flags = listed.flags;
    }
    err = err ? err : take_time(d, job_off, n_job);
    err = err || !n_job
              ? err
              : sl_device_write(d->inner, SL_ARENA_CTL, job_off + n_job, d->record, n_job);
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
    sl_device_close(&d->inner);
    sl_tlm_close(d->tlm);
    sl_tlm_weights_close(&d->w);
    free(d->job);
    free(d->record);
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

int sl_tlm_device_open(struct sl_device **out, const char *arg)
{
    static const enum sl_tlm_memory memory[] = {
        [SL_SIM_HBM] = SL_TLM_HBM, [SL_SIM_DDR] = SL_TLM_DDR, [SL_SIM_IDEAL] = SL_TLM_IDEAL};
    struct sl_sim_config c;
    int err = sl_sim_config_parse(&c, arg);
    err = err ? err : check_options(&c);
    struct tlm_device *d = err ? NULL : sl_alloc(1, sizeof *d);
    if (!d)
        return err ? err : SL_ERR_NOMEM;
    d->config = (struct sl_tlm_config){c.n_port, c.n_column, memory[c.core.memory], c.core.latency};
    d->base.ops = &tlm_ops;
    d->base.n_port = c.n_port;
    sl_link_open(&d->link, &c.link);
    d->base.clock = &d->link;
    err = sl_tlm_open(&d->tlm, &d->config);
    err = err ? err : sl_device_open(&d->inner, "cpu");
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
