/* SPDX-License-Identifier: Apache-2.0 */
/* KV_PACK and KV_UNPACK: docs/numerics.md 5.5. */
#include "ref/ref_kv.h"

#include <string.h>

#include "ref/ref_core.h"

enum { GROUP = 32, MAX_GROUPS = SL_MAX_HEAD_DIM / GROUP, ZERO_POINT_AT = 32 };

/* Largest power of two that divides d. */
static unsigned hadamard_size(unsigned d)
{
    unsigned b = 1;
    while (d % (2 * b) == 0)
        b *= 2;
    return b;
}

/* Row r, column c of Sylvester's matrix: -1 to the number of ones that r and c share. */
static int hadamard_sign(unsigned r, unsigned c)
{
    return __builtin_parity(r & c) ? -1 : 1;
}

static void rotate(unsigned d, int64_t *v)
{
    const unsigned b = hadamard_size(d);
    int64_t y[SL_MAX_HEAD_DIM];
    for (unsigned i = 0; i < d; i++) {
        y[i] = 0;
        for (unsigned j = 0; j < b; j++)
            y[i] += hadamard_sign(i % b, j) * v[i - i % b + j];
    }
    memcpy(v, y, d * sizeof y[0]);
}

/* The step sig * 2^e that covers an extent in so many levels, 128 <= sig <= 255. */
struct step {
    int64_t sig;
    int e;
};

/* ceil(a * 2^-e / n) */
static int64_t ceil_scaled(int64_t a, int e, int64_t n)
{
    ref_wide num = e < 0 ? (ref_wide)a << -e : a, den = e > 0 ? (ref_wide)n << e : n;
    return (int64_t)((num + den - 1) / den);
}

static struct step choose_step(int64_t extent, int levels, int bits)
{
    struct step s = {.e = ref_log2((uint64_t)extent) - bits};
    s.sig = ceil_scaled(extent, s.e, levels);
    if (s.sig > 255) {
        s.e++;
        s.sig = ceil_scaled(extent, s.e, levels);
    }
    return s;
}

/* v / (sig * 2^e), halves away from zero. */
static int64_t divide(int64_t v, struct step s)
{
    ref_wide num = s.e < 0 ? (ref_wide)v * ((ref_wide)1 << -s.e) : v;
    ref_wide den = s.e > 0 ? (ref_wide)s.sig << s.e : s.sig;
    return ref_div_half(num, den);
}

/* bf16 of sig * 2^(e + exponent); 0: too small. */
static uint16_t scale_bits(struct step s, int exponent)
{
    int field = s.e + exponent + 134;
    if (field < 1)
        return 0;
    return (uint16_t)((s.sig - 128) | (field > 254 ? 254 : field) << 7);
}

static void pack_int8(unsigned d, const int64_t *y, int exponent, uint8_t *record)
{
    int64_t a = 0;
    for (unsigned i = 0; i < d; i++) {
        int64_t m = y[i] < 0 ? -y[i] : y[i];
        a = m > a ? m : a;
    }
    if (a == 0)
        return;
    struct step s = choose_step(a, 127, 14);
    uint16_t scale = scale_bits(s, exponent);
    for (unsigned i = 0; i < d && scale; i++) {
        int64_t code = divide(y[i], s);
        record[i] = (uint8_t)(int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
    }
    ref_put16(record + ref_ceil_div(d, 64) * 64, scale);
}

static void pack_int4_group(unsigned first, unsigned n, const int64_t *y, int exponent,
                            uint8_t *code, uint8_t *tail)
{
    int64_t mn = 0, mx = 0;
    for (unsigned i = first; i < first + n; i++) {
        mn = y[i] < mn ? y[i] : mn;
        mx = y[i] > mx ? y[i] : mx;
    }
    if (mx == mn)
        return;
    struct step s = choose_step(mx - mn, 15, 11);
    uint16_t scale = scale_bits(s, exponent);
    if (scale == 0)
        return;
    int64_t zero = divide(-mn, s);
    zero = zero > 15 ? 15 : zero;
    for (unsigned i = first; i < first + n; i++) {
        int64_t c = zero + divide(y[i], s);
        c = c < 0 ? 0 : c > 15 ? 15 : c;
        code[i / 2] = (uint8_t)(code[i / 2] | c << (i % 2 * 4));
    }
    ref_put16(tail + 2 * (first / GROUP), scale);
    tail[ZERO_POINT_AT + first / GROUP] = (uint8_t)zero;
}

void ref_kv_pack(int kind, unsigned d, const int16_t *code, int exponent, uint8_t *record)
{
    int64_t y[SL_MAX_HEAD_DIM];
    uint64_t beats = ref_kv_beats(kind, d);
    for (unsigned i = 0; i < d; i++)
        y[i] = code[i];
    rotate(d, y);
    memset(record, 0, beats * SL_BEAT_BYTES);
    if (kind == SL_KVREC_INT8) {
        pack_int8(d, y, exponent, record);
        return;
    }
    for (unsigned first = 0; first < d; first += GROUP)
        pack_int4_group(first, d - first < GROUP ? d - first : GROUP, y, exponent, record,
                        record + (beats - 1) * SL_BEAT_BYTES);
}

/* sig * (code - zero point) of channel i; its group's scale without the sign in *scale. */
static int64_t stored_value(int kind, unsigned i, const uint8_t *record, const uint8_t *tail,
                            uint16_t *scale)
{
    unsigned group = kind == SL_KVREC_INT8 ? 0 : i / GROUP;
    *scale = ref_get16(tail + 2 * group) & 0x7FFF;
    if (*scale == 0)
        return 0;
    int64_t sig = 128 + (*scale & 127);
    if (kind == SL_KVREC_INT8)
        return (int8_t)record[i] * sig;
    return ((record[i / 2] >> (i % 2 * 4) & 15) - tail[ZERO_POINT_AT + group]) * sig;
}

static int scale_exponent(uint16_t scale)
{
    return (scale >> 7) - 134;
}

void ref_kv_unpack(int kind, unsigned d, const uint8_t *record, uint32_t *out)
{
    const uint8_t *tail = record + (ref_kv_beats(kind, d) - 1) * SL_BEAT_BYTES;
    int64_t v[SL_MAX_HEAD_DIM];
    int f = -1000; /* below every exponent */
    uint16_t scale;
    for (unsigned i = 0; i < d; i++) {
        stored_value(kind, i, record, tail, &scale);
        if (scale && scale_exponent(scale) > f)
            f = scale_exponent(scale);
    }
    const int g = kind == SL_KVREC_INT8 ? f : f - 32;
    for (unsigned i = 0; i < d; i++) {
        int64_t c = stored_value(kind, i, record, tail, &scale);
        v[i] = scale ? (int64_t)ref_round(c, g - scale_exponent(scale)) : 0;
    }
    rotate(d, v);
    for (unsigned i = 0; i < d; i++)
        out[i] = ref_scale_f32(v[i], 1, g - ref_log2(hadamard_size(d)));
}

static uint8_t *item_at(const struct ref_run *run, uint32_t off, uint32_t v, uint16_t stride)
{
    return ref_ctl(run->core, off + (uint64_t)v * stride);
}

void ref_run_kv_pack(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    for (uint32_t v = 0; v < job->n_tokens * job->rows; v++) {
        const uint8_t *x = item_at(run, job->x_off, v, job->x_stride);
        int16_t code[SL_MAX_HEAD_DIM];
        for (unsigned i = 0; i < job->k; i++)
            code[i] = (int16_t)ref_get16(x + 64 + 2 * i);
        ref_kv_pack(job->format, job->k, code, (int32_t)ref_get32(x),
                    item_at(run, job->y_off, v, job->y_stride));
    }
}

void ref_run_kv_unpack(struct ref_run *run)
{
    const struct sl_job *job = &run->job;
    for (uint32_t v = 0; v < job->n_tokens * job->rows; v++) {
        uint32_t out[SL_MAX_HEAD_DIM];
        ref_kv_unpack(job->format, job->k, item_at(run, job->x_off, v, job->x_stride), out);
        uint8_t *y = item_at(run, job->y_off, v, job->y_stride);
        memset(y, 0, ref_y_beats(job) * SL_BEAT_BYTES);
        for (unsigned i = 0; i < job->k; i++)
            ref_put32(y + 4 * i, out[i]);
    }
}
