/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same sources as OpenCL C 1.2: one work item runs one launch. The work arrays, of the sizes in
 * activation.h, are buffers of the caller.
 */
#include "activation.c"
#include "core.c"
#include "expert_choice.c"
#include "expert_ffn.c"
#include "job.c"
#include "kv_pack.c"
#include "noise.c"
#include "recycle.c"
#include "router_topk.c"
#include "weight_pass.c"

__kernel void sl_core_cl(__global sl_beat *ctl, SL_W_PARAMS uint32_t job_off, uint32_t job_count,
                         uint32_t ctl_limit, uint32_t w_limit, __global int8_t *x,
                         __global uint8_t *xe, __global int8_t *h, __global uint8_t *he)
{
    struct sl_launch launch = {job_off, job_count, {ctl_limit, w_limit}, false};
    sl_core_run(ctl, SL_W_ARGS & launch, SL_WORK_ARGS);
}
