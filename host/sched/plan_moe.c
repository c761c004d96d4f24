/* SPDX-License-Identifier: Apache-2.0 */
#include "sched/plan_moe.h"

#include <math.h>

#include "fabric/fabric_state.h"

/* Experts whose turn has not come: at .. end; done: tokens of the first. */
struct queue {
    const uint32_t *n_tok;
    uint32_t at, end, done;
};

struct buffer {
    enum sl_stream_state state;
    uint32_t n_tok;
};

struct layer {
    struct sl_plan_launches *l;
    struct sl_plan_rates *rates;
    uint32_t n_tok;
    struct queue held, cpu, sent;
    struct buffer buffer[SL_STREAM_BUFFERS];
    double fill_begin; /* seconds of uploads when the one that is on its way began */
    bool running;
    double run_begin, run_work; /* of the launch: when, what */
};

struct sl_plan_rates sl_plan_rates_first(void)
{
    return (struct sl_plan_rates){.link_rate = SL_STREAM_FIRST_RATE};
}

/* ---- choices --------------------------------------------------------------------------------- */

/* The least count of n, each with chance p, below or at which a share q of the counts is. */
static uint32_t binomial_quantile(uint32_t n, double p, double q)
{
    double chance = p < 1 ? exp(n * log1p(-p)) : 0, sum = chance;
    uint32_t count = 0;
    while (sum < q && count < n) {
        chance *= (n - count) / (count + 1.0) * p / (1 - p);
        sum += chance;
        count++;
    }
    return count;
}

void sl_plan_spread(struct sl_plan_load *out, uint32_t n_expert, uint32_t n_item, uint32_t n_tok)
{
    uint32_t sum = 0, *count = out->n_tok;
    for (uint32_t e = 0; e < n_expert; e++) {
        const double p = (double)n_item / n_expert / n_tok;
        count[e] = binomial_quantile(n_tok, p < 1 ? p : 1, 1 - (e + 0.5) / n_expert);
        sum += count[e];
    }
    for (uint32_t e = 0; n_expert && sum < n_item; e = (e + 1) % n_expert, sum++)
        count[e]++;
    for (; sum > n_item; sum--) { /* of the heaviest; the order stays */
        uint32_t e = 0;
        while (e + 1 < n_expert && count[e + 1] == count[0])
            e++;
        count[e]--;
    }
    for (out->n = 0; out->n < n_expert && count[out->n];)
        out->n++;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static struct queue queue_of(const struct sl_plan_load *load)
{
    return (struct queue){.n_tok = load->n_tok, .end = load->n};
}

static bool waits(const struct queue *q)
{
    return q->at < q->end;
}

/* The tokens of the next task. */
static uint32_t next_task(struct queue *q)
{
    const uint32_t left = q->n_tok[q->at] - q->done;
    const uint32_t n = left < SL_MAX_TOKENS ? left : SL_MAX_TOKENS;
    q->done += n;
    if (n == left) {
        q->at++;
        q->done = 0;
    }
    return n;
}

/* ---- the card -------------------------------------------------------------------------------- */

static void add_task(struct layer *s, uint32_t n)
{
    sl_plan_list_add(s->l, n);
    s->run_work += sl_cpu_work(n);
}

static bool has_ready(const struct layer *s)
{
    bool ready = waits(&s->held);
    for (int i = 0; i < SL_STREAM_BUFFERS; i++)
        ready = ready || s->buffer[i].state == SL_STREAM_FULL;
    return ready;
}

static void start_card(struct layer *s)
{
    if (s->running || !has_ready(s))
        return;
    s->run_work = 0;
    sl_plan_list_begin(s->l, s->n_tok);
    while (waits(&s->held))
        add_task(s, next_task(&s->held));
    for (int i = 0; i < SL_STREAM_BUFFERS; i++) {
        struct buffer *b = &s->buffer[i];
        if (b->state != SL_STREAM_FULL)
            continue;
        b->state = SL_STREAM_RUNNING;
        struct queue q = {.n_tok = &b->n_tok, .end = 1};
        while (waits(&q))
            add_task(s, next_task(&q));
    }
    s->run_begin = s->l->link.time.total_s;
    sl_plan_start(s->l);
    s->running = true;
}

static void finish_card(struct layer *s)
{
    sl_fading_mean(&s->rates->card_s, (s->l->link.time.total_s - s->run_begin) / s->run_work);
    for (int i = 0; i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state == SL_STREAM_RUNNING)
            s->buffer[i].state = SL_STREAM_EMPTY;
    sl_plan_finish(s->l);
    s->running = false;
}

/* ---- the CPU and the link -------------------------------------------------------------------- */

/* True: it had something to do. */
static bool run_cpu(struct layer *s, bool any_sent)
{
    double work = 0;
    for (uint32_t n = 0; waits(&s->cpu) && (!any_sent || n < SL_STREAM_CPU_TASKS); n++)
        work += sl_cpu_work(next_task(&s->cpu));
    if (work <= 0)
        return false;
    sl_fading_mean(&s->rates->cpu_s, sl_plan_host(s->l, work * sl_plan_expert_bytes(s->l)) / work);
    return true;
}

static struct buffer *find_buffer(struct layer *s, enum sl_stream_state state)
{
    for (int i = 0; i < SL_STREAM_BUFFERS; i++)
        if (s->buffer[i].state == state)
            return &s->buffer[i];
    return NULL;
}

static void fill(struct layer *s, struct buffer *b)
{
    if (!waits(&s->sent))
        return;
    *b = (struct buffer){SL_STREAM_FILLING, s->sent.n_tok[s->sent.at++]};
    s->fill_begin = s->l->link.time.beside_s;
    sl_link_write_begin(&s->l->link, (uint64_t)sl_plan_expert_bytes(s->l));
}

/* idle: it may be waited for. */
static void step_stream(struct layer *s, bool idle)
{
    struct sl_link *link = &s->l->link;
    struct buffer *filling = find_buffer(s, SL_STREAM_FILLING);
    struct buffer *empty = find_buffer(s, SL_STREAM_EMPTY);
    if (!filling && empty)
        fill(s, empty);
    if (!filling || (!idle && sl_link_sending(link)))
        return;
    sl_link_write_end(link);
    filling->state = SL_STREAM_FULL;
    sl_fading_mean(&s->rates->link_rate,
                   sl_plan_expert_bytes(s->l) / (link->time.beside_s - s->fill_begin));
}

/* ---- the layer ------------------------------------------------------------------------------- */

/* The heaviest of those that the card lacks pass through it, as stream.c chooses. */
static void choose_sent(struct layer *s)
{
    struct queue held = s->held;
    struct sl_stream_costs costs = {.send_s = sl_plan_expert_bytes(s->l) / s->rates->link_rate,
                                    .card_s = s->rates->card_s,
                                    .cpu_s = s->rates->cpu_s};
    while (waits(&held))
        costs.held_s += sl_cpu_work(next_task(&held)) * s->rates->card_s;
    s->sent = s->cpu;
    s->sent.end = s->cpu.at = sl_stream_count(&costs, s->cpu.n_tok, s->cpu.end);
}

static bool goes_on(struct layer *s)
{
    return s->running || waits(&s->cpu) || waits(&s->sent) || has_ready(s) ||
           find_buffer(s, SL_STREAM_FILLING);
}

void sl_plan_moe_prefill(struct sl_plan_launches *l, struct sl_plan_rates *rates, uint32_t n_tok,
                         const struct sl_plan_load *held, const struct sl_plan_load *missing)
{
    struct layer s = {
        .l = l, .rates = rates, .n_tok = n_tok, .held = queue_of(held), .cpu = queue_of(missing)};
    sl_plan_moe_route(l, n_tok);
    choose_sent(&s);
    const bool any_sent = waits(&s.sent);
    while (goes_on(&s)) {
        start_card(&s);
        const bool worked = run_cpu(&s, any_sent);
        step_stream(&s, false);
        if (s.running && (!worked || sl_link_caught_up(&l->link)))
            finish_card(&s);
        else if (!worked)
            step_stream(&s, true);
    }
    sl_link_join(&l->link);
}
