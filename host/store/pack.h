/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors to slabs (docs/numerics.md 2 and 3.2). A plan is made first: it reads the tensors once,
 * refuses NaN and infinity, and fixes the header. Then units are emitted in any portions. The bytes
 * depend on neither threads nor portions.
 */
#ifndef SL_STORE_PACK_H
#define SL_STORE_PACK_H

#include "base/pool.h"
#include "sl_abi.h"
#include "store/checkpoint.h"
#include "store/encode.h"

/* n_row rows of a 2-D tensor, as a matrix of `rows` x k with zero rows and columns behind. Row r is
 * the tensor's row first_row + r / block * stride + r % block; block 0: first_row + r. */
struct sl_pack_matrix {
    const struct sl_tensor *tensor; /* borrowed */
    uint64_t first_row, n_row;
    uint32_t block, stride;
    uint32_t rows, k; /* rows >= n_row; k: a multiple of 32, at least the tensor's columns */
};

static inline uint64_t sl_pack_tensor_row(const struct sl_pack_matrix *m, uint64_t row)
{
    return m->first_row + (m->block ? row / m->block * m->stride + row % m->block : row);
}

/* How to work, and what was met on the way. */
struct sl_pack_run {
    struct sl_pool *pool;             /* borrowed; NULL: the caller's thread alone */
    uint64_t n_group, n_group_raised; /* added up; fp8 and routers have no groups */
};

struct sl_pack_plan {
    struct sl_slab header;
    unsigned n_matrix;
    struct sl_pack_matrix
        matrix[3]; /* plain: 1; expert: gate, up, down; router: 1, or query, key, value */
    struct sl_matrix_scale scale[3];
    bool keep_codes[3];                  /* the source's codes as they are: fp8 from E4M3, int4 from
                                            GPTQ's 4 bits, whose scales are rounded */
    int8_t row_exp[3 * SL_MAX_N_EXPERT]; /* routers */
};

/* What one pass over a matrix finds. */
struct sl_pack_scan {
    float absmax;
    double energy;     /* mean over the tensor's n_row rows of sum_k (w_k norm_k)^2 */
    float *row_absmax; /* NULL, or the caller's float[n_row] to fill */
};

/* SL_ERR_SHAPE for ranges outside of the tensor, SL_ERR_RANGE names the first NaN or infinity.
 * norm: float[columns] or NULL for ones. */
int sl_pack_scan_matrix(const struct sl_pack_matrix *m, const float *norm, struct sl_pack_run *run,
                        struct sl_pack_scan *out);
/* Fills plan->scale[i] and keep_codes[i] of plan->matrix[i]. SL_ERR_RANGE when fp8 codes come with
 * a scale that is not positive and finite. */
int sl_pack_set_scale(struct sl_pack_plan *plan, unsigned i, int format, float absmax);

int sl_pack_plan_plain(struct sl_pack_plan *plan, const struct sl_pack_matrix *m, int format,
                       struct sl_pack_run *run);

struct sl_pack_expert {
    struct sl_pack_matrix gate, up,
        down;                     /* gate, up: d_ff x d_model; down: d_model x d_ff, padded alike */
    const struct sl_tensor *norm; /* weight of the norm that feeds the expert, [d_model] */
};
int sl_pack_plan_expert(struct sl_pack_plan *plan, const struct sl_pack_expert *e, int format,
                        struct sl_pack_run *run);
/* The rule for u_h from the mean row energies of gate and up. */
int sl_pack_u_h(double gate_energy, double up_energy);

/* n = 1: the router's rows; n = 3: query, key, value of an attention router. 16-bit rows with
 * power-of-two scales. */
int sl_pack_plan_router(struct sl_pack_plan *plan, const struct sl_pack_matrix *m, unsigned n,
                        struct sl_pack_run *run);

/* Header beat and router tables: sl_slab_get_shape().head_beats beats. */
void sl_pack_head(const struct sl_pack_plan *plan, uint8_t *dst);
/* Units [first, first + count) of a region. */
int sl_pack_units(const struct sl_pack_plan *plan, unsigned region, uint64_t first, uint64_t count,
                  uint8_t *dst, struct sl_pack_run *run);
/* The whole slab, sl_slab_beats() beats. */
int sl_pack_slab(const struct sl_pack_plan *plan, uint8_t *dst, struct sl_pack_run *run);
/* Tells the system that the plan's tensors will not be read again soon. */
void sl_pack_release(const struct sl_pack_plan *plan);

/* One router unit: row `row` of matrix m in K64 s16 codes with exponent e. scratch: float[K64]. */
void sl_pack_router_row(const struct sl_pack_matrix *m, uint64_t row, int e, float *scratch,
                        uint8_t *dst);
/* Row `row` (of n_row) widened into dst[K64 of m->k], zeros behind the tensor's columns. */
void sl_pack_read_row(const struct sl_pack_matrix *m, uint64_t row, float *dst);
/* Runs fn over [0, n) on the pool, or in the caller when there is none. */
void sl_pack_for(const struct sl_pack_run *run, sl_pool_fn fn, void *user, size_t n);
unsigned sl_pack_threads(const struct sl_pack_run *run);

#endif
