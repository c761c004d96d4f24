/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FP8 release: F8_E4M3 linears with a scale each (<linear>.weight_scale, which
 * sl_checkpoint_open gives to the tensor) and, for the activations of its own kernels,
 * <linear>.input_scale, which nothing here applies (docs/numerics.md 2.3).
 */
#ifndef SL_STORE_FP8_RELEASE_H
#define SL_STORE_FP8_RELEASE_H

#include "store/checkpoint.h"
#include "store/quant_config.h"

/* Whether the tensors are what the configuration says, and every scale one that is understood:
 * SL_ERR_FORMAT, SL_ERR_RANGE, SL_ERR_SHAPE, SL_ERR_UNSUPPORTED with the tensor's name. */
int sl_fp8_check(const struct sl_checkpoint *c, const struct sl_quant_config *q);

#endif
