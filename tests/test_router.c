/* SPDX-License-Identifier: Apache-2.0 */
/* The fp32 router's choices: order, ties, weights; the attention router against binary64. */
#include <math.h>
#include <string.h>

#include "engine/router.h"
#include "test_main.h"

static struct sl_config config_of(uint32_t n_expert, uint32_t n_used, bool renorm)
{
    return (struct sl_config){
        .n_expert = n_expert, .n_expert_used = n_used, .router_renorm = renorm};
}

static void equal_scores_go_to_the_lowest_index(void)
{
    static const float flat[6] = {2, 2, 2, 2, 2, 2}, pairs[6] = {1, 5, 3, 5, 3, 5};
    struct sl_config c = config_of(6, 4, true);
    struct sl_route r;
    sl_router_choose(&c, flat, &r);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(r.expert[i], i);
        CU_ASSERT_EQUAL(r.weight[i], 0.25f);
    }
    sl_router_choose(&c, pairs, &r);
    CU_ASSERT_EQUAL(r.expert[0], 1);
    CU_ASSERT_EQUAL(r.expert[1], 3);
    CU_ASSERT_EQUAL(r.expert[2], 5);
    CU_ASSERT_EQUAL(r.expert[3], 2);
}

static void top_1_keeps_its_probability_and_top_k_sums_to_one(void)
{
    static const float s[4] = {0, 3, -1, 1};
    double all = 1 + exp(3) + exp(-1) + exp(1), two = exp(3) + exp(1);
    struct sl_config one = config_of(4, 1, false), k = config_of(4, 2, true);
    struct sl_config plain = config_of(4, 2, false);
    struct sl_route r;
    sl_router_choose(&one, s, &r);
    CU_ASSERT_EQUAL(r.expert[0], 1);
    CU_ASSERT_DOUBLE_EQUAL(r.weight[0], exp(3) / all, 1e-6);
    sl_router_choose(&k, s, &r);
    CU_ASSERT(r.expert[0] == 1 && r.expert[1] == 3);
    CU_ASSERT_DOUBLE_EQUAL(r.weight[0], exp(3) / two, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(r.weight[1], exp(1) / two, 1e-6);
    sl_router_choose(&plain, s, &r);
    CU_ASSERT_DOUBLE_EQUAL(r.weight[1], exp(1) / all, 1e-6);
}

static void every_number_of_experts_up_to_the_limit_is_ordered(void)
{
    struct sl_rng rng = sl_rng_open("router", 41);
    for (uint32_t n = 1; n <= SL_MAX_EXPERT; n += n < 20 ? 1 : 59) {
        struct sl_config c = config_of(n, n < SL_MAX_EXPERT_USED ? n : SL_MAX_EXPERT_USED, true);
        float s[SL_MAX_EXPERT];
        struct sl_route r;
        double sum = 0;
        for (uint32_t e = 0; e < n; e++)
            s[e] = (float)sl_rng_range(&rng, -9, 9); /* many ties */
        sl_router_choose(&c, s, &r);
        for (uint32_t i = 0; i < c.n_expert_used; i++) {
            uint32_t before = 0; /* experts that must come first */
            for (uint32_t e = 0; e < n; e++)
                before += s[e] > s[r.expert[i]] || (s[e] == s[r.expert[i]] && e < r.expert[i]);
            CU_ASSERT_EQUAL(before, i);
            sum += r.weight[i];
        }
        CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-6);
    }
}

static void attention_router_equals_binary64(void)
{
    struct sl_rng rng = sl_rng_open("router", 42);
    for (int round = 0; round < 50; round++) {
        float q[32], k[32], v[32], s[32];
        double spread = round % 5 * 3;
        for (int i = 0; i < 32; i++) {
            q[i] = (float)(spread * sl_rng_normal(&rng));
            k[i] = (float)(spread * sl_rng_normal(&rng));
            v[i] = (float)sl_rng_normal(&rng);
        }
        sl_router_attend(q, k, v, 32, s);
        for (int i = 0; i < 32; i++) {
            double max = -INFINITY, sum = 0, want = 0;
            for (int j = 0; j < 32; j++)
                max = fmax(max, (double)q[i] * k[j]);
            for (int j = 0; j < 32; j++) {
                double p = exp((double)q[i] * k[j] - max);
                sum += p;
                want += p * v[j];
            }
            CU_ASSERT_DOUBLE_EQUAL(s[i], want / sum, 2e-4);
        }
    }
}

/* A large |q| picks one v exactly: several experts then get the same bits. */
static void saturated_attention_gives_exact_ties(void)
{
    static const float q[4] = {1e4f, 2e4f, -3e4f, 5e4f}, k[4] = {0.1f, 0.9f, -0.5f, 0.3f};
    static const float v[4] = {1, 7, 5, 3};
    struct sl_config c = config_of(4, 2, true);
    struct sl_route r;
    float s[4];
    sl_router_attend(q, k, v, 4, s);
    CU_ASSERT(s[0] == 7 && s[1] == 7 && s[2] == 5 && s[3] == 7);
    sl_router_choose(&c, s, &r);
    CU_ASSERT(r.expert[0] == 0 && r.expert[1] == 1);
    CU_ASSERT_EQUAL(r.weight[0], 0.5f);
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {CASE(equal_scores_go_to_the_lowest_index),
                                       CASE(top_1_keeps_its_probability_and_top_k_sums_to_one),
                                       CASE(every_number_of_experts_up_to_the_limit_is_ordered),
                                       CASE(attention_router_equals_binary64),
                                       CASE(saturated_attention_gives_exact_ties),
                                       {NULL, NULL}};

const struct sl_suite suite_router = {"router", cases};
