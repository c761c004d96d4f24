/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of Llama and of what differs from it by switches: released facts, keys that may
 * repeat one another, and what is refused. Parameter counts are the published ones. */
#include "test_main.h"

#include <stdio.h>
#include <string.h>

#include "config_rig.h"

static const char mixtral[] = "tests/configs/mixtral-8x7b.json";
static const char qwen3[] = "tests/configs/qwen3-30b-a3b.json";
static const char llama[] = "tests/configs/llama-3.1-8b.json";

static double billions(uint64_t n)
{
    return (double)n * 1e-9;
}

/* ---- released models ------------------------------------------------------------------------ */

static void mixtral_is_read_as_published(void)
{
    struct sl_config c;
    struct sl_model_info m;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, mixtral), 0);
    sl_config_get_info(&c, &m);
    CU_ASSERT_STRING_EQUAL(m.architecture, "mixtral");
    CU_ASSERT_DOUBLE_EQUAL(billions(m.n_param), 46.70, 0.005);
    CU_ASSERT_DOUBLE_EQUAL(billions(m.n_param_active), 12.88, 0.005);
    CU_ASSERT_TRUE(c.n_expert == 8 && c.n_expert_used == 2 && c.d_ff == 14336);
    CU_ASSERT_TRUE(c.router == SL_ROUTER_SOFTMAX && c.router_renorm && !c.d_ff_shared);
    CU_ASSERT_TRUE(c.n_kv_head == 8 && c.head_dim == 128 && c.n_rot == 128);
    CU_ASSERT_TRUE(!c.qk_norm && !c.tied && !c.attention_bias && !c.mlp_bias && !c.has_lfa);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_PLAIN && c.rope_table == SL_ROPE_TABLE_F32);
    CU_ASSERT_TRUE(c.rope_theta == 1e6f && c.norm_eps == 1e-5f && c.cla_factor == 1);
    CU_ASSERT_EQUAL(c.n_ctx_train, 32768);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 4ull * 32 * 8 * 128);
}

static void qwen3_moe_is_read_as_published(void)
{
    struct sl_config c;
    struct sl_model_info m;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, qwen3), 0);
    sl_config_get_info(&c, &m);
    CU_ASSERT_STRING_EQUAL(m.architecture, "qwen3-moe");
    CU_ASSERT_DOUBLE_EQUAL(billions(m.n_param), 30.53, 0.005);
    CU_ASSERT_DOUBLE_EQUAL(billions(m.n_param_active), 3.35, 0.005);
    CU_ASSERT_TRUE(c.n_expert == 128 && c.n_expert_used == 8 && c.d_ff == 768);
    CU_ASSERT_TRUE(c.router == SL_ROUTER_SOFTMAX && c.router_renorm && !c.d_ff_shared);
    CU_ASSERT_TRUE(c.n_kv_head == 4 && c.head_dim == 128 && c.d_attn == 4096);
    CU_ASSERT_TRUE(c.qk_norm && c.qk_norm_first && !c.tied && !c.attention_bias);
    CU_ASSERT_TRUE(c.rope_theta == 1e6f && c.norm_eps == 1e-6f && c.cla_factor == 1);
}

static void llama_is_read_as_published(void)
{
    struct sl_config c;
    struct sl_model_info m;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, llama), 0);
    sl_config_get_info(&c, &m);
    CU_ASSERT_STRING_EQUAL(m.architecture, "llama");
    CU_ASSERT_DOUBLE_EQUAL(billions(m.n_param), 8.03, 0.005);
    CU_ASSERT_EQUAL(m.n_param, m.n_param_active);
    CU_ASSERT_TRUE(c.n_expert == 0 && c.n_expert_used == 0 && c.d_ff_shared == 14336);
    CU_ASSERT_TRUE(m.n_expert == 0 && m.n_shared_expert == 0 && m.d_ff == 14336);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_LLAMA3 && c.rope_factor == 8 && c.rope_low == 1);
    CU_ASSERT_TRUE(c.rope_high == 4 && c.rope_ctx == 8192 && c.rope_theta == 500000.0f);
    CU_ASSERT_TRUE(!c.qk_norm && !c.tied && c.norm_eps == 1e-5f && c.n_ctx_train == 131072);
}

/* ---- switches ------------------------------------------------------------------------------- */

static void switches_are_obeyed(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "norm_topk_prob", "false"), 0);
    CU_ASSERT_FALSE(c.router_renorm);
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "norm_topk_prob", NULL), 0);
    CU_ASSERT_FALSE(c.router_renorm);
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "attention_bias", "true"), 0);
    CU_ASSERT_TRUE(c.attention_bias && c.o_bias);
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "head_dim", NULL), 0);
    CU_ASSERT_EQUAL(c.head_dim, 64); /* hidden_size / num_attention_heads */
    CU_ASSERT_EQUAL(config_parse_with(&c, mixtral, "head_dim", "64"), 0);
    CU_ASSERT_TRUE(c.head_dim == 64 && c.d_attn == 2048);
    CU_ASSERT_EQUAL(config_parse_with(&c, mixtral, "rope_theta", NULL), 0);
    CU_ASSERT_EQUAL(c.rope_theta, 1e6f);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "tie_word_embeddings", "true"), 0);
    CU_ASSERT_TRUE(c.tied);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "mlp_bias", "true"), 0);
    CU_ASSERT_TRUE(c.mlp_bias && !c.attention_bias);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "num_key_value_heads", NULL), 0);
    CU_ASSERT_EQUAL(c.n_kv_head, 32);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "rms_norm_eps", NULL), 0);
    CU_ASSERT_EQUAL(c.norm_eps, 1e-6f);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "layer_types", "[\"full_attention\"]"), 0);
}

/* Classes that have no release here: the rows of the table, seen through a Llama's sizes. */
static void neighbours_of_llama_are_told_apart(void)
{
    static const struct {
        const char *class, *model_type, *architecture;
        bool qk_norm, whole, qkv_bias;
        uint32_t head_dim;
    } list[] = {{"Mistral", "mistral", "mistral", false, false, false, 128},
                {"Qwen2", "qwen2", "qwen2", false, false, true, 128},
                {"Qwen3", "qwen3", "qwen3", true, false, false, 128},
                {"Olmoe", "olmoe", "olmoe", true, true, false, 128}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct sl_config c;
        char text[600];
        snprintf(
            text, sizeof text,
            "{\"architectures\":[\"%sForCausalLM\"],\"model_type\":\"%s\",\"hidden_size\":2048,"
            "\"num_hidden_layers\":4,\"num_attention_heads\":16,\"num_key_value_heads\":8,"
            "\"intermediate_size\":1024,\"vocab_size\":1000,\"num_experts\":64,"
            "\"num_experts_per_tok\":8,\"sliding_window\":null}",
            list[i].class, list[i].model_type);
        CU_ASSERT_EQUAL_FATAL(config_parse(&c, text), 0);
        CU_ASSERT_STRING_EQUAL(c.architecture, list[i].architecture);
        CU_ASSERT_TRUE(c.qk_norm == list[i].qk_norm && c.qk_norm_first == list[i].qk_norm);
        CU_ASSERT_TRUE(c.qk_norm_whole == list[i].whole && c.head_dim == list[i].head_dim);
        CU_ASSERT_TRUE(c.attention_bias == list[i].qkv_bias && !c.o_bias && !c.mlp_bias);
        CU_ASSERT_EQUAL(c.n_expert, list[i].whole ? 64 : 0);
        CU_ASSERT_FALSE(c.router_renorm);
    }
}

static void windows_that_hold_the_context_are_none(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, mixtral, "sliding_window", "32768"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, mixtral, "sliding_window", NULL), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "sliding_window", "4096"), 0); /* not used */
    /* Mistral's class has one where the key is missing. */
    static const char mistral[] = "{\"architectures\":[\"MistralForCausalLM\"],\"hidden_size\":64,"
                                  "\"num_hidden_layers\":2,\"num_attention_heads\":8,"
                                  "\"intermediate_size\":64,\"vocab_size\":100}";
    CU_ASSERT_EQUAL(config_parse(&c, mistral), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "sliding_window"));
}

static void rope_parameters_stand_alone_or_repeat(void)
{
    static const char same[] = "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
                               "\"high_freq_factor\":4,\"rope_theta\":500000,"
                               "\"original_max_position_embeddings\":8192}";
    static const char base[] = "{\"rope_type\":\"default\",\"rope_theta\":1000000}";
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "rope_parameters", same), 0);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_LLAMA3 && c.rope_high == 4 && c.rope_theta == 500000.0f);
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "rope_parameters", base), 0);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_PLAIN && c.rope_theta == 1e6f);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "rope_scaling",
                                      "{\"type\":\"linear\","
                                      "\"factor\":2.5}"),
                    0);
    CU_ASSERT_TRUE(c.rope == SL_ROPE_LINEAR && c.rope_factor == 2.5f);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "rope_scaling", "null"), 0);
    CU_ASSERT_EQUAL(c.rope, SL_ROPE_PLAIN);
}

static void keys_that_are_for_training_change_nothing(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, mixtral, "router_jitter_noise", "0.1"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, qwen3, "router_aux_loss_coef", "0.5"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "pretraining_tp", "2"), 0);
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "attention_dropout", "0.1"), 0);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void other_mathematics_is_refused(void)
{
    static const struct config_refusal list[] = {
        {mixtral, "model_type", "\"llama\"", SL_ERR_UNSUPPORTED},
        {mixtral, "sliding_window", "4096", SL_ERR_UNSUPPORTED},
        {mixtral, "attention_bias", "true", SL_ERR_UNSUPPORTED},
        {mixtral, "clip_qkv", "0", SL_ERR_UNSUPPORTED},
        {mixtral, "mlp_bias", "true", SL_ERR_UNSUPPORTED},
        {mixtral, "hidden_act", "\"gelu\"", SL_ERR_UNSUPPORTED},
        {mixtral, "num_local_experts", "1", SL_ERR_UNSUPPORTED},
        {mixtral, "use_qk_norm", "true", SL_ERR_UNSUPPORTED},
        {mixtral, "rope_scaling", "{\"type\":\"yarn\",\"factor\":4}", SL_ERR_UNSUPPORTED},
        {qwen3, "decoder_sparse_step", "2", SL_ERR_UNSUPPORTED},
        {qwen3, "mlp_only_layers", "[0, 1]", SL_ERR_UNSUPPORTED},
        {qwen3, "mlp_only_layers", "0", SL_ERR_UNSUPPORTED},
        {qwen3, "use_sliding_window", "true", SL_ERR_UNSUPPORTED},
        {qwen3, "rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4}", SL_ERR_UNSUPPORTED},
        {qwen3, "layer_types", "[\"full_attention\",\"sliding_attention\"]", SL_ERR_UNSUPPORTED},
        {qwen3, "partial_rotary_factor", "0.5", SL_ERR_UNSUPPORTED},
        {qwen3, "num_experts", "0", SL_ERR_UNSUPPORTED},
        {qwen3, "use_cla", "true", SL_ERR_UNSUPPORTED},
        {llama, "rope_scaling", "{\"rope_type\":\"dynamic\",\"factor\":2}", SL_ERR_UNSUPPORTED},
        {llama, "use_qk_norm", "true", SL_ERR_UNSUPPORTED},
        {llama, "rope_scaling.rope_theta", "10000", SL_ERR_UNSUPPORTED},
        {llama, "rope_scaling.partial_rotary_factor", "0.5", SL_ERR_UNSUPPORTED},
        {llama, "clip_qkv", "8.0", SL_ERR_UNSUPPORTED},
        {llama, "attn_logit_softcapping", "50", SL_ERR_UNSUPPORTED},
        {llama, "logits_scaling", "16", SL_ERR_UNSUPPORTED},
        {llama, "hidden_act", "\"relu2\"", SL_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        config_check_refusal(&list[i]);
    struct sl_config c;
    CU_ASSERT_EQUAL(config_parse_with(&c, llama, "rope_scaling.rope_type", "\"longrope\""),
                    SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "longrope"));
}

static void impossible_values_are_refused(void)
{
    static const struct config_refusal list[] = {
        {mixtral, "num_local_experts", NULL, SL_ERR_FORMAT},
        {mixtral, "num_local_experts", "257", SL_ERR_FORMAT},
        {mixtral, "num_experts_per_tok", NULL, SL_ERR_FORMAT},
        {mixtral, "num_experts_per_tok", "9", SL_ERR_FORMAT},
        {mixtral, "num_experts_per_tok", "0", SL_ERR_FORMAT},
        {mixtral, "intermediate_size", NULL, SL_ERR_FORMAT},
        {mixtral, "num_key_value_heads", "5", SL_ERR_FORMAT},
        {mixtral, "head_dim", "31", SL_ERR_UNSUPPORTED},
        {mixtral, "head_dim", "512", SL_ERR_FORMAT},
        {mixtral, "sliding_window", "\"all\"", SL_ERR_FORMAT},
        {qwen3, "num_experts", NULL, SL_ERR_FORMAT},
        {qwen3, "moe_intermediate_size", NULL, SL_ERR_FORMAT},
        {qwen3, "num_experts_per_tok", "16", SL_ERR_FORMAT},
        {qwen3, "norm_topk_prob", "1", SL_ERR_FORMAT},
        {qwen3, "layer_types", "7", SL_ERR_FORMAT},
        {qwen3, "rope_parameters", "[]", SL_ERR_FORMAT},
        {qwen3, "rope_parameters", "{\"rope_theta\":1e6}", SL_ERR_FORMAT},
        {qwen3, "rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":5}", SL_ERR_FORMAT},
        {llama, "rope_parameters", "{\"rope_type\":\"default\"}", SL_ERR_FORMAT},
        {llama, "intermediate_size", "0", SL_ERR_FORMAT},
        {llama, "intermediate_size", "[14336]", SL_ERR_FORMAT},
        {llama, "num_hidden_layers", NULL, SL_ERR_FORMAT},
        {llama, "mlp_bias", "0", SL_ERR_FORMAT},
        {llama, "rope_scaling", "\"llama3\"", SL_ERR_FORMAT},
        {llama, "rope_scaling", "{}", SL_ERR_FORMAT},
        {llama, "rope_scaling.factor", NULL, SL_ERR_FORMAT},
        {llama, "rope_scaling.factor", "0.5", SL_ERR_FORMAT},
        {llama, "rope_scaling.low_freq_factor", NULL, SL_ERR_FORMAT},
        {llama, "rope_scaling.low_freq_factor", "-1", SL_ERR_FORMAT},
        {llama, "rope_scaling.high_freq_factor", NULL, SL_ERR_FORMAT},
        {llama, "rope_scaling.high_freq_factor", "1.0", SL_ERR_FORMAT},
        {llama, "rope_scaling.original_max_position_embeddings", NULL, SL_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        config_check_refusal(&list[i]);
}

/* Their layers look alike, but something in each differs that no key tells. */
static void neighbours_are_refused_by_name(void)
{
    static const char *const names[] = {"Qwen2MoeForCausalLM", "DeepseekV3ForCausalLM",
                                        "GemmaForCausalLM", "Llama4ForCausalLM"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sl_config c;
        char value[80];
        snprintf(value, sizeof value, "[\"%s\"]", names[i]);
        CU_ASSERT_EQUAL(config_parse_with(&c, llama, "architectures", value), SL_ERR_UNSUPPORTED);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), names[i]));
    }
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
const struct sl_suite suite_config_llama = {
    "config_llama", (const struct sl_case[]){CASE(mixtral_is_read_as_published),
                                             CASE(qwen3_moe_is_read_as_published),
                                             CASE(llama_is_read_as_published),
                                             CASE(switches_are_obeyed),
                                             CASE(neighbours_of_llama_are_told_apart),
                                             CASE(windows_that_hold_the_context_are_none),
                                             CASE(rope_parameters_stand_alone_or_repeat),
                                             CASE(keys_that_are_for_training_change_nothing),
                                             CASE(other_mathematics_is_refused),
                                             CASE(impossible_values_are_refused),
                                             CASE(neighbours_are_refused_by_name),
                                             {NULL, NULL}}};
