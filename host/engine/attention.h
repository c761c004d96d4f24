/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal attention over the packed cache, without unpacking it: online softmax over blocks of 64
 * absolute positions (docs/numerics.md section 6; Milakov and Gimelshein 2018, arXiv 1805.02867),
 * spans of 1,024 positions each by itself and then merged (as Dao's Flash-Decoding splits them,
 * 2023). A query's result depends on the cache and its position alone.
 *
 * Work is shared out in two ways, of which no bit depends. Many tokens: an item is a few tokens and
 * one KV head, whose query heads meet each block together. Few tokens: an item is a span and one KV
 * head, so that all threads find work in a long context whatever the number of heads.
 */
#ifndef SL_ENGINE_ATTENTION_H
#define SL_ENGINE_ATTENTION_H

#include "engine/kv.h"

struct sl_pool;

enum { SL_ATTENTION_SPAN = 1024 /* absolute positions that are merged as one */ };

struct sl_attention {
    struct sl_pool *pool; /* borrowed */
    uint32_t n_head, n_kv_head, head_dim;
    uint32_t max_rows, split_rows; /* tokens * heads of a group: of an item; that are split */
    float *scratch, *split;        /* owned: of the threads; of the KV heads when split */
    size_t per_thread;             /* floats of scratch */
};

/* Room does not depend on the length of the cache. SL_ERR_NOMEM. */
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
