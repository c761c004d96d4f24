/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of h for tb_quant.sv, and docs/numerics.md 3.2 for one of them. A block is known by its
 * key: the same key gives the same values whenever it is asked. */
#include "ref/ref_num.h"
#include "rtl/num_cases.h"
#include "sl_abi.h"
#include "svdpi.h"

enum { LARGEST_BIT = 62 }; /* |h| <= 2^62 */

int64_t tb_quant_value(uint64_t key, int u, int lane);
int tb_quant_wrong(uint64_t key, int u, const svBitVecVal *codes, int he, int saturated,
                   int clamped);

/* Leading bit of the block's largest value, such that he is around its range. */
static int leading_bit(uint64_t key, int u)
{
    int bit = (int)(key >> 8 & 31) - 4 + 38 - u;
    if ((key >> 13 & 7) == 0 || bit < 0 || bit > LARGEST_BIT)
        bit = (int)(key >> 16 & 63);
    return bit > LARGEST_BIT ? LARGEST_BIT : bit;
}

static uint64_t magnitude(uint64_t key, int bit, uint64_t random)
{
    uint64_t top = (uint64_t)1 << bit, any = random & (top - 1);
    switch (key & 7) {
    case 0: return 0;
    case 1: return (random & 7) ? any >> (random >> 58) : top; /* one or some lead */
    case 2:                                                    /* ties: q and a half */
        return bit < 7 ? any : ((any >> (bit - 6)) * 2 + 1) << (bit - 7);
    case 3: /* codes 126 and a half to 128, and their neighbours */
        return bit < 9 ? top : top * 2 - 1 - ((random & 7) << (bit - 9)) + (random >> 8 & 1);
    case 4: return random & 1 ? top * 2 - 1 : any;
    default: return any | ((random >> 60 & 3) == 0 ? top : 0);
    }
}

/* Lane `only` of a sparse block is the only one that is not 0. */
int64_t tb_quant_value(uint64_t key, int u, int lane)
{
    int bit = leading_bit(key, u), only = (int)(key >> 24 & 31);
    uint64_t random = tb_mix(key, (uint64_t)lane);
    if ((key >> 29 & 7) == 0 && lane != only)
        return 0;
    uint64_t a = magnitude(key, bit, random);
    if (lane == only && a != 0)
        a |= (uint64_t)1 << bit;
    if (a > (uint64_t)1 << LARGEST_BIT)
        a = (uint64_t)1 << LARGEST_BIT;
    return random >> 32 & 1 ? -(int64_t)a : (int64_t)a;
}

int tb_quant_wrong(uint64_t key, int u, const svBitVecVal *codes, int he, int saturated,
                   int clamped)
{
    uint64_t am = 0;
    int want_he = 0, over = 0, under = 0, wrong = 0;
    for (int i = 0; i < SL_BLOCK; i++) {
        int64_t h = tb_quant_value(key, u, i);
        uint64_t a = h < 0 ? (uint64_t)-h : (uint64_t)h;
        am = a > am ? a : am;
    }
    if (am != 0) {
        int e = ref_log2(am) - 38 + u;
        over = e > SL_XE_MAX;
        under = e < 0;
        want_he = over ? SL_XE_MAX : under ? 0 : e;
    }
    for (int i = 0; i < SL_BLOCK; i++) {
        ref_wide q = ref_round(tb_quant_value(key, u, i), want_he - u + 32);
        int want = q > 127 ? 127 : q < -127 ? -127 : (int)q;
        wrong += (int8_t)(codes[i / 4] >> i % 4 * 8) != want;
    }
    return wrong + (he != want_he) + (saturated != over) + (clamped != under);
}
