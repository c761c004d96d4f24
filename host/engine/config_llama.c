/* SPDX-License-Identifier: Apache-2.0 */
/* Llama and what differs from it by switches: Mistral, Mixtral, Qwen, OLMoE. What a missing key
 * means is what the published configuration classes say. */
#include "engine/config_family.h"

#include <string.h>

enum norm { NO_NORM, PER_HEAD, WHOLE }; /* of Q and K, before RoPE */
enum bias { NO_BIAS, BY_KEY, ON_QKV };  /* BY_KEY: attention_bias, on O too */
enum renorm { RENORM, RENORM_BY_KEY };

/* Keys of a mixture; n_expert NULL: dense. */
struct expert_keys {
    const char *n_expert, *width;
    enum renorm renorm;
};

struct traits {
    const char *class, *architecture, *model_type;
    enum sl_family family;
    struct expert_keys experts;
    enum norm qk_norm;
    enum bias bias;
    bool mlp_bias;                      /* the key is read */
    bool windows;                       /* sliding_window is read without use_sliding_window */
    uint32_t kv_head, head_dim, window; /* without their keys; 0: n_head, a share, none */
    float norm_eps, rope_theta;
    uint32_t n_ctx;
};

static const struct traits all_traits[] = {
    {.class = "LlamaForCausalLM",
     .architecture = "llama",
     .model_type = "llama",
     .family = SL_FAMILY_LLAMA,
     .bias = BY_KEY,
     .mlp_bias = true,
     .windows = true,
     .norm_eps = 1e-6f,
     .rope_theta = 1e4f,
     .n_ctx = 2048},
    {.class = "MistralForCausalLM",
     .architecture = "mistral",
     .model_type = "mistral",
     .family = SL_FAMILY_LLAMA,
     .windows = true,
     .kv_head = 8,
     .window = 4096,
     .norm_eps = 1e-6f,
     .rope_theta = 1e4f,
     .n_ctx = 131072},
    {.class = "MixtralForCausalLM",
     .architecture = "mixtral",
     .model_type = "mixtral",
     .family = SL_FAMILY_MIXTRAL,
     .experts = {"num_local_experts", "intermediate_size", RENORM},
     .windows = true,
     .kv_head = 8,
     .norm_eps = 1e-5f,
     .rope_theta = 1e6f,
     .n_ctx = 131072},
    {.class = "Qwen2ForCausalLM",
     .architecture = "qwen2",
     .model_type = "qwen2",
     .family = SL_FAMILY_LLAMA,
     .bias = ON_QKV,
     .kv_head = 32,
     .norm_eps = 1e-6f,
     .rope_theta = 1e4f,
     .n_ctx = 32768},
    {.class = "Qwen3ForCausalLM",
     .architecture = "qwen3",
     .model_type = "qwen3",
     .family = SL_FAMILY_LLAMA,
     .qk_norm = PER_HEAD,
     .bias = BY_KEY,
     .kv_head = 32,
     .head_dim = 128,
     .norm_eps = 1e-6f,
     .rope_theta = 1e4f,
     .n_ctx = 32768},
    {.class = "Qwen3MoeForCausalLM",
     .architecture = "qwen3-moe",
     .model_type = "qwen3_moe",
     .family = SL_FAMILY_LLAMA,
     .experts = {"num_experts", "moe_intermediate_size", RENORM_BY_KEY},
     .qk_norm = PER_HEAD,
     .bias = BY_KEY,
     .kv_head = 4,
     .norm_eps = 1e-6f,
     .rope_theta = 1e4f,
     .n_ctx = 32768},
    {.class = "OlmoeForCausalLM",
     .architecture = "olmoe",
     .model_type = "olmoe",
     .family = SL_FAMILY_LLAMA,
     .experts = {"num_experts", "intermediate_size", RENORM_BY_KEY},
     .qk_norm = WHOLE,
     .bias = BY_KEY,
     .norm_eps = 1e-5f,
     .rope_theta = 1e4f,
     .n_ctx = 4096},
};

/* ---- RoPE ----------------------------------------------------------------------------------- */

static int read_llama3(struct sl_config *c, const json_t *s)
{
    static const struct sl_real_key low = {"low_freq_factor", 1e-3, 1e6},
                                    high = {"high_freq_factor", 1e-3, 1e6},
                                    ctx = {"original_max_position_embeddings", 1, 1e9};
    c->rope = SL_ROPE_LLAMA3;
    int err = sl_key_need_real(s, low, &c->rope_low);
    err = err ? err : sl_key_need_real(s, high, &c->rope_high);
    err = err ? err : sl_key_need_real(s, ctx, &c->rope_ctx);
    if (!err && c->rope_high <= c->rope_low)
        err = sl_key_bad(high.key, "is not larger than low_freq_factor");
    return err;
}

/* `s`: the object under `key`. A base in it may only repeat what is known. */
static int read_rope_object(struct sl_config *c, const json_t *s, const char *key)
{
    const struct sl_fixed_key fixed[] = {{"partial_rotary_factor", NULL, 1},
                                         {"rope_theta", NULL, (double)c->rope_theta}};
    static const struct sl_real_key factor = {"factor", 1, 1e6};
    const json_t *type = json_object_get(s, "rope_type");
    type = sl_key_is_absent(type) ? json_object_get(s, "type") : type;
    const char *name = json_string_value(type);
    if (!json_is_object(s))
        return sl_key_bad(key, "must be an object");
    if (!name)
        return sl_key_bad(key, "has no rope_type");
    int err = SL_KEYS_CHECK_FIXED(s, fixed);
    if (err || !strcmp(name, "default"))
        return err;
    if (strcmp(name, "linear") && strcmp(name, "llama3"))
        return sl_key_refuse_value(key, type);
    err = sl_key_need_real(s, factor, &c->rope_factor);
    c->rope = SL_ROPE_LINEAR;
    return err || !strcmp(name, "linear") ? err : read_llama3(c, s);
}

static bool same_rope(const struct sl_config *a, const struct sl_config *b)
{
    return a->rope == b->rope && a->rope_theta == b->rope_theta &&
           a->rope_factor == b->rope_factor && a->rope_low == b->rope_low &&
           a->rope_high == b->rope_high && a->rope_ctx == b->rope_ctx;
}

/* rope_parameters may stand alone, or repeat what the older keys say. */
static int read_rope(struct sl_config *c, const json_t *o)
{
    static const struct sl_real_key theta = {"rope_theta", 1, 1e12};
    const json_t *old = json_object_get(o, "rope_scaling");
    const json_t *parameters = json_object_get(o, "rope_parameters");
    const bool has_theta = !sl_key_is_absent(json_object_get(o, theta.key));
    int err = sl_key_get_real(o, theta, &c->rope_theta);
    struct sl_config other = *c;
    if (!err && !sl_key_is_absent(old))
        err = read_rope_object(c, old, "rope_scaling");
    if (err || sl_key_is_absent(parameters))
        return err;
    err = sl_key_get_real(parameters, theta, &other.rope_theta);
    err = err ? err : read_rope_object(&other, parameters, "rope_parameters");
    if (err)
        return err;
    if ((has_theta && other.rope_theta != c->rope_theta) ||
        (!sl_key_is_absent(old) && !same_rope(c, &other)))
        return sl_key_bad("rope_parameters", "contradicts rope_theta or rope_scaling");
    *c = other;
    return 0;
}

/* ---- attention ------------------------------------------------------------------------------ */

/* A window that no text outgrows is none. */
static int check_window(const struct sl_config *c, const json_t *o, const struct traits *t)
{
    const json_t *v = json_object_get(o, "sliding_window");
    uint32_t window = v ? 0 : t->window;
    if (!t->windows) /* read with use_sliding_window alone, which is refused */
        return 0;
    int err =
        sl_key_get_count(o, (struct sl_count_key){"sliding_window", 1, INT32_MAX, 0}, &window);
    if (err || !window || window >= c->n_ctx_train)
        return err;
    return sl_key_unsupported("sliding_window", "is shorter than the context: attention within "
                                                "a window is not implemented");
}

static int check_layer_types(const json_t *o)
{
    const json_t *list = json_object_get(o, "layer_types"), *entry;
    size_t i;
    if (!sl_key_is_absent(list) && !json_is_array(list))
        return sl_key_bad("layer_types", "must be a list");
    json_array_foreach(list, i, entry)
    {
        if (!json_is_string(entry) || strcmp(json_string_value(entry), "full_attention"))
            return sl_key_refuse_value("layer_types", entry);
    }
    return 0;
}

static int read_biases(struct sl_config *c, const json_t *o, const struct traits *t)
{
    static const struct sl_fixed_key none[] = {{"attention_bias", NULL, 0}};
    c->attention_bias = t->bias == ON_QKV;
    if (t->bias != BY_KEY)
        return t->bias == ON_QKV ? 0 : SL_KEYS_CHECK_FIXED(o, none);
    int err = sl_key_get_bool(o, "attention_bias", &c->attention_bias);
    c->o_bias = c->attention_bias;
    return err;
}

static int read_attention(struct sl_config *c, const json_t *o, const struct traits *t)
{
    c->n_kv_head = t->kv_head ? t->kv_head : c->n_head;
    c->head_dim = t->head_dim;
    int err = sl_config_read_heads(c, o);
    err = err ? err : read_biases(c, o, t);
    err = err ? err : check_window(c, o, t);
    err = err ? err : check_layer_types(o);
    c->n_rot = c->head_dim;
    c->qk_norm = c->qk_norm_first = t->qk_norm != NO_NORM;
    c->qk_norm_whole = t->qk_norm == WHOLE;
    return err;
}

/* ---- feed forward --------------------------------------------------------------------------- */

/* One MLP for every token: what a mixture of experts calls its shared expert. */
static int read_dense(struct sl_config *c, const json_t *o)
{
    static const struct sl_count_key width = {"intermediate_size", 1, SL_CONFIG_MAX_WIDTH, 0};
    c->n_shared_expert = 1;
    return sl_key_need_count(o, width, &c->d_ff_shared);
}

static int read_experts(struct sl_config *c, const json_t *o, const struct expert_keys *keys)
{
    const struct sl_count_key n = {keys->n_expert, 0, SL_MAX_EXPERT, 0};
    const struct sl_count_key width = {keys->width, 1, SL_CONFIG_MAX_WIDTH, 0};
    int err = sl_key_need_count(o, n, &c->n_expert);
    if (!err && c->n_expert < 2)
        return sl_config_refuse_dense(n.key);
    const uint32_t most = c->n_expert < SL_MAX_EXPERT_USED ? c->n_expert : SL_MAX_EXPERT_USED;
    const struct sl_count_key used = {"num_experts_per_tok", 1, most, 0};
    err = err ? err : sl_key_need_count(o, used, &c->n_expert_used);
    err = err ? err : sl_key_need_count(o, width, &c->d_ff);
    c->router = SL_ROUTER_SOFTMAX;
    c->router_renorm = keys->renorm == RENORM;
    return err || c->router_renorm ? err : sl_key_get_bool(o, "norm_topk_prob", &c->router_renorm);
}

/* Layers without experts between those that have them. */
static int check_sparse(const json_t *o)
{
    static const struct sl_fixed_key step[] = {{"decoder_sparse_step", NULL, 1}};
    const json_t *list = json_object_get(o, "mlp_only_layers");
    if (!sl_key_is_absent(list) && (!json_is_array(list) || json_array_size(list)))
        return sl_key_refuse_value("mlp_only_layers", list);
    return SL_KEYS_CHECK_FIXED(o, step);
}

static int read_feed_forward(struct sl_config *c, const json_t *o, const struct traits *t)
{
    static const struct sl_fixed_key no_bias[] = {{"mlp_bias", NULL, 0}};
    int err = t->mlp_bias ? sl_key_get_bool(o, "mlp_bias", &c->mlp_bias)
                          : SL_KEYS_CHECK_FIXED(o, no_bias);
    if (err || !t->experts.n_expert)
        return err ? err : read_dense(c, o);
    err = check_sparse(o);
    return err ? err : read_experts(c, o, &t->experts);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static const struct traits *find(const char *class)
{
    for (size_t i = 0; i < sizeof all_traits / sizeof all_traits[0]; i++)
        if (!strcmp(all_traits[i].class, class))
            return &all_traits[i];
    return NULL;
}

bool sl_config_is_llama(const char *class)
{
    return find(class);
}

int sl_config_read_llama(struct sl_config *c, const json_t *o, const char *class)
{
    const struct traits *t = find(class);
    const struct sl_fixed_key keys[] = {
        {"model_type", t->model_type, 0},
        {"use_sliding_window", NULL, 0},
        {"partial_rotary_factor", NULL, 1},
        {"embedding_multiplier", NULL, 1},
        {"residual_multiplier", NULL, 1},
        {"logits_scaling", NULL, 1},
        {"use_qk_norm", NULL, t->qk_norm != NO_NORM},
        {"use_cla", NULL, 0},
        {"use_mla", NULL, 0},
        /* No word: null only. */
        {"clip_qkv", "", 0},
        {"attn_logit_softcapping", "", 0},
        {"final_logit_softcapping", "", 0},
    };
    c->family = t->family;
    c->architecture = t->architecture;
    c->norm_eps = t->norm_eps;
    c->rope_theta = t->rope_theta;
    c->n_ctx_train = t->n_ctx;
    c->cla_factor = 1;
    int err = SL_KEYS_CHECK_FIXED(o, keys);
    err = err ? err : sl_config_read_common(c, o);
    err = err ? err : read_attention(c, o, t);
    err = err ? err : read_rope(c, o);
    return err ? err : read_feed_forward(c, o, t);
}
