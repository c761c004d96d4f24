// SPDX-License-Identifier: Apache-2.0
// First-in first-out memory whose head is held in a register, so that the memory may be block RAM.
// Latency: 2 cycles from in_valid to out_valid when empty. Throughput: one item a cycle in and out.
// Backpressure: none at the input; whoever writes counts the free places (2^LOG2_DEPTH, the head not
// counted). clear empties it in one cycle.
module sl_fifo #(
    parameter int WIDTH = 512,
    parameter int LOG2_DEPTH = 9
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic             clear,
    input  logic             in_valid,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    output logic [WIDTH-1:0] out_data,
    input  logic             out_pop
);
  logic [WIDTH-1:0] mem[0:(1<<LOG2_DEPTH)-1];
  logic [LOG2_DEPTH:0] wr_ptr, rd_ptr;
  wire empty = wr_ptr == rd_ptr;
  wire fetch = !empty && (!out_valid || out_pop);

  always_ff @(posedge clk) begin
    if (in_valid) mem[wr_ptr[LOG2_DEPTH-1:0]] <= in_data;
    if (fetch) out_data <= mem[rd_ptr[LOG2_DEPTH-1:0]];
  end

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      wr_ptr <= '0;
      rd_ptr <= '0;
      out_valid <= 1'b0;
    end else begin
      if (in_valid) wr_ptr <= wr_ptr + 1'b1;
      if (fetch) rd_ptr <= rd_ptr + 1'b1;
      if (fetch) out_valid <= 1'b1;
      else if (out_pop) out_valid <= 1'b0;
    end
  end
endmodule
