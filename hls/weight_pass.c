/* SPDX-License-Identifier: Apache-2.0 */
#include "weight_pass.h"

#include "primitives.h"

/* docs/numerics.md section 4: no sum leaves 64 bits. */
#define GROUP_BOUND(weight) ((uint64_t)SL_BLOCK * 127 * (weight))
#define GROUPS (SL_MAX_K / SL_BLOCK)
SL_STATIC_ASSERT(GROUP_BOUND(245760) <= INT32_MAX, "a group sum of fp8 fits 32 bits")
SL_STATIC_ASSERT(GROUP_BOUND(128) * (SL_SIG_BASE + 31) <= (uint64_t)INT64_MAX / GROUPS >>
                     (SL_WE_MAX + SL_XE_MAX),
                 "a row of a group-scaled format fits 64 bits")
SL_STATIC_ASSERT(GROUP_BOUND(245760) <= (uint64_t)INT64_MAX / GROUPS >> SL_XE_MAX,
                 "a row of fp8 fits 64 bits")

void sl_pass_plan(struct sl_pass *pass, const struct sl_req *r, const struct sl_extent *e)
{
    pass->format = r->format;
    pass->n_tokens = r->n_tokens;
    pass->region = e->region;
    pass->unit_first = e->unit_first;
    pass->unit_end = e->unit_first + e->n_unit;
    sl_rows_of(r->format, e->k, &pass->rows);
    pass->col_first = e->col_first / 64;
    pass->col_end = sl_ceil_div(e->col_first + e->n_col, 64);
    pass->n_row = sl_format_is_4bit(r->format) ? 1 : 2;
    pass->n_chunk = (pass->col_end - 1) / SL_CHUNK - pass->col_first / SL_CHUNK + 1;
    uint32_t n_line = (pass->unit_end - 1) / SL_P - e->unit_first / SL_P + 1;
    pass->n_tile = n_line * pass->n_row * pass->n_chunk;
}

void sl_tile_at(const struct sl_pass *pass, uint32_t i, struct sl_tile *tile)
{
    uint32_t chunk = i % pass->n_chunk, line = i / pass->n_chunk;
    uint32_t row = pass->unit_first / SL_P + line / pass->n_row;
    uint32_t chunk_col = (pass->col_first / SL_CHUNK + chunk) * SL_CHUNK;
    /* Code beats that one scale beat covers: 4-bit formats share it between two rows. */
    uint32_t cover = sl_format_is_4bit(pass->format) ? 16 : 32;
    tile->unit0 = row * SL_P;
    tile->row = line % pass->n_row;
    tile->col = sl_max_u32(pass->col_first, chunk_col);
    uint32_t end = sl_min_u32(pass->col_end, chunk_col + SL_CHUNK);
    tile->cols = end - tile->col;
    uint32_t start = pass->region + row * pass->rows.unit_beats +
                     tile->row * (pass->rows.scale_beats + pass->rows.code_beats);
    tile->n_scale = pass->rows.scale_beats ? (end - 1) / cover - tile->col / cover + 1 : 0;
    tile->scale_at = start + tile->col / cover;
    tile->code_at = start + pass->rows.scale_beats + tile->col;
    tile->first = chunk == 0;
    tile->last = chunk + 1 == pass->n_chunk && tile->row + 1 == pass->n_row;
}

SL_PORT_FN void sl_tile_load(SL_W_PARAMS const struct sl_pass *pass, uint32_t i,
                             sl_beat buf[SL_P][SL_TILE_BEATS])
{
    struct sl_tile tile;
    sl_tile_at(pass, i, &tile);
#define LOAD_SCALE(n)                                                                              \
    if (sl_port_active(pass, &tile, n))                                                            \
        buf[n][j] = w##n[tile.scale_at + j];
#define LOAD_CODES(n)                                                                              \
    if (sl_port_active(pass, &tile, n))                                                            \
        buf[n][tile.n_scale + j] = w##n[tile.code_at + j];
    SL_LOOP(scales)
    for (uint32_t j = 0; j < tile.n_scale; j++) {
        SL_PIPELINE
        SL_PORTS(LOAD_SCALE)
    }
    SL_LOOP(codes)
    for (uint32_t j = 0; j < tile.cols; j++) {
        SL_PIPELINE
        SL_PORTS(LOAD_CODES)
    }
#undef LOAD_SCALE
#undef LOAD_CODES
}

/* Weights of one code beat of one port as integers, and the scale of each of its groups. */
struct lanes {
    int32_t w[2][64];  /* [row][column]; 8-bit formats: row 0 only */
    int32_t sig[2][2]; /* [row][group] */
    uint32_t we[2][2];
};

static void decode_fp8(const sl_beat *b, struct lanes *l)
{
    SL_UNROLL
    for (uint32_t word = 0; word < SL_BEAT_WORDS; word++) {
        SL_UNROLL_BODY
        uint64_t v = b->d[word];
        SL_UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            SL_UNROLL_BODY
            l->w[0][8 * word + i] = sl_decode_fp8((uint32_t)v & 255);
            v >>= 8;
        }
    }
}

static void decode_q8(const sl_beat *b, struct lanes *l)
{
    SL_UNROLL
    for (uint32_t word = 0; word < SL_BEAT_WORDS; word++) {
        SL_UNROLL_BODY
        uint64_t v = b->d[word];
        SL_UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            SL_UNROLL_BODY
            l->w[0][8 * word + i] = sl_decode_s8((uint32_t)v & 255);
            v >>= 8;
        }
    }
}

static void decode_4bit(uint32_t format, const sl_beat *b, struct lanes *l)
{
    SL_UNROLL
    for (uint32_t word = 0; word < SL_BEAT_WORDS; word++) {
        SL_UNROLL_BODY
        uint64_t v = b->d[word];
        SL_UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            SL_UNROLL_BODY
            l->w[0][8 * word + i] = sl_decode_4bit(format, (uint32_t)v & 15);
            l->w[1][8 * word + i] = sl_decode_4bit(format, (uint32_t)v >> 4 & 15);
            v >>= 8;
        }
    }
}

/* Scale of row `row`, group `g` (of the whole matrix row) of a tile. fp8 has none. */
static void decode_scale(const struct sl_pass *pass, const struct sl_tile *tile,
                         const sl_beat *scales, uint32_t g, struct lanes *l)
{
    bool pair = sl_format_is_4bit(pass->format);
    uint32_t skipped = tile->col / (pair ? 16 : 32) * 64;
    for (uint32_t row = 0; row < 2; row++) {
        uint32_t sig = 1, we = 0;
        if (tile->n_scale) {
            uint32_t at = (pair ? 2 * g + row : g) - skipped;
            uint32_t b = (uint32_t)sl_beat_get(&scales[at / 64], at % 64) & 255;
            sig = SL_SIG_BASE + (b & 31);
            we = b >> 5;
        }
        l->sig[row][g & 1] = (int32_t)sig;
        l->we[row][g & 1] = we;
    }
}

static void decode_beat(const struct sl_pass *pass, const struct sl_tile *tile,
                        const sl_beat buf[SL_TILE_BEATS], uint32_t i, struct lanes *l)
{
    const sl_beat *b = &buf[tile->n_scale + i];
    if (sl_format_is_4bit(pass->format))
        decode_4bit(pass->format, b, l);
    else if (pass->format == SL_FORMAT_FP8)
        decode_fp8(b, l);
    else
        decode_q8(b, l);
    uint32_t g = 2 * (tile->col + i);
    decode_scale(pass, tile, buf, g, l);
    decode_scale(pass, tile, buf, g + 1, l);
}

static int32_t group_sum(const int32_t w[SL_BLOCK], SL_WORK const int8_t *x)
{
    int32_t sum = 0;
    SL_UNROLL
    for (uint32_t i = 0; i < SL_BLOCK; i++) {
        SL_UNROLL_BODY
        sum += w[i] * x[i];
    }
    return sum;
}

/* Products of one held beat with one token: both groups of `row`. */
static int64_t beat_sum(const struct lanes *l, uint32_t row, SL_WORK const int8_t *x, uint32_t xe0,
                        uint32_t xe1)
{
    int64_t a = (int64_t)group_sum(l->w[row], x) * l->sig[row][0];
    int64_t b = (int64_t)group_sum(l->w[row] + SL_BLOCK, x + SL_BLOCK) * l->sig[row][1];
    return a * ((int64_t)1 << (l->we[row][0] + xe0)) + b * ((int64_t)1 << (l->we[row][1] + xe1));
}

static void clear_sums(const struct sl_pass *pass, uint32_t row,
                       int64_t sums[SL_P][2][SL_WORK_TOKENS])
{
    for (uint32_t t = 0; t < pass->n_tokens; t++) {
        SL_PIPELINE
        SL_UNROLL
        for (uint32_t p = 0; p < SL_P; p++) {
            SL_UNROLL_BODY
            sums[p][row][t] = 0;
        }
    }
}

static void copy_sums(const struct sl_pass *pass, int64_t from[SL_P][2][SL_WORK_TOKENS],
                      int64_t to[SL_P][2][SL_WORK_TOKENS])
{
    for (uint32_t t = 0; t < pass->n_tokens; t++) {
        SL_PIPELINE
        for (uint32_t p = 0; p < SL_P; p++) {
            SL_UNROLL_BODY
            to[p][0][t] = from[p][0][t];
            to[p][1][t] = from[p][1][t];
        }
    }
}

/* The held code beat number c of the pass with token t. */
static void dot_token(const struct sl_pass *pass, const struct sl_tile *tile,
                      const struct lanes lanes[SL_P], SL_WORK const int8_t *codes,
                      SL_WORK const uint8_t *exps, uint32_t c, uint32_t t,
                      int64_t run[SL_P][2][SL_WORK_TOKENS])
{
    SL_WORK const int8_t *x = codes + sl_code_at(c, pass->n_tokens, t);
    uint32_t xe0 = exps[2 * c * pass->n_tokens + t];
    uint32_t xe1 = exps[(2 * c + 1) * pass->n_tokens + t];
    SL_UNROLL
    for (uint32_t p = 0; p < SL_P; p++) {
        SL_UNROLL_BODY
        if (!sl_port_active(pass, tile, p))
            continue;
        run[p][tile->row][t] += beat_sum(&lanes[p], 0, x, xe0, xe1);
        if (pass->n_row == 1)
            run[p][1][t] += beat_sum(&lanes[p], 1, x, xe0, xe1);
    }
}

void sl_tile_dot(const struct sl_pass *pass, uint32_t i, sl_beat buf[SL_P][SL_TILE_BEATS],
                 SL_WORK const int8_t *codes, SL_WORK const uint8_t *exps,
                 int64_t run[SL_P][2][SL_WORK_TOKENS], int64_t sums[SL_P][2][SL_WORK_TOKENS])
{
    struct lanes lanes[SL_P];
    struct sl_tile tile;
    SL_PARTITION(lanes, 0)
    sl_tile_at(pass, i, &tile);
    if (tile.first)
        clear_sums(pass, tile.row, run);
    if (tile.first && pass->n_row == 1)
        clear_sums(pass, 1, run);
    /* Beats and tokens are one loop, so that the pipeline does not drain at every beat of a single
     * token. */
    uint32_t t = 0, j = 0;
    SL_LOOP(step)
    for (uint32_t n = 0; n < tile.cols * pass->n_tokens; n++) {
        SL_PIPELINE
        for (uint32_t p = 0; p < SL_P && t == 0; p++) {
            SL_UNROLL_BODY
            if (sl_port_active(pass, &tile, p))
                decode_beat(pass, &tile, buf[p], j, &lanes[p]);
        }
        dot_token(pass, &tile, lanes, codes, exps, tile.col + j - pass->col_first, t, run);
        t = t + 1 == pass->n_tokens ? 0 : t + 1;
        j += t == 0;
    }
    if (tile.last)
        copy_sums(pass, run, sums);
}
