/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who computes which expert, and when. Cards compute what they hold, in launches of their own
 * threads; meanwhile the CPU computes the rest, first what is in memory, then what arrives from the
 * disk. All reads of a layer are submitted at once, as far as there are slots for them.
 */
#include <string.h>

#include "accel/link.h"
#include "accel/moe.h"
#include "base/clock.h"
#include "base/err.h"
#include "store/slab.h"

enum { POLL_US = 40 }; /* in which two pieces of an upload pass */

/* Routed experts of the round that have to be in host memory: asked for, then let go. */
struct window {
    uint32_t want[SL_MAX_EXPERT], n_want, n_asked; /* of want: asked for so far */
    uint32_t open[SL_MAX_EXPERT], n_open;          /* asked for and not let go */
    uint32_t left[SL_MAX_EXPERT];                  /* tasks that are not done; of an expert */
};

static bool reads_host(const struct sl_member *m)
{
    return m->dev->ops->bind != NULL;
}

/* ---- what is needed in memory ---------------------------------------------------------------- */

static bool is_sent(const struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    return task->expert < SL_MOE_SHARED && p->sent[task->expert];
}

static bool needs_host(const struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    return task->expert < SL_MOE_SHARED && (reads_host(task->member) || p->sent[task->expert]);
}

static void open_window(struct sl_moe_pass *p, struct window *w)
{
    memset(w, 0, sizeof *w);
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state != SL_MOE_WAITING || !needs_host(p, task))
            continue;
        if (!w->left[task->expert]++)
            w->want[w->n_want++] = task->expert;
    }
}

/* What the home should hold is decided by what was wanted: once a pass. Of an expert that is in
 * host memory or at home. */
static void tell_slots(struct sl_moe_pass *p, uint32_t expert)
{
    if (!p->home->slots || expert >= SL_MOE_SHARED || p->seen[expert])
        return;
    p->seen[expert] = true;
    sl_slots_saw(p->home->slots, p->layer, expert);
}

static int ask(struct sl_moe_pass *p, struct window *w)
{
    const uint32_t room = sl_expert_memory_room(p->f->experts), left = w->n_want - w->n_asked;
    const uint32_t n = left < room ? left : room;
    if (!n)
        return 0;
    int err = sl_expert_memory_request(p->f->experts, p->layer, w->want + w->n_asked, n);
    if (err)
        return err;
    memcpy(w->open + w->n_open, w->want + w->n_asked, n * sizeof *w->open);
    w->n_open += n;
    w->n_asked += n;
    return 0;
}

static void let_go(struct sl_moe_pass *p, struct window *w, uint32_t i)
{
    tell_slots(p, w->open[i]);
    sl_expert_memory_release(p->f->experts, p->layer, &w->open[i], 1);
    w->open[i] = w->open[--w->n_open];
}

/* Experts whose tasks are done make room for others. */
static int settle(struct sl_moe_pass *p, struct window *w)
{
    for (uint32_t i = w->n_open; i-- > 0;) {
        w->left[w->open[i]] = 0;
        for (uint32_t t = 0; t < p->now->n_task; t++) {
            const struct sl_moe_task *task = &p->now->task[t];
            w->left[w->open[i]] += task->expert == w->open[i] && task->state != SL_MOE_DONE;
        }
        if (!w->left[w->open[i]])
            let_go(p, w, i);
    }
    return ask(p, w);
}

static bool is_open(const struct window *w, uint32_t expert)
{
    for (uint32_t i = 0; i < w->n_open; i++)
        if (w->open[i] == expert)
            return true;
    return false;
}

/* ---- launches -------------------------------------------------------------------------------- */

bool sl_moe_is_in_memory(const struct sl_moe_pass *p, uint32_t expert)
{
    return is_open(p->window, expert) && sl_expert_memory_ready(p->f->experts, p->layer, expert);
}

/* Task by task: is everything there that it needs? */
static bool task_is_ready(struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    if (is_sent(p, task))
        return sl_stream_has(p, task->expert);
    if (needs_host(p, task) && !sl_moe_is_in_memory(p, task->expert))
        return false;
    if (task->member == p->cpu && !p->n_cpu_task)
        return false;
    p->n_cpu_task -= task->member == p->cpu;
    return true;
}

static int bind_running(struct sl_moe_pass *p, struct sl_member *m)
{
    int err = 0;
    for (uint32_t i = 0; !err && i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        struct sl_slab_ref slab;
        if (task->state != SL_MOE_RUNNING || task->member != m || !needs_host(p, task) ||
            is_sent(p, task))
            continue;
        err = sl_expert_memory_wait(p->f->experts, p->layer, task->expert, &slab);
        err = err ? err : sl_member_bind(m, sl_moe_place(p, task->expert), slab.header);
    }
    return err;
}

/* *n: tasks that could be started. */
static int prepare(struct sl_moe_pass *p, struct sl_member *m, uint32_t *n)
{
    int err = sl_moe_sit(p, m);
    if (err)
        return err;
    sl_moe_begin(p, m);
    err = sl_moe_add_tasks(p, m, task_is_ready, n);
    return err || !*n ? err : bind_running(p, m);
}

double sl_moe_seconds(const struct sl_member *m, uint32_t n_tok)
{
    return sl_cpu_work(n_tok) * m->work_s;
}

static double work_running(const struct sl_moe_pass *p, const struct sl_member *m)
{
    double work = 0;
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_RUNNING && task->member == m)
            work += sl_cpu_work(task->n);
    }
    return work;
}

static void learn_rate(struct sl_member *m, double work, double s)
{
    if (work > 0)
        sl_fading_mean(&m->work_s, s / work);
}

int sl_moe_finish(struct sl_moe_pass *p, struct sl_member *m)
{
    p->seat[m->index].running = false;
    if (p->seat[m->index].begin > 0)
        learn_rate(m, work_running(p, m), sl_member_now(m) - p->seat[m->index].begin);
    if (m == p->home)
        sl_stream_ended(p);
    int err = sl_joblist_finish(&m->jobs, m->launcher);
    if (!err && m == p->home && p->route_off) {
        err = sl_moe_read_routes(p, m, p->route_off, p->work->route);
        err = err || !p->looked_ahead ? err : sl_moe_check_routes(p);
        p->route_off = NULL;
    }
    return err ? err : sl_moe_collect(p, m);
}

static int start_card(struct sl_moe_pass *p, struct sl_member *m)
{
    uint32_t n;
    if (p->seat[m->index].running)
        return 0;
    int err = prepare(p, m, &n);
    if (err || !n)
        return err;
    p->seat[m->index].begin = sl_member_now(m);
    err = sl_joblist_start(&m->jobs, m->launcher);
    p->seat[m->index].running = !err;
    return err;
}

/* What the CPU's launch took; by the home's clock, where it has one. */
static double cpu_seconds(struct sl_moe_pass *p, double work, double took)
{
    const double bytes = work * (double)sl_slab_beats(&p->f->expert) * SL_BEAT_BYTES;
    struct sl_link *clock = p->home->dev->clock;
    return clock ? sl_link_host(clock, (uint64_t)bytes) : took;
}

static int run_cpu(struct sl_moe_pass *p, uint32_t *n)
{
    *n = 0;
    p->n_cpu_task = p->any_sent ? SL_STREAM_CPU_TASKS : UINT32_MAX;
    int err = p->cpu ? prepare(p, p->cpu, n) : 0;
    if (err || !*n)
        return err;
    for (uint32_t i = 0; p->cpu != p->home && i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_RUNNING && task->member == p->cpu)
            p->f->stats.n_expert_cpu += task->n;
    }
    const double work = work_running(p, p->cpu), begin = sl_member_now(p->cpu);
    err = sl_joblist_launch(&p->cpu->jobs);
    learn_rate(p->cpu, work, cpu_seconds(p, work, sl_member_now(p->cpu) - begin));
    return err ? err : sl_moe_collect(p, p->cpu);
}

/* ---- the round ------------------------------------------------------------------------------- */

static void place_tasks(struct sl_moe_pass *p, bool first)
{
    memset(p->sent, 0, sizeof p->sent);
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_WAITING)
            task->member = sl_moe_holds(p, p->home, task->expert) ? p->home : p->cpu;
    }
    p->any_sent = first && sl_stream_choose(p);
}

static bool any_running(const struct sl_moe_pass *p)
{
    for (unsigned i = 0; i < p->f->n_card; i++)
        if (p->seat[i].running)
            return true;
    return false;
}

static bool any_waiting(const struct sl_moe_pass *p)
{
    for (uint32_t i = 0; i < p->now->n_task; i++)
        if (p->now->task[i].state == SL_MOE_WAITING)
            return true;
    return false;
}

/* Launches that are over; waits a little for the first. */
static int finish_cards(struct sl_moe_pass *p, unsigned wait_us)
{
    int err = 0;
    for (unsigned i = 0; !err && i < p->f->n_card; i++) {
        struct sl_member *m = &p->f->member[i];
        if (p->seat[i].running && (!m->launcher || sl_launcher_poll(m->launcher, wait_us)))
            err = sl_moe_finish(p, m);
    }
    return err;
}

/* For one of the open experts. */
static int wait_for_disk(struct sl_moe_pass *p, struct window *w)
{
    size_t i;
    return w->n_open ? sl_expert_memory_wait_any(p->f->experts, p->layer, w->open, w->n_open, &i)
                     : 0;
}

static int run_round(struct sl_moe_pass *p, struct window *w, bool first)
{
    int err = settle(p, w);
    if (!err && first)
        err = sl_predict_next(p);
    while (!err && (any_waiting(p) || any_running(p))) {
        uint32_t n_cpu = 0;
        err = settle(p, w);
        for (unsigned i = 0; !err && i < p->f->n_card; i++)
            err = start_card(p, &p->f->member[i]);
        err = err ? err : run_cpu(p, &n_cpu);
        err = err ? err : sl_stream_step(p, false);
        if (p->home->slots && !p->any_sent)
            sl_slots_push(p->home->slots);
        if (err || n_cpu)
            continue;
        if (any_running(p))
            err = finish_cards(p, POLL_US);
        else if (sl_stream_is_filling(p))
            err = sl_stream_step(p, true);
        else if (any_waiting(p))
            err = wait_for_disk(p, w);
    }
    if (p->home->dev->clock)
        sl_link_join(p->home->dev->clock);
    return err;
}

int sl_moe_run(struct sl_moe_pass *p)
{
    struct window window;
    int err = 0;
    p->window = &window;
    for (bool first = true; !err && p->now->n_task; first = false) {
        place_tasks(p, first);
        open_window(p, &window);
        err = run_round(p, &window, first);
        while (window.n_open)
            let_go(p, &window, 0);
        for (uint32_t i = 0; !err && i < p->now->n_task; i++)
            tell_slots(p, p->now->task[i].expert);
        struct sl_moe_round *done = p->now;
        p->now = p->next;
        p->next = done;
        done->n_item = done->n_task = 0;
    }
    p->window = NULL;
    /* Nothing is left behind that writes into the arenas. */
    for (unsigned i = 0; err && i < p->f->n_card; i++)
        if (p->seat[i].running && p->f->member[i].dev->clock)
            p->f->member[i].dev->clock->beside = false;
        else if (p->seat[i].running)
            sl_launcher_finish(p->f->member[i].launcher, NULL, NULL);
    return err;
}
