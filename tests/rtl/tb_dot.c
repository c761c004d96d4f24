/* SPDX-License-Identifier: Apache-2.0 */
/* The sums that tb_dot.sv expects of sl_dot: docs/numerics.md 2 and 4, one code at a time. */
#include <stdlib.h>

#include "ref/ref_slab.h"
#include "svdpi.h"

enum { T = 2, DEPTH = 16, LANES = 64, X_BITS = 522 };

struct dot_bench {
    uint64_t sum[2][DEPTH][T];
};

void *tb_dot_open(void);
void tb_dot_step(void *handle, int format, int router, const svBitVecVal *beat, unsigned scales,
                 int row, int clear, int at, const svBitVecVal *x);
int64_t tb_dot_want(void *handle, int row, int at, int column);

void *tb_dot_open(void)
{
    return calloc(1, sizeof(struct dot_bench));
}

static unsigned bits(const svBitVecVal *v, unsigned at, unsigned n)
{
    uint64_t word = v[at / 32];
    if (at % 32 + n > 32)
        word |= (uint64_t)v[at / 32 + 1] << 32;
    return (unsigned)(word >> at % 32) & ((1u << n) - 1);
}

static int64_t s16_of(unsigned v)
{
    return v < 0x8000 ? v : (int64_t)v - 0x10000;
}

/* One group of 32 columns with one column's activations, without scale and exponent. */
static int64_t group_sum(int format, const svBitVecVal *beat, int high, unsigned first,
                         const svBitVecVal *x, unsigned x_at)
{
    int64_t sum = 0;
    for (unsigned i = first; i < first + SL_BLOCK; i++) {
        unsigned code = bits(beat, 8 * i, 8);
        if (ref_is_4bit(format))
            code = high ? code >> 4 : code & 15;
        sum += ref_code_value(format, (uint8_t)code) * (int64_t)(int8_t)bits(x, x_at + 8 * i, 8);
    }
    return sum;
}

/* 32 columns of s16; the high bytes of x are in lanes 0 .. 31, the low ones in lanes 32 .. 63. */
static int64_t router_sum(const svBitVecVal *beat, const svBitVecVal *x, unsigned x_at)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < SL_BLOCK; i++) {
        unsigned xv = bits(x, x_at + 8 * i, 8) << 8 | bits(x, x_at + 8 * (i + SL_BLOCK), 8);
        sum += s16_of(bits(beat, 16 * i, 16)) * s16_of(xv);
    }
    return sum;
}

/* Both groups of one row. */
static uint64_t row_sum(int format, const svBitVecVal *beat, unsigned scales, int high,
                        const svBitVecVal *x, unsigned x_at)
{
    uint64_t sum = 0;
    for (unsigned g = 0; g < 2; g++) {
        unsigned xe = bits(x, x_at + 8 * LANES + 5 * g, 5);
        unsigned scale = scales >> (16 * (high && ref_is_4bit(format)) + 8 * g) & 255;
        int64_t s = group_sum(format, beat, high, g * SL_BLOCK, x, x_at);
        if (format != SL_FORMAT_FP8)
            s *= (int64_t)(SL_SIG_BASE + (scale & 31)) << (scale >> 5);
        sum += (uint64_t)s << xe;
    }
    return sum;
}

void tb_dot_step(void *handle, int format, int router, const svBitVecVal *beat, unsigned scales,
                 int row, int clear, int at, const svBitVecVal *x)
{
    struct dot_bench *b = handle;
    bool both = !router && ref_is_4bit(format);
    for (int j = 0; j < T; j++)
        for (int r = 0; r < 2; r++) {
            uint64_t *sum = &b->sum[r][at][j], x_at = (uint64_t)(X_BITS * j);
            if (!both && r != row)
                continue;
            *sum = clear ? 0 : *sum;
            if (router)
                *sum += (uint64_t)router_sum(beat, x, (unsigned)x_at)
                        << bits(x, (unsigned)x_at + 8 * LANES, 5);
            else
                *sum += row_sum(format, beat, scales, r, x, (unsigned)x_at);
        }
}

int64_t tb_dot_want(void *handle, int row, int at, int column)
{
    struct dot_bench *b = handle;
    return (int64_t)b->sum[row][at][column];
}
