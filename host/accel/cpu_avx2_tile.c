/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVX2, eight tokens or more: lanes are rows. The codes of 8 units are transposed in chunks of 256
 * columns into pairs of s16 and multiplied with the x of every token, two columns of it spread over
 * all lanes: nothing is summed across lanes, and what a row's codes cost is shared by all tokens.
 *
 * vpmaddwd adds two products in s32: group sums as in cpu_avx2.c. fp8 weights are two digits, worth
 * 1 and 2^9, both with the weight's sign: 511 and 480 (245,760 = 480 * 2^9); a group sum of one
 * digit is below 2^21, of both below 2^29.9.
 */
#include "accel/cpu_avx2.h"

#ifdef __x86_64__

enum {
    UNITS = 8,   /* of a tile: 16 rows, low ones of the units and high ones */
    CHUNK = 256, /* columns */
    GROUPS = CHUNK / SL_BLOCK,
    PAIRS = SL_BLOCK / 2, /* of columns of a group */
    TOKENS = 4,           /* whose sums the registers hold */
    LANES = 16            /* s16 of a vector */
};

struct tile {
    const struct sl_cpu_rows *rows;
    const uint8_t *code[2][UNITS], *scale[2][UNITS]; /* of low and high rows; 4-bit: code[0] only */
    _Alignas(32) int16_t w[GROUPS][PAIRS][2][2][LANES]; /* low, high rows; fp8: digits of each */
    _Alignas(32) int32_t s[GROUPS][2][UNITS];           /* scales */
    _Alignas(32) int64_t sum[SL_MAX_TOKENS][2][2][UNITS / 2]; /* even units, odd units */
};

/* ---- x --------------------------------------------------------------------------------------- */

static uint32_t padded(uint32_t n_tok)
{
    return (n_tok + TOKENS - 1) / TOKENS * TOKENS;
}

SL_AVX2 void sl_tile_load_avx2(const struct sl_cpu_x *x, struct sl_tile_work_avx2 *w)
{
    const uint32_t n_pad = padded(x->n_tok);
    memset(w->xe, 0, sizeof w->xe);
    for (uint32_t at = 0; at < x->n_col; at += SL_BLOCK)
        for (uint32_t t = 0; t < n_pad; t++) {
            const bool real = t < x->n_tok;
            int16_t *to = w->x + ((size_t)(at / CHUNK) * n_pad + t) * CHUNK + at % CHUNK;
            if (real)
                w->xe[at / SL_BLOCK][t] = x->xe[t][at / SL_BLOCK] & 31;
            for (uint32_t i = 0; i < SL_BLOCK; i += LANES) {
                __m128i code = real ? _mm_loadu_si128((const void *)(x->code[t] + at + i))
                                    : _mm_setzero_si128();
                _mm256_storeu_si256((void *)(to + i), _mm256_cvtepi8_epi16(code));
            }
        }
}

/* ---- weights --------------------------------------------------------------------------------- */

SL_V256 __m256i two_rows(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)low)),
                                   _mm_loadu_si128((const void *)high), 1);
}

/* 16 bytes `at` behind each of 8 pointers: lane u of out[i] is word i of pointer u. */
SL_V256 void turn(const uint8_t *const p[UNITS], size_t at, __m256i out[4])
{
    __m256i r0 = two_rows(p[0] + at, p[4] + at), r1 = two_rows(p[1] + at, p[5] + at);
    __m256i r2 = two_rows(p[2] + at, p[6] + at), r3 = two_rows(p[3] + at, p[7] + at);
    __m256i a = _mm256_unpacklo_epi32(r0, r1), b = _mm256_unpackhi_epi32(r0, r1);
    __m256i c = _mm256_unpacklo_epi32(r2, r3), d = _mm256_unpackhi_epi32(r2, r3);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

/* Bytes 0 and 1 of each lane (high: 2 and 3) in the upper halves of two s16, above zeros. */
SL_V256 __m256i spread(__m256i words, bool high)
{
    __m128i pair = _mm_set_epi32(0x0D800C80, 0x09800880, 0x05800480, 0x01800080);
    pair = _mm_add_epi32(pair, _mm_set1_epi32(high ? 0x02000200 : 0));
    return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(pair));
}

/* Signed bytes of a word, two pairs from the p-th on. */
SL_V256 void put_bytes(__m256i bytes, int16_t w[PAIRS][2][2][LANES], uint32_t p, int row)
{
    for (uint32_t i = 0; i < 2; i++)
        _mm256_store_si256((void *)w[p + i][row][0], _mm256_srai_epi16(spread(bytes, i), 8));
}

SL_V256 void decode_4bit(struct tile *t, uint32_t g, size_t at, __m256i book)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    for (uint32_t half = 0; half < 2; half++) {
        __m256i words[4];
        turn(t->code[0], at + 16 * half, words);
        for (uint32_t i = 0; i < 4; i++) {
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(words[i], 4), nibble);
            __m256i low = _mm256_and_si256(words[i], nibble);
            put_bytes(_mm256_shuffle_epi8(book, low), t->w[g], 8 * half + 2 * i, 0);
            put_bytes(_mm256_shuffle_epi8(book, high), t->w[g], 8 * half + 2 * i, 1);
        }
    }
}

SL_V256 void decode_q8(struct tile *t, uint32_t g, size_t at)
{
    for (int row = 0; row < 2; row++)
        for (uint32_t half = 0; half < 2; half++) {
            __m256i words[4];
            turn(t->code[row], at + 16 * half, words);
            for (uint32_t i = 0; i < 4; i++)
                put_bytes(words[i], t->w[g], 8 * half + 2 * i, row);
        }
}

/* Codes in the upper halves of s16: significand times 2^s, s = max(e, 1) - 1, in two digits. */
SL_V256 void put_fp8(__m256i codes, int16_t to[2][LANES])
{
    static const uint8_t lead[16] = {0, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8},
                         low[16] = {1, 1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0},
                         high[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64};
#define TABLE(t) _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)(t)))
    const __m256i byte = _mm256_set1_epi16(0xFF);
    __m256i e = _mm256_and_si256(_mm256_srli_epi16(codes, 11), _mm256_set1_epi16(15));
    __m256i m = _mm256_and_si256(_mm256_srli_epi16(codes, 8), _mm256_set1_epi16(7));
    __m256i sig = _mm256_or_si256(m, _mm256_and_si256(_mm256_shuffle_epi8(TABLE(lead), e), byte));
    __m256i pow = _mm256_or_si256(_mm256_and_si256(_mm256_shuffle_epi8(TABLE(low), e), byte),
                                  _mm256_slli_epi16(_mm256_shuffle_epi8(TABLE(high), e), 8));
    __m256i v = _mm256_mullo_epi16(sig, pow), up = _mm256_mulhi_epu16(sig, pow);
    __m256i d0 = _mm256_and_si256(v, _mm256_set1_epi16(511));
    __m256i d1 = _mm256_or_si256(_mm256_srli_epi16(v, 9), _mm256_slli_epi16(up, 7));
    _mm256_store_si256((void *)to[0], _mm256_sign_epi16(d0, codes));
    _mm256_store_si256((void *)to[1], _mm256_sign_epi16(d1, codes));
#undef TABLE
}

SL_V256 void decode_fp8(struct tile *t, uint32_t g, size_t at)
{
    for (int row = 0; row < 2; row++)
        for (uint32_t half = 0; half < 2; half++) {
            __m256i words[4];
            turn(t->code[row], at + 16 * half, words);
            for (uint32_t i = 0; i < 8; i++)
                put_fp8(spread(words[i / 2], i % 2), t->w[g][8 * half + i][row]);
        }
}

/* (32 + (b & 31)) << (b >> 5) of a scale byte; fp8 has none. */
static void decode_scales(struct tile *t, uint32_t g, uint32_t group)
{
    const int format = t->rows->format;
    const uint32_t at = sl_format_is_4bit(format) ? 2 * group : group;
    for (int row = 0; row < 2; row++)
        for (int u = 0; u < UNITS; u++) {
            const uint8_t b = format == SL_FORMAT_FP8 ? 0 : t->scale[row][u][at];
            t->s[g][row][u] = format == SL_FORMAT_FP8 ? 1 : (SL_SIG_BASE + (b & 31)) << (b >> 5);
        }
}

/* ---- products -------------------------------------------------------------------------------- */

/* Added where it is: gcc otherwise moves sums about. */
SL_V256 __m256i add_to(__m256i sum, __m256i v)
{
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(v));
    return sum;
}

/* Sums of a group of two vectors of weights with four tokens. x: of the first; w: of the first
 * pair, the second vector `apart` s16 behind the first. */
SL_V256 void multiply(const int16_t *x, const int16_t *w, size_t apart, __m256i a[TOKENS][2])
{
#pragma GCC unroll 4
    for (int t = 0; t < TOKENS; t++)
        a[t][0] = a[t][1] = _mm256_setzero_si256();
    for (int p = 0; p < PAIRS; p++, x += 2, w += 4 * LANES) {
        __m256i w0 = sl_load256(w), w1 = sl_load256(w + apart);
#pragma GCC unroll 4
        for (int t = 0; t < TOKENS; t++) {
            int32_t both;
            memcpy(&both, x + t * CHUNK, sizeof both);
            __m256i y = _mm256_set1_epi32(both);
            a[t][0] = add_to(a[t][0], _mm256_madd_epi16(y, w0));
            a[t][1] = add_to(a[t][1], _mm256_madd_epi16(y, w1));
        }
    }
}

/* sum += (a * scale) << xe */
SL_V256 void add_scaled(__m256i a, const int32_t scale[UNITS], __m128i xe,
                        int64_t sum[2][UNITS / 2])
{
    __m256i s = sl_load256(scale);
    __m256i even = _mm256_sll_epi64(_mm256_mul_epi32(a, s), xe);
    __m256i odd = _mm256_sll_epi64(_mm256_mul_epi32(sl_odd_lanes256(a), sl_odd_lanes256(s)), xe);
    _mm256_store_si256((void *)sum[0], _mm256_add_epi64(sl_load256(sum[0]), even));
    _mm256_store_si256((void *)sum[1], _mm256_add_epi64(sl_load256(sum[1]), odd));
}

/* Tokens first .. first + 3. */
SL_AVX2 static void multiply_group(struct tile *t, uint32_t g, const int16_t *x, const uint8_t *xe,
                                   uint32_t first)
{
    const bool fp8 = t->rows->format == SL_FORMAT_FP8;
    for (int row = 0; row < (fp8 ? 2 : 1); row++) {
        __m256i a[TOKENS][2];
        multiply(x, t->w[g][0][row][0], fp8 ? LANES : 2 * LANES, a);
#pragma GCC unroll 4
        for (int k = 0; k < TOKENS; k++) {
            const __m128i shift = _mm_cvtsi32_si128(xe[first + (uint32_t)k]);
            int64_t(*sum)[2][UNITS / 2] = t->sum[first + (uint32_t)k];
            if (fp8) {
                a[k][0] = _mm256_add_epi32(a[k][0], _mm256_slli_epi32(a[k][1], 9));
                add_scaled(a[k][0], t->s[g][row], shift, sum[row]);
                continue;
            }
            add_scaled(a[k][0], t->s[g][0], shift, sum[0]);
            add_scaled(a[k][1], t->s[g][1], shift, sum[1]);
        }
    }
}

SL_AVX2 static void decode_chunk(struct tile *t, uint32_t first, uint32_t n_group)
{
    const int format = t->rows->format;
    const __m128i book = _mm_loadu_si128((const void *)sl_cpu_book(format));
    for (uint32_t g = 0; g < n_group; g++) {
        const size_t at = (size_t)(first + g) * SL_BLOCK;
        decode_scales(t, g, first + g);
        if (format == SL_FORMAT_Q8)
            decode_q8(t, g, at);
        else if (format == SL_FORMAT_FP8)
            decode_fp8(t, g, at);
        else
            decode_4bit(t, g, at, _mm256_broadcastsi128_si256(book));
    }
}

/* Lanes without a unit repeat the last one; their sums are nobody's. */
static void open_tile(struct tile *t, const struct sl_cpu_rows *rows, const uint8_t *unit,
                      uint32_t n)
{
    const size_t high = sl_format_is_4bit(rows->format) ? 1 : rows->row_bytes;
    t->rows = rows;
    for (uint32_t u = 0; u < UNITS; u++) {
        const uint8_t *at = unit + (u < n ? u : n - 1) * rows->unit_bytes;
        t->code[0][u] = at + rows->code_at;
        t->code[1][u] = t->code[0][u] + rows->row_bytes;
        t->scale[0][u] = at + rows->scale_at;
        t->scale[1][u] = t->scale[0][u] + high;
    }
    memset(t->sum, 0, sizeof t->sum);
}

static void run_tile(struct tile *t, const struct sl_tile_work_avx2 *w, uint32_t n_tok)
{
    const uint32_t n_group = t->rows->n_col / SL_BLOCK, n_pad = padded(n_tok);
    for (uint32_t first = 0; first < n_group; first += GROUPS) {
        const uint32_t n = n_group - first < GROUPS ? n_group - first : GROUPS;
        const int16_t *x = w->x + (size_t)(first / GROUPS) * n_pad * CHUNK;
        decode_chunk(t, first, n);
        for (uint32_t k = 0; k < n_pad; k += TOKENS)
            for (uint32_t g = 0; g < n; g++)
                multiply_group(t, g, x + (size_t)k * CHUNK + g * SL_BLOCK, w->xe[first + g], k);
    }
}

void sl_tile_sums_avx2(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n,
                       const struct sl_tile_work_avx2 *w, struct sl_cpu_work *out)
{
    static _Thread_local struct tile t;
    const uint8_t *unit = rows->unit + first * rows->unit_bytes;
    for (uint32_t at = 0; at < n; at += UNITS, unit += UNITS * rows->unit_bytes) {
        const uint32_t left = n - at < UNITS ? n - at : UNITS;
        open_tile(&t, rows, unit, left);
        run_tile(&t, w, out->n_tok);
        for (uint32_t k = 0; k < out->n_tok; k++)
            for (uint32_t u = 0; u < left; u++)
                for (uint32_t row = 0; row < 2; row++)
                    out->sum[k][2 * (at + u) + row] = t.sum[k][row][u % 2][u / 2];
    }
}
#endif
