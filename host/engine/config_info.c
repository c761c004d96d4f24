/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"
#include "engine/ops.h"

static uint64_t attention_params(const struct sl_config *c, bool owner)
{
    uint64_t d = c->d_model, kv = (uint64_t)c->n_kv_head * c->head_dim;
    uint64_t n = 2 * d * c->d_attn + (owner ? 2 * d * kv : 0);
    if (c->qk_norm)
        n += c->qk_norm_whole ? c->d_attn + kv : 2 * c->head_dim;
    if (c->attention_bias)
        n += c->d_attn + (owner ? 2 * kv : 0);
    if (c->o_bias)
        n += d;
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
    if (!c->n_expert) { /* the only MLP is nobody's shared expert */
        out->d_ff = c->d_ff_shared;
        out->n_shared_expert = 0;
    }
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
