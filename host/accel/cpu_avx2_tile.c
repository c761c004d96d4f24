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
    UNITS = SL_TILE_UNITS_AVX2,
    GROUPS = SL_TILE_GROUPS_AVX2,
    CHUNK = GROUPS * SL_BLOCK, /* columns */
    PAIRS = SL_BLOCK / 2,      /* of columns of a group */
    TOKENS = 4,                /* whose sums the registers hold */
    LANES = 2 * UNITS          /* s16 of a vector */
};

struct tile {
    const struct sl_cpu_rows *rows;
    struct sl_tile_work_avx2 *work;
    const uint8_t *code[2][UNITS], *scale[2][UNITS]; /* of low and high rows; 4-bit: code[0] only */
};

/* ---- x --------------------------------------------------------------------------------------- */

static uint32_t padded(uint32_t n_tok)
{
    return (n_tok + TOKENS - 1) / TOKENS * TOKENS;
}

SL_AVX2 void sl_tile_load_avx2(const struct sl_cpu_x *x, struct sl_tile_work_avx2 *w)
{
    const uint32_t n_pad = padded(x->n_tok);
    for (uint32_t at = 0; at < x->n_col; at += SL_BLOCK)
        for (uint32_t t = 0; t < n_pad; t++) {
            const bool real = t < x->n_tok;
            int16_t *to = w->x + ((size_t)(at / CHUNK) * n_pad + t) * CHUNK + at % CHUNK;
            w->xe[at / SL_BLOCK][t] = real ? x->xe[t][at / SL_BLOCK] & 31 : 0;
            for (uint32_t i = 0; i < SL_BLOCK; i += LANES) {
                __m128i code = real ? _mm_loadu_si128((const void *)(x->code[t] + at + i))
                                    : _mm_setzero_si128();
                _mm256_storeu_si256((void *)(to + i), _mm256_cvtepi8_epi16(code));
            }
        }
}

/* ---- weights --------------------------------------------------------------------------------- */

/* 16 bytes `at` behind each of 8 pointers: lane u of out[i] is word i of pointer u. */
SL_V256 void turn(const uint8_t *const p[UNITS], size_t at, __m256i out[4])
{
    const __m256i row[4] = {
        sl_two_rows256(p[0] + at, p[4] + at), sl_two_rows256(p[1] + at, p[5] + at),
        sl_two_rows256(p[2] + at, p[6] + at), sl_two_rows256(p[3] + at, p[7] + at)};
    sl_turn256(row, out);
}

SL_V256 void decode_4bit(struct tile *t, uint32_t g, size_t at, __m256i book)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    for (uint32_t p = 0; p < PAIRS; p += 8) {
        __m256i words[4];
        turn(t->code[0], at + 2 * p, words);
#pragma GCC unroll 8
        for (uint32_t i = 0; i < 8; i++) {
            int16_t(*w)[LANES] = t->work->w[g][p + i][0];
            __m256i low = _mm256_and_si256(words[i / 2], nibble);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(words[i / 2], 4), nibble);
            _mm256_store_si256((void *)w[0], sl_bytes256(_mm256_shuffle_epi8(book, low), i % 2));
            _mm256_store_si256((void *)w[1], sl_bytes256(_mm256_shuffle_epi8(book, high), i % 2));
        }
    }
}

/* Codes in the upper halves of s16: significand times 2^s in two digits. */
SL_V256 void put_fp8(__m256i codes, const struct sl_fp8_tables *t, int16_t to[2][LANES])
{
    const __m256i byte = _mm256_set1_epi16(0xFF);
    __m256i e = _mm256_and_si256(_mm256_srli_epi16(codes, 11), _mm256_set1_epi16(15));
    __m256i m = _mm256_and_si256(_mm256_srli_epi16(codes, 8), _mm256_set1_epi16(7));
    __m256i sig = _mm256_or_si256(m, _mm256_and_si256(_mm256_shuffle_epi8(t->lead, e), byte));
    __m256i pow = _mm256_or_si256(_mm256_and_si256(_mm256_shuffle_epi8(t->low, e), byte),
                                  _mm256_slli_epi16(_mm256_shuffle_epi8(t->high, e), 8));
    __m256i v = _mm256_mullo_epi16(sig, pow), up = _mm256_mulhi_epu16(sig, pow);
    __m256i d0 = _mm256_and_si256(v, _mm256_set1_epi16(511));
    __m256i d1 = _mm256_or_si256(_mm256_srli_epi16(v, 9), _mm256_slli_epi16(up, 7));
    _mm256_store_si256((void *)to[0], _mm256_sign_epi16(d0, codes));
    _mm256_store_si256((void *)to[1], _mm256_sign_epi16(d1, codes));
}

/* q8 and fp8. */
SL_V256 void decode_bytes(struct tile *t, uint32_t g, size_t at, bool fp8)
{
    const struct sl_fp8_tables tables = sl_fp8_tables();
    for (int row = 0; row < 2; row++)
        for (uint32_t p = 0; p < PAIRS; p += 8) {
            __m256i words[4];
            turn(t->code[row], at + 2 * p, words);
#pragma GCC unroll 8
            for (uint32_t i = 0; i < 8; i++) {
                int16_t(*w)[2][LANES] = t->work->w[g][p + i];
                if (fp8)
                    put_fp8(sl_spread256(words[i / 2], i % 2), &tables, w[row]);
                else
                    _mm256_store_si256((void *)w[0][row], sl_bytes256(words[i / 2], i % 2));
            }
        }
}

/* fp8 has no scales. */
SL_V256 void decode_scales(struct tile *t, uint32_t g, uint32_t group)
{
    const int format = t->rows->format;
    const uint32_t at = sl_format_is_4bit(format) ? 2 * group : group;
    for (int row = 0; row < 2; row++) {
        uint8_t b[UNITS] = {0};
        for (int u = 0; u < UNITS && format != SL_FORMAT_FP8; u++)
            b[u] = t->scale[row][u][at];
        _mm256_store_si256((void *)t->work->scale[g][row],
                           format == SL_FORMAT_FP8 ? _mm256_set1_epi32(1) : sl_scales256(b));
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
            decode_bytes(t, g, at, false);
        else if (format == SL_FORMAT_FP8)
            decode_bytes(t, g, at, true);
        else
            decode_4bit(t, g, at, _mm256_broadcastsi128_si256(book));
    }
}

/* ---- products -------------------------------------------------------------------------------- */

/* Sums of a group of both vectors of pairs with four tokens, the first of them at x. */
SL_V256 void multiply(const int16_t *x, int16_t (*w)[2][2][LANES], int of, __m256i a[TOKENS][2])
{
#pragma GCC unroll 4
    for (int t = 0; t < TOKENS; t++)
        a[t][0] = a[t][1] = _mm256_setzero_si256();
    for (int p = 0; p < PAIRS; p++, x += 2) {
        __m256i w0 = sl_load256(w[p][of][0]), w1 = sl_load256(w[p][of][1]);
#pragma GCC unroll 4
        for (int t = 0; t < TOKENS; t++) {
            int32_t both;
            memcpy(&both, x + t * CHUNK, sizeof both);
            __m256i y = _mm256_set1_epi32(both);
            a[t][0] = sl_madd256(a[t][0], y, w0);
            a[t][1] = sl_madd256(a[t][1], y, w1);
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
SL_AVX2 static void multiply_group(const struct tile *t, uint32_t g, const int16_t *x,
                                   const uint8_t *xe, uint32_t first)
{
    const bool fp8 = t->rows->format == SL_FORMAT_FP8;
    struct sl_tile_work_avx2 *work = t->work;
    for (int of = 0; of < (fp8 ? 2 : 1); of++) {
        __m256i a[TOKENS][2];
        multiply(x, work->w[g], of, a);
#pragma GCC unroll 4
        for (uint32_t k = 0; k < TOKENS; k++) {
            const __m128i shift = _mm_cvtsi32_si128(xe[first + k]);
            int64_t(*sum)[2][UNITS / 2] = work->sum[first + k];
            if (fp8) {
                a[k][0] = _mm256_add_epi32(a[k][0], _mm256_slli_epi32(a[k][1], 9));
                add_scaled(a[k][0], work->scale[g][of], shift, sum[of]);
                continue;
            }
            add_scaled(a[k][0], work->scale[g][0], shift, sum[0]);
            add_scaled(a[k][1], work->scale[g][1], shift, sum[1]);
        }
    }
}

/* Units from `unit` on, n of them. Lanes without a unit repeat the last one; their sums are
 * nobody's.
 */
static struct tile open_tile(const struct sl_cpu_rows *rows, const uint8_t *unit, uint32_t n,
                             struct sl_tile_work_avx2 *work)
{
    const size_t high = sl_format_is_4bit(rows->format) ? 1 : rows->row_bytes;
    struct tile t = {.rows = rows, .work = work};
    for (uint32_t u = 0; u < UNITS; u++) {
        const uint8_t *at = unit + (u < n ? u : n - 1) * rows->unit_bytes;
        t.code[0][u] = at + rows->code_at;
        t.code[1][u] = t.code[0][u] + rows->row_bytes;
        t.scale[0][u] = at + rows->scale_at;
        t.scale[1][u] = t.scale[0][u] + high;
    }
    memset(work->sum, 0, sizeof work->sum);
    return t;
}

static void run_tile(struct tile *t, uint32_t n_tok)
{
    const uint32_t n_group = t->rows->n_col / SL_BLOCK, n_pad = padded(n_tok);
    const int16_t *x = t->work->x;
    for (uint32_t first = 0; first < n_group; first += GROUPS, x += (size_t)n_pad * CHUNK) {
        const uint32_t n = n_group - first < GROUPS ? n_group - first : GROUPS;
        decode_chunk(t, first, n);
        for (uint32_t k = 0; k < n_pad; k += TOKENS)
            for (uint32_t g = 0; g < n; g++)
                multiply_group(t, g, x + (size_t)k * CHUNK + g * SL_BLOCK, t->work->xe[first + g],
                               k);
    }
}

void sl_tile_sums_avx2(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n,
                       struct sl_tile_work_avx2 *w, struct sl_cpu_work *out)
{
    const uint8_t *unit = rows->unit + first * rows->unit_bytes;
    for (uint32_t at = 0; at < n; at += UNITS, unit += UNITS * rows->unit_bytes) {
        const uint32_t left = n - at < UNITS ? n - at : UNITS;
        struct tile t = open_tile(rows, unit, left, w);
        run_tile(&t, out->n_tok);
        for (uint32_t k = 0; k < out->n_tok; k++)
            for (uint32_t u = 0; u < left; u++)
                for (uint32_t row = 0; row < 2; row++)
                    out->sum[k][2 * (at + u) + row] = w->sum[k][row][u % 2][u / 2];
    }
}
#endif
