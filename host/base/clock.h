/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of spans, measurements and deadlines: CLOCK_MONOTONIC. */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t sl_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t sl_now_ms(void)
{
    return sl_now_ns() / 1000000;
}

#endif
