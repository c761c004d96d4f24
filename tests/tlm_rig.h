/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same launch on a simulated core and on its transaction model. Weights and activations are
 * noise: cycles do not depend on them. For test_tlm.c and the calibration table (tests/calibrate).
 */
#ifndef SL_TLM_RIG_H
#define SL_TLM_RIG_H

#include "accel/device.h"
#include "sched/tlm.h"

enum { TLM_MAX_JOBS = 64 };

/* Launches as models make them (fabric/moe.c, fabric_linear.c). */
enum tlm_kind {
    TLM_DECODE,  /* router, shared expert, top_k INDIRECT experts of one token */
    TLM_ROUTE,   /* routers and shared expert of n_tokens tokens: prefill's first launch */
    TLM_RECYCLE, /* the same with a capacity of the even share */
    TLM_LISTS,   /* LIST experts, n_tokens of each: prefill's second launch */
    TLM_LINEAR,  /* matrices Q, K, V of d_model columns, d_ff / 4 rows and less, n_tokens tokens */
    TLM_SLICE,   /* an expert in four slices, sums added by REDUCE */
    TLM_KV,      /* KV_PACK and KV_UNPACK of n_tokens tokens, heads of d_model channels */
    TLM_QUERY,
    TLM_MIX /* all of it in one list: what waits for what across kinds */
};

struct tlm_case {
    enum tlm_kind kind;
    int format; /* of experts and matrices; KV: of the record */
    uint32_t d_model, d_ff, n_tokens, n_expert, top_k;
    int mode; /* of the router */
};

struct tlm_rig {
    struct sl_device *dev; /* owned, like tlm and noise */
    struct sl_tlm *tlm;
    struct sl_tlm_config config;
    uint8_t *noise;
    uint32_t ctl_top, w_top;
    uint32_t n_job;
    struct sl_job job[TLM_MAX_JOBS];
};

/* What both said of one launch. */
struct tlm_answer {
    uint64_t sim, model; /* cycles from start to interrupt */
    uint32_t n_job;
    struct sl_record record[TLM_MAX_JOBS];
    struct sl_tlm_time time[TLM_MAX_JOBS];
    struct sl_tlm_traffic traffic;
    uint64_t ctl_read, ctl_write, w_read; /* beats by the simulation's counters */
};

/* device: a sim with mem= and latency= at most. Arenas of that many beats. */
int tlm_rig_open(struct tlm_rig *rig, const char *device, uint32_t ctl_beats, uint32_t w_beats);
void tlm_rig_close(struct tlm_rig *rig); /* accepts a zeroed one */
/* Runs the case on both. SL_ERR_NOMEM: it does not fit the arenas. */
int tlm_rig_run(struct tlm_rig *rig, const struct tlm_case *c, struct tlm_answer *out);

#endif
