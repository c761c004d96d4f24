// SPDX-License-Identifier: Apache-2.0
// Control of the multiply-accumulate array: walks a job's one or two passes (gate/up and down; or the rows of
// a plain matrix or router), all ports in lockstep. A step joins the held code beat of every active port with
// one group of T tokens of x (or h); it happens when every active port has its beat, the line has a free bank
// of sums, and (down, first line) h is far enough. A finished line waits in a queue of at most 8 for sl_post,
// which frees its bank. Steps of the next line go on meanwhile. Throughput: one step a cycle; a job change
// costs 12 idle cycles, a pass change 2.
// Backpressure: holds steps; counts why (stall_read: a beat is missing; stall_core: beats wait, sums or h are
// not ready; stall_ctl: no prepared job).
// A beat that came with a bus error ends the job as BUS_ERROR after its last step. A port that gave nothing
// for the timeout while the array waits for it ends the job at once as TIMEOUT: `aborting` is high until the
// ports are drained (abort_done).
module sl_array #(
    parameter int P = 1,
    parameter int T = 1,
    localparam int DEPTH = 2 * sl_abi_pkg::SL_MAX_TOKENS / T,
    localparam int AW = $clog2(DEPTH),
    localparam int XW = $clog2(sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T) + 1
) (
    input  logic                     clk,
    input  logic                     rst_n,
    input  logic                     launch,      // a launch begins
    // the oldest job that has not left the array
    input  logic                     ready,
    input  logic [sl_ctx::CTX_W-1:0] ctx,
    input  logic                     dead,        // a port will never answer again: jobs fail
    output logic                     start,       // the streams' beats are this job's from now on
    output logic                     fin,         // the job has left the array
    output logic                     fail,        // ... with this status
    output logic [              3:0] fail_status,
    output logic                     aborting,
    input  logic                     abort_done,
    // ports
    input  logic [            P-1:0] beat_valid,
    input  logic [            P-1:0] beat_err,
    input  logic [            P-1:0] expired,
    output logic [            P-1:0] active,
    output logic                     step,
    output logic                     load,
    // sums
    output logic                     row,
    output logic                     clear,
    output logic [           AW-1:0] sum_at,
    // activations
    output logic                     x_en,
    output logic [           XW-1:0] x_at,
    output logic                     x_done,      // the last read of x is done
    input  logic [             10:0] h_beats,     // beats of h that are complete for all tokens
    // finished lines, oldest first: {abort, last line of the job, pass B, bank's first sum, last port, first
    // port}
    output logic                     line_valid,
    output logic [         12+AW:0]  line_info,
    input  logic                     line_take,
    // counters of the job, cleared at start; stall_ctl is cleared at fin and launch
    output logic [             31:0] stall_read,
    output logic [             31:0] stall_core,
    output logic [             31:0] stall_ctl,
    output logic                     wait_read,   // this cycle
    output logic                     wait_core
);
  localparam int DOT_STAGES = 9;
  localparam int DRAIN = DOT_STAGES + 2;
  // Bit of x_at that chooses h.
  localparam int HB = $clog2(sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T);

  typedef enum logic [2:0] {IDLE, PASS, RUN, QUIET, ABORT} state_t;
  state_t state;

  // pass
  logic pass_b;
  logic [17:0] line, n_line;
  logic [10:0] col, n_col;
  logic [6:0] group;
  logic two_rows, started;
  logic [4:0] first_port, last_port;
  logic [XW-1:0] x_base;
  // banks of sums
  logic [3:0] bank, n_bank, used;
  logic [AW-1:0] bank_at;
  logic [3:0] quiet;
  logic failed;

  wire [6:0] hold = ctx[sl_ctx::CTX_HOLD+:7];
  wire [sl_ctx::PASS_W-1:0] pass = pass_b ? ctx[sl_ctx::CTX_PASS_B+:sl_ctx::PASS_W]
                                         : ctx[sl_ctx::CTX_PASS_A+:sl_ctx::PASS_W];
  wire expert = ctx[sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_EXPERT);
  wire last_line = line + 1'b1 == n_line;
  wire last_col = col + 1'b1 == n_col;
  wire last_group = group + 1'b1 == hold;
  wire last_row = !two_rows || row;
  wire line_end = step && last_col && last_group && last_row;
  wire [4:0] line_first = line == 0 ? first_port : 5'd0;
  wire [4:0] line_last = last_line ? last_port : 5'(P - 1);

  wire bank_ok = started || used < n_bank;
  wire h_ok = !pass_b || line != 0 || h_beats > col;
  wire beats_ok = &(beat_valid | ~active) || group != 0;
  assign step = state == RUN && bank_ok && h_ok && beats_ok;
  assign load = step && group == 0;
  assign clear = col == 0;
  assign sum_at = bank_at + AW'(group);
  assign x_en = step;
  assign wait_read = state == RUN && !beats_ok;
  assign wait_core = state == RUN && beats_ok && !step;
  wire starved = wait_read && (active & ~beat_valid & expired) != 0;
  assign aborting = state == ABORT;

  genvar p;
  generate
    for (p = 0; p < P; p = p + 1) begin : g_active
      localparam logic [4:0] PORT_ID = p;
      assign active[p] = !(PORT_ID < line_first) && !(PORT_ID > line_last);
    end
  endgenerate

  // Queue of lines: written at the last step, readable when the last product is in the sums.
  logic [12+AW:0] queue[0:7];
  logic [3:0] q_wr, q_rd, q_ok;  // q_ok: up to where lines are complete
  logic [DOT_STAGES:0] settle;
  wire abort_entry = state == ABORT && abort_done;
  wire refuse = state == IDLE && ready && !fin && ctx[sl_ctx::CTX_MATRIX] && dead;
  wire lost = abort_entry && started;  // a line that will not end
  wire push = line_end || abort_entry || refuse;
  assign line_valid = q_rd != q_ok;
  assign line_info = queue[q_rd[2:0]];

  always_ff @(posedge clk) begin
    if (push)
      queue[q_wr[2:0]] <= {abort_entry || refuse, last_line && (pass_b || !expert), pass_b, bank_at,
                           line_last, line_first};
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      q_wr <= '0;
      q_rd <= '0;
      q_ok <= '0;
      settle <= '0;
    end else begin
      settle <= {settle[DOT_STAGES-1:0], push};
      if (push) q_wr <= q_wr + 1'b1;
      if (settle[DOT_STAGES]) q_ok <= q_ok + 1'b1;
      if (line_take) q_rd <= q_rd + 1'b1;
    end
  end

  wire [7:0] depth8 = {1'b0, hold} << 3;
  wire [7:0] depth4 = {1'b0, hold} << 2;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= IDLE;
      used <= '0;
      start <= 1'b0;
      fin <= 1'b0;
      fail <= 1'b0;
      x_done <= 1'b0;
      stall_ctl <= '0;
    end else begin
      start <= 1'b0;
      fail <= 1'b0;
      x_done <= 1'b0;
      fin <= 1'b0;
      // What passes between two launches is nobody's wait.
      if (fin || launch) begin
        stall_ctl <= '0;
      end else if (state == IDLE && !ready) stall_ctl <= stall_ctl + 1'b1;
      if (line_take || (step && !started) || lost)
        used <= used + {3'd0, step && !started} - {3'd0, line_take && !line_info[12+AW]} - {3'd0, lost};
      if (wait_read) stall_read <= stall_read + 1'b1;
      if (wait_core) stall_core <= stall_core + 1'b1;
      case (state)
        IDLE:
        if (ready && !fin) begin
          pass_b <= 1'b0;
          failed <= 1'b0;
          stall_read <= '0;
          stall_core <= '0;
          if (!ctx[sl_ctx::CTX_MATRIX]) fin <= 1'b1;
          else if (dead) begin
            fin <= 1'b1;
            fail <= 1'b1;
            x_done <= 1'b1;
            fail_status <= 4'(sl_abi_pkg::SL_STATUS_PORT_DEAD);
          end else begin
            start <= 1'b1;
            state <= PASS;
            n_bank <= depth8 <= 8'(DEPTH) && hold <= 7'd16 ? 4'd8
                    : depth4 <= 8'(DEPTH) && hold <= 7'd32 ? 4'd4 : 4'd2;
            bank <= '0;
            bank_at <= '0;
          end
        end
        PASS:
        if (used == 0 || pass_b) begin
          line <= '0;
          n_line <= pass[sl_ctx::PASS_N_LINE+:18];
          col <= '0;
          n_col <= pass[sl_ctx::PASS_N_COL+:11];
          group <= '0;
          row <= 1'b0;
          two_rows <= pass[sl_ctx::PASS_TWO_ROWS];
          first_port <= pass[sl_ctx::PASS_FIRST_PORT+:5];
          last_port <= pass[sl_ctx::PASS_LAST_PORT+:5];
          x_base <= pass_b ? XW'(1 << HB) : ctx[sl_ctx::CTX_X_BASE+:XW];
          x_at <= pass_b ? XW'(1 << HB) : ctx[sl_ctx::CTX_X_BASE+:XW];
          started <= 1'b0;
          state <= RUN;
        end
        RUN: begin
          if (step) begin
            started <= !line_end;
            x_at <= last_col && last_group ? x_base : x_at + 1'b1;
            group <= last_group ? 7'd0 : group + 1'b1;
            if (last_group) col <= last_col ? 11'd0 : col + 1'b1;
            if (last_group && last_col) row <= two_rows && !row;
            if (load && (beat_err & active) != 0) failed <= 1'b1;
          end
          if (line_end) begin
            line <= line + 1'b1;
            bank <= bank + 1'b1 == n_bank ? 4'd0 : bank + 1'b1;
            bank_at <= bank + 1'b1 == n_bank ? '0 : bank_at + AW'(hold);
            if (last_line) begin
              x_done <= !pass_b;
              pass_b <= expert;
              state <= expert && !pass_b ? PASS : QUIET;
              quiet <= 4'(DRAIN);
            end
          end else if (starved) state <= ABORT;
        end
        QUIET: begin
          quiet <= quiet - 1'b1;
          if (quiet == 0) begin
            fin <= 1'b1;
            fail <= failed;
            fail_status <= 4'(sl_abi_pkg::SL_STATUS_BUS_ERROR);
            state <= IDLE;
          end
        end
        default:
        if (abort_done) begin
          x_done <= !pass_b;
          fin <= 1'b1;
          fail <= 1'b1;
          fail_status <= 4'(sl_abi_pkg::SL_STATUS_TIMEOUT);
          state <= IDLE;
        end
      endcase
    end
  end
endmodule
