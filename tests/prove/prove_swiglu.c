/* SPDX-License-Identifier: Apache-2.0 */
/* From sums to codes of h and to words of y: no step overflows for any sum, scale, exponent or u_h.
 */
#include "expert_ffn.c"

#include <__fc_builtin.h>

int main(void)
{
    struct swiglu s;
    struct sl_report rep = {0, 0, 0, 0, 0, 0, 0};
    int8_t q[SL_BLOCK];
    int64_t sum = Frama_C_long_interval(INT64_MIN, INT64_MAX);
    uint16_t mant = (uint16_t)Frama_C_interval(0, UINT16_MAX);
    int32_t exp = Frama_C_interval(-34000, 34000); /* s16 + base + 16, s16 - u_h */
    uint32_t n_sat = 0;
    uint32_t word = sl_scale_f32(sum, mant, exp);
    int32_t g = sl_scale_s32(sum, mant, exp, &n_sat);
    int32_t u = sl_scale_s32(sum, mant, exp, &n_sat);
    int64_t h = (int64_t)sl_silu(g) * u;
    //@ assert -0x4000000000000000 <= h <= 0x4000000000000000;
    //@ loop unroll 32;
    for (uint32_t i = 0; i < SL_BLOCK; i++)
        s.block[i][0] = h;
    s.u = Frama_C_interval(SL_U_H_MIN - 255, SL_U_H_MAX);
    uint8_t he = quantise_block(&s, 0, q, &rep);
    //@ assert he <= SL_XE_MAX;
    //@ assert \forall integer i; 0 <= i < 32 ==> -127 <= q[i] <= 127;
    return (int)(word & 1);
}
