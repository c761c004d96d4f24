/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/kv_quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mathf.h"

enum {
    GROUP = 32,
    MANTISSA_BITS = 14, /* codes of a head vector are s16: absmax in 2^14 .. 2^15 */
    SIG_MIN = 128,      /* a significand of 8 bits, the hidden one included, is a bf16 */
    SIG_MAX = 255,
    EXP_OFFSET = 134, /* bf16 exponent field of sig * 2^0 with sig in 128..255 */
    FIELD_MAX = 254,
    INT8_TOP = 127,
    INT4_TOP = 15
};

uint32_t sl_kv_hadamard_block(uint32_t head_dim)
{
    return head_dim & (~head_dim + 1);
}

void sl_kv_hadamard(float *x, uint32_t head_dim)
{
    uint32_t block = sl_kv_hadamard_block(head_dim);
    for (uint32_t step = 1; step < block; step *= 2)
        for (uint32_t i = 0; i < head_dim; i += 2 * step)
            for (uint32_t j = i; j < i + step; j++) {
                float a = x[j], b = x[j + step];
                x[j] = a + b;
                x[j + step] = a - b;
            }
}

static void hadamard_int(int32_t *x, uint32_t head_dim)
{
    uint32_t block = sl_kv_hadamard_block(head_dim);
    for (uint32_t step = 1; step < block; step *= 2)
        for (uint32_t i = 0; i < head_dim; i += 2 * step)
            for (uint32_t j = i; j < i + step; j++) {
                int32_t a = x[j], b = x[j + step];
                x[j] = a + b;
                x[j + step] = a - b;
            }
}

/* s16 codes and one exponent: vec = code * 2^exponent. */
static int32_t quantise_s16(const float *vec, uint32_t n, int32_t *code)
{
    float absmax = 0;
    for (uint32_t i = 0; i < n; i++)
        absmax = fmaxf(absmax, fabsf(vec[i]));
    int32_t exponent = absmax > 0 ? ilogbf(absmax) - MANTISSA_BITS : 0;
    /* In double, where scaling by a power of two is exact for subnormal input too. */
    double scale = ldexp(1, -exponent);
    for (uint32_t i = 0; i < n; i++) {
        long q = lrint((double)vec[i] * scale);
        code[i] = (int32_t)(q > INT16_MAX ? INT16_MAX : q < -INT16_MAX ? -INT16_MAX : q);
    }
    return exponent;
}

static int32_t floor_log2(uint32_t v)
{
    return 31 - __builtin_clz(v);
}

/* Nearest integer to a / b, halves up. */
static int64_t div_half(int64_t a, int64_t b)
{
    return (2 * a + b) / (2 * b);
}

/* A scale sig * 2^e, sig in 128..255: the least for which `span` still fits `top` steps. */
struct scale {
    int32_t sig, e;
};

static int64_t ceil_sig(uint32_t span, int32_t e, int32_t top)
{
    int64_t num = e < 0 ? (int64_t)span << -e : span;
    int64_t den = e > 0 ? (int64_t)top << e : top;
    return (num + den - 1) / den;
}

static struct scale choose_scale(uint32_t span, int32_t top, int32_t sig_bits)
{
    struct scale s = {.e = floor_log2(span) - sig_bits};
    int64_t sig = ceil_sig(span, s.e, top);
    if (sig > SIG_MAX)
        sig = ceil_sig(span, ++s.e, top);
    s.sig = (int32_t)sig;
    return s;
}

/* Nearest multiple of the scale to y, as a count of steps. */
static int64_t steps(int32_t y, struct scale s)
{
    int64_t magnitude = llabs((int64_t)y);
    int64_t num = s.e < 0 ? magnitude << -s.e : magnitude;
    int64_t n = div_half(num, s.e > 0 ? (int64_t)s.sig << s.e : s.sig);
    return y < 0 ? -n : n;
}

/* bf16 bits of sig * 2^(e + exponent), or 0 when that is below the normal numbers. */
static uint16_t scale_bits(struct scale s, int32_t exponent)
{
    int32_t field = s.e + exponent + EXP_OFFSET;
    if (field < 1)
        return 0;
    field = field > FIELD_MAX ? FIELD_MAX : field;
    return (uint16_t)((s.sig - SIG_MIN) | field << 7);
}

static void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void pack_int8(const int32_t *y, uint32_t n, int32_t exponent, uint8_t *out)
{
    uint32_t top = 0;
    for (uint32_t i = 0; i < n; i++)
        top = (uint32_t)abs(y[i]) > top ? (uint32_t)abs(y[i]) : top;
    memset(out, 0, n + 2);
    if (!top)
        return;
    struct scale s = choose_scale(top, INT8_TOP, 14);
    uint16_t bits = scale_bits(s, exponent);
    if (!bits)
        return;
    for (uint32_t i = 0; i < n; i++) {
        int64_t code = steps(y[i], s);
        code = code > INT8_TOP ? INT8_TOP : code < -INT8_TOP ? -INT8_TOP : code;
        out[i] = (uint8_t)(int8_t)code;
    }
    put_u16(out + n, bits);
}

/* Where one group's results go: nibbles from channel `first` on, scale and zero point. */
struct group_out {
    uint8_t *codes, *scale, *zero;
    uint32_t first;
};

static void pack_group(const int32_t *y, uint32_t n, int32_t exponent, const struct group_out *out)
{
    int32_t mn = 0, mx = 0;
    for (uint32_t i = 0; i < n; i++) {
        mn = y[i] < mn ? y[i] : mn;
        mx = y[i] > mx ? y[i] : mx;
    }
    if (mn == mx)
        return;
    struct scale s = choose_scale((uint32_t)(mx - mn), INT4_TOP, 11);
    uint16_t bits = scale_bits(s, exponent);
    if (!bits)
        return;
    int64_t z = -steps(mn, s);
    z = z > INT4_TOP ? INT4_TOP : z;
    for (uint32_t i = 0; i < n; i++) {
        int64_t code = z + steps(y[i], s);
        code = code < 0 ? 0 : code > INT4_TOP ? INT4_TOP : code;
        uint32_t at = out->first + i;
        out->codes[at / 2] |= (uint8_t)(code << (at % 2 * 4));
    }
    put_u16(out->scale, bits);
    *out->zero = (uint8_t)z;
}

static void pack_int4(const int32_t *y, uint32_t n, int32_t exponent, uint8_t *out)
{
    uint32_t n_group = (n + GROUP - 1) / GROUP;
    uint8_t *scale = out + n / 2, *zero = scale + 2 * n_group;
    memset(out, 0, sl_kv_vec_bytes(SL_KV_INT4, n));
    for (uint32_t g = 0; g < n_group; g++) {
        uint32_t first = g * GROUP, count = n - first < GROUP ? n - first : GROUP;
        struct group_out to = {out, scale + 2 * g, zero + g, first};
        pack_group(y + first, count, exponent, &to);
    }
}

bool sl_kv_pack_vec(enum sl_kv_format format, uint32_t head_dim, const float *vec, uint8_t *out)
{
    int32_t y[SL_KV_MAX_DIM];
    if (!sl_all_finite(vec, head_dim))
        return false;
    int32_t exponent = quantise_s16(vec, head_dim, y);
    hadamard_int(y, head_dim);
    if (format == SL_KV_INT8)
        pack_int8(y, head_dim, exponent, out);
    else
        pack_int4(y, head_dim, exponent, out);
    return true;
}
