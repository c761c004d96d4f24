/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 with FMA: two registers are the 16 partial sums. */
#include "engine/simd.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define SL_SIMD_SET avx2
#define SL_SIMD_TARGET __attribute__((target("avx2,fma,f16c")))
#include "engine/mathf.h"

typedef struct {
    __m256 lo, hi;
} v16;

#define V16 SL_SIMD_TARGET static inline __attribute__((always_inline))

V16 v16 v16_set1(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

V16 v16 v16_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

V16 void v16_store(float *p, v16 a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}

V16 v16 v16_load_s8(const int8_t *p)
{
    __m128i b;
    memcpy(&b, p, sizeof b);
    return (v16){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b)),
                 _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(b, 8)))};
}

/* Lane l takes nibble l of its half's 32 bits. */
V16 __m256 load_u4x8(const uint8_t *p, __m256 zero)
{
    int32_t bits;
    memcpy(&bits, p, sizeof bits);
    const __m256i shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    __m256i c = _mm256_srlv_epi32(_mm256_set1_epi32(bits), shift);
    return _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_and_si256(c, _mm256_set1_epi32(15))), zero);
}

V16 v16 v16_load_u4(const uint8_t *p, float z)
{
    __m256 zero = _mm256_set1_ps(z);
    return (v16){load_u4x8(p, zero), load_u4x8(p + 4, zero)};
}

V16 v16 v16_add(v16 a, v16 b)
{
    return (v16){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

V16 v16 v16_sub(v16 a, v16 b)
{
    return (v16){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}

V16 v16 v16_mul(v16 a, v16 b)
{
    return (v16){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

V16 v16 v16_div(v16 a, v16 b)
{
    return (v16){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}

/* a > b ? a : b, so a NaN in a is passed over. */
V16 v16 v16_max(v16 a, v16 b)
{
    return (v16){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}

V16 v16 v16_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

V16 __m256 pow2i8(__m256i k)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(k, _mm256_set1_epi32(127)), 23));
}

V16 __m256 step8(__m256 p, __m256 r, float c)
{
    return _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
}

/* sl_expf on 8 lanes. */
V16 __m256 exp8(__m256 x)
{
    __m256 low = _mm256_set1_ps(SL_EXP_MIN), high = _mm256_set1_ps(SL_EXP_MAX);
    __m256 c = _mm256_min_ps(_mm256_max_ps(x, low), high);
    __m256 n = _mm256_round_ps(_mm256_mul_ps(c, _mm256_set1_ps(SL_EXP_LOG2E)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-SL_EXP_LN2_HI), c);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-SL_EXP_LN2_LO), r);
    __m256 p = step8(_mm256_set1_ps(SL_EXP_C6), r, SL_EXP_C5);
    p = step8(p, r, SL_EXP_C4);
    p = step8(p, r, SL_EXP_C3);
    p = step8(p, r, SL_EXP_C2);
    p = step8(p, r, 1.0f);
    p = step8(p, r, 1.0f);
    __m256i k = _mm256_cvtps_epi32(n);
    __m256i half = _mm256_srai_epi32(_mm256_add_epi32(k, _mm256_srli_epi32(k, 31)), 1);
    p = _mm256_mul_ps(_mm256_mul_ps(p, pow2i8(half)), pow2i8(_mm256_sub_epi32(k, half)));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), p);
    p = _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(x, high, _CMP_GT_OQ));
    return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

V16 v16 v16_exp(v16 x)
{
    return (v16){exp8(x.lo), exp8(x.hi)};
}

V16 float v16_tree(v16 a)
{
    __m256 s8 = _mm256_add_ps(a.lo, a.hi);
    __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

/* Four trees at once: lanes of the last two steps belong to four sums. */
V16 void v16_tree4(const v16 a[4], float out[4])
{
    __m128 s[4];
    for (int r = 0; r < 4; r++) {
        __m256 s8 = _mm256_add_ps(a[r].lo, a[r].hi);
        s[r] = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    }
    __m128 lo = _mm_add_ps(_mm_movelh_ps(s[0], s[1]), _mm_movehl_ps(s[1], s[0]));
    __m128 hi = _mm_add_ps(_mm_movelh_ps(s[2], s[3]), _mm_movehl_ps(s[3], s[2]));
    __m128 even = _mm_shuffle_ps(lo, hi, _MM_SHUFFLE(2, 0, 2, 0));
    __m128 odd = _mm_shuffle_ps(lo, hi, _MM_SHUFFLE(3, 1, 3, 1));
    _mm_storeu_ps(out, _mm_add_ps(even, odd));
}

/* E4M3 bits in fp32's places are 2^120 too small; only the NaN code differs beyond that. */
V16 __m256 widen_e4m3(__m128i codes)
{
    __m256i c = _mm256_cvtepu8_epi32(codes), seven = _mm256_set1_epi32(0x7F);
    __m256i low = _mm256_and_si256(c, seven);
    __m256i sign = _mm256_slli_epi32(_mm256_xor_si256(c, low), 24);
    __m256 x =
        _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(low, 20)), _mm256_set1_ps(0x1p120f));
    __m256 nan = _mm256_castsi256_ps(_mm256_cmpeq_epi32(low, seven));
    x = _mm256_blendv_ps(x, _mm256_set1_ps(NAN), nan);
    return _mm256_or_ps(x, _mm256_castsi256_ps(sign));
}

V16 __m256 widen_bf16(__m128i half)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

V16 v16 v16_load_wide(enum sl_dtype dtype, const uint8_t *src)
{
    __m128i a, b;
    memcpy(&a, src, sizeof a);
    if (dtype == SL_DTYPE_F8_E4M3)
        return (v16){widen_e4m3(a), widen_e4m3(_mm_srli_si128(a, 8))};
    if (dtype == SL_DTYPE_F32)
        return (v16){_mm256_loadu_ps((const float *)(const void *)src),
                     _mm256_loadu_ps((const float *)(const void *)(src + 32))};
    memcpy(&b, src + 16, sizeof b);
    return dtype == SL_DTYPE_BF16 ? (v16){widen_bf16(a), widen_bf16(b)}
                                  : (v16){_mm256_cvtph_ps(a), _mm256_cvtph_ps(b)};
}

V16 float v16_top(v16 a)
{
    __m256 m8 = _mm256_max_ps(a.lo, a.hi);
    __m128 m4 = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));
    __m128 m2 = _mm_max_ps(m4, _mm_movehl_ps(m4, m4));
    return _mm_cvtss_f32(_mm_max_ss(m2, _mm_movehdup_ps(m2)));
}

typedef struct {
    __m256i lo, hi;
} d16;
typedef int32_t s32x8 __attribute__((vector_size(32)));
typedef uint32_t u32x8 __attribute__((vector_size(32)));

V16 v16 v16_from_s8(d16 a, int m)
{
    int n = 24 - 8 * m;
    return (v16){_mm256_cvtepi32_ps((__m256i)((s32x8)a.lo << n >> 24)),
                 _mm256_cvtepi32_ps((__m256i)((s32x8)a.hi << n >> 24))};
}

V16 v16 v16_from_u4(d16 a, int m)
{
    int n = 28 - 4 * m;
    return (v16){_mm256_cvtepi32_ps((__m256i)((u32x8)a.lo << n >> 28)),
                 _mm256_cvtepi32_ps((__m256i)((u32x8)a.hi << n >> 28))};
}

/* Rows 0 and 4 from src on, in the two lanes. */
V16 __m256i load_rows2(const uint8_t *src, size_t stride)
{
    __m128i low = _mm_loadu_si128((const void *)src);
    __m128i high = _mm_loadu_si128((const void *)(src + 4 * stride));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* Four bytes each of 8 rows. */
V16 void turn8(const uint8_t *src, size_t stride, __m256i out[4])
{
    __m256i r0 = load_rows2(src, stride), r1 = load_rows2(src + stride, stride);
    __m256i r2 = load_rows2(src + 2 * stride, stride), r3 = load_rows2(src + 3 * stride, stride);
    __m256i a = _mm256_unpacklo_epi32(r0, r1), b = _mm256_unpackhi_epi32(r0, r1);
    __m256i c = _mm256_unpacklo_epi32(r2, r3), d = _mm256_unpackhi_epi32(r2, r3);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

V16 void turn16(const uint8_t *src, size_t stride, d16 out[4])
{
    __m256i low[4], high[4];
    turn8(src, stride, low);
    turn8(src + 8 * stride, stride, high);
    for (int i = 0; i < 4; i++)
        out[i] = (d16){low[i], high[i]};
}

#include "engine/simd_kernels.h"

const struct sl_simd *sl_simd_avx2(void)
{
    return &table_avx2;
}
#else
const struct sl_simd *sl_simd_avx2(void)
{
    return NULL;
}
#endif
