/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/plan_launch.h"

#include <math.h>

#include "accel/activation.h"
#include "base/number.h"

enum { JOBS_OFF = 0, HEAP_OFF = 2 * SL_PLAN_MAX_JOB, WORDS = SL_BEAT_BYTES / 4 };

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- a list --------------------------------------------------------------------------------- */

static void begin(struct sl_plan_launches *p)
{
    p->n_job = p->in = p->out = 0;
    p->top = HEAP_OFF;
}

static uint32_t input(struct sl_plan_launches *p, uint32_t n_beats)
{
    const uint32_t at = p->top;
    p->top += n_beats;
    p->in += n_beats;
    return at;
}

static uint32_t output(struct sl_plan_launches *p, uint32_t n_beats)
{
    const uint32_t at = p->top;
    p->top += n_beats;
    p->out += n_beats;
    return at;
}

static struct sl_job *add(struct sl_plan_launches *p, int op, int format, uint32_t n_tok)
{
    struct sl_tlm_job *job = &p->job[p->n_job++];
    *job = (struct sl_tlm_job){
        .job = {.op = (uint8_t)op, .format = (uint8_t)format, .n_tokens = (uint16_t)n_tok}};
    return &job->job;
}

/* As joblist.c: inputs, jobs and empty records up; records and outputs down. */
void sl_plan_start(struct sl_plan_launches *p)
{
    struct sl_tlm_traffic t;
    sl_link_write(&p->link, (uint64_t)p->in * SL_BEAT_BYTES);
    sl_link_write(&p->link, 2ull * p->n_job * SL_BEAT_BYTES);
    const uint64_t cycles = sl_tlm_launch(p->tlm, p->job, p->n_job, JOBS_OFF, NULL, &t);
    const double bytes = (double)t.w_read * SL_BEAT_BYTES, memory_s = bytes / (p->gbps * 1e9);
    p->weight_bytes += bytes;
    p->memory_s += memory_s;
    sl_link_launch(&p->link, fmax((double)cycles / p->clock_hz, memory_s));
    p->link.beside = true;
}

void sl_plan_finish(struct sl_plan_launches *p)
{
    p->link.beside = false;
    sl_link_join(&p->link);
    sl_link_read(&p->link, (uint64_t)p->n_job * SL_BEAT_BYTES);
    sl_link_read(&p->link, (uint64_t)p->out * SL_BEAT_BYTES);
}

static void launch(struct sl_plan_launches *p)
{
    sl_plan_start(p);
    sl_plan_finish(p);
}

static const struct sl_slab_item *find(const struct sl_plan_launches *p, enum sl_slab_role role)
{
    return sl_layout_find(p->layout, role, 0, 0);
}

/* ---- dense ---------------------------------------------------------------------------------- */

static void linear_launch(struct sl_plan_launches *p, const struct sl_slab_item *const *items,
                          unsigned n_item, uint32_t n)
{
    begin(p);
    const uint32_t item = sl_act8_beats(items[0]->k), x = input(p, n * item);
    for (unsigned i = 0; i < n_item; i++) {
        struct sl_job *job = add(p, SL_OP_PLAIN, items[i]->format, n);
        job->k = (uint16_t)items[i]->k;
        job->rows = items[i]->rows;
        job->x_off = x;
        job->x_stride = (uint16_t)item;
        job->y_stride = (uint16_t)sl_ceil_div(items[i]->rows, WORDS);
        job->y_off = output(p, n * job->y_stride);
    }
    launch(p);
}

void sl_plan_linear(struct sl_plan_launches *p, uint32_t layer, const enum sl_slab_role *roles,
                    unsigned n_role, uint32_t n_tok)
{
    enum { MAX_ROLE = 3 };
    const struct sl_slab_item *items[MAX_ROLE];
    unsigned n = 0;
    for (unsigned i = 0; i < n_role; i++) {
        items[n] = sl_layout_find(p->layout, roles[i], layer, 0);
        n += items[n] != NULL;
    }
    for (uint32_t t = 0; n && t < n_tok; t += SL_MAX_TOKENS)
        linear_launch(p, items, n, smaller(n_tok - t, SL_MAX_TOKENS));
}

void sl_plan_kv_pack(struct sl_plan_launches *p, uint32_t n_tok)
{
    const struct sl_config *c = &p->layout->config;
    const uint32_t n_vector = n_tok * c->n_kv_head, item = sl_act_head_beats(c->head_dim);
    for (uint32_t i = 0; i < 2 * n_vector;) { /* K, then V */
        const uint32_t left = i < n_vector ? n_vector - i : 2 * n_vector - i;
        const uint32_t n = smaller(left, SL_MAX_KV_ROWS);
        begin(p);
        struct sl_job *job = add(p, SL_OP_KV_PACK, SL_KVREC_INT8, 1);
        job->k = (uint16_t)c->head_dim;
        job->rows = n;
        job->x_stride = (uint16_t)item;
        job->x_off = input(p, n * item);
        job->y_stride = (uint16_t)(sl_ceil_div(c->head_dim, SL_BEAT_BYTES) + 1);
        job->y_off = output(p, n * job->y_stride);
        launch(p);
        i += n;
    }
}

/* ---- experts -------------------------------------------------------------------------------- */

static uint32_t route_beats(const struct sl_config *c, uint32_t n)
{
    return n + sl_ceil_div(c->n_expert, WORDS) + sl_ceil_div((uint64_t)n * c->n_expert_used, WORDS);
}

static void add_router(struct sl_plan_launches *p, uint32_t x, uint32_t n)
{
    const struct sl_config *c = &p->layout->config;
    const struct sl_slab_item *item = find(p, SL_SLAB_ROLE_ROUTER);
    const bool attention = c->router == SL_ROUTER_ATTENTION;
    struct sl_job *job = add(p, SL_OP_ROUTER, attention ? SL_MODE_ATTENTION : SL_MODE_SOFTMAX, n);
    job->flags = c->router_renorm ? SL_FLAG_RENORM : 0;
    job->k = (uint16_t)item->k;
    job->rows = c->n_expert;
    job->top_k = (uint8_t)c->n_expert_used;
    job->x_off = x;
    job->x_stride = (uint16_t)sl_act16_beats(item->k);
    job->y_off = output(p, route_beats(c, n));
}

static struct sl_job *add_expert(struct sl_plan_launches *p, const struct sl_slab_item *item,
                                 uint32_t x, uint32_t n)
{
    struct sl_job *job = add(p, SL_OP_EXPERT, item->format, n);
    job->k = (uint16_t)item->k;
    job->rows = item->rows;
    job->slice_count = (uint16_t)item->rows;
    job->x_off = x;
    job->x_stride = (uint16_t)sl_act8_beats(item->k);
    job->y_stride = (uint16_t)sl_ceil_div(item->k, WORDS);
    job->y_off = output(p, n * job->y_stride);
    return job;
}

/* x of both kinds, routers, shared experts. */
static uint32_t begin_moe(struct sl_plan_launches *p, uint32_t n_tok)
{
    const struct sl_slab_item *router = find(p, SL_SLAB_ROLE_ROUTER);
    const struct sl_slab_item *shared = find(p, SL_SLAB_ROLE_SHARED);
    const uint32_t k = (router ? router : shared)->k;
    begin(p);
    const uint32_t x8 = input(p, n_tok * sl_act8_beats(k));
    const uint32_t x16 = router ? input(p, n_tok * sl_act16_beats(k)) : 0;
    for (uint32_t t = 0; router && t < n_tok; t += SL_MAX_TOKENS)
        add_router(p, x16 + t * sl_act16_beats(k), smaller(n_tok - t, SL_MAX_TOKENS));
    for (uint32_t t = 0; shared && t < n_tok; t += SL_MAX_TOKENS)
        add_expert(p, shared, x8 + t * sl_act8_beats(k), smaller(n_tok - t, SL_MAX_TOKENS));
    return x8;
}

void sl_plan_moe_decode(struct sl_plan_launches *p, uint32_t n_hit)
{
    const struct sl_config *c = &p->layout->config;
    const uint32_t x8 = begin_moe(p, 1), route = p->job[0].job.y_off;
    for (uint32_t i = 0; i < c->n_expert_used; i++) {
        struct sl_job *job = add_expert(p, find(p, SL_SLAB_ROLE_EXPERT), x8, 1);
        job->flags = SL_FLAG_INDIRECT;
        job->route_off = route;
        job->route_choice = (uint8_t)i;
        job->slot_off = 1; /* in front of everything */
        job->n_expert = (uint16_t)c->n_expert;
        if (i >= n_hit)
            p->job[p->n_job - 1].status = SL_STATUS_MISS;
    }
    sl_plan_start(p);
    if (n_hit < c->n_expert_used)
        sl_plan_host(p, (c->n_expert_used - n_hit) * sl_plan_expert_bytes(p));
    sl_plan_finish(p);
}

void sl_plan_moe_route(struct sl_plan_launches *p, uint32_t n_tok)
{
    begin_moe(p, n_tok);
    launch(p);
}

double sl_plan_expert_bytes(const struct sl_plan_launches *p)
{
    const struct sl_slab_item *expert = find(p, SL_SLAB_ROLE_EXPERT);
    return expert ? (double)expert->n_beats * SL_BEAT_BYTES : 0;
}

double sl_plan_host(struct sl_plan_launches *p, double bytes)
{
    const double s = sl_link_host(&p->link, (uint64_t)bytes);
    p->host_s += s;
    return s;
}

void sl_plan_list_begin(struct sl_plan_launches *p, uint32_t n_tok)
{
    const uint32_t k = find(p, SL_SLAB_ROLE_EXPERT)->k;
    begin(p);
    p->x8 = input(p, n_tok * sl_act8_beats(k));
    input(p, n_tok * sl_act16_beats(k)); /* the router's lie in the same place */
    p->in = 0;                           /* both are there since the first launch */
}

void sl_plan_list_add(struct sl_plan_launches *p, uint32_t n)
{
    if (p->n_job == SL_PLAN_MAX_JOB)
        return;
    const uint32_t at = input(p, sl_ceil_div(n, WORDS));
    struct sl_job *job = add_expert(p, find(p, SL_SLAB_ROLE_EXPERT), p->x8, n);
    job->flags = SL_FLAG_LIST;
    job->list_off = at;
}
