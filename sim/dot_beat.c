/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The group sums of one beat times one token column, called from rtl/sl_dot.sv in its DPI form in
 * place of 64 decoders, 64 multipliers and the adders behind them. The sums are exact integers, so
 * the way to them does not matter; sim_forms_agree compares both forms of the core.
 */
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "sl_abi.h"

enum { LANES = 64, GROUP = 32, KIND_ROUTER = 5 };

#define CODEBOOK(format, ...) [SL_FORMAT_##format] = {__VA_ARGS__},
static const int8_t books[][16] = {
#include "tables.def"
};
#undef CODEBOOK

/* kind: SL_FORMAT_*, or KIND_ROUTER. w: a beat. x: 64 codes, exponents behind them. sums: low row
 * groups 0 and 1, high row groups 0 and 1. */
void sl_dot_beat(int kind, const uint32_t *w, const uint32_t *x, uint32_t *sums);

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl"))) static inline

WIDE __m512i codes(const uint8_t *p)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p));
}

WIDE void groups(uint32_t *out, __m512i g0, __m512i g1)
{
    out[0] = (uint32_t)_mm512_reduce_add_epi32(g0);
    out[1] = (uint32_t)_mm512_reduce_add_epi32(g1);
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
    groups(sums, low[0], low[1]);
    groups(sums + 2, high[0], high[1]);
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
    sums[2] = sums[3] = 0;
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

void sl_dot_beat(int kind, const uint32_t *w, const uint32_t *x, uint32_t *sums)
{
    /* A job of an unknown format is refused, but what travels through the array meanwhile is not
     * looked at: any beat is a beat of some format. */
    if (kind < 0 || kind > KIND_ROUTER)
        kind = SL_FORMAT_INT4;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        wide_beat(kind, (const uint8_t *)w, (const uint8_t *)x, sums);
        return;
    }
#endif
    plain_beat(kind, (const uint8_t *)w, (const uint8_t *)x, sums);
}
