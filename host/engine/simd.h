/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's inner loops, once per instruction set. Every set gives the same bits: 16 lanes are the
 * 16 partial sums of docs/numerics.md section 6, a product is always a fused multiply-add, and the
 * tree at the end is fixed.
 */
#ifndef SL_ENGINE_SIMD_H
#define SL_ENGINE_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"
#include "engine/ops.h"

enum {
    SL_KV_BLOCK = 64,  /* absolute positions that attention takes together */
    SL_KV_GROUP = 32,  /* channels of an int4 record with a scale of their own */
    SL_KV_QUERY = 256, /* codes from one query to the next */
    SL_KV_TOP = 32767  /* the largest code of a query or of weights */
};

/* What codes are counted in where x is the largest magnitude, which becomes SL_KV_TOP; and how many
 * of them are 1. x counts as 2^-100 at least, so that both are finite. */
struct sl_kv_unit {
    float unit, per_one;
};
static inline struct sl_kv_unit sl_kv_unit_of(float x)
{
    x = x > 0x1p-100f ? x : 0x1p-100f;
    return (struct sl_kv_unit){x / SL_KV_TOP, SL_KV_TOP / x};
}

/* n <= SL_KV_BLOCK consecutive records (engine/ops.h: sl_kv_vec_bytes) of one head. SL_KV_BLOCK of
 * them and SL_KV_GROUP bytes more are readable. */
struct sl_kv_block {
    const uint8_t *rec;
    uint32_t head_dim, n;
};

/* Values of a row of sums: whole groups. */
static inline uint32_t sl_kv_padded(uint32_t head_dim)
{
    return (head_dim + SL_KV_GROUP - 1) / SL_KV_GROUP * SL_KV_GROUP;
}

/* Where channel i lies in queries that meet packed keys and in sums of packed values: as nibbles
 * come out of halfwords, within a group of 32. */
static inline uint32_t sl_kv_place(enum sl_kv_format format, uint32_t i)
{
    return format == SL_KV_INT4 ? i / 32 * 32 + i % 4 * 8 + i % 32 / 4 : i;
}

/* Queries as packed keys meet them: s16 codes [n_q][SL_KV_QUERY], channels by sl_kv_place(), 0
 * where there is none; and what a dot of codes times the key's scale is multiplied with, [n_q]. */
struct sl_kv_query {
    const int16_t *code;
    const float *factor;
};

/* A block's codes as pairs of s16. Keys: code[padded / 2][SL_KV_BLOCK][2] (two places of a query),
 * values: code[SL_KV_BLOCK / 2][padded][2] (two positions). scale[groups][SL_KV_BLOCK]. The
 * caller's memory. */
struct sl_kv_tile {
    int16_t *code;
    float *scale;
    const uint8_t *rec; /* what it was made of */
    uint32_t head_dim, n;
    enum sl_kv_format format;
};

/* Of n_q rows: their largest score so far, the sum of their exponentials, the last step's factor.
 */
struct sl_softmax {
    float *max, *sum, *c;
};

struct sl_simd {
    const char *name;
    float (*sum)(const float *x, size_t n);
    float (*max)(const float *x, size_t n); /* -infinity for n = 0; NaNs are passed over */
    float (*dot)(const float *a, const float *b, size_t n);
    /* out[i] = dot(a[i], b), and out[4 i + j] = dot(a[i], b[j]). */
    void (*dot4)(const float *const a[4], const float *b, size_t n, float out[4]);
    void (*dot4x4)(const float *const a[4], const float *const b[4], size_t n, float out[16]);
    /* dot4 of rows as they are stored, of the values that widen makes of them; a[i] may be
     * unaligned. */
    void (*dot4_stored)(enum sl_dtype dtype, const uint8_t *const a[4], float scale, const float *b,
                        size_t n, float out[4]);
    /* acc[n] = fmaf(w, x[n], acc[n]) */
    void (*axpy)(float *acc, const float *x, size_t n, float w);
    /* dst[n] = exp(src[n] - max). dst may be src. */
    void (*exp_sub)(float *dst, const float *src, size_t n, float max);
    /* h[n] = silu(g[n]) * u[n], silu(g) = g / (1 + exp(-g)). h may be g or u. */
    void (*silu_mul)(float *h, const float *g, const float *u, size_t n);
    /* dst[n] = src[n] * scale in fp32; src may be unaligned. */
    void (*widen)(enum sl_dtype dtype, const uint8_t *src, size_t n, float scale, float *dst);
    /* By enum sl_kv_format, packed ones only, for n_q rows over the same block, from its records:
     * for a few. s[n_q][SL_KV_BLOCK]: s_j = (q . k_j) * (scale of k_j) * factor; rows of s are
     * written to their ends or up to n. */
    void (*scores[3])(const struct sl_kv_block *k, const struct sl_kv_query *q, uint32_t n_q,
                      float *s);
    /* acc[n_q][padded] += the sum over j < n of p_j * v_j. Rows of p are readable to their ends,
     * and 0 from n up to the next multiple of 16. */
    void (*accumulate[3])(const struct sl_kv_block *v, const float *p, uint32_t n_q, float *acc);
    /* The same by way of a tile, for many; n of the sums at most the tile's. */
    void (*load_k[3])(const struct sl_kv_block *k, struct sl_kv_tile *out);
    void (*load_v[3])(const struct sl_kv_block *v, struct sl_kv_tile *out);
    void (*tile_scores)(const struct sl_kv_tile *k, const struct sl_kv_query *q, uint32_t n_q,
                        float *s);
    void (*tile_accumulate)(const struct sl_kv_tile *v, uint32_t n, const float *p, uint32_t n_q,
                            float *acc);
    /* A step of the online softmax for rows of s[n_q][SL_KV_BLOCK], each with n scores: m =
     * max(max[h], s[h][0..n)), s[h][j] = exp(s[h][j] - m), c[h] = exp(max[h] before - m), by which
     * what was summed up before is to be multiplied, sum[h] = sum[h] * c[h] + sum of the row,
     * max[h] = m. Rows are overwritten up to the next multiple of 16. */
    void (*soften)(float *s, uint32_t n_q, uint32_t n, struct sl_softmax *state);
};

enum sl_simd_level { SL_SIMD_GENERIC, SL_SIMD_AVX2, SL_SIMD_AVX512, SL_N_SIMD_LEVEL };

/* NULL where the machine lacks the instructions. */
const struct sl_simd *sl_simd_at(enum sl_simd_level level);
/* The widest level that may be chosen: SLUICE_SIMD=generic|avx2|avx512 in the environment, for
 * measurements and tests; anything else, and no such variable, allows all. No bit depends on it. */
enum sl_simd_level sl_simd_limit(void);
/* The widest that the machine has and the limit allows. Never NULL. */
const struct sl_simd *sl_simd_best(void);

/* bf16 bits at p (any alignment, little endian) as fp32. */
static inline float sl_kv_scale(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
        half = __builtin_bswap16(half);
    union {
        uint32_t u;
        float f;
    } bits = {(uint32_t)half << 16};
    return bits.f;
}

/* The implementations; NULL when this build has none. */
const struct sl_simd *sl_simd_generic(void);
const struct sl_simd *sl_simd_avx2(void);
const struct sl_simd *sl_simd_avx512(void);

#endif
