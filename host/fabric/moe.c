/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MoE layer on a card, or on the CPU alone.
 *
 * Decode on a card is one launch: ROUTER, the shared EXPERT, and top_k INDIRECT EXPERTs that take
 * their choice from the router's record. Where the card may miss an expert, the CPU computes the
 * same choice beforehand, and what is missing while the launch runs. Prefill is two launches:
 * routers and shared expert, then every chosen expert with the list of its tokens. A token whose h
 * leaves the window of u_h is computed again alone, with a lower u_h: its result then depends on
 * nothing but itself, however tokens were grouped.
 */
#include "fabric/moe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "base/err.h"

static uint32_t max_items(const struct sl_config *c)
{
    return SL_BATCH_TOKENS * (c->n_expert_used + 1);
}

int sl_moe_open(struct sl_fabric *f)
{
    const struct sl_config *c = f->config;
    const size_t n = max_items(c);
    const uint32_t k = f->expert.k;
    struct sl_moe_work *w = f->moe = sl_alloc(1, sizeof *w);
    bool ok = w != NULL;
    for (int i = 0; ok && i < 2; i++) {
        w->round[i].item = sl_alloc(n, sizeof *w->round[i].item);
        w->round[i].task = sl_alloc(n, sizeof *w->round[i].task);
        ok = w->round[i].item && w->round[i].task;
    }
    ok = ok && (w->result = sl_alloc(n * c->d_model, sizeof *w->result)) &&
         (w->route = sl_alloc(SL_BATCH_TOKENS, sizeof *w->route)) &&
         (w->early = sl_alloc(SL_BATCH_TOKENS, sizeof *w->early)) &&
         (w->guess = sl_alloc(SL_BATCH_TOKENS, sizeof *w->guess)) &&
         (w->x8 = sl_alloc_aligned(SL_BEAT_BYTES,
                                   SL_BATCH_TOKENS * (size_t)sl_act8_beats(k) * SL_BEAT_BYTES)) &&
         (w->x16 = sl_alloc_aligned(SL_BEAT_BYTES,
                                    SL_BATCH_TOKENS * (size_t)sl_act16_beats(k) * SL_BEAT_BYTES));
    if (ok && sl_moe_experts_choose(f))
        return sl_moe_open_choice(f, (uint32_t)n);
    return ok ? 0 : SL_ERR_NOMEM;
}

void sl_moe_close(struct sl_fabric *f)
{
    struct sl_moe_work *w = f->moe;
    if (!w)
        return;
    for (int i = 0; i < 2; i++) {
        free(w->round[i].item);
        free(w->round[i].task);
    }
    free(w->result);
    free(w->route);
    free(w->early);
    free(w->guess);
    free(w->pair);
    free(w->x8);
    free(w->x16);
    free(w);
    f->moe = NULL;
}

/* Jobs of a retry: every token alone. */
uint32_t sl_moe_max_job(const struct sl_config *config)
{
    return max_items(config);
}

uint64_t sl_moe_heap_beats(const struct sl_fabric *f)
{
    const uint64_t per_token =
        sl_act8_beats(f->expert.k) + sl_act16_beats(f->expert.k) + sl_moe_route_beats(f->config, 1);
    return SL_BATCH_TOKENS * per_token +
           (uint64_t)max_items(f->config) * (1 + sl_moe_y_beats(f)); /* 1: a list of its own */
}

/* ---- a pass ---------------------------------------------------------------------------------- */

static int pack(struct sl_moe_pass *p)
{
    const struct sl_fabric_rows x = {p->x, p->n_tok, p->f->config->d_model, p->f->expert.k};
    int err = sl_fabric_pack_x8(p->f, &x, p->work->x8);
    return err || !p->x16_stride ? err : sl_fabric_pack_x16(p->f, &x, p->work->x16);
}

/* The choice by the CPU's own router, for a card that may not have it all. */
static int look_ahead(struct sl_moe_pass *p)
{
    uint32_t off[SL_MOE_MAX_ROUTER_JOB];
    int err = sl_moe_sit(p, p->cpu);
    if (err)
        return err;
    sl_moe_begin(p, p->cpu);
    err = sl_moe_add_routers(p, p->cpu, p->layer, off);
    err = err ? err : sl_joblist_launch(&p->cpu->jobs);
    err = err ? err : sl_moe_read_routes(p, p->cpu, off, p->work->early);
    p->looked_ahead = !err;
    return err;
}

static bool has_all(const struct sl_moe_pass *p)
{
    for (uint32_t e = 0; e < p->f->config->n_expert; e++)
        if (!sl_moe_holds(p, p->home, e))
            return false;
    return true;
}

/* The home reads experts where the host has them, and they come and go there. */
static bool needs_binding(const struct sl_moe_pass *p)
{
    return sl_moe_reads_host(p->home) && sl_expert_memory_streams(p->f->experts);
}

/* Router, shared expert and choices in one list; while it runs, what the card misses. */
static int decode_on_card(struct sl_moe_pass *p, uint32_t *route_off)
{
    struct sl_member *m = p->home;
    const uint32_t top_k = p->f->config->n_expert_used;
    int err = has_all(p) && !needs_binding(p) ? 0 : look_ahead(p);
    if (!err && needs_binding(p))
        err = sl_moe_bind_choices(p);
    sl_moe_begin(p, m);
    err = err ? err : sl_moe_add_routers(p, m, p->layer, route_off);
    err = err ? err : sl_moe_add_shared(p, m);
    for (uint32_t i = 0; !err && i < top_k; i++)
        err = sl_moe_add_indirect(p, m, route_off[0], i);
    bool beside = sl_slots_moving(m->slots);
    for (uint32_t i = 0; !err && p->looked_ahead && i < top_k; i++)
        if (!sl_moe_holds(p, m, p->work->early[0].expert[i])) {
            sl_moe_add_choice(p, i, p->work->early[0].expert[i]);
            beside = true;
        }
    if (err)
        return err;
    p->route_off = route_off;
    if (beside) { /* there is something to do meanwhile */
        /* Nothing is learned from it: the shared expert is of another size. */
        p->seat[m->index].begin = 0;
        err = sl_joblist_start(&m->jobs, m->launcher);
        p->seat[m->index].running = !err;
        return err;
    }
    err = sl_joblist_launch(&m->jobs);
    err = err ? err : sl_moe_read_routes(p, m, route_off, p->work->route);
    err = err || !p->looked_ahead ? err : sl_moe_check_routes(p);
    p->route_off = NULL;
    return err ? err : sl_moe_collect(p, m);
}

/* Routers, on a card with the shared expert; then tasks for what they chose. */
static int choose(struct sl_moe_pass *p, uint32_t *route_off)
{
    struct sl_member *m = p->home;
    const bool card = m->card;
    sl_moe_begin(p, m);
    int err = sl_moe_add_routers(p, m, p->layer, route_off);
    err = err || !card ? err : sl_moe_add_shared(p, m);
    err = err || !m->jobs.n_job ? err : sl_joblist_launch(&m->jobs);
    err = err ? err : sl_moe_read_routes(p, m, route_off, p->work->route);
    err = err ? err : sl_moe_collect(p, m);
    if (!err && !card)
        err = sl_moe_add_shared(p, NULL);
    if (!err)
        sl_moe_add_chosen(p, m, route_off);
    return err;
}

static bool is_decode(const struct sl_moe_pass *p)
{
    return p->n_tok == 1 && p->home->card && !sl_moe_experts_choose(p->f);
}

static int run_pass(struct sl_moe_pass *p)
{
    uint32_t route_off[SL_MOE_MAX_ROUTER_JOB];
    p->f->stats.n_router += p->f->config->n_expert ? p->n_tok : 0;
    for (int i = 0; i < 2; i++)
        p->work->round[i].n_item = p->work->round[i].n_task = 0;
    if (p->home->slots)
        sl_slots_turn(p->home->slots);
    int err = pack(p);
    err = err ? err : sl_moe_sit(p, p->home);
    if (!err && p->f->sliced)
        return sl_moe_run_sliced(p);
    if (!err)
        err = (is_decode(p) ? decode_on_card : choose)(p, route_off);
    if (!err && (p->looked_ahead || !p->route_off))
        sl_predict_score(p);
    err = err ? err : sl_moe_run(p);
    sl_moe_unbind(p);
    return err;
}

static void combine(const struct sl_moe_pass *p, float *y)
{
    struct sl_span span;
    sl_span_begin(p->f->profile, &span, SL_SPAN_COMBINE, 0);
    if (sl_moe_experts_choose(p->f)) {
        sl_moe_combine_pairs(p, y);
    } else {
        for (uint32_t t = 0; t < p->n_tok; t++)
            sl_moe_combine(p, t, y + (size_t)t * p->f->config->d_model);
    }
    sl_span_end(p->f->profile, &span);
}

int sl_fabric_moe(void *ctx, const struct sl_moe_call *call)
{
    struct sl_fabric *f = ctx;
    const size_t d = f->config->d_model, n_tok = call->n_tok;
    f->stats.n_moe += n_tok;
    /* A session reads no more together where tokens depend on each other. */
    assert(!sl_routing_max_chunk(&f->routing) || n_tok <= sl_routing_max_chunk(&f->routing));
    for (size_t t = 0; t < n_tok; t += SL_BATCH_TOKENS) {
        size_t n = n_tok - t < SL_BATCH_TOKENS ? n_tok - t : SL_BATCH_TOKENS;
        struct sl_moe_pass pass = {.f = f,
                                   .work = f->moe,
                                   .now = &f->moe->round[0],
                                   .next = &f->moe->round[1],
                                   .home = sl_layer_home(f, call->layer),
                                   .cpu = sl_cpu_member(f),
                                   .layer = call->layer,
                                   .pos = call->pos + (uint32_t)t,
                                   .x = call->x + t * d,
                                   .n_tok = (uint32_t)n,
                                   .n_row = f->config->n_expert_used + 1,
                                   .x8_stride = sl_act8_beats(f->expert.k),
                                   .x16_stride =
                                       f->config->n_expert ? sl_act16_beats(f->expert.k) : 0};
        int err = run_pass(&pass);
        if (err)
            return err;
        combine(&pass, call->y + t * d);
        if (call->route)
            memcpy(call->route + t, f->moe->route, n * sizeof *call->route);
    }
    return 0;
}
