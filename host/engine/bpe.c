/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct sl_bpe_pair {
    uint32_t order, at;
};

int sl_ids_push(struct sl_ids *ids, int32_t id)
{
    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? 2 * ids->cap : 64;
        int32_t *v = realloc(ids->v, cap * sizeof *v);
        if (!v)
            return sl_fail(SL_ERR_NOMEM, NULL, "out of memory: %zu token ids", cap);
        ids->v = v;
        ids->cap = cap;
    }
    ids->v[ids->n++] = id;
    return 0;
}

void sl_bpe_free(struct sl_bpe *bpe)
{
    free(bpe->symbol);
    free(bpe->heap);
    memset(bpe, 0, sizeof *bpe);
}

/* Each symbol enters the heap once at the start and each of at most n - 1 merges adds two pairs. */
int sl_bpe_reserve(struct sl_bpe *b, size_t n)
{
    b->n = 0;
    if (n <= b->cap)
        return 0;
    free(b->symbol);
    free(b->heap);
    b->symbol = NULL;
    b->heap = NULL;
    size_t cap = n < 256 ? 256 : n;
    b->cap = 0;
    b->symbol = sl_alloc(cap, sizeof *b->symbol);
    b->heap = sl_alloc(3 * cap, sizeof *b->heap);
    if (!b->symbol || !b->heap)
        return SL_ERR_NOMEM;
    b->cap = cap;
    return 0;
}

void sl_bpe_add(struct sl_bpe *b, size_t at, size_t end, uint32_t id)
{
    uint32_t i = (uint32_t)b->n++;
    b->symbol[i] = (struct sl_symbol){.at = (uint32_t)at,
                                      .end = (uint32_t)end,
                                      .id = id,
                                      .next = i + 1,
                                      .prev = i - 1,
                                      .order = SL_BPE_NONE};
}

static bool before(struct sl_bpe_pair a, struct sl_bpe_pair b)
{
    return a.order < b.order || (a.order == b.order && a.at < b.at);
}

static void heap_push(struct sl_bpe *b, uint32_t order, uint32_t at)
{
    struct sl_bpe_pair pair = {order, at};
    size_t i = b->n_heap++;
    for (; i && before(pair, b->heap[(i - 1) / 2]); i = (i - 1) / 2)
        b->heap[i] = b->heap[(i - 1) / 2];
    b->heap[i] = pair;
}

static struct sl_bpe_pair heap_pop(struct sl_bpe *b)
{
    struct sl_bpe_pair top = b->heap[0], last = b->heap[--b->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < b->n_heap && before(b->heap[child + 1], b->heap[child]))
            child++;
        if (child >= b->n_heap || !before(b->heap[child], last))
            break;
        b->heap[i] = b->heap[child];
        i = child;
    }
    b->heap[i] = last;
    return top;
}

/* Looks the pair at `at` up and queues it when it joins. */
static void queue_pair(struct sl_bpe *b, const struct sl_bpe_rules *rules, const uint8_t *text,
                       uint32_t at)
{
    struct sl_symbol *s = &b->symbol[at];
    s->order = SL_BPE_NONE;
    if (s->next >= b->n)
        return;
    b->n_lookup++;
    s->order = rules->find(rules->user, text, s, &b->symbol[s->next], &s->joined);
    if (s->order != SL_BPE_NONE)
        heap_push(b, s->order, at);
}

void sl_bpe_merge(struct sl_bpe *b, const struct sl_bpe_rules *rules, const uint8_t *text)
{
    b->n_heap = 0;
    for (uint32_t i = 0; i + 1 < b->n; i++)
        queue_pair(b, rules, text, i);
    while (b->n_heap) {
        struct sl_bpe_pair best = heap_pop(b);
        struct sl_symbol *s = &b->symbol[best.at];
        /* An entry whose pair has changed counts all the same while the orders agree: what it then
         * names is the pair that is there, which has this order and this place. */
        if (s->order != best.order)
            continue;
        struct sl_symbol *gone = &b->symbol[s->next];
        s->end = gone->end;
        s->id = s->joined;
        s->next = gone->next;
        gone->order = SL_BPE_NONE;
        if (s->next < b->n)
            b->symbol[s->next].prev = best.at;
        queue_pair(b, rules, text, best.at);
        if (best.at)
            queue_pair(b, rules, text, s->prev);
    }
}

int sl_bpe_take(const struct sl_bpe *b, struct sl_ids *ids)
{
    int err = 0;
    for (uint32_t i = 0; i < b->n && !err; i = b->symbol[i].next)
        err = sl_ids_push(ids, (int32_t)b->symbol[i].id);
    return err;
}

static uint32_t find_rank(const void *user, const uint8_t *text, const struct sl_symbol *left,
                          const struct sl_symbol *right, uint32_t *joined)
{
    return *joined = sl_ranks_find(user, text + left->at, right->end - left->at);
}

int sl_bpe_encode(struct sl_bpe *bpe, const struct sl_ranks *ranks, const uint8_t *piece,
                  size_t len, struct sl_ids *ids)
{
    const struct sl_bpe_rules rules = {find_rank, ranks};
    bpe->n_lookup++;
    uint32_t whole = sl_ranks_find(ranks, piece, len);
    if (whole != SL_RANK_NONE)
        return sl_ids_push(ids, (int32_t)whole);
    int err = sl_bpe_reserve(bpe, len);
    if (err)
        return err;
    for (size_t i = 0; i < len; i++)
        sl_bpe_add(bpe, i, i + 1, ranks->of_byte[piece[i]]);
    sl_bpe_merge(bpe, &rules, piece);
    return sl_bpe_take(bpe, ids);
}
