// SPDX-License-Identifier: Apache-2.0
// sl_exp_neg of docs/numerics.md 5.4, pipelined: out_e = e^-d in Q30 of d in Q16, every u32. out_tag: the
// in_tag that came with it. Latency 6 cycles, throughput one a cycle, no backpressure: what is put in comes
// out.
// t = floor(d * log2 e) in Q24 (63-bit product), table of 2^-i/256 with linear interpolation half up (31
// bits), shift by the whole part half up.
module sl_exp_neg #(
    parameter int TAG_W = 1
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             in_valid,
    input  logic [     31:0] in_d,
    input  logic [TAG_W-1:0] in_tag,
    output logic             out_valid,
    output logic [     30:0] out_e,
    output logic [TAG_W-1:0] out_tag
);
  localparam logic [62:0] LOG2_E = 63'd1549082005;  // Q30

  logic [4:0] v;  // valid bits of stages 1 to 5
  logic [TAG_W-1:0] tag1, tag2, tag3, tag4, tag5;
  logic [40:0] t1;
  logic [40:0] t2;
  logic [5:0] n3, n4, n5;  // whole part, 32: more than 31
  logic [52:0] rom[0:255];  // 2^(-i / 256) in Q30, and how much it falls to the next: less than 2^22
  logic [52:0] x3;
  logic [30:0] x4, x5;
  logic [15:0] r3;
  logic [21:0] fall4;

  // d log2 e in Q24, truncated
  function automatic [40:0] log2_of(input [31:0] d);
    // verilator lint_off UNUSEDSIGNAL
    logic [62:0] product;  // its low bits are cut off
    // verilator lint_on UNUSEDSIGNAL
    begin
      product = {31'd0, d} * LOG2_E;
      log2_of = product[62:22];
    end
  endfunction

  // A memory, not an index into the constant: synthesis makes block RAM of it, and in seconds.
  initial
    for (int i = 0; i < 256; i = i + 1)
      rom[i] = {
        sl_table_pkg::SL_EXP2[31*i+:31], sl_table_pkg::SL_EXP2[31*i+:22] - sl_table_pkg::SL_EXP2[31*i+31+:22]
      };

  // (step * r + 2^15) >> 16
  function automatic [21:0] part_of(input [21:0] step, input [15:0] r);
    // verilator lint_off UNUSEDSIGNAL
    logic [37:0] product;  // what is rounded away
    // verilator lint_on UNUSEDSIGNAL
    begin
      product = {16'd0, step} * {22'd0, r} + 38'd32768;
      part_of = product[37:16];
    end
  endfunction

  // (x + 2^(n-1)) >> n, x for n = 0, 0 for n > 31
  function automatic [30:0] shift_half_up(input [30:0] x, input [5:0] n);
    logic [31:0] twice;
    begin
      twice = {x, 1'b0} >> n[4:0];
      shift_half_up = n[5] ? 31'd0 : twice[31:1] + {30'd0, twice[0]};
    end
  endfunction

  always_ff @(posedge clk) begin
    if (in_valid) begin
      t1   <= log2_of(in_d);
      tag1 <= in_tag;
    end
    if (v[0]) begin
      t2   <= t1;
      tag2 <= tag1;
    end
    if (v[1]) begin
      n3 <= t2[40:29] != 12'd0 ? 6'd32 : {1'b0, t2[28:24]};
      x3 <= rom[t2[23:16]];
      r3 <= t2[15:0];
      tag3 <= tag2;
    end
    if (v[2]) begin
      n4 <= n3;
      x4 <= x3[52:22];
      fall4 <= part_of(x3[21:0], r3);
      tag4 <= tag3;
    end
    if (v[3]) begin
      n5 <= n4;
      x5 <= x4 - {9'd0, fall4};
      tag5 <= tag4;
    end
    if (v[4]) begin
      out_e   <= shift_half_up(x5, n5);
      out_tag <= tag5;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      v <= 5'd0;
      out_valid <= 1'b0;
    end else begin
      v <= {v[3:0], in_valid};
      out_valid <= v[4];
    end
  end
endmodule
