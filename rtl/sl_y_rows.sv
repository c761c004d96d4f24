// SPDX-License-Identifier: Apache-2.0
// Collects the rows of y: pairs of results (rows 2 j and 2 j + 1 of one token) become beats of 16 fp32 or 8
// s64, written when full or at the last unit. Pairs come unit by unit, all tokens of a unit in ascending
// order.
// Latency: 1 cycle from the pair that fills a beat to wr_valid. Throughput: one pair a cycle.
// Backpressure: in_ready drops while a full beat waits for wr_ready.
module sl_y_rows (
    input  logic         clk,
    input  logic         rst_n,
    input  logic         clear,
    // job
    input  logic         partial,   // s64 instead of fp32
    input  logic [ 18:0] rows,
    input  logic [ 31:0] y_off,
    input  logic [ 15:0] y_stride,
    // pairs
    input  logic         in_valid,
    output logic         in_ready,
    input  logic [  5:0] token,
    input  logic [ 17:0] unit,
    input  logic [ 63:0] low,       // fp32 in the low half
    input  logic [ 63:0] high,
    // beats
    output logic         wr_valid,
    input  logic         wr_ready,
    output logic [ 31:0] wr_addr,
    output logic [511:0] wr_data
);
  logic [511:0] open[0:63];  // the beat of each token that is not full yet
  logic [31:0] token_at;     // where the last token's beat goes

  wire both = {unit, 1'b1} < rows;  // the high row exists
  wire last = {unit, 1'b0} + 19'd2 >= rows;
  wire [2:0] place = partial ? {1'b0, unit[1:0]} : unit[2:0];
  wire full = last || place == (partial ? 3'd3 : 3'd7);
  wire [15:0] beat = partial ? unit[17:2] : {1'b0, unit[17:3]};
  wire [31:0] at = token == 0 ? y_off + {16'd0, beat} : token_at + {16'd0, y_stride};
  wire take = in_valid && in_ready;

  assign in_ready = !wr_valid || wr_ready;

  always_ff @(posedge clk) begin
    if (take) begin
      // Compared place by place: an index into 512 bits would become shifters of that width. What lies
      // above a place is still 0 there.
      logic [511:0] next;
      next = place == 0 ? 512'd0 : open[token];
      for (int i = 0; i < 8; i++)
        if (place == (partial ? 3'(i / 2) : 3'(i)))
          next[64*i+:64] = !partial ? {both ? high[31:0] : 32'd0, low[31:0]} : i % 2 == 0 ? low
              : both ? high : 64'd0;
      open[token] <= next;
      token_at <= at;
      if (full) begin
        wr_addr <= at;
        wr_data <= next;
      end
    end
    if (!rst_n || clear) wr_valid <= 1'b0;
    else if (take && full) wr_valid <= 1'b1;
    else if (wr_ready) wr_valid <= 1'b0;
  end
endmodule
