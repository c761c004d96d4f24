/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory behind a port, and the stream of weights that runs ahead of the array (rtl:
 * sl_weight_gen, sl_axi_read). The port that has the most to read stands for all of them.
 */
#include "sched/tlm_state.h"

enum {
    ASK_CYCLES = 2, /* from one burst's request to the next */
    ASK_TO_ACCEPT = 2,
    GEN_START = 3, /* from the choice of a job to its first request */
    SEGMENT = 2    /* more between the ranges of a slice */
};

/* ---- memory --------------------------------------------------------------------------------- */

/* The end of the refresh at t, or t. */
static int64_t behind_refresh(const struct sl_tlm *s, int64_t t, int64_t *until)
{
    *until = INT64_MAX;
    if (s->refresh_period <= 0)
        return t;
    double k = ((double)t - s->refresh_from - s->refresh_loss) / s->refresh_period;
    int64_t n = k < 0 ? 1 : (int64_t)k + 1;
    double begin = s->refresh_from + (double)n * s->refresh_period;
    if ((double)t >= begin) {
        t = (int64_t)(begin + s->refresh_loss);
        begin += s->refresh_period;
    }
    *until = (int64_t)begin;
    return t;
}

static void add_piece(struct sl_tlm *s, uint32_t n, int64_t first)
{
    const uint32_t last = s->gen.n_piece - 1;
    const uint64_t end = s->gen.n_piece ? s->gen.pieces[last % SL_TLM_RING].end : 0;
    s->gen.pieces[s->gen.n_piece++ % SL_TLM_RING] =
        (struct sl_tlm_piece){.end = end + n, .n = n, .first = first};
}

/* pieces: whether the beats are the stream's. */
static void read(struct sl_tlm *s, struct sl_tlm_port *port, int64_t accept, uint32_t n,
                 bool pieces, int64_t *first, int64_t *last)
{
    int64_t t = sl_tlm_later(accept + s->latency, port->free_at), until;
    *first = SL_TLM_UNKNOWN;
    while (n) {
        t = behind_refresh(s, t, &until);
        uint32_t part = until - t < n ? (uint32_t)(until - t) : n;
        part = part ? part : 1;
        if (pieces)
            add_piece(s, part, t);
        *first = *first == SL_TLM_UNKNOWN ? t : *first;
        t += part;
        n -= part;
    }
    *last = t - 1;
    port->free_at = t;
}

void sl_tlm_read(struct sl_tlm *s, struct sl_tlm_port *port, int64_t accept, uint32_t n,
                 int64_t *first, int64_t *last)
{
    read(s, port, accept, n, false, first, last);
}

/* ---- stream --------------------------------------------------------------------------------- */

static const struct sl_tlm_pass *pass_of(struct sl_tlm *s)
{
    return &sl_tlm_job_at(s, s->gen.job)->plan.pass[s->gen.pass];
}

/* The next range of beats: a whole pass, or a row's scales or codes. False: the job has no more. */
static bool next_range(struct sl_tlm *s)
{
    const struct sl_tlm_plan *plan = &sl_tlm_job_at(s, s->gen.job)->plan;
    const struct sl_tlm_pass *p = pass_of(s);
    if (p->whole || s->gen.line == p->n_line) {
        if (++s->gen.pass == plan->n_pass)
            return false;
        p = pass_of(s);
        s->gen.line = s->gen.row = 0;
        s->gen.codes = p->n_scale == 0;
    } else if (!s->gen.codes) {
        s->gen.codes = true;
    } else {
        s->gen.codes = p->n_scale == 0;
        s->gen.line += ++s->gen.row == p->n_row;
        s->gen.row %= p->n_row;
        if (s->gen.line == p->n_line)
            return next_range(s);
    }
    const uint32_t row = p->region + (s->gen.line * p->n_row + s->gen.row) * p->row_beats;
    if (p->whole) {
        s->gen.addr = p->region;
        s->gen.left = p->n_line * p->n_row * p->row_beats;
    } else {
        s->gen.addr = row + (s->gen.codes ? p->scale_beats + p->col_first : p->scale_first);
        s->gen.left = s->gen.codes ? p->n_col : p->n_scale;
        s->gen.at += SEGMENT;
    }
    return true;
}

static uint32_t burst_beats(const struct sl_tlm *s)
{
    const uint32_t page = SL_TLM_BURST - s->gen.addr % SL_TLM_BURST;
    return s->gen.left < page ? s->gen.left : page;
}

/* When the array has taken `count` beats of the launch. */
static int64_t taken_at(struct sl_tlm *s, uint64_t count)
{
    if (count > s->array.taken)
        return SL_TLM_UNKNOWN;
    while (s->array.pops[s->gen.pop % SL_TLM_RING].end < count)
        s->gen.pop++;
    const struct sl_tlm_pop *p = &s->array.pops[s->gen.pop % SL_TLM_RING];
    const uint64_t behind = p->end - count;
    return p->n < 2 ? p->last
                    : p->last - (int64_t)(behind * (uint64_t)(p->last - p->first) / (p->n - 1));
}

/* When beat `count` of the launch is on the bus, of those asked for. */
static int64_t arrived_at(struct sl_tlm *s, uint64_t count)
{
    while (s->gen.pieces[s->gen.piece % SL_TLM_RING].end < count)
        s->gen.piece++;
    const struct sl_tlm_piece *p = &s->gen.pieces[s->gen.piece % SL_TLM_RING];
    return p->first + (int64_t)(p->n - 1 - (p->end - count));
}

int64_t sl_tlm_gen_next(struct sl_tlm *s)
{
    if (!s->gen.in_job)
        return SL_TLM_UNKNOWN;
    const uint64_t behind = s->gen.asked + burst_beats(s);
    if (behind <= SL_TLM_FIFO)
        return s->gen.at;
    const int64_t credit = taken_at(s, behind - SL_TLM_FIFO);
    return credit == SL_TLM_UNKNOWN ? credit : sl_tlm_later(s->gen.at, credit + 1);
}

bool sl_tlm_gen_begin(struct sl_tlm *s)
{
    struct sl_tlm_progress *j = sl_tlm_job_at(s, s->gen.job);
    if (s->gen.in_job || s->gen.job == s->n_job || s->gen.job >= s->prep.job)
        return false;
    j->gen_from = sl_tlm_later(s->gen.at, j->published) + 1;
    if (!j->plan.matrix) {
        s->gen.job++;
        s->gen.at = j->gen_from;
        return true;
    }
    s->gen.at = j->gen_from + GEN_START;
    s->gen.in_job = true;
    s->gen.pass = 0;
    s->gen.line = s->gen.row = 0;
    const struct sl_tlm_pass *p = pass_of(s);
    s->gen.codes = true;
    s->gen.addr = p->region;
    s->gen.left = p->n_line * p->n_row * p->row_beats;
    return true;
}

bool sl_tlm_gen_step(struct sl_tlm *s)
{
    int64_t at = sl_tlm_gen_next(s), first, last;
    if (at == SL_TLM_UNKNOWN)
        return false;
    const uint32_t n = burst_beats(s);
    int64_t accept = at + ASK_TO_ACCEPT;
    accept = sl_tlm_later(accept, s->gen.bursts[s->gen.n_burst % SL_TLM_BURSTS] + 1);
    if (s->most_asked && s->gen.asked > s->most_asked)
        accept = sl_tlm_later(accept, arrived_at(s, s->gen.asked - s->most_asked) + 1);
    read(s, &s->w, accept, n, true, &first, &last);
    s->gen.bursts[s->gen.n_burst++ % SL_TLM_BURSTS] = last;
    s->gen.asked += n;
    s->gen.addr += n;
    s->gen.left -= n;
    /* The address register holds one burst that the memory has not taken. */
    s->gen.at = sl_tlm_later(at + ASK_CYCLES, accept - ASK_TO_ACCEPT);
    if (s->gen.left == 0 && !next_range(s)) {
        s->gen.in_job = false;
        s->gen.job++;
        s->gen.at += 1;
    }
    return true;
}
