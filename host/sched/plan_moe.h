/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MoE layer of a prompt where the card may lack experts: launches of those that it has, others
 * through its two buffers or by the CPU beside it, in the order of fabric/moe_run.c and with the
 * choice of fabric/stream.h, without data.
 */
#ifndef SL_SCHED_PLAN_MOE_H
#define SL_SCHED_PLAN_MOE_H

#include "engine/ops.h"
#include "sched/plan_launch.h"

/* What a fabric has measured so far, and begins a prompt without. */
struct sl_plan_rates {
    double link_rate;     /* bytes a second */
    double card_s, cpu_s; /* of an expert for a unit of sl_cpu_work; 0: not yet */
};
struct sl_plan_rates sl_plan_rates_first(void);

/* Experts that tokens chose, and how many each, most first. */
struct sl_plan_load {
    uint32_t n_tok[SL_MAX_EXPERT], n;
};
/* n_item choices of n_tok tokens among n_expert experts, each as likely as another: quantiles of
 * the binomial distribution, so that some have more and some have none. n_item is kept. */
void sl_plan_spread(struct sl_plan_load *out, uint32_t n_expert, uint32_t n_item, uint32_t n_tok);

/* A pass of at least two tokens: router and shared expert, then what they chose, of which the card
 * holds `held`. The clock and the rates go on. */
void sl_plan_moe_prefill(struct sl_plan_launches *l, struct sl_plan_rates *rates, uint32_t n_tok,
                         const struct sl_plan_load *held, const struct sl_plan_load *missing);

#endif
