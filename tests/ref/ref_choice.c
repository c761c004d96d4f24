/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_choice.h"

void ref_choice_token(struct ref_choice *c, const struct sl_job *job, unsigned t,
                      const int32_t *score)
{
    int64_t max = INT64_MIN, sum = 0;
    for (unsigned e = 0; e < job->rows; e++)
        max = score[e] > max ? score[e] : max;
    for (unsigned e = 0; e < job->rows; e++)
        sum += ref_exp_neg((uint32_t)(max - score[e]));
    for (unsigned e = 0; e < job->rows; e++)
        c->share[t][e] =
            (uint32_t)ref_div_half((ref_wide)ref_exp_neg((uint32_t)(max - score[e])) << 24, sum);
}

/* Takes the best token that is left, so many times. */
static void take(const struct ref_choice *c, const struct sl_job *job, unsigned e, bool *taken)
{
    for (unsigned i = 0; i < job->slice_count; i++) {
        unsigned best = job->n_tokens;
        for (unsigned t = 0; t < job->n_tokens; t++)
            if (!taken[t] && (best == job->n_tokens || c->share[t][e] > c->share[best][e]))
                best = t;
        taken[best] = true;
    }
}

void ref_choice_put(const struct ref_choice *c, const struct sl_job *job, uint8_t *table,
                    uint8_t *list, uint8_t *weight)
{
    unsigned n = 0;
    for (unsigned e = 0; e < job->rows; e++) {
        bool taken[SL_MAX_TOKENS] = {false};
        const unsigned first = n;
        take(c, job, e, taken);
        for (unsigned t = 0; t < job->n_tokens; t++) {
            if (!taken[t])
                continue;
            ref_put32(list + 4 * (size_t)n, t);
            ref_put32(weight + 4 * (size_t)n, c->share[t][e]);
            n++;
        }
        ref_put16(table + 4 * e, (uint16_t)first);
        ref_put16(table + 4 * e + 2, (uint16_t)(n - first));
    }
}
