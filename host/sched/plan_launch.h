/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launches that a model's operations become (fabric/moe.c, fabric_linear.c, fabric.c),
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
    double host_s;         /* the CPU computed experts */
    /* The list at hand. */
    struct sl_tlm_job job[SL_PLAN_MAX_JOB];
    uint32_t n_job, top, in, out; /* beats: next free one, inputs, outputs */
    uint32_t x8;                  /* of a launch with lists: where x is */
};

/* Matrices of one call over n_tok tokens, at most 64 a launch. Absent roles are left out. */
void sl_plan_linear(struct sl_plan_launches *p, uint32_t layer, const enum sl_slab_role *roles,
                    unsigned n_role, uint32_t n_tok);
/* K and V of n_tok tokens. */
void sl_plan_kv_pack(struct sl_plan_launches *p, uint32_t n_tok);
/* One token's MoE layer: n_hit of the chosen experts are on the card, the CPU computes the others
 * beside it. */
void sl_plan_moe_decode(struct sl_plan_launches *p, uint32_t n_hit);
/* Router and shared expert of a pass. */
void sl_plan_moe_route(struct sl_plan_launches *p, uint32_t n_tok);
/* A launch of experts with lists of tokens, out of a pass of n_tok: each has n of them, at most 64.
 * What the host does between start and finish runs beside it. */
void sl_plan_list_begin(struct sl_plan_launches *p, uint32_t n_tok);
void sl_plan_list_add(struct sl_plan_launches *p, uint32_t n);
void sl_plan_start(struct sl_plan_launches *p);
void sl_plan_finish(struct sl_plan_launches *p);
/* The CPU computes experts, of which it reads so many bytes; returns the seconds. */
double sl_plan_host(struct sl_plan_launches *p, double bytes);
double sl_plan_expert_bytes(const struct sl_plan_launches *p);

#endif
