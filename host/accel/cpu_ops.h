/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of the fabric on the CPU, in the words that a device would give. One table per
 * implementation; the caller checks, splits over threads and keeps the scratch memory.
 *
 * A thread loads activations into its scratch memory once and then takes sums of any rows with
 * them: exact 64-bit sums, which it rounds to fp32 or makes h of.
 */
#ifndef SL_ACCEL_CPU_OPS_H
#define SL_ACCEL_CPU_OPS_H

#include <stdbool.h>
#include <stddef.h>

#include "sl_abi.h"

enum {
    SL_CPU_ROW_STEP = 16,      /* parts of a matrix begin at multiples of it */
    SL_CPU_MAX_PART_ROWS = 256 /* and are not larger */
};

/* Rows of a slab's region in units of two (docs/numerics.md 2.4), of whose columns some count. */
struct sl_cpu_rows {
    const uint8_t *unit; /* the region's first */
    int format;
    uint32_t n_col; /* columns that count */
    /* In bytes. Scales and codes of a row (4-bit: of a pair) are row_bytes. */
    size_t unit_bytes, row_bytes;
    size_t scale_bytes;       /* in front of a row's codes */
    size_t scale_at, code_at; /* in a row: of the first column that counts */
    size_t ahead;             /* how far ahead of their use weights are asked for */
};

/* The regions of checked slabs in natural order. first, n: columns of the slice, multiples of 32.
 * SL_SLACK_BEATS are readable behind the slab. */
struct sl_cpu_rows sl_cpu_rows_plain(const struct sl_slab *slab);
struct sl_cpu_rows sl_cpu_rows_gate_up(const struct sl_slab *slab);
struct sl_cpu_rows sl_cpu_rows_down(const struct sl_slab *slab, uint32_t first, uint32_t n);

/* Vectors of n_col columns, a multiple of 32: block exponents, one byte per 32 columns, and codes
 * (docs/numerics.md 3). Nothing behind the columns is read. */
struct sl_cpu_x {
    uint32_t n_tok, n_col;
    const uint8_t *xe[SL_MAX_TOKENS];
    const int8_t *code[SL_MAX_TOKENS];
};

/* What every implementation's scratch memory begins with. */
struct sl_cpu_work {
    _Alignas(64) int64_t sum[SL_MAX_TOKENS][SL_CPU_MAX_PART_ROWS];
    uint32_t n_tok; /* of what is loaded */
};

/* The scales on the way from sums of gate and up to h (docs/numerics.md 5.1, 3.2). */
struct sl_cpu_swiglu {
    uint16_t mant0, mant1;
    int exp0, exp1; /* of the slab, plus base, plus 16 */
    int u;          /* u_h - u_h_drop */
};

struct sl_cpu_counts {
    uint32_t sat_gu, saturations, clamps;
};

/* A router's scores: rows of K64 codes of 16 bits (docs/numerics.md 2.5, 3.1). */
struct sl_cpu_router {
    const uint8_t *row; /* of the slab: the first of n_row */
    uint32_t k, n_row;  /* n_row at most SL_CPU_MAX_PART_ROWS */
    uint32_t n_tok;
    const uint8_t *xe[SL_MAX_TOKENS];
    const uint8_t *code[SL_MAX_TOKENS]; /* [K64] s16 */
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

/* work: work_bytes of this thread, 64-byte aligned, of any contents before the first load. */
struct sl_cpu_ops {
    const char *name; /* "native", "avx2", "avx512" */
    size_t work_bytes;
    /* Returns an SL_STATUS_*; OK for every slab that sl_slab_check accepts and every activation
     * that sl_act8_pack wrote. Loads x. */
    unsigned (*plain)(const struct sl_cpu_plain *call, void *work);

    /* The rest is NULL in "native", which is the core of hls/ and takes whole jobs only. */

    /* Whether no code is -128 and no exponent above XE_MAX. */
    bool (*x_ok)(const struct sl_cpu_x *x);
    /* Any bytes may be loaded; sums are right for x that are ok. */
    void (*load)(const struct sl_cpu_x *x, int format, void *work);
    /* Units first .. first + n - 1, n <= SL_CPU_MAX_PART_ROWS / 2, with what was loaded for their
     * format and n_col: sum[t][0 .. 2 n - 1] in the order of rows, and any values behind them. */
    void (*sums)(const struct sl_cpu_rows *rows, uint32_t first, uint32_t n, void *work);
    /* y[n] = sl_scale_f32(sum[n], mant, e). sum: 64-byte aligned; y: any. */
    void (*round)(const int64_t *sum, uint32_t n, uint16_t mant, int e, float *y);
    /* n units (a multiple of 32) of gate and up sums to h[n] and its exponents he[n / 32]; adds to
     * the counts. sum and h: 64- and 32-byte aligned. */
    void (*swiglu)(const struct sl_cpu_swiglu *s, const int64_t *sum, uint32_t n, int8_t *h,
                   uint8_t *he, struct sl_cpu_counts *counts);
    /* Whether no code of a token is -32768 and no exponent above XE16_MAX. */
    bool (*x16_ok)(const uint8_t *xe, const uint8_t *code, uint32_t k);
    /* sum[t][row]. Keeps what is loaded. */
    void (*router)(const struct sl_cpu_router *r, void *work);
    /* KV_PACK of one head vector of d channels (docs/numerics.md 3.1, 5.5): whether its exponent
     * and no code is forbidden; the whole record. item: readable to its beat's end. */
    bool (*kv_item_ok)(uint32_t d, const uint8_t *item);
    void (*kv_pack)(int format, uint32_t d, const uint8_t *item, uint8_t *record);
};

/* The core of hls/, compiled natively. */
const struct sl_cpu_ops *sl_cpu_ops_native(void);
/* AVX2; AVX-512 with VNNI and VBMI. NULL where the machine or this build lacks the instructions. */
const struct sl_cpu_ops *sl_cpu_ops_avx2(void);
const struct sl_cpu_ops *sl_cpu_ops_avx512(void);
/* The fastest that the machine has and SLUICE_SIMD (engine/simd.h) allows. Never NULL. */
const struct sl_cpu_ops *sl_cpu_ops_best(void);
/* By its name. SL_ERR_USAGE, SL_ERR_UNSUPPORTED where the instructions are missing. */
int sl_cpu_ops_named(const struct sl_cpu_ops **out, const char *name);

#endif
