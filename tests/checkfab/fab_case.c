/* SPDX-License-Identifier: Apache-2.0 */
/* What every case does: inputs by its seed, the launch, its cost and its counts. */
#include <stdio.h>
#include <string.h>

#include "fab.h"

struct fab_input fab_input_of(const struct fab_case *c)
{
    static const struct fab_input degenerate[] = {
        {GEN_ANY, GEN_RANDOM, 2},     {GEN_ZERO, GEN_RANDOM, 2},
        {GEN_RANDOM, GEN_ZERO, 2},    {GEN_SMALL, GEN_RANDOM, 2},
        {GEN_RANDOM, GEN_SMALL, 2},   {GEN_SCALES, GEN_RANDOM, 2},
        {GEN_ANY, GEN_WORST, 0},      {GEN_RANDOM, GEN_RANDOM, SL_BASE_MAX},
        {GEN_TYPICAL, GEN_TYPICAL, 9}};
    switch (c->data) {
    case FAB_RANDOM: return (struct fab_input){GEN_RANDOM, GEN_RANDOM, 4};
    case FAB_WORST: return (struct fab_input){GEN_WORST, GEN_WORST, 40};
    default: return degenerate[(c->shape + c->round) % (sizeof degenerate / sizeof degenerate[0])];
    }
}

/* Where bases are anything, the largest and the smallest are among them. */
void fab_fill_x(struct fab *f, const struct sl_job *job, struct fab_input in)
{
    rig_fill_x(f->rig, job, in.x, job->n_tokens, in.base_max);
    if (in.base_max != SL_BASE_MAX)
        return;
    const uint32_t last = job->x_off + (job->n_tokens - 1u) * job->x_stride;
    const int sign = job->n_tokens > 1 || sl_rng_range(&f->rig->rng, 0, 1) ? 1 : -1;
    ref_put32(rig_at(f->rig, job->x_off), (uint32_t)(sign * SL_BASE_MAX));
    if (last != job->x_off)
        ref_put32(rig_at(f->rig, last), (uint32_t)-SL_BASE_MAX);
}

unsigned fab_tokens(const struct fab *f, unsigned n)
{
    if (n == FAB_T || n == FAB_T_1)
        n = f->n_column + (n == FAB_T_1);
    return n < SL_MAX_TOKENS ? n : SL_MAX_TOKENS;
}

void fab_reset(struct fab *f, const struct fab_case *c, const char *op, const char *shape)
{
    static const char *const data[] = {"random", "worst-case", "degenerate"};
    const char *format = fab_formats(op)[c->format];
    f->why = NULL;
    rig_reset(f->rig, c->seed, "op %s format %s shape %s (%u, %s)", op, format, shape, c->shape,
              data[c->data]);
    /* The format takes part, so that formats do not share their random choices. */
    f->rig->rng.state ^= (uint64_t)(c->format + 1) << 40;
}

/* ---- cost ------------------------------------------------------------------------------------ */

static uint64_t weight_beats(const struct sl_job *job)
{
    const uint64_t rows = job->format == SL_MODE_ATTENTION ? 3 * (uint64_t)job->rows : job->rows;
    switch (job->op) {
    case SL_OP_EXPERT:
        return job->slice_count * ref_unit_beats(job->format, job->k) +
               ref_ceil_div(job->k, 2) * ref_unit_beats(job->format, job->slice_count);
    case SL_OP_PLAIN: return ref_ceil_div(job->rows, 2) * ref_unit_beats(job->format, job->k);
    case SL_OP_ROUTER: return rows * ref_ceil_div(job->k, 64) * 2;
    default: return 0;
    }
}

static uint64_t job_cost(const struct fab *f, const struct sl_job *job)
{
    enum { OVERHEAD = 300 };
    const uint64_t n = job->n_tokens, x = n * ref_x_beats(job), y = n * ref_y_beats(job);
    const uint64_t w = weight_beats(job);
    switch (job->op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN:
        return OVERHEAD + x + y + w / f->rig->dev->n_port * ref_ceil_div(n, f->n_column);
    case SL_OP_ROUTER:
        return OVERHEAD + x + w * n + n * job->rows * 4 +
               (job->format == SL_MODE_ATTENTION ? n * job->rows * job->rows * 2 : 0);
    case SL_OP_REDUCE: return OVERHEAD + x * job->n_part + n * job->rows;
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK: return OVERHEAD + n * job->rows * (2 * (uint64_t)job->k + 20);
    default: return OVERHEAD;
    }
}

uint64_t fab_cost(const struct fab *f)
{
    uint64_t cost = 0;
    for (uint32_t i = 0; i < f->rig->n_job; i++)
        cost += job_cost(f, &f->rig->job[i]);
    return cost;
}

/* ---- launch ---------------------------------------------------------------------------------- */

void fab_count(struct fab *f)
{
    for (uint32_t i = 0; i < f->rig->n_job; i++) {
        const struct sl_job *job = &f->rig->job[i];
        const struct sl_record rec = rig_record(f->rig, i);
        if (rec.cookie != job->cookie) /* some y lies over it */
            continue;
        f->cycles += f->rig->timed[i].cycles;
        if (rec.status != SL_STATUS_OK)
            continue;
        f->n_sum += rec.macs / SL_BLOCK;
        if (job->op == SL_OP_EXPERT)
            f->n_row += 2u * job->slice_count + job->k;
        else if (job->op == SL_OP_PLAIN || job->op == SL_OP_REDUCE || job->op == SL_OP_ROUTER)
            f->n_row += job->rows;
    }
}

enum fab_result fab_launch(struct fab *f, bool all_ok)
{
    for (uint32_t i = 0; i < f->rig->n_job; i++)
        if (!fab_takes(f->family, &f->rig->job[i]))
            return FAB_SKIP;
    if (!f->unlimited && fab_cost(f) > f->family->max_cost)
        return FAB_SKIP;
    if (!rig_run(f->rig))
        return FAB_WRONG;
    if (f->rig->lost)
        return FAB_OK;
    for (uint32_t i = 0; i < f->rig->n_job && all_ok; i++)
        if (rig_record(f->rig, i).status != SL_STATUS_OK) {
            f->why = "the case is not the legal one that it should be";
            return FAB_WRONG;
        }
    fab_count(f);
    return FAB_OK;
}
