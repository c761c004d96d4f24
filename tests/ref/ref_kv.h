/* SPDX-License-Identifier: Apache-2.0 */
/* Packing and unpacking of one head vector (docs/numerics.md 5.5). kind: SL_KVREC_*. */
#ifndef SL_REF_KV_H
#define SL_REF_KV_H

#include "ref/ref_num.h"

/* code[d] * 2^exponent, d channels, into a record, of which every byte is written. */
void ref_kv_pack(int kind, unsigned d, const int16_t *code, int exponent, uint8_t *record);
/* The bits of fp32[d]. */
void ref_kv_unpack(int kind, unsigned d, const uint8_t *record, uint32_t *out);

#endif
