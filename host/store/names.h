/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a model: for every role its name in each family's checkpoints, its shape, and
 * whether it exists. The one place that knows names. */
#ifndef SL_STORE_NAMES_H
#define SL_STORE_NAMES_H

#include "engine/config.h"
#include "store/checkpoint.h"

/* ROLE(name, level, storage): level MODEL: once; LAYER: per layer; EXPERT: per routed expert.
 * storage KEEP: stays a tensor; SLAB: becomes part of a slab. */
#define SL_ROLES(ROLE)                                                                             \
    ROLE(EMBED, MODEL, KEEP)                                                                       \
    ROLE(FINAL_NORM, MODEL, KEEP)                                                                  \
    ROLE(LM_HEAD, MODEL, SLAB) /* only where it is not tied to the embedding */                    \
    ROLE(ATTN_NORM, LAYER, KEEP)                                                                   \
    ROLE(FFN_NORM, LAYER, KEEP)                                                                    \
    ROLE(Q, LAYER, SLAB)                                                                           \
    ROLE(K, LAYER, SLAB) /* K and V: only in layers that own them */                               \
    ROLE(V, LAYER, SLAB)                                                                           \
    ROLE(O, LAYER, SLAB)                                                                           \
    ROLE(Q_BIAS, LAYER, KEEP)                                                                      \
    ROLE(K_BIAS, LAYER, KEEP)                                                                      \
    ROLE(V_BIAS, LAYER, KEEP)                                                                      \
    ROLE(O_BIAS, LAYER, KEEP)                                                                      \
    ROLE(Q_NORM, LAYER, KEEP) /* per head, every layer */                                          \
    ROLE(K_NORM, LAYER, KEEP)                                                                      \
    ROLE(LFA_CONV1, LAYER, KEEP) /* [out, in, 2, 1]; kernel index 0: the older token */            \
    ROLE(LFA_CONV1_BIAS, LAYER, KEEP)                                                              \
    ROLE(LFA_CONV2, LAYER, KEEP)                                                                   \
    ROLE(LFA_CONV2_BIAS, LAYER, KEEP)                                                              \
    ROLE(LFA_NORM, LAYER, KEEP)                                                                    \
    ROLE(ROUTER, LAYER, SLAB) /* attention router: the query rows */                               \
    ROLE(ROUTER_KEY, LAYER, SLAB)                                                                  \
    ROLE(ROUTER_VALUE, LAYER, SLAB)                                                                \
    ROLE(SHARED_GATE, LAYER, SLAB) /* dense: the MLP */                                            \
    ROLE(SHARED_UP, LAYER, SLAB)                                                                   \
    ROLE(SHARED_DOWN, LAYER, SLAB)                                                                 \
    ROLE(EXPERT_GATE, EXPERT, SLAB) /* all but Yuan: a tensor each */                              \
    ROLE(EXPERT_UP, EXPERT, SLAB)                                                                  \
    ROLE(EXPERT_DOWN, EXPERT, SLAB)                                                                \
    ROLE(EXPERT_GATE_UP, EXPERT, SLAB) /* Yuan: [2 d_ff, d_model], gate (activated) rows first */

enum sl_role {
#define ROLE(name, level, storage) SL_ROLE_##name,
    SL_ROLES(ROLE)
#undef ROLE
        SL_N_ROLE
};
enum sl_role_level { SL_LEVEL_MODEL, SL_LEVEL_LAYER, SL_LEVEL_EXPERT };

enum { SL_NAME_MAX = 128 };

/* A tensor's place in the model. layer and expert are ignored where the role has none. */
struct sl_tensor_id {
    enum sl_role role;
    uint32_t layer, expert;
};

enum sl_role_level sl_role_level(enum sl_role role);
/* True for tensors that a converted model keeps as they are. */
bool sl_role_is_kept(enum sl_role role);
/* False when a model of this config has no such tensor (in this layer). */
bool sl_tensor_exists(const struct sl_config *c, struct sl_tensor_id id);
/* Its name; "" for a role that the family does not know. */
void sl_tensor_name(char out[SL_NAME_MAX], enum sl_family family, struct sl_tensor_id id);
/* Its shape; returns the number of dimensions. */
unsigned sl_tensor_shape(const struct sl_config *c, enum sl_role role, uint64_t dim[4]);
/* Finds it in a checkpoint and checks its shape: SL_ERR_SHAPE (sl_checkpoint_need). */
int sl_tensor_need(const struct sl_tensor **out, const struct sl_checkpoint *ckpt,
                   const struct sl_config *c, struct sl_tensor_id id);

#endif
