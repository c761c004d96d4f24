/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors that the engine itself uses: embedding, norms, biases of the projections, localized
 * filtering. They come from a checkpoint directory or from the tensors that a converted model
 * keeps, under the same names. */
#ifndef SL_ENGINE_WEIGHTS_H
#define SL_ENGINE_WEIGHTS_H

#include "engine/tensor_map.h"

/* fp32; NULL where the config has none. */
struct sl_layer_weights {
    const float *attn_norm, *ffn_norm;             /* [d_model] */
    const float *q_norm, *k_norm;                  /* [head_dim], or [d_attn] and [d_kv] */
    const float *bias[SL_MATRIX_O + 1];            /* of Q, K, V, O; [rows] */
    const float *lfa_bias1, *lfa_bias2, *lfa_norm; /* [d_model / 2], [d_model], [d_model] */
    struct sl_rows lfa_conv1, lfa_conv2; /* [out][in][2]: a matrix over pairs (older, newer) */
};

struct sl_weights {
    const struct sl_config *config;
    struct sl_rows embedding;
    const float *final_norm;
    struct sl_layer_weights *layer; /* [n_layer] */
    float *pool;                    /* all the vectors */
    size_t n_pool;
};

/* Checks every shape (SL_ERR_SHAPE). config and tensors are borrowed. */
int sl_weights_open(struct sl_weights *out, const struct sl_config *config,
                    const struct sl_checkpoint *tensors);
void sl_weights_close(struct sl_weights *weights);

#endif
