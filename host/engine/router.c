/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/router.h"

#include <string.h>

#include "engine/mathf.h"
#include "engine/simd.h"

void sl_router_attend(const float *q, const float *k, const float *v, uint32_t n_expert,
                      float *scores)
{
    const struct sl_simd *simd = sl_simd_best();
    float row[SL_MAX_EXPERT];
    for (uint32_t i = 0; i < n_expert; i++) {
        for (uint32_t j = 0; j < n_expert; j++)
            row[j] = q[i] * k[j];
        simd->exp_sub(row, row, n_expert, simd->max(row, n_expert));
        scores[i] = simd->dot(row, v, n_expert) / simd->sum(row, n_expert);
    }
}

static uint32_t best_unchosen(const float *scores, const bool *chosen, uint32_t n)
{
    uint32_t best = n;
    for (uint32_t e = 0; e < n; e++)
        if (!chosen[e] && (best == n || scores[e] > scores[best]))
            best = e;
    return best;
}

void sl_router_choose(const struct sl_config *config, const float *scores, struct sl_route *out)
{
    float p[SL_MAX_EXPERT], sum = 0;
    bool chosen[SL_MAX_EXPERT] = {false};
    uint32_t n = config->n_expert, k = config->n_expert_used;
    memcpy(p, scores, n * sizeof *p);
    sl_softmax(p, n);
    for (uint32_t i = 0; i < k; i++) {
        uint32_t e = best_unchosen(scores, chosen, n);
        chosen[e] = true;
        out->expert[i] = (uint16_t)e;
        out->weight[i] = p[e];
        sum += p[e];
    }
    float floor = 1.1920929e-7f; /* the reference's guard against a vanishing sum */
    for (uint32_t i = 0; config->router_renorm && i < k; i++)
        out->weight[i] = out->weight[i] / (sum > floor ? sum : floor);
}
