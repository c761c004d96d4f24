// SPDX-License-Identifier: Apache-2.0
// The smallest matrix engine: one lane, rows as a slab holds them, every format, K up to 32,768; exact sums
// and the fp32 that the core would write (docs/numerics.md 2.4, 3.1, 4). Bytes command it, bytes answer:
//   'i'                              answers the ABI version, 4 bytes
//   'x' c[2] x[..]                   keeps a vector of 64 c codes as it lies in memory: the base's beat,
//                                    beats of exponents, beats of codes
//   'r' format mant[2] exp[2] w[..]  multiplies a row (4-bit formats: two), its scale and weight beats as
//                                    they lie in a slab, with x. Answers for each row, the low one first: the
//                                    sum, 8 bytes, and RNE_fp32(sum * mant * 2^(exp + base)), 4 bytes
// All numbers are little endian; 1 <= c <= 512; other commands are ignored. What is sent is not checked.
// Throughput: a byte per 5 (8-bit) or 6 (4-bit) cycles, 45 more at a group's end. Backpressure: in_ready,
// out_ready. Widths: weight s19, x s8, group sum s32, row sum s64; rounded once, in sl_scale.
module sl_row_engine (
    input  logic       clk,
    input  logic       rst_n,
    input  logic       in_valid,
    output logic       in_ready,
    input  logic [7:0] in_data,
    output logic       out_valid,
    input  logic       out_ready,
    output logic [7:0] out_data
);
  typedef enum logic [4:0] {
    COMMAND, ARGUMENTS, BASE, EXPONENTS, CODES, SCALES, WEIGHT,  // wait for a byte
    READ, DECODE, FIRST, SECOND, LAST,                          // a weight byte
    GROUP, SCALE, TIMES, SHIFT, ADD,                            // a group's end
    ROUND, WAIT, ANSWER
  } state_t;
  state_t state;

  // ---- what is known of the job
  logic is_row;          // ARGUMENTS are those of 'r'
  logic [39:0] args;     // bytes arrive from above
  logic [2:0] n_args;
  logic [9:0] c;         // beats of codes
  logic [10:0] base;
  wire [2:0] format = args[2:0];
  wire [15:0] mant = args[23:8];
  wire [15:0] exp = args[39:24];
  wire four_bit = format >= 3'(sl_abi_pkg::SL_FORMAT_NF4);
  wire plain = format == 3'(sl_abi_pkg::SL_FORMAT_FP8);
  // Beats of exponents, and of scales (q8: one for 32 beats of codes, 4-bit: for 16).
  wire [9:0] n_exponents = (c + 10'd31) >> 5;
  wire [9:0] n_scales = four_bit ? (c + 10'd15) >> 4 : n_exponents;

  // ---- memories: x in 16-bit words
  (* ram_style = "huge" *) logic [15:0] x_mem[0:16383];
  logic [4:0] xe_mem[0:1023];
  logic [7:0] scale_mem[0:2047];
  logic [15:0] at;       // byte of a field
  logic row;             // 4-bit: which one
  logic [15:0] x_word;
  logic [7:0] x_low, scale;
  logic [4:0] xe;
  wire byte_taken = in_valid && in_ready;
  wire [9:0] group_at = at[14:5];
  wire [10:0] scale_at = four_bit ? {group_at, row} : {1'b0, group_at};

  // One access a cycle: a word is written with its second byte.
  wire x_write = byte_taken && state == CODES && at[0];
  always_ff @(posedge clk) begin
    if (byte_taken && state == CODES && !at[0]) x_low <= in_data;
    if (x_write) x_mem[at[14:1]] <= {in_data, x_low};
    else x_word <= x_mem[at[14:1]];
  end
  always_ff @(posedge clk) begin
    if (byte_taken && state == EXPONENTS) xe_mem[at[9:0]] <= in_data[4:0];
    xe <= xe_mem[group_at];
  end
  always_ff @(posedge clk) begin
    if (byte_taken && state == SCALES) scale_mem[at[10:0]] <= in_data;
    scale <= scale_mem[scale_at];
  end

  // ---- lane
  logic [7:0] code;
  logic signed [18:0] w_low, w_high;
  logic signed [7:0] x;
  logic signed [26:0] product;
  logic signed [31:0] group_low, group_high;
  wire signed [31:0] group = row ? group_high : group_low;
  wire signed [7:0] d_low = sl_num_pkg::sl_decode_4bit(format, code[3:0]);
  wire signed [7:0] d_high = sl_num_pkg::sl_decode_4bit(format, code[7:4]);
  wire signed [7:0] d_s8 = sl_num_pkg::sl_decode_s8(code);
  wire signed [18:0] w = state == FIRST ? w_low : w_high;

  // ---- a group's end: times the significand bit by bit, shifted bit by bit
  logic [63:0] term, part;
  logic [5:0] sig;
  logic [4:0] shift;
  logic [63:0] sum_low, sum_high;
  wire [63:0] part_sum = (row ? sum_high : sum_low) + part;

  // ---- rounding
  logic scale_valid;
  wire rounds = state == ROUND;
  logic [31:0] f32, unused_s32;
  logic unused_sat, unused_tag;
  wire signed [17:0] scale_exp = {{2{exp[15]}}, exp} + {{7{base[10]}}, base};
  sl_scale u_scale (
      .clk(clk),
      .rst_n(rst_n),
      .en(1'b1),
      .in_valid(rounds),
      .in_value(row ? sum_high : sum_low),
      .in_mant(mant),
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
  logic [3:0] n_answer;
  assign out_valid = state == ANSWER;
  assign out_data = answer[7:0];
  assign in_ready = state <= WEIGHT;

  wire [15:0] next_at = at + 1'b1;
  // The last byte of a field of n beats.
  function automatic logic ends(input [15:0] next, input [9:0] n);
    ends = next == {n, 6'd0};
  endfunction

  always_ff @(posedge clk) begin
    case (state)
      COMMAND: if (in_valid) begin
        is_row <= in_data == "r";
        n_args <= in_data == "r" ? 3'd5 : 3'd2;
        at <= '0;
        sum_low <= '0;
        sum_high <= '0;
        group_low <= '0;
        group_high <= '0;
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
          state <= !is_row ? BASE : args[10:8] == 3'(sl_abi_pkg::SL_FORMAT_FP8) ? WEIGHT : SCALES;
        end
      end
      BASE: if (in_valid) begin
        at <= next_at;
        if (at == 16'd0) base[7:0] <= in_data;
        if (at == 16'd1) base[10:8] <= in_data[2:0];
        if (ends(next_at, 10'd1)) begin
          at <= '0;
          state <= EXPONENTS;
        end
      end
      EXPONENTS: if (in_valid) begin
        at <= next_at;
        if (ends(next_at, n_exponents)) begin
          at <= '0;
          state <= CODES;
        end
      end
      CODES: if (in_valid) begin
        at <= next_at;
        if (ends(next_at, c)) state <= COMMAND;
      end
      SCALES: if (in_valid) begin
        at <= next_at;
        if (ends(next_at, n_scales)) begin
          at <= '0;
          state <= WEIGHT;
        end
      end
      WEIGHT: if (in_valid) begin
        code <= in_data;
        state <= READ;
      end
      READ: state <= DECODE;
      DECODE: begin
        x <= at[0] ? x_word[15:8] : x_word[7:0];
        w_low <= plain ? sl_num_pkg::sl_decode_fp8(code) : four_bit ? {{11{d_low[7]}}, d_low}
            : {{11{d_s8[7]}}, d_s8};
        w_high <= {{11{d_high[7]}}, d_high};
        state <= FIRST;
      end
      FIRST: state <= SECOND;
      SECOND: begin
        group_low <= group_low + {{5{product[26]}}, product};
        state <= four_bit ? LAST : at[4:0] == 5'd31 ? GROUP : WEIGHT;
        if (!four_bit && at[4:0] != 5'd31) at <= next_at;
      end
      LAST: begin
        group_high <= group_high + {{5{product[26]}}, product};
        state <= at[4:0] == 5'd31 ? GROUP : WEIGHT;
        if (at[4:0] != 5'd31) at <= next_at;
      end
      GROUP: state <= SCALE;
      SCALE: begin
        term <= {{32{group[31]}}, group};
        part <= '0;
        sig <= plain ? 6'd1 : {1'b1, scale[4:0]};
        shift <= xe + (plain ? 5'd0 : {2'd0, scale[7:5]});
        state <= TIMES;
      end
      TIMES: begin
        if (sig[0]) part <= part + term;
        term <= {term[62:0], 1'b0};
        sig <= {1'b0, sig[5:1]};
        if (sig[5:1] == 0) state <= SHIFT;
      end
      SHIFT:
      if (shift == 0) state <= ADD;
      else begin
        part <= {part[62:0], 1'b0};
        shift <= shift - 1'b1;
      end
      ADD: begin
        if (row) sum_high <= part_sum;
        else sum_low <= part_sum;
        if (row) group_high <= '0;
        else group_low <= '0;
        if (four_bit && !row) begin
          row <= 1'b1;
          state <= GROUP;
        end else begin
          row <= 1'b0;
          at <= next_at;
          state <= ends(next_at, c) ? ROUND : WEIGHT;
        end
      end
      ROUND: state <= WAIT;
      WAIT: begin
        answer <= {f32, row ? sum_high : sum_low};
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
    product <= w * x;
    if (!rst_n) state <= COMMAND;
  end
endmodule
