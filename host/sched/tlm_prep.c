/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preparation of jobs (rtl: sl_prep, sl_x_load, sl_ctl_read): fetch, checks, header, x. Reads of
 * the control buffer that meet what an unfinished job writes wait for it.
 */
#include "sched/tlm_state.h"

/* What is done next. */
enum { SCAN, FETCH, ROUTE, SLOT, HEAD, TABLES, ROOM, LIST, LOAD, PUBLISH };

/* Cycles between reads: states of rtl/sl_prep.sv; a multiplication takes 3, a division 4. */
enum {
    CTL_ASK = 3, /* from a state that asks to the accepted address */
    CTL_GOT = 2, /* from the last beat on the bus to the next state */
    SIDE_ASK = 3,
    SIDE_GOT = 1,
    SCANNED = 5,
    CHECKS = 5, /* a job that fails one of its own */
    ITEMS = 17, /* fetched to addresses checked */
    SLAB = 17,  /* from there to the header's request; without a second region less */
    ONE_REGION = 6,
    PASSES = 28, /* header to room for x; without slices less */
    NO_SLICE = 7,
    PER_TOKEN = 4, /* of a list */
    ASK_APART = 3, /* requests of x */
    END = 3,       /* last beat of x to the published job */
    SLOT_SEEN = 2
};

static bool meets(uint64_t lo, uint64_t hi, uint64_t from, uint64_t end)
{
    return lo < end && from < hi;
}

/* Not before jobs whose output or record the read of n beats at addr meets have ended; false: that
 * is not known yet. */
static bool wait_for_writers(struct sl_tlm *s, uint64_t addr, uint64_t n)
{
    const uint64_t records = (uint64_t)s->job_off + s->n_job;
    const uint32_t now = s->prep.job;
    for (uint32_t i = now < SL_TLM_SLOTS ? 0 : now - SL_TLM_SLOTS; i < now; i++) {
        const struct sl_tlm_progress *j = sl_tlm_job_at(s, i);
        if (!meets(addr, addr + n, j->plan.job->job.y_off, j->plan.y_end) &&
            !meets(addr, addr + n, records, records + s->n_job))
            continue;
        if (i >= s->retire.job)
            return false;
        s->prep.at = sl_tlm_later(s->prep.at, j->retired + SLOT_SEEN);
    }
    return true;
}

static bool read_ctl(struct sl_tlm *s, uint32_t addr, uint32_t n)
{
    int64_t first, last;
    if (!wait_for_writers(s, addr, n))
        return false;
    sl_tlm_read(s, &s->ctl, s->prep.at + CTL_ASK, n, &first, &last);
    s->traffic.ctl_read += n;
    s->prep.at = last + CTL_GOT;
    return true;
}

/* Port 0 reads headers and tables behind the beats of the stream that were asked for before. */
static bool read_side(struct sl_tlm *s, uint32_t n, bool urged)
{
    int64_t first, last;
    const int64_t burst = sl_tlm_gen_next(s);
    const bool streams = s->gen.in_job || s->gen.job < s->prep.job;
    if (streams && !urged && (burst == SL_TLM_UNKNOWN || burst <= s->prep.at))
        return false;
    sl_tlm_read(s, &s->w, s->prep.at + SIDE_ASK, n, &first, &last);
    s->traffic.w_read += n;
    s->prep.at = last + SIDE_GOT;
    return true;
}

/* ---- stages --------------------------------------------------------------------------------- */

static bool scan(struct sl_tlm *s)
{
    for (uint32_t i = 0; i < s->n_job; i += SL_TLM_BURST)
        read_ctl(s, s->job_off + i, s->n_job - i < SL_TLM_BURST ? s->n_job - i : SL_TLM_BURST);
    s->prep.at += SCANNED;
    s->prep.state = FETCH;
    return true;
}

static bool fetch(struct sl_tlm *s)
{
    const uint32_t i = s->prep.job;
    struct sl_tlm_progress *j = sl_tlm_job_at(s, i);
    if (i == s->n_job)
        return false;
    if (i >= SL_TLM_SLOTS) {
        if (s->retire.job <= i - SL_TLM_SLOTS)
            return false;
        s->prep.at = sl_tlm_later(s->prep.at, sl_tlm_job_at(s, i - SL_TLM_SLOTS)->retired + 1);
    }
    if (i > 0 && !read_ctl(s, s->job_off + i, 1))
        return false;
    *j = (struct sl_tlm_progress){0};
    sl_tlm_plan(&s->config, &s->jobs[i], &j->plan);
    const bool miss = s->jobs[i].status == SL_STATUS_MISS;
    s->prep.at += j->plan.runs || miss ? ITEMS : CHECKS;
    s->prep.state = !j->plan.runs && !miss ? PUBLISH
                    : j->plan.indirect     ? ROUTE
                    : j->plan.matrix       ? HEAD
                                           : PUBLISH;
    s->prep.at += s->prep.state == HEAD ? SLAB - (j->plan.n_pass == 1 ? ONE_REGION : 0) : 0;
    return true;
}

static bool route(struct sl_tlm *s)
{
    const struct sl_job *job = &s->jobs[s->prep.job].job;
    if (!read_ctl(s, job->route_off + job->route_token, 1))
        return false;
    s->prep.at += 2;
    s->prep.state = SLOT;
    return true;
}

static bool slot(struct sl_tlm *s)
{
    if (!read_ctl(s, s->jobs[s->prep.job].job.slot_off, 1))
        return false;
    const bool matrix = sl_tlm_job_at(s, s->prep.job)->plan.matrix;
    s->prep.at += 1 + (matrix ? SLAB : 0);
    s->prep.state = matrix ? HEAD : PUBLISH;
    return true;
}

static bool head(struct sl_tlm *s, bool urged)
{
    const struct sl_tlm_plan *plan = &sl_tlm_job_at(s, s->prep.job)->plan;
    if (!read_side(s, 1, urged))
        return false;
    s->prep.at += PASSES - (plan->n_pass == 1 ? NO_SLICE : 0);
    s->prep.state = plan->table_beats ? TABLES : ROOM;
    return true;
}

/* There is one copy of a router's tables: earlier jobs must be through. */
static bool tables(struct sl_tlm *s, bool urged)
{
    const uint32_t i = s->prep.job;
    if (s->retire.job < i)
        return false;
    if (i)
        s->prep.at = sl_tlm_later(s->prep.at, sl_tlm_job_at(s, i - 1)->retired + 1);
    if (!read_side(s, sl_tlm_job_at(s, i)->plan.table_beats, urged))
        return false;
    s->prep.state = ROOM;
    return true;
}

/* A half of the x memory that no job holds; both for a large x. */
static bool room(struct sl_tlm *s)
{
    const struct sl_tlm_plan *plan = &sl_tlm_job_at(s, s->prep.job)->plan;
    for (uint32_t h = 0; h < 2; h++) {
        const int64_t holder = s->prep.x_holder[h];
        if (holder < 0 || (plan->x_half == 1 && h != s->prep.half))
            continue;
        if ((uint32_t)holder >= s->array.job &&
            !(s->array.in_job && (uint32_t)holder == s->array.job && s->array.pass == 1))
            return false;
        if ((uint32_t)holder + SL_TLM_SLOTS >= s->prep.job)
            s->prep.at = sl_tlm_later(s->prep.at, sl_tlm_job_at(s, (uint32_t)holder)->x_done + 1);
    }
    for (uint32_t h = 0; h < 2; h++)
        if (plan->x_half == 2 || h == s->prep.half)
            s->prep.x_holder[h] = s->prep.job;
    s->prep.half ^= plan->x_half == 1;
    s->prep.state = plan->list ? LIST : LOAD;
    return true;
}

static bool list(struct sl_tlm *s)
{
    const struct sl_tlm_plan *plan = &sl_tlm_job_at(s, s->prep.job)->plan;
    if (!read_ctl(s, plan->job->job.list_off, (plan->n_tokens + 15) / 16))
        return false;
    s->prep.at += PER_TOKEN * plan->n_tokens;
    s->prep.state = LOAD;
    return true;
}

static bool load(struct sl_tlm *s)
{
    const struct sl_tlm_plan *plan = &sl_tlm_job_at(s, s->prep.job)->plan;
    const struct sl_job *job = &plan->job->job;
    const uint64_t span = (uint64_t)(plan->n_x - 1) * job->x_stride + plan->x_item;
    if (!plan->list && !wait_for_writers(s, job->x_off, span))
        return false;
    int64_t first, last = s->prep.at, at = s->prep.at + CTL_ASK;
    for (uint32_t i = 0; i < plan->n_x; i++)
        for (uint32_t b = 0; b < plan->x_item; b += SL_TLM_BURST, at += ASK_APART)
            sl_tlm_read(s, &s->ctl, at,
                        plan->x_item - b < SL_TLM_BURST ? plan->x_item - b : SL_TLM_BURST, &first,
                        &last);
    s->traffic.ctl_read += (uint64_t)plan->n_x * plan->x_item;
    s->prep.at = last + CTL_GOT;
    s->prep.state = PUBLISH;
    return true;
}

static bool publish(struct sl_tlm *s)
{
    struct sl_tlm_progress *j = sl_tlm_job_at(s, s->prep.job++);
    s->prep.at += END;
    j->published = s->prep.at;
    s->prep.state = FETCH;
    return true;
}

bool sl_tlm_prep_step(struct sl_tlm *s, bool urged)
{
    switch (s->prep.state) {
    case SCAN: return scan(s);
    case FETCH: return fetch(s);
    case ROUTE: return route(s);
    case SLOT: return slot(s);
    case HEAD: return head(s, urged);
    case TABLES: return tables(s, urged);
    case ROOM: return room(s);
    case LIST: return list(s);
    case LOAD: return load(s);
    default: return publish(s);
    }
}
