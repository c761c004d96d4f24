/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine's CPU can do, measured by loops of some milliseconds: how fast it reads weights
 * for one token, and how fast it multiplies for many. */
#ifndef SL_SCHED_CPU_RATE_H
#define SL_SCHED_CPU_RATE_H

#include "accel/cpu_ops.h"

/* 1e9 bytes a second that so many threads (0: one per CPU) together read of memory, the better of
 * a plain and a prefetching loop; some tenths of a second. 0: it could not be measured. */
double sl_cpu_rate_memory(unsigned n_thread);
/* 1e9 multiply-accumulates a second with weights of a format (SL_FORMAT_*) and as many tokens as
 * go together, weights in caches. 0: it could not be measured. */
double sl_cpu_rate_multiply(const struct sl_cpu_ops *ops, unsigned n_thread, int format);

/* What n tokens cost, in units of reading the weights for one: straight lines from 1 to 64 tokens
 * at a time, where these take what multiplying takes, but no less than the reading. gbps, gmacs: of
 * the above; gmacs 0: reading only. */
double sl_cpu_rate_work(double n_tok, int format, double gbps, double gmacs);

#endif
