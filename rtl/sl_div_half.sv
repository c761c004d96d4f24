// SPDX-License-Identifier: Apache-2.0
// Rounded division of magnitudes, halves up: out_q = floor((2 a + b) / (2 b)), with out_neg the sign that
// came with a.
// Long form: a = in_num. Short form (in_short): a = in_num[30:0] * 2^24, a weight in Q24; 13 steps instead of
// 16.
// Restoring, two quotient bits a cycle. Latency from acceptance to out_valid: 18 cycles, short form 15.
// Throughput: one in 18 (15) cycles: in_ready is low while it works and high again in the cycle of out_valid.
// Backpressure: none at the output (out_valid is one cycle, out_q stays until the next result).
// Widths: a < 2^63, 0 < b < 2^39, and a / b < 2^32 (short form: a / b <= 2^24), which the caller guarantees.
module sl_div_half (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        in_valid,
    output logic        in_ready,
    input  logic        in_short,
    input  logic        in_neg,
    input  logic [62:0] in_num,
    input  logic [38:0] in_den,
    output logic        out_valid,
    output logic        out_neg,
    output logic [31:0] out_q
);
  logic        work;
  logic [ 4:0] left;  // steps to do; 0: the rounding
  logic        neg;
  logic [38:0] den, rest;
  logic [31:0] low;  // dividend bits that are still to come, above the quotient bits that are known

  // One restoring step on {rest, low}: rest < den before and after.
  function automatic [70:0] step(input [70:0] v, input [38:0] by);
    logic [39:0] diff;  // -by .. by - 1
    begin
      diff = v[70:31] - {1'b0, by};
      step = {diff[39] ? v[69:31] : diff[38:0], v[30:0], !diff[39]};
    end
  endfunction

  assign in_ready = !work;

  always_ff @(posedge clk) begin
    if (!work) begin
      if (in_valid) begin
        rest <= in_short ? {10'd0, in_num[30:2]} : {8'd0, in_num[62:32]};
        low  <= in_short ? {in_num[1:0], 30'd0} : in_num[31:0];
        left <= in_short ? 5'd13 : 5'd16;
        den  <= in_den;
        neg  <= in_neg;
      end
    end else if (left != 5'd0) begin
      {rest, low} <= step(step({rest, low}, den), den);
      left <= left - 5'd1;
    end else begin
      out_q   <= low + {31'd0, {rest, 1'b0} >= {1'b0, den}};
      out_neg <= neg;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      work <= 1'b0;
      out_valid <= 1'b0;
    end else begin
      if (!work) work <= in_valid;
      else if (left == 5'd0) work <= 1'b0;
      out_valid <= work && left == 5'd0;
    end
  end
endmodule
