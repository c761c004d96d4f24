/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs on P weight arenas from plain matrices of codes, and back: docs/numerics.md 2. */
#ifndef SL_REF_SLAB_H
#define SL_REF_SLAB_H

#include <stdbool.h>

#include "ref/ref_num.h"
#include "sl_abi.h"

/* A matrix in natural order. */
struct ref_matrix {
    int format;
    uint32_t rows, k;
    uint8_t *code;  /* [rows][k], owned: one code per byte */
    uint8_t *scale; /* [rows][k / 32], owned; of fp8 not used */
};

/* One row, decoded. */
struct ref_row {
    bool scaled;             /* false: fp8 */
    int32_t value[SL_MAX_K]; /* of each code */
    uint8_t scale[SL_MAX_K / SL_BLOCK];
};

/* The weight arenas of a core: w[p] holds w_limit beats. */
struct ref_weights {
    unsigned n_port;
    uint64_t w_limit;
    uint8_t *w[SL_MAX_PORTS];
};

/* The equal units of one region of a slab, `first` beats behind the slab's header. */
struct ref_region {
    uint64_t first, units, unit_beats;
};

/* What a router's slab holds. */
struct ref_router {
    uint32_t n_expert, rows, k; /* rows: n_expert, or 3 n_expert */
    int8_t *exponent;           /* [rows], owned */
    int32_t *bias;              /* [n_expert], owned; NULL: none */
    int16_t *weight;            /* [rows][k], owned */
};

/* Zero on allocation failure: tests stop there. free_* accept zeroed objects. */
bool ref_matrix_alloc(struct ref_matrix *m, int format, uint32_t rows, uint32_t k);
void ref_matrix_free(struct ref_matrix *m);
bool ref_router_alloc(struct ref_router *r, uint32_t n_expert, uint32_t rows, uint32_t k,
                      bool bias);
void ref_router_free(struct ref_router *r);

bool ref_is_4bit(int format);
int32_t ref_code_value(int format, uint8_t code);
/* Value of one weight without the scale of its matrix: code * sig * 2^we. */
double ref_matrix_value(const struct ref_matrix *m, uint32_t row, uint32_t col);

uint64_t ref_scale_beats(int format, uint64_t k); /* in front of a row; 4-bit: of a pair */
uint64_t ref_unit_beats(int format, uint64_t k);

/* Regions of a slab of which every port holds its share: [0] gate/up or the rows, [1] an expert's
 * down. Returns the beats on each port, slack not counted. */
uint64_t ref_expert_regions(int format, uint64_t k, uint64_t d_ff, unsigned n_port,
                            struct ref_region out[2]);
uint64_t ref_plain_region(int format, uint64_t k, uint64_t rows, unsigned n_port,
                          struct ref_region *out);
uint64_t ref_router_region(uint64_t k, uint64_t rows, uint64_t bias_beats, unsigned n_port,
                           struct ref_region *out);

/* Writes a slab at w_off on all ports: `head` and the data; padding and absent units stay as they
 * are. Returns the beats it takes on each port, slack included. */
uint64_t ref_put_expert(const struct ref_weights *w, uint64_t w_off, const struct sl_slab *head,
                        const struct ref_matrix m[3]); /* gate, up, down */
uint64_t ref_put_plain(const struct ref_weights *w, uint64_t w_off, const struct sl_slab *head,
                       const struct ref_matrix *m);
uint64_t ref_put_router(const struct ref_weights *w, uint64_t w_off, const struct sl_slab *head,
                        const struct ref_router *r);

/* Headers with kind, format, shape and unit scales; the caller sets the rest. */
struct sl_slab ref_expert_header(int format, uint32_t k, uint32_t d_ff);
struct sl_slab ref_plain_header(int format, uint32_t k, uint32_t rows);
struct sl_slab ref_router_header(const struct ref_router *r);

/* Bytes of unit j of a region. */
uint8_t *ref_unit(const struct ref_weights *w, uint64_t w_off, const struct ref_region *region,
                  uint64_t j);
/* Decodes k columns of the low or high row of a unit. */
void ref_get_row(int format, uint32_t k, const uint8_t *unit, bool high, struct ref_row *out);

#endif
