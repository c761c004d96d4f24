/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX2, a few tokens: lanes are columns. Eight registers of sums over four columns
 * each, of eight groups (4-bit: four groups of two rows), are transposed and added into one.
 *
 * vpmaddubsw adds two products u8 * s8 and saturates at s16, so one factor goes in by magnitude, at
 * most 128, with its sign on the other: 2 * 128 * 127 = 32,512. From there: group sum below 2^19
 * (fp8: 2^29.9) in s32; times a scale below 2^13 in s64 by vpmuldq; shifted by xe <= 21, 2^53;
 * 1,024 groups, and any part of them, 2^63 (docs/numerics.md 4): exact.
 */
#include "accel/cpu_avx2.h"

#ifdef __x86_64__

enum { BLOCK_GROUPS = 8 }; /* 4-bit blocks have four */

struct work_avx2 {
    struct sl_cpu_work base;
    union {
        struct {
            int8_t x[SL_TILE_MIN_AVX2 - 1][SL_MAX_K];
            /* xe of the groups; two rows at once: ascending, otherwise the even groups of a block,
             * then the odd ones. fp8: 2^xe. */
            int64_t xe[SL_TILE_MIN_AVX2 - 1][SL_CPU_MAX_GROUPS];
        };
        struct sl_tile_work_avx2 tile;
    };
};

/* A row or pair of rows, and one token. */
struct row_call {
    const uint8_t *scale, *code;
    size_t ahead;
    const int8_t *x;
    const int64_t *xe;
    uint32_t n_block;
};

struct row_sums {
    int64_t low, high;
};

SL_V256 void prefetch_beats(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += SL_BEAT_BYTES)
        _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

SL_V256 __m256i add_quads(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

/* Lane i: the sum of the lanes of v[i]. */
SL_V256 __m256i reduce8(const __m256i v[8])
{
    __m256i low = add_quads(v[0], v[1], v[2], v[3]), high = add_quads(v[4], v[5], v[6], v[7]);
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
}

/* 32 products in sums of four. */
SL_V256 __m256i dot_s8(__m256i w, __m256i x)
{
    __m256i two = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_madd_epi16(two, _mm256_set1_epi16(1));
}

/* The same where |w| <= 127 and no x is -128, which makes the magnitude of x one for several w. */
SL_V256 __m256i dot_signed(__m256i w, __m256i x, __m256i x_abs)
{
    __m256i two = _mm256_maddubs_epi16(x_abs, _mm256_sign_epi8(w, x));
    return _mm256_madd_epi16(two, _mm256_set1_epi16(1));
}

SL_V256 int64_t sum_lanes(__m256i v)
{
    __m128i s = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return _mm_cvtsi128_si64(s) + _mm_extract_epi64(s, 1);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Even lanes are the low row, odd lanes the high one. */
SL_V256 struct row_sums pair_4bit(const struct row_call *c, __m256i book)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i a = _mm256_setzero_si256(), b = a;
    for (uint32_t i = 0; i < c->n_block; i++) {
        __m256i v[8];
        prefetch_beats(c->code + c->ahead + i * 128, 128);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            __m256i codes = sl_load256(c->code + i * 128 + 32 * j);
            __m256i x = sl_load256(c->x + i * 128 + 32 * j), x_abs = _mm256_abs_epi8(x);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);
            codes = _mm256_and_si256(codes, nibble);
            v[2 * j] = dot_signed(_mm256_shuffle_epi8(book, codes), x, x_abs);
            v[2 * j + 1] = dot_signed(_mm256_shuffle_epi8(book, high), x, x_abs);
        }
        __m256i s = reduce8(v), scales = sl_scales256(c->scale + i * 8);
        __m256i xe = sl_load256(c->xe + i * 4);
        __m256i low = _mm256_mul_epi32(s, scales);
        __m256i high = _mm256_mul_epi32(sl_odd_lanes256(s), sl_odd_lanes256(scales));
        a = _mm256_add_epi64(a, _mm256_sllv_epi64(low, xe));
        b = _mm256_add_epi64(b, _mm256_sllv_epi64(high, xe));
    }
    return (struct row_sums){sum_lanes(a), sum_lanes(b)};
}

SL_V256 int64_t row_q8(const struct row_call *c)
{
    __m256i a = _mm256_setzero_si256();
    for (uint32_t i = 0; i < c->n_block; i++) {
        __m256i v[8];
        prefetch_beats(c->code + c->ahead + i * 256, 256);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
            v[j] =
                dot_s8(sl_load256(c->code + i * 256 + 32 * j), sl_load256(c->x + i * 256 + 32 * j));
        __m256i s = reduce8(v), scales = sl_scales256(c->scale + i * 8);
        __m256i even = _mm256_mul_epi32(s, scales);
        __m256i odd = _mm256_mul_epi32(sl_odd_lanes256(s), sl_odd_lanes256(scales));
        a = _mm256_add_epi64(a, _mm256_sllv_epi64(even, sl_load256(c->xe + i * 8)));
        a = _mm256_add_epi64(a, _mm256_sllv_epi64(odd, sl_load256(c->xe + i * 8 + 4)));
    }
    return sum_lanes(a);
}

/*
 * 32 products in sums of four. Significand times x first, of even columns and of odd ones (15 * 127
 * in s16); then times 2^s, two of them added: each below 2^25, four below 2^27.
 */
SL_V256 __m256i dot_fp8(__m256i codes, __m256i x, const struct sl_fp8_tables *t)
{
    const __m256i even = _mm256_set1_epi16(0xFF);
    __m256i e = _mm256_and_si256(_mm256_srli_epi16(codes, 3), _mm256_set1_epi8(15));
    __m256i sig = _mm256_or_si256(_mm256_and_si256(codes, _mm256_set1_epi8(7)),
                                  _mm256_shuffle_epi8(t->lead, e));
    x = _mm256_sign_epi8(x, codes); /* 0 for code 0, which is 0 */
    __m256i p0 = _mm256_maddubs_epi16(_mm256_and_si256(sig, even), x);
    __m256i p1 = _mm256_maddubs_epi16(_mm256_andnot_si256(even, sig), x);
    __m256i low = _mm256_shuffle_epi8(t->low, e), high = _mm256_shuffle_epi8(t->high, e);
    __m256i pow0 = _mm256_blendv_epi8(_mm256_slli_epi16(high, 8), low, even);
    __m256i pow1 = _mm256_blendv_epi8(high, _mm256_srli_epi16(low, 8), even);
    return _mm256_add_epi32(_mm256_madd_epi16(p0, pow0), _mm256_madd_epi16(p1, pow1));
}

SL_V256 int64_t row_fp8(const struct row_call *c, const struct sl_fp8_tables *t)
{
    __m256i a = _mm256_setzero_si256();
    for (uint32_t i = 0; i < c->n_block; i++) {
        __m256i v[8];
        prefetch_beats(c->code + c->ahead + i * 256, 256);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
            v[j] = dot_fp8(sl_load256(c->code + i * 256 + 32 * j),
                           sl_load256(c->x + i * 256 + 32 * j), t);
        __m256i s = reduce8(v);
        a = _mm256_add_epi64(a, _mm256_mul_epi32(s, sl_load256(c->xe + i * 8)));
        a = _mm256_add_epi64(a,
                             _mm256_mul_epi32(sl_odd_lanes256(s), sl_load256(c->xe + i * 8 + 4)));
    }
    return sum_lanes(a);
}

/* ---- a part ---------------------------------------------------------------------------------- */

SL_AVX2 static struct row_sums unit_4bit(struct row_call c, const struct sl_cpu_rows *r)
{
    const __m128i book = _mm_loadu_si128((const void *)sl_cpu_book(r->format));
    prefetch_beats(c.scale + r->ahead, r->scale_bytes);
    return pair_4bit(&c, _mm256_broadcastsi128_si256(book));
}

SL_AVX2 static struct row_sums unit_q8(struct row_call c, const struct sl_cpu_rows *r)
{
    struct row_sums s;
    prefetch_beats(c.scale + r->ahead, r->scale_bytes);
    s.low = row_q8(&c);
    c.scale += r->row_bytes;
    c.code += r->row_bytes;
    prefetch_beats(c.scale + r->ahead, r->scale_bytes);
    s.high = row_q8(&c);
    return s;
}

SL_AVX2 static struct row_sums unit_fp8(struct row_call c, const struct sl_cpu_rows *r)
{
    const struct sl_fp8_tables tables = sl_fp8_tables();
    struct row_sums s;
    s.low = row_fp8(&c, &tables);
    c.code += r->row_bytes;
    s.high = row_fp8(&c, &tables);
    return s;
}

/* The n codes at src, columns from left on as zeros. */
SL_AVX2 static void load_codes(const int8_t *src, uint32_t left, uint32_t n, int8_t *dst)
{
    for (uint32_t i = 0; i < n; i += SL_BLOCK) { /* left is a multiple of 32 */
        __m256i q = i < left ? sl_load256(src + i) : _mm256_setzero_si256();
        _mm256_store_si256((void *)(dst + i), q);
    }
}

/* Position of group g among the exponents of a token. */
static uint32_t place_of(uint32_t g, bool pair)
{
    return pair ? g : g / BLOCK_GROUPS * BLOCK_GROUPS + g % 2 * 4 + g % BLOCK_GROUPS / 2;
}

static uint32_t blocks_of(int format, uint32_t n_col)
{
    const uint32_t columns = sl_format_is_4bit(format) ? 128 : 256;
    return (n_col + columns - 1) / columns;
}

static void load_avx2(const struct sl_cpu_x *x, int format, void *work)
{
    struct work_avx2 *w = work;
    const bool pair = sl_format_is_4bit(format), fp8 = format == SL_FORMAT_FP8;
    const uint32_t columns = blocks_of(format, x->n_col) * (pair ? 128 : 256);
    w->base.n_tok = x->n_tok;
    if (x->n_tok >= SL_TILE_MIN_AVX2) {
        sl_tile_load_avx2(x, &w->tile);
        return;
    }
    for (uint32_t t = 0; t < x->n_tok; t++) {
        for (uint32_t g = 0; g < columns / SL_BLOCK; g++) {
            const uint8_t xe = g < x->n_col / SL_BLOCK ? x->xe[t][g] & 31 : 0;
            w->xe[t][place_of(g, pair)] = fp8 ? (int64_t)1 << xe : xe;
        }
        load_codes(x->code[t], x->n_col, columns, w->x[t]);
    }
}

static void sums_avx2(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n, void *work)
{
    struct work_avx2 *w = work;
    struct row_sums (*unit_of)(struct row_call, const struct sl_cpu_rows *) =
        sl_format_is_4bit(rows->format) ? unit_4bit
        : rows->format == SL_FORMAT_Q8  ? unit_q8
                                        : unit_fp8;
    const uint32_t n_block = blocks_of(rows->format, rows->n_col);
    const uint8_t *unit = rows->unit + first * rows->unit_bytes;
    if (w->base.n_tok >= SL_TILE_MIN_AVX2) {
        sl_tile_sums_avx2(rows, first, n, &w->tile, &w->base);
        return;
    }
    for (uint32_t u = 0; u < n; u++, unit += rows->unit_bytes)
        for (uint32_t t = 0; t < w->base.n_tok; t++) {
            const struct row_call call = {.scale = unit + rows->scale_at,
                                          .code = unit + rows->code_at,
                                          .ahead = rows->ahead,
                                          .x = w->x[t],
                                          .xe = w->xe[t],
                                          .n_block = n_block};
            const struct row_sums s = unit_of(call, rows);
            w->base.sum[t][2 * u] = s.low;
            w->base.sum[t][2 * u + 1] = s.high;
        }
}

static void round_avx2(const int64_t *sum, uint32_t n, uint16_t mant, int e, float *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = sl_cpu_round(sum[i], mant, e);
}

static const struct sl_cpu_ops ops_avx2;

static unsigned plain_avx2(const struct sl_cpu_plain *c, void *work)
{
    return sl_cpu_plain_by(&ops_avx2, c, work);
}

static const struct sl_cpu_ops ops_avx2 = {.name = "avx2",
                                           .work_bytes = sizeof(struct work_avx2),
                                           .plain = plain_avx2,
                                           .x_ok = sl_x_ok_avx2,
                                           .load = load_avx2,
                                           .sums = sums_avx2,
                                           .round = round_avx2,
                                           .swiglu = sl_swiglu_avx2,
                                           .x16_ok = sl_x16_ok_avx2,
                                           .router = sl_router_avx2,
                                           .kv_item_ok = sl_kv_item_ok_avx2,
                                           .kv_pack = sl_kv_pack_avx2};

const struct sl_cpu_ops *sl_cpu_ops_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &ops_avx2 : NULL;
}
#else
const struct sl_cpu_ops *sl_cpu_ops_avx2(void)
{
    return NULL;
}
#endif
