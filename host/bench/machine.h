/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine gives, as loops that do nothing else: kernels are judged by their share of it.
 * Measure beside what is judged: others may be at work on the machine. */
#ifndef SL_BENCH_MACHINE_H
#define SL_BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"

/* Nanoseconds for what the pool's threads do: where the caller is the only one (or pool is NULL),
 * of its own processor time, so that others on the machine do not count; else of the clock. */
uint64_t sl_machine_now(const struct sl_pool *pool);

/* Bytes per second that all threads of the pool (NULL: the caller) read of p[n], 64-byte aligned.
 * ahead: software prefetch so many bytes ahead; 0: none. */
double sl_machine_read(struct sl_pool *pool, const uint8_t *p, size_t n, size_t ahead);
/* The better of a plain and a prefetching loop, each on its half of p: the second would find the
 * first one's in a cache. */
double sl_machine_best_read(struct sl_pool *pool, const uint8_t *p, size_t n);
/* Cycles per second of the caller's core, by a chain of additions; 0: not known here. */
double sl_machine_clock(void);
/* Multiply-accumulates per second of vpdpbusd between registers, all threads; 0 without it. */
double sl_machine_peak(struct sl_pool *pool);

#endif
