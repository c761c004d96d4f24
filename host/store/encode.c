/* SPDX-License-Identifier: Apache-2.0 */
#include "store/encode.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "sl_abi.h"
#include "store/slab.h"

enum {
    SIG_BITS = 5,         /* SL_SIG_BASE = 2^SIG_BITS */
    LANES = 4, /* of a vector */
    E4M3_ONE = 9,         /* codes are integers times 2^-9 */
    E4M3_MAX_CODE = 0x7E
};

/* The code book in ascending order: code of the i-th value, and the bound above which a weight
 * belongs to i + 1, or from which on. */
struct book {
    unsigned n;
    float top; /* largest value */
    float value[16];
    float middle[15];      /* between value[i] and value[i + 1] */
    bool upper_on_tie[15]; /* the upper neighbour has the lower code */
    uint8_t code[16];
};

#define BOOK_VALUES(...)                                                                           \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define CODEBOOK(name, ...) static const int8_t table_##name[16] = BOOK_VALUES(__VA_ARGS__);
#include "tables.def"
#undef CODEBOOK

/* The code of the smallest value above `last`, the lowest of those with it; 16: there is none. */
static unsigned next_code(const int8_t *table, int last)
{
    unsigned next = 16;
    for (unsigned code = 0; code < 16; code++)
        if (table[code] > last && (next == 16 || table[code] < table[next]))
            next = code;
    return next;
}

/* Sorts the table; of codes with equal value the lowest stays. */
static void make_book(struct book *b, const int8_t *table)
{
    int last = INT8_MIN - 1;
    b->n = 0;
    for (unsigned code; (code = next_code(table, last)) < 16; last = table[code]) {
        b->value[b->n] = table[code];
        b->code[b->n++] = (uint8_t)code;
    }
    b->top = b->value[b->n - 1];
    for (unsigned i = 0; i + 1 < b->n; i++) {
        b->middle[i] = (b->value[i] + b->value[i + 1]) / 2;
        b->upper_on_tie[i] = b->code[i + 1] < b->code[i];
    }
}

static const int8_t *find_table(int format)
{
    return format == SL_FORMAT_NF4    ? table_NF4
           : format == SL_FORMAT_INT4 ? table_INT4
                                      : table_MXFP4;
}

static float find_top(int format)
{
    if (!sl_format_is_4bit(format))
        return 127;
    const int8_t *table = find_table(format);
    int top = 0;
    for (unsigned i = 0; i < 16; i++)
        top = table[i] > top ? table[i] : top;
    return (float)top;
}

struct sl_matrix_scale sl_round_scale(double v)
{
    if (v == 0)
        v = 1;
    int e;
    double mant = rint(frexp(v, &e) * 65536);
    if (mant == 65536) {
        mant = 32768;
        e++;
    }
    return (struct sl_matrix_scale){(uint16_t)mant, (int16_t)(e - 16)};
}

struct sl_matrix_scale sl_choose_scale(int format, float absmax)
{
    if (format == SL_FORMAT_FP8) {
        struct sl_matrix_scale s = sl_round_scale((double)absmax / 448);
        s.exp = (int16_t)(s.exp - E4M3_ONE);
        return s;
    }
    if (absmax == 0)
        return (struct sl_matrix_scale){1, 0};
    /* The quotient of a 24-bit and a small integer cannot round up to a power of two in 53 bits. */
    int e0 = ilogb((double)absmax / find_top(format)) - SIG_BITS - SL_WE_MAX;
    return (struct sl_matrix_scale){1, (int16_t)(e0 < INT8_MIN ? INT8_MIN : e0)};
}

/* Four lanes that every target has; written out because compilers turn the comparisons below into
 * jumps. */
typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));
typedef double d4 __attribute__((vector_size(32)));

#define ALL4(x) ((f4){x, x, x, x})
/* x where the mask is set, else 0. */
#define SELECT4(mask, x) ((f4)((mask) & (i4)(x)))

/* value[i] = nearest value of the book to w[i] / scale. Bounds are exact in fp32: at most 8 bits
 * times 6 bits. */
static void nearest_in_book(const struct book *b, const float *w, float scale, float *value)
{
    enum { N = SL_BLOCK / LANES }; /* side by side: one chain of additions takes its latency */
    f4 x[N], v[N];
    memcpy(x, w, sizeof x);
    for (unsigned i = 0; i < N; i++)
        v[i] = ALL4(b->value[0]);
    for (unsigned t = 0; t + 1 < b->n; t++) {
        const float middle = b->middle[t] * scale;
        const f4 bound = ALL4(middle), step = ALL4(b->value[t + 1] - b->value[t]);
        const bool tie = b->upper_on_tie[t];
#pragma GCC unroll 8
        for (unsigned i = 0; i < N; i++)
            v[i] += tie ? SELECT4(x[i] >= bound, step) : SELECT4(x[i] > bound, step);
    }
    memcpy(value, v, sizeof v);
}

/* value[i] = integer in -127..127 nearest to w[i] / scale, the lower one on ties. The quotient from
 * the reciprocal may be off by one next to a tie; comparing with the exact bounds mends it. */
static void nearest_integer(const float *w, float scale, float *value)
{
    const f4 magic = ALL4(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    const f4 one = ALL4(1), half = ALL4(0.5f), top = ALL4(127);
    const f4 inverse = ALL4(1 / scale), s = ALL4(scale);
    for (unsigned i = 0; i < SL_BLOCK; i += LANES) {
        f4 x;
        memcpy(&x, w + i, sizeof x);
        f4 r = (x * inverse + magic) - magic;
        r += SELECT4(x > (r + half) * s, one);
        r -= SELECT4(x <= (r - half) * s, one);
        r -= SELECT4(r > top, r - top);
        r -= SELECT4(r < -top, r + top);
        memcpy(value + i, &r, sizeof r);
    }
}

/* Squared error in binary64, four partial sums: the order is part of the result's definition on
 * near ties. */
static double squared_error(const float *w, const float *value, double scale)
{
    const d4 s = {scale, scale, scale, scale};
    d4 sum = {0};
    for (unsigned i = 0; i < SL_BLOCK; i += 4) {
        f4 x, v;
        memcpy(&x, w + i, sizeof x);
        memcpy(&v, value + i, sizeof v);
        d4 d = __builtin_convertvector(x, d4) - __builtin_convertvector(v, d4) * s;
        sum += d * d;
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static float scale_of_byte(unsigned byte, int e0)
{
    return ldexpf((float)(SL_SIG_BASE + (byte & 31)), (int)(byte >> SIG_BITS) + e0);
}

static float group_absmax(const float *w)
{
    uint32_t bits[SL_BLOCK], top = 0;
    memcpy(bits, w, sizeof bits);
    for (unsigned i = 0; i < SL_BLOCK; i++) {
        uint32_t magnitude = bits[i] & 0x7FFFFFFFu;
        top = magnitude > top ? magnitude : top;
    }
    float r;
    memcpy(&r, &top, sizeof r);
    return r;
}

/* Byte nearest to a = absmax / top; below 0 when the group lies under the window. */
static int nearest_byte(double a, int e0, bool *raised)
{
    int we = ilogb(a) - SIG_BITS - e0;
    *raised = we < 0;
    we = we < 0 ? 0 : we > SL_WE_MAX ? SL_WE_MAX : we;
    return we * SL_SIG_BASE + (int)rint(ldexp(a, -(we + e0))) - SL_SIG_BASE;
}

/* Finds the best byte of one group and its values; returns whether the group was raised. b: NULL
 * for q8. */
static bool fit_group(const struct book *b, const float *w, int e0, float *value, uint8_t *scale)
{
    float absmax = group_absmax(w);
    bool raised = false;
    int middle = absmax == 0 ? -2 * SL_SIG_BASE
                             : nearest_byte((double)absmax / (b ? b->top : 127), e0, &raised);
    double best = INFINITY;
    int last = -1;
    for (int byte = middle - 1; byte <= middle + 2; byte++) {
        int legal = byte < 0 ? 0 : byte > UINT8_MAX ? UINT8_MAX : byte;
        if (legal == last)
            continue;
        last = legal;
        float s = scale_of_byte((unsigned)legal, e0);
        float trial[SL_BLOCK];
        if (b)
            nearest_in_book(b, w, s, trial);
        else
            nearest_integer(w, s, trial);
        double error = squared_error(w, trial, s);
        if (error < best) {
            best = error;
            *scale = (uint8_t)legal;
            memcpy(value, trial, sizeof trial);
        }
    }
    return raised;
}

/* E4M3 code nearest to w / scale, ties to the even code, saturating. The quotient of 24 and 16 bits
 * cannot reach a tie by rounding in 53 bits, so this equals one exact rounding. */
static uint8_t encode_e4m3(float w, double inverse_exp, double mant)
{
    double q = fabs((double)w) * inverse_exp / mant;
    uint64_t bits;
    uint8_t code;
    if (q < 0x1p-6) {
        code = (uint8_t)rint(q * 512);
    } else if (q >= 464) {
        code = E4M3_MAX_CODE;
    } else {
        memcpy(&bits, &q, sizeof bits);
        bits += (UINT64_C(1) << 48) - 1 + ((bits >> 49) & 1);
        code = (uint8_t)((bits >> 49) - ((UINT64_C(1023) - 7) << 3));
        code = code > E4M3_MAX_CODE ? E4M3_MAX_CODE : code;
    }
    return (uint8_t)(code | (w < 0 && code ? 0x80 : 0));
}

static void encode_fp8(struct sl_matrix_scale m, const float *w, uint64_t k, uint8_t *code)
{
    double inverse_exp = ldexp(1, -(m.exp + E4M3_ONE));
    for (uint64_t i = 0; i < k; i++)
        code[i] = encode_e4m3(w[i], inverse_exp, m.mant);
}

/* Keeps a group's integers; false when it cannot. A quotient of w, an exact product, is exact. */
static bool keep_group(const float *w, float known, int e0, uint8_t *code, uint8_t *scale)
{
    bool raised = true, fits = known > 0 && isfinite(7 * known);
    int byte = fits ? nearest_byte((double)known, e0, &raised) : 0;
    for (unsigned i = 0; fits && i < SL_BLOCK; i++) {
        float q = w[i] / known;
        fits = q >= -8 && q <= 7 && q == rintf(q);
        code[i] = fits ? (uint8_t)((int)q & 15) : 0;
    }
    *scale = (uint8_t)(byte > UINT8_MAX ? UINT8_MAX : byte);
    return fits && !raised;
}

uint64_t sl_encode_kept_row(struct sl_matrix_scale matrix, const float *w, uint64_t k,
                            const float *known, uint8_t *code, uint8_t *scale)
{
    uint64_t raised = 0;
    for (uint64_t g = 0; g < k / SL_BLOCK; g++) {
        const float *group = w + g * SL_BLOCK;
        uint8_t *out = code + g * SL_BLOCK;
        if (!keep_group(group, known[g], matrix.exp, out, scale + g))
            raised += sl_encode_row(SL_FORMAT_INT4, matrix, group, SL_BLOCK, out, scale + g);
    }
    return raised;
}

uint64_t sl_encode_row(int format, struct sl_matrix_scale matrix, const float *w, uint64_t k,
                       uint8_t *code, uint8_t *scale)
{
    if (format == SL_FORMAT_FP8) {
        encode_fp8(matrix, w, k, code);
        return 0;
    }
    struct book book;
    bool four = sl_format_is_4bit(format);
    uint8_t code_of[256] = {0}; /* of value + 128 */
    if (four) {
        make_book(&book, find_table(format));
        for (unsigned i = 0; i < book.n; i++)
            code_of[(int)book.value[i] + 128] = book.code[i];
    }
    uint64_t raised = 0;
    for (uint64_t g = 0; g < k / SL_BLOCK; g++) {
        float value[SL_BLOCK];
        raised += fit_group(four ? &book : NULL, w + g * SL_BLOCK, matrix.exp, value, scale + g);
        for (unsigned i = 0; i < SL_BLOCK; i++) {
            int v = (int)value[i];
            code[g * SL_BLOCK + i] = four ? code_of[v + 128] : (uint8_t)v;
        }
    }
    return raised;
}
