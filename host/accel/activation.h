/* SPDX-License-Identifier: Apache-2.0 */
/* fp32 vectors to the core's block formats (docs/numerics.md 3.1). */
#ifndef SL_ACCEL_ACTIVATION_H
#define SL_ACCEL_ACTIVATION_H

#include "sl_abi.h"

/* Beats of one token of k columns; k is padded to a multiple of SL_BLOCK by the caller's matrix. */
uint32_t sl_act8_beats(uint32_t k);
uint32_t sl_act16_beats(uint32_t k);
uint32_t sl_act_head_beats(uint32_t head_dim);

/* x[n] into dst, which holds the beats above for k >= n columns; columns from n on are zero. Every
 * byte of dst is written. SL_ERR_RANGE when x holds a NaN or an infinity. */
int sl_act8_pack(const float *x, uint32_t n, uint32_t k, uint8_t *dst);
int sl_act16_pack(const float *x, uint32_t n, uint32_t k, uint8_t *dst);
int sl_act_head_pack(const float *x, uint32_t head_dim, uint8_t *dst);

#endif
