/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Experts that choose their tokens (docs/numerics.md 5.4, EXPERT_CHOICE). A token may be taken by
 * any number of them, so results are numbered by pairs of expert and token, not by a token's
 * choices: row t of result[] is the shared expert's of token t, row n_tok + i that of pair i.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fabric/moe.h"

enum { FULL_WEIGHT = 1 << 24 };

uint32_t sl_moe_choice_size(const struct sl_fabric *f, uint32_t n_tok)
{
    const uint32_t c = sl_routing_capacity(&f->routing, f->config, n_tok);
    return c < n_tok ? c : n_tok;
}

static uint32_t n_pairs(const struct sl_fabric *f, uint32_t n_tok)
{
    return f->config->n_expert * sl_moe_choice_size(f, n_tok);
}

static uint32_t table_beats(const struct sl_config *c)
{
    return sl_ceil_div(4ull * c->n_expert, SL_BEAT_BYTES);
}

uint32_t sl_moe_choice_beats(const struct sl_fabric *f, uint32_t n_tok)
{
    return n_tok + table_beats(f->config) +
           2 * sl_ceil_div(4ull * n_pairs(f, n_tok), SL_BEAT_BYTES);
}

int sl_moe_open_choice(struct sl_fabric *f, uint32_t max_rows)
{
    const uint32_t n = n_pairs(f, SL_ROUTING_MAX_CHUNK);
    if (n + SL_ROUTING_MAX_CHUNK > max_rows)
        return sl_fail(SL_ERR_UNSUPPORTED, "choose a smaller factor, or run it exact",
                       "routing: %u experts with %u tokens each are more results than there is "
                       "room for (%u)",
                       f->config->n_expert, sl_moe_choice_size(f, SL_ROUTING_MAX_CHUNK),
                       max_rows - SL_ROUTING_MAX_CHUNK);
    f->moe->pair = sl_alloc(n, sizeof *f->moe->pair);
    return f->moe->pair ? 0 : SL_ERR_NOMEM;
}

/* An expert's pairs, of tokens below n_tok in ascending order. */
static bool take_pairs(struct sl_moe_pair *pair, uint32_t n, uint32_t n_tok, const uint32_t *list,
                       const uint32_t *weight)
{
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        pair[i] = (struct sl_moe_pair){list[i], (float)weight[i] * 0x1p-24f}; /* exact: <= 2^24 */
        ok = ok && list[i] < n_tok && weight[i] <= FULL_WEIGHT &&
             (!i || list[i] > pair[i - 1].token);
    }
    return ok;
}

int sl_moe_read_choice(struct sl_moe_pass *p, const struct sl_member *m, uint32_t off,
                       struct sl_route *route)
{
    const struct sl_config *c = p->f->config;
    const uint32_t size = sl_moe_choice_size(p->f, p->n_tok), n = c->n_expert * size;
    const uint32_t list_at = off + p->n_tok + table_beats(c);
    const uint16_t *range = sl_joblist_at(&m->jobs, off + p->n_tok);
    const uint32_t *list = sl_joblist_at(&m->jobs, list_at);
    const uint32_t *weight =
        sl_joblist_at(&m->jobs, list_at + sl_ceil_div(4ull * n, SL_BEAT_BYTES));
    bool ok = true;
    for (uint32_t e = 0, at = 0; e < c->n_expert; e++, at += size)
        ok = ok && range[2 * e] == at && range[2 * e + 1] == size &&
             take_pairs(p->work->pair + at, size, p->n_tok, list + at, weight + at);
    if (!ok)
        return sl_fail(SL_ERR_DEVICE, "`sluice validate` examines a device",
                       "device %s: its lists of tokens in layer %u are none", m->dev->name,
                       p->layer);
    for (uint32_t t = 0; t < p->n_tok; t++) {
        memset(&route[t], 0, sizeof route[t]);
        for (uint32_t i = 0; i < SL_MAX_EXPERT_USED; i++)
            route[t].expert[i] = UINT16_MAX;
    }
    return 0;
}

void sl_moe_add_pairs(struct sl_moe_pass *p)
{
    struct sl_moe_round *now = p->now;
    const uint32_t size = sl_moe_choice_size(p->f, p->n_tok);
    for (uint32_t e = 0; e < p->f->config->n_expert; e++) {
        now->task[now->n_task++] =
            (struct sl_moe_task){.expert = e, .first = now->n_item, .n = size};
        for (uint32_t i = e * size; i < (e + 1) * size; i++)
            now->item[now->n_item++] = (struct sl_moe_item){p->work->pair[i].token, p->n_tok + i};
    }
}

void sl_moe_combine_pairs(const struct sl_moe_pass *p, float *y)
{
    const uint32_t d = p->f->config->d_model, n = n_pairs(p->f, p->n_tok);
    const float *row = p->work->result + (size_t)p->n_tok * d;
    if (sl_place_slab(p->f, sl_moe_place(p, SL_MOE_SHARED)))
        memcpy(y, p->work->result, (size_t)p->n_tok * d * sizeof *y);
    else
        memset(y, 0, (size_t)p->n_tok * d * sizeof *y);
    for (uint32_t i = 0; i < n; i++, row += d) {
        const struct sl_moe_pair *pair = &p->work->pair[i];
        float *sum = y + (size_t)pair->token * d;
        for (uint32_t j = 0; j < d; j++)
            sum[j] = fmaf(pair->weight, row[j], sum[j]);
    }
}
