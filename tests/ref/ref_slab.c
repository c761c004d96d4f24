/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref_slab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CODEBOOK(format, ...) static const int8_t codebook_##format[16] = {__VA_ARGS__};
#include "tables.def"
#undef CODEBOOK

bool ref_matrix_alloc(struct ref_matrix *m, int format, uint32_t rows, uint32_t k)
{
    m->format = format;
    m->rows = rows;
    m->k = k;
    m->code = calloc(rows, k);
    m->scale = calloc(rows, k / SL_BLOCK);
    return m->code && m->scale;
}

void ref_matrix_free(struct ref_matrix *m)
{
    free(m->code);
    free(m->scale);
    memset(m, 0, sizeof *m);
}

bool ref_router_alloc(struct ref_router *r, uint32_t n_expert, uint32_t rows, uint32_t k, bool bias)
{
    r->n_expert = n_expert;
    r->rows = rows;
    r->k = k;
    r->exponent = calloc(rows, 1);
    r->bias = bias ? calloc(n_expert, sizeof *r->bias) : NULL;
    r->weight = calloc((size_t)rows * k, sizeof *r->weight);
    return r->exponent && r->weight && (r->bias || !bias);
}

void ref_router_free(struct ref_router *r)
{
    free(r->exponent);
    free(r->bias);
    free(r->weight);
    memset(r, 0, sizeof *r);
}

bool ref_is_4bit(int format)
{
    return format == SL_FORMAT_NF4 || format == SL_FORMAT_INT4 || format == SL_FORMAT_MXFP4;
}

static int32_t fp8_value(uint8_t code)
{
    int32_t e = code >> 3 & 15, m = code & 7;
    int32_t v = e == 0 ? m : (8 + m) << (e - 1);
    return code & 128 ? -v : v;
}

int32_t ref_code_value(int format, uint8_t code)
{
    switch (format) {
    case SL_FORMAT_FP8: return fp8_value(code);
    case SL_FORMAT_Q8: return code < 128 ? code : code - 256;
    case SL_FORMAT_NF4: return codebook_NF4[code & 15];
    case SL_FORMAT_INT4: return codebook_INT4[code & 15];
    default: return codebook_MXFP4[code & 15];
    }
}

double ref_matrix_value(const struct ref_matrix *m, uint32_t row, uint32_t col)
{
    double v = ref_code_value(m->format, m->code[(size_t)row * m->k + col]);
    uint8_t b = m->scale[(size_t)row * (m->k / SL_BLOCK) + col / SL_BLOCK];
    return m->format == SL_FORMAT_FP8 ? v : ldexp(v * (SL_SIG_BASE + (b & 31)), b >> 5);
}

static uint64_t padded(uint64_t k)
{
    return ref_ceil_div(k, 64) * 64;
}

uint64_t ref_scale_beats(int format, uint64_t k)
{
    if (format == SL_FORMAT_FP8)
        return 0;
    return ref_ceil_div(padded(k), ref_is_4bit(format) ? 1024 : 2048);
}

uint64_t ref_unit_beats(int format, uint64_t k)
{
    uint64_t beats = ref_scale_beats(format, k) + padded(k) / 64;
    return ref_is_4bit(format) ? beats : 2 * beats;
}

/* Puts a region behind `at` beats; returns where the next one starts. */
static uint64_t place(struct ref_region *r, uint64_t at, uint64_t units, uint64_t unit_beats,
                      unsigned n_port)
{
    *r = (struct ref_region){at, units, unit_beats};
    return at + ref_ceil_div(units, n_port) * unit_beats;
}

uint64_t ref_expert_regions(int format, uint64_t k, uint64_t d_ff, unsigned n_port,
                            struct ref_region out[2])
{
    uint64_t at = place(&out[0], 1, d_ff, ref_unit_beats(format, k), n_port);
    return place(&out[1], at, ref_ceil_div(k, 2), ref_unit_beats(format, d_ff), n_port);
}

uint64_t ref_plain_region(int format, uint64_t k, uint64_t rows, unsigned n_port,
                          struct ref_region *out)
{
    return place(out, 1, ref_ceil_div(rows, 2), ref_unit_beats(format, k), n_port);
}

uint64_t ref_router_region(uint64_t k, uint64_t rows, uint64_t bias_beats, unsigned n_port,
                           struct ref_region *out)
{
    return place(out, 1 + ref_ceil_div(rows, 64) + bias_beats, rows, padded(k) / 32, n_port);
}

uint8_t *ref_unit(const struct ref_weights *w, uint64_t w_off, const struct ref_region *region,
                  uint64_t j)
{
    uint64_t beat = w_off + region->first + j / w->n_port * region->unit_beats;
    return w->w[j % w->n_port] + beat * SL_BEAT_BYTES;
}

/* Where a unit's low or high row has the code of column 0 and the scale of group 0. */
struct row_place {
    size_t code, scale, scale_step;
};

static struct row_place locate(int format, uint32_t k, bool high)
{
    size_t scale_bytes = (size_t)ref_scale_beats(format, k) * SL_BEAT_BYTES;
    if (ref_is_4bit(format))
        return (struct row_place){scale_bytes, high, 2};
    size_t row = high ? scale_bytes + padded(k) : 0;
    return (struct row_place){row + scale_bytes, row, 1};
}

static void put_row(const struct ref_matrix *m, uint32_t row, uint8_t *unit, bool high)
{
    const struct row_place at = locate(m->format, m->k, high);
    const uint32_t groups = m->k / SL_BLOCK;
    for (uint32_t c = 0; c < m->k; c++) {
        uint8_t code = m->code[(size_t)row * m->k + c], *dst = unit + at.code + c;
        if (!ref_is_4bit(m->format))
            *dst = code;
        else if (high)
            *dst = (uint8_t)((*dst & 15) | code << 4);
        else
            *dst = (uint8_t)((*dst & 240) | (code & 15));
    }
    for (uint32_t g = 0; g < groups && m->format != SL_FORMAT_FP8; g++)
        unit[at.scale + g * at.scale_step] = m->scale[(size_t)row * groups + g];
}

void ref_get_row(int format, uint32_t k, const uint8_t *unit, bool high, struct ref_row *out)
{
    const struct row_place at = locate(format, k, high);
    const int shift = ref_is_4bit(format) && high ? 4 : 0;
    int32_t value[256];
    for (int code = 0; code < 256; code++)
        value[code] = ref_code_value(format, (uint8_t)(code >> shift));
    for (uint32_t c = 0; c < k; c++)
        out->value[c] = value[unit[at.code + c]];
    out->scaled = format != SL_FORMAT_FP8;
    for (uint32_t g = 0; g < k / SL_BLOCK && out->scaled; g++)
        out->scale[g] = unit[at.scale + g * at.scale_step];
}

static void put_all_ports(const struct ref_weights *w, uint64_t beat, const void *src, size_t bytes)
{
    for (unsigned p = 0; p < w->n_port; p++)
        memcpy(w->w[p] + beat * SL_BEAT_BYTES, src, bytes);
}

uint64_t ref_put_expert(const struct ref_weights *w, uint64_t w_off, const struct sl_slab *head,
                        const struct ref_matrix m[3])
{
    struct ref_region region[2];
    uint64_t beats = ref_expert_regions(m[0].format, m[0].k, m[0].rows, w->n_port, region);
    put_all_ports(w, w_off, head, sizeof *head);
    for (uint32_t j = 0; j < m[0].rows; j++) {
        put_row(&m[0], j, ref_unit(w, w_off, &region[0], j), false);
        put_row(&m[1], j, ref_unit(w, w_off, &region[0], j), true);
    }
    for (uint32_t r = 0; r < m[2].rows; r++)
        put_row(&m[2], r, ref_unit(w, w_off, &region[1], r / 2), r % 2);
    return beats + SL_SLACK_BEATS;
}

uint64_t ref_put_plain(const struct ref_weights *w, uint64_t w_off, const struct sl_slab *head,
                       const struct ref_matrix *m)
{
    struct ref_region region;
    uint64_t beats = ref_plain_region(m->format, m->k, m->rows, w->n_port, &region);
    put_all_ports(w, w_off, head, sizeof *head);
    for (uint32_t r = 0; r < m->rows; r++)
        put_row(m, r, ref_unit(w, w_off, &region, r / 2), r % 2);
    return beats + SL_SLACK_BEATS;
}

uint64_t ref_put_router(const struct ref_weights *w, uint64_t w_off, const struct sl_slab *head,
                        const struct ref_router *r)
{
    struct ref_region region;
    uint64_t bias_beats = r->bias ? ref_ceil_div(4 * (uint64_t)r->n_expert, SL_BEAT_BYTES) : 0;
    uint64_t beats = ref_router_region(r->k, r->rows, bias_beats, w->n_port, &region);
    put_all_ports(w, w_off, head, sizeof *head);
    put_all_ports(w, w_off + 1, r->exponent, r->rows);
    if (r->bias)
        put_all_ports(w, w_off + 1 + ref_ceil_div(r->rows, 64), r->bias,
                      r->n_expert * sizeof *r->bias);
    for (uint32_t row = 0; row < r->rows; row++) {
        uint8_t *unit = ref_unit(w, w_off, &region, row);
        for (uint32_t c = 0; c < r->k; c++)
            ref_put16(unit + 2 * c, (uint16_t)r->weight[(size_t)row * r->k + c]);
    }
    return beats + SL_SLACK_BEATS;
}

static struct sl_slab header(int kind, int format, uint32_t k, uint32_t rows)
{
    return (struct sl_slab){.magic = SL_SLAB_MAGIC,
                            .kind = (uint8_t)kind,
                            .format = (uint8_t)format,
                            .k = k,
                            .rows = rows,
                            .mant0 = 1,
                            .mant1 = 1,
                            .mant2 = 1};
}

struct sl_slab ref_expert_header(int format, uint32_t k, uint32_t d_ff)
{
    return header(SL_KIND_EXPERT, format, k, d_ff);
}

struct sl_slab ref_plain_header(int format, uint32_t k, uint32_t rows)
{
    return header(SL_KIND_PLAIN, format, k, rows);
}

struct sl_slab ref_router_header(const struct ref_router *r)
{
    struct sl_slab head = header(SL_KIND_ROUTER, 0, r->k, r->rows);
    head.flags = r->bias ? SL_SLAB_HAS_BIAS : 0;
    return head;
}
