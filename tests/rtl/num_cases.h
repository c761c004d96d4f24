/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments for the benches of the arithmetic: case i of a seed, the same whenever it is asked for.
 * Numbers of every length, ends of ranges, ties and their neighbours are likely. */
#ifndef SL_NUM_CASES_H
#define SL_NUM_CASES_H

#include <stdint.h>

uint64_t tb_mix(uint64_t seed, uint64_t i);
/* A number of random length; powers of two, their neighbours, and three halves of them. */
uint64_t tb_any_u64(uint64_t seed, uint64_t i);
/* Arguments of sl_scale_s32 and sl_scale_f32; -2^17 <= e < 2^17. */
void tb_scale_case(uint64_t seed, uint64_t i, int64_t *v, unsigned *m, int *e);
/* How many of the two results, and whether the first is said to be saturated, are wrong. */
int tb_scale_wrong(int64_t v, unsigned m, int e, int s32, unsigned saturated, unsigned f32);

#endif
