/* SPDX-License-Identifier: Apache-2.0 */
#include "test_main.h"

#include <stdatomic.h>
#include <stdlib.h>

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

const struct sl_suite suite_pool = {
    "pool",
    (const struct sl_case[]){
        {"every_item_runs_once_whatever_the_thread_count",
         every_item_runs_once_whatever_the_thread_count},
        {"many_short_loops_lose_nothing", many_short_loops_lose_nothing},
        {"an_empty_loop_and_a_null_close_do_nothing", an_empty_loop_and_a_null_close_do_nothing},
        {NULL, NULL}}};
