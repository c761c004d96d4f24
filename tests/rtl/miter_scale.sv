// SPDX-License-Identifier: Apache-2.0
// sl_scale_s32 and sl_scale_f32 as docs/numerics.md has them, on the exact product of 80 bits: one shift of
// wide integers, one rounding. The functions of sl_num_pkg (miter_scale_s32, miter_scale_f32) and the
// pipeline sl_scale (miter_scale) are proved equal to them for every product of a magnitude of at most 2^63
// and a u16, either sign and every exponent of 18 bits. FAULT = 1 spoils one argument's result.

// {saturated, sat32(RNE(p * 2^e))}
module law_scale_s32 (
    input         [79:0] p,
    input                neg,
    input signed  [17:0] e,
    output        [32:0] s32
);
  wire signed [18:0] down = -$signed({e[17], e});
  wire [6:0] n = down > 19'sd81 ? 7'd81 : down[6:0];  // from 82 on less than a quarter is left
  wire [81:0] unit = 82'd1 << n;
  wire [81:0] rest = {2'd0, p} & (unit - 82'd1);
  wire [79:0] kept = p >> n;
  wire up = {rest, 1'b0} > {1'b0, unit} || ({rest, 1'b0} == {1'b0, unit} && kept[0]);
  wire [80:0] rounded = {1'b0, kept} + {80'd0, up};
  wire [111:0] shifted = {32'd0, p} << e[4:0];
  wire far = e > 18'sd31 && p != 80'd0;
  wire [111:0] r = down > 0 ? {31'd0, rounded} : p == 80'd0 ? 112'd0 : shifted;
  wire [111:0] limit = neg ? 112'h80000000 : 112'h7FFFFFFF;
  assign s32 = far || r > limit ? {1'b1, neg ? 32'h80000000 : 32'h7FFFFFFF}
                                : {1'b0, neg ? 32'd0 - r[31:0] : r[31:0]};
endmodule

// The product is brought to the form 1.x, made a subnormal where it has to be, then cut to 24 bits.
module law_scale_f32 (
    input         [79:0] p,
    input                neg,
    input signed  [17:0] e,
    output        [31:0] f32
);
  reg [6:0] n;
  integer i;
  always @* begin
    n = 7'd0;
    for (i = 0; i < 80; i = i + 1) if (p[i]) n = i;
  end
  wire [79:0] norm = p << (7'd79 - n);
  wire signed [18:0] top = $signed({e[17], e}) + $signed({12'd0, n});
  wire subnormal = top < -19'sd126;
  wire signed [18:0] below = -19'sd126 - top;
  // 25 places below the smallest normal number only the sticky bit is left.
  wire [104:0] fixed = {norm, 25'd0} >> (!subnormal ? 7'd0 : below > 19'sd25 ? 7'd25 : below[6:0]);
  wire up = fixed[80] && (fixed[79:0] != 80'd0 || fixed[81]);
  wire [24:0] sig = {1'b0, fixed[104:81]} + {24'd0, up};
  wire signed [18:0] x = sig[24] ? top + 19'sd1 : top;
  wire [7:0] biased = x[7:0] + 8'd127;
  wire [30:0] mag = p == 80'd0 ? 31'd0 : subnormal ? {7'd0, sig[23:0]} : x > 19'sd127 ? 31'h7F800000
                  : {biased, sig[24] ? sig[23:1] : sig[22:0]};
  assign f32 = {neg, mag};
endmodule

module miter_scale_s32 #(
    parameter FAULT = 0
) (
    input [47:0] low,
    input [47:0] high,
    input neg,
    input signed [17:0] e
);
  wire possible = low <= 48'hFFFEFFFF0001 && high <= 48'h7FFF80000000;
  wire [64:0] jam = sl_num_pkg::sl_mul_jam(low, high);
  wire signed [31:0] up = jam[64] ? 32'sd16 : 32'sd0;
  wire [32:0] got = sl_num_pkg::sl_scale_s32_tail(jam[63:0], neg, {{14{e[17]}}, e} + up);
  wire [32:0] want;
  law_scale_s32 law ({high, 32'd0} + {32'd0, low}, neg, e, want);
  wire fault = FAULT != 0 && low == 48'd10 && high == 48'd0 && e == -18'sd2;
  always @* if (possible) assert ((got ^ fault) == want);
endmodule

module miter_scale_f32 #(
    parameter FAULT = 0
) (
    input [47:0] low,
    input [47:0] high,
    input neg,
    input signed [17:0] e
);
  wire possible = low <= 48'hFFFEFFFF0001 && high <= 48'h7FFF80000000;
  wire [64:0] jam = sl_num_pkg::sl_mul_jam(low, high);
  wire signed [31:0] up = jam[64] ? 32'sd16 : 32'sd0;
  wire [31:0] got = sl_num_pkg::sl_scale_f32_tail(jam[63:0], neg, {{14{e[17]}}, e} + up);
  wire [31:0] want;
  law_scale_f32 law ({high, 32'd0} + {32'd0, low}, neg, e, want);
  wire fault = FAULT != 0 && low == 48'd10 && high == 48'd0 && e == -18'sd150;
  always @* if (possible) assert ((got ^ fault) == want);
endmodule

// A running pipe with an argument in every cycle: what leaves it after 6 cycles. The products of the halves
// are formed here as there and are one and the same cell after merging; the proof then cuts it and takes any
// products that such factors can have.
module miter_scale #(
    parameter FAULT = 0
) (
    input clk,
    input [63:0] value,
    input [15:0] mant,
    input signed [17:0] exponent
);
  wire valid, saturated, tag;
  wire [31:0] s32, f32;
  sl_scale dut (
      .clk(clk),
      .rst_n(1'b1),
      .en(1'b1),
      .in_valid(1'b1),
      .in_value(value),
      .in_mant(mant),
      .in_exp(exponent),
      .in_tag(1'b0),
      .out_valid(valid),
      .out_s32(s32),
      .out_sat(saturated),
      .out_f32(f32),
      .out_tag(tag)
  );

  reg [63:0] a1;
  reg [15:0] m1;
  reg neg1, neg2, neg3, neg4, neg5, neg6;
  reg signed [17:0] e1, e2, e3, e4, e5, e6;
  reg [47:0] low2, low3, low4, low5, low6, high2, high3, high4, high5, high6;
  always @(posedge clk) begin
    a1 <= sl_num_pkg::sl_abs_u64(value);
    m1 <= mant;
    low2 <= {16'd0, a1[31:0]} * {32'd0, m1};
    high2 <= {16'd0, a1[63:32]} * {32'd0, m1};
    {low3, low4, low5, low6} <= {low2, low3, low4, low5};
    {high3, high4, high5, high6} <= {high2, high3, high4, high5};
    {neg1, neg2, neg3, neg4, neg5, neg6} <= {value[63], neg1, neg2, neg3, neg4, neg5};
    {e1, e2, e3, e4, e5, e6} <= {exponent, e1, e2, e3, e4, e5};
  end
  wire [32:0] want_s32;
  wire [31:0] want_f32;
  wire [79:0] product = {high6, 32'd0} + {32'd0, low6};
  law_scale_s32 law_s32 (product, neg6, e6, want_s32);
  law_scale_f32 law_f32 (product, neg6, e6, want_f32);
  wire possible = low6 <= 48'hFFFEFFFF0001 && high6 <= 48'h7FFF80000000;
  wire fault = FAULT != 0 && product == 80'd10 && e6 == -18'sd2;
  always @*
    if (possible) begin
      assert (valid);
      assert (({saturated, s32} ^ fault) == want_s32);
      assert (f32 == want_f32);
    end
endmodule
