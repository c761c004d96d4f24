/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "store/pack.h"
#include "store/slab.h"

static double silu(double x)
{
    return x / (1 + exp(-x));
}

/* rms(silu(sigma z)) over standard normal z: trapezoid sum over z = -8..8 in steps of 1/64. */
static double rms_silu(double sigma)
{
    const double step = 1.0 / 64;
    double sum = 0;
    for (int i = -512; i <= 512; i++) {
        double z = i * step, s = silu(sigma * z);
        sum += s * s * exp(-z * z / 2) * (i == -512 || i == 512 ? 0.5 : 1.0);
    }
    return sqrt(sum * step * 0.39894228040143267794); /* 1 / sqrt(2 pi) */
}

int sl_pack_u_h(double gate_energy, double up_energy)
{
    double h_typ = rms_silu(sqrt(gate_energy)) * sqrt(up_energy);
    if (!(h_typ > 0))
        return SL_U_H_MAX;
    if (!isfinite(h_typ))
        return SL_U_H_MIN;
    int u = 14 - ilogb(4 * h_typ);
    return u < SL_U_H_MIN ? SL_U_H_MIN : u > SL_U_H_MAX ? SL_U_H_MAX : u;
}

/* The norm's weight as fp32[columns]; the caller frees. */
static int read_norm(const struct sl_tensor *norm, uint64_t columns, float **out)
{
    if (norm->n_dim != 1 || norm->dim[0] != columns)
        return sl_fail(SL_ERR_SHAPE, "the checkpoint does not fit its config.json",
                       "tensor %s: not a vector of %llu", norm->name, (unsigned long long)columns);
    float *w = sl_alloc(columns, sizeof *w);
    if (!w)
        return SL_ERR_NOMEM;
    sl_tensor_read(norm, 0, columns, w);
    for (uint64_t i = 0; i < columns; i++) {
        if (!isfinite(w[i])) {
            free(w);
            return sl_fail(SL_ERR_RANGE, "the checkpoint is damaged; download it again",
                           "tensor %s: element [%llu] is not finite", norm->name,
                           (unsigned long long)i);
        }
    }
    *out = w;
    return 0;
}

int sl_pack_plan_expert(struct sl_pack_plan *plan, const struct sl_pack_expert *e, int format,
                        struct sl_pack_run *run)
{
    const struct sl_pack_matrix *m[] = {&e->gate, &e->up, &e->down};
    if (e->up.k != e->gate.k || e->up.rows != e->gate.rows || e->down.k != e->gate.rows ||
        e->down.rows != e->gate.k)
        return sl_fail(SL_ERR_SHAPE, NULL, "tensor %s: gate, up and down differ in their widths",
                       e->gate.tensor->name);
    float *norm = NULL;
    int err = read_norm(e->norm, e->gate.tensor->dim[1], &norm);
    struct sl_pack_scan scan[3] = {{0}};
    *plan = (struct sl_pack_plan){.n_matrix = 3};
    for (unsigned i = 0; i < 3 && !err; i++) {
        plan->matrix[i] = *m[i];
        err = sl_pack_scan_matrix(m[i], i < 2 ? norm : NULL, run, &scan[i]);
        if (!err)
            err = sl_pack_set_scale(plan, i, format, scan[i].absmax);
    }
    free(norm);
    if (err)
        return err;
    const struct sl_matrix_scale *s = plan->scale;
    plan->header = (struct sl_slab){.magic = SL_SLAB_MAGIC,
                                    .kind = SL_KIND_EXPERT,
                                    .format = (uint8_t)format,
                                    .k = e->gate.k,
                                    .rows = e->gate.rows,
                                    .u_h = (int16_t)sl_pack_u_h(scan[0].energy, scan[1].energy),
                                    .mant0 = s[0].mant,
                                    .mant1 = s[1].mant,
                                    .mant2 = s[2].mant,
                                    .exp0 = s[0].exp,
                                    .exp1 = s[1].exp,
                                    .exp2 = s[2].exp};
    return sl_slab_check(&plan->header);
}
