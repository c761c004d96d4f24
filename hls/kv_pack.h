/* SPDX-License-Identifier: Apache-2.0 */
/* KV_PACK and KV_UNPACK (docs/numerics.md 5.5). */
#ifndef SL_HLS_KV_PACK_H
#define SL_HLS_KV_PACK_H

#include "job.h"

#define sl_kv_pack SL_NAME(sl_kv_pack)
#define sl_kv_unpack SL_NAME(sl_kv_unpack)
#define sl_kv_hadamard SL_NAME(sl_kv_hadamard)

/* A checked KV_PACK job: SL_STATUS_OK, or BAD_ACTIVATION with nothing written. */
uint32_t sl_kv_pack(SL_GLOBAL sl_beat *ctl, const struct sl_req *r);

/* A checked KV_UNPACK job; every record is legal. */
void sl_kv_unpack(SL_GLOBAL sl_beat *ctl, const struct sl_req *r);

/* Unnormalised Hadamard transform, in place, of d / 2^n blocks of 2^n channels, Sylvester order. */
void sl_kv_hadamard(int64_t v[SL_MAX_HEAD_DIM], uint32_t d, uint32_t n);

#endif
