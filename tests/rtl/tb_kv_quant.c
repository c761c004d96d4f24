/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases of tb_kv_quant.sv. An odd number of channels has Hadamard blocks of one channel, so
 * tests/ref quantises the codes as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "ref/ref_core.h"
#include "ref/ref_kv.h"
#include "svdpi.h"
#include "test_main.h"

enum { N = SL_MAX_HEAD_DIM - 1, LANES = 16, LANE_BITS = 24 };

struct quant_bench {
    struct sl_rng rng;
    unsigned d;
    int kind;
    int16_t code[N];
    uint8_t want[(N / 64 + 2) * SL_BEAT_BYTES];
};

void *tb_quant_open(uint64_t seed);
int tb_quant_lowest(int kind, int sig);
void tb_quant_range(void *handle, int kind, int extent, int first);
int tb_quant_random(void *handle, int kind);
void tb_quant_row(void *handle, int row, svBitVecVal *lanes);
int tb_quant_wrong(void *handle, int beat, const svBitVecVal *data);

void *tb_quant_open(uint64_t seed)
{
    struct quant_bench *b = calloc(1, sizeof *b);
    if (b)
        b->rng.state = seed * 0x9E3779B97F4A7C15u + 1;
    return b;
}

/* The largest extent with this sig: 127 sig (15 sig), twice that where a smaller one would begin
 * with fewer bits. */
int tb_quant_lowest(int kind, int sig)
{
    const int levels = kind == SL_KVREC_INT8 ? 127 : 15, bits = kind == SL_KVREC_INT8 ? 14 : 11;
    return levels * sig >> bits ? levels * sig : 2 * levels * sig;
}

/* Channel 0 (INT4: of each group) sets the extent, the others run through first, first + 1, ... as
 * far as the extent goes, with any sign. */
void tb_quant_range(void *handle, int kind, int extent, int first)
{
    struct quant_bench *b = handle;
    b->kind = kind;
    b->d = N;
    for (unsigned i = 0; i < N; i++) {
        bool lead = kind == SL_KVREC_INT8 ? i == 0 : i % 32 == 0;
        int v = first < extent ? first : extent;
        bool negative = sl_rng_next(&b->rng) >> 63;
        /* The extent of INT4 is mx - mn, so its groups have one sign: that of their lead. */
        if (kind == SL_KVREC_INT4)
            negative = (unsigned)(first / 256 + (int)(i / 32)) % 2;
        if (lead)
            v = extent;
        else
            first++;
        b->code[i] = (int16_t)(negative ? -v : v);
    }
    ref_kv_pack(kind, b->d, b->code, 0, b->want);
}

/* Any number of channels, groups of different sizes and signs. Returns the number of channels. */
int tb_quant_random(void *handle, int kind)
{
    struct quant_bench *b = handle;
    b->kind = kind;
    b->d = (unsigned)sl_rng_range(&b->rng, 0, N / 2) * 2 + 1;
    int size = 0, below = 0;
    for (unsigned i = 0; i < b->d; i++) {
        if (i % 32 == 0) {
            size = (int)sl_rng_range(&b->rng, 0, 15);
            below = (int)sl_rng_range(&b->rng, 0, 4);
        }
        int limit = (1 << size) - 1;
        int low = below == 0 ? 0 : below == 1 ? -limit : -limit >> below;
        b->code[i] = (int16_t)sl_rng_range(&b->rng, low, limit);
    }
    ref_kv_pack(kind, b->d, b->code, 0, b->want);
    return (int)b->d;
}

void tb_quant_row(void *handle, int row, svBitVecVal *lanes)
{
    const struct quant_bench *b = handle;
    memset(lanes, 0, LANES * LANE_BITS / 8);
    for (unsigned l = 0; l < LANES; l++) {
        unsigned i = LANES * (unsigned)row + l;
        uint32_t v = i < b->d ? (uint32_t)b->code[i] : 0;
        uint8_t *at = (uint8_t *)lanes + LANE_BITS / 8 * l;
        at[0] = (uint8_t)v;
        at[1] = (uint8_t)(v >> 8);
        at[2] = (uint8_t)(v >> 16);
    }
}

int tb_quant_wrong(void *handle, int beat, const svBitVecVal *data)
{
    const struct quant_bench *b = handle;
    if ((unsigned)beat >= ref_kv_beats(b->kind, b->d))
        return 1;
    return memcmp(b->want + beat * SL_BEAT_BYTES, data, SL_BEAT_BYTES) != 0;
}
