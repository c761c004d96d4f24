/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

enum {
    SPIN = 2000, /* a few microseconds, then the futex: a busy neighbour costs one wake-up */
    MAX_THREADS = 256
};

struct worker {
    struct sl_pool *pool;
    pthread_t thread;
    unsigned index;
};

struct sl_pool {
    unsigned n_thread;
    /* One loop at a time. `round` counts loops and is what sleeping workers wait on; odd values
     * never occur twice for one loop, so a worker that slept through a loop joins the next. */
    _Atomic uint32_t round;
    _Atomic uint32_t left; /* workers that have not finished the round; the caller waits on it */
    _Atomic size_t next;   /* first item nobody has taken */
    size_t n;
    sl_pool_fn fn;
    void *user;
    atomic_bool stop;
    struct worker worker[MAX_THREADS];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Returns when *word != value. */
static void wait_change(_Atomic uint32_t *word, uint32_t value)
{
    for (int i = 0; i < SPIN; i++)
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return;
    while (atomic_load_explicit(word, memory_order_acquire) == value)
        futex_wait(word, value);
}

static void take_items(struct sl_pool *pool, unsigned thread)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (i >= pool->n)
            return;
        pool->fn(pool->user, i, thread);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct sl_pool *pool = w->pool;
    uint32_t seen = 0;
    for (;;) {
        wait_change(&pool->round, seen);
        seen = atomic_load_explicit(&pool->round, memory_order_acquire);
        if (atomic_load_explicit(&pool->stop, memory_order_relaxed))
            return NULL;
        take_items(pool, w->index);
        /* Release: the caller sees this worker's results once left is 0. */
        if (atomic_fetch_sub_explicit(&pool->left, 1, memory_order_acq_rel) == 1)
            futex_wake(&pool->left, 1);
    }
}

static void start_round(struct sl_pool *pool)
{
    atomic_fetch_add_explicit(&pool->round, 1, memory_order_release);
    futex_wake(&pool->round, INT_MAX);
}

int sl_pool_open(struct sl_pool **out, unsigned n_threads)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    struct sl_pool *pool = sl_alloc(1, sizeof *pool);
    if (!pool)
        return SL_ERR_NOMEM;
    n_threads = n_threads ? n_threads : online > 0 ? (unsigned)online : 1;
    n_threads = n_threads < MAX_THREADS ? n_threads : MAX_THREADS;
    pool->n_thread = 1;
    for (unsigned i = 1; i < n_threads; i++) {
        pool->worker[i] = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&pool->worker[i].thread, NULL, worker_main, &pool->worker[i])) {
            sl_pool_close(&pool);
            return sl_fail(SL_ERR_NOMEM, "use fewer threads (-t)", "cannot start thread %u", i);
        }
        pool->n_thread = i + 1;
    }
    *out = pool;
    return 0;
}

void sl_pool_close(struct sl_pool **pool)
{
    struct sl_pool *p = *pool;
    if (!p)
        return;
    atomic_store(&p->stop, true);
    start_round(p);
    for (unsigned i = 1; i < p->n_thread; i++)
        pthread_join(p->worker[i].thread, NULL);
    free(p);
    *pool = NULL;
}

unsigned sl_pool_threads(const struct sl_pool *pool)
{
    return pool->n_thread;
}

void sl_pool_run(struct sl_pool *pool, sl_pool_fn fn, void *user, size_t n)
{
    if (pool->n_thread == 1 || n < 2) {
        for (size_t i = 0; i < n; i++)
            fn(user, i, 0);
        return;
    }
    pool->fn = fn, pool->user = user, pool->n = n;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->left, pool->n_thread - 1, memory_order_relaxed);
    start_round(pool); /* release: workers see the loop's fields */
    take_items(pool, 0);
    for (uint32_t left; (left = atomic_load_explicit(&pool->left, memory_order_acquire)) != 0;)
        wait_change(&pool->left, left);
}
