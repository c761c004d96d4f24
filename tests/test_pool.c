/* SPDX-License-Identifier: Apache-2.0 */
#include "test_main.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pool.h"

enum { N = 1000 };

struct count_work {
    atomic_uint hits[N];
    atomic_uint bad_thread;
    unsigned n_thread;
};

static void count_one(void *user, size_t i, unsigned thread)
{
    struct count_work *w = user;
    atomic_fetch_add(&w->hits[i], 1);
    if (thread >= w->n_thread)
        atomic_fetch_add(&w->bad_thread, 1);
}

static void every_item_runs_once_whatever_the_thread_count(void)
{
    for (unsigned threads = 1; threads <= 5; threads++) {
        struct sl_pool *pool = NULL;
        struct count_work *w = calloc(1, sizeof *w);
        CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, threads), 0);
        CU_ASSERT_EQUAL(sl_pool_threads(pool), threads);
        w->n_thread = threads;
        sl_pool_run(pool, count_one, w, N);
        unsigned wrong = 0;
        for (int i = 0; i < N; i++)
            wrong += atomic_load(&w->hits[i]) != 1;
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_EQUAL(atomic_load(&w->bad_thread), 0);
        sl_pool_close(&pool);
        CU_ASSERT_PTR_NULL(pool);
        free(w);
    }
}

static void many_short_loops_lose_nothing(void)
{
    struct sl_pool *pool = NULL;
    struct count_work *w = calloc(1, sizeof *w);
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 4), 0);
    w->n_thread = 4;
    for (int round = 0; round < 3000; round++)
        sl_pool_run(pool, count_one, w, 1 + (size_t)round % 7);
    /* item i of 0..6 runs in every round that has more than i items */
    unsigned expect[7] = {0};
    for (int round = 0; round < 3000; round++)
        for (int i = 0; i <= round % 7; i++)
            expect[i]++;
    for (int i = 0; i < 7; i++)
        CU_ASSERT_EQUAL(atomic_load(&w->hits[i]), expect[i]);
    sl_pool_close(&pool);
    free(w);
}

static void an_empty_loop_and_a_null_close_do_nothing(void)
{
    struct sl_pool *pool = NULL;
    struct count_work *w = calloc(1, sizeof *w);
    sl_pool_close(&pool);
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 0), 0);
    CU_ASSERT(sl_pool_threads(pool) >= 1);
    sl_pool_run(pool, count_one, w, 0);
    CU_ASSERT_EQUAL(atomic_load(&w->hits[0]), 0);
    sl_pool_close(&pool);
    free(w);
}

/* Each item writes only its own place: the results must be those of a plain loop. */
static void mix_one(void *user, size_t i, unsigned thread)
{
    uint64_t x = i + 1;
    (void)thread;
    for (int k = 0; k < 50; k++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    ((uint64_t *)user)[i] = x;
}

static void results_do_not_depend_on_the_number_of_threads(void)
{
    uint64_t plain[N], pooled[N];
    for (size_t i = 0; i < N; i++)
        mix_one(plain, i, 0);
    for (unsigned threads = 1; threads <= 9; threads += 4) {
        struct sl_pool *pool = NULL;
        CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, threads), 0);
        memset(pooled, 0, sizeof pooled);
        sl_pool_run(pool, mix_one, pooled, N);
        CU_ASSERT_EQUAL(memcmp(plain, pooled, sizeof plain), 0);
        sl_pool_close(&pool);
    }
}

/* Pauses between loops send the workers to sleep, pauses inside an item the caller. */
static void pause_one(void *user, size_t i, unsigned thread)
{
    if (i % 5 == 4)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    count_one(user, i, thread);
}

static void sleeping_workers_and_a_sleeping_caller_wake(void)
{
    struct sl_pool *pool = NULL;
    struct count_work *w = calloc(1, sizeof *w);
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 3), 0);
    w->n_thread = 3;
    for (int round = 0; round < 200; round++) {
        sl_pool_run(pool, pause_one, w, 10);
        if (round % 2)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        for (int i = 0; i < 10; i++)
            if (atomic_load(&w->hits[i]) != (unsigned)round + 1)
                atomic_fetch_add(&w->bad_thread, 1);
    }
    CU_ASSERT_EQUAL(atomic_load(&w->bad_thread), 0);
    sl_pool_close(&pool);
    free(w);
}

static void pools_open_and_close_without_work(void)
{
    for (int i = 0; i < 50; i++) {
        struct sl_pool *pool = NULL;
        CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 1 + (unsigned)i % 8), 0);
        sl_pool_close(&pool);
        CU_ASSERT_PTR_NULL(pool);
    }
}

const struct sl_suite suite_pool = {
    "pool",
    (const struct sl_case[]){
        {"every_item_runs_once_whatever_the_thread_count",
         every_item_runs_once_whatever_the_thread_count},
        {"many_short_loops_lose_nothing", many_short_loops_lose_nothing},
        {"results_do_not_depend_on_the_number_of_threads",
         results_do_not_depend_on_the_number_of_threads},
        {"sleeping_workers_and_a_sleeping_caller_wake",
         sleeping_workers_and_a_sleeping_caller_wake},
        {"pools_open_and_close_without_work", pools_open_and_close_without_work},
        {"an_empty_loop_and_a_null_close_do_nothing", an_empty_loop_and_a_null_close_do_nothing},
        {NULL, NULL}}};
