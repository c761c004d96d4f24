// SPDX-License-Identifier: Apache-2.0
// Quantises rotated vectors into KV records (docs/numerics.md 5.5). A vector passes twice: its rows stream
// by on in_* for the extremes (whole vector: INT8, groups of 32: INT4), then they are read again from the
// caller's row memory.
//
// code = floor((2 |y| 2^-e + sig) / (2 sig)). With X = |y| << shift in units of 2^-10 (INT8) or 2^-13
// (INT4) this is floor(V / sig), V = ((X >> 9 or 12) + sig) >> 1, as the bits that are dropped lie below
// the last that counts. X <= levels * sig << 10 or 13 (sig was rounded up), so V < 128 sig and no code
// leaves 127 (15) before INT4's zero point is added. The division is a multiplication by ceil(2^23 / sig):
// it exceeds 2^23 / sig by less than 1, so the product is too large by less than V / 2^23 < 128 * 255 /
// 2^23 < 1 / 255, and V / sig is at least 1 / sig below the next integer.
//
// Latency of a vector of R rows and G groups, from its last row on in_*: 15 + 2 G + R cycles to the scale
// beat (INT8: 16 + R), of which the last 9 after vec_done. Throughput: 16 channels a cycle while the rows
// are read. Backpressure: waits for `room` (a whole record fits behind out_*) before it reads the rows;
// out_* cannot be stopped. Widths: |y| < 2^23 in s24; exponent, int4, the shape and the rows are stable
// from in_last to vec_done.
module sl_kv_quant #(
    parameter int W = 57  // bits of a lane of a row, of which the lower 24 are looked at
) (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               clear,
    input  logic               int4,
    input  logic        [ 3:0] last_row,
    input  logic        [ 2:0] last_group,  // 0 with INT8
    input  logic        [15:0] tail_mask,   // lanes of the last row that are channels
    input  logic signed [10:0] exponent,
    // rows for the extremes
    input  logic               in_valid,
    input  logic               in_last,
    input  logic        [ 3:0] in_row,
    input  logic    [16*W-1:0] in_data,
    // rows again: row_data is row row_addr in the cycle after row_rd
    output logic               row_rd,
    output logic        [ 3:0] row_addr,
    input  logic    [16*W-1:0] row_data,
    output logic               vec_done,    // the rows have been read
    // the record
    input  logic               room,
    output logic               out_claim,   // takes the room of one record
    output logic               out_valid,
    output logic       [511:0] out_data
);
  // ceil(2^23 / sig) of sig = 128 + i, each in 32 bits.
  function automatic [32*128-1:0] reciprocals(input [31:0] unit);
    begin
      for (int i = 0; i < 128; i++) reciprocals[32*i+:32] = (unit + 32'd127 + i) / (32'd128 + i);
    end
  endfunction
  localparam logic [32*128-1:0] RECIPROCAL = reciprocals(32'd1 << 23);

  function automatic signed [23:0] larger(input signed [23:0] a, input signed [23:0] b);
    larger = a > b ? a : b;
  endfunction
  function automatic signed [23:0] smaller(input signed [23:0] a, input signed [23:0] b);
    smaller = a < b ? a : b;
  endfunction

  typedef enum logic [2:0] {
    WAIT,   // for the extremes of a vector
    STEPS,  // groups through sl_kv_step
    HOLD,   // until the steps are known and there is room
    ZEROS,  // zero points, by the same lanes as the codes
    ROWS,
    DRAIN,  // until the last code has come out
    META
  } state_t;
  state_t state;
  logic [3:0] at;  // group or row

  // ---- Extremes: 16 lanes to 4, to 1, to the group's; they start from 0, as mn and mx do. A group's first
  // row comes before its second in every order that the last stage of the transform has.
  logic e1_v, e2_v, e1_last, e2_last, e1_first, e2_first, extremes_known;
  logic [2:0] e1_group, e2_group;
  logic [4*24-1:0] e1_max, e1_min;
  logic [23:0] e2_max, e2_min;
  logic [23:0] group_max[0:7];
  logic [23:0] group_min[0:7];

  always_ff @(posedge clk) begin
    if (in_valid) begin
      e1_last  <= in_last;
      e1_group <= int4 ? in_row[3:1] : 3'd0;
      e1_first <= int4 ? !in_row[0] : in_row == 4'd0;
      for (int i = 0; i < 4; i++) begin
        e1_max[24*i+:24] <= larger(
            larger(in_data[4*W*i+:24], in_data[4*W*i+W+:24]),
            larger(in_data[4*W*i+2*W+:24], in_data[4*W*i+3*W+:24])
        );
        e1_min[24*i+:24] <= smaller(
            smaller(in_data[4*W*i+:24], in_data[4*W*i+W+:24]),
            smaller(in_data[4*W*i+2*W+:24], in_data[4*W*i+3*W+:24])
        );
      end
    end
    if (e1_v) begin
      e2_last <= e1_last;
      e2_group <= e1_group;
      e2_first <= e1_first;
      e2_max <= larger(larger(e1_max[0+:24], e1_max[24+:24]), larger(e1_max[48+:24], e1_max[72+:24]));
      e2_min <= smaller(smaller(e1_min[0+:24], e1_min[24+:24]), smaller(e1_min[48+:24], e1_min[72+:24]));
    end
    if (e2_v) begin
      group_max[e2_group] <= larger(e2_first ? 24'd0 : group_max[e2_group], e2_max);
      group_min[e2_group] <= smaller(e2_first ? 24'd0 : group_min[e2_group], e2_min);
    end
  end

  // ---- Steps
  logic t_v, step_v;
  logic [2:0] t_group, step_group;
  logic [23:0] t_max, t_min;
  logic [7:0] step_sig;
  logic [4:0] step_shift;
  logic [15:0] step_bits;
  logic step_zero, steps_known;
  logic [8*8-1:0] sig;
  logic [8*5-1:0] shift;
  logic [8*16-1:0] bits;
  logic [7:0] zero;

  sl_kv_step step (
      .clk      (clk),
      .rst_n    (rst_n),
      .clear    (clear),
      .int4     (int4),
      .exponent (exponent),
      .in_valid (t_v),
      .in_group (t_group),
      .in_max   (t_max),
      .in_min   (t_min),
      .out_valid(step_v),
      .out_group(step_group),
      .out_sig  (step_sig),
      .out_shift(step_shift),
      .out_bits (step_bits),
      .out_zero (step_zero)
  );

  always_ff @(posedge clk) begin
    if (state == STEPS) begin
      t_group <= at[2:0];
      t_max   <= group_max[at[2:0]];
      t_min   <= group_min[at[2:0]];
    end
    if (step_v) begin
      for (int g = 0; g < 8; g++) begin
        if (step_group == 3'(g)) begin
          sig[8*g+:8] <= step_sig;
          shift[5*g+:5] <= step_shift;
          bits[16*g+:16] <= step_bits;
          zero[g] <= step_zero;
        end
      end
    end
  end

  // ---- Lanes. An item is a row, or a group's -mn in lane 0.
  wire item_v = state == ROWS || state == ZEROS;
  logic a1_v, a2_v, a3_v, a4_v, a5_v, a6_v, a7_v;
  logic a1_z, a2_z, a3_z, a4_z, a5_z, a6_z;
  logic [3:0] a1_at, a2_at, a3_at, a4_at, a5_at, a6_at, a7_at;
  logic a2_zero, a3_zero, a4_zero, a5_zero, a6_zero;
  logic [15:0] a2_neg, a3_neg, a4_neg, a5_neg, a6_neg;
  logic [7:0] a2_sig, a3_sig;
  logic [4:0] a2_shift;
  logic [16*24-1:0] a2_mag;
  logic [16*16-1:0] a3_x, a4_v16;
  logic [16:0] a3_recip, a4_recip;
  logic [16*33-1:0] a5_product;
  logic [16*7-1:0] a6_q;
  logic [16*8-1:0] a7_code;
  logic [8*4-1:0] zero_point;
  wire [2:0] a1_group = a1_z ? a1_at[2:0] : int4 ? a1_at[3:1] : 3'd0;
  wire [23:0] a1_min = group_min[a1_group];

  function automatic [23:0] magnitude(input [23:0] y);
    magnitude = y[23] ? 24'd0 - y : y;
  endfunction

  // |y| << shift without the bits below the 16 (INT4: 13) that count.
  function automatic [15:0] scaled(input [23:0] mag, input [4:0] by, input four);
    logic [24:0] full;
    begin
      full   = {1'b0, mag} << by;
      scaled = 16'(four ? full >> 12 : full >> 9);
    end
  endfunction

  function automatic [15:0] plus_half(input [15:0] x, input [7:0] by);
    plus_half = 16'(({1'b0, x} + {9'd0, by}) >> 1);
  endfunction

  // zero point +- q, clamped to 0..15
  function automatic [7:0] int4_code(input [3:0] zp, input [3:0] q, input neg);
    logic [4:0] code;
    begin
      code = neg ? {1'b0, zp} - {1'b0, q} : {1'b0, zp} + {1'b0, q};
      int4_code = {4'd0, !code[4] ? code[3:0] : neg ? 4'd0 : 4'd15};
    end
  endfunction

  wire [3:0] a6_zp = zero_point[4*a6_at[3:1]+:4];

  always_ff @(posedge clk) begin
    if (item_v) begin
      a1_z  <= state == ZEROS;
      a1_at <= at;
    end
    if (a1_v) begin
      a2_z <= a1_z;
      a2_at <= a1_at;
      a2_sig <= sig[8*a1_group+:8];
      a2_shift <= shift[5*a1_group+:5];
      a2_zero <= zero[a1_group];
      for (int l = 0; l < 16; l++) begin
        a2_mag[24*l+:24] <= magnitude(l == 0 && a1_z ? a1_min : row_data[W*l+:24]);
        a2_neg[l] <= row_data[W*l+23];
      end
    end
    if (a2_v) begin
      a3_z <= a2_z;
      a3_at <= a2_at;
      a3_sig <= a2_sig;
      a3_zero <= a2_zero;
      a3_neg <= a2_neg;
      a3_recip <= RECIPROCAL[32*a2_sig[6:0]+:17];
      for (int l = 0; l < 16; l++) a3_x[16*l+:16] <= scaled(a2_mag[24*l+:24], a2_shift, int4);
    end
    if (a3_v) begin
      a4_z <= a3_z;
      a4_at <= a3_at;
      a4_zero <= a3_zero;
      a4_neg <= a3_neg;
      a4_recip <= a3_recip;
      for (int l = 0; l < 16; l++) a4_v16[16*l+:16] <= plus_half(a3_x[16*l+:16], a3_sig);
    end
    if (a4_v) begin
      a5_z <= a4_z;
      a5_at <= a4_at;
      a5_zero <= a4_zero;
      a5_neg <= a4_neg;
      for (int l = 0; l < 16; l++) a5_product[33*l+:33] <= {17'd0, a4_v16[16*l+:16]} * {16'd0, a4_recip};
    end
    if (a5_v) begin
      a6_z <= a5_z;
      a6_at <= a5_at;
      a6_zero <= a5_zero;
      a6_neg <= a5_neg;
      for (int l = 0; l < 16; l++) a6_q[7*l+:7] <= a5_product[33*l+23+:7];
    end
    if (a6_v && a6_z) zero_point[4*a6_at[2:0]+:4] <= a6_zero ? 4'd0 : a6_q[3:0];
    if (a6_v && !a6_z) begin
      a7_at <= a6_at;
      for (int l = 0; l < 16; l++) begin
        if (a6_zero || a6_at == last_row && !tail_mask[l]) a7_code[8*l+:8] <= 8'd0;
        else if (int4) a7_code[8*l+:8] <= int4_code(a6_zp, a6_q[7*l+:4], a6_neg[l]);
        else a7_code[8*l+:8] <= a6_neg[l] ? 8'd0 - {1'b0, a6_q[7*l+:7]} : {1'b0, a6_q[7*l+:7]};
      end
    end
  end

  // ---- Beats: a row is a quarter of a code beat (INT8) or an eighth (INT4).
  function automatic [63:0] nibbles(input [127:0] code);
    begin
      for (int i = 0; i < 8; i++) nibbles[8*i+:8] = {code[16*i+8+:4], code[16*i+:4]};
    end
  endfunction

  always_ff @(posedge clk) begin
    if (a7_v) begin
      for (int i = 0; i < 8; i++) begin
        if (int4 ? a7_at[2:0] == 3'(i) : a7_at[1:0] == 2'(i / 2))
          out_data[64*i+:64] <= int4 ? nibbles(a7_code) : a7_code[64*(i%2)+:64];
        else if (int4 ? a7_at[2:0] == 3'd0 : a7_at[1:0] == 2'd0) out_data[64*i+:64] <= 64'd0;
      end
    end else if (state == META) begin
      out_data <= '0;
      for (int g = 0; g < 8; g++) begin
        if (3'(g) <= last_group) begin
          out_data[16*g+:16] <= bits[16*g+:16];
          if (int4) out_data[256+8*g+:4] <= zero_point[4*g+:4];
        end
      end
    end
  end

  // ---- Control
  assign row_rd = state == ROWS;
  assign row_addr = at;
  assign vec_done = state == ROWS && at == last_row;
  assign out_claim = state == HOLD && steps_known && room;
  wire [3:0] last_at = state == ROWS ? last_row : {1'b0, last_group};
  wire a7_full = int4 ? a7_at[2:0] == 3'd7 : a7_at[1:0] == 2'd3;

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      state <= WAIT;
      at <= 4'd0;
      {e1_v, e2_v, t_v, extremes_known, steps_known} <= 5'd0;
      {a1_v, a2_v, a3_v, a4_v, a5_v, a6_v, a7_v, out_valid} <= 8'd0;
    end else begin
      e1_v <= in_valid;
      e2_v <= e1_v;
      t_v  <= state == STEPS;
      if (e2_v && e2_last) extremes_known <= 1'b1;
      if (step_v && step_group == last_group) steps_known <= 1'b1;
      {a1_v, a2_v, a3_v, a4_v, a5_v, a6_v} <= {item_v, a1_v, a2_v, a3_v, a4_v, a5_v};
      a7_v <= a6_v && !a6_z;
      out_valid <= a7_v && (a7_full || a7_at == last_row) || state == META;
      if (state == STEPS || item_v) at <= at == last_at ? 4'd0 : at + 4'd1;
      case (state)
        WAIT:
        if (extremes_known) begin
          extremes_known <= 1'b0;
          state <= STEPS;
        end
        STEPS: if (at == last_at) state <= HOLD;
        HOLD:
        if (out_claim) begin
          steps_known <= 1'b0;
          state <= int4 ? ZEROS : ROWS;
        end
        ZEROS: if (at == last_at) state <= ROWS;
        ROWS: if (at == last_row) state <= DRAIN;
        DRAIN: if (a7_v && a7_at == last_row) state <= META;
        default: state <= WAIT;
      endcase
    end
  end
endmodule
