/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward.h"

#include <stdlib.h>

#include "base/err.h"
#include "engine/layer.h"

static int alloc_buffers(struct sl_forward *f)
{
    const struct sl_config *c = f->config;
    size_t n = f->n_batch, d = c->d_model, d_kv = (size_t)c->n_kv_head * c->head_dim;
    size_t rec_k = sl_kv_vec_bytes(f->kv.format_k, c->head_dim);
    size_t rec_v = sl_kv_vec_bytes(f->kv.format_v, c->head_dim);
    bool yuan = c->family == SL_FAMILY_YUAN, ok = true;
    const struct {
        float **buffer;
        size_t width;
    } need[] = {{&f->x, d},
                {&f->a, d},
                {&f->y, d},
                {&f->q, c->d_attn},
                {&f->attn, c->d_attn},
                {&f->qk, yuan ? 2 * (size_t)c->d_attn : 1},
                {&f->k, d_kv},
                {&f->v, d_kv},
                {&f->cos_tab, c->n_rot / 2},
                {&f->sin_tab, c->n_rot / 2}};
    for (size_t i = 0; i < sizeof need / sizeof *need; i++) {
        *need[i].buffer = sl_alloc(n * need[i].width, sizeof(float));
        ok = ok && *need[i].buffer;
    }
    f->records = sl_alloc(n * c->n_kv_head, rec_k > rec_v ? rec_k : rec_v);
    f->route = sl_alloc(n, sizeof *f->route);
    return ok && f->records && f->route ? 0 : SL_ERR_NOMEM;
}

int sl_forward_open(struct sl_forward *f, const struct sl_forward_params *params)
{
    f->n_batch = params->n_batch;
    f->pack_on_fabric = params->pack_on_fabric;
    int err = sl_kv_open(&f->kv, f->config, params->n_ctx, params->format_k, params->format_v);
    err = err ? err : sl_attention_open(&f->attention, f->config, f->pool);
    if (!err && f->config->has_lfa)
        err = sl_lfa_open(&f->lfa, f->config, f->n_batch, f->pool);
    err = err ? err : alloc_buffers(f);
    if (err)
        sl_forward_close(f);
    return err;
}

void sl_forward_close(struct sl_forward *f)
{
    float *buffer[] = {f->x, f->a, f->y, f->q, f->qk, f->attn, f->k, f->v, f->cos_tab, f->sin_tab};
    for (size_t i = 0; i < sizeof buffer / sizeof *buffer; i++)
        free(buffer[i]);
    free(f->records);
    free(f->route);
    sl_lfa_close(&f->lfa);
    sl_attention_close(&f->attention);
    sl_kv_close(&f->kv);
    *f = (struct sl_forward){0};
}

static int logits_of(struct sl_forward *f, const struct sl_forward_chunk *chunk)
{
    const struct sl_config *c = f->config;
    uint32_t first = chunk->all_logits ? 0 : chunk->n_tok - 1, n = chunk->n_tok - first;
    sl_forward_norm(f, f->a, f->x + (size_t)first * c->d_model, f->weights->final_norm, n);
    sl_forward_trace(f, &(struct sl_trace_item){.point = SL_TRACE_FINAL_NORM,
                                                .layer = c->n_layer,
                                                .pos = chunk->pos + first,
                                                .data = f->a,
                                                .n_tok = n,
                                                .width = c->d_model,
                                                .stride = c->d_model});
    struct sl_linear_call head = {SL_MATRIX_LM_HEAD, 0, chunk->logits, c->n_vocab};
    return sl_forward_linear(f, &head, 1, f->a, n);
}

static void embed(struct sl_forward *f, const struct sl_forward_chunk *chunk)
{
    const struct sl_config *c = f->config;
    size_t half = c->n_rot / 2;
    struct sl_span span;
    sl_span_begin(f->profile, &span, SL_SPAN_EMBEDDING, 0);
    for (size_t t = 0; t < chunk->n_tok; t++) {
        sl_rows_read(&f->weights->embedding, (uint32_t)chunk->ids[t], f->x + t * c->d_model);
        sl_rope_angles(f->rope, chunk->pos + (uint32_t)t, f->cos_tab + t * half,
                       f->sin_tab + t * half);
    }
    sl_span_end(f->profile, &span);
}

static int tick(struct sl_forward *f)
{
    struct sl_forward_progress *p = &f->progress;
    p->done++;
    if (!p->fn || p->fn(p->user, "prefill", p->done, p->total))
        return 0;
    return sl_fail(SL_ERR_INTERRUPTED, NULL, "prefill: stopped");
}

static int run_chunk(struct sl_forward *f, const struct sl_forward_chunk *chunk)
{
    const struct sl_config *c = f->config;
    size_t n = chunk->n_tok;
    embed(f, chunk);
    int err = sl_forward_check(f->x, n * c->d_model, 0, "the embedding");
    for (uint32_t l = 0; !err && l < c->n_layer; l++)
        if (!(err = sl_layer_run(f, l, chunk->pos, chunk->n_tok)) && n > 1)
            err = tick(f);
    if (err)
        return err;
    sl_forward_trace(f, &(struct sl_trace_item){.point = SL_TRACE_HIDDEN,
                                                .layer = c->n_layer,
                                                .pos = chunk->pos,
                                                .data = f->x,
                                                .n_tok = n,
                                                .width = c->d_model,
                                                .stride = c->d_model});
    return chunk->logits ? logits_of(f, chunk) : 0;
}

int sl_forward_run(struct sl_forward *f, const struct sl_forward_chunk *chunk)
{
    struct sl_span span;
    bool decode = chunk->n_tok == 1;
    sl_span_begin(f->profile, &span, decode ? SL_SPAN_DECODE : SL_SPAN_PREFILL,
                  decode ? chunk->pos : chunk->n_tok);
    int err = run_chunk(f, chunk);
    sl_span_end(f->profile, &span);
    return err;
}
