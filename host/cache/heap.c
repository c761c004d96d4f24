/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int sl_heap_open(struct sl_heap *out, uint32_t n_key)
{
    struct sl_heap h = {.n_key = n_key};
    h.key = sl_alloc(n_key, sizeof *h.key);
    h.place = sl_alloc(n_key, sizeof *h.place);
    h.rank = sl_alloc(n_key, sizeof *h.rank);
    if (!h.key || !h.place || !h.rank) {
        sl_heap_close(&h);
        return SL_ERR_NOMEM;
    }
    memset(h.place, 0xff, n_key * sizeof *h.place);
    *out = h;
    return 0;
}

void sl_heap_close(struct sl_heap *heap)
{
    free(heap->key);
    free(heap->place);
    free(heap->rank);
    *heap = (struct sl_heap){0};
}

static bool less(const struct sl_heap *h, uint32_t i, uint32_t j)
{
    return sl_rank_less(h->rank[h->key[i]], h->rank[h->key[j]]);
}

static void swap(struct sl_heap *h, uint32_t i, uint32_t j)
{
    const uint32_t key = h->key[i];
    h->key[i] = h->key[j];
    h->key[j] = key;
    h->place[h->key[i]] = i;
    h->place[h->key[j]] = j;
}

static void up(struct sl_heap *h, uint32_t i)
{
    for (; i > 0 && less(h, i, (i - 1) / 2); i = (i - 1) / 2)
        swap(h, i, (i - 1) / 2);
}

static void down(struct sl_heap *h, uint32_t i)
{
    for (uint32_t child; (child = 2 * i + 1) < h->n; i = child) {
        child += child + 1 < h->n && less(h, child + 1, child);
        if (!less(h, child, i))
            return;
        swap(h, i, child);
    }
}

void sl_heap_put(struct sl_heap *heap, uint32_t key, struct sl_rank rank)
{
    assert(key < heap->n_key);
    if (!sl_heap_has(heap, key)) {
        heap->key[heap->n] = key;
        heap->place[key] = heap->n++;
    }
    heap->rank[key] = rank;
    up(heap, heap->place[key]);
    down(heap, heap->place[key]);
}

void sl_heap_remove(struct sl_heap *heap, uint32_t key)
{
    assert(sl_heap_has(heap, key));
    const uint32_t i = heap->place[key];
    heap->n--;
    if (i != heap->n)
        swap(heap, i, heap->n);
    heap->place[key] = SL_HEAP_OUT;
    if (i < heap->n) {
        const uint32_t moved = heap->key[i];
        up(heap, i);
        down(heap, heap->place[moved]);
    }
}

void sl_heap_restore(struct sl_heap *heap)
{
    for (uint32_t i = heap->n / 2; i-- > 0;)
        down(heap, i);
}
