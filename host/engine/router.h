/* SPDX-License-Identifier: Apache-2.0 */
/* The router in fp32: from the products of its matrices to experts and weights. */
#ifndef SL_ENGINE_ROUTER_H
#define SL_ENGINE_ROUTER_H

#include "engine/ops.h"

/* Attention router: q, k, v[n_expert]; scores_i = sum_j softmax_j(q_i k_j) v_j. n_expert <=
 * SL_MAX_EXPERT. */
void sl_router_attend(const float *q, const float *k, const float *v, uint32_t n_expert,
                      float *scores);

/* The n_expert_used largest scores, best first, the lowest index of equal ones. Weights: softmax
 * over all experts, with config->router_renorm divided by the sum of the chosen. */
void sl_router_choose(const struct sl_config *config, const float *scores, struct sl_route *out);

#endif
