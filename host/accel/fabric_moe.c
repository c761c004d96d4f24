/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MoE layer: router, shared expert, chosen experts, combination.
 *
 * Decode is one launch: ROUTER, the shared EXPERT, and top_k INDIRECT EXPERTs that take their
 * choice from the router's record. Prefill is two: routers and shared expert, then every chosen
 * expert with the list of its tokens. A token whose h leaves the window of u_h is computed again
 * alone, with a lower u_h: its result then depends on nothing but itself, however tokens were
 * grouped.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accel/activation.h"
#include "accel/code_names.h"
#include "accel/fabric_state.h"
#include "base/err.h"
#include "sl_core_native.h"
#include "store/slab.h"

enum { NO_CHOICE = 255, LIST_PER_BEAT = SL_BEAT_BYTES / 4, FLOATS_PER_BEAT = SL_BEAT_BYTES / 4 };

/* One token through one expert. */
struct moe_item {
    uint32_t token, row; /* row of result[] */
};

/* Items of one EXPERT job: items[first .. first + n). */
struct moe_task {
    const struct sl_resident *expert;
    uint32_t first, n, job, y_off;
    unsigned drop;
    uint32_t cpu_record; /* beat of its record when the CPU computed it, else 0 */
};

struct sl_moe_work {
    struct moe_item *items; /* owned: two halves of [SL_FABRIC_CHUNK * (top_k + 1)] */
    struct moe_task *tasks; /* likewise */
    /* The halves of this round and of the next; they change places. */
    struct moe_item *item, *next_item;
    struct moe_task *task, *next_task;
    float *result; /* [SL_FABRIC_CHUNK * (top_k + 1)][d_model]; row = token * (top_k + 1) + choice,
                      shared last */
    struct sl_route *route;   /* [SL_FABRIC_CHUNK] */
    struct sl_core_work *cpu; /* owned, one a thread; for what the device does not have */
    uint32_t n_item, n_task;
};

/* One pass over at most SL_FABRIC_CHUNK tokens. */
struct moe_pass {
    struct sl_fabric *f;
    const struct sl_fabric_layer *layer;
    struct sl_moe_work *work;
    const float *x;
    uint32_t n_tok, x8_off, x8_stride, n_row; /* n_row = top_k + 1 result rows per token */
};

static uint32_t ceil_div(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static uint32_t max_items(const struct sl_config *c)
{
    return SL_FABRIC_CHUNK * (c->n_expert_used + 1);
}

int sl_moe_open(struct sl_fabric *f)
{
    const struct sl_config *c = f->config;
    size_t n = max_items(c);
    struct sl_moe_work *w = f->moe = sl_alloc(1, sizeof *w);
    if (!w)
        return SL_ERR_NOMEM;
    w->item = w->items = sl_alloc(2 * n, sizeof *w->item);
    w->task = w->tasks = sl_alloc(2 * n, sizeof *w->task);
    w->result = sl_alloc(n * c->d_model, sizeof *w->result);
    w->route = sl_alloc(SL_FABRIC_CHUNK, sizeof *w->route);
    if (!w->item || !w->task || !w->result || !w->route)
        return SL_ERR_NOMEM;
    if (f->n_resident < c->n_expert &&
        !(w->cpu = sl_alloc(sl_pool_threads(f->pool), sizeof *w->cpu)))
        return SL_ERR_NOMEM;
    w->next_item = w->item + n;
    w->next_task = w->task + n;
    return 0;
}

void sl_moe_close(struct sl_fabric *f)
{
    struct sl_moe_work *w = f->moe;
    if (!w)
        return;
    free(w->items);
    free(w->tasks);
    free(w->result);
    free(w->route);
    free(w->cpu);
    free(w);
    f->moe = NULL;
}

/* Jobs of a retry: every token alone. */
uint32_t sl_moe_max_job(const struct sl_config *config)
{
    return max_items(config);
}

static uint32_t route_beats(const struct sl_config *c, uint32_t n_tok)
{
    return n_tok + ceil_div(4ull * c->n_expert, SL_BEAT_BYTES) +
           ceil_div(4ull * n_tok * c->n_expert_used, SL_BEAT_BYTES);
}

static uint32_t y_beats(const struct sl_slab *expert)
{
    return ceil_div(expert->k, FLOATS_PER_BEAT);
}

uint64_t sl_moe_heap_beats(const struct sl_config *config, const struct sl_store *store)
{
    const struct sl_slab *expert = sl_store_expert(store, 0, 0).header;
    uint64_t per_token = sl_act8_beats(expert->k) + sl_act16_beats(expert->k);
    /* A list of its own, a job and a record of the CPU's, and its output. */
    uint64_t per_item = 3 + y_beats(expert);
    return SL_FABRIC_CHUNK * (per_token + route_beats(config, 1)) + max_items(config) * per_item;
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void fill_expert_job(const struct moe_pass *p, const struct sl_slab *header,
                            struct sl_job *job)
{
    job->op = SL_OP_EXPERT;
    job->format = header->format;
    job->x_off = p->x8_off;
    job->x_stride = (uint16_t)p->x8_stride;
    job->y_stride = (uint16_t)y_beats(header);
    job->k = (uint16_t)header->k;
    job->rows = header->rows;
    job->slice_count = (uint16_t)header->rows;
}

static struct sl_job *add_expert_job(struct moe_pass *p, const struct sl_slab *header)
{
    struct sl_job *job = sl_joblist_add(&p->f->jobs);
    if (job)
        fill_expert_job(p, header, job);
    return job;
}

static uint32_t chunk_of(uint32_t n, uint32_t done)
{
    return n - done < SL_MAX_TOKENS ? n - done : SL_MAX_TOKENS;
}

/* One router job per 64 tokens; records at off[] in the order of tokens. */
static int add_router_jobs(struct moe_pass *p, uint32_t x16_off, uint32_t *off)
{
    const struct sl_config *c = p->f->config;
    const struct sl_slab *header = p->layer->router.header;
    uint32_t stride = sl_act16_beats(header->k);
    for (uint32_t t = 0, i = 0; t < p->n_tok; t += SL_MAX_TOKENS, i++) {
        uint32_t n = chunk_of(p->n_tok, t);
        int err = sl_joblist_alloc(&p->f->jobs, route_beats(c, n), &off[i]);
        struct sl_job *job = err ? NULL : sl_joblist_add(&p->f->jobs);
        if (!job)
            return SL_ERR_NOMEM;
        job->op = SL_OP_ROUTER;
        job->format = c->router == SL_ROUTER_ATTENTION ? SL_MODE_ATTENTION : SL_MODE_SOFTMAX;
        job->flags = c->router_renorm ? SL_FLAG_RENORM : 0;
        job->w_off = p->layer->router.w_off;
        job->x_off = x16_off + t * stride;
        job->x_stride = (uint16_t)stride;
        job->y_off = off[i];
        job->n_tokens = (uint16_t)n;
        job->k = (uint16_t)header->k;
        job->rows = c->n_expert;
        job->top_k = (uint8_t)c->n_expert_used;
    }
    p->f->stats.n_router += p->n_tok;
    return 0;
}

/* Shared expert for tokens t .. t + n, as a task without a list. */
static int add_shared_job(struct moe_pass *p, uint32_t t, uint32_t n)
{
    const struct sl_resident *shared = &p->layer->shared;
    struct sl_moe_work *w = p->work;
    struct moe_task *task = &w->task[w->n_task++];
    *task =
        (struct moe_task){.expert = shared, .first = w->n_item, .n = n, .job = p->f->jobs.n_job};
    for (uint32_t i = 0; i < n; i++)
        w->item[w->n_item++] = (struct moe_item){t + i, (t + i) * p->n_row + p->n_row - 1};
    int err = sl_joblist_alloc(&p->f->jobs, (uint64_t)n * y_beats(shared->header), &task->y_off);
    struct sl_job *job = err ? NULL : add_expert_job(p, shared->header);
    if (!job)
        return SL_ERR_NOMEM;
    job->w_off = shared->w_off;
    job->x_off += t * p->x8_stride;
    job->y_off = task->y_off;
    job->n_tokens = (uint16_t)n;
    return 0;
}

static int add_shared_jobs(struct moe_pass *p)
{
    int err = 0;
    for (uint32_t t = 0; !err && p->layer->shared.header && t < p->n_tok; t += SL_MAX_TOKENS)
        err = add_shared_job(p, t, chunk_of(p->n_tok, t));
    return err;
}

/* Decode: the choice is made on the card. */
static int add_indirect_job(struct moe_pass *p, uint32_t route_off, uint32_t choice)
{
    struct sl_moe_work *w = p->work;
    const struct sl_slab *header = p->layer->expert[0].header;
    struct moe_task *task = &w->task[w->n_task++];
    *task = (struct moe_task){.first = w->n_item, .n = 1, .job = p->f->jobs.n_job};
    w->item[w->n_item++] = (struct moe_item){0, choice};
    int err = sl_joblist_alloc(&p->f->jobs, y_beats(header), &task->y_off);
    struct sl_job *job = err ? NULL : add_expert_job(p, header);
    if (!job)
        return SL_ERR_NOMEM;
    job->flags = SL_FLAG_INDIRECT;
    job->y_off = task->y_off;
    job->n_tokens = 1;
    job->route_off = route_off;
    job->route_choice = (uint8_t)choice;
    job->slot_off = p->layer->slot_off;
    job->n_expert = (uint16_t)p->f->config->n_expert;
    return 0;
}

static void fill_list(struct sl_job *job, const struct moe_task *task, uint32_t list_off)
{
    job->flags = SL_FLAG_LIST;
    job->y_off = task->y_off;
    job->n_tokens = (uint16_t)task->n;
    job->list_off = list_off;
    job->u_h_drop = (uint8_t)task->drop;
}

/* A task with a token list, which was placed at list_off. */
static int add_list_job(struct moe_pass *p, struct moe_task *task, uint32_t list_off)
{
    const struct sl_slab *header = task->expert->header;
    task->job = p->f->jobs.n_job;
    int err = sl_joblist_alloc(&p->f->jobs, (uint64_t)task->n * y_beats(header), &task->y_off);
    struct sl_job *job = err ? NULL : add_expert_job(p, header);
    if (!job)
        return SL_ERR_NOMEM;
    fill_list(job, task, list_off);
    job->w_off = task->expert->w_off;
    return 0;
}

/* The same for the CPU, which reads the store's slab by the core in C: a job list of one in the
 * control arena as the host has it. */
static int add_cpu_job(struct moe_pass *p, struct moe_task *task, uint32_t list_off)
{
    struct sl_joblist *jobs = &p->f->jobs;
    const struct sl_slab *header = task->expert->header;
    uint32_t at;
    int err = sl_joblist_alloc(jobs, 2, &at);
    err = err ? err : sl_joblist_alloc(jobs, (uint64_t)task->n * y_beats(header), &task->y_off);
    if (err)
        return err;
    struct sl_job *job = sl_joblist_at(jobs, at);
    *job = (struct sl_job){.cookie = at};
    fill_expert_job(p, header, job);
    fill_list(job, task, list_off);
    task->cpu_record = at + 1;
    p->f->stats.n_expert_cpu += task->n;
    return 0;
}

/* Task i, where it is the CPU's. */
static void compute_task(void *user, size_t i, unsigned thread)
{
    const struct moe_pass *p = user;
    const struct moe_task *task = &p->work->task[i];
    const struct sl_joblist *jobs = &p->f->jobs;
    if (!task->cpu_record)
        return;
    const void *const w[1] = {task->expert->header};
    sl_core_call_p1(jobs->ctl, w, &p->work->cpu[thread], task->cpu_record - 1, 1,
                    jobs->dev->ctl_beats,
                    (uint32_t)sl_slab_port_beats(task->expert->header, 1) + SL_SLACK_BEATS);
}

/* A task for each thread. Only while nothing is launched. */
static int run_on_cpu(struct moe_pass *p)
{
    struct sl_moe_work *w = p->work;
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->n_task; i++)
        n += w->task[i].cpu_record != 0;
    if (n)
        sl_pool_run(p->f->pool, compute_task, p, w->n_task);
    for (uint32_t i = 0; n && i < w->n_task; i++) {
        const struct sl_record *record = sl_joblist_at(&p->f->jobs, w->task[i].cpu_record);
        if (w->task[i].cpu_record && record->status != SL_STATUS_OK)
            return sl_fail(SL_ERR_FORMAT, "convert the model again", "an expert's slab: %s",
                           sl_status_name(record->status));
    }
    return 0;
}

/* ---- launches ------------------------------------------------------------------------------- */

/* Takes finished outputs into result[]; what the device does not have goes to the next round, and
 * what saturated: a group is taken
 * apart, a single token gets a lower u_h (docs/numerics.md 3.2). */
static int collect(struct moe_pass *p)
{
    struct sl_moe_work *w = p->work;
    uint32_t d = p->f->config->d_model, n_item = 0, n_task = 0, n_missing = 0;
    for (uint32_t i = 0; i < w->n_task; i++) {
        struct moe_task *task = &w->task[i];
        const struct sl_record *record = task->cpu_record
                                             ? sl_joblist_at(&p->f->jobs, task->cpu_record)
                                             : sl_joblist_record(&p->f->jobs, task->job);
        const bool missing = record->status == SL_STATUS_MISS;
        if (!task->expert) {
            if (record->expert >= p->f->config->n_expert)
                return sl_fail(SL_ERR_DEVICE, NULL, "device %s chose expert %u of %u",
                               p->f->dev->name, record->expert, p->f->config->n_expert);
            task->expert = &p->layer->expert[record->expert];
        }
        uint32_t stride = y_beats(task->expert->header);
        for (uint32_t j = 0; j < task->n; j++) {
            struct moe_item item = w->item[task->first + j];
            if (!record->saturations && !missing) {
                memcpy(w->result + (size_t)item.row * d,
                       sl_joblist_at(&p->f->jobs, task->y_off + j * stride), d * sizeof *w->result);
                continue;
            }
            unsigned drop = task->drop + (task->n == 1 && !missing ? SL_U_H_STEP : 0);
            if (drop > UINT8_MAX)
                return sl_fail(SL_ERR_RANGE, "the model's weights or scales may be damaged",
                               "an expert's hidden values exceed every exponent window");
            w->next_item[n_item] = item;
            w->next_task[n_task++] =
                (struct moe_task){.expert = task->expert, .first = n_item++, .n = 1, .drop = drop};
            n_missing += missing;
        }
    }
    struct moe_item *item = w->item;
    struct moe_task *task = w->task;
    w->item = w->next_item, w->next_item = item;
    w->task = w->next_task, w->next_task = task;
    w->n_item = n_item, w->n_task = n_task;
    p->f->stats.n_retry += n_task - n_missing;
    return 0;
}

/* Of all tasks those that the device can do, or the others. */
static int add_list_jobs(struct moe_pass *p, uint32_t lists, bool resident)
{
    struct sl_moe_work *w = p->work;
    int err = 0;
    for (uint32_t i = 0, at = lists; !err && i < w->n_task; i++) {
        struct moe_task *task = &w->task[i];
        if ((task->expert->w_off != SL_NOT_RESIDENT) == resident)
            err = resident ? add_list_job(p, task, at) : add_cpu_job(p, task, at);
        at += ceil_div(task->n, LIST_PER_BEAT);
    }
    return err;
}

/* Runs all tasks as list jobs over the x that is already placed. */
static int run_list_tasks(struct moe_pass *p)
{
    struct sl_joblist *jobs = &p->f->jobs;
    struct sl_moe_work *w = p->work;
    uint32_t lists, n_beats = 0;
    for (uint32_t i = 0; i < w->n_task; i++)
        n_beats += ceil_div(w->task[i].n, LIST_PER_BEAT);
    /* x stays where it is: only jobs, lists and outputs are new. */
    jobs->n_job = 0;
    jobs->heap_top = p->x8_off + p->n_tok * p->x8_stride;
    int err = sl_joblist_alloc(jobs, n_beats, &lists);
    sl_joblist_outputs(jobs);
    for (uint32_t i = 0, at = lists; !err && i < w->n_task; i++) {
        uint32_t *entry = sl_joblist_at(jobs, at);
        for (uint32_t j = 0; j < w->task[i].n; j++)
            entry[j] = w->item[w->task[i].first + j].token;
        at += ceil_div(w->task[i].n, LIST_PER_BEAT);
    }
    err = err ? err : add_list_jobs(p, lists, true);
    if (!err && jobs->n_job)
        err = sl_joblist_launch(jobs);
    err = err ? err : add_list_jobs(p, lists, false);
    err = err ? err : run_on_cpu(p);
    return err ? err : collect(p);
}

/* ---- routes --------------------------------------------------------------------------------- */

static void read_route(const struct sl_config *c, const struct sl_route_entry *entry,
                       struct sl_route *out)
{
    const uint16_t *expert = &entry->expert0;
    const uint32_t *weight = &entry->weight0;
    for (uint32_t i = 0; i < c->n_expert_used; i++) {
        out->expert[i] = expert[i];
        out->weight[i] = (float)weight[i] * 0x1p-24f; /* at most 2^24: exact */
    }
}

static int read_routes(struct moe_pass *p, const uint32_t *route_off)
{
    const struct sl_config *c = p->f->config;
    for (uint32_t t = 0; t < p->n_tok; t++) {
        const struct sl_route_entry *entry =
            sl_joblist_at(&p->f->jobs, route_off[t / SL_MAX_TOKENS] + t % SL_MAX_TOKENS);
        read_route(c, entry, &p->work->route[t]);
        for (uint32_t i = 0; i < c->n_expert_used; i++)
            if (p->work->route[t].expert[i] >= c->n_expert)
                return sl_fail(SL_ERR_DEVICE, NULL, "device %s chose expert %u of %u",
                               p->f->dev->name, p->work->route[t].expert[i], c->n_expert);
    }
    return 0;
}

/* Appends the tokens that router job r gave to expert e (its counting sort) as items. */
static void append_list(struct moe_pass *p, uint32_t route_off, uint32_t r, uint32_t e)
{
    const struct sl_config *c = p->f->config;
    uint32_t n = chunk_of(p->n_tok, r * SL_MAX_TOKENS);
    const uint16_t *range = sl_joblist_at(&p->f->jobs, route_off + n);
    const uint32_t *list =
        sl_joblist_at(&p->f->jobs, route_off + n + ceil_div(4ull * c->n_expert, SL_BEAT_BYTES));
    struct sl_moe_work *w = p->work;
    for (uint32_t i = 0; i < range[2 * e + 1]; i++) {
        uint32_t entry = list[range[2 * e] + i];
        uint32_t token = r * SL_MAX_TOKENS + (entry & ((1u << SL_LIST_TOKEN_BITS) - 1));
        w->item[w->n_item++] =
            (struct moe_item){token, token * p->n_row + (entry >> SL_LIST_TOKEN_BITS)};
    }
}

/* Adds the tasks of the chosen experts, at most 64 tokens each. Reads the router records, which the
 * next launch overwrites. */
static void add_expert_tasks(struct moe_pass *p, const uint32_t *route_off)
{
    struct sl_moe_work *w = p->work;
    for (uint32_t e = 0; e < p->f->config->n_expert; e++) {
        uint32_t first = w->n_item;
        for (uint32_t r = 0; r * SL_MAX_TOKENS < p->n_tok; r++)
            append_list(p, route_off[r], r, e);
        for (uint32_t at = first; at < w->n_item; at += SL_MAX_TOKENS)
            w->task[w->n_task++] = (struct moe_task){
                .expert = &p->layer->expert[e], .first = at, .n = chunk_of(w->n_item, at)};
    }
}

/* ---- combination ---------------------------------------------------------------------------- */

/* acc = shared (or 0); for the chosen experts in ascending index acc = fmaf(w, y, acc). */
static void combine(struct moe_pass *p, uint32_t t, float *y)
{
    const struct sl_config *c = p->f->config;
    const struct sl_route *route = &p->work->route[t];
    const float *rows = p->work->result + (size_t)t * p->n_row * c->d_model;
    if (p->layer->shared.header)
        memcpy(y, rows + (size_t)c->n_expert_used * c->d_model, c->d_model * sizeof *y);
    else
        memset(y, 0, c->d_model * sizeof *y);
    int last = -1;
    for (uint32_t n = 0; n < c->n_expert_used; n++) {
        uint32_t best = NO_CHOICE;
        for (uint32_t i = 0; i < c->n_expert_used; i++)
            if (route->expert[i] > last &&
                (best == NO_CHOICE || route->expert[i] < route->expert[best]))
                best = i;
        last = route->expert[best];
        const float *row = rows + (size_t)best * c->d_model;
        for (uint32_t i = 0; i < c->d_model; i++)
            y[i] = fmaf(route->weight[best], row[i], y[i]);
    }
}

static int run_pass(struct moe_pass *p)
{
    struct sl_fabric *f = p->f;
    uint32_t x16_off, route_off[SL_FABRIC_CHUNK / SL_MAX_TOKENS];
    uint32_t k = p->layer->router.header->k;
    p->work->n_item = p->work->n_task = 0;
    sl_joblist_begin(&f->jobs);
    int err = sl_fabric_put_x8(f, p->x, p->n_tok, f->config->d_model, k, &p->x8_off);
    err = err ? err : sl_fabric_put_x16(f, p->x, p->n_tok, f->config->d_model, k, &x16_off);
    sl_joblist_outputs(&f->jobs);
    err = err ? err : add_router_jobs(p, x16_off, route_off);
    err = err ? err : add_shared_jobs(p);
    for (uint32_t i = 0; !err && p->n_tok == 1 && i < f->config->n_expert_used; i++)
        err = add_indirect_job(p, route_off[0], i);
    err = err ? err : sl_joblist_launch(&f->jobs);
    err = err ? err : read_routes(p, route_off);
    err = err ? err : collect(p);
    if (!err && p->n_tok > 1)
        add_expert_tasks(p, route_off);
    while (!err && p->work->n_task)
        err = run_list_tasks(p);
    return err;
}

int sl_fabric_moe(void *ctx, uint32_t layer, const float *x, size_t n_tok, float *y,
                  struct sl_route *route)
{
    struct sl_fabric *f = ctx;
    struct sl_span span;
    size_t d = f->config->d_model;
    f->stats.n_moe += n_tok;
    for (size_t t = 0; t < n_tok; t += SL_FABRIC_CHUNK) {
        size_t n = n_tok - t < SL_FABRIC_CHUNK ? n_tok - t : SL_FABRIC_CHUNK;
        const struct sl_fabric_layer *l = &f->layer[layer];
        struct moe_pass pass = {.f = f,
                                .layer = l,
                                .work = f->moe,
                                .x = x + t * d,
                                .n_tok = (uint32_t)n,
                                .x8_stride = sl_act8_beats(l->router.header->k),
                                .n_row = f->config->n_expert_used + 1};
        int err = run_pass(&pass);
        if (err)
            return err;
        sl_span_begin(f->profile, &span, SL_SPAN_COMBINE, 0);
        for (size_t i = 0; i < n; i++)
            combine(&pass, (uint32_t)i, y + (t + i) * d);
        sl_span_end(f->profile, &span);
        if (route)
            memcpy(route + t, f->moe->route, n * sizeof *route);
    }
    return 0;
}
