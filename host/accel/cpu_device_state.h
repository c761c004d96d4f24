/* SPDX-License-Identifier: Apache-2.0 */
/* What cpu_device.c (arenas), cpu_launch.c (lists of jobs) and cpu_group.c (their computation)
 * share. */
#ifndef SL_ACCEL_CPU_DEVICE_STATE_H
#define SL_ACCEL_CPU_DEVICE_STATE_H

#include <stdatomic.h>

#include "accel/cpu_device.h"
#include "accel/cpu_ops.h"
#include "base/number.h"
#include "base/pool.h"
#include "sl_core_native.h"

enum {
    SL_CPU_MAX_MEMBER = 64,
    /* Codes and exponents of h of a group: at least one job of every size. */
    SL_CPU_H_BYTES = 4 * SL_MAX_TOKENS * (SL_MAX_K + SL_MAX_K / SL_BLOCK)
};

/* Beats off .. end - 1 of the control arena. */
struct sl_cpu_span {
    uint64_t off, end;
};

/* An EXPERT or PLAIN job that runs together with others. */
struct sl_cpu_member {
    struct sl_step step; /* its record is written when the group has run */
    uint32_t index;      /* in the launch's list */
    const uint8_t *w;    /* what step.job.w_off counts from, of w_limit beats */
    uint32_t w_limit;
    struct sl_cpu_span write[3], read[5];
    unsigned n_write, n_read;
    /* The rest is set where the status is OK and the implementation is not the core's. */
    const struct sl_slab *slab;
    struct sl_cpu_x x;
    int32_t base[SL_MAX_TOKENS];
    unsigned x_of;                 /* the first member with the same x in the same format */
    struct sl_cpu_rows rows, down; /* down: EXPERT */
    int8_t *h;                     /* [n_tokens][h_stride] */
    uint8_t *he;                   /* [n_tokens][he_stride] */
    size_t h_stride, he_stride;
    atomic_uint sat_gu, saturations, clamps;
};

/* Scratch memory of one thread. */
struct sl_cpu_thread {
    void *work;                /* owned, of the implementation */
    struct sl_core_work *core; /* owned */
    uint64_t loaded;           /* what of which group it holds; 0: nothing */
};

struct sl_cpu_device {
    struct sl_device base;
    const struct sl_cpu_ops *ops;
    uint32_t job_beats;   /* of the control arena: what a job may use */
    struct sl_pool *pool; /* borrowed, or NULL */
    unsigned n_thread;
    struct sl_cpu_thread *thread; /* owned, [n_thread] */
    uint8_t *w;                   /* of w_beats, in w_memory */
    void *w_memory;               /* owned */
    const struct sl_slab **bound; /* owned, [w_beats]; NULL until something is bound */
    struct sl_cpu_member *member; /* owned, [SL_CPU_MAX_MEMBER] */
    unsigned n_member;
    uint8_t *h; /* owned, SL_CPU_H_BYTES */
    size_t h_used;
    uint64_t n_group;                       /* ran so far */
    int32_t (*logits)[SL_STEP_ROUTER_ROWS]; /* owned, [SL_MAX_TOKENS] */
};

static inline uint8_t *sl_cpu_ctl(const struct sl_cpu_device *cpu, uint64_t beat)
{
    return cpu->base.ctl_host + beat * SL_BEAT_BYTES;
}

/* n bytes in whole beats. */
static inline size_t sl_cpu_round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

/* Where a job's w_off counts from: the arena, or a slab that is bound to it (then *w_off becomes
 * 0). */
const uint8_t *sl_cpu_weights(const struct sl_cpu_device *cpu, uint32_t *w_off, uint32_t *w_limit);

/* cpu_launch.c: see struct sl_device_ops. */
int sl_cpu_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms);

/* cpu_group.c: what a member needs to run, once its checks have passed. False: the group has no
 * room for its h. */
bool sl_cpu_member_plan(struct sl_cpu_device *cpu, struct sl_cpu_member *m);
/* Computes all members; their records hold what they counted. */
void sl_cpu_group_run(struct sl_cpu_device *cpu);
/* cpu_route.c: ROUTER and KV_PACK behind check: they fill the record. */
void sl_cpu_router_run(struct sl_cpu_device *cpu, struct sl_step *step);
void sl_cpu_kv_pack_run(struct sl_cpu_device *cpu, struct sl_step *step);
/* fn(user, i, thread) for i < n, over the pool when `bytes` of weights times tokens are worth it.
 */
void sl_cpu_parallel(struct sl_cpu_device *cpu, sl_pool_fn fn, void *user, size_t n,
                     uint64_t bytes);

#endif
