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
#include "base/profile.h"
#include "base/thread.h"

enum {
    SPIN = 2000, /* a few microseconds, then the futex */
    MAX_THREADS = 256
};

/* The gate of a loop: a worker takes part only while the gate is open, and the caller closes it
 * when no item is left. So a worker that is late, because it slept or another process has its CPU,
 * is not waited for. */
#define GATE_OPEN 0x80000000u
#define GATE_WAITING 0x40000000u /* the caller sleeps until the last worker leaves */
#define GATE_COUNT 0x3FFFFFFFu   /* workers inside */

struct worker {
    struct sl_pool *pool;
    pthread_t thread;
    unsigned index;
};

struct sl_pool {
    unsigned n_thread;
    _Atomic uint32_t round; /* counts loops; sleeping workers wait on it */
    _Atomic uint32_t n_asleep;
    _Atomic uint32_t gate;
    atomic_bool stop;
    /* One loop at a time; these change only while the gate is shut and nobody is inside. */
    _Atomic size_t next; /* first item nobody has taken */
    size_t n;
    sl_pool_fn fn;
    void *user;
    struct sl_profile *profile; /* borrowed, NULL: off */
    enum sl_span_kind kind;     /* what the caller is doing */
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

static void take_items(struct sl_pool *pool, unsigned thread)
{
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (i >= pool->n)
            return;
        pool->fn(pool->user, i, thread);
    }
}

/* ---- workers -------------------------------------------------------------------------------- */

/* Returns the round that is not `seen`. */
static uint32_t wait_round(struct sl_pool *pool, uint32_t seen)
{
    uint32_t now;
    for (int i = 0; i < SPIN; i++)
        if ((now = atomic_load_explicit(&pool->round, memory_order_acquire)) != seen)
            return now;
    /* Sequentially consistent, as start_round: either it sees the sleeper or the kernel sees the
     * new round. */
    atomic_fetch_add(&pool->n_asleep, 1);
    while ((now = atomic_load(&pool->round)) == seen)
        futex_wait(&pool->round, seen);
    atomic_fetch_sub(&pool->n_asleep, 1);
    return now;
}

static bool enter(struct sl_pool *pool)
{
    uint32_t g = atomic_load_explicit(&pool->gate, memory_order_relaxed);
    while (g & GATE_OPEN)
        if (atomic_compare_exchange_weak_explicit(&pool->gate, &g, g + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void leave(struct sl_pool *pool)
{
    /* Release: the caller sees this worker's results once it counts nobody inside. */
    uint32_t before = atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release);
    if (before == (GATE_WAITING | 1))
        futex_wake(&pool->gate, 1);
}

static void work(struct sl_pool *pool, unsigned index)
{
    uint64_t begin = pool->profile ? sl_now_ns() : 0;
    take_items(pool, index);
    if (pool->profile)
        sl_profile_worker(pool->profile, index, pool->kind, begin);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct sl_pool *pool = w->pool;
    for (uint32_t seen = 0;;) {
        seen = wait_round(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        if (enter(pool)) {
            work(pool, w->index);
            leave(pool);
        }
    }
}

/* ---- caller --------------------------------------------------------------------------------- */

static void start_round(struct sl_pool *pool)
{
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->n_asleep))
        futex_wake(&pool->round, INT_MAX);
}

/* Closes the gate and waits until nobody is inside. */
static void finish_round(struct sl_pool *pool)
{
    uint32_t g = atomic_fetch_and_explicit(&pool->gate, ~GATE_OPEN, memory_order_acquire);
    g &= ~GATE_OPEN;
    for (int i = 0; g && i < SPIN; i++)
        g = atomic_load_explicit(&pool->gate, memory_order_acquire);
    if (!g)
        return;
    g = atomic_fetch_or_explicit(&pool->gate, GATE_WAITING, memory_order_acquire) | GATE_WAITING;
    for (; g & GATE_COUNT; g = atomic_load_explicit(&pool->gate, memory_order_acquire))
        futex_wait(&pool->gate, g);
    atomic_store_explicit(&pool->gate, 0, memory_order_relaxed);
}

void sl_pool_run(struct sl_pool *pool, sl_pool_fn fn, void *user, size_t n)
{
    if (pool->n_thread == 1 || n < 2) {
        for (size_t i = 0; i < n; i++)
            fn(user, i, 0);
        return;
    }
    pool->fn = fn, pool->user = user, pool->n = n;
    if (pool->profile)
        pool->kind = sl_profile_current(pool->profile);
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->gate, GATE_OPEN, memory_order_release);
    start_round(pool);
    take_items(pool, 0);
    finish_round(pool);
}

/* ---- open and close ------------------------------------------------------------------------- */

static unsigned count_threads(unsigned asked)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = asked ? asked : online > 0 ? (unsigned)online : 1;
    return n < MAX_THREADS ? n : MAX_THREADS;
}

int sl_pool_open(struct sl_pool **out, unsigned n_threads)
{
    struct sl_pool *pool = sl_alloc(1, sizeof *pool);
    if (!pool)
        return SL_ERR_NOMEM;
    n_threads = count_threads(n_threads);
    pool->n_thread = 1;
    for (unsigned i = 1; i < n_threads; i++) {
        pool->worker[i] = (struct worker){.pool = pool, .index = i};
        if (sl_thread_start(&pool->worker[i].thread, worker_main, &pool->worker[i])) {
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

void sl_pool_set_profile(struct sl_pool *pool, struct sl_profile *profile)
{
    pool->profile = profile;
}
