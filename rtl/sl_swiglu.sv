// SPDX-License-Identifier: Apache-2.0
// h = silu(g) * u (docs/numerics.md 5.1): g and u are s32 Q16, h is the exact s64 product in Q32.
// Latency: 7 cycles. Throughput: 1 a cycle. Backpressure: the pipeline holds while en is low.
// Widths: sigma u17 Q16 (table of 256 segments, linear, half up), g * sigma s50, silu s32 (nearest even).
module sl_swiglu #(
    parameter int TAG_W = 1
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             en,
    input  logic             in_valid,
    input  logic [     31:0] in_g,
    input  logic [     31:0] in_u,
    input  logic [TAG_W-1:0] in_tag,
    output logic             out_valid,
    output logic [     63:0] out_h,
    output logic [TAG_W-1:0] out_tag
);
  logic [6:1] valid;
  logic signed [31:0] g1, g2, g3, g4, u1, u2, u3, u4, u5, u6;
  logic [TAG_W-1:0] tag1, tag2, tag3, tag4, tag5, tag6;
  logic [32:0] a1;                // |g|
  logic [33:0] rom[0:255];        // {T[i], T[i + 1] - T[i]}
  logic [33:0] entry2;
  logic [11:0] f2;
  logic one2, one3;               // |g| >= 16: sigma is 1
  logic [16:0] sigma3, sigma4;
  logic signed [49:0] p5;
  logic signed [31:0] silu6;

  // A memory, not an index into the constant, which takes synthesis minutes.
  initial
    for (int i = 0; i < 256; i = i + 1) rom[i] = sl_num_pkg::sl_sigmoid_entry(8'(i));

  always_ff @(posedge clk) begin
    if (en) begin
      if (in_valid) begin
        a1 <= in_g[31] ? 33'd0 - {in_g[31], in_g} : {1'b0, in_g};
        g1 <= in_g;
        u1 <= in_u;
        tag1 <= in_tag;
      end
      if (valid[1]) begin
        entry2 <= rom[a1[19:12]];
        f2 <= a1[11:0];
        one2 <= a1[32:20] != 0;
        g2 <= g1;
        u2 <= u1;
        tag2 <= tag1;
      end
      if (valid[2]) begin
        sigma3 <= sl_num_pkg::sl_sigmoid_between(entry2, f2);
        one3 <= one2;
        g3 <= g2;
        u3 <= u2;
        tag3 <= tag2;
      end
      if (valid[3]) begin
        sigma4 <= one3 ? (g3[31] ? 17'd0 : 17'h10000) : g3[31] ? 17'h10000 - sigma3 : sigma3;
        g4 <= g3;
        u4 <= u3;
        tag4 <= tag3;
      end
      if (valid[4]) begin
        p5 <= $signed({{18{g4[31]}}, g4}) * $signed({33'd0, sigma4});
        u5 <= u4;
        tag5 <= tag4;
      end
      if (valid[5]) begin
        logic [63:0] mag;
        mag = sl_num_pkg::sl_rne_u64(sl_num_pkg::sl_abs_u64({{14{p5[49]}}, p5}), 32'd16);
        silu6 <= p5[49] ? 32'd0 - mag[31:0] : mag[31:0];
        u6 <= u5;
        tag6 <= tag5;
      end
      if (valid[6]) begin
        out_h <= $signed({{32{silu6[31]}}, silu6}) * $signed({{32{u6[31]}}, u6});
        out_tag <= tag6;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      valid <= '0;
      out_valid <= 1'b0;
    end else if (en) begin
      valid <= {valid[5:1], in_valid};
      out_valid <= valid[6];
    end
  end
endmodule
