/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of keys or values and many queries: heads of a group, tokens of a chunk. The block's
 * codes become fp32 once, in a tile that stays in the thread's L1 or L2, and two small matrix
 * products follow. The keys' tile is turned: a vector holds one channel of 16 positions, and the 16
 * partial sums of the rule are computed one after the other, each in its own chain, so that they
 * meet lane by lane in the fixed tree and nothing is summed across lanes.
 */
#ifndef SL_ENGINE_SIMD_TILE_H
#define SL_ENGINE_SIMD_TILE_H

#include "engine/simd_attention.h"

#ifdef SL_SIMD_PORTABLE
enum { KV_SCORE_VECS = 1, KV_SCORE_ROWS = 1 };
#elif defined SL_SIMD_WIDE
enum { KV_SCORE_VECS = 2, KV_SCORE_ROWS = 5 };
#else
enum { KV_SCORE_VECS = 1, KV_SCORE_ROWS = 5 };
#endif
enum { KV_LEVELS = 4 }; /* of the tree over 16 partial sums */

/* ---- loading --------------------------------------------------------------------------------- */

/* Up to 16 records of a head. */
struct kv_rows {
    const uint8_t *rec;
    size_t stride;
    uint32_t n;
};

/* Turns n <= 16 bytes of each from `offset` on. What a record or the block does not have is left
 * out of the reading: its place holds anything. */
SL_SIMD_INLINE void kv_turn(const struct kv_rows *from, size_t offset, uint32_t n, d16 out[4])
{
    uint8_t pad[SL_N_PARTIAL * SL_N_PARTIAL] = {0};
    if (from->n == SL_N_PARTIAL && offset + SL_N_PARTIAL <= from->stride) {
        turn16(from->rec + offset, from->stride, out);
        return;
    }
    for (uint32_t r = 0; r < from->n; r++)
        for (uint32_t i = 0; i < n; i++)
            pad[r * SL_N_PARTIAL + i] = from->rec[r * from->stride + offset + i];
    turn16(pad, SL_N_PARTIAL, out);
}

/* Floats of the tile from a channel of n to the next, which starts the next partial sum. */
SL_SIMD_INLINE size_t kv_step(uint32_t n, uint32_t i)
{
    return (size_t)SL_KV_BLOCK * (n / SL_N_PARTIAL + (i % SL_N_PARTIAL < n % SL_N_PARTIAL));
}

SL_SIMD_INLINE void turn_int8(const struct kv_rows *from, uint32_t dim, float *code)
{
    for (uint32_t i = 0; i < dim; i += SL_N_PARTIAL, code += SL_KV_BLOCK) {
        uint32_t n = dim - i < SL_N_PARTIAL ? dim - i : SL_N_PARTIAL;
        d16 turned[4];
        float *to = code;
        kv_turn(from, i, n, turned);
        SL_UNROLL for (uint32_t l = 0; l < SL_N_PARTIAL; l++) if (l < n)
        {
            v16_store(to, v16_from_s8(turned[l / 4], (int)(l % 4)));
            to += kv_step(dim, l);
        }
    }
}

SL_SIMD_INLINE v16 kv_zeros(const struct kv_rows *from, uint32_t dim, uint32_t g)
{
    float z[SL_N_PARTIAL] = {0};
    for (uint32_t r = 0; r < from->n; r++)
        z[r] = kv_zero(SL_KV_INT4, from->rec + r * from->stride, dim, g);
    return v16_load(z);
}

SL_SIMD_INLINE void turn_int4(const struct kv_rows *from, uint32_t dim, float *code)
{
    for (uint32_t first = 0; first < dim; first += KV_GROUP) {
        uint32_t n = dim - first < KV_GROUP ? dim - first : KV_GROUP;
        v16 zero = kv_zeros(from, dim, first / KV_GROUP);
        d16 turned[4];
        kv_turn(from, first / 2, n / 2, turned);
        SL_UNROLL for (uint32_t i = 0; i < SL_N_PARTIAL; i++) if (2 * i < n)
        {
            float *low = code + (size_t)sl_kv_order(first, n, 2 * i) * SL_KV_BLOCK;
            float *high = low + kv_step(n, 2 * i);
            v16_store(low, v16_sub(v16_from_u4(turned[i / 4], (int)(i % 4 * 2)), zero));
            v16_store(high, v16_sub(v16_from_u4(turned[i / 4], (int)(i % 4 * 2 + 1)), zero));
        }
    }
}

SL_SIMD_INLINE void turn_f32(const struct kv_rows *from, uint32_t dim, float *code)
{
    for (uint32_t i = 0; i < dim; i++) {
        float *to = code + (size_t)sl_kv_order(0, dim, i) * SL_KV_BLOCK;
        for (uint32_t r = 0; r < from->n; r++)
            to[r] = kv_channel(SL_KV_F32, from->rec + r * from->stride, i, 0);
    }
}

SL_SIMD_INLINE void load_k_any(enum sl_kv_format format, const struct sl_kv_block *k,
                               struct sl_kv_tile *out)
{
    const uint32_t n_group = kv_groups(format, k->head_dim), dim = k->head_dim;
    struct kv_rows from = {k->rec, sl_kv_vec_bytes(format, dim), SL_N_PARTIAL};
    float *code = out->code, *scale = out->scale;
    out->head_dim = dim;
    out->n = k->n;
    out->grouped = format == SL_KV_INT4;
    for (uint32_t j = 0; j < k->n; j += SL_N_PARTIAL) {
        from.n = k->n - j < SL_N_PARTIAL ? k->n - j : SL_N_PARTIAL;
        switch (format) {
        case SL_KV_INT8: turn_int8(&from, dim, code + j); break;
        case SL_KV_INT4: turn_int4(&from, dim, code + j); break;
        default: turn_f32(&from, dim, code + j);
        }
        for (uint32_t r = 0; r < from.n; r++, from.rec += from.stride)
            for (uint32_t g = 0; g < n_group; g++)
                scale[g * SL_KV_BLOCK + j + r] = kv_scale(format, from.rec, dim, g);
    }
}

SL_SIMD_INLINE void load_v_any(enum sl_kv_format format, const struct sl_kv_block *v,
                               struct sl_kv_tile *out)
{
    size_t stride = sl_kv_vec_bytes(format, v->head_dim);
    uint32_t n_group = kv_groups(format, v->head_dim), dim = v->head_dim;
    const uint8_t *rec = v->rec;
    float *to = out->code;
    out->head_dim = dim;
    out->n = v->n;
    out->grouped = format == SL_KV_INT4;
    for (uint32_t j = 0; j < v->n; j++, rec += stride, to += sl_kv_padded(dim)) {
        uint32_t i = 0;
        for (; i + SL_N_PARTIAL <= dim; i += SL_N_PARTIAL)
            v16_store(to + i, kv_load(format, rec, i, kv_zero(format, rec, dim, i / KV_GROUP)));
        for (; i < dim; i++)
            to[i] = kv_channel(format, rec, i, kv_zero(format, rec, dim, i / KV_GROUP));
        for (; i < sl_kv_padded(dim); i++)
            to[i] = 0;
        for (uint32_t g = 0; g < n_group; g++)
            out->scale[g * SL_KV_BLOCK + j] = kv_scale(format, rec, dim, g);
    }
}

#define SL_SIMD_TILE(suffix, format)                                                               \
    SL_SIMD_TARGET static void SL_SIMD(load_k_##suffix)(const struct sl_kv_block *k,               \
                                                        struct sl_kv_tile *out)                    \
    {                                                                                              \
        load_k_any(format, k, out);                                                                \
    }                                                                                              \
    SL_SIMD_TARGET static void SL_SIMD(load_v_##suffix)(const struct sl_kv_block *v,               \
                                                        struct sl_kv_tile *out)                    \
    {                                                                                              \
        load_v_any(format, v, out);                                                                \
    }

SL_SIMD_TILE(f32, SL_KV_F32)
SL_SIMD_TILE(int8, SL_KV_INT8)
SL_SIMD_TILE(int4, SL_KV_INT4)

/* ---- scores ---------------------------------------------------------------------------------- */

/* A few rows of queries and 16 * KV_SCORE_VECS positions. */
struct kv_part {
    const float *code; /* of the first position; rows of SL_KV_BLOCK */
    const float *q;    /* rows of q_stride */
    size_t q_stride;
};

typedef struct {
    v16 v[KV_SCORE_ROWS][KV_SCORE_VECS];
} kv_block16;

/* One partial sum: n channels. */
SL_SIMD_INLINE kv_block16 part_sum(const struct kv_part *k, uint32_t rows, uint32_t n)
{
    kv_block16 a;
    const float *code = k->code, *q = k->q;
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++)
        a.v[h][v] = v16_set1(0.0f);
    for (uint32_t i = 0; i < n; i++, code += SL_KV_BLOCK, q++) {
        v16 x[KV_SCORE_VECS];
        SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++) x[v] = v16_load(code + SL_N_PARTIAL * v);
        SL_UNROLL for (uint32_t h = 0; h < rows; h++)
        {
            v16 y = v16_set1(q[h * k->q_stride]);
            SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++) a.v[h][v] =
                v16_fma(y, x[v], a.v[h][v]);
        }
    }
    return a;
}

/* Bits of t in reverse: partial sums come in the order in which the tree takes pairs of them. */
SL_SIMD_INLINE uint32_t tree_order(uint32_t t)
{
    return (t & 1) << 3 | (t & 2) << 1 | (t & 4) >> 1 | (t & 8) >> 3;
}

SL_SIMD_INLINE kv_block16 block_add(const kv_block16 *a, const kv_block16 *b, uint32_t rows)
{
    kv_block16 sum;
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++)
        sum.v[h][v] = v16_add(a->v[h][v], b->v[h][v]);
    return sum;
}

/* Dots of n channels, which lie from row `first` of tile and query on. */
SL_SIMD_INLINE kv_block16 dot_block(const struct kv_part *k, uint32_t rows, uint32_t first,
                                    uint32_t n)
{
    kv_block16 level[KV_LEVELS], a;
    SL_UNROLL for (uint32_t t = 0; t < SL_N_PARTIAL; t++)
    {
        uint32_t l = tree_order(t), at = first + sl_kv_order(0, n, l);
        struct kv_part part = {k->code + (size_t)at * SL_KV_BLOCK, k->q + at, k->q_stride};
        a = part_sum(&part, rows, n / SL_N_PARTIAL + (l < n % SL_N_PARTIAL));
        SL_UNROLL for (uint32_t d = 0; d < KV_LEVELS; d++)
        {
            const uint32_t ones = (2u << d) - 1; /* so many sums are complete below level d + 1 */
            if ((t & ones) == ones)
                a = block_add(&level[d], &a, rows);
            else if ((t & ones) == ones >> 1)
                level[d] = a;
        }
    }
    return a;
}

/* Loops of known length where it counts: int4's groups and heads of 80 channels. */
SL_SIMD_INLINE kv_block16 dot_any_block(const struct kv_part *k, uint32_t rows, uint32_t first,
                                        uint32_t n)
{
    if (KV_SCORE_ROWS == 1)
        return dot_block(k, rows, first, n);
    if (n == KV_GROUP)
        return dot_block(k, rows, first, KV_GROUP);
    return n == 80 ? dot_block(k, rows, first, 80) : dot_block(k, rows, first, n);
}

SL_SIMD_INLINE void score_block(const struct sl_kv_tile *k, const struct kv_part *part,
                                uint32_t rows, uint32_t j, float factor, float *s)
{
    uint32_t width = k->grouped ? (uint32_t)KV_GROUP : k->head_dim;
    const float *scale = k->scale + j;
    kv_block16 sum; /* from -0, to which a term adds itself, whatever its sign */
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++)
        sum.v[h][v] = v16_set1(-0.0f);
    for (uint32_t first = 0; first < k->head_dim; first += width, scale += SL_KV_BLOCK) {
        uint32_t n = k->head_dim - first < width ? k->head_dim - first : width;
        kv_block16 a = dot_any_block(part, rows, first, n);
        SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++)
        {
            v16 x = v16_load(scale + SL_N_PARTIAL * v);
            SL_UNROLL for (uint32_t h = 0; h < rows; h++) sum.v[h][v] =
                v16_add(sum.v[h][v], v16_mul(a.v[h][v], x));
        }
    }
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (int v = 0; v < KV_SCORE_VECS; v++)
        v16_store(s + h * SL_KV_BLOCK + j + SL_N_PARTIAL * v,
                  v16_mul(sum.v[h][v], v16_set1(factor)));
}

SL_SIMD_INLINE void score_rows(const struct sl_kv_tile *k, const float *q, uint32_t rows,
                               float factor, float *s)
{
    for (uint32_t j = 0; j < k->n; j += SL_N_PARTIAL * KV_SCORE_VECS) {
        struct kv_part part = {k->code + j, q, k->head_dim};
        score_block(k, &part, rows, j, factor, s);
    }
}

SL_SIMD_TARGET static void SL_SIMD(tile_scores)(const struct sl_kv_tile *k, const float *q,
                                                uint32_t n_q, float factor, float *s)
{
    uint32_t h = 0;
    for (; h + KV_SCORE_ROWS <= n_q; h += KV_SCORE_ROWS)
        score_rows(k, q + (size_t)h * k->head_dim, KV_SCORE_ROWS, factor, s + h * SL_KV_BLOCK);
    for (; KV_SCORE_ROWS > 4 && h + 4 <= n_q; h += 4)
        score_rows(k, q + (size_t)h * k->head_dim, 4, factor, s + h * SL_KV_BLOCK);
    for (; KV_SCORE_ROWS > 2 && h + 2 <= n_q; h += 2)
        score_rows(k, q + (size_t)h * k->head_dim, 2, factor, s + h * SL_KV_BLOCK);
    for (; h < n_q; h++)
        score_rows(k, q + (size_t)h * k->head_dim, 1, factor, s + h * SL_KV_BLOCK);
}

/* ---- weighted sums --------------------------------------------------------------------------- */

SL_SIMD_TARGET static void SL_SIMD(tile_accumulate)(const struct sl_kv_tile *v, uint32_t n,
                                                    const float *p, uint32_t n_q, float *acc)
{
    uint32_t padded = sl_kv_padded(v->head_dim);
    struct kv_sum c = {.rec = (const uint8_t *)v->code,
                       .stride = padded * sizeof(float),
                       .n = n,
                       .n_group = v->grouped ? kv_groups(SL_KV_INT4, v->head_dim) : 1,
                       .acc_stride = padded,
                       .acc = acc};
    if (v->grouped)
        sum_all(SL_KV_F32, &c, true, p, v->scale, n_q, padded);
    else
        sum_all(SL_KV_F32, &c, false, p, v->scale, n_q, padded);
}

#endif
