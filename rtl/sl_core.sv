// SPDX-License-Identifier: Apache-2.0
// The core (docs/registers.md): walks a job list. Four jobs may be on their way at once, each in a slot,
// through
// sl_prep (fetch, check, x)  ->  weight requests  ->  sl_array  ->  sl_post or a unit  ->  sl_retire (record)
// so that the next job's weights arrive while the current one drains. Records come in order; a job reads what
// an earlier one wrote, because reads that meet output or records of unfinished jobs wait.
// Clocks (one and the same, except in simulation: sl_clock_gate): clk of the array and the weight ports,
// job_clk of what happens a few times in a job, unit_clk of the units that a job may be for, post_clk of
// sl_post.
// P weight ports of 512 bits, T token columns. Synchronous active-low reset. SL_DPI: simulates sl_dot in C.
module sl_core #(
    parameter int P = 1,
    parameter int T = 1
) (
    input  logic             ap_clk,
    input  logic             ap_rst_n,
    input  logic             s_axi_control_awvalid,
    output logic             s_axi_control_awready,
    input  logic [     11:0] s_axi_control_awaddr,
    input  logic             s_axi_control_wvalid,
    output logic             s_axi_control_wready,
    input  logic [     31:0] s_axi_control_wdata,
    input  logic [      3:0] s_axi_control_wstrb,
    output logic             s_axi_control_bvalid,
    input  logic             s_axi_control_bready,
    output logic [      1:0] s_axi_control_bresp,
    input  logic             s_axi_control_arvalid,
    output logic             s_axi_control_arready,
    input  logic [     11:0] s_axi_control_araddr,
    output logic             s_axi_control_rvalid,
    input  logic             s_axi_control_rready,
    output logic [     31:0] s_axi_control_rdata,
    output logic [      1:0] s_axi_control_rresp,
    output logic             interrupt,
    output logic             m_axi_ctl_arvalid,
    input  logic             m_axi_ctl_arready,
    output logic [     63:0] m_axi_ctl_araddr,
    output logic [      7:0] m_axi_ctl_arlen,
    input  logic             m_axi_ctl_rvalid,
    output logic             m_axi_ctl_rready,
    input  logic [    511:0] m_axi_ctl_rdata,
    input  logic [      1:0] m_axi_ctl_rresp,
    input  logic             m_axi_ctl_rlast,
    output logic             m_axi_ctl_awvalid,
    input  logic             m_axi_ctl_awready,
    output logic [     63:0] m_axi_ctl_awaddr,
    output logic [      7:0] m_axi_ctl_awlen,
    output logic             m_axi_ctl_wvalid,
    input  logic             m_axi_ctl_wready,
    output logic [    511:0] m_axi_ctl_wdata,
    output logic [     63:0] m_axi_ctl_wstrb,
    output logic             m_axi_ctl_wlast,
    input  logic             m_axi_ctl_bvalid,
    output logic             m_axi_ctl_bready,
    input  logic [      1:0] m_axi_ctl_bresp,
    output logic [    P-1:0] m_axi_w_arvalid,
    input  logic [    P-1:0] m_axi_w_arready,
    output logic [ 64*P-1:0] m_axi_w_araddr,
    output logic [  8*P-1:0] m_axi_w_arlen,
    input  logic [    P-1:0] m_axi_w_rvalid,
    output logic [    P-1:0] m_axi_w_rready,
    input  logic [512*P-1:0] m_axi_w_rdata,
    input  logic [  2*P-1:0] m_axi_w_rresp,
    input  logic [    P-1:0] m_axi_w_rlast
);
  localparam int CW = sl_ctx::CTX_W;
  localparam int PW = 2 * sl_ctx::PASS_W;
  localparam int DEPTH = 2 * sl_abi_pkg::SL_MAX_TOKENS / T;
  localparam int AW = $clog2(DEPTH);
  localparam int XW = $clog2(sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T) + 1;
  localparam int COUNTER_BEATS = (16 * P + 63) / 64;

  wire clk = ap_clk;
  logic [15:0] router_status;
  // Beats are counted; a router never fails.
  wire unused = &{1'b0, m_axi_ctl_rlast, m_axi_w_rlast, router_status};

  // ---- launch
  logic start, launch_done, prep_fin, counters, w_dead, ctl_dead, write_dead;
  logic [63:0] ctl_base;
  logic [64*P-1:0] w_base;
  logic [31:0] job_off, job_count, ctl_limit, w_limit, timeout;

  wire job_clk, unit_clk, post_clk;
  logic control_asleep;

  sl_control #(
      .P(P)
  ) u_control (
      .clk(job_clk),
      .rst_n(ap_rst_n),
      .awvalid(s_axi_control_awvalid),
      .awready(s_axi_control_awready),
      .awaddr(s_axi_control_awaddr),
      .wvalid(s_axi_control_wvalid),
      .wready(s_axi_control_wready),
      .wdata(s_axi_control_wdata),
      .wstrb(s_axi_control_wstrb),
      .bvalid(s_axi_control_bvalid),
      .bready(s_axi_control_bready),
      .bresp(s_axi_control_bresp),
      .arvalid(s_axi_control_arvalid),
      .arready(s_axi_control_arready),
      .araddr(s_axi_control_araddr),
      .rvalid(s_axi_control_rvalid),
      .rready(s_axi_control_rready),
      .rdata(s_axi_control_rdata),
      .rresp(s_axi_control_rresp),
      .interrupt(interrupt),
      .asleep(control_asleep),
      .start(start),
      .done(launch_done),
      .ctl_base(ctl_base),
      .w_base(w_base),
      .job_off(job_off),
      .job_count(job_count),
      .ctl_limit(ctl_limit),
      .w_limit(w_limit),
      .timeout(timeout)
  );

  // A dead write port ends the launch without records; everything behind it forgets its work.
  wire rst_n = ap_rst_n && !write_dead;

  // ---- slots: numbers of jobs that have passed each stage, modulo 8
  logic [2:0] n_prep, n_gen, n_post, n_retire;
  logic [2:0] n_array;
  logic publish, array_fin, array_fail, post_past, retire, retire_idle, unit_done, router_done;
  logic [3:0] array_status, unit_status;
  logic [CW-1:0] prep_ctx;
  logic [511:0] prep_job;
  logic [32:0] prep_y_end;
  logic [CW-1:0] ctx_mem[0:3];
  logic [511:0] job_mem[0:3];
  logic [3:0] slot_matrix;
  logic [15:0] status;   // of each slot
  logic [31:0] y_lo0, y_lo1, y_lo2, y_lo3;
  logic [32:0] y_hi0, y_hi1, y_hi2, y_hi3;
  logic [64:0] router_y;  // {end, begin} of what the router writes
  logic running, all_published;

  wire [2:0] n_used = n_prep - n_retire;
  wire slot_free = n_used < 3'(sl_ctx::N_SLOT);
  wire all_free = n_used == 0;

  // The stages keep the job they work on in registers of their own (loaded in the cycle before they see it).
  logic [CW-1:0] array_ctx, post_ctx, retire_ctx;
  logic [511:0] post_job;
  logic [31:0] retire_cookie;
  logic [15:0] retire_flags;
  logic array_loaded, post_loaded, retire_loaded;

  always_ff @(posedge job_clk) begin
    if (publish) begin
      ctx_mem[n_prep[1:0]] <= prep_ctx;
      job_mem[n_prep[1:0]] <= prep_job;
      slot_matrix[n_prep[1:0]] <= prep_ctx[sl_ctx::CTX_MATRIX];
      status[4*n_prep[1:0]+:4] <= prep_ctx[sl_ctx::CTX_STATUS+:4];
      case (n_prep[1:0])
        2'd0: {y_hi0, y_lo0} <= {prep_y_end, prep_job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]};
        2'd1: {y_hi1, y_lo1} <= {prep_y_end, prep_job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]};
        2'd2: {y_hi2, y_lo2} <= {prep_y_end, prep_job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]};
        default: {y_hi3, y_lo3} <= {prep_y_end, prep_job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]};
      endcase
    end
    if (array_fin && array_fail) status[4*n_array[1:0]+:4] <= array_status;
    if (unit_done) status[4*n_post[1:0]+:4] <= unit_status;
    if (!array_loaded) array_ctx <= ctx_mem[n_array[1:0]];
    if (!post_loaded) begin
      post_ctx <= ctx_mem[n_post[1:0]];
      post_job <= job_mem[n_post[1:0]];
    end
    if (!retire_loaded) begin
      retire_ctx <= ctx_mem[n_retire[1:0]];
      retire_cookie <= job_mem[n_retire[1:0]][sl_abi_pkg::SL_LSB_JOB_COOKIE+:32];
      retire_flags <= job_mem[n_retire[1:0]][sl_abi_pkg::SL_LSB_JOB_FLAGS+:16];
    end
    if (!rst_n) begin
      array_loaded <= 1'b0;
      post_loaded <= 1'b0;
      retire_loaded <= 1'b0;
    end else begin
      array_loaded <= n_array != n_prep && !array_fin;
      post_loaded <= n_post != n_prep && !post_past;
      retire_loaded <= n_retire != n_prep && !retire;
    end
  end

  // ---- weight requests of the next job start when all ports have asked for the whole current one
  logic [P-1:0] gen_busy, w_idle, w_expired, beat_valid, beat_err, active, used;
  logic gen_start, flush, rearm_w, array_begin;
  wire gen_matrix = slot_matrix[n_gen[1:0]];
  wire gen_step = n_gen != n_prep && !gen_start && gen_busy == 0 && (!flush || w_dead);
  assign gen_start = gen_armed;
  logic gen_armed;
  logic [PW-1:0] gen_passes;
  logic gen_two;

  // ---- array
  logic aborting, drained, side_late, side_rearm, step, load, row, clear, x_en, x_done, line_valid, line_take;
  logic [AW-1:0] sum_at, rd_at;
  logic [XW-1:0] x_at;
  logic [10:0] h_beats;
  logic [12+AW:0] line_info;
  logic [31:0] stall_read, stall_core, stall_ctl;
  logic wait_read, wait_core;

  wire array_ready = array_loaded && n_array != n_gen && (!flush || w_dead);
  sl_array #(
      .P(P),
      .T(T)
  ) u_array (
      .clk(clk),
      .rst_n(rst_n),
      .launch(start),
      .ready(array_ready),
      .ctx(array_ctx),
      .dead(w_dead),
      .start(array_begin),
      .fin(array_fin),
      .fail(array_fail),
      .fail_status(array_status),
      .aborting(aborting),
      .abort_done(drained),
      .beat_valid(beat_valid),
      .beat_err(beat_err),
      .expired(w_expired),
      .active(active),
      .step(step),
      .load(load),
      .row(row),
      .clear(clear),
      .sum_at(sum_at),
      .x_en(x_en),
      .x_at(x_at),
      .x_done(x_done),
      .h_beats(h_beats),
      .line_valid(line_valid),
      .line_info(line_info),
      .line_take(line_take),
      .stall_read(stall_read),
      .stall_core(stall_core),
      .stall_ctl(stall_ctl),
      .wait_read(wait_read),
      .wait_core(wait_core)
  );
  wire use_four_bit = array_ctx[sl_ctx::CTX_FORMAT+:3] >= 3'(sl_abi_pkg::SL_FORMAT_NF4) && !use_router;
  wire use_router = array_ctx[sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_ROUTER);
  wire use_two = array_ctx[sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_EXPERT);

  // ---- activations
  logic [1:0] x_half, h_half;
  logic [4:0] x_col, h_col, rd_col;
  logic [XW-1:0] x_wr_at;
  logic [521:0] x_data, h_data;
  logic [XW-2:0] h_at;
  logic [T*512-1:0] x;
  logic [T*10-1:0] xe;
  sl_act_mem #(
      .T(T)
  ) u_act_mem (
      .clk(clk),
      .wr_half(x_half),
      .wr_col(x_col),
      .wr_at(x_wr_at),
      .wr_data(x_data),
      .h_half(h_half),
      .h_col(h_col),
      .h_at(h_at),
      .h_data(h_data),
      .rd_en(x_en),
      .rd_at(x_at),
      .rd_codes(x),
      .rd_exps(xe)
  );
  logic base_valid;
  logic [5:0] base_wr, base_token;
  logic [10:0] base_data;
  logic [10:0] base_mem[0:4*sl_abi_pkg::SL_MAX_TOKENS-1];
  always_ff @(posedge job_clk) if (base_valid) base_mem[{n_prep[1:0], base_wr}] <= base_data;

  // ---- weight ports
  logic side_valid, side_ready, side_rsp, side_err;
  logic [31:0] side_addr;
  logic [6:0] side_len;
  logic [511:0] side_data;
  logic [P-1:0] rd_en;
  logic [64*P-1:0] rd_low, rd_high;
  logic [96*P-1:0] counts;  // of the job in the array: each port {stall_core, stall_read, beats}
  logic [P-1:0] side_readies, side_rsps, side_errs;
  logic [512*P-1:0] side_datas;
  assign side_ready = side_readies[0];
  assign side_rsp = side_rsps[0];
  assign side_err = side_errs[0];
  assign side_data = side_datas[511:0];

  genvar p;
  generate
    for (p = 0; p < P; p = p + 1) begin : g_port
      logic [511:0] beat;
      logic [31:0] scales;
      sl_weight_port #(
          .PORT(p)
      ) u_port (
          .clk(clk),
          .rst_n(ap_rst_n),
          .base(w_base[64*p+:64]),
          .timeout(timeout),
          .rearm(rearm_w || (side_rearm && p == 0)),
          .flush(flush || write_dead),
          .idle(w_idle[p]),
          .expired(w_expired[p]),
          .gen_start(gen_start),
          .gen_passes(gen_passes),
          .gen_two(gen_two),
          .gen_busy(gen_busy[p]),
          .use_start(array_begin),
          .use_passes(array_ctx[PW-1:0]),
          .use_two(use_two),
          .use_four_bit(use_four_bit),
          .beat_valid(beat_valid[p]),
          .beat_err(beat_err[p]),
          .beat(beat),
          .scales(scales),
          .take(load && active[p]),
          .used(used[p]),
          .side_valid(side_valid && p == 0),
          .side_ready(side_readies[p]),
          .side_addr(side_addr),
          .side_len(side_len),
          .side_rsp(side_rsps[p]),
          .side_err(side_errs[p]),
          .side_data(side_datas[512*p+:512]),
          .arvalid(m_axi_w_arvalid[p]),
          .arready(m_axi_w_arready[p]),
          .araddr(m_axi_w_araddr[64*p+:64]),
          .arlen(m_axi_w_arlen[8*p+:8]),
          .rvalid(m_axi_w_rvalid[p]),
          .rready(m_axi_w_rready[p]),
          .rdata(m_axi_w_rdata[512*p+:512]),
          .rresp(m_axi_w_rresp[2*p+:2])
      );
`ifdef SL_DPI
      sl_dot_dpi #(
`else
      sl_dot #(
`endif
          .T(T),
          .DEPTH(DEPTH)
      ) u_dot (
          .clk(clk),
          .rst_n(rst_n),
          .format(array_ctx[sl_ctx::CTX_FORMAT+:3]),
          .router(use_router),
          .step(step && active[p]),
          .load(load && active[p]),
          .beat(beat),
          .scales(scales),
          .row(row),
          .clear(clear),
          .sum_at(sum_at),
          .x(x),
          .xe(xe),
          .rd_en(rd_en[p]),
          .rd_at(rd_at),
          .rd_col(rd_col),
          .rd_low(rd_low[64*p+:64]),
          .rd_high(rd_high[64*p+:64])
      );
      logic [31:0] n_used_beat, n_wait_read, n_wait_core;
      assign counts[96*p+:96] = {n_wait_core, n_wait_read, n_used_beat};
      always_ff @(posedge clk) begin
        if (array_begin) n_used_beat <= '0;
        else if (used[p]) n_used_beat <= n_used_beat + 1'b1;
        if (array_begin) n_wait_read <= '0;
        else if (wait_read && active[p] && !beat_valid[p]) n_wait_read <= n_wait_read + 1'b1;
        if (array_begin) n_wait_core <= '0;
        else if (wait_core && beat_valid[p]) n_wait_core <= n_wait_core + 1'b1;
      end
    end
  endgenerate

  logic [96*P-1:0] counts_mem[0:3];
  logic [95:0] stalls_mem[0:3];
  logic [95:0] events_mem[0:3];
  logic [31:0] unit_stall;
  logic [95:0] events;
  always_ff @(posedge job_clk) begin
    if (array_fin) begin
      counts_mem[n_array[1:0]] <= counts;
      stalls_mem[n_array[1:0]] <= array_ctx[sl_ctx::CTX_MATRIX] ? {stall_core, stall_ctl, stall_read} : 96'd0;
    end
    if (unit_done) stalls_mem[n_post[1:0]] <= {32'd0, unit_stall, 32'd0};
    if (post_past) events_mem[n_post[1:0]] <= events;
  end

  // ---- control port
  // What comes back is registered first: beats of 512 bits reach many units.
  logic ctl_rvalid, ctl_bvalid;
  logic [511:0] ctl_rdata;
  logic [1:0] ctl_rresp, ctl_bresp;
  always_ff @(posedge job_clk) begin
    ctl_rvalid <= ap_rst_n && m_axi_ctl_rvalid;
    ctl_bvalid <= ap_rst_n && m_axi_ctl_bvalid;
    ctl_bresp <= m_axi_ctl_bresp;
    if (m_axi_ctl_rvalid) begin
      ctl_rdata <= m_axi_ctl_rdata;
      ctl_rresp <= m_axi_ctl_rresp;
    end
  end

  logic prep_rd_valid, unit_rd_valid, prep_quit, unit_quit, ctl_dies, rsp_err;
  logic [1:0] rd_ready, rsp_valid, ctl_idle, ctl_late;
  logic [31:0] prep_rd_addr, unit_rd_addr;
  logic [6:0] prep_rd_len, unit_rd_len;
  logic [511:0] rsp_data;

  // Output of unfinished jobs that a read would meet.
  wire [32:0] rd_lo = {1'b0, prep_rd_addr};
  wire [32:0] rd_hi = rd_lo + {26'd0, prep_rd_len};
  wire [32:0] rec_lo = {1'b0, job_off} + {1'b0, job_count};
  wire [32:0] rec_hi = rec_lo + {1'b0, job_count} + (counters ? 33'(job_count[15:0] * COUNTER_BEATS) : 33'd0);
  logic clear_to_read;  // the waiting request meets none of it
  always_ff @(posedge job_clk) begin
    clear_to_read <= 1'b0;
    if (prep_rd_valid && !rd_ready[0]) begin
      logic [3:0] busy;
      busy = n_used == 0 ? 4'd0 : n_used == 1 ? 4'd1 << n_retire[1:0]
      : n_used == 2 ? (4'd1 << n_retire[1:0]) | (4'd1 << (n_retire[1:0] + 2'd1))
      : n_used == 3 ? ~(4'd1 << (n_retire[1:0] + 2'd3)) : 4'hF;
      clear_to_read <= !((busy[0] && rd_lo < y_hi0 && rd_hi > {1'b0, y_lo0})
      || (busy[1] && rd_lo < y_hi1 && rd_hi > {1'b0, y_lo1})
      || (busy[2] && rd_lo < y_hi2 && rd_hi > {1'b0, y_lo2})
      || (busy[3] && rd_lo < y_hi3 && rd_hi > {1'b0, y_lo3})
      || (busy != 0 && rd_lo < rec_hi && rd_hi > rec_lo));
    end
  end

  logic ctl_read_asleep;
  sl_ctl_read u_ctl_read (
      .clk(job_clk),
      .rst_n(ap_rst_n),
      .base(ctl_base),
      .timeout(timeout),
      .idle(ctl_idle),
      .asleep(ctl_read_asleep),
      .late(ctl_late),
      .dead(ctl_dies),
      .hold(!clear_to_read),
      .drop({unit_quit || ctl_dead || write_dead, prep_quit || ctl_dead || write_dead}),
      .rd_valid({unit_rd_valid, prep_rd_valid}),
      .rd_ready(rd_ready),
      .rd_addr({unit_rd_addr, prep_rd_addr}),
      .rd_len({unit_rd_len, prep_rd_len}),
      .rsp_valid(rsp_valid),
      .rsp_err(rsp_err),
      .rsp_data(rsp_data),
      .arvalid(m_axi_ctl_arvalid),
      .arready(m_axi_ctl_arready),
      .araddr(m_axi_ctl_araddr),
      .arlen(m_axi_ctl_arlen),
      .rvalid(ctl_rvalid),
      .rready(m_axi_ctl_rready),
      .rdata(ctl_rdata),
      .rresp(ctl_rresp)
  );

  // ---- preparation
  logic row_exp_valid, bias_valid;
  logic [3:0] row_exp_wr, bias_wr;
  logic [511:0] table_data;
  logic prep_asleep;
  sl_prep #(
      .P(P),
      .T(T)
  ) u_prep (
      .clk(job_clk),
      .asleep(prep_asleep),
      .rst_n(rst_n),
      .go(start && !write_dead),
      .job_off(job_off),
      .job_count(job_count),
      .ctl_limit(ctl_limit),
      .w_limit(w_limit),
      .fin(prep_fin),
      .counters(counters),
      .slot_free(slot_free && !publish),
      .all_free(all_free && !publish),
      .publish(publish),
      .ctx(prep_ctx),
      .job(prep_job),
      .y_end(prep_y_end),
      .x_release(x_done),
      .w_dead(w_dead),
      .ctl_dead(ctl_dead),
      .ctl_late(ctl_late[0]),
      .quit(prep_quit),
      .ctl_idle(ctl_idle[0]),
      .rd_valid(prep_rd_valid),
      .rd_ready(rd_ready[0]),
      .rd_addr(prep_rd_addr),
      .rd_len(prep_rd_len),
      .rsp_valid(rsp_valid[0]),
      .rsp_err(rsp_err),
      .rsp_data(rsp_data),
      .w_expired(w_expired[0]),
      .array_idle(!wait_read && !aborting),
      .side_late(side_late),
      .side_rearm(side_rearm),
      .w_flush(flush),
      .side_valid(side_valid),
      .side_ready(side_ready),
      .side_addr(side_addr),
      .side_len(side_len),
      .side_rsp(side_rsp),
      .side_err(side_err),
      .side_data(side_data),
      .wr_half(x_half),
      .wr_col(x_col),
      .wr_at(x_wr_at),
      .wr_data(x_data),
      .base_valid(base_valid),
      .base_token(base_wr),
      .base(base_data),
      .row_exp_valid(row_exp_valid),
      .row_exp_at(row_exp_wr),
      .bias_valid(bias_valid),
      .bias_at(bias_wr),
      .table_data(table_data)
  );

  // ---- post-processing, units, router
  logic unit_req, router_start, router_busy, router_core_busy;
  logic lg_valid, post_wr_valid, unit_wr_valid, router_wr_valid, retire_wr_valid;
  logic [5:0] lg_token;
  logic [9:0] lg_row, row_exp_row;
  logic [31:0] lg_value;
  logic [31:0] post_wr_addr, unit_wr_addr, router_wr_addr, retire_wr_addr;
  logic [511:0] post_wr_data, unit_wr_data, router_wr_data, retire_wr_data;
  logic wr_ready;
  logic [511:0] row_exp_mem[0:15];
  // Parts of the table that prep wrote one cycle after the beat: it holds them in a register of its own.
  logic [511:0] table_beat;
  always_ff @(posedge job_clk) begin
    if (side_rsp) table_beat <= table_data;
    if (row_exp_valid) row_exp_mem[row_exp_wr] <= table_beat;
  end

  // A job whose y meets the record that the router is still writing comes after it.
  wire [64:0] post_y = n_post[1] ? (n_post[0] ? {y_hi3, y_lo3} : {y_hi2, y_lo2})
                       : n_post[0] ? {y_hi1, y_lo1} : {y_hi0, y_lo0};
  logic router_open;  // the router has not finished n_router's record
  wire behind_router = router_open && {1'b0, post_y[31:0]} < router_y[64:32]
      && {1'b0, router_y[31:0]} < post_y[64:32];

  logic post_asleep;
  sl_post #(
      .P(P),
      .T(T)
  ) u_post (
      .clk(post_clk),
      .asleep(post_asleep),
      .rst_n(rst_n),
      .ready(post_loaded && !behind_router),
      .ctx(post_ctx),
      .job(post_job),
      .past(post_past),
      .events(events),
      .unit_req(unit_req),
      .unit_done(unit_done),
      .router_start(router_start),
      .router_busy(router_busy),
      .array_start(array_begin),
      .line_valid(line_valid),
      .line_info(line_info),
      .line_take(line_take),
      .rd_en(rd_en),
      .rd_at(rd_at),
      .rd_col(rd_col),
      .rd_low(rd_low),
      .rd_high(rd_high),
      .base_token(base_token),
      .base(base_mem[{n_post[1:0], base_token}]),
      .row_exp_row(row_exp_row),
      .row_exp(row_exp_mem[row_exp_row[9:6]][8*row_exp_row[5:0]+:8]),
      .h_half(h_half),
      .h_col(h_col),
      .h_at(h_at),
      .h_data(h_data),
      .h_beats(h_beats),
      .lg_valid(lg_valid),
      .lg_token(lg_token),
      .lg_row(lg_row),
      .lg_value(lg_value),
      .wr_valid(post_wr_valid),
      .wr_ready(wr_ready && !retire_wr_valid),
      .wr_addr(post_wr_addr),
      .wr_data(post_wr_data)
  );

  logic units_awake;
  sl_units #(
      .P(P),
      .T(T)
  ) u_units (
      .clk(job_clk),
      .unit_clk(unit_clk),
      .rst_n(rst_n),
      .awake(units_awake),
      .req(unit_req && n_retire == n_post),
      .job(post_job),
      .done(unit_done),
      .status(unit_status),
      .stall(unit_stall),
      .ctl_dead(ctl_dead),
      .ctl_late(ctl_late[1]),
      .ctl_idle(ctl_idle[1]),
      .quit(unit_quit),
      .rd_valid(unit_rd_valid),
      .rd_ready(rd_ready[1]),
      .rd_addr(unit_rd_addr),
      .rd_len(unit_rd_len),
      .rsp_valid(rsp_valid[1]),
      .rsp_err(rsp_err),
      .rsp_data(rsp_data),
      .wr_valid(unit_wr_valid),
      .wr_ready(wr_ready && !retire_wr_valid && !post_wr_valid && !router_wr_valid),
      .wr_addr(unit_wr_addr),
      .wr_data(unit_wr_data)
  );

  // Biases go to the router one by one.
  logic [511:0] bias_mem[0:15];
  logic [8:0] bias_at, bias_end;
  logic [2:0] n_router;  // job that the router works on
  logic router_has_bias;
  logic [511:0] router_job;
  assign router_busy = router_core_busy || router_start || router_begin || bias_at != bias_end;
  logic router_begin;
  logic [9:0] router_overflows;
  logic [9:0] overflows_mem[0:3];  // by slot; of a router that is through
  always_ff @(posedge job_clk) begin
    if (bias_valid) bias_mem[bias_wr] <= table_beat;
    if (!rst_n) begin
      bias_at <= '0;
      bias_end <= '0;
      router_begin <= 1'b0;
    end else begin
      if (bias_valid && bias_wr == 0) begin
        bias_at <= '0;
        bias_end <= 9'd16;
      end else begin
        if (bias_valid) bias_end <= {1'b0, bias_wr, 4'd0} + 9'd16;
        if (bias_at != bias_end) bias_at <= bias_at + 1'b1;
      end
      router_begin <= router_start;
    end
    // router_start comes together with post_past: the slot is still n_post's.
    if (router_start) begin
      n_router <= n_post;
      router_has_bias <= post_ctx[sl_ctx::CTX_HAS_BIAS];
      router_job <= post_job;
      router_y <= post_y;
    end
  end

  sl_router_topk u_router (
      .clk(unit_clk),
      .rst_n(rst_n),
      .clear(1'b0),
      .lg_valid(lg_valid),
      .lg_token(lg_token),
      .lg_row(lg_row),
      .lg_value(lg_value),
      .bias_valid(bias_at != bias_end),
      .bias_index(bias_at[7:0]),
      .bias_value(bias_mem[bias_at[7:4]][32*bias_at[3:0]+:32]),
      .has_bias(router_has_bias),
      .start(router_begin),
      .job(router_job),
      .busy(router_core_busy),
      .done(router_done),
      .status(router_status),
      .overflows(router_overflows),
      .wr_valid(router_wr_valid),
      .wr_ready(wr_ready && !retire_wr_valid && !post_wr_valid),
      .wr_addr(router_wr_addr),
      .wr_data(router_wr_data)
  );
  always_ff @(posedge job_clk) begin
    if (!rst_n) router_open <= 1'b0;
    else if (router_start) router_open <= 1'b1;
    else if (router_done) router_open <= 1'b0;
    if (router_done) overflows_mem[n_router[1:0]] <= router_overflows;
  end

  // ---- records
  logic [31:0] sent, acked;
  logic write_err, write_late, write_dies, write_noted;
  logic [1:0] write_tag;            // slot of the oldest write
  logic [3:0] slot_bad, slot_late;  // a write of the slot was answered with an error, or not in time
  always_ff @(posedge job_clk) begin
    if (publish) begin
      slot_bad[n_prep[1:0]] <= 1'b0;
      slot_late[n_prep[1:0]] <= 1'b0;
    end
    if (write_noted) begin
      slot_bad[n_retire[1:0]] <= 1'b0;
      slot_late[n_retire[1:0]] <= 1'b0;
    end
    if (write_err) slot_bad[write_tag] <= 1'b1;
    if (write_late) slot_late[write_tag] <= 1'b1;
  end

  logic retire_asleep;
  logic [63:0] now;  // cycles since the launch began
  always_ff @(posedge clk) now <= start ? 64'd0 : now + 1'b1;
  sl_retire #(
      .P(P)
  ) u_retire (
      .clk(job_clk),
      .asleep(retire_asleep),
      .now(now),
      .rst_n(rst_n),
      .stop(write_dead),
      .launch(start),
      .job_off(job_off),
      .job_count(job_count),
      .counters(counters),
      .ready(retire_loaded && n_retire != n_post && !(router_open && n_router == n_retire)),
      .ctx(retire_ctx),
      .cookie(retire_cookie),
      .wants_counters((retire_flags & 16'(sl_abi_pkg::SL_FLAG_PORT_COUNTERS)) != 0),
      .status(status[4*n_retire[1:0]+:4]),
      .port_counts(counts_mem[n_retire[1:0]]),
      .stalls(stalls_mem[n_retire[1:0]]),
      .events(events_mem[n_retire[1:0]]),
      .overflows(overflows_mem[n_retire[1:0]]),
      .retire(retire),
      .idle(retire_idle),
      .sent(sent),
      .acked(acked),
      .write_bad(slot_bad[n_retire[1:0]]),
      .write_late(slot_late[n_retire[1:0]]),
      .taken_note(write_noted),
      .wr_valid(retire_wr_valid),
      .wr_ready(wr_ready),
      .wr_addr(retire_wr_addr),
      .wr_data(retire_wr_data)
  );

  sl_axi_write u_write (
      .clk(job_clk),
      .rst_n(ap_rst_n),
      .base(ctl_base),
      .timeout(timeout),
      .wr_valid(retire_wr_valid || post_wr_valid || router_wr_valid || unit_wr_valid),
      .wr_ready(wr_ready),
      .wr_addr(retire_wr_valid ? retire_wr_addr : post_wr_valid ? post_wr_addr
               : router_wr_valid ? router_wr_addr
               : unit_wr_addr),
      .wr_data(retire_wr_valid ? retire_wr_data : post_wr_valid ? post_wr_data
               : router_wr_valid ? router_wr_data
               : unit_wr_data),
      .wr_tag(retire_wr_valid ? n_retire[1:0] : !post_wr_valid && router_wr_valid ? n_router[1:0]
              : n_post[1:0]),
      .sent(sent),
      .acked(acked),
      .tag(write_tag),
      .err(write_err),
      .late(write_late),
      .dead(write_dies),
      .awvalid(m_axi_ctl_awvalid),
      .awready(m_axi_ctl_awready),
      .awaddr(m_axi_ctl_awaddr),
      .awlen(m_axi_ctl_awlen),
      .wvalid(m_axi_ctl_wvalid),
      .wready(m_axi_ctl_wready),
      .wdata(m_axi_ctl_wdata),
      .wstrb(m_axi_ctl_wstrb),
      .wlast(m_axi_ctl_wlast),
      .bvalid(ctl_bvalid),
      .bready(m_axi_ctl_bready),
      .bresp(ctl_bresp)
  );

  // ---- sequence of a launch
  always_ff @(posedge job_clk) begin
    if (!rst_n) begin
      n_prep <= '0;
      n_gen <= '0;
      n_array <= '0;
      n_post <= '0;
      n_retire <= '0;
      gen_armed <= 1'b0;
      all_published <= 1'b0;
    end else begin
      gen_armed <= 1'b0;
      if (publish) n_prep <= n_prep + 1'b1;
      if (gen_step) begin
        n_gen <= n_gen + 1'b1;
        gen_armed <= gen_matrix && !w_dead;
      end
      if (array_fin) n_array <= n_array + 1'b1;
      if (post_past) n_post <= n_post + 1'b1;
      if (retire) n_retire <= n_retire + 1'b1;
      if (flush_end) n_gen <= n_array;
      if (start) all_published <= 1'b0;
      else if (prep_fin) all_published <= 1'b1;
    end
    if (gen_step) begin
      gen_passes <= ctx_mem[n_gen[1:0]][PW-1:0];
      gen_two <= ctx_mem[n_gen[1:0]][sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_EXPERT);
    end
  end

  always_ff @(posedge job_clk) begin
    if (!ap_rst_n) begin
      running <= 1'b0;
      launch_done <= 1'b0;
      write_dead <= 1'b0;
    end else begin
      launch_done <= 1'b0;
      if (start) running <= 1'b1;
      if (write_dies) write_dead <= 1'b1;
      if (running && (write_dead || (all_published && all_free && !publish && retire_idle && !start))) begin
        running <= 1'b0;
        launch_done <= 1'b1;
      end
    end
  end

  // ---- draining: what the memories still owe after a TIMEOUT, once more with the same deadline
  logic [1:0] flush_tail;
  wire flush_end = flush_tail == 2'd1;
  assign drained = aborting && flush && (&w_idle || w_dead);
  always_ff @(posedge job_clk) begin
    if (!ap_rst_n) begin
      flush <= 1'b0;
      flush_tail <= '0;
      w_dead <= 1'b0;
      ctl_dead <= 1'b0;
      rearm_w <= 1'b0;
    end else begin
      rearm_w <= 1'b0;
      if (flush_tail != 0) flush_tail <= flush_tail - 1'b1;
      if (!flush && aborting) begin
        flush <= 1'b1;
        rearm_w <= 1'b1;
      end else if (flush && !w_dead && !rearm_w) begin
        if (w_expired != 0) w_dead <= 1'b1;
        else if (&w_idle && flush_tail == 0) flush_tail <= 2'd3;
        if (flush_end) flush <= 1'b0;
      end
      if (side_late && !side_rearm && w_expired[0]) w_dead <= 1'b1;
      if (ctl_dies) ctl_dead <= 1'b1;
    end
  end

  // ---- clocks
  // Whatever a job-level register could change by, now or in the next three cycles (they follow one another).
  wire units_stir = !control_asleep || !prep_asleep || !ctl_read_asleep || !retire_asleep || units_awake;
  wire slots_stir = start || launch_done || array_begin || array_fin || x_done || post_past || router_start
      || router_begin || router_done || bias_at != bias_end || (n_gen != n_prep && gen_busy == 0);
  wire ports_stir = retire_wr_valid || post_wr_valid || router_wr_valid || unit_wr_valid || sent != acked
      || flush || aborting;
  wire job_event = units_stir || slots_stir || ports_stir;
  wire s_axi_valid = s_axi_control_awvalid || s_axi_control_wvalid || s_axi_control_arvalid;
  logic [1:0] job_tail;
  always_ff @(posedge job_clk) begin
    if (!rst_n || job_event) job_tail <= 2'd3;
    else if (job_tail != 0) job_tail <= job_tail - 1'b1;
  end
  sl_clock_gate u_job_gate (
      .clk(clk),
      .enable(!rst_n || s_axi_valid || job_event || job_tail != 0),
      .gated(job_clk)
  );

  wire unit_event = units_awake || lg_valid || router_busy || router_open || bias_valid;
  logic [3:0] unit_tail;
  always_ff @(posedge unit_clk) begin
    if (!rst_n || unit_event) unit_tail <= 4'd15;
    else if (unit_tail != 0) unit_tail <= unit_tail - 1'b1;
  end
  sl_clock_gate u_unit_gate (
      .clk(clk),
      .enable(!rst_n || unit_event || unit_tail != 0),
      .gated(unit_clk)
  );

  sl_clock_gate u_post_gate (
      .clk(clk),
      .enable(!rst_n || !post_asleep || array_begin),
      .gated(post_clk)
  );
endmodule
