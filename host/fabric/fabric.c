/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of a model together, and KV packing. One device is in member.c, plain matrices are in
 * fabric_linear.c, the MoE layer in moe.c. */
#include "fabric/fabric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/link.h"
#include "base/err.h"
#include "fabric/fabric_state.h"
#include "fabric/moe.h"

enum { KV_ZERO_POINT_BYTE = 32 };

const struct sl_slab *sl_place_slab(const struct sl_fabric *f, uint32_t place)
{
    const struct sl_config *c = f->config;
    const uint32_t layer = sl_place_layer(f, place), i = place - sl_place_of(f, layer, 0);
    if (!place)
        return sl_store_matrix(f->store, SL_MATRIX_LM_HEAD, 0).header;
    if (i == SL_PLACE_ROUTER)
        return c->n_expert ? sl_store_router(f->store, layer).header : NULL;
    if (i == SL_PLACE_SHARED)
        return c->d_ff_shared ? sl_store_shared(f->store, layer).header : NULL;
    if ((i == SL_MATRIX_K || i == SL_MATRIX_V) && sl_config_kv_owner(c, layer) != layer)
        return NULL;
    return sl_store_matrix(f->store, (enum sl_matrix)i, layer).header;
}

/* ---- KV ------------------------------------------------------------------------------------- */

uint64_t sl_kv_heap_beats(const struct sl_config *c)
{
    return (uint64_t)SL_MAX_KV_ROWS *
           (sl_act_head_beats(c->head_dim) + c->head_dim / SL_BEAT_BYTES + 2);
}

/* The core's record (code beats, then a beat of scales and zero points) to the cache's dense form.
 */
static void compact_record(enum sl_kv_format format, uint32_t head_dim, const uint8_t *record,
                           uint8_t *out)
{
    uint32_t n_code = format == SL_KV_INT8 ? head_dim : head_dim / 2;
    uint32_t n_group = format == SL_KV_INT8 ? 1 : (head_dim + SL_BLOCK - 1) / SL_BLOCK;
    const uint8_t *scales = record + (n_code + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES * SL_BEAT_BYTES;
    memcpy(out, record, n_code);
    memcpy(out + n_code, scales, 2 * n_group);
    if (format == SL_KV_INT4)
        memcpy(out + n_code + 2 * n_group, scales + KV_ZERO_POINT_BYTE, n_group);
}

/* One launch for at most SL_MAX_KV_ROWS vectors. */
static int kv_launch(struct sl_member *m, enum sl_kv_format format, uint32_t head_dim,
                     const float *vec, size_t n, uint8_t *out)
{
    uint32_t n_code = format == SL_KV_INT8 ? head_dim : head_dim / 2;
    uint32_t x_beats = sl_act_head_beats(head_dim), x_off, y_off;
    uint32_t y_beats = (n_code + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES + 1;
    sl_joblist_begin(&m->jobs);
    int err = sl_joblist_alloc(&m->jobs, n * x_beats, &x_off);
    for (size_t i = 0; !err && i < n; i++)
        err = sl_act_head_pack(vec + i * head_dim, head_dim,
                               sl_joblist_at(&m->jobs, x_off + (uint32_t)i * x_beats));
    sl_joblist_outputs(&m->jobs);
    err = err ? err : sl_joblist_alloc(&m->jobs, n * y_beats, &y_off);
    struct sl_job *job = err ? NULL : sl_joblist_add(&m->jobs);
    if (!job)
        return err ? err : SL_ERR_NOMEM;
    job->op = SL_OP_KV_PACK;
    job->format = format == SL_KV_INT8 ? SL_KVREC_INT8 : SL_KVREC_INT4;
    job->x_off = x_off;
    job->x_stride = (uint16_t)x_beats;
    job->y_off = y_off;
    job->y_stride = (uint16_t)y_beats;
    job->n_tokens = 1;
    job->k = (uint16_t)head_dim;
    job->rows = (uint32_t)n;
    err = sl_joblist_launch(&m->jobs);
    for (size_t i = 0; !err && i < n; i++)
        compact_record(format, head_dim, sl_joblist_at(&m->jobs, y_off + (uint32_t)i * y_beats),
                       out + i * sl_kv_vec_bytes(format, head_dim));
    return err;
}

static int fabric_kv_pack(void *ctx, enum sl_kv_format format, uint32_t head_dim, const float *vec,
                          size_t n_vec, uint8_t *out)
{
    struct sl_fabric *f = ctx;
    f->stats.n_kv_pack += n_vec;
    for (size_t i = 0; i < n_vec; i += SL_MAX_KV_ROWS) {
        size_t n = n_vec - i < SL_MAX_KV_ROWS ? n_vec - i : SL_MAX_KV_ROWS;
        int err = kv_launch(&f->member[0], format, head_dim, vec + i * head_dim, n,
                            out + i * sl_kv_vec_bytes(format, head_dim));
        if (err)
            return err;
    }
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------- */

static void get_placement(const struct sl_fabric *f, struct sl_placement *out)
{
    struct sl_expert_memory_stats memory;
    sl_expert_memory_get_stats(f->experts, &memory);
    out->on_card = f->stats.placement.on_card;
    out->on_cpu = f->stats.n_expert_cpu;
    for (unsigned i = 0; i < f->n_card && f->member[i].slots; i++) {
        struct sl_slots_stats s;
        sl_slots_get_stats(f->member[i].slots, &s);
        out->n_slot += s.n_slot;
        out->promoted += s.promoted;
        out->promoted_bytes += s.bytes;
        out->passed_by += s.passed_by;
        out->put_off += s.put_off;
        out->upload_failed += s.failed;
    }
    out->memory_slot = memory.n_slot;
    out->memory_slot_bytes = memory.slot_bytes;
    out->demands = memory.requests;
    out->hits = memory.hits;
    out->bytes_read = memory.bytes_read;
    out->prefetches = memory.prefetches;
    out->prefetch_hits = memory.prefetch_hits;
    out->prefetch_wasted = memory.prefetch_wasted;
    out->wait_s = memory.wait_s;
    out->decode = f->predictor.kind[SL_PREDICT_DECODE];
    out->prefill = f->predictor.kind[SL_PREDICT_PREFILL];
}

static void fabric_get_stats(const void *ctx, struct sl_ops_stats *out)
{
    static const struct sl_virtual_time no_time;
    const struct sl_fabric *f = ctx;
    *out = f->stats;
    get_placement(f, &out->placement);
    for (unsigned i = 0; i < f->n_member; i++) {
        const struct sl_member *m = &f->member[i];
        out->n_launch += m->index < f->n_card || !f->n_card ? m->jobs.n_launch : 0;
        if (m->index < f->n_card || !f->n_card)
            out->device[out->n_device++] =
                (struct sl_device_stats){m->name, m->failure, m->jobs.n_launch,
                                         m->dev->clock ? m->dev->clock->time : no_time};
    }
}

static void fabric_close(void *ctx)
{
    struct sl_fabric *f = ctx;
    sl_moe_close(f);
    sl_predict_close(&f->predictor);
    sl_dense_cpu_close(f);
    for (unsigned i = 0; i < f->n_member; i++)
        sl_member_close(&f->member[i]);
    sl_expert_memory_close(&f->experts);
    free(f->header);
    free(f);
}

int sl_dense_parse(enum sl_dense *out, const char *name)
{
    static const char *const names[] = {"auto", "cpu", "device"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(name ? name : "auto", names[i])) {
            *out = (enum sl_dense)i;
            return 0;
        }
    return sl_fail(SL_ERR_USAGE, "choose one of auto, cpu, device", "dense: unknown value '%s'",
                   name);
}

int sl_resident_parse(uint32_t *out, const char *text, uint32_t n_expert)
{
    char end;
    unsigned n;
    if (!text || !strcmp(text, "all"))
        *out = n_expert;
    else if (!n_expert)
        return sl_fail(SL_ERR_USAGE, "leave it out: the device holds all of a dense model",
                       "resident %.40s: a dense model has no routed experts", text);
    else if (!strcmp(text, "none"))
        *out = 0;
    else if (sscanf(text, "%6u%c", &n, &end) == 1 && n <= n_expert)
        *out = n;
    else
        return sl_fail(SL_ERR_USAGE, "give all, none, or a number of experts of each layer",
                       "resident %.40s: the model has %u experts in a layer", text, n_expert);
    return 0;
}

/* "cpu" alone, whatever its options: the device is the program itself. */
static bool is_cpu(const char *name)
{
    return !strncmp(name, "cpu", 3) && (!name[3] || name[3] == ':' || name[3] == ',');
}

static int open_members(struct sl_fabric *f, const struct sl_fabric_params *params)
{
    char name[SL_DEVICE_NAME];
    for (const char *rest = params->device ? params->device : "csim"; rest;) {
        rest = sl_device_next(rest, name);
        struct sl_member *m = &f->member[f->n_member];
        *m = (struct sl_member){.fabric = f, .index = f->n_member++};
        int err = sl_member_open(m, name, params);
        if (err)
            return err;
    }
    /* Where experts come and go in memory it also says in time which of them a modelled card needs.
     */
    if (!f->n_card ||
        (f->n_resident == f->config->n_expert && !sl_expert_memory_streams(f->experts)))
        return 0;
    struct sl_member *m = &f->member[f->n_member];
    *m = (struct sl_member){.fabric = f, .index = f->n_member++};
    return sl_member_open(m, "cpu", params);
}

/* How many cards the names are. */
static int count_cards(struct sl_fabric *f, const char *list)
{
    char name[SL_DEVICE_NAME];
    unsigned n = 0, n_cpu = 0;
    snprintf(f->name, sizeof f->name, "%s", list);
    while (list) {
        list = sl_device_next(list, name);
        n++;
        n_cpu += is_cpu(name);
    }
    if (n_cpu && n > 1)
        return sl_fail(SL_ERR_USAGE, "leave cpu out: what no card holds is the CPU's anyway",
                       "device %s: cpu is not one of several", f->name);
    if (n > SL_OPS_MAX_DEVICE || (!f->sliced && n > f->config->n_layer))
        return sl_fail(SL_ERR_USAGE, "name fewer devices",
                       "%u devices: at most %d, and a layer for each", n, SL_OPS_MAX_DEVICE);
    f->n_card = n - n_cpu;
    f->sliced = f->sliced && f->n_card > 1;
    if (f->sliced && f->n_resident < f->config->n_expert)
        return sl_fail(SL_ERR_USAGE, "leave --resident out, or split by layers",
                       "slices: every card has one of every expert");
    return 0;
}

static int parse_split(struct sl_fabric *f, const char *name)
{
    f->sliced = name && !strcmp(name, "slices");
    if (name && !f->sliced && strcmp(name, "layers") != 0)
        return sl_fail(SL_ERR_USAGE, "choose layers or slices", "split: unknown value '%s'", name);
    return 0;
}

static int fabric_load(struct sl_fabric *f, const struct sl_fabric_params *params)
{
    const struct sl_config *c = f->config;
    f->n_place = 1 + c->n_layer * (SL_PLACE_EXPERT + c->n_expert);
    f->expert = *sl_store_expert_shape(f->store);
    const struct sl_expert_memory_params memory = {.store = f->store, .policy = params->policy};
    int err = sl_expert_memory_open(&f->experts, &memory);
    err = err ? err : sl_resident_parse(&f->n_resident, params->resident, c->n_expert);
    err = err ? err : parse_split(f, params->split);
    err = err ? err : count_cards(f, params->device ? params->device : "csim");
    if (!err && f->sliced && !(f->header = sl_alloc(f->n_place, sizeof *f->header)))
        err = SL_ERR_NOMEM;
    err = err ? err : open_members(f, params);
    if (!err && f->dense != SL_DENSE_DEVICE)
        err = sl_dense_cpu_open(f);
    /* A guess names a token's experts. */
    if (!err && sl_cpu_member(f) && sl_expert_memory_streams(f->experts) &&
        !sl_moe_experts_choose(f))
        err = sl_predict_open(&f->predictor, c->n_expert);
    return err ? err : sl_moe_open(f);
}

int sl_fabric_open(struct sl_ops *out, const struct sl_fabric_params *params)
{
    struct sl_fabric *f = sl_alloc(1, sizeof *f);
    if (!f)
        return SL_ERR_NOMEM;
    f->config = params->config;
    f->store = params->store;
    f->pool = params->pool;
    f->dense = params->dense;
    f->routing = params->routing;
    f->profile = params->profile;
    int err = fabric_load(f, params);
    if (err) {
        fabric_close(f);
        return err;
    }
    *out = (struct sl_ops){.impl = f->name,
                           .ctx = f,
                           .linear = sl_fabric_linear,
                           .moe = sl_fabric_moe,
                           .kv_pack = fabric_kv_pack,
                           .get_stats = fabric_get_stats,
                           .close = fabric_close};
    return 0;
}
