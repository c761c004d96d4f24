/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/cpu_plain.h"

#include <string.h>

#include "accel/activation.h"
#include "engine/simd.h"
#include "sl_core_native.h"

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
    static const struct sl_cpu_ops ops = {"native", sizeof(struct native_work), native_plain};
    return &ops;
}

const struct sl_cpu_ops *sl_cpu_ops_best(void)
{
    const enum sl_simd_level limit = sl_simd_limit();
    const struct sl_cpu_ops *ops = limit >= SL_SIMD_AVX512 ? sl_cpu_ops_avx512() : NULL;
    ops = !ops && limit >= SL_SIMD_AVX2 ? sl_cpu_ops_avx2() : ops;
    return ops ? ops : sl_cpu_ops_native();
}
