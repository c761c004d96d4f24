/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_gen.h"

#include <math.h>
#include <string.h>

static uint8_t code_of(struct sl_rng *rng, enum gen gen, int format, uint32_t row)
{
    static const uint8_t largest[5][2] = {{0x7F, 0xFF}, {0x80, 0x7F}, {15, 0}, {8, 7}, {7, 15}};
    static const uint8_t zero[5] = {0x80, 0, 7, 0, 8};
    uint64_t r = sl_rng_next(rng) >> 20;
    uint8_t any = (uint8_t)(r & (ref_is_4bit(format) ? 15 : 255));
    if (gen == GEN_WORST)
        return largest[format][row % 2];
    if (gen == GEN_ZERO)
        return r & 256 && format != SL_FORMAT_NF4 ? 0 : zero[format];
    if (gen == GEN_SMALL && format == SL_FORMAT_FP8)
        return any & 0x87;
    if (gen == GEN_SMALL)
        return format == SL_FORMAT_NF4 ? (uint8_t)(6 + any % 3) : any & 1;
    if (gen != GEN_ANY &&
        ((format == SL_FORMAT_FP8 && (any & 127) == 127) || (format == SL_FORMAT_Q8 && any == 128)))
        return any - 1;
    return any;
}

static uint8_t scale_of(struct sl_rng *rng, enum gen gen, uint32_t group)
{
    uint64_t r = sl_rng_next(rng) >> 20;
    switch (gen) {
    case GEN_WORST: return 255;
    case GEN_SCALES: return (uint8_t)group;
    case GEN_TYPICAL: return (uint8_t)(224 | (r & 31));
    default: return (uint8_t)r;
    }
}

void gen_matrix(struct sl_rng *rng, enum gen gen, struct ref_matrix *m)
{
    const uint32_t groups = m->k / SL_BLOCK;
    for (uint32_t r = 0; r < m->rows; r++) {
        for (uint32_t c = 0; c < m->k; c++)
            m->code[(size_t)r * m->k + c] = code_of(rng, gen, m->format, r);
        for (uint32_t g = 0; g < groups; g++)
            m->scale[(size_t)r * groups + g] = scale_of(rng, gen, r * groups + g);
    }
}

static int xe_of(struct sl_rng *rng, enum gen gen, int xe_max)
{
    if (gen == GEN_WORST)
        return xe_max;
    return (int)sl_rng_range(rng, gen == GEN_TYPICAL ? xe_max - 3 : 0, xe_max);
}

static int32_t q_of(struct sl_rng *rng, enum gen gen, int32_t q_max)
{
    if (gen == GEN_WORST)
        return q_max;
    if (gen == GEN_ZERO)
        return 0;
    if (gen == GEN_SMALL)
        return (int32_t)sl_rng_range(rng, -1, 1);
    return (int32_t)sl_rng_range(rng, -q_max, q_max);
}

void gen_x8(struct sl_rng *rng, enum gen gen, uint32_t k, int base_max, uint8_t *item)
{
    uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    const int sign = sl_rng_next(rng) >> 40 & 1 ? -1 : 1;
    ref_put32(item, (uint32_t)sl_rng_range(rng, -base_max, base_max));
    for (uint32_t b = 0; b < k / SL_BLOCK; b++)
        xe[b] = (uint8_t)xe_of(rng, gen, SL_XE_MAX);
    for (uint32_t c = 0; c < k; c++)
        code[c] = (uint8_t)(int8_t)(sign * q_of(rng, gen, 127));
}

void gen_x16(struct sl_rng *rng, enum gen gen, uint32_t k, int base_max, uint8_t *item)
{
    uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    const int sign = sl_rng_next(rng) >> 40 & 1 ? -1 : 1;
    ref_put32(item, (uint32_t)sl_rng_range(rng, -base_max, base_max));
    for (uint32_t b = 0; b < k / SL_BLOCK; b++)
        xe[b] = (uint8_t)xe_of(rng, gen, SL_XE16_MAX);
    for (uint32_t c = 0; c < k; c++)
        ref_put16(code + 2 * c, (uint16_t)(int16_t)(sign * q_of(rng, gen, 32767)));
}

/* One token in blocks; code_bytes 1 or 2. */
static void quantise(const double *x, uint32_t k, int code_bytes, uint8_t *item)
{
    const int frac = code_bytes == 1 ? 6 : 14, xe_max = code_bytes == 1 ? SL_XE_MAX : SL_XE16_MAX;
    const double q_max = code_bytes == 1 ? 127 : 32767;
    uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    int e[SL_MAX_K / SL_BLOCK], base = -100000;
    for (uint32_t b = 0; b < k / SL_BLOCK; b++) {
        double am = 0;
        for (uint32_t c = b * SL_BLOCK; c < (b + 1) * SL_BLOCK; c++)
            am = fmax(am, fabs(x[c]));
        e[b] = am > 0 ? ilogb(am) - frac : -100000;
        base = e[b] > base ? e[b] : base;
    }
    base = base == -100000 ? 0 : base - xe_max;
    ref_put32(item, (uint32_t)base);
    for (uint32_t b = 0; b < k / SL_BLOCK; b++) {
        xe[b] = (uint8_t)(e[b] > base ? e[b] - base : 0);
        for (uint32_t c = b * SL_BLOCK; c < (b + 1) * SL_BLOCK; c++) {
            int q = (int)fmin(fmax(nearbyint(ldexp(x[c], -(xe[b] + base))), -q_max), q_max);
            if (code_bytes == 1)
                code[c] = (uint8_t)q;
            else
                ref_put16(code + 2 * c, (uint16_t)q);
        }
    }
}

void gen_quantise8(const double *x, uint32_t k, uint8_t *item)
{
    quantise(x, k, 1, item);
}

void gen_quantise16(const double *x, uint32_t k, uint8_t *item)
{
    quantise(x, k, 2, item);
}

double gen_value8(const uint8_t *item, uint32_t k, uint32_t c)
{
    const uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    return ldexp((int8_t)code[c], xe[c / SL_BLOCK] + (int32_t)ref_get32(item));
}

double gen_value16(const uint8_t *item, uint32_t k, uint32_t c)
{
    const uint8_t *xe = item + 64, *code = xe + ref_ceil_div(k / SL_BLOCK, 64) * 64;
    return ldexp((int16_t)ref_get16(code + 2 * c), xe[c / SL_BLOCK] + (int32_t)ref_get32(item));
}

int gen_exponent(const struct ref_matrix *m, const uint8_t *item, uint16_t mant, int target)
{
    const uint32_t rows = m->rows < 4 ? m->rows : 4;
    double square = 0;
    for (uint32_t r = 0; r < rows; r++) {
        double y = 0;
        for (uint32_t c = 0; c < m->k; c++)
            y += ref_matrix_value(m, r, c) * gen_value8(item, m->k, c);
        square += y * y / rows;
    }
    return square > 0 ? target - ilogb(sqrt(square) * mant) : 0;
}

bool gen_expert(struct sl_rng *rng, enum gen gen, const struct sl_slab *shape,
                struct gen_expert *out)
{
    memset(out, 0, sizeof *out);
    out->head = *shape;
    for (int i = 0; i < 3; i++) {
        uint32_t rows = i == 2 ? shape->k : shape->rows, k = i == 2 ? shape->rows : shape->k;
        if (!ref_matrix_alloc(&out->m[i], shape->format, rows, k))
            return false;
        gen_matrix(rng, gen, &out->m[i]);
    }
    if (shape->format == SL_FORMAT_FP8) {
        out->head.mant0 = (uint16_t)sl_rng_range(rng, 32768, 65535);
        out->head.mant1 = (uint16_t)sl_rng_range(rng, 32768, 65535);
        out->head.mant2 = (uint16_t)sl_rng_range(rng, 32768, 65535);
    }
    out->head.exp2 = (int16_t)sl_rng_range(rng, -60, 0);
    return true;
}

void gen_expert_tune(struct sl_rng *rng, struct gen_expert *ex, const uint8_t *item)
{
    struct sl_slab *head = &ex->head;
    int g = (int)sl_rng_range(rng, -3, 4), u = (int)sl_rng_range(rng, -3, 4);
    head->exp0 = (int16_t)gen_exponent(&ex->m[0], item, head->mant0, g);
    head->exp1 = (int16_t)gen_exponent(&ex->m[1], item, head->mant1, u);
    /* A typical h in the middle of the window of exponents. */
    int h = g < 0 ? 2 * g + u : g + u;
    head->u_h = (int16_t)(16 - h + sl_rng_range(rng, -14, 14));
}

void gen_expert_free(struct gen_expert *ex)
{
    for (int i = 0; i < 3; i++)
        ref_matrix_free(&ex->m[i]);
}
