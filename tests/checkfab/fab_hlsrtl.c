/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The units that an HLS tool made from hls/, under Verilator, as one device. A unit is a top of its
 * own that runs one job and writes its record, so the walk along the list is done here: each job
 * goes to the unit of its operation. QUERY is answered here, REDUCE is in no unit; a job that no
 * unit has goes to the last one, which refuses it. Only what a unit computed is under test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/sim.h"
#include "base/err.h"
#include "fab.h"

enum { EXPERT_FFN, ROUTER_TOPK, KV_PACK, N_UNIT, JOB_BEATS = 2 };

static const char *const unit_name[N_UNIT] = {"expert_ffn", "router_topk", "kv_pack"};

struct hlsrtl {
    struct sl_device base;
    struct sl_device *unit[N_UNIT]; /* owned */
    uint32_t job_at; /* beat of a unit's job, behind the arena as the caller knows it */
};

static uint8_t *at(struct sl_device *dev, uint64_t beat)
{
    return dev->ctl_host + beat * SL_BEAT_BYTES;
}

/* ---- one job --------------------------------------------------------------------------------- */

static struct sl_device *unit_of(struct hlsrtl *h, unsigned op)
{
    switch (op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: return h->unit[EXPERT_FFN];
    case SL_OP_ROUTER: return h->unit[ROUTER_TOPK];
    default: return h->unit[KV_PACK];
    }
}

/* Launches the job; its record without the unit's own idea of time, which has to be none. */
static int run_unit(struct hlsrtl *h, struct sl_device *unit, const struct sl_job *job,
                    struct sl_record *rec, unsigned deadline_ms)
{
    struct sl_device_counters before, after;
    memcpy(at(unit, h->job_at), job, sizeof *job);
    memset(at(unit, h->job_at + 1), 0xA5, SL_BEAT_BYTES);
    int err = unit->ops->counters(unit, &before);
    err = err ? err : unit->ops->launch(unit, h->job_at, 1, deadline_ms);
    err = err ? err : unit->ops->counters(unit, &after);
    if (err)
        return err;
    memcpy(rec, at(unit, h->job_at + 1), sizeof *rec);
    if (rec->abi_version != SL_ABI_VERSION)
        return sl_fail(SL_ERR_ABI, "make hlsrtl, with PandA-Bambu in PATH",
                       "hlsrtl: a record of contract %08x, this program has %08x", rec->abi_version,
                       SL_ABI_VERSION);
    if (rec->cycles || rec->stall_read || rec->stall_core || rec->stall_ctl)
        return sl_fail(SL_ERR_DEVICE, NULL, "hlsrtl: a unit that counts no time reports some");
    rec->cycles = (uint32_t)(after.cycles - before.cycles);
    return 0;
}

static void answer_query(struct sl_device *dev, const struct sl_job *job, struct sl_record *rec)
{
    const struct sl_caps caps = {.abi_version = SL_ABI_VERSION,
                                 .n_port = 1,
                                 .n_column = 1,
                                 .formats = (2u << SL_FORMAT_MXFP4) - 1,
                                 .ops = fab_family_of("hlsrtl")->ops,
                                 .core = SL_CORE_HLS,
                                 .router_flags = SL_FLAG_RENORM | SL_FLAG_SCORES | SL_FLAG_RECYCLE |
                                                 SL_FLAG_NOISE | SL_FLAG_EXPERT_CHOICE |
                                                 SL_FLAG_PORT_COUNTERS};
    *rec = (struct sl_record){.cookie = job->cookie, .abi_version = SL_ABI_VERSION};
    memcpy(at(dev, job->y_off), &caps, sizeof caps);
}

/* ---- launch ---------------------------------------------------------------------------------- */

/* The arena goes to the unit and comes back, guard beats included. */
static int run_job(struct hlsrtl *h, const struct sl_job *job, struct sl_record *rec,
                   unsigned deadline_ms)
{
    struct sl_device *dev = &h->base, *unit = unit_of(h, job->op);
    const size_t bytes = (size_t)h->job_at * SL_BEAT_BYTES;
    if (job->op == SL_OP_QUERY && job->y_off < dev->ctl_beats) {
        answer_query(dev, job, rec);
        return 0;
    }
    unit->ctl_beats = dev->ctl_beats;
    unit->w_beats = dev->w_beats;
    memcpy(unit->ctl_host, dev->ctl_host, bytes);
    const int err = run_unit(h, unit, job, rec, deadline_ms);
    memcpy(dev->ctl_host, unit->ctl_host, bytes);
    return err;
}

static int hlsrtl_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job,
                         unsigned deadline_ms)
{
    struct hlsrtl *h = (struct hlsrtl *)dev;
    int err = 0;
    if (n_job > SL_MAX_JOBS || job_off + 2 * (uint64_t)n_job > dev->ctl_beats)
        return 0;
    for (uint32_t i = 0; i < n_job && !err; i++) {
        struct sl_job job;
        struct sl_record rec;
        memcpy(&job, at(dev, job_off + i), sizeof job);
        err = run_job(h, &job, &rec, deadline_ms);
        if (!err)
            memcpy(at(dev, (uint64_t)job_off + n_job + i), &rec, sizeof rec);
    }
    return err;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Every unit refuses a job of no operation, in a record of this contract. */
static int check_unit(struct hlsrtl *h, struct sl_device *unit)
{
    enum { DEADLINE_MS = 10000 };
    const struct sl_job nothing = {.cookie = 0x484C5352};
    struct sl_record rec;
    const int err = run_unit(h, unit, &nothing, &rec, DEADLINE_MS);
    if (!err && (rec.cookie != nothing.cookie || rec.status != SL_STATUS_BAD_OP))
        return sl_fail(SL_ERR_DEVICE, NULL, "hlsrtl: a unit answers nothing with status %u",
                       rec.status);
    return err;
}

static int hlsrtl_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct hlsrtl *h = (struct hlsrtl *)dev;
    h->job_at = ctl_beats;
    dev->ctl_host = calloc(ctl_beats, SL_BEAT_BYTES);
    if (!dev->ctl_host)
        return SL_ERR_NOMEM;
    for (int i = 0; i < N_UNIT; i++) {
        struct sl_device *unit = h->unit[i];
        int err = unit->ops->alloc(unit, ctl_beats + JOB_BEATS, w_beats);
        err = err ? err : check_unit(h, unit);
        if (err)
            return err;
    }
    return 0;
}

static int hlsrtl_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                        uint32_t n_beats)
{
    struct hlsrtl *h = (struct hlsrtl *)dev;
    int err = 0;
    if (arena == SL_ARENA_CTL)
        memcpy(at(dev, off), src, (size_t)n_beats * SL_BEAT_BYTES);
    for (int i = 0; i < N_UNIT && arena != SL_ARENA_CTL && !err; i++)
        err = h->unit[i]->ops->write(h->unit[i], arena, off, src, n_beats);
    return err;
}

static int hlsrtl_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct sl_device *unit = ((struct hlsrtl *)dev)->unit[EXPERT_FFN];
    if (arena != SL_ARENA_CTL)
        return unit->ops->read(unit, arena, off, dst, n_beats);
    memcpy(dst, at(dev, off), (size_t)n_beats * SL_BEAT_BYTES);
    return 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void add_port(struct sl_port_counters *sum, const struct sl_port_counters *p)
{
    sum->read_bytes += p->read_bytes;
    sum->write_bytes += p->write_bytes;
    sum->read_beats += p->read_beats;
    sum->write_beats += p->write_beats;
    sum->read_bursts += p->read_bursts;
    sum->write_bursts += p->write_bursts;
}

static int hlsrtl_counters(struct sl_device *dev, struct sl_device_counters *out)
{
    struct hlsrtl *h = (struct hlsrtl *)dev;
    int err = h->unit[0]->ops->counters(h->unit[0], out);
    for (int i = 1; i < N_UNIT && !err; i++) {
        struct sl_device_counters c;
        err = h->unit[i]->ops->counters(h->unit[i], &c);
        if (err)
            break;
        out->launches += c.launches;
        out->cycles += c.cycles;
        out->total_cycles += c.total_cycles;
        add_port(&out->ctl, &c.ctl);
        add_port(&out->w[0], &c.w[0]);
    }
    return err;
}

static void hlsrtl_close(struct sl_device *dev)
{
    struct hlsrtl *h = (struct hlsrtl *)dev;
    for (int i = 0; i < N_UNIT; i++)
        sl_device_close(&h->unit[i]);
    free(dev->ctl_host);
    free(h);
}

static const struct sl_device_ops hlsrtl_ops = {.alloc = hlsrtl_alloc,
                                                .write = hlsrtl_write,
                                                .read = hlsrtl_read,
                                                .launch = hlsrtl_launch,
                                                .close = hlsrtl_close,
                                                .counters = hlsrtl_counters};

int fab_hlsrtl_open(struct sl_device **out, const char *name)
{
    const char *arg = name + strcspn(name, ":,");
    struct hlsrtl *h = calloc(1, sizeof *h);
    int err = 0;
    if (!h)
        return SL_ERR_NOMEM;
    h->base.ops = &hlsrtl_ops;
    h->base.n_port = 1;
    snprintf(h->base.name, sizeof h->base.name, "%s", name);
    for (int i = 0; i < N_UNIT && !err; i++)
        err = sl_sim_open_unit(&h->unit[i], unit_name[i], *arg ? arg + 1 : NULL);
    if (err) {
        hlsrtl_close(&h->base);
        return err;
    }
    *out = &h->base;
    return 0;
}
