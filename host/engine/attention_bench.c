/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/attention_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "base/err.h"
#include "base/pool.h"
#include "engine/attention.h"
#include "engine/kv_quant.h"
#include "engine/simd.h"

enum {
    PIECE = 256 << 10, /* bytes that a thread reads at a time */
    READ_STEP = 512,
    READ_AHEAD = 8192,
    PEAK_ITEMS = 16, /* of each thread */
    PEAK_STEPS = 4000,
    WIDE_CHAINS = 16, /* sums side by side in registers */
    CHAINS = 12,      /* of AVX2's 16 */
    N_VEC = 64        /* different head vectors */
};
static const size_t cache_bytes = 512u << 20;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Processor time of the process: what its threads have got of the machine. */
static double cpu(void)
{
    return now(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- the machine ----------------------------------------------------------------------------- */

struct reading {
    const uint8_t *from;
    size_t ahead; /* prefetch distance, or 0 */
    uint32_t sum; /* so that nothing is left out */
};

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vnni")))

AVX2 static uint32_t read_piece(const uint8_t *p, size_t ahead)
{
    __m256i s[8];
    for (int j = 0; j < 8; j++)
        s[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < PIECE; i += READ_STEP) {
        for (size_t j = 0; ahead && j < READ_STEP; j += 64)
            _mm_prefetch((const char *)p + i + ahead + j, _MM_HINT_T0);
        for (int j = 0; j < READ_STEP / 32; j++) {
            __m256i x = _mm256_loadu_si256((const void *)(p + i + 32 * (size_t)j));
            s[j % 8] = _mm256_xor_si256(s[j % 8], x);
        }
    }
    for (int j = 1; j < 8; j++)
        s[0] = _mm256_xor_si256(s[0], s[j]);
    return (uint32_t)_mm256_extract_epi32(s[0], 0);
}

/* PEAK_STEPS times `step` for each of `chains` sums s[j] of a type; barriers keep the factor x
 * unknown and the sums in use, so that no part of a step can be left out. */
#define SPIN(name, target, type, chains, zero, step)                                               \
    target static void name(void)                                                                  \
    {                                                                                              \
        type s[chains], x = zero;                                                                  \
        for (int j = 0; j < (chains); j++)                                                         \
            s[j] = x;                                                                              \
        for (int i = 0; i < PEAK_STEPS; i++) {                                                     \
            _Pragma("GCC unroll 16") for (int j = 0; j < (chains); j++)                            \
            {                                                                                      \
                s[j] = step;                                                                       \
                __asm__ volatile("" : "+v"(x));                                                    \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 16") for (int j = 0; j < (chains); j++)                                \
        {                                                                                          \
            __asm__ volatile("" ::"v"(s[j]));                                                      \
        }                                                                                          \
    }

SPIN(spin_f32_avx512, AVX512, __m512, WIDE_CHAINS, _mm512_setzero_ps(), _mm512_fmadd_ps(x, x, s[j]))
SPIN(spin_s16_avx512, AVX512, __m512i, WIDE_CHAINS, _mm512_setzero_si512(),
     _mm512_dpwssd_epi32(s[j], x, x))
SPIN(spin_f32_avx2, AVX2, __m256, CHAINS, _mm256_setzero_ps(), _mm256_fmadd_ps(x, x, s[j]))
SPIN(spin_s16_avx2, AVX2, __m256i, CHAINS, _mm256_setzero_si256(),
     _mm256_add_epi32(s[j], _mm256_madd_epi16(x, x)))

/* Multiply-adds of one item; 0 without the instructions. */
static double spin_macs(bool s16)
{
    const double steps = PEAK_STEPS * (s16 ? 2.0 : 1.0);
    if (sl_simd_at(SL_SIMD_AVX512))
        return 16 * WIDE_CHAINS * steps;
    return sl_simd_at(SL_SIMD_AVX2) ? 8 * CHAINS * steps : 0;
}

static void spin(bool s16)
{
    if (sl_simd_at(SL_SIMD_AVX512))
        s16 ? spin_s16_avx512() : spin_f32_avx512();
    else if (sl_simd_at(SL_SIMD_AVX2))
        s16 ? spin_s16_avx2() : spin_f32_avx2();
}
#else
static uint32_t read_piece(const uint8_t *p, size_t ahead)
{
    uint64_t s = 0, x;
    (void)ahead;
    for (size_t i = 0; i < PIECE; i += sizeof x) {
        memcpy(&x, p + i, sizeof x);
        s ^= x;
    }
    return (uint32_t)s;
}

static double spin_macs(bool s16)
{
    (void)s16;
    return 0;
}

static void spin(bool s16)
{
    (void)s16;
}
#endif

static void read_item(void *user, size_t i, unsigned thread)
{
    struct reading *r = user;
    (void)thread;
    uint32_t sum = read_piece(r->from + i * PIECE, r->ahead);
    __atomic_fetch_xor(&r->sum, sum, __ATOMIC_RELAXED);
}

/* Bytes per second of processor time over n bytes. */
static double read_rate(struct sl_pool *pool, const uint8_t *from, size_t n, size_t ahead)
{
    struct reading r = {.from = from, .ahead = ahead};
    double start = cpu();
    sl_pool_run(pool, read_item, &r, n / PIECE);
    return (double)(n / PIECE * PIECE) / (cpu() - start);
}

static void spin_item(void *user, size_t i, unsigned thread)
{
    (void)i, (void)thread;
    spin(*(const bool *)user);
}

/* Multiply-adds per second of processor time, all threads. */
static double peak(struct sl_pool *pool, bool s16)
{
    unsigned threads = sl_pool_threads(pool), items = PEAK_ITEMS * threads;
    double start = cpu();
    sl_pool_run(pool, spin_item, &s16, items);
    return threads * items * spin_macs(s16) / (cpu() - start);
}

/* ---- attention ------------------------------------------------------------------------------- */

struct bench {
    struct sl_pool *pool; /* borrowed */
    struct sl_attention_shape shape;
    struct sl_kv kv;
    struct sl_attention attention;
    float *q, *out;
};

static double uniform(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(int64_t)*state * 0x1p-63;
}

struct filling {
    uint8_t *to, rec[N_VEC][4 * SL_KV_MAX_DIM];
    size_t stride, n;
};

static void fill_item(void *user, size_t item, unsigned thread)
{
    const struct filling *f = user;
    size_t end = (item + 1) * 4096 < f->n ? (item + 1) * 4096 : f->n;
    (void)thread;
    for (size_t i = item * 4096; i < end; i++)
        memcpy(f->to + i * f->stride, f->rec[i * 29 % N_VEC], f->stride);
}

/* A cache of N_VEC different vectors over and over. */
static int fill_cache(struct bench *b, uint64_t *state)
{
    const struct sl_kv *kv = &b->kv;
    struct filling f = {.stride = sl_kv_vec_bytes(kv->format_k, kv->head_dim),
                        .n = (size_t)kv->n_kv_layer * kv->n_head * kv->n_ctx};
    for (int i = 0; i < N_VEC; i++) {
        float vec[SL_KV_MAX_DIM];
        for (uint32_t c = 0; c < kv->head_dim; c++)
            vec[c] = (float)uniform(state);
        if (kv->format_k == SL_KV_F32)
            memcpy(f.rec[i], vec, f.stride);
        else if (!sl_kv_pack_vec(kv->format_k, kv->head_dim, vec, f.rec[i]))
            return sl_fail(SL_ERR_RANGE, NULL, "attention bench: a vector is not finite");
    }
    for (int half = 0; half < 2; half++) {
        f.to = half ? kv->v : kv->k;
        sl_pool_run(b->pool, fill_item, &f, (f.n + 4095) / 4096);
    }
    return 0;
}

static int bench_open(struct bench *b)
{
    const struct sl_attention_shape *s = &b->shape;
    size_t layer = 2 * (size_t)s->n_kv_head * s->n_pos * sl_kv_vec_bytes(s->format, s->head_dim);
    struct sl_config c = {.n_layer = (uint32_t)(cache_bytes / layer + 4),
                          .cla_factor = 1,
                          .n_head = s->n_head,
                          .n_kv_head = s->n_kv_head,
                          .head_dim = s->head_dim};
    size_t n = (size_t)s->n_tok * s->n_head * s->head_dim;
    uint64_t state = 88172645463325252u;
    int err = sl_kv_open(&b->kv, &c, s->n_pos, s->format, s->format);
    err = err ? err : sl_attention_open(&b->attention, &c, b->pool);
    if (err)
        return err;
    b->q = sl_alloc(n, sizeof *b->q);
    b->out = sl_alloc(n, sizeof *b->out);
    if (!b->q || !b->out)
        return SL_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        b->q[i] = (float)uniform(&state);
    return fill_cache(b, &state);
}

static void bench_close(struct bench *b)
{
    free(b->q);
    free(b->out);
    sl_attention_close(&b->attention);
    sl_kv_close(&b->kv);
}

/* Seconds of processor time, and of the wall clock's. */
static double attend(struct bench *b, uint32_t layer, double *wall)
{
    struct sl_attention_call call = {.kv = &b->kv,
                                     .kv_layer = layer,
                                     .pos = b->shape.n_pos - b->shape.n_tok,
                                     .n_tok = b->shape.n_tok,
                                     .q = b->q,
                                     .out = b->out};
    double begin = now(CLOCK_MONOTONIC), start = cpu();
    sl_attention_run(&b->attention, &call);
    *wall = now(CLOCK_MONOTONIC) - begin;
    return cpu() - start;
}

static double all_macs(const struct sl_attention_shape *s)
{
    double seen = (double)s->n_pos - 0.5 * (s->n_tok - 1.0); /* on average */
    return 2.0 * s->n_head * s->head_dim * s->n_tok * seen;
}

/* Another layer each time; reading takes the keys of those half the cache away. */
static struct sl_attention_result turn(struct bench *b, unsigned i)
{
    struct sl_attention_result r = {0};
    const struct sl_attention_shape *s = &b->shape;
    uint32_t n_layer = b->kv.n_kv_layer, layer = i % n_layer;
    size_t rec = sl_kv_vec_bytes(s->format, s->head_dim);
    size_t bytes = (size_t)s->n_kv_head * s->n_pos * rec;
    const uint8_t *far = sl_kv_k(&b->kv, (layer + n_layer / 2) % n_layer, 0, 0);
    const uint8_t *farther = sl_kv_v(&b->kv, (layer + n_layer / 2) % n_layer, 0, 0);
    double plain = read_rate(b->pool, far, bytes, 0);
    double ahead = read_rate(b->pool, farther, bytes, READ_AHEAD);
    unsigned threads = sl_pool_threads(b->pool);
    double giga = 1e-9 * threads;
    r.peak = 1e-9 * peak(b->pool, false);
    r.peak16 = 1e-9 * peak(b->pool, true);
    double seconds = attend(b, layer, &r.seconds);
    r.busy = seconds / threads / r.seconds;
    r.read = giga * (plain > ahead ? plain : ahead);
    r.bytes = giga * 2 * (double)bytes / seconds;
    r.read_share = r.bytes / r.read;
    r.macs = giga * all_macs(s) / seconds;
    r.peak_share = r.peak > 0 ? r.macs / r.peak : 0;
    r.peak16_share = r.peak16 > 0 ? r.macs / r.peak16 : 0;
    return r;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of the member that lies `offset` bytes into each result. */
static double median(const struct sl_attention_result *r, unsigned n, size_t offset)
{
    double v[SL_ATTENTION_MAX_TURNS];
    for (unsigned i = 0; i < n; i++)
        memcpy(&v[i], (const char *)&r[i] + offset, sizeof v[i]);
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

int sl_attention_bench(struct sl_attention_result *out, const struct sl_attention_shape *shape,
                       struct sl_pool *pool, unsigned turns)
{
    struct sl_attention_result r[SL_ATTENTION_MAX_TURNS];
    struct bench b = {.pool = pool, .shape = *shape};
    if (shape->head_dim > SL_KV_MAX_DIM || shape->n_tok > shape->n_pos || !turns ||
        turns > SL_ATTENTION_MAX_TURNS)
        return sl_fail(SL_ERR_USAGE, NULL, "attention bench: shape or turns out of range");
    int err = bench_open(&b);
    for (unsigned i = 0; !err && i < turns; i++)
        r[i] = turn(&b, i);
#define MEDIAN(member) .member = median(r, turns, offsetof(struct sl_attention_result, member))
    if (!err)
        *out = (struct sl_attention_result){
            MEDIAN(seconds),    MEDIAN(busy),        MEDIAN(read),   MEDIAN(bytes),
            MEDIAN(read_share), MEDIAN(peak),        MEDIAN(peak16), MEDIAN(macs),
            MEDIAN(peak_share), MEDIAN(peak16_share)};
#undef MEDIAN
    bench_close(&b);
    return err;
}
