/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of jobs on the CPU: as if they ran one after the other (docs/numerics.md 5), but EXPERT
 * and PLAIN jobs that follow each other form a group, which runs as one, as long as none reads or
 * writes what another one writes. Checks and records are the core's.
 */
#include <string.h>

#include "accel/activation.h"
#include "accel/cpu_device_state.h"
#include "accel/cpu_kernels.h"

/* A launch that goes on. */
struct launch {
    struct sl_cpu_device *cpu;
    uint32_t job_off, n_job;
    bool counters; /* room for the per-port counters behind the records */
};

static uint64_t record_at(const struct launch *l, uint32_t i)
{
    return (uint64_t)l->job_off + l->n_job + i;
}

static uint64_t counters_at(const struct launch *l, uint32_t i)
{
    return record_at(l, l->n_job) + i;
}

static uint64_t beats_of(uint64_t n, unsigned bytes)
{
    return (n * bytes + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES;
}

/* ---- what a job reads and writes ------------------------------------------------------------- */

static void add_span(struct sl_cpu_span *list, unsigned *n, uint64_t off, uint64_t beats)
{
    list[(*n)++] = (struct sl_cpu_span){off, off + beats};
}

static void add_read(struct sl_cpu_member *m, uint64_t off, uint64_t beats)
{
    add_span(m->read, &m->n_read, off, beats);
}

static bool any_overlap(const struct sl_cpu_span *a, unsigned n_a, const struct sl_cpu_span *b,
                        unsigned n_b)
{
    for (unsigned i = 0; i < n_a; i++)
        for (unsigned j = 0; j < n_b; j++)
            if (a[i].off < b[j].end && b[j].off < a[i].end)
                return true;
    return false;
}

/* Whether the group writes what m reads. */
static bool reads_of_group(const struct sl_cpu_device *cpu, const struct sl_cpu_member *m)
{
    for (unsigned i = 0; i < cpu->n_member; i++)
        if (any_overlap(m->read, m->n_read, cpu->member[i].write, cpu->member[i].n_write))
            return true;
    return false;
}

static bool writes_to_group(const struct sl_cpu_device *cpu, const struct sl_cpu_member *m)
{
    for (unsigned i = 0; i < cpu->n_member; i++) {
        const struct sl_cpu_member *o = &cpu->member[i];
        if (any_overlap(m->write, m->n_write, o->write, o->n_write) ||
            any_overlap(m->write, m->n_write, o->read, o->n_read))
            return true;
    }
    return false;
}

/* What the checks read, by fields that nobody has checked yet. */
static void note_reads(struct sl_cpu_member *m)
{
    const struct sl_job *job = &m->step.job;
    if (job->flags & SL_FLAG_INDIRECT) {
        add_read(m, (uint64_t)job->route_off + job->route_token, 1);
        add_read(m, job->slot_off, beats_of(job->n_expert, 4));
    }
    if (job->flags & SL_FLAG_LIST)
        add_read(m, job->list_off, beats_of(job->n_tokens, 4));
}

/* Of a job whose tokens are located. */
static void note_x(struct sl_cpu_member *m)
{
    const struct sl_job *job = &m->step.job;
    uint32_t low = UINT32_MAX, high = 0;
    for (uint32_t t = 0; t < job->n_tokens; t++) {
        low = m->step.x[t] < low ? m->step.x[t] : low;
        high = m->step.x[t] > high ? m->step.x[t] : high;
    }
    add_read(m, low, (uint64_t)high - low + sl_act8_beats(job->k));
}

static void note_writes(const struct launch *l, struct sl_cpu_member *m)
{
    const struct sl_job *job = &m->step.job;
    const uint64_t rows = job->op == SL_OP_EXPERT ? job->k : job->rows;
    add_span(m->write, &m->n_write, record_at(l, m->index), 1);
    if (m->step.record.status != SL_STATUS_OK)
        return;
    add_span(m->write, &m->n_write, job->y_off,
             (job->n_tokens - 1u) * (uint64_t)job->y_stride +
                 beats_of(rows, job->flags & SL_FLAG_PARTIAL ? 8 : 4));
    if (job->flags & SL_FLAG_PORT_COUNTERS && l->counters)
        add_span(m->write, &m->n_write, counters_at(l, m->index), 1);
}

/* ---- one job --------------------------------------------------------------------------------- */

static void take_job(const struct launch *l, uint32_t i, struct sl_step *step)
{
    memcpy(&step->job, sl_cpu_ctl(l->cpu, (uint64_t)l->job_off + i), sizeof step->job);
}

static void put_record(const struct launch *l, uint32_t i, struct sl_step *step)
{
    struct sl_cpu_device *cpu = l->cpu;
    sl_step_finish_p1(step);
    if (step->job.flags & SL_FLAG_PORT_COUNTERS && l->counters &&
        step->record.status == SL_STATUS_OK) {
        const uint32_t counter[SL_BEAT_BYTES / 4] = {step->record.beats};
        memcpy(sl_cpu_ctl(cpu, counters_at(l, i)), counter, sizeof counter);
    }
    memcpy(sl_cpu_ctl(cpu, record_at(l, i)), &step->record, sizeof step->record);
}

/* Any operation but EXPERT and PLAIN. */
static void run_alone(const struct launch *l, uint32_t i)
{
    struct sl_cpu_device *cpu = l->cpu;
    struct sl_step step;
    uint32_t w_limit;
    take_job(l, i, &step);
    if (sl_step_check_p1(cpu->base.ctl_host, cpu->job_beats, &step) == SL_STATUS_OK) {
        if (step.job.op == SL_OP_ROUTER && cpu->ops->router) {
            sl_cpu_router_run(cpu, &step);
        } else if (step.job.op == SL_OP_KV_PACK && cpu->ops->kv_pack) {
            sl_cpu_kv_pack_run(cpu, &step);
        } else {
            const uint8_t *w = sl_cpu_weights(cpu, &step.job.w_off, &w_limit);
            sl_step_compute_p1(cpu->base.ctl_host, cpu->job_beats, w, w_limit, cpu->thread[0].core,
                               &step);
        }
    }
    put_record(l, i, &step);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void end_group(const struct launch *l)
{
    struct sl_cpu_device *cpu = l->cpu;
    if (!cpu->n_member)
        return;
    sl_cpu_group_run(cpu);
    for (unsigned i = 0; i < cpu->n_member; i++)
        put_record(l, cpu->member[i].index, &cpu->member[i].step);
    cpu->n_member = 0;
    cpu->h_used = 0;
}

/* The x of every token, as the ops take it. False: BAD_ACTIVATION. */
static bool take_x(const struct sl_cpu_device *cpu, struct sl_cpu_member *m)
{
    const struct sl_job *job = &m->step.job;
    bool ok = true;
    m->x.n_tok = job->n_tokens;
    m->x.n_col = job->k;
    for (uint32_t t = 0; t < job->n_tokens; t++) {
        const uint8_t *item = sl_cpu_ctl(cpu, m->step.x[t]);
        m->base[t] = sl_cpu_base_of(item);
        m->x.xe[t] = item + SL_BEAT_BYTES;
        m->x.code[t] = (const int8_t *)sl_cpu_codes_of(item, job->k);
        ok = ok && !sl_cpu_base_is_bad(m->base[t]);
    }
    return ok && cpu->ops->x_ok(&m->x);
}

/* Tries to add job i, which is an EXPERT or a PLAIN. False: not before the group has run. */
static bool add_member(const struct launch *l, uint32_t i)
{
    struct sl_cpu_device *cpu = l->cpu;
    struct sl_cpu_member *m = &cpu->member[cpu->n_member];
    const uint8_t *ctl = cpu->base.ctl_host;
    const uint32_t limit = cpu->job_beats;
    m->index = i;
    m->n_write = m->n_read = 0;
    add_read(m, (uint64_t)l->job_off + i, 1);
    if (reads_of_group(cpu, m))
        return false;
    take_job(l, i, &m->step);
    note_reads(m);
    if (reads_of_group(cpu, m))
        return false;
    struct sl_record *record = &m->step.record;
    if (sl_step_check_p1(ctl, limit, &m->step) == SL_STATUS_OK) {
        m->w = sl_cpu_weights(cpu, &m->step.job.w_off, &m->w_limit);
        sl_step_open_p1(ctl, limit, m->w, m->w_limit, &m->step);
    }
    if (record->status == SL_STATUS_OK) {
        note_x(m);
        if (reads_of_group(cpu, m))
            return false;
        if (cpu->ops->x_ok && !take_x(cpu, m))
            record->status = SL_STATUS_BAD_ACTIVATION;
    }
    note_writes(l, m);
    if (writes_to_group(cpu, m) || (record->status == SL_STATUS_OK && !sl_cpu_member_plan(cpu, m)))
        return false;
    cpu->n_member++;
    return true;
}

/* Whether everything that the launch writes about its jobs fits; sets l->counters. */
static bool launch_fits(struct launch *l)
{
    const uint64_t end = record_at(l, l->n_job), limit = l->cpu->base.ctl_beats;
    if (l->n_job > SL_MAX_JOBS || end > limit)
        return false;
    for (uint32_t i = 0; i < l->n_job; i++) {
        struct sl_step step;
        take_job(l, i, &step);
        l->counters = l->counters || step.job.flags & SL_FLAG_PORT_COUNTERS;
    }
    return !l->counters || end + l->n_job <= limit;
}

/* The group's jobs may be writing the list: what the job is counts when its turn comes. */
static bool is_matrix(const struct launch *l, uint32_t i)
{
    const uint8_t op = *sl_cpu_ctl(l->cpu, (uint64_t)l->job_off + i);
    return op == SL_OP_EXPERT || op == SL_OP_PLAIN;
}

int sl_cpu_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    struct launch l = {(struct sl_cpu_device *)dev, job_off, n_job, false};
    (void)deadline_ms;
    if (!launch_fits(&l))
        return 0;
    for (uint32_t i = 0; i < n_job; i++) {
        if (is_matrix(&l, i) && l.cpu->n_member < SL_CPU_MAX_MEMBER && add_member(&l, i))
            continue;
        end_group(&l);
        if (is_matrix(&l, i))
            add_member(&l, i); /* alone: nothing is in its way */
        else
            run_alone(&l, i);
    }
    end_group(&l);
    return 0;
}
