/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "engine/ops.h"

enum { MAX_CONFIG_BYTES = 1 << 24, MAX_WIDTH = 1 << 20, MAX_VOCAB = 1 << 24, MAX_HEAD_DIM = 256 };

/* ---- reading keys --------------------------------------------------------------------------- */

static int bad_key(const char *key, const char *why)
{
    return sl_fail(SL_ERR_FORMAT, "compare with the model's published config.json",
                   "config.json: '%s' %s", key, why);
}

static int unsupported_key(const char *key, const char *why)
{
    return sl_fail(SL_ERR_UNSUPPORTED, "this key changes the model's mathematics",
                   "config.json: '%s' %s", key, why);
}

static bool is_absent(const json_t *v)
{
    return !v || json_is_null(v);
}

/* An integer in [min, max]; per-layer lists are taken when all entries agree. Absent: *out keeps
 * its value. */
static int get_count(const json_t *o, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_array(v)) {
        size_t i;
        const json_t *entry, *first = json_array_get(v, 0);
        json_array_foreach(v, i, entry) if (!json_equal(entry, first)) return unsupported_key(
            key, "differs between layers");
        v = first;
    }
    if (is_absent(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        char why[80];
        snprintf(why, sizeof why, "must be an integer from %u to %u", min, max);
        return bad_key(key, why);
    }
    *out = (uint32_t)json_integer_value(v);
    return 0;
}

static int need_count(const json_t *o, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    return is_absent(json_object_get(o, key)) ? bad_key(key, "is missing")
                                              : get_count(o, key, min, max, out);
}

/* A finite number above zero. */
static int get_real(const json_t *o, const char *key, float *out)
{
    const json_t *v = json_object_get(o, key);
    if (is_absent(v))
        return 0;
    float x = (float)json_number_value(v);
    if (!json_is_number(v) || !isfinite(x) || x <= 0)
        return bad_key(key, "must be a number above zero");
    *out = x;
    return 0;
}

static int get_bool(const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (is_absent(v))
        return 0;
    if (!json_is_boolean(v))
        return bad_key(key, "must be true or false");
    *out = json_is_true(v);
    return 0;
}

/* Keys that may stand in a config with one value only: any other would change the mathematics. A
 * NULL text: the number. */
struct fixed_key {
    const char *key, *text;
    double number;
};

static bool fixed_key_agrees(const json_t *v, const struct fixed_key *f)
{
    if (is_absent(v))
        return true;
    if (f->text)
        return json_is_string(v) && !strcmp(json_string_value(v), f->text);
    if (json_is_boolean(v))
        return json_is_true(v) == (f->number != 0);
    return json_is_number(v) && json_number_value(v) == f->number;
}

static int check_fixed(const json_t *o, const struct fixed_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!fixed_key_agrees(json_object_get(o, keys[i].key), &keys[i]))
            return unsupported_key(keys[i].key, "has a value that is not implemented");
    return 0;
}

#define CHECK_FIXED(o, keys) check_fixed(o, keys, sizeof(keys) / sizeof(keys)[0])

/* ---- both families -------------------------------------------------------------------------- */

static int read_quantisation(const json_t *o)
{
    static const struct fixed_key keys[] = {{"quant_method", "fp8", 0}};
    const json_t *q = json_object_get(o, "quantization_config");
    return is_absent(q) ? 0 : CHECK_FIXED(q, keys);
}

static int read_common(struct sl_config *c, const json_t *o)
{
    static const struct fixed_key keys[] = {{"hidden_act", "silu", 0}};
    int err = CHECK_FIXED(o, keys);
    err = err ? err : read_quantisation(o);
    err = err ? err : need_count(o, "num_hidden_layers", 1, SL_MAX_LAYER, &c->n_layer);
    err = err ? err : need_count(o, "hidden_size", 1, MAX_WIDTH, &c->d_model);
    err = err ? err : need_count(o, "num_attention_heads", 1, MAX_WIDTH, &c->n_head);
    err = err ? err : need_count(o, "vocab_size", 1, MAX_VOCAB, &c->n_vocab);
    err = err ? err : get_count(o, "max_position_embeddings", 1, INT32_MAX, &c->n_ctx_train);
    err = err ? err : get_real(o, "rms_norm_eps", &c->norm_eps);
    return err ? err : get_bool(o, "tie_word_embeddings", &c->tied);
}

/* What must hold between the numbers. */
static int check_shape(const struct sl_config *c)
{
    if (c->n_head % c->n_kv_head)
        return bad_key("num_key_value_heads", "does not divide num_attention_heads");
    if (c->head_dim < 2 || c->head_dim > MAX_HEAD_DIM || c->head_dim % 2)
        return unsupported_key("head_dim", "must be even and at most 256");
    if (c->n_rot < 2 || c->n_rot > c->head_dim || c->n_rot % 2)
        return unsupported_key("num_attention_heads", "gives an odd number of rotated channels");
    if (c->n_expert_used > c->n_expert)
        return bad_key("moe_topk", "is larger than the number of experts");
    return 0;
}

/* ---- Hunyuan -------------------------------------------------------------------------------- */

static int read_rope_scaling(struct sl_config *c, const json_t *o)
{
    const json_t *s = json_object_get(o, "rope_scaling");
    if (is_absent(s))
        return 0;
    const json_t *type = json_object_get(s, "type");
    type = type ? type : json_object_get(s, "rope_type");
    const char *name = json_string_value(type);
    c->rope_table = SL_ROPE_TABLE_F32;
    c->rope_factor = 1;
    int err = get_real(s, "factor", &c->rope_factor);
    if (err || !name)
        return err ? err : bad_key("rope_scaling", "has no type");
    if (!strcmp(name, "linear")) {
        c->rope = SL_ROPE_LINEAR;
        return 0;
    }
    err = get_real(s, "alpha", &c->rope_alpha);
    if (err || strcmp(name, "dynamic") || c->rope_alpha == 0)
        return err ? err
                   : unsupported_key("rope_scaling", "must be null, linear, or dynamic with alpha");
    c->rope = SL_ROPE_NTK_ALPHA;
    return 0;
}

static int read_hunyuan_attention(struct sl_config *c, const json_t *o)
{
    bool use_cla = false;
    uint32_t factor = 2;
    c->n_kv_head = c->n_head;
    c->head_dim = c->d_model / c->n_head;
    int err = get_count(o, "num_key_value_heads", 1, c->n_head, &c->n_kv_head);
    err = err ? err : get_count(o, "attention_head_dim", 2, MAX_HEAD_DIM, &c->head_dim);
    err = err ? err : get_count(o, "head_dim", 2, MAX_HEAD_DIM, &c->head_dim);
    err = err ? err : get_bool(o, "use_qk_norm", &c->qk_norm);
    err = err ? err : get_bool(o, "attention_bias", &c->attention_bias);
    err = err ? err : get_bool(o, "mlp_bias", &c->mlp_bias);
    err = err ? err : get_bool(o, "use_cla", &use_cla);
    err = err ? err : get_count(o, "cla_share_factor", 1, SL_MAX_LAYER, &factor);
    err = err ? err : get_real(o, "rope_theta", &c->rope_theta);
    c->cla_factor = use_cla ? factor : 1;
    c->n_rot = c->head_dim;
    return err ? err : read_rope_scaling(c, o);
}

static int read_hunyuan_moe(struct sl_config *c, const json_t *o)
{
    bool mixed = false;
    uint32_t n_shared = 1;
    int err = need_count(o, "num_experts", 1, SL_MAX_EXPERT, &c->n_expert);
    err = err ? err : get_count(o, "intermediate_size", 1, MAX_WIDTH, &c->d_ff);
    err = err ? err : get_count(o, "moe_intermediate_size", 1, MAX_WIDTH, &c->d_ff);
    c->n_expert_used = 1;
    err = err ? err : get_count(o, "moe_topk", 1, SL_MAX_EXPERT_USED, &c->n_expert_used);
    err = err ? err : get_bool(o, "use_mixed_mlp_moe", &mixed);
    err = err ? err : get_count(o, "num_shared_expert", 0, 64, &n_shared);
    if (!err && !c->d_ff)
        return bad_key("intermediate_size", "is missing");
    c->n_shared_expert = mixed ? n_shared : 0;
    c->d_ff_shared = c->d_ff * c->n_shared_expert;
    c->router = SL_ROUTER_SOFTMAX;
    c->router_renorm = c->n_expert_used > 1;
    return err;
}

static int read_hunyuan(struct sl_config *c, const json_t *o, bool large)
{
    static const struct fixed_key keys[] = {
        {"norm_type", "rms", 0},
        {"position_embedding_xpos", NULL, 0},
        {"use_rotary_pos_emb", NULL, 1},
        {"group_limited_greedy", NULL, 0},
        {"routed_scaling_factor", NULL, 1},
        {"moe_layer_num_skipped", NULL, 0},
        {"norm_topk_prob", NULL, 1},
        {"use_mla", NULL, 0},
        {"add_classification_head", NULL, 0},
    };
    c->family = SL_FAMILY_HUNYUAN;
    c->norm_eps = 1e-5f;
    c->architecture = large ? "hunyuan-large" : "hunyuan-a13b";
    /* Without rope_scaling the Large code rounds its frequencies to bf16; the A13B code does not.
     */
    c->rope_table = large ? SL_ROPE_TABLE_BF16_FREQ : SL_ROPE_TABLE_F32;
    int err = CHECK_FIXED(o, keys);
    err = err ? err : read_common(c, o);
    err = err ? err : read_hunyuan_attention(c, o);
    return err ? err : read_hunyuan_moe(c, o);
}

/* ---- Yuan ----------------------------------------------------------------------------------- */

static int read_yuan_rope(struct sl_config *c, const json_t *o)
{
    static const char *const names[] = {"fp32", "bf16freq", "authors"};
    static const enum sl_rope_table tables[] = {SL_ROPE_TABLE_F32, SL_ROPE_TABLE_BF16_FREQ,
                                                SL_ROPE_TABLE_BF16_ALL};
    const json_t *v = json_object_get(o, "rope_table_variant");
    /* What the published model file does when the key is missing. */
    c->rope_table = SL_ROPE_TABLE_BF16_ALL;
    bool known = is_absent(v);
    for (size_t i = 0; json_is_string(v) && i < 3; i++)
        if (!strcmp(json_string_value(v), names[i])) {
            c->rope_table = tables[i];
            known = true;
        }
    if (!known)
        return bad_key("rope_table_variant", "must be fp32, bf16freq or authors");
    return get_real(o, "rotary_base", &c->rope_theta);
}

static int read_yuan_moe(struct sl_config *c, const json_t *o)
{
    static const struct fixed_key keys[] = {{"gated_linear_unit", NULL, 1},
                                            {"norm_topk_prob", NULL, 1},
                                            {"num_attention_router_heads", NULL, 1}};
    const json_t *moe = json_object_get(o, "moe_config");
    if (!json_is_object(moe))
        return unsupported_key("moe_config", "is missing: dense Yuan models are not implemented");
    int err = CHECK_FIXED(moe, keys);
    err = err ? err : need_count(moe, "moe_num_experts", 1, SL_MAX_EXPERT, &c->n_expert);
    err = err ? err : need_count(moe, "moe_top_k", 1, SL_MAX_EXPERT_USED, &c->n_expert_used);
    c->router = SL_ROUTER_ATTENTION;
    c->router_renorm = true;
    return err ? err : need_count(moe, "ffn_hidden_size", 1, MAX_WIDTH, &c->d_ff);
}

static int read_yuan(struct sl_config *c, const json_t *o)
{
    static const struct fixed_key keys[] = {
        {"use_moe", NULL, 1}, {"causal_mask", NULL, 1}, {"reset_attention_mask", NULL, 0}};
    c->family = SL_FAMILY_YUAN;
    c->norm_eps = 1e-6f;
    c->tied = true;
    c->has_lfa = true;
    c->cla_factor = 1;
    c->architecture = "yuan2-m32";
    int err = CHECK_FIXED(o, keys);
    err = err ? err : read_common(c, o);
    c->d_attn = c->d_model;
    err = err ? err : get_count(o, "attention_projection_size", 1, MAX_WIDTH, &c->d_attn);
    err = err ? err : get_count(o, "model_max_length", 1, INT32_MAX, &c->n_ctx_train);
    if (err)
        return err;
    if (c->d_attn % c->n_head || c->d_model % c->n_head || c->n_head % 2 || c->d_model % 2)
        return bad_key("num_attention_heads", "does not divide the widths");
    c->n_kv_head = c->n_head;
    c->head_dim = c->d_attn / c->n_head;
    c->n_rot = c->d_model / c->n_head;
    err = read_yuan_rope(c, o);
    return err ? err : read_yuan_moe(c, o);
}

/* ---- entry points --------------------------------------------------------------------------- */

static int read_config(struct sl_config *c, const json_t *o)
{
    const json_t *first = json_array_get(json_object_get(o, "architectures"), 0);
    const char *name = json_string_value(first);
    *c = (struct sl_config){.rope_theta = 10000, .rope_factor = 1, .n_ctx_train = 4096};
    int err;
    if (!name)
        return bad_key("architectures", "is missing");
    if (!strcmp(name, "HunYuanForCausalLM"))
        err = read_hunyuan(c, o, true);
    else if (!strcmp(name, "HunYuanMoEV1ForCausalLM"))
        err = read_hunyuan(c, o, false);
    else if (!strcmp(name, "YuanForCausalLM"))
        err = read_yuan(c, o);
    else
        return sl_fail(SL_ERR_UNSUPPORTED,
                       "HunYuanForCausalLM, HunYuanMoEV1ForCausalLM and YuanForCausalLM run",
                       "config.json: architecture '%.100s' is not implemented", name);
    if (err)
        return err;
    if ((uint64_t)c->n_head * c->head_dim > MAX_WIDTH)
        return bad_key("head_dim", "times num_attention_heads is too large");
    c->d_attn = c->n_head * c->head_dim;
    return check_shape(c);
}

int sl_config_parse(struct sl_config *out, const char *json, size_t len)
{
    json_error_t why;
    struct sl_config c;
    json_t *o = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "config.json: %s (line %d)",
                       o ? "not an object" : why.text, o ? 1 : why.line);
    }
    int err = read_config(&c, o);
    json_decref(o);
    if (!err)
        *out = c;
    return err;
}

int sl_config_load(struct sl_config *out, const char *path)
{
    struct stat st;
    char file[4096], *text;
    size_t size;
    bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (snprintf(file, sizeof file, is_dir ? "%s/config.json" : "%s", path) >= (int)sizeof file)
        return sl_fail(SL_ERR_IO, "use a shorter path", "path too long: %.100s...", path);
    int err = sl_file_read(&text, &size, file, MAX_CONFIG_BYTES);
    if (err)
        return err;
    err = sl_config_parse(out, text, size);
    free(text);
    return err;
}

/* ---- info ----------------------------------------------------------------------------------- */

static uint64_t attention_params(const struct sl_config *c, bool owner)
{
    uint64_t d = c->d_model, kv = (uint64_t)c->n_kv_head * c->head_dim;
    uint64_t n = 2 * d * c->d_attn + (owner ? 2 * d * kv : 0);
    if (c->qk_norm)
        n += 2 * c->head_dim;
    if (c->attention_bias)
        n += c->d_attn + d + (owner ? 2 * kv : 0);
    if (c->has_lfa) /* two convolutions of two taps with biases, and a norm */
        n += 2 * (d * (d / 2) * 2) + d / 2 + d + d;
    return n;
}

static uint64_t mlp_params(const struct sl_config *c, uint64_t d_ff)
{
    uint64_t d = c->d_model;
    return 3 * d * d_ff + (c->mlp_bias && d_ff ? 2 * d_ff + d : 0);
}

static void count_params(const struct sl_config *c, struct sl_model_info *out)
{
    uint64_t d = c->d_model, expert = mlp_params(c, c->d_ff);
    uint64_t router = d * c->n_expert * (c->router == SL_ROUTER_ATTENTION ? 3 : 1);
    uint64_t n = (uint64_t)c->n_vocab * d * (c->tied ? 1 : 2) + d;
    for (uint32_t l = 0; l < c->n_layer; l++)
        n += attention_params(c, sl_config_kv_owner(c, l) == l) + 2 * d + router +
             mlp_params(c, c->d_ff_shared);
    out->n_param = n + expert * c->n_expert * c->n_layer;
    out->n_param_active = n + expert * c->n_expert_used * c->n_layer;
}

void sl_config_get_info(const struct sl_config *c, struct sl_model_info *out)
{
    uint64_t vectors = 2ull * sl_config_n_kv_layer(c) * c->n_kv_head;
    *out = (struct sl_model_info){
        .architecture = c->architecture,
        .format = "-",
        .format_dense = "-",
        .device = "-",
        .n_layer = c->n_layer,
        .d_model = c->d_model,
        .n_head = c->n_head,
        .n_kv_head = c->n_kv_head,
        .head_dim = c->head_dim,
        .d_ff = c->d_ff,
        .n_expert = c->n_expert,
        .n_expert_used = c->n_expert_used,
        .n_shared_expert = c->n_shared_expert,
        .n_vocab = c->n_vocab,
        .n_ctx_train = c->n_ctx_train,
        .cla_factor = c->cla_factor,
        .kv_bytes_mha_bf16 = 4ull * c->n_layer * c->n_head * c->head_dim,
        .kv_bytes_bf16 = vectors * c->head_dim * 2,
        .kv_bytes_int8 = vectors * sl_kv_vec_bytes(SL_KV_INT8, c->head_dim),
        .kv_bytes_int4 = vectors * sl_kv_vec_bytes(SL_KV_INT4, c->head_dim),
        .lfa_state_bytes = c->has_lfa ? 4ull * c->n_layer * (c->d_model + c->d_model / 2) : 0,
    };
    count_params(c, out);
}

int sl_config_info(const char *path, struct sl_model_info *out)
{
    struct sl_config c;
    int err = sl_config_load(&c, path);
    if (!err)
        sl_config_get_info(&c, out);
    return err;
}
