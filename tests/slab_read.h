/* SPDX-License-Identifier: Apache-2.0 */
/* Reads single weights out of a slab, by the text of docs/numerics.md 2 alone: shares no code with
 * the packer. */
#ifndef SL_TEST_SLAB_READ_H
#define SL_TEST_SLAB_READ_H

#include "sl_abi.h"

/* matrix: 0 gate, plain or router; 1 up; 2 down. */
struct sl_weight_at {
    int code;       /* bits as stored: nibble, byte or s16 */
    int value;      /* by the format's table */
    int scale_byte; /* -1 where the format has none */
    double weight;  /* the number it stands for */
};
struct sl_weight_at sl_test_weight(const uint8_t *slab, unsigned matrix, uint32_t row,
                                   uint32_t col);

/* Value of a code by the tables of the formats, and their largest value. */
int sl_test_code_value(int format, int code);
int sl_test_top(int format);
/* An E4M3 code as a number (not NaN). */
double sl_test_e4m3(int code);

#endif
