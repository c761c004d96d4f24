/* SPDX-License-Identifier: Apache-2.0 */
/* fp32 matrix products straight from a checkpoint: rows are widened as they are used, the matrix is
 * never held in fp32. */
#ifndef SL_ENGINE_MATMUL_H
#define SL_ENGINE_MATMUL_H

#include "base/pool.h"
#include "engine/tensor_map.h"

struct sl_matmul {
    struct sl_pool *pool; /* borrowed */
    size_t max_cols;
    float *row; /* [threads][SL_MATMUL_ROWS][max_cols] */
};

enum { SL_MATMUL_ROWS = 4 };

/* SL_ERR_NOMEM. */
int sl_matmul_open(struct sl_matmul *out, struct sl_pool *pool, size_t max_cols);
void sl_matmul_close(struct sl_matmul *mm);

/* Token t is x[x_index ? x_index[t] : t]; y row t is dense in t. */
struct sl_matmul_call {
    const struct sl_rows *matrix;
    const float *bias; /* [rows] or NULL, added behind the dot */
    const float *x;
    size_t x_stride;
    const uint32_t *x_index;
    float *y;
    size_t y_stride, n_tok;
};
/* y[t][r] = dot(row r, x[t]) + bias[r] by the 16-partial rule: bits depend on nothing else. */
void sl_matmul_run(struct sl_matmul *mm, const struct sl_matmul_call *call);

#endif
