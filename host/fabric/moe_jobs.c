/* SPDX-License-Identifier: Apache-2.0 */
/* Job lists of a MoE layer, and what becomes of their results. */
#include <string.h>

#include "accel/activation.h"
#include "base/err.h"
#include "fabric/moe.h"
#include "store/slab.h"

enum { LIST_PER_BEAT = SL_BEAT_BYTES / 4, FLOATS_PER_BEAT = SL_BEAT_BYTES / 4 };

uint32_t sl_moe_y_beats(const struct sl_fabric *f)
{
    return sl_ceil_div(f->expert.k, f->sliced ? FLOATS_PER_BEAT / 2 : FLOATS_PER_BEAT);
}

uint32_t sl_moe_route_beats(const struct sl_config *c, uint32_t n_tok)
{
    return n_tok + sl_ceil_div(4ull * c->n_expert, SL_BEAT_BYTES) +
           sl_ceil_div(4ull * n_tok * c->n_expert_used, SL_BEAT_BYTES);
}

/* ---- x --------------------------------------------------------------------------------------- */

static int put(struct sl_member *m, const uint8_t *x, uint32_t n_beats, uint32_t *off)
{
    int err = sl_joblist_alloc(&m->jobs, n_beats, off);
    if (!err)
        memcpy(sl_joblist_at(&m->jobs, *off), x, (size_t)n_beats * SL_BEAT_BYTES);
    return err;
}

int sl_moe_sit(struct sl_moe_pass *p, struct sl_member *m)
{
    struct sl_moe_seat *s = &p->seat[m->index];
    if (s->open)
        return 0;
    sl_joblist_begin(&m->jobs);
    int err = put(m, p->work->x8, p->n_tok * p->x8_stride, &s->x8_off);
    err = err ? err : put(m, p->work->x16, p->n_tok * p->x16_stride, &s->x16_off);
    s->top = m->jobs.heap_top;
    s->open = !err;
    return err;
}

void sl_moe_begin(struct sl_moe_pass *p, struct sl_member *m)
{
    sl_joblist_rewind(&m->jobs, p->seat[m->index].top);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static uint32_t chunk_of(uint32_t n, uint32_t done)
{
    return n - done < SL_MAX_TOKENS ? n - done : SL_MAX_TOKENS;
}

static void set_routing(const struct sl_moe_pass *p, struct sl_job *job, uint32_t layer,
                        uint32_t first)
{
    const struct sl_routing *routing = &p->f->routing;
    if (sl_moe_experts_choose(p->f)) {
        job->flags = SL_FLAG_EXPERT_CHOICE; /* shares of all experts sum to one */
        job->slice_count = (uint16_t)sl_moe_choice_size(p->f, job->n_tokens);
        return;
    }
    if (routing->kind == SL_ROUTING_NOISY) {
        job->flags |= SL_FLAG_NOISE | SL_FLAG_RENORM;
        job->list_off = sl_routing_deviation(routing);
    } else if (routing->kind == SL_ROUTING_CAPACITY && job->n_tokens > 1) {
        /* A single token never finds an expert full. */
        job->flags |= SL_FLAG_RECYCLE;
        job->slice_count = (uint16_t)sl_routing_capacity(routing, p->f->config, job->n_tokens);
    } else {
        return;
    }
    job->part_stride = routing->seed;
    job->route_off = p->pos + first;
    job->route_token = (uint16_t)layer;
}

int sl_moe_add_routers(struct sl_moe_pass *p, struct sl_member *m, uint32_t layer, uint32_t *off)
{
    const struct sl_config *c = p->f->config;
    const uint32_t place = sl_place_of(p->f, layer, SL_PLACE_ROUTER);
    for (uint32_t t = 0, i = 0; c->n_expert && t < p->n_tok; t += SL_MAX_TOKENS, i++) {
        uint32_t n = chunk_of(p->n_tok, t);
        const uint32_t beats =
            sl_moe_experts_choose(p->f) ? sl_moe_choice_beats(p->f, n) : sl_moe_route_beats(c, n);
        int err = sl_joblist_alloc(&m->jobs, beats, &off[i]);
        struct sl_job *job = err ? NULL : sl_joblist_add(&m->jobs);
        if (!job)
            return SL_ERR_NOMEM;
        job->op = SL_OP_ROUTER;
        job->format = c->router == SL_ROUTER_ATTENTION ? SL_MODE_ATTENTION : SL_MODE_SOFTMAX;
        job->flags = c->router_renorm ? SL_FLAG_RENORM : 0;
        job->w_off = m->w_off[place];
        job->x_off = p->seat[m->index].x16_off + t * p->x16_stride;
        job->x_stride = (uint16_t)p->x16_stride;
        job->y_off = off[i];
        job->n_tokens = (uint16_t)n;
        job->k = (uint16_t)p->f->expert.k;
        job->rows = c->n_expert;
        job->top_k = (uint8_t)c->n_expert_used;
        set_routing(p, job, layer, t);
    }
    return 0;
}

/* d_ff and the member's slice of it. A card that has its slice only sees a smaller expert. */
static void fill_slice(const struct sl_moe_pass *p, const struct sl_member *m, uint32_t expert,
                       struct sl_job *job)
{
    const bool shared = expert == SL_MOE_SHARED;
    const uint32_t rows =
        shared ? sl_place_slab(p->f, sl_moe_place(p, expert))->rows : p->f->expert.rows;
    const struct sl_slice whole = {0, rows}, own = shared ? m->shared : m->expert;
    const struct sl_slice slice = p->f->sliced ? own : whole;
    const bool cut = p->f->sliced && !m->dev->ops->bind;
    job->rows = cut ? slice.count : rows;
    job->slice_first = (uint16_t)(cut ? 0 : slice.first);
    job->slice_count = (uint16_t)slice.count;
    job->flags |= p->f->sliced ? SL_FLAG_PARTIAL : 0;
}

/* An EXPERT job with room for its output. */
static struct sl_job *add_job(struct sl_moe_pass *p, struct sl_member *m, struct sl_moe_task *task)
{
    const uint32_t y_beats = sl_moe_y_beats(p->f);
    task->job = m->jobs.n_job;
    task->member = m;
    task->state = SL_MOE_RUNNING;
    if (sl_joblist_alloc(&m->jobs, (uint64_t)task->n * y_beats, &task->y_off))
        return NULL;
    struct sl_job *job = sl_joblist_add(&m->jobs);
    if (!job)
        return NULL;
    job->op = SL_OP_EXPERT;
    job->format = p->f->expert.format;
    job->x_off = p->seat[m->index].x8_off;
    job->x_stride = (uint16_t)p->x8_stride;
    job->y_off = task->y_off;
    job->y_stride = (uint16_t)y_beats;
    job->n_tokens = (uint16_t)task->n;
    job->k = (uint16_t)p->f->expert.k;
    job->u_h_drop = (uint8_t)task->drop;
    fill_slice(p, m, task->expert, job);
    return job;
}

static struct sl_moe_task *new_task(struct sl_moe_round *r, uint32_t expert, uint32_t n)
{
    struct sl_moe_task *task = &r->task[r->n_task++];
    *task = (struct sl_moe_task){.expert = expert, .first = r->n_item, .n = n};
    return task;
}

static uint32_t shared_row(const struct sl_moe_pass *p, uint32_t t)
{
    return sl_moe_experts_choose(p->f) ? t : t * p->n_row + p->n_row - 1;
}

int sl_moe_add_shared(struct sl_moe_pass *p, struct sl_member *m)
{
    struct sl_moe_round *r = p->now;
    const bool has = sl_place_slab(p->f, sl_moe_place(p, SL_MOE_SHARED)) != NULL;
    for (uint32_t t = 0; has && t < p->n_tok; t += SL_MAX_TOKENS) {
        struct sl_moe_task *task = new_task(r, SL_MOE_SHARED, chunk_of(p->n_tok, t));
        for (uint32_t i = t; i < t + task->n; i++)
            r->item[r->n_item++] = (struct sl_moe_item){i, shared_row(p, i)};
        if (!m)
            continue;
        struct sl_job *job = add_job(p, m, task);
        if (!job)
            return SL_ERR_NOMEM;
        job->w_off = m->w_off[sl_moe_place(p, SL_MOE_SHARED)];
        job->x_off += t * p->x8_stride;
    }
    return 0;
}

void sl_moe_add_choice(struct sl_moe_pass *p, uint32_t choice, uint32_t expert)
{
    new_task(p->now, expert, 1);
    p->now->item[p->now->n_item++] = (struct sl_moe_item){0, choice};
}

static int add_indirect_job(struct sl_moe_pass *p, struct sl_member *m, struct sl_moe_task *task,
                            uint32_t route_off)
{
    struct sl_job *job = add_job(p, m, task);
    if (!job)
        return SL_ERR_NOMEM;
    job->flags |= SL_FLAG_INDIRECT;
    job->route_off = route_off;
    job->route_choice = (uint8_t)p->now->item[task->first].row; /* of token 0 */
    job->slot_off = sl_member_slot_table(m, p->layer);
    job->n_expert = (uint16_t)p->f->config->n_expert;
    return 0;
}

int sl_moe_add_indirect(struct sl_moe_pass *p, struct sl_member *m, uint32_t route_off,
                        uint32_t choice)
{
    sl_moe_add_choice(p, choice, SL_MOE_CHOSEN);
    return add_indirect_job(p, m, &p->now->task[p->now->n_task - 1], route_off);
}

/* The list of its tokens, an input of the launch. */
static int put_list(struct sl_moe_pass *p, struct sl_member *m, struct sl_moe_task *task)
{
    int err = sl_joblist_alloc(&m->jobs, sl_ceil_div(task->n, LIST_PER_BEAT), &task->list);
    uint32_t *entry = err ? NULL : sl_joblist_at(&m->jobs, task->list);
    for (uint32_t i = 0; !err && i < task->n; i++)
        entry[i] = p->now->item[task->first + i].token;
    return err;
}

static int add_list_job(struct sl_moe_pass *p, struct sl_member *m, struct sl_moe_task *task)
{
    struct sl_job *job = add_job(p, m, task);
    if (!job)
        return SL_ERR_NOMEM;
    job->flags |= SL_FLAG_LIST;
    job->list_off = task->list;
    job->w_off = task->expert < SL_MOE_SHARED && p->sent[task->expert]
                     ? sl_stream_run(p, task->expert)
                     : m->w_off[sl_moe_place(p, task->expert)];
    return 0;
}

int sl_moe_add_tasks(struct sl_moe_pass *p, struct sl_member *m,
                     bool (*ready)(struct sl_moe_pass *p, const struct sl_moe_task *task),
                     uint32_t *n)
{
    struct sl_moe_round *r = p->now;
    int err = 0;
    *n = 0;
    for (uint32_t i = 0; !err && i < r->n_task; i++) {
        struct sl_moe_task *task = &r->task[i];
        if (task->state != SL_MOE_WAITING || task->member != m || !ready(p, task))
            continue;
        task->state = SL_MOE_RUNNING;
        task->job = SL_MAX_JOBS; /* of this launch, but not added yet */
        err = put_list(p, m, task);
        ++*n;
    }
    sl_joblist_outputs(&m->jobs);
    for (uint32_t i = 0; !err && i < r->n_task; i++) {
        struct sl_moe_task *task = &r->task[i];
        if (task->state != SL_MOE_RUNNING || task->member != m || task->job != SL_MAX_JOBS)
            continue;
        err = add_list_job(p, m, task);
    }
    return err;
}

int sl_moe_add_all(struct sl_moe_pass *p, struct sl_member *m, uint32_t *route_off)
{
    struct sl_moe_round *r = p->now;
    int err = 0;
    for (uint32_t i = 0; !err && i < r->n_task; i++)
        if (r->task[i].expert != SL_MOE_CHOSEN)
            err = put_list(p, m, &r->task[i]);
    sl_joblist_outputs(&m->jobs);
    if (!err && route_off)
        err = sl_moe_add_routers(p, m, p->layer, route_off);
    for (uint32_t i = 0; !err && i < r->n_task; i++)
        err = r->task[i].expert == SL_MOE_CHOSEN ? add_indirect_job(p, m, &r->task[i], route_off[0])
                                                 : add_list_job(p, m, &r->task[i]);
    return err;
}

/* ---- results --------------------------------------------------------------------------------- */

int sl_moe_learn_expert(struct sl_moe_pass *p, struct sl_moe_task *task,
                        const struct sl_record *record)
{
    const uint32_t n = p->f->config->n_expert;
    if (task->expert != SL_MOE_CHOSEN)
        return 0;
    if (record->expert >= n)
        return sl_fail(SL_ERR_DEVICE, NULL, "device %s chose expert %u of %u",
                       task->member->dev->name, record->expert, n);
    task->expert = record->expert;
    return 0;
}

int sl_moe_put_off(struct sl_moe_pass *p, const struct sl_moe_task *task, bool saturated)
{
    struct sl_moe_round *r = p->next;
    const unsigned drop = task->drop + (saturated && task->n == 1 ? SL_U_H_STEP : 0);
    if (drop > UINT8_MAX)
        return sl_fail(SL_ERR_RANGE, "the model's weights or scales may be damaged",
                       "an expert's hidden values exceed every exponent window");
    for (uint32_t i = 0; i < task->n; i++) {
        struct sl_moe_task *one = new_task(r, task->expert, 1);
        one->drop = drop;
        r->item[r->n_item++] = p->now->item[task->first + i];
    }
    p->f->stats.n_retry += saturated ? task->n : 0;
    return 0;
}

static void take_results(struct sl_moe_pass *p, const struct sl_moe_task *task)
{
    const uint32_t d = p->f->config->d_model, stride = sl_moe_y_beats(p->f);
    for (uint32_t i = 0; i < task->n; i++)
        memcpy(p->work->result + (size_t)p->now->item[task->first + i].row * d,
               sl_joblist_at(&task->member->jobs, task->y_off + i * stride),
               d * sizeof *p->work->result);
}

int sl_moe_collect(struct sl_moe_pass *p, struct sl_member *m)
{
    struct sl_placement *sum = &p->f->stats.placement;
    int err = 0;
    for (uint32_t i = 0; !err && i < p->now->n_task; i++) {
        struct sl_moe_task *task = &p->now->task[i];
        if (task->state != SL_MOE_RUNNING || task->member != m)
            continue;
        const struct sl_record *record = sl_joblist_record(&m->jobs, task->job);
        const bool missing = record->status == SL_STATUS_MISS;
        err = sl_moe_learn_expert(p, task, record);
        task->state = SL_MOE_DONE;
        if (err)
            break;
        if (missing) /* the CPU's already, where the host knew */
            err = p->looked_ahead && !sl_moe_holds(p, m, task->expert)
                      ? 0
                      : sl_moe_put_off(p, task, false);
        else if (record->saturations)
            err = sl_moe_put_off(p, task, true);
        else
            take_results(p, task);
        if (!missing && m->card && task->expert < SL_MOE_SHARED)
            *(p->sent[task->expert] ? &sum->streamed : &sum->on_card) += task->n;
    }
    return err;
}
