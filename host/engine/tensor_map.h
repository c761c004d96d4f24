/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the rows of each matrix lie in a checkpoint. Besides one tensor per matrix (store/names.h)
 * Hunyuan exports know two fused forms: qkv_proj, whose rows come per KV head as its query heads,
 * its key, its value; and gate_and_up_proj, whose first half is up and second half is gate.
 */
#ifndef SL_ENGINE_TENSOR_MAP_H
#define SL_ENGINE_TENSOR_MAP_H

#include "engine/ops.h"
#include "store/checkpoint.h"

/* rows x cols of a tensor that may hold other rows too. A bias is a matrix of one column. */
struct sl_rows {
    const struct sl_tensor *tensor; /* NULL: there is no such matrix (biases) */
    uint32_t rows, cols;
    uint32_t first, block, stride; /* row r is tensor row first + r / block * stride + r % block */
};

/* Row r widened to fp32, dst[cols]. */
void sl_rows_read(const struct sl_rows *m, uint32_t r, float *dst);
/* Row r as it is stored, to be widened times the tensor's scale; NULL: it has to be read. */
const uint8_t *sl_rows_stored(const struct sl_rows *m, uint32_t r);
/* Rows r .. r + n - 1; row r + i goes to dst + i * stride. */
void sl_rows_read_many(const struct sl_rows *m, uint32_t r, uint32_t n, float *dst, size_t stride);

struct sl_mlp_rows {
    struct sl_rows gate, up, down, gate_bias, up_bias, down_bias;
};

/* Each checks shapes: SL_ERR_SHAPE names the tensor that is missing or misshapen. `layer` is
 * ignored for the LM head; K and V only for layers that own them. */
int sl_map_matrix(struct sl_rows *out, const struct sl_checkpoint *ckpt, const struct sl_config *c,
                  enum sl_matrix matrix, uint32_t layer);
/* Bias of a matrix; out->tensor is NULL when the config has none. */
int sl_map_bias(struct sl_rows *out, const struct sl_checkpoint *ckpt, const struct sl_config *c,
                enum sl_matrix matrix, uint32_t layer);
/* out[0] the router's matrix; attention router: query, key, value. */
int sl_map_router(struct sl_rows out[3], const struct sl_checkpoint *ckpt,
                  const struct sl_config *c, uint32_t layer);

enum { SL_SHARED_EXPERT = -1 };
/* expert: an index, or SL_SHARED_EXPERT. */
int sl_map_mlp(struct sl_mlp_rows *out, const struct sl_checkpoint *ckpt, const struct sl_config *c,
               uint32_t layer, int expert);

#endif
