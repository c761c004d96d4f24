/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KV_PACK of one head vector (docs/numerics.md 5.5), in the compiler's vectors: a file for each
 * instruction set defines SL_KV_TARGET and includes this.
 *
 * Rotated values stay below 2^23. A code is floor((2 a + b) / (2 b)) of numbers below 2^25, at
 * most 128: in binary64 a quotient that is no whole number is further from one than the division's
 * rounding, so that cutting off its fraction is exact.
 */
#ifndef SL_ACCEL_CPU_KV_H
#define SL_ACCEL_CPU_KV_H

#include "accel/cpu_kernels.h"

#ifdef SL_KV_TARGET /* alone, the header is empty */
#define SL_KV SL_KV_TARGET static inline __attribute__((always_inline))

enum {
    KV_LANES = 8,
    KV_MAX_REGS = SL_MAX_HEAD_DIM / KV_LANES,
    KV_GROUP_REGS = SL_BLOCK / KV_LANES,
    KV_ZERO_POINTS_AT = 32
};

typedef int16_t kv_codes __attribute__((vector_size(16)));
typedef int32_t kv_lanes __attribute__((vector_size(32)));
typedef double kv_double __attribute__((vector_size(64)));

/* sig * 2^e: what a code of one is worth; bits: bf16 of sig * 2^(e + exponent), 0: the group counts
 * as zero. */
struct kv_step {
    int32_t sig, e;
    uint16_t bits;
};

SL_KV int64_t kv_ceil(int64_t v, int64_t by, int e)
{
    const int64_t num = e > 0 ? v : v << -e, den = e > 0 ? by << e : by;
    return (num + den - 1) / den;
}

/* For magnitudes up to v on codes up to top; `lead` bits of v are kept. */
SL_KV struct kv_step kv_choose(int32_t v, int top, int lead, int exponent)
{
    struct kv_step s = {0, 0, 0};
    if (v <= 0)
        return s;
    s.e = 31 - __builtin_clz((uint32_t)v) - lead;
    s.sig = (int32_t)kv_ceil(v, top, s.e);
    if (s.sig > 255)
        s.sig = (int32_t)kv_ceil(v, top, ++s.e);
    const int field = s.e + exponent + 134;
    if (field >= 1)
        s.bits = (uint16_t)((s.sig - 128) | (field > 254 ? 254 : field) << 7);
    return s;
}

SL_KV kv_lanes kv_abs(kv_lanes v)
{
    const kv_lanes minus = v < 0;
    return (v ^ minus) - minus;
}

SL_KV kv_lanes kv_max(kv_lanes a, kv_lanes b)
{
    const kv_lanes m = a > b;
    return (a & m) | (b & ~m);
}

SL_KV int32_t kv_max_of(kv_lanes v)
{
    int32_t max = v[0];
    for (int i = 1; i < KV_LANES; i++)
        max = v[i] > max ? v[i] : max;
    return max;
}

/* |v| as a count of steps, halves up. */
SL_KV kv_lanes kv_steps(kv_lanes v, const struct kv_step *s)
{
    const int up = s->e < 0 ? -s->e : 0;
    const int32_t den = s->sig << (s->e > 0 ? s->e : 0);
    const kv_lanes num = (kv_abs(v) << (up + 1)) + den;
    return __builtin_convertvector(__builtin_convertvector(num, kv_double) / (2.0 * den), kv_lanes);
}

/* The stage that pairs lanes i and i ^ s. */
SL_KV kv_lanes kv_pair(kv_lanes v, kv_lanes other, int s)
{
    const kv_lanes lane = {0, 1, 2, 3, 4, 5, 6, 7};
    const kv_lanes minus = (lane & s) != 0;
    return other + ((v ^ minus) - minus);
}

SL_KV void kv_rotate(kv_lanes *r, uint32_t n, uint32_t block)
{
    for (uint32_t i = 0; i < n; i++) {
        kv_lanes v = r[i];
        if (block >= 2)
            v = kv_pair(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6), 1);
        if (block >= 4)
            v = kv_pair(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5), 2);
        if (block >= 8)
            v = kv_pair(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3), 4);
        r[i] = v;
    }
    for (uint32_t s = 1; s * KV_LANES < block; s *= 2)
        for (uint32_t i = 0; i < n; i += 2 * s)
            for (uint32_t j = i; j < i + s; j++) {
                const kv_lanes a = r[j], b = r[j + s];
                r[j] = a + b;
                r[j + s] = a - b;
            }
}

SL_KV void kv_load(const uint8_t *item, uint32_t d, kv_lanes *r)
{
    const kv_lanes lane = {0, 1, 2, 3, 4, 5, 6, 7};
    for (uint32_t i = 0; i * KV_LANES < d; i++) {
        kv_codes q;
        memcpy(&q, item + SL_BEAT_BYTES + (size_t)i * sizeof q, sizeof q);
        r[i] = __builtin_convertvector(q, kv_lanes) & (lane < (int32_t)(d - i * KV_LANES));
    }
}

/* One register of codes; lanes outside of the vector are cut off by who copies. */
SL_KV void kv_put8(kv_lanes v, int8_t *out)
{
    for (int i = 0; i < KV_LANES; i++)
        out[i] = (int8_t)v[i];
}

SL_KV void kv_pack_int8(const kv_lanes *r, uint32_t d, int exponent, uint8_t *record)
{
    const uint32_t n = (d + KV_LANES - 1) / KV_LANES, code_bytes = (d + 63) / 64 * 64;
    int8_t code[SL_MAX_HEAD_DIM] = {0};
    kv_lanes most = {0};
    for (uint32_t i = 0; i < n; i++)
        most = kv_max(most, kv_abs(r[i]));
    const struct kv_step s = kv_choose(kv_max_of(most), 127, 14, exponent);
    memset(record, 0, code_bytes + SL_BEAT_BYTES);
    if (!s.bits)
        return;
    for (uint32_t i = 0; i < n; i++) {
        const kv_lanes minus = r[i]<0, q = kv_steps(r[i], &s), over = q> 127;
        const kv_lanes mag = (q & ~over) | (over & 127);
        kv_put8((mag ^ minus) - minus, code + KV_LANES * i);
    }
    memcpy(record, code, d);
    memcpy(record + code_bytes, &s.bits, sizeof s.bits);
}

/* Group g, n registers of it; codes of a byte each. */
SL_KV void kv_pack_group(const kv_lanes *r, uint32_t n, int exponent, uint8_t *code,
                         uint8_t *scales, uint32_t g)
{
    kv_lanes low = {0}, high = {0};
    for (uint32_t i = 0; i < n; i++) {
        low = kv_max(low, -r[i]);
        high = kv_max(high, r[i]);
    }
    const int32_t down = kv_max_of(low);
    const struct kv_step s = kv_choose(down + kv_max_of(high), 15, 11, exponent);
    if (!s.bits)
        return;
    const kv_lanes all = {down}, zs = kv_steps(all, &s);
    const int32_t z = zs[0] > 15 ? 15 : zs[0];
    for (uint32_t i = 0; i < n; i++) {
        const kv_lanes minus = r[i] < 0, q = ((kv_steps(r[i], &s) ^ minus) - minus) + z;
        const kv_lanes none = {0}, top = none + 15;
        kv_put8(-kv_max(-kv_max(q, none), -top), (int8_t *)code + KV_LANES * i);
    }
    memcpy(scales + 2 * (size_t)g, &s.bits, sizeof s.bits);
    scales[KV_ZERO_POINTS_AT + g] = (uint8_t)z;
}

SL_KV void kv_pack_int4(const kv_lanes *r, uint32_t d, int exponent, uint8_t *record)
{
    const uint32_t n = (d + KV_LANES - 1) / KV_LANES, code_bytes = (d / 2 + 63) / 64 * 64;
    uint8_t code[SL_MAX_HEAD_DIM] = {0};
    memset(record, 0, code_bytes + SL_BEAT_BYTES);
    for (uint32_t i = 0, g = 0; i < n; i += KV_GROUP_REGS, g++)
        kv_pack_group(r + i, n - i < KV_GROUP_REGS ? n - i : KV_GROUP_REGS, exponent,
                      code + KV_LANES * i, record + code_bytes, g);
    for (uint32_t i = 0; i < d / 2; i++)
        record[i] = (uint8_t)(code[2 * i] | code[2 * i + 1] << 4);
}

SL_KV void sl_kv_pack(int format, uint32_t d, const uint8_t *item, uint8_t *record)
{
    kv_lanes r[KV_MAX_REGS];
    kv_load(item, d, r);
    kv_rotate(r, (d + KV_LANES - 1) / KV_LANES, d & (~d + 1));
    (format == SL_KVREC_INT8 ? kv_pack_int8 : kv_pack_int4)(r, d, sl_cpu_base_of(item), record);
}

SL_KV bool sl_kv_item_ok(uint32_t d, const uint8_t *item)
{
    const kv_lanes lane = {0, 1, 2, 3, 4, 5, 6, 7};
    kv_lanes bad = {0};
    for (uint32_t i = 0; i * KV_LANES < d; i++) {
        kv_codes q;
        memcpy(&q, item + SL_BEAT_BYTES + (size_t)i * sizeof q, sizeof q);
        bad |= (__builtin_convertvector(q, kv_lanes) == INT16_MIN) &
               (lane < (int32_t)(d - i * KV_LANES));
    }
    return kv_max_of(-bad) == 0 && !sl_cpu_base_is_bad(sl_cpu_base_of(item));
}

#endif

#endif
