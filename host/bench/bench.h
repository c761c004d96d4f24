/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of sluice bench share: bench.c (weights), bench_ops.c (all that is not). */
#ifndef SL_BENCH_BENCH_H
#define SL_BENCH_BENCH_H

#include "base/pool.h"
#include "sluice.h"

/* The median of v[n], which it sorts. */
double sl_bench_median(double *v, unsigned n);

/* Reports single launches of one job each, of a device of its own. */
int sl_bench_ops(const struct sl_bench_params *p, struct sl_pool *pool);

#endif
