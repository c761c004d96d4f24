/* SPDX-License-Identifier: Apache-2.0 */
/* Variants without published vectors against an independent float64 pass (make_variants.py): CLA
 * factor 3, biases, no QK-norm, all rope kinds and tables, shards, fused tensors, odd head sizes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_read.h"
#include "sluice.h"
#include "test_main.h"

enum { MAX_TOKENS = 300 };

struct rig {
    char path[400];
    struct golden g;
    const int32_t *ids;
    size_t n;
    uint32_t n_vocab;
};

static void rig_open(struct rig *r, const char *name)
{
    struct sl_model_info info;
    snprintf(r->path, sizeof r->path, "%s/%s", sl_golden_dir(), name);
    golden_open(&r->g, name);
    r->ids = golden_i32(&r->g, "input_ids", &r->n);
    CU_ASSERT_FATAL(r->ids && r->n <= MAX_TOKENS);
    CU_ASSERT_EQUAL_FATAL(sl_config_info(r->path, &info), 0);
    r->n_vocab = info.n_vocab;
}

/* All logits, malloc()ed; fed in two calls, so that the second starts in the middle of things. */
static float *run(const struct rig *r, const struct sl_model_params *mp,
                  const struct sl_session_params *sp, size_t first)
{
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    float *logits = malloc(r->n * r->n_vocab * sizeof *logits);
    int err = sl_model_open(&model, mp);
    if (err)
        printf("[%s: %s] ", r->path, sl_error_message());
    CU_ASSERT_FATAL(logits && !err);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, sp), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, r->ids, first, true, logits), 0);
    CU_ASSERT_EQUAL(
        sl_session_eval(session, r->ids + first, r->n - first, true, logits + first * r->n_vocab),
        0);
    sl_session_close(&session);
    sl_model_close(&model);
    return logits;
}

static void compare(const struct rig *r, const float *logits)
{
    size_t n_row, n_logit;
    const int32_t *row = golden_i32(&r->g, "rows", &n_row);
    const float *want = golden_f32(&r->g, "logits", &n_logit);
    double worst = 0;
    CU_ASSERT_FATAL(row && want && n_row >= 8 && n_logit == n_row * r->n_vocab);
    for (size_t i = 0; i < n_logit; i++) {
        size_t t = (size_t)row[i / r->n_vocab];
        double got = logits[t * r->n_vocab + i % r->n_vocab];
        double excess = fabs(got - want[i]) / (1e-4 + 1e-4 * fabs((double)want[i]));
        worst = !(excess <= worst) ? excess : worst;
    }
    if (!(worst <= 1))
        printf("[%.3g of the tolerance] ", worst);
    CU_ASSERT(worst <= 1);
}

static void check_exact(const char *name)
{
    struct rig r;
    rig_open(&r, name);
    struct sl_model_params mp = {.path = r.path, .exact = true, .n_threads = 2};
    struct sl_session_params one = {.n_ctx = 512}, many = {.n_ctx = 512, .n_batch = 9};
    float *a = run(&r, &mp, &one, 1), *b = run(&r, &mp, &many, 65);
    compare(&r, a);
    CU_ASSERT_EQUAL(memcmp(a, b, r.n * r.n_vocab * sizeof *a), 0);
    free(a);
    free(b);
    golden_close(&r.g);
}

/* On the fabric: finite, and the same bits however it is fed and wherever K and V are packed. */
static void check_fabric(const char *name)
{
    struct rig r;
    rig_open(&r, name);
    struct sl_model_params mp = {.path = r.path, .format = "nf4", .n_threads = 2};
    struct sl_session_params one = {.n_ctx = 512, .cache_type_v = "int4"}, many = one;
    many.n_batch = 5;
    many.kv_on_fabric = true;
    float *a = run(&r, &mp, &one, 1), *b = run(&r, &mp, &many, 64), sum = 0;
    for (size_t i = 0; i < r.n * r.n_vocab; i++)
        sum += fabsf(a[i]);
    CU_ASSERT(isfinite(sum) && sum > 0);
    CU_ASSERT_EQUAL(memcmp(a, b, r.n * r.n_vocab * sizeof *a), 0);
    free(a);
    free(b);
    golden_close(&r.g);
}

#define EXACT(tag, name)                                                                           \
    static void tag##_exact(void)                                                                  \
    {                                                                                              \
        check_exact(name);                                                                         \
    }
#define BOTH(tag, name)                                                                            \
    EXACT(tag, name)                                                                               \
    static void tag##_fabric(void)                                                                 \
    {                                                                                              \
        check_fabric(name);                                                                        \
    }

BOTH(cla3, "variants/cla3-top2-shared2")
EXACT(biases, "variants/biases-plain-rope")
BOTH(a13b_mha, "variants/a13b-mha-head16")
BOTH(linear, "variants/linear-rope")
BOTH(shards, "variants/bf16-shards-untied")
BOTH(fused, "variants/fused-biases")
BOTH(head80, "variants/head80")
BOTH(head96, "variants/head96-theta")
BOTH(yuan_base, "variants/yuan-bf16freq-base")
BOTH(yuan_authors, "variants/yuan-authors-full-rotary")
BOTH(yuan_quarter, "variants/yuan-quarter-rotary-top3")
BOTH(yuan_top1, "variants/yuan-top1")
BOTH(torch_shards, "torch/shards")
BOTH(torch_single, "torch/single")

/* Expert biases have no place in a job: such a model runs exact only, and says so. */
static void expert_biases_are_refused_on_the_fabric(void)
{
    struct rig r;
    struct sl_model *model = NULL;
    rig_open(&r, "variants/biases-plain-rope");
    struct sl_model_params mp = {.path = r.path};
    CU_ASSERT_EQUAL(sl_model_open(&model, &mp), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NULL(model);
    golden_close(&r.g);
}

#define EXACT_CASE(tag, title)                                                                     \
    {                                                                                              \
        title "_equals_float64", tag##_exact                                                       \
    }
#define BOTH_CASES(tag, title)                                                                     \
    EXACT_CASE(tag, title),                                                                        \
    {                                                                                              \
        title "_on_the_fabric_does_not_depend_on_chunks", tag##_fabric                             \
    }

static const struct sl_case cases[] = {
    BOTH_CASES(cla3, "cla_factor_3_top_2_two_shared_experts"),
    EXACT_CASE(biases, "biases_no_qk_norm_plain_rope_no_shared_untied"),
    BOTH_CASES(a13b_mha, "a13b_f16_all_heads_own_kv_top_3"),
    BOTH_CASES(linear, "linear_rope_odd_widths"),
    BOTH_CASES(shards, "bf16_shards_untied_head"),
    BOTH_CASES(fused, "fused_qkv_and_gate_up_with_biases"),
    BOTH_CASES(head80, "head_size_80"),
    BOTH_CASES(head96, "head_size_96_three_heads"),
    BOTH_CASES(yuan_base, "yuan_rounded_frequencies_base_40890"),
    BOTH_CASES(yuan_authors, "yuan_authors_tables_full_rotary"),
    BOTH_CASES(yuan_quarter, "yuan_quarter_rotary_top_3"),
    BOTH_CASES(yuan_top1, "yuan_top_1_unused_head_in_file"),
    BOTH_CASES(torch_shards, "three_files_of_torch_save"),
    BOTH_CASES(torch_single, "one_file_of_torch_save_with_tied_and_shared_storages"),
    {"expert_biases_are_refused_on_the_fabric", expert_biases_are_refused_on_the_fabric},
    {NULL, NULL}};

const struct sl_suite suite_variants = {"variants", cases};
