/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of struct sl_simd in terms of a vector of 16 floats. Each simd_<set>.c defines
 * SL_SIMD_SET, SL_SIMD_TARGET and the v16 functions and then includes this file; on its own it
 * compiles the portable set. Static functions only: one copy per including file.
 */
#ifndef SL_ENGINE_SIMD_KERNELS_H
#define SL_ENGINE_SIMD_KERNELS_H

#include "engine/mathf.h"
#include "engine/simd.h"

#ifndef SL_SIMD_SET
#define SL_SIMD_SET generic
#define SL_SIMD_TARGET

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
static inline v16 v16_load_u4(const uint8_t *p, int z)
{
    v16 r;
    for (int l = 0; l < SL_N_PARTIAL; l++)
        r.f[l] = (float)((p[l / 2] >> (l % 2 * 4) & 15) - z);
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
#endif

#define SL_SIMD_PASTE(a, b) a##_##b
#define SL_SIMD_EVAL(a, b) SL_SIMD_PASTE(a, b)
#define SL_SIMD(name) SL_SIMD_EVAL(name, SL_SIMD_SET)
#define SL_SIMD_INLINE SL_SIMD_TARGET static inline __attribute__((always_inline))

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

/* Tail of a dot: terms i .. n of the partial sums s, then the tree. */
SL_SIMD_INLINE float dot_finish(v16 s, const float *a, const float *b, size_t i, size_t n)
{
    if (i == n)
        return v16_tree(s);
    float t[SL_N_PARTIAL];
    v16_store(t, s);
    for (size_t l = 0; i + l < n; l++)
        t[l] = fmaf(a[i + l], b[i + l], t[l]);
    return sl_tree16(t);
}

SL_SIMD_INLINE float dot_any(const float *a, const float *b, size_t n)
{
    v16 s = v16_set1(0.0f);
    size_t i = 0;
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL)
        s = v16_fma(v16_load(a + i), v16_load(b + i), s);
    return dot_finish(s, a, b, i, n);
}

SL_SIMD_TARGET static float SL_SIMD(dot)(const float *a, const float *b, size_t n)
{
    return dot_any(a, b, n);
}

/* One chain of fused multiply-adds is as slow as its latency: four run side by side. */
SL_SIMD_TARGET static void SL_SIMD(dot4)(const float *const a[4], const float *b, size_t n,
                                         float out[4])
{
    v16 s[4];
    size_t i = 0;
    for (int r = 0; r < 4; r++)
        s[r] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x = v16_load(b + i);
        for (int r = 0; r < 4; r++)
            s[r] = v16_fma(v16_load(a[r] + i), x, s[r]);
    }
    for (int r = 0; r < 4; r++)
        out[r] = dot_finish(s[r], a[r], b, i, n);
}

SL_SIMD_TARGET static void SL_SIMD(dot4x4)(const float *const a[4], const float *const b[4],
                                           size_t n, float out[16])
{
    v16 s[16];
    size_t i = 0;
    for (int r = 0; r < 16; r++)
        s[r] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x[4];
        for (int c = 0; c < 4; c++)
            x[c] = v16_load(b[c] + i);
        for (int r = 0; r < 4; r++) {
            v16 w = v16_load(a[r] + i);
            for (int c = 0; c < 4; c++)
                s[4 * r + c] = v16_fma(w, x[c], s[4 * r + c]);
        }
    }
    for (int r = 0; r < 16; r++)
        out[r] = dot_finish(s[r], a[r / 4], b[r % 4], i, n);
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

/* ---- packed heads --------------------------------------------------------------------------- */

/* 16 channels from i on, without their scale. */
SL_SIMD_INLINE v16 kv_load(enum sl_kv_format format, const uint8_t *rec, uint32_t i, int z)
{
    switch (format) {
    case SL_KV_INT8: return v16_load_s8((const int8_t *)rec + i);
    case SL_KV_INT4: return v16_load_u4(rec + i / 2, z);
    default: return v16_load((const float *)(const void *)rec + i);
    }
}

SL_SIMD_INLINE float kv_channel(enum sl_kv_format format, const uint8_t *rec, uint32_t i, int z)
{
    switch (format) {
    case SL_KV_INT8: return (float)((const int8_t *)rec)[i];
    case SL_KV_INT4: return (float)((rec[i / 2] >> (i % 2 * 4) & 15) - z);
    default: return ((const float *)(const void *)rec)[i];
    }
}

/* Dot of channels first .. end by the 16-partial rule counted from `first`. */
SL_SIMD_INLINE float kv_dot(enum sl_kv_format format, const uint8_t *rec, const float *q,
                            uint32_t first, uint32_t end, int z)
{
    v16 s = v16_set1(0.0f);
    uint32_t i = first;
    for (; i + SL_N_PARTIAL <= end; i += SL_N_PARTIAL)
        s = v16_fma(v16_load(q + i), kv_load(format, rec, i, z), s);
    if (i == end)
        return v16_tree(s);
    float t[SL_N_PARTIAL];
    v16_store(t, s);
    for (uint32_t l = 0; i + l < end; l++)
        t[l] = fmaf(q[i + l], kv_channel(format, rec, i + l, z), t[l]);
    return sl_tree16(t);
}

enum { KV_GROUP = 32 };

SL_SIMD_INLINE float kv_dot_int4(const uint8_t *rec, const float *q, uint32_t head_dim)
{
    uint32_t n_group = (head_dim + KV_GROUP - 1) / KV_GROUP;
    const uint8_t *scale = rec + head_dim / 2, *zero = scale + 2 * n_group;
    float sum = 0.0f;
    for (uint32_t g = 0; g < n_group; g++) {
        uint32_t first = g * KV_GROUP;
        uint32_t end = first + KV_GROUP < head_dim ? first + KV_GROUP : head_dim;
        float part = kv_dot(SL_KV_INT4, rec, q, first, end, zero[g]);
        sum = sum + part * sl_kv_scale(scale + 2 * g);
    }
    return sum;
}

SL_SIMD_INLINE void scores_any(enum sl_kv_format format, const struct sl_kv_block *k,
                               const float *q, float factor, float *s)
{
    size_t stride = sl_kv_vec_bytes(format, k->head_dim);
    const uint8_t *rec = k->rec;
    for (uint32_t j = 0; j < k->n; j++, rec += stride) {
        float dot;
        if (format == SL_KV_INT4)
            dot = kv_dot_int4(rec, q, k->head_dim);
        else
            dot = kv_dot(format, rec, q, 0, k->head_dim, 0);
        if (format == SL_KV_INT8)
            dot = dot * sl_kv_scale(rec + k->head_dim);
        s[j] = dot * factor;
    }
}

/* Zero point of the group that channel i belongs to; 0 where there is none. */
SL_SIMD_INLINE int kv_zero(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                           uint32_t i)
{
    uint32_t n_group = (head_dim + KV_GROUP - 1) / KV_GROUP;
    return format == SL_KV_INT4 ? rec[head_dim / 2 + 2 * n_group + i / KV_GROUP] : 0;
}

/* p * scale of the group that channel i belongs to. */
SL_SIMD_INLINE float kv_weight(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                               uint32_t i, float p)
{
    switch (format) {
    case SL_KV_INT8: return p * sl_kv_scale(rec + head_dim);
    case SL_KV_INT4: return p * sl_kv_scale(rec + head_dim / 2 + 2 * (i / KV_GROUP));
    default: return p;
    }
}

/* Strips of channels stay in registers while the positions pass by. width: 16 or 64. */
SL_SIMD_INLINE void accumulate_strip(enum sl_kv_format format, const struct sl_kv_block *v,
                                     const float *p, float *acc, uint32_t i, uint32_t width)
{
    size_t stride = sl_kv_vec_bytes(format, v->head_dim);
    const uint8_t *rec = v->rec;
    uint32_t n = width / SL_N_PARTIAL;
    v16 a[4];
    for (uint32_t c = 0; c < n; c++)
        a[c] = v16_load(acc + i + SL_N_PARTIAL * c);
    for (uint32_t j = 0; j < v->n; j++, rec += stride)
        for (uint32_t c = 0; c < n; c++) {
            uint32_t at = i + SL_N_PARTIAL * c;
            v16 w = v16_set1(kv_weight(format, rec, v->head_dim, at, p[j]));
            int z = kv_zero(format, rec, v->head_dim, at);
            a[c] = v16_fma(w, kv_load(format, rec, at, z), a[c]);
        }
    for (uint32_t c = 0; c < n; c++)
        v16_store(acc + i + SL_N_PARTIAL * c, a[c]);
}

SL_SIMD_INLINE void accumulate_any(enum sl_kv_format format, const struct sl_kv_block *v,
                                   const float *p, float *acc)
{
    size_t stride = sl_kv_vec_bytes(format, v->head_dim);
    uint32_t i = 0;
    for (; i + 4 * SL_N_PARTIAL <= v->head_dim; i += 4 * SL_N_PARTIAL)
        accumulate_strip(format, v, p, acc, i, 4 * SL_N_PARTIAL);
    for (; i + SL_N_PARTIAL <= v->head_dim; i += SL_N_PARTIAL)
        accumulate_strip(format, v, p, acc, i, SL_N_PARTIAL);
    for (; i < v->head_dim; i++) {
        const uint8_t *rec = v->rec;
        for (uint32_t j = 0; j < v->n; j++, rec += stride) {
            float w = kv_weight(format, rec, v->head_dim, i, p[j]);
            int z = kv_zero(format, rec, v->head_dim, i);
            acc[i] = fmaf(w, kv_channel(format, rec, i, z), acc[i]);
        }
    }
}

#define SL_SIMD_KV(suffix, format)                                                                 \
    SL_SIMD_TARGET static void SL_SIMD(scores_##suffix)(const struct sl_kv_block *k,               \
                                                        const float *q, float factor, float *s)    \
    {                                                                                              \
        scores_any(format, k, q, factor, s);                                                       \
    }                                                                                              \
    SL_SIMD_TARGET static void SL_SIMD(accumulate_##suffix)(const struct sl_kv_block *v,           \
                                                            const float *p, float *acc)            \
    {                                                                                              \
        accumulate_any(format, v, p, acc);                                                         \
    }

SL_SIMD_KV(f32, SL_KV_F32)
SL_SIMD_KV(int8, SL_KV_INT8)
SL_SIMD_KV(int4, SL_KV_INT4)

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
    .axpy = SL_SIMD(axpy),
    .exp_sub = SL_SIMD(exp_sub),
    .silu_mul = SL_SIMD(silu_mul),
    .scores = {SL_SIMD(scores_f32), SL_SIMD(scores_int8), SL_SIMD(scores_int4)},
    .accumulate = {SL_SIMD(accumulate_f32), SL_SIMD(accumulate_int8), SL_SIMD(accumulate_int4)},
};

#endif
