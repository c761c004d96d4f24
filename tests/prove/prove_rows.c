/* SPDX-License-Identifier: Apache-2.0 */
/* No sum of a row leaves 64 bits, whatever the bytes of the weights are (docs/numerics.md section
 * 4). */
#include "weight_pass.c"

#include <__fc_builtin.h>

enum { N_BEAT = SL_MAX_K / 64 };

static int8_t x[64];

static void any_x(void)
{
    //@ loop unroll 64;
    for (uint32_t i = 0; i < 64; i++)
        x[i] = (int8_t)Frama_C_interval(-127, 127);
}

static void any_beat(sl_beat *b)
{
    //@ loop unroll 8;
    for (uint32_t i = 0; i < SL_BEAT_WORDS; i++)
        b->d[i] = Frama_C_unsigned_long_interval(0, UINT64_MAX);
}

/* The largest magnitude of an E4M3 code: all 256 are run. */
static int32_t largest_fp8(void)
{
    int32_t max = 0;
    //@ loop unroll 256;
    for (uint32_t code = 0; code < 256; code++) {
        int32_t v = sl_decode_fp8(code);
        max = v > max ? v : -v > max ? -v : max;
    }
    return max;
}

/* Rows of the largest K, every beat with any weights, scales and exponents. Returns the sum. */
static int64_t any_row(int32_t weight, int32_t sig_min, int32_t sig_max, int32_t we_max)
{
    struct lanes l;
    int64_t acc = 0;
    any_x();
    //@ loop unroll 64;
    for (uint32_t i = 0; i < 64; i++)
        l.w[0][i] = Frama_C_interval(-weight, weight);
    //@ loop unroll 2;
    for (uint32_t g = 0; g < 2; g++) {
        l.sig[0][g] = Frama_C_interval(sig_min, sig_max);
        l.we[0][g] = (uint32_t)Frama_C_interval(0, we_max);
    }
    //@ loop unroll N_BEAT;
    for (uint32_t i = 0; i < N_BEAT; i++) {
        uint32_t xe0 = (uint32_t)Frama_C_interval(0, SL_XE_MAX);
        uint32_t xe1 = (uint32_t)Frama_C_interval(0, SL_XE_MAX);
        acc += beat_sum(&l, 0, x, xe0, xe1);
    }
    return acc;
}

static void four_bit_codes_are_bytes(void)
{
    struct lanes l;
    sl_beat b;
    any_beat(&b);
    decode_4bit((uint32_t)Frama_C_interval(SL_FORMAT_NF4, SL_FORMAT_MXFP4), &b, &l);
    //@ assert \forall integer i; 0 <= i < 64 ==> -127 <= l.w[0][i] <= 127;
    //@ assert \forall integer i; 0 <= i < 64 ==> -127 <= l.w[1][i] <= 127;
}

static void byte_codes_are_bytes(void)
{
    struct lanes l;
    sl_beat b;
    any_beat(&b);
    decode_q8(&b, &l);
    //@ assert \forall integer i; 0 <= i < 64 ==> -128 <= l.w[0][i] <= 127;
}

int main(void)
{
    int32_t fp8 = largest_fp8();
    //@ assert fp8 == 245760;
    int64_t acc = any_row(fp8, 1, 1, 0);
    /* 32 * 245760 * 127 * 2^21 * 1024 */
    //@ assert -2144839322535198720 <= acc <= 2144839322535198720;
    byte_codes_are_bytes();
    four_bit_codes_are_bytes();
    acc = any_row(128, SL_SIG_BASE, SL_SIG_BASE + 31, SL_WE_MAX);
    /* 32 * 128 * 127 * 63 * 2^28 * 1024 */
    //@ assert -9008325154647834624 <= acc <= 9008325154647834624;
    return 0;
}
