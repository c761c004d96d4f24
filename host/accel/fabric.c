/* SPDX-License-Identifier: Apache-2.0 */
/* Residency of slabs, and KV packing. Plain matrices are in fabric_linear.c, the MoE layer in
 * fabric_moe.c. */
#include "accel/fabric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/fabric_state.h"
#include "base/err.h"
#include "store/slab.h"

enum { KV_ZERO_POINT_BYTE = 32 };

/* ---- placement and upload ------------------------------------------------------------------- */

/* mine: it belongs to the device's part of the model. */
typedef int (*slab_fn)(struct sl_fabric *f, struct sl_resident *slot, struct sl_slab_ref ref,
                       bool mine, void *user);

/* Another choice in every layer: experts of one number need not be alike. */
static bool is_resident(const struct sl_fabric *f, uint32_t layer, uint32_t expert)
{
    enum { STEP = 7 };
    return (expert + layer * STEP) % f->config->n_expert < f->n_resident;
}

/* Every slab of the model in the order in which it is placed. */
static int for_each_slab(struct sl_fabric *f, slab_fn fn, void *user)
{
    const struct sl_config *c = f->config;
    const bool last = f->part == f->n_part - 1;
    int err = fn(f, &f->head, sl_store_matrix(f->store, SL_MATRIX_LM_HEAD, 0), last, user);
    for (uint32_t l = 0; l < c->n_layer; l++) {
        struct sl_fabric_layer *layer = &f->layer[l];
        const bool owner = sl_config_kv_owner(c, l) == l, mine = l % f->n_part == f->part;
        for (int m = SL_MATRIX_Q; !err && m <= SL_MATRIX_O; m++)
            if (owner || (m != SL_MATRIX_K && m != SL_MATRIX_V))
                err = fn(f, &layer->matrix[m], sl_store_matrix(f->store, (enum sl_matrix)m, l),
                         mine, user);
        err = err ? err : fn(f, &layer->router, sl_store_router(f->store, l), mine, user);
        if (!err && c->d_ff_shared)
            err = fn(f, &layer->shared, sl_store_shared(f->store, l), mine, user);
        for (uint32_t e = 0; !err && e < c->n_expert; e++)
            err = fn(f, &layer->expert[e], sl_store_expert(f->store, l, e),
                     mine && is_resident(f, l, e), user);
        if (err)
            return err;
    }
    return err;
}

static int place_slab(struct sl_fabric *f, struct sl_resident *slot, struct sl_slab_ref ref,
                      bool mine, void *user)
{
    uint64_t *top = user;
    enum { ARENA_MAX_BEATS = (1ull << 32) / SL_BEAT_BYTES };
    slot->header = ref.header;
    slot->w_off = SL_NOT_RESIDENT;
    if (!mine || (f->dense == SL_DENSE_CPU && ref.header->kind == SL_KIND_PLAIN))
        return 0;
    slot->w_off = (uint32_t)*top;
    *top += sl_slab_port_beats(ref.header, f->dev->n_port);
    if (*top + SL_SLACK_BEATS > ARENA_MAX_BEATS)
        return sl_fail(SL_ERR_NOMEM, "choose a smaller format or a device with more weight ports",
                       "the model does not fit the weight arenas of device %s (4 GB a port)",
                       f->dev->name);
    return 0;
}

static int upload_slab(struct sl_fabric *f, struct sl_resident *slot, struct sl_slab_ref ref,
                       bool mine, void *user)
{
    (void)mine;
    uint8_t *image = user;
    uint32_t n = (uint32_t)sl_slab_port_beats(ref.header, f->dev->n_port);
    for (unsigned p = 0; slot->w_off != SL_NOT_RESIDENT && p < f->dev->n_port; p++) {
        sl_slab_port_image(ref.header, p, f->dev->n_port, image);
        int err = sl_device_write_begin(f->dev, (int)p, slot->w_off, image, n);
        if (err)
            return err;
    }
    return 0;
}

static int largest_slab(struct sl_fabric *f, struct sl_resident *slot, struct sl_slab_ref ref,
                        bool mine, void *user)
{
    (void)mine;
    uint64_t *max = user, n = sl_slab_port_beats(ref.header, f->dev->n_port);
    if (slot->w_off != SL_NOT_RESIDENT)
        *max = n > *max ? n : *max;
    return 0;
}

static int upload_all(struct sl_fabric *f)
{
    struct sl_span span;
    uint64_t max = 1;
    int err = for_each_slab(f, largest_slab, &max);
    uint8_t *image = err ? NULL : sl_alloc_aligned(SL_BEAT_BYTES, max * SL_BEAT_BYTES);
    if (!image)
        return err ? err : SL_ERR_NOMEM;
    sl_span_begin(f->profile, &span, SL_SPAN_UPLOAD, 0);
    err = for_each_slab(f, upload_slab, image);
    const int late = sl_device_write_end(f->dev);
    err = err ? err : late;
    sl_span_end(f->profile, &span);
    free(image);
    return err;
}

/* ---- control arena -------------------------------------------------------------------------- */

static uint32_t slot_table_beats(const struct sl_config *c)
{
    return (4 * c->n_expert + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES;
}

/* Heap of the largest KV launch. */
static uint64_t kv_heap_beats(const struct sl_config *c)
{
    return (uint64_t)SL_MAX_KV_ROWS *
           (sl_act_head_beats(c->head_dim) + c->head_dim / SL_BEAT_BYTES + 2);
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int write_slot_tables(struct sl_fabric *f)
{
    const struct sl_config *c = f->config;
    uint32_t n = slot_table_beats(c), *table = sl_alloc(n, SL_BEAT_BYTES);
    int err = table ? 0 : SL_ERR_NOMEM;
    for (uint32_t l = 0; !err && l < c->n_layer; l++) {
        for (uint32_t e = 0; e < c->n_expert; e++)
            table[e] = f->layer[l].expert[e].w_off;
        f->layer[l].slot_off = l * n;
        err = sl_device_write(f->dev, SL_ARENA_CTL, l * n, table, n);
    }
    free(table);
    return err;
}

static int open_arenas(struct sl_fabric *f, uint64_t w_beats)
{
    uint32_t fixed = f->config->n_layer * slot_table_beats(f->config);
    uint32_t max_job = sl_moe_max_job(f->config);
    uint64_t heap = max_u64(kv_heap_beats(f->config), sl_moe_heap_beats(f->config, f->store));
    if (f->dense != SL_DENSE_CPU)
        heap = max_u64(heap, sl_linear_heap_beats(f));
    int err = sl_device_alloc(f->dev, (uint32_t)(fixed + 2 * max_job + heap),
                              (uint32_t)w_beats + SL_SLACK_BEATS);
    /* A QUERY writes where slot tables will be. */
    struct sl_caps caps;
    if (!err && f->profile)
        err = sl_device_query(f->dev, &caps);
    err = err ? err : write_slot_tables(f);
    err = err ? err : sl_joblist_open(&f->jobs, f->dev, fixed, max_job);
    if (!err && f->profile)
        sl_joblist_set_profile(&f->jobs, f->profile, &caps);
    return err;
}

/* ---- KV ------------------------------------------------------------------------------------- */

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
static int kv_launch(struct sl_fabric *f, enum sl_kv_format format, uint32_t head_dim,
                     const float *vec, size_t n, uint8_t *out)
{
    uint32_t n_code = format == SL_KV_INT8 ? head_dim : head_dim / 2;
    uint32_t x_beats = sl_act_head_beats(head_dim), x_off, y_off;
    uint32_t y_beats = (n_code + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES + 1;
    sl_joblist_begin(&f->jobs);
    int err = sl_joblist_alloc(&f->jobs, n * x_beats, &x_off);
    for (size_t i = 0; !err && i < n; i++)
        err = sl_act_head_pack(vec + i * head_dim, head_dim,
                               sl_joblist_at(&f->jobs, x_off + (uint32_t)i * x_beats));
    sl_joblist_outputs(&f->jobs);
    err = err ? err : sl_joblist_alloc(&f->jobs, n * y_beats, &y_off);
    struct sl_job *job = err ? NULL : sl_joblist_add(&f->jobs);
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
    err = sl_joblist_launch(&f->jobs);
    for (size_t i = 0; !err && i < n; i++)
        compact_record(format, head_dim, sl_joblist_at(&f->jobs, y_off + (uint32_t)i * y_beats),
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
        int err = kv_launch(f, format, head_dim, vec + i * head_dim, n,
                            out + i * sl_kv_vec_bytes(format, head_dim));
        if (err)
            return err;
    }
    return 0;
}

/* ---- the CPU instead of a device that failed ------------------------------------------------ */

/* The core in C with as many ports as the device, so that every place in the arenas stays. */
static int open_spare(const struct sl_device *old, struct sl_device **out)
{
    char name[16];
    snprintf(name, sizeof name, "csim:%u", old->n_port);
    return sl_device_open(out, name);
}

/* Told when a model is opened, not when its device fails. */
static int check_spare(const struct sl_device *dev)
{
    struct sl_device *spare = NULL;
    int err = open_spare(dev, &spare);
    sl_device_close(&spare);
    return err ? sl_fail(SL_ERR_USAGE, "`sluice devices` shows the ports that csim can have",
                         "device %s: the CPU has no core of %u ports to take over with", dev->name,
                         dev->n_port)
               : 0;
}

/* The launch at hand lies in the list's copy of the control arena. */
static int take_over(void *user)
{
    struct sl_fabric *f = user;
    struct sl_device *dev = NULL;
    const struct sl_device *old = f->dev;
    snprintf(f->failure, sizeof f->failure, "%s", sl_error_message());
    int err = sl_joblist_detach(&f->jobs);
    err = err ? err : open_spare(old, &dev);
    err = err ? err : sl_device_alloc(dev, old->ctl_beats, old->w_beats);
    if (err) {
        sl_device_close(&dev);
        return err;
    }
    sl_device_close(&f->dev);
    f->dev = f->jobs.dev = dev;
    f->jobs.take_over = NULL;
    err = write_slot_tables(f);
    return err ? err : upload_all(f);
}

/* ---- open and close ------------------------------------------------------------------------- */

static void fabric_get_stats(const void *ctx, struct sl_ops_stats *out)
{
    const struct sl_fabric *f = ctx;
    *out = f->stats;
    out->n_launch = f->jobs.n_launch;
    out->n_device = 1;
    out->device[0] = (struct sl_device_stats){f->name, f->failure, f->jobs.n_launch};
}

static void fabric_close(void *ctx)
{
    struct sl_fabric *f = ctx;
    sl_moe_close(f);
    sl_dense_cpu_close(f);
    sl_joblist_close(&f->jobs);
    sl_device_close(&f->dev);
    free(f->experts);
    free(f->layer);
    free(f);
}

static int fabric_load(struct sl_fabric *f, const struct sl_fabric_params *params)
{
    const struct sl_config *c = f->config;
    uint64_t w_beats = 0;
    f->layer = sl_alloc(c->n_layer, sizeof *f->layer);
    f->experts = sl_alloc((size_t)c->n_layer * c->n_expert, sizeof *f->experts);
    if (!f->layer || !f->experts)
        return SL_ERR_NOMEM;
    for (uint32_t l = 0; l < c->n_layer; l++)
        f->layer[l].expert = f->experts + (size_t)l * c->n_expert;
    int err = sl_device_open(&f->dev, params->device);
    if (!err && params->cpu_takes_over)
        err = check_spare(f->dev);
    err = err ? err : for_each_slab(f, place_slab, &w_beats);
    err = err ? err : open_arenas(f, w_beats);
    err = err ? err : upload_all(f);
    if (!err && f->dense != SL_DENSE_DEVICE)
        err = sl_dense_cpu_open(f);
    return err ? err : sl_moe_open(f);
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
    else if (!strcmp(text, "none"))
        *out = 0;
    else if (sscanf(text, "%6u%c", &n, &end) == 1 && n <= n_expert)
        *out = n;
    else
        return sl_fail(SL_ERR_USAGE, "give all, none, or a number of experts of each layer",
                       "resident %.40s: the model has %u experts in a layer", text, n_expert);
    return 0;
}

int sl_fabric_open_part(struct sl_ops *out, const struct sl_fabric_params *params, unsigned part,
                        unsigned n_part)
{
    struct sl_fabric *f = sl_alloc(1, sizeof *f);
    if (!f)
        return SL_ERR_NOMEM;
    f->config = params->config;
    f->store = params->store;
    f->pool = params->pool;
    f->dense = params->dense;
    f->profile = params->profile;
    f->part = part;
    f->n_part = n_part;
    int err = sl_resident_parse(&f->n_resident, params->resident, f->config->n_expert);
    err = err ? err : fabric_load(f, params);
    if (!err) {
        memcpy(f->name, f->dev->name, sizeof f->name);
        f->jobs.take_over = params->cpu_takes_over ? take_over : NULL;
        f->jobs.user = f;
    }
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
