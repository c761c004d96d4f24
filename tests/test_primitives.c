/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar arithmetic of hls/primitives.h against 128-bit integers, long double and the
 * processor's own conversions: over every input where that is possible. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kv_pack.h"
#include "primitives.h"
#include "test_main.h"

__extension__ typedef __int128 s128;

enum { N_RANDOM = 400000 };

/* A random s64 of random length: small numbers, powers of two and the ends of the range are as
 * likely as any. */
static int64_t any_s64(struct sl_rng *rng)
{
    uint64_t v = sl_rng_next(rng) >> sl_rng_range(rng, 0, 63);
    switch (sl_rng_range(rng, 0, 7)) {
    case 0: v = (uint64_t)1 << sl_rng_range(rng, 0, 63); break;
    case 1: v = ((uint64_t)1 << sl_rng_range(rng, 0, 63)) - 1; break;
    case 2:
        v = ((uint64_t)3 << sl_rng_range(rng, 0, 62)) + (uint64_t)sl_rng_range(rng, -1, 1);
        break;
    default: break;
    }
    return (int64_t)(sl_rng_range(rng, 0, 1) ? v : 0 - v);
}

/* v * 2^-s rounded to nearest even by floor and remainder; 0 <= s < 127. */
static s128 rne_128(s128 v, int s)
{
    s128 unit = (s128)1 << s, kept = v >> s, rest = v - kept * unit;
    if (2 * rest > unit || (2 * rest == unit && kept % 2 != 0))
        kept++;
    return kept;
}

static void rne_equals_128_bit_arithmetic(void)
{
    struct sl_rng rng = sl_rng_open("rne", 1);
    unsigned n_bad = 0;
    for (int i = 0; i < N_RANDOM; i++) {
        int64_t v = any_s64(&rng);
        int s = (int)sl_rng_range(&rng, 0, 63);
        n_bad += sl_rne(v, s) != (int64_t)rne_128(v, s);
        n_bad += sl_rne(v, 64 + s) != 0;
        int64_t small = v >> 40;
        n_bad += sl_rne(small, -(s % 38)) != small * ((int64_t)1 << s % 38);
    }
    for (int64_t v = -4096; v <= 4096; v++)
        for (int s = 0; s < 16; s++)
            n_bad += sl_rne(v, s) != (int64_t)rne_128(v, s);
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT_EQUAL(sl_rne(5, 1), 2);
    CU_ASSERT_EQUAL(sl_rne(7, 1), 4);
    CU_ASSERT_EQUAL(sl_rne(-5, 1), -2);
}

static void sat32_clamps_at_both_ends(void)
{
    CU_ASSERT_EQUAL(sl_sat32(2147483647), 2147483647);
    CU_ASSERT_EQUAL(sl_sat32(2147483648), 2147483647);
    CU_ASSERT_EQUAL(sl_sat32(-2147483648), INT32_MIN);
    CU_ASSERT_EQUAL(sl_sat32(-2147483649), INT32_MIN);
    CU_ASSERT_EQUAL(sl_sat32(INT64_MIN), INT32_MIN);
    CU_ASSERT_EQUAL(sl_sat32(-7), -7);
}

/* sat32(RNE(v * m * 2^e)) in 128 bits. */
static int32_t scale_s32_128(int64_t v, uint16_t m, int e, bool *sat)
{
    s128 p = (s128)v * m;
    if (e < 0)
        p = e < -100 ? 0 : rne_128(p, -e);
    else
        p = e > 40 ? (p > 0) * ((s128)1 << 40) - (p < 0) * ((s128)1 << 40) : p * ((s128)1 << e);
    *sat = p > INT32_MAX || p < INT32_MIN;
    return p > INT32_MAX ? INT32_MAX : p < INT32_MIN ? INT32_MIN : (int32_t)p;
}

static void scale_s32_equals_128_bit_arithmetic(void)
{
    struct sl_rng rng = sl_rng_open("scale_s32", 2);
    unsigned n_bad = 0, n_saturated = 0, n_plain = 0;
    for (int i = 0; i < 2 * N_RANDOM; i++) {
        int64_t v = any_s64(&rng);
        uint16_t m = (uint16_t)(sl_rng_range(&rng, 0, 3) ? any_s64(&rng) : 1);
        /* Mostly exponents that bring the product near to 32 bits. */
        int bits = (int)ceill(log2l(fabsl((long double)v * m) + 1));
        int e = (int)sl_rng_range(&rng, 0, 9) ? 31 - bits + (int)sl_rng_range(&rng, -34, 4)
                                              : (int)sl_rng_range(&rng, -2000, 2000);
        bool sat;
        int32_t want = scale_s32_128(v, m, e, &sat);
        uint32_t n_sat = 7;
        n_bad += sl_scale_s32(v, m, e, &n_sat) != want || n_sat != 7u + sat;
        n_saturated += sat;
        n_plain += !sat && want;
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT(n_saturated > N_RANDOM / 50);
    CU_ASSERT(n_plain > N_RANDOM / 2);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void scale_f32_equals_the_processors_conversions(void)
{
    struct sl_rng rng = sl_rng_open("scale_f32", 3);
    unsigned n_bad = 0, n_subnormal = 0;
    for (int i = 0; i < 2 * N_RANDOM; i++) {
        int64_t v = any_s64(&rng);
        n_bad += sl_scale_f32(v, 1, 0) != bits_of((float)v);
        /* A 37-bit v times m is exact in binary64; the conversion to fp32 is then the only
         * rounding. */
        int64_t w = v >> 27;
        uint16_t m = (uint16_t)sl_rng_next(&rng);
        int bits = (int)log2(fabs((double)w) + 1);
        int e = (int)sl_rng_range(&rng, -190, 150) - bits;
        uint32_t want = bits_of((float)ldexp((double)w * m, e));
        if (w < 0 && m == 0)
            want = 0x80000000u;
        n_bad += sl_scale_f32(w, m, e) != want;
        /* long double takes all of v. */
        want = bits_of((float)ldexpl((long double)v, e - 20));
        n_bad += sl_scale_f32(v, 1, e - 20) != want;
        n_subnormal += (want & 0x7F800000) == 0 && (want & 0x7FFFFF);
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT(n_subnormal > 1000);
}

/* Whether the fp32 `bits` is the even-tied nearest of p (at least 2^25) times 2^e, in 128-bit
 * integers. */
static bool is_nearest(uint32_t bits, s128 p, int e)
{
    uint32_t field = bits >> 23 & 255;
    s128 sig = field ? (bits & 0x7FFFFF) | 0x800000 : bits & 0x7FFFFF;
    int unit = (int)(field ? field : 1) - 150 - e; /* one unit of sig is 2^unit in terms of p */
    s128 mag = p < 0 ? -p : p;
    if ((p < 0) != (bits >> 31) || unit < 1 || unit > 100)
        return false;
    s128 off = mag - sig * ((s128)1 << unit), tie = (s128)1 << (unit - 1);
    /* Below a power of two the spacing halves. */
    bool low_edge = sig == 0x800000 && field > 1 && off < 0;
    if (low_edge)
        return 2 * -off <= tie;
    return (off < 0 ? -off : off) < tie || ((off == tie || -off == tie) && sig % 2 == 0);
}

static void scale_f32_rounds_80_bit_products_once(void)
{
    struct sl_rng rng = sl_rng_open("scale_f32_wide", 4);
    unsigned n_bad = 0;
    for (int i = 0; i < 2 * N_RANDOM; i++) {
        int64_t v = any_s64(&rng);
        v = v < 0 ? -(-(v >> 2) | (int64_t)1 << 40) : v | (int64_t)1 << 40;
        uint16_t m = (uint16_t)(32768 | sl_rng_next(&rng));
        s128 p = (s128)v * m;
        int bits = (int)log2l(fabsl((long double)p));
        int e = (int)sl_rng_range(&rng, -126, 126) - bits;
        n_bad += !is_nearest(sl_scale_f32(v, m, e), p, e);
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT_EQUAL(sl_scale_f32(INT64_MIN, 65535, 0), bits_of(-65535 * 0x1p63f));
    CU_ASSERT_EQUAL(sl_scale_f32(INT64_MIN, 1, -212), bits_of(-0x1p-149f));
    CU_ASSERT_EQUAL(sl_scale_f32(INT64_MIN, 1, -213), 0x80000000u);
    CU_ASSERT_EQUAL(sl_scale_f32(INT64_MIN + 1, 3, -214), bits_of(-0x1p-149f));
}

static void scale_f32_has_gradual_underflow_infinity_and_signed_zero(void)
{
    CU_ASSERT_EQUAL(sl_scale_f32(0, 5, 3), 0);
    CU_ASSERT_EQUAL(sl_scale_f32(-1, 1, -5000), 0x80000000u);
    CU_ASSERT_EQUAL(sl_scale_f32(1, 1, 128), 0x7F800000u);
    CU_ASSERT_EQUAL(sl_scale_f32(-1, 1, 30000), 0xFF800000u);
    CU_ASSERT_EQUAL(sl_scale_f32((1 << 24) - 1, 1, 104), 0x7F7FFFFFu);
    CU_ASSERT_EQUAL(sl_scale_f32((1 << 25) - 1, 1, 103), 0x7F800000u);
    CU_ASSERT_EQUAL(sl_scale_f32(1, 1, -149), 1);
    CU_ASSERT_EQUAL(sl_scale_f32(1, 1, -150), 0);
    CU_ASSERT_EQUAL(sl_scale_f32(3, 1, -151), 1);
    CU_ASSERT_EQUAL(sl_scale_f32((1 << 24) - 1, 1, -150), 0x00800000u);
}

static void div_half_equals_128_bit_arithmetic(void)
{
    struct sl_rng rng = sl_rng_open("div_half", 5);
    unsigned n_bad = 0;
    for (int i = 0; i < N_RANDOM; i++) {
        uint64_t a = (uint64_t)any_s64(&rng) >> 2, b = ((uint64_t)any_s64(&rng) >> 2) + 1;
        n_bad += sl_div_half(a, b) != (uint64_t)((2 * (s128)a + b) / (2 * (s128)b));
        b = b >> sl_rng_range(&rng, 0, 62) | 1;
        uint64_t want = (uint64_t)((2 * (s128)a + b) / (2 * (s128)b));
        n_bad += sl_div_half(a, b) != want;
        n_bad += sl_div_half_signed(-(int64_t)a, b) != -(int64_t)want;
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT_EQUAL(sl_div_half(5, 2), 3);
    CU_ASSERT_EQUAL(sl_div_half_signed(-5, 2), -3);
}

static void log2_is_the_position_of_the_leading_one(void)
{
    unsigned n_bad = 0;
    for (uint32_t n = 0; n < 64; n++) {
        uint64_t one = (uint64_t)1 << n;
        n_bad += sl_log2(one) != n || sl_log2(one | (one - 1)) != n;
    }
    CU_ASSERT_EQUAL(n_bad, 0);
}

/* OCP OFP8 E4M3: bias 7, no infinities. */
static double e4m3(int code)
{
    int e = code >> 3 & 15, m = code & 7;
    double mag = e ? ldexp(1 + m / 8.0, e - 7) : ldexp(m / 8.0, -6);
    return code & 128 ? -mag : mag;
}

/* OCP MX E2M1: bias 1. */
static double e2m1(int code)
{
    int e = code >> 1 & 3, m = code & 1;
    double mag = e ? ldexp(1 + m / 2.0, e - 1) : m / 2.0;
    return code & 8 ? -mag : mag;
}

static void every_code_of_every_format_has_its_value(void)
{
    /* bitsandbytes' NF4 (Dettmers et al. 2023, appendix E). */
    static const double nf4[16] = {-1.0,
                                   -0.6961928009986877,
                                   -0.5250730514526367,
                                   -0.39491748809814453,
                                   -0.28444138169288635,
                                   -0.18477343022823334,
                                   -0.09105003625154495,
                                   0.0,
                                   0.07958029955625534,
                                   0.16093020141124725,
                                   0.24611230194568634,
                                   0.33791524171829224,
                                   0.44070982933044434,
                                   0.5626170039176941,
                                   0.7229568362236023,
                                   1.0};
    unsigned n_bad = 0;
    for (int code = 0; code < 256; code++) {
        int8_t s8;
        uint8_t byte = (uint8_t)code;
        memcpy(&s8, &byte, 1);
        n_bad += sl_decode_fp8((uint32_t)code) != (int)(e4m3(code) * 512);
        n_bad += sl_decode_s8((uint32_t)code) != s8;
    }
    for (int code = 0; code < 65536; code++) {
        int16_t s16;
        uint16_t half = (uint16_t)code;
        memcpy(&s16, &half, 2);
        n_bad += sl_decode_s16((uint32_t)code) != s16;
    }
    for (int code = 0; code < 16; code++) {
        n_bad += sl_decode_4bit(SL_FORMAT_NF4, (uint32_t)code) != (int)lrint(nf4[code] * 127);
        n_bad += sl_decode_4bit(SL_FORMAT_INT4, (uint32_t)code) != (code < 8 ? code : code - 16);
        n_bad += sl_decode_4bit(SL_FORMAT_MXFP4, (uint32_t)code) != (int)(2 * e2m1(code));
    }
    CU_ASSERT_EQUAL(n_bad, 0);
}

/* The text's formula with a table from libm. */
static int64_t sigmoid_by_text(const int64_t table[257], int32_t g)
{
    int64_t a = g < 0 ? -(int64_t)g : g, sigma = 65536;
    if (a < 16 * 65536) {
        int64_t i = a / 4096, f = a % 4096;
        sigma = table[i] + ((table[i + 1] - table[i]) * f + 2048) / 4096;
    }
    return g < 0 ? 65536 - sigma : sigma;
}

static void check_sigmoid(const int64_t table[257], int32_t g, unsigned *n_bad)
{
    int64_t sigma = sigmoid_by_text(table, g);
    *n_bad += sl_sigmoid(g) != (uint32_t)sigma;
    *n_bad += sl_silu(g) != (int32_t)rne_128((s128)g * sigma, 16);
}

static void sigmoid_and_silu_follow_the_text_for_every_input_below_16(void)
{
    int64_t table[257];
    unsigned n_bad = 0;
    for (int i = 0; i <= 256; i++)
        table[i] = llrintl(65536 / (1 + expl(-i / 16.0L)));
    for (int32_t g = -(1 << 20) - 100; g <= (1 << 20) + 100; g++)
        check_sigmoid(table, g, &n_bad);
    for (int64_t g = INT32_MIN; g <= INT32_MAX; g += 65521)
        check_sigmoid(table, (int32_t)g, &n_bad);
    check_sigmoid(table, INT32_MIN, &n_bad);
    check_sigmoid(table, INT32_MAX, &n_bad);
    CU_ASSERT_EQUAL(n_bad, 0);
}

static uint32_t exp_neg_by_text(const int64_t table[257], uint32_t d)
{
    s128 t = (s128)d * 1549082005 / 4194304;
    int64_t n = (int64_t)(t / 16777216), i = (int64_t)(t / 65536 % 256), r = (int64_t)(t % 65536);
    int64_t v = table[i] - ((table[i] - table[i + 1]) * r + 32768) / 65536;
    if (n > 31)
        return 0;
    return n ? (uint32_t)((v + ((int64_t)1 << (n - 1))) / ((int64_t)1 << n)) : (uint32_t)v;
}

static void exp_neg_follows_the_text_for_every_input_with_a_result(void)
{
    int64_t table[257];
    unsigned n_bad = 0, n_rising = 0;
    uint32_t last = 1u << 30;
    long double error = 0;
    for (int i = 0; i <= 256; i++)
        table[i] = llrintl(0x1p30L * exp2l(-i / 256.0L));
    CU_ASSERT_EQUAL(llrintl(0x1p30L / logl(2)), 1549082005);
    CU_ASSERT_EQUAL(sl_exp_neg(0), 1u << 30);
    for (uint32_t d = 0; d < 1u << 21; d++) {
        uint32_t e = sl_exp_neg(d);
        n_bad += e != exp_neg_by_text(table, d);
        n_rising += e > last;
        last = e;
        error = fmaxl(error, fabsl(e / 0x1p30L - expl(-(d / 65536.0L))));
    }
    for (uint64_t d = 1u << 21; d <= UINT32_MAX; d += 4093)
        n_bad += sl_exp_neg((uint32_t)d) != 0;
    n_bad += sl_exp_neg(UINT32_MAX) != 0;
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT_EQUAL(n_rising, 0);
    CU_ASSERT(error < 1e-6L);
}

/* Entry of the Hadamard matrix in Sylvester order. */
static int sylvester(uint32_t i, uint32_t j)
{
    return __builtin_popcount(i & j) % 2 ? -1 : 1;
}

static void hadamard_equals_the_matrix(void)
{
    struct sl_rng rng = sl_rng_open("hadamard", 6);
    unsigned n_bad = 0;
    for (uint32_t d = 2; d <= SL_MAX_HEAD_DIM; d += 2) {
        int64_t v[SL_MAX_HEAD_DIM], y[SL_MAX_HEAD_DIM];
        uint32_t n = 0;
        while (d % (2u << n) == 0)
            n++;
        for (uint32_t i = 0; i < d; i++)
            y[i] = v[i] = d % 4 ? sl_rng_range(&rng, -32767, 32767) : 32767;
        sl_kv_hadamard(y, d, n);
        for (uint32_t i = 0; i < d; i++) {
            int64_t sum = 0;
            for (uint32_t j = 0; j < 1u << n; j++)
                sum += sylvester(i % (1u << n), j) * v[(i >> n << n) + j];
            n_bad += y[i] != sum;
        }
    }
    CU_ASSERT_EQUAL(n_bad, 0);
}

static const struct sl_case cases[] = {
    {"rne_equals_128_bit_arithmetic", rne_equals_128_bit_arithmetic},
    {"sat32_clamps_at_both_ends", sat32_clamps_at_both_ends},
    {"scale_s32_equals_128_bit_arithmetic", scale_s32_equals_128_bit_arithmetic},
    {"scale_f32_equals_the_processors_conversions", scale_f32_equals_the_processors_conversions},
    {"scale_f32_rounds_80_bit_products_once", scale_f32_rounds_80_bit_products_once},
    {"scale_f32_has_gradual_underflow_infinity_and_signed_zero",
     scale_f32_has_gradual_underflow_infinity_and_signed_zero},
    {"div_half_equals_128_bit_arithmetic", div_half_equals_128_bit_arithmetic},
    {"log2_is_the_position_of_the_leading_one", log2_is_the_position_of_the_leading_one},
    {"every_code_of_every_format_has_its_value", every_code_of_every_format_has_its_value},
    {"sigmoid_and_silu_follow_the_text_for_every_input_below_16",
     sigmoid_and_silu_follow_the_text_for_every_input_below_16},
    {"exp_neg_follows_the_text_for_every_input_with_a_result",
     exp_neg_follows_the_text_for_every_input_with_a_result},
    {"hadamard_equals_the_matrix", hadamard_equals_the_matrix},
    {NULL, NULL},
};
const struct sl_suite suite_primitives = {"primitives", cases};
