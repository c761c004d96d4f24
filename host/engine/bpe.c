/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/bpe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* One part of the piece, stored at the index of its first byte. */
struct sl_bpe_node {
    uint32_t next; /* first byte of the following part; len: none */
    uint32_t prev; /* first byte of the part before; unused for the first */
    uint32_t rank; /* of this part joined with the next; SL_RANK_NONE: no token, or part is gone */
};

struct sl_bpe_pair {
    uint32_t rank, at;
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
    free(bpe->node);
    free(bpe->heap);
    memset(bpe, 0, sizeof *bpe);
}

/* Each byte enters the heap once at the start and each of at most len - 1 merges adds two pairs. */
static int reserve(struct sl_bpe *b, size_t len)
{
    if (len <= b->cap)
        return 0;
    free(b->node);
    free(b->heap);
    b->node = NULL;
    b->heap = NULL;
    size_t cap = len < 256 ? 256 : len;
    b->cap = 0;
    b->node = sl_alloc(cap, sizeof *b->node);
    b->heap = sl_alloc(3 * cap, sizeof *b->heap);
    if (!b->node || !b->heap)
        return SL_ERR_NOMEM;
    b->cap = cap;
    return 0;
}

static bool before(struct sl_bpe_pair a, struct sl_bpe_pair b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.at < b.at);
}

static void heap_push(struct sl_bpe *b, uint32_t rank, uint32_t at)
{
    struct sl_bpe_pair pair = {rank, at};
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

/* Looks the pair at `at` up and queues it when it is a token. */
static void queue_pair(struct sl_bpe *b, const struct sl_ranks *ranks, const uint8_t *piece,
                       size_t len, uint32_t at)
{
    struct sl_bpe_node *node = &b->node[at];
    node->rank = SL_RANK_NONE;
    if (node->next >= len)
        return;
    b->n_lookup++;
    node->rank = sl_ranks_find(ranks, piece + at, b->node[node->next].next - at);
    if (node->rank != SL_RANK_NONE)
        heap_push(b, node->rank, at);
}

static void merge(struct sl_bpe *b, const struct sl_ranks *ranks, const uint8_t *piece, size_t len)
{
    b->n_heap = 0;
    for (uint32_t i = 0; i < len; i++)
        b->node[i] = (struct sl_bpe_node){.next = i + 1, .prev = i - 1, .rank = SL_RANK_NONE};
    for (uint32_t i = 0; i + 1 < len; i++)
        queue_pair(b, ranks, piece, len, i);
    while (b->n_heap) {
        struct sl_bpe_pair best = heap_pop(b);
        struct sl_bpe_node *node = &b->node[best.at];
        /* A pair's bytes only ever grow, so an entry is current exactly while the ranks agree. */
        if (node->rank != best.rank)
            continue;
        struct sl_bpe_node *gone = &b->node[node->next];
        node->next = gone->next;
        gone->rank = SL_RANK_NONE;
        if (node->next < len)
            b->node[node->next].prev = best.at;
        queue_pair(b, ranks, piece, len, best.at);
        if (best.at)
            queue_pair(b, ranks, piece, len, node->prev);
    }
}

int sl_bpe_encode(struct sl_bpe *bpe, const struct sl_ranks *ranks, const uint8_t *piece,
                  size_t len, struct sl_ids *ids)
{
    bpe->n_lookup++;
    uint32_t whole = sl_ranks_find(ranks, piece, len);
    if (whole != SL_RANK_NONE)
        return sl_ids_push(ids, (int32_t)whole);
    int err = reserve(bpe, len);
    if (err)
        return err;
    merge(bpe, ranks, piece, len);
    for (uint32_t at = 0, next; at < len; at = next) {
        next = bpe->node[at].next;
        bpe->n_lookup++;
        err = sl_ids_push(ids, (int32_t)sl_ranks_find(ranks, piece + at, next - at));
        if (err)
            return err;
    }
    return 0;
}
