/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary tables of all variants: against the reference's tables, closed forms, and bf16 rounding
 * written out here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rope.h"
#include "golden_read.h"
#include "test_main.h"

/* To nearest even with 8 significant bits, by arithmetic. x > 0 and normal. */
static double to_bf16(double x)
{
    int e;
    double m = frexp(x, &e);
    return ldexp(nearbyint(m * 256), e - 8);
}

static struct sl_config config_of(uint32_t n_rot, float theta)
{
    return (struct sl_config){.n_rot = n_rot, .rope_theta = theta, .rope_factor = 1};
}

static void compare_with_golden(const char *dir, struct sl_config c)
{
    struct golden g;
    struct sl_rope rope;
    size_t half, n_cos, n_sin;
    float cos_tab[64], sin_tab[64];
    golden_open(&g, dir);
    const float *freq = golden_f32(&g, "rope_inv_freq", &half);
    const float *want_cos = golden_f32(&g, "rope_cos", &n_cos);
    const float *want_sin = golden_f32(&g, "rope_sin", &n_sin);
    CU_ASSERT_FATAL(freq && want_cos && want_sin && half == c.n_rot / 2 && n_cos == n_sin);
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &c), 0);
    for (size_t i = 0; i < half; i++)
        CU_ASSERT_DOUBLE_EQUAL(rope.inv_freq[i], freq[i], 2e-7 * freq[i]);
    for (uint32_t t = 0; t < n_cos / half; t++) {
        sl_rope_angles(&rope, t, cos_tab, sin_tab);
        for (size_t i = 0; i < half; i++) {
            CU_ASSERT_DOUBLE_EQUAL(cos_tab[i], want_cos[t * half + i], 3e-6);
            CU_ASSERT_DOUBLE_EQUAL(sin_tab[i], want_sin[t * half + i], 3e-6);
        }
    }
    sl_rope_close(&rope);
    golden_close(&g);
}

static void tables_equal_the_references(void)
{
    struct sl_config hunyuan = config_of(8, 10000);
    hunyuan.rope = SL_ROPE_NTK_ALPHA;
    hunyuan.rope_alpha = 1000;
    compare_with_golden("hunyuan-large-cla2", hunyuan);
    compare_with_golden("hunyuan-large-fp8-dequant", hunyuan);
    compare_with_golden("hunyuan-v1-moe-a13b", hunyuan);
    compare_with_golden("yuan2-m32-base", config_of(16, 10000));
}

/* The published bases of both Hunyuan-Large releases. */
static void alpha_gives_the_published_base(void)
{
    static const struct {
        float alpha;
        double base;
    } release[] = {{1000, 1.19377664e7}, {100000, 1.343399e9}};
    for (int i = 0; i < 2; i++) {
        struct sl_config c = config_of(80, 10000);
        struct sl_rope rope;
        c.rope = SL_ROPE_NTK_ALPHA;
        c.rope_alpha = release[i].alpha;
        CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &c), 0);
        double base = pow(rope.inv_freq[20], -2); /* exponent 40 / 80 */
        CU_ASSERT_DOUBLE_EQUAL(base / release[i].base, 1, 1e-6);
        CU_ASSERT_EQUAL(rope.inv_freq[0], 1.0f);
        sl_rope_close(&rope);
    }
}

static void bf16_frequencies_are_rounded_and_angles_are_not(void)
{
    struct sl_config c = config_of(128, 40890);
    struct sl_rope rope;
    float cos_tab[64], sin_tab[64];
    c.rope_table = SL_ROPE_TABLE_BF16_FREQ;
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &c), 0);
    sl_rope_angles(&rope, 777, cos_tab, sin_tab);
    for (int i = 0; i < 64; i++) {
        double freq = to_bf16((double)(float)pow(40890, -2.0 * i / 128));
        CU_ASSERT_EQUAL(rope.inv_freq[i], (float)freq);
        CU_ASSERT_DOUBLE_EQUAL(cos_tab[i], cos((double)(float)(777 * freq)), 1e-7);
    }
    sl_rope_close(&rope);
}

static void authors_tables_round_positions_angles_and_results(void)
{
    struct sl_config c = config_of(128, 10000);
    struct sl_rope rope;
    float cos_tab[64], sin_tab[64];
    c.rope_table = SL_ROPE_TABLE_BF16_ALL;
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &c), 0);
    static const uint32_t pos[] = {0, 1, 255, 256, 257, 259, 1000, 4095};
    for (size_t p = 0; p < sizeof pos / sizeof *pos; p++) {
        sl_rope_angles(&rope, pos[p], cos_tab, sin_tab);
        for (int i = 0; i < 64; i++) {
            double freq = to_bf16((double)(float)pow(10000, -2.0 * i / 128));
            double angle = pos[p] ? to_bf16(to_bf16(pos[p]) * freq) : 0, s = sin(angle);
            CU_ASSERT_EQUAL(fabsf(cos_tab[i]), (float)to_bf16(fabs(cos(angle))));
            CU_ASSERT_EQUAL(fabsf(sin_tab[i]), s == 0 ? 0.0f : (float)to_bf16(fabs(s)));
        }
    }
    sl_rope_close(&rope);
}

static void linear_scaling_divides_positions(void)
{
    struct sl_config c = config_of(64, 10000), plain = c;
    struct sl_rope linear, rope;
    float a[32], b[32], x[32], y[32];
    c.rope = SL_ROPE_LINEAR;
    c.rope_factor = 4;
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&linear, &c), 0);
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &plain), 0);
    for (uint32_t pos = 0; pos < 50; pos++) {
        sl_rope_angles(&linear, 4 * pos, a, b);
        sl_rope_angles(&rope, pos, x, y);
        CU_ASSERT(!memcmp(a, x, sizeof a) && !memcmp(b, y, sizeof b));
    }
    sl_rope_close(&linear);
    sl_rope_close(&rope);
}

static void rotation_pairs_halves_and_leaves_the_rest_alone(void)
{
    struct sl_config c = config_of(8, 100);
    struct sl_rope rope;
    struct sl_rng rng = sl_rng_open("rope", 3);
    float head[12], was[12], cos_tab[4], sin_tab[4];
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &c), 0);
    for (int i = 0; i < 12; i++)
        was[i] = head[i] = (float)sl_rng_normal(&rng);
    sl_rope_angles(&rope, 5, cos_tab, sin_tab);
    sl_rope_apply(&rope, cos_tab, sin_tab, head);
    for (int i = 0; i < 4; i++) {
        double angle = 5 * pow(100, -2.0 * i / 8);
        CU_ASSERT_DOUBLE_EQUAL(head[i], was[i] * cos(angle) - was[i + 4] * sin(angle), 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(head[i + 4], was[i + 4] * cos(angle) + was[i] * sin(angle), 1e-6);
        CU_ASSERT_EQUAL(head[8 + i], was[8 + i]);
    }
    sl_rope_close(&rope);
}

/* At the end of a context of 131,072 the rotation is still that of the written angle, reduced here
 * turn by turn in long double; neighbours differ by their distance alone. */
static void far_positions_are_as_accurate_as_near_ones(void)
{
    static const uint32_t pos[] = {4095, 65536, 131070, 131071};
    struct sl_config c = config_of(128, 10000);
    struct sl_rope rope;
    float cos_tab[2][64], sin_tab[2][64];
    const long double turn = 2 * acosl(-1.0L);
    CU_ASSERT_EQUAL_FATAL(sl_rope_open(&rope, &c), 0);
    for (size_t p = 0; p < sizeof pos / sizeof *pos; p++) {
        sl_rope_angles(&rope, pos[p], cos_tab[0], sin_tab[0]);
        sl_rope_angles(&rope, pos[p] - 100, cos_tab[1], sin_tab[1]);
        for (int i = 0; i < 64; i++) {
            long double freq = powl(10000, -2.0L * i / 128), angle = pos[p] * freq;
            angle -= turn * floorl(angle / turn);
            CU_ASSERT_DOUBLE_EQUAL(cos_tab[0][i], (double)cosl(angle), 1e-7);
            CU_ASSERT_DOUBLE_EQUAL(sin_tab[0][i], (double)sinl(angle), 1e-7);
            double apart =
                (double)cos_tab[0][i] * cos_tab[1][i] + (double)sin_tab[0][i] * sin_tab[1][i];
            CU_ASSERT_DOUBLE_EQUAL(apart, (double)cosl(100 * freq), 3e-7);
        }
    }
    sl_rope_close(&rope);
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {CASE(tables_equal_the_references),
                                       CASE(alpha_gives_the_published_base),
                                       CASE(bf16_frequencies_are_rounded_and_angles_are_not),
                                       CASE(authors_tables_round_positions_angles_and_results),
                                       CASE(linear_scaling_divides_positions),
                                       CASE(far_positions_are_as_accurate_as_near_ones),
                                       CASE(rotation_pairs_halves_and_leaves_the_rest_alone),
                                       {NULL, NULL}};

const struct sl_suite suite_rope = {"rope", cases};
