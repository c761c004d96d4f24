/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: the released models' facts (published tables and the byte counts of their index
 * files), every switch, and hostile text. Run from the repository's root. */
#include "test_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_rig.h"

static const char large[] = "tests/configs/hunyuan-large-instruct.json";
static const char a13b[] = "tests/configs/hunyuan-a13b.json";
static const char yuan[] = "tests/configs/yuan2-m32.json";

/* ---- released models ------------------------------------------------------------------------ */

static void hunyuan_large_has_its_published_sizes(void)
{
    struct sl_model_info m;
    CU_ASSERT_EQUAL_FATAL(sl_config_info(large, &m), 0);
    CU_ASSERT_STRING_EQUAL(m.architecture, "hunyuan-large");
    CU_ASSERT_EQUAL(m.head_dim, 80);
    CU_ASSERT_EQUAL(m.cla_factor, 2);
    CU_ASSERT_EQUAL((m.n_param + 5000000) / 10000000, 38870);       /* 388.70 billion */
    CU_ASSERT_EQUAL((m.n_param_active + 5000000) / 10000000, 5132); /* 51.32 billion */
    CU_ASSERT_EQUAL(m.kv_bytes_mha_bf16, 1638400);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 81920);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16 * 20, m.kv_bytes_mha_bf16); /* 5 % */
    CU_ASSERT_EQUAL(m.kv_bytes_int8, 41984);
    CU_ASSERT_EQUAL(m.kv_bytes_int4, 25088);
    CU_ASSERT_EQUAL(m.lfa_state_bytes, 0);
}

/* total_size of the FP8 release's index: F8 linears with two F32 scalars each, F32 routers, the
 * rest BF16. The non-F8 parts are few enough to be added up here. */
static void hunyuan_large_parameters_match_the_index_of_its_fp8_release(void)
{
    struct sl_model_info m;
    uint64_t router = 64ull * 16 * 6400, n_linear = 64 * (2 + 17 * 3) + 32 * 2;
    uint64_t embed = 129024ull * 6400, norms = 64ull * (2 * 6400 + 2 * 80) + 6400;
    CU_ASSERT_EQUAL_FATAL(sl_config_info(large, &m), 0);
    uint64_t f8 = m.n_param - router - embed - norms;
    CU_ASSERT_EQUAL(n_linear, 3456);
    CU_ASSERT_EQUAL(f8 + 8 * n_linear + 4 * router + 2 * (embed + norms), 389547683328ull);
}

static void yuan_parameters_match_the_index_of_its_release(void)
{
    struct sl_model_info m;
    CU_ASSERT_EQUAL_FATAL(sl_config_info(yuan, &m), 0);
    CU_ASSERT_STRING_EQUAL(m.architecture, "yuan2-m32");
    CU_ASSERT_EQUAL(m.n_param * 2, 79885684736ull);                 /* BF16, the tied matrix once */
    CU_ASSERT_EQUAL((m.n_param + 5000000) / 10000000, 3994);        /* 39.94 billion */
    CU_ASSERT_EQUAL((m.n_param_active + 50000000) / 100000000, 37); /* 3.7 billion */
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 393216);
    CU_ASSERT_EQUAL(m.kv_bytes_mha_bf16, 393216);
    CU_ASSERT_EQUAL(m.kv_bytes_int8, 2ull * 24 * 16 * (256 + 2));
    CU_ASSERT_EQUAL(m.kv_bytes_int4, 2ull * 24 * 16 * (128 + 8 * 3));
    CU_ASSERT_EQUAL(m.lfa_state_bytes, 24ull * 3072 * 4);
}

static void a13b_has_its_published_shape(void)
{
    struct sl_config c;
    struct sl_model_info m;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, a13b), 0);
    sl_config_get_info(&c, &m);
    CU_ASSERT_STRING_EQUAL(m.architecture, "hunyuan-a13b");
    CU_ASSERT_EQUAL(c.head_dim, 128);
    CU_ASSERT_EQUAL(c.n_expert_used, 8);
    CU_ASSERT_TRUE(c.router_renorm);
    CU_ASSERT_EQUAL(c.cla_factor, 1);
    CU_ASSERT_EQUAL(c.d_ff_shared, 3072);
    CU_ASSERT_EQUAL(m.n_param / 1000000000, 80);
    CU_ASSERT_EQUAL((m.n_param_active + 500000000) / 1000000000, 13);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 4ull * 32 * 8 * 128);
}

/* Releases name it either way; the newer name implies what the older has keys for. */
static void a13b_is_the_same_under_both_model_types(void)
{
    struct sl_config a, b;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&a, a13b), 0);
    CU_ASSERT_EQUAL_FATAL(config_parse_with(&b, a13b, "model_type", "\"hunyuan_v1_moe\""), 0);
    CU_ASSERT_TRUE(a.qk_norm && b.qk_norm && !a.qk_norm_first && !b.qk_norm_first);
    CU_ASSERT_TRUE(a.n_expert == b.n_expert && a.n_expert_used == b.n_expert_used);
    CU_ASSERT_TRUE(a.d_ff == b.d_ff && a.d_ff_shared == b.d_ff_shared && a.tied == b.tied);
    CU_ASSERT_TRUE(a.rope == b.rope && a.rope_alpha == b.rope_alpha);
    CU_ASSERT_TRUE(a.head_dim == b.head_dim && a.cla_factor == b.cla_factor);
    CU_ASSERT_EQUAL(config_parse_with(&b, a13b, "model_type", "\"hunyuan_v1_dense\""),
                    SL_ERR_UNSUPPORTED);
}

static void hunyuan_large_is_read_as_published(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, large), 0);
    CU_ASSERT_EQUAL(c.family, SL_FAMILY_HUNYUAN);
    CU_ASSERT_EQUAL(c.router, SL_ROUTER_SOFTMAX);
    CU_ASSERT_FALSE(c.router_renorm);
    CU_ASSERT_TRUE(c.tied && c.qk_norm && !c.attention_bias && !c.mlp_bias && !c.has_lfa);
    CU_ASSERT_EQUAL(c.rope, SL_ROPE_NTK_ALPHA);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_F32);
    CU_ASSERT_EQUAL(c.rope_alpha, 1000.0f);
    CU_ASSERT_EQUAL(c.n_rot, 80);
    CU_ASSERT_EQUAL(c.n_ctx_train, 131072);
    CU_ASSERT_EQUAL(c.norm_eps, 1e-5f);
    CU_ASSERT_EQUAL(sl_config_kv_owner(&c, 63), 62);
    CU_ASSERT_EQUAL(sl_config_n_kv_layer(&c), 32);
}

static void yuan_is_read_as_published(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, yuan), 0);
    CU_ASSERT_EQUAL(c.family, SL_FAMILY_YUAN);
    CU_ASSERT_EQUAL(c.router, SL_ROUTER_ATTENTION);
    CU_ASSERT_TRUE(c.router_renorm && c.has_lfa && c.tied && !c.qk_norm);
    CU_ASSERT_EQUAL(c.d_attn, 4096);
    CU_ASSERT_EQUAL(c.head_dim, 256);
    CU_ASSERT_EQUAL(c.n_rot, 128);
    CU_ASSERT_EQUAL(c.n_kv_head, 16);
    CU_ASSERT_EQUAL(c.d_ff, 8192);
    CU_ASSERT_EQUAL(c.d_ff_shared, 0);
    CU_ASSERT_EQUAL(c.rope_theta, 10000.0f);
    CU_ASSERT_EQUAL(c.norm_eps, 1e-6f);
}

static void golden_configs_are_read(void)
{
    static const char *const names[] = {"hunyuan-large-cla2", "hunyuan-large-fp8-dequant",
                                        "hunyuan-v1-moe-a13b", "yuan2-m32-base"};
    for (size_t i = 0; i < 4; i++) {
        char path[512];
        struct sl_config c;
        snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), names[i]);
        CU_ASSERT_EQUAL(sl_config_load(&c, path), 0);
    }
}

/* ---- switches ------------------------------------------------------------------------------- */

static void cla_factors_are_taken_as_they_are(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "cla_share_factor", "3"), 0);
    CU_ASSERT_EQUAL(c.cla_factor, 3);
    CU_ASSERT_EQUAL(sl_config_n_kv_layer(&c), 22); /* owners 0, 3, ... 63 */
    CU_ASSERT_EQUAL(sl_config_kv_owner(&c, 62), 60);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "use_cla", "false"), 0);
    CU_ASSERT_EQUAL(c.cla_factor, 1);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "cla_share_factor", NULL), 0);
    CU_ASSERT_EQUAL(c.cla_factor, 1);
}

static void several_experts_share_a_weight_of_one(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "moe_topk", "2"), 0);
    CU_ASSERT_TRUE(c.router_renorm);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "moe_topk", "8"), 0);
    CU_ASSERT_EQUAL(c.n_expert_used, 8);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "moe_config.norm_topk_prob", "false"), 0);
    CU_ASSERT_FALSE(c.router_renorm);
}

static void shared_experts_follow_their_switch_and_number(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "use_mixed_mlp_moe", "false"), 0);
    CU_ASSERT_TRUE(c.d_ff_shared == 0 && c.n_shared_expert == 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "use_mixed_mlp_moe", NULL), 0);
    CU_ASSERT_EQUAL(c.d_ff_shared, 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "num_shared_expert", "2"), 0);
    CU_ASSERT_TRUE(c.d_ff_shared == 36608 && c.n_shared_expert == 2);
    /* Routed experts of another width: the shared MLP keeps intermediate_size. */
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "moe_intermediate_size", "64"), 0);
    CU_ASSERT_TRUE(c.d_ff == 64 && c.d_ff_shared == 18304);
}

static void rope_variants_are_told_apart(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "rope_scaling", "null"), 0);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_PLAIN && c.rope_table == SL_ROPE_TABLE_BF16_FREQ);
    CU_ASSERT_EQUAL(config_parse_with(&c, a13b, "rope_scaling", "null"), 0);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_PLAIN && c.rope_table == SL_ROPE_TABLE_F32);
    CU_ASSERT_EQUAL(
        config_parse_with(&c, a13b, "rope_scaling", "{\"type\":\"linear\",\"factor\":4}"), 0);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_LINEAR && c.rope_factor == 4.0f);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "rope_scaling.alpha", "100000.0"), 0);
    CU_ASSERT_EQUAL(c.rope_alpha, 100000.0f);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "rope_scaling.alpha", "0"), SL_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "rope_scaling.alpha", NULL), SL_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "rope_scaling.type", "\"yarn\""),
                    SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "yarn"));
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "rope_scaling", "\"dynamic\""), SL_ERR_FORMAT);
}

static void yuan_rope_follows_its_two_keys(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rotary_base", "40890"), 0);
    CU_ASSERT_EQUAL(c.rope_theta, 40890.0f);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rope_table_variant", "\"fp32\""), 0);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_F32);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rope_table_variant", "\"bf16freq\""), 0);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_BF16_FREQ);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rope_table_variant", "\"authors\""), 0);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_BF16_ALL);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rope_table_variant", "\"fp64\""), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rope_theta", "10000"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "rope_theta", "20000"), SL_ERR_UNSUPPORTED);
}

static void yuan_without_a_projection_size_rotates_whole_heads(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "attention_projection_size", NULL), 0);
    CU_ASSERT_TRUE(c.head_dim == 128 && c.n_rot == 128 && c.d_attn == 2048);
}

static void flags_and_head_sizes_are_taken(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "attention_bias", "true"), 0);
    CU_ASSERT_TRUE(c.attention_bias);
    CU_ASSERT_EQUAL(config_parse_with(&c, a13b, "mlp_bias", "true"), 0);
    CU_ASSERT_TRUE(c.mlp_bias);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "use_qk_norm", "false"), 0);
    CU_ASSERT_FALSE(c.qk_norm);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "tie_word_embeddings", NULL), 0);
    CU_ASSERT_FALSE(c.tied);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "tie_word_embeddings", "false"), 0);
    CU_ASSERT_FALSE(c.tied);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "head_dim", "96"), 0);
    CU_ASSERT_TRUE(c.head_dim == 96 && c.d_attn == 80 * 96 && c.n_rot == 96);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "num_key_value_heads", NULL), 0);
    CU_ASSERT_EQUAL(c.n_kv_head, 80);
}

static void keys_that_the_published_code_never_reads_change_nothing(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "capacity_factor", "0.25"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "moe_drop_tokens", "true"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "moe_random_routing_dropped_token", "true"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "reset_position_ids", "false"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "some_new_key", "[1, {}]"), 0);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void other_mathematics_is_refused_by_name(void)
{
    static const struct config_refusal list[] = {
        {large, "hidden_act", "\"gelu\"", SL_ERR_UNSUPPORTED},
        {large, "hidden_act", "\"gelu\\nnew\"", SL_ERR_UNSUPPORTED},
        {large, "hidden_act", "\"silu silu\"", SL_ERR_UNSUPPORTED},
        {large, "hidden_act", "\"\"", SL_ERR_UNSUPPORTED},
        {large, "model_type", "\"llama\"", SL_ERR_UNSUPPORTED},
        {large, "num_experts", "1", SL_ERR_UNSUPPORTED},
        {large, "num_experts", NULL, SL_ERR_UNSUPPORTED},
        {large, "sliding_window", "4096", SL_ERR_UNSUPPORTED},
        {large, "rope_parameters", "{}", SL_ERR_UNSUPPORTED},
        {a13b, "norm_type", "\"layer\"", SL_ERR_UNSUPPORTED},
        {a13b, "use_mla", "true", SL_ERR_UNSUPPORTED},
        {a13b, "norm_topk_prob", "false", SL_ERR_UNSUPPORTED},
        {a13b, "routed_scaling_factor", "2.5", SL_ERR_UNSUPPORTED},
        {a13b, "group_limited_greedy", "true", SL_ERR_UNSUPPORTED},
        {a13b, "moe_layer_num_skipped", "1", SL_ERR_UNSUPPORTED},
        {a13b, "use_rotary_pos_emb", "false", SL_ERR_UNSUPPORTED},
        {a13b, "position_embedding_xdrope", "true", SL_ERR_UNSUPPORTED},
        {yuan, "moe_config", NULL, SL_ERR_UNSUPPORTED},
        {yuan, "use_moe", "false", SL_ERR_UNSUPPORTED},
        {yuan, "moe_config.moe_num_experts", "0", SL_ERR_UNSUPPORTED},
        {yuan, "moe_config.gated_linear_unit", "false", SL_ERR_UNSUPPORTED},
        {yuan, "causal_mask", "false", SL_ERR_UNSUPPORTED},
        {yuan, "reset_attention_mask", "true", SL_ERR_UNSUPPORTED},
        {yuan, "num_key_value_heads", "4", SL_ERR_UNSUPPORTED},
        {yuan, "rope_scaling", "{\"type\":\"linear\"}", SL_ERR_UNSUPPORTED},
        {yuan, "use_shareqk", "true", SL_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        config_check_refusal(&list[i]);
    struct sl_config c;
    CU_ASSERT_EQUAL(
        config_parse_with(&c, large, "quantization_config", "{\"quant_method\":\"awq\"}"),
        SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "awq"));
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "quantization_config",
                                      "{\"quant_method\":\"fp8\",\"weight_block_size\":[128,128]}"),
                    SL_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(config_parse_with(&c, large, "quantization_config", "7"), SL_ERR_FORMAT);
}

static void per_layer_lists_must_agree_and_be_long_enough(void)
{
    static const struct config_refusal list[] = {
        {a13b, "moe_topk", "[8, 8]", SL_ERR_FORMAT},
        {a13b, "moe_topk", "[]", SL_ERR_FORMAT},
        {a13b, "num_experts", "[]", SL_ERR_FORMAT},
        {a13b, "num_hidden_layers", "[32]", SL_ERR_FORMAT},
        {a13b, "num_attention_heads", "[]", SL_ERR_FORMAT},
        {a13b, "vocab_size", "[1]", SL_ERR_FORMAT},
        {yuan, "num_attention_heads", "[]", SL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        config_check_refusal(&list[i]);
    char text[512] = "[8";
    for (int i = 1; i < 31; i++)
        strcat(text, ", 8");
    strcat(text, ", 4]");
    config_check_refusal(&(struct config_refusal){a13b, "moe_topk", text, SL_ERR_UNSUPPORTED});
}

static void impossible_values_are_refused(void)
{
    static const char *const bad[] = {"-1", "0",        "1.5",    "1e300", "\"64\"",
                                      "{}", "99999999", "[null]", "true",  "9223372036854775807"};
    static const char *const counts[] = {"num_hidden_layers", "num_attention_heads", "vocab_size",
                                         "hidden_size"};
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            config_check_refusal(&(struct config_refusal){yuan, counts[k], bad[i], SL_ERR_FORMAT});
    static const struct config_refusal list[] = {
        {large, "num_hidden_layers", NULL, SL_ERR_FORMAT},
        {large, "intermediate_size", NULL, SL_ERR_FORMAT},
        {large, "intermediate_size", "0", SL_ERR_FORMAT},
        {large, "num_key_value_heads", "7", SL_ERR_FORMAT},
        {large, "num_key_value_heads", "160", SL_ERR_FORMAT},
        {large, "num_attention_heads", "81", SL_ERR_FORMAT},
        {large, "head_dim", "81", SL_ERR_UNSUPPORTED},
        {large, "head_dim", "512", SL_ERR_FORMAT},
        {large, "moe_topk", "9", SL_ERR_FORMAT},
        {large, "num_experts", "257", SL_ERR_FORMAT},
        {large, "num_experts", "-16", SL_ERR_FORMAT},
        {large, "cla_share_factor", "0", SL_ERR_FORMAT},
        {large, "rms_norm_eps", "0", SL_ERR_FORMAT},
        {large, "rms_norm_eps", "-1e-5", SL_ERR_FORMAT},
        {large, "rms_norm_eps", "\"nan\"", SL_ERR_FORMAT},
        {large, "rope_theta", "1e300", SL_ERR_FORMAT},
        {large, "rope_scaling.alpha", "-5", SL_ERR_FORMAT},
        {large, "use_cla", "1", SL_ERR_FORMAT},
        {large, "tie_word_embeddings", "\"no\"", SL_ERR_FORMAT},
        {large, "max_position_embeddings", "0", SL_ERR_FORMAT},
        {yuan, "num_attention_heads", "3", SL_ERR_FORMAT},
        {yuan, "moe_config.moe_top_k", "0", SL_ERR_FORMAT},
        {yuan, "moe_config", "[]", SL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        config_check_refusal(&list[i]);
    /* Heads of one channel have nothing to rotate. */
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, yuan, "num_attention_heads", "2048"), SL_ERR_UNSUPPORTED);
}

static void text_that_is_no_config_is_refused(void)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "null",
                                      "{}",
                                      "{\"architectures\":[]}",
                                      "{\"architectures\":[7]}",
                                      "{\"architectures\":\"HunYuanForCausalLM\"}",
                                      "{\"a\":1,\"a\":2}",
                                      "{\"a\":NaN}",
                                      "{\"a\":1e999}",
                                      "{\"a\":123456789012345678901234567890}",
                                      "{\"a\":\"\xFF\xFE\"}",
                                      "{\"architectures\":[\"HunYuanForCausalLM\"]}",
                                      "{\"architectures\":[\"YuanForCausalLM\"]} x"};
    struct sl_config c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(config_parse(&c, bad[i]), SL_ERR_FORMAT);
    CU_ASSERT_EQUAL(config_parse(&c, "{\"a\": \"\\\n\"}"), SL_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(strchr(sl_error_message(), '\n'));
    CU_ASSERT_EQUAL(config_parse(&c, "{\"architectures\":[\"GPT2LMHeadModel\"]}"),
                    SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "GPT2LMHeadModel"));
    CU_ASSERT_EQUAL(config_parse(&c, "{\"architectures\":[\"Yuan\\nForCausalLM\"]}"),
                    SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NULL(strchr(sl_error_message(), '\n'));
    CU_ASSERT_EQUAL(config_parse(&c, "{\"architectures\":[\"HunYuanDenseV1ForCausalLM\"]}"),
                    SL_ERR_UNSUPPORTED);
    char *deep = malloc(400001);
    CU_ASSERT_PTR_NOT_NULL_FATAL(deep);
    memset(deep, '[', 400000);
    deep[400000] = 0;
    CU_ASSERT_EQUAL(config_parse(&c, deep), SL_ERR_FORMAT);
    free(deep);
}

static void missing_files_are_reported_with_their_path(void)
{
    struct sl_config c;
    char dir[512];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    CU_ASSERT_EQUAL(sl_config_load(&c, dir), SL_ERR_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), dir));
    CU_ASSERT_EQUAL(sl_config_load(&c, "/dev/null"), SL_ERR_IO);
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
const struct sl_suite suite_config = {
    "config",
    (const struct sl_case[]){CASE(hunyuan_large_has_its_published_sizes),
                             CASE(hunyuan_large_parameters_match_the_index_of_its_fp8_release),
                             CASE(yuan_parameters_match_the_index_of_its_release),
                             CASE(a13b_has_its_published_shape),
                             CASE(a13b_is_the_same_under_both_model_types),
                             CASE(hunyuan_large_is_read_as_published),
                             CASE(yuan_is_read_as_published),
                             CASE(golden_configs_are_read),
                             CASE(cla_factors_are_taken_as_they_are),
                             CASE(several_experts_share_a_weight_of_one),
                             CASE(shared_experts_follow_their_switch_and_number),
                             CASE(rope_variants_are_told_apart),
                             CASE(yuan_rope_follows_its_two_keys),
                             CASE(yuan_without_a_projection_size_rotates_whole_heads),
                             CASE(flags_and_head_sizes_are_taken),
                             CASE(keys_that_the_published_code_never_reads_change_nothing),
                             CASE(other_mathematics_is_refused_by_name),
                             CASE(per_layer_lists_must_agree_and_be_long_enough),
                             CASE(impossible_values_are_refused),
                             CASE(text_that_is_no_config_is_refused),
                             CASE(missing_files_are_reported_with_their_path),
                             {NULL, NULL}}};
