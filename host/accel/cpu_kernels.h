/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vector implementations of struct sl_cpu_ops have in common: where rows lie, the code
 * books, and the one rounding at the end.
 */
#ifndef SL_ACCEL_CPU_KERNELS_H
#define SL_ACCEL_CPU_KERNELS_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "accel/cpu_plain.h"
#include "store/slab.h"

enum {
    /* Weights are asked for this far ahead of their use, in the order of memory, scale beats too:
     * a gap in that stream costs as much as none at all. */
    SL_CPU_PREFETCH = 8192,
    SL_CPU_MAX_GROUPS = SL_MAX_K / SL_BLOCK
};

/* Rows of a plain slab, in bytes. */
struct sl_cpu_rows {
    const uint8_t *unit; /* the part's first */
    size_t unit_bytes;
    size_t scale_bytes; /* in front of the codes of a row (4-bit: of a pair) */
    size_t row_bytes;   /* scales and codes; 4-bit: of a pair */
    uint32_t n_unit;
};

static inline struct sl_cpu_rows sl_cpu_rows_of(const struct sl_cpu_plain *c)
{
    const int format = c->slab->format;
    const uint32_t k = c->slab->k;
    struct sl_cpu_rows r = {.unit_bytes = sl_unit_beats(format, k) * SL_BEAT_BYTES,
                            .scale_bytes = sl_scale_beats(format, k) * SL_BEAT_BYTES,
                            .n_unit = (c->n_row + 1) / 2};
    r.row_bytes = r.scale_bytes + sl_k64(k);
    r.unit = (const uint8_t *)c->slab + SL_BEAT_BYTES + c->first / 2 * r.unit_bytes;
    return r;
}

/* The item of token t (docs/numerics.md 3.1): base, block exponents, codes. */
struct sl_cpu_token {
    int32_t base;
    const uint8_t *xe, *code;
};

static inline struct sl_cpu_token sl_cpu_token_at(const struct sl_cpu_plain *c, uint32_t t)
{
    const uint32_t n_block = c->slab->k / SL_BLOCK;
    const size_t exp_bytes = (size_t)(n_block + 63) / 64 * 64;
    const uint8_t *item = c->x + t * (SL_BEAT_BYTES + exp_bytes + sl_k64(c->slab->k));
    struct sl_cpu_token token = {.xe = item + SL_BEAT_BYTES,
                                 .code = item + SL_BEAT_BYTES + exp_bytes};
    memcpy(&token.base, item, sizeof token.base);
    return token;
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

#endif
