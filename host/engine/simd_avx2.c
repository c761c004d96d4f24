/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 with FMA: two registers are the 16 partial sums. */
#include "engine/simd.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#include "base/avx2.h"

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

/* c in SL_EXP_MIN .. SL_EXP_MAX: its power of two, and the polynomial of what is left. */
V16 __m256 exp_parts(__m256 c, __m256i *k)
{
    __m256 n = _mm256_round_ps(_mm256_mul_ps(c, _mm256_set1_ps(SL_EXP_LOG2E)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-SL_EXP_LN2_HI), c);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-SL_EXP_LN2_LO), r);
    __m256 p = step8(_mm256_set1_ps(SL_EXP_C6), r, SL_EXP_C5);
    p = step8(p, r, SL_EXP_C4);
    p = step8(p, r, SL_EXP_C3);
    p = step8(p, r, SL_EXP_C2);
    p = step8(p, r, 1.0f);
    *k = _mm256_cvtps_epi32(n);
    return step8(p, r, 1.0f);
}

/* sl_expf on 8 lanes. */
V16 __m256 exp8(__m256 x)
{
    __m256 low = _mm256_set1_ps(SL_EXP_MIN), high = _mm256_set1_ps(SL_EXP_MAX);
    __m256i k;
    __m256 p = exp_parts(_mm256_min_ps(_mm256_max_ps(x, low), high), &k);
    __m256i half = _mm256_srai_epi32(_mm256_add_epi32(k, _mm256_srli_epi32(k, 31)), 1);
    p = _mm256_mul_ps(_mm256_mul_ps(p, pow2i8(half)), pow2i8(_mm256_sub_epi32(k, half)));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), p);
    p = _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(x, high, _CMP_GT_OQ));
    return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/* The same where x <= 0: the power of two, 2^-126 at least, is one factor. A NaN passes all steps.
 */
V16 __m256 exp_low8(__m256 x)
{
    __m256 low = _mm256_set1_ps(SL_EXP_MIN);
    __m256i k;
    __m256 p = exp_parts(_mm256_max_ps(low, x), &k);
    return _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), _mm256_mul_ps(p, pow2i8(k)));
}

V16 v16 v16_exp_low(v16 x)
{
    return (v16){exp_low8(x.lo), exp_low8(x.hi)};
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

/* Sixteen lanes of 32 bits: pairs of s16, sums of products, four bytes of each of 16 records. */
typedef struct {
    __m256i lo, hi;
} p16;
typedef p16 s16;
typedef p16 d16;

V16 p16 p16_load(const int16_t *p)
{
    return (p16){_mm256_loadu_si256((const void *)p), _mm256_loadu_si256((const void *)(p + 16))};
}

V16 void p16_store(int16_t *p, p16 a)
{
    _mm256_storeu_si256((void *)p, a.lo);
    _mm256_storeu_si256((void *)(p + 16), a.hi);
}

V16 p16 p16_set1(const int16_t *pair)
{
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return (p16){_mm256_set1_epi32(both), _mm256_set1_epi32(both)};
}

V16 __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const void *)p);
}

V16 p16 p16_load_s8(const uint8_t *p)
{
    return (p16){_mm256_cvtepi8_epi16(load16(p)), _mm256_cvtepi8_epi16(load16(p + 16))};
}

V16 p16 p16_load_u4(const uint8_t *p, int zero)
{
    __m128i x = load16(p);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(x), _mm_srli_epi16(x, 4), 1);
    __m256i low = _mm256_set1_epi16(15), z = _mm256_set1_epi16((short)zero);
    return (p16){_mm256_sub_epi16(_mm256_and_si256(both, low), z),
                 _mm256_sub_epi16(_mm256_and_si256(_mm256_srli_epi16(both, 8), low), z)};
}

V16 p16 p16_zip_s8(const uint8_t *a, const uint8_t *b)
{
    __m128i x = load16(a), y = load16(b);
    return (p16){_mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)),
                 _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y))};
}

V16 void p16_zip_u4(const uint8_t *a, const uint8_t *b, const int16_t zero[2], p16 out[2])
{
    __m128i x = load16(a), y = load16(b);
    __m256i zip = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(x, y)),
                                          _mm_unpackhi_epi16(x, y), 1);
    __m256i low = _mm256_set1_epi16(15), z = p16_set1(zero).lo;
    out[0].lo = _mm256_sub_epi16(_mm256_and_si256(zip, low), z);
    out[0].hi = _mm256_sub_epi16(_mm256_and_si256(_mm256_srli_epi16(zip, 4), low), z);
    out[1].lo = _mm256_sub_epi16(_mm256_and_si256(_mm256_srli_epi16(zip, 8), low), z);
    out[1].hi = _mm256_sub_epi16(_mm256_srli_epi16(zip, 12), z);
}

V16 s16 s16_zero(void)
{
    return (s16){_mm256_setzero_si256(), _mm256_setzero_si256()};
}

V16 s16 s16_madd(p16 a, p16 b, s16 c)
{
    return (s16){sl_madd256(c.lo, a.lo, b.lo), sl_madd256(c.hi, a.hi, b.hi)};
}

V16 const int16_t *s16_then(const int16_t *at, s16 sum)
{
    __asm__("" : "+r"(at) : "x"(sum.hi));
    return at;
}

V16 void s16_totals(const s16 a[4], int32_t out[4])
{
    __m256i s[4];
    for (int r = 0; r < 4; r++)
        s[r] = _mm256_add_epi32(a[r].lo, a[r].hi);
    __m256i two = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    _mm_storeu_si128((void *)out,
                     _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1)));
}

V16 v16 v16_from_s16(s16 a)
{
    return (v16){_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}

V16 void v16_store_codes(int16_t *p, v16 a)
{
    __m256i codes = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
    codes = _mm256_permute4x64_epi64(codes, _MM_SHUFFLE(3, 1, 2, 0));
    _mm256_storeu_si256((void *)p, codes);
}

V16 void turn8(const uint8_t *src, size_t stride, __m256i out[4])
{
    const __m256i row[4] = {sl_two_rows256(src, src + 4 * stride),
                            sl_two_rows256(src + stride, src + 5 * stride),
                            sl_two_rows256(src + 2 * stride, src + 6 * stride),
                            sl_two_rows256(src + 3 * stride, src + 7 * stride)};
    sl_turn256(row, out);
}

V16 void turn16(const uint8_t *src, size_t stride, d16 out[4])
{
    __m256i low[4], high[4];
    turn8(src, stride, low);
    turn8(src + 8 * stride, stride, high);
    out[0] = (d16){low[0], high[0]};
    out[1] = (d16){low[1], high[1]};
    out[2] = (d16){low[2], high[2]};
    out[3] = (d16){low[3], high[3]};
}

V16 p16 p16_from_s8(d16 a, bool high)
{
    return (p16){sl_bytes256(a.lo, high), sl_bytes256(a.hi, high)};
}

V16 p16 p16_from_u4(d16 a, int m, p16 zero)
{
    __m256i low = _mm256_set1_epi16(15);
    __m256i lo = _mm256_and_si256(_mm256_srli_epi16(a.lo, 4 * m), low);
    __m256i hi = _mm256_and_si256(_mm256_srli_epi16(a.hi, 4 * m), low);
    return (p16){_mm256_sub_epi16(lo, zero.lo), _mm256_sub_epi16(hi, zero.hi)};
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
