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
#endif

#define SL_SIMD_PASTE(a, b) a##_##b
#define SL_SIMD_EVAL(a, b) SL_SIMD_PASTE(a, b)
#define SL_SIMD(name) SL_SIMD_EVAL(name, SL_SIMD_SET)
#define SL_SIMD_INLINE SL_SIMD_TARGET static inline __attribute__((always_inline))
/* In front of a loop of constant length, so that what it indexes stays in registers. */
#ifdef __clang__
#define SL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SL_UNROLL _Pragma("GCC unroll 16")
#endif

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
SL_SIMD_INLINE void dot4_any(const float *const a[4], const float *b, size_t n, float out[4])
{
    v16 s[4];
    size_t i = 0;
    SL_UNROLL for (int r = 0; r < 4; r++) s[r] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= n; i += SL_N_PARTIAL) {
        v16 x = v16_load(b + i);
        SL_UNROLL for (int r = 0; r < 4; r++) s[r] = v16_fma(v16_load(a[r] + i), x, s[r]);
    }
    SL_UNROLL for (int r = 0; r < 4; r++) out[r] = dot_finish(s[r], a[r], b, i, n);
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
    SL_UNROLL for (int r = 0; r < 16; r++) out[r] = dot_finish(s[r], a[r / 4], b[r % 4], i, n);
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

enum {
    KV_GROUP = 32, /* channels that share a scale in int4 */
    KV_TILE = 4    /* query heads that share the loading of a record */
};

SL_SIMD_INLINE uint32_t kv_groups(uint32_t head_dim)
{
    return (head_dim + KV_GROUP - 1) / KV_GROUP;
}

/* Scale of the group that starts at channel i; 1 where there is none. */
SL_SIMD_INLINE float kv_scale(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                              uint32_t i)
{
    switch (format) {
    case SL_KV_INT8: return sl_kv_scale(rec + head_dim);
    case SL_KV_INT4: return sl_kv_scale(rec + head_dim / 2 + 2 * (i / KV_GROUP));
    default: return 1.0f;
    }
}

SL_SIMD_INLINE int kv_zero(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                           uint32_t i)
{
    return format == SL_KV_INT4 ? rec[head_dim / 2 + 2 * kv_groups(head_dim) + i / KV_GROUP] : 0;
}

/* Channels first .. end of one record: what they are and what they are multiplied with. */
struct kv_span {
    const uint8_t *rec;
    const float *q; /* [n_q][head_dim] */
    uint32_t head_dim, first, end;
};

/* Dots of a span with n_q (constant, at most KV_TILE) queries, by the 16-partial rule counted from
 * `first`. */
SL_SIMD_INLINE void kv_dots(enum sl_kv_format format, const struct kv_span *k, uint32_t n_q,
                            float out[KV_TILE])
{
    int z = kv_zero(format, k->rec, k->head_dim, k->first);
    v16 s[KV_TILE];
    uint32_t i = k->first;
    SL_UNROLL for (uint32_t h = 0; h < KV_TILE; h++) s[h] = v16_set1(0.0f);
    for (; i + SL_N_PARTIAL <= k->end; i += SL_N_PARTIAL) {
        v16 c = kv_load(format, k->rec, i, z);
        SL_UNROLL for (uint32_t h = 0; h < n_q; h++) s[h] =
            v16_fma(v16_load(k->q + (size_t)h * k->head_dim + i), c, s[h]);
    }
    if (i == k->end && n_q == KV_TILE) {
        v16_tree4(s, out);
        return;
    }
    for (uint32_t h = 0; h < n_q; h++) {
        float t[SL_N_PARTIAL];
        v16_store(t, s[h]);
        for (uint32_t l = 0; i + l < k->end; l++)
            t[l] = fmaf(k->q[(size_t)h * k->head_dim + i + l], kv_channel(format, k->rec, i + l, z),
                        t[l]);
        out[h] = sl_tree16(t);
    }
}

/* One record against n_q queries: their dots with what the record stands for. */
SL_SIMD_INLINE void kv_record(enum sl_kv_format format, struct kv_span k, uint32_t n_q,
                              float out[KV_TILE])
{
    float sum[KV_TILE] = {0};
    k.first = 0;
    k.end = k.head_dim;
    if (format != SL_KV_INT4) {
        kv_dots(format, &k, n_q, out);
        for (uint32_t h = 0; format == SL_KV_INT8 && h < n_q; h++)
            out[h] = out[h] * kv_scale(format, k.rec, k.head_dim, 0);
        return;
    }
    for (; k.first < k.head_dim; k.first += KV_GROUP) {
        float part[KV_TILE], scale = kv_scale(format, k.rec, k.head_dim, k.first);
        k.end = k.first + KV_GROUP < k.head_dim ? k.first + KV_GROUP : k.head_dim;
        kv_dots(format, &k, n_q, part);
        for (uint32_t h = 0; h < n_q; h++)
            sum[h] = sum[h] + part[h] * scale;
    }
    for (uint32_t h = 0; h < n_q; h++)
        out[h] = sum[h];
}

SL_SIMD_INLINE void scores_tile(enum sl_kv_format format, const struct sl_kv_block *k,
                                const float *q, uint32_t n_q, float factor, float *s)
{
    size_t stride = sl_kv_vec_bytes(format, k->head_dim);
    struct kv_span span = {.rec = k->rec, .q = q, .head_dim = k->head_dim};
    for (uint32_t j = 0; j < k->n; j++, span.rec += stride) {
        float dot[KV_TILE];
        kv_record(format, span, n_q, dot);
        for (uint32_t h = 0; h < n_q; h++)
            s[h * SL_KV_BLOCK + j] = dot[h] * factor;
    }
}

SL_SIMD_INLINE void scores_any(enum sl_kv_format format, const struct sl_kv_block *k,
                               const float *q, uint32_t n_q, float factor, float *s)
{
    uint32_t h = 0;
    for (; h + KV_TILE <= n_q; h += KV_TILE)
        scores_tile(format, k, q + (size_t)h * k->head_dim, KV_TILE, factor, s + h * SL_KV_BLOCK);
    for (; h < n_q; h++)
        scores_tile(format, k, q + (size_t)h * k->head_dim, 1, factor, s + h * SL_KV_BLOCK);
}

/* Weighted sums of one group of channels for a few heads. */
struct kv_sum {
    const struct sl_kv_block *v;
    const int *zero;               /* [v->n] */
    float w[KV_TILE][SL_KV_BLOCK]; /* p_j * scale of v_j in this group */
    float *acc;                    /* [n_q][head_dim] */
};

/* `width` vectors of channels from i on stay in registers while the positions pass by. */
SL_SIMD_INLINE void sum_strip(enum sl_kv_format format, const struct kv_sum *c, uint32_t n_q,
                              uint32_t i, uint32_t width)
{
    uint32_t dim = c->v->head_dim;
    size_t stride = sl_kv_vec_bytes(format, dim);
    const uint8_t *rec = c->v->rec;
    v16 a[KV_TILE][2];
    SL_UNROLL for (uint32_t h = 0; h < n_q; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        a[h][l] = v16_load(c->acc + (size_t)h * dim + i + SL_N_PARTIAL * l);
    for (uint32_t j = 0; j < c->v->n; j++, rec += stride)
        SL_UNROLL for (uint32_t l = 0; l < width; l++)
        {
            v16 x = kv_load(format, rec, i + SL_N_PARTIAL * l, c->zero[j]);
            SL_UNROLL for (uint32_t h = 0; h < n_q; h++) a[h][l] =
                v16_fma(v16_set1(c->w[h][j]), x, a[h][l]);
        }
    SL_UNROLL for (uint32_t h = 0; h < n_q; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        v16_store(c->acc + (size_t)h * dim + i + SL_N_PARTIAL * l, a[h][l]);
}

SL_SIMD_INLINE void sum_channel(enum sl_kv_format format, const struct kv_sum *c, uint32_t n_q,
                                uint32_t i)
{
    uint32_t dim = c->v->head_dim;
    size_t stride = sl_kv_vec_bytes(format, dim);
    for (uint32_t h = 0; h < n_q; h++) {
        const uint8_t *rec = c->v->rec;
        float a = c->acc[(size_t)h * dim + i];
        for (uint32_t j = 0; j < c->v->n; j++, rec += stride)
            a = fmaf(c->w[h][j], kv_channel(format, rec, i, c->zero[j]), a);
        c->acc[(size_t)h * dim + i] = a;
    }
}

SL_SIMD_INLINE void sum_group(enum sl_kv_format format, const struct kv_sum *c, uint32_t n_q,
                              uint32_t first)
{
    uint32_t dim = c->v->head_dim, i = first;
    uint32_t end = first + KV_GROUP < dim ? first + KV_GROUP : dim;
    if (i + 2 * SL_N_PARTIAL <= end) {
        sum_strip(format, c, n_q, i, 2);
        i += 2 * SL_N_PARTIAL;
    }
    if (i + SL_N_PARTIAL <= end) {
        sum_strip(format, c, n_q, i, 1);
        i += SL_N_PARTIAL;
    }
    for (; i < end; i++)
        sum_channel(format, c, n_q, i);
}

/* Heads of one tile; scale and zero hold this group's. */
SL_SIMD_INLINE void sum_tile(enum sl_kv_format format, struct kv_sum *c, const float *p,
                             uint32_t n_q, const float *scale, uint32_t first)
{
    for (uint32_t h = 0; h < n_q; h++)
        for (uint32_t j = 0; j < SL_KV_BLOCK; j += SL_N_PARTIAL)
            v16_store(c->w[h] + j, v16_mul(v16_load(p + h * SL_KV_BLOCK + j), v16_load(scale + j)));
    sum_group(format, c, n_q, first);
}

SL_SIMD_INLINE void accumulate_any(enum sl_kv_format format, const struct sl_kv_block *v,
                                   const float *p, uint32_t n_q, float *acc)
{
    size_t stride = sl_kv_vec_bytes(format, v->head_dim);
    float scale[SL_KV_BLOCK] = {0};
    int zero[SL_KV_BLOCK];
    struct kv_sum c = {.v = v, .zero = zero};
    for (uint32_t first = 0; first < v->head_dim; first += KV_GROUP) {
        const uint8_t *rec = v->rec;
        for (uint32_t j = 0; j < v->n; j++, rec += stride) {
            scale[j] = kv_scale(format, rec, v->head_dim, first);
            zero[j] = kv_zero(format, rec, v->head_dim, first);
        }
        uint32_t h = 0;
        for (; h + KV_TILE <= n_q; h += KV_TILE) {
            c.acc = acc + (size_t)h * v->head_dim;
            sum_tile(format, &c, p + h * SL_KV_BLOCK, KV_TILE, scale, first);
        }
        for (; h < n_q; h++) {
            c.acc = acc + (size_t)h * v->head_dim;
            sum_tile(format, &c, p + h * SL_KV_BLOCK, 1, scale, first);
        }
    }
}

#define SL_SIMD_KV(suffix, format)                                                                 \
    SL_SIMD_TARGET static void SL_SIMD(scores_##suffix)(                                           \
        const struct sl_kv_block *k, const float *q, uint32_t n_q, float factor, float *s)         \
    {                                                                                              \
        scores_any(format, k, q, n_q, factor, s);                                                  \
    }                                                                                              \
    SL_SIMD_TARGET static void SL_SIMD(accumulate_##suffix)(                                       \
        const struct sl_kv_block *v, const float *p, uint32_t n_q, float *acc)                     \
    {                                                                                              \
        accumulate_any(format, v, p, n_q, acc);                                                    \
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
    .widen = SL_SIMD(widen),
    .exp_sub = SL_SIMD(exp_sub),
    .silu_mul = SL_SIMD(silu_mul),
    .scores = {SL_SIMD(scores_f32), SL_SIMD(scores_int8), SL_SIMD(scores_int4)},
    .accumulate = {SL_SIMD(accumulate_f32), SL_SIMD(accumulate_int8), SL_SIMD(accumulate_int4)},
};

#endif
