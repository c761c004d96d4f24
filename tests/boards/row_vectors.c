/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_vectors ROWS SEED: the conversation with rtl/boards/sl_row_engine.sv that
 * tests/boards/tb_row.sv holds, by tests/ref. A line is a 16-bit hexadecimal number: 01xx sends a
 * byte, 02xx expects one, 0300 ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref/ref_slab.h"
#include "sl_abi.h"

enum { BEAT = 64, CODES = 64, MAX_C = 512 };

struct vector {
    unsigned c;
    int base;
    int8_t code[MAX_C * CODES];
    uint8_t xe[MAX_C * 2];
};

static uint64_t state;

static uint32_t any(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static void put(unsigned kind, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        printf("%02x%02x\n", kind, (unsigned)(value >> 8 * i & 255));
}

static void put_x(struct vector *v)
{
    put(1, 'x', 1);
    put(1, v->c, 2);
    v->base = (int)any(2 * SL_BASE_MAX + 1) - SL_BASE_MAX;
    put(1, (uint64_t)v->base, 4);
    for (unsigned i = 4; i < BEAT; i++)
        put(1, any(256), 1);
    for (unsigned g = 0; g < (v->c + 31) / 32 * BEAT; g++) {
        uint8_t xe = (uint8_t)any(SL_XE_MAX + 1);
        if (g < 2 * v->c)
            v->xe[g] = xe;
        put(1, xe, 1);
    }
    bool largest = any(4) == 0;
    for (unsigned i = 0; i < v->c * CODES; i++) {
        v->code[i] = (int8_t)(largest ? 127 : (int)any(255) - 127);
        put(1, (uint8_t)v->code[i], 1);
    }
}

static int64_t row_sum(const struct vector *v, const struct ref_row *row)
{
    int64_t sum = 0;
    for (unsigned g = 0; g < 2 * v->c; g++) {
        int64_t group = 0;
        for (unsigned i = SL_BLOCK * g; i < SL_BLOCK * (g + 1); i++)
            group += row->value[i] * v->code[i];
        if (row->scaled)
            group *= (SL_SIG_BASE + (row->scale[g] & 31)) << (row->scale[g] >> 5);
        sum += group * ((int64_t)1 << v->xe[g]);
    }
    return sum;
}

static void put_row(const struct vector *v, int format, struct ref_row *row)
{
    unsigned mant = any(65536), beats = (unsigned)ref_unit_beats(format, v->c * CODES);
    int e = (int)any(300) - 200;
    uint8_t *unit = malloc((size_t)beats * BEAT);
    bool pair = ref_is_4bit(format);
    if (!unit)
        abort();
    if (!pair)
        beats /= 2;
    for (unsigned i = 0; i < beats * BEAT; i++)
        unit[i] = (uint8_t)(any(8) == 0 ? 255 : any(256));
    put(1, 'r', 1);
    put(1, (uint64_t)format, 1);
    put(1, mant, 2);
    put(1, (uint64_t)e, 2);
    for (unsigned i = 0; i < beats * BEAT; i++)
        put(1, unit[i], 1);
    for (int high = 0; high <= pair; high++) {
        ref_get_row(format, v->c * CODES, unit, high, row);
        int64_t sum = row_sum(v, row);
        put(2, (uint64_t)sum, 8);
        put(2, ref_scale_f32(sum, (uint16_t)mant, e + v->base), 4);
    }
    free(unit);
}

int main(int argc, char **argv)
{
    static struct vector v;
    static struct ref_row row;
    if (argc != 3)
        return 2;
    state = strtoull(argv[2], NULL, 0) * 0x9E3779B97F4A7C15u | 1;
    for (int i = 0; i < 64; i++)
        any(1);
    put(1, 0, 1);
    put(1, 'i', 1);
    put(2, SL_ABI_VERSION, 4);
    for (int i = 0; i < atoi(argv[1]); i++) {
        v.c = i == 5 ? 33 : 1 + any(4);
        put_x(&v);
        put_row(&v, (int)(i % 5), &row);
    }
    puts("0300");
    return 0;
}
