/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER with NOISE (docs/numerics.md 5.4). */
#ifndef SL_HLS_NOISE_H
#define SL_HLS_NOISE_H

#include "job.h"

#define sl_noise_add SL_NAME(sl_noise_add)

/* The score of expert e for token t, s32 Q16, with its noise. */
int32_t sl_noise_add(const struct sl_req *r, uint32_t t, uint32_t e, int32_t score);

#endif
