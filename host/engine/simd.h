/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's inner loops, once per instruction set. Every set gives the same bits: 16 lanes are the
 * 16 partial sums of docs/numerics.md section 6, a product is always a fused multiply-add, and the
 * tree at the end is fixed.
 */
#ifndef SL_ENGINE_SIMD_H
#define SL_ENGINE_SIMD_H

#include <stddef.h>
#include <stdint.h>

#include "base/half.h"
#include "engine/ops.h"

enum { SL_KV_BLOCK = 64 }; /* absolute positions that attention takes together */

/* n <= SL_KV_BLOCK consecutive records (engine/ops.h: sl_kv_vec_bytes) of one head. */
struct sl_kv_block {
    const uint8_t *rec;
    uint32_t head_dim, n;
};

struct sl_simd {
    const char *name;
    float (*sum)(const float *x, size_t n);
    float (*max)(const float *x, size_t n); /* -infinity for n = 0; NaNs are passed over */
    float (*dot)(const float *a, const float *b, size_t n);
    /* out[i] = dot(a[i], b), and out[4 i + j] = dot(a[i], b[j]). */
    void (*dot4)(const float *const a[4], const float *b, size_t n, float out[4]);
    void (*dot4x4)(const float *const a[4], const float *const b[4], size_t n, float out[16]);
    /* acc[n] = fmaf(w, x[n], acc[n]) */
    void (*axpy)(float *acc, const float *x, size_t n, float w);
    /* dst[n] = exp(src[n] - max). dst may be src. */
    void (*exp_sub)(float *dst, const float *src, size_t n, float max);
    /* h[n] = silu(g[n]) * u[n], silu(g) = g / (1 + exp(-g)). h may be g or u. */
    void (*silu_mul)(float *h, const float *g, const float *u, size_t n);
    /* dst[n] = src[n] * scale in fp32; src may be unaligned. */
    void (*widen)(enum sl_dtype dtype, const uint8_t *src, size_t n, float scale, float *dst);
    /* By enum sl_kv_format, for n_q query heads over the same block. q[n_q][head_dim] to
     * s[n_q][SL_KV_BLOCK]: s_j = (q . k_j) * (scale of k_j) * factor, the first n of each row. */
    void (*scores[3])(const struct sl_kv_block *k, const float *q, uint32_t n_q, float factor,
                      float *s);
    /* acc[n_q][head_dim]: for j ascending acc = fmaf(p_j * (scale of v_j), v_j, acc). The rows of
     * p[n_q][SL_KV_BLOCK] are readable to their ends. */
    void (*accumulate[3])(const struct sl_kv_block *v, const float *p, uint32_t n_q, float *acc);
};

enum sl_simd_level { SL_SIMD_GENERIC, SL_SIMD_AVX2, SL_SIMD_AVX512, SL_N_SIMD_LEVEL };

/* NULL where the machine lacks the instructions. */
const struct sl_simd *sl_simd_at(enum sl_simd_level level);
/* The widest level that may be chosen: SLUICE_SIMD=generic|avx2|avx512 in the environment, for
 * measurements and tests; anything else, and no such variable, allows all. No bit depends on it. */
enum sl_simd_level sl_simd_limit(void);
/* The widest that the machine has and the limit allows. Never NULL. */
const struct sl_simd *sl_simd_best(void);

/* bf16 bits at p (any alignment) as fp32. */
static inline float sl_kv_scale(const uint8_t *p)
{
    union {
        uint32_t u;
        float f;
    } bits = {(uint32_t)p[0] << 16 | (uint32_t)p[1] << 24};
    return bits.f;
}

/* The implementations; NULL when this build has none. */
const struct sl_simd *sl_simd_generic(void);
const struct sl_simd *sl_simd_avx2(void);
const struct sl_simd *sl_simd_avx512(void);

#endif
