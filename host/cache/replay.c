/* SPDX-License-Identifier: Apache-2.0 */
/* A trace against one policy. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cache/lookahead.h"
#include "cache/policy.h"

enum { TICK = 1 << 16 };

static const char *const names[] = {"lru", "lfu", "static", "adaptive", "belady", "lookahead"};
enum { N_NAME = sizeof names / sizeof names[0], LOOKAHEAD = N_NAME - 1 };
/* The first names are the first kinds. */
_Static_assert(SL_POLICY_BELADY == LOOKAHEAD - 1, "names and kinds differ");

const char *sl_residency_policy(size_t index)
{
    return index < N_NAME ? names[index] : NULL;
}

int sl_policy_parse(enum sl_policy_kind *out, const char *name)
{
    for (int i = 0; i < SL_POLICY_BELADY; i++)
        if (!strcmp(name ? name : "adaptive", names[i])) {
            *out = (enum sl_policy_kind)i;
            return 0;
        }
    return sl_fail(SL_ERR_USAGE, "choose one of lru, lfu, static, adaptive",
                   "policy %.40s: not known", name);
}

static int replay(const struct sl_routes *r, const struct sl_residency_params *p,
                  struct sl_policy *policy, struct sl_residency *out)
{
    struct sl_residency sum = {.n_access = r->info.n_access};
    for (uint64_t i = 0; i < r->info.n_access; i++) {
        if (p->progress && i % TICK == 0 &&
            !p->progress(p->progress_user, p->what ? p->what : p->policy, i, r->info.n_access))
            return sl_fail(SL_ERR_INTERRUPTED, NULL, "%s: stopped", p->policy);
        const struct sl_policy_step step = sl_policy_access(policy, r->key[i]);
        sum.n_hit += step.hit;
        sum.n_load += step.loaded;
    }
    sum.n_miss = sum.n_access - sum.n_hit;
    *out = sum;
    return 0;
}

/* Of the policies that know the future. */
static int next_use(const struct sl_routes *r, uint32_t **out)
{
    uint32_t *next = sl_alloc(r->info.n_access, sizeof *next);
    uint32_t *last = sl_alloc(r->info.n_key, sizeof *last);
    const bool ok = next && last;
    if (ok)
        sl_policy_next_use(next, r->key, (uint32_t)r->info.n_access, last, r->info.n_key);
    else
        free(next);
    free(last);
    *out = ok ? next : NULL;
    return ok ? 0 : SL_ERR_NOMEM;
}

int sl_routes_replay(const struct sl_routes *routes, const struct sl_residency_params *params,
                     struct sl_residency *out)
{
    size_t kind = 0;
    while (kind < N_NAME && strcmp(names[kind], params->policy))
        kind++;
    if (kind == N_NAME)
        return sl_fail(SL_ERR_USAGE, "lru, lfu, static, adaptive, belady, lookahead",
                       "policy %.40s: not known", params->policy);
    if (params->n_slot == 0)
        return sl_fail(SL_ERR_USAGE, "give at least one", "slots: 0");
    const uint32_t n_key = routes->info.n_key;
    /* More slots than keys are never filled. */
    const uint32_t n_slot = params->n_slot < n_key ? (uint32_t)params->n_slot : n_key;
    uint32_t *next = NULL;
    struct sl_policy *policy = NULL;
    int err = kind >= SL_POLICY_BELADY ? next_use(routes, &next) : 0;
    if (!err && kind == LOOKAHEAD) {
        const struct sl_lookahead_params p = {n_slot,
                                              params->n_ahead,
                                              next,
                                              params->what ? params->what : params->policy,
                                              params->progress,
                                              params->progress_user};
        err = sl_lookahead_run(routes, &p, out);
    } else if (!err) {
        const struct sl_policy_params p = {(enum sl_policy_kind)kind, n_slot, n_key,
                                           (uint32_t)routes->info.n_access, next};
        err = sl_policy_open(&policy, &p);
        err = err ? err : replay(routes, params, policy, out);
    }
    sl_policy_close(&policy);
    free(next);
    return err;
}
