/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as a Chrome trace: the JSON that ui.perfetto.dev and chrome://tracing open. Two
 * processes with two clocks: the host in wall time, the core in simulated time, where the jobs of a
 * launch lie one behind the other by the cycles of their records.
 */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/profile.h"

enum { HOST_PID = 1, CORE_PID = 2, JOBS_TID = 1, BEAT_BYTES = 64 };

/* ---- pieces of JSON ------------------------------------------------------------------------- */

struct writer {
    FILE *f;
    bool first;
};

static void put_string(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c >= 0x7f)
            fputc('?', f); /* names of devices are ASCII */
        else
            fprintf(f, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputc('"', f);
}

/* Starts an event: everything up to its own fields. */
static void begin_event(struct writer *w, const char *phase, int pid, unsigned tid,
                        const char *name)
{
    fprintf(w->f, "%s\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%u,\"name\":", w->first ? "" : ",", phase,
            pid, tid);
    put_string(w->f, name);
    w->first = false;
}

/* Nanoseconds as the microseconds of the format. */
static void put_time(struct writer *w, const char *key, uint64_t ns)
{
    fprintf(w->f, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* Three decimals, whatever the locale says. v >= 0. */
static void put_real(struct writer *w, const char *key, double v)
{
    uint64_t milli = (uint64_t)(v * 1000 + 0.5);
    fprintf(w->f, "\"%s\":%" PRIu64 ".%03u", key, milli / 1000, (unsigned)(milli % 1000));
}

static void put_range(struct writer *w, uint64_t begin, uint64_t end)
{
    put_time(w, "ts", begin);
    put_time(w, "dur", end - begin);
}

/* Names a process (tid 0) or a thread. */
static void put_name(struct writer *w, int pid, unsigned tid, const char *name)
{
    begin_event(w, "M", pid, tid, tid ? "thread_name" : "process_name");
    fputs(",\"args\":{\"name\":", w->f);
    put_string(w->f, name);
    fputs("}}", w->f);
    begin_event(w, "M", pid, tid, tid ? "thread_sort_index" : "process_sort_index");
    fprintf(w->f, ",\"args\":{\"sort_index\":%u}}", tid ? tid : (unsigned)pid);
}

/* ---- host ----------------------------------------------------------------------------------- */

static void put_tracks(struct writer *w, const struct sl_profile *p)
{
    unsigned n = atomic_load(&p->n_track);
    put_name(w, HOST_PID, 0, "host (wall time)");
    for (unsigned i = 0; i < n && i < SL_PROFILE_MAX_TRACK; i++) {
        char name[40];
        unsigned worker = p->track[i].worker;
        snprintf(name, sizeof name, worker ? "worker %u" : "caller %u", worker ? worker : i + 1);
        put_name(w, HOST_PID, i + 1, name);
    }
}

static void put_spans(struct writer *w, const struct sl_profile *p)
{
    size_t n = atomic_load(&p->n_event);
    for (size_t i = 0; i < n && i < p->max_events; i++) {
        const struct sl_profile_event *e = &p->event[i];
        const char *arg = sl_span_arg((enum sl_span_kind)e->kind);
        if (!e->end)
            continue;
        begin_event(w, "X", HOST_PID, e->track + 1u, sl_span_name((enum sl_span_kind)e->kind));
        put_range(w, e->begin - p->epoch, e->end - p->epoch);
        if (arg && !p->track[e->track].worker)
            fprintf(w->f, ",\"args\":{\"%s\":%" PRIu32 "}", arg, e->arg);
        fputc('}', w->f);
    }
}

/* ---- core ----------------------------------------------------------------------------------- */

/* Simulated nanoseconds from the first launch on. Absolute positions are rounded, so that what lies
 * inside of something in cycles does so in the trace. */
static uint64_t sim_ns(const struct sl_profile *p, uint64_t cycles)
{
    return (uint64_t)((double)cycles * 1e9 / p->device.clock_hz);
}

static void put_job_args(struct writer *w, const struct sl_profile *p,
                         const struct sl_profile_kept_job *j, size_t launch)
{
    const struct sl_profile_row *row = &p->row[j->row];
    fprintf(w->f, ",\"args\":{\"launch\":%zu,\"phase\":\"%s\",\"tokens\":%u", launch,
            row->decode ? "decode" : "prefill", j->n_tok);
    if (*row->format)
        fprintf(w->f, ",\"format\":\"%s\"", row->format);
    if (j->expert >= 0)
        fprintf(w->f, ",\"expert\":%" PRId32, j->expert);
    if (p->device.clock_hz > 0)
        fprintf(w->f,
                ",\"cycles\":%" PRIu64 ",\"stall_read\":%" PRIu32 ",\"stall_ctl\":%" PRIu32
                ",\"stall_core\":%" PRIu32,
                j->cycles, j->stall_read, j->stall_ctl, j->stall_core);
    fprintf(w->f,
            ",\"macs\":%" PRIu64 ",\"beats\":%" PRIu32 ",\"weight_bytes\":%" PRIu64
            ",\"saturations\":%" PRIu32 ",\"clamps\":%" PRIu32 "}}",
            j->macs, j->beats, (uint64_t)j->beats * BEAT_BYTES, j->saturations, j->clamps);
}

static void begin_counter(struct writer *w, const char *name, uint64_t at)
{
    begin_event(w, "C", CORE_PID, 0, name);
    put_time(w, "ts", at);
    fputs(",\"args\":{", w->f);
}

/* What a job was like, from its start on; NULL: nothing runs. */
static void put_counters(struct writer *w, const struct sl_profile_kept_job *j, uint64_t at)
{
    double per = j && j->cycles ? 1 / (double)j->cycles : 0;
    begin_counter(w, "stalled cycles (%)", at);
    put_real(w, "memory", j ? 100 * per * j->stall_read : 0);
    fputc(',', w->f);
    put_real(w, "control port", j ? 100 * per * j->stall_ctl : 0);
    fputc(',', w->f);
    put_real(w, "array", j ? 100 * per * j->stall_core : 0);
    fputs("}}", w->f);
    begin_counter(w, "weight bytes per cycle", at);
    put_real(w, "read", j ? per * BEAT_BYTES * j->beats : 0);
    fputs("}}", w->f);
    begin_counter(w, "multiply-accumulates per cycle", at);
    put_real(w, "done", j ? per * (double)j->macs : 0);
    fputs("}}", w->f);
}

static void put_ceiling(struct writer *w, const struct sl_profile *p, uint64_t at)
{
    if (p->device.ceiling <= 0)
        return;
    begin_counter(w, "memory ceiling (bytes per cycle)", at);
    put_real(w, "linear reads", p->device.ceiling);
    fputs("}}", w->f);
}

/* A launch in simulated time from cycle `at` on; returns where it ends. */
static uint64_t put_simulated(struct writer *w, const struct sl_profile *p, size_t i, uint64_t at)
{
    const struct sl_profile_kept_launch *l = &p->launch[i];
    uint64_t inside = 0;
    for (uint32_t j = 0; j < l->n_job; j++)
        inside += p->job[l->first_job + j].cycles;
    uint64_t end = at + (l->cycles > inside ? l->cycles : inside);
    begin_event(w, "X", CORE_PID, JOBS_TID, "launch");
    put_range(w, sim_ns(p, at), sim_ns(p, end));
    fprintf(w->f,
            ",\"args\":{\"launch\":%zu,\"cycles\":%" PRIu64 ",\"cycles of jobs\":%" PRIu64 ",", i,
            end - at, inside);
    put_real(w, "wall_ms", (double)(l->end - l->begin) * 1e-6);
    fputs("}}", w->f);
    for (uint32_t j = 0; j < l->n_job; j++) {
        const struct sl_profile_kept_job *job = &p->job[l->first_job + j];
        begin_event(w, "X", CORE_PID, JOBS_TID, p->row[job->row].op);
        put_range(w, sim_ns(p, at), sim_ns(p, at + job->cycles));
        put_job_args(w, p, job, i);
        put_counters(w, job, sim_ns(p, at));
        at += job->cycles;
    }
    put_counters(w, NULL, sim_ns(p, at));
    return end;
}

/* Jobs of a device without a clock: marks at the wall time of their launch, without a length. */
static void put_marks(struct writer *w, const struct sl_profile *p, size_t i)
{
    const struct sl_profile_kept_launch *l = &p->launch[i];
    for (uint32_t j = 0; j < l->n_job; j++) {
        const struct sl_profile_kept_job *job = &p->job[l->first_job + j];
        begin_event(w, "i", CORE_PID, JOBS_TID, p->row[job->row].op);
        put_time(w, "ts", l->begin - p->epoch);
        fputs(",\"s\":\"t\"", w->f);
        put_job_args(w, p, job, i);
    }
}

static void put_core(struct writer *w, const struct sl_profile *p)
{
    char name[400];
    uint64_t at = 0;
    bool timed = p->device.clock_hz > 0;
    if (!p->device.name[0])
        return;
    if (timed)
        snprintf(name, sizeof name, "core %s (simulated time at %.1f MHz, not wall time)",
                 p->device.name, p->device.clock_hz * 1e-6);
    else
        snprintf(name, sizeof name,
                 "core %s (reports no cycles: marks at their launch's wall time)", p->device.name);
    put_name(w, CORE_PID, 0, name);
    put_name(w, CORE_PID, JOBS_TID, "jobs");
    put_ceiling(w, p, 0);
    for (size_t i = 0; i < p->n_launch; i++)
        if (timed)
            at = put_simulated(w, p, i, at);
        else
            put_marks(w, p, i);
    if (at)
        put_ceiling(w, p, sim_ns(p, at));
}

int sl_profile_write(struct sl_profile *profile)
{
    struct sl_profile_device device;
    struct writer w = {.f = profile->file.f, .first = true};
    if (!w.f)
        return sl_fail(SL_ERR_USAGE, "open the profile with a path", "profile: no file to write");
    sl_profile_get_device(profile, &device);
    fputs("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"device\":", w.f);
    put_string(w.f, device.name);
    fprintf(w.f, ",\"dropped_spans\":%" PRIu64 ",\"dropped_launches\":%" PRIu64,
            device.dropped_spans, device.dropped_launches);
    if (device.clock_hz > 0) {
        fprintf(w.f, ",\"memory\":\"%s\",", device.memory);
        put_real(&w, "clock_hz", device.clock_hz);
        fputc(',', w.f);
        put_real(&w, "memory_ceiling_bytes_per_cycle", device.ceiling);
    }
    fputs("},\"traceEvents\":[", w.f);
    put_tracks(&w, profile);
    put_core(&w, profile);
    put_spans(&w, profile);
    fputs("\n]}\n", w.f);
    return sl_new_file_commit(&profile->file);
}
