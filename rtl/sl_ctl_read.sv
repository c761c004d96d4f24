// SPDX-License-Identifier: Apache-2.0
// Read half of the control/activation port: two clients (0: preparation, 1: the unit at work), requests of
// 1..64 beats, the answers in order, told apart by rsp_valid[i]. Client 1 goes first. hold keeps client 0's
// request back (its beats are still to be written). drop[i]: what client i is still owed is thrown away, and
// it is not heard.
// late[i]: client i is owed the oldest beat and nothing has come for `timeout` cycles (0: never); one cycle.
// dead: the same for as long again.
// Latency: 1 cycle to ARVALID. Throughput: one beat a cycle.
module sl_ctl_read (
    input  logic         clk,
    input  logic         rst_n,
    input  logic [ 63:0] base,
    input  logic [ 31:0] timeout,
    output logic [  1:0] idle,       // nothing is owed to client i
    output logic         asleep,     // the clock may stand still
    output logic [  1:0] late,
    output logic         dead,
    input  logic         hold,
    input  logic [  1:0] drop,
    input  logic [  1:0] rd_valid,
    output logic [  1:0] rd_ready,
    input  logic [ 63:0] rd_addr,    // 32 bits of each client
    input  logic [ 13:0] rd_len,     // 7 bits of each client
    output logic [  1:0] rsp_valid,
    output logic         rsp_err,
    output logic [511:0] rsp_data,
    output logic         arvalid,
    input  logic         arready,
    output logic [ 63:0] araddr,
    output logic [  7:0] arlen,
    input  logic         rvalid,
    output logic         rready,
    input  logic [511:0] rdata,
    input  logic [  1:0] rresp
);
  // A request that was cut stays the chosen one until its second half is through.
  logic busy, chosen;
  wire pick = busy ? chosen : rd_valid[1];
  wire valid = pick ? rd_valid[1] && !drop[1] : rd_valid[0] && !hold && !drop[0];
  wire [31:0] addr = pick ? rd_addr[63:32] : rd_addr[31:0];
  wire [6:0] len = pick ? rd_len[13:7] : rd_len[6:0];
  wire ready, part_valid, part_ready, beat_valid, tag, port_idle, expired;
  wire [57:0] part_beat;
  wire [6:0] part_len;

  assign rd_ready = {ready && valid && pick, ready && valid && !pick};
  assign rsp_valid = {beat_valid && tag && !drop[1], beat_valid && !tag && !drop[0]};
  assign rsp_data = rdata;

  assign asleep = port_idle && rd_valid == 0 && !busy;

  logic [11:0] owed0, owed1;  // beats, of up to 32 bursts
  logic overdue;              // late has been said of the oldest beat
  wire silent = expired && !rvalid;
  wire asks = part_valid && part_ready;
  assign idle = {owed1 == 0, owed0 == 0};
  assign late = {silent && !overdue && tag, silent && !overdue && !tag};
  assign dead = silent && overdue;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      busy <= 1'b0;
      overdue <= 1'b0;
      owed0 <= '0;
      owed1 <= '0;
    end else begin
      busy <= valid && !ready;
      overdue <= !rvalid && (overdue || silent);
      owed0 <= owed0 + (asks && !pick ? {5'd0, part_len} : 12'd0) - {11'd0, beat_valid && !tag};
      owed1 <= owed1 + (asks && pick ? {5'd0, part_len} : 12'd0) - {11'd0, beat_valid && tag};
    end
    chosen <= pick;
  end

  sl_page_split u_split (
      .clk(clk),
      .rst_n(rst_n && valid),
      .in_valid(valid),
      .in_ready(ready),
      .in_beat(base[63:6] + {26'd0, addr}),
      .in_len(len),
      .out_valid(part_valid),
      .out_ready(part_ready),
      .out_beat(part_beat),
      .out_len(part_len)
  );

  sl_axi_read u_read (
      .clk(clk),
      .rst_n(rst_n),
      .timeout(timeout),
      .rearm(silent && !overdue),
      .req_valid(part_valid),
      .req_ready(part_ready),
      .req_addr({part_beat, 6'd0}),
      .req_len(part_len),
      .req_tag(pick),
      .rsp_valid(beat_valid),
      .rsp_tag(tag),
      .rsp_err(rsp_err),
      .idle(port_idle),
      .expired(expired),
      .arvalid(arvalid),
      .arready(arready),
      .araddr(araddr),
      .arlen(arlen),
      .rvalid(rvalid),
      .rready(rready),
      .rresp(rresp)
  );
endmodule
