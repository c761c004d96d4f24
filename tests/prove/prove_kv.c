/* SPDX-License-Identifier: Apache-2.0 */
/* The Hadamard transform of any head vector stays below 2^23, that of any unpacked record inside of
 * 64 bits. */
#include "kv_pack.c"

#include <__fc_builtin.h>

static void transform(int64_t bound, int64_t after)
{
    int64_t v[MAX_D];
    //@ loop unroll 256;
    for (uint32_t i = 0; i < MAX_D; i++)
        v[i] = Frama_C_long_interval(-bound, bound);
    sl_kv_hadamard(v, MAX_D, 8);
    //@ assert \forall integer i; 0 <= i < 256 ==> -after <= v[i] <= after;
}

int main(void)
{
    transform(32767, 8388352); /* < 2^23 */
    transform(INT64_C(65025) << 32, INT64_C(65025)
                                        << 40); /* codes of INT4 at the common exponent */
    return 0;
}
