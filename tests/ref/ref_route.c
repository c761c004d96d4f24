/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER: docs/numerics.md 5.4. */
#include "ref/ref_route.h"

#include <stdlib.h>
#include <string.h>

#include "ref/ref_choice.h"
#include "ref/ref_core.h"
#include "ref/ref_recycle.h"

enum { Q24 = 1 << 24, Q30 = 1 << 30 };

/* Indices of the top_k largest, best first, the lower index first among equals. */
static void choose(const int32_t *score, unsigned n, unsigned top_k, unsigned chosen[SL_MAX_TOPK])
{
    bool taken[SL_MAX_N_EXPERT] = {false};
    for (unsigned c = 0; c < top_k; c++) {
        unsigned best = n;
        for (unsigned i = 0; i < n; i++)
            if (!taken[i] && (best == n || score[i] > score[best]))
                best = i;
        taken[best] = true;
        chosen[c] = best;
    }
}

static void softmax_weights(const struct ref_decision *d, const int32_t *score,
                            const unsigned *chosen, uint32_t *weight)
{
    uint32_t p[SL_MAX_N_EXPERT];
    int64_t sum = 0;
    for (unsigned i = 0; d->top_k && i < d->n_expert; i++) { /* chosen[0] has the maximum */
        p[i] = ref_exp_neg((uint32_t)((int64_t)score[chosen[0]] - score[i]));
        sum += d->renorm ? 0 : p[i];
    }
    for (unsigned c = 0; c < d->top_k; c++)
        sum += d->renorm ? p[chosen[c]] : 0;
    for (unsigned c = 0; c < d->top_k; c++)
        weight[c] = (uint32_t)ref_div_half((ref_wide)p[chosen[c]] * Q24, sum);
}

static int32_t sigmoid_q24(int32_t l)
{
    int64_t e = ref_exp_neg((uint32_t)(l < 0 ? -(int64_t)l : l));
    return (int32_t)ref_div_half((l < 0 ? e : Q30) * (ref_wide)Q24, Q30 + e);
}

static void decide_sigmoid(const struct ref_decision *d, const int32_t *score, unsigned *chosen,
                           uint32_t *weight)
{
    int32_t sigma[SL_MAX_N_EXPERT], rank[SL_MAX_N_EXPERT];
    int64_t sum = 0;
    for (unsigned i = 0; i < d->n_expert; i++) {
        sigma[i] = sigmoid_q24(score[i]);
        rank[i] = ref_sat32((int64_t)sigma[i] + (d->bias ? d->bias[i] : 0));
    }
    choose(rank, d->n_expert, d->top_k, chosen);
    for (unsigned c = 0; c < d->top_k; c++)
        sum += sigma[chosen[c]];
    for (unsigned c = 0; c < d->top_k; c++) {
        int32_t s = sigma[chosen[c]];
        if (!d->renorm)
            weight[c] = (uint32_t)s;
        else
            weight[c] = sum == 0 ? 0 : (uint32_t)ref_div_half((ref_wide)s * Q24, sum);
    }
}

static int32_t attend(const struct ref_decision *d, unsigned i)
{
    const int32_t *q = d->logit, *k = q + d->n_expert, *v = k + d->n_expert;
    int64_t max = INT64_MIN, denominator = 0;
    ref_wide numerator = 0;
    for (unsigned j = 0; j < d->n_expert; j++) {
        int64_t product = (int64_t)q[i] * k[j];
        max = product > max ? product : max;
    }
    for (unsigned j = 0; j < d->n_expert; j++) {
        ref_wide diff = ref_round((ref_wide)max - (int64_t)q[i] * k[j], 16);
        uint32_t a = ref_exp_neg(diff > UINT32_MAX ? UINT32_MAX : (uint32_t)diff);
        a = (uint32_t)(((uint64_t)a + 64) >> 7);
        denominator += a;
        numerator += (ref_wide)a * v[j];
    }
    return (int32_t)ref_div_half(numerator, denominator);
}

void ref_decide(const struct ref_decision *d, struct sl_route_entry *entry, int32_t *score)
{
    unsigned chosen[SL_MAX_TOPK];
    uint32_t weight[SL_MAX_TOPK];
    for (unsigned i = 0; i < d->n_expert; i++)
        score[i] = d->mode == SL_MODE_ATTENTION ? attend(d, i) : d->logit[i];
    for (unsigned i = 0; i < d->n_expert && d->noise; i++)
        score[i] = ref_noisy(d->noise, d->token, i, score[i]);
    if (d->mode == SL_MODE_SIGMOID) {
        decide_sigmoid(d, score, chosen, weight);
    } else {
        choose(score, d->n_expert, d->top_k, chosen);
        softmax_weights(d, score, chosen, weight);
    }
    memset(entry, 0, sizeof *entry);
    uint8_t *p = (uint8_t *)entry;
    for (unsigned c = 0; c < SL_MAX_TOPK; c++) {
        ref_put16(p + SL_AT_route_expert0 + 2 * c, c < d->top_k ? (uint16_t)chosen[c] : 0xFFFF);
        ref_put32(p + SL_AT_route_weight0 + 4 * c, c < d->top_k ? weight[c] : 0);
    }
}

static int32_t logit_of(const struct ref_run *run, const uint8_t *item, const uint8_t *row,
                        int row_exponent)
{
    const uint32_t k = run->job.k;
    const uint8_t *xe = item + 64, *x = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    ref_wide acc = 0;
    for (uint32_t b = 0; b < k / SL_BLOCK; b++) {
        int64_t sum = 0;
        for (uint32_t c = b * SL_BLOCK; c < (b + 1) * SL_BLOCK; c++)
            sum += (int64_t)(int16_t)ref_get16(row + 2 * c) * (int16_t)ref_get16(x + 2 * c);
        acc += (ref_wide)sum * (1 << xe[b]);
    }
    if (acc != (int64_t)acc)
        abort(); /* section 4 says that this cannot be */
    return ref_scale_s32((int64_t)acc, 1, row_exponent + (int32_t)ref_get32(item) + 16, NULL);
}

/* Counting sort of (token, choice) by expert. */
static void put_lists(const struct ref_run *run, uint8_t *start, uint8_t *list)
{
    const struct sl_job *job = &run->job;
    unsigned n = 0;
    for (unsigned e = 0; e < job->rows; e++) {
        unsigned first = n;
        for (unsigned t = 0; t < job->n_tokens; t++)
            for (unsigned c = 0; c < job->top_k; c++)
                if (ref_get16(ref_ctl(run->core, (uint64_t)job->y_off + t) + SL_AT_route_expert0 +
                              2 * c) == e)
                    ref_put32(list + 4 * (size_t)n++, t | c << SL_LIST_TOKEN_BITS);
        ref_put16(start + 4 * e, (uint16_t)first);
        ref_put16(start + 4 * e + 2, (uint16_t)(n - first));
    }
}

/* The tables in front of the rows. */
static void read_tables(const struct ref_run *run, uint32_t rows, int8_t *exponent, int32_t *bias)
{
    const uint8_t *p = run->core->weights.w[0] + ((uint64_t)run->w_off + 1) * SL_BEAT_BYTES;
    memcpy(exponent, p, rows);
    p += ref_ceil_div(rows, 64) * SL_BEAT_BYTES;
    for (uint32_t e = 0; e < run->job.rows && run->head.flags & SL_SLAB_HAS_BIAS; e++)
        bias[e] = (int32_t)ref_get32(p + 4 * e);
}

/* Where experts choose, no place of a token's entry is used. */
static struct ref_decision decision_of(const struct sl_job *job, const int32_t *logit,
                                       const int32_t *bias, unsigned t)
{
    const unsigned top_k = job->flags & SL_FLAG_EXPERT_CHOICE ? 0 : job->top_k;
    const struct sl_job *noise = job->flags & SL_FLAG_NOISE ? job : NULL;
    return (struct ref_decision){job->format, job->rows, top_k, job->flags & SL_FLAG_RENORM,
                                 logit,       bias,      noise, t};
}

void ref_run_router(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    const uint32_t rows = run->head.rows;
    const bool scores = job->flags & SL_FLAG_SCORES, has_bias = run->head.flags & SL_SLAB_HAS_BIAS;
    int8_t exponent[3 * SL_MAX_N_EXPERT];
    int32_t bias[SL_MAX_N_EXPERT], logit[3 * SL_MAX_N_EXPERT], score[SL_MAX_N_EXPERT];
    const uint64_t table_beats = ref_ceil_div(4 * (uint64_t)job->rows, 64);
    const bool experts_choose = job->flags & SL_FLAG_EXPERT_CHOICE;
    struct ref_recycle recycle = {0};
    struct ref_choice choice;
    struct ref_region region;
    ref_router_region(job->k, rows, has_bias ? table_beats : 0, run->core->weights.n_port, &region);
    read_tables(run, rows, exponent, bias);
    uint8_t *y = ref_ctl(run->core, job->y_off), *start = y + job->n_tokens * SL_BEAT_BYTES;
    uint8_t *list = start + table_beats * SL_BEAT_BYTES;
    uint8_t *s = list + ref_list_beats(job) * SL_BEAT_BYTES;
    memset(y, 0, ref_y_beats(job) * SL_BEAT_BYTES);
    for (unsigned t = 0; t < job->n_tokens; t++) {
        const uint8_t *item = ref_ctl(run->core, ref_token_at(run, t));
        for (uint32_t r = 0; r < rows; r++)
            logit[r] = logit_of(run, item, ref_unit(&run->core->weights, run->w_off, &region, r),
                                exponent[r]);
        struct ref_decision d = decision_of(job, logit, has_bias ? bias : NULL, t);
        struct sl_route_entry entry;
        ref_decide(&d, &entry, score);
        if (job->flags & SL_FLAG_RECYCLE)
            ref_recycle(&recycle, job, t, &entry);
        if (experts_choose)
            ref_choice_token(&choice, job, t, score);
        memcpy(y + t * SL_BEAT_BYTES, &entry, sizeof entry);
        for (unsigned e = 0; e < job->rows && scores; e++)
            ref_put32(s + t * table_beats * SL_BEAT_BYTES + 4 * (size_t)e, (uint32_t)score[e]);
    }
    if (experts_choose)
        ref_choice_put(&choice, job, start, list, list + ref_list_beats(job) / 2 * SL_BEAT_BYTES);
    else
        put_lists(run, start, list);
    for (uint32_t r = 0; r < rows; r++)
        run->port_beats[r % run->core->weights.n_port] += (uint32_t)region.unit_beats;
    run->rec.beats = rows * (uint32_t)region.unit_beats;
    run->rec.macs = (uint64_t)job->n_tokens * rows * job->k;
    run->rec.overflows = recycle.overflows;
}
