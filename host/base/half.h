/* SPDX-License-Identifier: Apache-2.0 */
/* Narrow floating-point storage formats to fp32 and back. Exact widening; narrowing rounds to
 * nearest even. Tested over all inputs. */
#ifndef SL_BASE_HALF_H
#define SL_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

/* I32: only inside of quantised linears (store/gptq.h); it is never widened. */
enum sl_dtype { SL_DTYPE_F32, SL_DTYPE_BF16, SL_DTYPE_F16, SL_DTYPE_F8_E4M3, SL_DTYPE_I32 };

size_t sl_dtype_size(enum sl_dtype dtype);
const char *sl_dtype_name(enum sl_dtype dtype); /* safetensors' spelling: "F32" "BF16" ... */

float sl_bf16_to_f32(uint16_t bits);
float sl_f16_to_f32(uint16_t bits);
float sl_e4m3_to_f32(uint8_t code); /* OCP FP8 E4M3: no infinity, S.1111.111 is NaN */
uint16_t sl_f32_to_bf16(float x);   /* NaN stays NaN */
uint8_t sl_f32_to_e4m3(float x);    /* saturates at +-448, NaN stays NaN */

/* Widens n values of a floating-point type; src may be unaligned. */
void sl_widen(enum sl_dtype dtype, const void *src, size_t n, float *dst);

#endif
