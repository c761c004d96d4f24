/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER, and experts that follow its record, on every device against the independent reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core_rig.h"
#include "ref/ref_route.h"

enum { CTL_BEATS = 40000, W_BEATS = 40000 };

/* How the rows of a router are made. */
enum rows {
    ROWS_RANDOM,
    ROWS_TIED,      /* every other row repeats the one before: equal scores everywhere */
    ROWS_SATURATED, /* logits at both ends of s32 */
    ROWS_WORST,     /* the largest sums there are */
    ROWS_ZERO
};

struct router_case {
    int mode;
    uint32_t n_expert, k;
    unsigned top_k, n_tokens;
    int flags;
    bool bias;
    enum rows rows;
    enum gen x;
    int base_max;
};

static void fill_row(struct core_rig *rig, const struct router_case *c, struct ref_router *r,
                     uint32_t row)
{
    int16_t *w = r->weight + (size_t)row * r->k;
    for (uint32_t i = 0; i < r->k; i++)
        w[i] = c->rows == ROWS_ZERO    ? 0
               : c->rows == ROWS_WORST ? (int16_t)(row % 2 ? -32768 : 32767)
                                       : (int16_t)sl_rng_range(&rig->rng, -32768, 32767);
    /* Typical sums are sqrt(k) * 2^28 * 2^10: scores of some units, or of thousands of them. */
    int e = -38 - ilogb(sqrt(r->k)) + (c->rows == ROWS_SATURATED ? 16 : 0);
    r->exponent[row] = (int8_t)(e + sl_rng_range(&rig->rng, -3, 3));
}

static bool make_router(struct core_rig *rig, const struct router_case *c, struct ref_router *r)
{
    const uint32_t rows = c->mode == SL_MODE_ATTENTION ? 3 * c->n_expert : c->n_expert;
    memset(r, 0, sizeof *r);
    if (!ref_router_alloc(r, c->n_expert, rows, c->k, c->bias))
        return false;
    for (uint32_t row = 0; row < rows; row++) {
        fill_row(rig, c, r, row);
        if (c->rows == ROWS_TIED && row % 3) {
            memcpy(r->weight + (size_t)row * c->k, r->weight + (size_t)(row - 1) * c->k, 2 * c->k);
            r->exponent[row] = r->exponent[row - 1];
        }
    }
    for (uint32_t e = 0; e < c->n_expert && c->bias; e++)
        r->bias[e] = c->rows == ROWS_SATURATED
                         ? (int32_t)sl_rng_next(&rig->rng)
                         : (int32_t)sl_rng_range(&rig->rng, -(1 << 23), 1 << 23);
    return true;
}

static struct sl_job *add_router(struct core_rig *rig, const struct router_case *c,
                                 struct ref_router *r)
{
    struct sl_slab head = ref_router_header(r);
    struct sl_job *job = rig_job(rig, SL_OP_ROUTER);
    job->format = (uint8_t)c->mode;
    job->flags = (uint16_t)c->flags;
    job->k = (uint16_t)c->k;
    job->rows = c->n_expert;
    job->top_k = (uint8_t)c->top_k;
    job->n_tokens = (uint16_t)c->n_tokens;
    rig_place(rig, job, (uint32_t)rig->seed % 2);
    rig_fill_x(rig, job, c->x, c->n_tokens, c->base_max);
    job->w_off = rig_put_router(rig, &head, r);
    return job;
}

static bool run_case(struct core_rig *rig, const struct router_case *c, uint64_t seed)
{
    struct ref_router r;
    rig_reset(rig, seed, "router mode %d experts %u k %u top %u tokens %u flags %d bias %d rows %d",
              c->mode, c->n_expert, c->k, c->top_k, c->n_tokens, c->flags, c->bias, c->rows);
    bool ok = make_router(rig, c, &r);
    if (ok) {
        add_router(rig, c, &r);
        ok = rig_run(rig) && rig_record(rig, 0).status == SL_STATUS_OK;
    }
    ref_router_free(&r);
    return ok;
}

static void every_mode_and_shape(void)
{
    static const uint32_t experts[] = {1, 2, 16, 32, 64, 100, 256},
                          ks[] = {32, 64, 96, 992, 1024, 1056, 2080};
    static const unsigned tokens[] = {1, 2, 3, 7, 16, 63, 64};
    const uint64_t seed = sl_rng_open("every_mode_and_shape", 21).state;
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        unsigned n = 0;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, CTL_BEATS, W_BEATS * 4), 0);
        for (int e = 0; e < 7; e++)
            for (unsigned top_k = 1; top_k <= SL_MAX_TOPK && top_k <= experts[e]; top_k++)
                for (int mode = 0; mode < 3; mode++, n++) {
                    struct router_case c = {.mode = mode, .n_expert = experts[e], .top_k = top_k};
                    c.k = ks[(n + n / 7) % (experts[e] > 64 ? 3 : 7)];
                    c.n_tokens = tokens[n % 7];
                    if (mode == SL_MODE_ATTENTION && experts[e] > 64)
                        c.n_tokens = 1 + n % 3;
                    c.flags = (n & 1 ? SL_FLAG_RENORM : 0) | (n & 2 ? SL_FLAG_SCORES : 0) |
                              (n % 5 == 0 ? SL_FLAG_PORT_COUNTERS : 0);
                    c.bias = n & 4;
                    c.base_max = 2;
                    CU_ASSERT_TRUE(run_case(&rig, &c, seed + n));
                }
        rig_close(&rig);
    }
}

static void ties_saturation_and_extremes(void)
{
    static const struct {
        enum rows rows;
        enum gen x;
    } data[] = {{ROWS_TIED, GEN_RANDOM},    {ROWS_SATURATED, GEN_RANDOM}, {ROWS_WORST, GEN_WORST},
                {ROWS_ZERO, GEN_RANDOM},    {ROWS_RANDOM, GEN_ZERO},      {ROWS_RANDOM, GEN_SMALL},
                {ROWS_SATURATED, GEN_WORST}};
    const uint64_t seed = sl_rng_open("ties_saturation_and_extremes", 22).state;
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, CTL_BEATS, W_BEATS), 0);
        for (unsigned n = 0; n < 7 * 3 * 4; n++) {
            struct router_case c = {
                .mode = (int)(n % 3), .n_expert = n % 2 ? 16 : 41, .k = 160, .top_k = 1 + n % 8};
            c.n_tokens = 3;
            c.rows = data[n % 7].rows;
            c.x = data[n % 7].x;
            c.bias = n & 8;
            c.flags = SL_FLAG_SCORES | (n & 4 ? SL_FLAG_RENORM : 0);
            c.base_max = c.rows == ROWS_SATURATED ? 30 : 3;
            CU_ASSERT_TRUE(run_case(&rig, &c, seed + n));
        }
        /* The largest matrix row and the largest bases. */
        struct router_case c = {.n_expert = 8,
                                .k = 32768,
                                .top_k = 2,
                                .n_tokens = 1,
                                .rows = ROWS_WORST,
                                .x = GEN_WORST};
        CU_ASSERT_TRUE(run_case(&rig, &c, seed));
        c = (struct router_case){.n_expert = 16, .k = 6400, .top_k = 3, .n_tokens = 5};
        CU_ASSERT_TRUE(run_case(&rig, &c, seed));
        c = (struct router_case){
            .n_expert = 8, .k = 64, .top_k = 2, .n_tokens = 9, .base_max = SL_BASE_MAX};
        CU_ASSERT_TRUE(run_case(&rig, &c, seed));
        rig_close(&rig);
    }
}

/* Column 0 alone carries the logits: two experts share the best one, all others share 0. */
static void equal_scores_go_to_the_lowest_index(void)
{
    const struct router_case c = {.mode = SL_MODE_SOFTMAX,
                                  .n_expert = 100,
                                  .k = 32,
                                  .top_k = 8,
                                  .n_tokens = 2,
                                  .rows = ROWS_ZERO};
    struct core_rig rig;
    struct ref_router r;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim:4", CTL_BEATS, W_BEATS), 0);
    rig_reset(&rig, 2200, "router of equal rows");
    CU_ASSERT_TRUE_FATAL(make_router(&rig, &c, &r));
    r.weight[50 * 32] = r.weight[70 * 32] = 1000; /* two winners, then 0, 1, 2, ... */
    r.exponent[70] = r.exponent[50];
    struct sl_job *job = add_router(&rig, &c, &r);
    for (unsigned t = 0; t < 2; t++) {
        uint8_t *x = rig_at(&rig, job->x_off + t * job->x_stride);
        ref_put32(x, 0);
        x[64] = 15;
        ref_put16(x + 128, 32767);
    }
    CU_ASSERT_TRUE(rig_run(&rig));
    static const unsigned want[] = {50, 70, 0, 1, 2, 3, 4, 5};
    for (unsigned i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(ref_get16(rig.got + (size_t)job->y_off * 64 + 2 * i), want[i]);
    ref_router_free(&r);
    rig_close(&rig);
}

/* ---- decode in one launch -------------------------------------------------------------------- */

enum { CHAIN_E = 16, CHAIN_TOP = 4, CHAIN_K = 96, CHAIN_FF = 64 };

/* The experts of the chain and their slot table; returns the w_off of the last, the shared one. */
static uint32_t put_experts(struct core_rig *rig, int format, unsigned absent, uint32_t x_off,
                            uint32_t slots)
{
    uint32_t w_off = 0;
    for (unsigned e = 0; e <= CHAIN_E; e++) {
        struct sl_slab shape = ref_expert_header(format, CHAIN_K, CHAIN_FF);
        struct gen_expert ex;
        CU_ASSERT_TRUE_FATAL(gen_expert(&rig->rng, GEN_RANDOM, &shape, &ex));
        gen_expert_tune(&rig->rng, &ex, rig_at(rig, x_off));
        w_off = rig_put_expert(rig, &ex);
        if (e < CHAIN_E)
            ref_put32(rig_at(rig, slots) + 4 * e, e == absent ? SL_SLOT_ABSENT : w_off);
        gen_expert_free(&ex);
    }
    return w_off;
}

/* The expert that token 1 chose as number i, as the shared one's job but for what differs. */
static void add_indirect(struct core_rig *rig, unsigned i, uint32_t slots)
{
    struct sl_job *job = rig_job(rig, SL_OP_EXPERT);
    uint32_t cookie = job->cookie;
    *job = rig->job[1];
    job->cookie = cookie;
    job->flags = SL_FLAG_INDIRECT;
    job->w_off = 0xFFFFFFFF; /* not looked at */
    job->y_off = rig_ctl(rig, ref_y_beats(job));
    job->route_off = rig->job[0].y_off;
    job->route_token = 1;
    job->route_choice = (uint8_t)i;
    job->slot_off = slots;
    job->n_expert = CHAIN_E;
    if (i == 2) /* a slice of one of them */
        job->slice_first = job->slice_count = CHAIN_FF / 2;
}

/* Router, shared expert, and the chosen experts by its record, of which `absent` is missing. */
static void run_chain(struct core_rig *rig, int format, unsigned absent)
{
    const struct router_case c = {.n_expert = CHAIN_E,
                                  .k = CHAIN_K,
                                  .top_k = CHAIN_TOP,
                                  .n_tokens = 2,
                                  .flags = SL_FLAG_RENORM,
                                  .base_max = 1};
    struct ref_router r;
    CU_ASSERT_TRUE_FATAL(make_router(rig, &c, &r));
    add_router(rig, &c, &r);
    struct sl_job *shared = rig_job(rig, SL_OP_EXPERT);
    shared->format = (uint8_t)format;
    shared->k = CHAIN_K;
    shared->rows = shared->slice_count = CHAIN_FF;
    rig_place(rig, shared, 0);
    rig_fill_x(rig, shared, GEN_TYPICAL, 1, 5);
    const uint32_t slots = rig_ctl(rig, 1);
    shared->w_off = put_experts(rig, format, absent, shared->x_off, slots);
    for (unsigned i = 0; i < CHAIN_TOP; i++)
        add_indirect(rig, i, slots);
    CU_ASSERT_TRUE(rig_run(rig));
    ref_router_free(&r);
}

static void decode_is_one_launch(void)
{
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        unsigned n_miss = 0;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, 4096, W_BEATS), 0);
        for (unsigned absent = 0; absent < CHAIN_E; absent++) {
            rig_reset(&rig, 2300 + absent, "decode chain without expert %u", absent);
            run_chain(&rig, (int)(absent % 5), absent);
            for (unsigned i = 0; i < CHAIN_TOP; i++) {
                struct sl_record rec = rig_record(&rig, 2 + i);
                const uint8_t *route = rig_at(&rig, rig.job[0].y_off + 1);
                CU_ASSERT_EQUAL(rec.expert, ref_get16(route + 2 * i));
                CU_ASSERT_EQUAL(rec.weight, ref_get32(route + 16 + 4 * i));
                CU_ASSERT_EQUAL(rec.status, rec.expert == absent ? SL_STATUS_MISS : SL_STATUS_OK);
                n_miss += rec.status == SL_STATUS_MISS;
            }
        }
        CU_ASSERT(n_miss > 0 && n_miss < CHAIN_E * CHAIN_TOP);
        rig_close(&rig);
    }
}

/* ---- against mathematics --------------------------------------------------------------------- */

/* Scores in binary64 from logits in binary64. */
static void exact_scores(int mode, unsigned n, const double *l, double *s)
{
    for (unsigned i = 0; i < n; i++) {
        double max = -INFINITY, sum = 0, y = 0;
        for (unsigned j = 0; j < n && mode == SL_MODE_ATTENTION; j++)
            max = fmax(max, l[i] * l[n + j]);
        for (unsigned j = 0; j < n && mode == SL_MODE_ATTENTION; j++) {
            double a = exp(l[i] * l[n + j] - max);
            sum += a;
            y += a * l[2 * n + j];
        }
        s[i] = mode == SL_MODE_ATTENTION ? y / sum : l[i];
    }
}

static double exact_weight(const struct router_case *c, const double *s, const uint16_t *chosen,
                           unsigned i)
{
    const bool sigmoid = c->mode == SL_MODE_SIGMOID, renorm = c->flags & SL_FLAG_RENORM;
    double sum = 0, value[SL_MAX_N_EXPERT];
    for (unsigned e = 0; e < c->n_expert; e++) {
        value[e] = sigmoid ? 1 / (1 + exp(-s[e])) : exp(s[e] - s[chosen[0]]);
        sum += !renorm && !sigmoid ? value[e] : 0;
    }
    for (unsigned t = 0; t < c->top_k && renorm; t++)
        sum += value[chosen[t]];
    return value[chosen[i]] / (sigmoid && !renorm ? 1 : sum);
}

/* Choice and weights by the exact scores, up to the error of a score. */
static void check_choice(const struct router_case *c, const struct ref_router *r, const double *s,
                         const uint8_t *entry)
{
    double rank[SL_MAX_N_EXPERT], worst = INFINITY;
    uint16_t chosen[SL_MAX_TOPK];
    bool taken[SL_MAX_N_EXPERT] = {false};
    for (unsigned e = 0; e < c->n_expert; e++)
        rank[e] = c->mode == SL_MODE_SIGMOID
                      ? 1 / (1 + exp(-s[e])) + (r->bias ? ldexp(r->bias[e], -24) : 0)
                      : s[e];
    for (unsigned i = 0; i < c->top_k; i++) {
        chosen[i] = ref_get16(entry + 2 * i);
        taken[chosen[i]] = true;
        worst = fmin(worst, rank[chosen[i]]);
    }
    for (unsigned e = 0; e < c->n_expert; e++)
        CU_ASSERT(taken[e] || rank[e] <= worst + 1e-3);
    for (unsigned i = 0; i < c->top_k; i++)
        CU_ASSERT(fabs(ldexp(ref_get32(entry + 16 + 4 * i), -24) - exact_weight(c, s, chosen, i)) <
                  1e-4);
}

static void near_softmax_and_sigmoid_in_binary64(void)
{
    enum { K = 352 };
    static double x[K], l[3 * SL_MAX_N_EXPERT], s[SL_MAX_N_EXPERT];
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", CTL_BEATS, W_BEATS), 0);
    for (unsigned n = 0; n < 24; n++) {
        struct router_case c = {.mode = (int)(n % 3),
                                .n_expert = n % 2 ? 16 : 64,
                                .k = K,
                                .top_k = 1 + n % 8,
                                .n_tokens = 1,
                                .flags = n & 4 ? SL_FLAG_RENORM : 0,
                                .bias = n & 8};
        struct ref_router r;
        rig_reset(&rig, 2400 + n, "router against binary64, mode %d", c.mode);
        CU_ASSERT_TRUE_FATAL(make_router(&rig, &c, &r));
        for (uint32_t row = 0; row < r.rows; row++) /* logits of about one unit */
            r.exponent[row] = (int8_t)(-14 - ilogb(sqrt(K)));
        struct sl_job *job = add_router(&rig, &c, &r);
        for (uint32_t i = 0; i < K; i++)
            x[i] = sl_rng_normal(&rig.rng);
        gen_quantise16(x, K, rig_at(&rig, job->x_off));
        CU_ASSERT_TRUE(rig_run(&rig));
        for (uint32_t row = 0; row < r.rows; row++) {
            l[row] = 0;
            for (uint32_t i = 0; i < K; i++)
                l[row] += ldexp(r.weight[(size_t)row * K + i], r.exponent[row]) * x[i];
        }
        exact_scores(c.mode, c.n_expert, l, s);
        check_choice(&c, &r, s, rig_at(&rig, job->y_off));
        ref_router_free(&r);
    }
    rig_close(&rig);
}

static const struct sl_case cases[] = {
    {"router_is_near_softmax_and_sigmoid_in_binary64", near_softmax_and_sigmoid_in_binary64},
    {"router_gives_equal_scores_to_the_lowest_index", equal_scores_go_to_the_lowest_index},
    {"router_equals_the_reference_in_every_mode_and_shape", every_mode_and_shape},
    {"router_equals_the_reference_on_ties_saturation_and_extremes", ties_saturation_and_extremes},
    {"router_and_its_experts_run_in_one_launch", decode_is_one_launch},
    {NULL, NULL},
};

const struct sl_suite suite_core_router = {"core_router", cases};
