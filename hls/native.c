/* SPDX-License-Identifier: Apache-2.0 */
/* The core called from a program: weight pointers from a table, work arrays from the caller. */
#include "sl_core_native.h"

#include "core.h"
#include "expert_ffn.h"

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

#if SL_P == 1
uint32_t SL_NAME(sl_plain_rows)(void *ctl, const void *slab, struct sl_core_work *work,
                                const struct sl_plain_part *part)
{
    const struct sl_slab *header = slab;
    struct sl_req r = {.op = SL_OP_PLAIN,
                       .format = header->format,
                       .x_off = part->x_off,
                       .y_off = part->y_off,
                       .n_tokens = part->n_tokens,
                       .x_stride = part->x_stride,
                       .y_stride = part->y_stride,
                       .k = (uint16_t)header->k,
                       .rows = part->n};
    struct sl_head head = {.mant0 = header->mant0, .exp0 = header->exp0};
    struct sl_report rep = {SL_STATUS_OK, 0, 0, 0, 0, 0, 0};
    struct sl_rows rows;
    sl_rows_of(r.format, r.k, &rows);
    r.w_off = part->first / 2 * rows.unit_beats; /* the beat ahead of the part's first unit */
    return sl_expert_ffn(ctl, slab, &r, &head, UINT32_MAX, work->x, work->xe, work->h, work->he,
                         &rep);
}
#endif
