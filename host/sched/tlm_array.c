/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The multiply-accumulate array (rtl: sl_array, sl_weight_parse): takes the stream's beats row by
 * row, holds each code beat for ceil(n_tokens / T) steps, ends lines.
 */
#include "sched/tlm_state.h"

enum {
    ARRIVAL = 2,    /* from the bus through the FIFO to the array */
    LAST_STEP = 13, /* from a job's last step until the next one may be looked at */
    JOB_START = 2,  /* from there to the first step, at least */
    PARSE_START = 3 /* ... to the first beat taken */
};

static struct sl_tlm_progress *job_of(struct sl_tlm *s)
{
    return sl_tlm_job_at(s, s->array.job);
}

/* ---- beats ---------------------------------------------------------------------------------- */

/* At most n of the beats that come next, all of one piece; their times. 0: they are not asked for.
 */
static uint32_t next_beats(struct sl_tlm *s, uint32_t n, int64_t *first, int64_t *last)
{
    if (s->array.piece == s->gen.n_piece)
        return 0;
    const struct sl_tlm_piece *p = &s->gen.pieces[s->array.piece % SL_TLM_RING];
    const uint32_t left = p->n - s->array.used;
    n = n < left ? n : left;
    *first = p->first + s->array.used + ARRIVAL;
    *last = *first + n - 1;
    return n;
}

static void take_beats(struct sl_tlm *s, uint32_t n, int64_t first, int64_t last)
{
    s->array.used += n;
    if (s->array.used == s->gen.pieces[s->array.piece % SL_TLM_RING].n) {
        s->array.piece++;
        s->array.used = 0;
    }
    s->array.taken += n;
    s->array.pops[s->array.n_pop++ % SL_TLM_RING] =
        (struct sl_tlm_pop){.end = s->array.taken, .n = n, .first = first, .last = last};
    s->array.parse = last + 1;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static uint32_t banks(const struct sl_tlm *s, uint32_t hold)
{
    const uint32_t depth = 2 * SL_MAX_TOKENS / s->config.n_column;
    return 8 * hold <= depth ? 8 : 4 * hold <= depth ? 4 : 2;
}

static void begin_pass(struct sl_tlm *s, unsigned pass)
{
    const struct sl_tlm_pass *p = &job_of(s)->plan.pass[pass];
    s->array.pass = pass;
    s->array.line = s->array.row = 0;
    s->array.codes = p->n_scale == 0;
    s->array.left = p->n_scale ? p->n_scale : p->n_col;
}

static bool begin_job(struct sl_tlm *s)
{
    struct sl_tlm_progress *j = job_of(s);
    if (s->array.job == s->n_job || s->array.job >= s->prep.job ||
        (s->array.job >= s->gen.job && !s->gen.in_job))
        return false;
    /* The job before has left its banks. */
    if (j->plan.matrix && s->post.n_line != s->array.n_line)
        return false;
    const int64_t ready = sl_tlm_later(s->array.idle_from + (s->array.job > 0), j->gen_from);
    j->stall_ctl = (uint32_t)(ready - s->array.idle_from);
    j->array_from = ready;
    if (!j->plan.matrix) {
        j->fin = ready + 1;
        s->array.idle_from = ready + 2;
        s->array.job++;
        return true;
    }
    const uint32_t n = s->post.n_line;
    const int64_t emptied = n ? s->post.taken[(n - 1) % (2 * SL_TLM_BANKS)] : 0;
    s->array.free = sl_tlm_later(ready + JOB_START, emptied + 2);
    s->array.parse = ready + PARSE_START;
    s->array.in_job = true;
    s->array.first_line = s->array.n_line;
    s->array.n_bank = banks(s, j->plan.hold);
    begin_pass(s, 0);
    return true;
}

static void end_job(struct sl_tlm *s, int64_t last_step)
{
    struct sl_tlm_progress *j = job_of(s);
    j->fin = last_step + LAST_STEP;
    s->array.idle_from = j->fin + 1;
    s->array.in_job = false;
    s->array.job++;
}

/* ---- steps ---------------------------------------------------------------------------------- */

/* From when on the line at work has a bank of sums; false: not known yet. */
static bool bank_from(const struct sl_tlm *s, int64_t *from)
{
    const uint32_t before = s->array.n_line - s->array.first_line;
    *from = 0;
    if (before < s->array.n_bank)
        return true;
    const uint32_t line = s->array.n_line - s->array.n_bank;
    if (line >= s->post.n_line)
        return false;
    *from = s->post.taken[line % (2 * SL_TLM_BANKS)] + 1;
    return true;
}

static void end_row(struct sl_tlm *s, int64_t last_step)
{
    struct sl_tlm_progress *j = job_of(s);
    const struct sl_tlm_pass *p = &j->plan.pass[s->array.pass];
    s->array.codes = p->n_scale == 0;
    s->array.left = p->n_scale ? p->n_scale : p->n_col;
    if (++s->array.row < p->n_row)
        return;
    s->array.row = 0;
    s->array.line_end[s->array.n_line++ % SL_TLM_BANKS] = last_step;
    if (++s->array.line < p->n_line)
        return;
    if (s->array.pass == 0)
        j->x_done = last_step + 1;
    if (s->array.pass + 1 == j->plan.n_pass) {
        end_job(s, last_step);
        return;
    }
    begin_pass(s, s->array.pass + 1);
    s->array.free += 1; /* PASS */
    s->array.parse += 1;
}

static bool take_scales(struct sl_tlm *s)
{
    int64_t first, last;
    uint32_t n = next_beats(s, s->array.left, &first, &last);
    if (!n)
        return false;
    first = sl_tlm_later(first, s->array.parse);
    last = sl_tlm_later(last, first + n - 1);
    take_beats(s, n, first, last);
    s->array.left -= n;
    if (s->array.left == 0) {
        s->array.codes = true;
        s->array.left = job_of(s)->plan.pass[s->array.pass].n_col;
    }
    return true;
}

static bool take_codes(struct sl_tlm *s)
{
    struct sl_tlm_progress *j = job_of(s);
    const struct sl_tlm_pass *p = &j->plan.pass[s->array.pass];
    const int64_t hold = j->plan.hold;
    const uint32_t col = p->n_col - s->array.left;
    int64_t first, last, bank = 0, gate = 0, gate_last = 0;
    uint32_t n = next_beats(s, s->array.left, &first, &last);
    if (!n || (col == 0 && s->array.row == 0 && !bank_from(s, &bank)))
        return false;
    if (s->array.pass == 1 && s->array.line == 0 && s->array.row == 0) {
        if (col + n > s->post.n_h)
            return false;
        gate = s->post.h[col] + 1;
        gate_last = s->post.h[col + n - 1] + 1;
    }
    const int64_t beat = sl_tlm_later(first, s->array.parse);
    const int64_t ready = sl_tlm_later(beat, s->array.free);
    const int64_t step = sl_tlm_later(ready, sl_tlm_later(bank, gate));
    const int64_t free_run = step + (n - 1) * hold;
    const int64_t fed = sl_tlm_later(free_run, last);
    const int64_t end = sl_tlm_later(fed, gate_last);
    j->stall_read += (uint32_t)(ready - s->array.free + fed - free_run);
    j->stall_core += (uint32_t)(step - ready + end - fed);
    take_beats(s, n, step, end);
    s->array.free = end + hold;
    s->array.left -= n;
    if (s->array.left == 0)
        end_row(s, end + hold - 1);
    return true;
}

bool sl_tlm_array_step(struct sl_tlm *s)
{
    if (!s->array.in_job)
        return begin_job(s);
    return s->array.codes ? take_codes(s) : take_scales(s);
}
