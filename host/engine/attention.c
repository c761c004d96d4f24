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

enum {
    FEW_QUERIES = 3,  /* so many meet the keys' records themselves; more are worth a tile */
    FEW_WEIGHTS = 5,  /* of values */
    ITEM_ROWS = 64,   /* of queries: what amortises a tile and stays in L2 with it */
    SPLIT_TOKENS = 4, /* a chunk of so many is split by position */
    SPLIT_SPANS = 64, /* whose sums are kept at once */
    SHARE = 4,        /* items a thread should find, so that the last ones wait little */
    SCALES = 8 * SL_KV_BLOCK
};

/* Sums of some queries over some positions: rows of a group's heads, token by token. */
struct state {
    float *acc;       /* [rows][padded] */
    float *max, *sum; /* [rows] */
    float *c;         /* [rows], a step's factors */
};

struct job {
    const struct sl_attention *a;
    const struct sl_attention_call *call;
    const struct sl_simd *simd;
    uint32_t n, padded;         /* query heads of a group; floats of a row of sums */
    uint32_t tile_tok, n_tile;  /* tokens of an item, items of a KV head */
    uint32_t first_span, spans; /* of this round, few tokens only */
};

/* Prepared queries: codes [rows][SL_KV_QUERY] and factors where keys are packed, else fp32
 * [rows][head_dim]. */
struct queries {
    float *f32;
    int16_t *code;
    float *factor;
};

/* Some tokens and one KV head. */
struct part {
    const struct job *job;
    uint32_t kv_head, first_tok, n_tok;
    struct queries q; /* [n_tok * n] */
    struct state s;
    float *p; /* [n_tok * n][SL_KV_BLOCK] */
    struct sl_kv_tile k, v;
};

/* Where things lie in a thread's scratch, in floats. */
struct layout {
    size_t total, span, p, k, v, scale_k, scale_v, size; /* queries lie at 0 */
};

static size_t whole_lines(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static size_t state_size(const struct sl_attention *a, uint32_t rows)
{
    return whole_lines((size_t)rows * (sl_kv_padded(a->head_dim) + 3));
}

static struct state state_at(const struct sl_attention *a, float *at, uint32_t rows)
{
    float *max = at + (size_t)rows * sl_kv_padded(a->head_dim);
    return (struct state){at, max, max + rows, max + 2 * (size_t)rows};
}

static size_t query_size(const struct sl_attention *a, uint32_t rows)
{
    size_t codes = SL_KV_QUERY * sizeof(int16_t) / sizeof(float);
    return whole_lines(rows * (1 + (codes > a->head_dim ? codes : a->head_dim)));
}

static struct queries queries_at(const struct sl_attention *a, float *at, uint32_t rows)
{
    float *factor = at + query_size(a, rows) - rows;
    return (struct queries){at, (int16_t *)at, factor};
}

static struct layout layout_of(const struct sl_attention *a)
{
    const size_t tile = (size_t)sl_kv_padded(a->head_dim) * SL_KV_BLOCK / 2; /* of s16 */
    struct layout l = {0};
    l.total = query_size(a, a->max_rows);
    l.span = l.total + state_size(a, a->max_rows);
    l.p = l.span + state_size(a, a->max_rows);
    l.k = l.p + (size_t)a->max_rows * SL_KV_BLOCK;
    l.v = l.k + tile;
    l.scale_k = l.v + tile;
    l.scale_v = l.scale_k + SCALES;
    l.size = l.scale_v + SCALES;
    return l;
}

/* Of one KV head when few tokens are split: queries, what was merged so far, a round of spans. */
static size_t split_size(const struct sl_attention *a)
{
    return query_size(a, a->split_rows) + (1 + SPLIT_SPANS) * state_size(a, a->split_rows);
}

int sl_attention_open(struct sl_attention *out, const struct sl_config *config,
                      struct sl_pool *pool)
{
    uint32_t n = config->n_head / config->n_kv_head;
    struct sl_attention a = {.pool = pool,
                             .n_head = config->n_head,
                             .n_kv_head = config->n_kv_head,
                             .head_dim = config->head_dim,
                             .max_rows = n > ITEM_ROWS ? n : ITEM_ROWS};
    a.split_rows = n * SPLIT_TOKENS < a.max_rows ? n * SPLIT_TOKENS : a.max_rows / n * n;
    a.per_thread = layout_of(&a).size;
    size_t bytes = sl_pool_threads(pool) * a.per_thread * sizeof(float);
    a.scratch = sl_alloc_aligned(64, bytes);
    a.split = sl_alloc_aligned(64, a.n_kv_head * split_size(&a) * sizeof(float));
    if (!a.scratch || !a.split) {
        sl_attention_close(&a);
        return SL_ERR_NOMEM;
    }
    /* What lies behind a block's last position is computed with, though never used. */
    memset(a.scratch, 0, bytes);
    *out = a;
    return 0;
}

void sl_attention_close(struct sl_attention *attention)
{
    free(attention->scratch);
    free(attention->split);
    *attention = (struct sl_attention){0};
}

/* ---- queries in, results out ----------------------------------------------------------------- */

/* Row r of a part: token by token, the group's heads. */
static size_t row_offset(const struct job *j, uint32_t kv_head, uint32_t tok, uint32_t head)
{
    return ((size_t)tok * j->a->n_head + kv_head * j->n + head) * j->a->head_dim;
}

/* Codes of a query, rotated like packed keys, and what its dots with their codes are multiplied
 * with beside the key's scale: NaN where the query is not finite. */
static float quantise(enum sl_kv_format format, uint32_t dim, const float *from, int16_t *to)
{
    float rotated[SL_KV_MAX_DIM], top = 0;
    memcpy(rotated, from, dim * sizeof *from);
    sl_kv_hadamard(rotated, dim);
    memset(to, 0, SL_KV_QUERY * sizeof *to);
    if (!sl_all_finite(rotated, dim))
        return NAN;
    for (uint32_t i = 0; i < dim; i++)
        top = fabsf(rotated[i]) > top ? fabsf(rotated[i]) : top;
    const struct sl_kv_unit unit = sl_kv_unit_of(top);
    for (uint32_t i = 0; i < dim; i++)
        to[sl_kv_place(format, i)] = (int16_t)lrintf(rotated[i] * unit.per_one);
    return unit.unit * (1.0f / sqrtf((float)dim) / (float)sl_kv_hadamard_block(dim));
}

static void prepare(const struct job *j, const struct part *p, const struct queries *q)
{
    enum sl_kv_format format = j->call->kv->format_k;
    uint32_t dim = j->a->head_dim, rows = p->n_tok * j->n;
    for (uint32_t r = 0; r < rows; r++) {
        const float *from =
            j->call->q + row_offset(j, p->kv_head, p->first_tok + r / j->n, r % j->n);
        if (format == SL_KV_F32)
            memcpy(q->f32 + (size_t)r * dim, from, dim * sizeof *from);
        else
            q->factor[r] = quantise(format, dim, from, q->code + (size_t)r * SL_KV_QUERY);
    }
}

static void finish(const struct job *j, const struct part *p, const struct state *s)
{
    uint32_t dim = j->a->head_dim;
    float block = (float)sl_kv_hadamard_block(dim);
    for (uint32_t r = 0; r < p->n_tok * j->n; r++) {
        float *y = j->call->out + row_offset(j, p->kv_head, p->first_tok + r / j->n, r % j->n);
        const float *acc = s->acc + (size_t)r * j->padded;
        for (uint32_t i = 0; i < dim; i++)
            y[i] = acc[sl_kv_place(j->call->kv->format_v, i)] / s->sum[r];
        if (j->call->kv->format_v == SL_KV_F32)
            continue;
        sl_kv_hadamard(y, dim);
        for (uint32_t i = 0; i < dim; i++)
            y[i] = y[i] / block;
    }
}

/* ---- one span -------------------------------------------------------------------------------- */

/* Positions from `at` on that a token sees, at most `limit`. */
static uint32_t n_seen(const struct job *j, uint32_t tok, uint32_t at, uint32_t limit)
{
    uint32_t end = j->call->pos + tok + 1;
    return end <= at ? 0 : end - at < limit ? end - at : limit;
}

/* Keys in fp32. */
static void score_f32(const struct part *p, const struct sl_kv_block *k, uint32_t first,
                      uint32_t rows)
{
    const float factor = 1.0f / sqrtf((float)k->head_dim),
                *key = (const float *)(const void *)k->rec;
    for (uint32_t r = first; r < first + rows; r++) {
        const float *q = p->q.f32 + (size_t)r * k->head_dim;
        float *s = p->p + (size_t)r * SL_KV_BLOCK;
        for (uint32_t j = 0; j < k->n; j += 4) {
            const float *at[4];
            for (uint32_t i = 0; i < 4; i++) /* the last one stands in for those not there */
                at[i] = key + (size_t)(j + i < k->n ? j + i : k->n - 1) * k->head_dim;
            p->job->simd->dot4(at, q, k->head_dim, s + j);
        }
        for (uint32_t j = 0; j < k->n; j++)
            s[j] = s[j] * factor;
    }
}

static void add_scores(const struct part *p, const struct sl_kv_block *k, uint32_t first,
                       uint32_t rows)
{
    const struct job *j = p->job;
    enum sl_kv_format format = j->call->kv->format_k;
    float *s = p->p + (size_t)first * SL_KV_BLOCK;
    struct sl_kv_query q = {p->q.code + (size_t)first * SL_KV_QUERY, p->q.factor + first};
    if (format == SL_KV_F32) {
        score_f32(p, k, first, rows);
        return;
    }
    if (p->n_tok * j->n <= FEW_QUERIES) {
        j->simd->scores[format](k, &q, rows, s);
        return;
    }
    struct sl_kv_tile tile = p->k;
    j->simd->load_k[format](k, &tile);
    j->simd->tile_scores(&tile, &q, rows, s);
}

/* Rows that see n positions. What was summed up before is scaled down where the maximum rose. */
static void soften(const struct part *p, uint32_t first, uint32_t rows, uint32_t n)
{
    const struct job *j = p->job;
    float *acc = p->s.acc + (size_t)first * j->padded, *c = p->s.c + first;
    struct sl_softmax state = {p->s.max + first, p->s.sum + first, c};
    j->simd->soften(p->p + (size_t)first * SL_KV_BLOCK, rows, n, &state);
    for (uint32_t r = 0; r < rows; r++, acc += j->padded)
        for (uint32_t i = 0; c[r] != 1.0f && i < j->padded; i++)
            acc[i] = acc[i] * c[r];
}

static bool values_by_tile(const struct part *p)
{
    return p->job->call->kv->format_v != SL_KV_F32 && p->n_tok * p->job->n > FEW_WEIGHTS;
}

/* Values of the first v->n positions for the rows that see as many. */
static void add_values(const struct part *p, const struct sl_kv_block *v, uint32_t first,
                       uint32_t rows)
{
    const struct job *j = p->job;
    enum sl_kv_format format = j->call->kv->format_v;
    const float *w = p->p + (size_t)first * SL_KV_BLOCK,
                *value = (const float *)(const void *)v->rec;
    float *acc = p->s.acc + (size_t)first * j->padded;
    if (values_by_tile(p))
        j->simd->tile_accumulate(&p->v, v->n, w, rows, acc);
    else if (format != SL_KV_F32)
        j->simd->accumulate[format](v, w, rows, acc);
    for (uint32_t r = 0; format == SL_KV_F32 && r < rows; r++, acc += j->padded, w += SL_KV_BLOCK)
        for (uint32_t i = 0; i < v->n; i++)
            j->simd->axpy(acc, value + (size_t)i * v->head_dim, v->head_dim, w[i]);
}

static void run_block(struct part *p, uint32_t at)
{
    const struct job *j = p->job;
    const struct sl_attention_call *c = j->call;
    uint32_t end = p->first_tok + p->n_tok, tok = p->first_tok, dim = j->a->head_dim;
    uint32_t n = n_seen(j, end - 1, at, SL_KV_BLOCK);
    while (!n_seen(j, tok, at, SL_KV_BLOCK))
        tok++; /* the last one sees something */
    uint32_t first = (tok - p->first_tok) * j->n, rows = (end - tok) * j->n;
    struct sl_kv_block k = {sl_kv_k(c->kv, c->kv_layer, p->kv_head, at), dim, n};
    struct sl_kv_block v = {sl_kv_v(c->kv, c->kv_layer, p->kv_head, at), dim, n};
    add_scores(p, &k, first, rows);
    if (values_by_tile(p))
        j->simd->load_v[c->kv->format_v](&v, &p->v);
    for (uint32_t like; tok < end; tok = like, first += rows) {
        v.n = n_seen(j, tok, at, SL_KV_BLOCK);
        for (like = tok + 1; like < end && n_seen(j, like, at, SL_KV_BLOCK) == v.n;)
            like++;
        rows = (like - tok) * j->n;
        soften(p, first, rows, v.n);
        add_values(p, &v, first, rows);
    }
}

/* Sums of p's rows over one span; those of tokens before it are left without any. */
static void run_span(struct part *p, uint32_t span)
{
    uint32_t at = span * SL_ATTENTION_SPAN, rows = p->n_tok * p->job->n;
    uint32_t n = n_seen(p->job, p->first_tok + p->n_tok - 1, at, SL_ATTENTION_SPAN);
    memset(p->s.acc, 0, (size_t)rows * p->job->padded * sizeof *p->s.acc);
    for (uint32_t r = 0; r < rows; r++) {
        p->s.max[r] = -INFINITY;
        p->s.sum[r] = 0;
    }
    for (uint32_t end = at + n; at < end; at += SL_KV_BLOCK)
        run_block(p, at);
}

/* Adds a span's sums to those of the spans before it. */
static void merge(const struct part *p, struct state *to, const struct state *from, uint32_t span)
{
    const struct job *j = p->job;
    uint32_t rows = p->n_tok * j->n, at = span * SL_ATTENTION_SPAN;
    size_t width = j->padded;
    for (uint32_t r = 0; r < rows; r++) {
        float *acc = to->acc + r * width, *add = from->acc + r * width;
        if (!n_seen(j, p->first_tok + r / j->n, at, 1))
            continue;
        if (!span) {
            memcpy(acc, add, width * sizeof *acc);
            to->max[r] = from->max[r];
            to->sum[r] = from->sum[r];
            continue;
        }
        float max = from->max[r] > to->max[r] ? from->max[r] : to->max[r];
        float a = sl_expf(to->max[r] - max), b = sl_expf(from->max[r] - max);
        to->sum[r] = to->sum[r] * a + from->sum[r] * b;
        for (size_t i = 0; i < width; i++)
            acc[i] = acc[i] * a + add[i] * b;
        to->max[r] = max;
    }
}

/* ---- sharing out ----------------------------------------------------------------------------- */

static uint32_t n_span(const struct job *j)
{
    return (j->call->pos + j->call->n_tok + SL_ATTENTION_SPAN - 1) / SL_ATTENTION_SPAN;
}

static struct part part_of(const struct job *j, unsigned thread, float **base)
{
    struct layout l = layout_of(j->a);
    *base = j->a->scratch + thread * j->a->per_thread;
    return (struct part){.job = j,
                         .q = queries_at(j->a, *base, j->a->max_rows),
                         .s = state_at(j->a, *base + l.span, j->a->max_rows),
                         .p = *base + l.p,
                         .k = {.code = (int16_t *)(*base + l.k), .scale = *base + l.scale_k},
                         .v = {.code = (int16_t *)(*base + l.v), .scale = *base + l.scale_v}};
}

/* Item: a KV head and some tokens, over all spans. */
static void run_tile(void *user, size_t item, unsigned thread)
{
    const struct job *j = user;
    float *base;
    struct part p = part_of(j, thread, &base);
    struct state total = state_at(j->a, base + layout_of(j->a).total, j->a->max_rows);
    p.kv_head = (uint32_t)(item / j->n_tile);
    p.first_tok = (uint32_t)(item % j->n_tile) * j->tile_tok;
    p.n_tok =
        j->call->n_tok - p.first_tok < j->tile_tok ? j->call->n_tok - p.first_tok : j->tile_tok;
    prepare(j, &p, &p.q);
    uint32_t end = j->call->pos + p.first_tok + p.n_tok;
    for (uint32_t span = 0; span * SL_ATTENTION_SPAN < end; span++) {
        run_span(&p, span);
        merge(&p, &total, &p.s, span);
    }
    finish(j, &p, &total);
}

static float *split_at(const struct job *j, uint32_t kv_head)
{
    return j->a->split + kv_head * split_size(j->a);
}

static struct queries split_queries(const struct job *j, uint32_t kv_head)
{
    return queries_at(j->a, split_at(j, kv_head), j->a->split_rows);
}

/* Sums of a KV head: 0 those of the spans merged, 1 + i those of span i of the round. */
static struct state split_state(const struct job *j, uint32_t kv_head, uint32_t i)
{
    size_t q = query_size(j->a, j->a->split_rows);
    float *at = split_at(j, kv_head) + q + i * state_size(j->a, j->a->split_rows);
    return state_at(j->a, at, j->a->split_rows);
}

/* Item: a KV head. */
static void prepare_split(void *user, size_t item, unsigned thread)
{
    const struct job *j = user;
    struct part p = {.job = j, .kv_head = (uint32_t)item, .n_tok = j->call->n_tok};
    struct queries q = split_queries(j, p.kv_head);
    (void)thread;
    prepare(j, &p, &q);
}

/* Item: a KV head and a span of the round, all tokens. */
static void run_split(void *user, size_t item, unsigned thread)
{
    const struct job *j = user;
    float *base;
    struct part p = part_of(j, thread, &base);
    uint32_t i = (uint32_t)(item % j->spans);
    p.kv_head = (uint32_t)(item / j->spans);
    p.n_tok = j->call->n_tok;
    p.q = split_queries(j, p.kv_head);
    p.s = split_state(j, p.kv_head, 1 + i);
    run_span(&p, j->first_span + i);
}

/* Item: a KV head. */
static void merge_split(void *user, size_t item, unsigned thread)
{
    const struct job *j = user;
    struct part p = {.job = j, .kv_head = (uint32_t)item, .n_tok = j->call->n_tok};
    struct state total = split_state(j, p.kv_head, 0);
    (void)thread;
    for (uint32_t i = 0; i < j->spans; i++) {
        struct state s = split_state(j, p.kv_head, 1 + i);
        merge(&p, &total, &s, j->first_span + i);
    }
    if (j->first_span + j->spans == n_span(j))
        finish(j, &p, &total);
}

static void run_spans(struct job *j)
{
    struct sl_pool *pool = j->a->pool;
    uint32_t n = n_span(j), heads = j->a->n_kv_head;
    sl_pool_run(pool, prepare_split, j, heads);
    for (j->first_span = 0; j->first_span < n; j->first_span += j->spans) {
        j->spans = n - j->first_span < SPLIT_SPANS ? n - j->first_span : SPLIT_SPANS;
        sl_pool_run(pool, run_split, j, (size_t)heads * j->spans);
        sl_pool_run(pool, merge_split, j, heads);
    }
}

static void run_tiles(struct job *j)
{
    const struct sl_attention *a = j->a;
    uint32_t n_tok = j->call->n_tok, wanted = SHARE * sl_pool_threads(a->pool);
    j->tile_tok = a->max_rows / j->n;
    j->tile_tok = j->tile_tok < n_tok ? j->tile_tok : n_tok;
    while (j->tile_tok > 1 && (n_tok + j->tile_tok - 1) / j->tile_tok * a->n_kv_head < wanted)
        j->tile_tok = (j->tile_tok + 1) / 2;
    j->n_tile = (n_tok + j->tile_tok - 1) / j->tile_tok;
    sl_pool_run(a->pool, run_tile, j, (size_t)j->n_tile * a->n_kv_head);
}

void sl_attention_run(struct sl_attention *attention, const struct sl_attention_call *call)
{
    struct job j = {.a = attention,
                    .call = call,
                    .simd = sl_simd_best(),
                    .n = attention->n_head / attention->n_kv_head,
                    .padded = sl_kv_padded(attention->head_dim)};
    if (call->n_tok * j.n <= attention->split_rows && n_span(&j) > 1)
        run_spans(&j);
    else
        run_tiles(&j);
}
