/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast attention over the cache is, beside what the machine gives in the same moment: memory
 * bandwidth and multiply-adds between registers, by all threads of the pool. A turn measures all of
 * it, and ratios are taken within a turn. Others may be at work on the machine, so rates are by
 * processor time, as if each thread had had a processor to itself: work / (time of the process /
 * threads). `busy` says how far from that the wall clock's time was.
 */
#ifndef SL_ENGINE_ATTENTION_BENCH_H
#define SL_ENGINE_ATTENTION_BENCH_H

#include "engine/ops.h"

struct sl_pool;

/* n_tok queries, the last of them at position n_pos - 1. */
struct sl_attention_shape {
    uint32_t n_head, n_kv_head, head_dim, n_pos, n_tok;
    enum sl_kv_format format; /* of keys and values */
};

/* Medians over the turns. Rates in 1e9 per second. */
struct sl_attention_result {
    double seconds;    /* of one layer's call, by the wall clock */
    double busy;       /* processor time / threads / seconds: 1 when no thread waited */
    double read;       /* bytes: the better of a plain and a prefetching read loop */
    double bytes;      /* bytes of the cache passed by, each counted once */
    double read_share; /* bytes / read within a turn */
    double peak;       /* fp32 multiply-adds between registers; 0 where it is not known */
    double peak16;     /* the same of s16 with sums of 32 bits, which packed caches are read with */
    double macs;       /* multiply-adds of scores and weighted sums */
    double peak_share, peak16_share; /* macs / peak within a turn; 0 where there is no peak */
};

enum { SL_ATTENTION_MAX_TURNS = 999 };

/* Takes 512 MiB or a little more for a cache of many layers, which turns walk through, so that
 * nothing is left of the last turn in the processor's caches. turns: 1..SL_ATTENTION_MAX_TURNS.
 * SL_ERR_NOMEM, or what sl_kv_open says. */
int sl_attention_bench(struct sl_attention_result *out, const struct sl_attention_shape *shape,
                       struct sl_pool *pool, unsigned turns);

#endif
