/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of the CPU device from memory and from L2. Every turn takes other slabs than the one
 * before, so that what is read was last touched half of all slabs ago.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/cpu_device.h"
#include "accel/cpu_ops.h"
#include "base/err.h"
#include "bench/bench.h"
#include "bench/machine.h"
#include "store/format.h"
#include "store/slab.h"

enum {
    MAX_TURNS = 999,
    MAX_SLABS = 64,
    MIN_SLABS = 4,
    MAX_JOBS = SL_BENCH_MAX_TOKENS / SL_MAX_TOKENS,
    L2_TIMES = 4 /* turns are short there */
};
static const size_t memory_bytes = (size_t)256 << 20, l2_bytes = 512 << 10;

struct bench {
    const struct sl_bench_params *p;
    struct sl_pool *pool;
    struct sl_device *dev;
    const struct sl_cpu_ops *ops;
    void *work; /* of the caller's thread */
    int kind, format;
    uint8_t *memory; /* of the slabs */
    size_t slab_bytes, stride;
    unsigned n_slab;
    uint64_t macs; /* of one token */
    uint32_t x_beats, y_beats, x_off, y_off;
    uint8_t *x; /* SL_MAX_TOKENS items */
    float *y;   /* of the L2 rows */
    double sample[5][MAX_TURNS * L2_TIMES];
};

/* ---- numbers --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double sl_bench_median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static double largest(const double *v, unsigned n)
{
    double m = 0;
    for (unsigned i = 0; i < n; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}

static double seconds_since(const struct sl_pool *pool, uint64_t start)
{
    return (double)(sl_machine_now(pool) - start) * 1e-9;
}

static uint64_t random_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static bool tick(const struct bench *b, const char *what, unsigned done)
{
    return !b->p->progress || b->p->progress(b->p->progress_user, what, done, b->p->turns);
}

/* ---- slabs and activations ------------------------------------------------------------------- */

/* Scales for which g and u are about 1 with x of -1 .. 1 and codes of any bytes. */
static struct sl_slab header_of(const struct bench *b, uint32_t k, uint32_t rows)
{
    const bool fp8 = b->format == SL_FORMAT_FP8;
    const int16_t exp = fp8 ? -36 : -22;
    const uint16_t mant = fp8 ? 40000 : 1;
    return (struct sl_slab){.magic = SL_SLAB_MAGIC,
                            .kind = (uint8_t)b->kind,
                            .format = (uint8_t)b->format,
                            .k = k,
                            .rows = rows,
                            .u_h = b->kind == SL_KIND_EXPERT ? 12 : 0,
                            .mant0 = mant,
                            .mant1 = mant,
                            .mant2 = mant,
                            .exp0 = exp,
                            .exp1 = exp,
                            .exp2 = exp};
}

static size_t bytes_of(const struct sl_slab *head)
{
    return (sl_slab_beats(head) + SL_SLACK_BEATS) * SL_BEAT_BYTES;
}

static void fill_slab(const struct sl_slab *head, uint8_t *slab)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i + 8 <= bytes_of(head); i += 8) {
        const uint64_t v = random_word(&state);
        memcpy(slab + i, &v, 8);
    }
    memcpy(slab, head, sizeof *head);
}

static int make_slabs(struct bench *b)
{
    const struct sl_slab head = header_of(b, b->p->d_model, b->p->d_ff);
    b->slab_bytes = bytes_of(&head) - SL_SLACK_BEATS * SL_BEAT_BYTES;
    b->stride = (bytes_of(&head) + 4095) / 4096 * 4096;
    const size_t n = memory_bytes / b->stride + 1;
    b->n_slab = (unsigned)(n < MIN_SLABS ? MIN_SLABS : n > MAX_SLABS ? MAX_SLABS : n);
    /* Small pages, as a mapped model has. */
    if (!(b->memory = sl_alloc_aligned(4096, b->n_slab * b->stride)))
        return SL_ERR_NOMEM;
    fill_slab(&head, b->memory);
    for (unsigned i = 1; i < b->n_slab; i++)
        memcpy(b->memory + i * b->stride, b->memory, bytes_of(&head));
    b->macs = (uint64_t)head.k * head.rows * (b->kind == SL_KIND_EXPERT ? 3 : 1);
    return 0;
}

static int make_x(struct bench *b)
{
    const uint32_t k = b->p->d_model;
    const size_t item = (size_t)sl_act8_beats(k) * SL_BEAT_BYTES;
    uint64_t state = 1234567;
    float *x = sl_alloc(k, sizeof *x);
    b->x = sl_alloc_aligned(64, SL_MAX_TOKENS * item);
    int err = x && b->x ? 0 : SL_ERR_NOMEM;
    for (uint32_t t = 0; !err && t < SL_MAX_TOKENS; t++) {
        for (uint32_t i = 0; i < k; i++)
            x[i] = (float)(int32_t)random_word(&state) * 0x1p-31f;
        err = sl_act8_pack(x, k, k, b->x + t * item);
    }
    free(x);
    return err;
}

/* ---- the device ------------------------------------------------------------------------------ */

/* Control arena: a list with its records, x of 64 tokens, y of every job. */
static int open_device(struct bench *b)
{
    const char *name = b->p->device ? b->p->device : "cpu";
    const uint32_t rows = b->kind == SL_KIND_EXPERT ? b->p->d_model : b->p->d_ff;
    b->x_beats = sl_act8_beats(b->p->d_model);
    b->y_beats = (rows + 15) / 16;
    b->x_off = 2 * MAX_JOBS;
    b->y_off = b->x_off + SL_MAX_TOKENS * b->x_beats;
    int err = sl_device_open(&b->dev, name);
    err =
        err ? err : sl_device_alloc(b->dev, b->y_off + SL_BENCH_MAX_TOKENS * b->y_beats, b->n_slab);
    err = err ? err : sl_cpu_device_set_pool(b->dev, b->pool);
    for (unsigned i = 0; !err && i < b->n_slab; i++)
        err = sl_device_bind(b->dev, i, (const void *)(b->memory + i * b->stride));
    return err ? err
               : sl_device_write(b->dev, SL_ARENA_CTL, b->x_off, b->x, SL_MAX_TOKENS * b->x_beats);
}

/* Jobs of at most 64 tokens on slab i. */
static uint32_t make_jobs(const struct bench *b, uint32_t n_tok, unsigned slab,
                          struct sl_job job[MAX_JOBS])
{
    uint32_t n = 0;
    for (uint32_t at = 0; at < n_tok; at += SL_MAX_TOKENS, n++) {
        const uint32_t left = n_tok - at;
        job[n] =
            (struct sl_job){.op = b->kind == SL_KIND_EXPERT ? SL_OP_EXPERT : SL_OP_PLAIN,
                            .format = (uint8_t)b->format,
                            .cookie = n,
                            .w_off = slab,
                            .x_off = b->x_off,
                            .y_off = b->y_off + at * b->y_beats,
                            .n_tokens = (uint16_t)(left < SL_MAX_TOKENS ? left : SL_MAX_TOKENS),
                            .x_stride = (uint16_t)b->x_beats,
                            .y_stride = (uint16_t)b->y_beats,
                            .k = (uint16_t)b->p->d_model,
                            .rows = b->p->d_ff,
                            .slice_count = (uint16_t)b->p->d_ff};
    }
    return n;
}

/* Seconds of one launch; negative: an error was recorded. */
static double launch(struct bench *b, uint32_t n_tok, unsigned slab)
{
    static const char failed[] = "a job of the benchmark failed with status %u";
    struct sl_job job[MAX_JOBS] = {0};
    const uint32_t n = make_jobs(b, n_tok, slab, job);
    int err = sl_device_write(b->dev, SL_ARENA_CTL, 0, job, n);
    const uint64_t start = sl_machine_now(b->pool);
    err = err ? err : sl_device_launch(b->dev, 0, n, SL_DEVICE_DEADLINE_MS);
    const double t = seconds_since(b->pool, start);
    for (uint32_t i = 0; !err && i < n; i++) {
        struct sl_record record;
        err = sl_device_read(b->dev, SL_ARENA_CTL, n + i, &record, 1);
        if (!err && record.status != SL_STATUS_OK)
            err = sl_fail(SL_ERR_DEVICE, NULL, failed, record.status);
    }
    return err ? -1 : t;
}

/* ---- measurements ---------------------------------------------------------------------------- */

static int from_memory(struct bench *b, struct sl_bench_row *row)
{
    enum { READ, RATE, SHARE, MACS, OF_PEAK };
    const unsigned turns = b->p->turns;
    for (unsigned i = 0; i < turns; i++) {
        const unsigned other = (i + b->n_slab / 2) % b->n_slab;
        if (!tick(b, row->format, i))
            return sl_fail(SL_ERR_INTERRUPTED, NULL, "interrupted");
        const double read =
            sl_machine_best_read(b->pool, b->memory + other * b->stride, b->slab_bytes);
        const double t = launch(b, row->n_tok, i % b->n_slab);
        const double peak = row->n_tok > 1 ? sl_machine_peak(b->pool) : 0;
        if (t < 0)
            return SL_ERR_DEVICE;
        b->sample[READ][i] = read;
        b->sample[RATE][i] = (double)b->slab_bytes / t;
        b->sample[SHARE][i] = (double)b->slab_bytes / t / read;
        b->sample[MACS][i] = (double)b->macs * row->n_tok / t;
        b->sample[OF_PEAK][i] = peak > 0 ? b->sample[MACS][i] / peak : NAN;
    }
    row->read = sl_bench_median(b->sample[READ], turns);
    row->rate = sl_bench_median(b->sample[RATE], turns);
    row->share = sl_bench_median(b->sample[SHARE], turns);
    row->macs = sl_bench_median(b->sample[MACS], turns);
    row->of_peak = isnan(b->sample[OF_PEAK][0]) ? NAN : sl_bench_median(b->sample[OF_PEAK], turns);
    row->tokens = row->macs / (double)b->macs;
    return 0;
}

/* Seconds of all rows of a small plain matrix by the caller. */
static double small_pass(const struct bench *b, const struct sl_slab *slab, uint32_t n_tok)
{
    const uint64_t start = sl_machine_now(NULL);
    for (uint32_t at = 0; at < slab->rows; at += SL_CPU_MAX_PART_ROWS) {
        const uint32_t left = slab->rows - at;
        const struct sl_cpu_plain call = {
            .slab = slab,
            .x = b->x,
            .n_tok = n_tok,
            .first = at,
            .n_row = left < SL_CPU_MAX_PART_ROWS ? left : SL_CPU_MAX_PART_ROWS,
            .y = b->y,
            .y_stride = slab->rows};
        b->ops->plain(&call, b->work);
    }
    return seconds_since(NULL, start);
}

static int from_l2(struct bench *b, struct sl_bench_row *row)
{
    enum { TIME, CLOCK, PEAK };
    const uint32_t k = b->p->d_model, n_tok = row->n_tok;
    const size_t unit = sl_unit_beats(b->format, k) * SL_BEAT_BYTES;
    const uint32_t units = (uint32_t)(l2_bytes / unit / 16 * 16); /* whole tiles */
    const struct sl_slab head = header_of(b, k, units ? 2 * units : 32);
    const size_t bytes = head.rows / 2 * unit;
    const unsigned turns = b->p->turns * L2_TIMES;
    uint8_t *slab = sl_alloc_aligned(SL_BEAT_BYTES, bytes_of(&head));
    b->y = sl_alloc(head.rows * (size_t)n_tok, sizeof *b->y);
    if (!slab || !b->y) {
        free(slab);
        return SL_ERR_NOMEM;
    }
    fill_slab(&head, slab);
    for (unsigned i = 0; i < turns; i++) {
        small_pass(b, (const void *)slab, n_tok);
        b->sample[TIME][i] = 1 / small_pass(b, (const void *)slab, n_tok);
        b->sample[CLOCK][i] = sl_machine_clock();
        b->sample[PEAK][i] = sl_machine_peak(NULL);
    }
    const double per_s = largest(b->sample[TIME], turns), clock = largest(b->sample[CLOCK], turns);
    const double peak = largest(b->sample[PEAK], turns);
    row->l2_rate = per_s * (double)bytes;
    row->l2_per_cycle = clock > 0 ? row->l2_rate / clock : NAN;
    row->l2_macs = per_s * head.rows * (double)k * n_tok;
    row->l2_of_peak = peak > 0 ? row->l2_macs / peak : NAN;
    free(slab);
    free(b->y);
    b->y = NULL;
    return 0;
}

static int measure(struct bench *b, uint32_t n_tok)
{
    struct sl_bench_row row = {.op = b->kind == SL_KIND_EXPERT ? "expert" : "plain",
                               .format = sl_format_name(b->format),
                               .impl = b->dev->name,
                               .d_model = b->p->d_model,
                               .d_ff = b->p->d_ff,
                               .n_tok = n_tok,
                               .l2_rate = NAN,
                               .l2_per_cycle = NAN,
                               .l2_macs = NAN,
                               .l2_of_peak = NAN};
    int err = from_memory(b, &row);
    if (!err && b->kind == SL_KIND_PLAIN && n_tok <= SL_MAX_TOKENS)
        err = from_l2(b, &row);
    if (!err)
        b->p->row(b->p->user, &row);
    return err;
}

static int bench_format(struct bench *b)
{
    int err = make_slabs(b);
    err = err ? err : make_x(b);
    err = err ? err : open_device(b);
    for (unsigned i = 0; !err && i < b->p->n_batch; i++)
        err = measure(b, b->p->n_tok[i]);
    sl_device_close(&b->dev);
    free(b->memory);
    free(b->x);
    b->memory = b->x = NULL;
    return err;
}

/* The implementation by itself, for what comes from L2. */
static int open_ops(struct bench *b)
{
    const char *name = b->p->device ? strchr(b->p->device, ':') : NULL;
    b->ops = sl_cpu_ops_best();
    int err = name ? sl_cpu_ops_named(&b->ops, name + 1) : 0;
    if (!err && !(b->work = sl_alloc_aligned(64, (b->ops->work_bytes + 63) / 64 * 64)))
        err = SL_ERR_NOMEM;
    return err;
}

static int measure_machine(struct bench *b)
{
    enum { PIECES = 8 };
    const size_t piece = memory_bytes / PIECES;
    const unsigned turns = b->p->turns;
    struct sl_bench_machine m = {.n_thread = sl_pool_threads(b->pool)};
    uint8_t *memory = sl_alloc_aligned(4096, memory_bytes);
    if (!memory)
        return SL_ERR_NOMEM;
    memset(memory, 1, memory_bytes);
    for (unsigned way = 0; way < 4; way++) {
        struct sl_pool *pool = way < 2 ? NULL : b->pool;
        for (unsigned i = 0; i < turns; i++)
            b->sample[way][i] =
                sl_machine_read(pool, memory + (i + way) % PIECES * piece, piece, way % 2 * 8192);
        (way < 2 ? m.read_one : m.read_all)[way % 2] = sl_bench_median(b->sample[way], turns);
    }
    for (unsigned i = 0; i < turns; i++) {
        b->sample[0][i] = sl_machine_clock();
        b->sample[1][i] = sl_machine_peak(NULL);
    }
    m.clock = largest(b->sample[0], turns);
    m.peak = largest(b->sample[1], turns);
    free(memory);
    b->p->machine(b->p->user, &m);
    return 0;
}

static int check(const struct sl_bench_params *p)
{
    const uint32_t d[2] = {p->d_model, p->d_ff};
    if (p->device && strcmp(p->device, "cpu") && strncmp(p->device, "cpu:", 4))
        return sl_fail(SL_ERR_USAGE, "name cpu, cpu:avx512, cpu:avx2 or cpu:native",
                       "bench measures the CPU, not %.40s", p->device);
    for (int i = 0; i < 2; i++)
        if (d[i] % SL_BLOCK || d[i] < SL_BLOCK || d[i] > SL_MAX_K)
            return sl_fail(SL_ERR_SHAPE, "give multiples of 32 up to 32768, such as 2048x8192",
                           "bench: an expert of %u x %u", p->d_model, p->d_ff);
    for (unsigned i = 0; i < p->n_batch; i++)
        if (p->n_tok[i] < 1 || p->n_tok[i] > SL_BENCH_MAX_TOKENS)
            return sl_fail(SL_ERR_RANGE, "give 1 to 4096", "bench: %u tokens", p->n_tok[i]);
    if (p->turns < 1 || p->turns > MAX_TURNS)
        return sl_fail(SL_ERR_RANGE, "give 1 to 999", "bench: %u turns", p->turns);
    return 0;
}

int sl_bench(const struct sl_bench_params *p)
{
    int err = check(p);
    struct bench *b = err ? NULL : sl_alloc(1, sizeof *b);
    if (!b)
        return err ? err : SL_ERR_NOMEM;
    b->p = p;
    err = sl_pool_open(&b->pool, p->n_thread);
    err = err ? err : open_ops(b);
    err = err ? err : measure_machine(b);
    for (int kind = 0; !err && !p->machine_only && kind < 2; kind++)
        for (int format = SL_FORMAT_FP8; !err && format <= SL_FORMAT_MXFP4; format++) {
            b->kind = kind == 0 ? SL_KIND_EXPERT : SL_KIND_PLAIN;
            b->format = format;
            if (!p->format || !strcmp(p->format, sl_format_name(format)))
                err = bench_format(b);
        }
    if (!err && !p->machine_only)
        err = sl_bench_ops(p, b->pool);
    sl_pool_close(&b->pool);
    free(b->work);
    free(b);
    return err;
}
