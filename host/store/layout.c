/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/tensor_map.h"
#include "store/names.h"
#include "store/slab.h"

_Static_assert(SL_SLAB_ROLE_Q == (int)SL_MATRIX_Q && SL_SLAB_ROLE_LM_HEAD == (int)SL_MATRIX_LM_HEAD,
               "roles follow enum sl_matrix");

static uint32_t pad32(uint32_t n)
{
    return (n + SL_BLOCK - 1) / SL_BLOCK * SL_BLOCK;
}

/* Kind, format and shape of a slab. */
static struct sl_slab_item make_item(const struct sl_layout *l, enum sl_slab_role role,
                                     uint32_t layer, uint32_t expert)
{
    const struct sl_config *c = &l->config;
    struct sl_slab_item i = {.role = role,
                             .layer = layer,
                             .expert = expert,
                             .kind = SL_KIND_PLAIN,
                             .format = (uint8_t)l->format_dense,
                             .k = pad32(c->d_model)};
    switch (role) {
    case SL_SLAB_ROLE_Q: i.rows = c->d_attn; break;
    case SL_SLAB_ROLE_K:
    case SL_SLAB_ROLE_V: i.rows = c->n_kv_head * c->head_dim; break;
    case SL_SLAB_ROLE_O:
        i.rows = c->d_model;
        i.k = pad32(c->d_attn);
        break;
    case SL_SLAB_ROLE_LM_HEAD: i.rows = c->n_vocab; break;
    case SL_SLAB_ROLE_ROUTER:
        i.kind = SL_KIND_ROUTER;
        i.format = 0;
        i.rows = c->router == SL_ROUTER_ATTENTION ? 3 * c->n_expert : c->n_expert;
        break;
    case SL_SLAB_ROLE_SHARED:
    case SL_SLAB_ROLE_EXPERT:
        i.kind = SL_KIND_EXPERT;
        i.format = (uint8_t)l->format;
        i.rows = pad32(role == SL_SLAB_ROLE_SHARED ? c->d_ff_shared : c->d_ff);
        break;
    }
    return i;
}

struct sl_slab sl_slab_item_header(const struct sl_slab_item *i)
{
    uint16_t mant = i->format == SL_FORMAT_FP8 ? 32768 : 1;
    return (struct sl_slab){.magic = SL_SLAB_MAGIC,
                            .kind = i->kind,
                            .format = i->format,
                            .k = i->k,
                            .rows = i->rows,
                            .mant0 = mant,
                            .mant1 = mant,
                            .mant2 = mant};
}

static bool slab_exists(const struct sl_config *c, enum sl_slab_role role, uint32_t layer)
{
    if (role == SL_SLAB_ROLE_K || role == SL_SLAB_ROLE_V)
        return sl_config_kv_owner(c, layer) == layer;
    if (role == SL_SLAB_ROLE_ROUTER)
        return c->n_expert > 0;
    return role != SL_SLAB_ROLE_SHARED || c->d_ff_shared > 0;
}

static int add_item(struct sl_layout *l, struct sl_slab_item item, uint64_t *part_bytes)
{
    struct sl_slab header = sl_slab_item_header(&item);
    char name[SL_SLAB_NAME_MAX];
    sl_slab_item_name(&item, name);
    if (sl_slab_check(&header))
        return sl_fail(SL_ERR_UNSUPPORTED, "run it exact", "%s: %u x %u does not fit the core",
                       name, item.rows, item.k);
    item.offset = *part_bytes;
    item.n_beats = sl_slab_beats(&header);
    *part_bytes = item.offset + sl_slab_item_room(&item);
    l->item[l->n_item++] = item;
    return 0;
}

static int add_layer(struct sl_layout *l, uint32_t layer)
{
    static const enum sl_slab_role single[] = {SL_SLAB_ROLE_Q,      SL_SLAB_ROLE_K,
                                               SL_SLAB_ROLE_V,      SL_SLAB_ROLE_O,
                                               SL_SLAB_ROLE_ROUTER, SL_SLAB_ROLE_SHARED};
    l->part_first[layer] = l->n_item;
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++) {
        if (!slab_exists(&l->config, single[i], layer))
            continue;
        int err = add_item(l, make_item(l, single[i], layer, 0), &l->part_bytes[layer]);
        if (err)
            return err;
    }
    for (uint32_t e = 0; e < l->config.n_expert; e++) {
        int err = add_item(l, make_item(l, SL_SLAB_ROLE_EXPERT, layer, e), &l->part_bytes[layer]);
        if (err)
            return err;
    }
    return 0;
}

static int check_config(const struct sl_config *c)
{
    if (c->n_layer == 0 || c->n_layer > SL_MAX_LAYER || (c->n_expert == 0 && !c->d_ff_shared) ||
        c->n_expert > SL_MAX_EXPERT || c->cla_factor == 0)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "%u layers with %u experts cannot be quantised",
                       c->n_layer, c->n_expert);
    if (c->mlp_bias)
        return sl_fail(SL_ERR_UNSUPPORTED, "run it exact", "config.json: the core has no mlp_bias");
    return 0;
}

int sl_layout_open(struct sl_layout *out, const struct sl_config *config, int format,
                   int format_dense)
{
    int err = check_config(config);
    if (err)
        return err;
    struct sl_layout l = {.config = *config,
                          .format = format,
                          .format_dense = format_dense,
                          .n_part = config->n_layer + 1};
    l.item = sl_alloc((size_t)config->n_layer * (config->n_expert + 6) + 1, sizeof *l.item);
    l.part_first = sl_alloc((size_t)l.n_part + 1, sizeof *l.part_first);
    l.part_bytes = sl_alloc(l.n_part, sizeof *l.part_bytes);
    if (!l.item || !l.part_first || !l.part_bytes)
        err = SL_ERR_NOMEM;
    for (uint32_t i = 0; i < config->n_layer && !err; i++)
        err = add_layer(&l, i);
    if (!err) {
        l.part_first[config->n_layer] = l.n_item;
        err =
            add_item(&l, make_item(&l, SL_SLAB_ROLE_LM_HEAD, 0, 0), &l.part_bytes[config->n_layer]);
    }
    if (err) {
        sl_layout_close(&l);
        return err;
    }
    l.part_first[l.n_part] = l.n_item;
    for (uint32_t p = 0; p < l.n_part; p++)
        l.total_bytes += l.part_bytes[p];
    *out = l;
    return 0;
}

void sl_layout_close(struct sl_layout *layout)
{
    free(layout->item);
    free(layout->part_first);
    free(layout->part_bytes);
    *layout = (struct sl_layout){0};
}

const struct sl_slab_item *sl_layout_find(const struct sl_layout *l, enum sl_slab_role role,
                                          uint32_t layer, uint32_t expert)
{
    if (role == SL_SLAB_ROLE_LM_HEAD)
        return &l->item[l->n_item - 1];
    if (layer >= l->config.n_layer)
        return NULL;
    const struct sl_slab_item *first = l->item + l->part_first[layer],
                              *end = l->item + l->part_first[layer + 1];
    if (role == SL_SLAB_ROLE_EXPERT)
        return expert < l->config.n_expert ? end - l->config.n_expert + expert : NULL;
    for (const struct sl_slab_item *i = first; i < end - l->config.n_expert; i++)
        if (i->role == role)
            return i;
    return NULL;
}

void sl_slab_item_name(const struct sl_slab_item *item, char out[SL_SLAB_NAME_MAX])
{
    static const char *const names[] = {"q", "k", "v", "o", "head", "router", "shared", "experts"};
    const char *name = names[item->role];
    if (item->role == SL_SLAB_ROLE_LM_HEAD)
        snprintf(out, SL_SLAB_NAME_MAX, "%s", name);
    else if (item->role == SL_SLAB_ROLE_EXPERT)
        snprintf(out, SL_SLAB_NAME_MAX, "layers.%u.%s.%u", item->layer, name, item->expert);
    else
        snprintf(out, SL_SLAB_NAME_MAX, "layers.%u.%s", item->layer, name);
}

void sl_part_name(const struct sl_layout *layout, uint32_t part, char out[SL_PART_NAME_MAX])
{
    if (part == layout->config.n_layer)
        snprintf(out, SL_PART_NAME_MAX, "head");
    else
        snprintf(out, SL_PART_NAME_MAX, "layer-%04u", part);
}

int sl_slab_item_check(const struct sl_slab_item *item, const struct sl_slab *header)
{
    char name[SL_SLAB_NAME_MAX], why[256];
    const char *hint = "convert the model again";
    sl_slab_item_name(item, name);
    if (sl_slab_check(header)) {
        snprintf(why, sizeof why, "%s", sl_error_message());
        return sl_fail(SL_ERR_FORMAT, hint, "slab %s: %s", name, why);
    }
    if (header->kind != item->kind || header->format != item->format)
        return sl_fail(SL_ERR_FORMAT, hint, "slab %s: kind %u format %u, expected %u and %u", name,
                       header->kind, header->format, item->kind, item->format);
    if (header->k != item->k || header->rows != item->rows || header->flags)
        return sl_fail(SL_ERR_FORMAT, hint, "slab %s: %u x %u, expected %u x %u", name,
                       header->rows, header->k, item->rows, item->k);
    return 0;
}

/* ---- tensors of a slab ---------------------------------------------------------------------- */

/* A slab's rows in the checkpoint; no weight is read. */
struct rows {
    unsigned n;
    struct sl_pack_matrix m[3];   /* plain: 1; expert: gate, up, down; router: 1, or 3 */
    const struct sl_tensor *norm; /* expert: what feeds it */
};

/* Rows of a checkpoint as a matrix padded to rows x k. */
static struct sl_pack_matrix pad(const struct sl_rows *r, uint32_t rows, uint32_t k)
{
    return (struct sl_pack_matrix){.tensor = r->tensor,
                                   .first_row = r->first,
                                   .n_row = r->rows,
                                   .block = r->block,
                                   .stride = r->stride,
                                   .rows = rows,
                                   .k = k};
}

static int map_router(const struct sl_layout *layout, const struct sl_slab_item *item,
                      const struct sl_checkpoint *ckpt, struct rows *out)
{
    struct sl_rows r[3];
    out->n = layout->config.router == SL_ROUTER_ATTENTION ? 3 : 1;
    int err = sl_map_router(r, ckpt, &layout->config, item->layer);
    for (unsigned i = 0; i < out->n && !err; i++)
        out->m[i] = pad(&r[i], item->rows / out->n, item->k);
    return err;
}

static int map_expert(const struct sl_layout *layout, const struct sl_slab_item *item,
                      const struct sl_checkpoint *ckpt, struct rows *out)
{
    const struct sl_config *c = &layout->config;
    bool shared = item->role == SL_SLAB_ROLE_SHARED;
    struct sl_mlp_rows r;
    struct sl_tensor_id norm = {SL_ROLE_FFN_NORM, item->layer, 0};
    int err = sl_map_mlp(&r, ckpt, c, item->layer, shared ? SL_SHARED_EXPERT : (int)item->expert);
    err = err ? err : sl_tensor_need(&out->norm, ckpt, c, norm);
    if (err)
        return err;
    out->n = 3;
    out->m[0] = pad(&r.gate, item->rows, item->k);
    out->m[1] = pad(&r.up, item->rows, item->k);
    out->m[2] = pad(&r.down, item->k, item->rows);
    return 0;
}

static int map_rows(const struct sl_layout *layout, const struct sl_slab_item *item,
                    const struct sl_checkpoint *ckpt, struct rows *out)
{
    struct sl_rows r;
    *out = (struct rows){.n = 1};
    if (item->kind == SL_KIND_EXPERT)
        return map_expert(layout, item, ckpt, out);
    if (item->kind == SL_KIND_ROUTER)
        return map_router(layout, item, ckpt, out);
    int err = sl_map_matrix(&r, ckpt, &layout->config, (enum sl_matrix)item->role, item->layer);
    if (!err)
        out->m[0] = pad(&r, item->rows, item->k);
    return err;
}

int sl_layout_check(const struct sl_layout *layout, const struct sl_checkpoint *ckpt)
{
    struct rows rows;
    int err = 0;
    for (size_t i = 0; i < layout->n_item && !err; i++)
        err = map_rows(layout, &layout->item[i], ckpt, &rows);
    return err;
}

int sl_layout_matrix(const struct sl_layout *layout, const struct sl_slab_item *item,
                     const struct sl_checkpoint *ckpt, struct sl_pack_matrix *out)
{
    struct rows rows;
    int err = map_rows(layout, item, ckpt, &rows);
    if (!err)
        *out = rows.m[0];
    return err;
}

int sl_layout_plan(const struct sl_layout *layout, const struct sl_slab_item *item,
                   const struct sl_checkpoint *ckpt, struct sl_pack_run *run,
                   struct sl_pack_plan *out)
{
    struct rows r;
    int err = map_rows(layout, item, ckpt, &r);
    if (err)
        return err;
    const struct sl_pack_expert e = {r.m[0], r.m[1], r.m[2], r.norm};
    switch (item->kind) {
    case SL_KIND_EXPERT: return sl_pack_plan_expert(out, &e, item->format, run);
    case SL_KIND_ROUTER: return sl_pack_plan_router(out, r.m, r.n, run);
    default: return sl_pack_plan_plain(out, &r.m[0], item->format, run);
    }
}
