/* SPDX-License-Identifier: Apache-2.0 */
#include "base/profile.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"

enum { NOT_KEPT = INT32_MAX /* events are fewer */ };

const char *sl_span_name(enum sl_span_kind kind)
{
#define SPAN(kind, name, arg) name,
    static const char *const names[] = {SL_SPANS(SPAN)};
#undef SPAN
    return names[kind];
}

const char *sl_span_arg(enum sl_span_kind kind)
{
#define SPAN(kind, name, arg) arg,
    static const char *const args[] = {SL_SPANS(SPAN)};
#undef SPAN
    return args[kind];
}

/* ---- open and close ------------------------------------------------------------------------- */

int sl_profile_open(struct sl_profile **out, const struct sl_profile_params *params)
{
    struct sl_profile *p = sl_alloc(1, sizeof *p);
    if (!p)
        return SL_ERR_NOMEM;
    p->max_events = params->max_events ? params->max_events : SL_PROFILE_DEFAULT_EVENTS;
    p->max_events = p->max_events < NOT_KEPT ? p->max_events : NOT_KEPT;
    /* Pages that no event reaches are never touched. */
    p->event = sl_alloc(p->max_events, sizeof *p->event);
    p->job = sl_alloc(p->max_events, sizeof *p->job);
    p->launch = sl_alloc(p->max_events, sizeof *p->launch);
    int err = p->event && p->job && p->launch ? 0 : SL_ERR_NOMEM;
    if (!err && params->path)
        err = sl_new_file_open(&p->file, params->path);
    p->epoch = sl_now_ns();
    if (err)
        sl_profile_close(&p);
    else
        *out = p;
    return err;
}

void sl_profile_close(struct sl_profile **profile)
{
    struct sl_profile *p = *profile;
    if (!p)
        return;
    sl_new_file_close(&p->file);
    free(p->event);
    free(p->job);
    free(p->launch);
    free(p);
    *profile = NULL;
}

/* ---- spans ---------------------------------------------------------------------------------- */

/* The calling thread's track; NULL when there are too many threads. */
static struct sl_profile_track *find_track(struct sl_profile *p, unsigned worker)
{
    uintptr_t self = (uintptr_t)pthread_self();
    unsigned n = atomic_load_explicit(&p->n_track, memory_order_acquire);
    for (unsigned i = 0; i < n && i < SL_PROFILE_MAX_TRACK; i++)
        if (atomic_load_explicit(&p->track[i].thread, memory_order_relaxed) == self)
            return &p->track[i];
    unsigned i = atomic_fetch_add(&p->n_track, 1);
    if (i >= SL_PROFILE_MAX_TRACK)
        return NULL;
    p->track[i].worker = worker;
    atomic_store_explicit(&p->track[i].thread, self, memory_order_release);
    return &p->track[i];
}

/* A place for an event of this track, in the order in which they begin. */
static uint32_t keep_event(struct sl_profile *p, const struct sl_profile_track *track,
                           enum sl_span_kind kind, uint64_t begin)
{
    size_t i = atomic_fetch_add_explicit(&p->n_event, 1, memory_order_relaxed);
    if (i >= p->max_events)
        return NOT_KEPT;
    p->event[i] = (struct sl_profile_event){
        .begin = begin, .track = (uint16_t)(track - p->track), .kind = (uint8_t)kind};
    return (uint32_t)i;
}

void sl_span_open(struct sl_profile *p, struct sl_span *span, enum sl_span_kind kind, uint32_t arg)
{
    *span = (struct sl_span){.track = find_track(p, 0), .kind = kind, .arg = arg};
    if (kind == SL_SPAN_PREFILL || kind == SL_SPAN_DECODE)
        atomic_store_explicit(&p->decode, kind == SL_SPAN_DECODE, memory_order_relaxed);
    if (!span->track)
        return;
    span->parent = span->track->top;
    span->track->top = span;
    span->begin = sl_now_ns();
    span->event = keep_event(p, span->track, kind, span->begin);
}

void sl_span_close(struct sl_profile *p, struct sl_span *span)
{
    struct sl_profile_track *track = span->track;
    if (!track)
        return;
    uint64_t end = sl_now_ns(), total = end - span->begin;
    track->top = span->parent;
    if (span->parent)
        span->parent->inside += total;
    track->sum[span->kind].calls++;
    track->sum[span->kind].total += total;
    track->sum[span->kind].self += total - span->inside;
    if (span->event != NOT_KEPT) {
        p->event[span->event].arg = span->arg;
        p->event[span->event].end = end;
    }
}

enum sl_span_kind sl_profile_current(struct sl_profile *p)
{
    struct sl_profile_track *track = find_track(p, 0);
    return track && track->top ? track->top->kind : SL_N_SPAN;
}

void sl_profile_worker(struct sl_profile *p, unsigned worker, enum sl_span_kind kind,
                       uint64_t begin)
{
    struct sl_profile_track *track = kind < SL_N_SPAN ? find_track(p, worker) : NULL;
    uint32_t i = track ? keep_event(p, track, kind, begin) : NOT_KEPT;
    if (i != NOT_KEPT)
        p->event[i].end = sl_now_ns();
}

/* ---- launches ------------------------------------------------------------------------------- */

void sl_profile_set_device(struct sl_profile *p, const struct sl_profile_device *device)
{
    p->device = *device;
}

/* NULL when there are more kinds of jobs than rows: they do not exist in the contract. */
static struct sl_profile_row *find_row(struct sl_profile *p, const struct sl_profile_job *job)
{
    bool decode = atomic_load_explicit(&p->decode, memory_order_relaxed);
    for (size_t i = 0; i < p->n_row; i++)
        if (p->row[i].op == job->op && p->row[i].format == job->format &&
            p->row[i].decode == decode)
            return &p->row[i];
    if (p->n_row == SL_PROFILE_MAX_ROW)
        return NULL;
    p->row[p->n_row] =
        (struct sl_profile_row){.op = job->op, .format = job->format, .decode = decode};
    return &p->row[p->n_row++];
}

static void add_to_row(const struct sl_profile *p, struct sl_profile_row *row,
                       const struct sl_profile_job *job)
{
    row->jobs++;
    row->launches += row->last_launch != p->device.launches + 1;
    row->last_launch = p->device.launches + 1;
    row->cycles += job->cycles;
    row->macs += job->macs;
    row->beats += job->beats;
    row->stall_read += job->stall_read;
    row->stall_ctl += job->stall_ctl;
    row->stall_core += job->stall_core;
    row->saturations += job->saturations;
    row->clamps += job->clamps;
    row->slots += job->cycles * job->slots;
}

void sl_profile_add_job(struct sl_profile *p, const struct sl_profile_job *job)
{
    struct sl_profile_row *row = find_row(p, job);
    if (!row)
        return;
    add_to_row(p, row, job);
    p->device.job_cycles += job->cycles;
    size_t at = p->n_job + p->n_pending;
    p->n_pending++;
    if (at >= p->max_events)
        return;
    p->job[at] = (struct sl_profile_kept_job){.cycles = job->cycles,
                                              .macs = job->macs,
                                              .beats = job->beats,
                                              .stall_read = job->stall_read,
                                              .stall_ctl = job->stall_ctl,
                                              .stall_core = job->stall_core,
                                              .saturations = job->saturations,
                                              .clamps = job->clamps,
                                              .expert = job->expert,
                                              .n_tok = (uint16_t)job->n_tok,
                                              .row = (uint8_t)(row - p->row)};
}

void sl_profile_add_launch(struct sl_profile *p, const struct sl_profile_launch *launch)
{
    p->device.launches++;
    p->device.cycles += launch->cycles;
    p->device.launch_s += (double)(launch->end - launch->begin) * 1e-9;
    /* A launch is kept with all of its jobs or not at all. */
    if (p->n_launch < p->max_events && p->n_job + p->n_pending <= p->max_events) {
        p->launch[p->n_launch++] = (struct sl_profile_kept_launch){.begin = launch->begin,
                                                                   .end = launch->end,
                                                                   .cycles = launch->cycles,
                                                                   .first_job = (uint32_t)p->n_job,
                                                                   .n_job = (uint32_t)p->n_pending};
        p->n_job += p->n_pending;
    } else {
        p->device.dropped_launches++;
    }
    p->n_pending = 0;
}
