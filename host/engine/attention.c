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
    FEW_ROWS = 3,     /* so many queries meet the records themselves; more are worth a tile */
    ITEM_ROWS = 64,   /* of queries: what amortises a tile and stays in L2 with it */
    SPLIT_TOKENS = 4, /* a chunk of so many is split by position */
    SPLIT_SPANS = 64, /* whose sums are kept at once */
    STEP = 5,         /* rows of a tile between two requests for what is read next */
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

/* Some tokens and one KV head. */
struct part {
    const struct job *job;
    uint32_t kv_head, first_tok, n_tok;
    const float *q; /* [n_tok * n][head_dim], prepared */
    struct state s;
    float *p; /* [n_tok * n][SL_KV_BLOCK] */
    struct sl_kv_tile k, v;
};

/* Where things lie in a thread's scratch, in floats. */
struct layout {
    size_t q, total, span, p, k, v, scale_k, scale_v, size;
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

static struct layout layout_of(const struct sl_attention *a)
{
    struct layout l = {0};
    l.total = whole_lines((size_t)a->max_rows * a->head_dim);
    l.span = l.total + state_size(a, a->max_rows);
    l.p = l.span + state_size(a, a->max_rows);
    l.k = l.p + (size_t)a->max_rows * SL_KV_BLOCK;
    l.v = l.k + (size_t)a->head_dim * SL_KV_BLOCK;
    l.scale_k = l.v + (size_t)sl_kv_padded(a->head_dim) * SL_KV_BLOCK;
    l.scale_v = l.scale_k + SCALES;
    l.size = l.scale_v + SCALES;
    return l;
}

/* Of one KV head when few tokens are split: queries, what was merged so far, a round of spans. */
static size_t split_size(const struct sl_attention *a)
{
    return whole_lines((size_t)a->split_rows * a->head_dim) +
           (1 + SPLIT_SPANS) * state_size(a, a->split_rows);
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

static bool by_tile(uint32_t rows)
{
    return rows > FEW_ROWS;
}

static bool values_by_tile(const struct job *j, uint32_t rows)
{
    return rows > j->simd->direct_rows;
}

/* Row r of a part: token by token, the group's heads. */
static size_t row_offset(const struct job *j, uint32_t kv_head, uint32_t tok, uint32_t head)
{
    return ((size_t)tok * j->a->n_head + kv_head * j->n + head) * j->a->head_dim;
}

/* Channels in the order in which a tile of keys has them. */
static void order_row(enum sl_kv_format format, uint32_t dim, const float *from, float *to)
{
    uint32_t width = format == SL_KV_INT4 ? 32 : dim;
    for (uint32_t first = 0; first < dim; first += width) {
        uint32_t n = dim - first < width ? dim - first : width;
        for (uint32_t i = 0; i < n; i++)
            to[sl_kv_order(first, n, i)] = from[first + i];
    }
}

/* q[n_tok * n][head_dim]: rotated like packed keys. */
static void prepare(const struct job *j, const struct part *p, float *q)
{
    enum sl_kv_format format = j->call->kv->format_k;
    uint32_t dim = j->a->head_dim, rows = p->n_tok * j->n;
    for (uint32_t r = 0; r < rows; r++, q += dim) {
        const float *from =
            j->call->q + row_offset(j, p->kv_head, p->first_tok + r / j->n, r % j->n);
        float rotated[SL_KV_MAX_DIM];
        if (format != SL_KV_F32) {
            memcpy(rotated, from, dim * sizeof *from);
            sl_kv_hadamard(rotated, dim);
            from = rotated;
        }
        if (by_tile(rows))
            order_row(format, dim, from, q);
        else
            memcpy(q, from, dim * sizeof *from);
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
            y[i] = acc[i] / s->sum[r];
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

/* Records that are read next, asked for bit by bit while others are computed with. */
struct ahead {
    const uint8_t *rec;
    size_t bytes;
};

/* The share of step i of n. */
static void ask_ahead(const struct ahead *a, uint32_t i, uint32_t n)
{
    for (size_t at = a->bytes * i / n / 64 * 64; at < a->bytes * (i + 1) / n; at += 64)
        __builtin_prefetch(a->rec + at);
}

static void add_scores(const struct part *p, const struct sl_kv_block *k, uint32_t first,
                       uint32_t rows, const struct ahead next[2])
{
    const struct job *j = p->job;
    enum sl_kv_format format = j->call->kv->format_k;
    float factor = 1.0f / sqrtf((float)k->head_dim), *s = p->p + (size_t)first * SL_KV_BLOCK;
    const float *q = p->q + (size_t)first * k->head_dim;
    uint32_t steps = (rows + STEP - 1) / STEP;
    if (format != SL_KV_F32)
        factor = factor / (float)sl_kv_hadamard_block(k->head_dim);
    if (!by_tile(p->n_tok * j->n)) {
        j->simd->scores[format](k, q, rows, factor, s);
        return;
    }
    struct sl_kv_tile tile = p->k;
    j->simd->load_k[format](k, &tile);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t r = i * STEP, n = rows - r < STEP ? rows - r : STEP;
        ask_ahead(&next[0], i, steps);
        ask_ahead(&next[1], i, steps);
        j->simd->tile_scores(&tile, q + (size_t)r * k->head_dim, n, factor,
                             s + (size_t)r * SL_KV_BLOCK);
    }
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

/* Values of the first v->n positions for the rows that see as many. */
static void add_values(const struct part *p, const struct sl_kv_block *v, uint32_t first,
                       uint32_t rows)
{
    const struct job *j = p->job;
    const float *w = p->p + (size_t)first * SL_KV_BLOCK;
    float *acc = p->s.acc + (size_t)first * j->padded;
    if (values_by_tile(j, p->n_tok * j->n))
        j->simd->tile_accumulate(&p->v, v->n, w, rows, acc);
    else
        j->simd->accumulate[j->call->kv->format_v](v, w, rows, acc);
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
    bool turn_v = values_by_tile(j, p->n_tok * j->n),
         more = n_seen(j, end - 1, at + SL_KV_BLOCK, 1);
    size_t rec_k = sl_kv_vec_bytes(c->kv->format_k, dim);
    size_t rec_v = sl_kv_vec_bytes(c->kv->format_v, dim);
    const struct ahead next[2] = {{k.rec + SL_KV_BLOCK * rec_k, more ? SL_KV_BLOCK * rec_k : 0},
                                  {v.rec, turn_v ? n * rec_v : 0}};
    add_scores(p, &k, first, rows, next);
    if (turn_v)
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
                         .q = *base + l.q,
                         .s = state_at(j->a, *base + l.span, j->a->max_rows),
                         .p = *base + l.p,
                         .k = {.code = *base + l.k, .scale = *base + l.scale_k},
                         .v = {.code = *base + l.v, .scale = *base + l.scale_v}};
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
    prepare(j, &p, base + layout_of(j->a).q);
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

/* Sums of a KV head: 0 those of the spans merged, 1 + i those of span i of the round. */
static struct state split_state(const struct job *j, uint32_t kv_head, uint32_t i)
{
    size_t q = whole_lines((size_t)j->a->split_rows * j->a->head_dim);
    float *at = split_at(j, kv_head) + q + i * state_size(j->a, j->a->split_rows);
    return state_at(j->a, at, j->a->split_rows);
}

/* Item: a KV head. */
static void prepare_split(void *user, size_t item, unsigned thread)
{
    const struct job *j = user;
    struct part p = {.job = j, .kv_head = (uint32_t)item, .n_tok = j->call->n_tok};
    (void)thread;
    prepare(j, &p, split_at(j, p.kv_head));
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
    p.q = split_at(j, p.kv_head);
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
