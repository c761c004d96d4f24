/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/matmul.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/err.h"
#include "engine/simd.h"

enum { ROWS_PER_ITEM = 16 };

struct run {
    const struct sl_matmul *mm;
    const struct sl_matmul_call *call;
    const struct sl_simd *simd;
};

int sl_matmul_open(struct sl_matmul *out, struct sl_pool *pool, size_t max_cols)
{
    size_t padded = (max_cols + 15) / 16 * 16;
    float *row =
        sl_alloc_aligned(64, sl_pool_threads(pool) * SL_MATMUL_ROWS * padded * sizeof *row);
    if (!row)
        return SL_ERR_NOMEM;
    *out = (struct sl_matmul){.pool = pool, .max_cols = padded, .row = row};
    return 0;
}

void sl_matmul_close(struct sl_matmul *mm)
{
    free(mm->row);
    *mm = (struct sl_matmul){0};
}

static const float *token_x(const struct sl_matmul_call *c, size_t t)
{
    return c->x + (c->x_index ? c->x_index[t] : t) * c->x_stride;
}

static void put(const struct sl_matmul_call *c, size_t t, uint32_t row, float dot)
{
    c->y[t * c->y_stride + row] = c->bias ? dot + c->bias[row] : dot;
}

/* Four rows (the last of them may repeat) times all tokens. */
static void four_rows(const struct run *run, const float *const w[4], uint32_t first, uint32_t n)
{
    const struct sl_matmul_call *c = run->call;
    uint32_t cols = c->matrix->cols;
    float y[16];
    size_t t = 0;
    for (; t + 4 <= c->n_tok; t += 4) {
        const float *x[4];
        for (uint32_t i = 0; i < 4; i++)
            x[i] = token_x(c, t + i);
        run->simd->dot4x4(w, x, cols, y);
        for (uint32_t r = 0; r < n; r++)
            for (uint32_t i = 0; i < 4; i++)
                put(c, t + i, first + r, y[4 * r + i]);
    }
    for (; t < c->n_tok; t++) {
        run->simd->dot4(w, token_x(c, t), cols, y);
        for (uint32_t r = 0; r < n; r++)
            put(c, t, first + r, y[r]);
    }
}

/* False: not this way. Of a few tokens, what widening once saves is less than its buffer costs. */
static bool few_tokens(const struct run *run, uint32_t first, uint32_t n)
{
    const struct sl_matmul_call *c = run->call;
    const struct sl_tensor *tensor = c->matrix->tensor;
    const uint8_t *w[SL_MATMUL_ROWS];
    float y[SL_MATMUL_ROWS];
    if (c->n_tok > 2 || !sl_rows_stored(c->matrix, first))
        return false;
    for (uint32_t i = 0; i < SL_MATMUL_ROWS; i++)
        w[i] = sl_rows_stored(c->matrix, first + (i < n ? i : n - 1));
    for (size_t t = 0; t < c->n_tok; t++) {
        run->simd->dot4_stored(tensor->dtype, w, tensor->scale, token_x(c, t), c->matrix->cols, y);
        for (uint32_t r = 0; r < n; r++)
            put(c, t, first + r, y[r]);
    }
    return true;
}

static void run_item(void *user, size_t item, unsigned thread)
{
    const struct run *run = user;
    const struct sl_rows *m = run->call->matrix;
    float *buffer = run->mm->row + thread * SL_MATMUL_ROWS * run->mm->max_cols;
    uint32_t end = (uint32_t)(item + 1) * ROWS_PER_ITEM;
    end = end < m->rows ? end : m->rows;
    for (uint32_t r = (uint32_t)item * ROWS_PER_ITEM; r < end; r += SL_MATMUL_ROWS) {
        uint32_t n = end - r < SL_MATMUL_ROWS ? end - r : SL_MATMUL_ROWS;
        const float *w[SL_MATMUL_ROWS];
        if (few_tokens(run, r, n))
            continue;
        sl_rows_read_many(m, r, n, buffer, run->mm->max_cols);
        for (uint32_t i = 0; i < SL_MATMUL_ROWS; i++)
            w[i] = buffer + (i < n ? i : n - 1) * run->mm->max_cols;
        four_rows(run, w, r, n);
    }
}

void sl_matmul_run(struct sl_matmul *mm, const struct sl_matmul_call *call)
{
    struct run run = {.mm = mm, .call = call, .simd = sl_simd_best()};
    size_t n_item = (call->matrix->rows + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM;
    sl_pool_run(mm->pool, run_item, &run, n_item);
}
