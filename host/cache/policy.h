/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which experts stay in the slots. All experts of all layers share one pool of n_slot slots; an
 * expert is a key, its (layer, expert) numbered densely. What is accessed is a hit when it has a
 * slot; a miss may give it one, at the expense of one other, or pass by (a missing expert can be
 * computed elsewhere, so nothing has to be loaded). No policy loads what is not accessed.
 *
 *   lru       always loads; evicts what was not accessed for longest.
 *   lfu       always loads; evicts what has the least count. Counts halve with age.
 *   static    the most frequent keys of the first tenth of the trace; the others pass by. Until
 *             that tenth is over, slots are filled and nothing is evicted.
 *   frequent  lfu that loads only what has a clearly greater count than what goes; ages slowly.
 *   adaptive  follows whichever of lru, lfu and frequent did best of late: adaptive.c.
 *   belady    the optimum in hits among all of these, from the future: evicts what is used again
 *             last, or lets the new one pass by when that is it (L. A. Belady, "A study of
 *             replacement algorithms for a virtual-storage computer", 1966; with passing by, as
 *             loads are not compulsory here).
 *
 * An access takes O(log n_slot).
 */
#ifndef SL_CACHE_POLICY_H
#define SL_CACHE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum sl_policy_kind {
    SL_POLICY_LRU,
    SL_POLICY_LFU,
    SL_POLICY_STATIC,
    SL_POLICY_ADAPTIVE,
    SL_POLICY_BELADY,
    SL_POLICY_FREQUENT, /* a part of ADAPTIVE */
    SL_N_POLICY
};

#define SL_KEY_NONE UINT32_MAX

struct sl_policy_params {
    enum sl_policy_kind kind;
    uint32_t n_slot, n_key; /* at least 1 each */
    uint32_t n_access;      /* of the whole trace: STATIC learns from a tenth of it */
    /* BELADY: [n_access] index of the next access to the same key, n_access: none. Borrowed */
    const uint32_t *next;
};

struct sl_policy_step {
    bool hit, loaded;
    uint32_t evicted; /* SL_KEY_NONE: nothing */
};

struct sl_policy;

/* "lru" "lfu" "static" "adaptive" (also NULL): those that need no future. SL_ERR_USAGE. */
int sl_policy_parse(enum sl_policy_kind *out, const char *name);
/* SL_ERR_NOMEM. */
int sl_policy_open(struct sl_policy **out, const struct sl_policy_params *params);
void sl_policy_close(struct sl_policy **policy);
/* The trace's next access. */
struct sl_policy_step sl_policy_access(struct sl_policy *policy, uint32_t key);
bool sl_policy_has(const struct sl_policy *policy, uint32_t key);

/* out[i]: index of the next access to the key of access i; n: none. last[n_key] is scratch. */
void sl_policy_next_use(uint32_t *out, const uint32_t *key, uint32_t n, uint32_t *last,
                        uint32_t n_key);

/* ---- adaptive.c: the same for ADAPTIVE, behind policy.c ---- */

struct sl_adaptive;
int sl_adaptive_open(struct sl_adaptive **out, const struct sl_policy_params *params);
void sl_adaptive_close(struct sl_adaptive **adaptive);
struct sl_policy_step sl_adaptive_access(struct sl_adaptive *adaptive, uint32_t key);
bool sl_adaptive_has(const struct sl_adaptive *adaptive, uint32_t key);

#endif
