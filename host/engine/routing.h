/* SPDX-License-Identifier: Apache-2.0 */
/* Which experts a token gets, where that is not the model's own top-k. */
#ifndef SL_ENGINE_ROUTING_H
#define SL_ENGINE_ROUTING_H

#include "engine/ops.h"

enum sl_routing_kind {
    SL_ROUTING_TOP_K,    /* as the model was made: a token's experts depend on nothing else */
    SL_ROUTING_CAPACITY, /* an expert takes so many tokens of a chunk (docs/numerics.md 5.4,
                            RECYCLE) */
    SL_ROUTING_NOISY,    /* scores get noise, weights are softmax over the chosen (NOISE) */
    SL_ROUTING_EXPERTS   /* each expert chooses its tokens of a chunk (EXPERT_CHOICE) */
};
/* Tokens of a chunk where they depend on each other: what one router job takes, so that the chunks
 * are the same whatever computes them. */
enum { SL_ROUTING_MAX_CHUNK = 64 };

struct sl_routing {
    enum sl_routing_kind kind;
    uint32_t factor; /* capacity factor or standard deviation in thousandths, at least 1 */
    uint32_t seed;
};

/* "capacity:C[,seed=N]", "noisy[:D][,seed=N]" or "expert-choice:C", C and D (1) from 0.001 to 1000
 * with three decimals, N (0) below 2^32; NULL: top-k. SL_ERR_USAGE. */
int sl_routing_parse(struct sl_routing *out, const char *text);

/* Tokens that are routed together at most; 0: any number, it makes no difference. */
uint32_t sl_routing_max_chunk(const struct sl_routing *routing);

/* Tokens that an expert takes of a chunk of n_tok: ceil(C k n_tok / E), at most 65535. */
uint32_t sl_routing_capacity(const struct sl_routing *routing, const struct sl_config *config,
                             uint32_t n_tok);

/* The standard deviation of the noise, Q16. */
uint32_t sl_routing_deviation(const struct sl_routing *routing);

/* Tokens pos .. pos + n_tok - 1 of a layer. */
struct sl_routing_chunk {
    const struct sl_routing *routing;
    const struct sl_config *config;
    uint32_t layer, pos, n_tok;
};
/* From the experts that the router chose to those that the tokens get; weights stay. */
void sl_routing_recycle(const struct sl_routing_chunk *chunk, struct sl_route *route);
/* EXPERTS: the tokens that an expert takes, in ascending order: the capacity's largest of share[t *
 * stride], its softmax share in token t, the earlier of equal ones. Returns how many. token[n_tok]
 */
size_t sl_routing_choose_tokens(const struct sl_routing_chunk *chunk, const float *share,
                                size_t stride, uint32_t *token);
/* Adds token t's noise to its scores[n_expert]. */
void sl_routing_add_noise(const struct sl_routing_chunk *chunk, uint32_t t, float *scores);

#endif
