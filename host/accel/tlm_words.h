/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a modelled core: a job list run by a device that computes from slabs in natural
 * order, and what the transaction model has to know of it. */
#ifndef SL_ACCEL_TLM_WORDS_H
#define SL_ACCEL_TLM_WORDS_H

#include "accel/tlm_weights.h"
#include "sched/tlm.h"

struct sl_tlm_words {
    const struct sl_device *base; /* the modelled device, borrowed: its name, its arena's end */
    struct sl_device *inner;      /* owned: computes */
    struct sl_tlm_weights w;
    uint32_t list_at; /* beat of the inner device's list */
    /* Of the last launch: [cap], owned. job: as the list has them, but with the place of the expert
     * that an INDIRECT one found; record: without time. */
    struct sl_tlm_job *job;
    struct sl_record *record;
    uint32_t cap;
};

void sl_tlm_words_close(struct sl_tlm_words *w); /* accepts a zeroed one */
int sl_tlm_words_alloc(struct sl_tlm_words *w, uint32_t ctl_beats, uint32_t w_beats);
/* Runs the list; records are in w->record and not yet in the arena. Per-port counters are
 * SL_ERR_UNSUPPORTED. */
int sl_tlm_words_run(struct sl_tlm_words *w, uint32_t job_off, uint32_t n, unsigned deadline_ms);

#endif
