/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routed experts in host memory: a number of slots of one expert slab each, and the model's
 * files behind them. What is asked for is pinned; all that is missing is read at once, while the
 * caller goes on with what is there:
 *
 *     sl_expert_memory_request(m, layer, expert, n);
 *     for (size_t left = n; left > 0 && !err; left--) {
 *         err = sl_expert_memory_wait_any(m, layer, list, left, &i);   hits and early arrivals
 * first err = err ? err : sl_expert_memory_wait(m, layer, list[i], &slab);   at once now
 *         ... compute with slab; move list[left - 1] to list[i] ...
 *     }
 *     sl_expert_memory_release(m, layer, expert, n);
 *
 * Every slab is compared with its checksum each time it is read, and its header with the layout;
 * nothing damaged is ever handed out. Which experts stay is decided by a policy of cache/policy.h.
 *
 * When the store holds its experts in memory anyway (quantised from a checkpoint, or mapped:
 * sl_store_is_streamed is false) there are no slots and nothing is copied: the same calls answer at
 * once, with the store's own slabs.
 *
 * One thread calls these functions; what they hand out may be read by any.
 */
#ifndef SL_STORE_EXPERT_MEMORY_H
#define SL_STORE_EXPERT_MEMORY_H

#include "store/store.h"

struct sl_expert_memory;

struct sl_expert_memory_params {
    const struct sl_store *store; /* borrowed until close */
    uint64_t budget;              /* bytes for slots; 0: sl_store_expert_budget */
    const char *policy;           /* "lru" "lfu" "static" "adaptive"; NULL: "adaptive" */
    unsigned deadline_ms;         /* of each wait; 0: 30 s */
};

/* Bytes that one slot takes of the budget: the slab, readable beats behind it, rounded up. */
uint64_t sl_expert_memory_slot_bytes(const struct sl_store *store);

/* SL_ERR_NOMEM when the budget holds fewer slots than a token chooses experts (with what it takes
 * at least); SL_ERR_USAGE for a policy that does not exist. Slots fill from the first on, and no
 * memory is taken much ahead of that (base/prefault.h). */
int sl_expert_memory_open(struct sl_expert_memory **out,
                          const struct sl_expert_memory_params *params);
/* Reads under way are given up; returns when the kernel has let go of every slot. Slabs that were
 * handed out are gone. */
void sl_expert_memory_close(struct sl_expert_memory **memory);

/* False: the store's own slabs, no slots. */
bool sl_expert_memory_streams(const struct sl_expert_memory *memory);
/* How many more different experts can be pinned now; UINT32_MAX without slots. With nothing pinned:
 * the number of slots. */
uint32_t sl_expert_memory_room(const struct sl_expert_memory *memory);

/* Pins experts[n] (different ones) of a layer and submits the reads of all that are missing. Pins
 * count: what is requested twice has to be released twice. SL_ERR_USAGE, with nothing pinned, when
 * more would have to be pinned than there are slots: cut the list to sl_expert_memory_room, release
 * what was used, request on (while others of the first request are still on their way, if you
 * like). A read that fails is reported by wait. */
int sl_expert_memory_request(struct sl_expert_memory *memory, uint32_t layer,
                             const uint32_t *experts, size_t n);
/* True when wait would answer at once, be it with an error. Of requested experts. */
bool sl_expert_memory_ready(const struct sl_expert_memory *memory, uint32_t layer, uint32_t expert);
/* The slab of a requested expert; valid until its last release. SL_ERR_FORMAT names a slab whose
 * checksum or header is wrong, SL_ERR_IO one that cannot be read, SL_ERR_TIMEOUT one that did not
 * arrive before the deadline. After an error: release as always; the next request reads again. */
int sl_expert_memory_wait(struct sl_expert_memory *memory, uint32_t layer, uint32_t expert,
                          struct sl_slab_ref *out);
/* *index: one of experts[n] (all requested, n at least 1) that is ready, the first in the list
 * where several are; waits for one. SL_ERR_TIMEOUT. */
int sl_expert_memory_wait_any(struct sl_expert_memory *memory, uint32_t layer,
                              const uint32_t *experts, size_t n, size_t *index);
/* Unpins. Slabs stay until their slot is needed; what has not arrived yet is given up. */
void sl_expert_memory_release(struct sl_expert_memory *memory, uint32_t layer,
                              const uint32_t *experts, size_t n);

/* Past the slots, into dst (slot_bytes, aligned to SL_READ_ALIGN): for who needs an expert while
 * all slots are pinned. Errors as of wait. Of a streamed store. */
int sl_expert_memory_read(struct sl_expert_memory *memory, uint32_t layer, uint32_t expert,
                          void *dst);

/* A guess that the expert will be requested soon. Takes a free slot or one whose expert the policy
 * has given up (sure: or else the one that was not wanted for longest), and is read when nothing
 * that was requested is on its way; otherwise, and when it is there already, nothing happens. Never
 * fails: what cannot be read is found by the request. */
void sl_expert_memory_prefetch(struct sl_expert_memory *memory, uint32_t layer, uint32_t expert,
                               bool sure);

struct sl_expert_memory_stats {
    uint64_t n_slot, slot_bytes; /* 0: the store's own slabs */
    /* Experts. Miss: a read had to be begun; of the hits, prefetch_hits are requests of what was
     * prefetched and not requested since. */
    uint64_t requests, hits, misses;
    uint64_t prefetches, prefetch_hits, prefetch_wasted; /* wasted: dropped without a request */
    uint64_t bytes_read; /* of slabs that arrived, prefetched ones included */
    uint64_t evictions;
    double wait_s; /* wall time inside wait and wait_any */
};
void sl_expert_memory_get_stats(const struct sl_expert_memory *memory,
                                struct sl_expert_memory_stats *out);

#endif
