/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole core by docs/numerics.md: takes the arenas and a job list and leaves the control arena as
 * any core must. Time (cycles, stalls) stays 0.
 */
#ifndef SL_REF_CORE_H
#define SL_REF_CORE_H

#include "ref/ref_slab.h"

struct ref_core {
    uint8_t *ctl; /* borrowed; ctl_limit beats */
    uint64_t ctl_limit;
    struct ref_weights weights; /* arenas borrowed */
    unsigned n_column, kind;    /* what QUERY says of an implementation: T, SL_CORE_* */
};

/* A range of the control arena, in beats. */
struct ref_span {
    uint64_t off, len;
};

/* One job while it runs. */
struct ref_run {
    const struct ref_core *core;
    struct sl_job job;
    struct sl_record rec;
    struct ref_span y;   /* empty when the job failed or writes none */
    bool undefined;      /* y overlaps what the job reads */
    uint32_t w_off;      /* of the slab, after the slot table */
    struct sl_slab head; /* the slab's header, once it may be read */
    uint32_t port_beats[SL_MAX_PORTS];
};

/* What came of a launch. loose: beats that nobody can foretell because some job's y overlaps what
 * is read: y and the record when it is the only job, everything otherwise. */
struct ref_outcome {
    bool started; /* list, records and counters fit */
    struct ref_span loose[2];
    unsigned n_ok;
};

struct ref_outcome ref_launch(const struct ref_core *core, uint32_t job_off, uint32_t job_count);
/* Beats of list, records and, if any job asks, counters. */
uint64_t ref_launch_beats(const struct sl_job *job, uint32_t job_count, unsigned n_port);

/* The job's status (ref_check.c); fills y, undefined, w_off, head and, of INDIRECT jobs, the
 * record's expert and weight. */
int ref_check(struct ref_run *run);

/* Geometry, in beats (docs/numerics.md 3.1, 5.4, 5.5). */
uint64_t ref_act8_beats(uint64_t k);
uint64_t ref_act16_beats(uint64_t k);
uint64_t ref_head_beats(uint64_t head_dim);
uint64_t ref_kv_beats(int kind, uint64_t head_dim);
/* The lists of a router record, with EXPERT_CHOICE their weights too. */
uint64_t ref_list_beats(const struct sl_job *job);
/* One input item (token, vector or part), one output item of the job. */
uint64_t ref_x_beats(const struct sl_job *job);
uint64_t ref_y_beats(const struct sl_job *job);

/* Address of a beat of the control arena. */
static inline uint8_t *ref_ctl(const struct ref_core *core, uint64_t beat)
{
    return core->ctl + beat * SL_BEAT_BYTES;
}
/* Flags that ROUTER jobs may have on an implementation of that kind. */
static inline uint32_t ref_router_flags(const struct ref_core *core)
{
    const uint32_t all = SL_FLAG_PORT_COUNTERS | SL_FLAG_RENORM | SL_FLAG_SCORES | SL_FLAG_RECYCLE;
    return core->kind == SL_CORE_RTL ? all : all | SL_FLAG_NOISE | SL_FLAG_EXPERT_CHOICE;
}
/* First beat of input token t, through the list where there is one. */
uint64_t ref_token_at(const struct ref_run *run, unsigned t);

/* Operations whose job passed all checks. They write y and the record's counts. */
void ref_run_expert(struct ref_run *run);
void ref_run_plain(struct ref_run *run);
void ref_run_reduce(struct ref_run *run);
void ref_run_router(struct ref_run *run);
void ref_run_kv_pack(struct ref_run *run);
void ref_run_kv_unpack(struct ref_run *run);

#endif
