/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of a profile, and what they are shares of. */
#include <math.h>
#include <string.h>

#include "base/profile.h"

enum { BEAT_BYTES = 64 };

void sl_profile_get_device(const struct sl_profile *profile, struct sl_profile_device *out)
{
    size_t asked = atomic_load(&profile->n_event);
    *out = profile->device;
    out->dropped_spans = asked > profile->max_events ? asked - profile->max_events : 0;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

/* The largest of what fills the time, each by its use or by the cycles lost to it; the rest is the
 * latency of jobs: start, pipelines, units that need no weights. */
static const char *bound_of(const struct sl_profile_row *r, const struct sl_profile_op *op)
{
    double cycles = (double)r->cycles;
    double used = fmax(op->slot_share, 0) * cycles; /* cycles in which the array worked */
    double memory = fmax(op->memory_share, share((double)r->stall_read, cycles));
    double array = fmax(op->slot_share, share((double)r->stall_core, cycles));
    double control = share((double)r->stall_ctl, cycles);
    double busy = used + (double)r->stall_read + (double)r->stall_core + (double)r->stall_ctl;
    double rest = share(cycles - busy, cycles);
    if (r->cycles == 0)
        return "-";
    if (memory >= array && memory >= control && memory >= rest)
        return "memory";
    if (array >= control && array >= rest)
        return "array";
    return control >= rest ? "control port" : "latency";
}

size_t sl_profile_get_ops(const struct sl_profile *profile, struct sl_profile_op *out, size_t cap)
{
    for (size_t i = 0; i < profile->n_row && i < cap; i++) {
        const struct sl_profile_row *r = &profile->row[i];
        double cycles = (double)r->cycles, bytes = (double)(r->beats * BEAT_BYTES);
        out[i] = (struct sl_profile_op){.op = r->op,
                                        .format = r->format,
                                        .phase = r->decode ? "decode" : "prefill",
                                        .jobs = r->jobs,
                                        .launches = r->launches,
                                        .cycles = r->cycles,
                                        .macs = r->macs,
                                        .bytes = r->beats * BEAT_BYTES,
                                        .stall_read = r->stall_read,
                                        .stall_ctl = r->stall_ctl,
                                        .stall_core = r->stall_core,
                                        .saturations = r->saturations,
                                        .clamps = r->clamps};
        out[i].memory_share = share(bytes, cycles * profile->device.ceiling);
        out[i].slot_share = share((double)r->macs, (double)r->slots);
        out[i].bound = bound_of(r, &out[i]);
    }
    return profile->n_row;
}

size_t sl_profile_get_work(const struct sl_profile *profile, struct sl_profile_work *out,
                           size_t cap)
{
    size_t n = 0;
    unsigned n_track = atomic_load(&profile->n_track);
    for (int kind = 0; kind < SL_N_SPAN; kind++) {
        struct sl_profile_work work = {.name = sl_span_name((enum sl_span_kind)kind),
                                       .setup = kind == SL_SPAN_LOAD || kind == SL_SPAN_UPLOAD};
        for (unsigned t = 0; t < n_track && t < SL_PROFILE_MAX_TRACK; t++) {
            work.calls += profile->track[t].sum[kind].calls;
            work.total_s += (double)profile->track[t].sum[kind].total * 1e-9;
            work.self_s += (double)profile->track[t].sum[kind].self * 1e-9;
        }
        if (work.calls && n < cap)
            out[n] = work;
        n += work.calls > 0;
    }
    return n;
}
