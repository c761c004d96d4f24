// SPDX-License-Identifier: Apache-2.0
// Block quantiser of h (docs/numerics.md 3.2). Values come unit by unit, all tokens of a unit in ascending
// order; 32 units are a block. A block's values and each token's largest magnitude are kept until its last
// unit, then quantised one value a cycle, token by token, while the next block fills the other buffer.
// Latency: 37 cycles from a block's last value to its first token's codes, then a token every 32. Throughput:
// one value a cycle in and out. Backpressure: in_ready drops when both buffers are full (one cycle a block
// when values never pause); what comes out does not wait. start sets the first block's number; the values
// before it are through (idle).
// Rounding: sl_rne, then clamped to +-127; he is clamped to 0..21, which is reported.
module sl_quant (
    input  logic         clk,
    input  logic         rst_n,
    input  logic         clear,
    input  logic         start,
    input  logic [ 10:0] first_block,
    input  logic [  6:0] n_tokens,
    input  logic [  9:0] u,              // signed: exponent of h
    input  logic         in_valid,
    output logic         in_ready,
    input  logic [ 63:0] in_h,           // signed, Q32
    input  logic [  4:0] in_lane,
    input  logic [  5:0] in_token,
    output logic         idle,           // no full block is left
    output logic         out_valid,
    output logic [  5:0] out_token,
    output logic [ 10:0] out_block,
    output logic [255:0] out_codes,      // lane 0 lowest
    output logic [  4:0] out_he,
    output logic         out_saturated,
    output logic         out_clamped
);
  logic [63:0] value[0:4095];   // {buffer, lane, token}
  logic [63:0] largest[0:127];  // {buffer, token}: magnitude
  logic [1:0] full;
  logic fill, drain;            // buffers
  wire take = in_valid && in_ready;
  wire last_token = {1'b0, in_token} + 7'd1 == n_tokens;
  wire [63:0] mag = sl_num_pkg::sl_abs_u64(in_h);
  wire [63:0] most = largest[{fill, in_token}];
  assign in_ready = !full[fill];

  always_ff @(posedge clk) begin
    if (take) begin
      value[{fill, in_lane, in_token}] <= in_h;
      if (in_lane == 0 || mag > most) largest[{fill, in_token}] <= mag;
    end
  end

  // Reading: 0 address, 1 value, 2 exponent, 3 shift, 4 rounding, 5 collected.
  logic [5:0] token;
  logic [4:0] lane;
  logic [10:0] block;
  logic [5:1] valid;
  wire reading = full[drain];
  wire end_token = lane == 5'd31;
  wire end_block = end_token && {1'b0, token} + 7'd1 == n_tokens;
  assign idle = full == 0 && valid == 0 && !out_valid;

  logic [4:0] lane1, lane2, lane3, lane4;
  logic [5:0] token1, token2, token3, token4;
  logic [10:0] block1, block2, block3, block4;
  logic [63:0] h1, h2, h3, am1;
  logic [5:0] log2_2;
  logic none2;
  logic signed [11:0] shift3;
  logic [4:0] he3, he4;
  logic sat3, sat4, clamp3, clamp4;
  logic [65:0] split4;
  logic neg4;
  logic [255:0] codes;

  wire signed [11:0] u12 = {{2{u[9]}}, u};
  wire signed [11:0] he = $signed({6'd0, log2_2}) - 12'sd38 + u12;
  wire [4:0] he_in = none2 || he < 0 ? 5'd0 : he > 12'sd21 ? 5'd21 : he[4:0];

  always_ff @(posedge clk) begin
    if (reading) begin
      h1 <= value[{drain, lane, token}];
      if (lane == 0) am1 <= largest[{drain, token}];
      lane1 <= lane;
      token1 <= token;
      block1 <= block;
    end
    if (valid[1]) begin
      if (lane1 == 0) begin
        log2_2 <= sl_num_pkg::sl_log2(am1);
        none2 <= am1 == 0;
      end
      h2 <= h1;
      lane2 <= lane1;
      token2 <= token1;
      block2 <= block1;
    end
    if (valid[2]) begin
      he3 <= he_in;
      shift3 <= none2 ? 12'sd0 : $signed({7'd0, he_in}) - u12 + 12'sd32;
      sat3 <= !none2 && he > 12'sd21;
      clamp3 <= !none2 && he < 0;
      h3 <= h2;
      lane3 <= lane2;
      token3 <= token2;
      block3 <= block2;
    end
    if (valid[3]) begin
      // Shifted left, the value fits 8 bits: the block's exponent says so.
      split4 <= shift3 <= 0 ? {2'b00, sl_num_pkg::sl_abs_u64(h3) << -shift3}
                            : sl_num_pkg::sl_rne_split(sl_num_pkg::sl_abs_u64(h3),
                                {{20{shift3[11]}}, shift3});
      neg4 <= h3[63];
      he4 <= he3;
      sat4 <= sat3;
      clamp4 <= clamp3;
      lane4 <= lane3;
      token4 <= token3;
      block4 <= block3;
    end
    if (valid[4]) begin
      logic [63:0] q;
      logic [7:0] code;
      q = sl_num_pkg::sl_rne_join(split4);
      code = q > 64'd127 ? 8'd127 : q[7:0];
      codes <= {neg4 ? 8'd0 - code : code, codes[255:8]};
      if (lane4 == 5'd31) begin
        out_token <= token4;
        out_block <= block4;
        out_he <= he4;
        out_saturated <= sat4;
        out_clamped <= clamp4;
      end
    end
  end
  assign out_codes = codes;

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      full <= '0;
      fill <= 1'b0;
      drain <= 1'b0;
      token <= '0;
      lane <= '0;
      valid <= '0;
      out_valid <= 1'b0;
    end else begin
      valid <= {1'b0, valid[3:1], reading};
      out_valid <= valid[4] && lane4 == 5'd31;
      if (take && in_lane == 5'd31 && last_token) begin
        full[fill] <= 1'b1;
        fill <= !fill;
      end
      if (start) block <= first_block;
      if (reading) begin
        lane <= lane + 1'b1;
        if (end_token) token <= end_block ? 6'd0 : token + 1'b1;
        if (end_block) begin
          full[drain] <= 1'b0;
          drain <= !drain;
          block <= block + 1'b1;
        end
      end
    end
  end
endmodule
