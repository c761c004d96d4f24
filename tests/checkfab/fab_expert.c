/* SPDX-License-Identifier: Apache-2.0 */
/* EXPERT: shapes, slices and their sums, batches, lists, windows of g, u and h. */
#include <stdlib.h>
#include <string.h>

#include "fab.h"

/* Everything of an EXPERT job but slab and place. */
static struct sl_job *new_job(struct fab *f, const struct fab_expert *s, int format)
{
    struct sl_job *job = rig_job(f->rig, SL_OP_EXPERT);
    job->format = (uint8_t)format;
    job->flags = (uint16_t)s->flags;
    job->k = (uint16_t)s->k;
    job->rows = s->d_ff;
    job->n_tokens = (uint16_t)fab_tokens(f, s->n_tokens);
    job->slice_first = (uint16_t)s->first;
    job->slice_count = (uint16_t)(s->count ? s->count : s->d_ff);
    return job;
}

/* Tuned to the job's first token unless a window says otherwise. */
static void put_slab(struct fab *f, struct sl_job *job, struct gen_expert *ex)
{
    gen_expert_tune(&f->rig->rng, ex, rig_at(f->rig, job->x_off));
    job->w_off = rig_put_expert(f->rig, ex);
}

static void make_weights(struct fab *f, const struct sl_job *job, enum gen gen,
                         struct gen_expert *ex)
{
    const struct sl_slab shape = ref_expert_header(job->format, job->k, job->rows);
    if (!gen_expert(&f->rig->rng, gen, &shape, ex))
        abort();
}

struct sl_job *fab_add_expert(struct fab *f, const struct fab_expert *s, int format,
                              struct fab_input in)
{
    struct gen_expert ex;
    struct sl_job *job = new_job(f, s, format);
    rig_place(f->rig, job, (uint32_t)sl_rng_range(&f->rig->rng, 0, 2));
    fab_fill_x(f, job, in);
    make_weights(f, job, in.w, &ex);
    put_slab(f, job, &ex);
    gen_expert_free(&ex);
    if (sl_rng_range(&f->rig->rng, 0, 3) == 0)
        job->flags |= SL_FLAG_PORT_COUNTERS;
    if (sl_rng_range(&f->rig->rng, 0, 7) == 0)
        job->u_h_drop = (uint8_t)sl_rng_range(&f->rig->rng, 0, 16);
    return job;
}

struct sl_job *fab_add_slice(struct fab *f, const struct sl_job *of, uint32_t first, uint32_t count,
                             int flags)
{
    struct sl_job *job = rig_job(f->rig, SL_OP_EXPERT);
    const uint32_t cookie = job->cookie;
    *job = *of;
    job->cookie = cookie;
    job->flags = (uint16_t)flags;
    job->slice_first = (uint16_t)first;
    job->slice_count = (uint16_t)count;
    job->y_stride = (uint16_t)(ref_y_beats(job) + 1);
    job->y_off = rig_ctl(f->rig, (uint64_t)job->n_tokens * job->y_stride);
    return job;
}

void fab_add_list(struct fab *f, struct sl_job *job, uint32_t rows)
{
    struct sl_rng *rng = &f->rig->rng;
    job->flags |= SL_FLAG_LIST;
    job->list_off = rig_ctl(f->rig, ref_ceil_div(4 * (uint64_t)job->n_tokens, 64));
    for (uint32_t i = 0; i < job->n_tokens; i++) {
        const uint32_t row = i % 3 == 0 ? rows - 1 : (uint32_t)sl_rng_range(rng, 0, rows - 1);
        const uint32_t choice = (uint32_t)sl_rng_range(rng, 0, 255);
        ref_put32(rig_at(f->rig, job->list_off) + 4 * (size_t)i,
                  row | choice << SL_LIST_TOKEN_BITS);
    }
    job->y_off = rig_ctl(f->rig, (uint64_t)job->n_tokens * job->y_stride);
}

/* ---- tables of shapes ------------------------------------------------------------------------ */

static enum fab_result run_shape(struct fab *f, const struct fab_case *c, const char *shape,
                                 const struct fab_expert *s)
{
    struct fab_expert e = *s;
    fab_reset(f, c, "expert", shape);
    if (sl_rng_range(&f->rig->rng, 0, 2) == 0)
        e.flags |= SL_FLAG_PARTIAL;
    fab_add_expert(f, &e, c->format, fab_input_of(c));
    return fab_launch(f, true);
}

static const struct fab_expert tiny[] = {
    {.k = 32, .d_ff = 32, .n_tokens = 1},   {.k = 64, .d_ff = 32, .n_tokens = 1},
    {.k = 32, .d_ff = 64, .n_tokens = 1},   {.k = 64, .d_ff = 64, .n_tokens = 2},
    {.k = 128, .d_ff = 64, .n_tokens = 1},  {.k = 64, .d_ff = 192, .n_tokens = 1},
    {.k = 256, .d_ff = 128, .n_tokens = 1}, {.k = 128, .d_ff = 256, .n_tokens = 2},
};
static enum fab_result run_tiny(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "tiny", &tiny[c->shape]);
}

/* K64 padding, scale beats that begin or end with a few groups, units that do not fill the ports.
 */
static const struct fab_expert odd[] = {
    {.k = 96, .d_ff = 96, .n_tokens = 1},   {.k = 160, .d_ff = 32, .n_tokens = 3},
    {.k = 992, .d_ff = 96, .n_tokens = 1},  {.k = 1024, .d_ff = 32, .n_tokens = 1},
    {.k = 1056, .d_ff = 64, .n_tokens = 2}, {.k = 2048, .d_ff = 32, .n_tokens = 1},
    {.k = 2080, .d_ff = 64, .n_tokens = 1}, {.k = 96, .d_ff = 1056, .n_tokens = 1},
    {.k = 32, .d_ff = 2080, .n_tokens = 2}, {.k = 544, .d_ff = 288, .n_tokens = 1},
};
static enum fab_result run_odd(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "odd", &odd[c->shape]);
}

static const struct fab_expert slices[] = {
    {.k = 96, .d_ff = 160, .n_tokens = 1, .first = 0, .count = 32},
    {.k = 96, .d_ff = 160, .n_tokens = 2, .first = 32, .count = 96},
    {.k = 96, .d_ff = 160, .n_tokens = 1, .first = 128, .count = 32},
    {.k = 64, .d_ff = 2112, .n_tokens = 1, .first = 1024, .count = 32},
    {.k = 96, .d_ff = 1120, .n_tokens = 1, .first = 992, .count = 64},
    {.k = 160, .d_ff = 4160, .n_tokens = 1, .first = 2016, .count = 96},
    {.k = 64, .d_ff = 4160, .n_tokens = 2, .first = 2080, .count = 1088},
    {.k = 32, .d_ff = 4096, .n_tokens = 1, .first = 4064, .count = 32},
};
static enum fab_result run_slices(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "slices", &slices[c->shape]);
}

static const unsigned batch[] = {2, 3, FAB_T, FAB_T_1, 17, 63, 64};
static enum fab_result run_batch(struct fab *f, const struct fab_case *c)
{
    static const uint32_t dims[][2] = {{96, 64}, {160, 96}, {224, 32}};
    const uint32_t *d = dims[(c->shape + c->round) % 3];
    const struct fab_expert s = {.k = d[0], .d_ff = d[1], .n_tokens = batch[c->shape]};
    return run_shape(f, c, "batch", &s);
}

/* The longest rows, sums and h of the worst data included. */
static const struct fab_expert longest[] = {
    {.k = 32768, .d_ff = 32, .n_tokens = 1},
    {.k = 32, .d_ff = 32768, .n_tokens = 1},
    {.k = 6400, .d_ff = 96, .n_tokens = 2},
    {.k = 64, .d_ff = 18304, .n_tokens = 1, .first = 9152, .count = 9152},
};
static enum fab_result run_long(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "long", &longest[c->shape]);
}

static const struct fab_expert real[] = {
    {.k = 2048, .d_ff = 8192, .n_tokens = 1},
    {.k = 6400, .d_ff = 18304, .n_tokens = 1},
};
static enum fab_result run_real(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "real", &real[c->shape]);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static const unsigned list_tokens[] = {1, 2, 5, FAB_T_1, 40, 64};
static enum fab_result run_lists(struct fab *f, const struct fab_case *c)
{
    enum { ROWS = 10 };
    const struct fab_expert s = {.k = 96 + 64 * (c->shape % 2), .d_ff = 64, .n_tokens = ROWS};
    fab_reset(f, c, "expert", "lists");
    struct sl_job *job = fab_add_expert(f, &s, c->format, fab_input_of(c));
    job->n_tokens = (uint16_t)fab_tokens(f, list_tokens[c->shape]);
    fab_add_list(f, job, ROWS);
    return fab_launch(f, true);
}

/* ---- slices that add up ---------------------------------------------------------------------- */

struct split {
    uint32_t d_ff, cut[6];
    unsigned n;
};
static const struct split splits[] = {
    {192, {0, 96, 192}, 2},
    {160, {0, 32, 64, 96, 128, 160}, 5},
    {2144, {0, 992, 1056, 2080, 2144}, 4},
};

/* The sum of the parts as REDUCE jobs; parts lie behind each other, each with its tokens. */
static struct sl_job *add_sum(struct fab *f, const struct sl_job *whole, const struct sl_job *part,
                              unsigned n, const struct sl_slab *head)
{
    struct sl_job *sum = rig_job(f->rig, SL_OP_REDUCE);
    sum->n_tokens = whole->n_tokens;
    sum->rows = whole->k;
    sum->n_part = (uint8_t)n;
    sum->x_off = part[0].y_off;
    sum->x_stride = part[0].y_stride;
    sum->part_stride = n > 1 ? part[1].y_off - part[0].y_off : 0;
    sum->y_stride = whole->y_stride;
    sum->y_off = rig_ctl(f->rig, (uint64_t)sum->n_tokens * sum->y_stride);
    sum->scale_mant = head->mant2;
    sum->scale_exp = (int16_t)(head->exp2 - head->u_h);
    return sum;
}

/* Whether job b left what job a left. */
static bool same_y(const struct fab *f, const struct sl_job *a, const struct sl_job *b)
{
    bool same = true;
    for (unsigned t = 0; t < a->n_tokens; t++)
        same = same && !memcmp(f->rig->got + (a->y_off + (size_t)t * a->y_stride) * SL_BEAT_BYTES,
                               f->rig->got + (b->y_off + (size_t)t * b->y_stride) * SL_BEAT_BYTES,
                               4u * a->k);
    return same;
}

static enum fab_result run_sums(struct fab *f, const struct fab_case *c)
{
    const struct split *s = &splits[c->shape];
    const struct fab_expert e = {.k = 96, .d_ff = s->d_ff, .n_tokens = 1 + c->round % 3};
    const struct fab_input in = fab_input_of(c);
    struct gen_expert ex;
    fab_reset(f, c, "expert", "sums");
    struct sl_job *whole = new_job(f, &e, c->format);
    rig_place(f->rig, whole, 1);
    rig_fill_x(f->rig, whole, in.x, whole->n_tokens, 0);
    make_weights(f, whole, in.w, &ex);
    put_slab(f, whole, &ex);
    for (unsigned i = 0; i < s->n; i++)
        fab_add_slice(f, whole, s->cut[i], s->cut[i + 1] - s->cut[i], SL_FLAG_PARTIAL);
    const struct sl_job *sum = add_sum(f, whole, &f->rig->job[1], s->n, &ex.head);
    gen_expert_free(&ex);
    const enum fab_result r = fab_launch(f, true);
    if (r == FAB_OK && !same_y(f, whole, sum)) {
        f->why = "the slices' sum differs from the whole";
        return FAB_WRONG;
    }
    return r;
}

/* ---- windows of g, u and h ------------------------------------------------------------------- */

struct window {
    int g_shift, u_shift; /* added to the exponents of gate and up */
    int u_h, drop;
};
static const struct window windows[] = {{0, 0, 16, 0},    {40, 0, 0, 0},   {0, 40, 0, 0},
                                        {60, 60, -64, 0}, {0, 0, 53, 0},   {0, 0, -30, 0},
                                        {0, 0, 53, 40},   {0, 0, 53, 255}, {0, 0, -64, 255},
                                        {-60, 0, 10, 0},  {0, -14, 53, 0}};

static enum fab_result run_windows(struct fab *f, const struct fab_case *c)
{
    const struct window *w = &windows[c->shape];
    const struct fab_expert e = {.k = 96, .d_ff = 128, .n_tokens = 2};
    struct gen_expert ex;
    fab_reset(f, c, "expert", "windows");
    struct sl_job *job = new_job(f, &e, c->format);
    rig_place(f->rig, job, 0);
    rig_fill_x(f->rig, job, GEN_TYPICAL, job->n_tokens, 3);
    make_weights(f, job, GEN_TYPICAL, &ex);
    const uint8_t *x = rig_at(f->rig, job->x_off);
    ex.head.exp0 = (int16_t)(gen_exponent(&ex.m[0], x, ex.head.mant0, 0) + w->g_shift);
    ex.head.exp1 = (int16_t)(gen_exponent(&ex.m[1], x, ex.head.mant1, 0) + w->u_shift);
    ex.head.exp2 = (int16_t)sl_rng_range(&f->rig->rng, -230, 110);
    ex.head.u_h = (int16_t)w->u_h;
    job->u_h_drop = (uint8_t)w->drop;
    job->w_off = rig_put_expert(f->rig, &ex);
    gen_expert_free(&ex);
    return fab_launch(f, true);
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

const struct fab_set fab_expert_sets[] = {
    {"expert", "tiny", N_OF(tiny), true, 1024, 8192, run_tiny, false},
    {"expert", "odd", N_OF(odd), true, 1024, 16384, run_odd, false},
    {"expert", "slices", N_OF(slices), false, 1024, 48000, run_slices, false},
    {"expert", "sums", N_OF(splits), true, 2048, 16384, run_sums, false},
    {"expert", "batch", N_OF(batch), false, 4096, 2048, run_batch, false},
    {"expert", "lists", N_OF(list_tokens), false, 4096, 2048, run_lists, false},
    {"expert", "windows", N_OF(windows), false, 256, 2048, run_windows, false},
    {"expert", "long", N_OF(longest), true, 12288, 160000, run_long, false},
    {"expert", "real", N_OF(real), false, 2048, 5800000, run_real, false},
    {NULL, NULL, 0, false, 0, 0, NULL, false},
};
