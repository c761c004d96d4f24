/* SPDX-License-Identifier: Apache-2.0 */
/* Pages are there before they are used, as many as promised and no more, with their contents. */
#include "base/prefault.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "test_main.h"

enum { MB = 1 << 20, BYTES = 24 * MB, AHEAD = 4 * MB, STEP = 2 * MB, MS = 1000000 };

static uint8_t *map(void)
{
    uint8_t *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(p != MAP_FAILED);
    madvise(p, BYTES, MADV_NOHUGEPAGE);
    return p;
}

/* How many bytes from the beginning on have pages; behind them there may be none. */
static size_t there(uint8_t *memory)
{
    static unsigned char page[BYTES / 4096];
    size_t n = 0;
    CU_ASSERT_EQUAL_FATAL(mincore(memory, BYTES, page), 0);
    const size_t n_page = BYTES / (size_t)sysconf(_SC_PAGESIZE);
    while (n < n_page && (page[n] & 1))
        n++;
    for (size_t i = n; i < n_page; i++)
        CU_ASSERT_EQUAL(page[i] & 1, 0);
    return n * (size_t)sysconf(_SC_PAGESIZE);
}

/* Waits, at most ten seconds, until `bytes` are there. */
static void expect(uint8_t *memory, size_t bytes)
{
    for (int i = 0; i < 10000 && there(memory) < bytes; i++)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    CU_ASSERT(there(memory) >= bytes);
}

static void pages_come_ahead_of_their_use(void)
{
    struct sl_prefault *p = NULL;
    uint8_t *memory = map();
    if (madvise(memory, 4096, 23 /* MADV_POPULATE_WRITE */)) {
        printf("SKIPPED pages_come_ahead_of_their_use: the kernel is older than 5.14\n");
        munmap(memory, BYTES);
        return;
    }
    memset(memory, 0xA5, 4096);
    CU_ASSERT_EQUAL_FATAL(sl_prefault_open(&p, memory, BYTES, AHEAD), 0);
    for (size_t used = 0; used + AHEAD < BYTES; used += 5 * MB) {
        sl_prefault_used(p, used);
        sl_prefault_used(p, used / 2); /* earlier ones say nothing new */
        expect(memory, used + AHEAD);
        CU_ASSERT(there(memory) < used + AHEAD + STEP);
    }
    sl_prefault_used(p, BYTES);
    expect(memory, BYTES);
    sl_prefault_close(&p);
    CU_ASSERT_PTR_NULL(p);
    for (size_t i = 0; i < 4096; i++)
        CU_ASSERT_EQUAL(memory[i], 0xA5);
    munmap(memory, BYTES);
}

static void it_can_be_closed_at_any_time(void)
{
    uint8_t *memory = map();
    for (long us = 0; us < 40; us++) {
        struct sl_prefault *p = NULL;
        CU_ASSERT_EQUAL_FATAL(sl_prefault_open(&p, memory, BYTES, BYTES), 0);
        nanosleep(&(struct timespec){.tv_nsec = us * 10000}, NULL);
        sl_prefault_close(&p);
    }
    sl_prefault_close(&(struct sl_prefault *){NULL});
    munmap(memory, BYTES);
}

static const struct sl_case cases[] = {
    {"pages_come_ahead_of_their_use", pages_come_ahead_of_their_use},
    {"it_can_be_closed_at_any_time", it_can_be_closed_at_any_time},
    {NULL, NULL},
};

const struct sl_suite suite_prefault = {"prefault", cases};
