/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work arrays of the core and the loading of 8-bit activations.
 *
 * codes: [K64 / 64 beats][n_tokens][64 columns], exponents: [K64 / 32 blocks][n_tokens]: all tokens
 * of one beat lie together, because a weight beat is held over all of them. x and xe hold the
 * input, h and he the intermediate vector; a ROUTER job keeps the high bytes of its 16-bit codes in
 * x, the low bytes in h.
 */
#ifndef SL_HLS_ACTIVATION_H
#define SL_HLS_ACTIVATION_H

#include "beat.h"
#include "job.h"

/*
 * Size of the work arrays. Smaller only to synthesise a unit with a tool that cannot take the
 * whole: such a build is no core, and its reports say so.
 */
#ifndef SL_WORK_TOKENS
#define SL_WORK_TOKENS SL_MAX_TOKENS
#endif
#ifndef SL_WORK_K
#define SL_WORK_K SL_MAX_K
#endif

enum {
    SL_WORK_CODES = SL_WORK_TOKENS * SL_WORK_K,
    SL_WORK_EXPS = SL_WORK_TOKENS * SL_WORK_K / SL_BLOCK
};

#define SL_WORK_PARAMS                                                                             \
    SL_WORK int8_t *x, SL_WORK uint8_t *xe, SL_WORK int8_t *h, SL_WORK uint8_t *he
#define SL_WORK_ARGS x, xe, h, he

#define sl_x_locate SL_NAME(sl_x_locate)
#define sl_x_load SL_NAME(sl_x_load)

/* Index of the first of 64 codes. */
static inline uint32_t sl_code_at(uint32_t beat, uint32_t n_tokens, uint32_t token)
{
    return (beat * n_tokens + token) * 64;
}

/* Beat offset of every token's x, through the list if there is one: SL_STATUS_OK or BAD_LIST. */
uint32_t sl_x_locate(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r, uint32_t ctl_limit,
                     uint32_t off[SL_MAX_TOKENS]);

/* Loads 8-bit tokens of r->k columns; columns up to K64 become 0. SL_STATUS_OK or BAD_ACTIVATION.
 */
uint32_t sl_x_load(SL_GLOBAL const sl_beat *ctl, const struct sl_req *r,
                   const uint32_t off[SL_MAX_TOKENS], SL_WORK int8_t *x, SL_WORK uint8_t *xe,
                   int32_t base[SL_MAX_TOKENS]);

/* The base (head vectors: the exponent) in a token's first beat; *bad is set when it is out of
 * range, and the value is then 0. */
static inline int32_t sl_base_of(const sl_beat *b, bool *bad)
{
    int32_t base = (int32_t)(uint32_t)b->d[0];
    bool out = base > SL_BASE_MAX || base < -SL_BASE_MAX;
    *bad = *bad || out;
    return out ? 0 : base;
}

#endif
