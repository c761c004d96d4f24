/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of the fabric on the CPU, in the words that a device would give. One table per
 * implementation; the caller quantises, splits over threads and keeps the scratch memory.
 */
#ifndef SL_ACCEL_CPU_PLAIN_H
#define SL_ACCEL_CPU_PLAIN_H

#include <stddef.h>

#include "sl_abi.h"

enum {
    SL_CPU_ROW_STEP = 16,      /* parts of a matrix begin at multiples of it */
    SL_CPU_MAX_PART_ROWS = 256 /* and are not larger */
};

/* Some rows of a plain matrix (docs/numerics.md 5.2) times some tokens. */
struct sl_cpu_plain {
    const struct sl_slab *slab; /* natural order, SL_SLACK_BEATS readable behind it; checked */
    const uint8_t *x;           /* n_tok activations (accel/activation.h) of slab->k columns */
    uint32_t n_tok;             /* 1 .. SL_MAX_TOKENS */
    uint32_t first, n_row;      /* first: a multiple of SL_CPU_ROW_STEP */
    float *y;                   /* [n_tok][y_stride]; row 0 of the matrix at y[0] */
    size_t y_stride;
};

struct sl_cpu_ops {
    const char *name; /* "native", "avx2", "avx512" */
    size_t work_bytes;
    /* work: work_bytes of this thread, 64-byte aligned, contents of no matter. Returns an
     * SL_STATUS_*; OK for every slab that sl_slab_check accepts and every activation that
     * sl_act8_pack wrote. */
    unsigned (*plain)(const struct sl_cpu_plain *call, void *work);
};

/* The core of hls/, compiled natively. */
const struct sl_cpu_ops *sl_cpu_ops_native(void);
/* AVX2; AVX-512 with VNNI and VBMI. NULL where the machine or this build lacks the instructions. */
const struct sl_cpu_ops *sl_cpu_ops_avx2(void);
const struct sl_cpu_ops *sl_cpu_ops_avx512(void);
/* The fastest that the machine has and SLUICE_SIMD (engine/simd.h) allows. Never NULL. */
const struct sl_cpu_ops *sl_cpu_ops_best(void);

#endif
