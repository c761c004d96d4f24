/* SPDX-License-Identifier: Apache-2.0 */
/* The core called from a program: weight pointers from a table, work arrays from the heap. */
#include "sl_core_native.h"

#include <stdlib.h>

#include "core.h"

/* 4 MB of work arrays are too much for a caller's stack. */
struct work {
    int8_t x[SL_WORK_CODES], h[SL_WORK_CODES];
    uint8_t xe[SL_WORK_EXPS], he[SL_WORK_EXPS];
};

#define W_OF_TABLE(n) w[n],

void SL_NAME(sl_core_call)(void *ctl, const void *const *w, uint32_t job_off, uint32_t job_count,
                           uint32_t ctl_limit, uint32_t w_limit, uint32_t timeout)
{
    struct work *work = malloc(sizeof *work);
    struct sl_launch launch = {job_off, job_count, {ctl_limit, w_limit}, false};
    (void)timeout;
    if (work)
        sl_core_run(ctl, SL_PORTS(W_OF_TABLE) & launch, work->x, work->xe, work->h, work->he);
    free(work);
}
