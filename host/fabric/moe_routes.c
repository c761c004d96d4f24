/* SPDX-License-Identifier: Apache-2.0 */
/* The router's answers: which experts, their tokens, their weights. */
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "fabric/moe.h"

enum { NO_CHOICE = 255 };

static void read_route(const struct sl_config *c, const struct sl_route_entry *entry,
                       struct sl_route *out)
{
    const uint16_t *expert = &entry->expert0;
    const uint32_t *weight = &entry->weight0;
    for (uint32_t i = 0; i < c->n_expert_used; i++) {
        out->expert[i] = expert[i];
        out->weight[i] = (float)weight[i] * 0x1p-24f; /* at most 2^24: exact */
    }
}

int sl_moe_read_routes(struct sl_moe_pass *p, const struct sl_member *m, const uint32_t *off,
                       struct sl_route *route)
{
    const struct sl_config *c = p->f->config;
    if (sl_moe_experts_choose(p->f))
        return sl_moe_read_choice(p, m, off[0], route);
    for (uint32_t t = 0; c->n_expert && t < p->n_tok; t++) {
        const struct sl_route_entry *entry =
            sl_joblist_at(&m->jobs, off[t / SL_MAX_TOKENS] + t % SL_MAX_TOKENS);
        read_route(c, entry, &route[t]);
        for (uint32_t i = 0; i < c->n_expert_used; i++)
            if (route[t].expert[i] >= c->n_expert)
                return sl_fail(SL_ERR_DEVICE, NULL, "device %s chose expert %u of %u", m->dev->name,
                               route[t].expert[i], c->n_expert);
    }
    return 0;
}

int sl_moe_check_routes(const struct sl_moe_pass *p)
{
    for (uint32_t t = 0; t < p->n_tok; t++)
        for (uint32_t i = 0; i < p->f->config->n_expert_used; i++)
            if (p->work->route[t].expert[i] != p->work->early[t].expert[i] ||
                p->work->route[t].weight[i] != p->work->early[t].weight[i])
                return sl_fail(SL_ERR_DEVICE, "`sluice validate` examines a device",
                               "device %s: its router and the CPU's differ in layer %u",
                               p->home->dev->name, p->layer);
    return 0;
}

/* Appends the tokens that router job r gave to expert e (its counting sort) as items. */
static void append_list(struct sl_moe_pass *p, const struct sl_member *m, uint32_t route_off,
                        uint32_t r, uint32_t e)
{
    const struct sl_config *c = p->f->config;
    const uint32_t done = r * SL_MAX_TOKENS;
    const uint32_t n = p->n_tok - done < SL_MAX_TOKENS ? p->n_tok - done : SL_MAX_TOKENS;
    const uint16_t *range = sl_joblist_at(&m->jobs, route_off + n);
    const uint32_t *list =
        sl_joblist_at(&m->jobs, route_off + n + sl_ceil_div(4ull * c->n_expert, SL_BEAT_BYTES));
    for (uint32_t i = 0; i < range[2 * e + 1]; i++) {
        uint32_t entry = list[range[2 * e] + i];
        uint32_t token = done + (entry & ((1u << SL_LIST_TOKEN_BITS) - 1));
        p->now->item[p->now->n_item++] =
            (struct sl_moe_item){token, token * p->n_row + (entry >> SL_LIST_TOKEN_BITS)};
    }
}

void sl_moe_add_chosen(struct sl_moe_pass *p, const struct sl_member *m, const uint32_t *off)
{
    struct sl_moe_round *now = p->now;
    if (sl_moe_experts_choose(p->f)) {
        sl_moe_add_pairs(p);
        return;
    }
    for (uint32_t e = 0; e < p->f->config->n_expert; e++) {
        uint32_t first = now->n_item;
        for (uint32_t r = 0; r * SL_MAX_TOKENS < p->n_tok; r++)
            append_list(p, m, off[r], r, e);
        for (uint32_t at = first; at < now->n_item; at += SL_MAX_TOKENS) {
            const uint32_t left = now->n_item - at;
            now->task[now->n_task++] = (struct sl_moe_task){
                .expert = e, .first = at, .n = left < SL_MAX_TOKENS ? left : SL_MAX_TOKENS};
        }
    }
}

/* acc = shared (or 0); for the chosen experts in ascending index acc = fmaf(w, y, acc). */
void sl_moe_combine(const struct sl_moe_pass *p, uint32_t t, float *y)
{
    const struct sl_config *c = p->f->config;
    const struct sl_route *route = &p->work->route[t];
    const float *rows = p->work->result + (size_t)t * p->n_row * c->d_model;
    if (sl_place_slab(p->f, sl_moe_place(p, SL_MOE_SHARED)))
        memcpy(y, rows + (size_t)c->n_expert_used * c->d_model, c->d_model * sizeof *y);
    else
        memset(y, 0, c->d_model * sizeof *y);
    int last = -1;
    for (uint32_t n = 0; n < c->n_expert_used; n++) {
        uint32_t best = NO_CHOICE;
        for (uint32_t i = 0; i < c->n_expert_used; i++)
            if (route->expert[i] > last &&
                (best == NO_CHOICE || route->expert[i] < route->expert[best]))
                best = i;
        last = route->expert[best];
        const float *row = rows + (size_t)best * c->d_model;
        for (uint32_t i = 0; i < c->d_model; i++)
            y[i] = fmaf(route->weight[best], row[i], y[i]);
    }
}
