/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs for tests of the core: random, worst-case and degenerate weights and activations. */
#ifndef SL_REF_GEN_H
#define SL_REF_GEN_H

#include "ref/ref_slab.h"
#include "test_main.h"

enum gen {
    GEN_RANDOM,  /* what a packer may emit */
    GEN_ANY,     /* every byte a slab may hold: NaN codes, -128 */
    GEN_WORST,   /* the largest magnitudes with one sign per row, largest scales and exponents */
    GEN_ZERO,    /* codes of value 0, as +0 and -0 */
    GEN_SMALL,   /* fp8 subnormals, codes next to 0 */
    GEN_SCALES,  /* every scale byte in turn */
    GEN_TYPICAL, /* x as of a normal vector, weights as GEN_RANDOM with scales of one octave */
    N_GEN
};

/* Fills an allocated matrix. */
void gen_matrix(struct sl_rng *rng, enum gen gen, struct ref_matrix *m);
/* Fill one token's item; bytes that hold no data are left alone. base_max bounds |base|. */
void gen_x8(struct sl_rng *rng, enum gen gen, uint32_t k, int base_max, uint8_t *item);
void gen_x16(struct sl_rng *rng, enum gen gen, uint32_t k, int base_max, uint8_t *item);

/* Quantises x[k] as docs/numerics.md 3.1 tells the host. */
void gen_quantise8(const double *x, uint32_t k, uint8_t *item);
void gen_quantise16(const double *x, uint32_t k, uint8_t *item);
/* Value of element c of an item. */
double gen_value8(const uint8_t *item, uint32_t k, uint32_t c);
double gen_value16(const uint8_t *item, uint32_t k, uint32_t c);

/* e such that products of m's first rows with the item, times mant * 2^e, are about 2^target. */
int gen_exponent(const struct ref_matrix *m, const uint8_t *item, uint16_t mant, int target);

/* An expert with everything a slab says about it. */
struct gen_expert {
    struct ref_matrix m[3]; /* gate, up, down; owned */
    struct sl_slab head;
};
/* Weights by `gen`; mantissas as the format has them; exponents and u_h so that the item gives g, u
 * and h of ordinary size, spread by a few octaves. False: no memory. */
bool gen_expert(struct sl_rng *rng, enum gen gen, const struct sl_slab *shape,
                struct gen_expert *out);
void gen_expert_tune(struct sl_rng *rng, struct gen_expert *ex, const uint8_t *item);
void gen_expert_free(struct gen_expert *ex);

#endif
