/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal attention over the packed cache, without unpacking it: online softmax over blocks of 64
 * absolute positions (docs/numerics.md section 6; Milakov and Gimelshein 2018, arXiv 1805.02867).
 * A query's result depends on the cache and its position alone.
 */
#ifndef SL_ENGINE_ATTENTION_H
#define SL_ENGINE_ATTENTION_H

#include "engine/kv.h"

struct sl_pool;

struct sl_attention {
    struct sl_pool *pool; /* borrowed */
    uint32_t n_head, n_kv_head, head_dim;
    float *scratch; /* [threads][per_thread] */
    size_t per_thread;
};

/* SL_ERR_NOMEM. */
int sl_attention_open(struct sl_attention *out, const struct sl_config *config,
                      struct sl_pool *pool);
void sl_attention_close(struct sl_attention *attention);

struct sl_attention_call {
    const struct sl_kv *kv;
    uint32_t kv_layer, pos; /* of the first query; positions 0 .. its own take part */
    uint32_t n_tok;
    const float *q; /* [n_tok][n_head][head_dim], roped and normed */
    float *out;     /* the same shape */
};
void sl_attention_run(struct sl_attention *attention, const struct sl_attention_call *call);

#endif
