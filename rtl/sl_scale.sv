// SPDX-License-Identifier: Apache-2.0
// sl_scale_s32 and sl_scale_f32 of docs/numerics.md section 1: value * mant * 2^exp, rounded once to nearest
// even, as s32 (saturating) and as the bits of an fp32.
// Latency: 6 cycles. Throughput: 1 a cycle. Backpressure: the pipeline holds while en is low.
// Widths: the product's 80 bits are kept in 64 with the bits that fell out ORed into the lowest (sl_mul_jam).
module sl_scale #(
    parameter int TAG_W = 1
) (
    input  logic                clk,
    input  logic                rst_n,
    input  logic                en,
    input  logic                in_valid,
    input  logic [        63:0] in_value,   // signed
    input  logic [        15:0] in_mant,
    input  logic signed [ 17:0] in_exp,
    input  logic [   TAG_W-1:0] in_tag,
    output logic                out_valid,
    output logic [        31:0] out_s32,
    output logic                out_sat,    // the s32 saturated
    output logic [        31:0] out_f32,
    output logic [   TAG_W-1:0] out_tag
);
  logic [5:1] valid;
  logic [TAG_W-1:0] tag1, tag2, tag3, tag4, tag5;
  logic neg1, neg2, neg3, neg4, neg5;
  logic signed [18:0] e1, e2, e3, e4;
  // 1: magnitude
  logic [63:0] a1;
  logic [15:0] m1;
  // 2: products of the halves
  logic [47:0] low2, high2;
  // 3: one number
  logic [63:0] q3;
  // 4: leading one
  logic [63:0] q4;
  logic [5:0] n4;
  // 5: shifted, roundings to come
  logic [65:0] s32_5, f32_5;
  logic s32_over5, inf5, zero5;
  logic [30:0] field5;

  always_ff @(posedge clk) begin
    if (en) begin
      if (in_valid) begin
        a1 <= sl_num_pkg::sl_abs_u64(in_value);
        neg1 <= in_value[63];
        m1 <= in_mant;
        e1 <= {in_exp[17], in_exp};
        tag1 <= in_tag;
      end
      if (valid[1]) begin
        low2 <= {16'd0, a1[31:0]} * {32'd0, m1};
        high2 <= {16'd0, a1[63:32]} * {32'd0, m1};
        neg2 <= neg1;
        e2 <= e1;
        tag2 <= tag1;
      end
      if (valid[2]) begin
        logic [64:0] jam;
        jam = sl_num_pkg::sl_mul_jam(low2, high2);
        q3 <= jam[63:0];
        e3 <= e2 + (jam[64] ? 19'sd16 : 19'sd0);
        neg3 <= neg2;
        tag3 <= tag2;
      end
      if (valid[3]) begin
        n4 <= sl_num_pkg::sl_log2(q3);
        q4 <= q3;
        e4 <= e3;
        neg4 <= neg3;
        tag4 <= tag3;
      end
      if (valid[4]) begin
        // fp32: the unit of the result is 2^(e + shift): 23 below the leading one, but not below 2^-149.
        logic signed [18:0] top, shift;
        logic normal;
        logic [7:0] biased;
        logic [4:0] left;
        top = e4 + $signed({13'd0, n4});
        normal = top >= -19'sd126;
        shift = normal ? $signed({13'd0, n4}) - 19'sd23 : -19'sd149 - e4;
        biased = top[7:0] + 8'd126;
        if (e4 < 0) s32_5 <= sl_num_pkg::sl_rne_split(q4, {13'd0, -e4});
        else s32_5 <= {2'b00, q4[31:0] == 0 || e4 > 31 ? 64'd0 : {32'd0, q4[31:0]} << e4[4:0]};
        // Shifted left: more than 32 bits, or too far, is too much.
        s32_over5 <= e4 >= 0 && (q4[63:32] != 0 || (q4 != 0 && e4 > 31));
        // Shifted left, it is by at most 23 and into 24 bits.
        left = 5'd0 - shift[4:0];
        f32_5 <= shift <= 0 ? {42'd0, q4[23:0] << left} : sl_num_pkg::sl_rne_split(q4, {13'd0, shift});
        field5 <= normal ? {biased, 23'd0} : 31'd0;
        inf5 <= top > 19'sd127;
        zero5 <= q4 == 0;
        neg5 <= neg4;
        tag5 <= tag4;
      end
      if (valid[5]) begin
        logic [63:0] r, limit;
        logic [63:0] sig;
        r = sl_num_pkg::sl_rne_join(s32_5);
        limit = {32'd0, 1'b0, 31'h7FFFFFFF} + {63'd0, neg5};
        out_sat <= s32_over5 || r > limit;
        if (s32_over5 || r > limit) out_s32 <= neg5 ? 32'h80000000 : 32'h7FFFFFFF;
        else out_s32 <= neg5 ? 32'd0 - r[31:0] : r[31:0];
        sig = sl_num_pkg::sl_rne_join(f32_5);
        out_f32 <= {neg5, zero5 ? 31'd0 : inf5 ? 31'h7F800000 : sig[30:0] + field5};
        out_tag <= tag5;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      valid <= '0;
      out_valid <= 1'b0;
    end else if (en) begin
      valid <= {valid[4:1], in_valid};
      out_valid <= valid[5];
    end
  end
endmodule
