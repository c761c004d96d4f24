/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/cpu_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sl_core_native.h"
#include "store/slab.h"

enum { SCRATCH_BEATS = 2 }; /* behind the control arena: a job and its record */

struct cpu_device {
    struct sl_device base;
    struct sl_core_work *work;    /* owned */
    uint8_t *w;                   /* owned, w_beats */
    const struct sl_slab **bound; /* owned, [w_beats]; NULL until something is bound */
};

static int cpu_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct cpu_device *cpu = (struct cpu_device *)dev;
    const size_t ctl = ((size_t)ctl_beats + SCRATCH_BEATS) * SL_BEAT_BYTES;
    const size_t w = (size_t)w_beats * SL_BEAT_BYTES;
    dev->ctl_host = sl_alloc_aligned(SL_BEAT_BYTES, ctl);
    cpu->w = sl_alloc_aligned(SL_BEAT_BYTES, w);
    if (!dev->ctl_host || !cpu->w)
        return SL_ERR_NOMEM;
    memset(dev->ctl_host, 0, ctl);
    memset(cpu->w, 0, w);
    return 0;
}

static uint8_t *arena_of(struct sl_device *dev, int arena)
{
    return arena == SL_ARENA_CTL ? dev->ctl_host : ((struct cpu_device *)dev)->w;
}

static int cpu_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                     uint32_t n_beats)
{
    memcpy(arena_of(dev, arena) + (size_t)off * SL_BEAT_BYTES, src,
           (size_t)n_beats * SL_BEAT_BYTES);
    return 0;
}

static int cpu_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    memcpy(dst, arena_of(dev, arena) + (size_t)off * SL_BEAT_BYTES,
           (size_t)n_beats * SL_BEAT_BYTES);
    return 0;
}

static int cpu_bind(struct sl_device *dev, uint32_t off, const struct sl_slab *slab)
{
    struct cpu_device *cpu = (struct cpu_device *)dev;
    if (!cpu->bound && !(cpu->bound = sl_alloc(dev->w_beats, sizeof *cpu->bound)))
        return SL_ERR_NOMEM;
    cpu->bound[off] = slab;
    return 0;
}

/* A job by itself, at the end of the arena: its own weights, its own limits. */
static void run_one(struct cpu_device *cpu, const struct sl_job *job, struct sl_record *record)
{
    struct sl_device *dev = &cpu->base;
    const uint32_t at = dev->ctl_beats, limit = at + SCRATCH_BEATS;
    struct sl_job *own = (void *)(dev->ctl_host + (size_t)at * SL_BEAT_BYTES);
    const struct sl_slab *slab = NULL;
    const void *w[1] = {cpu->w};
    uint32_t w_limit = dev->w_beats;
    *own = *job;
    if (cpu->bound && job->w_off < dev->w_beats && (slab = cpu->bound[job->w_off])) {
        own->w_off = 0;
        w[0] = slab;
        w_limit = (uint32_t)sl_slab_port_beats(slab, 1) + SL_SLACK_BEATS;
    }
    sl_core_call_p1(dev->ctl_host, w, cpu->work, at, 1, limit, w_limit);
    *record = *(struct sl_record *)(own + 1);
}

static int cpu_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    struct sl_job *job = (void *)(dev->ctl_host + (size_t)job_off * SL_BEAT_BYTES);
    struct sl_record *record = (void *)(job + n_job);
    (void)deadline_ms;
    for (uint32_t i = 0; i < n_job; i++)
        run_one((struct cpu_device *)dev, &job[i], &record[i]);
    return 0;
}

static void cpu_close(struct sl_device *dev)
{
    struct cpu_device *cpu = (struct cpu_device *)dev;
    free(dev->ctl_host);
    free(cpu->w);
    free(cpu->bound);
    free(cpu->work);
    free(cpu);
}

static const struct sl_device_ops cpu_ops = {.alloc = cpu_alloc,
                                             .write = cpu_write,
                                             .bind = cpu_bind,
                                             .read = cpu_read,
                                             .launch = cpu_launch,
                                             .close = cpu_close};

int sl_cpu_device_open(struct sl_device **out, const char *arg)
{
    if (arg)
        return sl_fail(SL_ERR_USAGE, "leave it out", "cpu has no option '%.40s'", arg);
    struct cpu_device *cpu = sl_alloc(1, sizeof *cpu);
    if (!cpu)
        return SL_ERR_NOMEM;
    cpu->work = sl_alloc(1, sizeof *cpu->work);
    if (!cpu->work) {
        free(cpu);
        return SL_ERR_NOMEM;
    }
    cpu->base.ops = &cpu_ops;
    cpu->base.n_port = 1;
    *out = &cpu->base;
    return 0;
}

size_t sl_cpu_device_list(struct sl_device_desc *out, size_t cap)
{
    if (cap)
        *out = (struct sl_device_desc){.name = "cpu",
                                       .detail = "the CPU, with weights where the model has them",
                                       .usable = true};
    return 1;
}
