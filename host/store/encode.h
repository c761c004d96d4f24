/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of fp32 weights to codes and scale bytes (docs/numerics.md 2.1 to 2.3). Pure arithmetic, no
 * allocation; every value must be finite. */
#ifndef SL_STORE_ENCODE_H
#define SL_STORE_ENCODE_H

#include <stdint.h>

/* Scale of one matrix: value = sum * mant * 2^exp. */
struct sl_matrix_scale {
    uint16_t mant; /* 1 with group scales, 32768..65535 for fp8 */
    int16_t exp;   /* E0 of the group scales, or that of fp8 with the 2^-9 of its codes */
};

/* v > 0 as mant * 2^exp, mant in 32768..65535, rounded once to nearest even; zero gives 1.0. */
struct sl_matrix_scale sl_round_scale(double v);

/* Scale for a matrix whose largest magnitude is absmax. Group-scaled: E0 = floor(log2(absmax /
 * top)) - 12, at least -128, where top is the largest value of the format's table (int4: 7). fp8:
 * absmax / 448. A zero matrix has the scale 1. */
struct sl_matrix_scale sl_choose_scale(int format, float absmax);

/* Encodes w[0..k), k a multiple of 32, with the matrix' scale. code[k]: one byte per column, 4-bit
 * codes in the low nibble. scale[k / 32]: the groups' scale bytes; not written for fp8. Returns the
 * number of raised groups.
 *
 * Of a group with a = absmax / top, the byte nearest to a and its neighbours, one below to two
 * above, are tried in ascending order within 0..255 (bytes run on from one exponent to the next);
 * the least squared error wins. */
uint64_t sl_encode_row(int format, struct sl_matrix_scale matrix, const float *w, uint64_t k,
                       uint8_t *code, uint8_t *scale);

/* The same in int4 for weights that are integers times a known scale, known[k / 32]: a group whose
 * integers are all -8..7 keeps them, and gets the byte nearest to its scale (the even one on ties).
 * Others, and groups below the window, are encoded as above. */
uint64_t sl_encode_kept_row(struct sl_matrix_scale matrix, const float *w, uint64_t k,
                            const float *known, uint8_t *code, uint8_t *scale);

#endif
