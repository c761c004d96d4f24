/* SPDX-License-Identifier: Apache-2.0 */
/* ROUTER, and EXPERT jobs that follow a route entry (INDIRECT). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fab.h"

/* How the rows of a router are made. */
enum rows {
    ROWS_RANDOM,
    ROWS_TIED,      /* equal scores everywhere */
    ROWS_SATURATED, /* logits at both ends of s32 */
    ROWS_WORST,     /* the largest sums there are */
    ROWS_ZERO,
    N_ROWS
};

static enum rows rows_of(enum fab_data data, unsigned variant)
{
    static const enum rows worst[] = {ROWS_WORST, ROWS_SATURATED},
                           degenerate[] = {ROWS_TIED, ROWS_ZERO, ROWS_TIED, ROWS_SATURATED};
    switch (data) {
    case FAB_RANDOM: return ROWS_RANDOM;
    case FAB_WORST: return worst[variant % 2];
    default: return degenerate[variant % 4];
    }
}

static void fill_row(struct sl_rng *rng, enum rows rows, struct ref_router *r, uint32_t row)
{
    int16_t *w = r->weight + (size_t)row * r->k;
    for (uint32_t i = 0; i < r->k; i++)
        w[i] = rows == ROWS_ZERO    ? 0
               : rows == ROWS_WORST ? (int16_t)(row % 2 ? -32768 : 32767)
                                    : (int16_t)sl_rng_range(rng, -32768, 32767);
    /* Typical sums are sqrt(k) * 2^28 * 2^10: scores of some units, or of thousands of them. */
    const int e = -38 - ilogb(sqrt(r->k)) + (rows == ROWS_SATURATED ? 16 : 0);
    r->exponent[row] = (int8_t)(e + sl_rng_range(rng, -3, 3));
    if (rows == ROWS_TIED && row % 3) {
        memcpy(w, w - r->k, 2 * (size_t)r->k);
        r->exponent[row] = r->exponent[row - 1];
    }
}

static uint32_t put_rows(struct fab *f, const struct fab_router *s, int mode, enum rows rows)
{
    struct sl_rng *rng = &f->rig->rng;
    struct ref_router r = {0};
    const uint32_t n = mode == SL_MODE_ATTENTION ? 3 * s->n_expert : s->n_expert;
    if (!ref_router_alloc(&r, s->n_expert, n, s->k, s->bias))
        abort();
    for (uint32_t row = 0; row < n; row++)
        fill_row(rng, rows, &r, row);
    for (uint32_t e = 0; e < s->n_expert && s->bias; e++)
        r.bias[e] = rows == ROWS_SATURATED ? (int32_t)sl_rng_next(rng)
                                           : (int32_t)sl_rng_range(rng, -(1 << 23), 1 << 23);
    const struct sl_slab head = ref_router_header(&r);
    const uint32_t w_off = rig_put_router(f->rig, &head, &r);
    ref_router_free(&r);
    return w_off;
}

struct sl_job *fab_add_router(struct fab *f, const struct fab_router *s, int mode,
                              enum fab_data data, unsigned variant)
{
    static const enum gen x[N_FAB_DATA][3] = {{GEN_RANDOM, GEN_RANDOM, GEN_RANDOM},
                                              {GEN_WORST, GEN_WORST, GEN_RANDOM},
                                              {GEN_RANDOM, GEN_SMALL, GEN_ZERO}};
    const enum rows rows = rows_of(data, variant);
    struct sl_job *job = rig_job(f->rig, SL_OP_ROUTER);
    job->format = (uint8_t)mode;
    job->flags = (uint16_t)s->flags;
    job->k = (uint16_t)s->k;
    job->rows = s->n_expert;
    job->top_k = (uint8_t)s->top_k;
    job->n_tokens = (uint16_t)fab_tokens(f, s->n_tokens);
    if (s->flags & (SL_FLAG_RECYCLE | SL_FLAG_NOISE | SL_FLAG_EXPERT_CHOICE)) {
        job->slice_count = (uint16_t)s->capacity;
        job->list_off = s->deviation;
        job->part_stride = (uint32_t)sl_rng_next(&f->rig->rng);
        job->route_off = (uint32_t)sl_rng_range(&f->rig->rng, -70, 4096); /* past 2^32 too */
        job->route_token = (uint16_t)sl_rng_range(&f->rig->rng, 0, 65535);
    }
    rig_place(f->rig, job, (uint32_t)sl_rng_range(&f->rig->rng, 0, 2));
    rig_fill_x(f->rig, job, x[data][variant % 3], job->n_tokens, rows == ROWS_SATURATED ? 30 : 3);
    job->w_off = put_rows(f, s, mode, rows);
    return job;
}

static enum fab_result run_shape(struct fab *f, const struct fab_case *c, const char *shape,
                                 const struct fab_router *s)
{
    static const int flags[] = {0, SL_FLAG_RENORM, SL_FLAG_SCORES,
                                SL_FLAG_RENORM | SL_FLAG_SCORES | SL_FLAG_PORT_COUNTERS};
    struct fab_router r = *s;
    fab_reset(f, c, "router", shape);
    r.flags = flags[sl_rng_range(&f->rig->rng, 0, 3)];
    r.bias = sl_rng_range(&f->rig->rng, 0, 1);
    fab_add_router(f, &r, c->format, c->data, c->shape + c->round);
    return fab_launch(f, true);
}

static const struct fab_router tiny[] = {
    {.n_expert = 8, .k = 64, .top_k = 2, .n_tokens = 1},
    {.n_expert = 16, .k = 64, .top_k = 1, .n_tokens = 1},
    {.n_expert = 32, .k = 128, .top_k = 2, .n_tokens = 2},
    {.n_expert = 64, .k = 64, .top_k = 8, .n_tokens = 1},
};
static enum fab_result run_tiny(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "tiny", &tiny[c->shape]);
}

static const struct fab_router odd[] = {
    {.n_expert = 1, .k = 32, .top_k = 1, .n_tokens = 1},
    {.n_expert = 2, .k = 96, .top_k = 2, .n_tokens = 3},
    {.n_expert = 3, .k = 992, .top_k = 3, .n_tokens = 1},
    {.n_expert = 17, .k = 160, .top_k = 5, .n_tokens = 2},
    {.n_expert = 41, .k = 1056, .top_k = 4, .n_tokens = 1},
    {.n_expert = 65, .k = 32, .top_k = 7, .n_tokens = 2},
    {.n_expert = 7, .k = 2080, .top_k = 6, .n_tokens = 1},
};
static enum fab_result run_odd(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "odd", &odd[c->shape]);
}

static const unsigned batch[] = {2, 3, FAB_T, FAB_T_1, 17, 63, 64};
static enum fab_result run_batch(struct fab *f, const struct fab_case *c)
{
    const struct fab_router s = {.n_expert = 8 + 5 * (c->shape % 3),
                                 .k = 32 + 32 * (c->shape % 2),
                                 .top_k = 1 + c->shape,
                                 .n_tokens = batch[c->shape]};
    return run_shape(f, c, "batch", &s);
}

static const struct fab_router longest[] = {
    {.n_expert = 256, .k = 64, .top_k = 8, .n_tokens = 1},
    {.n_expert = 8, .k = 32768, .top_k = 2, .n_tokens = 1},
    {.n_expert = 100, .k = 96, .top_k = 6, .n_tokens = 5},
};
static enum fab_result run_long(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "long", &longest[c->shape]);
}

/* Room for all, for as many as there are, for less, for one token of each expert. */
static const struct fab_router recycle[] = {
    {.n_expert = 8, .k = 64, .top_k = 2, .n_tokens = 16, .capacity = 4},
    {.n_expert = 16, .k = 64, .top_k = 1, .n_tokens = 64, .capacity = 4},
    {.n_expert = 16, .k = 32, .top_k = 1, .n_tokens = 64, .capacity = 2},
    {.n_expert = 64, .k = 32, .top_k = 8, .n_tokens = 24, .capacity = 5},
    {.n_expert = 8, .k = 32, .top_k = 8, .n_tokens = 5, .capacity = 1},
    {.n_expert = 9, .k = 32, .top_k = 7, .n_tokens = 9, .capacity = 7},
    {.n_expert = 256, .k = 32, .top_k = 8, .n_tokens = 9, .capacity = 1},
    {.n_expert = 1, .k = 32, .top_k = 1, .n_tokens = 3, .capacity = 2},
    {.n_expert = 32, .k = 32, .top_k = 2, .n_tokens = 1, .capacity = 1},
    {.n_expert = 5, .k = 32, .top_k = 2, .n_tokens = 64, .capacity = 65535},
};
static enum fab_result run_recycle(struct fab *f, const struct fab_case *c)
{
    struct fab_router r = recycle[c->shape];
    fab_reset(f, c, "router", "recycle");
    r.flags = SL_FLAG_RECYCLE | (c->shape % 2 ? SL_FLAG_RENORM : SL_FLAG_SCORES);
    r.bias = sl_rng_range(&f->rig->rng, 0, 1);
    fab_add_router(f, &r, c->format, c->data, c->shape + c->round);
    return fab_launch(f, true);
}

/* Cores that have no noise refuse it, as the reference says. */
static const struct fab_router noise[] = {
    {.n_expert = 8, .k = 64, .top_k = 2, .n_tokens = 3, .deviation = 0},
    {.n_expert = 16, .k = 32, .top_k = 1, .n_tokens = 9, .deviation = 1},
    {.n_expert = 32, .k = 64, .top_k = 2, .n_tokens = 4, .deviation = 65536},
    {.n_expert = 256, .k = 32, .top_k = 8, .n_tokens = 2, .deviation = 3 << 15},
    {.n_expert = 5, .k = 32, .top_k = 5, .n_tokens = 64, .deviation = UINT32_MAX},
    {.n_expert = 8, .k = 32, .top_k = 2, .n_tokens = 12, .deviation = 1 << 15, .capacity = 3},
};
static enum fab_result run_noise(struct fab *f, const struct fab_case *c)
{
    struct fab_router r = noise[c->shape];
    fab_reset(f, c, "router", "noise");
    r.flags = SL_FLAG_NOISE | (c->shape % 2 ? SL_FLAG_RENORM : SL_FLAG_SCORES) |
              (r.capacity ? SL_FLAG_RECYCLE : 0);
    r.bias = sl_rng_range(&f->rig->rng, 0, 1);
    fab_add_router(f, &r, c->format, c->data, c->shape + c->round);
    return fab_launch(f, f->rig->ref.kind != SL_CORE_RTL);
}

/* One token for each, some, all; lists that end with a beat, within it, and the longest. */
static const struct fab_router choice[] = {
    {.n_expert = 8, .k = 64, .top_k = 2, .n_tokens = 16, .capacity = 4},
    {.n_expert = 16, .k = 32, .top_k = 1, .n_tokens = 64, .capacity = 1},
    {.n_expert = 16, .k = 64, .top_k = 8, .n_tokens = 9, .capacity = 9},
    {.n_expert = 5, .k = 96, .top_k = 2, .n_tokens = 33, .capacity = 20},
    {.n_expert = 1, .k = 32, .top_k = 1, .n_tokens = 3, .capacity = 2},
    {.n_expert = 32, .k = 32, .top_k = 2, .n_tokens = 1, .capacity = 1},
    {.n_expert = 65, .k = 32, .top_k = 3, .n_tokens = 12, .capacity = 5},
    {.n_expert = 8, .k = 32, .top_k = 2, .n_tokens = 5, .capacity = 6}, /* refused: C > T */
};
static enum fab_result run_choice(struct fab *f, const struct fab_case *c)
{
    struct fab_router r = choice[c->shape];
    fab_reset(f, c, "router", "choice");
    r.flags = SL_FLAG_EXPERT_CHOICE | (c->shape % 2 ? 0 : SL_FLAG_SCORES);
    r.bias = sl_rng_range(&f->rig->rng, 0, 1);
    fab_add_router(f, &r, c->format, c->data, c->shape + c->round);
    /* Cores that cannot refuse it, as the reference says; so does every core with SIGMOID. */
    return fab_launch(f, f->rig->ref.kind != SL_CORE_RTL && r.capacity <= r.n_tokens &&
                             c->format != SL_MODE_SIGMOID);
}

/* The routers of Yuan 2.0-M32 and Hunyuan-Large. */
static const struct fab_router real[] = {
    {.n_expert = 32, .k = 2048, .top_k = 2, .n_tokens = 1},
    {.n_expert = 16, .k = 6400, .top_k = 1, .n_tokens = 1},
};
static enum fab_result run_real(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "real", &real[c->shape]);
}

/* ---- INDIRECT -------------------------------------------------------------------------------- */

enum follow {
    FOLLOW_OK,
    FOLLOW_PARTIAL_SLICE,
    FOLLOW_MISS,
    FOLLOW_BAD_ROUTE, /* the expert is the first that does not exist */
    FOLLOW_NO_CHOICE, /* the entry behind top_k: 0xFFFF */
    FOLLOW_BAD_SLAB,  /* a slot that names no header */
    FOLLOW_OUTSIDE,   /* a slot outside of the arena */
    FOLLOW_THREE,     /* three jobs by three choices, one absent */
    N_FOLLOW
};
enum { N_EXPERT = 11 };

static const uint16_t follow_status[N_FOLLOW] = {
    [FOLLOW_MISS] = SL_STATUS_MISS,           [FOLLOW_BAD_ROUTE] = SL_STATUS_BAD_ROUTE,
    [FOLLOW_NO_CHOICE] = SL_STATUS_BAD_ROUTE, [FOLLOW_BAD_SLAB] = SL_STATUS_BAD_HEADER,
    [FOLLOW_OUTSIDE] = SL_STATUS_BAD_ADDRESS,
};

/* The entry's experts; choice 0 is what `how` says, 1 the same slab, 2 an absent one. */
static void put_route(struct fab *f, struct sl_job *job, enum follow how)
{
    struct core_rig *rig = f->rig;
    static const uint16_t first[N_FOLLOW] = {3, 3, 7, N_EXPERT, 0xFFFF, 5, 6, 3};
    const uint32_t slots[N_EXPERT] = {
        1, 2, 3, job->w_off, job->w_off, job->w_off + 1, 0xFFFFFFFF, SL_SLOT_ABSENT, 4, 5, 6};
    job->route_token = (uint16_t)sl_rng_range(&rig->rng, 0, 3);
    job->route_off = rig_ctl(rig, 4);
    job->slot_off = rig_ctl(rig, 1);
    job->n_expert = N_EXPERT;
    job->route_choice = (uint8_t)sl_rng_range(&rig->rng, 0, SL_MAX_TOPK - 3);
    uint8_t *entry = rig_at(rig, job->route_off + job->route_token) + SL_AT_route_expert0;
    const uint16_t expert[3] = {first[how], 4, 7};
    for (int i = 0; i < 3; i++)
        ref_put16(entry + 2 * (job->route_choice + i), expert[i]);
    for (int e = 0; e < N_EXPERT; e++)
        ref_put32(rig_at(rig, job->slot_off) + 4 * e, slots[e]);
}

static enum fab_result run_indirect(struct fab *f, const struct fab_case *c)
{
    const enum follow how = (enum follow)c->shape;
    const struct fab_expert s = {.k = 96, .d_ff = 96, .n_tokens = 1};
    fab_reset(f, c, "expert", "indirect");
    struct sl_job *job = fab_add_expert(f, &s, c->format, fab_input_of(c));
    put_route(f, job, how);
    job->flags |= SL_FLAG_INDIRECT;
    job->w_off = (uint32_t)sl_rng_next(&f->rig->rng); /* not looked at */
    if (how == FOLLOW_PARTIAL_SLICE)
        fab_add_slice(f, job, 32, 64, SL_FLAG_INDIRECT | SL_FLAG_PARTIAL);
    for (int i = 1; i < 3 && how == FOLLOW_THREE; i++)
        fab_add_slice(f, job, 0, s.d_ff, SL_FLAG_INDIRECT)->route_choice += (uint8_t)i;
    const enum fab_result r = fab_launch(f, false);
    if (r == FAB_OK && rig_record(f->rig, 0).status != follow_status[how]) {
        f->why = "the case has not the status that it was made for";
        return FAB_WRONG;
    }
    return r;
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

const struct fab_set fab_router_sets[] = {
    {"router", "tiny", N_OF(tiny), true, 512, 4096, run_tiny, false},
    {"router", "odd", N_OF(odd), true, 512, 16384, run_odd, false},
    {"router", "batch", N_OF(batch), true, 2048, 1024, run_batch, false},
    {"router", "long", N_OF(longest), true, 2048, 32768, run_long, false},
    {"router", "recycle", N_OF(recycle), true, 2048, 2048, run_recycle, false},
    {"router", "noise", N_OF(noise), true, 2048, 2048, run_noise, false},
    {"router", "choice", N_OF(choice), true, 2048, 2048, run_choice, false},
    {"router", "real", N_OF(real), false, 2048, 16384, run_real, false},
    {"expert", "indirect", N_FOLLOW, false, 512, 2048, run_indirect, false},
    {NULL, NULL, 0, false, 0, 0, NULL, false},
};
