/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/predict.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "fabric/moe.h"

#define NO_LAYER UINT32_MAX

enum { TRIAL = 64 /* guesses before they are judged */ };
static const double memory = 1.0 / 256; /* weight of one guess, or layer, in a fading mean */
static const double sure_from = 0.9; /* share of right guesses from which they are worth a slot */
static const double margin = 0.05;   /* of the share of right guesses: no switching to and fro */

int sl_predict_open(struct sl_predictor *p, uint32_t n_expert)
{
    p->layer = NO_LAYER;
    p->guess = sl_alloc(n_expert, sizeof *p->guess);
    return p->guess ? 0 : SL_ERR_NOMEM;
}

void sl_predict_close(struct sl_predictor *p)
{
    free(p->guess);
    p->guess = NULL;
}

static int kind_of(const struct sl_moe_pass *pass)
{
    return pass->n_tok == 1 ? SL_PREDICT_DECODE : SL_PREDICT_PREFILL;
}

static void mark(bool *set, const struct sl_moe_pass *pass, const struct sl_route *route)
{
    const struct sl_config *c = pass->f->config;
    memset(set, 0, c->n_expert * sizeof *set);
    for (uint32_t t = 0; t < pass->n_tok; t++)
        for (uint32_t i = 0; i < c->n_expert_used; i++)
            set[route[t].expert[i]] = true;
}

/* A fading mean that begins as a plain one: the n-th value. */
static void add_to(double *mean, double value, uint64_t n)
{
    const double w = (double)n * memory < 1 ? 1.0 / (double)n : memory;
    *mean += w * (value - *mean);
}

/* The layer that ends: what it waited, and what else it took. Not the first one, before which
 * somebody may have thought about what to ask. */
static void measure(struct sl_predictor *p, int k, uint32_t layer,
                    const struct sl_expert_memory *experts)
{
    struct sl_expert_memory_stats now;
    const uint64_t t = sl_now_ns();
    sl_expert_memory_get_stats(experts, &now);
    const double waited = now.wait_s - p->last_wait_s;
    const uint64_t missed = now.misses - p->last_miss;
    if (p->last_ns && layer == p->last_layer + 1) {
        add_to(&p->work_s[k], (double)(t - p->last_ns) * 1e-9 - waited, ++p->n_layer[k]);
        if (missed)
            add_to(&p->read_s, waited / (double)missed, ++p->n_read);
    }
    p->last_layer = layer;
    p->last_ns = t;
    p->last_wait_s = now.wait_s;
    p->last_miss = now.misses;
}

static bool pays(const struct sl_predictor *p, int k)
{
    const double c = p->work_s[k], r = p->read_s, right = p->right[k];
    const double saved = c < r ? c : r;
    const double edge = p->kind[k].on ? -margin : margin;
    return (right - edge) * saved > (1 - right + edge) * r;
}

void sl_predict_score(struct sl_moe_pass *pass)
{
    struct sl_predictor *p = &pass->f->predictor;
    const int k = kind_of(pass);
    struct sl_prediction *sum = &p->kind[k];
    bool chosen[SL_MAX_EXPERT];
    if (!p->guess || p->layer != pass->layer)
        return;
    mark(chosen, pass, pass->looked_ahead ? pass->work->early : pass->work->route);
    for (uint32_t e = 0; e < pass->f->config->n_expert; e++) {
        sum->chosen += chosen[e];
        if (!p->guess[e])
            continue;
        sum->guesses++;
        sum->right += chosen[e];
        add_to(&p->right[k], chosen[e], sum->guesses);
    }
    p->layer = NO_LAYER;
    const bool on = sum->guesses >= TRIAL && pays(p, k);
    sum->switched += on != sum->on;
    sum->on = on;
}

int sl_predict_next(struct sl_moe_pass *pass)
{
    struct sl_fabric *f = pass->f;
    struct sl_predictor *p = &f->predictor;
    uint32_t off[SL_MOE_MAX_ROUTER_JOB];
    const uint32_t next = pass->layer + 1;
    if (!p->guess)
        return 0;
    measure(p, kind_of(pass), pass->layer, f->experts);
    if (next == f->config->n_layer)
        return 0;
    int err = sl_moe_sit(pass, pass->cpu);
    if (err)
        return err;
    sl_moe_begin(pass, pass->cpu);
    err = sl_moe_add_routers(pass, pass->cpu, next, off);
    err = err ? err : sl_joblist_launch(&pass->cpu->jobs);
    err = err ? err : sl_moe_read_routes(pass, pass->cpu, off, pass->work->guess);
    if (err)
        return err;
    mark(p->guess, pass, pass->work->guess);
    p->layer = next;
    const int k = kind_of(pass);
    for (uint32_t e = 0; p->kind[k].on && e < f->config->n_expert; e++)
        if (p->guess[e])
            sl_expert_memory_prefetch(f->experts, next, e, p->right[k] > sure_from);
    return 0;
}
