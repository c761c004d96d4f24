/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512, one or two tokens: lanes are columns. A block of 8 registers of quad sums (4-bit: two
 * rows of 4 beats, others: one row of 8) is transposed and added into one register of 16 group
 * sums.
 *
 * Widths: group sum below 2^19 (fp8: 2^29.9) in s32; times a scale below 2^13 in s64 by vpmuldq;
 * shifted by xe <= 21, 2^53; 1,024 groups, and any part of them, 2^63 (docs/numerics.md 4): exact.
 */
#include "accel/cpu_avx512.h"

#ifdef __x86_64__

/* Some units with a token's prepared x. */
struct row_call {
    const struct sl_cpu_rows *rows;
    const uint8_t *unit;
    const int8_t *x;
    const struct sl_row_block *block;
    uint32_t n_block, n_unit;
};

SL_V512 void prefetch_beats(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += SL_BEAT_BYTES)
        _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

SL_V512 __m512i order_of(const uint8_t order[16])
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)order));
}

/* The 16 scale bytes at p, one per lane. */
SL_V512 __m512i load_scales(const uint8_t *p, __m512i order)
{
    __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)p));
    return sl_scale_of(_mm512_shuffle_epi8(all, order));
}

/* Where the scale byte of each lane is: bits 7 of an index make its byte zero. */
SL_V512 __m512i scale_order(bool pair)
{
    static const uint8_t of_pair[16] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};
    static const uint8_t of_row[16] = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15};
    return _mm512_or_si512(order_of(pair ? of_pair : of_row), _mm512_set1_epi32((int)0x80808000));
}

/* ---- 4-bit: two rows, 4 beats ---------------------------------------------------------------- */

SL_V512 __m512i pair_block(const uint8_t *w, const int8_t *x, __m512i book)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i v[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i codes = _mm512_loadu_si512(w + 64 * i), xi = _mm512_load_si512(x + 64 * i);
        __m512i low = _mm512_permutexvar_epi8(codes, book);
        __m512i high = _mm512_permutexvar_epi8(_mm512_srli_epi16(codes, 4), book);
        v[2 * i] = _mm512_dpbusd_epi32(zero, low, xi);
        v[2 * i + 1] = _mm512_dpbusd_epi32(zero, high, xi);
    }
    return sl_reduce8(v);
}

SL_V512 void store_pair(__m512i a, __m512i b, int64_t sum[2])
{
    __m512i s = _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    __m256i t = _mm256_add_epi64(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
    _mm_storeu_si128((void *)sum,
                     _mm_add_epi64(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1)));
}

/* Even lanes are the low row, odd lanes the high one. */
SL_V512 void unit_4bit(const struct row_call *c, __m512i book, __m512i order, int64_t sum[2])
{
    const uint8_t *scale = c->unit + c->rows->scale_at, *w = c->unit + c->rows->code_at;
    const size_t ahead = c->rows->ahead;
    __m512i a = _mm512_setzero_si512(), b = a;
    prefetch_beats(scale + ahead, c->rows->scale_bytes);
    for (uint32_t i = 0; i < c->n_block; i++) {
        const struct sl_row_block *block = &c->block[i];
        prefetch_beats(w + ahead + i * 256, 256);
        __m512i s = pair_block(w + i * 256, c->x + i * 256, book);
        s = _mm512_sub_epi32(s, _mm512_load_si512(block->raise));
        __m512i scales = load_scales(scale + i * 16, order), xe = _mm512_load_si512(block->even);
        __m512i low = _mm512_mul_epi32(s, scales);
        __m512i high = _mm512_mul_epi32(sl_odd_lanes(s), sl_odd_lanes(scales));
        a = _mm512_add_epi64(a, _mm512_sllv_epi64(low, xe));
        b = _mm512_add_epi64(b, _mm512_sllv_epi64(high, xe));
    }
    store_pair(a, b, sum);
}

/* ---- q8: one row, 8 beats -------------------------------------------------------------------- */

SL_V512 __m512i row_q8(const struct row_call *c, const uint8_t *row, __m512i order)
{
    const __m512i zero = _mm512_setzero_si512(), flip = _mm512_set1_epi8(-128);
    const uint8_t *scale = row + c->rows->scale_at, *w = row + c->rows->code_at;
    const size_t ahead = c->rows->ahead;
    __m512i a = zero, b = zero;
    prefetch_beats(scale + ahead, c->rows->scale_bytes);
    for (uint32_t i = 0; i < c->n_block; i++) {
        const struct sl_row_block *block = &c->block[i];
        __m512i v[8];
        prefetch_beats(w + ahead + i * 512, 512);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            __m512i codes = _mm512_loadu_si512(w + i * 512 + 64 * j);
            v[j] = _mm512_dpbusd_epi32(zero, _mm512_xor_si512(codes, flip),
                                       _mm512_load_si512(c->x + i * 512 + 64 * j));
        }
        __m512i s = _mm512_sub_epi32(sl_reduce8(v), _mm512_load_si512(block->raise));
        __m512i scales = load_scales(scale + i * 16, order);
        __m512i even = _mm512_mul_epi32(s, scales);
        __m512i odd = _mm512_mul_epi32(sl_odd_lanes(s), sl_odd_lanes(scales));
        even = _mm512_sllv_epi64(even, _mm512_load_si512(block->even));
        odd = _mm512_sllv_epi64(odd, _mm512_load_si512(block->odd));
        a = _mm512_add_epi64(a, even);
        b = _mm512_add_epi64(b, odd);
    }
    return _mm512_add_epi64(a, b);
}

/* ---- fp8: one row, 8 beats ------------------------------------------------------------------- */

/*
 * An E4M3 magnitude as an integer is a significand below 16 shifted by 0 .. 14: in three bytes of
 * five shifts each, worth 1, 2^5 and 2^10, one byte at most is not zero, and none exceeds 15 << 4 =
 * 240 (the NaN code is 15 << 14). The sign goes to x. Four products: 4 * 240 * 127 < 2^17, after
 * two shifts by five below 2^27; a group sum is below 2^29.9.
 */
#define SHIFT_OF(e) ((e) ? (e)-1 : 0)
#define SIG_OF(e, m) ((e) ? 8 + (m) : (m))
#define LIMB(k, e, m) (uint8_t)(SHIFT_OF(e) / 5 == (k) ? SIG_OF(e, m) << SHIFT_OF(e) % 5 : 0)
#define LIMBS8(k, e)                                                                               \
    LIMB(k, e, 0), LIMB(k, e, 1), LIMB(k, e, 2), LIMB(k, e, 3), LIMB(k, e, 4), LIMB(k, e, 5),      \
        LIMB(k, e, 6), LIMB(k, e, 7)
#define LIMBS64(k, e)                                                                              \
    LIMBS8(k, (e)), LIMBS8(k, (e) + 1), LIMBS8(k, (e) + 2), LIMBS8(k, (e) + 3),                    \
        LIMBS8(k, (e) + 4), LIMBS8(k, (e) + 5), LIMBS8(k, (e) + 6), LIMBS8(k, (e) + 7)
static const uint8_t limbs[SL_N_LIMB][2][64] = {{{LIMBS64(0, 0)}, {LIMBS64(0, 8)}},
                                                {{LIMBS64(1, 0)}, {LIMBS64(1, 8)}},
                                                {{LIMBS64(2, 0)}, {LIMBS64(2, 8)}}};

struct limb_tables {
    __m512i t[SL_N_LIMB][2];
};

SL_V512 __m512i dot_fp8(__m512i codes, __m512i x, const struct limb_tables *l)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i d = zero;
    x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(codes), zero, x);
#pragma GCC unroll 3
    for (int k = SL_N_LIMB - 1; k >= 0; k--) { /* vpermi2b looks at seven bits: not at the sign */
        __m512i limb = _mm512_permutex2var_epi8(l->t[k][0], codes, l->t[k][1]);
        d = _mm512_dpbusd_epi32(_mm512_slli_epi32(d, k == SL_N_LIMB - 1 ? 0 : 5), limb, x);
    }
    return d;
}

SL_V512 __m512i row_fp8(const struct row_call *c, const uint8_t *row, const struct limb_tables *l)
{
    const uint8_t *w = row + c->rows->code_at;
    const size_t ahead = c->rows->ahead;
    __m512i a = _mm512_setzero_si512(), b = a;
    for (uint32_t i = 0; i < c->n_block; i++) {
        const struct sl_row_block *block = &c->block[i];
        __m512i v[8];
        prefetch_beats(w + ahead + i * 512, 512);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
            v[j] = dot_fp8(_mm512_loadu_si512(w + i * 512 + 64 * j),
                           _mm512_load_si512(c->x + i * 512 + 64 * j), l);
        __m512i s = sl_reduce8(v);
        __m512i even = _mm512_mul_epi32(s, _mm512_load_si512(block->even));
        __m512i odd = _mm512_mul_epi32(sl_odd_lanes(s), _mm512_load_si512(block->odd));
        a = _mm512_add_epi64(a, even);
        b = _mm512_add_epi64(b, odd);
    }
    return _mm512_add_epi64(a, b);
}

/* ---- a part ---------------------------------------------------------------------------------- */

#define FOR_UNITS(call, u)                                                                         \
    for (uint32_t u = 0; u < (call).n_unit; u++, (call).unit += (call).rows->unit_bytes)

SL_AVX512 static void sums_4bit(struct row_call c, int format, int64_t *sum)
{
    const __m512i book = sl_book512(format), order = scale_order(true);
    FOR_UNITS(c, u)
    unit_4bit(&c, book, order, sum + 2 * (size_t)u);
}

SL_AVX512 static void sums_q8(struct row_call c, int64_t *sum)
{
    const __m512i order = scale_order(false);
    FOR_UNITS(c, u)
    {
        __m512i a = row_q8(&c, c.unit, order);
        store_pair(a, row_q8(&c, c.unit + c.rows->row_bytes, order), sum + 2 * (size_t)u);
    }
}

SL_AVX512 static void sums_fp8(struct row_call c, int64_t *sum)
{
    struct limb_tables l;
    for (int k = 0; k < SL_N_LIMB; k++) {
        l.t[k][0] = _mm512_loadu_si512(limbs[k][0]);
        l.t[k][1] = _mm512_loadu_si512(limbs[k][1]);
    }
    FOR_UNITS(c, u)
    {
        __m512i a = row_fp8(&c, c.unit, &l);
        store_pair(a, row_fp8(&c, c.unit + c.rows->row_bytes, &l), sum + 2 * (size_t)u);
    }
}

/* xe of the groups in `order`, as s64; fp8: 2^xe. */
SL_V512 __m512i wide_exps(const uint8_t *xe, __m128i order, bool power)
{
    __m128i bytes = _mm_shuffle_epi8(_mm_loadu_si128((const void *)xe), order);
    __m512i e = _mm512_cvtepu8_epi64(bytes);
    return power ? _mm512_sllv_epi64(_mm512_set1_epi64(1), e) : e;
}

SL_AVX512 static void prepare_pairs(const int8_t *x, const uint8_t *xe, uint32_t n_block,
                                    struct sl_row_block *block)
{
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1);
    for (uint32_t i = 0; i < n_block; i++) {
        __m512i v[8];
        for (int j = 0; j < 4; j++)
            v[2 * j] = v[2 * j + 1] = sl_quad_sums(x + i * 256 + 64 * j);
        _mm512_store_si512(block[i].raise, _mm512_slli_epi32(sl_reduce8(v), 7));
        _mm512_store_si512(block[i].even, wide_exps(xe + i * 8, order, false));
    }
}

SL_AVX512 static void prepare_rows(const int8_t *x, const uint8_t *xe, uint32_t n_block, bool power,
                                   struct sl_row_block *block)
{
    const __m128i even = _mm_setr_epi8(0, 4, 1, 5, 8, 12, 9, 13, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i odd = _mm_setr_epi8(2, 6, 3, 7, 10, 14, 11, 15, -1, -1, -1, -1, -1, -1, -1, -1);
    for (uint32_t i = 0; i < n_block; i++) {
        __m512i v[8];
        for (int j = 0; j < 8; j++)
            v[j] = sl_quad_sums(x + i * 512 + 64 * j);
        _mm512_store_si512(block[i].raise, _mm512_slli_epi32(sl_reduce8(v), 7));
        _mm512_store_si512(block[i].even, wide_exps(xe + i * 16, even, power));
        _mm512_store_si512(block[i].odd, wide_exps(xe + i * 16, odd, power));
    }
}

static void sums_of(const struct row_call *call, int64_t *sum)
{
    const int format = call->rows->format;
    if (format == SL_FORMAT_FP8)
        sums_fp8(*call, sum);
    else if (format == SL_FORMAT_Q8)
        sums_q8(*call, sum);
    else
        sums_4bit(*call, format, sum);
}

static uint32_t blocks_of(int format, uint32_t n_col)
{
    const uint32_t columns = sl_format_is_4bit(format) ? SL_CHUNK : 2 * SL_CHUNK;
    return (n_col + columns - 1) / columns;
}

SL_AVX512 static void load_rows(const struct sl_cpu_x *x, int format, struct sl_work_avx512 *w)
{
    const bool pair = sl_format_is_4bit(format);
    const uint32_t n_block = blocks_of(format, x->n_col);
    for (uint32_t t = 0; t < x->n_tok; t++) {
        sl_load_token(x, t, w->row.x[t], SL_CHUNK, n_block * (pair ? 1 : 2), w->xe);
        if (pair)
            prepare_pairs(w->row.x[t], w->xe, n_block, w->row.block[t]);
        else
            prepare_rows(w->row.x[t], w->xe, n_block, format == SL_FORMAT_FP8, w->row.block[t]);
    }
}

/* With two tokens the second one finds the weights of a few units in a cache. */
static void sums_rows(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n_unit,
                      struct sl_work_avx512 *w)
{
    enum { FEW = 8 };
    const uint32_t n_block = blocks_of(rows->format, rows->n_col);
    for (uint32_t u = 0, n; u < n_unit; u += n) {
        n = w->base.n_tok == 1 || n_unit - u < FEW ? n_unit - u : FEW;
        for (uint32_t t = 0; t < w->base.n_tok; t++) {
            struct row_call call = {.rows = rows,
                                    .unit = rows->unit + (size_t)(first + u) * rows->unit_bytes,
                                    .x = w->row.x[t],
                                    .block = w->row.block[t],
                                    .n_block = n_block,
                                    .n_unit = n};
            sums_of(&call, w->base.sum[t] + 2 * (size_t)u);
        }
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

static void load_avx512(const struct sl_cpu_x *x, int format, void *work)
{
    struct sl_work_avx512 *w = work;
    w->base.n_tok = x->n_tok;
    if (x->n_tok <= SL_ROW_TOKENS)
        load_rows(x, format, w);
    else
        sl_tile_load_avx512(x, format, w);
}

static void sums_avx512(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n, void *work)
{
    struct sl_work_avx512 *w = work;
    if (w->base.n_tok <= SL_ROW_TOKENS)
        sums_rows(rows, first, n, w);
    else
        sl_tile_sums_avx512(rows, first, n, w);
}

SL_AVX512 static void round_avx512(const int64_t *sum, uint32_t n, uint16_t mant, int e, float *y)
{
    uint32_t i = 0;
    for (; e >= SL_CPU_E_MIN && e <= SL_CPU_E_MAX && i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, sl_round8(_mm512_load_si512(sum + i), mant, e));
    for (; i < n; i++)
        y[i] = sl_cpu_round(sum[i], mant, e);
}

static const struct sl_cpu_ops ops_avx512;

static unsigned plain_avx512(const struct sl_cpu_plain *c, void *work)
{
    return sl_cpu_plain_by(&ops_avx512, c, work);
}

static const struct sl_cpu_ops ops_avx512 = {.name = "avx512",
                                             .work_bytes = sizeof(struct sl_work_avx512),
                                             .plain = plain_avx512,
                                             .x_ok = sl_x_ok_avx512,
                                             .load = load_avx512,
                                             .sums = sums_avx512,
                                             .round = round_avx512,
                                             .swiglu = sl_swiglu_avx512,
                                             .x16_ok = sl_x16_ok_avx512,
                                             .router = sl_router_avx512,
                                             .kv_item_ok = sl_kv_item_ok_avx512,
                                             .kv_pack = sl_kv_pack_avx512};

const struct sl_cpu_ops *sl_cpu_ops_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
                   __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma")
               ? &ops_avx512
               : NULL;
}
#else
const struct sl_cpu_ops *sl_cpu_ops_avx512(void)
{
    return NULL;
}
#endif
