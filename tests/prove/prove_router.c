/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of router rows, attention scores and weights stay inside of 64 bits. */
#include <__fc_builtin.h>
#include <stdint.h>

#include "primitives.h"

/* The exhaustive test of sl_exp_neg shows the upper end, which intervals cannot see through the
 * table. The lower end stands for the term of the maximum, e^0: a sum of weights is not 0. */
static uint32_t any_exp(uint32_t d)
{
    (void)d;
    return (uint32_t)Frama_C_interval(64, 1 << 30);
}
#define sl_exp_neg any_exp

#include "router_topk.c"

enum { N_BLOCK = SL_MAX_K / SL_BLOCK };

static void rows(void)
{
    int32_t w[SL_BLOCK];
    int8_t high[SL_BLOCK], low[SL_BLOCK];
    int64_t acc = 0;
    //@ loop unroll 32;
    for (uint32_t i = 0; i < SL_BLOCK; i++) {
        w[i] = sl_decode_s16((uint32_t)Frama_C_interval(0, 65535));
        high[i] = (int8_t)Frama_C_interval(-128, 127);
        low[i] = (int8_t)Frama_C_interval(-128, 127);
    }
    //@ loop unroll N_BLOCK;
    for (uint32_t i = 0; i < N_BLOCK; i++)
        acc += block_sum(w, high, low) * ((int64_t)1 << Frama_C_interval(0, SL_XE16_MAX));
    //@ assert -0x1000000000000000 <= acc <= 0x1000000000000000;
}

static void attention(void)
{
    int32_t k[MAX_E], v[MAX_E];
    //@ loop unroll 256;
    for (uint32_t i = 0; i < MAX_E; i++) {
        k[i] = Frama_C_interval(INT32_MIN, INT32_MAX);
        v[i] = Frama_C_interval(INT32_MIN, INT32_MAX);
    }
    attend(Frama_C_interval(INT32_MIN, INT32_MAX), k, v, MAX_E);
}

static void sigmoid(void)
{
    uint64_t s = sigmoid_q24(Frama_C_interval(INT32_MIN, INT32_MAX));
    //@ assert s <= 0x1000001; // one more than the truth: e / (1 + e) is two unrelated intervals
}

int main(void)
{
    rows();
    attention();
    sigmoid();
    return 0;
}
