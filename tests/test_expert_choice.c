/* SPDX-License-Identifier: Apache-2.0 */
/* Experts that choose their tokens: the rule, against tests/make_routing.py and tests/ref. Whole
 * models are in test_routing.c. */
#include <stdlib.h>
#include <string.h>

#include "engine/routing.h"
#include "ref/ref_choice.h"
#include "routing_vectors.h"
#include "sl_core_native.h"
#include "test_main.h"

enum { Y_OFF = 0, CTL_BEATS = 256 };

static void experts_take_their_largest_shares_ties_to_the_earlier(void)
{
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const struct sl_routing routing = {SL_ROUTING_EXPERTS, choices[i].factor, 0};
        const struct sl_config config = {.n_expert = choices[i].n_expert,
                                         .n_expert_used = choices[i].top_k};
        const struct sl_routing_chunk chunk = {&routing, &config, 0, 0, choices[i].n_tokens};
        float share[3 * 40];
        uint32_t token[40];
        uint64_t mask = 0;
        for (uint32_t t = 0; t < choices[i].n_tokens; t++)
            share[3 * t] = (float)choices[i].share[t] / 256;
        const size_t n = sl_routing_choose_tokens(&chunk, share, 3, token);
        for (size_t j = 0; j < n; j++) {
            mask |= 1ull << token[j];
            CU_ASSERT(!j || token[j] > token[j - 1]);
        }
        CU_ASSERT_EQUAL(mask, choices[i].mask);
    }
}

enum { N_TAKEN = sizeof taken_by / sizeof taken_by[0] };

static struct sl_job choice_job(int i)
{
    return (struct sl_job){.op = SL_OP_ROUTER,
                           .flags = SL_FLAG_EXPERT_CHOICE | SL_FLAG_SCORES,
                           .y_off = Y_OFF,
                           .n_tokens = (uint16_t)taken_by[i].n_tokens,
                           .top_k = 1,
                           .rows = taken_by[i].n_expert,
                           .slice_count = (uint16_t)taken_by[i].capacity};
}

static void check_taken(int i, const uint8_t *table, const uint8_t *list, const uint8_t *weight)
{
    const uint32_t c = taken_by[i].capacity, n = taken_by[i].n_expert * c;
    for (uint32_t e = 0; e < taken_by[i].n_expert; e++)
        CU_ASSERT_EQUAL(ref_get32(table + 4 * e), e * c | c << 16);
    for (uint32_t j = 0; j < n; j++) {
        CU_ASSERT_EQUAL(ref_get32(list + 4 * j), taken_token[taken_by[i].first_pair + j]);
        CU_ASSERT_EQUAL(ref_get32(weight + 4 * j), taken_weight[taken_by[i].first_pair + j]);
    }
    for (uint32_t j = n; j % 16; j++) /* the rest of the last beat */
        CU_ASSERT_EQUAL(ref_get32(list + 4 * j) | ref_get32(weight + 4 * j), 0);
}

static void the_core_chooses_tokens_as_the_vectors(void)
{
    int32_t(*logits)[SL_STEP_ROUTER_ROWS] = calloc(SL_MAX_TOKENS, sizeof *logits);
    uint8_t *ctl = malloc((size_t)CTL_BEATS * SL_BEAT_BYTES);
    const uint64_t slab[64 * SL_BEAT_BYTES / 8] = {0};
    CU_ASSERT_FATAL(logits && ctl);
    for (int i = 0; i < N_TAKEN; i++) {
        struct sl_step step = {.job = choice_job(i)};
        const uint32_t n = taken_by[i].n_expert, n_tok = taken_by[i].n_tokens;
        const uint32_t table_beats = (n + 15) / 16, beats = (n * taken_by[i].capacity + 15) / 16;
        memset(ctl, 0xA5, (size_t)CTL_BEATS * SL_BEAT_BYTES);
        for (uint32_t j = 0; j < n * n_tok; j++)
            logits[j / n][j % n] = (int32_t)taken_score[taken_by[i].first_score + j];
        sl_step_choose_p1(ctl, slab, &step, logits);
        CU_ASSERT_EQUAL(step.record.overflows, 0);
        for (uint32_t j = 0; j < n_tok * SL_BEAT_BYTES; j++) /* entries without a choice */
            CU_ASSERT_EQUAL(ctl[j], j % SL_BEAT_BYTES < SL_AT_route_weight0 ? 0xFF : 0);
        const uint8_t *table = ctl + n_tok * SL_BEAT_BYTES;
        const uint8_t *list = table + table_beats * SL_BEAT_BYTES;
        const uint8_t *scores = list + 2 * beats * SL_BEAT_BYTES;
        check_taken(i, table, list, list + beats * SL_BEAT_BYTES);
        for (uint32_t j = 0; j < n * n_tok; j++)
            CU_ASSERT_EQUAL(
                (int32_t)ref_get32(scores + j / n * table_beats * SL_BEAT_BYTES + 4 * (j % n)),
                taken_score[taken_by[i].first_score + j]);
    }
    free(logits);
    free(ctl);
}

/* As many pairs as there can be, and as many with equal shares as there are ties. */
static void the_longest_lists_are_those_of_the_reference(void)
{
    enum { E = SL_MAX_N_EXPERT, T = SL_MAX_TOKENS, LIST = 4 * E * T, TABLE = 4 * E };
    struct sl_rng rng = sl_rng_open("the_longest_lists_are_those_of_the_reference", 5);
    int32_t(*logits)[SL_STEP_ROUTER_ROWS] = calloc(T, sizeof *logits);
    uint8_t *ctl = calloc(1, T * SL_BEAT_BYTES + TABLE + 2 * LIST);
    uint8_t *want = calloc(1, TABLE + 2 * LIST);
    struct ref_choice *choice = calloc(1, sizeof *choice);
    const uint64_t slab[64 * SL_BEAT_BYTES / 8] = {0};
    CU_ASSERT_FATAL(logits && ctl && want && choice);
    for (uint16_t c = T / 2; c <= T; c += T / 2) {
        struct sl_step step = {.job = {.op = SL_OP_ROUTER,
                                       .flags = SL_FLAG_EXPERT_CHOICE,
                                       .n_tokens = T,
                                       .top_k = 1,
                                       .rows = E,
                                       .slice_count = c}};
        for (unsigned t = 0; t < T; t++) {
            for (unsigned e = 0; e < E; e++)
                logits[t][e] = (int32_t)sl_rng_range(&rng, 0, 2) << 16;
            ref_choice_token(choice, &step.job, t, logits[t]);
        }
        ref_choice_put(choice, &step.job, want, want + TABLE, want + TABLE + 4 * E * c);
        sl_step_choose_p1(ctl, slab, &step, logits);
        CU_ASSERT(!memcmp(ctl + T * SL_BEAT_BYTES, want, (size_t)TABLE + 8 * E * c));
    }
    free(logits);
    free(ctl);
    free(want);
    free(choice);
}

static void the_reference_chooses_tokens_as_the_vectors(void)
{
    struct ref_choice *c = calloc(1, sizeof *c);
    uint8_t out[3][4 * SL_MAX_TOKENS * SL_MAX_TOPK];
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    for (int i = 0; i < N_TAKEN; i++) {
        const struct sl_job job = choice_job(i);
        memset(out, 0, sizeof out);
        for (unsigned t = 0; t < job.n_tokens; t++) {
            int32_t score[SL_MAX_N_EXPERT];
            for (unsigned e = 0; e < job.rows; e++)
                score[e] = (int32_t)taken_score[taken_by[i].first_score + t * job.rows + e];
            ref_choice_token(c, &job, t, score);
        }
        ref_choice_put(c, &job, out[0], out[1], out[2]);
        check_taken(i, out[0], out[1], out[2]);
    }
    free(c);
}

static const struct sl_case cases[] = {
    {"experts_take_their_largest_shares_ties_to_the_earlier",
     experts_take_their_largest_shares_ties_to_the_earlier},
    {"the_reference_chooses_tokens_as_the_vectors", the_reference_chooses_tokens_as_the_vectors},
    {"the_core_chooses_tokens_as_the_vectors", the_core_chooses_tokens_as_the_vectors},
    {"the_longest_lists_are_those_of_the_reference", the_longest_lists_are_those_of_the_reference},
    {NULL, NULL},
};
const struct sl_suite suite_expert_choice = {"expert_choice", cases};
