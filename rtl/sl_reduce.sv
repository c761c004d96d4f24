// SPDX-License-Identifier: Apache-2.0
// REDUCE (docs/numerics.md 5.3): per token, s = sum of n_part vectors s64[rows] modulo 2^64, y =
// sl_scale_f32(s, scale_mant, scale_exp) as fp32[rows].
//
// A chunk of up to 16 beats (128 rows) is read part after part, one request each, and summed in a small
// memory; the last part's sums go to a FIFO of pairs of beats (16 rows, one output beat). Two scalers work
// through a pair, one per beat. Throughput: one input beat a cycle until the FIFO (32 pairs) is full, 8
// cycles an output beat: the larger of 2 n_part and 8 cycles an output beat when the memory keeps up.
// Requests run ahead as far as the FIFO has room for their sums. Backpressure: reads are only asked for
// when their sums fit; scaling waits for room in a FIFO of 16 output beats. Widths: s64 sums, rounded once
// in sl_scale. Rows past the last one are 0 whatever the parts hold there. start/job/done/status/clear: one
// job at a time, job stable until done. After clear no answer to an earlier request may come.
module sl_reduce (
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
  localparam int LOG2_PAIRS = 5;
  localparam int LOG2_OUT = 4;

  // ---- Shape of the job
  wire [31:0] x_off = job[sl_abi_pkg::SL_LSB_JOB_X_OFF+:32];
  wire [15:0] x_stride = job[sl_abi_pkg::SL_LSB_JOB_X_STRIDE+:16];
  wire [31:0] part_stride = job[sl_abi_pkg::SL_LSB_JOB_PART_STRIDE+:32];
  wire [6:0] n_tokens = job[sl_abi_pkg::SL_LSB_JOB_N_TOKENS+:7];
  wire [7:0] last_part = job[sl_abi_pkg::SL_LSB_JOB_N_PART+:8] - 8'd1;
  wire [17:0] rows_less = 18'(job[sl_abi_pkg::SL_LSB_JOB_ROWS+:19] - 19'd1);
  wire [15:0] in_beats = {1'b0, rows_less[17:3]} + 16'd1;  // of a token and part, 1..32768
  wire [14:0] out_beats = {1'b0, rows_less[17:4]} + 15'd1;

  wire [15:0] scale_mant = job[sl_abi_pkg::SL_LSB_JOB_SCALE_MANT+:16];
  wire [15:0] scale_exp = job[sl_abi_pkg::SL_LSB_JOB_SCALE_EXP+:16];

  logic setup, active;  // the cycle after start; from then on until done

  // ---- Requests
  logic ask;  // requests are left
  logic [6:0] ask_tokens;
  logic [7:0] ask_part;
  logic [15:0] ask_beats;  // of the token, from the chunk on
  logic [31:0] ask_token, ask_chunk;  // addresses of part 0
  logic [LOG2_PAIRS:0] pair_space;
  wire ask_fits = ask_beats <= 16'd16;  // the token's last chunk
  wire [4:0] ask_len = ask_fits ? ask_beats[4:0] : 5'd16;
  wire [3:0] ask_pairs = 4'((ask_len + 5'd1) >> 1);
  wire asks = rd_valid && rd_ready;
  wire ask_chunk_end = ask_part == last_part;

  assign rd_valid = ask && (ask_part != 8'd0 || pair_space >= (LOG2_PAIRS + 1)'(ask_pairs));
  assign rd_len = {2'd0, ask_len};

  always_ff @(posedge clk) begin
    if (setup) begin
      rd_addr <= x_off;
      ask_chunk <= x_off;
      ask_token <= x_off + {16'd0, x_stride};
      ask_beats <= in_beats;
      ask_part <= 8'd0;
    end else if (asks) begin
      if (!ask_chunk_end) begin
        rd_addr  <= rd_addr + part_stride;
        ask_part <= ask_part + 8'd1;
      end else begin
        ask_part <= 8'd0;
        if (ask_fits) begin
          rd_addr <= ask_token;
          ask_chunk <= ask_token;
          ask_token <= ask_token + {16'd0, x_stride};
          ask_beats <= in_beats;
        end else begin
          rd_addr <= ask_chunk + 32'd16;
          ask_chunk <= ask_chunk + 32'd16;
          ask_beats <= ask_beats - 16'd16;
        end
      end
    end
  end

  // ---- Sums
  (* ram_style = "distributed" *) logic [511:0] sums[0:15];
  (* ram_style = "distributed" *) logic [511:0] even[0:(1<<LOG2_PAIRS)-1];
  (* ram_style = "distributed" *) logic [511:0] odd[0:(1<<LOG2_PAIRS)-1];
  logic r_v;
  logic [511:0] r_data;
  logic [15:0] r_beats;  // of the token, from the chunk on
  logic [3:0] r_at;
  logic [7:0] r_part;
  logic [LOG2_PAIRS:0] pair_in, pair_out;
  wire r_fits = r_beats <= 16'd16;
  wire r_row_end = {12'd0, r_at} + 16'd1 == (r_fits ? r_beats : 16'd16);  // last beat of the chunk and part
  wire r_final = r_part == last_part;
  wire pair_end = r_v && r_final && (r_at[0] || r_row_end);

  function automatic [511:0] add(input [511:0] a, input [511:0] b);
    for (int i = 0; i < 8; i++) add[64*i+:64] = a[64*i+:64] + b[64*i+:64];
  endfunction

  always_ff @(posedge clk) begin
    if (rsp_valid) r_data <= rsp_data;
    if (r_v) begin
      if (!r_final) sums[r_at] <= r_part == 8'd0 ? r_data : add(sums[r_at], r_data);
      else if (r_at[0]) odd[pair_in[LOG2_PAIRS-1:0]] <= r_part == 8'd0 ? r_data : add(sums[r_at], r_data);
      else even[pair_in[LOG2_PAIRS-1:0]] <= r_part == 8'd0 ? r_data : add(sums[r_at], r_data);
    end
  end

  always_ff @(posedge clk) begin
    if (setup) begin
      r_beats <= in_beats;
      r_at <= 4'd0;
      r_part <= 8'd0;
    end else if (r_v) begin
      r_at <= r_row_end ? 4'd0 : r_at + 4'd1;
      if (r_row_end) r_part <= r_final ? 8'd0 : r_part + 8'd1;
      if (r_row_end && r_final) r_beats <= r_fits ? in_beats : r_beats - 16'd16;
    end
  end

  // ---- Scaling: one row of both beats of a pair in a cycle.
  logic s_v;
  logic [2:0] s_at;
  logic [511:0] s_even, s_odd;
  logic [14:0] s_pairs;  // of the token, from this one on
  logic [3:0] s_rows;  // last row of this pair
  logic [LOG2_OUT:0] out_space;
  wire take = pair_in != pair_out && out_space != '0 && (!s_v || s_at == 3'd7);

  always_ff @(posedge clk) begin
    if (take) begin
      s_even <= even[pair_out[LOG2_PAIRS-1:0]];
      s_odd  <= odd[pair_out[LOG2_PAIRS-1:0]];
      s_rows <= s_pairs == 15'd1 ? rows_less[3:0] : 4'd15;
    end
    if (setup) s_pairs <= out_beats;
    else if (take) s_pairs <= s_pairs == 15'd1 ? out_beats : s_pairs - 15'd1;
  end

  // The last lanes of a token may lie behind its last row.
  logic v_v;
  logic [63:0] v_even, v_odd;
  logic f_v;
  logic [31:0] f_even, f_odd;
  logic [2:0] f_at;
  logic y_v;
  logic [511:0] y;

  always_ff @(posedge clk) begin
    if (s_v) begin
      for (int i = 0; i < 8; i++) begin
        if (s_at == 3'(i)) begin
          v_even <= {1'b0, s_at} <= s_rows ? s_even[64*i+:64] : 64'd0;
          v_odd  <= {1'b1, s_at} <= s_rows ? s_odd[64*i+:64] : 64'd0;
        end
      end
    end
    for (int i = 0; i < 8; i++) begin
      if (f_v && f_at == 3'(i)) begin
        y[32*i+:32] <= f_even;
        y[256+32*i+:32] <= f_odd;
      end
    end
  end

  wire scale_rst_n = rst_n && !clear;
  // verilator lint_off UNUSEDSIGNAL
  logic [31:0] f_even_s32, f_odd_s32;  // the scalers' other result
  logic f_even_sat, f_even_tag, f_odd_sat, f_odd_tag;
  logic f_odd_v;  // the same as f_v
  // verilator lint_on UNUSEDSIGNAL
  sl_scale scale_even (
      .clk      (clk),
      .rst_n    (scale_rst_n),
      .en       (1'b1),
      .in_valid (v_v),
      .in_value (v_even),
      .in_mant  (scale_mant),
      .in_exp   ({{2{scale_exp[15]}}, scale_exp}),
      .in_tag   (1'b0),
      .out_valid(f_v),
      .out_s32  (f_even_s32),
      .out_sat  (f_even_sat),
      .out_f32  (f_even),
      .out_tag  (f_even_tag)
  );

  sl_scale scale_odd (
      .clk      (clk),
      .rst_n    (scale_rst_n),
      .en       (1'b1),
      .in_valid (v_v),
      .in_value (v_odd),
      .in_mant  (scale_mant),
      .in_exp   ({{2{scale_exp[15]}}, scale_exp}),
      .in_tag   (1'b0),
      .out_valid(f_odd_v),
      .out_s32  (f_odd_s32),
      .out_sat  (f_odd_sat),
      .out_f32  (f_odd),
      .out_tag  (f_odd_tag)
  );

  // ---- Output
  logic taken, busy;

  sl_y_write #(
      .LOG2_DEPTH(LOG2_OUT)
  ) write (
      .clk     (clk),
      .rst_n   (rst_n),
      .clear   (clear),
      .start   (setup),
      .y_off   (job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]),
      .y_stride(job[sl_abi_pkg::SL_LSB_JOB_Y_STRIDE+:16]),
      .y_len   (out_beats),
      .n_item  ({8'd0, n_tokens}),
      .busy    (busy),
      .in_valid(y_v),
      .in_data (y),
      .taken   (taken),
      .wr_valid(wr_valid),
      .wr_ready(wr_ready),
      .wr_addr (wr_addr),
      .wr_data (wr_data)
  );

  // ---- Control
  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      {setup, active, ask, done, r_v, s_v, v_v, y_v} <= 8'd0;
      status <= 16'd0;
      ask_tokens <= 7'd0;
      pair_space <= (LOG2_PAIRS + 1)'(1 << LOG2_PAIRS);
      pair_in <= '0;
      pair_out <= '0;
      out_space <= (LOG2_OUT + 1)'(1 << LOG2_OUT);
      s_at <= 3'd0;
      f_at <= 3'd0;
    end else begin
      setup <= start && !active;
      if (setup) active <= 1'b1;
      else if (active && !busy) active <= 1'b0;
      done <= active && !busy;
      status <= 16'(sl_abi_pkg::SL_STATUS_OK);

      if (setup) ask_tokens <= n_tokens;
      else if (asks && ask_chunk_end && ask_fits) ask_tokens <= ask_tokens - 7'd1;
      if (setup) ask <= 1'b1;
      else if (asks && ask_chunk_end && ask_fits && ask_tokens == 7'd1) ask <= 1'b0;
      // A chunk's places are taken with its first part.
      pair_space <= pair_space - (asks && ask_part == 8'd0 ? (LOG2_PAIRS + 1)'(ask_pairs) : '0) +
          (LOG2_PAIRS + 1)'(take);

      r_v <= rsp_valid;
      if (pair_end) pair_in <= pair_in + 1'b1;
      if (take) pair_out <= pair_out + 1'b1;
      out_space <= out_space - (LOG2_OUT + 1)'(take) + (LOG2_OUT + 1)'(taken);

      if (take) s_v <= 1'b1;
      else if (s_at == 3'd7) s_v <= 1'b0;
      if (s_v) s_at <= s_at + 3'd1;
      v_v <= s_v;
      if (f_v) f_at <= f_at + 3'd1;
      y_v <= f_v && f_at == 3'd7;
    end
  end
endmodule
