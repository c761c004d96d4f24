/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_num.h"

unsigned tb_div_half_want(uint64_t num, uint64_t den, unsigned up);

/* num * 2^up / den. */
unsigned tb_div_half_want(uint64_t num, uint64_t den, unsigned up)
{
    return (unsigned)ref_div_half((ref_wide)num << up, (ref_wide)den);
}
