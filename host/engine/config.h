/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: the facts of a model's architecture that its mathematics depends on. */
#ifndef SL_ENGINE_CONFIG_H
#define SL_ENGINE_CONFIG_H

#include "sluice.h"

enum { SL_MAX_LAYER = 1024 };

enum sl_family {
    SL_FAMILY_HUNYUAN, /* Hunyuan-Large and Hunyuan-A13B: GQA, optional CLA and QK-norm, shared
                          expert */
    SL_FAMILY_YUAN,    /* Yuan 2.0-M32: MHA, localized filtering, attention router */
    SL_FAMILY_MIXTRAL,
    SL_FAMILY_LLAMA, /* and Mistral, Qwen, OLMoE, whose tensors have the same names */
    SL_N_FAMILY
};

enum sl_router_kind { SL_ROUTER_SOFTMAX, SL_ROUTER_ATTENTION };

enum sl_rope_kind {
    SL_ROPE_PLAIN,     /* theta^(-2i/R) */
    SL_ROPE_NTK_ALPHA, /* base = theta * alpha^(R/(R-2)) */
    SL_ROPE_LINEAR,    /* positions divided by factor */
    SL_ROPE_LLAMA3     /* low frequencies divided by factor, high ones kept (docs/numerics.md 6) */
};

/* How the frequency and angle tables are rounded (released code differs; see docs/numerics.md). */
enum sl_rope_table { SL_ROPE_TABLE_F32, SL_ROPE_TABLE_BF16_FREQ, SL_ROPE_TABLE_BF16_ALL };

struct sl_config {
    enum sl_family family;
    const char *architecture; /* as sl_model_info; static */
    uint32_t n_layer, d_model, n_head, n_kv_head, head_dim, n_vocab, n_ctx_train;
    uint32_t d_attn;      /* n_head * head_dim: rows of Q, columns of O */
    uint32_t d_ff;        /* width of one routed expert */
    uint32_t d_ff_shared; /* width of the shared MLP (d_ff * number of shared experts); 0: none */
    /* n_expert 0: a dense model, whose only MLP is what is called the shared expert here */
    uint32_t n_expert, n_expert_used, n_shared_expert;
    enum sl_router_kind router;
    bool router_renorm; /* weights of the chosen sum to one */
    float norm_eps;
    bool qk_norm;        /* per head, each layer its own weights */
    bool qk_norm_first;  /* before RoPE; else behind it. Never with CLA */
    bool qk_norm_whole;  /* not per head: over all of Q, all of K; then also first */
    uint32_t cla_factor; /* layers that share one K/V; 1: none */
    bool attention_bias; /* Q, K, V have biases */
    bool o_bias;         /* O has */
    bool mlp_bias;
    bool tied;    /* LM head = embedding */
    bool has_lfa; /* Yuan's localized filtering before Q and K */
    enum sl_rope_kind rope;
    enum sl_rope_table rope_table;
    uint32_t n_rot; /* rotated channels of each head, the first ones */
    float rope_theta, rope_alpha, rope_factor;
    float rope_low, rope_high, rope_ctx; /* Llama 3: frequency factors, context before scaling */
};

/* Layer that owns the K/V that `layer` attends to. */
static inline uint32_t sl_config_kv_owner(const struct sl_config *c, uint32_t layer)
{
    return layer - layer % c->cla_factor;
}

static inline uint32_t sl_config_n_kv_layer(const struct sl_config *c)
{
    return (c->n_layer + c->cla_factor - 1) / c->cla_factor;
}

/* Reads dir/config.json (or path itself when it names a file). Unknown architectures and keys whose
 * value would change the mathematics are refused by name: SL_ERR_UNSUPPORTED. SL_ERR_FORMAT,
 * SL_ERR_SHAPE otherwise. */
int sl_config_load(struct sl_config *out, const char *path);
/* The same from text (a store keeps the original config.json). */
int sl_config_parse(struct sl_config *out, const char *json, size_t len);
void sl_config_get_info(const struct sl_config *c, struct sl_model_info *out);

#endif
