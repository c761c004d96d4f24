/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the transaction model share: tlm.c (sequence, records), tlm_plan.c
 * (a job's geometry), tlm_prep.c (preparation), tlm_stream.c (memory and weight stream),
 * tlm_array.c (array), tlm_post.c (rounding stages and units). Every stage has a clock of its own;
 * a stage's step does one thing as soon as all that it waits for is known, and says whether it did.
 * Names as in rtl/.
 */
#ifndef SL_SCHED_TLM_STATE_H
#define SL_SCHED_TLM_STATE_H

#include "sched/tlm.h"

enum {
    SL_TLM_SLOTS = 4,  /* jobs on their way at once */
    SL_TLM_FIFO = 512, /* places of a port's stream FIFO */
    SL_TLM_RING = 2048,
    SL_TLM_BURST = 64,  /* beats */
    SL_TLM_BURSTS = 32, /* outstanding at a port */
    SL_TLM_BANKS = 8,   /* of sums, at most */
    SL_TLM_H = 513,     /* beats of h */
    SL_TLM_UNKNOWN = -1 /* a time that nothing has fixed yet */
};

/* One pass of a job over its weights, as the busiest port sees it. */
struct sl_tlm_pass {
    uint32_t region;  /* first beat of line 0 */
    uint32_t n_line;  /* lines of P units */
    uint32_t n_row;   /* rows of a unit that are read one after the other: 1, 4-bit; 2 */
    uint32_t n_scale; /* scale beats in front of a row */
    uint32_t n_col;   /* code beats of a row */
    uint32_t row_beats, scale_first, col_first, scale_beats; /* of a row as it lies there */
    bool whole;                                              /* everything is read, linearly */
    uint32_t first_port, last_port; /* ports of the first and the last line */
};

struct sl_tlm_plan {
    const struct sl_tlm_job *job;
    bool runs, matrix, expert, router, indirect, list;
    uint32_t n_tokens, hold; /* hold: array steps of a code beat, ceil(n_tokens / T) */
    unsigned n_pass;
    struct sl_tlm_pass pass[2];
    uint32_t n_x, x_item;          /* items of x, beats of each */
    uint32_t x_half;               /* halves of the x memory: 1 or 2 */
    uint32_t table_beats;          /* ROUTER: row exponents and bias */
    uint32_t y_beats, units_per_y; /* beats of y in all; units that fill one beat of a token */
    uint64_t y_end;                /* first beat behind y */
    uint64_t beats;                /* of weights, all ports */
    bool odd;                      /* a slice begins in the upper half of a beat of h */
    uint32_t n_block;              /* of the slice */
    uint32_t unit_reads;           /* beats that a unit without weights reads */
    uint32_t work;                 /* cycles of a unit, or of the router behind the last score */
};

/* Times at which a job reached its stages. */
struct sl_tlm_progress {
    struct sl_tlm_plan plan;
    int64_t published, gen_from, array_from, x_done, fin, past, last_write, decided, mark, retired;
    uint32_t stall_read, stall_ctl, stall_core;
};

struct sl_tlm_port {
    int64_t free_at; /* first cycle without a beat */
};

/* Beats that lie in the FIFO or are on their way: they come one a cycle from `first` on. */
struct sl_tlm_piece {
    uint64_t end; /* index behind the last beat, counted over the launch */
    uint32_t n;
    int64_t first;
};

/* Beats that the array took, evenly between two times. */
struct sl_tlm_pop {
    uint64_t end;
    uint32_t n;
    int64_t first, last;
};

struct sl_tlm {
    struct sl_tlm_config config;
    /* Of the memory: cycles from an accepted address to the first beat, of a write to its answer;
     * refresh. */
    int64_t latency, write_latency;
    double refresh_period, refresh_loss, refresh_from;
    uint32_t row_bytes;  /* of all banks' rows with one number; 0: there are none */
    uint32_t most_asked; /* beats that the port takes in advance; 0: any number */

    /* From here on of a launch. */
    uint32_t n_job, job_off;
    const struct sl_tlm_job *jobs;
    struct sl_tlm_port w, ctl;
    struct sl_tlm_progress job[2 * SL_TLM_SLOTS]; /* by job modulo 8 */
    struct sl_tlm_traffic traffic;

    struct {
        uint32_t job;
        int state; /* enum in tlm_prep.c */
        int64_t at;
        uint32_t half;       /* next half of the x memory */
        int64_t x_holder[2]; /* last job that holds each half; -1 */
    } prep;
    struct {
        uint32_t job;
        int64_t at; /* when the next burst could be asked for */
        bool in_job;
        unsigned pass;
        uint32_t line, row, left, addr;
        bool codes;
        uint64_t asked; /* beats over the launch */
        uint32_t pop;   /* of pops[]: where the credit of the next burst is looked for */
        uint32_t piece; /* of pieces[]: likewise what is still on its way */
        struct sl_tlm_piece pieces[SL_TLM_RING];
        uint32_t n_piece;              /* free running */
        int64_t bursts[SL_TLM_BURSTS]; /* ring: last beat of each */
        uint32_t n_burst;              /* free running */
    } gen;
    struct {
        uint32_t job;
        bool in_job;
        unsigned pass;
        uint32_t line, row, left;
        bool codes;
        uint32_t first_line, n_bank; /* of the job: its first line; banks of sums */
        int64_t idle_from;
        int64_t free, parse; /* next step; next beat out of the FIFO */
        uint64_t taken;
        uint32_t piece, used; /* piece at work, beats of it that were taken */
        struct sl_tlm_pop pops[SL_TLM_RING];
        uint32_t n_pop;                 /* free running */
        int64_t line_end[SL_TLM_BANKS]; /* ring: when a line may be read */
        uint32_t n_line;                /* lines that ended, over the launch */
    } array;
    struct {
        uint32_t job;
        int64_t at; /* free from here on */
        bool in_job;
        uint32_t line, unit; /* of the pass */
        unsigned pass;
        uint32_t n_line;                 /* free running: lines read */
        int64_t taken[2 * SL_TLM_BANKS]; /* ring: when each was read */
        int64_t drained[2];              /* quantiser: ends of the last two blocks */
        int64_t h[SL_TLM_H];             /* when each beat of h is complete */
        uint32_t n_h;
        int64_t router_free;
    } post;
    struct {
        uint32_t job;
        int64_t at, mark;
    } retire;
};

static inline int64_t sl_tlm_later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline struct sl_tlm_progress *sl_tlm_job_at(struct sl_tlm *s, uint32_t job)
{
    return &s->job[job % (2 * SL_TLM_SLOTS)];
}

/* tlm_plan.c: everything that the job alone decides. */
void sl_tlm_plan(const struct sl_tlm_config *config, const struct sl_tlm_job *job,
                 struct sl_tlm_plan *plan);

/* tlm_stream.c. A read of n beats whose address is accepted at `accept`: when its first and last
 * beats are on the bus. */
void sl_tlm_read(struct sl_tlm *s, struct sl_tlm_port *port, int64_t accept, uint32_t n,
                 int64_t *first, int64_t *last);
/* The next burst of the weight stream. */
bool sl_tlm_gen_step(struct sl_tlm *s);
/* When the next burst will be asked for, if that is known. */
int64_t sl_tlm_gen_next(struct sl_tlm *s);
/* Whether the addresses of all ports' streams are free for job. */
bool sl_tlm_gen_begin(struct sl_tlm *s);

/* tlm_array.c, tlm_post.c, tlm_prep.c. urged: nothing else can go on. */
bool sl_tlm_array_step(struct sl_tlm *s);
bool sl_tlm_post_step(struct sl_tlm *s);
bool sl_tlm_prep_step(struct sl_tlm *s, bool urged);

#endif
