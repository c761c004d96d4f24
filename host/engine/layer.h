/* SPDX-License-Identifier: Apache-2.0 */
/* One layer over one chunk, for every family. */
#ifndef SL_ENGINE_LAYER_H
#define SL_ENGINE_LAYER_H

#include "engine/forward.h"

/* f->x[n_tok][d_model] of positions pos .. becomes the layer's output. cos and sin of the chunk are
 * in f. Errors as sl_forward_run. */
int sl_layer_run(struct sl_forward *f, uint32_t layer, uint32_t pos, uint32_t n_tok);

/* Rows of `width` floats to whoever traces; nothing in production. */
void sl_forward_trace(const struct sl_forward *f, const struct sl_trace_item *item);
/* y[n_tok][d_model] = norm of x by weights w. y may be x. */
void sl_forward_norm(struct sl_forward *f, float *y, const float *x, const float *w, size_t n_tok);
/* f->ops->linear, recorded. */
int sl_forward_linear(struct sl_forward *f, const struct sl_linear_call *calls, size_t n_call,
                      const float *x, size_t n_tok);
/* SL_ERR_RANGE naming layer and `what` unless all n values are finite. */
int sl_forward_check(const float *x, size_t n, uint32_t layer, const char *what);

#endif
