/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/host_memory.h"
#include "base/pool.h"
#include "engine/kv_quant.h"
#include "engine/mathf.h"
#include "engine/simd.h"

uint64_t sl_kv_bytes(const struct sl_config *config, uint32_t n_ctx, enum sl_kv_format format)
{
    return (uint64_t)sl_config_n_kv_layer(config) * config->n_kv_head * n_ctx *
           sl_kv_vec_bytes(format, config->head_dim);
}

/* Pages are taken when they are first written, so asking for too much would end the program much
 * later, at the token that no page is left for. */
static int check_memory(uint64_t bytes, uint32_t n_ctx)
{
    const char *limit_by;
    const uint64_t available = sl_host_memory_available("", &limit_by);
    if (!available || bytes <= available)
        return 0;
    return sl_fail(SL_ERR_NOMEM, "choose a smaller context (-c) or cache type int4",
                   "KV cache: %u tokens take %.2f GB, and %s leaves %.2f GB", n_ctx,
                   1e-9 * (double)bytes, limit_by, 1e-9 * (double)available);
}

/* Readable behind the last record, so that blocks are read in whole (engine/simd.h). */
static uint64_t behind(enum sl_kv_format format, uint32_t head_dim)
{
    return SL_KV_BLOCK * (uint64_t)sl_kv_vec_bytes(format, head_dim) + SL_KV_GROUP;
}

int sl_kv_open(struct sl_kv *out, const struct sl_config *config, uint32_t n_ctx,
               enum sl_kv_format format_k, enum sl_kv_format format_v)
{
    struct sl_kv kv = {.n_kv_layer = sl_config_n_kv_layer(config),
                       .n_head = config->n_kv_head,
                       .head_dim = config->head_dim,
                       .n_ctx = n_ctx,
                       .format_k = format_k,
                       .format_v = format_v};
    bool packed = format_k != SL_KV_F32 || format_v != SL_KV_F32;
    if (packed && (kv.head_dim % 2 || kv.head_dim > SL_KV_MAX_DIM))
        return sl_fail(SL_ERR_UNSUPPORTED, "choose cache type f32",
                       "cache type: heads of %u channels cannot be packed (even, at most %d)",
                       kv.head_dim, SL_KV_MAX_DIM);
    uint64_t bytes_k = sl_kv_bytes(config, n_ctx, format_k);
    uint64_t bytes_v = sl_kv_bytes(config, n_ctx, format_v);
    int err = check_memory(bytes_k + bytes_v, n_ctx);
    if (err)
        return err;
    kv.k = sl_alloc(bytes_k + behind(format_k, kv.head_dim), 1);
    kv.v = sl_alloc(bytes_v + behind(format_v, kv.head_dim), 1);
    if (!kv.k || !kv.v) {
        sl_kv_close(&kv);
        return SL_ERR_NOMEM;
    }
    *out = kv;
    return 0;
}

void sl_kv_close(struct sl_kv *kv)
{
    free(kv->k);
    free(kv->v);
    *kv = (struct sl_kv){0};
}

static bool put_vec(enum sl_kv_format format, uint32_t head_dim, const float *vec, uint8_t *rec)
{
    if (format != SL_KV_F32)
        return sl_kv_pack_vec(format, head_dim, vec, rec);
    memcpy(rec, vec, head_dim * sizeof *vec);
    return sl_all_finite(vec, head_dim);
}

struct store_work {
    struct sl_kv *kv;
    const struct sl_kv_put *put;
    bool bad; /* only ever set, by any thread */
};

/* Item: one token and head. */
static void store_one(void *user, size_t i, unsigned thread)
{
    struct store_work *w = user;
    const struct sl_kv_put *p = w->put;
    const struct sl_kv *kv = w->kv;
    uint32_t head = (uint32_t)(i % kv->n_head), pos = p->pos + (uint32_t)(i / kv->n_head);
    bool ok = true;
    (void)thread;
    if (p->k)
        ok = put_vec(kv->format_k, kv->head_dim, p->k + i * kv->head_dim,
                     sl_kv_k(kv, p->kv_layer, head, pos));
    if (p->v)
        ok = put_vec(kv->format_v, kv->head_dim, p->v + i * kv->head_dim,
                     sl_kv_v(kv, p->kv_layer, head, pos)) &&
             ok;
    if (!ok)
        __atomic_store_n(&w->bad, true, __ATOMIC_RELAXED);
}

int sl_kv_store(struct sl_kv *kv, const struct sl_kv_put *put, struct sl_pool *pool)
{
    struct store_work work = {.kv = kv, .put = put};
    sl_pool_run(pool, store_one, &work, (size_t)put->n_tok * kv->n_head);
    return work.bad ? sl_fail(SL_ERR_RANGE, "the weights may be damaged: compare their checksums",
                              "KV cache: a key or value is not finite")
                    : 0;
}

void sl_kv_store_k(struct sl_kv *kv, const struct sl_kv_put *put, const uint8_t *records)
{
    size_t bytes = sl_kv_vec_bytes(kv->format_k, kv->head_dim);
    for (uint32_t t = 0; t < put->n_tok; t++)
        for (uint32_t h = 0; h < kv->n_head; h++, records += bytes)
            memcpy(sl_kv_k(kv, put->kv_layer, h, put->pos + t), records, bytes);
}

void sl_kv_store_v(struct sl_kv *kv, const struct sl_kv_put *put, const uint8_t *records)
{
    size_t bytes = sl_kv_vec_bytes(kv->format_v, kv->head_dim);
    for (uint32_t t = 0; t < put->n_tok; t++)
        for (uint32_t h = 0; h < kv->n_head; h++, records += bytes)
            memcpy(sl_kv_v(kv, put->kv_layer, h, put->pos + t), records, bytes);
}

int sl_kv_format_parse(enum sl_kv_format *out, const char *name)
{
    static const char *const names[] = {
        [SL_KV_F32] = "f32", [SL_KV_INT8] = "int8", [SL_KV_INT4] = "int4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) {
            *out = (enum sl_kv_format)i;
            return 0;
        }
    return sl_fail(SL_ERR_USAGE, "cache types: f32, int8, int4", "cache type '%s': unknown", name);
}
