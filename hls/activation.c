/* SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"

#include "primitives.h"

SL_PORT_FN uint32_t sl_x_locate(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r,
                                uint32_t ctl_limit, uint32_t off[SL_MAX_TOKENS])
{
    uint32_t status = SL_STATUS_OK;
    uint32_t item = sl_x_beats(r->k, 1);
    sl_beat list;
    sl_beat_clear(&list);
    SL_LOOP(tok)
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        uint32_t row = t;
        if (r->flags & SL_FLAG_LIST) {
            if (t % 16 == 0)
                list = ctl[r->list_off + t / 16];
            row = (uint32_t)sl_beat_get(&list, 4 * (t % 16)) & ((1u << SL_LIST_TOKEN_BITS) - 1);
        }
        uint64_t at = r->x_off + (uint64_t)row * r->x_stride;
        if (at + item > ctl_limit)
            status = SL_STATUS_BAD_LIST;
        off[t] = (uint32_t)at;
    }
    return status;
}

/* One beat of exponents: blocks first .. first + n - 1 of a token. */
static bool load_exps(const sl_beat *b, uint32_t n, SL_WORK uint8_t *xe, uint32_t n_tokens)
{
    bool bad = false;
    for (uint32_t i = 0; i < n; i++) {
        SL_PIPELINE
        uint8_t e = (uint8_t)sl_beat_get(b, i);
        bad = bad || e > SL_XE_MAX;
        xe[i * n_tokens] = e;
    }
    return bad;
}

/* One beat of codes, of which n are columns of x and the rest padding. */
static bool load_codes(const sl_beat *b, uint32_t n, SL_WORK int8_t *x)
{
    bool bad = false;
    SL_UNROLL
    for (uint32_t i = 0; i < 64; i++) {
        SL_UNROLL_BODY
        int32_t q = i < n ? sl_decode_s8((uint32_t)sl_beat_get(b, i) & 255) : 0;
        bad = bad || q == -128;
        x[i] = (int8_t)q;
    }
    return bad;
}

SL_PORT_FN static bool load_token(SL_GLOBAL const sl_beat *src, uint32_t k, uint32_t n_tokens,
                                  SL_WORK int8_t *x, SL_WORK uint8_t *xe)
{
    uint32_t n_block = k / SL_BLOCK, n_exp = sl_beats_of(n_block, 1), n_code = sl_beats_of(k, 1);
    bool bad = false;
    SL_LOOP(exps)
    for (uint32_t i = 0; i < n_exp; i++) {
        sl_beat b = src[i];
        uint32_t n = sl_min_u32(n_block - 64 * i, 64);
        bad = load_exps(&b, n, xe + (uint64_t)64 * i * n_tokens, n_tokens) || bad;
    }
    SL_LOOP(codes)
    for (uint32_t i = 0; i < n_code; i++) {
        SL_PIPELINE
        sl_beat b = src[n_exp + i];
        bad = load_codes(&b, sl_min_u32(k - 64 * i, 64), x + (uint64_t)64 * i * n_tokens) || bad;
    }
    if (n_block % 2)
        xe[n_block * n_tokens] = 0;
    return bad;
}

SL_PORT_FN uint32_t sl_x_load(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r,
                              const uint32_t off[SL_MAX_TOKENS], SL_WORK int8_t *x,
                              SL_WORK uint8_t *xe, int32_t base[SL_MAX_TOKENS])
{
    bool bad = false;
    SL_LOOP(tok)
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        sl_beat b = ctl[off[t]];
        base[t] = sl_base_of(&b, &bad);
        bad = load_token(ctl + off[t] + 1, r->k, r->n_tokens, x + sl_code_at(0, r->n_tokens, t),
                         xe + t) ||
              bad;
    }
    return bad ? SL_STATUS_BAD_ACTIVATION : SL_STATUS_OK;
}
