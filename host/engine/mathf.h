/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's scalar floating point (docs/numerics.md section 6): an exp of its own, sums in 16
 * partial sums with a fixed tree, norms. Nothing here depends on the C library's rounding, so the
 * same program gives the same bits on every machine.
 */
#ifndef SL_ENGINE_MATHF_H
#define SL_ENGINE_MATHF_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_N_PARTIAL = 16 };

#define SL_EXP_MIN (-87.33f)     /* inputs below give 0: every result is a normal number */
#define SL_EXP_MAX 88.72283172f  /* inputs above give infinity */
#define SL_EXP_LOG2E 1.44269502f /* log2 e */
#define SL_EXP_LN2_HI 0x1.62e43p-1f
#define SL_EXP_LN2_LO (-0x1.05c61p-29f)
/* exp(r) = 1 + r + r^2 (C2 + C3 r + ...) on [-ln2 / 2, ln2 / 2], Chebyshev fit, off by 1.1e-8. */
#define SL_EXP_C2 0.5f
#define SL_EXP_C3 0x1.5554dcp-3f
#define SL_EXP_C4 0x1.555518p-5f
#define SL_EXP_C5 0x1.120c62p-7f
#define SL_EXP_C6 0x1.6d11fep-10f

/* 2^k for k in -126..127. */
static inline float sl_pow2i(int32_t k)
{
    union {
        uint32_t u;
        float f;
    } bits = {(uint32_t)(k + 127) << 23};
    return bits.f;
}

/* e^x with a relative error of at most 1e-7 wherever the result is normal; NaN stays NaN. */
static inline float sl_expf(float x)
{
    if (!(x >= SL_EXP_MIN))
        return x < SL_EXP_MIN ? 0.0f : x;
    if (x > SL_EXP_MAX)
        return INFINITY;
    float n = rintf(x * SL_EXP_LOG2E);
    float r = fmaf(n, -SL_EXP_LN2_HI, x);
    r = fmaf(n, -SL_EXP_LN2_LO, r);
    float p = fmaf(SL_EXP_C6, r, SL_EXP_C5);
    p = fmaf(p, r, SL_EXP_C4);
    p = fmaf(p, r, SL_EXP_C3);
    p = fmaf(p, r, SL_EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    /* Two factors: 2^128 alone is not a number, though the product may be. */
    int32_t k = (int32_t)n, half = k / 2;
    return p * sl_pow2i(half) * sl_pow2i(k - half);
}

/* s[0..16) added up in the fixed tree: distance 8, 4, 2, 1. */
float sl_tree16(const float s[SL_N_PARTIAL]);
/* 1 / sqrt(mean of x[n] squared + eps). */
float sl_rms_inv(const float *x, size_t n, float eps);
/* y[n] = w[n] * (x[n] * rms_inv). y may be x. */
void sl_rms_norm(float *y, const float *x, const float *w, size_t n, float eps);
/* x[n] becomes its softmax. n > 0. */
void sl_softmax(float *x, size_t n);
/* False when a value is a NaN or an infinity. */
bool sl_all_finite(const float *x, size_t n);

#endif
