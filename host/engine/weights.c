/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/weights.h"

#include <stdlib.h>

#include "base/err.h"
#include "store/names.h"

struct loader {
    struct sl_weights *w;
    const struct sl_checkpoint *tensors;
    size_t used;
};

/* Upper bound of the floats of one layer's vectors. */
static size_t layer_floats(const struct sl_config *c)
{
    const size_t d_kv = (size_t)c->n_kv_head * c->head_dim;
    const size_t qk_norm = c->qk_norm_whole ? c->d_attn + d_kv : 2 * (size_t)c->head_dim;
    return 8 * (size_t)c->d_model + qk_norm + c->d_attn + 2 * d_kv;
}

static int load_vector(struct loader *ld, const float **out, struct sl_tensor_id id)
{
    const struct sl_config *c = ld->w->config;
    const struct sl_tensor *t;
    if (!sl_tensor_exists(c, id))
        return 0;
    int err = sl_tensor_need(&t, ld->tensors, c, id);
    if (err)
        return err;
    float *dst = ld->w->pool + ld->used;
    ld->used += t->n_elem;
    sl_tensor_read(t, 0, t->n_elem, dst);
    *out = dst;
    return 0;
}

static int load_bias(struct loader *ld, const float **out, enum sl_matrix matrix, uint32_t layer)
{
    struct sl_rows rows;
    int err = sl_map_bias(&rows, ld->tensors, ld->w->config, matrix, layer);
    if (err || !rows.tensor)
        return err;
    float *dst = ld->w->pool + ld->used;
    ld->used += rows.rows;
    for (uint32_t r = 0; r < rows.rows; r++)
        sl_rows_read(&rows, r, dst + r);
    *out = dst;
    return 0;
}

/* A convolution over two tokens as a matrix whose columns are (channel, older), (channel, newer).
 */
static int map_conv(struct loader *ld, struct sl_rows *out, struct sl_tensor_id id)
{
    const struct sl_tensor *t;
    int err = sl_tensor_need(&t, ld->tensors, ld->w->config, id);
    if (!err)
        *out = (struct sl_rows){.tensor = t,
                                .rows = (uint32_t)t->dim[0],
                                .cols = 2 * (uint32_t)t->dim[1],
                                .block = (uint32_t)t->dim[0]};
    return err;
}

static int load_layer(struct loader *ld, uint32_t layer)
{
    const struct sl_config *c = ld->w->config;
    struct sl_layer_weights *l = &ld->w->layer[layer];
    const struct {
        const float **out;
        enum sl_role role;
    } vector[] = {
        {&l->attn_norm, SL_ROLE_ATTN_NORM},
        {&l->ffn_norm, SL_ROLE_FFN_NORM},
        {&l->q_norm, SL_ROLE_Q_NORM},
        {&l->k_norm, SL_ROLE_K_NORM},
        {&l->lfa_bias1, SL_ROLE_LFA_CONV1_BIAS},
        {&l->lfa_bias2, SL_ROLE_LFA_CONV2_BIAS},
        {&l->lfa_norm, SL_ROLE_LFA_NORM},
    };
    bool owner = sl_config_kv_owner(c, layer) == layer;
    int err = 0;
    for (size_t i = 0; !err && i < sizeof vector / sizeof *vector; i++)
        err = load_vector(ld, vector[i].out, (struct sl_tensor_id){vector[i].role, layer, 0});
    for (int m = SL_MATRIX_Q; !err && m <= SL_MATRIX_O; m++)
        if (owner || (m != SL_MATRIX_K && m != SL_MATRIX_V))
            err = load_bias(ld, &l->bias[m], (enum sl_matrix)m, layer);
    if (err || !c->has_lfa)
        return err;
    err = map_conv(ld, &l->lfa_conv1, (struct sl_tensor_id){SL_ROLE_LFA_CONV1, layer, 0});
    return err ? err
               : map_conv(ld, &l->lfa_conv2, (struct sl_tensor_id){SL_ROLE_LFA_CONV2, layer, 0});
}

static int load_all(struct loader *ld)
{
    const struct sl_config *c = ld->w->config;
    const struct sl_tensor *t;
    int err = sl_tensor_need(&t, ld->tensors, c, (struct sl_tensor_id){.role = SL_ROLE_EMBED});
    if (err)
        return err;
    ld->w->embedding =
        (struct sl_rows){.tensor = t, .rows = c->n_vocab, .cols = c->d_model, .block = c->n_vocab};
    err = load_vector(ld, &ld->w->final_norm, (struct sl_tensor_id){.role = SL_ROLE_FINAL_NORM});
    for (uint32_t l = 0; !err && l < c->n_layer; l++)
        err = load_layer(ld, l);
    return err;
}

int sl_weights_open(struct sl_weights *out, const struct sl_config *config,
                    const struct sl_checkpoint *tensors)
{
    struct sl_weights w = {.config = config};
    w.n_pool = config->d_model + config->n_layer * layer_floats(config);
    w.layer = sl_alloc(config->n_layer, sizeof *w.layer);
    w.pool = sl_alloc(w.n_pool, sizeof *w.pool);
    struct loader ld = {.w = &w, .tensors = tensors};
    int err = w.layer && w.pool ? load_all(&ld) : SL_ERR_NOMEM;
    if (err)
        sl_weights_close(&w);
    else
        *out = w;
    return err;
}

void sl_weights_close(struct sl_weights *weights)
{
    free(weights->layer);
    free(weights->pool);
    *weights = (struct sl_weights){0};
}
