/* SPDX-License-Identifier: Apache-2.0 */
/* Thread pool: parallel loops over independent items. Workers spin briefly, then sleep on a futex,
 * so that another busy process does not make the pool collapse. No allocation after open. */
#ifndef SL_BASE_POOL_H
#define SL_BASE_POOL_H

#include <stddef.h>

struct sl_pool;
struct sl_profile;

/* n_threads counts the caller's own thread; 0: one per online CPU; 1: everything runs in the
 * caller. */
int sl_pool_open(struct sl_pool **out, unsigned n_threads);
void sl_pool_close(struct sl_pool **pool);
unsigned sl_pool_threads(const struct sl_pool *pool);
/* Records the workers' share of each loop from now on; borrowed. NULL: nothing. */
void sl_pool_set_profile(struct sl_pool *pool, struct sl_profile *profile);

/* Runs fn(user, i, thread) for every i in [0, n), thread in [0, threads). Returns when all are
 * done. Items must not depend on each other: which thread runs which item is not defined. */
typedef void (*sl_pool_fn)(void *user, size_t i, unsigned thread);
void sl_pool_run(struct sl_pool *pool, sl_pool_fn fn, void *user, size_t n);

#endif
