/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "engine/ops.h"
#include "store/quant_config.h"

enum {
    MAX_CONFIG_BYTES = 1 << 24,
    MAX_WIDTH = 1 << 20,
    MAX_VOCAB = 1 << 24,
    MAX_HEAD_DIM = 256,
    MAX_SHARED = 64
};

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

/* An integer key. n_layer: entries that a per-layer list needs, 0 where a list has no meaning. */
struct count_key {
    const char *key;
    uint32_t min, max, n_layer;
};

/* The value that all layers share, or NULL with *err set. */
static const json_t *common_entry(const json_t *list, const struct count_key *k, int *err)
{
    size_t i;
    const json_t *entry, *first = json_array_get(list, 0);
    if (!k->n_layer || json_array_size(list) < k->n_layer) {
        *err = bad_key(k->key, k->n_layer ? "has fewer entries than layers" : "must not be a list");
        return NULL;
    }
    json_array_foreach(list, i, entry)
    {
        if (!json_equal(entry, first)) {
            *err = unsupported_key(k->key, "differs between layers");
            return NULL;
        }
    }
    return first;
}

/* Absent: *out keeps its value. */
static int get_count(const json_t *o, struct count_key k, uint32_t *out)
{
    const json_t *v = json_object_get(o, k.key);
    int err = 0;
    if (is_absent(v))
        return 0;
    v = json_is_array(v) ? common_entry(v, &k, &err) : v;
    if (err)
        return err;
    if (!json_is_integer(v) || json_integer_value(v) < k.min || json_integer_value(v) > k.max) {
        char why[80];
        snprintf(why, sizeof why, "must be an integer from %u to %u", k.min, k.max);
        return bad_key(k.key, why);
    }
    *out = (uint32_t)json_integer_value(v);
    return 0;
}

static int need_count(const json_t *o, struct count_key k, uint32_t *out)
{
    return is_absent(json_object_get(o, k.key)) ? bad_key(k.key, "is missing")
                                                : get_count(o, k, out);
}

/* A number in [min, max]. Absent: *out keeps its value. */
struct real_key {
    const char *key;
    double min, max;
};

static int get_real(const json_t *o, struct real_key k, float *out)
{
    const json_t *v = json_object_get(o, k.key);
    if (is_absent(v))
        return 0;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= k.min && x <= k.max)) {
        char why[80];
        snprintf(why, sizeof why, "must be a number from %g to %g", k.min, k.max);
        return bad_key(k.key, why);
    }
    *out = (float)x;
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

/* Keys that may stand in a config with one value only: any other would change the mathematics. */
struct fixed_key {
    const char *key;
    const char *words; /* the strings that are accepted, blanks between them; NULL: the number */
    double number;     /* false and true count as 0 and 1 */
};

static bool is_word_of(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = words; n && (at = strstr(at, text)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
    return false;
}

static bool fixed_key_agrees(const json_t *v, const struct fixed_key *f)
{
    if (is_absent(v))
        return true;
    if (f->words)
        return json_is_string(v) && is_word_of(f->words, json_string_value(v));
    if (json_is_boolean(v))
        return json_is_true(v) == (f->number != 0);
    return json_is_number(v) && (float)json_number_value(v) == (float)f->number;
}

enum { VALUE_TEXT = 64 };

/* A value as JSON text: one line whatever it holds. */
static void value_text(char out[VALUE_TEXT], const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    snprintf(out, VALUE_TEXT, "%s", text ? text : "?");
    free(text);
}

static int refuse_value(const char *key, const json_t *v)
{
    char text[VALUE_TEXT], why[VALUE_TEXT + 40];
    value_text(text, v);
    snprintf(why, sizeof why, "is %s, which is not implemented", text);
    return unsupported_key(key, why);
}

static int check_fixed(const json_t *o, const struct fixed_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(o, keys[i].key);
        if (!fixed_key_agrees(v, &keys[i]))
            return refuse_value(keys[i].key, v);
    }
    return 0;
}

#define CHECK_FIXED(o, keys) check_fixed(o, keys, sizeof(keys) / sizeof(keys)[0])

/* ---- both families -------------------------------------------------------------------------- */

static int read_quantisation(const json_t *o)
{
    struct sl_quant_config q; /* the checkpoint reads it again, beside its tensors */
    int err = sl_quant_parse(&q, json_object_get(o, "quantization_config"));
    sl_quant_close(&q);
    return err;
}

static int read_common(struct sl_config *c, const json_t *o)
{
    static const struct fixed_key keys[] = {
        {"hidden_act", "silu", 0},
        {"sliding_window", NULL, 0},
        {"rope_parameters", NULL, 0},
        {"logit_scale", NULL, 1},
    };
    int err = CHECK_FIXED(o, keys);
    err = err ? err : read_quantisation(o);
    err = err ? err
              : need_count(o, (struct count_key){"num_hidden_layers", 1, SL_MAX_LAYER, 0},
                           &c->n_layer);
    err =
        err ? err : need_count(o, (struct count_key){"hidden_size", 1, MAX_WIDTH, 0}, &c->d_model);
    err =
        err ? err
            : need_count(o, (struct count_key){"num_attention_heads", 1, MAX_WIDTH, 0}, &c->n_head);
    err = err ? err : need_count(o, (struct count_key){"vocab_size", 1, MAX_VOCAB, 0}, &c->n_vocab);
    err = err ? err
              : get_count(o, (struct count_key){"max_position_embeddings", 1, INT32_MAX, 0},
                          &c->n_ctx_train);
    err = err ? err : get_real(o, (struct real_key){"rms_norm_eps", 1e-30, 1}, &c->norm_eps);
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
        return unsupported_key("num_attention_heads",
                               "gives an odd or too large number of rotated channels");
    if (c->n_expert_used > c->n_expert)
        return bad_key("moe_topk", "is larger than the number of experts");
    return 0;
}

static int refuse_dense(const char *key)
{
    return unsupported_key(key, "asks for a dense model: only mixtures of experts run");
}

/* ---- Hunyuan -------------------------------------------------------------------------------- */

static const struct real_key theta_key = {"rope_theta", 1, 1e12};

/* `large`: whose published code is followed where the two differ. */
static int read_rope_scaling(struct sl_config *c, const json_t *o, bool large)
{
    const json_t *s = json_object_get(o, "rope_scaling");
    /* Without scaling the Large code rounds its frequencies to bf16, the A13B code does not. */
    c->rope_table = large ? SL_ROPE_TABLE_BF16_FREQ : SL_ROPE_TABLE_F32;
    if (is_absent(s))
        return 0;
    const json_t *type = json_object_get(s, "type"), *alpha = json_object_get(s, "alpha");
    type = type ? type : json_object_get(s, "rope_type");
    const char *name = json_string_value(type);
    if (!name)
        return bad_key("rope_scaling", "has no type");
    int err = get_real(s, (struct real_key){"factor", 1, 1e6}, &c->rope_factor);
    if (err)
        return err;
    if (!strcmp(name, "linear")) {
        c->rope = SL_ROPE_LINEAR;
        /* With bf16 frequencies the Large code computes positions, angles and tables in bf16. */
        c->rope_table = large ? SL_ROPE_TABLE_BF16_ALL : SL_ROPE_TABLE_F32;
        return 0;
    }
    if (strcmp(name, "dynamic"))
        return refuse_value("rope_scaling", s);
    if (is_absent(alpha) || (json_is_number(alpha) && json_number_value(alpha) == 0))
        return unsupported_key("rope_scaling", "is dynamic without alpha: frequencies that change "
                                               "with the text's length are not implemented");
    c->rope = SL_ROPE_NTK_ALPHA;
    c->rope_table = SL_ROPE_TABLE_F32;
    return get_real(s, (struct real_key){"alpha", 1e-6, 1e12}, &c->rope_alpha);
}

static int read_head_dim(struct sl_config *c, const json_t *o)
{
    c->head_dim = 0;
    int err =
        get_count(o, (struct count_key){"attention_head_dim", 2, MAX_HEAD_DIM, 0}, &c->head_dim);
    err =
        err ? err : get_count(o, (struct count_key){"head_dim", 2, MAX_HEAD_DIM, 0}, &c->head_dim);
    if (err || c->head_dim)
        return err;
    c->head_dim = c->d_model / c->n_head;
    return c->d_model % c->n_head ? bad_key("num_attention_heads", "does not divide hidden_size")
                                  : 0;
}

static int read_hunyuan_attention(struct sl_config *c, const json_t *o)
{
    bool use_cla = false;
    uint32_t factor = 1;
    c->n_kv_head = c->n_head;
    int err =
        get_count(o, (struct count_key){"num_key_value_heads", 1, c->n_head, 0}, &c->n_kv_head);
    err = err ? err : read_head_dim(c, o);
    err = err ? err : get_bool(o, "use_qk_norm", &c->qk_norm);
    err = err ? err : get_bool(o, "attention_bias", &c->attention_bias);
    err = err ? err : get_bool(o, "mlp_bias", &c->mlp_bias);
    err = err ? err : get_bool(o, "use_cla", &use_cla);
    err = err ? err
              : get_count(o, (struct count_key){"cla_share_factor", 1, SL_MAX_LAYER, 0}, &factor);
    err = err ? err : get_real(o, theta_key, &c->rope_theta);
    c->cla_factor = use_cla ? factor : 1;
    c->n_rot = c->head_dim;
    return err;
}

/* Routed experts may have a width of their own; the shared MLP never uses it. */
static int read_hunyuan_widths(struct sl_config *c, const json_t *o, bool shared)
{
    uint32_t n_shared = 1, width = 0;
    int err = get_count(o, (struct count_key){"intermediate_size", 1, MAX_WIDTH, 0}, &width);
    c->d_ff = width;
    err = err ? err
              : get_count(o, (struct count_key){"moe_intermediate_size", 1, MAX_WIDTH, c->n_layer},
                          &c->d_ff);
    err = err ? err
              : get_count(o, (struct count_key){"num_shared_expert", 0, MAX_SHARED, c->n_layer},
                          &n_shared);
    if (!err && (!c->d_ff || (shared && !width)))
        return bad_key("intermediate_size", "is missing");
    c->n_shared_expert = shared ? n_shared : 0;
    c->d_ff_shared = width * c->n_shared_expert;
    return err;
}

static int read_hunyuan_moe(struct sl_config *c, const json_t *o, bool shared)
{
    static const struct fixed_key renorm[] = {{"norm_topk_prob", NULL, 1}};
    c->n_expert = c->n_expert_used = 1;
    int err =
        get_count(o, (struct count_key){"num_experts", 0, SL_MAX_EXPERT, c->n_layer}, &c->n_expert);
    if (!err && c->n_expert < 2)
        return refuse_dense("num_experts");
    err = err ? err
              : get_count(o, (struct count_key){"moe_topk", 1, SL_MAX_EXPERT_USED, c->n_layer},
                          &c->n_expert_used);
    err = err ? err : get_bool(o, "use_mixed_mlp_moe", &shared);
    c->router = SL_ROUTER_SOFTMAX;
    c->router_renorm = c->n_expert_used > 1;
    err = err || !c->router_renorm ? err : CHECK_FIXED(o, renorm);
    return err ? err : read_hunyuan_widths(c, o, shared);
}

static int read_hunyuan(struct sl_config *c, const json_t *o, bool large)
{
    static const struct fixed_key keys[] = {
        {"model_type", "hunyuan hunyuan_v1_moe", 0},
        {"norm_type", "rms hf_rms", 0},
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
    int err = CHECK_FIXED(o, keys);
    err = err ? err : read_common(c, o);
    err = err ? err : read_hunyuan_attention(c, o);
    err = err ? err : read_rope_scaling(c, o, large);
    return err ? err : read_hunyuan_moe(c, o, port);
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
    int err = get_real(o, (struct real_key){"rotary_base", 1, 1e12}, &c->rope_theta);
    /* The published code does not read rope_theta: it may only repeat the base. */
    const struct fixed_key same[] = {{"rope_theta", NULL, (double)c->rope_theta}};
    return err ? err : CHECK_FIXED(o, same);
}

static int read_yuan_moe(struct sl_config *c, const json_t *o)
{
    static const struct fixed_key keys[] = {{"gated_linear_unit", NULL, 1},
                                            {"num_attention_router_heads", NULL, 1}};
    const json_t *moe = json_object_get(o, "moe_config");
    if (is_absent(moe))
        return refuse_dense("moe_config");
    if (!json_is_object(moe))
        return bad_key("moe_config", "must be an object");
    int err = CHECK_FIXED(moe, keys);
    err = err ? err
              : need_count(moe, (struct count_key){"moe_num_experts", 0, SL_MAX_EXPERT, 0},
                           &c->n_expert);
    if (!err && c->n_expert < 2)
        return refuse_dense("moe_num_experts");
    err = err ? err
              : need_count(moe, (struct count_key){"moe_top_k", 1, SL_MAX_EXPERT_USED, 0},
                           &c->n_expert_used);
    c->router = SL_ROUTER_ATTENTION;
    c->router_renorm = true;
    err = err ? err : get_bool(moe, "norm_topk_prob", &c->router_renorm);
    return err ? err
               : need_count(moe, (struct count_key){"ffn_hidden_size", 1, MAX_WIDTH, 0}, &c->d_ff);
}

static int read_yuan_attention(struct sl_config *c, const json_t *o)
{
    const struct fixed_key all_heads[] = {{"num_key_value_heads", NULL, c->n_head}};
    c->d_attn = c->d_model;
    int err =
        get_count(o, (struct count_key){"attention_projection_size", 1, MAX_WIDTH, 0}, &c->d_attn);
    err = err ? err : CHECK_FIXED(o, all_heads);
    if (err)
        return err;
    if (c->d_attn % c->n_head || c->d_model % c->n_head || c->n_head % 2 || c->d_model % 2)
        return bad_key("num_attention_heads", "is odd or does not divide the widths");
    c->n_kv_head = c->n_head;
    c->head_dim = c->d_attn / c->n_head;
    c->n_rot = c->d_model / c->n_head;
    return 0;
}

static int read_yuan(struct sl_config *c, const json_t *o)
{
    static const struct fixed_key keys[] = {
        {"model_type", "yuan", 0}, {"use_moe", NULL, 1},
        {"causal_mask", NULL, 1},  {"reset_attention_mask", NULL, 0},
        {"use_shareqk", NULL, 0},  {"attention_bias", NULL, 0},
        {"mlp_bias", NULL, 0},     {"use_qk_norm", NULL, 0},
        {"use_cla", NULL, 0},      {"rope_scaling", NULL, 0},
        {"use_yarn", NULL, 0},     {"rotary_percent", NULL, 1},
    };
    c->family = SL_FAMILY_YUAN;
    c->norm_eps = 1e-6f;
    c->n_ctx_train = 8192;
    c->tied = true;
    c->has_lfa = true;
    c->cla_factor = 1;
    c->architecture = "yuan2-m32";
    int err = CHECK_FIXED(o, keys);
    err = err ? err : read_common(c, o);
    err = err ? err
              : get_count(o, (struct count_key){"model_max_length", 1, INT32_MAX, 0},
                          &c->n_ctx_train);
    err = err ? err : read_yuan_attention(c, o);
    err = err ? err : read_yuan_rope(c, o);
    return err ? err : read_yuan_moe(c, o);
}

/* ---- entry points --------------------------------------------------------------------------- */

static int refuse_architecture(const json_t *name)
{
    char text[VALUE_TEXT];
    value_text(text, name);
    return sl_fail(SL_ERR_UNSUPPORTED,
                   "HunYuanForCausalLM, HunYuanMoEV1ForCausalLM and YuanForCausalLM run",
                   "config.json: architecture %s is not implemented", text);
}

static int read_config(struct sl_config *c, const json_t *o)
{
    const json_t *first = json_array_get(json_object_get(o, "architectures"), 0);
    const char *name = json_string_value(first);
    *c = (struct sl_config){.rope_theta = 10000, .rope_factor = 1};
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
        return refuse_architecture(first);
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
        const char *text = o ? "not an object" : why.text; /* may quote a piece with a newline */
        return sl_fail(SL_ERR_FORMAT, "copy the file again", "config.json: %.*s (line %d)",
                       (int)strcspn(text, "\n"), text, o ? 1 : why.line);
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
