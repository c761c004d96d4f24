/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints how fast attention over the cache is (engine/attention_bench.h), at the head shapes of the
 * models.
 *
 *     attention_bench [TURNS [POSITIONS [THREADS]]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"
#include "engine/attention_bench.h"
#include "engine/simd.h"

static const char *const format_names[] = {"f32", "int8", "int4"};
static const struct {
    const char *name;
    uint32_t n_head, n_kv_head, head_dim;
} shapes[] = {
    {"Yuan 2.0-M32", 16, 16, 256}, {"Hunyuan-Large", 80, 8, 80}, {"Hunyuan-A13B", 32, 8, 128}};

static int bench_shape(size_t i, uint32_t n_pos, struct sl_pool *pool, unsigned turns)
{
    for (int f = SL_KV_INT8; f <= SL_KV_INT4; f++)
        for (uint32_t n_tok = 1; n_tok <= 256; n_tok *= 256) {
            struct sl_attention_result r;
            struct sl_attention_shape s = {shapes[i].n_head,
                                           shapes[i].n_kv_head,
                                           shapes[i].head_dim,
                                           n_tok > 1 ? n_pos / 4 : n_pos,
                                           n_tok,
                                           (enum sl_kv_format)f};
            if (s.n_pos < n_tok)
                continue;
            if (sl_attention_bench(&r, &s, pool, turns)) {
                fprintf(stderr, "error: %s\n", sl_error_message());
                return 1;
            }
            double us = 1e6 * r.seconds * r.busy / n_tok;
            printf("%-14s %2u/%-2u x %-3u %-4s %4u %6u | %8.1f %5.2f | %6.1f %6.1f %6.3f | %6.1f "
                   "%6.1f %6.1f %6.3f %6.3f\n",
                   shapes[i].name, s.n_head, s.n_kv_head, s.head_dim, format_names[f], n_tok,
                   s.n_pos, us, r.busy, r.read, r.bytes, r.read_share, r.peak, r.peak16, r.macs,
                   r.peak_share, r.peak16_share);
            fflush(stdout);
        }
    return 0;
}

int main(int argc, char **argv)
{
    int turns = argc > 1 ? atoi(argv[1]) : 41, n_pos = argc > 2 ? atoi(argv[2]) : 16384;
    int threads = argc > 3 ? atoi(argv[3]) : 0;
    struct sl_pool *pool;
    if (turns < 1 || turns > SL_ATTENTION_MAX_TURNS || n_pos < 1 || n_pos > 1 << 20 ||
        threads < 0) {
        fprintf(stderr, "usage: attention_bench [TURNS (1..%d) [POSITIONS [THREADS]]]\n",
                SL_ATTENTION_MAX_TURNS);
        return 2;
    }
    if (sl_pool_open(&pool, (unsigned)threads)) {
        fprintf(stderr, "error: %s\n", sl_error_message());
        return 1;
    }
    printf("%u threads, %s; medians of %d turns; 256 tokens at a quarter of the positions\n\n",
           sl_pool_threads(pool), sl_simd_best()->name, turns);
    printf("heads                                   |                | bytes, G/s           | "
           "multiply-adds, G/s\n");
    printf("               q/kv x dim  KV   tokens  n | us/token  busy |   read  cache  share |   "
           "fp32    s16   here /fp32   /s16\n");
    int bad = 0;
    for (size_t i = 0; !bad && i < sizeof shapes / sizeof *shapes; i++)
        bad = bench_shape(i, (uint32_t)n_pos, pool, (unsigned)turns);
    sl_pool_close(&pool);
    return bad;
}
