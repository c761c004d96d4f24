/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_num.h"

#include <math.h>
#include <string.h>

ref_wide ref_round(ref_wide v, int s)
{
    const ref_wide top = (ref_wide)1 << 120;
    ref_wide a = v < 0 ? -v : v, r;
    if (s <= 0) {
        r = a;
        for (int i = 0; i < -s && r != 0 && r < top; i++)
            r *= 2;
        r = r > top ? top : r;
    } else if (s > 120) {
        r = 0;
    } else {
        ref_wide unit = (ref_wide)1 << s, rest = a % unit;
        r = a / unit;
        if (2 * rest > unit || (2 * rest == unit && r % 2 == 1))
            r++;
    }
    return v < 0 ? -r : r;
}

int32_t ref_sat32(ref_wide v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

int32_t ref_scale_s32(int64_t v, uint16_t m, int e, bool *saturated)
{
    ref_wide r = ref_round((ref_wide)v * m, -e);
    if (saturated)
        *saturated = r != ref_sat32(r);
    return ref_sat32(r);
}

int ref_log2(uint64_t v)
{
    int n = -1;
    for (; v; v /= 2)
        n++;
    return n;
}

uint32_t ref_scale_f32(int64_t v, uint16_t m, int e)
{
    const uint32_t infinity = 0x7F800000u, sign = v < 0 ? 0x80000000u : 0;
    ref_wide a = (v < 0 ? -(ref_wide)v : (ref_wide)v) * m;
    if (a == 0)
        return sign;
    int top = 0; /* floor(log2 a) */
    while (a >> top > 1)
        top++;
    int exponent = top + e; /* of the value */
    if (exponent > 127)
        return sign | infinity;
    int ulp = exponent < -126 ? -149 : exponent - 23;
    uint32_t r = (uint32_t)ref_round(a, ulp - e); /* in units of 2^ulp, at most 2^24 */
    /* A normal r carries the leading 1 into the exponent field; so does one that rounds up to 2^24.
     */
    uint32_t bits = exponent < -126 ? r : ((uint32_t)(exponent + 126) << 23) + r;
    return sign | (bits > infinity ? infinity : bits);
}

int64_t ref_div_half(ref_wide a, ref_wide b)
{
    ref_wide r = (2 * (a < 0 ? -a : a) + b) / (2 * b);
    return (int64_t)(a < 0 ? -r : r);
}

static int64_t exp2_table(unsigned i)
{
    return llroundl(1073741824.0L * exp2l(-(long double)i / 256));
}

uint32_t ref_exp_neg(uint32_t d)
{
    uint64_t t = ((uint64_t)d * 1549082005u) >> 22;
    uint64_t n = t >> 24;
    unsigned i = (unsigned)(t >> 16) & 255;
    int64_t r = (int64_t)(t & 65535), x0 = exp2_table(i), x1 = exp2_table(i + 1);
    int64_t v = x0 - (((x0 - x1) * r + 32768) >> 16);
    if (n > 31)
        return 0;
    return (uint32_t)(n == 0 ? v : (v + ((int64_t)1 << (n - 1))) >> n);
}

static int32_t sigmoid_table(unsigned i)
{
    return (int32_t)llroundl(65536.0L / (1 + expl(-(long double)i / 16)));
}

int32_t ref_sigmoid(int32_t g)
{
    uint32_t a = g < 0 ? 0u - (uint32_t)g : (uint32_t)g;
    int32_t sigma = 65536;
    if (a < 16 * 65536) {
        int32_t i = (int32_t)(a >> 12), f = (int32_t)(a & 4095);
        int32_t t0 = sigmoid_table((unsigned)i), t1 = sigmoid_table((unsigned)i + 1);
        sigma = t0 + (((t1 - t0) * f + 2048) >> 12);
    }
    return g < 0 ? 65536 - sigma : sigma;
}

float ref_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t ref_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t ref_get32(const uint8_t *p)
{
    return ref_get16(p) | (uint32_t)ref_get16(p + 2) << 16;
}

uint64_t ref_get64(const uint8_t *p)
{
    return ref_get32(p) | (uint64_t)ref_get32(p + 4) << 32;
}

void ref_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void ref_put32(uint8_t *p, uint32_t v)
{
    ref_put16(p, (uint16_t)v);
    ref_put16(p + 2, (uint16_t)(v >> 16));
}

void ref_put64(uint8_t *p, uint64_t v)
{
    ref_put32(p, (uint32_t)v);
    ref_put32(p + 4, (uint32_t)(v >> 32));
}
