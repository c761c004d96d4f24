/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations in plain fp32, straight from a checkpoint: what the quantised path is
 * judged against. */
#ifndef SL_ENGINE_OPS_EXACT_H
#define SL_ENGINE_OPS_EXACT_H

#include "base/pool.h"
#include "engine/routing.h"
#include "store/checkpoint.h"

/* Checks name and shape of every tensor that the operations use (SL_ERR_SHAPE). config, ckpt and
 * pool are borrowed until out->close(out->ctx). */
int sl_ops_exact_open(struct sl_ops *out, const struct sl_config *config,
                      const struct sl_checkpoint *ckpt, struct sl_pool *pool);
/* Top-k until then. */
void sl_ops_exact_set_routing(struct sl_ops *ops, const struct sl_routing *routing);

/* The router alone, for inspection: products of its matrices, [n_expert] or q, k, v [3][n_expert],
 * and scores[n_expert] of one token x[d_model]. */
void sl_ops_exact_router(void *ctx, uint32_t layer, const float *x, float *products, float *scores);
/* The shared expert alone: y[d_model]. */
void sl_ops_exact_shared(void *ctx, uint32_t layer, const float *x, float *y);

#endif
