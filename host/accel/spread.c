/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a model on several devices: each has its part of the layers, in turn, and the
 * last one the LM head. A token visits them one after the other; no bit depends on it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/fabric_state.h"
#include "base/err.h"

struct spread {
    unsigned n;
    struct sl_ops part[SL_OPS_MAX_DEVICE];
    char name[SL_DEVICE_NAME];
};

static const struct sl_ops *part_of(const struct spread *s, uint32_t layer)
{
    return &s->part[layer % s->n];
}

/* All calls are of one layer, or the LM head's. */
static int spread_linear(void *ctx, const struct sl_linear_call *calls, size_t n_call,
                         const float *x, size_t n_tok)
{
    const struct spread *s = ctx;
    const struct sl_ops *ops =
        calls->matrix == SL_MATRIX_LM_HEAD ? &s->part[s->n - 1] : part_of(s, calls->layer);
    return ops->linear(ops->ctx, calls, n_call, x, n_tok);
}

static int spread_moe(void *ctx, uint32_t layer, const float *x, size_t n_tok, float *y,
                      struct sl_route *route)
{
    const struct sl_ops *ops = part_of(ctx, layer);
    return ops->moe(ops->ctx, layer, x, n_tok, y, route);
}

static int spread_kv_pack(void *ctx, enum sl_kv_format format, uint32_t head_dim, const float *vec,
                          size_t n_vec, uint8_t *out)
{
    const struct sl_ops *ops = part_of(ctx, 0);
    return ops->kv_pack(ops->ctx, format, head_dim, vec, n_vec, out);
}

static void spread_get_stats(const void *ctx, struct sl_ops_stats *out)
{
    const struct spread *s = ctx;
    *out = (struct sl_ops_stats){0};
    for (unsigned i = 0; i < s->n; i++) {
        struct sl_ops_stats one;
        s->part[i].get_stats(s->part[i].ctx, &one);
        out->n_launch += one.n_launch;
        out->n_retry += one.n_retry;
        out->n_linear += one.n_linear;
        out->n_linear_cpu += one.n_linear_cpu;
        out->n_moe += one.n_moe;
        out->n_router += one.n_router;
        out->n_kv_pack += one.n_kv_pack;
        out->n_expert_cpu += one.n_expert_cpu;
        out->device[out->n_device++] = one.device[0];
    }
}

static void spread_close(void *ctx)
{
    struct spread *s = ctx;
    for (unsigned i = 0; i < s->n; i++)
        s->part[i].close(s->part[i].ctx);
    free(s);
}

static unsigned count_names(const char *list)
{
    char name[SL_DEVICE_NAME];
    unsigned n = 0;
    while (list) {
        list = sl_device_next(list, name);
        n++;
    }
    return n;
}

static int open_parts(struct spread *s, const struct sl_fabric_params *params, unsigned n)
{
    struct sl_fabric_params one = *params;
    char name[SL_DEVICE_NAME];
    one.device = name;
    for (const char *rest = params->device; rest;) {
        rest = sl_device_next(rest, name);
        int err = sl_fabric_open_part(&s->part[s->n], &one, s->n, n);
        if (err)
            return err;
        s->n++;
    }
    return 0;
}

int sl_fabric_open(struct sl_ops *out, const struct sl_fabric_params *params)
{
    const unsigned n = params->device ? count_names(params->device) : 1;
    if (n == 1)
        return sl_fabric_open_part(out, params, 0, 1);
    if (n > SL_OPS_MAX_DEVICE || n > params->config->n_layer)
        return sl_fail(SL_ERR_USAGE, "name fewer devices",
                       "%u devices: at most %d, and a layer for each", n, SL_OPS_MAX_DEVICE);
    struct spread *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    snprintf(s->name, sizeof s->name, "%s", params->device);
    int err = open_parts(s, params, n);
    if (err) {
        spread_close(s);
        return err;
    }
    *out = (struct sl_ops){.impl = s->name,
                           .ctx = s,
                           .linear = spread_linear,
                           .moe = spread_moe,
                           .kv_pack = spread_kv_pack,
                           .get_stats = spread_get_stats,
                           .close = spread_close};
    return 0;
}
