// SPDX-License-Identifier: Apache-2.0
// sl_row_engine's conversation (see there) with the core's own array behind it: sl_dot, 64 lanes, one column.
// Bytes are gathered into beats, a beat takes a step of the array. Latency: 14 cycles from a row's last byte
// to its sums, 8 more to the answer. Throughput: a byte a cycle, 1/64 of the array's. Backpressure: in_ready,
// out_ready. Widths and rounding: sl_dot, sl_scale.
module sl_row_wide (
    input  logic       clk,
    input  logic       rst_n,
    input  logic       in_valid,
    output logic       in_ready,
    input  logic [7:0] in_data,
    output logic       out_valid,
    input  logic       out_ready,
    output logic [7:0] out_data
);
  typedef enum logic [3:0] {
    COMMAND, ARGUMENTS, BASE, EXPONENTS, CODES, SCALES, WEIGHTS,  // wait for a byte
    SETTLE, READ, ROUND, WAIT, ANSWER
  } state_t;
  state_t state;

  logic is_row;
  logic [39:0] args;
  logic [2:0] n_args;
  logic [9:0] c;
  logic [10:0] base;
  wire [2:0] format = args[2:0];
  wire [15:0] exp = args[39:24];
  wire four_bit = format >= 3'(sl_abi_pkg::SL_FORMAT_NF4);
  wire [9:0] n_exponents = (c + 10'd31) >> 5;
  wire [9:0] n_scales = four_bit ? (c + 10'd15) >> 4 : n_exponents;

  // ---- beats, and memories beside them: exponents and scale bytes by their place in a beat's groups
  logic [503:0] gathered;  // of a beat, but its last byte
  logic [15:0] at;        // byte of a field
  wire byte_taken = in_valid && in_ready;
  wire [511:0] beat = {in_data, gathered};
  wire beat_end = byte_taken && at[5:0] == 6'd63;
  logic [511:0] x_mem[0:511];
  logic [4:0] xe0_mem[0:511];
  logic [4:0] xe1_mem[0:511];
  logic [7:0] s0_mem[0:511];
  logic [7:0] s1_mem[0:511];
  logic [7:0] s2_mem[0:511];
  logic [7:0] s3_mem[0:511];
  logic [511:0] x;
  logic [4:0] xe0, xe1;
  logic [7:0] s0, s1, s2, s3;
  wire [8:0] beat_at = at[14:6];
  wire take_xe = byte_taken && state == EXPONENTS;
  wire take_scale = byte_taken && state == SCALES;
  wire [8:0] scale_at = four_bit ? at[10:2] : at[9:1];
  wire [1:0] bank = four_bit ? at[1:0] : {1'b0, at[0]};

  always_ff @(posedge clk) begin
    if (byte_taken) gathered <= beat[511:8];
    if (beat_end && state == CODES) x_mem[beat_at] <= beat;
    x <= x_mem[beat_at];
    if (take_xe && !at[0]) xe0_mem[at[9:1]] <= in_data[4:0];
    if (take_xe && at[0]) xe1_mem[at[9:1]] <= in_data[4:0];
    xe0 <= xe0_mem[beat_at];
    xe1 <= xe1_mem[beat_at];
    if (take_scale && bank == 2'd0) s0_mem[scale_at] <= in_data;
    if (take_scale && bank == 2'd1) s1_mem[scale_at] <= in_data;
    if (take_scale && bank == 2'd2) s2_mem[scale_at] <= in_data;
    if (take_scale && bank == 2'd3) s3_mem[scale_at] <= in_data;
    s0 <= s0_mem[beat_at];
    s1 <= s1_mem[beat_at];
    s2 <= s2_mem[beat_at];
    s3 <= s3_mem[beat_at];
  end

  // ---- array. x is due two cycles after the step; by then its address has moved on, so it is kept.
  logic step, clear;
  logic [511:0] step_beat, step_x;
  logic [31:0] step_scales;
  logic [9:0] step_xe;
  logic [63:0] low, high;
  logic read;
  always_ff @(posedge clk) begin
    step <= beat_end && state == WEIGHTS;
    if (beat_end) begin
      step_beat <= beat;
      clear <= beat_at == 0;
      step_x <= x;
      step_xe <= {xe1, xe0};
      // Of each row both groups: a pair of rows has its scales in turns.
      step_scales <= four_bit ? {s3, s1, s2, s0} : {16'd0, s1, s0};
    end
    read <= state == READ;
  end
  sl_dot #(
      .T(1),
      .DEPTH(16)
  ) u_dot (
      .clk(clk),
      .rst_n(rst_n),
      .format(format),
      .router(1'b0),
      .step(step),
      .load(step),
      .beat(step_beat),
      .scales(step_scales),
      .row(1'b0),
      .clear(clear),
      .sum_at(4'd0),
      .x(step_x),
      .xe(step_xe),
      .rd_en(read),
      .rd_at(4'd0),
      .rd_col(5'd0),
      .rd_low(low),
      .rd_high(high)
  );

  // ---- rounding
  logic row, scale_valid, unused_sat, unused_tag;
  logic [31:0] f32, unused_s32;
  wire [63:0] sum = row ? high : low;
  wire signed [17:0] scale_exp = {{2{exp[15]}}, exp} + {{7{base[10]}}, base};
  wire rounds = state == ROUND;
  sl_scale u_scale (
      .clk(clk),
      .rst_n(rst_n),
      .en(1'b1),
      .in_valid(rounds),
      .in_value(sum),
      .in_mant(args[23:8]),
      .in_exp(scale_exp),
      .in_tag(1'b0),
      .out_valid(scale_valid),
      .out_s32(unused_s32),
      .out_sat(unused_sat),
      .out_f32(f32),
      .out_tag(unused_tag)
  );
  wire unused = &{1'b0, unused_s32, unused_sat, unused_tag, args[7:3]};

  logic [95:0] answer;
  logic [3:0] n_answer, settle;
  assign out_valid = state == ANSWER;
  assign out_data = answer[7:0];
  assign in_ready = state <= WEIGHTS;
  wire [15:0] next_at = at + 1'b1;
  wire [9:0] n_field = state == BASE ? 10'd1 : state == EXPONENTS ? n_exponents : state == SCALES ? n_scales
      : c;
  wire field_end = next_at == {n_field, 6'd0};
  always_ff @(posedge clk) begin
    case (state)
      COMMAND: if (in_valid) begin
        is_row <= in_data == "r";
        n_args <= in_data == "r" ? 3'd5 : 3'd2;
        at <= '0;
        row <= 1'b0;
        answer <= {64'd0, sl_abi_pkg::SL_ABI_VERSION};
        n_answer <= 4'd4;
        if (in_data == "i") state <= ANSWER;
        else if (in_data == "x" || in_data == "r") state <= ARGUMENTS;
      end
      ARGUMENTS: if (in_valid) begin
        n_args <= n_args - 1'b1;
        args <= {in_data, args[39:8]};
        if (n_args == 3'd1) begin
          if (!is_row) c <= {in_data[1:0], args[39:32]};
          state <= !is_row ? BASE : args[10:8] == 3'(sl_abi_pkg::SL_FORMAT_FP8) ? WEIGHTS : SCALES;
        end
      end
      BASE, EXPONENTS, CODES, SCALES, WEIGHTS: if (in_valid) begin
        if (state == BASE && at == 16'd0) base[7:0] <= in_data;
        if (state == BASE && at == 16'd1) base[10:8] <= in_data[2:0];
        at <= field_end ? 16'd0 : next_at;
        settle <= 4'd12;
        if (field_end)
          state <= state == BASE ? EXPONENTS : state == EXPONENTS ? CODES : state == CODES ? COMMAND
              : state == SCALES ? WEIGHTS : SETTLE;
      end
      SETTLE: begin
        settle <= settle - 1'b1;
        if (settle == 4'd0) state <= READ;
      end
      READ: begin
        settle <= 4'd0;
        if (read) state <= ROUND;
      end
      ROUND: state <= WAIT;
      WAIT: begin
        answer <= {f32, sum};
        n_answer <= 4'd12;
        if (scale_valid) state <= ANSWER;
      end
      default: if (out_ready) begin
        answer <= {8'd0, answer[95:8]};
        n_answer <= n_answer - 1'b1;
        if (n_answer == 4'd1) begin
          row <= 1'b1;
          state <= is_row && four_bit && !row ? ROUND : COMMAND;
        end
      end
    endcase
    if (!rst_n) state <= COMMAND;
  end
endmodule
