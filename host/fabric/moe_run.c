/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who computes which expert, and when. Cards compute what they hold, in launches of their own
 * threads; meanwhile the CPU computes the rest, first what is in memory, then what arrives from the
 * disk. All reads of a layer are submitted at once, as far as there are slots for them.
 */
#include <string.h>

#include "accel/link.h"
#include "base/clock.h"
#include "base/err.h"
#include "fabric/moe.h"
#include "store/slab.h"

enum { POLL_US = 40 }; /* in which two pieces of an upload pass */

/* ---- launches -------------------------------------------------------------------------------- */

/* Task by task: is everything there that it needs? */
static bool task_is_ready(struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    if (sl_moe_is_sent(p, task))
        return sl_stream_has(p, task->expert);
    if (sl_moe_needs_host(p, task) && !sl_moe_is_in_memory(p, task->expert))
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
        if (task->state != SL_MOE_RUNNING || task->member != m || !sl_moe_needs_host(p, task) ||
            sl_moe_is_sent(p, task))
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

/* By the member's clock, or as its thread has seen it: it may be long over. */
static double launch_seconds(const struct sl_member *m, double begin)
{
    return m->dev->clock ? sl_member_now(m) - begin : (double)(m->jobs.end - m->jobs.begin) * 1e-9;
}

/* Ends the launch that was started: routes, results. */
static int finish_launch(struct sl_moe_pass *p, struct sl_member *m)
{
    struct sl_moe_seat *s = &p->seat[m->index];
    const double work = s->begin > 0 ? work_running(p, m) : 0;
    s->running = false;
    if (m->dev->clock) /* before it waits for the CPU */
        learn_rate(m, work, launch_seconds(m, s->begin));
    int err = sl_joblist_finish(&m->jobs, m->launcher);
    if (!err && !m->dev->clock)
        learn_rate(m, work, launch_seconds(m, s->begin));
    if (m == p->home)
        sl_stream_ended(p);
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

/* By its own clock a launch lasts until the host has done as much beside it; waiting, it ends. */
static bool is_over(const struct sl_member *m, unsigned wait_us)
{
    return m->launcher ? sl_launcher_poll(m->launcher, wait_us)
                       : wait_us || sl_link_caught_up(m->dev->clock);
}

/* Launches that are over; waits a little for the first. */
static int finish_cards(struct sl_moe_pass *p, unsigned wait_us)
{
    int err = 0;
    for (unsigned i = 0; !err && i < p->f->n_card; i++)
        if (p->seat[i].running && is_over(&p->f->member[i], wait_us))
            err = finish_launch(p, &p->f->member[i]);
    return err;
}

static int start_cards(struct sl_moe_pass *p)
{
    int err = 0;
    for (unsigned i = 0; !err && i < p->f->n_card; i++)
        err = start_card(p, &p->f->member[i]);
    return err;
}

/* Nothing could be begun: for what is waited for then. */
static int wait_for_something(struct sl_moe_pass *p)
{
    if (any_running(p))
        return finish_cards(p, POLL_US);
    if (sl_stream_is_filling(p))
        return sl_stream_step(p, true);
    return any_waiting(p) ? sl_moe_wait_for_disk(p) : 0;
}

static int run_round(struct sl_moe_pass *p, bool first)
{
    int err = sl_moe_settle(p);
    err = err ? err : start_cards(p);
    if (!err && first)
        err = sl_predict_next(p);
    while (!err && (any_waiting(p) || any_running(p))) {
        uint32_t n_cpu = 0;
        err = sl_moe_settle(p);
        err = err ? err : start_cards(p);
        err = err ? err : run_cpu(p, &n_cpu);
        err = err ? err : sl_stream_step(p, false);
        if (p->home->slots && !p->any_sent)
            sl_slots_push(p->home->slots);
        if (!err)
            err = n_cpu ? finish_cards(p, 0) : wait_for_something(p);
    }
    if (p->home->dev->clock)
        sl_link_join(p->home->dev->clock);
    return err;
}

/* After an error: nothing is left behind that writes into the arenas, or would be taken for an
 * expert of the next pass. Returns err, as it was told. */
static int drain(struct sl_moe_pass *p, int err)
{
    struct sl_failure why;
    sl_failure_keep(&why);
    for (unsigned i = 0; i < p->f->n_card; i++) {
        struct sl_member *m = &p->f->member[i];
        if (p->seat[i].running && m->launcher)
            sl_launcher_finish(m->launcher, NULL, NULL);
        if (m->dev->clock)
            m->dev->clock->beside = false;
        p->seat[i].running = false;
    }
    if (p->home->stream)
        sl_stream_clear(p->home->stream);
    return sl_failure_tell(err, &why);
}

int sl_moe_run(struct sl_moe_pass *p)
{
    struct sl_moe_window window;
    int err = 0;
    p->window = &window;
    for (bool first = true; !err && p->now->n_task; first = false) {
        place_tasks(p, first);
        sl_moe_open_window(p);
        err = run_round(p, first);
        if (err)
            err = drain(p, err);
        sl_moe_close_window(p);
        sl_moe_unbind(p); /* the launch that it was for is over */
        for (uint32_t i = 0; !err && i < p->now->n_task; i++)
            sl_moe_tell_slots(p, p->now->task[i].expert);
        struct sl_moe_round *done = p->now;
        p->now = p->next;
        p->next = done;
        done->n_item = done->n_task = 0;
    }
    p->window = NULL;
    return err;
}
