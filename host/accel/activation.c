/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/activation.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/number.h"

enum { NO_EXPONENT = INT16_MIN };

/* What differs between the 8-bit and the 16-bit form. */
struct act_form {
    int frac_bits; /* floor(log2 absmax) - frac_bits is the block's exponent */
    int xe_max, q_max;
    unsigned bytes; /* of one code */
};
static const struct act_form form8 = {6, SL_XE_MAX, 127, 1};
static const struct act_form form16 = {14, SL_XE16_MAX, 32767, 2};

static uint32_t act_beats(const struct act_form *form, uint32_t k)
{
    return 1 + sl_ceil_div(sl_ceil_div(k, SL_BLOCK), SL_BEAT_BYTES) +
           sl_ceil_div(k, 64) * form->bytes;
}

uint32_t sl_act8_beats(uint32_t k)
{
    return act_beats(&form8, k);
}

uint32_t sl_act16_beats(uint32_t k)
{
    return act_beats(&form16, k);
}

uint32_t sl_act_head_beats(uint32_t head_dim)
{
    return 1 + sl_ceil_div(2 * head_dim, SL_BEAT_BYTES);
}

/* Largest magnitude; NaN or infinity anywhere gives a value that is not finite. */
static float abs_max(const float *x, uint32_t n)
{
    float m = 0, poison = 0;
    for (uint32_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        poison += a - a; /* 0, or NaN from NaN and infinity */
        m = a > m ? a : m;
    }
    return m + poison;
}

/* RNE(x * 2^-e) for |result| < 2^51: the classic addition of 1.5 * 2^52. */
static int round_scaled(float x, double scale)
{
    const double magic = 6755399441055744.0;
    return (int)((double)x * scale + magic - magic);
}

static void store_block(const struct act_form *form, const float *x, uint32_t n, int e,
                        uint8_t *dst)
{
    double scale = ldexp(1.0, -e);
    for (uint32_t i = 0; i < n; i++) {
        int q = round_scaled(x[i], scale);
        q = q > form->q_max ? form->q_max : q < -form->q_max ? -form->q_max : q;
        if (form->bytes == 1) {
            dst[i] = (uint8_t)q;
        } else {
            int16_t v = (int16_t)q;
            memcpy(dst + 2 * (size_t)i, &v, sizeof v);
        }
    }
}

static int act_pack(const struct act_form *form, const float *x, uint32_t n, uint32_t k,
                    uint8_t *dst)
{
    int16_t block_e[SL_MAX_K / SL_BLOCK];
    uint32_t n_block = sl_ceil_div(n, SL_BLOCK);
    int e_max = NO_EXPONENT;
    for (uint32_t b = 0; b < n_block; b++) {
        uint32_t left = n - b * SL_BLOCK;
        float m = abs_max(x + (size_t)b * SL_BLOCK, left < SL_BLOCK ? left : SL_BLOCK);
        if (!isfinite(m))
            return sl_fail(SL_ERR_RANGE, "the model's weights or scales may be damaged",
                           "an activation near column %u is not finite", b * SL_BLOCK);
        block_e[b] = m > 0 ? (int16_t)(ilogbf(m) - form->frac_bits) : NO_EXPONENT;
        e_max = block_e[b] > e_max ? block_e[b] : e_max;
    }
    int32_t base = e_max == NO_EXPONENT ? 0 : e_max - form->xe_max;
    memset(dst, 0, (size_t)act_beats(form, k) * SL_BEAT_BYTES);
    memcpy(dst, &base, sizeof base);
    uint8_t *xe = dst + SL_BEAT_BYTES;
    uint8_t *codes =
        xe + (size_t)sl_ceil_div(sl_ceil_div(k, SL_BLOCK), SL_BEAT_BYTES) * SL_BEAT_BYTES;
    for (uint32_t b = 0; b < n_block; b++) {
        if (block_e[b] == NO_EXPONENT)
            continue;
        uint32_t left = n - b * SL_BLOCK;
        xe[b] = (uint8_t)(block_e[b] > base ? block_e[b] - base : 0);
        store_block(form, x + (size_t)b * SL_BLOCK, left < SL_BLOCK ? left : SL_BLOCK, base + xe[b],
                    codes + (size_t)b * SL_BLOCK * form->bytes);
    }
    return 0;
}

int sl_act8_pack(const float *x, uint32_t n, uint32_t k, uint8_t *dst)
{
    return act_pack(&form8, x, n, k, dst);
}

int sl_act16_pack(const float *x, uint32_t n, uint32_t k, uint8_t *dst)
{
    return act_pack(&form16, x, n, k, dst);
}

int sl_act_head_pack(const float *x, uint32_t head_dim, uint8_t *dst)
{
    float m = abs_max(x, head_dim);
    if (!isfinite(m))
        return sl_fail(SL_ERR_RANGE, "the model's weights or scales may be damaged",
                       "a key or value is not finite");
    memset(dst, 0, (size_t)sl_act_head_beats(head_dim) * SL_BEAT_BYTES);
    int32_t e = m > 0 ? ilogbf(m) - form16.frac_bits : 0;
    memcpy(dst, &e, sizeof e);
    if (m > 0)
        store_block(&form16, x, head_dim, e, dst + SL_BEAT_BYTES);
    return 0;
}
