/* SPDX-License-Identifier: Apache-2.0 */
/* Packing of K and V head vectors on the CPU: bit for bit what the fabric's KV_PACK gives
 * (docs/numerics.md 3.1 and 5.5), in the cache's dense records (engine/ops.h). */
#ifndef SL_ENGINE_KV_QUANT_H
#define SL_ENGINE_KV_QUANT_H

#include "engine/ops.h"

enum { SL_KV_MAX_DIM = 256 /* channels of a packed head vector, an even number */ };

/* vec[head_dim] -> one record of sl_kv_vec_bytes(). format int8 or int4. False, and nothing
 * written, when a value is a NaN or an infinity. */
bool sl_kv_pack_vec(enum sl_kv_format format, uint32_t head_dim, const float *vec, uint8_t *out);

/* Largest power of two that divides head_dim: the width of the Hadamard blocks. */
uint32_t sl_kv_hadamard_block(uint32_t head_dim);
/* Unnormalised Hadamard transform of x[head_dim] in those blocks, in place, in fp32 and a fixed
 * order: it rotates queries like packed keys, and back what came from packed values. */
void sl_kv_hadamard(float *x, uint32_t head_dim);

#endif
