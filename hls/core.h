/* SPDX-License-Identifier: Apache-2.0 */
/* The core: walks a list of jobs (docs/numerics.md 5.6, design of the launch in docs/registers.md).
 */
#ifndef SL_HLS_CORE_H
#define SL_HLS_CORE_H

#include "activation.h"
#include "beat.h"
#include "job.h"

#define sl_core SL_NAME(sl_core)
#define sl_core_run SL_NAME(sl_core_run)
#define sl_core_compute SL_NAME(sl_core_compute)

/*
 * One launch. ctl: control and activation buffer of ctl_limit beats; w0 .. w(P-1): weight arenas of
 * w_limit beats each; job_off: beat offset of job_count jobs. timeout counts cycles of the
 * hardware's ports; a memory of this description always answers.
 */
void sl_core(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t job_count,
             uint32_t ctl_limit, uint32_t w_limit, uint32_t timeout);

/* Where a launch's jobs and the limits of its memories are. */
struct sl_launch {
    uint32_t job_off, job_count;
    struct sl_limits limits;
    bool counters; /* set by the launch: room for the per-port counters */
};

/* The launch with work arrays of the caller, of the sizes in activation.h. Their contents need not
 * be set. */
void sl_core_run(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS struct sl_launch *launch, SL_WORK_PARAMS);

/* A job that sl_job_check has passed: the remaining checks, then its operation. Fills the report.
 */
void sl_core_compute(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                     const struct sl_limits *limits, SL_WORK_PARAMS, struct sl_report *rep);

#endif
