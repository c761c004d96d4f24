// SPDX-License-Identifier: Apache-2.0
// Write half of the control/activation port: single beats, in order, from a FIFO of 16; at most 64 addresses
// are without a response. sent and acked count beats taken in and acknowledged (modulo 2^32), so that a
// client can wait for its own: acked has reached the value of sent at its last beat. Latency: 2 cycles to
// AWVALID/WVALID. Throughput: one beat a cycle. Backpressure: wr_ready drops when 16 wait.
// Responses come in order: the oldest beat, taken in with wr_tag = tag, is the one that is answered or not.
// late: a response is owed and none has come for `timeout` cycles (0: never); dead: for as long again.
module sl_axi_write (
    input  logic         clk,
    input  logic         rst_n,
    input  logic [ 63:0] base,
    input  logic [ 31:0] timeout,
    input  logic         wr_valid,
    output logic         wr_ready,
    input  logic [ 31:0] wr_addr,
    input  logic [511:0] wr_data,
    input  logic [  1:0] wr_tag,
    output logic [ 31:0] sent,
    output logic [ 31:0] acked,
    output logic [  1:0] tag,
    output logic         err,       // an error response, in this cycle
    output logic         late,      // one cycle
    output logic         dead,
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
  logic fifo_valid, aw_done, w_done;
  logic [31:0] head_addr, quiet;
  logic [4:0] room;
  logic [6:0] open;         // addresses without a response
  logic overdue;            // late has been said of the oldest
  logic [1:0] tags[0:127];  // of up to 16 + 64 beats
  wire take = wr_valid && wr_ready;
  wire head_valid = fifo_valid && (aw_done || !open[6]);
  wire pop = head_valid && (aw_done || awready) && (w_done || wready);
  wire owed = sent != acked;
  wire expired = timeout != 0 && quiet == timeout && owed && !bvalid;

  sl_fifo #(
      .WIDTH(544),
      .LOG2_DEPTH(4)
  ) u_fifo (
      .clk(clk),
      .rst_n(rst_n),
      .clear(1'b0),
      .in_valid(take),
      .in_data({wr_addr, wr_data}),
      .out_valid(fifo_valid),
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
  assign tag = tags[acked[6:0]];
  assign err = bvalid && bresp[1];
  assign late = expired && !overdue;
  assign dead = expired && overdue;

  always_ff @(posedge clk) if (take) tags[sent[6:0]] <= wr_tag;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      aw_done <= 1'b0;
      w_done <= 1'b0;
      room <= 5'd16;
      sent <= '0;
      acked <= '0;
      quiet <= '0;
      open <= '0;
      overdue <= 1'b0;
    end else begin
      if (head_valid) begin
        aw_done <= !pop && (aw_done || awready);
        w_done <= !pop && (w_done || wready);
      end
      room <= room - {4'd0, take} + {4'd0, pop};
      if (take) sent <= sent + 1'b1;
      if (bvalid) acked <= acked + 1'b1;
      open <= open + {6'd0, awvalid && awready} - {6'd0, bvalid};
      if (!owed || bvalid || late || timeout == 0) quiet <= '0;
      else if (quiet != timeout) quiet <= quiet + 1'b1;
      overdue <= owed && !bvalid && (overdue || late);
    end
  end
endmodule
