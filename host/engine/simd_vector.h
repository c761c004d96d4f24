/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vector of 16 floats in which the kernels of struct sl_simd are written. Each simd_<set>.c
 * defines SL_SIMD_SET, SL_SIMD_TARGET and these functions before it includes simd_kernels.h; on its
 * own this header gives the portable set. Static functions only: one copy per including file.
 */
#ifndef SL_ENGINE_SIMD_VECTOR_H
#define SL_ENGINE_SIMD_VECTOR_H

#include "engine/mathf.h"
#include "engine/simd.h"

#ifndef SL_SIMD_SET
#define SL_SIMD_SET generic
#define SL_SIMD_TARGET
#define SL_SIMD_PORTABLE /* nothing to be kept in registers: small blocks, loops left as they are  \
                          */

typedef struct {
    float f[SL_N_PARTIAL];
} v16;

static inline v16 v16_set1(float x)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = x;
    return r;
}

static inline v16 v16_load(const float *p)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = p[l];
    return r;
}

static inline void v16_store(float *p, v16 a)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        p[l] = a.f[l];
}

static inline v16 v16_load_s8(const int8_t *p)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = (float)p[l];
    return r;
}

/* 16 codes from 8 bytes, low nibble first, minus z. */
static inline v16 v16_load_u4(const uint8_t *p, float z)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = (float)(p[l / 2] >> (l % 2 * 4) & 15) - z;
    return r;
}

static inline v16 v16_add(v16 a, v16 b)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        a.f[l] = a.f[l] + b.f[l];
    return a;
}

static inline v16 v16_sub(v16 a, v16 b)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        a.f[l] = a.f[l] - b.f[l];
    return a;
}

static inline v16 v16_mul(v16 a, v16 b)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        a.f[l] = a.f[l] * b.f[l];
    return a;
}

static inline v16 v16_div(v16 a, v16 b)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        a.f[l] = a.f[l] / b.f[l];
    return a;
}

static inline v16 v16_max(v16 a, v16 b)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        a.f[l] = a.f[l] > b.f[l] ? a.f[l] : b.f[l];
    return a;
}

/* a * b + c, rounded once. */
static inline v16 v16_fma(v16 a, v16 b, v16 c)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        c.f[l] = fmaf(a.f[l], b.f[l], c.f[l]);
    return c;
}

static inline v16 v16_exp(v16 a)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        a.f[l] = sl_expf(a.f[l]);
    return a;
}

static inline float v16_tree(v16 a)
{
    return sl_tree16(a.f);
}

/* Four trees at once. */
static inline void v16_tree4(const v16 a[4], float out[4])
{
    for (int r = 0; r < 4; r++)
        out[r] = sl_tree16(a[r].f);
}

/* 16 stored values, unaligned. */
static inline v16 v16_load_wide(enum sl_dtype dtype, const uint8_t *src)
{
    v16 r;
    sl_widen(dtype, src, SL_N_PARTIAL, r.f);
    return r;
}

/* The largest lane; no lane is a NaN. */
static inline float v16_top(v16 a)
{
    float best = a.f[0];
    for (int l = 1; l < SL_N_PARTIAL; l++)
        best = a.f[l] > best ? a.f[l] : best;
    return best;
}

/* Four bytes of each of 16 records. */
typedef struct {
    uint32_t d[SL_N_PARTIAL];
} d16;

/* Signed byte m of each. */
static inline v16 v16_from_s8(d16 a, int m)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = (float)(int8_t)(a.d[l] >> (8 * m));
    return r;
}

/* Nibble m of each, the low one of a byte first. */
static inline v16 v16_from_u4(d16 a, int m)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = (float)(a.d[l] >> (4 * m) & 15);
    return r;
}

/* out[i]: bytes 4 i .. 4 i + 3 of 16 rows, which are `stride` bytes apart. */
static inline void turn16(const uint8_t *src, size_t stride, d16 out[4])
{
    for (int r = 0; r < SL_N_PARTIAL; r++, src += stride)
        for (int i = 0; i < 4; i++)
            out[i].d[r] = (uint32_t)src[4 * i] | (uint32_t)src[4 * i + 1] << 8 |
                          (uint32_t)src[4 * i + 2] << 16 | (uint32_t)src[4 * i + 3] << 24;
}
#endif

#define SL_SIMD_PASTE(a, b) a##_##b
#define SL_SIMD_EVAL(a, b) SL_SIMD_PASTE(a, b)
#define SL_SIMD(name) SL_SIMD_EVAL(name, SL_SIMD_SET)
#define SL_SIMD_INLINE SL_SIMD_TARGET static inline __attribute__((always_inline))
/* An address sanitizer checks each access: of unrolled loops that takes minutes to compile. */
#ifdef __SANITIZE_ADDRESS__
#define SL_SIMD_CHECKED
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SL_SIMD_CHECKED
#endif
#endif
/* In front of a loop of constant length, so that what it indexes stays in registers. */
#if defined SL_SIMD_PORTABLE || defined SL_SIMD_CHECKED
#define SL_UNROLL
#elif defined __clang__
#define SL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SL_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
