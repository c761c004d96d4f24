/* SPDX-License-Identifier: Apache-2.0 */
#include "core_rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 600000 };

const char *const *rig_device_list(void)
{
    enum { MAX_DEVICE = 16 };
    static const char *const usual[] = {"csim", "csim:4", "csim:28", NULL};
    static char names[1024];
    static const char *chosen[MAX_DEVICE + 1];
    const char *env = getenv("SL_DEVICES");
    if (!env || !*env)
        return usual;
    if (!chosen[0]) {
        size_t n = 0;
        snprintf(names, sizeof names, "%s", env);
        for (char *rest = names, *name; n < MAX_DEVICE && (name = strtok_r(rest, " ", &rest));)
            chosen[n++] = name;
    }
    return chosen;
}

unsigned rig_device_ports(const char *device)
{
    const char *colon = strchr(device, ':');
    unsigned n = colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
    return n ? n : 1;
}

/* Fast bytes that no implementation can know. */
static void noise(uint8_t *dst, size_t bytes, uint64_t seed)
{
    struct sl_rng rng = {seed * 2 + 1};
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        ref_put64(dst + i, sl_rng_next(&rng));
}

static uint8_t *alloc_beats(uint64_t n)
{
    return aligned_alloc(SL_BEAT_BYTES, n * SL_BEAT_BYTES);
}

/* What only the implementation can say: its kind and its token columns. */
static int learn_kind(struct core_rig *rig)
{
    struct sl_caps caps;
    int err = sl_device_query(rig->dev, &caps);
    rig->ref.kind = caps.core;
    rig->ref.n_column = caps.n_column;
    return err;
}

int rig_open(struct core_rig *rig, const char *device, uint32_t ctl_beats, uint32_t w_beats)
{
    struct sl_device *dev = NULL;
    memset(rig, 0, sizeof *rig);
    int err = sl_device_open(&dev, device);
    return err ? err : rig_open_on(rig, dev, ctl_beats, w_beats);
}

int rig_open_on(struct core_rig *rig, struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    memset(rig, 0, sizeof *rig);
    rig->dev = dev;
    rig->deadline_ms = DEADLINE_MS;
    int err = sl_device_alloc(rig->dev, ctl_beats + RIG_GUARD, w_beats);
    err = err ? err : learn_kind(rig);
    if (err)
        return err;
    rig->dev->ctl_beats = ctl_beats; /* the core's limit; the guard stays ours */
    rig->ref.ctl_limit = ctl_beats;
    rig->ref.ctl = alloc_beats((uint64_t)ctl_beats + RIG_GUARD);
    rig->got = alloc_beats((uint64_t)ctl_beats + RIG_GUARD);
    struct ref_weights *w = &rig->ref.weights;
    w->n_port = rig->dev->n_port;
    w->w_limit = w_beats;
    for (unsigned p = 0; p < w->n_port; p++) {
        w->w[p] = alloc_beats(w_beats);
        if (!w->w[p])
            return SL_ERR_NOMEM;
        noise(w->w[p], (size_t)w_beats * SL_BEAT_BYTES, 77 + p);
    }
    return rig->ref.ctl && rig->got ? 0 : SL_ERR_NOMEM;
}

void rig_close(struct core_rig *rig)
{
    sl_device_close(&rig->dev);
    free(rig->ref.ctl);
    free(rig->got);
    for (unsigned p = 0; p < SL_MAX_PORTS; p++)
        free(rig->ref.weights.w[p]);
    memset(rig, 0, sizeof *rig);
}

void rig_reset(struct core_rig *rig, uint64_t seed, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(rig->what, sizeof rig->what, fmt, args);
    va_end(args);
    rig->seed = seed;
    rig->rng.state = (seed + 1) * 0x9E3779B97F4A7C15u | 1;
    rig->ctl_top = rig->w_top = rig->n_job = 0;
    noise(rig->ref.ctl, (rig->ref.ctl_limit + RIG_GUARD) * SL_BEAT_BYTES, seed);
}

static void too_small(const struct core_rig *rig, const char *arena, uint64_t beats)
{
    fprintf(stderr, "%s: %s arena is too small, %llu beats needed\n", rig->what, arena,
            (unsigned long long)beats);
    abort();
}

uint32_t rig_ctl(struct core_rig *rig, uint64_t beats)
{
    uint64_t at = rig->ctl_top + 1u;
    if (at + beats > rig->ref.ctl_limit)
        too_small(rig, "control", at + beats);
    rig->ctl_top = (uint32_t)(at + beats);
    return (uint32_t)at;
}

uint8_t *rig_at(struct core_rig *rig, uint32_t beat)
{
    return ref_ctl(&rig->ref, beat);
}

/* Checks before anything is written: a slab's size is known from its regions. */
static uint32_t take_w(struct core_rig *rig, uint64_t beats)
{
    uint32_t at = rig->w_top;
    beats += SL_SLACK_BEATS;
    if (at + beats > rig->ref.weights.w_limit)
        too_small(rig, "weight", at + beats);
    rig->w_top = (uint32_t)(at + beats);
    return at;
}

uint32_t rig_put_expert(struct core_rig *rig, const struct gen_expert *ex)
{
    struct ref_region region[2];
    const struct sl_slab *head = &ex->head;
    uint32_t at = take_w(
        rig, ref_expert_regions(head->format, head->k, head->rows, rig->dev->n_port, region));
    ref_put_expert(&rig->ref.weights, at, head, ex->m);
    return at;
}

uint32_t rig_put_plain(struct core_rig *rig, const struct sl_slab *head, const struct ref_matrix *m)
{
    struct ref_region region;
    uint32_t at =
        take_w(rig, ref_plain_region(head->format, head->k, head->rows, rig->dev->n_port, &region));
    ref_put_plain(&rig->ref.weights, at, head, m);
    return at;
}

uint32_t rig_put_random(struct core_rig *rig, int format, uint32_t k, uint32_t rows)
{
    const struct sl_slab head = ref_plain_header(format, k, rows);
    struct ref_matrix m = {0};
    if (!ref_matrix_alloc(&m, format, rows, k))
        abort();
    gen_matrix(&rig->rng, GEN_RANDOM, &m);
    const uint32_t w_off = rig_put_plain(rig, &head, &m);
    ref_matrix_free(&m);
    return w_off;
}

uint32_t rig_put_router(struct core_rig *rig, const struct sl_slab *head,
                        const struct ref_router *r)
{
    struct ref_region region;
    uint64_t bias = r->bias ? ref_ceil_div(4 * (uint64_t)r->n_expert, 64) : 0;
    uint32_t at = take_w(rig, ref_router_region(r->k, r->rows, bias, rig->dev->n_port, &region));
    ref_put_router(&rig->ref.weights, at, head, r);
    return at;
}

struct sl_job *rig_job(struct core_rig *rig, int op)
{
    if (rig->n_job == RIG_MAX_JOBS)
        too_small(rig, "job", RIG_MAX_JOBS);
    struct sl_job *job = &rig->job[rig->n_job++];
    *job = (struct sl_job){
        .op = (uint8_t)op, .n_tokens = 1, .cookie = (uint32_t)sl_rng_next(&rig->rng)};
    return job;
}

static uint64_t vectors(const struct sl_job *job)
{
    bool kv = job->op == SL_OP_KV_PACK || job->op == SL_OP_KV_UNPACK;
    return kv ? (uint64_t)job->n_tokens * job->rows : job->n_tokens;
}

void rig_place(struct core_rig *rig, struct sl_job *job, uint32_t gap)
{
    uint64_t n = vectors(job), n_y = job->op == SL_OP_ROUTER ? 1 : n;
    job->x_stride = (uint16_t)(ref_x_beats(job) + gap);
    job->y_stride = job->op == SL_OP_ROUTER ? 0 : (uint16_t)(ref_y_beats(job) + gap);
    job->x_off = rig_ctl(rig, n * job->x_stride);
    job->y_off = rig_ctl(rig, job->op == SL_OP_ROUTER ? ref_y_beats(job) : n_y * job->y_stride);
}

void rig_fill_x(struct core_rig *rig, const struct sl_job *job, enum gen gen, uint32_t rows,
                int base_max)
{
    for (uint32_t t = 0; t < rows; t++) {
        uint8_t *item = rig_at(rig, job->x_off + t * job->x_stride);
        if (job->op == SL_OP_ROUTER)
            gen_x16(&rig->rng, gen, job->k, base_max, item);
        else
            gen_x8(&rig->rng, gen, job->k, base_max, item);
    }
}

struct sl_job *rig_plain_job(struct core_rig *rig, int format, uint32_t k, uint32_t rows,
                             uint32_t n_tokens)
{
    const uint32_t w_off = rig_put_random(rig, format, k, rows);
    struct sl_job *job = rig_job(rig, SL_OP_PLAIN);
    job->w_off = w_off;
    job->format = (uint8_t)format;
    job->k = (uint16_t)k;
    job->rows = rows;
    job->n_tokens = (uint16_t)n_tokens;
    rig_place(rig, job, 0);
    rig_fill_x(rig, job, GEN_RANDOM, n_tokens, 100);
    return job;
}

/* Says where in the launch a beat lies. */
static void describe(const struct core_rig *rig, uint64_t beat, char *out, size_t cap)
{
    uint64_t records = (uint64_t)rig->job_off + rig->n_job;
    if (beat >= rig->ref.ctl_limit) {
        snprintf(out, cap, "guard beat %llu", (unsigned long long)(beat - rig->ref.ctl_limit));
        return;
    }
    if (beat >= records && beat < records + rig->n_job) {
        snprintf(out, cap, "record %llu", (unsigned long long)(beat - records));
        return;
    }
    const uint64_t per_job = ref_ceil_div(16 * rig->dev->n_port, SL_BEAT_BYTES);
    if (rig->has_counters && beat >= records + rig->n_job &&
        beat < records + rig->n_job * (1 + per_job)) {
        snprintf(out, cap, "port counters of job %llu",
                 (unsigned long long)((beat - records - rig->n_job) / per_job));
        return;
    }
    snprintf(out, cap, "outside of every output");
    for (uint32_t i = 0; i < rig->n_job; i++) {
        const struct sl_job *job = &rig->job[i];
        uint64_t item = ref_y_beats(job), n = vectors(job), at = beat - job->y_off;
        uint64_t stride = job->y_stride ? job->y_stride : item;
        if (beat >= job->y_off && at / stride < n && at % stride < item)
            snprintf(out, cap, "job %u op %u y item %llu beat %llu", i, job->op,
                     (unsigned long long)(at / stride), (unsigned long long)(at % stride));
    }
}

static void print_job(const struct core_rig *rig, uint32_t i)
{
    const struct sl_job *job = &rig->job[i];
    printf("    job %u: op %u format %u flags %u k %u rows %u n_tokens %u slice %u+%u x %u + %u y "
           "%u + "
           "%u w %u",
           i, job->op, job->format, job->flags, job->k, job->rows, job->n_tokens, job->slice_first,
           job->slice_count, job->x_off, job->x_stride, job->y_off, job->y_stride, job->w_off);
}

static void report(const struct core_rig *rig, uint64_t word)
{
    char where[96];
    uint64_t beat = word * 4 / SL_BEAT_BYTES;
    describe(rig, beat, where, sizeof where);
    printf("\n  %s: device %s seed %llu: %s (ctl beat %llu, word %llu): expected %08x got %08x\n",
           rig->what, rig->dev->name, (unsigned long long)rig->seed, where,
           (unsigned long long)beat, (unsigned long long)(word % 16),
           ref_get32(rig->ref.ctl + 4 * word), ref_get32(rig->got + 4 * word));
    for (uint32_t i = 0; i < rig->n_job && rig->outcome.started; i++) {
        struct sl_record want = rig_record(rig, i), got;
        memcpy(&got, rig->got + ((size_t)rig->job_off + rig->n_job + i) * SL_BEAT_BYTES,
               sizeof got);
        print_job(rig, i);
        printf(": status %u, got %u\n", want.status, got.status);
    }
}

/* A simulated memory stops at a read that overtakes a write of the same beat. When a job's y lies
 * over what it reads that is the job's own doing, and its result undefined. */
static bool is_race(const struct core_rig *rig)
{
    return rig->outcome.loose[0].len && strstr(sl_error_message(), "no response yet");
}

/* The device gave up; the statuses are what the reference makes of the jobs. False: an error. */
static bool take_error(struct core_rig *rig, uint32_t job_off, uint32_t n_job)
{
    rig->job_off = job_off;
    rig->outcome = ref_launch(&rig->ref, job_off, n_job);
    rig->lost = true;
    if (is_race(rig))
        return true;
    printf("\n  %s: device %s seed %llu: %s\n", rig->what, rig->dev->name,
           (unsigned long long)rig->seed, sl_error_message());
    for (uint32_t i = 0; i < rig->n_job && rig->outcome.started; i++) {
        print_job(rig, i);
        printf(": status %u%s\n", rig_record(rig, i).status,
               rig->outcome.loose[0].len ? ", some y overlaps what is read" : "");
    }
    return false;
}

/* Puts 0 where the reference has 0: what else it has there some y wrote later. */
static void forget_words(const struct core_rig *rig, size_t at, unsigned n)
{
    for (; n > 0; n--, at += 4)
        if (ref_get32(rig->ref.ctl + at) == 0)
            ref_put32(rig->got + at, 0);
}

/* Another backend reports time; what it says cannot be foretold. */
static void forget_time(const struct core_rig *rig, uint32_t n_job)
{
    if (!strncmp(rig->dev->name, "csim", 4) || !rig->outcome.started)
        return;
    const unsigned n_port = rig->dev->n_port;
    const size_t records = ((size_t)rig->job_off + n_job) * SL_BEAT_BYTES;
    const size_t counters = records + (size_t)n_job * SL_BEAT_BYTES;
    const size_t per_job = (size_t)ref_ceil_div(16 * n_port, SL_BEAT_BYTES) * SL_BEAT_BYTES;
    for (uint32_t i = 0; i < n_job; i++) {
        const size_t rec = records + (size_t)i * SL_BEAT_BYTES;
        forget_words(rig, rec + SL_AT_record_cycles, 2);
        forget_words(rig, rec + SL_AT_record_stall_read, 3);
        for (unsigned p = 0; p < n_port && rig->has_counters; p++)
            forget_words(rig, counters + i * per_job + (size_t)16 * p + 4, 2);
    }
}

/* Byte of the control arena that a flaw touches, or -1. */
static int64_t flaw_at(const struct core_rig *rig)
{
    const uint64_t byte = 4 * (uint64_t)rig->flaw.word + rig->flaw.bit / 8;
    switch (rig->flaw.kind) {
    case RIG_FLAW_Y: return (int64_t)(rig->job[0].y_off * (uint64_t)SL_BEAT_BYTES + byte);
    case RIG_FLAW_RECORD:
        return (int64_t)(((uint64_t)rig->job_off + rig->n_job) * SL_BEAT_BYTES + byte);
    case RIG_FLAW_GUARD: return (int64_t)(rig->ref.ctl_limit * SL_BEAT_BYTES + byte);
    default: return -1;
    }
}

/* One wrong bit in the device's weights. */
static int spoil_weight(const struct core_rig *rig)
{
    uint8_t beat[SL_BEAT_BYTES];
    const uint32_t off = rig->job[0].w_off + rig->flaw.word / 16;
    memcpy(beat, rig->ref.weights.w[0] + (size_t)off * SL_BEAT_BYTES, sizeof beat);
    beat[4 * (rig->flaw.word % 16) + rig->flaw.bit / 8] ^= (uint8_t)(1u << rig->flaw.bit % 8);
    return sl_device_write(rig->dev, 0, off, beat, 1);
}

/* What the device left, as it says and, in got, without time and with the flaw. */
static void take_over(struct core_rig *rig, uint32_t n_job)
{
    const uint32_t n = n_job < RIG_MAX_JOBS ? n_job : RIG_MAX_JOBS;
    if (rig->outcome.started)
        memcpy(rig->timed, rig->got + ((size_t)rig->job_off + n_job) * SL_BEAT_BYTES,
               n * sizeof rig->timed[0]);
    forget_time(rig, n_job);
    const int64_t at = flaw_at(rig);
    const uint64_t bytes = (rig->ref.ctl_limit + RIG_GUARD) * SL_BEAT_BYTES;
    if (at >= 0 && (uint64_t)at < bytes)
        rig->got[at] ^= (uint8_t)(1u << rig->flaw.bit % 8);
}

static bool is_loose(const struct core_rig *rig, uint64_t beat)
{
    const struct ref_span *s = rig->outcome.loose;
    return (beat >= s[0].off && beat - s[0].off < s[0].len) ||
           (beat >= s[1].off && beat - s[1].off < s[1].len);
}

static bool compare(const struct core_rig *rig)
{
    const uint64_t bytes = (rig->ref.ctl_limit + RIG_GUARD) * SL_BEAT_BYTES;
    if (!memcmp(rig->ref.ctl, rig->got, bytes))
        return true;
    for (uint64_t i = 0; i < bytes / 4; i++)
        if (ref_get32(rig->ref.ctl + 4 * i) != ref_get32(rig->got + 4 * i) &&
            !is_loose(rig, i * 4 / SL_BEAT_BYTES)) {
            report(rig, i);
            return false;
        }
    return true;
}

/* Beats of a launch whose list is in the arena; 0 when the list is not. */
static uint64_t list_beats(const struct core_rig *rig, uint32_t job_off, uint32_t n_job)
{
    if ((uint64_t)job_off + n_job > rig->ref.ctl_limit)
        return 0;
    return ref_launch_beats((const void *)ref_ctl(&rig->ref, job_off), n_job, rig->dev->n_port);
}

bool rig_run_at(struct core_rig *rig, uint32_t job_off, uint32_t n_job, bool upload_weights)
{
    struct sl_device *dev = rig->dev;
    const uint32_t all = (uint32_t)rig->ref.ctl_limit + RIG_GUARD;
    int err = dev->ops->write(dev, SL_ARENA_CTL, 0, rig->ref.ctl, all);
    for (unsigned p = 0; p < dev->n_port && upload_weights && rig->w_top; p++)
        err = err ? err : dev->ops->write(dev, (int)p, 0, rig->ref.weights.w[p], rig->w_top);
    if (!err && rig->flaw.kind == RIG_FLAW_WEIGHT)
        err = spoil_weight(rig);
    err = err ? err : dev->ops->launch(dev, job_off, n_job, rig->deadline_ms);
    err = err ? err : dev->ops->read(dev, SL_ARENA_CTL, 0, rig->got, all);
    if (err)
        return take_error(rig, job_off, n_job);
    rig->job_off = job_off;
    rig->has_counters = list_beats(rig, job_off, n_job) > 2 * (uint64_t)n_job;
    rig->outcome = ref_launch(&rig->ref, job_off, n_job);
    take_over(rig, n_job);
    return compare(rig);
}

bool rig_run(struct core_rig *rig)
{
    uint64_t beats = ref_launch_beats(rig->job, rig->n_job, rig->dev->n_port);
    uint32_t off = rig_ctl(rig, beats);
    memcpy(rig_at(rig, off), rig->job, rig->n_job * sizeof rig->job[0]);
    return rig_run_at(rig, off, rig->n_job, true);
}

struct sl_record rig_record(const struct core_rig *rig, uint32_t i)
{
    struct sl_record rec;
    memcpy(&rec, rig->ref.ctl + ((size_t)rig->job_off + rig->n_job + i) * SL_BEAT_BYTES,
           sizeof rec);
    return rec;
}

bool rig_long(void)
{
    const char *env = getenv("SL_LONG");
    return env && env[0] == '1';
}
