/* SPDX-License-Identifier: Apache-2.0 */
/* One 512-bit beat and the fields inside of it. Byte i is bits 8 (i % 8) of word i / 8. */
#ifndef SL_HLS_BEAT_H
#define SL_HLS_BEAT_H

#include "hls_port.h"

enum { SL_BEAT_WORDS = SL_BEAT_BYTES / 8 };

typedef struct sl_beat {
    uint64_t d[SL_BEAT_WORDS];
} sl_beat;

static inline void sl_beat_clear(sl_beat *b)
{
    SL_UNROLL
    for (uint32_t i = 0; i < SL_BEAT_WORDS; i++) {
        SL_UNROLL_BODY
        b->d[i] = 0;
    }
}

/* The word from byte `at` up to the end of its 64 bits: the caller's cast cuts it to the field. */
static inline uint64_t sl_beat_get(const sl_beat *b, uint32_t at)
{
    return b->d[at >> 3] >> (8 * (at & 7));
}

/* Sets a field that is still zero; `v` is no wider than the field. */
static inline void sl_beat_put(sl_beat *b, uint32_t at, uint64_t v)
{
    b->d[at >> 3] |= v << (8 * (at & 7));
}

/* Beats that hold n items of `bytes` each. */
static inline uint32_t sl_beats_of(uint32_t n, uint32_t bytes)
{
    return (n * bytes + SL_BEAT_BYTES - 1) / SL_BEAT_BYTES;
}

static inline uint32_t sl_ceil_div(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static inline uint32_t sl_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t sl_max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

#endif
