/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX-512, more tokens: lanes are rows. The codes of 16 units are transposed in chunks of 256
 * columns, decoded into a buffer of L1's size and multiplied with the x of every token, four
 * columns of it spread over all lanes.
 *
 * Widths as in cpu_avx512.c. fp8 weights are three signed digits of six bits raised by 64, worth 1,
 * 2^6 and 2^12 (245,760 = 60 * 2^12): the sum of a group of raised digits, combined, may leave s32
 * and wraps; with the term of x alone taken back it is the group sum again, below 2^29.9.
 */
#include "accel/cpu_avx512.h"

#ifdef __x86_64__

struct tile {
    struct sl_work_avx512 *work;
    const struct sl_cpu_rows *rows;
    bool pair;                              /* 4-bit: two rows in one */
    uint32_t n_chunk, n_pad;                /* n_pad: tokens, rounded up to 4 */
    const uint8_t *unit;                    /* the first */
    const uint8_t *code[2][SL_TILE_UNITS];  /* of the low and the high row; 4-bit: [0] for both */
    const uint8_t *scale[2][SL_TILE_UNITS]; /* likewise */
};

/* What is asked for while a chunk is multiplied with some tokens. */
struct next_bytes {
    const char *at;
    size_t per_group; /* bytes */
};

/* ---- x --------------------------------------------------------------------------------------- */

/* Lanes 0 .. 7: sums of the groups of a chunk, ascending. */
SL_V512 __m512i sums_of_groups(const int8_t *x)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    __m512i v[8];
    for (int j = 0; j < 4; j++)
        v[j] = v[j + 4] = sl_quad_sums(x + 64 * j);
    return _mm512_permutexvar_epi32(order, sl_reduce8(v));
}

/* What a sum over a group starts with takes back what raises the weights. */
SL_AVX512 static void prepare_token(struct sl_work_avx512 *work, uint32_t n_chunk, uint32_t n_pad,
                                    uint32_t t, bool fp8)
{
    struct sl_tile_work *w = &work->tile;
    const __m512i raise = _mm512_set1_epi32(fp8 ? -64 * (1 + (1 << 6) + (1 << 12)) : -128);
    for (uint32_t c = 0; c < n_chunk; c++) {
        size_t at = (size_t)c * n_pad + t;
        __m512i s = _mm512_mullo_epi32(sums_of_groups(w->x[at]), raise);
        _mm256_store_si256((void *)w->start[at], _mm512_castsi512_si256(s));
        __m512i e =
            _mm512_cvtepu8_epi64(_mm_loadl_epi64((const void *)(work->xe + c * SL_CHUNK_GROUPS)));
        e = fp8 ? _mm512_sllv_epi64(_mm512_set1_epi64(1), e) : e;
        _mm512_store_si512(w->xe[at], e);
    }
}

/* Tokens behind the last are zero. */
static void prepare_no_token(struct sl_tile_work *w, uint32_t n_chunk, uint32_t n_pad, uint32_t t)
{
    for (uint32_t c = 0; c < n_chunk; c++) {
        size_t at = (size_t)c * n_pad + t;
        memset(w->x[at], 0, sizeof w->x[at]);
        memset(w->start[at], 0, sizeof w->start[at]);
        memset(w->xe[at], 0, sizeof w->xe[at]);
    }
}

static uint32_t chunks_of(uint32_t n_col)
{
    return (n_col + SL_CHUNK - 1) / SL_CHUNK;
}

static uint32_t padded(uint32_t n_tok)
{
    return (n_tok + 3) / 4 * 4;
}

SL_AVX512 void sl_tile_load_avx512(const struct sl_cpu_x *x, int format,
                                   struct sl_work_avx512 *work)
{
    const uint32_t n_chunk = chunks_of(x->n_col), n_pad = padded(x->n_tok);
    for (uint32_t t = 0; t < x->n_tok; t++) {
        sl_load_token(x, t, work->tile.x[t], (size_t)n_pad * SL_CHUNK, n_chunk, work->xe);
        prepare_token(work, n_chunk, n_pad, t, format == SL_FORMAT_FP8);
    }
    for (uint32_t t = x->n_tok; t < n_pad; t++)
        prepare_no_token(&work->tile, n_chunk, n_pad, t);
}

/* ---- weights --------------------------------------------------------------------------------- */

SL_V512 __m512i quarter_of(const uint8_t *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)p));
}

/* 16 bytes `at` behind each of 16 pointers: lane u of out[i] is word i of pointer u. */
SL_V512 void gather_words(const uint8_t *const p[SL_TILE_UNITS], size_t at, __m512i out[4])
{
    __m512i z[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        z[j] = quarter_of(p[j] + at);
        z[j] = _mm512_mask_mov_epi32(z[j], 0x00F0, quarter_of(p[j + 4] + at));
        z[j] = _mm512_mask_mov_epi32(z[j], 0x0F00, quarter_of(p[j + 8] + at));
        z[j] = _mm512_mask_mov_epi32(z[j], 0xF000, quarter_of(p[j + 12] + at));
    }
    __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpacklo_epi32(z[2], z[3]);
    __m512i c = _mm512_unpackhi_epi32(z[0], z[1]), d = _mm512_unpackhi_epi32(z[2], z[3]);
    out[0] = _mm512_unpacklo_epi64(a, b);
    out[1] = _mm512_unpackhi_epi64(a, b);
    out[2] = _mm512_unpacklo_epi64(c, d);
    out[3] = _mm512_unpackhi_epi64(c, d);
}

/* A beat `at` behind each of 16 pointers: lane u of out[i] is word i of pointer u. */
SL_V512 void transpose_beats(const uint8_t *const p[SL_TILE_UNITS], size_t at, __m512i out[16])
{
    __m512i t[16]; /* of four pointers: words i, i + 4, i + 8, i + 12 */
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        __m512i z0 = _mm512_loadu_si512(p[4 * q] + at), z1 = _mm512_loadu_si512(p[4 * q + 1] + at);
        __m512i z2 = _mm512_loadu_si512(p[4 * q + 2] + at);
        __m512i z3 = _mm512_loadu_si512(p[4 * q + 3] + at);
        __m512i a = _mm512_unpacklo_epi32(z0, z1), b = _mm512_unpacklo_epi32(z2, z3);
        __m512i c = _mm512_unpackhi_epi32(z0, z1), d = _mm512_unpackhi_epi32(z2, z3);
        t[q] = _mm512_unpacklo_epi64(a, b);
        t[4 + q] = _mm512_unpackhi_epi64(a, b);
        t[8 + q] = _mm512_unpacklo_epi64(c, d);
        t[12 + q] = _mm512_unpackhi_epi64(c, d);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i *v = t + 4 * i;
        __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44);
        __m512i b = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
        __m512i c = _mm512_shuffle_i32x4(v[0], v[1], 0xEE);
        __m512i d = _mm512_shuffle_i32x4(v[2], v[3], 0xEE);
        out[i] = _mm512_shuffle_i32x4(a, b, 0x88);
        out[i + 4] = _mm512_shuffle_i32x4(a, b, 0xDD);
        out[i + 8] = _mm512_shuffle_i32x4(c, d, 0x88);
        out[i + 12] = _mm512_shuffle_i32x4(c, d, 0xDD);
    }
}

SL_AVX512 static void decode_4bit(const struct tile *tile, uint32_t chunk)
{
    const __m512i book = sl_book512(tile->rows->format);
    uint8_t(*w)[2][64] = tile->work->tile.w;
    for (size_t at = 0; at < SL_CHUNK; at += 64) {
        __m512i v[16];
        transpose_beats(tile->code[0], chunk * (size_t)SL_CHUNK + at, v);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++, w++) {
            _mm512_store_si512(w[0][0], _mm512_permutexvar_epi8(v[i], book));
            _mm512_store_si512(w[0][1], _mm512_permutexvar_epi8(_mm512_srli_epi16(v[i], 4), book));
        }
    }
}

SL_AVX512 static void decode_q8(const struct tile *tile, uint32_t chunk)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    for (int row = 0; row < 2; row++) {
        uint8_t(*w)[2][64] = tile->work->tile.w;
        for (size_t at = 0; at < SL_CHUNK; at += 64) {
            __m512i v[16];
            transpose_beats(tile->code[row], chunk * (size_t)SL_CHUNK + at, v);
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++, w++)
                _mm512_store_si512(w[0][row], _mm512_xor_si512(v[i], flip));
        }
    }
}

/* Digit k of the magnitude, raised by 64. */
#define SHIFT_OF(e) ((e) ? (e)-1 : 0)
#define SIG_OF(e, m) ((e) ? 8 + (m) : (m))
#define DIGIT(k, e, m) (uint8_t)(64 + ((SIG_OF(e, m) << SHIFT_OF(e)) >> 6 * (k)&63))
#define DIGITS8(k, e)                                                                              \
    DIGIT(k, e, 0), DIGIT(k, e, 1), DIGIT(k, e, 2), DIGIT(k, e, 3), DIGIT(k, e, 4),                \
        DIGIT(k, e, 5), DIGIT(k, e, 6), DIGIT(k, e, 7)
#define DIGITS64(k, e)                                                                             \
    DIGITS8(k, (e)), DIGITS8(k, (e) + 1), DIGITS8(k, (e) + 2), DIGITS8(k, (e) + 3),                \
        DIGITS8(k, (e) + 4), DIGITS8(k, (e) + 5), DIGITS8(k, (e) + 6), DIGITS8(k, (e) + 7)
static const uint8_t digits[SL_N_LIMB][2][64] = {{{DIGITS64(0, 0)}, {DIGITS64(0, 8)}},
                                                 {{DIGITS64(1, 0)}, {DIGITS64(1, 8)}},
                                                 {{DIGITS64(2, 0)}, {DIGITS64(2, 8)}}};

/* A negative digit -d raised by 64 is 128 less than the positive one raised, its sign turned. */
SL_V512 void store_digits(__m512i codes, uint8_t (*w)[2][64], int row)
{
    const __mmask64 negative = _mm512_movepi8_mask(codes);
#pragma GCC unroll 3
    for (int k = 0; k < SL_N_LIMB; k++) {
        __m512i d = _mm512_permutex2var_epi8(_mm512_loadu_si512(digits[k][0]), codes,
                                             _mm512_loadu_si512(digits[k][1]));
        d = _mm512_mask_sub_epi8(d, negative, _mm512_set1_epi8(-128), d);
        _mm512_store_si512(w[8 * k][row], d);
    }
}

/* Per group: the eight registers of the lowest digits, then of the others. */
SL_AVX512 static void decode_fp8(const struct tile *tile, uint32_t chunk)
{
    for (int row = 0; row < 2; row++)
        for (size_t at = 0; at < SL_CHUNK; at += 64) {
            uint8_t(*w)[2][64] = tile->work->tile.w + at / SL_BLOCK * SL_N_LIMB * 8;
            __m512i v[16];
            transpose_beats(tile->code[row], chunk * (size_t)SL_CHUNK + at, v);
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++)
                store_digits(v[i], w + i / 8 * SL_N_LIMB * 8 + i % 8, row);
        }
}

/* Lanes 4i, 4i + 1 and 4i + 2, 4i + 3, in the lower halves of 64 bits. Unpacking, unlike shifts,
 * leaves the two pipes alone that multiply. */
SL_V512 __m512i low_lanes(__m512i v)
{
    return _mm512_unpacklo_epi32(v, v);
}

SL_V512 __m512i high_lanes(__m512i v)
{
    return _mm512_unpackhi_epi32(v, v);
}

SL_V512 void store_scale(__m512i b, int64_t scale[2][8])
{
    __m512i s = sl_scale_of(_mm512_and_si512(b, _mm512_set1_epi32(255)));
    _mm512_store_si512(scale[0], low_lanes(s)); /* vpmuldq does not look at the upper halves */
    _mm512_store_si512(scale[1], high_lanes(s));
}

/* Scale bytes of the chunk's groups: 4-bit 16 of a unit, q8 8 of each row (8 more are read). */
SL_AVX512 static void decode_scales(const struct tile *tile, uint32_t chunk)
{
    struct sl_tile_work *w = &tile->work->tile;
    const bool pair = tile->pair;
    for (int row = 0; row < (pair ? 1 : 2); row++) {
        __m512i v[4];
        gather_words(tile->scale[row], (size_t)chunk * (pair ? 16 : 8), v);
        for (int g = 0; g < SL_CHUNK_GROUPS; g++) {
            __m512i low = v[pair ? g / 2 : g / 4];
            low = _mm512_srlv_epi32(low, _mm512_set1_epi32(pair ? g % 2 * 16 : g % 4 * 8));
            store_scale(low, w->scale[g][row]);
            if (pair)
                store_scale(_mm512_srli_epi32(low, 8), w->scale[g][1]);
        }
    }
}

/* ---- the product ----------------------------------------------------------------------------- */

/* Asks for an eighth of a group's share. In the order of memory, which is not that of use; and
 * little by little: a core waits for few lines at once, and its own loads need some of those. */
SL_V512 void prefetch_step(const struct next_bytes *next, int g, int s)
{
    const char *p = next->at + (size_t)g * next->per_group;
    const size_t end = next->per_group / 64 * (size_t)(s + 1) / 8;
    for (size_t i = next->per_group / 64 * (size_t)s / 8; i < end; i++)
        _mm_prefetch(p + 64 * i, _MM_HINT_T1);
}

/* Where a chunk's x and the sums of some tokens are. */
struct tile_tokens {
    int8_t (*x)[SL_CHUNK];
    int64_t (*xe)[SL_CHUNK_GROUPS];
    int32_t (*start)[SL_CHUNK_GROUPS];
    int64_t (*acc)[2][2][8];
    struct next_bytes next;
};

/* Keeps gcc from holding sums of all tokens in registers, which it then spills. */
#define SUMS_STAY_IN_MEMORY() __asm__ volatile("" ::: "memory")

SL_V512 void add_to(int64_t acc[8], __m512i v)
{
    _mm512_store_si512(acc, _mm512_add_epi64(_mm512_load_si512(acc), v));
}

/* Eight registers of weights times n tokens; ask: for weights to come, once a group. Without loops:
 * gcc 12 would move every sum twice a turn. */
SL_V512 void dot_group(uint8_t (*w)[2][64], struct tile_tokens k, int g, int n, bool ask,
                       __m512i d[2][8])
{
#pragma GCC unroll 8
    for (int s = 0; s < 8; s++) {
        if (ask)
            prefetch_step(&k.next, g, s);
        __m512i w0 = _mm512_load_si512(w[s][0]), w1 = _mm512_load_si512(w[s][1]);
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            int32_t four;
            memcpy(&four, k.x[t] + g * SL_BLOCK + 4 * s, sizeof four);
            __m512i x = _mm512_set1_epi32(four);
            d[0][t] = _mm512_dpbusd_epi32(d[0][t], w0, x);
            d[1][t] = _mm512_dpbusd_epi32(d[1][t], w1, x);
        }
    }
}

SL_V512 void tokens_scaled(struct sl_tile_work *w, struct tile_tokens k, int n)
{
    for (int g = 0; g < SL_CHUNK_GROUPS; g++) {
        __m512i d[2][8];
        SUMS_STAY_IN_MEMORY();
#pragma GCC unroll 8
        for (int t = 0; t < n; t++)
            d[0][t] = d[1][t] = _mm512_set1_epi32(k.start[t][g]);
        dot_group(w->w + g * 8, k, g, n, true, d);
#pragma GCC unroll 2
        for (int r = 0; r < 2; r++) {
            __m512i low = _mm512_load_si512(w->scale[g][r][0]);
            __m512i high = _mm512_load_si512(w->scale[g][r][1]);
#pragma GCC unroll 8
            for (int t = 0; t < n; t++) {
                __m512i xe = _mm512_set1_epi64(k.xe[t][g]);
                __m512i a = _mm512_mul_epi32(low_lanes(d[r][t]), low);
                __m512i b = _mm512_mul_epi32(high_lanes(d[r][t]), high);
                add_to(k.acc[t][r][0], _mm512_sllv_epi64(a, xe));
                add_to(k.acc[t][r][1], _mm512_sllv_epi64(b, xe));
            }
        }
    }
}

SL_V512 void tokens_fp8(struct sl_tile_work *w, struct tile_tokens k, int n)
{
    for (int g = 0; g < SL_CHUNK_GROUPS; g++) {
        __m512i d[2][8];
        SUMS_STAY_IN_MEMORY();
#pragma GCC unroll 8
        for (int t = 0; t < n; t++)
            d[0][t] = d[1][t] = _mm512_setzero_si512();
#pragma GCC unroll 3
        for (int limb = SL_N_LIMB - 1; limb >= 0; limb--) {
            SUMS_STAY_IN_MEMORY(); /* nor x of the limb before */
#pragma GCC unroll 8
            for (int t = 0; t < n; t++) {
                d[0][t] = _mm512_slli_epi32(d[0][t], 6);
                d[1][t] = _mm512_slli_epi32(d[1][t], 6);
            }
            dot_group(w->w + (g * SL_N_LIMB + limb) * 8, k, g, n, limb == 0, d);
        }
#pragma GCC unroll 8
        for (int t = 0; t < n; t++) {
            __m512i power = _mm512_set1_epi64(k.xe[t][g]);
            __m512i start = _mm512_set1_epi32(k.start[t][g]);
#pragma GCC unroll 2
            for (int r = 0; r < 2; r++) {
                __m512i s = _mm512_add_epi32(d[r][t], start);
                add_to(k.acc[t][r][0], _mm512_mul_epi32(low_lanes(s), power));
                add_to(k.acc[t][r][1], _mm512_mul_epi32(high_lanes(s), power));
            }
        }
    }
}

SL_AVX512 static void scaled8(struct sl_tile_work *w, struct tile_tokens k)
{
    tokens_scaled(w, k, 8);
}

SL_AVX512 static void scaled4(struct sl_tile_work *w, struct tile_tokens k)
{
    tokens_scaled(w, k, 4);
}

SL_AVX512 static void fp8_8(struct sl_tile_work *w, struct tile_tokens k)
{
    tokens_fp8(w, k, 8);
}

SL_AVX512 static void fp8_4(struct sl_tile_work *w, struct tile_tokens k)
{
    tokens_fp8(w, k, 4);
}

/* The share of the next tile that belongs to one of the steps of this one. */
static struct next_bytes next_of(const struct tile *tile, uint32_t step, uint32_t n_step)
{
    const size_t all = SL_TILE_UNITS * tile->rows->unit_bytes;
    const size_t lines = (all / 64 + n_step * SL_CHUNK_GROUPS - 1) / (n_step * SL_CHUNK_GROUPS);
    const size_t each = lines * 64;
    return (struct next_bytes){(const char *)tile->unit + all + step * each * SL_CHUNK_GROUPS,
                               each};
}

static void multiply_chunk(const struct tile *tile, uint32_t chunk)
{
    struct sl_tile_work *w = &tile->work->tile;
    const bool fp8 = tile->rows->format == SL_FORMAT_FP8;
    const uint32_t per_chunk = (tile->n_pad + 7) / 8;
    for (uint32_t t = 0, n, i = 0; t < tile->n_pad; t += n, i++) {
        n = tile->n_pad - t >= 8 ? 8 : 4;
        size_t at = (size_t)chunk * tile->n_pad + t;
        struct tile_tokens k = {&w->x[at], &w->xe[at], &w->start[at], &w->acc[t],
                                next_of(tile, chunk * per_chunk + i, per_chunk * tile->n_chunk)};
        if (n == 8)
            (fp8 ? fp8_8 : scaled8)(w, k);
        else
            (fp8 ? fp8_4 : scaled4)(w, k);
    }
}

/* ---- a part ---------------------------------------------------------------------------------- */

/* Lanes without a unit repeat the part's last one; their sums are nobody's. */
static void locate_units(struct tile *tile, uint32_t first, uint32_t last)
{
    const struct sl_cpu_rows *r = tile->rows;
    const bool pair = tile->pair;
    tile->unit = r->unit + first * r->unit_bytes;
    for (uint32_t u = 0; u < SL_TILE_UNITS; u++) {
        uint32_t at = first + u < last ? first + u : last;
        const uint8_t *unit = r->unit + at * r->unit_bytes;
        for (int row = 0; row < 2; row++) {
            const uint8_t *start = unit + (pair ? 0 : row * r->row_bytes);
            tile->scale[row][u] = start + r->scale_at;
            tile->code[row][u] = start + r->code_at;
        }
    }
}

static void sum_tile(const struct tile *tile)
{
    const int format = tile->rows->format;
    memset(tile->work->tile.acc, 0, tile->n_pad * sizeof tile->work->tile.acc[0]);
    for (uint32_t c = 0; c < tile->n_chunk; c++) {
        if (format == SL_FORMAT_FP8) {
            decode_fp8(tile, c);
        } else {
            decode_scales(tile, c);
            (format == SL_FORMAT_Q8 ? decode_q8 : decode_4bit)(tile, c);
        }
        multiply_chunk(tile, c);
    }
}

/* Lanes 2i, 2i + 1 of the first (second) sums of a row are units 4i, 4i + 1 (4i + 2, 4i + 3). */
SL_AVX512 static void put_sums(int64_t acc[2][2][8], int64_t sum[SL_TILE_ROWS])
{
#pragma GCC unroll 2
    for (int part = 0; part < 2; part++) {
        __m512i a = _mm512_load_si512(acc[0][part]), b = _mm512_load_si512(acc[1][part]);
        __m512i even = _mm512_unpacklo_epi64(a, b), odd = _mm512_unpackhi_epi64(a, b);
        __m128i *to = (__m128i *)(void *)sum + 2 * part;
        _mm_store_si128(to, _mm512_castsi512_si128(even));
        _mm_store_si128(to + 1, _mm512_castsi512_si128(odd));
        _mm_store_si128(to + 4, _mm512_extracti64x2_epi64(even, 1));
        _mm_store_si128(to + 5, _mm512_extracti64x2_epi64(odd, 1));
        _mm_store_si128(to + 8, _mm512_extracti64x2_epi64(even, 2));
        _mm_store_si128(to + 9, _mm512_extracti64x2_epi64(odd, 2));
        _mm_store_si128(to + 12, _mm512_extracti64x2_epi64(even, 3));
        _mm_store_si128(to + 13, _mm512_extracti64x2_epi64(odd, 3));
    }
}

SL_AVX512 void sl_tile_sums_avx512(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n,
                                   struct sl_work_avx512 *work)
{
    struct tile tile = {.work = work,
                        .rows = rows,
                        .pair = sl_format_is_4bit(rows->format),
                        .n_chunk = chunks_of(rows->n_col),
                        .n_pad = padded(work->base.n_tok)};
    for (uint32_t u = 0; u < n; u += SL_TILE_UNITS) {
        locate_units(&tile, first + u, first + n - 1);
        sum_tile(&tile);
        for (uint32_t t = 0; t < work->base.n_tok; t++)
            put_sums(work->tile.acc[t], work->base.sum[t] + 2 * (size_t)u);
    }
}

#endif
