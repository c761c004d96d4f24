/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512: one register is the 16 partial sums. */
#include "engine/simd.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define SL_SIMD_SET avx512
#define SL_SIMD_TARGET __attribute__((target("avx512f,avx512bw,avx512vnni,avx2,fma")))
#include "engine/mathf.h"

typedef __m512 v16;

#define V16 SL_SIMD_TARGET static inline __attribute__((always_inline))

V16 v16 v16_set1(float x)
{
    return _mm512_set1_ps(x);
}

V16 v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

V16 void v16_store(float *p, v16 a)
{
    _mm512_storeu_ps(p, a);
}

V16 v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}

V16 v16 v16_sub(v16 a, v16 b)
{
    return _mm512_sub_ps(a, b);
}

V16 v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}

V16 v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}

/* a > b ? a : b, so a NaN in a is passed over. */
V16 v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}

V16 v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* sl_expf on 16 lanes. A NaN passes all steps. */
V16 v16 v16_exp(v16 x)
{
    v16 low = v16_set1(SL_EXP_MIN), high = v16_set1(SL_EXP_MAX);
    v16 c = _mm512_max_ps(low, x);
    v16 n = _mm512_roundscale_ps(v16_mul(c, v16_set1(SL_EXP_LOG2E)), _MM_FROUND_TO_NEAREST_INT);
    v16 r = v16_fma(n, v16_set1(-SL_EXP_LN2_HI), c);
    r = v16_fma(n, v16_set1(-SL_EXP_LN2_LO), r);
    v16 p = v16_fma(v16_set1(SL_EXP_C6), r, v16_set1(SL_EXP_C5));
    p = v16_fma(p, r, v16_set1(SL_EXP_C4));
    p = v16_fma(p, r, v16_set1(SL_EXP_C3));
    p = v16_fma(p, r, v16_set1(SL_EXP_C2));
    p = v16_fma(p, r, v16_set1(1.0f));
    p = v16_fma(p, r, v16_set1(1.0f));
    p = _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ), p, n);
    return _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, high, _CMP_GT_OQ), v16_set1(INFINITY));
}

V16 v16 v16_exp_low(v16 x)
{
    return v16_exp(x);
}

/* First step of the tree: distance 8. */
V16 __m256 fold8(v16 a)
{
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
    return _mm256_add_ps(_mm512_castps512_ps256(a), high);
}

V16 float v16_tree(v16 a)
{
    __m256 s8 = fold8(a);
    __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

/* E4M3 bits in fp32's places are 2^120 too small; only the NaN code differs beyond that. */
V16 v16 widen_e4m3(__m128i codes)
{
    __m512i c = _mm512_cvtepu8_epi32(codes);
    __m512i low = _mm512_and_si512(c, _mm512_set1_epi32(0x7F));
    __m512i sign = _mm512_slli_epi32(_mm512_xor_si512(c, low), 24);
    v16 x = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(low, 20)), v16_set1(0x1p120f));
    __mmask16 nan = _mm512_cmpeq_epi32_mask(low, _mm512_set1_epi32(0x7F));
    x = _mm512_mask_mov_ps(x, nan, v16_set1(NAN));
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(x), sign));
}

V16 v16 v16_load_wide(enum sl_dtype dtype, const uint8_t *src)
{
    __m256i half;
    __m128i byte;
    switch (dtype) {
    case SL_DTYPE_BF16:
        memcpy(&half, src, sizeof half);
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    case SL_DTYPE_F16: memcpy(&half, src, sizeof half); return _mm512_cvtph_ps(half);
    case SL_DTYPE_F8_E4M3: memcpy(&byte, src, sizeof byte); return widen_e4m3(byte);
    default: return _mm512_loadu_ps(src);
    }
}

V16 float v16_top(v16 a)
{
    return _mm512_reduce_max_ps(a);
}

/* Sixteen lanes of 32 bits: pairs of s16, sums of products, four bytes of each of 16 records. */
typedef __m512i p16;
typedef __m512i s16;
typedef __m512i d16;

V16 p16 p16_load(const int16_t *p)
{
    return _mm512_loadu_si512(p);
}

V16 void p16_store(int16_t *p, p16 a)
{
    _mm512_storeu_si512(p, a);
}

V16 p16 p16_set1(const int16_t *pair)
{
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return _mm512_set1_epi32(both);
}

V16 __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const void *)p);
}

V16 p16 p16_load_s8(const uint8_t *p)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p));
}

V16 p16 p16_load_u4(const uint8_t *p, int zero)
{
    const __m512i shift =
        _mm512_setr_epi64(0, 0, 0x0004000400040004, 0x0004000400040004, 0x0008000800080008,
                          0x0008000800080008, 0x000C000C000C000C, 0x000C000C000C000C);
    __m512i code = _mm512_srlv_epi16(_mm512_broadcast_i32x4(load16(p)), shift);
    return _mm512_sub_epi16(_mm512_and_si512(code, _mm512_set1_epi16(15)),
                            _mm512_set1_epi16((short)zero));
}

V16 __m256i zip(__m128i low, __m128i high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

V16 p16 p16_zip_s8(const uint8_t *a, const uint8_t *b)
{
    __m128i x = load16(a), y = load16(b);
    return _mm512_cvtepi8_epi16(zip(_mm_unpacklo_epi8(x, y), _mm_unpackhi_epi8(x, y)));
}

V16 void p16_zip_u4(const uint8_t *a, const uint8_t *b, const int16_t zero[2], p16 out[2])
{
    __m128i x = load16(a), y = load16(b);
    __m512i both = _mm512_broadcast_i64x4(zip(_mm_unpacklo_epi16(x, y), _mm_unpackhi_epi16(x, y)));
    const __m512i shift = _mm512_setr_epi64(0, 0, 0, 0, 0x0004000400040004, 0x0004000400040004,
                                            0x0004000400040004, 0x0004000400040004);
    __m512i z = p16_set1(zero), low = _mm512_set1_epi16(15), code = _mm512_srlv_epi16(both, shift);
    out[0] = _mm512_sub_epi16(_mm512_and_si512(code, low), z);
    out[1] = _mm512_sub_epi16(_mm512_and_si512(_mm512_srli_epi16(code, 8), low), z);
}

V16 s16 s16_zero(void)
{
    return _mm512_setzero_si512();
}

V16 s16 s16_madd(p16 a, p16 b, s16 c)
{
    return _mm512_dpwssd_epi32(c, a, b);
}

V16 __m256i fold8_s32(s16 a)
{
    return _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
}

V16 const int16_t *s16_then(const int16_t *at, s16 sum)
{
    (void)sum; /* there are registers enough */
    return at;
}

V16 void s16_totals(const s16 a[4], int32_t out[4])
{
    __m256i low = _mm256_hadd_epi32(fold8_s32(a[0]), fold8_s32(a[1]));
    __m256i high = _mm256_hadd_epi32(fold8_s32(a[2]), fold8_s32(a[3]));
    __m256i two = _mm256_hadd_epi32(low, high);
    _mm_storeu_si128((void *)out,
                     _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1)));
}

V16 v16 v16_from_s16(s16 a)
{
    return _mm512_cvtepi32_ps(a);
}

V16 void v16_store_codes(int16_t *p, v16 a)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a)));
}

/* Rows 0, 4, 8, 12 from src on, in the four lanes. */
V16 __m512i load_rows4(const uint8_t *src, size_t stride)
{
    __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const void *)src));
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const void *)(src + 4 * stride)), 1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const void *)(src + 8 * stride)), 2);
    return _mm512_inserti32x4(x, _mm_loadu_si128((const void *)(src + 12 * stride)), 3);
}

V16 void turn16(const uint8_t *src, size_t stride, d16 out[4])
{
    __m512i r0 = load_rows4(src, stride), r1 = load_rows4(src + stride, stride);
    __m512i r2 = load_rows4(src + 2 * stride, stride), r3 = load_rows4(src + 3 * stride, stride);
    __m512i a = _mm512_unpacklo_epi32(r0, r1), b = _mm512_unpackhi_epi32(r0, r1);
    __m512i c = _mm512_unpacklo_epi32(r2, r3), d = _mm512_unpackhi_epi32(r2, r3);
    out[0] = _mm512_unpacklo_epi64(a, c);
    out[1] = _mm512_unpackhi_epi64(a, c);
    out[2] = _mm512_unpacklo_epi64(b, d);
    out[3] = _mm512_unpackhi_epi64(b, d);
}

/* Each byte above zeros in its half, then moved down with its sign. */
V16 p16 p16_from_s8(d16 a, bool high)
{
    __m128i pair = _mm_set_epi32(0x0D800C80, 0x09800880, 0x05800480, 0x01800080);
    __m512i from =
        _mm512_broadcast_i32x4(_mm_add_epi32(pair, _mm_set1_epi32(high ? 0x02000200 : 0)));
    return _mm512_srai_epi16(_mm512_shuffle_epi8(a, from), 8);
}

V16 p16 p16_from_u4(d16 a, int m, p16 zero)
{
    __m512i code = _mm512_srli_epi16(a, (unsigned)(4 * m));
    return _mm512_sub_epi16(_mm512_and_si512(code, _mm512_set1_epi16(15)), zero);
}

#define SL_SIMD_WIDE
#include "engine/simd_kernels.h"

const struct sl_simd *sl_simd_avx512(void)
{
    return &table_avx512;
}
#else
const struct sl_simd *sl_simd_avx512(void)
{
    return NULL;
}
#endif
