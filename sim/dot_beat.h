/* SPDX-License-Identifier: Apache-2.0 */
/* The imported function of rtl/sl_dot.sv (DPI = 1). */
#ifndef SL_SIM_DOT_BEAT_H
#define SL_SIM_DOT_BEAT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * kind: SL_FORMAT_*, or 5 for a router's row. w: a code beat, x: an activation entry (64 codes;
 * the exponents behind them are not looked at), as little-endian words. sums: low row g0, g1, high
 * row g0, g1 (0 for one-row beats). Router: g0 with the high bytes of x, g1 with the low ones.
 */
void sl_dot_beat(int kind, const uint32_t *w, const uint32_t *x, uint32_t *sums);
/* The same without vector instructions; the tests compare the two. */
void sl_dot_beat_plain(int kind, const uint32_t *w, const uint32_t *x, uint32_t *sums);

#endif
