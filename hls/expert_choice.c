/* SPDX-License-Identifier: Apache-2.0 */
#include "expert_choice.h"

#include "primitives.h"

enum { WORDS = SL_BEAT_BYTES / 4 };

void sl_choice_share(uint32_t n, const int32_t scores[SL_MAX_N_EXPERT], int32_t *shares)
{
    int32_t max = scores[0];
    uint64_t sum = 0;
    for (uint32_t i = 1; i < n; i++) {
        SL_PIPELINE
        max = scores[i] > max ? scores[i] : max;
    }
    for (uint32_t i = 0; i < n; i++) {
        SL_PIPELINE
        sum += sl_exp_neg((uint32_t)((int64_t)max - scores[i]));
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t p = sl_exp_neg((uint32_t)((int64_t)max - scores[i]));
        shares[i] = (int32_t)sl_div_half(p << 24, sum);
    }
}

/* Experts take equally many: their lists lie evenly. */
SL_PORT_FN static void write_table(SL_GLOBAL sl_beat *out, const struct sl_req *r)
{
    sl_beat b;
    sl_beat_clear(&b);
    SL_LOOP(expert)
    for (uint32_t e = 0; e < r->rows; e++) {
        uint32_t at = e % WORDS;
        sl_beat_put(&b, 4 * at, e * r->slice_count | (uint32_t)r->slice_count << 16);
        if (at == WORDS - 1 || e + 1 == r->rows) {
            out[e / WORDS] = b;
            sl_beat_clear(&b);
        }
    }
}

/* Lists and weights so far. */
struct pairs {
    sl_beat token, weight; /* the beats that are being filled */
    uint32_t n, n_all;
};

SL_PORT_FN static void put_pair(SL_GLOBAL sl_beat *out, struct pairs *p, uint32_t t,
                                uint32_t weight)
{
    uint32_t at = p->n % WORDS, beat = p->n / WORDS;
    sl_beat_put(&p->token, 4 * at, t);
    sl_beat_put(&p->weight, 4 * at, weight);
    p->n++;
    if (at < WORDS - 1 && p->n < p->n_all)
        return;
    out[beat] = p->token;
    out[sl_beats_of(p->n_all, 4) + beat] = p->weight;
    sl_beat_clear(&p->token);
    sl_beat_clear(&p->weight);
}

/* Tokens that an expert prefers to t: of a larger share, or of the same and earlier. */
static uint32_t count_ahead(const int32_t share[SL_MAX_TOKENS], uint32_t n, uint32_t t)
{
    uint32_t ahead = 0;
    SL_UNROLL
    for (uint32_t o = 0; o < SL_MAX_TOKENS; o++) {
        SL_UNROLL_BODY
        ahead += o < n && (share[o] > share[t] || (share[o] == share[t] && o < t));
    }
    return ahead;
}

SL_PORT_FN void sl_choice_write(SL_GLOBAL sl_beat *out, const struct sl_req *r,
                                int32_t shares[SL_MAX_TOKENS][3 * SL_MAX_N_EXPERT])
{
    struct pairs p;
    int32_t share[SL_MAX_TOKENS];
    SL_PARTITION(share, 0)
    sl_beat_clear(&p.token);
    sl_beat_clear(&p.weight);
    p.n = 0;
    p.n_all = r->rows * r->slice_count;
    write_table(out, r);
    for (uint32_t t = 0; t < SL_MAX_TOKENS; t++)
        share[t] = 0;
    SL_LOOP(expert)
    for (uint32_t e = 0; e < r->rows; e++) {
        for (uint32_t t = 0; t < r->n_tokens; t++)
            share[t] = shares[t][e];
        SL_LOOP(tok)
        for (uint32_t t = 0; t < r->n_tokens; t++)
            if (count_ahead(share, r->n_tokens, t) < r->slice_count)
                put_pair(out + sl_beats_of(r->rows, 4), &p, t, (uint32_t)share[t]);
    }
}
