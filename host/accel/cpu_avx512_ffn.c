/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512, beside the weights of experts: checks of activations, from sums of gate and up to h
 * (docs/numerics.md 5.1, 3.2), and a router's sums.
 */
#include "accel/cpu_avx512.h"

#ifdef __x86_64__

/* ---- checks ---------------------------------------------------------------------------------- */

SL_V512 __mmask64 first_bytes(uint32_t n)
{
    return n >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
}

/* Whether one of n bytes is above max. */
SL_V512 bool any_above(const uint8_t *p, uint32_t n, int max)
{
    __mmask64 wrong = 0;
    for (uint32_t at = 0; at < n; at += 64) {
        __m512i e = _mm512_maskz_loadu_epi8(first_bytes(n - at), p + at);
        wrong |= _mm512_cmpgt_epu8_mask(e, _mm512_set1_epi8((char)max));
    }
    return wrong != 0;
}

SL_AVX512 bool sl_x_ok_avx512(const struct sl_cpu_x *x)
{
    bool bad = false;
    for (uint32_t t = 0; t < x->n_tok; t++) {
        __mmask64 wrong = 0;
        for (uint32_t at = 0; at < x->n_col; at += 64) {
            __m512i q = _mm512_maskz_loadu_epi8(first_bytes(x->n_col - at), x->code[t] + at);
            wrong |= _mm512_cmpeq_epi8_mask(q, _mm512_set1_epi8(-128));
        }
        bad = bad || wrong || any_above(x->xe[t], x->n_col / SL_BLOCK, SL_XE_MAX);
    }
    return !bad;
}

SL_AVX512 bool sl_x16_ok_avx512(const uint8_t *xe, const uint8_t *code, uint32_t k)
{
    __mmask32 wrong = 0;
    for (uint32_t at = 0; at < k; at += SL_BLOCK) {
        __m512i q = _mm512_loadu_si512(code + 2 * (size_t)at);
        wrong |= _mm512_cmpeq_epi16_mask(q, _mm512_set1_epi16(INT16_MIN));
    }
    return !wrong && !any_above(xe, k / SL_BLOCK, SL_XE16_MAX);
}

/* ---- SwiGLU ---------------------------------------------------------------------------------- */

/* |v| * mant * 2^e as q * 2^e': from 2^64 on q is 2^-16 of it with the lost bits kept in its last
 * place, which any rounding then drops (cpu_kernels.h). */
struct product {
    __m512i q;
    __mmask8 wide; /* where e' = e + 16 */
};

SL_V512 struct product product_of(__m512i v, uint16_t mant)
{
    const __m512i m = _mm512_set1_epi64(mant), low32 = _mm512_set1_epi64(UINT32_MAX);
    __m512i a = _mm512_abs_epi64(v), low = _mm512_mul_epu32(a, m);
    __m512i hi = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), m);
    hi = _mm512_add_epi64(hi, _mm512_srli_epi64(low, 32));
    low = _mm512_and_si512(low, low32);
    struct product p = {.wide = _mm512_cmpgt_epu64_mask(hi, low32)};
    __mmask8 lost = _mm512_test_epi64_mask(low, _mm512_set1_epi64(0xFFFF));
    __m512i jam = _mm512_or_si512(_mm512_slli_epi64(hi, 16), _mm512_srli_epi64(low, 16));
    jam = _mm512_mask_or_epi64(jam, lost, jam, _mm512_set1_epi64(1));
    p.q = _mm512_mask_mov_epi64(_mm512_or_si512(_mm512_slli_epi64(hi, 32), low), p.wide, jam);
    return p;
}

/* q * 2^-s to nearest, ties to even; lanes with s < 1 are of no matter. */
SL_V512 __m512i shift_right(__m512i q, __m512i s)
{
    const __m512i one = _mm512_set1_epi64(1);
    __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(s, one));
    __m512i kept = _mm512_srlv_epi64(q, s);
    __m512i rest = _mm512_sub_epi64(q, _mm512_sllv_epi64(kept, s));
    __mmask8 up = _mm512_cmpgt_epu64_mask(rest, half);
    up |= _mm512_mask_test_epi64_mask(_mm512_cmpeq_epi64_mask(rest, half), kept, one);
    kept = _mm512_mask_add_epi64(kept, up, kept, one);
    return _mm512_maskz_mov_epi64(_mm512_cmple_epi64_mask(s, _mm512_set1_epi64(64)), kept);
}

/* sl_scale_s32 in the lower halves of 64 bits, sign-extended; *n_sat counts. */
SL_V512 __m512i scale_s32(__m512i v, uint16_t mant, int e, uint32_t *n_sat)
{
    const struct product p = product_of(v, mant);
    const __mmask8 minus = _mm512_movepi64_mask(v);
    const __m512i zero = _mm512_setzero_si512();
    __m512i limit = _mm512_set1_epi64(INT32_MAX);
    limit = _mm512_mask_add_epi64(limit, minus, limit, _mm512_set1_epi64(1));
    __m512i exp = _mm512_mask_add_epi64(_mm512_set1_epi64(e), p.wide, _mm512_set1_epi64(e),
                                        _mm512_set1_epi64(16));
    __m512i q = shift_right(p.q, _mm512_sub_epi64(zero, exp));
    if (e >= -16) { /* no sum of a model in use, but legal */
        __mmask8 left = _mm512_cmpge_epi64_mask(exp, zero);
        __mmask8 over = _mm512_cmpgt_epu64_mask(p.q, limit);
        __m512i up = _mm512_sllv_epi64(p.q, _mm512_min_epi64(exp, _mm512_set1_epi64(32)));
        up = _mm512_mask_mov_epi64(up, over, _mm512_set1_epi64(INT64_MAX));
        q = _mm512_mask_mov_epi64(q, left, up);
    }
    __mmask8 saturated = _mm512_cmpgt_epu64_mask(q, limit);
    *n_sat += (uint32_t)__builtin_popcount(saturated);
    q = _mm512_min_epu64(q, limit);
    return _mm512_mask_sub_epi64(q, minus, zero, q);
}

/* silu of g: both s32 Q16 in 64 bits. */
SL_V512 __m512i silu(__m512i g, const uint32_t *table)
{
    const __m512i one = _mm512_set1_epi64(65536), low32 = _mm512_set1_epi64(UINT32_MAX);
    __m512i a = _mm512_abs_epi64(g), f = _mm512_and_si512(a, _mm512_set1_epi64(4095));
    __mmask8 inside = _mm512_cmplt_epi64_mask(a, _mm512_set1_epi64(16 << 16));
    /* Two neighbours of the table at once. */
    __m512i two = _mm512_mask_i64gather_epi64(one, inside, _mm512_srli_epi64(a, 12), table, 4);
    __m512i low = _mm512_and_si512(two, low32), high = _mm512_srli_epi64(two, 32);
    __m512i step = _mm512_mul_epu32(_mm512_sub_epi64(high, low), f);
    step = _mm512_srli_epi64(_mm512_add_epi64(step, _mm512_set1_epi64(2048)), 12);
    __m512i sigma = _mm512_mask_add_epi64(one, inside, low, step);
    sigma = _mm512_mask_sub_epi64(sigma, _mm512_movepi64_mask(g), one, sigma);
    __m512i p = _mm512_mul_epi32(g, sigma);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi64(p, 16), _mm512_set1_epi64(1));
    p = _mm512_add_epi64(_mm512_add_epi64(p, _mm512_set1_epi64(0x7FFF)), odd);
    return _mm512_srai_epi64(p, 16);
}

/* h of eight units in Q32. */
SL_V512 __m512i swiglu8(const struct sl_cpu_swiglu *s, const int64_t *sum, const uint32_t *table,
                        uint32_t *n_sat)
{
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    __m512i a = _mm512_load_si512(sum), b = _mm512_load_si512(sum + 8);
    __m512i g = scale_s32(_mm512_permutex2var_epi64(a, even, b), s->mant0, s->exp0, n_sat);
    __m512i u = scale_s32(_mm512_permutex2var_epi64(a, odd, b), s->mant1, s->exp1, n_sat);
    return _mm512_mul_epi32(silu(g, table), u);
}

/* h * 2^-shift to nearest, ties to even, clamped. |h| <= 2^62, so 63 is as good as more. */
SL_V512 void put_codes(__m512i h, int shift, int8_t *q)
{
    if (shift <= 0) {
        h = _mm512_sll_epi64(h, _mm_cvtsi32_si128(-shift));
    } else {
        const int s = shift < 63 ? shift : 63;
        const __m128i count = _mm_cvtsi32_si128(s);
        __m512i odd = _mm512_and_si512(_mm512_srl_epi64(h, count), _mm512_set1_epi64(1));
        h = _mm512_add_epi64(h, _mm512_set1_epi64((INT64_C(1) << (s - 1)) - 1));
        h = _mm512_sra_epi64(_mm512_add_epi64(h, odd), count);
    }
    h = _mm512_min_epi64(_mm512_max_epi64(h, _mm512_set1_epi64(-127)), _mm512_set1_epi64(127));
    _mm_storel_epi64((void *)q, _mm512_cvtepi64_epi8(h));
}

SL_AVX512 void sl_swiglu_avx512(const struct sl_cpu_swiglu *s, const int64_t *sum, uint32_t n,
                                int8_t *h, uint8_t *he, struct sl_cpu_counts *counts)
{
    const uint32_t *table = sl_cpu_sigmoid();
    for (uint32_t b = 0; b < n; b += SL_BLOCK, sum += 2 * SL_BLOCK) {
        __m512i v[4], all = _mm512_setzero_si512();
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            v[i] = swiglu8(s, sum + 16 * i, table, &counts->sat_gu);
            all = _mm512_or_si512(all, _mm512_abs_epi64(v[i]));
        }
        const uint64_t bits = (uint64_t)_mm512_reduce_or_epi64(all);
        const struct sl_cpu_window w = sl_cpu_window_of(bits, s->u, counts);
        he[b / SL_BLOCK] = (uint8_t)w.he;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            put_codes(v[i], w.shift, h + b + 8 * i);
    }
}

/* ---- router ---------------------------------------------------------------------------------- */

/*
 * A block is a beat of each. Two products stay below 2 * 32767 * 32768 < 2^31; times 2^15 at most
 * in s64 by vpmuldq; a row is below 2^60 (docs/numerics.md 4).
 */
SL_V512 int64_t row16(const uint8_t *row, const uint8_t *code, const uint8_t *xe, uint32_t n_block)
{
    __m512i a = _mm512_setzero_si512(), b = a;
    for (uint32_t i = 0; i < n_block; i++) {
        __m512i w = _mm512_loadu_si512(row + (size_t)i * 64);
        __m512i p = _mm512_madd_epi16(w, _mm512_loadu_si512(code + (size_t)i * 64));
        __m512i power = _mm512_set1_epi64(INT64_C(1) << (xe[i] & 63));
        _mm_prefetch((const char *)row + SL_CPU_PREFETCH + (size_t)i * 64, _MM_HINT_T0);
        a = _mm512_add_epi64(a, _mm512_mul_epi32(p, power));
        b = _mm512_add_epi64(b, _mm512_mul_epi32(sl_odd_lanes(p), power));
    }
    return _mm512_reduce_add_epi64(_mm512_add_epi64(a, b));
}

SL_AVX512 void sl_router_avx512(const struct sl_cpu_router *r, void *work)
{
    struct sl_cpu_work *w = work;
    const size_t row_bytes = 2 * sl_k64(r->k);
    for (uint32_t i = 0; i < r->n_row; i++)
        for (uint32_t t = 0; t < r->n_tok; t++)
            w->sum[t][i] = row16(r->row + i * row_bytes, r->code[t], r->xe[t], r->k / SL_BLOCK);
}

#endif
