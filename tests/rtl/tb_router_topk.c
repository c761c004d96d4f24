/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of tb_router_topk.sv: logits by kind of data, and the record by docs/numerics.md 5.4. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_recycle.h"
#include "ref/ref_route.h"
#include "svdpi.h"
#include "test_main.h"

enum { MAX_E = SL_MAX_N_EXPERT, MAX_T = SL_MAX_TOKENS, BEAT = SL_BEAT_BYTES };
enum { MAX_BEATS = MAX_T + MAX_E / 16 + MAX_T * SL_MAX_TOPK / 16 + MAX_T * MAX_E / 16 };

enum data { UNITS, WIDE, TIED, SATURATED, EQUAL, CLOSE, HALVES, ZERO };

struct router_bench {
    struct sl_rng rng;
    int32_t logit[MAX_T][3 * MAX_E], bias[MAX_E];
    uint8_t want[MAX_BEATS][BEAT];
    unsigned n_beat, n_wrong;
    struct sl_job job; /* what RECYCLE looks at */
    struct ref_recycle recycle;
    uint8_t written[MAX_BEATS];
};

void *tb_router_open(uint64_t seed);
void tb_router_close(void *handle);
void tb_router_case(void *handle, int mode, int flags, int n_expert, int top_k, int n_tokens,
                    int has_bias, int data);
void tb_router_again(void *handle);
int tb_router_logit(void *handle, int token, int row);
int tb_router_bias(void *handle, int expert);
int tb_router_capacity(void *handle);
int tb_router_seed(void *handle);
int tb_router_position(void *handle);
int tb_router_layer(void *handle);
int tb_router_overflows(void *handle);
void tb_router_wrote(void *handle, int beat, const svBitVecVal *value);
int tb_router_wrong(void *handle);

void *tb_router_open(uint64_t seed)
{
    struct router_bench *b = calloc(1, sizeof *b);
    if (b)
        b->rng.state = seed * 0x9E3779B97F4A7C15u + 1;
    return b;
}

void tb_router_close(void *handle)
{
    free(handle);
}

static int32_t draw(struct sl_rng *rng, enum data data)
{
    static const int32_t extreme[] = {INT32_MIN, INT32_MAX, INT32_MIN + 1, INT32_MAX - 1, 0, 1, -1};
    switch (data) {
    case UNITS: return (int32_t)(sl_rng_normal(rng) * 2 * 65536);
    case WIDE: return (int32_t)((int64_t)sl_rng_next(rng) >> 32 >> sl_rng_range(rng, 0, 20));
    case TIED: return (int32_t)sl_rng_range(rng, -1, 1) * 40000;
    case SATURATED: return extreme[sl_rng_range(rng, 0, 6)];
    case CLOSE: return (int32_t)(0x7FFF0000 - sl_rng_range(rng, 0, 3 * 65536));
    /* Products that lie half way between two values of Q16. */
    case HALVES: return (int32_t)(sl_rng_range(rng, -700, 700) * (1 << sl_rng_range(rng, 7, 8)));
    default: return 0;
    }
}

static void make_logits(struct router_bench *b, unsigned n_tokens, unsigned n_row, enum data data)
{
    for (unsigned t = 0; t < n_tokens; t++) {
        /* One value in all rows: any, the least or the largest there is. */
        const int32_t same = draw(&b->rng, t % 2 ? SATURATED : WIDE);
        for (unsigned r = 0; r < n_row; r++)
            b->logit[t][r] = data == EQUAL ? same : draw(&b->rng, data);
    }
    for (unsigned e = 0; e < MAX_E; e++)
        b->bias[e] = data == SATURATED ? draw(&b->rng, SATURATED)
                     : data == TIED    ? (int32_t)sl_rng_range(&b->rng, 0, 1) << 24
                                       : (int32_t)sl_rng_range(&b->rng, -(1 << 23), 1 << 23);
}

/* Room for most choices, for half of them, for one choice of an expert, for all. */
static void make_recycle(struct router_bench *b, unsigned n_expert, unsigned top_k,
                         unsigned n_tokens)
{
    const unsigned each = (unsigned)ref_ceil_div((uint64_t)n_tokens * top_k, n_expert);
    const unsigned c[] = {each, each, (each + 1) / 2, 1, 65535, 64, 128 + each};
    b->job = (struct sl_job){.rows = n_expert,
                             .top_k = (uint8_t)top_k,
                             .slice_count = (uint16_t)c[sl_rng_range(&b->rng, 0, 6)],
                             .part_stride = (uint32_t)sl_rng_next(&b->rng),
                             .route_off = (uint32_t)(sl_rng_next(&b->rng) % 3 - 1),
                             .route_token = (uint16_t)sl_rng_next(&b->rng)};
    memset(&b->recycle, 0, sizeof b->recycle);
}

/* Lists by their definition: for every expert all tokens and choices, those that are its own. */
static void put_lists(struct router_bench *b, unsigned n_expert, unsigned top_k, unsigned n_tokens)
{
    uint8_t *table = b->want[n_tokens], *list = table + ref_ceil_div(4 * n_expert, BEAT) * BEAT;
    unsigned n = 0;
    for (unsigned e = 0; e < n_expert; e++) {
        const unsigned first = n;
        for (unsigned t = 0; t < n_tokens; t++)
            for (unsigned c = 0; c < top_k; c++) {
                struct sl_route_entry route;
                memcpy(&route, b->want[t], sizeof route);
                if (ref_get16((const uint8_t *)&route + SL_AT_route_expert0 + 2 * c) != e)
                    continue;
                ref_put32(list + 4 * (size_t)n++, t | c << SL_LIST_TOKEN_BITS);
            }
        ref_put16(table + 4 * e, (uint16_t)first);
        ref_put16(table + 4 * e + 2, (uint16_t)(n - first));
    }
}

/* The same case once more: nothing has been written yet. */
void tb_router_again(void *handle)
{
    struct router_bench *b = handle;
    memset(b->written, 0, sizeof b->written);
    b->n_wrong = 0;
}

void tb_router_case(void *handle, int mode, int flags, int n_expert, int top_k, int n_tokens,
                    int has_bias, int data)
{
    struct router_bench *b = handle;
    const unsigned n = (unsigned)n_expert, n_t = (unsigned)n_tokens, k = (unsigned)top_k;
    const unsigned table_beats = (unsigned)ref_ceil_div(4 * n, BEAT);
    const unsigned scores_at = n_t + table_beats + (unsigned)ref_ceil_div(4 * n_t * k, BEAT);
    const bool scores = flags & SL_FLAG_SCORES;
    make_recycle(b, n, k, n_t);
    make_logits(b, n_t, mode == SL_MODE_ATTENTION ? 3 * n : n, (enum data)data);
    memset(b->want, 0, sizeof b->want);
    tb_router_again(b);
    b->n_beat = scores_at + (scores ? n_t * table_beats : 0);
    for (unsigned t = 0; t < n_t; t++) {
        struct ref_decision d = {.mode = (unsigned)mode, .n_expert = n, .top_k = k};
        struct sl_route_entry entry;
        int32_t score[MAX_E];
        d.renorm = flags & SL_FLAG_RENORM;
        d.logit = b->logit[t];
        d.bias = has_bias ? b->bias : NULL;
        ref_decide(&d, &entry, score);
        if (flags & SL_FLAG_RECYCLE)
            ref_recycle(&b->recycle, &b->job, t, &entry);
        memcpy(b->want[t], &entry, sizeof entry);
        for (unsigned e = 0; e < n && scores; e++)
            ref_put32(b->want[scores_at + t * table_beats] + 4 * e, (uint32_t)score[e]);
    }
    put_lists(b, n, k, n_t);
}

int tb_router_logit(void *handle, int token, int row)
{
    return ((struct router_bench *)handle)->logit[token][row];
}

int tb_router_bias(void *handle, int expert)
{
    return ((struct router_bench *)handle)->bias[expert];
}

int tb_router_capacity(void *handle)
{
    return ((struct router_bench *)handle)->job.slice_count;
}

int tb_router_seed(void *handle)
{
    return (int)((struct router_bench *)handle)->job.part_stride;
}

int tb_router_position(void *handle)
{
    return (int)((struct router_bench *)handle)->job.route_off;
}

int tb_router_layer(void *handle)
{
    return ((struct router_bench *)handle)->job.route_token;
}

int tb_router_overflows(void *handle)
{
    return (int)((struct router_bench *)handle)->recycle.overflows;
}

/* The unit wrote a beat, counted from y_off. */
void tb_router_wrote(void *handle, int beat, const svBitVecVal *value)
{
    struct router_bench *b = handle;
    if (beat < 0 || (unsigned)beat >= b->n_beat || b->written[beat]++) {
        printf("beat %d of %u written once too often\n", beat, b->n_beat);
        b->n_wrong++;
        return;
    }
    for (unsigned i = 0; i < BEAT / 4; i++)
        if (ref_get32(b->want[beat] + 4 * i) != value[i]) {
            if (!b->n_wrong++)
                printf("beat %d of %u word %u: %08x, should be %08x\n", beat, b->n_beat, i,
                       value[i], ref_get32(b->want[beat] + 4 * i));
        }
}

/* Wrong words and beats, missing ones included. */
int tb_router_wrong(void *handle)
{
    const struct router_bench *b = handle;
    unsigned missing = 0;
    for (unsigned i = 0; i < b->n_beat; i++)
        missing += !b->written[i];
    if (missing)
        printf("%u beats of %u are missing\n", missing, b->n_beat);
    return (int)(b->n_wrong + missing);
}
