/* SPDX-License-Identifier: Apache-2.0 */
/* fp32 to block formats against docs/numerics.md 3.1, recomputed here from frexp and exact
 * rationals. */
#include "test_main.h"

#include <math.h>
#include <string.h>

#include "accel/activation.h"
#include "sluice.h"

enum { K = 160, N = 150 };

static int32_t base_of(const uint8_t *p)
{
    int32_t base;
    memcpy(&base, p, sizeof base);
    return base;
}

/* floor(log2 |x|) from frexp, which returns a mantissa in [0.5, 1). */
static int log2_floor(double x)
{
    int e;
    frexp(fabs(x), &e);
    return e - 1;
}

static void one_in_a_block_is_64_at_the_top_exponent(void)
{
    float x[32] = {1.0f};
    uint8_t out[3 * SL_BEAT_BYTES];
    CU_ASSERT_EQUAL_FATAL(sl_act8_beats(32), 3);
    CU_ASSERT_EQUAL_FATAL(sl_act8_pack(x, 32, 32, out), 0);
    /* e = 0 - 6, base = -6 - 21, xe = 21, q = 1 * 2^6 */
    CU_ASSERT_EQUAL(base_of(out), -27);
    CU_ASSERT_EQUAL(out[SL_BEAT_BYTES], 21);
    CU_ASSERT_EQUAL((int8_t)out[2 * SL_BEAT_BYTES], 64);
    CU_ASSERT_EQUAL(out[2 * SL_BEAT_BYTES + 1], 0);
}

static void ties_go_to_even_and_128_becomes_127(void)
{
    /* e = 6 - 6 = 0: units of 1. 127.5 would be 128. */
    float x[32] = {127.5f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127.75f};
    uint8_t out[3 * SL_BEAT_BYTES];
    static const int8_t expect[7] = {127, 0, 2, 2, 0, -2, -127};
    CU_ASSERT_EQUAL_FATAL(sl_act8_pack(x, 32, 32, out), 0);
    for (int i = 0; i < 7; i++)
        CU_ASSERT_EQUAL((int8_t)out[2 * SL_BEAT_BYTES + i], expect[i]);
}

struct form {
    int frac, xe_max, q_max;
    unsigned bytes;
    int (*pack)(const float *, uint32_t, uint32_t, uint8_t *);
    uint32_t (*beats)(uint32_t);
};
static const struct form forms[2] = {
    {6, 21, 127, 1, sl_act8_pack, sl_act8_beats},
    {14, 15, 32767, 2, sl_act16_pack, sl_act16_beats},
};

static int code_at(const struct form *f, const uint8_t *codes, uint32_t i)
{
    int16_t v;
    if (f->bytes == 1)
        return (int8_t)codes[i];
    memcpy(&v, codes + 2 * i, sizeof v);
    return v;
}

/* Largest block exponent of x. */
static int top_exponent(const struct form *f, const float *x)
{
    int top = -100000;
    for (uint32_t i = 0; i < N; i++)
        if (x[i] != 0 && log2_floor(x[i]) - f->frac > top)
            top = log2_floor(x[i]) - f->frac;
    return top;
}

static void check_vector(const struct form *f, const float *x)
{
    uint8_t out[32 * SL_BEAT_BYTES];
    memset(out, 0xAA, sizeof out);
    uint32_t n_beats = f->beats(K);
    CU_ASSERT_EQUAL_FATAL(f->pack(x, N, K, out), 0);
    CU_ASSERT_EQUAL(out[n_beats * SL_BEAT_BYTES], 0xAA);
    int base = top_exponent(f, x) - f->xe_max;
    CU_ASSERT_EQUAL(base_of(out), base);
    const uint8_t *codes = out + 2 * SL_BEAT_BYTES;
    for (uint32_t b = 0; b < K / 32; b++) {
        double m = 0;
        for (uint32_t i = 32 * b; i < 32 * b + 32 && i < N; i++)
            m = fmax(m, fabs((double)x[i]));
        int e = m > 0 ? log2_floor(m) - f->frac : base;
        int xe = e > base ? e - base : 0;
        CU_ASSERT_EQUAL(out[SL_BEAT_BYTES + b], xe);
        for (uint32_t i = 32 * b; i < 32 * b + 32; i++) {
            double v = i < N ? ldexp((double)x[i], -(base + xe)) : 0, r = nearbyint(v);
            r = fmax(-f->q_max, fmin(f->q_max, r));
            CU_ASSERT_EQUAL(code_at(f, codes, i), (int)r);
        }
    }
}

static void random_vectors_of_every_range_follow_the_definition(void)
{
    struct sl_rng rng = sl_rng_open("activation", 7);
    float x[N];
    for (int round = 0; round < 200; round++) {
        double spread = (double)sl_rng_range(&rng, 0, 30);
        double scale = ldexp(1, (int)sl_rng_range(&rng, -120, 90));
        for (uint32_t i = 0; i < N; i++)
            x[i] = (float)(sl_rng_normal(&rng) * scale *
                           exp2(-spread * (double)(i / 32) / (K / 32.0)));
        if (round % 5 == 0)
            memset(x + 64, 0, 32 * sizeof *x);
        check_vector(&forms[round % 2], x);
    }
}

static void denormals_and_the_largest_floats_are_taken(void)
{
    float x[N] = {0x1p-149f};
    check_vector(&forms[0], x);
    check_vector(&forms[1], x);
    x[5] = 3.4028234e38f;
    check_vector(&forms[0], x);
    check_vector(&forms[1], x);
}

static void zeros_have_base_zero(void)
{
    float x[32] = {0};
    uint8_t out[3 * SL_BEAT_BYTES];
    uint8_t zero[3 * SL_BEAT_BYTES] = {0};
    memset(out, 0xAA, sizeof out);
    CU_ASSERT_EQUAL(sl_act8_pack(x, 32, 32, out), 0);
    CU_ASSERT_EQUAL(memcmp(out, zero, sizeof out), 0);
}

static void nan_and_infinity_are_refused(void)
{
    static const float bad[3] = {NAN, INFINITY, -INFINITY};
    uint8_t out[4 * SL_BEAT_BYTES];
    for (int i = 0; i < 3; i++) {
        float x[64] = {1};
        x[40] = bad[i];
        CU_ASSERT_EQUAL(sl_act8_pack(x, 64, 64, out), SL_ERR_RANGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "column 32"));
        CU_ASSERT_EQUAL(sl_act16_pack(x, 64, 64, out), SL_ERR_RANGE);
        CU_ASSERT_EQUAL(sl_act_head_pack(x, 64, out), SL_ERR_RANGE);
    }
}

static void head_vectors_share_one_exponent(void)
{
    float x[80] = {0};
    uint8_t out[4 * SL_BEAT_BYTES];
    int16_t code[3];
    x[0] = -3.0f, x[1] = 1.0f, x[79] = 0x1p-20f;
    CU_ASSERT_EQUAL_FATAL(sl_act_head_beats(80), 4);
    CU_ASSERT_EQUAL_FATAL(sl_act_head_pack(x, 80, out), 0);
    CU_ASSERT_EQUAL(base_of(out), 1 - 14); /* floor(log2 3) = 1 */
    memcpy(code, out + SL_BEAT_BYTES, sizeof code);
    CU_ASSERT_EQUAL(code[0], -24576); /* -3 * 2^13 */
    CU_ASSERT_EQUAL(code[1], 8192);
    CU_ASSERT_EQUAL(code[2], 0);
}

const struct sl_suite suite_activation = {
    "activation",
    (const struct sl_case[]){
        {"one_in_a_block_is_64_at_the_top_exponent", one_in_a_block_is_64_at_the_top_exponent},
        {"ties_go_to_even_and_128_becomes_127", ties_go_to_even_and_128_becomes_127},
        {"random_vectors_of_every_range_follow_the_definition",
         random_vectors_of_every_range_follow_the_definition},
        {"denormals_and_the_largest_floats_are_taken", denormals_and_the_largest_floats_are_taken},
        {"zeros_have_base_zero", zeros_have_base_zero},
        {"nan_and_infinity_are_refused", nan_and_infinity_are_refused},
        {"head_vectors_share_one_exponent", head_vectors_share_one_exponent},
        {NULL, NULL}}};
