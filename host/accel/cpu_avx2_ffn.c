/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX2, beside the weights of experts: checks of activations, from sums of gate and up to h
 * (docs/numerics.md 5.1, 3.2), and a router's sums.
 */
#include "accel/cpu_avx2.h"

#ifdef __x86_64__

/* ---- checks ---------------------------------------------------------------------------------- */

static bool any_above(const uint8_t *p, uint32_t n, uint8_t max)
{
    bool bad = false;
    for (uint32_t i = 0; i < n; i++)
        bad |= p[i] > max;
    return bad;
}

SL_AVX2 bool sl_x_ok_avx2(const struct sl_cpu_x *x)
{
    bool bad = false;
    for (uint32_t t = 0; t < x->n_tok; t++) {
        __m256i wrong = _mm256_setzero_si256();
        for (uint32_t at = 0; at < x->n_col; at += SL_BLOCK)
            wrong = _mm256_or_si256(
                wrong, _mm256_cmpeq_epi8(sl_load256(x->code[t] + at), _mm256_set1_epi8(-128)));
        bad = bad || _mm256_movemask_epi8(wrong) ||
              any_above(x->xe[t], x->n_col / SL_BLOCK, SL_XE_MAX);
    }
    return !bad;
}

SL_AVX2 bool sl_x16_ok_avx2(const uint8_t *xe, const uint8_t *code, uint32_t k)
{
    __m256i wrong = _mm256_setzero_si256();
    for (size_t at = 0; at < 2 * (size_t)k; at += 32)
        wrong = _mm256_or_si256(
            wrong, _mm256_cmpeq_epi16(sl_load256(code + at), _mm256_set1_epi16(INT16_MIN)));
    return !_mm256_movemask_epi8(wrong) && !any_above(xe, k / SL_BLOCK, SL_XE16_MAX);
}

/* ---- SwiGLU ---------------------------------------------------------------------------------- */

SL_V256 __m256i abs64(__m256i v)
{
    __m256i minus = _mm256_cmpgt_epi64(_mm256_setzero_si256(), v);
    return _mm256_sub_epi64(_mm256_xor_si256(v, minus), minus);
}

/* v * 2^-s, 1 <= s <= 63, to nearest, ties to even, of v >= 0. */
SL_V256 __m256i shift_right(__m256i v, int s)
{
    const __m128i count = _mm_cvtsi32_si128(s);
    const __m256i one = _mm256_set1_epi64x(1), half = _mm256_set1_epi64x(INT64_C(1) << (s - 1));
    __m256i kept = _mm256_srl_epi64(v, count);
    __m256i rest = _mm256_sub_epi64(v, _mm256_sll_epi64(kept, count));
    __m256i odd = _mm256_and_si256(kept, one);
    /* Up when rest + odd > half: a tie of an odd number, or more. */
    __m256i up = _mm256_cmpgt_epi64(_mm256_add_epi64(rest, odd), half);
    return _mm256_sub_epi64(kept, up);
}

/* sl_scale_s32 of four, one by one: any exponents, products of 80 bits. */
static void scale_rare(int64_t v[4], uint16_t mant, int e, uint32_t *n_sat)
{
    for (int i = 0; i < 4; i++)
        v[i] = sl_cpu_scale_s32(v[i], mant, e, n_sat);
}

/* sl_scale_s32, sign-extended to 64 bits; *n_sat counts. */
SL_V256 __m256i scale_s32(__m256i v, uint16_t mant, int e, uint32_t *n_sat)
{
    const __m256i zero = _mm256_setzero_si256(), m = _mm256_set1_epi64x(mant);
    __m256i minus = _mm256_cmpgt_epi64(zero, v), a = abs64(v);
    __m256i hi = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), m), low = _mm256_mul_epu32(a, m);
    /* The product is below 2^62 when its upper half is below 2^29. */
    const bool wide = !_mm256_testz_si256(hi, _mm256_set1_epi64x(-(INT64_C(1) << 29)));
    if (wide || e >= 0 || e < -63) {
        int64_t four[4];
        _mm256_storeu_si256((void *)four, v);
        scale_rare(four, mant, e, n_sat);
        return sl_load256(four);
    }
    __m256i q = shift_right(_mm256_add_epi64(_mm256_slli_epi64(hi, 32), low), -e);
    __m256i limit = _mm256_sub_epi64(_mm256_set1_epi64x(INT32_MAX), minus);
    __m256i over = _mm256_cmpgt_epi64(q, limit);
    *n_sat += (uint32_t)__builtin_popcount((unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(over)));
    q = _mm256_blendv_epi8(q, limit, over);
    return _mm256_sub_epi64(_mm256_xor_si256(q, minus), minus);
}

/* v * 2^-16 to nearest, ties to even: the magnitude's, sign restored. */
SL_V256 __m256i round16(__m256i v)
{
    __m256i minus = _mm256_cmpgt_epi64(_mm256_setzero_si256(), v);
    __m256i q = shift_right(abs64(v), 16);
    return _mm256_sub_epi64(_mm256_xor_si256(q, minus), minus);
}

/* silu of g: both s32 Q16 in 64 bits. */
SL_V256 __m256i silu(__m256i g, const uint32_t *table)
{
    const __m256i one = _mm256_set1_epi64x(65536);
    __m256i minus = _mm256_cmpgt_epi64(_mm256_setzero_si256(), g), a = abs64(g);
    __m256i inside = _mm256_cmpgt_epi64(_mm256_set1_epi64x(16 << 16), a);
    /* Two neighbours of the table at once. */
    __m256i two =
        _mm256_mask_i64gather_epi64(one, (const void *)table, _mm256_srli_epi64(a, 12), inside, 4);
    __m256i low = _mm256_and_si256(two, _mm256_set1_epi64x(UINT32_MAX));
    __m256i step = _mm256_mul_epu32(_mm256_sub_epi64(_mm256_srli_epi64(two, 32), low),
                                    _mm256_and_si256(a, _mm256_set1_epi64x(4095)));
    step = _mm256_srli_epi64(_mm256_add_epi64(step, _mm256_set1_epi64x(2048)), 12);
    __m256i sigma = _mm256_blendv_epi8(one, _mm256_add_epi64(low, step), inside);
    sigma = _mm256_blendv_epi8(sigma, _mm256_sub_epi64(one, sigma), minus);
    return round16(_mm256_mul_epi32(g, sigma));
}

/* h of four units in Q32. */
SL_V256 __m256i swiglu4(const struct sl_cpu_swiglu *s, const int64_t *sum, const uint32_t *table,
                        uint32_t *n_sat)
{
    __m256i a = sl_load256(sum), b = sl_load256(sum + 4);
    __m256i g = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), 0xD8);
    __m256i u = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a, b), 0xD8);
    g = scale_s32(g, s->mant0, s->exp0, n_sat);
    u = scale_s32(u, s->mant1, s->exp1, n_sat);
    return _mm256_mul_epi32(silu(g, table), u);
}

/* The magnitude, below 2^31, in the lower halves of 64 bits. */
SL_V256 __m256i magnitude_of(__m256i h, int shift)
{
    const __m256i most = _mm256_set1_epi64x(127);
    __m256i a = abs64(h);
    if (shift <= 0)
        a = _mm256_sll_epi64(a, _mm_cvtsi32_si128(-shift));
    else
        a = shift_right(a, shift < 63 ? shift : 63);
    return _mm256_blendv_epi8(a, most, _mm256_cmpgt_epi64(a, most));
}

SL_V256 void put_codes(const __m256i v[8], int shift, int8_t *q)
{
    for (int i = 0; i < 8; i++) {
        int64_t four[4], sign[4];
        _mm256_storeu_si256((void *)four, magnitude_of(v[i], shift));
        _mm256_storeu_si256((void *)sign, v[i]);
        for (int j = 0; j < 4; j++)
            q[4 * i + j] = (int8_t)(sign[j] < 0 ? -four[j] : four[j]);
    }
}

SL_AVX2 void sl_swiglu_avx2(const struct sl_cpu_swiglu *s, const int64_t *sum, uint32_t n,
                            int8_t *h, uint8_t *he, struct sl_cpu_counts *counts)
{
    const uint32_t *table = sl_cpu_sigmoid();
    for (uint32_t b = 0; b < n; b += SL_BLOCK, sum += 2 * SL_BLOCK) {
        __m256i v[8], all = _mm256_setzero_si256();
        for (int i = 0; i < 8; i++) {
            v[i] = swiglu4(s, sum + 8 * i, table, &counts->sat_gu);
            all = _mm256_or_si256(all, abs64(v[i]));
        }
        uint64_t bits[4];
        _mm256_storeu_si256((void *)bits, all);
        const struct sl_cpu_window w =
            sl_cpu_window_of(bits[0] | bits[1] | bits[2] | bits[3], s->u, counts);
        he[b / SL_BLOCK] = (uint8_t)w.he;
        put_codes(v, w.shift, h + b);
    }
}

/* ---- router ---------------------------------------------------------------------------------- */

/*
 * Two products stay below 2 * 32767 * 32768 < 2^31; times 2^15 at most in s64 by vpmuldq; a row is
 * below 2^60 (docs/numerics.md 4).
 */
SL_V256 int64_t row16(const uint8_t *row, const uint8_t *code, const uint8_t *xe, uint32_t n_block)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (uint32_t i = 0; i < 2 * n_block; i++) {
        const size_t at = (size_t)i * 32;
        __m256i p = _mm256_madd_epi16(sl_load256(row + at), sl_load256(code + at));
        __m256i power = _mm256_set1_epi64x(INT64_C(1) << (xe[i / 2] & 63));
        a = _mm256_add_epi64(a, _mm256_mul_epi32(p, power));
        b = _mm256_add_epi64(b, _mm256_mul_epi32(sl_odd_lanes256(p), power));
    }
    int64_t four[4];
    _mm256_storeu_si256((void *)four, _mm256_add_epi64(a, b));
    return four[0] + four[1] + four[2] + four[3];
}

SL_AVX2 void sl_router_avx2(const struct sl_cpu_router *r, void *work)
{
    struct sl_cpu_work *w = work;
    const size_t row_bytes = 2 * sl_k64(r->k);
    for (uint32_t i = 0; i < r->n_row; i++)
        for (uint32_t t = 0; t < r->n_tok; t++)
            w->sum[t][i] = row16(r->row + i * row_bytes, r->code[t], r->xe[t], r->k / SL_BLOCK);
}

#endif
