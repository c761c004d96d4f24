/* SPDX-License-Identifier: Apache-2.0 */
/* Intermediate results of a forward pass, for tests and comparisons; its routes also for the
 * recorder. */
#ifndef SL_ENGINE_TRACE_H
#define SL_ENGINE_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/ops.h"

enum sl_trace_point {
    SL_TRACE_HIDDEN,     /* [d_model] input of a layer; layer n_layer: output of the last one */
    SL_TRACE_FINAL_NORM, /* [d_model], only of tokens whose logits were asked for */
    SL_TRACE_ATTN_NORM,  /* [d_model] */
    SL_TRACE_LFA_CONV1,  /* [d_model / 2] */
    SL_TRACE_LFA_CONV2,  /* [d_model] */
    SL_TRACE_LFA_OUT,    /* [d_model] */
    SL_TRACE_Q_PROJ,     /* [d_attn] before bias; Yuan: as the matrix gives it, heads interleaved */
    SL_TRACE_K_PROJ,     /* Hunyuan: [n_kv_head * head_dim], owners only */
    SL_TRACE_V_PROJ,
    SL_TRACE_ATTN_OUT, /* [d_model] before the residual */
    SL_TRACE_FFN_NORM, /* [d_model] */
    SL_TRACE_FFN_OUT   /* [d_model] before the residual */
};

/* n_tok rows of `width` floats at distance `stride`; the first is that of absolute position pos. */
struct sl_trace_item {
    enum sl_trace_point point;
    uint32_t layer, pos;
    const float *data;
    size_t n_tok, width, stride;
};

struct sl_trace {
    void (*on_item)(void *user, const struct sl_trace_item *item);
    /* Choices of n_tok tokens from position pos on. */
    void (*on_route)(void *user, uint32_t layer, uint32_t pos, const struct sl_route *route,
                     size_t n_tok);
    void *user;
};

#endif
