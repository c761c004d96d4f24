/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MoE layer: router, shared expert, chosen experts, combination. What moe.c (the pass),
 * moe_jobs.c (job lists), moe_run.c (who computes what, when), moe_window.c (what is in memory for
 * it), moe_routes.c (choices and their weights) and moe_choice.c (where experts choose) share.
 */
#ifndef SL_FABRIC_MOE_H
#define SL_FABRIC_MOE_H

#include "base/number.h"
#include "fabric/fabric_state.h"

/* Experts of a task that are no routed expert: the shared one, or one that a device chooses. */
enum { SL_MOE_SHARED = SL_MAX_EXPERT, SL_MOE_CHOSEN };

enum { SL_MOE_MAX_ROUTER_JOB = SL_BATCH_TOKENS / SL_MAX_TOKENS };

/* One token through one expert. */
struct sl_moe_item {
    uint32_t token, row; /* row of result[] */
};

/* A token that an expert has chosen. */
struct sl_moe_pair {
    uint32_t token;
    float weight;
};

enum sl_moe_state { SL_MOE_WAITING, SL_MOE_RUNNING, SL_MOE_DONE };

/* Items of one EXPERT job: item[first .. first + n), at most SL_MAX_TOKENS. */
struct sl_moe_task {
    uint32_t expert; /* of the layer, or one of the above */
    uint32_t first, n;
    unsigned drop; /* of u_h */
    enum sl_moe_state state;
    struct sl_member *member;  /* who computes it */
    uint32_t list, job, y_off; /* in its launch */
};

/* Tasks with their items; items belong to no task after their tasks are done. */
struct sl_moe_round {
    struct sl_moe_item *item; /* [max_items] */
    struct sl_moe_task *task; /* likewise */
    uint32_t n_item, n_task;
};

struct sl_moe_work {
    struct sl_moe_round round[2]; /* owned */
    float *result;          /* [SL_BATCH_TOKENS * (top_k + 1)][d_model]; row = token * (top_k + 1) +
                               choice, shared last */
    struct sl_route *route; /* [SL_BATCH_TOKENS] */
    struct sl_route *early; /* likewise: the CPU's, for what a card will choose */
    struct sl_route *guess; /* likewise: of the next layer, from this one's x */
    struct sl_moe_pair *pair; /* where experts choose their tokens, by expert; else NULL */
    uint8_t *x8, *x16;        /* activations of a pass */
};

/* Routed experts of the round that have to be in host memory: asked for, then let go. */
struct sl_moe_window {
    uint32_t want[SL_MAX_EXPERT], n_want, n_asked; /* of want: asked for so far */
    uint32_t open[SL_MAX_EXPERT], n_open;          /* asked for and not let go */
};

/* A member's part in a pass: where x lies in its control arena. */
struct sl_moe_seat {
    bool open, running;
    double begin; /* of its launch, seconds on the member's clock */
    uint32_t x8_off, x16_off;
    uint32_t top; /* of the heap, behind x */
};

/* One pass over at most SL_BATCH_TOKENS tokens. */
struct sl_moe_pass {
    struct sl_fabric *f;
    struct sl_moe_work *work;
    struct sl_moe_round *now, *next; /* what saturated or was missing goes to the next round */
    struct sl_member *home, *cpu;    /* cpu: may be the same, or NULL */
    uint32_t layer, pos;             /* pos: of token 0 */
    const float *x;
    uint32_t n_tok, n_row;          /* n_row = top_k + 1 result rows per token */
    uint32_t x8_stride, x16_stride; /* x16, the router's: 0 where there is none */
    /* Of the first launch at home, until its routes are read. */
    const uint32_t *route_off;
    bool looked_ahead;                           /* the CPU knows the choice already: work->early */
    uint32_t bound[SL_MAX_EXPERT_USED], n_bound; /* requested for the launch of the home */
    struct sl_moe_window *window;                /* while sl_moe_run runs */
    bool seen[SL_MAX_EXPERT];                    /* the home's slots know that it was wanted */
    bool sent[SL_MAX_EXPERT]; /* it passes through the home's buffers (stream.h) */
    bool any_sent;
    uint32_t n_cpu_task; /* that the CPU may still take into its launch */
    struct sl_moe_seat seat[SL_OPS_MAX_DEVICE + 1];
};

static inline uint32_t sl_moe_place(const struct sl_moe_pass *p, uint32_t expert)
{
    return sl_place_of(p->f, p->layer,
                       expert == SL_MOE_SHARED ? SL_PLACE_SHARED : SL_PLACE_EXPERT + expert);
}

/* Experts choose tokens, in passes of at most SL_MAX_TOKENS. */
static inline bool sl_moe_experts_choose(const struct sl_fabric *f)
{
    return f->routing.kind == SL_ROUTING_EXPERTS;
}

static inline bool sl_moe_holds(const struct sl_moe_pass *p, const struct sl_member *m,
                                uint32_t expert)
{
    return m->w_off[sl_moe_place(p, expert)] != SL_NOT_RESIDENT;
}

/* ---- moe_jobs.c ------------------------------------------------------------------------------ */

/* Beats of an expert's output for a token, and of a router record. */
uint32_t sl_moe_y_beats(const struct sl_fabric *f);
uint32_t sl_moe_route_beats(const struct sl_config *c, uint32_t n_tok);

/* Takes x of the pass into the member's arena, once a pass. */
int sl_moe_sit(struct sl_moe_pass *p, struct sl_member *m);
/* An empty job list behind x. */
void sl_moe_begin(struct sl_moe_pass *p, struct sl_member *m);
/* Adds a router job of the layer, if it has one, for each 64 tokens; their records at off[], in the
 * order of tokens.
 */
int sl_moe_add_routers(struct sl_moe_pass *p, struct sl_member *m, uint32_t layer, uint32_t *off);
/* Adds the shared expert: to the member's list; NULL: as tasks that wait. */
int sl_moe_add_shared(struct sl_moe_pass *p, struct sl_member *m);
/* Adds a task that waits: a choice of token 0. */
void sl_moe_add_choice(struct sl_moe_pass *p, uint32_t choice, uint32_t expert);
/* Decode: adds the expert that the router at route_off chooses. */
int sl_moe_add_indirect(struct sl_moe_pass *p, struct sl_member *m, uint32_t route_off,
                        uint32_t choice);
/* Adds every waiting task of the member for which ready(p, task) holds; then they run. *n: how
 * many. */
int sl_moe_add_tasks(struct sl_moe_pass *p, struct sl_member *m,
                     bool (*ready)(struct sl_moe_pass *p, const struct sl_moe_task *task),
                     uint32_t *n);
/* Adds every task of the round, in the same places on each member: with route_off behind the
 * routers (their records at route_off[]), for choices. */
int sl_moe_add_all(struct sl_moe_pass *p, struct sl_member *m, uint32_t *route_off);
/* The expert that an INDIRECT job has chosen. SL_ERR_DEVICE when there is no such expert. */
int sl_moe_learn_expert(struct sl_moe_pass *p, struct sl_moe_task *task,
                        const struct sl_record *record);
/* Every token of the task by itself in the next round; saturated: with a lower u_h, once it is
 * alone (docs/numerics.md 3.2). SL_ERR_RANGE when u_h cannot be lowered any more. */
int sl_moe_put_off(struct sl_moe_pass *p, const struct sl_moe_task *task, bool saturated);
/* What the member's launch has left behind: results, or tasks of the next round. */
int sl_moe_collect(struct sl_moe_pass *p, struct sl_member *m);

/* ---- moe_run.c ------------------------------------------------------------------------------- */

/* Carries out all tasks of the round, and of those that follow from it. The home's first launch may
 * be under way (seat.running). */
int sl_moe_run(struct sl_moe_pass *p);
/* What a member is expected to take for an expert with n tokens, in seconds, from what it took
 * before; 0: nothing is known. */
double sl_moe_seconds(const struct sl_member *m, uint32_t n_tok);

/* ---- moe_window.c ---------------------------------------------------------------------------- */

/* The member reads weights where the host has them. */
static inline bool sl_moe_reads_host(const struct sl_member *m)
{
    return m->dev->ops->bind != NULL;
}
/* The task's weights pass through the home's buffers. */
static inline bool sl_moe_is_sent(const struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    return task->expert < SL_MOE_SHARED && p->sent[task->expert];
}
/* ... or are read by its member in host memory. */
bool sl_moe_needs_host(const struct sl_moe_pass *p, const struct sl_moe_task *task);
/* The choices of a decode that the home holds, into host memory for its launch; until
 * sl_moe_unbind. SL_ERR_* of the host memory. */
int sl_moe_bind_choices(struct sl_moe_pass *p);
void sl_moe_unbind(struct sl_moe_pass *p);
/* For the tasks that wait now; nothing is asked for yet. */
void sl_moe_open_window(struct sl_moe_pass *p);
/* Lets experts go whose tasks are done, asks for as many others as there is room for. */
int sl_moe_settle(struct sl_moe_pass *p);
/* It was asked for and has come. */
bool sl_moe_is_in_memory(const struct sl_moe_pass *p, uint32_t expert);
/* For one of those that were asked for. */
int sl_moe_wait_for_disk(struct sl_moe_pass *p);
void sl_moe_close_window(struct sl_moe_pass *p);
/* What the home should hold is decided by what was wanted, once a pass: of an expert that is in
 * host memory or at home. */
void sl_moe_tell_slots(struct sl_moe_pass *p, uint32_t expert);

/* ---- moe_slices.c ---------------------------------------------------------------------------- */

/* The whole pass where each card has a slice of every expert. */
int sl_moe_run_sliced(struct sl_moe_pass *p);

/* ---- moe_routes.c ---------------------------------------------------------------------------- */

/* From the records of sl_moe_add_routers into route[n_tok]. */
int sl_moe_read_routes(struct sl_moe_pass *p, const struct sl_member *m, const uint32_t *off,
                       struct sl_route *route);
/* What the CPU chose ahead has to be what the card chose. */
int sl_moe_check_routes(const struct sl_moe_pass *p);
/* Adds a task for each chosen expert and 64 tokens, from the lists that the router sorted. */
void sl_moe_add_chosen(struct sl_moe_pass *p, const struct sl_member *m, const uint32_t *off);
/* y[d_model] of token t. */
void sl_moe_combine(const struct sl_moe_pass *p, uint32_t t, float *y);

/* ---- moe_choice.c ---------------------------------------------------------------------------- */

/* Tokens that an expert takes of n_tok, and beats of the router's record. */
uint32_t sl_moe_choice_size(const struct sl_fabric *f, uint32_t n_tok);
uint32_t sl_moe_choice_beats(const struct sl_fabric *f, uint32_t n_tok);
/* Room for pairs, part of f->moe. SL_ERR_UNSUPPORTED where result[max_rows] is too small for them.
 */
int sl_moe_open_choice(struct sl_fabric *f, uint32_t max_rows);
/* From the record of sl_moe_add_routers into pair[]; route[n_tok] says that there are no choices.
 * SL_ERR_DEVICE for lists that no router makes. */
int sl_moe_read_choice(struct sl_moe_pass *p, const struct sl_member *m, uint32_t off,
                       struct sl_route *route);
/* Adds a task for each expert. */
void sl_moe_add_pairs(struct sl_moe_pass *p);
/* y[n_tok][d_model]. */
void sl_moe_combine_pairs(const struct sl_moe_pass *p, float *y);

#endif
