/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of keys or values and many rows: heads of a group, tokens of a chunk. The block's codes
 * become pairs of s16 once, in a tile that stays in the thread's L1 or L2, and two small matrix
 * products of one form follow: rows of codes times pairs in 16 lanes. Of keys a lane is a position
 * and a pair two channels, so that nothing is summed across lanes; of values a lane is a channel
 * and a pair two positions.
 */
#ifndef SL_ENGINE_SIMD_TILE_H
#define SL_ENGINE_SIMD_TILE_H

#include "engine/simd_attention.h"

enum { KV_LINE = 2 * SL_KV_BLOCK /* s16 of a pair of channels of the keys */ };

/* ---- loading --------------------------------------------------------------------------------- */

/* 16 positions. */
SL_SIMD_INLINE void turn_int8(const uint8_t *rec, uint32_t dim, int16_t *code)
{
    for (uint32_t i = 0; i < dim; i += SL_N_PARTIAL) {
        d16 turned[4];
        turn16(rec + i, sl_kv_vec_bytes(SL_KV_INT8, dim), turned);
        SL_UNROLL for (int l = 0; l < 8; l++, code += KV_LINE)
            p16_store(code, p16_from_s8(turned[l / 2], l % 2));
    }
}

/* The zero points of 16 records, each twice. */
SL_SIMD_INLINE p16 kv_zeros(const uint8_t *rec, uint32_t dim, uint32_t g)
{
    int16_t z[KV_PAIR];
    for (uint32_t r = 0; r < SL_N_PARTIAL; r++, rec += sl_kv_vec_bytes(SL_KV_INT4, dim))
        z[2 * r] = z[2 * r + 1] = (int16_t)kv_zero(rec, dim, g);
    return p16_load(z);
}

/* Channels 8 i + m and 8 i + m + 4 of a group are side by side in the order of sl_kv_place(). */
SL_SIMD_INLINE void turn_int4(const uint8_t *rec, uint32_t dim, int16_t *code)
{
    const size_t stride = sl_kv_vec_bytes(SL_KV_INT4, dim);
    for (uint32_t g = 0; g < kv_groups(SL_KV_INT4, dim); g++) {
        p16 zero = kv_zeros(rec, dim, g);
        d16 turned[4];
        turn16(rec + g * SL_KV_GROUP / 2, stride, turned);
        SL_UNROLL for (int l = 0; l < SL_KV_GROUP / 2; l++, code += KV_LINE)
            p16_store(code, p16_from_u4(turned[l % 4], l / 4, zero));
    }
}

SL_SIMD_INLINE void load_k_any(enum sl_kv_format format, const struct sl_kv_block *k,
                               struct sl_kv_tile *out)
{
    size_t stride = sl_kv_vec_bytes(format, k->head_dim);
    *out = (struct sl_kv_tile){out->code, out->scale, k->rec, k->head_dim, k->n, format};
    kv_scales(format, k, out->scale);
    for (uint32_t j = 0; j < k->n; j += SL_N_PARTIAL) {
        const uint8_t *rec = k->rec + j * stride;
        if (format == SL_KV_INT8)
            turn_int8(rec, k->head_dim, out->code + 2 * j);
        else
            turn_int4(rec, k->head_dim, out->code + 2 * j);
    }
}

SL_SIMD_INLINE void load_v_any(enum sl_kv_format format, const struct sl_kv_block *v,
                               struct sl_kv_tile *out)
{
    const uint32_t together = kv_together(format), n = kv_vectors(format, v->head_dim);
    *out = (struct sl_kv_tile){out->code, out->scale, v->rec, v->head_dim, v->n, format};
    kv_scales(format, v, out->scale);
    for (uint32_t j = 0; j < v->n; j += 2) {
        int16_t *code = out->code + j * sl_kv_padded(v->head_dim);
        for (uint32_t at = 0; at < n; at += together, code += together * KV_PAIR) {
            p16 x[KV_STRIP];
            load_pair(format, v, j, at, together, x);
            SL_UNROLL for (uint32_t l = 0; l < together; l++) p16_store(code + l * KV_PAIR, x[l]);
        }
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

SL_SIMD_TILE(int8, SL_KV_INT8)
SL_SIMD_TILE(int4, SL_KV_INT4)

/* ---- products -------------------------------------------------------------------------------- */

/* Rows of codes and 16 lanes or more of a tile. */
struct kv_product {
    const int16_t *row, *code; /* of the first row, lane and pair */
    size_t code_step;          /* s16 to the next pair */
    uint32_t n;                /* pairs, at least one */
};

/* row_step: s16 to the next row, a constant, for the sake of addresses. */
SL_SIMD_INLINE void multiply(const struct kv_product *p, size_t row_step, uint32_t rows,
                             uint32_t width, struct kv_next *next, s16 a[KV_ROWS][KV_WIDTH])
{
    const int16_t *row = p->row, *code = p->code, *end = row + 2 * (size_t)p->n;
    struct kv_next ahead = *next;
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t v = 0; v < width; v++)
        a[h][v] = s16_zero();
    for (; row < end; row += 2, code += p->code_step) {
        p16 x[KV_WIDTH];
        kv_ask(&ahead, KV_WIDTH);
        SL_UNROLL for (uint32_t v = 0; v < width; v++) x[v] = p16_load(code + KV_PAIR * v);
        SL_UNROLL for (uint32_t h = 0; h < rows; h++)
        {
            p16 y = p16_set1(row + h * row_step);
            SL_UNROLL for (uint32_t v = 0; v < width; v++) a[h][v] = s16_madd(y, x[v], a[h][v]);
            row = s16_then(row, a[h][width - 1]);
        }
    }
    *next = ahead;
}

/* A few rows of queries with KV_WIDTH vectors of positions from j on. */
SL_SIMD_INLINE void score_block(const struct sl_kv_tile *k, const struct sl_kv_query *q,
                                uint32_t rows, uint32_t j, struct kv_next *next, float *s)
{
    const uint32_t n_group = kv_groups(k->format, k->head_dim);
    struct kv_product p = {.row = q->code,
                           .code = k->code + 2 * j,
                           .code_step = KV_LINE,
                           .n =
                               (k->format == SL_KV_INT4 ? (uint32_t)SL_KV_GROUP : k->head_dim) / 2};
    const float *scale = k->scale + j;
    for (uint32_t g = 0; g < n_group; g++, scale += SL_KV_BLOCK) {
        s16 a[KV_ROWS][KV_WIDTH];
        multiply(&p, SL_KV_QUERY, rows, KV_WIDTH, next, a);
        SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (int v = 0; v < KV_WIDTH; v++)
        {
            float *to = s + h * SL_KV_BLOCK + j + SL_N_PARTIAL * v;
            v16 x = v16_mul(v16_from_s16(a[h][v]), v16_load(scale + SL_N_PARTIAL * v));
            x = g ? v16_add(v16_load(to), x) : x;
            v16_store(to, g + 1 < n_group ? x : v16_mul(x, v16_set1(q->factor[h])));
        }
        p.row += SL_KV_GROUP;
        p.code += SL_KV_GROUP / 2 * KV_LINE;
    }
}

SL_SIMD_INLINE void score_rows(const struct sl_kv_tile *k, const struct sl_kv_query *q,
                               uint32_t rows, struct kv_next *next, float *s)
{
    for (uint32_t j = 0; j < k->n; j += SL_N_PARTIAL * KV_WIDTH)
        score_block(k, q, rows, j, next, s);
}

SL_SIMD_TARGET static void SL_SIMD(tile_scores)(const struct sl_kv_tile *k,
                                                const struct sl_kv_query *q, uint32_t n_q, float *s)
{
    struct sl_kv_query at = *q;
    const struct sl_kv_block block = {k->rec, k->head_dim, k->n};
    struct kv_next next = kv_next(k->format, &block, KV_WIDTH, n_q > KV_ROWS);
    for (uint32_t left = n_q, rows; left; left -= rows, s += rows * SL_KV_BLOCK) {
        rows = next_rows(left, KV_ROWS);
        KV_WITH_ROWS(rows, n, KV_ROWS, score_rows(k, &at, n, &next, s))
        at.code += rows * SL_KV_QUERY;
        at.factor += rows;
    }
}

/* Vectors i .. i + width, which are of one group, of the sums of a few rows. */
SL_SIMD_INLINE void weigh_block(const struct sl_kv_tile *v, uint32_t n, const struct kv_weights *w,
                                uint32_t rows, uint32_t i, uint32_t width, struct kv_next *next,
                                float *acc)
{
    const uint32_t padded = sl_kv_padded(v->head_dim), g = v->format == SL_KV_INT4 ? i / 2 : 0;
    struct kv_product p = {.row = w->code[g],
                           .code = v->code + (size_t)i * KV_PAIR,
                           .code_step = 2 * (size_t)padded,
                           .n = (n + 1) / 2};
    s16 a[KV_ROWS][KV_WIDTH];
    multiply(&p, sizeof *w / sizeof(int16_t), rows, width, next, a);
    SL_UNROLL for (uint32_t h = 0; h < rows; h++) SL_UNROLL for (uint32_t l = 0; l < width; l++)
        add_sum(a[h][l], w[h].unit[g], acc + (size_t)h * padded + SL_N_PARTIAL * (size_t)(i + l));
}

SL_SIMD_INLINE void weigh_rows(const struct sl_kv_tile *v, uint32_t n, const float *p,
                               uint32_t rows, struct kv_next *next, float *acc)
{
    uint32_t left = kv_vectors(v->format, v->head_dim), i = 0, width;
    struct kv_weights w[KV_ROWS];
    for (uint32_t h = 0; h < rows; h++)
        kv_weigh(p + h * SL_KV_BLOCK, v->scale, n, kv_groups(v->format, v->head_dim), &w[h]);
    for (; left; left -= width, i += width) {
        if (KV_WIDTH > 2 && v->format == SL_KV_INT8 && left >= KV_WIDTH)
            weigh_block(v, n, w, rows, i, width = KV_WIDTH, next, acc);
        else if (KV_WIDTH > 1 && left >= 2)
            weigh_block(v, n, w, rows, i, width = 2, next, acc);
        else
            weigh_block(v, n, w, rows, i, width = 1, next, acc);
    }
}

SL_SIMD_TARGET static void SL_SIMD(tile_accumulate)(const struct sl_kv_tile *v, uint32_t n,
                                                    const float *p, uint32_t n_q, float *acc)
{
    const struct sl_kv_block block = {v->rec, v->head_dim, v->n};
    struct kv_next next = kv_next(v->format, &block, KV_WIDTH, n_q > KV_ROWS);
    for (uint32_t left = n_q, rows; left; left -= rows, p += rows * SL_KV_BLOCK) {
        rows = next_rows(left, KV_ROWS);
        KV_WITH_ROWS(rows, r, KV_ROWS, weigh_rows(v, n, p, r, &next, acc))
        acc += (size_t)rows * sl_kv_padded(v->head_dim);
    }
}

#endif
