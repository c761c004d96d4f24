/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/session.h"

#include <stdlib.h>

#include "base/err.h"
#include "engine/forward.h"
#include "engine/model.h"
#include "engine/route_log.h"

enum { DEFAULT_CTX = 4096, MAX_CTX = 1 << 24 };

struct sl_session {
    struct sl_model *model; /* borrowed */
    struct sl_forward forward;
    uint32_t n_ctx, pos;
    struct sl_ops_stats ops; /* this session's share of the model's */
    uint64_t n_token, n_decode_token, n_decode_launch;
};

/* ---- open and close ------------------------------------------------------------------------- */

static uint32_t choose_ctx(const struct sl_config *c, uint32_t wanted)
{
    if (wanted)
        return wanted;
    return c->n_ctx_train && c->n_ctx_train < DEFAULT_CTX ? c->n_ctx_train : DEFAULT_CTX;
}

static int choose_formats(const struct sl_model *model, const struct sl_session_params *p,
                          struct sl_forward_params *out)
{
    const char *usual = sl_model_is_exact(model) ? "f32" : "int8";
    int err = sl_kv_format_parse(&out->format_k, p->cache_type_k ? p->cache_type_k : usual);
    err = err ? err : sl_kv_format_parse(&out->format_v, p->cache_type_v ? p->cache_type_v : usual);
    if (!err && p->kv_on_fabric && !model->ops.kv_pack)
        err = sl_fail(SL_ERR_USAGE, "leave it out, or open the model on a device",
                      "kv_on_fabric: an exact model has no fabric");
    return err;
}

/* Tokens that a routing with a capacity sees together are those of a chunk. */
static int choose_batch(const struct sl_model *model, uint32_t wanted, uint32_t *out)
{
    const uint32_t max = sl_routing_max_chunk(&model->routing);
    *out = wanted ? wanted : max ? max : SL_BATCH_TOKENS;
    if (!max || *out <= max)
        return 0;
    return sl_fail(SL_ERR_USAGE, "choose a smaller batch, or leave it out",
                   "batch: this routing takes at most %u tokens together, not %u", max, *out);
}

int sl_session_open(struct sl_session **out, struct sl_model *model,
                    const struct sl_session_params *params)
{
    uint32_t n_ctx = choose_ctx(&model->config, params->n_ctx), n_batch;
    int err = choose_batch(model, params->n_batch, &n_batch);
    if (err)
        return err;
    struct sl_forward_params fp = {.n_ctx = n_ctx,
                                   .n_batch = n_batch < n_ctx ? n_batch : n_ctx,
                                   .pack_on_fabric = params->kv_on_fabric};
    if (n_ctx > MAX_CTX)
        return sl_fail(SL_ERR_USAGE, NULL, "context: %u tokens are more than %d", n_ctx, MAX_CTX);
    err = choose_formats(model, params, &fp);
    if (err)
        return err;
    struct sl_session *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    s->model = model;
    s->n_ctx = n_ctx;
    s->forward = (struct sl_forward){.config = &model->config,
                                     .weights = &model->weights,
                                     .rope = &model->rope,
                                     .ops = &model->ops,
                                     .pool = model->pool,
                                     .profile = model->profile};
    err = sl_forward_open(&s->forward, &fp);
    if (err)
        free(s);
    else
        *out = s;
    return err;
}

void sl_session_close(struct sl_session **session)
{
    if (!*session)
        return;
    sl_forward_close(&(*session)->forward);
    free(*session);
    *session = NULL;
}

void sl_session_reset(struct sl_session *session)
{
    session->pos = 0;
    if (session->model->config.has_lfa)
        sl_lfa_reset(&session->forward.lfa);
}

/* ---- evaluation ----------------------------------------------------------------------------- */

static int check_ids(const struct sl_session *s, const int32_t *ids, size_t n)
{
    uint32_t n_vocab = s->model->config.n_vocab;
    if (n > s->n_ctx - s->pos)
        return sl_fail(SL_ERR_RANGE, "open the session with a larger context",
                       "context: %u of %u positions are used, %zu more do not fit", s->pos,
                       s->n_ctx, n);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= n_vocab)
            return sl_fail(SL_ERR_RANGE, "tokenise with the model's own tokenizer",
                           "token %zu: id %d is outside of 0..%u", i, ids[i], n_vocab - 1);
    return 0;
}

static int eval_chunks(struct sl_session *s, const int32_t *ids, size_t n, bool all_logits,
                       float *logits)
{
    const size_t n_vocab = s->model->config.n_vocab, n_batch = s->forward.n_batch;
    s->forward.progress.done = 0;
    s->forward.progress.total = (n + n_batch - 1) / n_batch * s->model->config.n_layer;
    for (size_t done = 0; done < n;) {
        size_t count = n - done < n_batch ? n - done : n_batch;
        bool last = done + count == n;
        struct sl_forward_chunk chunk = {.ids = ids + done,
                                         .n_tok = (uint32_t)count,
                                         .pos = s->pos + (uint32_t)done,
                                         .all_logits = all_logits};
        if (logits && (all_logits || last))
            chunk.logits = logits + (all_logits ? done * n_vocab : 0);
        int err = sl_forward_run(&s->forward, &chunk);
        if (err)
            return err;
        done += count;
    }
    return 0;
}

static void add_stats(struct sl_session *s, const struct sl_ops_stats *before, size_t n)
{
    struct sl_ops_stats now = {0}, *sum = &s->ops;
    s->model->ops.get_stats(s->model->ops.ctx, &now);
    sum->n_launch += now.n_launch - before->n_launch;
    sum->n_retry += now.n_retry - before->n_retry;
    sum->n_linear += now.n_linear - before->n_linear;
    sum->n_linear_cpu += now.n_linear_cpu - before->n_linear_cpu;
    sum->n_moe += now.n_moe - before->n_moe;
    sum->n_router += now.n_router - before->n_router;
    sum->n_kv_pack += now.n_kv_pack - before->n_kv_pack;
    sum->n_expert_cpu += now.n_expert_cpu - before->n_expert_cpu;
    s->n_token += n;
    if (n == 1) {
        s->n_decode_token++;
        s->n_decode_launch += now.n_launch - before->n_launch;
    }
}

int sl_session_eval(struct sl_session *session, const int32_t *ids, size_t n, bool all_logits,
                    float *logits)
{
    struct sl_session *s = session;
    struct sl_ops_stats before = {0};
    bool has_lfa = s->model->config.has_lfa;
    int err = check_ids(s, ids, n);
    if (!err && n == 1 && s->model->routing.kind == SL_ROUTING_EXPERTS)
        err = sl_fail(SL_ERR_UNSUPPORTED, "choose another routing",
                      "routing: experts cannot choose among the tokens of a decode");
    if (err)
        return err;
    if (n == 0)
        return logits ? sl_fail(SL_ERR_USAGE, NULL, "evaluation: no token, so no logits") : 0;
    pthread_mutex_lock(&s->model->busy);
    s->model->ops.get_stats(s->model->ops.ctx, &before);
    if (has_lfa)
        sl_lfa_save(&s->forward.lfa);
    err = eval_chunks(s, ids, n, all_logits, logits);
    add_stats(s, &before, err ? 0 : n);
    pthread_mutex_unlock(&s->model->busy);
    if (!err)
        s->pos += (uint32_t)n;
    else if (has_lfa)
        sl_lfa_restore(&s->forward.lfa);
    return err;
}

void sl_session_set_progress(struct sl_session *session, sl_progress_fn fn, void *user)
{
    session->forward.progress = (struct sl_forward_progress){.fn = fn, .user = user};
}

void sl_session_get_stats(const struct sl_session *session, struct sl_session_stats *out)
{
    const struct sl_session *s = session;
    const char *impl = s->model->ops.impl;
    *out = (struct sl_session_stats){.n_tokens = s->n_token,
                                     .n_launches = s->ops.n_launch,
                                     .n_retries = s->ops.n_retry,
                                     .n_decode_tokens = s->n_decode_token,
                                     .n_decode_launches = s->n_decode_launch};
    const struct sl_op_stat all[] = {
        {"router", impl, s->ops.n_router},          {"expert_ffn", impl, s->ops.n_moe},
        {"expert_ffn", "cpu", s->ops.n_expert_cpu}, {"linear", impl, s->ops.n_linear},
        {"linear", "cpu", s->ops.n_linear_cpu},     {"kv_pack", impl, s->ops.n_kv_pack},
        {"kv_pack", "cpu", s->forward.n_cpu_pack},  {"attention", "cpu", s->forward.n_attention}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].calls)
            out->op[out->n_op++] = all[i];
    struct sl_ops_stats now = {0};
    s->model->ops.get_stats(s->model->ops.ctx, &now);
    out->placement = now.placement;
    for (; out->n_device < now.n_device; out->n_device++) {
        const struct sl_device_stats *d = &now.device[out->n_device];
        out->device[out->n_device] =
            (struct sl_device_use){d->name, d->failure, d->n_launch, d->time};
    }
}

/* ---- inspection ----------------------------------------------------------------------------- */

void sl_session_set_trace(struct sl_session *session, const struct sl_trace *trace)
{
    session->forward.trace = trace;
}

int sl_session_log_routes(struct sl_session *session, struct sl_route_log *log)
{
    struct sl_forward *f = &session->forward;
    if (session->model->routing.kind == SL_ROUTING_EXPERTS)
        return sl_fail(SL_ERR_UNSUPPORTED, "choose another routing",
                       "routing: where experts choose, tokens have no choices to record");
    int err = sl_route_log_attach(log, f->config, f->n_batch);
    if (!err)
        f->trace = sl_route_log_trace(log);
    return err;
}

const struct sl_kv *sl_session_kv(const struct sl_session *session, uint32_t *n_pos)
{
    *n_pos = session->pos;
    return &session->forward.kv;
}
