// SPDX-License-Identifier: Apache-2.0
// The beat that the router is writing, assembled in place: `base` makes a route beat without weights, `put`
// places a 32-bit word (put_alone: and clears the rest), `send` offers the beat, as it is after a put of the
// same cycle, to the write port. Latency 1. One operation a cycle (put with send).
// Backpressure: while wr_valid is high the caller must leave it alone.
module sl_router_beat (
    input  logic         clk,
    input  logic         rst_n,
    input  logic         base,
    input  logic [ 63:0] base_experts,  // u8 each; those above k_last become 0xFFFF
    input  logic [  2:0] k_last,
    input  logic         put,
    input  logic         put_alone,
    input  logic [  3:0] put_lane,
    input  logic [ 31:0] put_word,
    input  logic         send,
    input  logic [ 31:0] send_addr,
    output logic         wr_valid,
    input  logic         wr_ready,
    output logic [ 31:0] wr_addr,
    output logic [511:0] wr_data
);

  always_ff @(posedge clk) begin
    if (base) begin
      wr_data[511:128] <= 384'd0;
      for (int i = 0; i < 8; i = i + 1)
        wr_data[sl_abi_pkg::SL_LSB_ROUTE_EXPERT0+16*i+:16] <=
            i[2:0] > k_last ? 16'hFFFF : {8'd0, base_experts[8*i+:8]};
    end else if (put) begin
      // Lane by lane: an indexed write of a wide register would become a barrel shifter.
      for (int i = 0; i < 16; i = i + 1)
        if (put_lane == i[3:0]) wr_data[32*i+:32] <= put_word;
        else if (put_alone) wr_data[32*i+:32] <= 32'd0;
    end
    if (send) wr_addr <= send_addr;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) wr_valid <= 1'b0;
    else if (send) wr_valid <= 1'b1;
    else if (wr_ready) wr_valid <= 1'b0;
  end
endmodule
