// SPDX-License-Identifier: Apache-2.0
// Write half of the control/activation port: single beats, in order, from a FIFO of 16. sent and acked count
// beats taken in and acknowledged (modulo 2^32), so that a client can wait for its own: acked has reached the
// value of sent at its last beat. Latency: 2 cycles to AWVALID/WVALID. Throughput: one beat a cycle.
// Backpressure: wr_ready drops when 16 wait. expired: something was owed (address, data or response) for
// `timeout` cycles (0: never).
module sl_axi_write (
    input  logic         clk,
    input  logic         rst_n,
    input  logic [ 63:0] base,
    input  logic [ 31:0] timeout,
    input  logic         wr_valid,
    output logic         wr_ready,
    input  logic [ 31:0] wr_addr,
    input  logic [511:0] wr_data,
    output logic [ 31:0] sent,
    output logic [ 31:0] acked,
    output logic         err,       // an error response, in this cycle
    output logic         expired,
    output logic         awvalid,
    input  logic         awready,
    output logic [ 63:0] awaddr,
    output logic [  7:0] awlen,
    output logic         wvalid,
    input  logic         wready,
    output logic [511:0] wdata,
    output logic [ 63:0] wstrb,
    output logic         wlast,
    input  logic         bvalid,
    output logic         bready,
    input  logic [  1:0] bresp
);
  logic head_valid, aw_done, w_done;
  logic [31:0] head_addr, quiet;
  logic [4:0] room;
  wire take = wr_valid && wr_ready;
  wire pop = head_valid && (aw_done || awready) && (w_done || wready);

  sl_fifo #(
      .WIDTH(544),
      .LOG2_DEPTH(4)
  ) u_fifo (
      .clk(clk),
      .rst_n(rst_n),
      .clear(1'b0),
      .in_valid(take),
      .in_data({wr_addr, wr_data}),
      .out_valid(head_valid),
      .out_data({head_addr, wdata}),
      .out_pop(pop)
  );

  assign wr_ready = room != 0;
  assign awvalid = head_valid && !aw_done;
  assign wvalid = head_valid && !w_done;
  assign awaddr = base + {26'd0, head_addr, 6'd0};
  assign awlen = 8'd0;
  assign wstrb = '1;
  assign wlast = 1'b1;
  assign bready = 1'b1;
  assign err = bvalid && bresp[1];
  assign expired = timeout != 0 && quiet == timeout;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      aw_done <= 1'b0;
      w_done <= 1'b0;
      room <= 5'd16;
      sent <= '0;
      acked <= '0;
      quiet <= '0;
    end else begin
      if (head_valid) begin
        aw_done <= !pop && (aw_done || awready);
        w_done <= !pop && (w_done || wready);
      end
      room <= room - {4'd0, take} + {4'd0, pop};
      if (take) sent <= sent + 1'b1;
      if (bvalid) acked <= acked + 1'b1;
      if (sent == acked || bvalid || pop || timeout == 0) quiet <= '0;
      else if (quiet != timeout) quiet <= quiet + 1'b1;
    end
  end
endmodule
