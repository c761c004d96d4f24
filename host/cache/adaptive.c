/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adaptive policy, after R. Subramanian, Y. Smaragdakis, G. H. Loh, "Adaptive caches: effective
 * shaping of cache behavior to workloads" (MICRO 2006): each component runs on tags alone, as if
 * the slots were its own; on a miss the real slots do what the component would that hit most
 * of late, and what they evict is something which that component does not hold. So they come to
 * hold what it holds, one miss at a time, without a change of policy ever moving anything by
 * itself.
 */
#include "cache/policy.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/err.h"

enum { N_PART = 3, MEMORY = 32, MIN_MEMORY = 64 };
/* How much more another must have hit to lead, in parts of the leader's hits or misses, whichever
 * are fewer: less is noise. */
static const double slack = 0.02;
static const enum sl_policy_kind kinds[N_PART] = {SL_POLICY_LRU, SL_POLICY_LFU, SL_POLICY_FREQUENT};

/* Keys in a real slot that a component does not hold, oldest first. Node n_key is the list's
 * head. */
struct strangers {
    uint32_t *before, *behind; /* [n_key + 1] */
    bool *in;                  /* [n_key] */
};

struct sl_adaptive {
    uint32_t n_slot, n_key, n_used;
    bool *has; /* [n_key] */
    struct part {
        struct sl_policy *policy;
        struct strangers strangers;
        double hits; /* of late */
    } part[N_PART];
    double accesses; /* of late */
    double fade;
    unsigned leader;
};

/* ---- lists ---------------------------------------------------------------------------------- */

static int strangers_open(struct strangers *s, uint32_t n_key)
{
    s->before = sl_alloc((size_t)n_key + 1, sizeof *s->before);
    s->behind = sl_alloc((size_t)n_key + 1, sizeof *s->behind);
    s->in = sl_alloc(n_key, sizeof *s->in);
    if (!s->before || !s->behind || !s->in)
        return SL_ERR_NOMEM;
    s->before[n_key] = s->behind[n_key] = n_key;
    return 0;
}

static void strangers_set(struct strangers *s, uint32_t n_key, uint32_t key, bool in)
{
    if (in == s->in[key])
        return;
    s->in[key] = in;
    if (in) {
        s->before[key] = s->before[n_key];
        s->behind[key] = n_key;
    }
    s->behind[s->before[key]] = in ? key : s->behind[key];
    s->before[s->behind[key]] = in ? key : s->before[key];
}

/* ---- open and close ------------------------------------------------------------------------- */

int sl_adaptive_open(struct sl_adaptive **out, const struct sl_policy_params *params)
{
    struct sl_adaptive *a = sl_alloc(1, sizeof *a);
    if (!a)
        return SL_ERR_NOMEM;
    const double memory = (double)MEMORY * params->n_slot;
    a->n_slot = params->n_slot;
    a->n_key = params->n_key;
    a->fade = exp2(-1 / (memory < MIN_MEMORY ? MIN_MEMORY : memory));
    a->has = sl_alloc(params->n_key, sizeof *a->has);
    int err = a->has ? 0 : SL_ERR_NOMEM;
    for (unsigned i = 0; i < N_PART && !err; i++) {
        struct sl_policy_params p = *params;
        p.kind = kinds[i];
        err = sl_policy_open(&a->part[i].policy, &p);
        err = err ? err : strangers_open(&a->part[i].strangers, params->n_key);
    }
    if (err)
        sl_adaptive_close(&a);
    else
        *out = a;
    return err;
}

void sl_adaptive_close(struct sl_adaptive **adaptive)
{
    struct sl_adaptive *a = *adaptive;
    if (!a)
        return;
    for (unsigned i = 0; i < N_PART; i++) {
        sl_policy_close(&a->part[i].policy);
        free(a->part[i].strangers.before);
        free(a->part[i].strangers.behind);
        free(a->part[i].strangers.in);
    }
    free(a->has);
    free(a);
    *adaptive = NULL;
}

bool sl_adaptive_has(const struct sl_adaptive *adaptive, uint32_t key)
{
    return adaptive->has[key];
}

/* ---- accesses ------------------------------------------------------------------------------- */

/* A key's place in the lists, from who holds it. */
static void place(struct sl_adaptive *a, uint32_t key)
{
    for (unsigned i = 0; i < N_PART; i++)
        strangers_set(&a->part[i].strangers, a->n_key, key,
                      a->has[key] && !sl_policy_has(a->part[i].policy, key));
}

/* The components' own step, and who leads. */
static void follow(struct sl_adaptive *a, uint32_t key)
{
    for (unsigned i = 0; i < N_PART; i++) {
        struct part *part = &a->part[i];
        const struct sl_policy_step step = sl_policy_access(part->policy, key);
        part->hits = part->hits * a->fade + step.hit;
        if (step.evicted != SL_KEY_NONE)
            strangers_set(&part->strangers, a->n_key, step.evicted, a->has[step.evicted]);
    }
    a->accesses = a->accesses * a->fade + 1;
    const double hits = a->part[a->leader].hits, misses = a->accesses - hits;
    const double enough = hits + slack * (hits < misses ? hits : misses);
    unsigned best = a->leader;
    for (unsigned i = 0; i < N_PART; i++)
        if (a->part[i].hits > enough && a->part[i].hits > a->part[best].hits)
            best = i;
    a->leader = best;
}

struct sl_policy_step sl_adaptive_access(struct sl_adaptive *adaptive, uint32_t key)
{
    struct sl_adaptive *a = adaptive;
    struct sl_policy_step step = {.hit = a->has[key], .evicted = SL_KEY_NONE};
    follow(a, key);
    const struct part *leader = &a->part[a->leader];
    if (!step.hit && a->n_used < a->n_slot) {
        step.loaded = true;
        a->n_used++;
    } else if (!step.hit && sl_policy_has(leader->policy, key)) {
        /* It holds the new key, so at most n_slot - 1 of ours: there is a stranger. */
        step.evicted = leader->strangers.behind[a->n_key];
        assert(step.evicted != a->n_key);
        step.loaded = true;
        a->has[step.evicted] = false;
        place(a, step.evicted);
    }
    a->has[key] = step.hit || step.loaded;
    place(a, key);
    return step;
}
