/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalar arithmetic of docs/numerics.md sections 1, 2 and 5: total functions, no undefined
 * behaviour for any argument that a comment does not exclude.
 */
#ifndef SL_HLS_PRIMITIVES_H
#define SL_HLS_PRIMITIVES_H

#include "hls_port.h"

static inline uint64_t sl_abs_u64(int64_t v)
{
    return v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
}

/* Puts the sign back on a magnitude of at most 2^63 (2^63 only with neg). */
static inline int64_t sl_sign_s64(uint64_t mag, bool neg)
{
    return (int64_t)(neg ? (uint64_t)0 - mag : mag);
}

/* floor(log2 v), v > 0. */
static inline uint32_t sl_log2(uint64_t v)
{
    uint32_t n = 0;
    for (uint32_t step = 32; step > 0; step >>= 1) {
        SL_UNROLL_BODY
        if (v >> step) {
            v >>= step;
            n += step;
        }
    }
    return n;
}

/* v * 2^-s to nearest, ties to even. Any s. */
static inline uint64_t sl_rne_u64(uint64_t v, uint32_t s)
{
    const uint64_t one = 1;
    if (s == 0)
        return v;
    if (s > 64)
        return 0;
    if (s == 64)
        return v > one << 63;
    uint64_t kept = v >> s;
    uint64_t rest = v & ((one << s) - 1);
    uint64_t tie = one << (s - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

/* v * 2^-s to nearest, ties to even; s <= 0 shifts left, and the result then fits s64 (s > -64). */
static inline int64_t sl_rne(int64_t v, int32_t s)
{
    uint64_t mag = sl_abs_u64(v);
    mag = s <= 0 ? mag << -s : s >= 64 ? 0 : sl_rne_u64(mag, (uint32_t)s);
    return sl_sign_s64(mag, v < 0);
}

static inline int32_t sl_sat32(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

/*
 * |v| * m = returned * 2^*up (*up is 0 or 16). With *up = 16 the bits that fell out are ORed into
 * bit 0: the returned value is then at least 2^48, so every later rounding drops more than that
 * bit.
 */
static inline uint64_t sl_mul_jam(int64_t v, uint16_t m, int32_t *up)
{
    uint64_t a = sl_abs_u64(v);
    uint64_t low = (a & UINT32_MAX) * m;
    uint64_t high = (a >> 32) * m + (low >> 32);
    low &= UINT32_MAX;
    bool wide = high >> 32;
    *up = wide ? 16 : 0;
    return wide ? high << 16 | low >> 16 | ((low & 0xFFFF) != 0) : high << 32 | low;
}

/* sat32(RNE(v * m * 2^e)), any e with |e| < 2^30. *n_sat grows by one when the result saturated. */
static inline int32_t sl_scale_s32(int64_t v, uint16_t m, int32_t e, uint32_t *n_sat)
{
    int32_t up;
    uint64_t q = sl_mul_jam(v, m, &up);
    const uint64_t limit = (uint64_t)INT32_MAX + (v < 0);
    e += up;
    if (e < 0)
        q = sl_rne_u64(q, (uint32_t)-e);
    else if (q > limit || e > 31)
        q = q ? limit + 1 : 0;
    else
        q <<= e;
    bool saturated = q > limit;
    *n_sat += saturated;
    return (int32_t)sl_sign_s64(saturated ? limit : q, v < 0);
}

/* fp32 bits of v * m * 2^e rounded once, ties to even; any e with |e| < 2^30. */
static inline uint32_t sl_scale_f32(int64_t v, uint16_t m, int32_t e)
{
    int32_t up;
    uint64_t q = sl_mul_jam(v, m, &up);
    uint32_t sign = v < 0 ? 0x80000000u : 0;
    if (q == 0)
        return sign;
    e += up;
    int32_t n = (int32_t)sl_log2(q);
    if (n + e > 127)
        return sign | 0x7F800000u;
    /* The unit of the result is 2^(e + s): 23 below the leading one, but not below 2^-149. */
    int32_t s = n + e >= -126 ? n - 23 : -149 - e;
    uint32_t field = n + e >= -126 ? (uint32_t)(n + e + 126) << 23 : 0;
    uint32_t sig = (uint32_t)(s <= 0 ? q << -s : sl_rne_u64(q, (uint32_t)s));
    /* A significand that rounded up to the next power of two carries into the exponent field. */
    return sign | (sig + field);
}

/* floor((2 a + b) / (2 b)), b > 0, a and b below 2^63 with 2 a + b < 2^64. */
static inline uint64_t sl_div_half(uint64_t a, uint64_t b)
{
    uint64_t q = a / b;
    return q + (a - q * b >= b - (a - q * b));
}

/* The same of a signed numerator: on the magnitude. */
static inline int64_t sl_div_half_signed(int64_t a, uint64_t b)
{
    return sl_sign_s64(sl_div_half(sl_abs_u64(a), b), a < 0);
}

/* E4M3 code as an integer times 2^9. Without branches: codes are random. */
static inline int32_t sl_decode_fp8(uint32_t code)
{
    uint32_t e = code >> 3 & 15, normal = e != 0;
    int32_t mag = (int32_t)(((code & 7) | normal << 3) << (e - normal));
    int32_t sign = -(int32_t)(code >> 7 & 1);
    return (mag ^ sign) - sign;
}

/* s8 of a byte: arithmetic instead of a cast, which gcc 12's vectoriser misreads. */
static inline int32_t sl_decode_s8(uint32_t code)
{
    return (int32_t)(code ^ 128) - 128;
}

static inline int32_t sl_decode_s16(uint32_t code)
{
    return (int32_t)(code ^ 0x8000) - 0x8000;
}

enum sl_book {
#define CODEBOOK(name, ...) SL_BOOK_##name,
#include "tables.def"
#undef CODEBOOK
    SL_N_BOOK
};

/* 4-bit code of `format`; other formats read the INT4 table. */
static inline int32_t sl_decode_4bit(uint32_t format, uint32_t code)
{
    SL_ROM int8_t books[SL_N_BOOK][16] = {
#define CODEBOOK(name, ...) {__VA_ARGS__},
#include "tables.def"
#undef CODEBOOK
    };
    uint32_t book = format == SL_FORMAT_NF4     ? SL_BOOK_NF4
                    : format == SL_FORMAT_MXFP4 ? SL_BOOK_MXFP4
                                                : SL_BOOK_INT4;
    return books[book][code & 15];
}

static inline bool sl_format_is_4bit(uint32_t format)
{
    return format >= SL_FORMAT_NF4;
}

/* sigmoid of s32 Q16, in Q16: 0 .. 65536. */
static inline uint32_t sl_sigmoid(int32_t g)
{
    SL_ROM uint32_t table[257] = {
#include "sigmoid.def"
    };
    uint32_t a = (uint32_t)sl_abs_u64(g);
    uint32_t sigma = 65536;
    if (a < 16u * 65536) {
        uint32_t i = a >> 12, f = a & 4095;
        sigma = table[i] + (((table[i + 1] - table[i]) * f + 2048) >> 12);
    }
    return g < 0 ? 65536 - sigma : sigma;
}

/* silu of s32 Q16, in s32 Q16. */
static inline int32_t sl_silu(int32_t g)
{
    return (int32_t)sl_rne((int64_t)g * sl_sigmoid(g), 16);
}

/* e^-d of u32 Q16, in Q30. */
static inline uint32_t sl_exp_neg(uint32_t d)
{
    SL_ROM uint32_t table[257] = {
#include "exp2.def"
    };
    uint64_t t = (uint64_t)d * 1549082005u >> 22;
    uint64_t n = t >> 24;
    uint32_t i = (uint32_t)(t >> 16) & 255, r = (uint32_t)t & 65535;
    uint64_t slope = (uint64_t)(table[i] - table[i + 1]) * r;
    uint32_t v = table[i] - (uint32_t)((slope + 32768) >> 16);
    if (n == 0)
        return v;
    return n > 31 ? 0 : (uint32_t)(((uint64_t)v + ((uint64_t)1 << (n - 1))) >> n);
}

/* Philox 2x32-10 (Salmon et al. 2011): both words of the counter's turn under a key, c0's below. */
static inline uint64_t sl_philox(uint32_t key, uint32_t c0, uint32_t c1)
{
    for (uint32_t round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)c0 * 0xD256D193u;
        c0 = (uint32_t)(p >> 32) ^ key ^ c1;
        c1 = (uint32_t)p;
        key += 0x9E3779B9u;
    }
    return (uint64_t)c1 << 32 | c0;
}

#endif
