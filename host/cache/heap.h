/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap over small integers whose places are known: the least is on top, any member can
 * change its rank. Every change takes O(log members). */
#ifndef SL_CACHE_HEAP_H
#define SL_CACHE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* Ordered by value, then by time. */
struct sl_rank {
    double value;
    uint64_t time;
};

struct sl_heap {
    uint32_t n, n_key;
    uint32_t *key;        /* [n_key] heap order, the first n are members */
    uint32_t *place;      /* [n_key] index in key, or SL_HEAP_OUT */
    struct sl_rank *rank; /* [n_key] by key; of members only */
};

#define SL_HEAP_OUT UINT32_MAX

/* Empty, for keys below n_key. SL_ERR_NOMEM. */
int sl_heap_open(struct sl_heap *out, uint32_t n_key);
void sl_heap_close(struct sl_heap *heap);

static inline bool sl_heap_has(const struct sl_heap *heap, uint32_t key)
{
    return heap->place[key] != SL_HEAP_OUT;
}

/* True when a is ordered before b. */
static inline bool sl_rank_less(struct sl_rank a, struct sl_rank b)
{
    return a.value < b.value || (a.value == b.value && a.time < b.time);
}

/* Adds the key, or gives a member its new rank. */
void sl_heap_put(struct sl_heap *heap, uint32_t key, struct sl_rank rank);
void sl_heap_remove(struct sl_heap *heap, uint32_t key); /* a member */
/* After ranks were changed behind its back. O(members). */
void sl_heap_restore(struct sl_heap *heap);

#endif
