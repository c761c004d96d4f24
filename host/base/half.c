/* SPDX-License-Identifier: Apache-2.0 */
#include "half.h"

#include <string.h>

size_t sl_dtype_size(enum sl_dtype dtype)
{
    switch (dtype) {
    case SL_DTYPE_I32:
    case SL_DTYPE_F32: return 4;
    case SL_DTYPE_BF16:
    case SL_DTYPE_F16: return 2;
    case SL_DTYPE_F8_E4M3: return 1;
    }
    return 0;
}

const char *sl_dtype_name(enum sl_dtype dtype)
{
    switch (dtype) {
    case SL_DTYPE_F32: return "F32";
    case SL_DTYPE_BF16: return "BF16";
    case SL_DTYPE_F16: return "F16";
    case SL_DTYPE_F8_E4M3: return "F8_E4M3";
    case SL_DTYPE_I32: return "I32";
    }
    return "?";
}

static float f32_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

float sl_bf16_to_f32(uint16_t bits)
{
    return f32_of((uint32_t)bits << 16);
}

float sl_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 0) /* subnormal: fraction * 2^-24 is exact in fp32 */
        return f32_of(sign | bits_of((float)fraction * 0x1p-24f));
    if (exponent == 31)
        return f32_of(sign | 0x7F800000u | fraction << 13);
    return f32_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

float sl_e4m3_to_f32(uint8_t code)
{
    uint32_t sign = (uint32_t)(code & 0x80) << 24;
    uint32_t exponent = code >> 3 & 15, fraction = code & 7;
    if (exponent == 15 && fraction == 7)
        return f32_of(sign | 0x7FC00000u);
    if (exponent == 0)
        return f32_of(sign | bits_of((float)fraction * 0x1p-9f));
    return f32_of(sign | (exponent + 127 - 7) << 23 | fraction << 20);
}

uint16_t sl_f32_to_bf16(float x)
{
    uint32_t bits = bits_of(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

uint8_t sl_f32_to_e4m3(float x)
{
    uint32_t bits = bits_of(x), sign = bits >> 24 & 0x80;
    bits &= 0x7FFFFFFFu;
    if (bits > 0x7F800000u)
        return (uint8_t)(sign | 0x7F);
    float a = f32_of(bits);
    if (a >= 448.0f)
        return (uint8_t)(sign | 0x7E);
    if (a < 0x1p-6f) /* below the normal numbers: multiples of 2^-9, the addition rounds */
        return (uint8_t)(sign | (bits_of(a + 0x1p14f) - bits_of(0x1p14f)));
    bits += 0x7FFFFu + (bits >> 20 & 1);
    return (uint8_t)(sign | ((bits >> 20) - ((127 - 7) << 3)));
}

void sl_widen(enum sl_dtype dtype, const void *src, size_t n, float *dst)
{
    const uint8_t *p = src;
    if (dtype == SL_DTYPE_F32) {
        memcpy(dst, src, n * sizeof *dst);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        if (dtype == SL_DTYPE_F8_E4M3) {
            dst[i] = sl_e4m3_to_f32(p[i]);
            continue;
        }
        memcpy(&half, p + 2 * i, sizeof half);
        dst[i] = dtype == SL_DTYPE_BF16 ? sl_bf16_to_f32(half) : sl_f16_to_f32(half);
    }
}
