/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder behind sl_profile (sluice.h): spans of host work on the monotonic clock, and the
 * launches and jobs of a device. Sums cover everything; for the trace a bounded number of events is
 * kept. Without a recorder (NULL) every call is one comparison.
 */
#ifndef SL_BASE_PROFILE_H
#define SL_BASE_PROFILE_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/new_file.h"
#include "sluice.h"

/* SPAN(kind, name, meaning of its argument or NULL). */
#define SL_SPANS(SPAN)                                                                             \
    SPAN(LOAD, "load model", NULL)                                                                 \
    SPAN(UPLOAD, "upload", NULL)                                                                   \
    SPAN(PREFILL, "prefill", "tokens")                                                             \
    SPAN(DECODE, "decode", "position")                                                             \
    SPAN(EMBEDDING, "embedding", NULL)                                                             \
    SPAN(LAYER, "layer", "layer")                                                                  \
    SPAN(NORM, "norm", NULL)                                                                       \
    SPAN(LINEAR, "linear", "matrices")                                                             \
    SPAN(DENSE_CPU, "dense on the CPU", "rows")                                                    \
    SPAN(LFA, "localized filter", NULL)                                                            \
    SPAN(ROPE, "rope", NULL)                                                                       \
    SPAN(KV, "kv cache", NULL)                                                                     \
    SPAN(ATTENTION, "attention", "position")                                                       \
    SPAN(MOE, "moe", NULL)                                                                         \
    SPAN(QUANTISE, "quantise x", "tokens")                                                         \
    SPAN(TRANSFER, "transfer", NULL)                                                               \
    SPAN(LAUNCH, "launch", "launch")                                                               \
    SPAN(COMBINE, "combine", NULL)                                                                 \
    SPAN(SAMPLING, "sampling", NULL)

enum sl_span_kind {
#define SPAN(kind, name, arg) SL_SPAN_##kind,
    SL_SPANS(SPAN)
#undef SPAN
        SL_N_SPAN
};

enum {
    SL_PROFILE_MAX_TRACK = 320, /* threads */
    SL_PROFILE_MAX_ROW = 96,    /* kinds of jobs */
    SL_PROFILE_DEFAULT_EVENTS = 1 << 18
};

/* A span while it is open: a local variable of the function that does the work. */
struct sl_span {
    struct sl_profile_track *track; /* NULL: not recorded */
    struct sl_span *parent;
    uint64_t begin, inside; /* ns; inside: time in spans within this one */
    uint32_t event, arg;
    enum sl_span_kind kind;
};

/* What a job left behind. op and format are static strings, compared by address. */
struct sl_profile_job {
    const char *op, *format; /* format: "" where the operation has none */
    uint64_t cycles, macs;
    uint32_t beats, stall_read, stall_ctl, stall_core, saturations, clamps;
    uint32_t slots; /* multiply-accumulates that the core could do in a cycle */
    uint32_t n_tok;
    int32_t expert; /* of an INDIRECT job; -1 */
};

/* A launch: its jobs are added before it. */
struct sl_profile_launch {
    uint64_t begin, end; /* ns, as sl_now_ns */
    uint64_t cycles;     /* by the device's own count; 0: unknown */
};

/* ---- what is kept --------------------------------------------------------------------------- */

struct sl_profile_track {
    atomic_uintptr_t thread; /* pthread_self() */
    unsigned worker;         /* number of a pool's worker, 0: a caller */
    struct sl_span *top;     /* innermost open span */
    struct {
        uint64_t calls, total, self; /* ns */
    } sum[SL_N_SPAN];
};

struct sl_profile_event {
    uint64_t begin, end; /* ns since the epoch; end 0: not over */
    uint32_t arg;
    uint16_t track;
    uint8_t kind;
};

/* Sums over the jobs of one operation, format and phase. */
struct sl_profile_row {
    const char *op, *format;
    bool decode;
    uint64_t jobs, launches, last_launch;
    uint64_t cycles, macs, beats, stall_read, stall_ctl, stall_core, saturations, clamps;
    uint64_t slots; /* cycles times slots of a cycle */
};

struct sl_profile_kept_job {
    uint64_t cycles, macs;
    uint32_t beats, stall_read, stall_ctl, stall_core, saturations, clamps;
    int32_t expert;
    uint16_t n_tok;
    uint8_t row;
};

struct sl_profile_kept_launch {
    uint64_t begin, end, cycles;
    uint32_t first_job, n_job;
};

struct sl_profile {
    uint64_t epoch; /* ns of the monotonic clock at open */
    struct sl_profile_device device;
    _Atomic bool decode; /* phase of the evaluation that runs */
    size_t max_events;
    _Atomic size_t n_event; /* asked for; the first max_events are kept */
    struct sl_profile_event *event;
    _Atomic unsigned n_track;
    struct sl_profile_track track[SL_PROFILE_MAX_TRACK];
    /* One model's device: written by the thread that evaluates. */
    size_t n_row, n_job, n_launch;
    size_t n_pending; /* jobs of the launch that is being added */
    struct sl_profile_row row[SL_PROFILE_MAX_ROW];
    struct sl_profile_kept_job *job;
    struct sl_profile_kept_launch *launch;
    struct sl_new_file file; /* the unfinished trace, if any */
};

/* ---- recording ------------------------------------------------------------------------------ */

/* The parts of the two below that run only when something is recorded. */
void sl_span_open(struct sl_profile *p, struct sl_span *span, enum sl_span_kind kind, uint32_t arg);
void sl_span_close(struct sl_profile *p, struct sl_span *span);

/* Spans of one thread are nested: what begins last ends first. */
static inline void sl_span_begin(struct sl_profile *p, struct sl_span *span, enum sl_span_kind kind,
                                 uint32_t arg)
{
    if (p)
        sl_span_open(p, span, kind, arg);
}

static inline void sl_span_end(struct sl_profile *p, struct sl_span *span)
{
    if (p)
        sl_span_close(p, span);
}

/* What the calling thread is doing; SL_N_SPAN: nothing that is recorded. */
enum sl_span_kind sl_profile_current(struct sl_profile *p);
/* A span of a pool's worker (worker > 0): in the trace, but in no sum, since it runs beside its
 * caller's. */
void sl_profile_worker(struct sl_profile *p, unsigned worker, enum sl_span_kind kind,
                       uint64_t begin);

/* Facts of the device; `device` is copied. */
void sl_profile_set_device(struct sl_profile *p, const struct sl_profile_device *device);
void sl_profile_add_job(struct sl_profile *p, const struct sl_profile_job *job);
void sl_profile_add_launch(struct sl_profile *p, const struct sl_profile_launch *launch);

const char *sl_span_name(enum sl_span_kind kind);
const char *sl_span_arg(enum sl_span_kind kind); /* NULL: it has none */

#endif
