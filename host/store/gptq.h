/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linears as AutoGPTQ stores them. W [out, in] is kept transposed and packed: <linear>.qweight I32
 * [in * bits / 32, out], word (i, r) holding columns i * 32 / bits .. of row r from its low bits
 * up; qzeros I32 [groups, out * bits / 32], packed along the rows; scales [groups, out]; g_idx I32
 * [in], the group of each column, here always column / group_size. With z the stored zero point
 * plus 1 (gptq_v2: as stored), modulo 2^bits:
 *
 *   W[r][c] = (q[c][r] - z[group][r]) * scale[group][r]
 *
 * which is exact in fp32: at most 9 bits times the 11 of F16.
 */
#ifndef SL_STORE_GPTQ_H
#define SL_STORE_GPTQ_H

#include "store/checkpoint.h"
#include "store/quant_config.h"

enum { SL_GPTQ_ROWS = 16 }; /* rows that are unpacked together: one cache line of each packed row */

struct sl_gptq {
    const struct sl_tensor *qweight, *qzeros, *scales; /* borrowed */
    unsigned bits, zero_add;
    uint32_t group; /* columns that share a scale, a multiple of 32 or the whole row */
};

/* All quantised linears of a checkpoint. */
struct sl_gptq_set {
    struct sl_gptq *linear;
    struct sl_tensor *tensor; /* <linear>.weight [out, in]; gptq points into `linear` */
    char *names;
    size_t n;
};

/* Collects the linears and checks shapes, the columns' groups and, where they are said to be
 * symmetric, the zero points. SL_ERR_SHAPE, SL_ERR_FORMAT and SL_ERR_UNSUPPORTED name the tensor.
 * Nothing quantised: an empty set. */
int sl_gptq_open(struct sl_gptq_set *out, const struct sl_checkpoint *c,
                 const struct sl_quant_config *q);
void sl_gptq_close(struct sl_gptq_set *set);

/* Rows [first, first + n) of W as fp32; row i goes to dst + i * stride. t->gptq is set. Fast for
 * SL_GPTQ_ROWS rows from a multiple of it. */
void sl_gptq_read_rows(const struct sl_tensor *t, uint64_t first, uint32_t n, float *dst,
                       size_t stride);
/* The scale of a column of a row, as stored. */
float sl_gptq_scale(const struct sl_tensor *t, uint64_t row, uint64_t column);

#endif
