/* SPDX-License-Identifier: Apache-2.0 */
#include "slab_read.h"

#include <math.h>
#include <string.h>

/* The QLoRA code book (Dettmers et al. 2023). */
static const double nf4[16] = {-1,
                               -0.6961928009986877,
                               -0.5250730514526367,
                               -0.39491748809814453,
                               -0.28444138169288635,
                               -0.18477343022823334,
                               -0.09105003625154495,
                               0,
                               0.07958029955625534,
                               0.16093020141124725,
                               0.24611230194568634,
                               0.33791524171829224,
                               0.44070982933044434,
                               0.5626170039176941,
                               0.7229568362236023,
                               1};

double sl_test_e4m3(int code)
{
    int e = code >> 3 & 15, m = code & 7;
    double v = e == 0 ? ldexp(m, -9) : ldexp(8 + m, e - 10);
    return code & 128 ? -v : v;
}

int sl_test_code_value(int format, int code)
{
    static const int fp4[8] = {0, 1, 2, 3, 4, 6, 8, 12};
    switch (format) {
    case SL_FORMAT_FP8: return (int)(sl_test_e4m3(code) * 512);
    case SL_FORMAT_Q8: return code > 127 ? code - 256 : code;
    case SL_FORMAT_NF4: return (int)lround(nf4[code] * 127);
    case SL_FORMAT_INT4: return code > 7 ? code - 16 : code;
    default: return code > 7 ? -fp4[code - 8] : fp4[code];
    }
}

int sl_test_top(int format)
{
    return format == SL_FORMAT_INT4 ? 7 : format == SL_FORMAT_MXFP4 ? 12 : 127;
}

static uint64_t beats64(uint64_t k)
{
    return (k + 63) / 64;
}

/* Bytes of scale beats in front of a row or a pair of rows. */
static uint64_t scale_bytes(int format, uint64_t k)
{
    uint64_t padded = beats64(k) * 64;
    switch (format) {
    case SL_FORMAT_FP8: return 0;
    case SL_FORMAT_Q8: return (padded + 2047) / 2048 * 64;
    default: return (padded + 1023) / 1024 * 64;
    }
}

static struct sl_weight_at read_router(const uint8_t *slab, const struct sl_slab *h, uint32_t row,
                                       uint32_t col)
{
    uint64_t tables =
        1 + beats64(h->rows) + (h->flags & SL_SLAB_HAS_BIAS ? beats64(4 * h->rows) : 0);
    const uint8_t *p = slab + tables * 64 + (row * beats64(h->k) * 64 + col) * 2;
    int16_t code = (int16_t)(p[0] | p[1] << 8);
    return (struct sl_weight_at){code, code, -1, ldexp(code, (int8_t)slab[64 + row])};
}

/* Row `row` of a pair or of two rows; `unit` is its unit's first byte. */
static struct sl_weight_at read_unit(const uint8_t *unit, int format, uint64_t k, unsigned half,
                                     uint32_t col)
{
    struct sl_weight_at w = {.scale_byte = -1};
    uint64_t scales = scale_bytes(format, k), weights = beats64(k) * 64;
    if (format == SL_FORMAT_FP8 || format == SL_FORMAT_Q8) {
        const uint8_t *row = unit + half * (scales + weights);
        w.code = row[scales + col];
        if (format == SL_FORMAT_Q8)
            w.scale_byte = row[col / 32];
    } else {
        w.code = unit[scales + col] >> (half ? 4 : 0) & 15;
        w.scale_byte = unit[col / 32 * 2 + half];
    }
    w.value = sl_test_code_value(format, w.code);
    return w;
}

struct sl_weight_at sl_test_weight(const uint8_t *slab, unsigned matrix, uint32_t row, uint32_t col)
{
    struct sl_slab h;
    memcpy(&h, slab, sizeof h);
    if (h.kind == SL_KIND_ROUTER)
        return read_router(slab, &h, row, col);
    uint64_t lines = h.format <= SL_FORMAT_Q8 ? 2 : 1; /* rows of beats in one unit */
    uint64_t gate_up = lines * (scale_bytes(h.format, h.k) + beats64(h.k) * 64);
    uint64_t down = lines * (scale_bytes(h.format, h.rows) + beats64(h.rows) * 64);
    struct sl_weight_at w;
    if (h.kind == SL_KIND_PLAIN)
        w = read_unit(slab + 64 + row / 2 * gate_up, h.format, h.k, row % 2, col);
    else if (matrix < 2)
        w = read_unit(slab + 64 + row * gate_up, h.format, h.k, matrix, col);
    else
        w = read_unit(slab + 64 + h.rows * gate_up + row / 2 * down, h.format, h.rows, row % 2,
                      col);
    int mant[] = {h.mant0, h.mant1, h.mant2}, exp[] = {h.exp0, h.exp1, h.exp2};
    double group = w.scale_byte < 0 ? 1 : ldexp(32 + (w.scale_byte & 31), w.scale_byte >> 5);
    w.weight = ldexp(w.value * group * mant[matrix], exp[matrix]);
    return w;
}
