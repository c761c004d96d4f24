/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/pool.h"
#include "engine/kv_quant.h"
#include "engine/mathf.h"
#include "engine/simd.h"

/* The query heads of one token that share one KV head. */
struct group {
    const struct sl_simd *simd;
    const struct sl_kv *kv;
    uint32_t n, head_dim;
    float factor;
    float *q, *acc;   /* [n][head_dim] */
    float *max, *sum; /* [n] */
    float *p;         /* [n][SL_KV_BLOCK] */
};

struct run {
    const struct sl_attention *attention;
    const struct sl_attention_call *call;
    const struct sl_simd *simd;
};

int sl_attention_open(struct sl_attention *out, const struct sl_config *config,
                      struct sl_pool *pool)
{
    size_t n = config->n_head / config->n_kv_head;
    size_t floats = n * (2 * (size_t)config->head_dim + 2 + SL_KV_BLOCK);
    floats = (floats + 15) / 16 * 16;
    float *scratch = sl_alloc_aligned(64, sl_pool_threads(pool) * floats * sizeof *scratch);
    if (!scratch)
        return SL_ERR_NOMEM;
    *out = (struct sl_attention){.pool = pool,
                                 .n_head = config->n_head,
                                 .n_kv_head = config->n_kv_head,
                                 .head_dim = config->head_dim,
                                 .scratch = scratch,
                                 .per_thread = floats};
    return 0;
}

void sl_attention_close(struct sl_attention *attention)
{
    free(attention->scratch);
    *attention = (struct sl_attention){0};
}

/* All heads of the group meet one block of positions. */
static void group_block(struct group *g, const struct sl_kv_block *k, const struct sl_kv_block *v)
{
    g->simd->scores[g->kv->format_k](k, g->q, g->n, g->factor, g->p);
    for (uint32_t h = 0; h < g->n; h++) {
        float *p = g->p + (size_t)h * SL_KV_BLOCK, *acc = g->acc + (size_t)h * g->head_dim;
        float top = g->simd->max(p, k->n);
        float max = top > g->max[h] ? top : g->max[h];
        float c = sl_expf(g->max[h] - max);
        g->simd->exp_sub(p, p, k->n, max);
        g->sum[h] = g->sum[h] * c + g->simd->sum(p, k->n);
        for (uint32_t i = 0; i < g->head_dim; i++)
            acc[i] = acc[i] * c;
        g->max[h] = max;
    }
    g->simd->accumulate[g->kv->format_v](v, g->p, g->n, g->acc);
}

static void begin(struct group *g, const float *q)
{
    memcpy(g->q, q, (size_t)g->n * g->head_dim * sizeof *q);
    memset(g->acc, 0, (size_t)g->n * g->head_dim * sizeof *g->acc);
    memset(g->p, 0, (size_t)g->n * SL_KV_BLOCK * sizeof *g->p);
    g->factor = 1.0f / sqrtf((float)g->head_dim);
    bool packed = g->kv->format_k != SL_KV_F32;
    if (packed)
        g->factor = g->factor / (float)sl_kv_hadamard_block(g->head_dim);
    for (uint32_t h = 0; h < g->n; h++) {
        g->max[h] = -INFINITY;
        g->sum[h] = 0;
        if (packed)
            sl_kv_hadamard(g->q + (size_t)h * g->head_dim, g->head_dim);
    }
}

static void finish(struct group *g, float *out)
{
    float block = (float)sl_kv_hadamard_block(g->head_dim);
    for (uint32_t h = 0; h < g->n; h++) {
        float *y = out + (size_t)h * g->head_dim;
        const float *acc = g->acc + (size_t)h * g->head_dim;
        for (uint32_t i = 0; i < g->head_dim; i++)
            y[i] = acc[i] / g->sum[h];
        if (g->kv->format_v == SL_KV_F32)
            continue;
        sl_kv_hadamard(y, g->head_dim);
        for (uint32_t i = 0; i < g->head_dim; i++)
            y[i] = y[i] / block;
    }
}

/* Item: one token and one KV head. */
static void run_item(void *user, size_t item, unsigned thread)
{
    const struct run *run = user;
    const struct sl_attention *a = run->attention;
    const struct sl_attention_call *c = run->call;
    uint32_t n = a->n_head / a->n_kv_head, kv_head = (uint32_t)(item % a->n_kv_head);
    size_t width = (size_t)n * a->head_dim, offset = item * width;
    float *scratch = a->scratch + thread * a->per_thread;
    struct group g = {.simd = run->simd,
                      .kv = c->kv,
                      .n = n,
                      .head_dim = a->head_dim,
                      .q = scratch,
                      .acc = scratch + width,
                      .max = scratch + 2 * width,
                      .sum = scratch + 2 * width + n,
                      .p = scratch + 2 * width + 2 * (size_t)n};
    uint32_t n_pos = c->pos + (uint32_t)(item / a->n_kv_head) + 1;
    begin(&g, c->q + offset);
    for (uint32_t at = 0; at < n_pos; at += SL_KV_BLOCK) {
        uint32_t count = n_pos - at < SL_KV_BLOCK ? n_pos - at : SL_KV_BLOCK;
        struct sl_kv_block k = {sl_kv_k(c->kv, c->kv_layer, kv_head, at), a->head_dim, count};
        struct sl_kv_block v = {sl_kv_v(c->kv, c->kv_layer, kv_head, at), a->head_dim, count};
        group_block(&g, &k, &v);
    }
    finish(&g, c->out + offset);
}

void sl_attention_run(struct sl_attention *attention, const struct sl_attention_call *call)
{
    struct run run = {.attention = attention, .call = call, .simd = sl_simd_best()};
    sl_pool_run(attention->pool, run_item, &run, (size_t)call->n_tok * attention->n_kv_head);
}
