/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/stream.h"

#include <stdlib.h>

#include "accel/link.h"
#include "base/err.h"
#include "fabric/moe.h"
#include "store/slab.h"

bool (*sl_stream_forced)(uint32_t expert);

int sl_stream_open(struct sl_stream *s, struct sl_member *m)
{
    s->link_rate = SL_STREAM_FIRST_RATE;
    return sl_upload_open(&s->up, m->dev, &m->fabric->expert);
}

void sl_stream_close(struct sl_stream *s)
{
    sl_upload_close(&s->up);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

uint32_t sl_stream_count(const struct sl_stream_costs *costs, const uint32_t *n_tok, uint32_t n)
{
    double link = 0, card = costs->held_s, cpu = 0;
    for (uint32_t i = 0; i < n; i++)
        cpu += sl_cpu_work(n_tok[i]) * costs->cpu_s;
    for (uint32_t i = 0; i < n; i++) {
        link += costs->send_s;
        card += sl_cpu_work(n_tok[i]) * costs->card_s;
        if ((link > card ? link : card) > cpu)
            return i;
        cpu -= sl_cpu_work(n_tok[i]) * costs->cpu_s;
    }
    return n;
}

struct load {
    uint32_t expert, n_tok;
};

static int by_tokens(const void *a, const void *b)
{
    const struct load *x = a, *y = b;
    return x->n_tok != y->n_tok ? (x->n_tok < y->n_tok) - (x->n_tok > y->n_tok)
                                : (x->expert > y->expert) - (x->expert < y->expert);
}

/* Experts that the home lacks, those with most tokens first. */
static uint32_t missing(const struct sl_moe_pass *p, struct load load[SL_MAX_EXPERT])
{
    uint32_t count[SL_MAX_EXPERT] = {0}, n = 0;
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_WAITING && task->member == p->cpu && task->expert < SL_MOE_SHARED)
            count[task->expert] += task->n;
    }
    for (uint32_t e = 0; e < p->f->config->n_expert; e++)
        if (count[e])
            load[n++] = (struct load){e, count[e]};
    qsort(load, n, sizeof *load, by_tokens);
    return n;
}

/* What the home has to do anyway. */
static double held_seconds(const struct sl_moe_pass *p)
{
    double s = 0;
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_WAITING && task->member == p->home)
            s += sl_moe_seconds(p->home, task->n);
    }
    return s;
}

static void send_expert(struct sl_moe_pass *p, uint32_t expert)
{
    p->sent[expert] = true;
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_WAITING && task->expert == expert)
            task->member = p->home;
    }
}

bool sl_stream_choose(struct sl_moe_pass *p)
{
    struct load load[SL_MAX_EXPERT];
    uint32_t n_tok[SL_MAX_EXPERT];
    bool any = false;
    /* A CPU that took over has nothing to gain by a copy. */
    if (!p->home->stream || p->home->failure[0] || !p->cpu || p->cpu == p->home || p->n_tok == 1)
        return false;
    const double bytes = (double)sl_slab_beats(&p->f->expert) * SL_BEAT_BYTES;
    const struct sl_stream_costs costs = {.send_s = bytes / p->home->stream->link_rate,
                                          .card_s = p->home->work_s,
                                          .cpu_s = p->cpu->work_s,
                                          .held_s = held_seconds(p)};
    const uint32_t n = missing(p, load);
    for (uint32_t i = 0; i < n; i++)
        n_tok[i] = load[i].n_tok;
    const uint32_t sent = sl_stream_count(&costs, n_tok, n);
    for (uint32_t i = 0; i < n; i++)
        if (sl_stream_forced ? sl_stream_forced(load[i].expert) : i < sent) {
            send_expert(p, load[i].expert);
            any = true;
        }
    return any;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void to_cpu(struct sl_moe_pass *p, uint32_t expert)
{
    p->sent[expert] = false;
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_WAITING && task->expert == expert)
            task->member = p->cpu;
    }
}

static bool is_in_buffer(const struct sl_stream *s, uint32_t expert)
{
    for (int i = 0; i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state != SL_STREAM_EMPTY && s->buffer[i].expert == expert)
            return true;
    return false;
}

/* The next one to be sent that is in host memory; n_expert: none. */
static uint32_t next_expert(struct sl_moe_pass *p)
{
    const uint32_t n = p->f->config->n_expert;
    for (uint32_t i = 0; i < p->now->n_task; i++) {
        const struct sl_moe_task *task = &p->now->task[i];
        if (task->state == SL_MOE_WAITING && task->expert < n && p->sent[task->expert] &&
            !is_in_buffer(p->home->stream, task->expert) && sl_moe_is_in_memory(p, task->expert))
            return task->expert;
    }
    return n;
}

/* A clock knows what an upload takes even where it begins, or ends, while a launch runs. */
static double upload_now(const struct sl_member *m)
{
    return m->dev->clock ? m->dev->clock->time.beside_s : sl_member_now(m);
}

static int fill(struct sl_moe_pass *p, int buffer)
{
    struct sl_stream *s = p->home->stream;
    struct sl_slab_ref slab;
    const uint32_t e = next_expert(p);
    if (e == p->f->config->n_expert)
        return 0;
    int err = sl_expert_memory_wait(p->f->experts, p->layer, e, &slab);
    if (err)
        return err;
    s->buffer[buffer].state = SL_STREAM_FILLING;
    s->buffer[buffer].expert = e;
    s->buffer[buffer].slab = slab.header;
    s->begin = upload_now(p->home);
    sl_upload_begin(&s->up, slab.header, s->buffer[buffer].w_off);
    return 0;
}

static void arrive(struct sl_moe_pass *p, int buffer)
{
    struct sl_stream *s = p->home->stream;
    const double bytes = (double)sl_slab_beats(s->up.slab) * SL_BEAT_BYTES;
    if (sl_upload_end(&s->up)) {
        s->buffer[buffer].state = SL_STREAM_EMPTY;
        p->f->stats.placement.upload_failed++;
        to_cpu(p, s->buffer[buffer].expert);
        return;
    }
    s->buffer[buffer].state = SL_STREAM_FULL;
    const double took = upload_now(p->home) - s->begin;
    if (took > 0)
        sl_fading_mean(&s->link_rate, bytes / took);
}

int sl_stream_step(struct sl_moe_pass *p, bool idle)
{
    struct sl_stream *s = p->home->stream;
    int filling = -1, empty = -1;
    if (!s)
        return 0;
    for (int i = 0; i < SL_STREAM_BUFFERS; i++) {
        filling = s->buffer[i].state == SL_STREAM_FILLING ? i : filling;
        empty = s->buffer[i].state == SL_STREAM_EMPTY ? i : empty;
    }
    if (filling < 0)
        return empty < 0 ? 0 : fill(p, empty);
    while (sl_upload_push(&s->up, 1))
        ;
    if (idle || sl_upload_arrived(&s->up))
        arrive(p, filling);
    return 0;
}

bool sl_stream_is_filling(const struct sl_moe_pass *p)
{
    return p->home->stream && p->home->stream->up.slab;
}

bool sl_stream_has(const struct sl_moe_pass *p, uint32_t expert)
{
    const struct sl_stream *s = p->home->stream;
    for (int i = 0; s && i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state == SL_STREAM_FULL && s->buffer[i].expert == expert)
            return true;
    return false;
}

/* ---- launches -------------------------------------------------------------------------------- */

uint32_t sl_stream_run(struct sl_moe_pass *p, uint32_t expert)
{
    struct sl_stream *s = p->home->stream;
    for (int i = 0; i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state >= SL_STREAM_FULL && s->buffer[i].expert == expert) {
            s->buffer[i].state = SL_STREAM_RUNNING;
            return s->buffer[i].w_off;
        }
    return SL_NOT_RESIDENT;
}

void sl_stream_ended(struct sl_moe_pass *p)
{
    struct sl_stream *s = p->home->stream;
    for (int i = 0; s && i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state == SL_STREAM_RUNNING)
            s->buffer[i].state = SL_STREAM_EMPTY;
}

void sl_stream_clear(struct sl_stream *s)
{
    sl_upload_drop(&s->up);
    for (int i = 0; i < SL_STREAM_BUFFERS; i++)
        s->buffer[i].state = SL_STREAM_EMPTY;
}

int sl_stream_again(struct sl_stream *s, struct sl_member *m)
{
    int err = 0;
    s->up.dev = m->dev;
    for (int i = 0; !err && i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state >= SL_STREAM_FULL) {
            sl_upload_begin(&s->up, s->buffer[i].slab, s->buffer[i].w_off);
            err = sl_upload_end(&s->up);
        }
    for (int i = 0; !err && i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state == SL_STREAM_FILLING)
            sl_upload_begin(&s->up, s->buffer[i].slab, s->buffer[i].w_off);
    return err;
}
