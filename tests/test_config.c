/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: the released configs give the published sizes, every switch is read, everything else
 * is refused by name. */
#include "test_main.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/config.h"

static char *read_text(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 65536);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    *len = fread(text, 1, 65535, f);
    fclose(f);
    return text;
}

static void published_sizes_follow_from_the_released_configs(void)
{
    struct sl_model_info m;
    /* 388.70 B parameters, 51.32 B active; KV 81,920 bytes a token in bf16, 5 % of MHA. */
    CU_ASSERT_EQUAL_FATAL(sl_config_info("tests/configs/hunyuan-large-instruct.json", &m), 0);
    CU_ASSERT_EQUAL(m.n_param / 10000000, 38870);
    CU_ASSERT_EQUAL(m.n_param_active / 10000000, 5132);
    CU_ASSERT_EQUAL(m.kv_bytes_mha_bf16, 1638400);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 81920);
    CU_ASSERT_EQUAL(m.kv_bytes_int8, 41984);
    CU_ASSERT_EQUAL(m.kv_bytes_int4, 25088);
    CU_ASSERT_EQUAL(m.lfa_state_bytes, 0);
    /* 79,885,684,736 bytes of BF16; 393,216 bytes a token; 24 * 3072 state values. */
    CU_ASSERT_EQUAL_FATAL(sl_config_info("tests/configs/yuan2-m32.json", &m), 0);
    CU_ASSERT_EQUAL(m.n_param * 2, 79885684736);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 393216);
    CU_ASSERT_EQUAL(m.lfa_state_bytes, 24 * 3072 * 4);
    /* 80.39 B; 32 layers of 8 heads of 128. */
    CU_ASSERT_EQUAL_FATAL(sl_config_info("tests/configs/hunyuan-a13b.json", &m), 0);
    CU_ASSERT_EQUAL(m.n_param / 10000000, 8039);
    CU_ASSERT_EQUAL(m.kv_bytes_bf16, 2 * 2 * 32 * 8 * 128);
}

static void released_switches_are_read(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, "tests/configs/hunyuan-large-instruct.json"), 0);
    CU_ASSERT_EQUAL(c.family, SL_FAMILY_HUNYUAN);
    CU_ASSERT_EQUAL(c.head_dim, 80);
    CU_ASSERT_EQUAL(c.cla_factor, 2);
    CU_ASSERT_EQUAL(sl_config_kv_owner(&c, 5), 4);
    CU_ASSERT_EQUAL(sl_config_n_kv_layer(&c), 32);
    CU_ASSERT_EQUAL(c.d_ff_shared, 18304);
    CU_ASSERT(c.qk_norm && c.tied && !c.router_renorm && !c.attention_bias && !c.has_lfa);
    CU_ASSERT_EQUAL(c.rope, SL_ROPE_NTK_ALPHA);
    CU_ASSERT_EQUAL(c.rope_alpha, 1000.0f);
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, "tests/configs/hunyuan-a13b.json"), 0);
    CU_ASSERT_EQUAL(c.head_dim, 128);
    CU_ASSERT_EQUAL(c.n_expert_used, 8);
    CU_ASSERT_EQUAL(c.cla_factor, 1);
    CU_ASSERT(c.router_renorm);
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, "tests/configs/yuan2-m32.json"), 0);
    CU_ASSERT_EQUAL(c.head_dim, 256);
    CU_ASSERT_EQUAL(c.n_rot, 128);
    CU_ASSERT_EQUAL(c.d_ff, 8192);
    CU_ASSERT_EQUAL(c.d_ff_shared, 0);
    CU_ASSERT(c.has_lfa && c.tied && c.router_renorm);
    CU_ASSERT_EQUAL(c.router, SL_ROUTER_ATTENTION);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_BF16_ALL);
}

/* The released config with `key` replaced: "key": value, is put first and the old line is removed.
 */
static int parse_with(const char *file, const char *key, const char *value, struct sl_config *c)
{
    char out[70000], quoted[80];
    size_t len;
    char *text = read_text(file, &len);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    char *old = strstr(text, quoted);
    if (old) {
        char *end = strchr(old, '\n');
        bool nested = strchr(old, '{') && strchr(old, '{') < end && !(strchr(old, '}') < end);
        CU_ASSERT_FALSE_FATAL(nested);
        memmove(old, end, strlen(end) + 1);
    }
    snprintf(out, sizeof out, "{\"%s\": %s,%s", key, value, strchr(text, '{') + 1);
    char *comma = strrchr(out, ','), *close = strrchr(out, '}');
    if (strspn(comma + 1, " \n") == (size_t)(close - comma - 1))
        *comma = ' ';
    free(text);
    return sl_config_parse(c, out, strlen(out));
}

#define LARGE "tests/configs/hunyuan-large-instruct.json"
#define A13B "tests/configs/hunyuan-a13b.json"
#define YUAN "tests/configs/yuan2-m32.json"

static void variants_are_accepted(void)
{
    struct sl_config c;
    CU_ASSERT_EQUAL(parse_with(LARGE, "cla_share_factor", "3", &c), 0);
    CU_ASSERT_EQUAL(c.cla_factor, 3);
    CU_ASSERT_EQUAL(sl_config_n_kv_layer(&c), 22);
    CU_ASSERT_EQUAL(parse_with(LARGE, "use_cla", "false", &c), 0);
    CU_ASSERT_EQUAL(c.cla_factor, 1);
    CU_ASSERT_EQUAL(parse_with(LARGE, "moe_topk", "2", &c), 0);
    CU_ASSERT(c.router_renorm);
    CU_ASSERT_EQUAL(parse_with(LARGE, "rope_scaling", "null", &c), 0);
    CU_ASSERT_EQUAL(c.rope, SL_ROPE_PLAIN);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_BF16_FREQ);
    CU_ASSERT_EQUAL(parse_with(A13B, "rope_scaling", "null", &c), 0);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_F32);
    CU_ASSERT_EQUAL(parse_with(LARGE, "rope_scaling", "{\"type\":\"linear\",\"factor\":4}", &c), 0);
    CU_ASSERT_EQUAL(c.rope, SL_ROPE_LINEAR);
    CU_ASSERT_EQUAL(c.rope_factor, 4.0f);
    CU_ASSERT_EQUAL(parse_with(LARGE, "attention_bias", "true", &c), 0);
    CU_ASSERT(c.attention_bias);
    CU_ASSERT_EQUAL(parse_with(LARGE, "use_qk_norm", "false", &c), 0);
    CU_ASSERT_FALSE(c.qk_norm);
    CU_ASSERT_EQUAL(parse_with(LARGE, "use_mixed_mlp_moe", "false", &c), 0);
    CU_ASSERT_EQUAL(c.d_ff_shared, 0);
    CU_ASSERT_EQUAL(parse_with(LARGE, "num_shared_expert", "2", &c), 0);
    CU_ASSERT_EQUAL(c.d_ff_shared, 2 * 18304);
    CU_ASSERT_EQUAL(parse_with(YUAN, "rotary_base", "40890", &c), 0);
    CU_ASSERT_EQUAL(c.rope_theta, 40890.0f);
    CU_ASSERT_EQUAL(parse_with(YUAN, "rope_table_variant", "\"bf16freq\"", &c), 0);
    CU_ASSERT_EQUAL(c.rope_table, SL_ROPE_TABLE_BF16_FREQ);
    CU_ASSERT_EQUAL(parse_with(YUAN, "attention_projection_size", "2048", &c), 0);
    CU_ASSERT_EQUAL(c.n_rot, c.head_dim);
}

static void what_would_change_the_mathematics_is_refused_by_name(void)
{
    static const struct {
        const char *file, *key, *value;
    } cases[] = {
        {LARGE, "hidden_act", "\"gelu\""},
        {LARGE, "rope_scaling", "{\"type\":\"yarn\",\"factor\":4}"},
        {LARGE, "rope_scaling", "{\"type\":\"dynamic\",\"factor\":4}"},
        {LARGE, "rope_scaling", "{}"},
        {LARGE, "quantization_config", "{\"quant_method\":\"gptq\"}"},
        {LARGE, "norm_type", "\"layernorm\""},
        {LARGE, "use_mla", "true"},
        {A13B, "moe_topk", "[8,4]"},
        {A13B, "norm_topk_prob", "false"},
        {A13B, "routed_scaling_factor", "2.5"},
        {YUAN, "reset_attention_mask", "true"},
        {YUAN, "causal_mask", "false"},
        {YUAN, "use_moe", "false"},
        {YUAN, "rope_table_variant", "\"fp64\""},
        {LARGE, "architectures", "[\"LlamaForCausalLM\"]"},
        {LARGE, "num_hidden_layers", "-1"},
        {LARGE, "num_hidden_layers", "100000"},
        {LARGE, "num_hidden_layers", "\"64\""},
        {LARGE, "hidden_size", "6400.5"},
        {LARGE, "num_attention_heads", "0"},
        {LARGE, "num_key_value_heads", "7"},
        {LARGE, "num_experts", "1000"},
        {LARGE, "moe_topk", "9"},
        {LARGE, "rms_norm_eps", "-1e-5"},
        {LARGE, "rope_theta", "1e999"},
        {LARGE, "use_cla", "1"},
        {LARGE, "head_dim", "512"},
        {LARGE, "vocab_size", "99999999999999999999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_config c;
        int err = parse_with(cases[i].file, cases[i].key, cases[i].value, &c);
        CU_ASSERT_NOT_EQUAL(err, 0);
        bool named = strstr(sl_error_message(), cases[i].key) ||
                     strstr(sl_error_message(), "quant_method") ||
                     strstr(sl_error_message(), "LlamaForCausalLM") ||
                     strstr(sl_error_message(), "line");
        CU_ASSERT(named);
        if (!err || !named)
            printf("%s = %s: %s\n", cases[i].key, cases[i].value, sl_error_message());
    }
}

static void missing_keys_are_named(void)
{
    static const char *const needed[] = {"hidden_size", "num_hidden_layers", "num_attention_heads",
                                         "vocab_size",  "num_experts",       "intermediate_size"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        struct sl_config c;
        CU_ASSERT_NOT_EQUAL(parse_with(LARGE, needed[i], "null", &c), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), needed[i]));
    }
}

static void text_that_is_not_a_config_is_refused(void)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "{}",
                                        "{\"architectures\":[]}",
                                        "{\"architectures\":[5]}",
                                        "{\"a\":1,\"a\":2}",
                                        "\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sl_config c;
        CU_ASSERT_NOT_EQUAL(sl_config_parse(&c, texts[i], strlen(texts[i])), 0);
    }
    struct sl_config c;
    CU_ASSERT_EQUAL(sl_config_load(&c, "/nonexistent/config.json"), SL_ERR_IO);
}

const struct sl_suite suite_config = {
    "config", (const struct sl_case[]){
                  {"published_sizes_follow_from_the_released_configs",
                   published_sizes_follow_from_the_released_configs},
                  {"released_switches_are_read", released_switches_are_read},
                  {"variants_are_accepted", variants_are_accepted},
                  {"what_would_change_the_mathematics_is_refused_by_name",
                   what_would_change_the_mathematics_is_refused_by_name},
                  {"missing_keys_are_named", missing_keys_are_named},
                  {"text_that_is_not_a_config_is_refused", text_that_is_not_a_config_is_refused},
                  {NULL, NULL}}};
