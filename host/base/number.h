/* SPDX-License-Identifier: Apache-2.0 */
/* Small things about numbers that several places want. */
#ifndef SL_BASE_NUMBER_H
#define SL_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* a / b, rounded up. */
static inline uint32_t sl_ceil_div(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

/* A decimal number from min to max, the whole of text, without a sign. False: it is not one. */
bool sl_parse_real(const char *text, double min, double max, double *out);

#endif
