/* SPDX-License-Identifier: Apache-2.0 */
/* Behind the array (rtl: sl_post, sl_quant, sl_units, sl_router_topk): lines become h, y or scores;
 * jobs without weights run. */
#include "sched/tlm_state.h"

enum {
    READY = 2,      /* from a published job, or the end of the one before, to the first line */
    SETTLE = 11,    /* from a line's last step until it can be read */
    TO_QUANT = 17,  /* from a pair's read to the quantiser's buffer */
    QUANT = 5,      /* the quantiser's stages */
    TO_Y = 10,      /* from a pair's read to its beat of y */
    FLUSH = 2,      /* from the last beat of y to the next job */
    Y_QUEUED = 38,  /* beats of y in a row that do not hold the stages up: one leaves in 2 cycles */
    UNIT_START = 2, /* of a unit without weights, its end included */
    QUERY = 2,
    CHUNK = 16,    /* beats of a part that REDUCE reads at once */
    ROW_CHANGE = 9 /* as measured with HBM */
};

static struct sl_tlm_progress *job_of(struct sl_tlm *s)
{
    return sl_tlm_job_at(s, s->post.job);
}

static void end_job(struct sl_tlm *s, int64_t past)
{
    job_of(s)->past = past;
    s->post.at = past + 1;
    s->post.in_job = false;
    s->post.job++;
}

/* Extra cycles of a REDUCE whose parts lie in different rows of the same bank: each chunk of 16
 * beats opens another row. */
static int64_t row_changes(const struct sl_tlm *s, const struct sl_job *job)
{
    const uint64_t apart = (uint64_t)job->part_stride * SL_BEAT_BYTES;
    const uint32_t chunks = (job->rows + 8 * CHUNK - 1) / (8 * CHUNK);
    if (!s->row_bytes || job->n_part < 2 || apart % s->row_bytes)
        return 0;
    return (int64_t)job->n_tokens * job->n_part * chunks * ROW_CHANGE;
}

/* The first beats' latency, then the unit's own pace. KV_PACK reads everything twice. */
static int64_t run_unit(const struct sl_tlm *s, const struct sl_tlm_plan *plan, int64_t at)
{
    const int op = plan->job->job.op;
    if (op == SL_OP_QUERY)
        return at + QUERY;
    const int64_t rows = op == SL_OP_REDUCE ? row_changes(s, &plan->job->job) : 0;
    return at + s->latency * (op == SL_OP_KV_PACK ? 2 : 1) + plan->work + rows;
}

static bool begin_job(struct sl_tlm *s)
{
    struct sl_tlm_progress *j = job_of(s);
    if (s->post.job == s->n_job || s->post.job >= s->prep.job)
        return false;
    const bool unit = j->plan.runs && !j->plan.matrix;
    if (unit && s->retire.job != s->post.job)
        return false;
    s->post.at = sl_tlm_later(s->post.at, j->published) + READY;
    if (!j->plan.runs) {
        end_job(s, s->post.at);
        return true;
    }
    if (unit) {
        const int64_t alone = sl_tlm_later(s->post.at, s->retire.at) + UNIT_START;
        j->last_write = run_unit(s, &j->plan, alone);
        j->stall_ctl = j->plan.unit_reads ? (uint32_t)s->latency + 1 : 0;
        s->traffic.ctl_read += j->plan.unit_reads;
        end_job(s, j->last_write + 2);
        return true;
    }
    s->post.in_job = true;
    s->post.pass = 0;
    s->post.line = s->post.unit = 0;
    s->post.n_h = 0;
    s->post.drained[0] = s->post.drained[1] = 0;
    return true;
}

static uint32_t line_units(const struct sl_tlm *s, const struct sl_tlm_pass *p, uint32_t line)
{
    const uint32_t first = line == 0 ? p->first_port : 0;
    const uint32_t last = line + 1 == p->n_line ? p->last_port : s->config.n_port - 1;
    return last + 1 - first;
}

/* Units [unit, unit + n) of gate and up, read from `from` on: blocks that they fill. */
static void fill_blocks(struct sl_tlm *s, const struct sl_tlm_plan *plan, uint32_t n, int64_t from)
{
    const uint32_t tokens = plan->n_tokens, unit = s->post.unit;
    for (uint32_t block = (unit + SL_BLOCK) / SL_BLOCK; block * SL_BLOCK <= unit + n; block++) {
        const int64_t full = from + (int64_t)(block * SL_BLOCK - unit) * tokens + TO_QUANT;
        const int64_t drained = sl_tlm_later(full, s->post.drained[1]) + SL_BLOCK * tokens;
        s->post.drained[0] = s->post.drained[1];
        s->post.drained[1] = drained;
        const bool upper = (block - 1 + plan->odd) % 2;
        if (upper || block == plan->n_block)
            s->post.h[s->post.n_h++] = drained + QUANT;
    }
}

/* Cycles that units [unit, unit + n) of y wait for the write port: all tokens fill a beat at once.
 */
static uint32_t y_stall(const struct sl_tlm_plan *plan, unsigned pass, uint32_t unit, uint32_t n)
{
    if (plan->n_tokens <= Y_QUEUED || plan->router || pass + 1 < plan->n_pass)
        return 0;
    const uint32_t groups = (unit + n) / plan->units_per_y - unit / plan->units_per_y;
    return groups * (plan->n_tokens - Y_QUEUED);
}

static void end_matrix(struct sl_tlm *s, int64_t last_read)
{
    struct sl_tlm_progress *j = job_of(s);
    int64_t past = last_read + TO_Y + FLUSH;
    j->last_write = last_read + TO_Y;
    if (j->plan.router) {
        past = sl_tlm_later(past, s->post.router_free);
        j->decided = past + j->plan.work;
        j->last_write = j->decided;
        s->post.router_free = j->decided;
    }
    end_job(s, past);
}

bool sl_tlm_post_step(struct sl_tlm *s)
{
    if (!s->post.in_job)
        return begin_job(s);
    if (s->post.n_line == s->array.n_line)
        return false;
    const struct sl_tlm_plan *plan = &job_of(s)->plan;
    const struct sl_tlm_pass *p = &plan->pass[s->post.pass];
    const uint32_t units = line_units(s, p, s->post.line);
    int64_t from = s->array.line_end[s->post.n_line % SL_TLM_BANKS] + SETTLE;
    from = sl_tlm_later(from, s->post.at);
    if (plan->router)
        from = sl_tlm_later(from, s->post.router_free);
    const int64_t last =
        from + (int64_t)units * plan->n_tokens + y_stall(plan, s->post.pass, s->post.unit, units);
    s->post.taken[s->post.n_line++ % (2 * SL_TLM_BANKS)] = last;
    s->post.at = last + 1;
    if (plan->expert && s->post.pass == 0)
        fill_blocks(s, plan, units, from);
    s->post.unit += units;
    if (++s->post.line < p->n_line)
        return true;
    s->post.line = s->post.unit = 0;
    if (++s->post.pass == plan->n_pass)
        end_matrix(s, last);
    return true;
}
