/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expert slots of a card, and the experts that move into them while it works. Which ones it
 * should hold is a policy's business (cache/policy.h); an upload is cut into pieces that go out
 * only when the link has nothing else to do, so that no demand waits for one. What is asked for
 * meanwhile is computed where it is.
 */
#ifndef SL_FABRIC_SLOTS_H
#define SL_FABRIC_SLOTS_H

#include "store/expert_memory.h"

struct sl_member;
struct sl_slots;

struct sl_slots_stats {
    uint64_t n_slot;
    uint64_t promoted, bytes; /* experts that moved in */
    uint64_t passed_by;       /* demands that the policy did not think worth a load */
    uint64_t put_off;         /* others for which there was no room in the queue or in memory */
    uint64_t failed;          /* uploads */
};

/* What the member holds now are the slots and their first contents. policy: "lru" "lfu" "adaptive";
 * "static": nothing ever moves. SL_ERR_USAGE. */
int sl_slots_open(struct sl_slots **out, struct sl_member *m, const char *policy);
void sl_slots_close(struct sl_slots **slots);

/* The expert was wanted in a pass, and its slab is in host memory (requested) where the card does
 * not hold it. */
void sl_slots_saw(struct sl_slots *s, uint32_t layer, uint32_t expert);
/* While no launch runs: an expert that has arrived takes its place in the slot table, the next
 * one's victim leaves it. */
void sl_slots_turn(struct sl_slots *s);
/* While a launch runs: the next piece of the upload, if the link is free. Never waits. */
void sl_slots_push(struct sl_slots *s);
/* An expert is on its way. */
bool sl_slots_moving(const struct sl_slots *s);
/* Nothing is moved any more, what was on its way is forgotten: the device has changed. */
void sl_slots_stop(struct sl_slots *s);
void sl_slots_get_stats(const struct sl_slots *s, struct sl_slots_stats *out);

#endif
