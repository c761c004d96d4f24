/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launches that a model's operations become (accel/fabric_moe.c, fabric_linear.c, fabric.c),
 * without data: their transfers and the core's cycles, on the clock of accel/link.h.
 */
#ifndef SL_SCHED_PLAN_LAUNCH_H
#define SL_SCHED_PLAN_LAUNCH_H

#include "accel/link.h"
#include "sched/tlm.h"
#include "store/layout.h"

enum { SL_PLAN_MAX_JOB = 1280 };

struct sl_plan_launches {
    const struct sl_layout *layout; /* borrowed */
    struct sl_tlm *tlm;             /* borrowed */
    struct sl_link link;
    double clock_hz, gbps; /* of the core; of its memory, 1e9 bytes a second */
    double weight_bytes;   /* read by the core so far */
    double memory_s;       /* of core time: what that takes at the memory's rate */
    /* The list at hand. */
    struct sl_tlm_job job[SL_PLAN_MAX_JOB];
    uint32_t n_job, top, in, out; /* beats: next free one, inputs, outputs */
};

/* Matrices of one call over n_tok tokens, at most 64 a launch. Absent roles are left out. */
void sl_plan_linear(struct sl_plan_launches *p, uint32_t layer, const enum sl_slab_role *roles,
                    unsigned n_role, uint32_t n_tok);
/* K and V of n_tok tokens. */
void sl_plan_kv_pack(struct sl_plan_launches *p, uint32_t n_tok);
/* One token's MoE layer: n_hit of the chosen experts are on the card. */
void sl_plan_moe_decode(struct sl_plan_launches *p, uint32_t n_hit);
/* Router and shared expert of at most 256 tokens; then n_expert resident experts with n_item tokens
 * among them, evenly. */
void sl_plan_moe_route(struct sl_plan_launches *p, uint32_t n_tok);
void sl_plan_moe_lists(struct sl_plan_launches *p, uint32_t n_tok, uint32_t n_expert,
                       uint32_t n_item);

#endif
