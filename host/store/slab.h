/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of slabs and units (docs/numerics.md 2.4, 2.5), and the packer that fills them. */
#ifndef SL_STORE_SLAB_H
#define SL_STORE_SLAB_H

#include <stdbool.h>

#include "sl_abi.h"

static inline uint64_t sl_k64(uint64_t k)
{
    return (k + 63) / 64 * 64;
}

static inline bool sl_format_is_4bit(int format)
{
    return format == SL_FORMAT_NF4 || format == SL_FORMAT_INT4 || format == SL_FORMAT_MXFP4;
}

/* A byte of codes whose value is 0: what pads rows to K64 and fills the row missing from an odd
 * count. */
static inline uint8_t sl_zero_byte(int format)
{
    return format == SL_FORMAT_NF4 ? 0x77 : 0;
}

/* Scale beats in front of a row (4-bit: a pair of rows). */
static inline uint64_t sl_scale_beats(int format, uint64_t k)
{
    if (format == SL_FORMAT_FP8)
        return 0;
    return sl_format_is_4bit(format) ? (sl_k64(k) + 1023) / 1024 : (sl_k64(k) + 2047) / 2048;
}

/* Beats of one unit: two rows. */
static inline uint64_t sl_unit_beats(int format, uint64_t k)
{
    uint64_t row = sl_scale_beats(format, k) + sl_k64(k) / 64;
    return sl_format_is_4bit(format) ? row : 2 * row;
}

/* A slab as regions of equal units behind `head` replicated beats. */
struct sl_slab_shape {
    uint64_t head_beats; /* header and router tables */
    unsigned n_region;   /* 1; expert: 2 */
    uint64_t units[2], unit_beats[2];
};

/* From a header that was checked by sl_slab_check. */
struct sl_slab_shape sl_slab_get_shape(const struct sl_slab *header);
/* Beats of the whole slab in natural order, and of its share on each of n_port ports. */
uint64_t sl_slab_beats(const struct sl_slab *header);
uint64_t sl_slab_port_beats(const struct sl_slab *header, unsigned n_port);
/* Magic, kind, format, limits, scales: SL_ERR_FORMAT names the field. */
int sl_slab_check(const struct sl_slab *header);

/* Copies what belongs to `port` of n_port into dst (sl_slab_port_beats beats); slab in natural
 * order. Units that the port lacks at the end of a region are zero. */
void sl_slab_port_image(const struct sl_slab *slab, unsigned port, unsigned n_port, uint8_t *dst);

/* The slice [first, first + count) of an expert's d_ff as a slab of its own (for a device that
 * holds nothing else of it). dst holds sl_slab_beats() of a header with rows = count. Multiples of
 * 32; SL_ERR_SHAPE. */
int sl_slab_slice(const struct sl_slab *slab, uint32_t first, uint32_t count, uint8_t *dst);

#endif
