/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config_family.h"

#include <string.h>

enum { MAX_SHARED = 64 };

static const struct sl_real_key theta_key = {"rope_theta", 1, 1e12};

/* `large`: whose published code is followed where the two differ. */
static int read_rope_scaling(struct sl_config *c, const json_t *o, bool large)
{
    const json_t *s = json_object_get(o, "rope_scaling");
    /* Without scaling the Large code rounds its frequencies to bf16, the A13B code does not. */
    c->rope_table = large ? SL_ROPE_TABLE_BF16_FREQ : SL_ROPE_TABLE_F32;
    if (sl_key_is_absent(s))
        return 0;
    const json_t *type = json_object_get(s, "type"), *alpha = json_object_get(s, "alpha");
    type = type ? type : json_object_get(s, "rope_type");
    const char *name = json_string_value(type);
    if (!name)
        return sl_key_bad("rope_scaling", "has no type");
    int err = sl_key_get_real(s, (struct sl_real_key){"factor", 1, 1e6}, &c->rope_factor);
    if (err)
        return err;
    if (!strcmp(name, "linear")) {
        c->rope = SL_ROPE_LINEAR;
        /* With bf16 frequencies the Large code computes positions, angles and tables in bf16. */
        c->rope_table = large ? SL_ROPE_TABLE_BF16_ALL : SL_ROPE_TABLE_F32;
        return 0;
    }
    if (strcmp(name, "dynamic"))
        return sl_key_refuse_value("rope_scaling", s);
    if (sl_key_is_absent(alpha) || (json_is_number(alpha) && json_number_value(alpha) == 0))
        return sl_key_unsupported("rope_scaling",
                                  "is dynamic without alpha: frequencies that change "
                                  "with the text's length are not implemented");
    c->rope = SL_ROPE_NTK_ALPHA;
    c->rope_table = SL_ROPE_TABLE_F32;
    return sl_key_get_real(s, (struct sl_real_key){"alpha", 1e-6, 1e12}, &c->rope_alpha);
}

static int read_hunyuan_attention(struct sl_config *c, const json_t *o)
{
    bool use_cla = false;
    uint32_t factor = 1;
    c->n_kv_head = c->n_head;
    int err = sl_config_read_heads(c, o);
    err = err ? err : sl_key_get_bool(o, "use_qk_norm", &c->qk_norm);
    err = err ? err : sl_key_get_bool(o, "attention_bias", &c->attention_bias);
    c->o_bias = c->attention_bias;
    err = err ? err : sl_key_get_bool(o, "mlp_bias", &c->mlp_bias);
    err = err ? err : sl_key_get_bool(o, "use_cla", &use_cla);
    err = err ? err
              : sl_key_get_count(o, (struct sl_count_key){"cla_share_factor", 1, SL_MAX_LAYER, 0},
                                 &factor);
    err = err ? err : sl_key_get_real(o, theta_key, &c->rope_theta);
    c->cla_factor = use_cla ? factor : 1;
    c->n_rot = c->head_dim;
    return err;
}

/* Routed experts may have a width of their own; the shared MLP never uses it. */
static int read_hunyuan_widths(struct sl_config *c, const json_t *o, bool shared)
{
    uint32_t n_shared = 1, width = 0;
    int err = sl_key_get_count(
        o, (struct sl_count_key){"intermediate_size", 1, SL_CONFIG_MAX_WIDTH, 0}, &width);
    c->d_ff = width;
    err = err ? err
              : sl_key_get_count(o,
                                 (struct sl_count_key){"moe_intermediate_size", 1,
                                                       SL_CONFIG_MAX_WIDTH, c->n_layer},
                                 &c->d_ff);
    err = err ? err
              : sl_key_get_count(
                    o, (struct sl_count_key){"num_shared_expert", 0, MAX_SHARED, c->n_layer},
                    &n_shared);
    if (!err && (!c->d_ff || (shared && !width)))
        return sl_key_bad("intermediate_size", "is missing");
    c->n_shared_expert = shared ? n_shared : 0;
    c->d_ff_shared = width * c->n_shared_expert;
    return err;
}

static int read_hunyuan_moe(struct sl_config *c, const json_t *o, bool shared)
{
    static const struct sl_fixed_key renorm[] = {{"norm_topk_prob", NULL, 1}};
    c->n_expert = c->n_expert_used = 1;
    int err = sl_key_get_count(
        o, (struct sl_count_key){"num_experts", 0, SL_MAX_EXPERT, c->n_layer}, &c->n_expert);
    if (!err && c->n_expert < 2)
        return sl_config_refuse_dense("num_experts");
    err = err ? err
              : sl_key_get_count(
                    o, (struct sl_count_key){"moe_topk", 1, SL_MAX_EXPERT_USED, c->n_layer},
                    &c->n_expert_used);
    err = err ? err : sl_key_get_bool(o, "use_mixed_mlp_moe", &shared);
    c->router = SL_ROUTER_SOFTMAX;
    c->router_renorm = c->n_expert_used > 1;
    err = err || !c->router_renorm ? err : SL_KEYS_CHECK_FIXED(o, renorm);
    return err ? err : read_hunyuan_widths(c, o, shared);
}

int sl_config_read_hunyuan(struct sl_config *c, const json_t *o, bool large)
{
    static const struct sl_fixed_key keys[] = {
        {"model_type", "hunyuan hunyuan_v1_moe", 0},
        {"norm_type", "rms hf_rms", 0},
        {"sliding_window", NULL, 0},
        {"rope_parameters", NULL, 0},
        {"position_embedding_xdrope", NULL, 0},
        {"rope_table_variant", NULL, 0},
        {"use_rotary_pos_emb", NULL, 1},
        {"group_limited_greedy", NULL, 0},
        {"routed_scaling_factor", NULL, 1},
        {"moe_layer_num_skipped", NULL, 0},
        {"use_mla", NULL, 0},
        {"add_classification_head", NULL, 0},
    };
    const char *type = json_string_value(json_object_get(o, "model_type"));
    /* The port of A13B always has QK-norm and a shared expert, and no keys for them. */
    bool port = !large && type && !strcmp(type, "hunyuan_v1_moe");
    c->family = SL_FAMILY_HUNYUAN;
    c->norm_eps = 1e-5f;
    c->n_ctx_train = 2048;
    c->qk_norm = port;
    c->architecture = large ? "hunyuan-large" : "hunyuan-a13b";
    int err = SL_KEYS_CHECK_FIXED(o, keys);
    err = err ? err : sl_config_read_common(c, o);
    err = err ? err : read_hunyuan_attention(c, o);
    err = err ? err : read_rope_scaling(c, o, large);
    return err ? err : read_hunyuan_moe(c, o, port);
}
