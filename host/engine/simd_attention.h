/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of packed keys or values and a few queries, straight from the records: what decode of
 * multi-head attention is made of. Bound by memory, so that records are asked for ahead of use.
 */
#ifndef SL_ENGINE_SIMD_ATTENTION_H
#define SL_ENGINE_SIMD_ATTENTION_H

#include "engine/simd_vector.h"

enum {
    KV_GROUP = 32,    /* channels that share a scale in int4 */
    KV_MAX_GROUP = 8, /* of a packed head vector: 256 channels */
    KV_AHEAD = 8192   /* bytes: the least distance at which a record is asked for */
};

/* What the registers hold at once: records whose dots are summed side by side; vectors of sums of
 * one query; rows and vectors of several. KV_DIRECT: of sl_simd. */
#ifdef SL_SIMD_PORTABLE
enum { KV_RECORDS = 4, KV_STRIP = 1, KV_ROWS = 1, KV_WIDTH = 1, KV_DIRECT = 10 };
#elif defined SL_SIMD_WIDE
enum { KV_RECORDS = 8, KV_STRIP = 16, KV_ROWS = 5, KV_WIDTH = 5, KV_DIRECT = 10 };
#else
enum { KV_RECORDS = 4, KV_STRIP = 4, KV_ROWS = 5, KV_WIDTH = 1, KV_DIRECT = 5 };
#endif

/* 16 channels from i on, without their scale. */
SL_SIMD_INLINE v16 kv_load(enum sl_kv_format format, const uint8_t *rec, uint32_t i, float z)
{
    switch (format) {
    case SL_KV_INT8: return v16_load_s8((const int8_t *)rec + i);
    case SL_KV_INT4: return v16_load_u4(rec + i / 2, z);
    default: return v16_load((const float *)(const void *)rec + i);
    }
}

SL_SIMD_INLINE float kv_channel(enum sl_kv_format format, const uint8_t *rec, uint32_t i, float z)
{
    switch (format) {
    case SL_KV_INT8: return (float)((const int8_t *)rec)[i];
    case SL_KV_INT4: return (float)(rec[i / 2] >> (i % 2 * 4) & 15) - z;
    default: return ((const float *)(const void *)rec)[i];
    }
}

/* Groups of channels that share a scale. */
SL_SIMD_INLINE uint32_t kv_groups(enum sl_kv_format format, uint32_t head_dim)
{
    return format == SL_KV_INT4 ? (head_dim + KV_GROUP - 1) / KV_GROUP : 1;
}

/* Scale of group g; 1 where there is none. */
SL_SIMD_INLINE float kv_scale(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                              uint32_t g)
{
    switch (format) {
    case SL_KV_INT8: return sl_kv_scale(rec + head_dim);
    case SL_KV_INT4: return sl_kv_scale(rec + head_dim / 2 + 2 * g);
    default: return 1.0f;
    }
}

SL_SIMD_INLINE float kv_zero(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                             uint32_t g)
{
    return format == SL_KV_INT4 ? rec[head_dim / 2 + 2 * kv_groups(format, head_dim) + g] : 0.0f;
}

/* Asks for `bytes` bytes a block of records ahead, or KV_AHEAD where blocks are small. A hint: the
 * address may lie behind the cache. */
SL_SIMD_INLINE void kv_ahead(const uint8_t *rec, size_t stride, size_t bytes)
{
    size_t block = SL_KV_BLOCK * stride, ahead = block > KV_AHEAD ? block : KV_AHEAD;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)rec + ahead + i));
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* Channels first .. end of some records, and the query they meet. */
struct kv_span {
    const uint8_t *rec[KV_RECORDS];
    const float *q; /* [head_dim] */
    uint32_t head_dim, group, first, end;
};

/* Dots of a span, by the 16-partial rule counted from `first`. */
SL_SIMD_INLINE void kv_dots(enum sl_kv_format format, const struct kv_span *k,
                            float out[KV_RECORDS])
{
    v16 s[KV_RECORDS];
    float z[KV_RECORDS];
    uint32_t i = k->first;
    SL_UNROLL for (int r = 0; r < KV_RECORDS; r++)
    {
        s[r] = v16_set1(0.0f);
        z[r] = kv_zero(format, k->rec[r], k->head_dim, k->group);
    }
    for (; i + SL_N_PARTIAL <= k->end; i += SL_N_PARTIAL) {
        v16 q = v16_load(k->q + i);
        SL_UNROLL for (int r = 0; r < KV_RECORDS; r++) s[r] =
            v16_fma(q, kv_load(format, k->rec[r], i, z[r]), s[r]);
    }
    if (i == k->end) {
        SL_UNROLL for (int r = 0; r < KV_RECORDS; r += 4) v16_tree4(s + r, out + r);
        return;
    }
    float t[KV_RECORDS][SL_N_PARTIAL];
    SL_UNROLL for (int r = 0; r < KV_RECORDS; r++) v16_store(t[r], s[r]);
    for (int r = 0; r < KV_RECORDS; r++) {
        for (uint32_t l = 0; i + l < k->end; l++)
            t[r][l] = fmaf(k->q[i + l], kv_channel(format, k->rec[r], i + l, z[r]), t[r][l]);
        out[r] = sl_tree16(t[r]);
    }
}

/* The query's dots with what the records stand for. */
SL_SIMD_INLINE void kv_records(enum sl_kv_format format, struct kv_span *k, float out[KV_RECORDS])
{
    uint32_t width = format == SL_KV_INT4 ? (uint32_t)KV_GROUP : k->head_dim;
    k->group = 0;
    for (k->first = 0; k->first < k->head_dim; k->first = k->end, k->group++) {
        float part[KV_RECORDS];
        k->end = k->first + width < k->head_dim ? k->first + width : k->head_dim;
        kv_dots(format, k, part);
        for (int r = 0; r < KV_RECORDS; r++) {
            float dot = part[r] * kv_scale(format, k->rec[r], k->head_dim, k->group);
            out[r] = k->first ? out[r] + dot : dot;
        }
    }
}

SL_SIMD_INLINE void scores_any(enum sl_kv_format format, const struct sl_kv_block *k,
                               const float *q, uint32_t n_q, float factor, float *s)
{
    size_t stride = sl_kv_vec_bytes(format, k->head_dim);
    struct kv_span span = {.head_dim = k->head_dim};
    for (uint32_t j = 0; j < k->n; j += KV_RECORDS) {
        for (uint32_t r = 0; r < KV_RECORDS; r++) /* the last one stands in for those not there */
            span.rec[r] = k->rec + (j + r < k->n ? j + r : k->n - 1) * stride;
        kv_ahead(span.rec[0], stride, KV_RECORDS * stride);
        for (uint32_t h = 0; h < n_q; h++) {
            float dot[KV_RECORDS];
            span.q = q + (size_t)h * k->head_dim;
            kv_records(format, &span, dot);
            for (uint32_t r = 0; r < KV_RECORDS; r++)
                s[h * SL_KV_BLOCK + j + r] = dot[r] * factor;
        }
    }
}

/* ---- weighted sums --------------------------------------------------------------------------- */

/* Rows of sums that meet n vectors of values. */
struct kv_sum {
    const uint8_t *rec;
    size_t stride; /* bytes */
    uint32_t n, n_group, acc_stride;
    const float *w;    /* [rows][n_group][SL_KV_BLOCK]: p_j * scale of v_j in the group */
    const float *zero; /* [n_group][SL_KV_BLOCK], int4 */
    float *acc;
    size_t ahead; /* bytes of each record that this pass asks for ahead of its use; 0: none */
};

/* `width` vectors of channels from i on stay in registers while the positions pass by. grouped:
 * each 32 channels have weights of their own. */
SL_SIMD_INLINE void sum_strip(enum sl_kv_format format, const struct kv_sum *c, bool grouped,
                              uint32_t rows, uint32_t width, uint32_t i)
{
    v16 a[KV_ROWS][KV_STRIP];
    const uint8_t *rec = c->rec;
    float *acc = c->acc + i;
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        a[h][l] = v16_load(acc + (size_t)h * c->acc_stride + SL_N_PARTIAL * l);
    for (uint32_t j = 0; j < c->n; j++, rec += c->stride) {
        kv_ahead(rec, c->stride, c->ahead);
        SL_UNROLL for (uint32_t l = 0; l < width; l++)
        {
            uint32_t at = i + SL_N_PARTIAL * l, g = grouped ? at / KV_GROUP : 0;
            float z = format == SL_KV_INT4 ? c->zero[g * SL_KV_BLOCK + j] : 0;
            v16 x = kv_load(format, rec, at, z);
            SL_UNROLL for (uint32_t h = 0; h < rows; h++) a[h][l] =
                v16_fma(v16_set1(c->w[(h * c->n_group + g) * SL_KV_BLOCK + j]), x, a[h][l]);
        }
    }
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        v16_store(acc + (size_t)h * c->acc_stride + SL_N_PARTIAL * l, a[h][l]);
}

SL_SIMD_INLINE void sum_channel(enum sl_kv_format format, const struct kv_sum *c, uint32_t h,
                                uint32_t i)
{
    uint32_t g = format == SL_KV_INT4 ? i / KV_GROUP : 0;
    const float *w = c->w + (h * c->n_group + g) * SL_KV_BLOCK;
    const uint8_t *rec = c->rec;
    float *acc = c->acc + (size_t)h * c->acc_stride + i, a = *acc;
    for (uint32_t j = 0; j < c->n; j++, rec += c->stride) {
        float z = format == SL_KV_INT4 ? c->zero[g * SL_KV_BLOCK + j] : 0;
        a = fmaf(w[j], kv_channel(format, rec, i, z), a);
    }
    *acc = a;
}

/* All whole vectors of a few rows: strips of KV_WIDTH, 4, 2 and 1, one row's as wide as goes. */
SL_SIMD_INLINE uint32_t sum_vectors(enum sl_kv_format format, struct kv_sum *c, bool grouped,
                                    uint32_t rows, uint32_t dim)
{
    uint32_t left = dim / SL_N_PARTIAL, i = 0, width;
    for (; left; left -= width, i += width * SL_N_PARTIAL, c->ahead = 0) {
        if (rows == 1 && KV_STRIP > KV_WIDTH && left >= KV_STRIP)
            sum_strip(format, c, grouped, rows, width = KV_STRIP, i);
        else if (KV_WIDTH > 4 && left == KV_WIDTH)
            sum_strip(format, c, grouped, rows, width = KV_WIDTH, i);
        else if ((KV_WIDTH > 4 || (rows == 1 && KV_STRIP >= 4)) && left >= 4)
            sum_strip(format, c, grouped, rows, width = 4, i);
        else if (KV_WIDTH >= 2 && left >= 2)
            sum_strip(format, c, grouped, rows, width = 2, i);
        else
            sum_strip(format, c, grouped, rows, width = 1, i);
    }
    return i;
}

/* Weights of a few rows, then their sums. scale: rows of SL_KV_BLOCK, by group. */
SL_SIMD_INLINE void sum_rows(enum sl_kv_format format, struct kv_sum *c, bool grouped,
                             uint32_t rows, const float *p, const float *scale, uint32_t dim)
{
    float w[KV_ROWS * KV_MAX_GROUP * SL_KV_BLOCK], *to = w;
    for (uint32_t h = 0; h < rows; h++)
        for (uint32_t g = 0; g < c->n_group; g++, to += SL_KV_BLOCK)
            for (uint32_t j = 0; j < c->n; j += SL_N_PARTIAL)
                v16_store(to + j, v16_mul(v16_load(p + h * SL_KV_BLOCK + j),
                                          v16_load(scale + g * SL_KV_BLOCK + j)));
    c->w = w;
    uint32_t done = sum_vectors(format, c, grouped, rows, dim);
    for (uint32_t h = 0; h < rows; h++)
        for (uint32_t i = done; i < dim; i++)
            sum_channel(format, c, h, i);
}

/* n_q rows, a few at a time. */
SL_SIMD_INLINE void sum_all(enum sl_kv_format format, struct kv_sum *c, bool grouped,
                            const float *p, const float *scale, uint32_t n_q, uint32_t dim)
{
    uint32_t left = n_q, rows;
    for (; left; left -= rows, p += rows * SL_KV_BLOCK, c->acc += (size_t)rows * c->acc_stride) {
        if (left >= KV_ROWS)
            sum_rows(format, c, grouped, rows = KV_ROWS, p, scale, dim);
        else if (KV_ROWS > 4 && left == 4)
            sum_rows(format, c, grouped, rows = 4, p, scale, dim);
        else if (KV_ROWS > 2 && left >= 2)
            sum_rows(format, c, grouped, rows = 2, p, scale, dim);
        else
            sum_rows(format, c, grouped, rows = 1, p, scale, dim);
    }
}

SL_SIMD_INLINE void accumulate_any(enum sl_kv_format format, const struct sl_kv_block *v,
                                   const float *p, uint32_t n_q, float *acc)
{
    float scale[KV_MAX_GROUP][SL_KV_BLOCK] = {0}, zero[KV_MAX_GROUP][SL_KV_BLOCK];
    struct kv_sum c = {.rec = v->rec,
                       .stride = sl_kv_vec_bytes(format, v->head_dim),
                       .n = v->n,
                       .n_group = kv_groups(format, v->head_dim),
                       .acc_stride = sl_kv_padded(v->head_dim),
                       .zero = zero[0],
                       .acc = acc,
                       .ahead = sl_kv_vec_bytes(format, v->head_dim)};
    const uint8_t *rec = v->rec;
    for (uint32_t j = 0; j < v->n; j++, rec += c.stride)
        for (uint32_t g = 0; g < c.n_group; g++) {
            scale[g][j] = kv_scale(format, rec, v->head_dim, g);
            zero[g][j] = kv_zero(format, rec, v->head_dim, g);
        }
    sum_all(format, &c, format == SL_KV_INT4, p, scale[0], n_q, v->head_dim);
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

/* ---- softmax over one block ------------------------------------------------------------------ */

/* Largest of a row's n scores and `least`; what lies behind them up to a whole vector is set to
 * what has weight 0, which changes no sum. */
SL_SIMD_INLINE float soften_top(float *s, uint32_t n, float least)
{
    v16 m = v16_set1(-INFINITY);
    for (uint32_t i = n; i % SL_N_PARTIAL; i++)
        s[i] = -INFINITY;
    for (uint32_t i = 0; i < n; i += SL_N_PARTIAL)
        m = v16_max(v16_load(s + i), m);
    float top = v16_top(m);
    return top > least ? top : least;
}

/* The rows' maxima first: a row's exponentials then wait for nothing of the row before. */
SL_SIMD_TARGET static void SL_SIMD(soften)(float *s, uint32_t n_q, uint32_t n,
                                           struct sl_softmax *state)
{
    for (uint32_t h = 0; h < n_q; h++) {
        float top = soften_top(s + h * SL_KV_BLOCK, n, state->max[h]);
        state->c[h] = top > state->max[h] ? sl_expf(state->max[h] - top) : 1.0f;
        state->max[h] = top;
    }
    for (uint32_t h = 0; h < n_q; h++, s += SL_KV_BLOCK) {
        v16 top = v16_set1(state->max[h]), total = v16_set1(0.0f);
        for (uint32_t i = 0; i < n; i += SL_N_PARTIAL) {
            v16 p = v16_exp(v16_sub(v16_load(s + i), top));
            v16_store(s + i, p);
            total = v16_add(total, p);
        }
        state->sum[h] = state->sum[h] * state->c[h] + v16_tree(total);
    }
}

#endif
