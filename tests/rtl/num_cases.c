/* SPDX-License-Identifier: Apache-2.0 */
#include "rtl/num_cases.h"

#include "ref/ref_num.h"

/* An unused field of random bits of a case. */
struct bits {
    uint64_t seed, at;
};

uint64_t tb_mix(uint64_t seed, uint64_t i)
{
    uint64_t x = seed * 0xD1342543DE82EF95u + i * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u;
    x = (x ^ x >> 32) * 0xE9846AF9B1A615Du;
    x = (x ^ x >> 32) * 0xE9846AF9B1A615Du;
    return x ^ x >> 28;
}

static uint64_t next(struct bits *b)
{
    return tb_mix(b->seed, b->at++);
}

/* lo .. hi */
static int range(struct bits *b, int lo, int hi)
{
    return lo + (int)(next(b) % (uint64_t)(hi - lo + 1));
}

static uint64_t any_u64(struct bits *b)
{
    uint64_t one = (uint64_t)1 << range(b, 0, 63);
    switch (range(b, 0, 7)) {
    case 0: return one;
    case 1: return one - 1;
    case 2: return one + 1;
    case 3: return one | one >> 1;
    default: return next(b) >> range(b, 0, 63);
    }
}

uint64_t tb_any_u64(uint64_t seed, uint64_t i)
{
    struct bits b = {~seed, i * 16};
    return any_u64(&b);
}

/* (2 r + 1) * 2^k with r of at most n bits, or one more or less: with the unit 2^(k + 1), a tie. */
static int64_t near_tie(struct bits *b, int n, int *k)
{
    uint64_t r = range(b, 0, 3) ? next(b) >> range(b, 64 - n, 63) : ((uint64_t)1 << n) - 1;
    *k = range(b, 0, 61 - n);
    return (int64_t)((2 * r + 1) << *k) + range(b, -1, 1);
}

/* Of exactly 24 bits: the significand of a normal fp32. */
static int64_t near_normal_tie(struct bits *b, int *k)
{
    uint64_t r = range(b, 0, 3) ? (next(b) >> 41) | 1 << 23 : 0xFFFFFF;
    *k = range(b, 0, 37);
    return (int64_t)((2 * r + 1) << *k) + range(b, -1, 1);
}

/* The largest s32, reached by a shift to the right or to the left, and the largest fp32 are near.
 */
static int64_t near_end(struct bits *b, int *e)
{
    int k = range(b, 0, 30);
    if (range(b, 0, 2) == 0) {
        *e = 31 - k + range(b, -1, 1);
        return ((int64_t)1 << k) - range(b, 0, 1);
    }
    if (range(b, 0, 1)) {
        *e = -k;
        return (((int64_t)1 << 31) + range(b, -2, 2)) * ((int64_t)1 << k) + range(b, -1, 1) +
               (range(b, -1, 1) * (((int64_t)1 << k) / 2));
    }
    *e = 128 - 25 - k + range(b, -1, 1);
    return (((int64_t)0x1FFFFFF - range(b, 0, 2)) << k) + range(b, -1, 1);
}

void tb_scale_case(uint64_t seed, uint64_t i, int64_t *v, unsigned *m, int *e)
{
    static const uint16_t mants[] = {0, 1, 2, 3, 32767, 32768, 32769, 65535};
    struct bits b = {seed, i * 16};
    int k, j = range(&b, 0, 3) ? 0 : range(&b, 0, 15);
    *m = 1u << j; /* ties stay ties */
    switch (i % 8) {
    case 0:
        *v = near_tie(&b, 33, &k);
        *e = -k - 1 - j;
        break;
    case 1:
        *v = near_normal_tie(&b, &k);
        *e = range(&b, -126 - 24 - k - j, 127 - 24 - k - j);
        break;
    case 2:
        *v = near_tie(&b, 23, &k);
        *e = -150 - k - j;
        break;
    case 3:
        *v = near_end(&b, e);
        *e -= j;
        break;
    case 4:
        *v = (int64_t)any_u64(&b);
        *m = mants[range(&b, 0, 7)];
        *e = range(&b, -131072, 131071);
        break;
    case 5:
        *v = (int64_t)any_u64(&b);
        *m = (unsigned)any_u64(&b) & 65535;
        *e = range(&b, -90, 40);
        break;
    default:
        *v = (int64_t)any_u64(&b);
        *m = (unsigned)next(&b) >> 16 & 65535;
        *e = range(&b, -300, 300);
        break;
    }
    if (range(&b, 0, 1))
        *v = (int64_t)(0 - (uint64_t)*v);
}

int tb_scale_wrong(int64_t v, unsigned m, int e, int s32, unsigned saturated, unsigned f32)
{
    bool want;
    int wrong = s32 != ref_scale_s32(v, (uint16_t)m, e, &want);
    return wrong + (saturated != want) + (f32 != ref_scale_f32(v, (uint16_t)m, e));
}
