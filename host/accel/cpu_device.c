/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/cpu_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/cpu_device_state.h"
#include "base/err.h"
#include "store/slab.h"

/* ---- arenas ---------------------------------------------------------------------------------- */

static int cpu_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct sl_cpu_device *cpu = (struct sl_cpu_device *)dev;
    const size_t ctl = (size_t)ctl_beats * SL_BEAT_BYTES, w = (size_t)w_beats * SL_BEAT_BYTES;
    dev->ctl_host = sl_alloc_aligned(SL_BEAT_BYTES, ctl);
    /* Zero pages that nobody writes take no memory: weights may all be bound. */
    cpu->w_memory = sl_alloc(1, w + SL_BEAT_BYTES);
    if (!dev->ctl_host || !cpu->w_memory)
        return SL_ERR_NOMEM;
    memset(dev->ctl_host, 0, ctl);
    cpu->job_beats = ctl_beats;
    cpu->w = (uint8_t *)cpu->w_memory + SL_BEAT_BYTES - (uintptr_t)cpu->w_memory % SL_BEAT_BYTES;
    return 0;
}

void sl_cpu_device_limit(struct sl_device *dev, uint32_t n_beats)
{
    ((struct sl_cpu_device *)dev)->job_beats = n_beats;
}

static uint8_t *arena_of(struct sl_device *dev, int arena)
{
    return arena == SL_ARENA_CTL ? dev->ctl_host : ((struct sl_cpu_device *)dev)->w;
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
    struct sl_cpu_device *cpu = (struct sl_cpu_device *)dev;
    if (!cpu->bound && !(cpu->bound = sl_alloc(dev->w_beats, sizeof *cpu->bound)))
        return SL_ERR_NOMEM;
    cpu->bound[off] = slab;
    return 0;
}

const uint8_t *sl_cpu_weights(const struct sl_cpu_device *cpu, uint32_t *w_off, uint32_t *w_limit)
{
    const struct sl_slab *slab =
        cpu->bound && *w_off < cpu->base.w_beats ? cpu->bound[*w_off] : NULL;
    *w_limit = cpu->base.w_beats;
    if (!slab)
        return cpu->w;
    *w_off = 0;
    *w_limit = (uint32_t)sl_slab_port_beats(slab, 1) + SL_SLACK_BEATS;
    return (const uint8_t *)slab;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void free_threads(struct sl_cpu_thread *thread, unsigned n)
{
    for (unsigned i = 0; thread && i < n; i++) {
        free(thread[i].work);
        free(thread[i].core);
    }
    free(thread);
}

static int alloc_threads(struct sl_cpu_device *cpu, unsigned n)
{
    const size_t bytes = (cpu->ops->work_bytes + 63) / 64 * 64;
    struct sl_cpu_thread *thread = sl_alloc(n, sizeof *thread);
    bool ok = thread != NULL;
    for (unsigned i = 0; ok && i < n; i++) {
        thread[i].work = sl_alloc_aligned(64, bytes);
        thread[i].core = sl_alloc(1, sizeof *thread[i].core);
        ok = thread[i].work && thread[i].core;
    }
    if (!ok) {
        free_threads(thread, n);
        return SL_ERR_NOMEM;
    }
    free_threads(cpu->thread, cpu->n_thread);
    cpu->thread = thread;
    cpu->n_thread = n;
    return 0;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void cpu_close(struct sl_device *dev)
{
    struct sl_cpu_device *cpu = (struct sl_cpu_device *)dev;
    free_threads(cpu->thread, cpu->n_thread);
    free(dev->ctl_host);
    free(cpu->w_memory);
    free(cpu->bound);
    free(cpu->member);
    free(cpu->h);
    free(cpu->logits);
    free(cpu);
}

static const struct sl_device_ops cpu_ops = {.alloc = cpu_alloc,
                                             .write = cpu_write,
                                             .bind = cpu_bind,
                                             .read = cpu_read,
                                             .launch = sl_cpu_launch,
                                             .close = cpu_close};

int sl_cpu_device_set_pool(struct sl_device *dev, struct sl_pool *pool)
{
    struct sl_cpu_device *cpu = (struct sl_cpu_device *)dev;
    if (dev->ops != &cpu_ops)
        return 0;
    int err = alloc_threads(cpu, pool ? sl_pool_threads(pool) : 1);
    if (!err)
        cpu->pool = pool;
    return err;
}

int sl_cpu_device_open(struct sl_device **out, const char *arg)
{
    const struct sl_cpu_ops *ops = sl_cpu_ops_best();
    int err = arg ? sl_cpu_ops_named(&ops, arg) : 0;
    struct sl_cpu_device *cpu = err ? NULL : sl_alloc(1, sizeof *cpu);
    if (!cpu)
        return err ? err : SL_ERR_NOMEM;
    cpu->base.ops = &cpu_ops;
    cpu->base.n_port = 1;
    cpu->ops = ops;
    cpu->member = sl_alloc(SL_CPU_MAX_MEMBER, sizeof *cpu->member);
    cpu->h = sl_alloc_aligned(64, SL_CPU_H_BYTES);
    cpu->logits = sl_alloc(SL_MAX_TOKENS, sizeof *cpu->logits);
    err = cpu->member && cpu->h && cpu->logits ? alloc_threads(cpu, 1) : SL_ERR_NOMEM;
    if (err) {
        cpu_close(&cpu->base);
        return err;
    }
    *out = &cpu->base;
    return 0;
}

size_t sl_cpu_device_list(struct sl_device_desc *out, size_t cap)
{
    static const struct {
        const char *name, *detail;
        const struct sl_cpu_ops *(*get)(void);
    } all[] = {{"cpu", "the CPU, with weights where the model has them", sl_cpu_ops_best},
               {"cpu:avx512", "its AVX-512 instructions with VNNI and VBMI", sl_cpu_ops_avx512},
               {"cpu:avx2", "its AVX2 instructions", sl_cpu_ops_avx2},
               {"cpu:native", "the core in HLS C on its threads", sl_cpu_ops_native}};
    enum { N = sizeof all / sizeof all[0] };
    for (size_t i = 0; i < N && i < cap; i++) {
        snprintf(out[i].name, sizeof out[i].name, "%s", all[i].name);
        snprintf(out[i].detail, sizeof out[i].detail, "%s%s", all[i].detail,
                 all[i].get() ? "" : ": not on this machine");
        out[i].usable = all[i].get() != NULL;
    }
    return N;
}
