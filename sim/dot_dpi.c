/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rtl/sl_dot.sv does, in C, called from sim/sl_dot_dpi.sv: 64 decoders and multipliers for
 * each token column, the adders behind them, the sums. All of it is exact, so the way to a sum does
 * not matter; when a step's products reach the sums is the caller's business (sl_dot_commit).
 * checkfab and the unit tests compare both forms of the core.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "sl_abi.h"

enum {
    LANES = 64,
    GROUP = 32,
    KIND_ROUTER = 5,  /* beside SL_FORMAT_* */
    MAX_FLIGHT = 16,  /* steps between their first and their last cycle; a power of two */
    ROUTER_SHIFT = 8, /* of the high bytes of x */
};

#define CODEBOOK(format, ...) [SL_FORMAT_##format] = {__VA_ARGS__},
static const int8_t books[][16] = {
#include "tables.def"
};
#undef CODEBOOK

/* Group sums of a beat and one column: low row g0, g1, high row g0, g1 (one-row beats: 0). Router:
 * g0 with the high bytes of x, g1 with the low ones. */
typedef void beat_fn(int kind, const uint8_t *w, const uint8_t *x, uint32_t *sums);

/* Imported by sl_dot_dpi.sv: the array of one port. */
struct sl_dot *sl_dot_open(int n_column, int depth);
void sl_dot_close(struct sl_dot *d);
/* Forgets steps that are under way. */
void sl_dot_reset(struct sl_dot *d);
/* Holds a code beat and the scale bytes {high g1, g0, low g1, g0} of its groups. */
void sl_dot_load(struct sl_dot *d, int format, int router, const uint32_t *beat, uint32_t scales);
/* The held beat times x (n_column times 64 codes, their exponents {xe1, xe0} in xe as 10 bits), for
 * sum `at` of row `row` (4-bit: of both). */
void sl_dot_step(struct sl_dot *d, int at, int row, int clear, const uint32_t *x,
                 const uint32_t *xe);
/* Adds the oldest step to its sums. */
void sl_dot_commit(struct sl_dot *d);
uint64_t sl_dot_sum(struct sl_dot *d, int high, int at, int column);

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl"))) static inline

WIDE __m512i codes(const uint8_t *p)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p));
}

/* Sums of the lanes of four vectors, at out[0..3]. */
WIDE void four_sums(uint32_t *out, __m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i v[] = {a, b, c, d};
    __m256i half[4];
    for (int i = 0; i < 4; i++)
        half[i] =
            _mm256_add_epi32(_mm512_castsi512_si256(v[i]), _mm512_extracti64x4_epi64(v[i], 1));
    __m256i sums =
        _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
    _mm_storeu_si128((void *)out, _mm_add_epi32(_mm256_castsi256_si128(sums),
                                                _mm256_extracti128_si256(sums, 1)));
}

WIDE void groups(uint32_t *out, __m512i g0, __m512i g1)
{
    four_sums(out, g0, g1, _mm512_setzero_si512(), _mm512_setzero_si512());
}

WIDE void wide_q8(const uint8_t *w, const uint8_t *x, uint32_t *sums)
{
    groups(sums, _mm512_madd_epi16(codes(w), codes(x)),
           _mm512_madd_epi16(codes(w + GROUP), codes(x + GROUP)));
}

WIDE void wide_4bit(int format, const uint8_t *w, const uint8_t *x, uint32_t *sums)
{
    const __m256i book = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)books[format]));
    const __m256i nibble = _mm256_set1_epi8(15);
    __m512i low[2], high[2];
    for (int g = 0; g < 2; g++) {
        __m256i beat = _mm256_loadu_si256((const void *)(w + GROUP * g));
        __m256i even = _mm256_and_si256(beat, nibble);
        __m256i odd = _mm256_and_si256(_mm256_srli_epi16(beat, 4), nibble);
        __m512i at = codes(x + GROUP * g);
        low[g] = _mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_shuffle_epi8(book, even)), at);
        high[g] = _mm512_madd_epi16(_mm512_cvtepi8_epi16(_mm256_shuffle_epi8(book, odd)), at);
    }
    four_sums(sums, low[0], low[1], high[0], high[1]);
}

/* 16 columns: significand times x, shifted by the exponent. */
WIDE __m512i fp8_part(const uint8_t *w, const uint8_t *x)
{
    const __m512i one = _mm512_set1_epi32(1);
    __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)w));
    __m512i at = _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)x));
    __m512i exp = _mm512_and_si512(_mm512_srli_epi32(code, 3), _mm512_set1_epi32(15));
    __m512i man = _mm512_and_si512(code, _mm512_set1_epi32(7));
    __mmask16 normal = _mm512_test_epi32_mask(exp, exp);
    __mmask16 negative = _mm512_test_epi32_mask(code, _mm512_set1_epi32(128));
    man = _mm512_mask_or_epi32(man, normal, man, _mm512_set1_epi32(8));
    exp = _mm512_mask_sub_epi32(exp, normal, exp, one);
    at = _mm512_mask_sub_epi32(at, negative, _mm512_setzero_si512(), at);
    /* man has no high half, so each multiply-add is one product: of man and a 16-bit x. */
    return _mm512_sllv_epi32(
        _mm512_madd_epi16(man, _mm512_and_si512(at, _mm512_set1_epi32(0xFFFF))), exp);
}

WIDE void wide_fp8(const uint8_t *w, const uint8_t *x, uint32_t *sums)
{
    groups(sums, _mm512_add_epi32(fp8_part(w, x), fp8_part(w + 16, x + 16)),
           _mm512_add_epi32(fp8_part(w + 32, x + 32), fp8_part(w + 48, x + 48)));
}

WIDE void wide_router(const uint8_t *w, const uint8_t *x, uint32_t *sums)
{
    __m512i weights = _mm512_loadu_si512(w);
    __m512i low = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)(x + GROUP)));
    groups(sums, _mm512_madd_epi16(weights, codes(x)), _mm512_madd_epi16(weights, low));
}

__attribute__((target("avx512f,avx512bw,avx512vl"))) static void wide_beat(int kind,
                                                                           const uint8_t *w,
                                                                           const uint8_t *x,
                                                                           uint32_t *sums)
{
    if (kind == KIND_ROUTER)
        wide_router(w, x, sums);
    else if (kind == SL_FORMAT_FP8)
        wide_fp8(w, x, sums);
    else if (kind == SL_FORMAT_Q8)
        wide_q8(w, x, sums);
    else
        wide_4bit(kind, w, x, sums);
}
#endif

/* ---- any machine ---------------------------------------------------------------------------- */

static int32_t fp8_value(uint8_t code)
{
    unsigned exp = code >> 3 & 15;
    int32_t v = exp ? (int32_t)(8 | (code & 7)) << (exp - 1) : code & 7;
    return code & 0x80 ? -v : v;
}

static int32_t signed_byte(uint8_t code)
{
    return (int32_t)(code ^ 0x80u) - 0x80;
}

static int32_t low_weight(int kind, const uint8_t *w, unsigned lane)
{
    switch (kind) {
    case KIND_ROUTER: return (int16_t)(w[2 * (lane % GROUP)] | w[2 * (lane % GROUP) + 1] << 8);
    case SL_FORMAT_FP8: return fp8_value(w[lane]);
    case SL_FORMAT_Q8: return signed_byte(w[lane]);
    default: return books[kind][w[lane] & 15];
    }
}

static void plain_beat(int kind, const uint8_t *w, const uint8_t *x, uint32_t *sums)
{
    int32_t low[2] = {0}, high[2] = {0};
    for (unsigned i = 0; i < LANES; i++) {
        int32_t at = kind == KIND_ROUTER && i >= GROUP ? x[i] : signed_byte(x[i]);
        low[i / GROUP] += low_weight(kind, w, i) * at;
        if (kind >= SL_FORMAT_NF4 && kind < KIND_ROUTER)
            high[i / GROUP] += books[kind][w[i] >> 4] * at;
    }
    for (unsigned g = 0; g < 2; g++) {
        sums[g] = (uint32_t)low[g];
        sums[2 + g] = (uint32_t)high[g];
    }
}

/* ---- the array ------------------------------------------------------------------------------ */

struct step {
    uint32_t at;
    bool row[2], clear;
    uint64_t *add[2]; /* n_column each: of the low and of the high row */
};

/* What a step multiplies is kept and multiplied in a later call: the processor would wait for data
 * that it has just stored in smaller pieces than it loads here. */
struct sl_dot {
    uint32_t n_column, head, tail; /* free running, of flight */
    bool pending;                  /* the youngest step is not multiplied yet */
    int kind;
    uint32_t scales;
    beat_fn *beat_sums;
    uint8_t beat[LANES];
    struct step flight[MAX_FLIGHT];
    uint8_t *x;       /* [column][LANES] */
    uint16_t *xe;     /* [column] */
    uint64_t *sum[2]; /* [at][column] of the low and of the high row */
    uint64_t memory[];
};

struct sl_dot *sl_dot_open(int n_column, int depth)
{
    size_t t = (size_t)n_column, n = (size_t)depth * t;
    size_t words = 2 * n + 2 * MAX_FLIGHT * t + t * LANES / 8 + t;
    struct sl_dot *d = calloc(1, sizeof *d + words * sizeof(uint64_t));
    if (!d)
        abort(); /* the caller is a model of hardware: it has no way to fail */
    d->n_column = (uint32_t)n_column;
    uint64_t *m = d->memory;
    for (unsigned row = 0; row < 2; row++, m += n)
        d->sum[row] = m;
    for (unsigned i = 0; i < 2 * MAX_FLIGHT; i++, m += t)
        d->flight[i / 2].add[i % 2] = m;
    d->x = (uint8_t *)m;
    d->xe = (uint16_t *)(m + t * LANES / 8);
    d->beat_sums = plain_beat;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        d->beat_sums = wide_beat;
#endif
    return d;
}

void sl_dot_close(struct sl_dot *d)
{
    free(d);
}

void sl_dot_reset(struct sl_dot *d)
{
    d->head = d->tail;
    d->pending = false;
}

/* Both groups of one row: times their significands, shifted by both exponents, as 5 bits. */
static uint64_t row_sum(const struct sl_dot *d, const uint32_t *sums, uint32_t scales, uint32_t xe)
{
    uint64_t sum = 0;
    for (unsigned g = 0; g < 2; g++, scales >>= 8, xe >>= 5) {
        int64_t s = (int32_t)sums[g];
        uint32_t shift = xe;
        if (d->kind == KIND_ROUTER)
            shift += g == 0 ? ROUTER_SHIFT : 0;
        else if (d->kind != SL_FORMAT_FP8) {
            s *= SL_SIG_BASE + (scales & 31);
            shift += scales >> 5 & 7;
        }
        sum += (uint64_t)s << (shift & 31);
    }
    return sum;
}

static inline bool is_four_bit(const struct sl_dot *d)
{
    return d->kind >= SL_FORMAT_NF4 && d->kind != KIND_ROUTER;
}

static void multiply(struct sl_dot *d)
{
    const struct step *s = &d->flight[(d->tail - 1) % MAX_FLIGHT];
    d->pending = false;
    for (unsigned j = 0; j < d->n_column; j++) {
        uint32_t sums[4];
        d->beat_sums(d->kind, d->beat, d->x + (size_t)LANES * j, sums);
        s->add[0][j] = row_sum(d, sums, d->scales, d->xe[j]);
        s->add[1][j] =
            is_four_bit(d) ? row_sum(d, sums + 2, d->scales >> 16, d->xe[j]) : s->add[0][j];
    }
}

void sl_dot_load(struct sl_dot *d, int format, int router, const uint32_t *beat, uint32_t scales)
{
    if (d->pending)
        multiply(d);
    /* A job of an unknown format is refused, but what travels through the array meanwhile is not
     * looked at: any beat is a beat of some format. */
    d->kind = router ? KIND_ROUTER : format < KIND_ROUTER ? format : SL_FORMAT_INT4;
    d->scales = scales;
    memcpy(d->beat, beat, LANES);
}

static void keep_exponents(struct sl_dot *d, const uint32_t *xe)
{
    enum { BITS = 10 };
    for (unsigned j = 0; j < d->n_column; j++) {
        unsigned word = BITS * j / 32, shift = BITS * j % 32;
        uint32_t both = xe[word] >> shift;
        if (shift > 32 - BITS)
            both |= xe[word + 1] << (32 - shift);
        d->xe[j] = both & ((1u << BITS) - 1);
    }
}

void sl_dot_step(struct sl_dot *d, int at, int row, int clear, const uint32_t *x,
                 const uint32_t *xe)
{
    if (d->pending)
        multiply(d);
    struct step *s = &d->flight[d->tail++ % MAX_FLIGHT];
    s->at = (uint32_t)at;
    s->row[0] = is_four_bit(d) || !row;
    s->row[1] = is_four_bit(d) || row;
    s->clear = clear;
    for (size_t j = 0; j < d->n_column; j++) /* of constant size: inline */
        memcpy(d->x + LANES * j, x + LANES / 4 * j, LANES);
    keep_exponents(d, xe);
    d->pending = true;
}

void sl_dot_commit(struct sl_dot *d)
{
    if (d->pending && d->tail - d->head == 1)
        multiply(d);
    const struct step *s = &d->flight[d->head++ % MAX_FLIGHT];
    for (unsigned row = 0; row < 2; row++) {
        uint64_t *sum = d->sum[row] + (size_t)s->at * d->n_column;
        if (s->row[row])
            for (unsigned j = 0; j < d->n_column; j++)
                sum[j] = (s->clear ? 0 : sum[j]) + s->add[row][j];
    }
}

uint64_t sl_dot_sum(struct sl_dot *d, int high, int at, int column)
{
    return d->sum[high][(size_t)at * d->n_column + (size_t)column];
}
