/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/csim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sl_core_native.h"

/* One native build of the core per number of ports. */
static const struct csim_core {
    unsigned n_port;
    void (*call)(void *ctl, const void *const *w, struct sl_core_work *work, uint32_t job_off,
                 uint32_t job_count, uint32_t ctl_limit, uint32_t w_limit);
} cores[] = {
    {1, sl_core_call_p1}, {4, sl_core_call_p4}, {16, sl_core_call_p16}, {28, sl_core_call_p28}};
enum { N_CORE = sizeof cores / sizeof cores[0] };

struct csim {
    struct sl_device base;
    const struct csim_core *core;
    struct sl_core_work *work; /* owned */
    uint8_t *w[SL_MAX_PORTS];  /* owned, w_beats each */
};

static uint8_t *arena_of(struct sl_device *dev, int arena)
{
    return arena == SL_ARENA_CTL ? dev->ctl_host : ((struct csim *)dev)->w[arena];
}

static uint8_t *arena_alloc(uint64_t n_beats)
{
    uint8_t *p = sl_alloc_aligned(SL_BEAT_BYTES, n_beats * SL_BEAT_BYTES);
    if (p)
        memset(p, 0, n_beats * SL_BEAT_BYTES);
    return p;
}

static int csim_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct csim *sim = (struct csim *)dev;
    dev->ctl_host = arena_alloc(ctl_beats);
    if (!dev->ctl_host)
        return SL_ERR_NOMEM;
    for (unsigned p = 0; p < dev->n_port; p++)
        if (!(sim->w[p] = arena_alloc(w_beats)))
            return SL_ERR_NOMEM;
    return 0;
}

static int csim_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                      uint32_t n_beats)
{
    memcpy(arena_of(dev, arena) + (size_t)off * SL_BEAT_BYTES, src,
           (size_t)n_beats * SL_BEAT_BYTES);
    return 0;
}

static int csim_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    memcpy(dst, arena_of(dev, arena) + (size_t)off * SL_BEAT_BYTES,
           (size_t)n_beats * SL_BEAT_BYTES);
    return 0;
}

/* Runs in the caller: every loop of the core is bounded by the job's checked shape, nothing is
 * waited for. */
static int csim_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job,
                       unsigned deadline_ms)
{
    struct csim *sim = (struct csim *)dev;
    const void *w[SL_MAX_PORTS];
    for (unsigned p = 0; p < dev->n_port; p++)
        w[p] = sim->w[p];
    (void)deadline_ms;
    sim->core->call(dev->ctl_host, w, sim->work, job_off, n_job, dev->ctl_beats, dev->w_beats);
    return 0;
}

static void csim_close(struct sl_device *dev)
{
    struct csim *sim = (struct csim *)dev;
    for (unsigned p = 0; p < SL_MAX_PORTS; p++)
        free(sim->w[p]);
    free(dev->ctl_host);
    free(sim->work);
    free(sim);
}

static const struct sl_device_ops csim_ops = {.alloc = csim_alloc,
                                              .write = csim_write,
                                              .read = csim_read,
                                              .launch = csim_launch,
                                              .close = csim_close};

int sl_csim_open(struct sl_device **out, const char *arg)
{
    const struct csim_core *core = NULL;
    for (size_t i = 0; i < N_CORE; i++) {
        char ports[8];
        snprintf(ports, sizeof ports, "%u", cores[i].n_port);
        if (arg ? !strcmp(arg, ports) : cores[i].n_port == 1)
            core = &cores[i];
    }
    if (!core)
        return sl_fail(SL_ERR_USAGE, "`sluice devices` lists them",
                       "csim has no build with '%s' ports", arg);
    struct csim *sim = sl_alloc(1, sizeof *sim);
    if (!sim)
        return SL_ERR_NOMEM;
    sim->work = sl_alloc(1, sizeof *sim->work);
    if (!sim->work) {
        free(sim);
        return SL_ERR_NOMEM;
    }
    sim->base.ops = &csim_ops;
    sim->base.n_port = core->n_port;
    sim->core = core;
    *out = &sim->base;
    return 0;
}

size_t sl_csim_list(struct sl_device_desc *out, size_t cap)
{
    for (size_t i = 0; i < N_CORE && i < cap; i++) {
        const char *plural = cores[i].n_port == 1 ? "" : "s";
        if (cores[i].n_port == 1)
            snprintf(out[i].name, sizeof out[i].name, "csim");
        else
            snprintf(out[i].name, sizeof out[i].name, "csim:%u", cores[i].n_port);
        snprintf(out[i].detail, sizeof out[i].detail,
                 "the core in HLS C, compiled natively, %u weight port%s", cores[i].n_port, plural);
        out[i].usable = true;
    }
    return N_CORE;
}
