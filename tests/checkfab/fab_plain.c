/* SPDX-License-Identifier: Apache-2.0 */
/* PLAIN and REDUCE. */
#include <stdlib.h>
#include <string.h>

#include "fab.h"

struct sl_job *fab_add_plain(struct fab *f, const struct fab_plain *s, int format,
                             struct fab_input in)
{
    struct core_rig *rig = f->rig;
    struct ref_matrix m = {0};
    struct sl_slab head = ref_plain_header(format, s->k, s->rows);
    struct sl_job *job = rig_job(rig, SL_OP_PLAIN);
    if (!ref_matrix_alloc(&m, format, s->rows, s->k))
        abort();
    gen_matrix(&rig->rng, in.w, &m);
    head.exp0 = (int16_t)sl_rng_range(&rig->rng, -70, 20);
    if (format == SL_FORMAT_FP8)
        head.mant0 = (uint16_t)sl_rng_range(&rig->rng, 32768, 65535);
    job->format = (uint8_t)format;
    job->flags = (uint16_t)(s->flags | (sl_rng_range(&rig->rng, 0, 3) ? 0 : SL_FLAG_PORT_COUNTERS));
    job->k = (uint16_t)s->k;
    job->rows = s->rows;
    job->n_tokens = (uint16_t)fab_tokens(f, s->n_tokens);
    rig_place(rig, job, (uint32_t)sl_rng_range(&rig->rng, 0, 2));
    fab_fill_x(f, job, in);
    job->w_off = rig_put_plain(rig, &head, &m);
    ref_matrix_free(&m);
    return job;
}

static enum fab_result run_shape(struct fab *f, const struct fab_case *c, const char *shape,
                                 const struct fab_plain *s)
{
    struct fab_plain p = *s;
    fab_reset(f, c, "plain", shape);
    if (sl_rng_range(&f->rig->rng, 0, 2) == 0)
        p.flags |= SL_FLAG_PARTIAL;
    fab_add_plain(f, &p, c->format, fab_input_of(c));
    return fab_launch(f, true);
}

static const struct fab_plain tiny[] = {
    {.k = 32, .rows = 1, .n_tokens = 1},   {.k = 32, .rows = 2, .n_tokens = 1},
    {.k = 64, .rows = 3, .n_tokens = 1},   {.k = 64, .rows = 16, .n_tokens = 2},
    {.k = 128, .rows = 17, .n_tokens = 1}, {.k = 256, .rows = 64, .n_tokens = 1},
};
static enum fab_result run_tiny(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "tiny", &tiny[c->shape]);
}

static const struct fab_plain odd[] = {
    {.k = 96, .rows = 55, .n_tokens = 1},   {.k = 96, .rows = 57, .n_tokens = 3},
    {.k = 160, .rows = 111, .n_tokens = 1}, {.k = 992, .rows = 15, .n_tokens = 2},
    {.k = 1024, .rows = 9, .n_tokens = 1},  {.k = 1056, .rows = 31, .n_tokens = 1},
    {.k = 2048, .rows = 5, .n_tokens = 1},  {.k = 2080, .rows = 29, .n_tokens = 2},
    {.k = 4128, .rows = 10, .n_tokens = 1},
};
static enum fab_result run_odd(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "odd", &odd[c->shape]);
}

static const unsigned batch[] = {2, 3, FAB_T, FAB_T_1, 17, 63, 64};
static enum fab_result run_batch(struct fab *f, const struct fab_case *c)
{
    static const uint32_t dims[][2] = {{96, 57}, {160, 20}, {32, 113}, {1056, 7}};
    const uint32_t *d = dims[(c->shape + c->round) % 4];
    const struct fab_plain s = {.k = d[0], .rows = d[1], .n_tokens = batch[c->shape]};
    return run_shape(f, c, "batch", &s);
}

static const unsigned list_tokens[] = {1, 2, 5, FAB_T_1, 40, 64};
static enum fab_result run_lists(struct fab *f, const struct fab_case *c)
{
    enum { ROWS = 12 };
    const struct fab_plain s = {
        .k = 96 + 64 * (c->shape % 3), .rows = 21 + c->round % 9, .n_tokens = ROWS};
    fab_reset(f, c, "plain", "lists");
    struct sl_job *job = fab_add_plain(f, &s, c->format, fab_input_of(c));
    job->n_tokens = (uint16_t)fab_tokens(f, list_tokens[c->shape]);
    fab_add_list(f, job, ROWS);
    return fab_launch(f, true);
}

/* The longest row, and every row that a job may have. */
static const struct fab_plain longest[] = {
    {.k = 32768, .rows = 5, .n_tokens = 1},
    {.k = 32768, .rows = 3, .n_tokens = 2},
    {.k = 32, .rows = 20001, .n_tokens = 1},
    {.k = 64, .rows = SL_MAX_ROWS - 1, .n_tokens = 1},
};
static enum fab_result run_long(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "long", &longest[c->shape]);
}

/* Gate or up and down of Yuan 2.0-M32 and Hunyuan-Large. */
static const struct fab_plain real[] = {
    {.k = 2048, .rows = 8192, .n_tokens = 1},
    {.k = 8192, .rows = 2048, .n_tokens = 1},
    {.k = 6400, .rows = 18304, .n_tokens = 1},
    {.k = 18304, .rows = 6400, .n_tokens = 1},
};
static enum fab_result run_real(struct fab *f, const struct fab_case *c)
{
    return run_shape(f, c, "real", &real[c->shape]);
}

/* ---- REDUCE ---------------------------------------------------------------------------------- */

/* Words of every length, or the ones at the ends of s64. */
static uint64_t part_word(struct sl_rng *rng, enum fab_data data)
{
    static const int64_t edge[] = {0, 1, -1, 5, -5, INT64_MAX, INT64_MIN, INT64_MAX - 1};
    if (data == FAB_WORST)
        return (uint64_t)edge[sl_rng_range(rng, 0, 7)];
    const int64_t word = (int64_t)sl_rng_next(rng);
    return (uint64_t)(word >> sl_rng_range(rng, 0, data == FAB_DEGENERATE ? 3 : 63));
}

static int reduce_exponent(struct sl_rng *rng, enum fab_data data)
{
    static const int edge[] = {-32768, -230, -212, -166, -150, 0, 60, 64, 65, 32767};
    return data == FAB_RANDOM ? (int)sl_rng_range(rng, -220, 70) : edge[sl_rng_range(rng, 0, 9)];
}

struct sl_job *fab_add_reduce(struct fab *f, const struct fab_reduce *s, enum fab_data data)
{
    struct core_rig *rig = f->rig;
    struct sl_job *job = rig_job(rig, SL_OP_REDUCE);
    job->rows = s->rows;
    job->n_tokens = (uint16_t)fab_tokens(f, s->n_tokens);
    job->n_part = (uint8_t)s->n_part;
    const bool by_token = sl_rng_range(&rig->rng, 0, 1);
    const uint32_t part = (uint32_t)(ref_x_beats(job) + (uint64_t)sl_rng_range(&rig->rng, 0, 2));
    const uint32_t n_item = (uint32_t)job->n_tokens * s->n_part;
    job->x_stride = (uint16_t)(by_token ? part * s->n_part : part);
    job->part_stride = by_token ? part : part * job->n_tokens;
    job->y_stride = (uint16_t)(ref_y_beats(job) + (uint64_t)sl_rng_range(&rig->rng, 0, 2));
    job->x_off = rig_ctl(rig, (uint64_t)part * n_item);
    job->y_off = rig_ctl(rig, (uint64_t)job->y_stride * job->n_tokens);
    job->scale_mant = (uint16_t)sl_rng_range(&rig->rng, data == FAB_WORST ? 0 : 1, 65535);
    job->scale_exp = (int16_t)reduce_exponent(&rig->rng, data);
    for (size_t i = 0; i < (size_t)part * n_item * 8; i++)
        ref_put64(rig_at(rig, job->x_off) + 8 * i, part_word(&rig->rng, data));
    return job;
}

/* A subnormal fp32 of n * 2^-149 has the bits of n. */
struct sl_job *fab_add_poke(struct fab *f, uint32_t y_off, const uint32_t *word, unsigned n)
{
    struct sl_job *job = rig_job(f->rig, SL_OP_REDUCE);
    job->rows = n;
    job->n_part = 1;
    job->scale_mant = 1;
    job->scale_exp = -149;
    job->x_off = rig_ctl(f->rig, ref_x_beats(job));
    job->y_off = y_off;
    for (unsigned i = 0; i < n; i++)
        ref_put64(rig_at(f->rig, job->x_off) + 8 * (size_t)i, word[i]);
    return job;
}

static enum fab_result run_reduce(struct fab *f, const struct fab_case *c, const char *shape,
                                  const struct fab_reduce *s)
{
    fab_reset(f, c, "reduce", shape);
    fab_add_reduce(f, s, c->data);
    return fab_launch(f, true);
}

static const struct fab_reduce reduce_tiny[] = {{1, 1, 1}, {2, 1, 2},  {8, 1, 3},
                                                {8, 2, 1}, {16, 1, 4}, {64, 3, 2}};
static enum fab_result run_reduce_tiny(struct fab *f, const struct fab_case *c)
{
    return run_reduce(f, c, "tiny", &reduce_tiny[c->shape]);
}

static const struct fab_reduce reduce_odd[] = {{7, 1, 2},  {9, 3, 1},   {15, 2, 8},
                                               {17, 1, 9}, {63, 1, 33}, {65, 2, 3}};
static enum fab_result run_reduce_odd(struct fab *f, const struct fab_case *c)
{
    return run_reduce(f, c, "odd", &reduce_odd[c->shape]);
}

static enum fab_result run_reduce_batch(struct fab *f, const struct fab_case *c)
{
    const struct fab_reduce s = {33 + c->round % 40, batch[c->shape], 1 + c->shape % 3};
    return run_reduce(f, c, "batch", &s);
}

static const struct fab_reduce reduce_long[] = {
    {6400, 1, 2}, {1, 1, 255}, {1000, 1, 8}, {32768, 1, 2}};
static enum fab_result run_reduce_long(struct fab *f, const struct fab_case *c)
{
    return run_reduce(f, c, "long", &reduce_long[c->shape]);
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

const struct fab_set fab_plain_sets[] = {
    {"plain", "tiny", N_OF(tiny), true, 256, 1024, run_tiny, false},
    {"plain", "odd", N_OF(odd), true, 1024, 4096, run_odd, false},
    {"plain", "batch", N_OF(batch), false, 2048, 1024, run_batch, false},
    {"plain", "lists", N_OF(list_tokens), false, 1024, 1024, run_lists, false},
    {"plain", "long", N_OF(longest), true, 36864, 530000, run_long, false},
    {"plain", "real", N_OF(real), false, 4096, 2000000, run_real, false},
    {"reduce", "tiny", N_OF(reduce_tiny), true, 256, 16, run_reduce_tiny, false},
    {"reduce", "odd", N_OF(reduce_odd), true, 1024, 16, run_reduce_odd, false},
    {"reduce", "batch", N_OF(batch), true, 4096, 16, run_reduce_batch, false},
    {"reduce", "long", N_OF(reduce_long), true, 16384, 16, run_reduce_long, false},
    {NULL, NULL, 0, false, 0, 0, NULL, false},
};
