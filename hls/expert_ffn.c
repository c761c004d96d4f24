/* SPDX-License-Identifier: Apache-2.0 */
#include "expert_ffn.h"

#include "primitives.h"
#include "weight_pass.h"

/* The sums g and u of one unit become h, collected until a block of 32 is whole. */
struct swiglu {
    int32_t base[SL_MAX_TOKENS]; /* of x, per token */
    int32_t u;                   /* exponent of h */
    int64_t block[SL_BLOCK][SL_MAX_TOKENS];
};

static uint32_t largest(const struct swiglu *s, uint32_t t, uint64_t *am)
{
    *am = 0;
    for (uint32_t i = 0; i < SL_BLOCK; i++) {
        SL_PIPELINE
        uint64_t mag = sl_abs_u64(s->block[i][t]);
        *am = mag > *am ? mag : *am;
    }
    return *am ? sl_log2(*am) : 0;
}

/* Quantises the whole block of one token (docs/numerics.md 3.2); returns its exponent. */
static uint8_t quantise_block(const struct swiglu *s, uint32_t t, SL_WORK int8_t *q,
                              struct sl_report *rep)
{
    uint64_t am;
    int32_t he = (int32_t)largest(s, t, &am) - 38 + s->u;
    rep->saturations += am && he > SL_XE_MAX;
    rep->clamps += am && he < 0;
    he = am == 0 || he < 0 ? 0 : he > SL_XE_MAX ? SL_XE_MAX : he;
    int32_t shift = am ? he - s->u + 32 : 0;
    for (uint32_t i = 0; i < SL_BLOCK; i++) {
        SL_PIPELINE
        int64_t v = sl_rne(s->block[i][t], shift);
        q[i] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
    }
    return (uint8_t)he;
}

/* Unit `j` of the slice, whose column in the pass' h is `col`. */
static void swiglu_unit(struct swiglu *s, const struct sl_head *head,
                        int64_t sums[2][SL_WORK_TOKENS], uint32_t col, uint32_t n_tokens,
                        SL_WORK int8_t *h, SL_WORK uint8_t *he, struct sl_report *rep)
{
    uint32_t lane = col % SL_BLOCK;
    SL_LOOP(tok)
    for (uint32_t t = 0; t < n_tokens; t++) {
        int32_t e = s->base[t] + 16;
        int32_t g = sl_scale_s32(sums[0][t], head->mant0, head->exp0 + e, &rep->sat_gu);
        int32_t u = sl_scale_s32(sums[1][t], head->mant1, head->exp1 + e, &rep->sat_gu);
        s->block[lane][t] = (int64_t)sl_silu(g) * u;
        if (lane == SL_BLOCK - 1) {
            SL_WORK int8_t *q = h + sl_code_at(col / 64, n_tokens, t) + col % 64 - lane;
            he[col / SL_BLOCK * n_tokens + t] = quantise_block(s, t, q, rep);
        }
    }
}

/* Block `block` of h is no part of the slice but shares a beat with it: it counts as 0. */
static void clear_block(uint32_t block, uint32_t n_tokens, SL_WORK int8_t *h, SL_WORK uint8_t *he)
{
    for (uint32_t t = 0; t < n_tokens; t++) {
        he[block * n_tokens + t] = 0;
        for (uint32_t i = 0; i < SL_BLOCK; i++) {
            SL_PIPELINE
            h[sl_code_at(block / 2, n_tokens, t) + block % 2 * SL_BLOCK + i] = 0;
        }
    }
}

/* First beat of the units of a slab, and of an expert's down units. */
static uint32_t first_region(const struct sl_req *r)
{
    return r->w_off + 1;
}

static uint32_t down_region(const struct sl_req *r)
{
    struct sl_rows rows;
    sl_rows_of(r->format, r->k, &rows);
    return first_region(r) + sl_region_beats(r->rows, rows.unit_beats);
}

/* SwiGLU of the units that tile i completed. col0: the slice's first column in the pass' h. */
static void swiglu_tile(struct swiglu *s, const struct sl_req *r, const struct sl_head *head,
                        const struct sl_pass *pass, uint32_t i,
                        int64_t sums[SL_P][2][SL_WORK_TOKENS], SL_WORK int8_t *h,
                        SL_WORK uint8_t *he, struct sl_report *rep)
{
    struct sl_tile tile;
    sl_tile_at(pass, i, &tile);
    if (!tile.last)
        return;
    SL_LOOP(port)
    for (uint32_t p = 0; p < SL_P; p++)
        if (sl_port_active(pass, &tile, p))
            swiglu_unit(s, head, sums[p], r->slice_first % 64 + tile.unit0 + p - r->slice_first,
                        r->n_tokens, h, he, rep);
}

SL_PORT_FN static void gate_up(SL_W_PARAMS const struct sl_req *r, const struct sl_head *head,
                               struct swiglu *s, SL_WORK_PARAMS, struct sl_report *rep)
{
    struct sl_extent e = {first_region(r), r->k, r->slice_first, r->slice_count, 0, r->k};
    struct sl_pass pass;
    int64_t run[SL_P][2][SL_WORK_TOKENS];
    SL_PARTITION(run, 0)
    sl_pass_plan(&pass, r, &e);
    uint32_t col0 = r->slice_first % 64, end = col0 + r->slice_count;
    if (col0)
        clear_block(0, r->n_tokens, h, he);
    if (end % 64)
        clear_block(end / SL_BLOCK, r->n_tokens, h, he);
    SL_LOOP(tile)
    for (uint32_t i = 0; i < pass.n_tile; i++) {
        SL_DATAFLOW
        sl_beat buf[SL_P][SL_TILE_BEATS];
        int64_t sums[SL_P][2][SL_WORK_TOKENS];
        sl_tile_load(SL_W_ARGS & pass, i, buf);
        sl_tile_dot(&pass, i, buf, x, xe, run, sums);
        swiglu_tile(s, r, head, &pass, i, sums, h, he, rep);
    }
}

/* Writes rows of y: the open beat of every token, and where it goes. */
struct writer {
    sl_beat open[SL_MAX_TOKENS];
    int32_t exp[SL_MAX_TOKENS]; /* exponent of a token's result */
    uint16_t mant;
    uint32_t rows;
};

SL_PORT_FN static void write_row(SL_GLOBAL sl_beat *ctl, const struct sl_req *r, struct writer *w,
                                 uint32_t row, const int64_t sums[SL_WORK_TOKENS])
{
    bool partial = r->flags & SL_FLAG_PARTIAL;
    uint32_t per_beat = partial ? 8 : 16;
    uint32_t at = row % per_beat * (partial ? 8 : 4);
    bool close = row % per_beat == per_beat - 1 || row + 1 == w->rows;
    SL_LOOP(tok)
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        SL_PIPELINE
        if (at == 0)
            sl_beat_clear(&w->open[t]);
        uint64_t v = partial ? (uint64_t)sums[t] : sl_scale_f32(sums[t], w->mant, w->exp[t]);
        sl_beat_put(&w->open[t], at, v);
        if (close)
            ctl[r->y_off + (uint64_t)t * r->y_stride + row / per_beat] = w->open[t];
    }
}

/* Rows of y that tile i completed. */
SL_PORT_FN static void write_tile(SL_GLOBAL sl_beat *ctl, const struct sl_req *r,
                                  const struct sl_pass *pass, uint32_t i, struct writer *w,
                                  int64_t sums[SL_P][2][SL_WORK_TOKENS])
{
    struct sl_tile tile;
    sl_tile_at(pass, i, &tile);
    if (!tile.last)
        return;
    SL_LOOP(port)
    for (uint32_t p = 0; p < SL_P; p++) {
        uint32_t row = 2 * (tile.unit0 + p);
        if (sl_port_active(pass, &tile, p))
            write_row(ctl, r, w, row, sums[p][0]);
        if (sl_port_active(pass, &tile, p) && row + 1 < w->rows)
            write_row(ctl, r, w, row + 1, sums[p][1]);
    }
}

/* y = rows of the region times codes. */
SL_PORT_FN static void matrix(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                              const struct sl_extent *e, struct writer *w,
                              SL_WORK const int8_t *codes, SL_WORK const uint8_t *exps)
{
    struct sl_pass pass;
    int64_t run[SL_P][2][SL_WORK_TOKENS];
    SL_PARTITION(run, 0)
    sl_pass_plan(&pass, r, e);
    SL_LOOP(tile)
    for (uint32_t i = 0; i < pass.n_tile; i++) {
        SL_DATAFLOW
        sl_beat buf[SL_P][SL_TILE_BEATS];
        int64_t sums[SL_P][2][SL_WORK_TOKENS];
        sl_tile_load(SL_W_ARGS & pass, i, buf);
        sl_tile_dot(&pass, i, buf, codes, exps, run, sums);
        write_tile(ctl, r, &pass, i, w, sums);
    }
}

SL_PORT_FN static void run_plain(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                                 const struct sl_head *head, const int32_t base[SL_MAX_TOKENS],
                                 SL_WORK const int8_t *x, SL_WORK const uint8_t *xe)
{
    struct sl_extent e = {first_region(r), r->k, 0, sl_ceil_div(r->rows, 2), 0, r->k};
    struct writer w;
    w.rows = r->rows;
    w.mant = head->mant0;
    for (uint32_t t = 0; t < r->n_tokens; t++)
        w.exp[t] = head->exp0 + base[t];
    matrix(ctl, SL_W_ARGS r, &e, &w, x, xe);
}

SL_PORT_FN static void run_expert(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                                  const struct sl_head *head, struct swiglu *s, SL_WORK_PARAMS,
                                  struct sl_report *rep)
{
    struct sl_extent e = {down_region(r), r->rows, 0, r->k / 2u, r->slice_first, r->slice_count};
    struct writer w;
    s->u = head->u_h - r->u_h_drop;
    gate_up(SL_W_ARGS r, head, s, SL_WORK_ARGS, rep);
    w.rows = r->k;
    w.mant = head->mant2;
    for (uint32_t t = 0; t < r->n_tokens; t++)
        w.exp[t] = head->exp2 - s->u;
    matrix(ctl, SL_W_ARGS r, &e, &w, h, he);
}

SL_PORT_FN uint32_t sl_expert_ffn(SL_GLOBAL sl_beat *ctl, SL_W_PARAMS const struct sl_req *r,
                                  const struct sl_head *head, uint32_t ctl_limit, SL_WORK_PARAMS,
                                  struct sl_report *rep)
{
    struct swiglu s;
    uint32_t off[SL_MAX_TOKENS];
    uint32_t status = sl_x_locate(ctl, r, ctl_limit, off);
    if (status == SL_STATUS_OK)
        status = sl_x_load(ctl, r, off, x, xe, s.base);
    if (status != SL_STATUS_OK)
        return status;
    if (r->op == SL_OP_EXPERT)
        run_expert(ctl, SL_W_ARGS r, head, &s, SL_WORK_ARGS, rep);
    else
        run_plain(ctl, SL_W_ARGS r, head, s.base, x, xe);
    return SL_STATUS_OK;
}
