/* SPDX-License-Identifier: Apache-2.0 */
#include "router_topk.h"

#include "expert_choice.h"
#include "noise.h"
#include "primitives.h"
#include "recycle.h"

enum { MAX_E = SL_MAX_N_EXPERT, MAX_ROW = SL_MAX_ROUTER_ROWS, MAX_T = SL_MAX_TOKENS, CHUNK = 64 };

/* |q w| summed over blocks of 32 with exponents up to XE16_MAX (docs/numerics.md section 4). */
SL_STATIC_ASSERT((uint64_t)SL_BLOCK * 32767 * 32768 <=
                     (uint64_t)INT64_MAX / (SL_MAX_K / SL_BLOCK) >> SL_XE16_MAX,
                 "a router row fits 64 bits")

/* The chosen experts of all tokens, best first. */
struct routes {
    uint32_t expert[MAX_T][SL_MAX_TOPK];
    uint32_t weight[MAX_T][SL_MAX_TOPK];
};

/* One token's codes: high bytes to x, low bytes to h, [block][token][32]. */
SL_PORT_FN static bool load_token16(SL_GLOBAL const sl_beat *src, const struct sl_req *r,
                                    uint32_t t, SL_WORK_PARAMS)
{
    uint32_t n_block = r->k / SL_BLOCK, n_exp = sl_beats_of(n_block, 1);
    uint32_t n_beat = sl_router_row_beats(r->k);
    bool bad = false;
    sl_beat b;
    sl_beat_clear(&b);
    SL_LOOP(exps)
    for (uint32_t i = 0; i < n_beat; i++) {
        SL_PIPELINE
        if (i % 64 == 0)
            b = src[i / 64];
        uint8_t e = i < n_block ? (uint8_t)sl_beat_get(&b, i % 64) : 0;
        bad = bad || e > SL_XE16_MAX;
        xe[i * r->n_tokens + t] = e;
    }
    SL_LOOP(codes)
    for (uint32_t i = 0; i < n_beat; i++) {
        SL_PIPELINE
        sl_beat_clear(&b);
        if (i < n_block)
            b = src[n_exp + i];
        for (uint32_t j = 0; j < SL_BLOCK; j++) {
            SL_UNROLL_BODY
            int32_t q = sl_decode_s16((uint32_t)sl_beat_get(&b, 2 * j) & 0xFFFF);
            bad = bad || q == -32768;
            x[(i * r->n_tokens + t) * SL_BLOCK + j] = (int8_t)sl_decode_s8((uint32_t)q >> 8 & 255);
            h[(i * r->n_tokens + t) * SL_BLOCK + j] = (int8_t)sl_decode_s8((uint32_t)q & 255);
        }
    }
    (void)he;
    return bad;
}

SL_PORT_FN static uint32_t load_x(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r,
                                  SL_WORK_PARAMS, int32_t base[MAX_T])
{
    bool bad = false;
    SL_LOOP(tok)
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        uint32_t at = r->x_off + t * r->x_stride;
        sl_beat b = ctl[at];
        base[t] = sl_base_of(&b, &bad);
        bad = load_token16(ctl + at + 1, r, t, SL_WORK_ARGS) || bad;
    }
    return bad ? SL_STATUS_BAD_ACTIVATION : SL_STATUS_OK;
}

SL_PORT_FN void sl_router_load(SL_GLOBAL const sl_beat *w, const struct sl_req *r, uint32_t flags,
                               struct sl_router_tables *tab)
{
    uint32_t n = sl_router_rows(r), at = r->w_off + 1;
    bool has_bias = flags & SL_SLAB_HAS_BIAS;
    sl_beat b;
    sl_beat_clear(&b);
    SL_LOOP(exps)
    for (uint32_t i = 0; i < n; i++) {
        if (i % 64 == 0)
            b = w[at + i / 64];
        tab->exp[i] = (int8_t)sl_decode_s8((uint32_t)sl_beat_get(&b, i % 64) & 255);
    }
    at += sl_beats_of(n, 1);
    SL_LOOP(bias)
    for (uint32_t i = 0; i < r->rows; i++) {
        if (has_bias && i % 16 == 0)
            b = w[at + i / 16];
        tab->bias[i] = has_bias ? (int32_t)(uint32_t)sl_beat_get(&b, 4 * (i % 16)) : 0;
    }
    tab->rows_at = at + (has_bias ? sl_beats_of(r->rows, 4) : 0);
}

static void decode_beat16(const sl_beat *b, int32_t w[SL_BLOCK])
{
    SL_UNROLL
    for (uint32_t i = 0; i < SL_BLOCK; i++) {
        SL_UNROLL_BODY
        w[i] = sl_decode_s16((uint32_t)sl_beat_get(b, 2 * i) & 0xFFFF);
    }
}

static int64_t block_sum(const int32_t w[SL_BLOCK], SL_WORK const int8_t *high,
                         SL_WORK const int8_t *low)
{
    int64_t sum = 0;
    SL_UNROLL
    for (uint32_t i = 0; i < SL_BLOCK; i++) {
        SL_UNROLL_BODY
        sum += (int64_t)w[i] * (high[i] * 256 + (low[i] & 255));
    }
    return sum;
}

/* Adds beats c .. c + n - 1 of a row of each port, every beat held over all tokens. */
static void dot_beats(sl_beat buf[SL_P][CHUNK], uint32_t c, uint32_t n, uint32_t n_port,
                      uint32_t n_tokens, SL_WORK_PARAMS, int64_t sums[SL_P][MAX_T])
{
    int32_t w[SL_P][SL_BLOCK];
    SL_PARTITION(w, 0)
    uint32_t t = 0, j = 0;
    SL_LOOP(step)
    for (uint32_t step = 0; step < n * n_tokens; step++) {
        SL_PIPELINE
        uint32_t at = (c + j) * n_tokens + t;
        for (uint32_t p = 0; p < SL_P; p++) {
            SL_UNROLL_BODY
            if (t == 0 && p < n_port)
                decode_beat16(&buf[p][j], w[p]);
            if (p < n_port)
                sums[p][t] +=
                    block_sum(w[p], x + at * SL_BLOCK, h + at * SL_BLOCK) * ((int64_t)1 << xe[at]);
        }
        t = t + 1 == n_tokens ? 0 : t + 1;
        j += t == 0;
    }
    (void)he;
}

/* Beats first .. first + n - 1 of row `line` of every port that has one. */
SL_PORT_FN static void load_rows(SL_W_PARAMS uint32_t at, uint32_t n, uint32_t n_port,
                                 sl_beat buf[SL_P][CHUNK])
{
#define LOAD_ROW(p)                                                                                \
    if (p < n_port)                                                                                \
        buf[p][i] = w##p[at + i];
    SL_LOOP(beat)
    for (uint32_t i = 0; i < n; i++) {
        SL_PIPELINE
        SL_PORTS(LOAD_ROW)
    }
#undef LOAD_ROW
}

/* Sums of unit row `line`: rows line P .. line P + P - 1, one of each port. */
SL_PORT_FN static void sum_line(SL_W_PARAMS const struct sl_req *r, uint32_t rows_at, uint32_t line,
                                SL_WORK_PARAMS, int64_t sums[SL_P][MAX_T])
{
    uint32_t n_beat = sl_router_row_beats(r->k);
    uint32_t n_port = sl_min_u32(sl_router_rows(r) - line * SL_P, SL_P);
    for (uint32_t p = 0; p < SL_P; p++)
        for (uint32_t t = 0; t < r->n_tokens; t++)
            sums[p][t] = 0;
    SL_LOOP(chunk)
    for (uint32_t c = 0; c < n_beat; c += CHUNK) {
        SL_DATAFLOW
        sl_beat buf[SL_P][CHUNK];
        uint32_t n = sl_min_u32(n_beat - c, CHUNK);
        load_rows(SL_W_ARGS rows_at + line * n_beat + c, n, n_port, buf);
        dot_beats(buf, c, n, n_port, r->n_tokens, SL_WORK_ARGS, sums);
    }
}

/* logits: [token][row of the slab], s32 Q16. */
SL_PORT_FN static void load_logits(SL_W_PARAMS const struct sl_req *r,
                                   const struct sl_router_tables *tab, const int32_t base[MAX_T],
                                   SL_WORK_PARAMS, int32_t logits[MAX_T][MAX_ROW])
{
    int64_t sums[SL_P][MAX_T];
    uint32_t n = sl_router_rows(r), n_sat = 0;
    SL_LOOP(line)
    for (uint32_t line = 0; line < sl_ceil_div(n, SL_P); line++) {
        sum_line(SL_W_ARGS r, tab->rows_at, line, SL_WORK_ARGS, sums);
        for (uint32_t p = 0; p < SL_P && line * SL_P + p < n; p++)
            for (uint32_t t = 0; t < r->n_tokens; t++) {
                uint32_t row = line * SL_P + p;
                logits[t][row] = sl_scale_s32(sums[p][t], 1, tab->exp[row] + base[t] + 16, &n_sat);
            }
    }
}

/* Weighted mean of v with softmax weights of q_i k_j, i fixed. */
static int32_t attend(int32_t q, const int32_t *k, const int32_t *v, uint32_t n)
{
    int64_t max = INT64_MIN, num = 0;
    uint64_t den = 0;
    for (uint32_t j = 0; j < n; j++) {
        SL_PIPELINE
        int64_t p = (int64_t)q * k[j];
        max = p > max ? p : max;
    }
    for (uint32_t j = 0; j < n; j++) {
        SL_PIPELINE
        int64_t d = sl_rne(max - (int64_t)q * k[j], 16);
        uint32_t a = (sl_exp_neg(d > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)d) + 64) >> 7;
        num += (int64_t)a * v[j];
        den += a;
    }
    return (int32_t)sl_div_half_signed(num, den);
}

static uint64_t sigmoid_q24(int32_t l)
{
    const uint64_t one = (uint64_t)1 << 30;
    uint64_t e = sl_exp_neg((uint32_t)sl_abs_u64(l));
    return sl_div_half(l >= 0 ? one << 24 : e << 24, one + e);
}

/* The scores that experts are reported by, and the keys they are chosen by. */
static void score(const struct sl_req *r, uint32_t t, const int32_t bias[MAX_E],
                  int32_t logits[MAX_ROW], int32_t scores[MAX_E], int32_t keys[MAX_E])
{
    uint32_t n = r->rows;
    SL_LOOP(expert)
    for (uint32_t i = 0; i < n; i++) {
        int32_t s = logits[i];
        if (r->format == SL_MODE_ATTENTION)
            s = attend(s, logits + n, logits + 2 * n, n);
        if (r->flags & SL_FLAG_NOISE)
            s = sl_noise_add(r, t, i, s);
        scores[i] = s;
        keys[i] = s;
        if (r->format == SL_MODE_SIGMOID)
            keys[i] = sl_sat32((int64_t)sigmoid_q24(s) + bias[i]);
    }
}

/* Indices of the k largest keys, best first, ties to the lower index. */
static void select_topk(const int32_t keys[MAX_E], uint32_t n, uint32_t k,
                        uint32_t best[SL_MAX_TOPK])
{
    int32_t top[SL_MAX_TOPK];
    SL_LOOP(expert)
    for (uint32_t i = 0; i < n; i++) {
        SL_PIPELINE
        int32_t key = keys[i];
        uint32_t index = i, have = sl_min_u32(i, k);
        bool shift = false; /* below the place of insertion everything moves down */
        for (uint32_t j = 0; j < k; j++) {
            SL_UNROLL_BODY
            if (j < have && !shift && key <= top[j])
                continue;
            int32_t old_key = j < have ? top[j] : 0;
            uint32_t old_index = j < have ? best[j] : 0;
            if (j <= have) {
                top[j] = key;
                best[j] = index;
            }
            shift = true;
            key = old_key;
            index = old_index;
        }
    }
}

/* Numerators of the weights over all experts (chosen == 0) or the chosen ones. */
static uint64_t sum_weights(const struct sl_req *r, const int32_t scores[MAX_E], int32_t max,
                            const uint32_t best[SL_MAX_TOPK], bool chosen)
{
    uint64_t sum = 0;
    uint32_t n = chosen ? r->top_k : r->rows;
    for (uint32_t i = 0; i < n; i++) {
        SL_PIPELINE
        int32_t s = scores[chosen ? best[i] : i];
        sum += r->format == SL_MODE_SIGMOID ? sigmoid_q24(s)
                                            : sl_exp_neg((uint32_t)((int64_t)max - s));
    }
    return sum;
}

static void weigh(const struct sl_req *r, const int32_t scores[MAX_E],
                  const uint32_t best[SL_MAX_TOPK], uint32_t weight[SL_MAX_TOPK])
{
    bool sigmoid = r->format == SL_MODE_SIGMOID, renorm = r->flags & SL_FLAG_RENORM;
    int32_t max = scores[best[0]];
    uint64_t sum = sigmoid && !renorm ? 1 : sum_weights(r, scores, max, best, renorm);
    SL_LOOP(choice)
    for (uint32_t i = 0; i < r->top_k; i++) {
        int32_t s = scores[best[i]];
        uint64_t p = sigmoid ? sigmoid_q24(s) : sl_exp_neg((uint32_t)((int64_t)max - s));
        if (!sigmoid || renorm)
            p = sum ? sl_div_half(p << 24, sum) : 0;
        weight[i] = (uint32_t)p;
    }
}

SL_PORT_FN static void write_route(SL_GLOBAL sl_beat *ctl, const struct sl_req *r,
                                   const struct routes *routes, uint32_t t)
{
    sl_beat b;
    uint32_t n = r->flags & SL_FLAG_EXPERT_CHOICE ? 0 : r->top_k;
    sl_beat_clear(&b);
    for (uint32_t i = 0; i < SL_MAX_TOPK; i++) {
        bool used = i < n;
        sl_beat_put(&b, SL_AT_route_expert0 + 2 * i, used ? routes->expert[t][i] : 0xFFFF);
        sl_beat_put(&b, SL_AT_route_weight0 + 4 * i, used ? routes->weight[t][i] : 0);
    }
    ctl[r->y_off + t] = b;
}

SL_PORT_FN static void write_words(SL_GLOBAL sl_beat *out, const uint32_t *words, uint32_t n)
{
    SL_LOOP(beat)
    for (uint32_t i = 0; i < n; i += 16) {
        sl_beat b;
        sl_beat_clear(&b);
        for (uint32_t j = 0; j < 16 && i + j < n; j++)
            sl_beat_put(&b, 4 * j, words[i + j]);
        out[i / 16] = b;
    }
}

SL_PORT_FN static void write_scores(SL_GLOBAL sl_beat *out, const int32_t scores[MAX_E], uint32_t n)
{
    uint32_t words[MAX_E];
    for (uint32_t i = 0; i < n; i++)
        words[i] = (uint32_t)scores[i];
    write_words(out, words, n);
}

/* Token lists by expert: a counting sort of the choices. */
SL_PORT_FN static void write_lists(SL_GLOBAL sl_beat *out, const struct sl_req *r,
                                   const struct routes *routes)
{
    uint32_t table[MAX_E], next[MAX_E], list[MAX_T * SL_MAX_TOPK];
    uint32_t n = (uint32_t)r->n_tokens * r->top_k, start = 0;
    for (uint32_t e = 0; e < r->rows; e++)
        table[e] = 0;
    for (uint32_t i = 0; i < n; i++)
        table[routes->expert[i / r->top_k][i % r->top_k]]++;
    for (uint32_t e = 0; e < r->rows; e++) {
        uint32_t count = table[e];
        next[e] = start;
        table[e] = start | count << 16;
        start += count;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t t = i / r->top_k, choice = i % r->top_k;
        list[next[routes->expert[t][choice]]++] = t | choice << SL_LIST_TOKEN_BITS;
    }
    write_words(out, table, r->rows);
    write_words(out + sl_beats_of(r->rows, 4), list, n);
}

SL_PORT_FN uint32_t sl_router_choose(SL_GLOBAL sl_beat *ctl, const struct sl_req *r,
                                     const int32_t bias[SL_MAX_N_EXPERT],
                                     int32_t logits[SL_MAX_TOKENS][SL_MAX_ROUTER_ROWS])
{
    struct routes routes;
    struct sl_recycler recycler;
    int32_t scores[MAX_E], keys[MAX_E];
    uint32_t table_beats = sl_beats_of(r->rows, 4);
    uint32_t lists_at = r->y_off + r->n_tokens;
    uint32_t scores_at = lists_at + table_beats + sl_list_beats(r);
    bool choice = r->flags & SL_FLAG_EXPERT_CHOICE;
    sl_recycle_begin(&recycler);
    SL_LOOP(tok)
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        score(r, t, bias, logits[t], scores, keys);
        if (choice) {
            sl_choice_share(r->rows, scores, logits[t]); /* logits are done with */
        } else {
            select_topk(keys, r->rows, r->top_k, routes.expert[t]);
            weigh(r, scores, routes.expert[t], routes.weight[t]);
        }
        if (r->flags & SL_FLAG_RECYCLE)
            sl_recycle_token(&recycler, r, t, routes.expert[t]);
        write_route(ctl, r, &routes, t);
        if (r->flags & SL_FLAG_SCORES)
            write_scores(ctl + scores_at + t * table_beats, scores, r->rows);
    }
    if (choice)
        sl_choice_write(ctl + lists_at, r, logits);
    else
        write_lists(ctl + lists_at, r, &routes);
    return recycler.overflows;
}

SL_PORT_FN uint32_t sl_router_topk(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                                   const struct sl_head *head, SL_WORK_PARAMS,
                                   struct sl_report *rep)
{
    struct sl_router_tables tab;
    int32_t base[MAX_T], logits[MAX_T][MAX_ROW];
    if (load_x(ctl, r, SL_WORK_ARGS, base) != SL_STATUS_OK)
        return SL_STATUS_BAD_ACTIVATION;
    sl_router_load(w0, r, head->flags, &tab);
    load_logits(SL_W_ARGS r, &tab, base, SL_WORK_ARGS, logits);
    rep->overflows = sl_router_choose(ctl, r, tab.bias, logits);
    return SL_STATUS_OK;
}
