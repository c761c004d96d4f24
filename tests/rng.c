/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from test_main.c, so that fuzzers have it without the runner. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "test_main.h"

struct sl_rng sl_rng_open(const char *test, uint64_t default_seed)
{
    const char *env = getenv("SL_SEED");
    struct sl_rng rng = {env ? strtoull(env, NULL, 0) : default_seed};
    printf("[%s seed=%llu] ", test, (unsigned long long)rng.state);
    rng.state = rng.state * 0x9E3779B97F4A7C15u + 1;
    return rng;
}

uint64_t sl_rng_next(struct sl_rng *rng)
{
    uint64_t x = rng->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng->state = x;
    return x * 0x2545F4914F6CDD1Du;
}

int64_t sl_rng_range(struct sl_rng *rng, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(sl_rng_next(rng) % ((uint64_t)(hi - lo) + 1));
}

double sl_rng_normal(struct sl_rng *rng)
{
    double u = ((double)(sl_rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
    double v = ((double)(sl_rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
