/* SPDX-License-Identifier: Apache-2.0 */
#include "store/slab.h"

#include <string.h>

#include "base/err.h"

static uint64_t div_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

struct sl_slab_shape sl_slab_get_shape(const struct sl_slab *header)
{
    struct sl_slab_shape s = {.head_beats = 1, .n_region = 1};
    switch (header->kind) {
    case SL_KIND_EXPERT:
        s.n_region = 2;
        s.units[0] = header->rows;
        s.unit_beats[0] = sl_unit_beats(header->format, header->k);
        s.units[1] = div_up(header->k, 2);
        s.unit_beats[1] = sl_unit_beats(header->format, header->rows);
        break;
    case SL_KIND_ROUTER:
        s.head_beats += div_up(header->rows, SL_BEAT_BYTES);
        if (header->flags & SL_SLAB_HAS_BIAS)
            s.head_beats += div_up(4 * (uint64_t)header->rows, SL_BEAT_BYTES);
        s.units[0] = header->rows;
        s.unit_beats[0] = sl_k64(header->k) / 32;
        break;
    default:
        s.units[0] = div_up(header->rows, 2);
        s.unit_beats[0] = sl_unit_beats(header->format, header->k);
        break;
    }
    return s;
}

uint64_t sl_slab_beats(const struct sl_slab *header)
{
    return sl_slab_port_beats(header, 1);
}

uint64_t sl_slab_port_beats(const struct sl_slab *header, unsigned n_port)
{
    struct sl_slab_shape s = sl_slab_get_shape(header);
    uint64_t beats = s.head_beats;
    for (unsigned r = 0; r < s.n_region; r++)
        beats += div_up(s.units[r], n_port) * s.unit_beats[r];
    return beats;
}

static int bad(const char *field, long long value)
{
    return sl_fail(SL_ERR_FORMAT, "convert the model again", "slab header: %s is %lld", field,
                   value);
}

/* k and rows against the ranges of the job that will name this slab (docs/numerics.md 5.6). */
static int check_shape(const struct sl_slab *h)
{
    if (h->k == 0 || h->k % SL_BLOCK || h->k > SL_MAX_K)
        return bad("k", h->k);
    bool rows_ok = h->rows > 0;
    if (h->kind == SL_KIND_EXPERT)
        rows_ok = rows_ok && h->rows % SL_BLOCK == 0 && h->rows <= SL_MAX_K;
    else if (h->kind == SL_KIND_ROUTER) /* attention routers have query, key and value rows */
        rows_ok = rows_ok && h->rows <= 3 * SL_MAX_N_EXPERT;
    else
        rows_ok = rows_ok && h->rows <= SL_MAX_ROWS;
    return rows_ok ? 0 : bad("rows", h->rows);
}

/* One matrix' mant * 2^exp: 1 * 2^s8 with group scales, a normalised u16 for fp8. The bounds of exp
 * for fp8 follow from a finite positive fp32 scale. */
static int check_scale(const struct sl_slab *h, unsigned i)
{
    static const char *const mant_name[] = {"mant0", "mant1", "mant2"};
    static const char *const exp_name[] = {"exp0", "exp1", "exp2"};
    const uint16_t mant[] = {h->mant0, h->mant1, h->mant2};
    const int16_t exp[] = {h->exp0, h->exp1, h->exp2};
    bool fp8 = h->format == SL_FORMAT_FP8;
    if (fp8 ? mant[i] < 32768 : mant[i] != 1)
        return bad(mant_name[i], mant[i]);
    if (exp[i] < (fp8 ? -192 : INT8_MIN) || exp[i] > INT8_MAX)
        return bad(exp_name[i], exp[i]);
    return 0;
}

int sl_slab_check(const struct sl_slab *h)
{
    if (h->magic != SL_SLAB_MAGIC)
        return bad("magic", h->magic);
    if (h->kind != SL_KIND_PLAIN && h->kind != SL_KIND_EXPERT && h->kind != SL_KIND_ROUTER)
        return bad("kind", h->kind);
    bool router = h->kind == SL_KIND_ROUTER;
    if (h->format > (router ? 0 : SL_FORMAT_MXFP4))
        return bad("format", h->format);
    if (h->flags & ~(router ? SL_SLAB_HAS_BIAS : 0))
        return bad("flags", h->flags);
    int err = check_shape(h);
    if (err)
        return err;
    /* A bias belongs to a router whose rows are the experts themselves. */
    if ((h->flags & SL_SLAB_HAS_BIAS) && h->rows > SL_MAX_N_EXPERT)
        return bad("rows", h->rows);
    unsigned n_scale = router ? 0 : h->kind == SL_KIND_EXPERT ? 3 : 1;
    for (unsigned i = 0; i < n_scale && !err; i++)
        err = check_scale(h, i);
    if (err)
        return err;
    if (h->kind == SL_KIND_EXPERT ? h->u_h < SL_U_H_MIN || h->u_h > SL_U_H_MAX : h->u_h != 0)
        return bad("u_h", h->u_h);
    if (h->reserved0 || h->reserved1 || h->reserved2 || h->reserved3 || h->reserved4)
        return bad("a reserved field", 1);
    return 0;
}

void sl_slab_port_image(const struct sl_slab *slab, unsigned port, unsigned n_port, uint8_t *dst)
{
    struct sl_slab_shape s = sl_slab_get_shape(slab);
    const uint8_t *src = (const uint8_t *)slab;
    memcpy(dst, src, s.head_beats * SL_BEAT_BYTES);
    src += s.head_beats * SL_BEAT_BYTES;
    dst += s.head_beats * SL_BEAT_BYTES;
    for (unsigned r = 0; r < s.n_region; r++) {
        uint64_t bytes = s.unit_beats[r] * SL_BEAT_BYTES;
        for (uint64_t j = port; j < div_up(s.units[r], n_port) * n_port; j += n_port) {
            if (j < s.units[r])
                memcpy(dst, src + j * bytes, bytes);
            else
                memset(dst, 0, bytes);
            dst += bytes;
        }
        src += s.units[r] * bytes;
    }
}

/* Columns [first, first + count) of one self-contained row (4-bit: pair of rows) of k columns.
 * `dst` is a row of count columns. Scale bytes: `group_bytes` per group of 32 columns, 0 without
 * scales. */
struct row_cut {
    uint64_t k, first, count;
    uint64_t group_bytes;
    uint8_t pad; /* byte of zero codes */
};

static void cut_row(const struct row_cut *c, int format, const uint8_t *src, uint8_t *dst)
{
    uint64_t src_scale = sl_scale_beats(format, c->k) * SL_BEAT_BYTES;
    uint64_t dst_scale = sl_scale_beats(format, c->count) * SL_BEAT_BYTES;
    uint64_t scale_bytes = c->count / SL_BLOCK * c->group_bytes;
    memcpy(dst, src + c->first / SL_BLOCK * c->group_bytes, scale_bytes);
    memset(dst + scale_bytes, 0, dst_scale - scale_bytes);
    memcpy(dst + dst_scale, src + src_scale + c->first, c->count);
    memset(dst + dst_scale + c->count, c->pad, sl_k64(c->count) - c->count);
}

int sl_slab_slice(const struct sl_slab *slab, uint32_t first, uint32_t count, uint8_t *dst)
{
    if (slab->kind != SL_KIND_EXPERT || first % SL_BLOCK || count % SL_BLOCK || count == 0 ||
        first > slab->rows || count > slab->rows - first)
        return sl_fail(SL_ERR_SHAPE, "slices are multiples of 32 inside d_ff",
                       "slice [%u, +%u) of a slab with %u rows", first, count, slab->rows);
    struct sl_slab header = *slab;
    header.rows = count;
    struct sl_slab_shape from = sl_slab_get_shape(slab), to = sl_slab_get_shape(&header);
    const uint8_t *src = (const uint8_t *)slab + SL_BEAT_BYTES;
    memcpy(dst, &header, SL_BEAT_BYTES);
    dst += SL_BEAT_BYTES;
    uint64_t gu = from.unit_beats[0] * SL_BEAT_BYTES;
    memcpy(dst, src + first * gu, count * gu);
    src += slab->rows * gu;
    dst += count * gu;

    /* A unit of an 8-bit format is two rows one after the other, of a 4-bit one a single
     * interleaved pair. */
    bool four = sl_format_is_4bit(slab->format);
    unsigned per_unit = four ? 1 : 2;
    struct row_cut cut = {.k = slab->rows,
                          .first = first,
                          .count = count,
                          .group_bytes = slab->format == SL_FORMAT_FP8 ? 0
                                         : four                        ? 2
                                                                       : 1,
                          .pad = sl_zero_byte(slab->format)};
    uint64_t src_row = from.unit_beats[1] * SL_BEAT_BYTES / per_unit;
    uint64_t dst_row = to.unit_beats[1] * SL_BEAT_BYTES / per_unit;
    for (uint64_t i = 0; i < from.units[1] * per_unit; i++)
        cut_row(&cut, slab->format, src + i * src_row, dst + i * dst_row);
    return 0;
}
