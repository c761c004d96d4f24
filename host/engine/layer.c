/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer.h"

#include <string.h>

#include "base/err.h"
#include "base/pool.h"
#include "engine/mathf.h"

/* One layer's pass over one chunk. */
struct pass {
    struct sl_forward *f;
    const struct sl_config *c;
    const struct sl_layer_weights *w;
    uint32_t layer, pos, n_tok;
    bool owner; /* this layer's K and V go into the cache */
};

/* ---- helpers shared with forward.c ---------------------------------------------------------- */

void sl_forward_trace(const struct sl_forward *f, const struct sl_trace_item *item)
{
    if (f->trace && f->trace->on_item)
        f->trace->on_item(f->trace->user, item);
}

struct norm_work {
    float *y;
    const float *x, *w;
    size_t n;
    float eps;
};

static void norm_one(void *user, size_t t, unsigned thread)
{
    struct norm_work *w = user;
    (void)thread;
    sl_rms_norm(w->y + t * w->n, w->x + t * w->n, w->w, w->n, w->eps);
}

void sl_forward_norm(struct sl_forward *f, float *y, const float *x, const float *w, size_t n_tok)
{
    struct norm_work work = {y, x, w, f->config->d_model, f->config->norm_eps};
    struct sl_span span;
    sl_span_begin(f->profile, &span, SL_SPAN_NORM, 0);
    sl_pool_run(f->pool, norm_one, &work, n_tok);
    sl_span_end(f->profile, &span);
}

int sl_forward_linear(struct sl_forward *f, const struct sl_linear_call *calls, size_t n_call,
                      const float *x, size_t n_tok)
{
    struct sl_span span;
    sl_span_begin(f->profile, &span, SL_SPAN_LINEAR, (uint32_t)n_call);
    int err = f->ops->linear(f->ops->ctx, calls, n_call, x, n_tok);
    sl_span_end(f->profile, &span);
    return err;
}

int sl_forward_check(const float *x, size_t n, uint32_t layer, const char *what)
{
    if (sl_all_finite(x, n))
        return 0;
    return sl_fail(SL_ERR_RANGE, "the weights may be damaged: compare their checksums",
                   "layer %u: %s is not finite", layer, what);
}

static void trace_rows(const struct pass *p, enum sl_trace_point point, const float *data,
                       size_t width)
{
    sl_forward_trace(p->f, &(struct sl_trace_item){.point = point,
                                                   .layer = p->layer,
                                                   .pos = p->pos,
                                                   .data = data,
                                                   .n_tok = p->n_tok,
                                                   .width = width,
                                                   .stride = width});
}

static void add_bias(const struct pass *p, enum sl_matrix matrix, float *y, size_t width)
{
    const float *bias = p->w->bias[matrix];
    for (size_t t = 0; bias && t < p->n_tok; t++)
        for (size_t i = 0; i < width; i++)
            y[t * width + i] = y[t * width + i] + bias[i];
}

/* ---- projections ---------------------------------------------------------------------------- */

static int project_hunyuan(const struct pass *p)
{
    struct sl_forward *f = p->f;
    size_t d_kv = (size_t)p->c->n_kv_head * p->c->head_dim;
    struct sl_linear_call call[] = {{SL_MATRIX_Q, p->layer, f->q, p->c->d_attn},
                                    {SL_MATRIX_K, p->layer, f->k, d_kv},
                                    {SL_MATRIX_V, p->layer, f->v, d_kv}};
    int err = sl_forward_linear(f, call, p->owner ? 3 : 1, f->a, p->n_tok);
    if (err)
        return err;
    trace_rows(p, SL_TRACE_Q_PROJ, f->q, p->c->d_attn);
    add_bias(p, SL_MATRIX_Q, f->q, p->c->d_attn);
    if (!p->owner)
        return 0;
    trace_rows(p, SL_TRACE_K_PROJ, f->k, d_kv);
    trace_rows(p, SL_TRACE_V_PROJ, f->v, d_kv);
    add_bias(p, SL_MATRIX_K, f->k, d_kv);
    add_bias(p, SL_MATRIX_V, f->v, d_kv);
    return 0;
}

static void trace_half(const struct pass *p, enum sl_trace_point point, const float *data)
{
    size_t width = p->c->d_attn;
    sl_forward_trace(p->f, &(struct sl_trace_item){.point = point,
                                                   .layer = p->layer,
                                                   .pos = p->pos,
                                                   .data = data,
                                                   .n_tok = p->n_tok,
                                                   .width = width,
                                                   .stride = 2 * width});
}

/* The two matrices are one, cut in half: its rows are, head by head, that head's query and key. */
static void split_heads(const struct pass *p)
{
    size_t dim = p->c->head_dim, n = (size_t)p->n_tok * p->c->n_head;
    for (size_t i = 0; i < n; i++) {
        memcpy(p->f->q + i * dim, p->f->qk + 2 * i * dim, dim * sizeof(float));
        memcpy(p->f->k + i * dim, p->f->qk + (2 * i + 1) * dim, dim * sizeof(float));
    }
}

static int project_yuan(const struct pass *p)
{
    struct sl_forward *f = p->f;
    size_t d_attn = p->c->d_attn, d = p->c->d_model;
    struct sl_linear_call v = {SL_MATRIX_V, p->layer, f->v, d_attn};
    struct sl_linear_call qk[] = {{SL_MATRIX_Q, p->layer, f->qk, 2 * d_attn},
                                  {SL_MATRIX_K, p->layer, f->qk + d_attn, 2 * d_attn}};
    int err = sl_forward_linear(f, &v, 1, f->a, p->n_tok);
    if (err)
        return err;
    const float *filtered = f->a;
    if (p->c->has_lfa) {
        struct sl_span span;
        sl_span_begin(f->profile, &span, SL_SPAN_LFA, 0);
        sl_lfa_run(&f->lfa, &(struct sl_lfa_call){p->w, p->layer, f->a, f->y, p->n_tok});
        sl_span_end(f->profile, &span);
        trace_rows(p, SL_TRACE_LFA_CONV1, f->lfa.conv1, d / 2);
        trace_rows(p, SL_TRACE_LFA_CONV2, f->lfa.conv2, d);
        trace_rows(p, SL_TRACE_LFA_OUT, f->y, d);
        filtered = f->y;
    }
    err = sl_forward_linear(f, qk, 2, filtered, p->n_tok);
    if (err)
        return err;
    trace_half(p, SL_TRACE_Q_PROJ, f->qk);
    trace_half(p, SL_TRACE_K_PROJ, f->qk + d_attn);
    trace_rows(p, SL_TRACE_V_PROJ, f->v, d_attn);
    split_heads(p);
    return 0;
}

/* ---- rotation, norms, cache ----------------------------------------------------------------- */

static void scale_head(float *head, size_t n, float s)
{
    for (size_t i = 0; i < n; i++)
        head[i] = head[i] * s;
}

/* RoPE first, norm second. The key's norm weight, which each layer of a CLA group has its own, is
 * multiplied into the query: the cache then serves them all. */
static void rotate_query(const struct pass *p, size_t t, float *q)
{
    const struct sl_rope *rope = p->f->rope;
    size_t half = rope->n_rot / 2, dim = p->c->head_dim;
    sl_rope_apply(rope, p->f->cos_tab + t * half, p->f->sin_tab + t * half, q);
    if (!p->c->qk_norm)
        return;
    sl_rms_norm(q, q, p->w->q_norm, dim, p->c->norm_eps);
    for (size_t i = 0; i < dim; i++)
        q[i] = q[i] * p->w->k_norm[i];
}

static void rotate_key(const struct pass *p, size_t t, float *k)
{
    const struct sl_rope *rope = p->f->rope;
    size_t half = rope->n_rot / 2, dim = p->c->head_dim;
    sl_rope_apply(rope, p->f->cos_tab + t * half, p->f->sin_tab + t * half, k);
    if (p->c->qk_norm)
        scale_head(k, dim, sl_rms_inv(k, dim, p->c->norm_eps));
}

static void rotate_token(void *user, size_t t, unsigned thread)
{
    const struct pass *p = user;
    size_t dim = p->c->head_dim;
    (void)thread;
    for (size_t h = 0; h < p->c->n_head; h++)
        rotate_query(p, t, p->f->q + (t * p->c->n_head + h) * dim);
    for (size_t h = 0; p->owner && h < p->c->n_kv_head; h++)
        rotate_key(p, t, p->f->k + (t * p->c->n_kv_head + h) * dim);
}

/* Packs on the fabric what it can pack; *put keeps what is left for the CPU. */
static int pack_on_fabric(const struct pass *p, struct sl_kv_put *put)
{
    struct sl_forward *f = p->f;
    const struct sl_ops *ops = f->ops;
    size_t n = (size_t)p->n_tok * p->c->n_kv_head;
    bool wanted = ops->kv_pack && (p->n_tok > 1 || f->pack_on_fabric);
    int err = 0;
    if (wanted && f->kv.format_k != SL_KV_F32) {
        err = ops->kv_pack(ops->ctx, f->kv.format_k, p->c->head_dim, f->k, n, f->records);
        if (!err)
            sl_kv_store_k(&f->kv, put, f->records);
        put->k = NULL;
    }
    if (!err && wanted && f->kv.format_v != SL_KV_F32) {
        err = ops->kv_pack(ops->ctx, f->kv.format_v, p->c->head_dim, f->v, n, f->records);
        if (!err)
            sl_kv_store_v(&f->kv, put, f->records);
        put->v = NULL;
    }
    return err;
}

static int put_in_cache(const struct pass *p)
{
    struct sl_forward *f = p->f;
    size_t n = (size_t)p->n_tok * p->c->n_kv_head, floats = n * p->c->head_dim;
    struct sl_kv_put put = {p->layer / p->c->cla_factor, p->pos, p->n_tok, f->k, f->v};
    int err = sl_forward_check(f->k, floats, p->layer, "a key");
    err = err ? err : sl_forward_check(f->v, floats, p->layer, "a value");
    err = err ? err : pack_on_fabric(p, &put);
    if (err || (!put.k && !put.v))
        return err;
    f->n_cpu_pack += (put.k && f->kv.format_k != SL_KV_F32 ? n : 0) +
                     (put.v && f->kv.format_v != SL_KV_F32 ? n : 0);
    return sl_kv_store(&f->kv, &put, f->pool);
}

static int fill_cache(const struct pass *p)
{
    struct sl_span span;
    sl_span_begin(p->f->profile, &span, SL_SPAN_KV, 0);
    int err = put_in_cache(p);
    sl_span_end(p->f->profile, &span);
    return err;
}

/* ---- the layer ------------------------------------------------------------------------------ */

static void add_residual(const struct pass *p)
{
    size_t n = (size_t)p->n_tok * p->c->d_model;
    for (size_t i = 0; i < n; i++)
        p->f->x[i] = p->f->x[i] + p->f->y[i];
}

static void rotate(struct pass *p)
{
    struct sl_span span;
    sl_span_begin(p->f->profile, &span, SL_SPAN_ROPE, 0);
    sl_pool_run(p->f->pool, rotate_token, p, p->n_tok);
    sl_span_end(p->f->profile, &span);
}

static void run_attention(const struct pass *p)
{
    struct sl_forward *f = p->f;
    struct sl_span span;
    sl_span_begin(f->profile, &span, SL_SPAN_ATTENTION, p->pos);
    sl_attention_run(&f->attention,
                     &(struct sl_attention_call){.kv = &f->kv,
                                                 .kv_layer = p->layer / p->c->cla_factor,
                                                 .pos = p->pos,
                                                 .n_tok = p->n_tok,
                                                 .q = f->q,
                                                 .out = f->attn});
    sl_span_end(f->profile, &span);
    f->n_attention += p->n_tok;
}

static int attend(struct pass *p)
{
    struct sl_forward *f = p->f;
    sl_forward_norm(f, f->a, f->x, p->w->attn_norm, p->n_tok);
    trace_rows(p, SL_TRACE_ATTN_NORM, f->a, p->c->d_model);
    int err = p->c->family == SL_FAMILY_YUAN ? project_yuan(p) : project_hunyuan(p);
    if (err)
        return err;
    rotate(p);
    err = p->owner ? fill_cache(p) : 0;
    if (err)
        return err;
    run_attention(p);
    err = sl_forward_check(f->attn, (size_t)p->n_tok * p->c->d_attn, p->layer, "attention");
    if (err)
        return err;
    struct sl_linear_call o = {SL_MATRIX_O, p->layer, f->y, p->c->d_model};
    err = sl_forward_linear(f, &o, 1, f->attn, p->n_tok);
    if (err)
        return err;
    add_bias(p, SL_MATRIX_O, f->y, p->c->d_model);
    trace_rows(p, SL_TRACE_ATTN_OUT, f->y, p->c->d_model);
    add_residual(p);
    return sl_forward_check(f->x, (size_t)p->n_tok * p->c->d_model, p->layer,
                            "the residual stream behind attention");
}

static int feed_forward(struct pass *p)
{
    struct sl_forward *f = p->f;
    struct sl_span span;
    sl_forward_norm(f, f->a, f->x, p->w->ffn_norm, p->n_tok);
    trace_rows(p, SL_TRACE_FFN_NORM, f->a, p->c->d_model);
    sl_span_begin(f->profile, &span, SL_SPAN_MOE, 0);
    const struct sl_moe_call call = {p->layer, p->pos, f->a, p->n_tok, f->y, f->route};
    int err = f->ops->moe(f->ops->ctx, &call);
    sl_span_end(f->profile, &span);
    if (err)
        return err;
    if (f->trace && f->trace->on_route)
        f->trace->on_route(f->trace->user, p->layer, p->pos, f->route, p->n_tok);
    trace_rows(p, SL_TRACE_FFN_OUT, f->y, p->c->d_model);
    add_residual(p);
    return sl_forward_check(f->x, (size_t)p->n_tok * p->c->d_model, p->layer,
                            "the residual stream");
}

int sl_layer_run(struct sl_forward *f, uint32_t layer, uint32_t pos, uint32_t n_tok)
{
    struct pass p = {.f = f,
                     .c = f->config,
                     .w = &f->weights->layer[layer],
                     .layer = layer,
                     .pos = pos,
                     .n_tok = n_tok,
                     .owner = sl_config_kv_owner(f->config, layer) == layer};
    struct sl_span span;
    sl_span_begin(f->profile, &span, SL_SPAN_LAYER, layer);
    trace_rows(&p, SL_TRACE_HIDDEN, f->x, p.c->d_model);
    int err = attend(&p);
    err = err ? err : feed_forward(&p);
    sl_span_end(f->profile, &span);
    return err;
}
