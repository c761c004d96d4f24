/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/cpu_ops.h"

#include <string.h>

#include "accel/activation.h"
#include "accel/cpu_kernels.h"
#include "base/err.h"
#include "engine/simd.h"
#include "sl_core_native.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static struct sl_cpu_rows whole_rows(const uint8_t *unit, int format, uint32_t k)
{
    struct sl_cpu_rows r = {.unit = unit,
                            .format = format,
                            .n_col = k,
                            .unit_bytes = sl_unit_beats(format, k) * SL_BEAT_BYTES,
                            .scale_bytes = sl_scale_beats(format, k) * SL_BEAT_BYTES,
                            .ahead = SL_CPU_PREFETCH};
    r.row_bytes = r.scale_bytes + sl_k64(k);
    r.code_at = r.scale_bytes;
    return r;
}

static const uint8_t *first_unit(const struct sl_slab *slab)
{
    return (const uint8_t *)slab + SL_BEAT_BYTES;
}

struct sl_cpu_rows sl_cpu_rows_plain(const struct sl_slab *slab)
{
    return whole_rows(first_unit(slab), slab->format, slab->k);
}

struct sl_cpu_rows sl_cpu_rows_gate_up(const struct sl_slab *slab)
{
    return whole_rows(first_unit(slab), slab->format, slab->k);
}

struct sl_cpu_rows sl_cpu_rows_down(const struct sl_slab *slab, uint32_t first, uint32_t n)
{
    const struct sl_cpu_rows up = sl_cpu_rows_gate_up(slab);
    struct sl_cpu_rows r =
        whole_rows(up.unit + slab->rows * up.unit_bytes, slab->format, slab->rows);
    const uint32_t group = first / SL_BLOCK;
    r.n_col = n;
    r.code_at += first;
    r.scale_at = sl_format_is_4bit(slab->format) ? 2 * (size_t)group : group;
    if (n == slab->rows)
        return r;
    /* The stream has gaps: the same columns of a later row. */
    r.ahead = (r.ahead + r.row_bytes - 1) / r.row_bytes * r.row_bytes;
    if (r.scale_bytes)
        r.scale_bytes = sl_scale_beats(slab->format, n) * SL_BEAT_BYTES;
    return r;
}

/* ---- plain matrices -------------------------------------------------------------------------- */

static void x_of_items(const uint8_t *item, uint32_t n_tok, uint32_t k, struct sl_cpu_x *x)
{
    x->n_tok = n_tok;
    x->n_col = k;
    for (uint32_t t = 0; t < n_tok; t++, item += sl_act8_beats(k) * (size_t)SL_BEAT_BYTES) {
        x->xe[t] = item + SL_BEAT_BYTES;
        x->code[t] = (const int8_t *)sl_cpu_codes_of(item, k);
    }
}

unsigned sl_cpu_plain_by(const struct sl_cpu_ops *ops, const struct sl_cpu_plain *c, void *work)
{
    struct sl_cpu_work *w = work;
    struct sl_cpu_x x;
    const struct sl_slab *slab = c->slab;
    const struct sl_cpu_rows rows = sl_cpu_rows_plain(slab);
    x_of_items(c->x, c->n_tok, slab->k, &x);
    bool ok = ops->x_ok(&x);
    for (uint32_t t = 0; t < c->n_tok; t++)
        ok = ok && !sl_cpu_base_is_bad(sl_cpu_base_of(x.xe[t] - SL_BEAT_BYTES));
    if (!ok)
        return SL_STATUS_BAD_ACTIVATION;
    ops->load(&x, slab->format, work);
    ops->sums(&rows, c->first / 2, (c->n_row + 1) / 2, work);
    for (uint32_t t = 0; t < c->n_tok; t++)
        ops->round(w->sum[t], c->n_row, slab->mant0,
                   slab->exp0 + sl_cpu_base_of(x.xe[t] - SL_BEAT_BYTES),
                   c->y + t * c->y_stride + c->first);
    return SL_STATUS_OK;
}

/* ---- native ---------------------------------------------------------------------------------- */

/* The core's memory as beats: x of all tokens, then y. */
enum {
    FLOATS_PER_BEAT = SL_BEAT_BYTES / 4,
    MAX_X_BEATS = 1 + SL_MAX_K / SL_BLOCK / SL_BEAT_BYTES + SL_MAX_K / SL_BEAT_BYTES,
    MAX_Y_BEATS = SL_CPU_MAX_PART_ROWS / FLOATS_PER_BEAT,
    CTL_BEATS = SL_MAX_TOKENS * (MAX_X_BEATS + MAX_Y_BEATS)
};

struct native_work {
    uint8_t ctl[CTL_BEATS][SL_BEAT_BYTES];
    struct sl_core_work core;
};

static unsigned native_plain(const struct sl_cpu_plain *c, void *work)
{
    struct native_work *w = work;
    uint32_t x_beats = sl_act8_beats(c->slab->k), y_off = c->n_tok * x_beats;
    uint32_t y_beats = (c->n_row + FLOATS_PER_BEAT - 1) / FLOATS_PER_BEAT;
    struct sl_plain_part part = {.first = c->first,
                                 .n = c->n_row,
                                 .y_off = y_off,
                                 .n_tokens = (uint16_t)c->n_tok,
                                 .x_stride = (uint16_t)x_beats,
                                 .y_stride = (uint16_t)y_beats};
    memcpy(w->ctl, c->x, (size_t)y_off * SL_BEAT_BYTES);
    unsigned status = sl_plain_rows_p1(w->ctl, c->slab, &w->core, &part);
    for (uint32_t t = 0; status == SL_STATUS_OK && t < c->n_tok; t++)
        memcpy(c->y + t * c->y_stride + c->first, w->ctl[y_off + t * y_beats],
               c->n_row * sizeof(float));
    return status;
}

const struct sl_cpu_ops *sl_cpu_ops_native(void)
{
    static const struct sl_cpu_ops ops = {
        .name = "native", .work_bytes = sizeof(struct native_work), .plain = native_plain};
    return &ops;
}

/* ---- the choice ------------------------------------------------------------------------------ */

const struct sl_cpu_ops *sl_cpu_ops_best(void)
{
    const enum sl_simd_level limit = sl_simd_limit();
    const struct sl_cpu_ops *ops = limit >= SL_SIMD_AVX512 ? sl_cpu_ops_avx512() : NULL;
    ops = !ops && limit >= SL_SIMD_AVX2 ? sl_cpu_ops_avx2() : ops;
    return ops ? ops : sl_cpu_ops_native();
}

int sl_cpu_ops_named(const struct sl_cpu_ops **out, const char *name)
{
    static const struct {
        const char *name, *needs;
        const struct sl_cpu_ops *(*get)(void);
    } all[] = {{"native", "", sl_cpu_ops_native},
               {"avx2", "AVX2 and FMA", sl_cpu_ops_avx2},
               {"avx512", "AVX-512 with VNNI and VBMI", sl_cpu_ops_avx512}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i].name, name)) {
            *out = all[i].get();
            return *out ? 0
                        : sl_fail(SL_ERR_UNSUPPORTED, "leave the instruction set out",
                                  "%s: this machine or build has no %s", name, all[i].needs);
        }
    return sl_fail(SL_ERR_USAGE, "choose one of native, avx2, avx512",
                   "no instruction set '%.40s' for the CPU", name);
}
