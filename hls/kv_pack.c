/* SPDX-License-Identifier: Apache-2.0 */
#include "kv_pack.h"

#include "activation.h"
#include "primitives.h"

enum { MAX_D = SL_MAX_HEAD_DIM, ZERO_POINTS_AT = 32 };

/* sig * 2^e: what a code of one is worth. zero: the whole group counts as zero. */
struct step {
    uint32_t sig;
    int32_t e;
    uint32_t bits; /* bf16 of sig * 2^(e + exponent) */
    bool zero;
};

/* Largest power of two that divides d, as its logarithm. */
static uint32_t block_log2(uint32_t d)
{
    return sl_log2(d & (~d + 1));
}

void sl_kv_hadamard(int64_t v[MAX_D], uint32_t d, uint32_t n)
{
    SL_LOOP(stage)
    for (uint32_t k = 0; k < n; k++) {
        uint32_t s = 1u << k;
        SL_LOOP(pair)
        for (uint32_t i = 0; i < d / 2; i++) {
            SL_PIPELINE
            uint32_t a = (i >> k << (k + 1)) + (i & (s - 1));
            int64_t p = v[a], q = v[a + s];
            v[a] = p + q;
            v[a + s] = p - q;
        }
    }
}

/* v * 2^-e / by, rounded by sl_div_half; exact for every e. */
static uint64_t div_step(uint64_t v, const struct step *st)
{
    return st->e > 0 ? sl_div_half(v, (uint64_t)st->sig << st->e)
                     : sl_div_half(v << -st->e, st->sig);
}

static uint32_t ceil_step(uint64_t v, uint32_t by, int32_t e)
{
    uint64_t num = e > 0 ? v : v << -e, den = e > 0 ? (uint64_t)by << e : by;
    return (uint32_t)((num + den - 1) / den);
}

/* The step for magnitudes up to v > 0 on codes up to `top`; lead bits of v are kept. */
static void choose_step(uint64_t v, uint32_t top, int32_t lead, int32_t exponent, struct step *st)
{
    st->e = (int32_t)sl_log2(v) - lead;
    st->sig = ceil_step(v, top, st->e);
    if (st->sig > 255) {
        st->e++;
        st->sig = ceil_step(v, top, st->e);
    }
    int32_t field = st->e + exponent + 134;
    st->zero = field < 1;
    field = field > 254 ? 254 : field;
    st->bits = st->zero ? 0 : (st->sig - 128) | (uint32_t)field << 7;
}

/* Reads the head vector at `at`; returns its exponent. *bad: a forbidden code or exponent. */
SL_PORT_FN static int32_t load_vector(SL_GLOBAL const sl_beat *ctl, uint64_t at, uint32_t d,
                                      int64_t v[MAX_D], bool *bad)
{
    sl_beat b = ctl[at];
    int32_t exponent = sl_base_of(&b, bad);
    SL_LOOP(code)
    for (uint32_t i = 0; i < d; i++) {
        SL_PIPELINE
        if (i % 32 == 0)
            b = ctl[at + 1 + i / 32];
        int32_t q = sl_decode_s16((uint32_t)sl_beat_get(&b, 2 * (i % 32)) & 0xFFFF);
        *bad = *bad || q == -32768;
        v[i] = q;
    }
    return exponent;
}

static uint64_t magnitude_max(const int64_t v[MAX_D], uint32_t d)
{
    uint64_t max = 0;
    for (uint32_t i = 0; i < d; i++) {
        SL_PIPELINE
        uint64_t mag = sl_abs_u64(v[i]);
        max = mag > max ? mag : max;
    }
    return max;
}

/* Code beats and the scale beat of an INT8 record. */
static void pack_int8(const int64_t v[MAX_D], uint32_t d, int32_t exponent,
                      sl_beat out[MAX_D / 64 + 1])
{
    uint64_t a = magnitude_max(v, d);
    struct step st = {0, 0, 0, true};
    if (a)
        choose_step(a, 127, 14, exponent, &st);
    sl_beat_put(&out[sl_beats_of(d, 1)], 0, st.bits);
    for (uint32_t i = 0; i < d && !st.zero; i++) {
        uint64_t mag = div_step(sl_abs_u64(v[i]), &st);
        int64_t q = sl_sign_s64(mag > 127 ? 127 : mag, v[i] < 0);
        sl_beat_put(&out[i / 64], i % 64, (uint64_t)q & 255);
    }
}

/* Group g of an INT4 record. */
static void pack_group(const int64_t v[MAX_D], uint32_t d, int32_t exponent, uint32_t g,
                       sl_beat out[MAX_D / 64 + 1])
{
    uint32_t first = g * SL_BLOCK, end = sl_min_u32(d, first + SL_BLOCK);
    int64_t mn = 0, mx = 0;
    for (uint32_t i = first; i < end; i++) {
        SL_PIPELINE
        mn = v[i] < mn ? v[i] : mn;
        mx = v[i] > mx ? v[i] : mx;
    }
    struct step st = {0, 0, 0, true};
    if (mx > mn)
        choose_step((uint64_t)(mx - mn), 15, 11, exponent, &st);
    if (st.zero)
        return;
    uint64_t z = div_step((uint64_t)-mn, &st);
    z = z > 15 ? 15 : z;
    sl_beat *meta = &out[sl_beats_of(d / 2, 1)];
    sl_beat_put(meta, 2 * g, st.bits);
    sl_beat_put(meta, ZERO_POINTS_AT + g, z);
    for (uint32_t i = first; i < end; i++) {
        int64_t q = (int64_t)z + sl_sign_s64(div_step(sl_abs_u64(v[i]), &st), v[i] < 0);
        uint64_t code = q < 0 ? 0 : q > 15 ? 15 : (uint64_t)q;
        sl_beat_put(&out[i / 128], i / 2 % 64, code << 4 * (i % 2));
    }
}

SL_PORT_FN static void pack_vector(SL_GLOBAL sl_beat *ctl, const struct sl_req *r, uint64_t from,
                                   uint64_t to)
{
    int64_t v[MAX_D];
    sl_beat out[MAX_D / 64 + 1];
    uint32_t d = r->k, n_out = sl_kv_code_beats(r->format, d) + 1;
    bool bad = false;
    int32_t exponent = load_vector(ctl, from, d, v, &bad);
    sl_kv_hadamard(v, d, block_log2(d));
    for (uint32_t i = 0; i < n_out; i++)
        sl_beat_clear(&out[i]);
    if (r->format == SL_KVREC_INT8)
        pack_int8(v, d, exponent, out);
    else
        for (uint32_t g = 0; g < sl_ceil_div(d, SL_BLOCK); g++)
            pack_group(v, d, exponent, g, out);
    for (uint32_t i = 0; i < n_out; i++)
        ctl[to + i] = out[i];
}

SL_PORT_FN uint32_t sl_kv_pack(SL_GLOBAL sl_beat *ctl, const struct sl_req *r)
{
    uint32_t n = (uint32_t)r->n_tokens * r->rows;
    bool bad = false;
    SL_LOOP(check)
    for (uint32_t i = 0; i < n; i++) {
        int64_t v[MAX_D];
        load_vector(ctl, r->x_off + (uint64_t)i * r->x_stride, r->k, v, &bad);
    }
    if (bad)
        return SL_STATUS_BAD_ACTIVATION;
    SL_LOOP(vector)
    for (uint32_t i = 0; i < n; i++)
        pack_vector(ctl, r, r->x_off + (uint64_t)i * r->x_stride,
                    r->y_off + (uint64_t)i * r->y_stride);
    return SL_STATUS_OK;
}

/* Scale g of a record's last beat: c = code * sig has the exponent e; sig 0: the group is zero. */
static void scale_of(const sl_beat *meta, uint32_t g, struct step *st)
{
    st->bits = (uint32_t)sl_beat_get(meta, 2 * g) & 0x7FFF;
    st->zero = st->bits == 0;
    st->sig = st->zero ? 0 : 128 + (st->bits & 127);
    st->e = (int32_t)(st->bits >> 7) - 134;
}

/* Exponent that all channels of an INT4 record are brought to. */
static int32_t common_exponent(const sl_beat *meta, uint32_t n_group)
{
    int32_t top = -134;
    for (uint32_t g = 0; g < n_group; g++) {
        struct step st;
        scale_of(meta, g, &st);
        if (!st.zero && st.e > top)
            top = st.e;
    }
    return top - 32;
}

SL_PORT_FN static int32_t load_int8(SL_GLOBAL const sl_beat *src, uint32_t d, int64_t v[MAX_D])
{
    struct step st;
    sl_beat b = src[sl_beats_of(d, 1)];
    scale_of(&b, 0, &st);
    for (uint32_t i = 0; i < d; i++) {
        SL_PIPELINE
        if (i % 64 == 0)
            b = src[i / 64];
        v[i] = (int64_t)sl_decode_s8((uint32_t)sl_beat_get(&b, i % 64) & 255) * st.sig;
    }
    return st.zero ? 0 : st.e;
}

SL_PORT_FN static int32_t load_int4(SL_GLOBAL const sl_beat *src, uint32_t d, int64_t v[MAX_D])
{
    sl_beat meta = src[sl_beats_of(d / 2, 1)];
    sl_beat b = src[0];
    int32_t common = common_exponent(&meta, sl_ceil_div(d, SL_BLOCK));
    for (uint32_t i = 0; i < d; i++) {
        SL_PIPELINE
        struct step st;
        uint32_t g = i / SL_BLOCK;
        if (i % 128 == 0)
            b = src[i / 128];
        scale_of(&meta, g, &st);
        int32_t z = (int32_t)(sl_beat_get(&meta, ZERO_POINTS_AT + g) & 255);
        int32_t code = (int32_t)(sl_beat_get(&b, i / 2 % 64) >> 4 * (i % 2) & 15);
        v[i] = sl_rne((int64_t)(code - z) * st.sig, st.zero ? 0 : common - st.e);
    }
    return common;
}

SL_PORT_FN static void unpack_vector(SL_GLOBAL sl_beat *ctl, const struct sl_req *r, uint64_t from,
                                     uint64_t to)
{
    int64_t v[MAX_D];
    sl_beat b;
    uint32_t d = r->k, n = block_log2(d);
    int32_t e =
        r->format == SL_KVREC_INT8 ? load_int8(ctl + from, d, v) : load_int4(ctl + from, d, v);
    sl_kv_hadamard(v, d, n);
    for (uint32_t i = 0; i < d; i++) {
        SL_PIPELINE
        if (i % 16 == 0)
            sl_beat_clear(&b);
        sl_beat_put(&b, 4 * (i % 16), sl_scale_f32(v[i], 1, e - (int32_t)n));
        if (i % 16 == 15 || i + 1 == d)
            ctl[to + i / 16] = b;
    }
}

SL_PORT_FN void sl_kv_unpack(SL_GLOBAL sl_beat *ctl, const struct sl_req *r)
{
    uint32_t n = (uint32_t)r->n_tokens * r->rows;
    SL_LOOP(vector)
    for (uint32_t i = 0; i < n; i++)
        unpack_vector(ctl, r, r->x_off + (uint64_t)i * r->x_stride,
                      r->y_off + (uint64_t)i * r->y_stride);
}
