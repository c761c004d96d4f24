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

/* The same for what is 0 at most, or a NaN. */
static inline v16 v16_exp_low(v16 a)
{
    return v16_exp(a);
}

static inline float v16_tree(v16 a)
{
    return sl_tree16(a.f);
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

/* Pairs of s16, one pair for each of 16 lanes; 16 sums of products. */
typedef struct {
    int16_t h[2 * SL_N_PARTIAL];
} p16;
typedef struct {
    int32_t d[SL_N_PARTIAL];
} s16;

static inline p16 p16_load(const int16_t *p)
{
    p16 r;
    memcpy(&r, p, sizeof r);
    return r;
}

static inline void p16_store(int16_t *p, p16 a)
{
    memcpy(p, &a, sizeof a);
}

/* The same pair in every lane. */
static inline p16 p16_set1(const int16_t *pair)
{
    p16 r;
    for (int l = 0; l < 2 * SL_N_PARTIAL; l++)
        r.h[l] = pair[l % 2];
    return r;
}

/* Signed bytes. */
static inline p16 p16_load_s8(const uint8_t *p)
{
    p16 r;
    for (int l = 0; l < 2 * SL_N_PARTIAL; l++)
        r.h[l] = (int8_t)p[l];
    return r;
}

/* Nibbles minus zero, in the order of sl_kv_place(). */
static inline p16 p16_load_u4(const uint8_t *p, int zero)
{
    p16 r;
    for (int l = 0; l < 2 * SL_N_PARTIAL; l++) {
        int i = l % 8 * 4 + l / 8;
        r.h[l] = (int16_t)((p[i / 2] >> (i % 2 * 4) & 15) - zero);
    }
    return r;
}

/* Bytes of a beside those of b. */
static inline p16 p16_zip_s8(const uint8_t *a, const uint8_t *b)
{
    p16 r;
    for (int l = 0; l < 2 * SL_N_PARTIAL; l++)
        r.h[l] = (int8_t)(l % 2 ? b : a)[l / 2];
    return r;
}

/* Nibbles of a, minus zero[0], beside those of b, minus zero[1], in the order of sl_kv_place(). */
static inline void p16_zip_u4(const uint8_t *a, const uint8_t *b, const int16_t zero[2], p16 out[2])
{
    p16 x = p16_load_u4(a, zero[0]), y = p16_load_u4(b, zero[1]);
    for (int l = 0; l < 4 * SL_N_PARTIAL; l++)
        out[l / 32].h[l % 32] = l % 2 ? y.h[l / 2] : x.h[l / 2];
}

static inline s16 s16_zero(void)
{
    return (s16){{0}};
}

/* Both products of each lane added to its sum. */
static inline s16 s16_madd(p16 a, p16 b, s16 c)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        c.d[l] += a.h[2 * l] * b.h[2 * l] + a.h[2 * l + 1] * b.h[2 * l + 1];
    return c;
}

/* at, to be read from after the sum is there: the registers have no room for what compilers would
 * read before. */
static inline const int16_t *s16_then(const int16_t *at, s16 sum)
{
    (void)sum;
    return at;
}

/* The sums of all lanes of four. */
static inline void s16_totals(const s16 a[4], int32_t out[4])
{
    for (int r = 0; r < 4; r++) {
        out[r] = 0;
        for (int l = 0; l < SL_N_PARTIAL; l++)
            out[r] += a[r].d[l];
    }
}

static inline v16 v16_from_s16(s16 a)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = (float)a.d[l];
    return r;
}

/* Nearest integers, of magnitudes up to SL_KV_TOP; what a NaN becomes is any. */
static inline void v16_store_codes(int16_t *p, v16 a)
{
    for (int l = 0; l < SL_N_PARTIAL; l++)
        p[l] = isnan(a.f[l]) ? 0 : (int16_t)lrintf(a.f[l]);
}

/* Four bytes of each of 16 records. */
typedef struct {
    uint32_t d[SL_N_PARTIAL];
} d16;

/* out[i]: bytes 4 i .. 4 i + 3 of 16 rows, which are `stride` bytes apart. */
static inline void turn16(const uint8_t *src, size_t stride, d16 out[4])
{
    for (int r = 0; r < SL_N_PARTIAL; r++, src += stride)
        for (int i = 0; i < 4; i++)
            out[i].d[r] = (uint32_t)src[4 * i] | (uint32_t)src[4 * i + 1] << 8 |
                          (uint32_t)src[4 * i + 2] << 16 | (uint32_t)src[4 * i + 3] << 24;
}

/* Signed bytes 0 and 1 of each, 2 and 3 if high. */
static inline p16 p16_from_s8(d16 a, bool high)
{
    p16 r;
    for (int l = 0; l < 2 * SL_N_PARTIAL; l++)
        r.h[l] = (int8_t)(a.d[l / 2] >> (16 * high + l % 2 * 8));
    return r;
}

/* Nibbles m and m + 4 of each, minus zero. */
static inline p16 p16_from_u4(d16 a, int m, p16 zero)
{
    for (int l = 0; l < 2 * SL_N_PARTIAL; l++)
        zero.h[l] = (int16_t)((a.d[l / 2] >> (l % 2 * 16 + 4 * m) & 15) - zero.h[l]);
    return zero;
}
#endif

#define SL_SIMD_PASTE(a, b) a##_##b
#define SL_SIMD_EVAL(a, b) SL_SIMD_PASTE(a, b)
#define SL_SIMD(name) SL_SIMD_EVAL(name, SL_SIMD_SET)
/* An address sanitizer checks each access: of functions put into each other and unrolled loops that
 * takes minutes to compile. */
#ifdef __SANITIZE_ADDRESS__
#define SL_SIMD_CHECKED
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SL_SIMD_CHECKED
#endif
#endif
#ifdef SL_SIMD_CHECKED
#define SL_SIMD_INLINE SL_SIMD_TARGET static __attribute__((unused))
#else
#define SL_SIMD_INLINE SL_SIMD_TARGET static inline __attribute__((always_inline))
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
