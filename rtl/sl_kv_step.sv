// SPDX-License-Identifier: Apache-2.0
// The step sig * 2^e of a group of codes from its extremes (docs/numerics.md 5.5): INT8 a = max(mx, -mn) on
// 127 levels with 15 bits of a kept, INT4 r = mx - mn on 15 levels with 12 bits kept.
// Both are brought to X = extent << (24 - log2 extent), 2^24 <= X < 2^25, in units of 2^-10 (INT8) or 2^-13
// (INT4) of a code step. sig = ceil(X / (levels << 10 or 13)) is ceil(ceil(X >> 10 or 13) / levels); over
// 255 it is halved, upwards, and e grows by one. The division by the constant is a multiplication: floor(n
// / 127) = n * 33027 >> 22 for n <= 32894, since 33027 * 127 = 2^22 + 125 and 32894 * 125 < 2^22; floor(n /
// 15) = n * 4370 >> 16 for n <= 4110, since 4370 * 15 = 2^16 + 14 and 4110 * 14 < 2^16.
// A channel's |y| << out_shift is then |y| in the same units as X.
// Latency 7 cycles, one group a cycle, no backpressure. out_zero: the group's codes are 0 (extent 0, or an
// exponent field below 1); out_bits is then 0 too, and out_sig and out_shift mean nothing. Fields above 254
// become 254. Widths: mx >= 0 >= mn in s24, |exponent| <= 1023.
module sl_kv_step (
    input  logic               clk,
    input  logic               rst_n,
    input  logic               clear,
    input  logic               int4,
    input  logic signed [10:0] exponent,
    input  logic               in_valid,
    input  logic        [ 2:0] in_group,
    input  logic signed [23:0] in_max,
    input  logic signed [23:0] in_min,
    output logic               out_valid,
    output logic        [ 2:0] out_group,
    output logic        [ 7:0] out_sig,
    output logic        [ 4:0] out_shift,
    output logic        [15:0] out_bits,
    output logic               out_zero
);
  logic v1, v2, v3, v4, v5, v6;
  logic [2:0] g1, g2, g3, g4, g5, g6;
  logic [24:0] extent1, extent2, x3;
  // verilator lint_off UNUSEDSIGNAL
  logic [5:0] log2;  // at most 23
  // verilator lint_on UNUSEDSIGNAL
  logic [4:0] log3, log4, log5, log6;
  logic [15:0] n4;
  logic [30:0] product5;  // its low bits are the remainder that floor drops
  logic [8:0] sig6;
  logic some2, some3, some4, some5, some6;

  // The magnitude of mn fits 24 bits without a sign.
  wire [23:0] neg_min = 24'd0 - in_min;
  wire bump = sig6[8];
  wire [7:0] sig_half = sig6[8:1] + {7'd0, sig6[0]};
  wire signed [12:0] e_bias = int4 ? 13'sd123 : 13'sd120;  // 134 - 11, 134 - 14
  wire signed [12:0] field = e_bias + $signed({8'd0, log6}) + $signed({12'd0, bump}) + $signed(
      {{2{exponent[10]}}, exponent}
  );

  always_ff @(posedge clk) begin
    if (in_valid) begin
      g1 <= in_group;
      if (int4) extent1 <= {1'b0, in_max} + {1'b0, neg_min};
      else extent1 <= {1'b0, neg_min > in_max ? neg_min : in_max};
    end
    if (v1) begin
      g2 <= g1;
      extent2 <= extent1;
      some2 <= extent1 != 25'd0;
      log2 <= sl_num_pkg::sl_log2({39'd0, extent1});
    end
    if (v2) begin
      g3 <= g2;
      some3 <= some2;
      log3 <= log2[4:0];
      x3 <= extent2 << (5'd24 - log2[4:0]);
    end
    if (v3) begin
      g4 <= g3;
      some4 <= some3;
      log4 <= log3;
      // ceil(X >> 10) + 126, ceil(X >> 13) + 14
      n4 <= int4 ? 16'(({1'b0, x3} + 26'd122879) >> 13) : 16'(({1'b0, x3} + 26'd130047) >> 10);
    end
    if (v4) begin
      g5 <= g4;
      some5 <= some4;
      log5 <= log4;
      product5 <= {15'd0, n4} * (int4 ? 31'd4370 : 31'd33027);
    end
    if (v5) begin
      g6 <= g5;
      some6 <= some5;
      log6 <= log5;
      sig6 <= 9'(int4 ? product5 >> 16 : product5 >> 22);
    end
    if (v6) begin
      out_group <= g6;
      out_sig <= bump ? sig_half : sig6[7:0];
      out_shift <= 5'd24 - log6 - {4'd0, bump};
      out_zero <= !some6 || field < 13'sd1;
      if (!some6 || field < 13'sd1) out_bits <= 16'd0;
      else out_bits <= {1'b0, field > 13'sd254 ? 8'd254 : field[7:0], bump ? sig_half[6:0] : sig6[6:0]};
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n || clear) {v1, v2, v3, v4, v5, v6, out_valid} <= 7'd0;
    else {v1, v2, v3, v4, v5, v6, out_valid} <= {in_valid, v1, v2, v3, v4, v5, v6};
  end
endmodule
