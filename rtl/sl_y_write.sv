// SPDX-License-Identifier: Apache-2.0
// Writes the beats of equally spaced output items: a FIFO and the addresses. `start` with the job's y_off,
// y_stride, the beats of an item and the number of items; then the beats come in order on in_*.
// Latency: 2 cycles from in_valid to wr_valid when empty. Throughput: one beat a cycle. Backpressure: none
// at in_*; whoever writes counts the free places (2^LOG2_DEPTH), `taken` is one more. busy from the cycle
// after start until the last beat was accepted. Addresses are u32 beats (checked: they do not wrap).
module sl_y_write #(
    parameter int LOG2_DEPTH = 5
) (
    input  logic         clk,
    input  logic         rst_n,
    input  logic         clear,
    input  logic         start,
    input  logic [ 31:0] y_off,
    input  logic [ 15:0] y_stride,
    input  logic [ 14:0] y_len,
    input  logic [ 14:0] n_item,
    output logic         busy,
    input  logic         in_valid,
    input  logic [511:0] in_data,
    output logic         taken,
    output logic         wr_valid,
    input  logic         wr_ready,
    output logic [ 31:0] wr_addr,
    output logic [511:0] wr_data
);
  logic [31:0] item_addr;  // of the next item
  logic [14:0] left, beats_left;
  wire last_beat = beats_left == 15'd1;

  assign taken = wr_valid && wr_ready;

  sl_fifo #(
      .WIDTH(512),
      .LOG2_DEPTH(LOG2_DEPTH)
  ) fifo (
      .clk      (clk),
      .rst_n    (rst_n),
      .clear    (clear),
      .in_valid (in_valid),
      .in_data  (in_data),
      .out_valid(wr_valid),
      .out_data (wr_data),
      .out_pop  (taken)
  );

  always_ff @(posedge clk) begin
    if (start) begin
      wr_addr <= y_off;
      item_addr <= y_off + {16'd0, y_stride};
      beats_left <= y_len;
    end else if (taken) begin
      wr_addr <= last_beat ? item_addr : wr_addr + 32'd1;
      if (last_beat) item_addr <= item_addr + {16'd0, y_stride};
      beats_left <= last_beat ? y_len : beats_left - 15'd1;
    end
  end

  assign busy = left != 15'd0;

  always_ff @(posedge clk) begin
    if (!rst_n || clear) left <= 15'd0;
    else if (start) left <= n_item;
    else if (taken && last_beat) left <= left - 15'd1;
  end
endmodule
