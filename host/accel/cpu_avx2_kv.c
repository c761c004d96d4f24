/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/cpu_avx2.h"

#ifdef __x86_64__
#define SL_KV_TARGET SL_AVX2
#include "accel/cpu_kv.h"

SL_AVX2 void sl_kv_pack_avx2(int format, uint32_t d, const uint8_t *item, uint8_t *record)
{
    sl_kv_pack(format, d, item, record);
}

SL_AVX2 bool sl_kv_item_ok_avx2(uint32_t d, const uint8_t *item)
{
    return sl_kv_item_ok(d, item);
}
#endif
