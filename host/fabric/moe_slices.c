/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several cards at once: of every expert each has a slice of d_ff, whole blocks of 32, and all do
 * the same jobs. Their partial sums are integers, which the host adds in any order and rounds once:
 * the words of the whole expert (docs/numerics.md 5.1). At decode each card routes for itself, so a
 * layer is one launch on each.
 */
#include <string.h>

#include "accel/cpu_kernels.h"
#include "accel/link.h"
#include "base/err.h"
#include "fabric/moe.h"

/* ---- launches -------------------------------------------------------------------------------- */

/* The round on every card; all are waited for, whatever one of them says. */
static int launch_all(struct sl_moe_pass *p, uint32_t *route_off)
{
    struct sl_fabric *f = p->f;
    struct sl_failure why;
    int err = 0;
    unsigned n = 0;
    for (; n < f->n_card; n++) {
        struct sl_member *m = &f->member[n];
        err = sl_moe_sit(p, m);
        sl_moe_begin(p, m);
        err = err ? err : sl_moe_add_all(p, m, route_off);
        err = err ? err : sl_joblist_start(&m->jobs, m->launcher);
        if (err)
            break;
    }
    for (unsigned i = 0; i < n; i++) {
        struct sl_member *m = &f->member[i];
        sl_failure_keep(&why);
        const int late = sl_joblist_finish(&m->jobs, m->launcher);
        err = err ? sl_failure_tell(err, &why) : late;
    }
    return err;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Adds the cards' sums of a token, rounds, and takes them into its row of results. */
static void add_parts(const struct sl_moe_pass *p, const struct sl_moe_task *task, uint32_t i)
{
    const struct sl_fabric *f = p->f;
    const struct sl_slab *slab = &f->header[sl_moe_place(p, task->expert)];
    const uint32_t at = task->y_off + i * sl_moe_y_beats(f), d = f->config->d_model;
    const int e = slab->exp2 - (slab->u_h - (int)task->drop);
    const int64_t *part[SL_OPS_MAX_DEVICE];
    float *y = p->work->result + (size_t)p->now->item[task->first + i].row * d;
    for (unsigned c = 0; c < f->n_card; c++)
        part[c] = sl_joblist_at(&f->member[c].jobs, at);
    for (uint32_t k = 0; k < d; k++) {
        int64_t sum = 0;
        for (unsigned c = 0; c < f->n_card; c++)
            sum += part[c][k];
        y[k] = sl_cpu_round(sum, slab->mant2, e);
    }
}

struct adding {
    const struct sl_moe_pass *pass;
    const struct sl_moe_task *task;
};

static void add_one(void *user, size_t i, unsigned thread)
{
    const struct adding *a = user;
    (void)thread;
    add_parts(a->pass, a->task, (uint32_t)i);
}

static int collect_task(struct sl_moe_pass *p, struct sl_moe_task *task)
{
    const struct sl_fabric *f = p->f;
    const bool chosen = task->expert == SL_MOE_CHOSEN;
    uint32_t saturations = 0;
    int err = 0;
    task->member = &p->f->member[0];
    for (unsigned c = 0; !err && c < f->n_card; c++) {
        const struct sl_record *record = sl_joblist_record(&f->member[c].jobs, task->job);
        err = sl_moe_learn_expert(p, task, record);
        if (!err &&
            (record->status == SL_STATUS_MISS || (chosen && record->expert != task->expert)))
            err = sl_fail(SL_ERR_DEVICE, "`sluice validate` examines a device",
                          "device %s: its router and the other cards' differ in layer %u",
                          f->member[c].dev->name, p->layer);
        saturations += record->saturations;
    }
    task->state = SL_MOE_DONE;
    if (err)
        return err;
    if (saturations)
        return sl_moe_put_off(p, task, true);
    p->f->stats.placement.on_card += task->expert < SL_MOE_SHARED ? task->n : 0;
    struct adding a = {p, task};
    sl_pool_run(f->pool, add_one, &a, task->n);
    return 0;
}

static int run_round(struct sl_moe_pass *p, uint32_t *route_off)
{
    int err = launch_all(p, route_off);
    if (!err && route_off)
        err = sl_moe_read_routes(p, &p->f->member[0], route_off, p->work->route);
    for (uint32_t i = 0; !err && i < p->now->n_task; i++)
        err = collect_task(p, &p->now->task[i]);
    struct sl_moe_round *done = p->now;
    p->now = p->next;
    p->next = done;
    done->n_item = done->n_task = 0;
    return err;
}

/* ---- a pass ---------------------------------------------------------------------------------- */

/* The router alone, on the home card; then tasks for what it chose. */
static int choose(struct sl_moe_pass *p, uint32_t *route_off)
{
    struct sl_member *m = p->home;
    sl_moe_begin(p, m);
    int err = sl_moe_add_routers(p, m, p->layer, route_off);
    err = err || !m->jobs.n_job ? err : sl_joblist_launch(&m->jobs);
    err = err ? err : sl_moe_read_routes(p, m, route_off, p->work->route);
    if (!err)
        sl_moe_add_chosen(p, m, route_off);
    return err;
}

int sl_moe_run_sliced(struct sl_moe_pass *p)
{
    uint32_t route_off[SL_MOE_MAX_ROUTER_JOB];
    const bool decode = p->n_tok == 1 && !sl_moe_experts_choose(p->f);
    int err = sl_moe_add_shared(p, NULL);
    for (uint32_t i = 0; !err && decode && i < p->f->config->n_expert_used; i++)
        sl_moe_add_choice(p, i, SL_MOE_CHOSEN);
    if (!err && !decode)
        err = choose(p, route_off);
    err = err ? err : run_round(p, decode ? route_off : NULL);
    while (!err && p->now->n_task)
        err = run_round(p, NULL);
    return err;
}
