/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/profile.h"
#include "engine/memory_plan.h"
#include "engine/ops_exact.h"
#include "fabric/fabric.h"
#include "store/quant_config.h"
#include "store/store.h"

/* ---- open ----------------------------------------------------------------------------------- */

/* A store has its formats: asking for others is a mistake that must not pass unnoticed. */
static int check_format(const char *asked, const char *stored, const char *path)
{
    if (!asked || !strcmp(asked, stored))
        return 0;
    return sl_fail(SL_ERR_USAGE, "convert the checkpoint again, or leave the format out",
                   "%s was converted to %s, not to %s", path, stored, asked);
}

static int open_store(struct sl_model *m, const struct sl_model_params *p)
{
    if (p->exact)
        return sl_fail(SL_ERR_USAGE,
                       "give the checkpoint it was converted from, or leave exact out",
                       "%s: a converted model has no exact weights", p->path);
    struct sl_stream_params stream = {.progress = p->progress, .progress_user = p->progress_user};
    int err = sl_memory_plan_store(&m->memory, p);
    stream.budget = sl_memory_plan_budget(&m->memory);
    if (!err)
        err = m->memory.streamed ? sl_store_open_streamed(&m->store, p->path, &stream)
                                 : sl_store_open(&m->store, p->path);
    err = err ? err : check_format(p->format, sl_store_format(m->store), p->path);
    err = err ? err : check_format(p->format_dense, sl_store_format_dense(m->store), p->path);
    if (!err)
        m->config = *sl_store_config(m->store);
    return err;
}

static int quantise(struct sl_model *m, const struct sl_model_params *p)
{
    struct sl_quant_params q = {
        .progress = p->progress, .progress_user = p->progress_user, .pool = m->pool};
    int err = sl_quant_choose_format(&q.format, p->format, p->path);
    err = err ? err : sl_format_parse(&q.format_dense, p->format_dense ? p->format_dense : "q8");
    err = err ? err : sl_memory_plan(&m->memory, p);
    return err ? err : sl_store_quantise(&m->store, m->ckpt, &m->config, &q);
}

static int open_checkpoint(struct sl_model *m, const struct sl_model_params *p)
{
    int err = sl_config_load(&m->config, p->path);
    err = err ? err : sl_checkpoint_open(&m->ckpt, p->path);
    if (err)
        return err;
    if (p->exact) {
        err = sl_ops_exact_open(&m->ops, &m->config, m->ckpt, m->pool);
        if (!err)
            sl_ops_exact_set_routing(&m->ops, &m->routing);
        return err;
    }
    if (m->config.mlp_bias)
        return sl_fail(SL_ERR_UNSUPPORTED, "run it exact",
                       "%s: experts with biases do not run on the fabric", p->path);
    return quantise(m, p);
}

static int open_fabric(struct sl_model *m, const struct sl_model_params *p)
{
    struct sl_fabric_params fp = {.config = &m->config,
                                  .store = m->store,
                                  .pool = m->pool,
                                  .device = p->device,
                                  .cpu_takes_over = p->cpu_takes_over,
                                  .split = p->split,
                                  .resident = p->resident,
                                  .policy = p->keep,
                                  .routing = m->routing,
                                  .profile = p->profile};
    int err = sl_dense_parse(&fp.dense, p->dense);
    return err ? err : sl_fabric_open(&m->ops, &fp);
}

static int open_parts(struct sl_model *m, const struct sl_model_params *p)
{
    int err = sl_routing_parse(&m->routing, p->routing);
    err = err ? err : sl_pool_open(&m->pool, p->n_threads);
    if (err)
        return err;
    sl_pool_set_profile(m->pool, p->profile);
    err = sl_store_is_store(p->path) ? open_store(m, p) : open_checkpoint(m, p);
    if (err)
        return err;
    if (m->routing.kind != SL_ROUTING_TOP_K && !m->config.n_expert)
        return sl_fail(SL_ERR_USAGE, "leave it out", "routing %.40s: a dense model has no router",
                       p->routing);
    const struct sl_checkpoint *tensors = m->store ? sl_store_tensors(m->store) : m->ckpt;
    err = sl_weights_open(&m->weights, &m->config, tensors);
    err = err ? err : sl_rope_open(&m->rope, &m->config);
    if (!err && m->store)
        err = open_fabric(m, p);
    return err;
}

int sl_model_open(struct sl_model **out, const struct sl_model_params *params)
{
    if (!params->path)
        return sl_fail(SL_ERR_USAGE, "give a model directory", "model: no path");
    struct sl_model *m = sl_alloc(1, sizeof *m);
    if (!m)
        return SL_ERR_NOMEM;
    struct sl_span span;
    pthread_mutex_init(&m->busy, NULL);
    m->profile = params->profile;
    sl_span_begin(m->profile, &span, SL_SPAN_LOAD, 0);
    int err = open_parts(m, params);
    sl_span_end(m->profile, &span);
    if (err)
        sl_model_close(&m);
    else
        *out = m;
    return err;
}

void sl_model_close(struct sl_model **model)
{
    struct sl_model *m = *model;
    if (!m)
        return;
    if (m->ops.close)
        m->ops.close(m->ops.ctx);
    sl_rope_close(&m->rope);
    sl_weights_close(&m->weights);
    sl_store_close(&m->store);
    sl_checkpoint_close(&m->ckpt);
    sl_pool_close(&m->pool);
    pthread_mutex_destroy(&m->busy);
    free(m);
    *model = NULL;
}

/* ---- facts ---------------------------------------------------------------------------------- */

void sl_model_get_memory(const struct sl_model *model, struct sl_memory *out)
{
    *out = model->memory;
}

void sl_model_get_info(const struct sl_model *model, struct sl_model_info *out)
{
    sl_config_get_info(&model->config, out);
    out->format = out->format_dense = out->device = "-";
    if (sl_model_is_exact(model)) {
        out->weight_bytes = sl_checkpoint_bytes(model->ckpt);
        return;
    }
    out->format = sl_store_format(model->store);
    out->format_dense = sl_store_format_dense(model->store);
    out->device = model->ops.impl;
    out->weight_bytes = sl_store_bytes(model->store);
}
