/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/slots.h"

#include <stdlib.h>
#include <string.h>

#include "accel/upload.h"
#include "base/err.h"
#include "cache/policy.h"
#include "fabric/fabric_state.h"
#include "store/slab.h"

enum { MAX_QUEUE = 4 }; /* more would be old when their turn comes */
#define FREE UINT32_MAX /* no expert */

/* An expert that is to move in; its slab is requested as long as it is here. */
struct move {
    uint32_t layer, expert;
};

struct slot {
    uint32_t w_off, place; /* place: of the expert that lies there, or FREE */
};

struct sl_slots {
    struct sl_member *m;
    struct sl_expert_memory *experts; /* borrowed */
    struct sl_policy *policy;         /* NULL: fixed */
    struct slot *all;                 /* [n_slot] */
    uint32_t n_slot, hand;            /* hand: where the search for a victim goes on */
    struct move queue[MAX_QUEUE];
    uint32_t n_queue;
    struct sl_upload up;
    struct move what;           /* is on its way */
    struct slot *slot;          /* to there; NULL: nothing is */
    const struct sl_slab *slab; /* that push has to begin with; NULL: it has begun */
    struct sl_slots_stats stats;
};

/* ---- numbers --------------------------------------------------------------------------------- */

/* Experts of the card's own layers, densely: the policy's keys. */
static uint32_t key_of(const struct sl_slots *s, struct move e)
{
    const struct sl_fabric *f = s->m->fabric;
    return e.layer / f->n_card * f->config->n_expert + e.expert;
}

static uint32_t place_of(const struct sl_slots *s, struct move e)
{
    return sl_place_of(s->m->fabric, e.layer, SL_PLACE_EXPERT + e.expert);
}

static struct move expert_at(const struct sl_slots *s, uint32_t place)
{
    const uint32_t per_layer = SL_PLACE_EXPERT + s->m->fabric->config->n_expert;
    return (struct move){(place - 1) / per_layer, (place - 1) % per_layer - SL_PLACE_EXPERT};
}

static bool is_wanted(const struct sl_slots *s, struct move e)
{
    return sl_policy_has(s->policy, key_of(s, e));
}

/* ---- the queue ------------------------------------------------------------------------------- */

static bool same(struct move a, struct move b)
{
    return a.layer == b.layer && a.expert == b.expert;
}

static bool is_moving(const struct sl_slots *s, struct move e)
{
    for (uint32_t i = 0; i < s->n_queue; i++)
        if (same(s->queue[i], e))
            return true;
    return s->slot && same(s->what, e);
}

/* Pins must leave room for what a token chooses. */
static bool may_pin(const struct sl_slots *s)
{
    const uint32_t top_k = s->m->fabric->config->n_expert_used;
    return s->n_queue < MAX_QUEUE && sl_expert_memory_room(s->experts) > 2 * top_k + MAX_QUEUE;
}

static void unpin(struct sl_slots *s, struct move e)
{
    sl_expert_memory_release(s->experts, e.layer, &e.expert, 1);
}

void sl_slots_saw(struct sl_slots *s, uint32_t layer, uint32_t expert)
{
    const struct move e = {layer, expert};
    if (!s->policy)
        return;
    sl_policy_access(s->policy, key_of(s, e));
    if (s->m->w_off[place_of(s, e)] != SL_NOT_RESIDENT || is_moving(s, e))
        return;
    if (!is_wanted(s, e))
        s->stats.passed_by++;
    else if (!may_pin(s) || sl_expert_memory_request(s->experts, layer, &expert, 1))
        s->stats.put_off++;
    else
        s->queue[s->n_queue++] = e;
}

/* The oldest of the queue that the policy still wants. */
static bool next_move(struct sl_slots *s, struct move *out)
{
    while (s->n_queue) {
        *out = s->queue[0];
        memmove(s->queue, s->queue + 1, --s->n_queue * sizeof *s->queue);
        if (is_wanted(s, *out))
            return true;
        unpin(s, *out);
        s->stats.passed_by++;
    }
    return false;
}

/* ---- an upload ------------------------------------------------------------------------------- */

/* A slot that is free, or whose expert the policy has given up; NULL: none. */
static struct slot *find_slot(struct sl_slots *s)
{
    for (uint32_t i = 0; i < s->n_slot; i++) {
        struct slot *slot = &s->all[(s->hand + i) % s->n_slot];
        if (slot->place != FREE && is_wanted(s, expert_at(s, slot->place)))
            continue;
        s->hand = (s->hand + i + 1) % s->n_slot;
        return slot;
    }
    return NULL;
}

static int vacate(struct sl_slots *s, struct slot *slot)
{
    if (slot->place == FREE)
        return 0;
    const struct move e = expert_at(s, slot->place);
    s->m->w_off[slot->place] = SL_NOT_RESIDENT;
    slot->place = FREE;
    return sl_member_write_slot_table(s->m, e.layer);
}

static int begin(struct sl_slots *s)
{
    struct sl_slab_ref slab;
    struct move e;
    if (!next_move(s, &e))
        return 0;
    struct slot *slot = find_slot(s);
    int err = slot ? sl_expert_memory_wait(s->experts, e.layer, e.expert, &slab) : 0;
    if (err || !slot) { /* a damaged slab is told to whom it is needed by */
        unpin(s, e);
        s->stats.failed++;
        return 0;
    }
    err = vacate(s, slot);
    s->what = e;
    s->slot = slot;
    s->slab = slab.header;
    return err;
}

void sl_slots_push(struct sl_slots *s)
{
    if (s->slot && s->slab)
        sl_upload_begin(&s->up, s->slab, s->up.image ? s->slot->w_off : place_of(s, s->what));
    s->slab = NULL;
    if (s->slot)
        sl_upload_push(&s->up, 1);
}

bool sl_slots_moving(const struct sl_slots *s)
{
    return s->slot;
}

static int finish(struct sl_slots *s)
{
    struct slot *slot = s->slot;
    const uint64_t bytes = sl_slab_beats(s->up.slab) * SL_BEAT_BYTES;
    const int err = sl_upload_end(&s->up);
    unpin(s, s->what);
    s->slot = NULL;
    if (err) {
        s->stats.failed++; /* the slot stays free */
        return 0;
    }
    const uint32_t place = place_of(s, s->what);
    s->m->w_off[place] = s->up.w_off;
    const int late = sl_member_write_slot_table(s->m, s->what.layer);
    if (late) { /* what the host takes for held the card must hold */
        s->m->w_off[place] = SL_NOT_RESIDENT;
        return late;
    }
    slot->place = place;
    s->stats.promoted++;
    s->stats.bytes += bytes;
    return 0;
}

void sl_slots_turn(struct sl_slots *s)
{
    int err = 0;
    if (!s->policy)
        return;
    if (s->slot && !s->slab && sl_upload_arrived(&s->up))
        err = finish(s);
    if (!err && !s->slot)
        err = begin(s);
    if (err) /* the device is lost: the next launch says so */
        sl_slots_stop(s);
}

/* ---- open and close -------------------------------------------------------------------------- */

void sl_slots_stop(struct sl_slots *s)
{
    while (s->n_queue)
        unpin(s, s->queue[--s->n_queue]);
    if (s->slot)
        unpin(s, s->what);
    s->slot = NULL;
    s->slab = s->up.slab = NULL;
    sl_policy_close(&s->policy);
}

static int open_policy(struct sl_slots *s, const char *name)
{
    const struct sl_fabric *f = s->m->fabric;
    const uint32_t own = (f->config->n_layer + f->n_card - 1) / f->n_card;
    struct sl_policy_params p = {.n_slot = s->n_slot, .n_key = own * f->config->n_expert};
    int err = sl_policy_parse(&p.kind, name);
    /* What learns from the begin of a trace that it knows the length of has nothing to learn here:
     * the first contents stay. */
    if (err || p.kind == SL_POLICY_STATIC || !s->n_slot || f->n_resident == f->config->n_expert)
        return err;
    return sl_policy_open(&s->policy, &p);
}

static int collect_slots(struct sl_slots *s)
{
    const struct sl_fabric *f = s->m->fabric;
    s->all = sl_alloc((size_t)f->config->n_layer * f->config->n_expert, sizeof *s->all);
    for (uint32_t l = 0; s->all && l < f->config->n_layer; l++)
        for (uint32_t e = 0; e < f->config->n_expert; e++) {
            const uint32_t place = sl_place_of(f, l, SL_PLACE_EXPERT + e);
            if (s->m->w_off[place] != SL_NOT_RESIDENT)
                s->all[s->n_slot++] = (struct slot){s->m->w_off[place], place};
        }
    return s->all ? 0 : SL_ERR_NOMEM;
}

int sl_slots_open(struct sl_slots **out, struct sl_member *m, const char *policy)
{
    struct sl_slots *s = sl_alloc(1, sizeof *s);
    if (!s)
        return SL_ERR_NOMEM;
    s->m = m;
    s->experts = m->fabric->experts;
    int err = collect_slots(s);
    err = err ? err : open_policy(s, policy);
    err = err ? err : sl_upload_open(&s->up, m->dev, &m->fabric->expert);
    s->stats.n_slot = s->n_slot;
    if (err)
        sl_slots_close(&s);
    else
        *out = s;
    return err;
}

void sl_slots_close(struct sl_slots **slots)
{
    struct sl_slots *s = *slots;
    if (!s)
        return;
    sl_slots_stop(s);
    sl_upload_close(&s->up);
    free(s->all);
    free(s);
    *slots = NULL;
}

void sl_slots_get_stats(const struct sl_slots *s, struct sl_slots_stats *out)
{
    *out = s->stats;
}
