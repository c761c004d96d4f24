/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KV cache of one sequence: one stored K and V for each group of layers that share them (CLA).
 * All of it is allocated at open; pages that are never written cost nothing.
 */
#ifndef SL_ENGINE_KV_H
#define SL_ENGINE_KV_H

#include "engine/ops.h"

struct sl_pool;

struct sl_kv {
    uint32_t n_kv_layer, n_head, head_dim, n_ctx; /* n_head: KV heads */
    enum sl_kv_format format_k, format_v;
    uint8_t *k, *v; /* [n_kv_layer][n_head][n_ctx] records of sl_kv_vec_bytes() */
};

/* Bytes of the keys, or of the values, of n_ctx tokens over all layers: what sl_kv_open allocates
 * for each. */
uint64_t sl_kv_bytes(const struct sl_config *config, uint32_t n_ctx, enum sl_kv_format format);

/* SL_ERR_NOMEM, also when the whole cache would not fit into what is available now;
 * SL_ERR_UNSUPPORTED for a head size that cannot be packed. */
int sl_kv_open(struct sl_kv *out, const struct sl_config *config, uint32_t n_ctx,
               enum sl_kv_format format_k, enum sl_kv_format format_v);
void sl_kv_close(struct sl_kv *kv);

/* Record of position pos; those of later positions follow. */
static inline uint8_t *sl_kv_k(const struct sl_kv *kv, uint32_t kv_layer, uint32_t head,
                               uint32_t pos)
{
    size_t row = ((size_t)kv_layer * kv->n_head + head) * kv->n_ctx + pos;
    return kv->k + row * sl_kv_vec_bytes(kv->format_k, kv->head_dim);
}

static inline uint8_t *sl_kv_v(const struct sl_kv *kv, uint32_t kv_layer, uint32_t head,
                               uint32_t pos)
{
    size_t row = ((size_t)kv_layer * kv->n_head + head) * kv->n_ctx + pos;
    return kv->v + row * sl_kv_vec_bytes(kv->format_v, kv->head_dim);
}

/* k and v[n_tok][n_head][head_dim] of positions pos .. pos + n_tok, packed on the CPU.
 * SL_ERR_RANGE when a value is not finite. */
struct sl_kv_put {
    uint32_t kv_layer, pos, n_tok;
    const float *k, *v;
};
int sl_kv_store(struct sl_kv *kv, const struct sl_kv_put *put, struct sl_pool *pool);
/* The same from records that were packed elsewhere: k or v dense, [n_tok][n_head]. */
void sl_kv_store_k(struct sl_kv *kv, const struct sl_kv_put *put, const uint8_t *records);
void sl_kv_store_v(struct sl_kv *kv, const struct sl_kv_put *put, const uint8_t *records);

/* "f32" "int8" "int4"; SL_ERR_USAGE with the list. */
int sl_kv_format_parse(enum sl_kv_format *out, const char *name);

#endif
