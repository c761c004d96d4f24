/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which routed experts a pass has in host memory. All that a round needs is asked for at once, as
 * far as there are slots, and let go as its tasks are done, which makes room for the others.
 */
#include <string.h>

#include "base/err.h"
#include "fabric/moe.h"

bool sl_moe_needs_host(const struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    return task->expert < SL_MOE_SHARED &&
           (sl_moe_reads_host(task->member) || sl_moe_is_sent(p, task));
}

/* ---- for a launch of decode ------------------------------------------------------------------ */

int sl_moe_bind_choices(struct sl_moe_pass *p)
{
    struct sl_expert_memory *experts = p->f->experts;
    const struct sl_route *route = &p->work->early[0];
    struct sl_slab_ref slab;
    for (uint32_t i = 0; i < p->f->config->n_expert_used; i++)
        if (sl_moe_holds(p, p->home, route->expert[i]))
            p->bound[p->n_bound++] = route->expert[i];
    int err = sl_expert_memory_request(experts, p->layer, p->bound, p->n_bound);
    if (err)
        p->n_bound = 0;
    for (uint32_t i = 0; !err && i < p->n_bound; i++) {
        err = sl_expert_memory_wait(experts, p->layer, p->bound[i], &slab);
        err = err ? err : sl_member_bind(p->home, sl_moe_place(p, p->bound[i]), slab.header);
    }
    return err;
}

void sl_moe_unbind(struct sl_moe_pass *p)
{
    sl_expert_memory_release(p->f->experts, p->layer, p->bound, p->n_bound);
    p->n_bound = 0;
}

/* ---- for a round ----------------------------------------------------------------------------- */

void sl_moe_open_window(struct sl_moe_pass *p)
{
    struct sl_moe_window *w = p->window;
    bool seen[SL_MAX_EXPERT] = {false};
    memset(w, 0, sizeof *w);
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state != SL_MOE_WAITING || !sl_moe_needs_host(p, task) || seen[task->expert])
            continue;
        seen[task->expert] = true;
        w->want[w->n_want++] = task->expert;
    }
}

void sl_moe_tell_slots(struct sl_moe_pass *p, uint32_t expert)
{
    if (!p->home->slots || expert >= SL_MOE_SHARED || p->seen[expert])
        return;
    p->seen[expert] = true;
    sl_slots_saw(p->home->slots, p->layer, expert);
}

static int ask(struct sl_moe_pass *p)
{
    struct sl_moe_window *w = p->window;
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

static void let_go(struct sl_moe_pass *p, uint32_t i)
{
    struct sl_moe_window *w = p->window;
    sl_moe_tell_slots(p, w->open[i]);
    sl_expert_memory_release(p->f->experts, p->layer, &w->open[i], 1);
    w->open[i] = w->open[--w->n_open];
}

int sl_moe_settle(struct sl_moe_pass *p)
{
    struct sl_moe_window *w = p->window;
    bool wanted[SL_MAX_EXPERT] = {false};
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->expert < SL_MOE_SHARED && task->state != SL_MOE_DONE)
            wanted[task->expert] = true;
    }
    for (uint32_t i = w->n_open; i-- > 0;)
        if (!wanted[w->open[i]])
            let_go(p, i);
    return ask(p);
}

bool sl_moe_is_in_memory(const struct sl_moe_pass *p, uint32_t expert)
{
    const struct sl_moe_window *w = p->window;
    for (uint32_t i = 0; i < w->n_open; i++)
        if (w->open[i] == expert)
            return sl_expert_memory_ready(p->f->experts, p->layer, expert);
    return false;
}

int sl_moe_wait_for_disk(struct sl_moe_pass *p)
{
    const struct sl_moe_window *w = p->window;
    size_t i;
    if (!w->n_open) /* or it would be waited for without end */
        return sl_fail(SL_ERR_NOMEM, "give more memory",
                       "experts in memory: no slot is left for layer %u", p->layer);
    return sl_expert_memory_wait_any(p->f->experts, p->layer, w->open, w->n_open, &i);
}

void sl_moe_close_window(struct sl_moe_pass *p)
{
    while (p->window->n_open)
        let_go(p, 0);
}
