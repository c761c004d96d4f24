/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ops_exact.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/mathf.h"
#include "engine/matmul.h"
#include "engine/router.h"
#include "engine/simd.h"

enum { CHUNK = 256 /* tokens of one pass: each row is widened once per pass */ };
_Static_assert((int)CHUNK >= (int)SL_ROUTING_MAX_CHUNK,
               "experts choose among the tokens of a pass");

struct exact_layer {
    struct sl_rows matrix[SL_MATRIX_O + 1], router[3];
    struct sl_mlp_rows shared, *expert; /* [n_expert] */
};

struct exact {
    const struct sl_config *config;
    struct sl_routing routing;
    struct sl_config chooser; /* config as the router's choice is made */
    struct sl_pool *pool;
    struct sl_matmul mm;
    struct exact_layer *layer;   /* [n_layer] */
    struct sl_mlp_rows *experts; /* [n_layer][n_expert], behind layer[].expert */
    struct sl_rows head;
    float *gate, *up;    /* [CHUNK][max d_ff] */
    float *out;          /* [CHUNK][d_model] of one expert */
    float *products;     /* [CHUNK][3 n_expert] of the router; where experts choose, its shares */
    size_t share_stride; /* from one token's shares to the next's */
    float *bias;         /* of the matrix at work */
    struct sl_route *route; /* [CHUNK] */
    uint32_t *token;        /* [CHUNK] tokens of one expert */
    float *weight;          /* [CHUNK] their weights */
    struct sl_ops_stats stats;
};

static uint32_t max_d_ff(const struct sl_config *c)
{
    return c->d_ff > c->d_ff_shared ? c->d_ff : c->d_ff_shared;
}

/* ---- plain matrices ------------------------------------------------------------------------- */

static int exact_linear(void *ctx, const struct sl_linear_call *calls, size_t n_call,
                        const float *x, size_t n_tok)
{
    struct exact *e = ctx;
    for (size_t i = 0; i < n_call; i++) {
        const struct sl_linear_call *c = &calls[i];
        const struct sl_rows *m =
            c->matrix == SL_MATRIX_LM_HEAD ? &e->head : &e->layer[c->layer].matrix[c->matrix];
        sl_matmul_run(&e->mm, &(struct sl_matmul_call){.matrix = m,
                                                       .x = x,
                                                       .x_stride = m->cols,
                                                       .y = c->y,
                                                       .y_stride = c->y_stride,
                                                       .n_tok = n_tok});
        e->stats.n_linear++;
    }
    return 0;
}

/* ---- MLPs ----------------------------------------------------------------------------------- */

/* Tokens of x through one MLP: y[i] = mlp(x[index ? index[i] : i]). */
struct mlp_call {
    const struct sl_mlp_rows *mlp;
    const float *x;
    const uint32_t *index;
    float *y;
    size_t n_tok;
};

static const float *read_bias(struct exact *e, const struct sl_rows *bias)
{
    if (!bias->tensor)
        return NULL;
    for (uint32_t r = 0; r < bias->rows; r++)
        sl_rows_read(bias, r, &e->bias[r]);
    return e->bias;
}

struct silu_work {
    const struct sl_simd *simd;
    float *gate;
    const float *up;
    size_t d_ff;
};

static void silu_one(void *user, size_t t, unsigned thread)
{
    struct silu_work *w = user;
    size_t at = t * w->d_ff;
    (void)thread;
    w->simd->silu_mul(w->gate + at, w->gate + at, w->up + at, w->d_ff);
}

static void run_mlp(struct exact *e, const struct mlp_call *c)
{
    const struct sl_mlp_rows *m = c->mlp;
    size_t d_ff = m->gate.rows, d = e->config->d_model;
    struct sl_matmul_call call = {.matrix = &m->gate,
                                  .bias = read_bias(e, &m->gate_bias),
                                  .x = c->x,
                                  .x_stride = d,
                                  .x_index = c->index,
                                  .y = e->gate,
                                  .y_stride = d_ff,
                                  .n_tok = c->n_tok};
    sl_matmul_run(&e->mm, &call);
    call.matrix = &m->up;
    call.bias = read_bias(e, &m->up_bias);
    call.y = e->up;
    sl_matmul_run(&e->mm, &call);
    struct silu_work silu = {sl_simd_best(), e->gate, e->up, d_ff};
    sl_pool_run(e->pool, silu_one, &silu, c->n_tok);
    sl_matmul_run(&e->mm, &(struct sl_matmul_call){.matrix = &m->down,
                                                   .bias = read_bias(e, &m->down_bias),
                                                   .x = e->gate,
                                                   .x_stride = d_ff,
                                                   .y = c->y,
                                                   .y_stride = d,
                                                   .n_tok = c->n_tok});
}

/* ---- router and combination ----------------------------------------------------------------- */

struct route_work {
    const struct exact *e;
    const struct sl_moe_call *call;
    size_t stride;
};

static struct sl_routing_chunk chunk_of(const struct exact *e, const struct sl_moe_call *call)
{
    return (struct sl_routing_chunk){&e->routing, e->config, call->layer, call->pos,
                                     (uint32_t)call->n_tok};
}

static void route_scores(const struct sl_config *c, const float *products, float *scores)
{
    size_t n = c->n_expert;
    if (c->router == SL_ROUTER_ATTENTION)
        sl_router_attend(products, products + n, products + 2 * n, c->n_expert, scores);
    else
        memcpy(scores, products, n * sizeof *scores);
}

/* Where experts choose, a token has shares in place of choices. */
static void keep_shares(const struct route_work *w, size_t t, float *scores)
{
    const size_t n = w->e->config->n_expert;
    sl_softmax(scores, n);
    memcpy(w->e->products + t * w->stride, scores, n * sizeof *scores);
    for (int i = 0; i < SL_MAX_EXPERT_USED; i++) {
        w->e->route[t].expert[i] = UINT16_MAX;
        w->e->route[t].weight[i] = 0;
    }
}

static void route_one(void *user, size_t t, unsigned thread)
{
    struct route_work *w = user;
    float scores[SL_MAX_EXPERT];
    (void)thread;
    route_scores(w->e->config, w->e->products + t * w->stride, scores);
    if (w->e->routing.kind == SL_ROUTING_NOISY) {
        const struct sl_routing_chunk chunk = chunk_of(w->e, w->call);
        sl_routing_add_noise(&chunk, (uint32_t)t, scores);
    }
    if (w->e->routing.kind == SL_ROUTING_EXPERTS)
        keep_shares(w, t, scores);
    else
        sl_router_choose(&w->e->chooser, scores, &w->e->route[t]);
}

static size_t router_products(struct exact *e, const struct exact_layer *l, const float *x,
                              size_t n_tok, float *products)
{
    const struct sl_config *c = e->config;
    size_t n_matrix = c->router == SL_ROUTER_ATTENTION ? 3 : 1, stride = n_matrix * c->n_expert;
    for (size_t i = 0; i < n_matrix; i++)
        sl_matmul_run(&e->mm, &(struct sl_matmul_call){.matrix = &l->router[i],
                                                       .x = x,
                                                       .x_stride = c->d_model,
                                                       .y = products + i * c->n_expert,
                                                       .y_stride = stride,
                                                       .n_tok = n_tok});
    return stride;
}

/* Tokens of this pass that chose `expert`, with their weights. */
static size_t list_tokens(struct exact *e, const struct sl_moe_call *call, uint32_t expert)
{
    const size_t n_tok = call->n_tok;
    size_t n = 0;
    if (e->routing.kind == SL_ROUTING_EXPERTS) {
        const struct sl_routing_chunk chunk = chunk_of(e, call);
        const float *share = e->products + expert;
        n = sl_routing_choose_tokens(&chunk, share, e->share_stride, e->token);
        for (size_t i = 0; i < n; i++)
            e->weight[i] = share[e->token[i] * e->share_stride];
        return n;
    }
    for (uint32_t t = 0; t < n_tok; t++)
        for (uint32_t i = 0; i < e->config->n_expert_used; i++)
            if (e->route[t].expert[i] == expert) {
                e->token[n] = t;
                e->weight[n++] = e->route[t].weight[i];
            }
    return n;
}

static void route_tokens(struct exact *e, const struct sl_moe_call *call)
{
    const struct exact_layer *l = &e->layer[call->layer];
    struct route_work work = {e, call, router_products(e, l, call->x, call->n_tok, e->products)};
    e->share_stride = work.stride;
    sl_pool_run(e->pool, route_one, &work, call->n_tok);
    if (e->routing.kind == SL_ROUTING_CAPACITY) {
        const struct sl_routing_chunk chunk = chunk_of(e, call);
        sl_routing_recycle(&chunk, e->route);
    }
}

/* At most CHUNK tokens. */
static void moe_pass(struct exact *e, const struct sl_moe_call *call)
{
    const struct sl_config *c = e->config;
    const struct exact_layer *l = &e->layer[call->layer];
    const struct sl_simd *simd = sl_simd_best();
    const float *x = call->x;
    const size_t n_tok = call->n_tok;
    float *y = call->y;
    if (c->n_expert)
        route_tokens(e, call);
    if (c->d_ff_shared)
        run_mlp(e, &(struct mlp_call){.mlp = &l->shared, .x = x, .y = y, .n_tok = n_tok});
    else
        memset(y, 0, n_tok * c->d_model * sizeof *y);
    /* Ascending experts: the order of the combination for every token. */
    for (uint32_t i = 0; i < c->n_expert; i++) {
        size_t n = list_tokens(e, call, i);
        if (!n)
            continue;
        run_mlp(e, &(struct mlp_call){
                       .mlp = &l->expert[i], .x = x, .index = e->token, .y = e->out, .n_tok = n});
        for (size_t j = 0; j < n; j++)
            simd->axpy(y + (size_t)e->token[j] * c->d_model, e->out + j * c->d_model, c->d_model,
                       e->weight[j]);
    }
}

static int exact_moe(void *ctx, const struct sl_moe_call *call)
{
    struct exact *e = ctx;
    const size_t d = e->config->d_model, n_tok = call->n_tok;
    for (size_t t = 0; t < n_tok; t += CHUNK) {
        struct sl_moe_call part = *call;
        part.pos += (uint32_t)t;
        part.x += t * d;
        part.y += t * d;
        part.n_tok = n_tok - t < CHUNK ? n_tok - t : CHUNK;
        moe_pass(e, &part);
        if (call->route)
            memcpy(call->route + t, e->route, part.n_tok * sizeof *call->route);
    }
    e->stats.n_moe += n_tok;
    e->stats.n_router += e->config->n_expert ? n_tok : 0;
    return 0;
}

void sl_ops_exact_set_routing(struct sl_ops *ops, const struct sl_routing *routing)
{
    struct exact *e = ops->ctx;
    e->routing = *routing;
    if (routing->kind == SL_ROUTING_NOISY)
        e->chooser.router_renorm = true;
}

void sl_ops_exact_router(void *ctx, uint32_t layer, const float *x, float *products, float *scores)
{
    struct exact *e = ctx;
    router_products(e, &e->layer[layer], x, 1, products);
    route_scores(e->config, products, scores);
}

void sl_ops_exact_shared(void *ctx, uint32_t layer, const float *x, float *y)
{
    struct exact *e = ctx;
    run_mlp(e, &(struct mlp_call){.mlp = &e->layer[layer].shared, .x = x, .y = y, .n_tok = 1});
}

/* ---- open and close ------------------------------------------------------------------------- */

static void exact_get_stats(const void *ctx, struct sl_ops_stats *out)
{
    const struct exact *e = ctx;
    *out = e->stats;
}

static void exact_close(void *ctx)
{
    struct exact *e = ctx;
    sl_matmul_close(&e->mm);
    free(e->layer);
    free(e->experts);
    free(e->gate);
    free(e->up);
    free(e->out);
    free(e->products);
    free(e->bias);
    free(e->route);
    free(e->token);
    free(e->weight);
    free(e);
}

static int map_layer(struct exact *e, const struct sl_checkpoint *ckpt, uint32_t layer)
{
    const struct sl_config *c = e->config;
    struct exact_layer *l = &e->layer[layer];
    bool owner = sl_config_kv_owner(c, layer) == layer;
    int err = 0;
    l->expert = e->experts + (size_t)layer * c->n_expert;
    for (int m = SL_MATRIX_Q; !err && m <= SL_MATRIX_O; m++)
        if (owner || (m != SL_MATRIX_K && m != SL_MATRIX_V))
            err = sl_map_matrix(&l->matrix[m], ckpt, c, (enum sl_matrix)m, layer);
    if (!err && c->n_expert)
        err = sl_map_router(l->router, ckpt, c, layer);
    if (!err && c->d_ff_shared)
        err = sl_map_mlp(&l->shared, ckpt, c, layer, SL_SHARED_EXPERT);
    for (uint32_t i = 0; !err && i < c->n_expert; i++)
        err = sl_map_mlp(&l->expert[i], ckpt, c, layer, (int)i);
    return err;
}

static int alloc_scratch(struct exact *e)
{
    const struct sl_config *c = e->config;
    size_t d_ff = max_d_ff(c);
    e->gate = sl_alloc(CHUNK * d_ff, sizeof(float));
    e->up = sl_alloc(CHUNK * d_ff, sizeof(float));
    e->out = sl_alloc(CHUNK * (size_t)c->d_model, sizeof(float));
    e->products = sl_alloc(CHUNK * 3 * (size_t)c->n_expert, sizeof(float));
    e->bias = sl_alloc(d_ff > c->d_model ? d_ff : c->d_model, sizeof(float));
    e->route = sl_alloc(CHUNK, sizeof *e->route);
    e->token = sl_alloc(CHUNK, sizeof *e->token);
    e->weight = sl_alloc(CHUNK, sizeof *e->weight);
    bool ok =
        e->gate && e->up && e->out && e->products && e->bias && e->route && e->token && e->weight;
    return ok ? 0 : SL_ERR_NOMEM;
}

static int exact_load(struct exact *e, const struct sl_checkpoint *ckpt)
{
    const struct sl_config *c = e->config;
    size_t max_cols = c->d_model;
    max_cols = max_cols > c->d_attn ? max_cols : c->d_attn;
    max_cols = max_cols > max_d_ff(c) ? max_cols : max_d_ff(c);
    e->layer = sl_alloc(c->n_layer, sizeof *e->layer);
    e->experts = sl_alloc((size_t)c->n_layer * c->n_expert, sizeof *e->experts);
    if (!e->layer || !e->experts)
        return SL_ERR_NOMEM;
    int err = sl_map_matrix(&e->head, ckpt, c, SL_MATRIX_LM_HEAD, 0);
    for (uint32_t l = 0; !err && l < c->n_layer; l++)
        err = map_layer(e, ckpt, l);
    err = err ? err : sl_matmul_open(&e->mm, e->pool, max_cols);
    return err ? err : alloc_scratch(e);
}

int sl_ops_exact_open(struct sl_ops *out, const struct sl_config *config,
                      const struct sl_checkpoint *ckpt, struct sl_pool *pool)
{
    struct exact *e = sl_alloc(1, sizeof *e);
    if (!e)
        return SL_ERR_NOMEM;
    e->config = config;
    e->chooser = *config;
    e->pool = pool;
    int err = exact_load(e, ckpt);
    if (err) {
        exact_close(e);
        return err;
    }
    *out = (struct sl_ops){.impl = "exact",
                           .ctx = e,
                           .linear = exact_linear,
                           .moe = exact_moe,
                           .get_stats = exact_get_stats,
                           .close = exact_close};
    return 0;
}
