/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of struct sl_simd over the set of simd_vector.h, and the set's table. */
#ifndef SL_ENGINE_SIMD_KERNELS_H
#define SL_ENGINE_SIMD_KERNELS_H

#include "engine/simd_attention.h"
#include "engine/simd_tile.h"
#include "engine/simd_vector.h"

SL_SIMD_TARGET static float SL_SIMD(sum)(const float *x, size_t n)
{
    v16 s = v16_set1(0.0f);
    size_t i = 0;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        s = v16_add(s, v16_load(x + i));
    float t[SL_N_PARTIAL];
    v16_store(t, s);
    for (size_t l = 0; i + l < n; l++)
        t[l] = t[l] + x[i + l];
    return sl_tree16(t);
}

SL_SIMD_TARGET static float SL_SIMD(max)(const float *x, size_t n)
{
    float t[SL_N_PARTIAL], best = -INFINITY;
    v16 m = v16_set1(-INFINITY);
    size_t i = 0;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        m = v16_max(v16_load(x + i), m);
    v16_store(t, m);
    for (int l = 0; l < SL_N_PARTIAL; l++)
        best = t[l] > best ? t[l] : best;
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    return best;
}

/* Tail of a dot, n < 16: its terms to the partial sums s, then the tree. */
SL_SIMD_INLINE float dot_finish(v16 s, const float *a, const float *b, size_t n)
{
    if (n == 0)
        return v16_tree(s);
    float t[SL_N_PARTIAL];
    v16_store(t, s);
    for (size_t l = 0; l < n; l++)
        t[l] = fmaf(a[l], b[l], t[l]);
    return sl_tree16(t);
}

SL_SIMD_INLINE float dot_any(const float *a, const float *b, size_t n)
{
    v16 s = v16_set1(0.0f);
    size_t i = 0;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        s = v16_fma(v16_load(a + i), v16_load(b + i), s);
    return dot_finish(s, a + i, b + i, n - i);
}

SL_SIMD_TARGET static float SL_SIMD(dot)(const float *a, const float *b, size_t n)
{
    return dot_any(a, b, n);
}

/* One chain of fused multiply-adds is as slow as its latency: four run side by side. */
SL_SIMD_INLINE void dot4_any(const float *const a[4], const float *b, size_t n, float out[4])
{
    v16 s[4];
    size_t i = 0;
    SL_UNROLL for (int r = 0; r < 4; r++) s[r] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x = v16_load(b + i);
        SL_UNROLL for (int r = 0; r < 4; r++) s[r] = v16_fma(v16_load(a[r] + i), x, s[r]);
    }
    SL_UNROLL for (int r = 0; r < 4; r++) out[r] = dot_finish(s[r], a[r] + i, b + i, n - i);
}

SL_SIMD_TARGET static void SL_SIMD(dot4)(const float *const a[4], const float *b, size_t n,
                                         float out[4])
{
    dot4_any(a, b, n, out);
}

#ifdef SL_SIMD_WIDE /* 16 accumulators fit into the registers */
SL_SIMD_TARGET static void SL_SIMD(dot4x4)(const float *const a[4], const float *const b[4],
                                           size_t n, float out[16])
{
    v16 s[16];
    size_t i = 0;
    SL_UNROLL for (int r = 0; r < 16; r++) s[r] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x[4];
        SL_UNROLL for (int c = 0; c < 4; c++) x[c] = v16_load(b[c] + i);
        SL_UNROLL for (int r = 0; r < 4; r++)
        {
            v16 w = v16_load(a[r] + i);
            SL_UNROLL for (int c = 0; c < 4; c++) s[4 * r + c] = v16_fma(w, x[c], s[4 * r + c]);
        }
    }
    SL_UNROLL for (int r = 0; r < 16; r++)
        out[r] = dot_finish(s[r], a[r / 4] + i, b[r % 4] + i, n - i);
}
#else
SL_SIMD_TARGET static void SL_SIMD(dot4x4)(const float *const a[4], const float *const b[4],
                                           size_t n, float out[16])
{
    for (int r = 0; r < 4; r++)
        dot4_any(b, a[r], n, out + 4 * r);
}
#endif

SL_SIMD_INLINE void widen_any(enum sl_dtype dtype, const uint8_t *src, size_t n, float scale,
                              float *dst)
{
    size_t i = 0, size = dtype == SL_DTYPE_F32 ? 4 : dtype == SL_DTYPE_F8_E4M3 ? 1 : 2;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        v16_store(dst + i, v16_mul(v16_load_wide(dtype, src + i * size), v16_set1(scale)));
    sl_widen(dtype, src + i * size, n - i, dst + i);
    for (; i < n; i++)
        dst[i] = dst[i] * scale;
}

SL_SIMD_TARGET static void SL_SIMD(widen)(enum sl_dtype dtype, const uint8_t *src, size_t n,
                                          float scale, float *dst)
{
    switch (dtype) {
    case SL_DTYPE_F32: widen_any(SL_DTYPE_F32, src, n, scale, dst); break;
    case SL_DTYPE_BF16: widen_any(SL_DTYPE_BF16, src, n, scale, dst); break;
    case SL_DTYPE_F16: widen_any(SL_DTYPE_F16, src, n, scale, dst); break;
    case SL_DTYPE_F8_E4M3: widen_any(SL_DTYPE_F8_E4M3, src, n, scale, dst); break;
    case SL_DTYPE_I32: break; /* has no values of its own */
    }
}

SL_SIMD_INLINE void dot4_stored_any(enum sl_dtype dtype, const uint8_t *const a[4], float scale,
                                    const float *b, size_t n, float out[4])
{
    const size_t size = dtype == SL_DTYPE_F32 ? 4 : dtype == SL_DTYPE_F8_E4M3 ? 1 : 2;
    const v16 factor = v16_set1(scale);
    v16 s[4];
    size_t i = 0;
    SL_UNROLL for (int r = 0; r < 4; r++) s[r] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x = v16_load(b + i);
        SL_UNROLL for (int r = 0; r < 4; r++)
        {
            v16 w = v16_mul(v16_load_wide(dtype, a[r] + i * size), factor);
            s[r] = v16_fma(w, x, s[r]);
        }
    }
    for (int r = 0; r < 4; r++) {
        float rest[SL_N_PARTIAL];
        widen_any(dtype, a[r] + i * size, n - i, scale, rest);
        out[r] = dot_finish(s[r], rest, b + i, n - i);
    }
}

SL_SIMD_TARGET static void SL_SIMD(dot4_stored)(enum sl_dtype dtype, const uint8_t *const a[4],
                                                float scale, const float *b, size_t n,
                                                float out[4])
{
    switch (dtype) {
    case SL_DTYPE_F32: dot4_stored_any(SL_DTYPE_F32, a, scale, b, n, out); break;
    case SL_DTYPE_BF16: dot4_stored_any(SL_DTYPE_BF16, a, scale, b, n, out); break;
    case SL_DTYPE_F16: dot4_stored_any(SL_DTYPE_F16, a, scale, b, n, out); break;
    case SL_DTYPE_F8_E4M3: dot4_stored_any(SL_DTYPE_F8_E4M3, a, scale, b, n, out); break;
    case SL_DTYPE_I32: break; /* has no values of its own */
    }
}

SL_SIMD_TARGET static void SL_SIMD(axpy)(float *acc, const float *x, size_t n, float w)
{
    size_t i = 0;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        v16_store(acc + i, v16_fma(v16_set1(w), v16_load(x + i), v16_load(acc + i)));
    for (; i < n; i++)
        acc[i] = fmaf(w, x[i], acc[i]);
}

SL_SIMD_TARGET static void SL_SIMD(exp_sub)(float *dst, const float *src, size_t n, float max)
{
    size_t i = 0;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        v16_store(dst + i, v16_exp(v16_sub(v16_load(src + i), v16_set1(max))));
    for (; i < n; i++)
        dst[i] = sl_expf(src[i] - max);
}

SL_SIMD_TARGET static void SL_SIMD(silu_mul)(float *h, const float *g, const float *u, size_t n)
{
    size_t i = 0;
    v16 zero = v16_set1(0.0f), one = v16_set1(1.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x = v16_load(g + i);
        v16 silu = v16_div(x, v16_add(one, v16_exp(v16_sub(zero, x))));
        v16_store(h + i, v16_mul(silu, v16_load(u + i)));
    }
    for (; i < n; i++)
        h[i] = g[i] / (1.0f + sl_expf(0.0f - g[i])) * u[i];
}

#define SL_SIMD_STRING2(x) #x
#define SL_SIMD_STRING(x) SL_SIMD_STRING2(x)

/* The set's table; the including file hands it out. */
__attribute__((unused)) static const struct sl_simd SL_SIMD(table) = {
    .name = SL_SIMD_STRING(SL_SIMD_SET),
    .sum = SL_SIMD(sum),
    .max = SL_SIMD(max),
    .dot = SL_SIMD(dot),
    .dot4 = SL_SIMD(dot4),
    .dot4x4 = SL_SIMD(dot4x4),
    .dot4_stored = SL_SIMD(dot4_stored),
    .axpy = SL_SIMD(axpy),
    .widen = SL_SIMD(widen),
    .exp_sub = SL_SIMD(exp_sub),
    .silu_mul = SL_SIMD(silu_mul),
    .scores = {[SL_KV_INT8] = SL_SIMD(scores_int8), [SL_KV_INT4] = SL_SIMD(scores_int4)},
    .accumulate =
        {[SL_KV_INT8] = SL_SIMD(accumulate_int8), [SL_KV_INT4] = SL_SIMD(accumulate_int4)},
    .load_k = {[SL_KV_INT8] = SL_SIMD(load_k_int8), [SL_KV_INT4] = SL_SIMD(load_k_int4)},
    .load_v = {[SL_KV_INT8] = SL_SIMD(load_v_int8), [SL_KV_INT4] = SL_SIMD(load_v_int4)},
    .tile_scores = SL_SIMD(tile_scores),
    .tile_accumulate = SL_SIMD(tile_accumulate),
    .soften = SL_SIMD(soften),
};

#endif
