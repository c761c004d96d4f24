/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config_family.h"

#include <string.h>

static int read_yuan_rope(struct sl_config *c, const json_t *o)
{
    static const char *const names[] = {"fp32", "bf16freq", "authors"};
    static const enum sl_rope_table tables[] = {SL_ROPE_TABLE_F32, SL_ROPE_TABLE_BF16_FREQ,
                                                SL_ROPE_TABLE_BF16_ALL};
    const json_t *v = json_object_get(o, "rope_table_variant");
    /* What the published model file does when the key is missing. */
    c->rope_table = SL_ROPE_TABLE_BF16_ALL;
    bool known = sl_key_is_absent(v);
    for (size_t i = 0; json_is_string(v) && i < 3; i++)
        if (!strcmp(json_string_value(v), names[i])) {
            c->rope_table = tables[i];
            known = true;
        }
    if (!known)
        return sl_key_bad("rope_table_variant", "must be fp32, bf16freq or authors");
    int err = sl_key_get_real(o, (struct sl_real_key){"rotary_base", 1, 1e12}, &c->rope_theta);
    /* The published code does not read rope_theta: it may only repeat the base. */
    const struct sl_fixed_key same[] = {{"rope_theta", NULL, (double)c->rope_theta}};
    return err ? err : SL_KEYS_CHECK_FIXED(o, same);
}

static int read_yuan_moe(struct sl_config *c, const json_t *o)
{
    static const struct sl_fixed_key keys[] = {{"gated_linear_unit", NULL, 1},
                                               {"num_attention_router_heads", NULL, 1}};
    const json_t *moe = json_object_get(o, "moe_config");
    if (sl_key_is_absent(moe))
        return sl_config_refuse_dense("moe_config");
    if (!json_is_object(moe))
        return sl_key_bad("moe_config", "must be an object");
    int err = SL_KEYS_CHECK_FIXED(moe, keys);
    err =
        err ? err
            : sl_key_need_count(moe, (struct sl_count_key){"moe_num_experts", 0, SL_MAX_EXPERT, 0},
                                &c->n_expert);
    if (!err && c->n_expert < 2)
        return sl_config_refuse_dense("moe_num_experts");
    err = err ? err
              : sl_key_need_count(moe, (struct sl_count_key){"moe_top_k", 1, SL_MAX_EXPERT_USED, 0},
                                  &c->n_expert_used);
    c->router = SL_ROUTER_ATTENTION;
    c->router_renorm = true;
    err = err ? err : sl_key_get_bool(moe, "norm_topk_prob", &c->router_renorm);
    return err ? err
               : sl_key_need_count(
                     moe, (struct sl_count_key){"ffn_hidden_size", 1, SL_CONFIG_MAX_WIDTH, 0},
                     &c->d_ff);
}

static int read_yuan_attention(struct sl_config *c, const json_t *o)
{
    const struct sl_fixed_key all_heads[] = {{"num_key_value_heads", NULL, c->n_head}};
    c->d_attn = c->d_model;
    int err = sl_key_get_count(
        o, (struct sl_count_key){"attention_projection_size", 1, SL_CONFIG_MAX_WIDTH, 0},
        &c->d_attn);
    err = err ? err : SL_KEYS_CHECK_FIXED(o, all_heads);
    if (err)
        return err;
    if (c->d_attn % c->n_head || c->d_model % c->n_head || c->n_head % 2 || c->d_model % 2)
        return sl_key_bad("num_attention_heads", "is odd or does not divide the widths");
    c->n_kv_head = c->n_head;
    c->head_dim = c->d_attn / c->n_head;
    c->n_rot = c->d_model / c->n_head;
    return 0;
}

int sl_config_read_yuan(struct sl_config *c, const json_t *o)
{
    static const struct sl_fixed_key keys[] = {
        {"model_type", "yuan", 0},   {"use_moe", NULL, 1},
        {"causal_mask", NULL, 1},    {"reset_attention_mask", NULL, 0},
        {"use_shareqk", NULL, 0},    {"attention_bias", NULL, 0},
        {"mlp_bias", NULL, 0},       {"use_qk_norm", NULL, 0},
        {"use_cla", NULL, 0},        {"rope_scaling", NULL, 0},
        {"use_yarn", NULL, 0},       {"rotary_percent", NULL, 1},
        {"sliding_window", NULL, 0}, {"rope_parameters", NULL, 0},
    };
    c->family = SL_FAMILY_YUAN;
    c->norm_eps = 1e-6f;
    c->n_ctx_train = 8192;
    c->tied = true;
    c->has_lfa = true;
    c->cla_factor = 1;
    c->architecture = "yuan2-m32";
    int err = SL_KEYS_CHECK_FIXED(o, keys);
    err = err ? err : sl_config_read_common(c, o);
    err = err ? err
              : sl_key_get_count(o, (struct sl_count_key){"model_max_length", 1, INT32_MAX, 0},
                                 &c->n_ctx_train);
    err = err ? err : read_yuan_attention(c, o);
    err = err ? err : read_yuan_rope(c, o);
    return err ? err : read_yuan_moe(c, o);
}
