/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The named helpers and tables of docs/numerics.md 1, 5.1 and 5.4, written for reading: wide
 * integers, no bit tricks. The reference (tests/ref) shares nothing with the implementations it
 * judges but the constants of abi/.
 */
#ifndef SL_REF_NUM_H
#define SL_REF_NUM_H

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef __int128 ref_wide;

/* v * 2^-s to nearest, ties to even; s < 0 multiplies, saturating at +-2^120. |v| < 2^100. */
ref_wide ref_round(ref_wide v, int s);
int32_t ref_sat32(ref_wide v);
/* sl_scale_s32; *saturated (may be NULL) tells whether the rounded value left s32. */
int32_t ref_scale_s32(int64_t v, uint16_t m, int e, bool *saturated);
/* sl_scale_f32: the bits of an fp32. */
uint32_t ref_scale_f32(int64_t v, uint16_t m, int e);
int ref_log2(uint64_t v); /* v > 0 */
/* sl_div_half of a signed a, b > 0. */
int64_t ref_div_half(ref_wide a, ref_wide b);
/* e^-d of d in Q16, as Q30 (5.4). */
uint32_t ref_exp_neg(uint32_t d);
/* Sigmoid of g in Q16, as Q16 (5.1). */
int32_t ref_sigmoid(int32_t g);

float ref_float(uint32_t bits);

/* Little-endian words in memory. */
uint16_t ref_get16(const uint8_t *p);
uint32_t ref_get32(const uint8_t *p);
uint64_t ref_get64(const uint8_t *p);
void ref_put16(uint8_t *p, uint16_t v);
void ref_put32(uint8_t *p, uint32_t v);
void ref_put64(uint8_t *p, uint64_t v);

static inline uint64_t ref_ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

#endif
