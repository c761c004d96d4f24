/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over a region of weight rows: exact sums of every row with every token.
 *
 * The P ports run in lockstep: unit row r is the units r P .. r P + P - 1, one of each port. A tile
 * is at most SL_CHUNK code beats (4 KiB, one AXI burst) of one row (4-bit formats: of a pair of
 * rows) per port, with the scale beats that belong to them. A tile is loaded, multiplied with all
 * tokens, and after a unit row's last tile its sums are handed on.
 */
#ifndef SL_HLS_WEIGHT_PASS_H
#define SL_HLS_WEIGHT_PASS_H

#include "activation.h"
#include "job.h"

enum { SL_CHUNK = 64, SL_TILE_BEATS = SL_CHUNK + SL_CHUNK / 16 };

struct sl_pass {
    uint32_t format, n_tokens;
    uint32_t region;               /* first beat of the region in every arena */
    uint32_t unit_first, unit_end; /* units that take part */
    struct sl_rows rows;
    uint32_t col_first, col_end; /* code beats of a row that take part */
    uint32_t n_row, n_chunk;     /* tiles of a unit row */
    uint32_t n_tile;
};

struct sl_tile {
    uint32_t unit0;     /* unit of port 0; may lie outside of the pass like any other port's */
    uint32_t row;       /* 8-bit formats: row of the unit */
    uint32_t col, cols; /* code beats, counted from the row's start */
    uint32_t n_scale;
    uint32_t scale_at, code_at; /* beats in the arenas */
    bool first, last;           /* chunk of its row; last: also the last row */
};

#define sl_pass_plan SL_NAME(sl_pass_plan)
#define sl_tile_at SL_NAME(sl_tile_at)
#define sl_tile_load SL_NAME(sl_tile_load)
#define sl_tile_dot SL_NAME(sl_tile_dot)

/* Units first .. first + n - 1 of a region of rows with k columns, of which col_first .. col_first
 * + n_col - 1 count (multiples of 32). */
struct sl_extent {
    uint32_t region, k, unit_first, n_unit, col_first, n_col;
};
void sl_pass_plan(struct sl_pass *pass, const struct sl_req *r, const struct sl_extent *e);

void sl_tile_at(const struct sl_pass *pass, uint32_t i, struct sl_tile *tile);

static inline bool sl_port_active(const struct sl_pass *pass, const struct sl_tile *tile,
                                  uint32_t port)
{
    uint32_t unit = tile->unit0 + port;
    return unit >= pass->unit_first && unit < pass->unit_end;
}

/* Reads tile i of every active port: scales, then codes. */
void sl_tile_load(SL_W_PARAMS const struct sl_pass *pass, uint32_t i,
                  sl_beat buf[SL_P][SL_TILE_BEATS]);

/*
 * Adds tile i's products to run, which it clears at a row's first chunk, and hands the sums out
 * after a unit's last tile. codes and exps start with the pass' first code beat. run belongs to
 * this function for the length of a pass; sums are the reader's, so that the next tile may be
 * computed meanwhile. Both: [port][row of the unit][token].
 */
void sl_tile_dot(const struct sl_pass *pass, uint32_t i, sl_beat buf[SL_P][SL_TILE_BEATS],
                 SL_WORK const int8_t *codes, SL_WORK const uint8_t *exps,
                 int64_t run[SL_P][2][SL_WORK_TOKENS], int64_t sums[SL_P][2][SL_WORK_TOKENS]);

#endif
