/* SPDX-License-Identifier: Apache-2.0 */
/* A job's geometry, as sl_prep.sv plans it, and the cycles of the units without weights. */
#include "sched/tlm_state.h"
#include "store/slab.h"

static uint32_t div_up(uint64_t a, uint64_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static uint32_t log2_of(uint32_t power)
{
    uint32_t n = 0;
    while (power >> (n + 1))
        n++;
    return n;
}

/* ---- units ---------------------------------------------------------------------------------- */

/* From the last score to the last write of the record: rtl/sl_router_topk.sv, at its head. */
static uint32_t router_work(const struct sl_tlm_job *job, uint32_t n_tokens)
{
    const struct sl_job *j = &job->job;
    const uint32_t n = j->rows, k = j->top_k;
    const bool renorm = j->flags & SL_FLAG_RENORM;
    uint32_t token = 16 * k + 17 + n + (renorm ? 0 : n), list = n_tokens * k;
    if (j->format == SL_MODE_SIGMOID)
        token = 15 * n + (renorm ? 16 : 1) * k + 19;
    else if (j->format == SL_MODE_ATTENTION)
        token = n * (n >= 24 ? n : n / 2 + 20) + 2 * n + 16 * k + 53 + (renorm ? 0 : n);
    if (j->flags & SL_FLAG_SCORES)
        token += n + 2 * div_up(n, 16);
    uint32_t overflow = 0;
    if (j->flags & SL_FLAG_RECYCLE) {
        token += 4 * k + 1;
        overflow = (n + 2 > 40 ? n + 2 : 40) + n + 9;
    }
    return job->overflows * overflow + n_tokens * token + n + 2 * div_up(n, 16) + 2 * list +
           2 * div_up(list, 16) + 5;
}

/* rtl/sl_kv_pack.sv, at its head; then what was measured of a first vector's way through. */
static uint32_t kv_work(const struct sl_job *j, uint32_t n_vector)
{
    const uint32_t d = j->k, rows = div_up(d, 16), stages = log2_of(d & (0u - d));
    const uint32_t turn = stages * (rows + 4) + 5;
    if (j->op == SL_OP_KV_PACK)
        return n_vector * (turn + div_up(d, 32) - 1) + 33 + rows + rows / 2;
    const uint32_t convert = 16 * rows + (rows == 16 ? 5 : 0), other = turn + 3 * rows + 2;
    return n_vector * (convert > other ? convert : other) + turn + 28 + 2 * rows + rows / 2;
}

/* A beat of parts a cycle, or eight cycles for a beat of y. */
static uint32_t reduce_work(const struct sl_job *j, uint32_t n_tokens)
{
    const uint32_t in = n_tokens * j->n_part * div_up(j->rows, 8);
    const uint32_t out = n_tokens * div_up(j->rows, 16) * 8;
    return (in > out ? in : out) + 66;
}

static void plan_unit(const struct sl_job *j, struct sl_tlm_plan *plan)
{
    const uint32_t n_vector = plan->n_tokens * j->rows;
    const uint32_t record = 1 + div_up(j->k, j->format == SL_KVREC_INT8 ? 64 : 128);
    if (j->op == SL_OP_REDUCE) {
        plan->work = reduce_work(j, plan->n_tokens);
        plan->unit_reads = plan->n_tokens * j->n_part * div_up(j->rows, 8);
        return;
    }
    plan->work = kv_work(j, n_vector);
    plan->unit_reads = n_vector * (j->op == SL_OP_KV_PACK ? 2 * (1 + div_up(j->k, 32)) : record);
}

/* ---- passes --------------------------------------------------------------------------------- */

static struct sl_tlm_pass whole_pass(uint32_t region, uint32_t units, uint32_t k, int format,
                                     unsigned n_port)
{
    struct sl_tlm_pass p = {.region = region,
                            .n_line = div_up(units, n_port),
                            .n_row = sl_format_is_4bit(format) ? 1 : 2,
                            .n_scale = (uint32_t)sl_scale_beats(format, k),
                            .n_col = (uint32_t)sl_k64(k) / 64,
                            .whole = true,
                            .last_port = (units - 1) % n_port};
    p.scale_beats = p.n_scale;
    p.row_beats = p.n_scale + p.n_col;
    return p;
}

/* Beats that one port reads of a pass. */
static uint64_t pass_beats(const struct sl_tlm_pass *p)
{
    return (uint64_t)p->n_line * p->n_row * (p->n_scale + p->n_col);
}

/* Units of all ports, from the first line's first port to the last line's last. */
static uint64_t pass_units(const struct sl_tlm_pass *p, unsigned n_port)
{
    return (uint64_t)p->n_line * n_port - p->first_port - (n_port - 1 - p->last_port);
}

static void plan_slice(const struct sl_job *j, unsigned n_port, struct sl_tlm_plan *plan)
{
    const uint32_t end = (uint32_t)j->slice_first + j->slice_count, last = end - 1;
    struct sl_tlm_pass *a = &plan->pass[0], *b = &plan->pass[1];
    const uint32_t per_scale = sl_format_is_4bit(j->format) ? 1024 : 2048;
    const uint32_t line = j->slice_first / n_port;
    a->region += line * a->n_row * a->row_beats;
    a->n_line = last / n_port - line + 1;
    a->first_port = j->slice_first % n_port;
    a->last_port = last % n_port;
    b->whole = j->slice_count == j->rows;
    b->col_first = j->slice_first / 64;
    b->n_col = div_up(end, 64) - b->col_first;
    b->scale_first = j->format == SL_FORMAT_FP8 ? 0 : j->slice_first / per_scale;
    b->n_scale = j->format == SL_FORMAT_FP8 ? 0 : last / per_scale - b->scale_first + 1;
    plan->odd = j->slice_first / SL_BLOCK % 2;
    plan->n_block = j->slice_count / SL_BLOCK;
}

static void plan_matrix(const struct sl_tlm_config *c, const struct sl_tlm_job *job,
                        struct sl_tlm_plan *plan)
{
    const struct sl_job *j = &job->job;
    const unsigned n_port = c->n_port;
    const uint32_t head = j->w_off + 1;
    plan->n_pass = plan->expert ? 2 : 1;
    if (plan->router) {
        const uint32_t rows = j->format == SL_MODE_ATTENTION ? 3 * j->rows : j->rows;
        plan->table_beats = div_up(rows, SL_BEAT_BYTES) +
                            (job->slab_flags & SL_SLAB_HAS_BIAS ? div_up(j->rows, 16) : 0);
        /* Codes of 16 bits: a row is read once, its beats twice as many. */
        plan->pass[0] = whole_pass(head + plan->table_beats, rows, 2 * j->k, SL_FORMAT_FP8, n_port);
        plan->pass[0].n_row = 1;
        plan->pass[0].n_col = plan->pass[0].row_beats = 2 * (uint32_t)(sl_k64(j->k) / 64);
    } else if (plan->expert) {
        plan->pass[0] = whole_pass(head, j->rows, j->k, j->format, n_port);
        plan->pass[1] = whole_pass(head + (uint32_t)pass_beats(&plan->pass[0]), j->k / 2u, j->rows,
                                   j->format, n_port);
        plan_slice(j, n_port, plan);
    } else {
        plan->pass[0] = whole_pass(head, div_up(j->rows, 2), j->k, j->format, n_port);
    }
    for (unsigned i = 0; i < plan->n_pass; i++) {
        const struct sl_tlm_pass *p = &plan->pass[i];
        plan->beats += pass_units(p, n_port) * p->n_row * (p->n_scale + p->n_col);
    }
    const uint32_t entries = SL_MAX_TOKENS * (SL_MAX_K / 64) / c->n_column;
    plan->x_half = plan->pass[0].n_col * plan->hold <= entries / 2 ? 1 : 2;
}

/* ---- x and y -------------------------------------------------------------------------------- */

static void plan_x(const struct sl_job *j, struct sl_tlm_plan *plan)
{
    const uint32_t n_block = j->k / SL_BLOCK, codes = (uint32_t)sl_k64(j->k) / 64;
    plan->n_x = plan->matrix ? plan->n_tokens : 0;
    plan->x_item = 1 + div_up(n_block, 64) + (plan->router ? 2 * codes : codes);
}

static void plan_y(const struct sl_job *j, struct sl_tlm_plan *plan)
{
    const bool partial = j->flags & SL_FLAG_PARTIAL;
    const uint32_t rows = plan->expert ? j->k : j->rows;
    uint32_t items = plan->n_tokens, item = div_up(rows, partial ? 8 : 16);
    const uint32_t codes = div_up(j->k, j->format == SL_KVREC_INT8 ? 64 : 128);
    plan->units_per_y = partial ? 4 : 8;
    if (plan->router) {
        items = 1;
        item = plan->n_tokens + div_up(rows, 16) + div_up((uint64_t)plan->n_tokens * j->top_k, 16) +
               (j->flags & SL_FLAG_SCORES ? plan->n_tokens * div_up(rows, 16) : 0);
    } else if (j->op == SL_OP_KV_PACK || j->op == SL_OP_KV_UNPACK) {
        items *= rows;
        item = j->op == SL_OP_KV_PACK ? codes + 1 : div_up(j->k, 16);
    } else if (j->op == SL_OP_QUERY) {
        items = item = 1;
    }
    plan->y_beats = items * item;
    plan->y_end = (uint64_t)j->y_off + (items ? items - 1 : 0) * (uint64_t)j->y_stride + item;
}

void sl_tlm_plan(const struct sl_tlm_config *config, const struct sl_tlm_job *job,
                 struct sl_tlm_plan *plan)
{
    const struct sl_job *j = &job->job;
    *plan = (struct sl_tlm_plan){.job = job, .runs = job->status == SL_STATUS_OK};
    plan->expert = j->op == SL_OP_EXPERT;
    plan->router = j->op == SL_OP_ROUTER;
    plan->matrix = plan->runs && (plan->expert || plan->router || j->op == SL_OP_PLAIN);
    plan->indirect = plan->expert && j->flags & SL_FLAG_INDIRECT;
    plan->list = (plan->expert || j->op == SL_OP_PLAIN) && j->flags & SL_FLAG_LIST;
    plan->n_tokens = j->n_tokens;
    plan->hold = div_up(j->n_tokens, config->n_column);
    plan->y_end = j->y_off;
    if (!plan->runs)
        return;
    if (plan->matrix)
        plan_matrix(config, job, plan);
    plan_x(j, plan);
    plan_y(j, plan);
    if (plan->router)
        plan->work = router_work(job, plan->n_tokens);
    else if (j->op == SL_OP_REDUCE || j->op == SL_OP_KV_PACK || j->op == SL_OP_KV_UNPACK)
        plan_unit(j, plan);
}
