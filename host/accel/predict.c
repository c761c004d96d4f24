/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/predict.h"

#include <stdlib.h>
#include <string.h>

#include "accel/moe.h"
#include "base/err.h"

enum { TRIAL = 64, NO_LAYER = UINT32_MAX };
static const double use_from = 0.6, stop_below = 0.4; /* share of right guesses */
static const double memory = 1.0 / 256;               /* weight of one guess in that share */

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
        /* The plain mean first, a fading one when there are enough. */
        const double w = (double)sum->guesses * memory < 1 ? 1.0 / (double)sum->guesses : memory;
        p->right[k] += w * (chosen[e] - p->right[k]);
    }
    p->layer = NO_LAYER;
    const bool on = sum->guesses >= TRIAL && p->right[k] >= (sum->on ? stop_below : use_from);
    sum->switched += on != sum->on;
    sum->on = on;
}

int sl_predict_next(struct sl_moe_pass *pass)
{
    struct sl_fabric *f = pass->f;
    struct sl_predictor *p = &f->predictor;
    uint32_t off[SL_MOE_MAX_ROUTER_JOB];
    const uint32_t next = pass->layer + 1;
    if (!p->guess || next == f->config->n_layer)
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
    for (uint32_t e = 0; p->kind[kind_of(pass)].on && e < f->config->n_expert; e++)
        if (p->guess[e])
            sl_expert_memory_prefetch(f->experts, next, e);
    return 0;
}
