/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the CPU multiplies plain matrices (accel/cpu_ops.h), one thread, in parts as the
 * program cuts them, beside what the machine gives in the same minute: read loops and, where there
 * is VNNI, its peak. Everything is repeated in turns, and timed by the thread's own processor time:
 * others may be at work on the machine. From L2: the best of all turns. From memory: the median
 * over the turns of the ratio to the better read loop of the same turn; a turn takes one of eight
 * segments, which nobody has touched since half of the others were.
 *
 *     cpu_bench [TURNS [K]]
 */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel/activation.h"
#include "accel/cpu_ops.h"
#include "store/slab.h"

enum {
    MAX_TURNS = 999,
    N_SEGMENT = 8,
    N_FORMAT = 5,
    PEAK_STEPS = 20000,
    CLOCK_STEPS = 40000,
    BATCH = 16
};
enum { READ_AHEAD = 8192 };
static const size_t l2_bytes = 512u << 10, memory_bytes = 256u << 20, read_step = 512;
static const char *const format_names[N_FORMAT] = {"fp8", "q8", "nf4", "int4", "mxfp4"};

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double better(double a, double b)
{
    return a > b ? a : b;
}

/* ---- the machine ----------------------------------------------------------------------------- */

#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512f,avx512vnni")))

/* Bytes per second of 8 independent streams of loads within one; ahead: prefetch distance or 0. */
AVX2 static double read_rate(const uint8_t *p, size_t n, size_t ahead)
{
    __m256i s[8];
    double start = now(CLOCK_THREAD_CPUTIME_ID);
    for (int j = 0; j < 8; j++)
        s[j] = _mm256_setzero_si256();
    for (size_t i = 0; i + read_step <= n; i += read_step) {
        for (size_t j = 0; ahead && j < read_step; j += 64)
            _mm_prefetch((const char *)p + i + ahead + j, _MM_HINT_T0);
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            s[j % 8] =
                _mm256_xor_si256(s[j % 8], _mm256_load_si256((const void *)(p + i + 32 * j)));
    }
    for (int j = 1; j < 8; j++)
        s[0] = _mm256_xor_si256(s[0], s[j]);
    volatile int keep = _mm256_extract_epi32(s[0], 0);
    (void)keep;
    return (double)n / (now(CLOCK_THREAD_CPUTIME_ID) - start);
}

/* The better loop, each on its half: the second would find the first one's in the cache. */
static double best_read(const uint8_t *p, size_t n)
{
    size_t half = n / 1024 * 512;
    return better(read_rate(p, half, 0), read_rate(p + half, half, READ_AHEAD));
}

/* Cycles per second, by a chain of additions. */
static double clock_rate(void)
{
    uint64_t v = 1;
    double start = now(CLOCK_MONOTONIC);
    for (int i = 0; i < CLOCK_STEPS; i++)
        __asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(v));
    return 4.0 * CLOCK_STEPS / (now(CLOCK_MONOTONIC) - start);
}

/* Multiply-adds per second of vpdpbusd between registers; 0 without it. */
VNNI static double run_peak(void)
{
    __m512i d[16], w = _mm512_set1_epi8(3);
    for (int j = 0; j < 16; j++)
        d[j] = _mm512_setzero_si512();
    double start = now(CLOCK_MONOTONIC);
    for (int i = 0; i < PEAK_STEPS; i++) {
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            d[j] = _mm512_dpbusd_epi32(d[j], w, w);
        __asm__ volatile("" : "+x"(w));
    }
    double t = now(CLOCK_MONOTONIC) - start;
    for (int j = 1; j < 16; j++)
        d[0] = _mm512_add_epi32(d[0], d[j]);
    volatile int keep = _mm512_reduce_add_epi32(d[0]);
    (void)keep;
    return 16.0 * 64 * PEAK_STEPS / t;
}

static double peak_rate(void)
{
    return __builtin_cpu_supports("avx512vnni") ? run_peak() : 0;
}

/* ---- a matrix -------------------------------------------------------------------------------- */

struct bench {
    uint8_t *slab, *x; /* owned */
    float *y;          /* owned */
    void *work;        /* owned */
    size_t bytes;      /* of the slab's units */
    uint32_t k, rows;
};

static void *grab(size_t n)
{
    void *p = aligned_alloc(2u << 20, (n + (2u << 20) - 1) >> 21 << 21);
    if (!p) {
        fprintf(stderr, "error: no memory\n");
        exit(1);
    }
    return p;
}

static uint64_t random_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Any bytes are codes and scales. */
static void make_slab(struct bench *b, int format, size_t bytes)
{
    uint64_t unit = sl_unit_beats(format, b->k) * SL_BEAT_BYTES, units = bytes / unit;
    units = units > SL_MAX_ROWS / 2 ? SL_MAX_ROWS / 2 : units;
    units = units / 16 * 16; /* whole tiles */
    b->rows = (uint32_t)(2 * units);
    b->bytes = units * unit;
    size_t n = b->bytes + (1 + SL_SLACK_BEATS) * SL_BEAT_BYTES;
    b->slab = grab(n);
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = random_word(&state);
        memcpy(b->slab + i, &v, 8);
    }
    struct sl_slab head = {.magic = SL_SLAB_MAGIC,
                           .kind = SL_KIND_PLAIN,
                           .format = (uint8_t)format,
                           .k = b->k,
                           .rows = b->rows,
                           .mant0 = format == SL_FORMAT_FP8 ? 40000 : 1,
                           .exp0 = -30};
    memcpy(b->slab, &head, sizeof head);
}

static void make_x(struct bench *b)
{
    static float x[SL_MAX_K];
    uint64_t state = 1234567;
    size_t item = (size_t)sl_act8_beats(b->k) * SL_BEAT_BYTES;
    b->x = grab(BATCH * item);
    for (uint32_t t = 0; t < BATCH; t++) {
        for (uint32_t i = 0; i < b->k; i++)
            x[i] = (float)(int32_t)random_word(&state);
        if (sl_act8_pack(x, b->k, b->k, b->x + t * item))
            exit(1);
    }
}

static void bench_open(struct bench *b, int format, uint32_t k, size_t bytes)
{
    *b = (struct bench){.k = k};
    make_slab(b, format, bytes);
    make_x(b);
    b->y = grab((size_t)b->rows * BATCH * sizeof *b->y);
}

static void bench_close(struct bench *b)
{
    free(b->slab);
    free(b->x);
    free(b->y);
}

/* Rows first .. first + n - 1 times some tokens. */
struct range {
    uint32_t first, n, n_tok;
    clockid_t clock;
};

/* Seconds. */
static double pass(const struct bench *b, const struct sl_cpu_ops *ops, void *work,
                   const struct range *r)
{
    double start = now(r->clock);
    for (uint32_t at = r->first; at < r->first + r->n; at += SL_CPU_MAX_PART_ROWS) {
        uint32_t left = r->first + r->n - at;
        struct sl_cpu_plain call = {.slab = (const void *)b->slab,
                                    .x = b->x,
                                    .n_tok = r->n_tok,
                                    .first = at,
                                    .n_row =
                                        left < SL_CPU_MAX_PART_ROWS ? left : SL_CPU_MAX_PART_ROWS,
                                    .y = b->y,
                                    .y_stride = b->rows};
        if (ops->plain(&call, work) != SL_STATUS_OK)
            exit(1);
    }
    return now(r->clock) - start;
}

/* ---- measurements ---------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static void from_l2(const struct bench *b, const struct sl_cpu_ops *ops, void *work, int turns)
{
    double rate = 0, macs = 0, clock = 0, peak = 0;
    const struct range one = {0, b->rows, 1, CLOCK_MONOTONIC},
                       many = {0, b->rows, BATCH, CLOCK_MONOTONIC};
    const double products = (double)b->rows * b->k * BATCH;
    for (int i = 0; i < 4 * turns; i++) {
        clock = better(clock, clock_rate());
        rate = better(rate, (double)b->bytes / pass(b, ops, work, &one));
        rate = better(rate, (double)b->bytes / pass(b, ops, work, &one));
        peak = better(peak, peak_rate());
        macs = better(macs, products / pass(b, ops, work, &many));
    }
    printf(" %7.1f %7.2f |", rate * 1e-9, rate / clock);
    printf(" %8.1f %6.3f |", macs * 1e-9, peak > 0 ? macs / peak : 0);
}

static void from_memory(const struct bench *b, const struct sl_cpu_ops *ops, void *work, int turns)
{
    static double read[MAX_TURNS], rate[MAX_TURNS], share[MAX_TURNS], macs[MAX_TURNS];
    const uint32_t rows = b->rows / N_SEGMENT / SL_CPU_ROW_STEP * SL_CPU_ROW_STEP;
    const size_t bytes = b->bytes / b->rows * rows;
    for (int i = 0; i < turns; i++) {
        struct range r = {(uint32_t)(i + N_SEGMENT / 2) % N_SEGMENT * rows, rows, 1,
                          CLOCK_THREAD_CPUTIME_ID};
        read[i] = best_read(
            b->slab + (size_t)i % N_SEGMENT * (bytes / SL_BEAT_BYTES * SL_BEAT_BYTES), bytes);
        rate[i] = (double)bytes / pass(b, ops, work, &r);
        share[i] = rate[i] / read[i];
    }
    for (int i = 0; i < turns; i++) {
        struct range r = {(uint32_t)i % N_SEGMENT * rows, rows, BATCH, CLOCK_THREAD_CPUTIME_ID};
        macs[i] = (double)rows * b->k * BATCH / pass(b, ops, work, &r);
    }
    printf(" %6.1f %6.1f %6.3f |", median(read, turns) * 1e-9, median(rate, turns) * 1e-9,
           median(share, turns));
    printf(" %8.1f\n", median(macs, turns) * 1e-9);
}

static void bench_format(int format, uint32_t k, const struct sl_cpu_ops *ops, int turns)
{
    struct bench small, large;
    void *work = grab(ops->work_bytes);
    bench_open(&small, format, k, l2_bytes);
    bench_open(&large, format, k, memory_bytes);
    memset(work, 0, ops->work_bytes);
    printf("%-6s %-7s|", format_names[format], ops->name);
    from_l2(&small, ops, work, turns);
    from_memory(&large, ops, work, turns);
    fflush(stdout);
    bench_close(&small);
    bench_close(&large);
    free(work);
}

int main(int argc, char **argv)
{
    const struct sl_cpu_ops *ops[] = {sl_cpu_ops_avx512(), sl_cpu_ops_avx2()};
    int turns = argc > 1 ? atoi(argv[1]) : 40;
    uint32_t k = argc > 2 ? (uint32_t)atoi(argv[2]) : 2048;
    if (turns < 1 || turns > MAX_TURNS || k < 32 || k > SL_MAX_K || k % 32) {
        fprintf(stderr, "usage: cpu_bench [TURNS (1..%d) [K (a multiple of 32)]]\n", MAX_TURNS);
        return 2;
    }
    printf("K %u; %zu KiB (L2: best), %zu MiB (memory: medians of %d turns); one thread\n", k,
           l2_bytes >> 10, memory_bytes >> 20, turns);
    printf("clock %.2f GHz; vpdpbusd between registers %.0f G products/s\n\n", clock_rate() * 1e-9,
           peak_rate() * 1e-9);
    printf(
        "              | L2, 1 token     | L2, 16 tokens   | memory, 1 token      | memory, 16\n");
    printf("format set    |    GB/s B/cycle | G prod/s of peak|   read   GB/s  share | G prod/s of "
           "peak\n");
    for (int format = 0; format < N_FORMAT; format++)
        for (int i = 0; i < 2; i++)
            if (ops[i])
                bench_format(format, k, ops[i], turns);
    return 0;
}
