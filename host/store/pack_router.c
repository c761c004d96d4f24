/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/pack.h"
#include "store/slab.h"

enum { CODE_MAX = 32767 };

/* Smallest exponent of an s8 for which every weight of the row rounds within +-32767. A zero row
 * has 0. */
static int8_t choose_row_exp(float absmax)
{
    if (absmax == 0)
        return 0;
    int e = ilogbf(absmax) - 14;
    if (rint(ldexp(absmax, -e)) > CODE_MAX)
        e++;
    return (int8_t)(e < INT8_MIN ? INT8_MIN : e);
}

int sl_pack_plan_router(struct sl_pack_plan *plan, const struct sl_pack_matrix *m, unsigned n,
                        struct sl_pack_run *run)
{
    uint32_t rows = m[0].rows;
    *plan = (struct sl_pack_plan){.n_matrix = n};
    plan->header = (struct sl_slab){
        .magic = SL_SLAB_MAGIC, .kind = SL_KIND_ROUTER, .k = m[0].k, .rows = n * rows};
    if (rows > SL_MAX_N_EXPERT)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "tensor %s: %u experts, at most %d are possible",
                       m[0].tensor->name, rows, SL_MAX_N_EXPERT);
    float absmax[SL_MAX_N_EXPERT];
    for (unsigned i = 0; i < n; i++) {
        if (m[i].rows != rows || m[i].n_row != rows || m[i].k != m[0].k)
            return sl_fail(SL_ERR_SHAPE, NULL, "tensor %s: the router's matrices differ in shape",
                           m[i].tensor->name);
        struct sl_pack_scan scan = {.row_absmax = absmax};
        int err = sl_pack_scan_matrix(&m[i], NULL, run, &scan);
        if (err)
            return err;
        plan->matrix[i] = m[i];
        for (uint32_t r = 0; r < rows; r++)
            plan->row_exp[i * rows + r] = choose_row_exp(absmax[r]);
    }
    return sl_slab_check(&plan->header);
}

void sl_pack_router_row(const struct sl_pack_matrix *m, uint64_t row, int e, float *scratch,
                        uint8_t *dst)
{
    uint64_t k64 = sl_k64(m->k);
    sl_pack_read_row(m, row, scratch);
    for (uint64_t i = 0; i < k64; i++) {
        int16_t code = (int16_t)rint(ldexp(scratch[i], -e));
        memcpy(dst + 2 * i, &code, sizeof code);
    }
}
