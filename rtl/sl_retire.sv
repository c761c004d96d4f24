// SPDX-License-Identifier: Apache-2.0
// Ends jobs in order: waits until everything a job wrote is acknowledged, writes its per-port counters and
// its record, waits for those, and frees the slot. Cycles of a record: since the end of the job before it (or
// the launch's begin), so they add up to the launch.
// A job whose writes were answered with an error, or late, says so. Where that befell counters or the record
// itself, the record is written once more.
// Latency: two write round trips and P + 4 cycles a job, while later jobs are at work. Backpressure:
// wr_ready.
module sl_retire #(
    parameter int P = 1
) (
    input  logic                     clk,
    input  logic                     rst_n,
    input  logic                     stop,       // gives up: the write port is dead
    input  logic                     launch,     // clears time and index
    input  logic [             31:0] job_off,
    input  logic [             31:0] job_count,
    input  logic                     counters,
    // the oldest job
    input  logic                     ready,      // it has left all stages
    input  logic [sl_ctx::CTX_W-1:0] ctx,
    input  logic [             31:0] cookie,
    input  logic                     wants_counters,
    input  logic [              3:0] status,
    input  logic [         96*P-1:0] port_counts, // of each port {stall_core, stall_read, beats}
    input  logic [             95:0] stalls,      // {stall_core, stall_ctl, stall_read} of the job
    input  logic [             95:0] events,      // {clamps, saturations, sat_gu}
    input  logic [              9:0] overflows,   // of a router
    output logic                     retire,     // one cycle: the slot is free
    output logic                     idle,
    output logic                     asleep,     // the clock may stand still
    input  logic [             63:0] now,        // cycles since the launch began
    // writes
    input  logic [             31:0] sent,
    input  logic [             31:0] acked,
    input  logic                     write_bad,  // since taken_note: an error response to a write of the job
    input  logic                     write_late, // ... none within the timeout
    output logic                     taken_note, // one cycle
    output logic                     wr_valid,
    input  logic                     wr_ready,
    output logic [             31:0] wr_addr,
    output logic [            511:0] wr_data
);
  localparam int COUNTER_BEATS = (16 * P + 63) / 64;
  typedef enum logic [2:0] {IDLE, DATA, SUM, PORTS, RECORD, TAKEN, ACK} state_t;
  state_t state;
  logic [31:0] index, snap, beats;
  logic [63:0] mark;
  logic [4:0] port;
  logic [31:0] counter_at;
  logic [3:0] code, said;
  logic again;  // the record is written for the second time
  wire check = state == DATA && !behind;
  wire redo = state == ACK && !behind && !again && (write_bad || write_late);
  wire ok = said == 0;
  wire matrix = ctx[sl_ctx::CTX_MATRIX];
  wire router = ctx[sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_ROUTER);
  wire behind = $signed(acked - snap) < 0;
  wire [95:0] one = port_counts[96*port+:96];
  wire last_port = port == 5'(P - 1);

  assign idle = state == IDLE;
  assign asleep = idle && !ready && !retire && !launch && !stop;
  assign taken_note = check || redo;
  always_comb begin
    code = state == ACK ? said : status;
    if (code == 0 && write_bad) code = 4'(sl_abi_pkg::SL_STATUS_BUS_ERROR);
    else if (code == 0 && write_late) code = 4'(sl_abi_pkg::SL_STATUS_TIMEOUT);
  end

  always_ff @(posedge clk) begin
    if (!rst_n || stop || launch) begin
      state <= IDLE;
      retire <= 1'b0;
      wr_valid <= 1'b0;
      index <= '0;
      mark <= '0;
      counter_at <= job_off + {job_count[30:0], 1'b0};
    end else begin
      retire <= 1'b0;
      if (wr_ready) wr_valid <= 1'b0;
      if (taken_note) said <= code;
      case (state)
        IDLE:
        if (ready && !retire) begin
          snap <= sent;
          state <= DATA;
        end
        DATA:
        if (!behind) begin
          port <= '0;
          beats <= '0;
          again <= 1'b0;
          state <= SUM;
          wr_data <= '0;
        end
        SUM: begin
          beats <= beats + one[31:0];
          wr_data[128*port[1:0]+:96] <= {one[95:64], one[63:32], matrix ? one[31:0] : 32'd0};
          port <= port + 1'b1;
          if (port[1:0] == 2'd3 || last_port) begin
            if (counters && wants_counters && ok) begin
              wr_valid <= 1'b1;
              wr_addr <= counter_at + {29'd0, port[4:2]};
              state <= PORTS;
            end else state <= last_port ? RECORD : SUM;
          end
        end
        PORTS:
        if (wr_ready) begin
          wr_data <= '0;
          state <= port == 5'(P) ? RECORD : SUM;
        end
        RECORD: begin
          wr_valid <= 1'b1;
          wr_addr <= job_off + job_count + index;
          wr_data <= '0;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_COOKIE+:32] <= cookie;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_STATUS+:16] <= {12'd0, said};
          wr_data[sl_abi_pkg::SL_LSB_RECORD_EXPERT+:16] <= ctx[sl_ctx::CTX_EXPERT+:16];
          wr_data[sl_abi_pkg::SL_LSB_RECORD_ABI_VERSION+:32] <= sl_abi_pkg::SL_ABI_VERSION;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_WEIGHT+:32] <= ctx[sl_ctx::CTX_WEIGHT+:32];
          wr_data[sl_abi_pkg::SL_LSB_RECORD_CYCLES+:64] <= now - mark;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_STALL_READ+:32] <= stalls[31:0];
          wr_data[sl_abi_pkg::SL_LSB_RECORD_STALL_CTL+:32] <= stalls[63:32];
          wr_data[sl_abi_pkg::SL_LSB_RECORD_STALL_CORE+:32] <= stalls[95:64];
          if (ok && matrix) begin
            wr_data[sl_abi_pkg::SL_LSB_RECORD_MACS+:64] <= ctx[sl_ctx::CTX_MACS+:64];
            wr_data[sl_abi_pkg::SL_LSB_RECORD_BEATS+:32] <= beats;
            wr_data[sl_abi_pkg::SL_LSB_RECORD_SAT_GU+:32] <= events[31:0];
            wr_data[sl_abi_pkg::SL_LSB_RECORD_SATURATIONS+:32] <= events[63:32];
            wr_data[sl_abi_pkg::SL_LSB_RECORD_CLAMPS+:32] <= events[95:64];
            wr_data[sl_abi_pkg::SL_LSB_RECORD_OVERFLOWS+:32] <= {22'd0, router ? overflows : 10'd0};
          end
          mark <= now;
          state <= TAKEN;
        end
        TAKEN:
        if (wr_ready) begin
          snap <= sent + 1'b1;
          state <= ACK;
        end
        default:
        if (redo) begin
          again <= 1'b1;
          wr_valid <= 1'b1;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_STATUS+:16] <= {12'd0, code};
          wr_data[sl_abi_pkg::SL_LSB_RECORD_MACS+:64] <= '0;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_BEATS+:32] <= '0;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_SAT_GU+:32] <= '0;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_SATURATIONS+:32] <= '0;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_CLAMPS+:32] <= '0;
          wr_data[sl_abi_pkg::SL_LSB_RECORD_OVERFLOWS+:32] <= '0;
          state <= TAKEN;
        end else if (!behind) begin
          retire <= 1'b1;
          index <= index + 1'b1;
          counter_at <= counter_at + COUNTER_BEATS;
          state <= IDLE;
        end
      endcase
    end
  end
endmodule
