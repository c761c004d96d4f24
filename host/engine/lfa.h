/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Yuan's localized filtering (arXiv 2311.15786, section 2): two causal convolutions over pairs of
 * tokens, then a norm over filter plus input. The state of a layer is the previous input and the
 * previous result of the first convolution, both zero at the start of a sequence.
 */
#ifndef SL_ENGINE_LFA_H
#define SL_ENGINE_LFA_H

#include "engine/matmul.h"
#include "engine/weights.h"

struct sl_lfa {
    uint32_t d_model, n_layer;
    struct sl_matmul mm;
    float *state, *saved; /* [n_layer][3 * d_model / 2]: previous input, previous conv1 */
    float *pairs;         /* [n_batch][2 * d_model] */
    float *conv1, *conv2; /* [n_batch][d_model / 2], [n_batch][d_model]: of the last run */
};

/* For chunks of at most n_batch tokens. SL_ERR_NOMEM. */
int sl_lfa_open(struct sl_lfa *out, const struct sl_config *config, uint32_t n_batch,
                struct sl_pool *pool);
void sl_lfa_close(struct sl_lfa *lfa);
/* Start of a sequence. */
void sl_lfa_reset(struct sl_lfa *lfa);
/* Keeps the state, and goes back to what was kept: a failed evaluation leaves no trace. */
void sl_lfa_save(struct sl_lfa *lfa);
void sl_lfa_restore(struct sl_lfa *lfa);

/* f[n_tok][d_model] from a[n_tok][d_model]; continues the layer's state. */
struct sl_lfa_call {
    const struct sl_layer_weights *weights;
    uint32_t layer;
    const float *a;
    float *f;
    size_t n_tok;
};
void sl_lfa_run(struct sl_lfa *lfa, const struct sl_lfa_call *call);

#endif
