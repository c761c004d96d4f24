/* SPDX-License-Identifier: Apache-2.0 */
/* KV_PACK and KV_UNPACK (docs/numerics.md 5.5). */
#ifndef SL_HLS_KV_PACK_H
#define SL_HLS_KV_PACK_H

#include "job.h"

#define sl_kv_pack SL_NAME(sl_kv_pack)
#define sl_kv_unpack SL_NAME(sl_kv_unpack)

/* A checked KV_PACK job: SL_STATUS_OK, or BAD_ACTIVATION with nothing written. */
uint32_t sl_kv_pack(SL_GLOBAL sl_beat *ctl, const struct sl_req *r);

/* A checked KV_UNPACK job; every record is legal. */
void sl_kv_unpack(SL_GLOBAL sl_beat *ctl, const struct sl_req *r);

#endif
