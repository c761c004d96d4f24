/* SPDX-License-Identifier: Apache-2.0 */
#include "store/names.h"

#include <stdio.h>

static const enum sl_role_level levels[SL_N_ROLE] = {
#define ROLE(name, level, storage) SL_LEVEL_##level,
    SL_ROLES(ROLE)
#undef ROLE
};

/* Suffixes behind "model.layers.L." (LAYER) or the family's module of experts (EXPERT); whole names
 * otherwise. */
static const char *const common_names[SL_N_ROLE] = {
    [SL_ROLE_EMBED] = "model.embed_tokens.weight",
    [SL_ROLE_FINAL_NORM] = "model.norm.weight",
    [SL_ROLE_LM_HEAD] = "lm_head.weight",
    [SL_ROLE_ATTN_NORM] = "input_layernorm.weight",
    [SL_ROLE_FFN_NORM] = "post_attention_layernorm.weight",
    [SL_ROLE_Q] = "self_attn.q_proj.weight",
    [SL_ROLE_K] = "self_attn.k_proj.weight",
    [SL_ROLE_V] = "self_attn.v_proj.weight",
    [SL_ROLE_O] = "self_attn.o_proj.weight",
    [SL_ROLE_Q_BIAS] = "self_attn.q_proj.bias",
    [SL_ROLE_K_BIAS] = "self_attn.k_proj.bias",
    [SL_ROLE_V_BIAS] = "self_attn.v_proj.bias",
    [SL_ROLE_O_BIAS] = "self_attn.o_proj.bias",
};
static const char *const hunyuan_names[SL_N_ROLE] = {
    [SL_ROLE_Q_NORM] = "self_attn.query_layernorm.weight",
    [SL_ROLE_K_NORM] = "self_attn.key_layernorm.weight",
    [SL_ROLE_ROUTER] = "mlp.gate.wg.weight",
    [SL_ROLE_SHARED_GATE] = "mlp.shared_mlp.gate_proj.weight",
    [SL_ROLE_SHARED_UP] = "mlp.shared_mlp.up_proj.weight",
    [SL_ROLE_SHARED_DOWN] = "mlp.shared_mlp.down_proj.weight",
    [SL_ROLE_EXPERT_GATE] = "gate_proj.weight",
    [SL_ROLE_EXPERT_UP] = "up_proj.weight",
    [SL_ROLE_EXPERT_DOWN] = "down_proj.weight",
};
static const char *const mixtral_names[SL_N_ROLE] = {
    [SL_ROLE_ROUTER] = "block_sparse_moe.gate.weight",
    [SL_ROLE_EXPERT_GATE] = "w1.weight",
    [SL_ROLE_EXPERT_UP] = "w3.weight",
    [SL_ROLE_EXPERT_DOWN] = "w2.weight",
};
static const char *const llama_names[SL_N_ROLE] = {
    [SL_ROLE_Q_NORM] = "self_attn.q_norm.weight", [SL_ROLE_K_NORM] = "self_attn.k_norm.weight",
    [SL_ROLE_ROUTER] = "mlp.gate.weight",         [SL_ROLE_SHARED_GATE] = "mlp.gate_proj.weight",
    [SL_ROLE_SHARED_UP] = "mlp.up_proj.weight",   [SL_ROLE_SHARED_DOWN] = "mlp.down_proj.weight",
    [SL_ROLE_EXPERT_GATE] = "gate_proj.weight",   [SL_ROLE_EXPERT_UP] = "up_proj.weight",
    [SL_ROLE_EXPERT_DOWN] = "down_proj.weight",
};
static const char *const yuan_names[SL_N_ROLE] = {
    [SL_ROLE_LFA_CONV1] = "self_attn.lf_gate.conv1.weight",
    [SL_ROLE_LFA_CONV1_BIAS] = "self_attn.lf_gate.conv1.bias",
    [SL_ROLE_LFA_CONV2] = "self_attn.lf_gate.conv2.weight",
    [SL_ROLE_LFA_CONV2_BIAS] = "self_attn.lf_gate.conv2.bias",
    [SL_ROLE_LFA_NORM] = "self_attn.lf_gate.output_layernorm.weight",
    [SL_ROLE_ROUTER] = "mlp.gate.query.weight",
    [SL_ROLE_ROUTER_KEY] = "mlp.gate.key.weight",
    [SL_ROLE_ROUTER_VALUE] = "mlp.gate.value.weight",
    [SL_ROLE_EXPERT_GATE_UP] = "w1.weight",
    [SL_ROLE_EXPERT_DOWN] = "w2.weight",
};

static const struct {
    const char *const *name; /* of roles that common_names leaves open */
    const char *experts;     /* "model.layers.L.<experts>.E.<suffix>" */
} families[SL_N_FAMILY] = {
    [SL_FAMILY_HUNYUAN] = {hunyuan_names, "mlp.experts"},
    [SL_FAMILY_YUAN] = {yuan_names, "mlp.experts"},
    [SL_FAMILY_MIXTRAL] = {mixtral_names, "block_sparse_moe.experts"},
    [SL_FAMILY_LLAMA] = {llama_names, "mlp.experts"},
};

enum sl_role_level sl_role_level(enum sl_role role)
{
    return levels[role];
}

bool sl_role_is_kept(enum sl_role role)
{
    enum { KEEP, SLAB };
    static const uint8_t storage_of[SL_N_ROLE] = {
#define ROLE(name, level, storage) storage,
        SL_ROLES(ROLE)
#undef ROLE
    };
    return storage_of[role] == KEEP;
}

static const char *find_suffix(enum sl_family family, enum sl_role role)
{
    return common_names[role] ? common_names[role] : families[family].name[role];
}

void sl_tensor_name(char out[SL_NAME_MAX], enum sl_family family, struct sl_tensor_id id)
{
    const char *suffix = find_suffix(family, id.role);
    out[0] = 0;
    if (!suffix)
        return;
    switch (levels[id.role]) {
    case SL_LEVEL_MODEL: snprintf(out, SL_NAME_MAX, "%s", suffix); break;
    case SL_LEVEL_LAYER: snprintf(out, SL_NAME_MAX, "model.layers.%u.%s", id.layer, suffix); break;
    case SL_LEVEL_EXPERT:
        snprintf(out, SL_NAME_MAX, "model.layers.%u.%s.%u.%s", id.layer, families[family].experts,
                 id.expert, suffix);
        break;
    }
}

bool sl_tensor_exists(const struct sl_config *c, struct sl_tensor_id id)
{
    if (!find_suffix(c->family, id.role))
        return false;
    bool owner = sl_config_kv_owner(c, id.layer) == id.layer;
    switch (id.role) {
    case SL_ROLE_LM_HEAD: return !c->tied;
    case SL_ROLE_K:
    case SL_ROLE_V: return owner;
    case SL_ROLE_K_BIAS:
    case SL_ROLE_V_BIAS: return c->attention_bias && owner;
    case SL_ROLE_Q_BIAS: return c->attention_bias;
    case SL_ROLE_O_BIAS: return c->o_bias;
    case SL_ROLE_Q_NORM:
    case SL_ROLE_K_NORM: return c->qk_norm;
    case SL_ROLE_LFA_CONV1:
    case SL_ROLE_LFA_CONV1_BIAS:
    case SL_ROLE_LFA_CONV2:
    case SL_ROLE_LFA_CONV2_BIAS:
    case SL_ROLE_LFA_NORM: return c->has_lfa;
    case SL_ROLE_ROUTER_KEY:
    case SL_ROLE_ROUTER_VALUE: return c->router == SL_ROUTER_ATTENTION;
    case SL_ROLE_SHARED_GATE:
    case SL_ROLE_SHARED_UP:
    case SL_ROLE_SHARED_DOWN: return c->d_ff_shared > 0;
    default: return true;
    }
}

static unsigned shape(uint64_t dim[4], unsigned n, uint64_t rows, uint64_t columns)
{
    dim[0] = rows;
    dim[1] = columns;
    dim[2] = 2; /* convolutions over two tokens */
    dim[3] = 1;
    return n;
}

static unsigned layer_shape(const struct sl_config *c, enum sl_role role, uint64_t dim[4])
{
    uint64_t d = c->d_model, d_kv = (uint64_t)c->n_kv_head * c->head_dim;
    switch (role) {
    case SL_ROLE_Q: return shape(dim, 2, c->d_attn, d);
    case SL_ROLE_K:
    case SL_ROLE_V: return shape(dim, 2, d_kv, d);
    case SL_ROLE_O: return shape(dim, 2, d, c->d_attn);
    case SL_ROLE_Q_BIAS: return shape(dim, 1, c->d_attn, 0);
    case SL_ROLE_K_BIAS:
    case SL_ROLE_V_BIAS: return shape(dim, 1, d_kv, 0);
    case SL_ROLE_Q_NORM: return shape(dim, 1, c->qk_norm_whole ? c->d_attn : c->head_dim, 0);
    case SL_ROLE_K_NORM: return shape(dim, 1, c->qk_norm_whole ? d_kv : c->head_dim, 0);
    case SL_ROLE_LFA_CONV1: return shape(dim, 4, d / 2, d);
    case SL_ROLE_LFA_CONV1_BIAS: return shape(dim, 1, d / 2, 0);
    case SL_ROLE_LFA_CONV2: return shape(dim, 4, d, d / 2);
    case SL_ROLE_ROUTER:
    case SL_ROLE_ROUTER_KEY:
    case SL_ROLE_ROUTER_VALUE: return shape(dim, 2, c->n_expert, d);
    case SL_ROLE_SHARED_GATE:
    case SL_ROLE_SHARED_UP: return shape(dim, 2, c->d_ff_shared, d);
    case SL_ROLE_SHARED_DOWN: return shape(dim, 2, d, c->d_ff_shared);
    default: return shape(dim, 1, d, 0); /* norms, and the biases of O and the second convolution */
    }
}

unsigned sl_tensor_shape(const struct sl_config *c, enum sl_role role, uint64_t dim[4])
{
    switch (role) {
    case SL_ROLE_EMBED:
    case SL_ROLE_LM_HEAD: return shape(dim, 2, c->n_vocab, c->d_model);
    case SL_ROLE_EXPERT_GATE:
    case SL_ROLE_EXPERT_UP: return shape(dim, 2, c->d_ff, c->d_model);
    case SL_ROLE_EXPERT_GATE_UP: return shape(dim, 2, 2 * (uint64_t)c->d_ff, c->d_model);
    case SL_ROLE_EXPERT_DOWN: return shape(dim, 2, c->d_model, c->d_ff);
    default: return layer_shape(c, role, dim);
    }
}

int sl_tensor_need(const struct sl_tensor **out, const struct sl_checkpoint *ckpt,
                   const struct sl_config *c, struct sl_tensor_id id)
{
    char name[SL_NAME_MAX];
    uint64_t dim[4];
    sl_tensor_name(name, c->family, id);
    unsigned n = sl_tensor_shape(c, id.role, dim);
    return sl_checkpoint_need(ckpt, out, name, n, dim);
}
