/* SPDX-License-Identifier: Apache-2.0 */
/* The core called from a program: weight pointers from a table, work arrays from the caller. */
#include "sl_core_native.h"

#include "core.h"

_Static_assert(sizeof((struct sl_core_work *)0)->x == SL_WORK_CODES, "work arrays of full size");
_Static_assert(sizeof((struct sl_core_work *)0)->xe == SL_WORK_EXPS, "work arrays of full size");

#define W_OF_TABLE(n) w[n],

void SL_NAME(sl_core_call)(void *ctl, const void *const *w, struct sl_core_work *work,
                           uint32_t job_off, uint32_t job_count, uint32_t ctl_limit,
                           uint32_t w_limit)
{
    struct sl_launch launch = {job_off, job_count, {ctl_limit, w_limit}, false};
    sl_core_run(ctl, SL_PORTS(W_OF_TABLE) & launch, work->x, work->xe, work->h, work->he);
}
