/* SPDX-License-Identifier: Apache-2.0 */
/* What of a model fits where, and what a token takes: sluice.h, sl_plan. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/config.h"
#include "fabric/fabric_state.h"
#include "sched/cpu_rate.h"
#include "sched/plan.h"
#include "sched/plan_launch.h"
#include "sched/plan_moe.h"
#include "sched/plan_parse.h"
#include "sched/plan_weights.h"

enum {
    SETTLED = 8 /* layers after which what a fabric measures changes little: the others are alike */
};

struct planner {
    const struct sl_plan_params *params;
    struct sl_plan *out;
    struct sl_plan_cards cards;
    struct sl_plan_host host;
    struct sl_plan_weights w;
    enum sl_dense dense;
    double disk_share; /* of what is read of experts beside the cards: it is not in memory */
    struct sl_plan_rates rates;
    struct sl_plan_launches *launches; /* owned, like tlm */
    struct sl_tlm *tlm;
};

/* ---- places --------------------------------------------------------------------------------- */

/* Routed experts of a layer that a card holds beside the rest of its layers; negative: not even
 * that. Layers go to the cards in turn, the head to the last one. */
static double room_for_experts(const struct planner *p)
{
    const struct sl_plan_weights *w = &p->w;
    const double layers = ceil((double)w->n_layer / p->cards.n);
    const bool dense = p->dense != SL_DENSE_CPU;
    const double rest = layers * (w->router + w->shared + (dense ? w->dense : 0));
    const double left = p->out->card_gb * 1e9 - rest - (dense ? w->head : 0);
    if (left < 0 || !w->n_expert)
        return left < 0 ? -1 : 0;
    return fmin(floor(left / (layers * w->expert)), w->n_expert);
}

static int choose_resident(struct planner *p)
{
    double room = room_for_experts(p);
    if (room < 0 && !p->params->dense) { /* dense weights give way first */
        p->dense = SL_DENSE_CPU;
        room = room_for_experts(p);
    }
    if (room < 0)
        return sl_fail(
            SL_ERR_NOMEM, "name more cards, or a smaller format",
            "%s: routers, shared experts or MLPs%s of %u layers do not fit %u times %.1f GB",
            p->params->path, p->dense == SL_DENSE_CPU ? "" : " and dense matrices", p->w.n_layer,
            p->cards.n, p->out->card_gb);
    p->out->n_resident = (uint32_t)room;
    if (!p->params->resident)
        return 0;
    uint32_t n;
    int err = sl_resident_parse(&n, p->params->resident, p->w.n_expert);
    if (!err && n > (uint32_t)room)
        err = sl_fail(SL_ERR_NOMEM, "name more cards, or fewer experts",
                      "%u experts of each layer do not fit: %u do", n, (unsigned)room);
    p->out->n_resident = err ? 0 : n;
    return err;
}

static void place(struct planner *p)
{
    const struct sl_plan_weights *w = &p->w;
    struct sl_plan *o = p->out;
    const double layers = w->n_layer, dense = layers * w->dense + w->head;
    const double on_cards = layers * o->n_resident * w->expert;
    const double routed = layers * w->n_expert * w->expert - on_cards;
    const double cpu_dense = p->dense == SL_DENSE_DEVICE ? 0 : dense;
    const double memory = fmax(0, o->host_gb * 1e9 - o->kv_bytes - cpu_dense);
    p->disk_share = routed > memory ? 1 - memory / routed : 0;
    o->place[0] = (struct sl_plan_place){"router", layers * w->router, 0, 0};
    o->place[1] =
        (struct sl_plan_place){"dense", p->dense == SL_DENSE_CPU ? 0 : dense, cpu_dense, 0};
    const char *mlp = w->n_expert ? "shared experts" : "MLPs";
    o->place[2] = (struct sl_plan_place){mlp, layers * w->shared, 0, 0};
    o->place[3] = (struct sl_plan_place){"routed experts", on_cards, routed * (1 - p->disk_share),
                                         routed * p->disk_share};
}

/* ---- routing -------------------------------------------------------------------------------- */

/* Share of the choices that fall on the n most popular of n_expert, popularity 1 / rank^a. */
static double zipf_share(uint32_t n, uint32_t n_expert, double a)
{
    double sum = 0, head = 0;
    for (uint32_t i = 1; i <= n_expert; i++) {
        sum += pow(i, -a);
        head += i <= n ? pow(i, -a) : 0;
    }
    return sum > 0 ? head / sum : 0;
}

static int choose_routing(struct planner *p)
{
    struct sl_plan *o = p->out;
    const char *text = p->params->routing ? p->params->routing : "uniform";
    double v;
    char end;
    if (!strcmp(text, "uniform")) {
        o->hit = p->w.n_expert ? (double)o->n_resident / p->w.n_expert : 1;
        snprintf(o->routing, sizeof o->routing, "every expert is as likely as another");
    } else if (sscanf(text, "zipf:%lf%c", &v, &end) == 1 && v >= 0 && v <= 10) {
        o->hit = zipf_share(o->n_resident, p->w.n_expert, v);
        snprintf(o->routing, sizeof o->routing, "Zipf %.2f, the most popular are resident", v);
    } else if (sscanf(text, "hit:%lf%c", &v, &end) == 1 && v >= 0 && v <= 1) {
        o->hit = v;
        snprintf(o->routing, sizeof o->routing, "the share of hits was given");
    } else {
        return sl_fail(SL_ERR_USAGE, "uniform, zipf:A with A up to 10, hit:H with H up to 1",
                       "routing: cannot use '%.40s'", text);
    }
    if (!p->w.n_expert)
        snprintf(o->routing, sizeof o->routing, "a dense model chooses nothing");
    return 0;
}

/* Chance of h hits among k choices. */
static double hits(uint32_t k, uint32_t h, double hit)
{
    return exp(lgamma(k + 1.0) - lgamma(h + 1.0) - lgamma(k - h + 1.0)) * pow(hit, h) *
           pow(1 - hit, k - h);
}

/* ---- time ----------------------------------------------------------------------------------- */

/* What the launches took since the last call, `weight` times. */
static void take_launches(struct planner *p, struct sl_plan_time *t, double weight)
{
    struct sl_plan_launches *l = p->launches;
    const struct sl_virtual_time *v = &l->link.time;
    t->core_s += weight * v->core_s;
    t->launch_s += weight * v->launch_s;
    t->link_s += weight * v->link_s;
    t->experts_s += weight * v->cpu_s;
    t->beside_s += weight * (l->host_s - v->cpu_s);
    t->weight_bytes += weight * l->weight_bytes;
    t->link_bytes += weight * (double)(v->up_bytes + v->down_bytes);
    sl_link_open(&l->link, &p->cards.link);
    l->weight_bytes = l->host_s = 0;
}

static double cpu_seconds(const struct planner *p, double bytes)
{
    return bytes / (p->out->cpu_gbps * 1e9);
}

/* Of so many experts that no card holds. */
static double disk_seconds(const struct planner *p, double n_expert)
{
    return n_expert * p->w.expert * p->disk_share / (p->out->disk_gbps * 1e9);
}

static void finish(struct sl_plan_time *t, double memory_share, double n_tok)
{
    const double cpu = t->experts_s + t->dense_s + t->attention_s;
    const double parts[] = {t->core_s, t->launch_s, t->link_s, cpu, t->disk_s};
    const char *const names[] = {memory_share > 0.8 ? "hbm" : "array", "launch", "pcie", "cpu",
                                 "disk"};
    unsigned largest = 0;
    for (unsigned i = 0; i < 5; i++) {
        t->total_s += parts[i];
        largest = parts[i] > parts[largest] ? i : largest;
    }
    t->bound = names[largest];
    t->tokens_per_s = t->total_s > 0 ? n_tok / t->total_s : 0;
}

static const enum sl_slab_role qkv[] = {SL_SLAB_ROLE_Q, SL_SLAB_ROLE_K, SL_SLAB_ROLE_V};
static const enum sl_slab_role value[] = {SL_SLAB_ROLE_V};
static const enum sl_slab_role output[] = {SL_SLAB_ROLE_O};
static const enum sl_slab_role head[] = {SL_SLAB_ROLE_LM_HEAD};

/* The projections of all layers for n tokens, on the device. */
static void linear_layers(struct planner *p, struct sl_plan_time *t, uint32_t n_tok)
{
    const struct sl_config *c = &p->w.manifest.layout.config;
    for (uint32_t i = 0; i < c->n_layer; i++) {
        const bool owner = sl_config_kv_owner(c, i) == i, yuan = c->family == SL_FAMILY_YUAN;
        if (yuan)
            sl_plan_linear(p->launches, i, value, 1, n_tok);
        sl_plan_linear(p->launches, i, qkv, yuan ? 2 : owner ? 3 : 1, n_tok);
        sl_plan_linear(p->launches, i, output, 1, n_tok);
        take_launches(p, t, 1);
    }
}

static double memory_share(const struct planner *p, const struct sl_plan_time *t)
{
    return t->core_s > 0 ? t->weight_bytes / (p->out->card_gbps * 1e9) / t->core_s : 0;
}

/* Experts of one token in all layers. */
static void decode_experts(struct planner *p, struct sl_plan_time *t)
{
    const struct sl_config *c = &p->w.manifest.layout.config;
    const uint32_t k = c->n_expert_used;
    for (uint32_t h = 0; h <= k; h++) {
        const double chance = hits(k, h, p->out->hit);
        if (chance < 1e-12)
            continue;
        sl_plan_moe_decode(p->launches, h);
        take_launches(p, t, chance * c->n_layer);
    }
    t->disk_s += disk_seconds(p, c->n_layer * k * (1 - p->out->hit));
}

static void plan_decode(struct planner *p)
{
    const struct sl_config *c = &p->w.manifest.layout.config;
    struct sl_plan_time *t = &p->out->decode;
    decode_experts(p, t);
    if (p->dense == SL_DENSE_DEVICE) {
        linear_layers(p, t, 1);
        sl_plan_linear(p->launches, 0, head, 1, 1);
        take_launches(p, t, 1);
    } else {
        t->dense_s = cpu_seconds(p, c->n_layer * p->w.dense + p->w.head);
    }
    t->attention_s = cpu_seconds(p, p->out->kv_bytes + c->n_layer * p->w.filter);
    finish(t, memory_share(p, t), 1);
}

/* Experts of n tokens in all layers. */
static void prefill_experts(struct planner *p, struct sl_plan_time *t, uint32_t n)
{
    const struct sl_config *c = &p->w.manifest.layout.config;
    const uint32_t n_item = n * c->n_expert_used, n_resident = p->out->n_resident;
    const uint32_t n_hit = n_resident ? (uint32_t)lround(n_item * p->out->hit) : 0;
    const uint32_t n_held = n_resident < c->n_expert ? n_hit : n_item;
    struct sl_plan_load held, missing;
    sl_plan_spread(&held, n_resident, n_held, n);
    sl_plan_spread(&missing, c->n_expert - n_resident, n_item - n_held, n);
    for (uint32_t i = 0; i < c->n_layer; i++) {
        sl_plan_moe_prefill(p->launches, &p->rates, n, &held, &missing);
        const bool last = i + 1 == SETTLED;
        take_launches(p, t, last ? c->n_layer - i : 1);
        if (last)
            break;
    }
    t->disk_s += disk_seconds(p, (double)c->n_layer * missing.n);
}

/* One pass of n tokens through all layers. */
static void prefill_pass(struct planner *p, struct sl_plan_time *t, uint32_t n)
{
    const struct sl_config *c = &p->w.manifest.layout.config;
    if (p->dense == SL_DENSE_CPU || (p->dense == SL_DENSE_AUTO && n == 1))
        t->dense_s += cpu_seconds(p, c->n_layer * p->w.dense * sl_plan_dense_work(n));
    else
        linear_layers(p, t, n);
    sl_plan_kv_pack(p->launches, n);
    take_launches(p, t, sl_config_n_kv_layer(c));
    if (n == 1)
        decode_experts(p, t);
    else
        prefill_experts(p, t, n);
}

static void plan_prefill(struct planner *p)
{
    struct sl_plan_time *t = &p->out->prefill;
    const uint32_t n = p->out->n_prompt;
    p->rates = sl_plan_rates_first();
    for (uint32_t done = 0; done < n; done += SL_BATCH_TOKENS)
        prefill_pass(p, t, n - done < SL_BATCH_TOKENS ? n - done : SL_BATCH_TOKENS);
    if (p->dense == SL_DENSE_DEVICE)
        sl_plan_linear(p->launches, 0, head, 1, 1);
    else
        t->dense_s += cpu_seconds(p, p->w.head);
    take_launches(p, t, 1);
    finish(t, memory_share(p, t), n);
}

/* ---- all ------------------------------------------------------------------------------------ */

static int describe(struct planner *p)
{
    struct sl_plan *o = p->out;
    const struct sl_plan_cards *c = &p->cards;
    static const char *const dense[] = {"auto", "cpu", "device"};
    const double ports = sl_tlm_ceiling(&c->core) * c->core.n_port * c->clock_hz * 1e-9;
    struct sl_model_info info;
    snprintf(o->card, sizeof o->card, "%s", c->name);
    o->n_card = c->n;
    o->n_port = c->core.n_port;
    o->n_column = c->core.n_column;
    o->card_gb = c->gb > 0 ? c->gb : c->channel_gb * c->core.n_port;
    o->card_gbps = fmin(c->gbps, ports);
    o->clock_hz = c->clock_hz;
    o->pcie_gbps = c->link.gbps;
    o->pcie_us = c->link.transfer_us;
    o->launch_us = c->link.launch_us;
    o->host_gb = p->host.gb;
    o->disk_gbps = p->host.disk_gbps;
    o->cpu_measured = p->host.gbps <= 0;
    o->cpu_gbps = o->cpu_measured ? sl_cpu_rate_memory(0) : p->host.gbps;
    if (o->cpu_gbps <= 0)
        return sl_fail(SL_ERR_NOMEM, "give --host gbps=", "the CPU's memory cannot be measured");
    p->cards.link.cpu_gbps = o->cpu_gbps;
    p->cards.link.cpu_measured = false;
    o->n_expert = p->w.n_expert;
    o->n_ctx = p->params->n_ctx ? p->params->n_ctx : 1024;
    o->n_prompt = p->params->n_prompt ? p->params->n_prompt : SL_BATCH_TOKENS;
    sl_config_get_info(&p->w.manifest.layout.config, &info);
    o->kv_bytes = (double)info.kv_bytes_int8 * o->n_ctx;
    int err = choose_resident(p);
    o->dense = dense[p->dense];
    return err;
}

static int open_launches(struct planner *p)
{
    int err = sl_tlm_open(&p->tlm, &p->cards.core);
    struct sl_plan_launches *l = err ? NULL : sl_alloc(1, sizeof *l);
    if (!l)
        return err ? err : SL_ERR_NOMEM;
    p->launches = l;
    l->layout = &p->w.manifest.layout;
    l->tlm = p->tlm;
    l->clock_hz = p->cards.clock_hz;
    l->gbps = p->out->card_gbps;
    sl_link_open(&l->link, &p->cards.link);
    return 0;
}

int sl_plan_for(const struct sl_plan_params *params, const struct sl_plan_cards *cards,
                const struct sl_plan_host *host, struct sl_plan *out)
{
    struct planner p = {.params = params, .out = out, .cards = *cards, .host = *host};
    *out = (struct sl_plan){0};
    int err = sl_dense_parse(&p.dense, params->dense);
    err =
        err ? err : sl_plan_weights_open(&p.w, params->path, params->format, params->format_dense);
    err = err ? err : describe(&p);
    err = err ? err : choose_routing(&p);
    err = err ? err : open_launches(&p);
    if (!err) {
        place(&p);
        plan_decode(&p);
        plan_prefill(&p);
    }
    free(p.launches);
    sl_tlm_close(p.tlm);
    sl_plan_weights_close(&p.w);
    return err;
}

int sl_plan(const struct sl_plan_params *params, struct sl_plan *out)
{
    struct sl_plan_cards cards;
    struct sl_plan_host host;
    int err = sl_plan_parse_cards(&cards, params->cards);
    err = err ? err : sl_plan_parse_host(&host, params->host);
    return err ? err : sl_plan_for(params, &cards, &host, out);
}
