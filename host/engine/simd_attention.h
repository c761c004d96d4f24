/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of packed keys or values and a few rows, straight from the records: what decode of
 * multi-head attention is made of. Bound by memory, so that records are asked for ahead of use.
 * Products are of codes of 16 bits, two at a time, and their sums exact (docs/numerics.md section
 * 6), so that they may be taken in any order. Records are read in whole vectors: what lies behind a
 * vector or the block meets codes of 0.
 */
#ifndef SL_ENGINE_SIMD_ATTENTION_H
#define SL_ENGINE_SIMD_ATTENTION_H

#include "engine/simd_vector.h"

enum {
    KV_MAX_GROUP = 8,          /* of a packed head vector: 256 channels */
    KV_PAIR = 2 * SL_N_PARTIAL /* s16 of one vector of pairs */
};

/* What the registers hold at once: records whose dots are summed side by side; vectors of sums of
 * one row; rows of sums, and vectors of each; rows where each 32 channels have weights of their
 * own. */
#ifdef SL_SIMD_PORTABLE
enum { KV_RECORDS = 4, KV_STRIP = 2, KV_ROWS = 1, KV_WIDTH = 1, KV_GROUPED_ROWS = 1 };
#elif defined SL_SIMD_WIDE
enum { KV_RECORDS = 8, KV_STRIP = 16, KV_ROWS = 5, KV_WIDTH = 4, KV_GROUPED_ROWS = 5 };
#else
enum { KV_RECORDS = 4, KV_STRIP = 4, KV_ROWS = 5, KV_WIDTH = 1, KV_GROUPED_ROWS = 2 };
#endif

/* Groups of channels that share a scale. */
SL_SIMD_INLINE uint32_t kv_groups(enum sl_kv_format format, uint32_t head_dim)
{
    return format == SL_KV_INT4 ? (head_dim + SL_KV_GROUP - 1) / SL_KV_GROUP : 1;
}

/* Scale of group g. */
SL_SIMD_INLINE float kv_scale(enum sl_kv_format format, const uint8_t *rec, uint32_t head_dim,
                              uint32_t g)
{
    return format == SL_KV_INT4 ? sl_kv_scale(rec + head_dim / 2 + 2 * g)
                                : sl_kv_scale(rec + head_dim);
}

/* Of int4 records. */
SL_SIMD_INLINE int kv_zero(const uint8_t *rec, uint32_t head_dim, uint32_t g)
{
    return rec[head_dim / 2 + 2 * kv_groups(SL_KV_INT4, head_dim) + g];
}

/* The next block's records, asked for a little with each step of a product: into L2, where they
 * wait until their block comes. Hints: they may lie behind the cache. */
struct kv_next {
    uintptr_t at;
    size_t step;
};

/* For the first product with all codes of a block, or the first two of them; in a step two codes of
 * `width` vectors meet others. */
SL_SIMD_INLINE struct kv_next kv_next(enum sl_kv_format format, const struct sl_kv_block *block,
                                      uint32_t width, bool two)
{
    size_t bytes = SL_KV_BLOCK * sl_kv_vec_bytes(format, block->head_dim);
    size_t steps = SL_KV_BLOCK * (size_t)block->head_dim * (two ? 2 : 1) / (KV_PAIR * width);
    return (struct kv_next){(uintptr_t)block->rec + bytes, bytes / (steps ? steps : 1) + 1};
}

/* Once a step, with the width of kv_next(): whole lines of 33 bytes (int8) or less for a vector. */
SL_SIMD_INLINE void kv_ask(struct kv_next *next, uint32_t width)
{
    SL_UNROLL for (uint32_t i = 0; i < width * 34; i += 64)
        __builtin_prefetch((const void *)(next->at + i), 0, 2);
    next->at += next->step;
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* Dots of one query with group g of some records, times their scales; group after group in out. */
SL_SIMD_INLINE void kv_dots(enum sl_kv_format format, uint32_t dim, const uint8_t *rec,
                            const int16_t *q, uint32_t g, float out[KV_RECORDS])
{
    const size_t stride = sl_kv_vec_bytes(format, dim);
    const uint32_t end = format == SL_KV_INT4 ? (g + 1) * SL_KV_GROUP : dim;
    int32_t total[KV_RECORDS];
    s16 s[KV_RECORDS];
    SL_UNROLL for (int r = 0; r < KV_RECORDS; r++) s[r] = s16_zero();
    for (uint32_t i = g * SL_KV_GROUP; i < end; i += KV_PAIR) {
        p16 x = p16_load(q + i);
        SL_UNROLL for (int r = 0; r < KV_RECORDS; r++)
        {
            const uint8_t *at = rec + (size_t)r * stride;
            s[r] = s16_madd(x,
                            format == SL_KV_INT4 ? p16_load_u4(at + i / 2, kv_zero(at, dim, g))
                                                 : p16_load_s8(at + i),
                            s[r]);
        }
    }
    SL_UNROLL for (int r = 0; r < KV_RECORDS; r += 4) s16_totals(s + r, total + r);
    for (int r = 0; r < KV_RECORDS; r++) {
        float dot = (float)total[r] * kv_scale(format, rec + (size_t)r * stride, dim, g);
        out[r] = g ? out[r] + dot : dot;
    }
}

SL_SIMD_INLINE void scores_any(enum sl_kv_format format, const struct sl_kv_block *k,
                               const struct sl_kv_query *q, uint32_t n_q, float *s)
{
    const uint32_t dim = k->head_dim;
    size_t stride = sl_kv_vec_bytes(format, dim);
    uintptr_t next = (uintptr_t)k->rec + SL_KV_BLOCK * stride;
    for (uint32_t j = 0; j < k->n; j += KV_RECORDS) {
        const uint8_t *rec = k->rec + j * stride;
        for (size_t i = 0; i < KV_RECORDS * stride; i += 64)
            __builtin_prefetch((const void *)(next + j * stride + i), 0, 2);
        for (uint32_t h = 0; h < n_q; h++) {
            float dot[KV_RECORDS];
            kv_dots(format, dim, rec, q->code + h * SL_KV_QUERY, 0, dot);
            for (uint32_t g = 1; g < kv_groups(format, dim); g++)
                kv_dots(format, dim, rec, q->code + h * SL_KV_QUERY, g, dot);
            for (uint32_t r = 0; r < KV_RECORDS; r++)
                s[h * SL_KV_BLOCK + j + r] = dot[r] * q->factor[h];
        }
    }
}

/* ---- weighted sums --------------------------------------------------------------------------- */

/* Weights of one row over a block, codes of one unit for each group of channels. */
struct kv_weights {
    int16_t code[KV_MAX_GROUP][SL_KV_BLOCK];
    float unit[KV_MAX_GROUP]; /* what a code of 1 stands for */
};

/* p[n] times scale[groups][SL_KV_BLOCK]. What lies behind n up to a whole vector has weight 0. */
SL_SIMD_INLINE void kv_weigh(const float *p, const float *scale, uint32_t n, uint32_t n_group,
                             struct kv_weights *out)
{
    for (uint32_t g = 0; g < n_group; g++, scale += SL_KV_BLOCK) {
        v16 w[SL_KV_BLOCK / SL_N_PARTIAL], top = v16_set1(0.0f);
        for (uint32_t i = 0; i * SL_N_PARTIAL < n; i++) {
            w[i] = v16_mul(v16_load(p + i * SL_N_PARTIAL), v16_load(scale + i * SL_N_PARTIAL));
            top = v16_max(w[i], top);
        }
        const struct sl_kv_unit unit = sl_kv_unit_of(v16_top(top));
        out->unit[g] = unit.unit;
        for (uint32_t i = 0; i * SL_N_PARTIAL < n; i++)
            v16_store_codes(out->code[g] + i * SL_N_PARTIAL, v16_mul(w[i], v16_set1(unit.per_one)));
    }
}

/* Vectors of a row's sums that are worked on, and how many go together. */
SL_SIMD_INLINE uint32_t kv_together(enum sl_kv_format format)
{
    return format == SL_KV_INT4 ? 2 : 1;
}
SL_SIMD_INLINE uint32_t kv_vectors(enum sl_kv_format format, uint32_t head_dim)
{
    uint32_t channels = kv_together(format) * SL_N_PARTIAL;
    return (head_dim + channels - 1) / channels * kv_together(format);
}

/* Values of pair j of positions: `width` vectors from vector `at` on, as many as
 * kv_together() says or a multiple. */
SL_SIMD_INLINE void load_pair(enum sl_kv_format format, const struct sl_kv_block *v, uint32_t j,
                              uint32_t at, uint32_t width, p16 x[KV_STRIP])
{
    const uint8_t *even = v->rec + j * sl_kv_vec_bytes(format, v->head_dim);
    const uint8_t *odd = even + sl_kv_vec_bytes(format, v->head_dim);
    size_t i = SL_N_PARTIAL * (size_t)at;
    if (format == SL_KV_INT8) {
        SL_UNROLL for (uint32_t l = 0; l < width; l++) x[l] =
            p16_zip_s8(even + i + l * SL_N_PARTIAL, odd + i + l * SL_N_PARTIAL);
        return;
    }
    SL_UNROLL for (uint32_t l = 0; l < width; l += 2)
    {
        uint32_t g = (at + l) / 2;
        const int16_t zero[2] = {(int16_t)kv_zero(even, v->head_dim, g),
                                 (int16_t)kv_zero(odd, v->head_dim, g)};
        p16_zip_u4(even + g * SL_KV_GROUP / 2, odd + g * SL_KV_GROUP / 2, zero, x + l);
    }
}

SL_SIMD_INLINE void add_sum(s16 codes, float unit, float *to)
{
    v16_store(to, v16_fma(v16_from_s16(codes), v16_set1(unit), v16_load(to)));
}

/* The sums of a few rows stay in registers while pairs of positions pass by. most: what kv_next()
 * was called with. */
SL_SIMD_INLINE void sum_strip(enum sl_kv_format format, const struct sl_kv_block *v,
                              const struct kv_weights *w, uint32_t rows, uint32_t at,
                              uint32_t width, uint32_t most, struct kv_next *next, float *acc)
{
    const bool grouped = format == SL_KV_INT4;
    s16 a[KV_ROWS][KV_STRIP];
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        a[h][l] = s16_zero();
    for (uint32_t j = 0; j < v->n; j += 2) {
        p16 x[KV_STRIP];
        kv_ask(next, most);
        load_pair(format, v, j, at, width, x);
        SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
            a[h][l] = s16_madd(p16_set1(w[h].code[grouped ? (at + l) / 2 : 0] + j), x[l], a[h][l]);
    }
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        add_sum(a[h][l], w[h].unit[grouped ? (at + l) / 2 : 0],
                acc + h * sl_kv_padded(v->head_dim) + SL_N_PARTIAL * (size_t)(at + l));
}

/* Strips of the widest that there is room for, 4, 2 and 1. */
SL_SIMD_INLINE void sum_rows(enum sl_kv_format format, const struct sl_kv_block *v,
                             const struct kv_weights *w, uint32_t rows, float *acc)
{
    const uint32_t most = rows == 1 ? KV_STRIP : format == SL_KV_INT4 ? 2 : KV_WIDTH;
    struct kv_next next = kv_next(format, v, most, false);
    uint32_t left = kv_vectors(format, v->head_dim), at = 0, width;
    for (; left; left -= width, at += width) {
        if (left >= most)
            sum_strip(format, v, w, rows, at, width = most, most, &next, acc);
        else if (most > 4 && left >= 4)
            sum_strip(format, v, w, rows, at, width = 4, most, &next, acc);
        else if (most > 2 && left >= 2)
            sum_strip(format, v, w, rows, at, width = 2, most, &next, acc);
        else
            sum_strip(format, v, w, rows, at, width = 1, most, &next, acc);
    }
}

/* scale[groups][SL_KV_BLOCK] of a block's records; 0 behind them. */
SL_SIMD_INLINE void kv_scales(enum sl_kv_format format, const struct sl_kv_block *v, float *scale)
{
    const size_t stride = sl_kv_vec_bytes(format, v->head_dim);
    for (uint32_t g = 0; g < kv_groups(format, v->head_dim); g++, scale += SL_KV_BLOCK) {
        for (uint32_t j = 0; j < v->n; j++)
            scale[j] = kv_scale(format, v->rec + j * stride, v->head_dim, g);
        for (uint32_t j = v->n; j < SL_KV_BLOCK; j++)
            scale[j] = 0;
    }
}

/* Rows of the next product when so many are left: `most` at most, all about equally many. */
SL_SIMD_INLINE uint32_t next_rows(uint32_t left, uint32_t most)
{
    uint32_t n = (left + most - 1) / most;
    return (left + n - 1) / n;
}

/* The call with n, a constant, for rows, which is `most` at most: sums stay in registers. */
#define KV_CASE(value, n, most, call)                                                              \
    case value: {                                                                                  \
        enum { n = (most) < (value) ? 1 : (value) };                                               \
        call;                                                                                      \
    } break
#define KV_WITH_ROWS(rows, n, most, call)                                                          \
    switch (rows) {                                                                                \
        KV_CASE(5, n, most, call);                                                                 \
        KV_CASE(4, n, most, call);                                                                 \
        KV_CASE(3, n, most, call);                                                                 \
        KV_CASE(2, n, most, call);                                                                 \
        KV_CASE(1, n, most, call);                                                                 \
    }

SL_SIMD_INLINE void accumulate_any(enum sl_kv_format format, const struct sl_kv_block *v,
                                   const float *p, uint32_t n_q, float *acc)
{
    const uint32_t n_group = kv_groups(format, v->head_dim);
    float scale[KV_MAX_GROUP * SL_KV_BLOCK];
    struct kv_weights w[KV_ROWS];
    kv_scales(format, v, scale);
    for (uint32_t left = n_q, rows; left; left -= rows) {
        rows = next_rows(left, format == SL_KV_INT4 ? KV_GROUPED_ROWS : KV_ROWS);
        for (uint32_t h = 0; h < rows; h++, p += SL_KV_BLOCK)
            kv_weigh(p, scale, v->n, n_group, &w[h]);
        if (format == SL_KV_INT4)
            KV_WITH_ROWS(rows, n, KV_GROUPED_ROWS, sum_rows(format, v, w, n, acc))
        else
            KV_WITH_ROWS(rows, n, KV_ROWS, sum_rows(format, v, w, n, acc))
        acc += (size_t)rows * sl_kv_padded(v->head_dim);
    }
}

#define SL_SIMD_KV(suffix, format)                                                                 \
    SL_SIMD_TARGET static void SL_SIMD(scores_##suffix)(                                           \
        const struct sl_kv_block *k, const struct sl_kv_query *q, uint32_t n_q, float *s)          \
    {                                                                                              \
        scores_any(format, k, q, n_q, s);                                                          \
    }                                                                                              \
    SL_SIMD_TARGET static void SL_SIMD(accumulate_##suffix)(                                       \
        const struct sl_kv_block *v, const float *p, uint32_t n_q, float *acc)                     \
    {                                                                                              \
        accumulate_any(format, v, p, n_q, acc);                                                    \
    }

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
            v16 p = v16_exp_low(v16_sub(v16_load(s + i), top));
            v16_store(s + i, p);
            total = v16_add(total, p);
        }
        state->sum[h] = state->sum[h] * state->c[h] + v16_tree(total);
    }
}

#endif
