/* SPDX-License-Identifier: Apache-2.0 */
/* Every policy but the adaptive one is a rank for each key in its slot: the least is evicted. */
#include "cache/policy.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "cache/heap.h"

/* Counts halve in as many accesses as there are slots, times this; larger pools see each of their
 * keys more rarely. */
enum { LFU_AGE = 8, FREQUENT_AGE = 64, MIN_HALF_LIFE = 64, STATIC_SHARE = 10 };

/* FREQUENT: what a new key's count must exceed, in counts of what it would evict. Without it keys
 * of equal frequency evict each other in turn. */
static const double frequent_margin = 1.5;
/* Instead of all counts shrinking, what is added grows; above the limit everything is scaled. */
static const double add_limit = 0x1p512, add_scale = 0x1p-512;

struct sl_policy {
    struct sl_policy_params p;
    struct sl_adaptive *adaptive; /* ADAPTIVE: nothing else is used */
    struct sl_heap slots, best;   /* best: STATIC's, of what it has learnt */
    uint64_t now;                 /* accesses so far */
    double *count;                /* [n_key]; LFU, FREQUENT, STATIC while it learns */
    bool *chosen;                 /* [n_key]; STATIC */
    double add, growth;           /* of counts */
    uint64_t learn;               /* STATIC: accesses it learns from */
};

/* ---- open and close ------------------------------------------------------------------------- */

static double growth_of(const struct sl_policy_params *p)
{
    const int age = p->kind == SL_POLICY_LFU ? LFU_AGE : FREQUENT_AGE;
    const double half_life = (double)age * p->n_slot;
    if (p->kind == SL_POLICY_STATIC)
        return 1;
    return exp2(1 / (half_life < MIN_HALF_LIFE ? MIN_HALF_LIFE : half_life));
}

int sl_policy_open(struct sl_policy **out, const struct sl_policy_params *params)
{
    assert(params->n_slot > 0 && params->n_key > 0);
    struct sl_policy *y = sl_alloc(1, sizeof *y);
    if (!y)
        return SL_ERR_NOMEM;
    y->p = *params;
    y->add = 1;
    y->growth = growth_of(params);
    y->learn = params->n_access / STATIC_SHARE + (params->n_access % STATIC_SHARE != 0);
    int err = 0;
    if (params->kind == SL_POLICY_ADAPTIVE) {
        err = sl_adaptive_open(&y->adaptive, params);
    } else {
        err = sl_heap_open(&y->slots, params->n_key);
        if (!err && params->kind == SL_POLICY_STATIC)
            err = sl_heap_open(&y->best, params->n_key);
        y->count = err ? NULL : sl_alloc(params->n_key, sizeof *y->count);
        y->chosen = err ? NULL : sl_alloc(params->n_key, sizeof *y->chosen);
        err = !err && (!y->count || !y->chosen) ? SL_ERR_NOMEM : err;
    }
    if (err)
        sl_policy_close(&y);
    else
        *out = y;
    return err;
}

void sl_policy_close(struct sl_policy **policy)
{
    struct sl_policy *y = *policy;
    if (!y)
        return;
    sl_adaptive_close(&y->adaptive);
    sl_heap_close(&y->slots);
    sl_heap_close(&y->best);
    free(y->count);
    free(y->chosen);
    free(y);
    *policy = NULL;
}

/* ---- ranks ---------------------------------------------------------------------------------- */

static void scale_counts(struct sl_policy *y)
{
    for (uint32_t k = 0; k < y->p.n_key; k++) {
        y->count[k] *= add_scale;
        y->slots.rank[k].value *= add_scale;
    }
    y->add *= add_scale;
    sl_heap_restore(&y->slots); /* what has become zero is ordered by time now */
}

static double count(struct sl_policy *y, uint32_t key)
{
    y->count[key] += y->add;
    y->add *= y->growth;
    if (y->add > add_limit)
        scale_counts(y);
    return y->count[key];
}

/* STATIC has learnt: the n_slot most frequent keys are chosen, lower ones first among equals. */
static void choose(struct sl_policy *y)
{
    struct sl_heap *best = &y->best;
    for (uint32_t k = 0; k < y->p.n_key; k++) {
        if (y->count[k] == 0)
            continue;
        sl_heap_put(best, k, (struct sl_rank){y->count[k], y->p.n_key - k});
        if (best->n > y->p.n_slot)
            sl_heap_remove(best, best->key[0]);
    }
    for (uint32_t i = 0; i < best->n; i++) {
        const uint32_t key = best->key[i];
        y->chosen[key] = true;
        if (sl_heap_has(&y->slots, key))
            sl_heap_put(&y->slots, key, (struct sl_rank){1, 0});
    }
}

static struct sl_rank rank_static(struct sl_policy *y, uint32_t key)
{
    if (y->now == y->learn)
        choose(y);
    if (y->now < y->learn)
        count(y, key);
    return (struct sl_rank){y->chosen[key] ? 1 : 0, 0};
}

static struct sl_rank rank_now(struct sl_policy *y, uint32_t key)
{
    switch (y->p.kind) {
    case SL_POLICY_LRU: return (struct sl_rank){0, y->now};
    case SL_POLICY_STATIC: return rank_static(y, key);
    case SL_POLICY_BELADY: return (struct sl_rank){-(double)y->p.next[y->now], 0};
    default: return (struct sl_rank){count(y, key), y->now};
    }
}

/* ---- accesses ------------------------------------------------------------------------------- */

/* A key of this value, where the least value in the slots is `least`. */
static bool passes_by(const struct sl_policy *y, double value, double least)
{
    switch (y->p.kind) {
    case SL_POLICY_STATIC:
    case SL_POLICY_BELADY: return value <= least;
    case SL_POLICY_FREQUENT: return value <= frequent_margin * least;
    default: return false;
    }
}

static struct sl_policy_step load(struct sl_policy *y, uint32_t key, struct sl_rank rank)
{
    struct sl_policy_step step = {.loaded = true, .evicted = SL_KEY_NONE};
    if (y->slots.n == y->p.n_slot) {
        step.evicted = y->slots.key[0];
        if (passes_by(y, rank.value, y->slots.rank[step.evicted].value))
            return (struct sl_policy_step){.evicted = SL_KEY_NONE};
        sl_heap_remove(&y->slots, step.evicted);
    }
    sl_heap_put(&y->slots, key, rank);
    return step;
}

struct sl_policy_step sl_policy_access(struct sl_policy *policy, uint32_t key)
{
    struct sl_policy *y = policy;
    if (y->adaptive)
        return sl_adaptive_access(y->adaptive, key);
    struct sl_policy_step step = {.hit = sl_heap_has(&y->slots, key), .evicted = SL_KEY_NONE};
    const struct sl_rank rank = rank_now(y, key);
    if (step.hit)
        sl_heap_put(&y->slots, key, rank);
    else
        step = load(y, key, rank);
    y->now++;
    return step;
}

bool sl_policy_has(const struct sl_policy *policy, uint32_t key)
{
    return policy->adaptive ? sl_adaptive_has(policy->adaptive, key)
                            : sl_heap_has(&policy->slots, key);
}

void sl_policy_next_use(uint32_t *out, const uint32_t *key, uint32_t n, uint32_t *last,
                        uint32_t n_key)
{
    for (uint32_t k = 0; k < n_key; k++)
        last[k] = n;
    for (uint32_t i = n; i-- > 0;) {
        out[i] = last[key[i]];
        last[key[i]] = i;
    }
}
