/* SPDX-License-Identifier: Apache-2.0 */
/* Variants without published vectors against an independent float64 pass (make_variants.py): CLA
 * factor 3, biases, no QK-norm, all rope kinds and tables, shards, fused tensors, odd head sizes.
 */
#include "test_main.h"
#include "variant_rig.h"

#define EXACT(tag, name)                                                                           \
    static void tag##_exact(void)                                                                  \
    {                                                                                              \
        variant_check_exact(name);                                                                 \
    }
#define BOTH(tag, name)                                                                            \
    EXACT(tag, name)                                                                               \
    static void tag##_fabric(void)                                                                 \
    {                                                                                              \
        variant_check_fabric(name, "nf4");                                                         \
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
    struct variant_rig r;
    struct sl_model *model = NULL;
    variant_open(&r, "variants/biases-plain-rope");
    struct sl_model_params mp = {.path = r.path};
    CU_ASSERT_EQUAL(sl_model_open(&model, &mp), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NULL(model);
    variant_close(&r);
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
