// SPDX-License-Identifier: Apache-2.0
// The units that work on the control buffer alone: QUERY, REDUCE, KV_PACK and KV_UNPACK, one job at a time,
// and the deadline of their reads: a read that is not answered within the timeout ends the job as TIMEOUT,
// once it was answered after all or the port is dead. A job that needs a port that has died ends as
// PORT_DEAD.
// req stays up with the job until done. stall counts cycles in which a unit waited for the control port.
module sl_units #(
    parameter int P = 1,
    parameter int T = 1
) (
    input  logic         clk,
    input  logic         unit_clk,   // the same clock; may stand still while not awake
    input  logic         rst_n,
    output logic         awake,
    input  logic         req,
    input  logic [511:0] job,
    output logic         done,
    output logic [  3:0] status,
    output logic [ 31:0] stall,
    // control port
    input  logic         ctl_dead,
    input  logic         ctl_late,
    input  logic         ctl_idle,   // nothing is owed to the units
    output logic         quit,       // answers that still come are not wanted
    output logic         rd_valid,
    input  logic         rd_ready,
    output logic [ 31:0] rd_addr,
    output logic [  6:0] rd_len,
    input  logic         rsp_valid,
    input  logic         rsp_err,
    input  logic [511:0] rsp_data,
    output logic         wr_valid,
    input  logic         wr_ready,
    output logic [ 31:0] wr_addr,
    output logic [511:0] wr_data
);
  typedef enum logic [2:0] {IDLE, START, RUN, ANSWER, QUIT, DONE} state_t;
  state_t state;
  logic failed;
  wire [7:0] op = job[sl_abi_pkg::SL_LSB_JOB_OP+:8];
  wire reduce = op == 8'(sl_abi_pkg::SL_OP_REDUCE);
  wire kv = op == 8'(sl_abi_pkg::SL_OP_KV_PACK) || op == 8'(sl_abi_pkg::SL_OP_KV_UNPACK);
  wire clear = state == QUIT;
  wire begins = state == START;

  logic r_done, r_rd_valid, r_wr_valid, k_done, k_rd_valid, k_wr_valid;
  logic [15:0] r_status, k_status;
  logic [31:0] r_rd_addr, r_wr_addr, k_rd_addr, k_wr_addr;
  logic [6:0] r_rd_len, k_rd_len;
  logic [511:0] r_wr_data, k_wr_data;

  assign awake = req || state != IDLE;

  sl_reduce u_reduce (
      .clk(unit_clk),
      .rst_n(rst_n),
      .clear(clear),
      .start(begins && reduce),
      .job(job),
      .done(r_done),
      .status(r_status),
      .rd_valid(r_rd_valid),
      .rd_ready(rd_ready && reduce),
      .rd_addr(r_rd_addr),
      .rd_len(r_rd_len),
      .rsp_valid(rsp_valid && reduce),
      .rsp_data(rsp_data),
      .wr_valid(r_wr_valid),
      .wr_ready(wr_ready && reduce),
      .wr_addr(r_wr_addr),
      .wr_data(r_wr_data)
  );

  sl_kv_pack u_kv_pack (
      .clk(unit_clk),
      .rst_n(rst_n),
      .clear(clear),
      .start(begins && kv),
      .job(job),
      .done(k_done),
      .status(k_status),
      .rd_valid(k_rd_valid),
      .rd_ready(rd_ready && kv),
      .rd_addr(k_rd_addr),
      .rd_len(k_rd_len),
      .rsp_valid(rsp_valid && kv),
      .rsp_data(rsp_data),
      .wr_valid(k_wr_valid),
      .wr_ready(wr_ready && kv),
      .wr_addr(k_wr_addr),
      .wr_data(k_wr_data)
  );

  wire [511:0] caps = {
    64'd0, 64'd0, 32'd0,
    32'(sl_abi_pkg::SL_FLAG_RENORM | sl_abi_pkg::SL_FLAG_SCORES | sl_abi_pkg::SL_FLAG_RECYCLE
        | sl_abi_pkg::SL_FLAG_PORT_COUNTERS),
    32'(sl_abi_pkg::SL_CORE_RTL), 32'(sl_abi_pkg::SL_MAX_JOBS),
    16'(sl_abi_pkg::SL_MAX_HEAD_DIM),
    16'(sl_abi_pkg::SL_MAX_TOPK), 16'(sl_abi_pkg::SL_MAX_N_EXPERT), 16'(sl_abi_pkg::SL_MAX_TOKENS),
    32'(sl_abi_pkg::SL_MAX_K),
    32'(sl_abi_pkg::SL_MAX_ROWS), 32'((2 << sl_abi_pkg::SL_OP_KV_UNPACK) - (1 << sl_abi_pkg::SL_OP_QUERY)),
    32'((2 << sl_abi_pkg::SL_FORMAT_MXFP4) - 1), 16'(T), 16'(P), sl_abi_pkg::SL_ABI_VERSION
  };

  wire running = state == RUN;
  assign rd_valid = running && (reduce ? r_rd_valid : kv && k_rd_valid);
  assign rd_addr = reduce ? r_rd_addr : k_rd_addr;
  assign rd_len = reduce ? r_rd_len : k_rd_len;
  assign wr_valid = state == ANSWER || (running && (reduce ? r_wr_valid : kv && k_wr_valid));
  assign wr_addr = state == ANSWER ? job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32] : reduce ? r_wr_addr : k_wr_addr;
  assign wr_data = state == ANSWER ? caps : reduce ? r_wr_data : k_wr_data;
  assign quit = state == QUIT;
  assign done = state == DONE;

  wire [3:0] unit_status = reduce ? r_status[3:0] : k_status[3:0];
  wire unused = &{1'b0, r_status, k_status};

  always_ff @(posedge clk) begin
    if (!rst_n) state <= IDLE;
    else begin
      case (state)
        IDLE:
        if (req) begin
          stall <= '0;
          failed <= 1'b0;
          status <= ctl_dead ? 4'(sl_abi_pkg::SL_STATUS_PORT_DEAD) : 4'(sl_abi_pkg::SL_STATUS_OK);
          state <= ctl_dead ? DONE : reduce || kv ? START : ANSWER;
        end
        START: state <= RUN;
        RUN: begin
          if (!ctl_idle && !rsp_valid) stall <= stall + 1'b1;
          if (rsp_valid && rsp_err) failed <= 1'b1;
          if (ctl_late) begin
            status <= 4'(sl_abi_pkg::SL_STATUS_TIMEOUT);
            state <= QUIT;
          end else if (ctl_dead && (rd_valid || !ctl_idle)) begin
            status <= 4'(sl_abi_pkg::SL_STATUS_PORT_DEAD);
            state <= QUIT;
          end else if (r_done || k_done) begin
            status <= failed ? 4'(sl_abi_pkg::SL_STATUS_BUS_ERROR) : unit_status;
            state <= DONE;
          end
        end
        ANSWER: if (wr_ready) state <= DONE;
        QUIT: if (ctl_idle || ctl_dead) state <= DONE;
        default: state <= IDLE;
      endcase
    end
  end
endmodule
