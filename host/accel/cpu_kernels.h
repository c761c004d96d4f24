/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vector implementations of struct sl_cpu_ops have in common: items, the code books, and
 * the roundings at the end.
 */
#ifndef SL_ACCEL_CPU_KERNELS_H
#define SL_ACCEL_CPU_KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "accel/cpu_ops.h"
#include "store/slab.h"

enum {
    /* Weights are asked for this far ahead of their use, in the order of memory, scale beats too:
     * a gap in that stream costs as much as none at all. */
    SL_CPU_PREFETCH = 8192,
    SL_CPU_MAX_GROUPS = SL_MAX_K / SL_BLOCK
};

/* sl_cpu_ops.plain by the other entries of a vector implementation. */
unsigned sl_cpu_plain_by(const struct sl_cpu_ops *ops, const struct sl_cpu_plain *c, void *work);

/* The parts of an 8-bit item (docs/numerics.md 3.1): base, block exponents one beat on, codes. */
static inline int32_t sl_cpu_base_of(const uint8_t *item)
{
    int32_t base;
    memcpy(&base, item, sizeof base);
    return base;
}

static inline const uint8_t *sl_cpu_codes_of(const uint8_t *item, uint32_t k)
{
    const uint32_t n_block = k / SL_BLOCK;
    return item + SL_BEAT_BYTES + (size_t)(n_block + 63) / 64 * 64;
}

static inline bool sl_cpu_base_is_bad(int32_t base)
{
    return base > SL_BASE_MAX || base < -SL_BASE_MAX;
}

/* The 16 values of a 4-bit format. */
static inline const int8_t *sl_cpu_book(int format)
{
    enum {
#define CODEBOOK(name, ...) BOOK_##name,
#include "tables.def"
#undef CODEBOOK
        N_BOOK
    };
    static const int8_t books[N_BOOK][16] = {
#define CODEBOOK(name, ...) {__VA_ARGS__},
#include "tables.def"
#undef CODEBOOK
    };
    return books[format == SL_FORMAT_NF4     ? BOOK_NF4
                 : format == SL_FORMAT_MXFP4 ? BOOK_MXFP4
                                             : BOOK_INT4];
}

/* ---- the rounding (sl_scale_f32 of docs/numerics.md 1) --------------------------------------- */

enum {
    /* Exponents e for which p * 2^e, p a whole number below 2^64, is zero or a normal fp32: p then
     * needs no rounding but that to 24 bits, which the conversion instruction does, and the
     * multiplication by 2^e is exact. Products of 80 bits come as p * 2^16 (below). */
    SL_CPU_E_MIN = -126,
    SL_CPU_E_MAX = 46
};

static inline float sl_cpu_pow2(int e) /* e in -126 .. 127 */
{
    const uint32_t bits = (uint32_t)(e + 127) << 23;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* |v| * 2^e where the result is subnormal, overflows, or e is out of the range above. */
static inline float sl_cpu_round_rare(uint64_t a, int e)
{
    if (a == 0)
        return 0.0f;
    int top = 63 - __builtin_clzll(a) + e; /* exponent of the value */
    int ulp = (top < -126 ? -126 : top) - 23, s = ulp - e;
    if (top > 127)
        return INFINITY;
    uint64_t r = 0;
    if (s <= 0) {
        r = a << -s; /* below 2^24: top bit at 23 at most */
    } else if (s < 64) {
        uint64_t rest = a & ((UINT64_C(1) << s) - 1), half = UINT64_C(1) << (s - 1);
        r = a >> s;
        r += rest > half || (rest == half && (r & 1));
    } else if (s == 64) {
        r = a > UINT64_C(1) << 63;
    }
    return ldexpf((float)r, ulp); /* r <= 2^24 and ulp >= -149: exact, or infinity */
}

/*
 * sum * mant * 2^e with one rounding. A product of more than 63 bits is halved 16 times, what falls
 * out kept as a one in the last place: it is then above 2^46, so any rounding to 24 bits drops more
 * than that place, and no tie nor fp32 lies between the true and the kept value.
 */
static inline float sl_cpu_round(int64_t sum, uint16_t mant, int e)
{
    int64_t p;
    if (__builtin_mul_overflow(sum, (int64_t)mant, &p)) {
        __extension__ __int128 wide = (__int128)sum * mant;
        p = (int64_t)(wide >> 16) | ((wide & 0xFFFF) != 0);
        e += 16;
    }
    if (e >= SL_CPU_E_MIN && e <= SL_CPU_E_MAX + 16)
        return (float)p * sl_cpu_pow2(e);
    float f = sl_cpu_round_rare(p < 0 ? 0 - (uint64_t)p : (uint64_t)p, e);
    return p < 0 ? -f : f;
}

/* ---- to s32 (sl_scale_s32 of docs/numerics.md 1) ----------------------------------------------
 */

/* a * 2^-s to nearest, ties to even; 1 <= s. */
static inline uint64_t sl_cpu_rne(uint64_t a, int s)
{
    if (s > 64)
        return 0;
    const uint64_t half = UINT64_C(1) << (s - 1);
    const uint64_t kept = s < 64 ? a >> s : 0, rest = s < 64 ? a & (2 * half - 1) : a;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

/* sat32(RNE(sum * mant * 2^e)); *n_sat counts saturation. The product as in sl_cpu_round. */
static inline int32_t sl_cpu_scale_s32(int64_t sum, uint16_t mant, int e, uint32_t *n_sat)
{
    const bool minus = sum < 0;
    const uint64_t limit = (uint64_t)INT32_MAX + minus;
    __extension__ unsigned __int128 wide = minus ? 0 - (uint64_t)sum : (uint64_t)sum;
    wide *= mant;
    uint64_t q = (uint64_t)wide;
    if (wide >> 64) {
        q = (uint64_t)(wide >> 16) | ((wide & 0xFFFF) != 0);
        e += 16;
    }
    if (e < 0)
        q = sl_cpu_rne(q, -e);
    else if (q > limit || e > 31)
        q = q ? limit + 1 : 0;
    else
        q <<= e;
    *n_sat += q > limit;
    q = q > limit ? limit : q;
    return (int32_t)(minus ? 0 - (int64_t)q : (int64_t)q);
}

/* ---- h ----------------------------------------------------------------------------------------
 */

/* sigmoid at i / 16, i = 0 .. 256, in Q16 (docs/numerics.md 5.1). */
static inline const uint32_t *sl_cpu_sigmoid(void)
{
    static const uint32_t table[257] = {
#include "sigmoid.def"
    };
    return table;
}

/* What a block of h, whose magnitudes have `all` as their union of bits, is quantised with: its
 * exponent, the shift, and the counts (docs/numerics.md 3.2). */
struct sl_cpu_window {
    int he, shift;
};

static inline struct sl_cpu_window sl_cpu_window_of(uint64_t all, int u,
                                                    struct sl_cpu_counts *counts)
{
    if (!all)
        return (struct sl_cpu_window){0, 0};
    int he = 63 - __builtin_clzll(all) - 38 + u;
    counts->saturations += he > SL_XE_MAX;
    counts->clamps += he < 0;
    he = he < 0 ? 0 : he > SL_XE_MAX ? SL_XE_MAX : he;
    return (struct sl_cpu_window){he, he - u + 32};
}

#endif
