/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/machine.h"

#include "base/clock.h"

enum {
    READ_AHEAD = 8192,
    STEP = 512,        /* bytes of one turn of a read loop */
    PIECE = 512 << 10, /* of one thread at a time */
    PEAK_STEPS = 20000,
    PEAK_PIECES = 8,
    CLOCK_STEPS = 20000
};

uint64_t sl_machine_now(const struct sl_pool *pool)
{
    struct timespec t;
    if (pool && sl_pool_threads(pool) > 1)
        return sl_now_ns();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds_since(const struct sl_pool *pool, uint64_t start)
{
    return (double)(sl_machine_now(pool) - start) * 1e-9;
}

static void run(struct sl_pool *pool, sl_pool_fn fn, void *user, size_t n)
{
    if (pool)
        sl_pool_run(pool, fn, user, n);
    for (size_t i = 0; !pool && i < n; i++)
        fn(user, i, 0);
}

struct read_run {
    const uint8_t *p;
    size_t n, ahead;
};

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512f,avx512vnni")))

/* Eight independent streams of loads within one. */
AVX2 static void read_vector(const uint8_t *p, size_t n, size_t ahead)
{
    __m256i s[8];
    for (int j = 0; j < 8; j++)
        s[j] = _mm256_setzero_si256();
    for (size_t i = 0; i + STEP <= n; i += STEP) {
        for (size_t j = 0; ahead && j < STEP; j += 64)
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
}

static bool has_vector(void)
{
    return __builtin_cpu_supports("avx2");
}

VNNI static void multiply(void)
{
    __m512i d[16], w = _mm512_set1_epi8(3);
    for (int j = 0; j < 16; j++)
        d[j] = _mm512_setzero_si512();
    for (int i = 0; i < PEAK_STEPS; i++) {
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            d[j] = _mm512_dpbusd_epi32(d[j], w, w);
        __asm__ volatile("" : "+x"(w));
    }
    for (int j = 1; j < 16; j++)
        d[0] = _mm512_add_epi32(d[0], d[j]);
    volatile int keep = _mm512_reduce_add_epi32(d[0]);
    (void)keep;
}

static void peak_piece(void *user, size_t i, unsigned thread)
{
    (void)user, (void)i, (void)thread;
    multiply();
}

double sl_machine_peak(struct sl_pool *pool)
{
    if (!__builtin_cpu_supports("avx512vnni"))
        return 0;
    const size_t n = PEAK_PIECES * (pool ? sl_pool_threads(pool) : 1);
    const uint64_t start = sl_machine_now(pool);
    run(pool, peak_piece, NULL, n);
    return 16.0 * 64 * PEAK_STEPS * (double)n / seconds_since(pool, start);
}

double sl_machine_clock(void)
{
    uint64_t v = 1;
    const uint64_t start = sl_machine_now(NULL);
    for (int i = 0; i < CLOCK_STEPS; i++)
        __asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(v));
    return 4.0 * CLOCK_STEPS / seconds_since(NULL, start);
}
#else
static void read_vector(const uint8_t *p, size_t n, size_t ahead)
{
    (void)p, (void)n, (void)ahead;
}

static bool has_vector(void)
{
    return false;
}

double sl_machine_peak(struct sl_pool *pool)
{
    (void)pool;
    return 0;
}

double sl_machine_clock(void)
{
    return 0;
}
#endif

static void read_words(const uint8_t *p, size_t n, size_t ahead)
{
    const uint64_t *w = (const void *)p;
    uint64_t s[8] = {0};
    for (size_t i = 0; i + 8 <= n / 8; i += 8) {
        if (ahead)
            __builtin_prefetch(p + 8 * i + ahead);
        for (int j = 0; j < 8; j++)
            s[j] ^= w[i + j];
    }
    volatile uint64_t keep = s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7];
    (void)keep;
}

static void read_piece(void *user, size_t i, unsigned thread)
{
    const struct read_run *r = user;
    const size_t at = i * PIECE, left = r->n - at;
    (void)thread;
    (has_vector() ? read_vector : read_words)(r->p + at, left < PIECE ? left : PIECE, r->ahead);
}

double sl_machine_read(struct sl_pool *pool, const uint8_t *p, size_t n, size_t ahead)
{
    struct read_run r = {p, n / STEP * STEP, ahead};
    const uint64_t start = sl_machine_now(pool);
    run(pool, read_piece, &r, (r.n + PIECE - 1) / PIECE);
    return (double)r.n / seconds_since(pool, start);
}

double sl_machine_best_read(struct sl_pool *pool, const uint8_t *p, size_t n)
{
    const size_t half = n / 2 / STEP * STEP;
    const double plain = sl_machine_read(pool, p, half, 0);
    const double ahead = sl_machine_read(pool, p + half, half, READ_AHEAD);
    return plain > ahead ? plain : ahead;
}
