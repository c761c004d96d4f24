// SPDX-License-Identifier: Apache-2.0
// Rotated vectors to fp32: sl_scale_f32(v, 1, exponent) of the 16 channels of each row, one output beat a
// row. Channels that do not exist hold 0 and become the zeros that fill the last beat.
// Latency: 2 cycles and sl_scale's from row_rd to the first value, 16 more to out_valid. Throughput: one
// channel a cycle. Backpressure: a row is begun when there is room for one more beat (out_claim takes it);
// out_* cannot be stopped. `full`: the row memory holds a vector; vec_done in the cycle in which its last
// row is read. Row row_addr is on row_data in the cycle after row_rd and stays. exponent is stable while
// full.
// Widths: W-bit two's complement in, one rounding (nearest even) in sl_scale.
module sl_kv_float #(
    parameter int W = 57
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   clear,
    input  logic        [     3:0] last_row,
    input  logic signed [    10:0] exponent,
    input  logic                   full,
    output logic                   vec_done,
    output logic                   row_rd,
    output logic        [     3:0] row_addr,
    input  logic        [16*W-1:0] row_data,
    input  logic                   room,
    output logic                   out_claim,
    output logic                   out_valid,
    output logic        [   511:0] out_data
);
  logic busy;  // row_data holds a row that has not been sent yet
  logic [3:0] lane;
  logic v_v;
  logic [W-1:0] v;
  logic signed [10:0] e, v_e;
  logic f_v;
  logic [31:0] f;
  logic [3:0] filled;

  wire scale_rst_n = rst_n && !clear;
  // verilator lint_off UNUSEDSIGNAL
  logic [31:0] f_s32;  // the scaler's other result
  logic f_sat, f_tag;
  // verilator lint_on UNUSEDSIGNAL
  sl_scale scale (
      .clk      (clk),
      .rst_n    (scale_rst_n),
      .en       (1'b1),
      .in_valid (v_v),
      .in_value ({{64 - W{v[W-1]}}, v}),
      .in_mant  (16'd1),
      .in_exp   ({{7{v_e[10]}}, v_e}),
      .in_tag   (1'b0),
      .out_valid(f_v),
      .out_s32  (f_s32),
      .out_sat  (f_sat),
      .out_f32  (f),
      .out_tag  (f_tag)
  );

  assign row_rd = full && room && (!busy || lane == 4'd15);
  assign vec_done = row_rd && row_addr == last_row;
  assign out_claim = row_rd;

  always_ff @(posedge clk) begin
    if (row_rd) e <= exponent;
    if (busy) begin
      v_e <= e;
      for (int l = 0; l < 16; l++) if (lane == 4'(l)) v <= row_data[W*l+:W];
    end
    for (int l = 0; l < 16; l++) if (f_v && filled == 4'(l)) out_data[32*l+:32] <= f;
  end

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      busy <= 1'b0;
      lane <= 4'd0;
      row_addr <= 4'd0;
      v_v <= 1'b0;
      filled <= 4'd0;
      out_valid <= 1'b0;
    end else begin
      if (row_rd) busy <= 1'b1;
      else if (lane == 4'd15) busy <= 1'b0;
      if (busy) lane <= lane + 4'd1;
      if (row_rd) row_addr <= vec_done ? 4'd0 : row_addr + 4'd1;
      v_v <= busy;
      if (f_v) filled <= filled + 4'd1;
      out_valid <= f_v && filled == 4'd15;
    end
  end
endmodule
