// SPDX-License-Identifier: Apache-2.0
// KV_PACK and KV_UNPACK (docs/numerics.md 5.5): head vectors to INT8 or INT4 records and back to fp32.
//
//   reads -> sl_kv_decode -> sl_hadamard -> row memory -> sl_kv_quant | sl_kv_float -> sl_y_write -> writes
//
// Three vectors are at work at the same time: one is decoded and transformed, one is quantised or
// converted, and the beats of the next are on their way (at most 64 beats asked for and not yet used).
// KV_PACK reads everything twice: the first pass only looks for forbidden codes and exponents, so that
// BAD_ACTIVATION writes nothing.
// Throughput, cycles a vector of R = ceil(D / 16) rows and n = log2 B stages when the memory keeps up:
// KV_PACK n (R + 4) + 5 and ceil(D / 32) + 1 for the first pass, KV_UNPACK the larger of 16 R and that + 3
// R + 8. Backpressure: reads are only asked for when their beats fit; writes wait in a FIFO of 32 beats
// that the vectors' last stage reserves.
// Widths: a lane holds W = 57 bits: |code - z| * sig <= 255 * 255, times 2^32 of the common grid and 2^8 of
// the transform is below 2^56. KV_PACK uses 24 of them.
// start/job/done/status/clear: one job at a time, job stable until done. After clear no answer to an
// earlier request may come.
module sl_kv_pack (
    input  logic         clk,
    input  logic         rst_n,
    input  logic         clear,
    input  logic         start,
    // verilator lint_off UNUSEDSIGNAL
    input  logic [511:0] job,  // has fields of other operations
    // verilator lint_on UNUSEDSIGNAL
    output logic         done,
    output logic [ 15:0] status,
    output logic         rd_valid,
    input  logic         rd_ready,
    output logic [ 31:0] rd_addr,
    output logic [  6:0] rd_len,
    input  logic         rsp_valid,
    input  logic [511:0] rsp_data,
    output logic         wr_valid,
    input  logic         wr_ready,
    output logic [ 31:0] wr_addr,
    output logic [511:0] wr_data
);
  localparam int W = 57;
  localparam int LOG2_IN = 6;
  localparam int LOG2_OUT = 5;

  // ---- Shape of the job
  wire [8:0] d = job[sl_abi_pkg::SL_LSB_JOB_K+:9];  // 2..256
  wire [7:0] d_less = 8'(d - 9'd1);
  wire job_int4 = job[sl_abi_pkg::SL_LSB_JOB_FORMAT];
  wire job_unpack = job[sl_abi_pkg::SL_LSB_JOB_OP+:8] == 8'(sl_abi_pkg::SL_OP_KV_UNPACK);
  wire [15:0] x_stride = job[sl_abi_pkg::SL_LSB_JOB_X_STRIDE+:16];
  wire [2:0] codes = job_int4 ? {2'd0, d_less[7]} + 3'd1 : {1'b0, d_less[7:6]} + 3'd1;  // beats

  logic unpack, int4;
  logic [3:0] last_row, n_stage, x_len, y_len;
  logic [4:0] rows;
  logic [2:0] last_group;
  logic [15:0] tail_mask;
  logic [31:0] tail_mask32;
  logic [14:0] n_vec;

  // Trailing zeros of an even D.
  function automatic [3:0] stages(input [8:0] v);
    begin
      stages = 4'd8;
      for (int i = 7; i > 0; i--) if (v[i]) stages = 4'(i);
    end
  endfunction

  always_ff @(posedge clk) begin
    if (start) begin
      unpack <= job_unpack;
      int4 <= job_int4;
      last_row <= d_less[7:4];
      rows <= {1'b0, d_less[7:4]} + 5'd1;
      n_stage <= stages(d);
      last_group <= job_int4 ? d_less[7:5] : 3'd0;
      tail_mask <= 16'hFFFF >> (4'd15 - d_less[3:0]);
      tail_mask32 <= 32'hFFFFFFFF >> (5'd31 - d_less[4:0]);
      x_len <= job_unpack ? {1'b0, codes} + 4'd1 : {1'b0, d_less[7:5]} + 4'd2;
      y_len <= {1'b0, codes} + 4'd1;
      n_vec <= {8'd0, job[sl_abi_pkg::SL_LSB_JOB_N_TOKENS+:7]} * {6'd0, job[sl_abi_pkg::SL_LSB_JOB_ROWS+:9]};
    end
  end

  // ---- Phases
  typedef enum logic [2:0] {
    IDLE,
    BEGIN_CHECK,
    CHECK,
    BEGIN_RUN,
    RUN
  } state_t;
  state_t state;
  wire begin_run = state == BEGIN_RUN;
  wire begin_pass = state == BEGIN_CHECK || begin_run;
  wire rsp_run = rsp_valid && state == RUN;

  // ---- Requests
  logic [14:0] ask_left;
  logic [LOG2_IN:0] in_space;
  logic vec_free;
  wire asks = rd_valid && rd_ready;

  assign rd_valid = (state == CHECK || state == RUN) && ask_left != 15'd0 &&
      (state == CHECK || in_space >= (LOG2_IN + 1)'(x_len));
  assign rd_len = {3'd0, x_len};

  always_ff @(posedge clk) begin
    if (begin_pass) rd_addr <= job[sl_abi_pkg::SL_LSB_JOB_X_OFF+:32];
    else if (asks) rd_addr <= rd_addr + {16'd0, x_stride};
  end

  // ---- First pass
  logic k_v;
  logic [511:0] k_data;
  logic [3:0] k_beat;
  logic [14:0] k_left;
  logic bad;
  wire k_last = k_beat + 4'd1 == x_len;

  function automatic forbidden(input [511:0] data, input base, input [31:0] mask);
    logic signed [31:0] e;
    begin
      if (base) begin
        e = data[31:0];
        forbidden = e > sl_abi_pkg::SL_BASE_MAX || e < -sl_abi_pkg::SL_BASE_MAX;
      end else begin
        forbidden = 1'b0;
        for (int i = 0; i < 32; i++) forbidden = forbidden | (mask[i] & (data[16*i+:16] == 16'h8000));
      end
    end
  endfunction

  always_ff @(posedge clk) begin
    if (rsp_valid && state == CHECK) k_data <= rsp_data;
    if (begin_pass) bad <= 1'b0;
    else if (k_v) bad <= bad | forbidden(k_data, k_beat == 4'd0, k_last ? tail_mask32 : 32'hFFFFFFFF);
  end

  // ---- Second pass
  logic rot_ready, rot_start, row_valid, rot_valid, rot_last;
  logic [3:0] rot_row;
  logic [16*W-1:0] row_data, rot_data, row_q;
  logic signed [10:0] exponent, full_exponent;
  logic full;  // the row memory holds a vector
  logic [LOG2_OUT:0] out_space;
  logic taken, busy;
  logic q_rd, q_done, q_claim, q_valid, f_rd, f_done, f_claim, f_valid;
  logic [3:0] q_addr, f_addr;
  logic [511:0] q_data, f_data;
  logic y_valid;
  logic [511:0] y_data;
  (* ram_style = "distributed" *) logic [16*W-1:0] row_mem[0:15];

  sl_kv_decode #(
      .W(W),
      .LOG2_BEATS(LOG2_IN)
  ) decode (
      .clk       (clk),
      .rst_n     (rst_n),
      .clear     (clear),
      .unpack    (unpack),
      .int4      (int4),
      .x_len     (x_len),
      .last_row  (last_row),
      .last_group(last_group),
      .tail_mask (tail_mask),
      .in_valid  (rsp_run),
      .in_data   (rsp_data),
      .vec_free  (vec_free),
      .rot_ready (rot_ready),
      .rot_start (rot_start),
      .row_valid (row_valid),
      .row_data  (row_data),
      .exponent  (exponent)
  );

  sl_hadamard #(
      .W(W)
  ) rotate (
      .clk      (clk),
      .rst_n    (rst_n),
      .clear    (clear),
      .last_row (last_row),
      .n_stage  (n_stage),
      .in_ready (rot_ready),
      .start    (rot_start),
      .in_valid (row_valid),
      .in_data  (row_data),
      .out_ready(!full),
      .out_valid(rot_valid),
      .out_last (rot_last),
      .out_row  (rot_row),
      .out_data (rot_data)
  );

  always_ff @(posedge clk) begin
    if (rot_valid) row_mem[rot_row] <= rot_data;
    if (rot_valid && rot_last) full_exponent <= unpack ? exponent - $signed({7'd0, n_stage}) : exponent;
    if (q_rd || f_rd) row_q <= row_mem[unpack?f_addr : q_addr];
  end

  sl_kv_quant #(
      .W(W)
  ) quant (
      .clk       (clk),
      .rst_n     (rst_n),
      .clear     (clear),
      .int4      (int4),
      .last_row  (last_row),
      .last_group(last_group),
      .tail_mask (tail_mask),
      .exponent  (full_exponent),
      .in_valid  (rot_valid && !unpack),
      .in_last   (rot_last),
      .in_row    (rot_row),
      .in_data   (rot_data),
      .row_rd    (q_rd),
      .row_addr  (q_addr),
      .row_data  (row_q),
      .vec_done  (q_done),
      .room      (out_space >= (LOG2_OUT + 1)'(y_len)),
      .out_claim (q_claim),
      .out_valid (q_valid),
      .out_data  (q_data)
  );

  sl_kv_float #(
      .W(W)
  ) to_float (
      .clk      (clk),
      .rst_n    (rst_n),
      .clear    (clear),
      .last_row (last_row),
      .exponent (full_exponent),
      .full     (full && unpack),
      .vec_done (f_done),
      .row_rd   (f_rd),
      .row_addr (f_addr),
      .row_data (row_q),
      .room     (out_space != '0),
      .out_claim(f_claim),
      .out_valid(f_valid),
      .out_data (f_data)
  );

  always_ff @(posedge clk) begin
    if (q_valid) y_data <= q_data;
    else if (f_valid) y_data <= f_data;
  end

  sl_y_write #(
      .LOG2_DEPTH(LOG2_OUT)
  ) write (
      .clk     (clk),
      .rst_n   (rst_n),
      .clear   (clear),
      .start   (begin_run),
      .y_off   (job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]),
      .y_stride(job[sl_abi_pkg::SL_LSB_JOB_Y_STRIDE+:16]),
      .y_len   (unpack ? {10'd0, rows} : {11'd0, y_len}),
      .n_item  (n_vec),
      .busy    (busy),
      .in_valid(y_valid),
      .in_data (y_data),
      .taken   (taken),
      .wr_valid(wr_valid),
      .wr_ready(wr_ready),
      .wr_addr (wr_addr),
      .wr_data (wr_data)
  );

  // ---- Control
  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      state <= IDLE;
      done <= 1'b0;
      status <= 16'd0;
      ask_left <= 15'd0;
      in_space <= (LOG2_IN + 1)'(1 << LOG2_IN);
      out_space <= (LOG2_OUT + 1)'(1 << LOG2_OUT);
      full <= 1'b0;
      y_valid <= 1'b0;
      k_v <= 1'b0;
      k_beat <= 4'd0;
      k_left <= 15'd0;
    end else begin
      done <= 1'b0;
      y_valid <= q_valid || f_valid;
      k_v <= rsp_valid && state == CHECK;
      if (begin_pass) ask_left <= n_vec;
      else if (asks) ask_left <= ask_left - 15'd1;
      in_space <= in_space + (vec_free ? (LOG2_IN + 1)'(x_len) : '0) -
          (asks && state == RUN ? (LOG2_IN + 1)'(x_len) : '0);
      out_space <= out_space + (LOG2_OUT + 1)'(taken) - (q_claim ? (LOG2_OUT + 1)'(y_len) : '0) -
          (LOG2_OUT + 1)'(f_claim);
      if (rot_valid && rot_last) full <= 1'b1;
      else if (q_done || f_done) full <= 1'b0;
      if (begin_pass) k_left <= n_vec;
      else if (k_v && k_last) k_left <= k_left - 15'd1;
      if (k_v) k_beat <= k_last ? 4'd0 : k_beat + 4'd1;
      case (state)
        IDLE: if (start) state <= job_unpack ? BEGIN_RUN : BEGIN_CHECK;
        BEGIN_CHECK: state <= CHECK;
        CHECK:
        if (k_left == 15'd0) begin
          state <= bad ? IDLE : BEGIN_RUN;
          done <= bad;
          status <= 16'(sl_abi_pkg::SL_STATUS_BAD_ACTIVATION);
        end
        BEGIN_RUN: state <= RUN;
        default:
        if (!busy) begin
          state <= IDLE;
          done <= 1'b1;
          status <= 16'(sl_abi_pkg::SL_STATUS_OK);
        end
      endcase
    end
  end
endmodule
