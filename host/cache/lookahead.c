/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/lookahead.h"

#include <stdlib.h>

#include "base/err.h"
#include "cache/heap.h"

enum { TICK = 1 << 14 };

struct run {
    const struct sl_routes *routes;
    const struct sl_lookahead_params *p;
    struct sl_residency sum;
    struct sl_heap slots; /* ranked by the next use: on top what is used again last */
    bool *working;        /* [n_key] taken out of the heap: their layer is being computed */
    uint32_t n_working;
};

static struct sl_rank used_at(uint32_t access)
{
    return (struct sl_rank){-(double)access, 0};
}

static void compute(struct run *r, uint32_t access)
{
    const uint32_t key = r->routes->key[access];
    const struct sl_rank rank = used_at(r->p->next[access]);
    struct sl_heap *slots = &r->slots;
    r->sum.n_access++;
    if (sl_heap_has(slots, key)) {
        r->sum.n_hit++;
        sl_heap_put(slots, key, rank);
        return;
    }
    r->sum.n_miss++;
    if (slots->n == r->p->n_slot) {
        if (rank.value <= slots->rank[slots->key[0]].value)
            return;
        sl_heap_remove(slots, slots->key[0]);
    }
    sl_heap_put(slots, key, rank);
    r->sum.n_load++;
}

/* Takes the group's experts out of the heap, or puts them back. */
static void hold(struct run *r, uint32_t group, bool held)
{
    const uint32_t *first = r->routes->group + group;
    for (uint32_t i = first[0]; i < first[1]; i++) {
        const uint32_t key = r->routes->key[i];
        if (held ? !sl_heap_has(&r->slots, key) : !r->working[key])
            continue;
        if (held)
            sl_heap_remove(&r->slots, key);
        else
            sl_heap_put(&r->slots, key, r->slots.rank[key]);
        r->working[key] = held;
        r->n_working = held ? r->n_working + 1 : r->n_working - 1;
    }
}

/* Uploads for `group` while the one before it works. */
static void upload_ahead(struct run *r, uint32_t group)
{
    const uint32_t *first = r->routes->group + group;
    struct sl_heap *slots = &r->slots;
    uint32_t n = 0;
    for (uint32_t i = first[0]; i < first[1] && n < r->p->n_ahead; i++) {
        const uint32_t key = r->routes->key[i];
        if (r->working[key] || sl_heap_has(slots, key))
            continue;
        if (slots->n + r->n_working == r->p->n_slot) {
            /* What this group itself uses stays; when only that is left, nothing can go. */
            if (slots->n == 0 || -slots->rank[slots->key[0]].value < first[1])
                return;
            sl_heap_remove(slots, slots->key[0]);
        }
        sl_heap_put(slots, key, used_at(i));
        n++;
        r->sum.n_load++;
        r->sum.n_hidden++;
    }
}

static int run(struct run *r)
{
    const struct sl_routes *routes = r->routes;
    for (uint32_t g = 0; g < routes->n_group; g++) {
        if (r->p->progress && g % TICK == 0 &&
            !r->p->progress(r->p->progress_user, r->p->what, g, routes->n_group))
            return sl_fail(SL_ERR_INTERRUPTED, NULL, "%s: stopped", r->p->what);
        for (uint32_t i = routes->group[g]; i < routes->group[g + 1]; i++)
            compute(r, i);
        if (g + 1 == routes->n_group || r->p->n_ahead == 0)
            continue;
        hold(r, g, true);
        upload_ahead(r, g + 1);
        hold(r, g, false);
    }
    return 0;
}

int sl_lookahead_run(const struct sl_routes *routes, const struct sl_lookahead_params *params,
                     struct sl_residency *out)
{
    struct run r = {.routes = routes, .p = params};
    int err = sl_heap_open(&r.slots, routes->info.n_key);
    r.working = err ? NULL : sl_alloc(routes->info.n_key, sizeof *r.working);
    err = !err && !r.working ? SL_ERR_NOMEM : err;
    err = err ? err : run(&r);
    if (!err)
        *out = r.sum;
    sl_heap_close(&r.slots);
    free(r.working);
    return err;
}
