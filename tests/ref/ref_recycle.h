/* SPDX-License-Identifier: Apache-2.0 */
/* What is drawn for a router (docs/numerics.md 5.4, RECYCLE and NOISE). */
#ifndef SL_REF_RECYCLE_H
#define SL_REF_RECYCLE_H

#include "ref/ref_num.h"
#include "sl_abi.h"

/* The words a and b of a counter's turn. */
void ref_philox(uint32_t key, const uint32_t counter[2], uint32_t word[2]);

/* A score of token t of the job with its NOISE. */
int32_t ref_noisy(const struct sl_job *job, unsigned t, unsigned expert, int32_t score);

/* The experts of all tokens in turn; zeroed at a job's start. */
struct ref_recycle {
    unsigned load[SL_MAX_N_EXPERT]; /* choices that each expert has taken */
    unsigned overflows;
};
/* Token t of the job, whose selection is in entry. */
void ref_recycle(struct ref_recycle *r, const struct sl_job *job, unsigned t,
                 struct sl_route_entry *entry);

#endif
