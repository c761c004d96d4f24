/* SPDX-License-Identifier: Apache-2.0 */
/* Narrow floats over all inputs, against values computed from the fields with ldexp. */
#include "test_main.h"

#include <math.h>
#include <string.h>

#include "base/half.h"

/* Value of a number with e exponent bits, f fraction bits and the given bias, from its definition;
 * NaN where the format has one. top_is_special: the largest exponent means infinity or NaN. */
static double field_value(uint32_t bits, int e, int f, int bias, int top_is_special)
{
    int exponent = (int)(bits >> f) & ((1 << e) - 1), fraction = (int)bits & ((1 << f) - 1);
    double sign = bits >> (e + f) & 1 ? -1 : 1;
    if (top_is_special && exponent == (1 << e) - 1)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - f);
    return sign * ldexp((1 << f) + fraction, exponent - bias - f);
}

static int same(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b);
}

static void every_16_bit_code_widens_exactly(void)
{
    unsigned wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        wrong += !same(sl_bf16_to_f32((uint16_t)bits), field_value(bits, 8, 7, 127, 1));
        wrong += !same(sl_f16_to_f32((uint16_t)bits), field_value(bits, 5, 10, 15, 1));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void every_e4m3_code_widens_exactly(void)
{
    for (uint32_t bits = 0; bits < 256; bits++) {
        double expect = (bits & 127) == 127 ? NAN : field_value(bits, 4, 3, 7, 0);
        CU_ASSERT(same(sl_e4m3_to_f32((uint8_t)bits), expect));
    }
    CU_ASSERT_EQUAL(sl_e4m3_to_f32(0x7E), 448.0f);
    CU_ASSERT_EQUAL(sl_e4m3_to_f32(0x01), 0x1p-9f);
}

/* Distance of x to the value of a finite code, infinite for others. */
static double distance(double x, double value)
{
    return isfinite(value) ? fabs(x - value) : INFINITY;
}

/* Nearest code by search, ties to the even code. */
static uint8_t nearest_e4m3(double x)
{
    uint8_t best = 0;
    for (int c = 1; c < 0x7F; c++) {
        double d = distance(fabs(x), sl_e4m3_to_f32((uint8_t)c));
        double b = distance(fabs(x), sl_e4m3_to_f32(best));
        if (d < b || (d == b && c % 2 == 0))
            best = (uint8_t)c;
    }
    return signbit(x) ? best | 0x80 : best;
}

static void e4m3_narrowing_is_nearest_even_and_saturates(void)
{
    struct sl_rng rng = sl_rng_open("half", 3);
    unsigned wrong = 0;
    for (int i = 0; i < 20000; i++) {
        float x = (float)(sl_rng_normal(&rng) * exp2((double)sl_rng_range(&rng, -12, 10)));
        wrong += sl_f32_to_e4m3(x) != nearest_e4m3(x);
    }
    for (int c = 0; c < 0x7E; c++) { /* the ties themselves */
        float mid = (sl_e4m3_to_f32((uint8_t)c) + sl_e4m3_to_f32((uint8_t)(c + 1))) / 2;
        wrong += sl_f32_to_e4m3(mid) != nearest_e4m3(mid);
        wrong += sl_f32_to_e4m3(-mid) != nearest_e4m3(-mid);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(sl_f32_to_e4m3(1e9f), 0x7E);
    CU_ASSERT_EQUAL(sl_f32_to_e4m3(-INFINITY), 0xFE);
    CU_ASSERT_EQUAL(sl_f32_to_e4m3(NAN) & 0x7F, 0x7F);
}

static void narrow_codes_survive_a_round_trip(void)
{
    unsigned wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++)
        if (!isnan(sl_bf16_to_f32((uint16_t)bits)))
            wrong += sl_f32_to_bf16(sl_bf16_to_f32((uint16_t)bits)) != bits;
    for (uint32_t bits = 0; bits < 256; bits++)
        if ((bits & 127) != 127)
            wrong += sl_f32_to_e4m3(sl_e4m3_to_f32((uint8_t)bits)) != bits;
    CU_ASSERT_EQUAL(wrong, 0);
}

static void bf16_narrowing_rounds_ties_to_even(void)
{
    CU_ASSERT_EQUAL(sl_f32_to_bf16(1.0f), 0x3F80);
    CU_ASSERT_EQUAL(sl_f32_to_bf16(1.0f + 0x1p-8f), 0x3F80);           /* tie, even below */
    CU_ASSERT_EQUAL(sl_f32_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3F82); /* tie, even above */
    CU_ASSERT_EQUAL(sl_f32_to_bf16(1.0f + 0x1p-8f + 0x1p-20f), 0x3F81);
    CU_ASSERT_EQUAL(sl_f32_to_bf16(3.4028234e38f), 0x7F80);
    CU_ASSERT(isnan(sl_bf16_to_f32(sl_f32_to_bf16(NAN))));
}

static void widening_reads_unaligned_memory(void)
{
    uint8_t raw[1 + 8];
    float out[2], in[2] = {1.5f, -0.25f};
    memcpy(raw + 1, in, sizeof in);
    sl_widen(SL_DTYPE_F32, raw + 1, 2, out);
    CU_ASSERT_EQUAL(out[1], -0.25f);
    uint16_t half[2] = {0x3C00, 0xC000}; /* 1 and -2 in F16 */
    memcpy(raw + 1, half, sizeof half);
    sl_widen(SL_DTYPE_F16, raw + 1, 2, out);
    CU_ASSERT_EQUAL(out[0], 1.0f);
    CU_ASSERT_EQUAL(out[1], -2.0f);
}

const struct sl_suite suite_half = {
    "half", (const struct sl_case[]){
                {"every_16_bit_code_widens_exactly", every_16_bit_code_widens_exactly},
                {"every_e4m3_code_widens_exactly", every_e4m3_code_widens_exactly},
                {"e4m3_narrowing_is_nearest_even_and_saturates",
                 e4m3_narrowing_is_nearest_even_and_saturates},
                {"narrow_codes_survive_a_round_trip", narrow_codes_survive_a_round_trip},
                {"bf16_narrowing_rounds_ties_to_even", bf16_narrowing_rounds_ties_to_even},
                {"widening_reads_unaligned_memory", widening_reads_unaligned_memory},
                {NULL, NULL}}};
