/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots and policy. The policy has fewer slots than there are: it says whom to keep, on tags of its
 * own, as if every load were its choice. The others hold what it passed by or has given up, the
 * longest unused going first: what is pinned at the moment, what was prefetched. So a policy never
 * has to know of pins, and an expert that it would rather not load does not push out one that it
 * keeps.
 */
#include "store/expert_memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/prefault.h"
#include "cache/policy.h"
#include "store/layout.h"

enum {
    DEADLINE_MS = 30000,
    MAX_PREFETCH = 32,                             /* under way */
    MAX_PINNED = SL_STORE_MAX_READ - MAX_PREFETCH, /* any of them may be a read */
    AHEAD = 16, /* slots whose pages are there before they are read into */
    LEARN = 40  /* STATIC learns from a tenth of this many accesses for each expert */
};

enum state { ON_DISK, IN_FLIGHT, RESIDENT, FAILED };

/* An expert. */
struct entry {
    enum state state;
    uint32_t slot;   /* IN_FLIGHT, RESIDENT */
    uint32_t handle; /* IN_FLIGHT */
    uint32_t pins;
    bool guessed;  /* prefetched, and not requested since */
    bool dropped;  /* IN_FLIGHT: given up, but the kernel still has some of it */
    int err;       /* FAILED */
    uint64_t used; /* time of the last request or prefetch */
};

struct sl_expert_memory {
    const struct sl_store *store;
    uint32_t n_layer, n_expert, n_slot;
    unsigned deadline_ms;
    uint64_t slot_bytes;
    uint8_t *arena;      /* [n_slot][slot_bytes]; NULL: the store's own slabs */
    struct sl_prefault *prefault;
    uint32_t *key;       /* [n_slot] whose slot it is, or SL_KEY_NONE */
    struct entry *entry; /* [n_layer * n_expert] */
    struct sl_policy *policy;
    uint32_t n_pinned, n_guess; /* different experts; prefetches under way */
    uint64_t now;
    uint32_t *handle; /* [n_expert] scratch of wait_any */
    uint32_t why_key; /* the last failure's expert, and its text */
    char why[320];
    struct sl_expert_memory_stats stats;
};

/* ---- open and close ------------------------------------------------------------------------- */

uint64_t sl_expert_memory_slot_bytes(const struct sl_store *store)
{
    const struct sl_slab_item item = {.n_beats = sl_store_expert(store, 0, 0).n_beats};
    return sl_slab_item_room(&item);
}

static int choose_slots(struct sl_expert_memory *m, uint64_t budget)
{
    const uint32_t least = sl_store_config(m->store)->n_expert_used;
    const uint32_t n_key = m->n_layer * m->n_expert;
    const uint64_t n = budget / m->slot_bytes;
    if (n < least)
        return sl_fail(SL_ERR_NOMEM, "give more memory, or choose a smaller format",
                       "experts in memory: %llu MiB hold %llu of the %u experts of a token; they "
                       "take %llu MiB",
                       (unsigned long long)(budget >> 20), (unsigned long long)n, least,
                       (unsigned long long)((least * m->slot_bytes + (1 << 20) - 1) >> 20));
    m->n_slot = n < n_key ? (uint32_t)n : n_key;
    return 0;
}

static int open_policy(struct sl_expert_memory *m, const char *name)
{
    const uint32_t used = sl_store_config(m->store)->n_expert_used;
    const uint32_t aside = m->n_slot >= 4 * used ? 2 * used : used;
    const uint32_t n_key = m->n_layer * m->n_expert;
    struct sl_policy_params p = {.n_slot = m->n_slot > aside ? m->n_slot - aside : 1,
                                 .n_key = n_key,
                                 .n_access = LEARN * n_key};
    int err = sl_policy_parse(&p.kind, name);
    return err ? err : sl_policy_open(&m->policy, &p);
}

static int open_slots(struct sl_expert_memory *m, const struct sl_expert_memory_params *p)
{
    m->slot_bytes = sl_expert_memory_slot_bytes(m->store);
    int err = choose_slots(m, p->budget ? p->budget : sl_store_expert_budget(m->store));
    err = err ? err : open_policy(m, p->policy);
    if (err)
        return err;
    m->key = sl_alloc(m->n_slot, sizeof *m->key);
    m->entry = sl_alloc((size_t)m->n_layer * m->n_expert, sizeof *m->entry);
    m->handle = sl_alloc(m->n_expert, sizeof *m->handle);
    if (!m->key || !m->entry || !m->handle)
        return SL_ERR_NOMEM;
    for (uint32_t i = 0; i < m->n_slot; i++)
        m->key[i] = SL_KEY_NONE;
    m->arena = sl_alloc_large(m->n_slot * m->slot_bytes);
    return !m->arena ? SL_ERR_NOMEM
                     : sl_prefault_open(&m->prefault, m->arena, m->n_slot * m->slot_bytes,
                                        AHEAD * m->slot_bytes);
}

int sl_expert_memory_open(struct sl_expert_memory **out,
                          const struct sl_expert_memory_params *params)
{
    const struct sl_config *c = sl_store_config(params->store);
    struct sl_expert_memory *m = sl_alloc(1, sizeof *m);
    if (!m)
        return SL_ERR_NOMEM;
    m->store = params->store;
    m->n_layer = c->n_layer;
    m->n_expert = c->n_expert;
    m->deadline_ms = params->deadline_ms ? params->deadline_ms : DEADLINE_MS;
    int err = sl_store_is_streamed(params->store) ? open_slots(m, params) : 0;
    if (err)
        sl_expert_memory_close(&m);
    else
        *out = m;
    return err;
}

void sl_expert_memory_close(struct sl_expert_memory **memory)
{
    struct sl_expert_memory *m = *memory;
    if (!m)
        return;
    for (uint32_t i = 0; m->arena && i < m->n_slot; i++) {
        const struct entry *e = m->key[i] == SL_KEY_NONE ? NULL : &m->entry[m->key[i]];
        /* The slots must stay until the kernel is done with them, however long that takes. */
        if (e && e->state == IN_FLIGHT)
            sl_reader_cancel(sl_store_reader(m->store), e->handle, UINT32_MAX);
    }
    sl_prefault_close(&m->prefault);
    free(m->arena);
    sl_policy_close(&m->policy);
    free(m->key);
    free(m->entry);
    free(m->handle);
    free(m);
    *memory = NULL;
}

bool sl_expert_memory_streams(const struct sl_expert_memory *memory)
{
    return memory->arena != NULL;
}

uint32_t sl_expert_memory_room(const struct sl_expert_memory *memory)
{
    const uint32_t most = memory->n_slot < MAX_PINNED ? memory->n_slot : MAX_PINNED;
    return memory->arena ? most - memory->n_pinned : UINT32_MAX;
}

void sl_expert_memory_get_stats(const struct sl_expert_memory *memory,
                                struct sl_expert_memory_stats *out)
{
    *out = memory->stats;
    out->n_slot = memory->n_slot;
    out->slot_bytes = memory->slot_bytes;
}

/* ---- slots ---------------------------------------------------------------------------------- */

static struct entry *find(const struct sl_expert_memory *m, uint32_t layer, uint32_t expert)
{
    assert(layer < m->n_layer && expert < m->n_expert);
    return &m->entry[layer * m->n_expert + expert];
}

static uint32_t key_of(const struct sl_expert_memory *m, const struct entry *e)
{
    return (uint32_t)(e - m->entry);
}

static void free_slot(struct sl_expert_memory *m, struct entry *e, enum state state)
{
    m->key[e->slot] = SL_KEY_NONE;
    e->state = state;
    m->stats.prefetch_wasted += e->guessed;
    e->guessed = false;
}

/* Keeps the error with the expert, and its text, which names the slab. */
static void note_failure(struct sl_expert_memory *m, struct entry *e, int err)
{
    const uint32_t key = key_of(m, e);
    const char *text = sl_error_message();
    char name[SL_SLAB_NAME_MAX];
    snprintf(name, sizeof name, "layers.%u.experts.%u", key / m->n_expert, key % m->n_expert);
    if (strstr(text, name))
        snprintf(m->why, sizeof m->why, "%s", text);
    else
        snprintf(m->why, sizeof m->why, "slab %s: %s", name, text);
    e->err = err;
    m->why_key = key;
}

/* What has arrived is checked; waits for it when deadline_ms is not 0. */
static void settle(struct sl_expert_memory *m, struct entry *e, unsigned deadline_ms)
{
    struct sl_reader *reader = sl_store_reader(m->store);
    const uint32_t key = key_of(m, e), layer = key / m->n_expert, expert = key % m->n_expert;
    uint64_t hash;
    if (e->state != IN_FLIGHT || (!deadline_ms && !sl_reader_ready(reader, e->handle)))
        return;
    int err = sl_reader_wait(reader, e->handle, deadline_ms, &hash);
    if (e->dropped && err != SL_ERR_TIMEOUT) {
        e->dropped = false;
        free_slot(m, e, ON_DISK);
        return;
    }
    const struct sl_slab *slab = (const void *)(m->arena + e->slot * m->slot_bytes);
    if (!err)
        err = sl_store_expert_check(m->store, layer, expert, slab, hash);
    if (err)
        note_failure(m, e, err);
    if (err == SL_ERR_TIMEOUT)
        return;
    m->n_guess -= e->guessed;
    if (err) {
        free_slot(m, e, FAILED);
    } else {
        e->state = RESIDENT;
        m->stats.bytes_read += sl_store_expert_place(m->store, layer, expert).bytes;
    }
}

/* How willingly a slot is given: the lower, the sooner. */
enum claim { EMPTY, GIVEN_UP, KEPT, UNDER_WAY, PINNED };

static enum claim claim_of(struct sl_expert_memory *m, uint32_t slot)
{
    if (m->key[slot] == SL_KEY_NONE)
        return EMPTY;
    struct entry *e = &m->entry[m->key[slot]];
    if (e->pins)
        return PINNED;
    settle(m, e, 0);
    if (m->key[slot] == SL_KEY_NONE)
        return EMPTY;
    if (e->state == IN_FLIGHT)
        return UNDER_WAY;
    return sl_policy_has(m->policy, m->key[slot]) ? KEPT : GIVEN_UP;
}

/* The slot that is given up most willingly, longest unused first, or n_slot when all are claimed
 * more than `most`. */
static uint32_t choose_slot(struct sl_expert_memory *m, enum claim most)
{
    uint32_t best = m->n_slot;
    enum claim least = PINNED;
    for (uint32_t i = 0; i < m->n_slot; i++) {
        const enum claim claim = claim_of(m, i);
        if (claim > most || claim > least)
            continue;
        if (claim == EMPTY)
            return i;
        if (best == m->n_slot || claim < least ||
            m->entry[m->key[i]].used < m->entry[m->key[best]].used)
            best = i;
        least = claim;
    }
    return best;
}

/* Makes the slot free: its read is given up, its expert forgotten. SL_ERR_TIMEOUT. */
static int vacate(struct sl_expert_memory *m, uint32_t slot)
{
    if (m->key[slot] == SL_KEY_NONE)
        return 0;
    struct entry *e = &m->entry[m->key[slot]];
    if (e->state == IN_FLIGHT) {
        int err = sl_reader_cancel(sl_store_reader(m->store), e->handle, m->deadline_ms);
        m->n_guess -= e->guessed;
        e->dropped = err != 0;
        if (err) {
            m->stats.prefetch_wasted += e->guessed;
            e->guessed = false;
            return err;
        }
    } else {
        m->stats.evictions++;
    }
    free_slot(m, e, ON_DISK);
    return 0;
}

/* Reads an expert into a slot that is claimed by `most` at most. *begun: false where there is
 * none. */
static int begin_read(struct sl_expert_memory *m, struct entry *e, enum claim most, bool *begun)
{
    const uint32_t key = key_of(m, e), slot = choose_slot(m, most);
    *begun = slot < m->n_slot;
    int err = *begun ? vacate(m, slot) : 0;
    if (err || !*begun)
        return err;
    const struct sl_expert_place place =
        sl_store_expert_place(m->store, key / m->n_expert, key % m->n_expert);
    const struct sl_read read = {.file = place.file,
                                 .offset = place.offset,
                                 .bytes = place.bytes,
                                 .dst = m->arena + slot * m->slot_bytes,
                                 .hash = true,
                                 .low = e->guessed};
    err = sl_reader_submit(sl_store_reader(m->store), &read, &e->handle);
    if (err)
        return err;
    sl_prefault_used(m->prefault, (slot + 1) * m->slot_bytes);
    m->key[slot] = key;
    e->slot = slot;
    e->state = IN_FLIGHT;
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* An expert that is now pinned. */
static void fetch(struct sl_expert_memory *m, struct entry *e)
{
    bool begun;
    /* What was given up has to be read anew, behind the kernel's answer. */
    settle(m, e, e->dropped ? m->deadline_ms : 0);
    const bool hit = e->state == RESIDENT || e->state == IN_FLIGHT;
    m->stats.requests++;
    m->stats.hits += hit;
    m->stats.misses += !hit;
    m->stats.prefetch_hits += e->guessed;
    if (e->state == IN_FLIGHT && e->guessed) {
        sl_reader_raise(sl_store_reader(m->store), e->handle);
        m->n_guess--;
    }
    e->guessed = false;
    if (hit)
        return;
    /* No more are pinned than there are slots: one is free, or not pinned. */
    int err = begin_read(m, e, UNDER_WAY, &begun);
    assert(err || begun);
    if (err) { /* wait tells; meanwhile the others go on */
        note_failure(m, e, err);
        e->state = FAILED;
    }
}

static int pin(struct sl_expert_memory *m, uint32_t layer, const uint32_t *experts, size_t n)
{
    uint32_t more = 0;
    for (size_t i = 0; i < n; i++)
        more += find(m, layer, experts[i])->pins == 0;
    if (more > sl_expert_memory_room(m))
        return sl_fail(SL_ERR_USAGE, "request fewer at a time",
                       "experts in memory: %u more do not fit beside %u pinned of %u slots", more,
                       m->n_pinned, m->n_slot);
    for (size_t i = 0; i < n; i++) {
        struct entry *e = find(m, layer, experts[i]);
        e->pins++;
        e->used = m->now++;
        sl_policy_access(m->policy, key_of(m, e));
    }
    m->n_pinned += more;
    return 0;
}

int sl_expert_memory_request(struct sl_expert_memory *memory, uint32_t layer,
                             const uint32_t *experts, size_t n)
{
    if (!memory->arena) {
        memory->stats.requests += n;
        memory->stats.hits += n;
        return 0;
    }
    int err = pin(memory, layer, experts, n);
    for (size_t i = 0; i < n && !err; i++)
        fetch(memory, find(memory, layer, experts[i]));
    return err;
}

void sl_expert_memory_release(struct sl_expert_memory *memory, uint32_t layer,
                              const uint32_t *experts, size_t n)
{
    for (size_t i = 0; memory->arena && i < n; i++) {
        struct entry *e = find(memory, layer, experts[i]);
        assert(e->pins > 0);
        if (--e->pins > 0)
            continue;
        memory->n_pinned--;
        settle(memory, e, 0);
        if (e->state == IN_FLIGHT) /* nobody waits for it; a timeout leaves it under way */
            vacate(memory, e->slot);
    }
}

void sl_expert_memory_prefetch(struct sl_expert_memory *memory, uint32_t layer, uint32_t expert,
                               bool sure)
{
    struct sl_expert_memory *m = memory;
    struct entry *e = m->arena ? find(m, layer, expert) : NULL;
    bool begun;
    for (uint32_t i = 0; e && m->n_guess == MAX_PREFETCH && i < m->n_slot; i++)
        claim_of(m, i); /* settles */
    if (!e || e->pins || e->state == IN_FLIGHT || e->state == RESIDENT ||
        m->n_guess == MAX_PREFETCH)
        return;
    e->guessed = true;
    e->used = m->now++;
    if (begin_read(m, e, sure ? KEPT : GIVEN_UP, &begun) || !begun) {
        e->guessed = false;
        return;
    }
    m->n_guess++;
    m->stats.prefetches++;
}

/* ---- waits ---------------------------------------------------------------------------------- */

bool sl_expert_memory_ready(const struct sl_expert_memory *memory, uint32_t layer, uint32_t expert)
{
    if (!memory->arena)
        return true;
    const struct entry *e = find(memory, layer, expert);
    return e->state != IN_FLIGHT || sl_reader_ready(sl_store_reader(memory->store), e->handle);
}

static int tell(const struct sl_expert_memory *m, const struct entry *e)
{
    static const char *const hint[] = {"is the disk still there?",
                                       "the file is damaged; convert the model again"};
    const uint32_t key = key_of(m, e);
    if (m->why_key == key)
        return sl_fail((enum sl_err)e->err, hint[e->err == SL_ERR_FORMAT], "%s", m->why);
    return sl_fail((enum sl_err)e->err, hint[e->err == SL_ERR_FORMAT],
                   "slab layers.%u.experts.%u: could not be read", key / m->n_expert,
                   key % m->n_expert);
}

int sl_expert_memory_wait(struct sl_expert_memory *memory, uint32_t layer, uint32_t expert,
                          struct sl_slab_ref *out)
{
    struct sl_expert_memory *m = memory;
    struct sl_slab_ref slab = sl_store_expert(m->store, layer, expert);
    if (m->arena) {
        struct entry *e = find(m, layer, expert);
        assert(e->pins > 0);
        const uint64_t begin = sl_now_ns();
        settle(m, e, m->deadline_ms);
        m->stats.wait_s += (double)(sl_now_ns() - begin) * 1e-9;
        if (e->state != RESIDENT)
            return tell(m, e);
        slab.header = (const void *)(m->arena + e->slot * m->slot_bytes);
    }
    *out = slab;
    return 0;
}

int sl_expert_memory_read(struct sl_expert_memory *memory, uint32_t layer, uint32_t expert,
                          void *dst)
{
    struct sl_reader *reader = sl_store_reader(memory->store);
    const struct sl_expert_place place = sl_store_expert_place(memory->store, layer, expert);
    const struct sl_read read = {
        .file = place.file, .offset = place.offset, .bytes = place.bytes, .dst = dst, .hash = true};
    uint32_t handle;
    uint64_t hash;
    int err = sl_reader_submit(reader, &read, &handle);
    if (err)
        return err;
    err = sl_reader_wait(reader, handle, memory->deadline_ms, &hash);
    if (err == SL_ERR_TIMEOUT) /* dst must stay until the kernel is done with it */
        sl_reader_cancel(reader, handle, UINT32_MAX);
    return err ? err : sl_store_expert_check(memory->store, layer, expert, dst, hash);
}

int sl_expert_memory_wait_any(struct sl_expert_memory *memory, uint32_t layer,
                              const uint32_t *experts, size_t n, size_t *index)
{
    struct sl_expert_memory *m = memory;
    assert(n > 0 && (!m->arena || n <= m->n_expert));
    for (size_t i = 0; i < n; i++) {
        if (sl_expert_memory_ready(m, layer, experts[i])) {
            *index = i;
            return 0;
        }
        m->handle[i] = find(m, layer, experts[i])->handle;
    }
    const uint64_t begin = sl_now_ns();
    int err = sl_reader_wait_any(sl_store_reader(m->store), m->handle, n, m->deadline_ms, index);
    m->stats.wait_s += (double)(sl_now_ns() - begin) * 1e-9;
    return err;
}
