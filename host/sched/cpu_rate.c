/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/cpu_rate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/cpu_ops.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "bench/machine.h"
#include "store/slab.h"

enum {
    TURNS = 5,
    MEMORY_BYTES = 256 << 20,
    K = 2048,
    ROWS = 2048, /* with K: 2 to 4 MB */
    PART = 64,   /* rows of a thread at a time */
    MAX_TURN_NS = 50000000
};

double sl_cpu_rate_memory(unsigned n_thread)
{
    struct sl_pool *pool = NULL;
    uint8_t *data = sl_alloc_aligned(64, MEMORY_BYTES);
    double best = 0;
    if (data && !sl_pool_open(&pool, n_thread)) {
        memset(data, 1, MEMORY_BYTES);
        for (unsigned i = 0; i < TURNS; i++)
            best = fmax(best, sl_machine_best_read(pool, data, MEMORY_BYTES) * 1e-9);
    }
    sl_pool_close(&pool);
    free(data);
    return best;
}

struct product {
    const struct sl_cpu_ops *ops;
    struct sl_slab *slab;
    uint8_t *x; /* SL_MAX_TOKENS activations */
    uint8_t *work;
    size_t work_stride;
    float *y; /* [SL_MAX_TOKENS][ROWS] */
};

static void product_close(struct product *p)
{
    free(p->slab);
    free(p->x);
    free(p->work);
    free(p->y);
}

/* Codes and scales of any bytes; x of both signs. */
static int product_open(struct product *p, const struct sl_cpu_ops *ops, unsigned n_thread,
                        int format)
{
    const struct sl_slab head = {.magic = SL_SLAB_MAGIC,
                                 .kind = SL_KIND_PLAIN,
                                 .format = (uint8_t)format,
                                 .k = K,
                                 .rows = ROWS,
                                 .mant0 = 1,
                                 .exp0 = -30};
    const size_t bytes = (sl_slab_beats(&head) + SL_SLACK_BEATS) * SL_BEAT_BYTES;
    const size_t item = (size_t)sl_act8_beats(K) * SL_BEAT_BYTES;
    float x[K];
    p->ops = ops;
    p->work_stride = (p->ops->work_bytes + 63) / 64 * 64;
    p->slab = sl_alloc_aligned(64, bytes);
    p->x = sl_alloc_aligned(64, SL_MAX_TOKENS * item);
    p->work = sl_alloc_aligned(64, n_thread * p->work_stride);
    p->y = sl_alloc((size_t)SL_MAX_TOKENS * ROWS, sizeof *p->y);
    int err = p->slab && p->x && p->work && p->y ? 0 : SL_ERR_NOMEM;
    if (err)
        return err;
    memset(p->slab, 0x5A, bytes);
    *p->slab = head;
    for (uint32_t i = 0; i < K; i++)
        x[i] = (float)((int)(i * 37 % 255) - 127);
    for (uint32_t t = 0; !err && t < SL_MAX_TOKENS; t++)
        err = sl_act8_pack(x, K, K, p->x + t * item);
    return err;
}

static void multiply_part(void *user, size_t i, unsigned thread)
{
    const struct product *p = user;
    const struct sl_cpu_plain call = {.slab = p->slab,
                                      .x = p->x,
                                      .n_tok = SL_MAX_TOKENS,
                                      .first = (uint32_t)i * PART,
                                      .n_row = PART,
                                      .y = p->y,
                                      .y_stride = ROWS};
    p->ops->plain(&call, p->work + thread * p->work_stride);
}

double sl_cpu_rate_multiply(const struct sl_cpu_ops *ops, unsigned n_thread, int format)
{
    struct sl_pool *pool = NULL;
    struct product p = {.slab = NULL};
    double best = 0;
    int err = sl_pool_open(&pool, n_thread);
    err = err ? err : product_open(&p, ops, sl_pool_threads(pool), format);
    uint64_t ns = 0;
    for (unsigned i = 0; !err && i < TURNS && ns < MAX_TURN_NS; i++) { /* "native" is slow */
        const uint64_t begin = sl_now_ns();
        sl_pool_run(pool, multiply_part, &p, ROWS / PART);
        ns = sl_now_ns() - begin;
        best = fmax(best, (double)SL_MAX_TOKENS * K * ROWS / (double)ns);
    }
    product_close(&p);
    sl_pool_close(&pool);
    return best;
}

/* Weights of a byte, scales with them. */
static double weights_of_byte(int format)
{
    return K / ((double)sl_unit_beats(format, K) * SL_BEAT_BYTES / 2);
}

double sl_cpu_rate_work(double n_tok, int format, double gbps, double gmacs)
{
    const double read_s = 1 / gbps, multiply_s = weights_of_byte(format) / gmacs; /* a byte */
    const double full = gmacs > 0 ? fmax(1, SL_MAX_TOKENS * multiply_s / read_s) : 1;
    const double tasks = ceil(n_tok / SL_MAX_TOKENS);
    return tasks + (n_tok - tasks) * (full - 1) / (SL_MAX_TOKENS - 1);
}
