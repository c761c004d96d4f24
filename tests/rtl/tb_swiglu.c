/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments and results of sl_swiglu for tb_swiglu.sv. */
#include "primitives.h"
#include "ref/ref_num.h"
#include "rtl/num_cases.h"

void tb_swiglu_case(uint64_t seed, uint64_t i, int *g, int *u);
int64_t tb_swiglu_want(int g, int u);
int64_t tb_swiglu_twin(int g, int u);

/* g: around each table entry, each power of two, below 20 of any kind, or any; u: any length. */
void tb_swiglu_case(uint64_t seed, uint64_t i, int *g, int *u)
{
    uint64_t r = tb_mix(seed, i);
    int near = (int)(r >> 40 & 7) - 4;
    switch (r & 3) {
    case 0: *g = ((int)(r >> 8 & 1023) - 512) * 4096 + near; break;
    case 1: *g = (int)((1u << (r >> 8 & 31)) + (unsigned)near); break;
    case 2: *g = (int)(r >> 8 & 0x3FFFFF) - (20 << 16); break;
    default: *g = (int)(r >> 8); break;
    }
    *u = (int)tb_any_u64(seed, i);
    if (r >> 63)
        *u = (int)(0 - (unsigned)*u);
}

int64_t tb_swiglu_want(int g, int u)
{
    return (int64_t)ref_round((int64_t)g * ref_sigmoid(g), 16) * u;
}

/* The C core's own: fast enough for every g. */
int64_t tb_swiglu_twin(int g, int u)
{
    return (int64_t)sl_silu(g) * u;
}
