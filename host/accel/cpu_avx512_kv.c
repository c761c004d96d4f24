/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/cpu_avx512.h"

#ifdef __x86_64__
#define SL_KV_TARGET SL_AVX512
#include "accel/cpu_kv.h"

SL_AVX512 void sl_kv_pack_avx512(int format, uint32_t d, const uint8_t *item, uint8_t *record)
{
    sl_kv_pack(format, d, item, record);
}

SL_AVX512 bool sl_kv_item_ok_avx512(uint32_t d, const uint8_t *item)
{
    return sl_kv_item_ok(d, item);
}
#endif
