/* SPDX-License-Identifier: Apache-2.0 */
/* docs/numerics.md 5.5, the step of a group of codes, for tb_kv_step.sv. */
#include "ref/ref_num.h"
#include "sl_abi.h"
#include "svdpi.h"

int tb_step_wrong(int int4, int extent, int exponent, int sig, int shift, int bits, int zero);

/* ceil(v * 2^-e / levels) */
static int64_t steps(int64_t v, int e, int64_t levels)
{
    ref_wide num = e < 0 ? (ref_wide)v << -e : v, den = e > 0 ? (ref_wide)levels << e : levels;
    return (int64_t)((num + den - 1) / den);
}

/* How many of the unit's answers are wrong. shift brings |y| to units of 2^-10 (INT4: 2^-13). */
int tb_step_wrong(int int4, int extent, int exponent, int sig, int shift, int bits, int zero)
{
    const int levels = int4 ? 15 : 127, unit = int4 ? 13 : 10;
    if (extent == 0)
        return (zero != 1) + (bits != 0);
    int e = ref_log2((uint64_t)extent) - (int4 ? 11 : 14);
    int64_t want = steps(extent, e, levels);
    if (want > 255)
        want = steps(extent, ++e, levels);
    int field = e + exponent + 134;
    if (field < 1)
        return (zero != 1) + (bits != 0);
    int want_bits = (int)(want - 128) | (field > 254 ? 254 : field) << 7;
    return (zero != 0) + (sig != want) + (shift != unit - e) + (bits != want_bits);
}
