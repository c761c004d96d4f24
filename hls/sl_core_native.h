/* SPDX-License-Identifier: Apache-2.0 */
/* Native builds of the core, one per number of weight ports. */
#ifndef SL_HLS_CORE_NATIVE_H
#define SL_HLS_CORE_NATIVE_H

#include "sl_abi.h"

/* What a launch computes in: codes and exponents of x and h for 64 tokens. On a card this is URAM.
 */
struct sl_core_work {
    int8_t x[SL_MAX_TOKENS * SL_MAX_K], h[SL_MAX_TOKENS * SL_MAX_K];
    uint8_t xe[SL_MAX_TOKENS * SL_MAX_K / SL_BLOCK], he[SL_MAX_TOKENS * SL_MAX_K / SL_BLOCK];
};

/*
 * One launch on ctl (ctl_limit beats) and the P arenas w[0] .. w[P - 1] (w_limit beats each), all
 * 64-byte beats, 8-byte aligned. Runs in the caller, any number at a time on distinct memories.
 * work keeps nothing between launches. The last is the unoptimised build that judges the compiler.
 */
#define SL_CORE_CALL(suffix)                                                                       \
    void sl_core_call_##suffix(void *ctl, const void *const *w, struct sl_core_work *work,         \
                               uint32_t job_off, uint32_t job_count, uint32_t ctl_limit,           \
                               uint32_t w_limit)
SL_CORE_CALL(p1);
SL_CORE_CALL(p4);
SL_CORE_CALL(p16);
SL_CORE_CALL(p28);
SL_CORE_CALL(o0);

/*
 * PLAIN (docs/numerics.md 5.2) for rows first .. first + n - 1 of a slab in natural order, first
 * even: y_off receives row `first`. The caller has checked what a job would have been checked for:
 * the slab's header, and that x and y lie inside of ctl. SL_STATUS_OK or BAD_ACTIVATION.
 */
struct sl_plain_part {
    uint32_t first, n;
    uint32_t x_off, y_off; /* beats of ctl */
    uint16_t n_tokens, x_stride, y_stride;
};
#define SL_PLAIN_ROWS(suffix)                                                                      \
    uint32_t sl_plain_rows_##suffix(void *ctl, const void *slab, struct sl_core_work *work,        \
                                    const struct sl_plain_part *part)
SL_PLAIN_ROWS(p1);
SL_PLAIN_ROWS(o0);

/*
 * A job in steps, one weight port, for who computes some operations otherwise: its checks, its
 * choice and its record are the core's. The order is check, open (or compute, which repeats it),
 * finish; the first that does not return SL_STATUS_OK is the last but finish.
 */
enum { SL_STEP_ROUTER_ROWS = 3 * SL_MAX_N_EXPERT };
struct sl_step {
    struct sl_job job;         /* by the caller; check puts the slot table's w_off in */
    struct sl_record record;   /* status and counts of what was done; finish adds macs and beats */
    uint32_t x[SL_MAX_TOKENS]; /* EXPERT, PLAIN: where each token's x is, in beats, by open */
};
/* BAD_OP .. MISS: all that needs neither weights nor activations. */
uint32_t sl_step_check_p1(const void *ctl, uint32_t ctl_limit, struct sl_step *s);
/* BAD_ADDRESS, BAD_HEADER, BAD_LIST. w: where job.w_off counts from; both may have been changed. */
uint32_t sl_step_open_p1(const void *ctl, uint32_t ctl_limit, const void *w, uint32_t w_limit,
                         struct sl_step *s);
/* Everything behind check by the core itself. */
uint32_t sl_step_compute_p1(void *ctl, uint32_t ctl_limit, const void *w, uint32_t w_limit,
                            struct sl_core_work *work, struct sl_step *s);
/* ROUTER behind its scores: selection, weights, lists, the record at y_off (docs/numerics.md 5.4,
 * logits l there: s32 Q16); overflows of the job's record. */
void sl_step_choose_p1(void *ctl, const void *w, struct sl_step *s,
                       int32_t logits[SL_MAX_TOKENS][SL_STEP_ROUTER_ROWS]);
void sl_step_finish_p1(struct sl_step *s);

#endif
