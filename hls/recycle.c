/* SPDX-License-Identifier: Apache-2.0 */
#include "recycle.h"

#include "primitives.h"

void sl_recycle_begin(struct sl_recycler *s)
{
    s->overflows = 0;
    for (uint32_t e = 0; e < SL_MAX_N_EXPERT; e++)
        s->taken[e] = 0;
}

/* It has room, and is none of the token's own. */
static bool is_open(const struct sl_recycler *s, const struct sl_req *r, uint32_t e,
                    const uint32_t expert[SL_MAX_TOPK])
{
    bool open = s->taken[e] < r->slice_count;
    for (uint32_t j = 0; j < SL_MAX_TOPK; j++) {
        SL_UNROLL_BODY
        if (j < r->top_k && expert[j] == e)
            open = false;
    }
    return open;
}

/* The expert that choice i of token t gets in place of its full one; its own where none is open. */
static uint32_t draw(const struct sl_recycler *s, const struct sl_req *r, uint32_t t, uint32_t i,
                     const uint32_t expert[SL_MAX_TOPK])
{
    uint32_t n = 0, given = expert[i];
    for (uint32_t e = 0; e < r->rows; e++) {
        SL_PIPELINE
        n += is_open(s, r, e, expert);
    }
    uint32_t random =
        (uint32_t)sl_philox(r->part_stride, r->route_off + t, (uint32_t)r->route_token << 16 | i);
    uint32_t left = (uint32_t)((uint64_t)random * n >> 32);
    bool found = false;
    for (uint32_t e = 0; e < r->rows; e++) {
        SL_PIPELINE
        if (!is_open(s, r, e, expert) || found)
            continue;
        found = left == 0;
        given = found ? e : given;
        left--;
    }
    return given;
}

void sl_recycle_token(struct sl_recycler *s, const struct sl_req *r, uint32_t t,
                      uint32_t expert[SL_MAX_TOPK])
{
    SL_LOOP(choice)
    for (uint32_t i = 0; i < r->top_k; i++) {
        bool full = s->taken[expert[i]] >= r->slice_count;
        if (full)
            expert[i] = draw(s, r, t, i, expert);
        s->overflows += full;
        s->taken[expert[i]]++;
    }
}
