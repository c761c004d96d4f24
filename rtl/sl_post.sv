// SPDX-License-Identifier: Apache-2.0
// Behind the array, in the order of jobs: reads finished lines out of the sums, one unit of one token a cycle
// (all tokens of a unit, then the next port's), rounds them (docs/numerics.md 4), and sends them on: gate/up
// through SwiGLU and the block quantiser into the h memory, rows of y to the control port, a router's scores
// to its unit. Jobs without a matrix are handed to the other units here.
// Latency from a line to y: about 16 cycles; to h: about 80. Throughput: one pair of sums a cycle.
// Backpressure: the whole pipeline holds while y or the quantiser cannot take more.
module sl_post #(
    parameter int P = 1,
    parameter int T = 1,
    localparam int AW = $clog2(2 * sl_abi_pkg::SL_MAX_TOKENS / T),
    localparam int HW = $clog2(sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T)
) (
    input  logic                     clk,
    input  logic                     rst_n,
    // job of the slot
    input  logic                     ready,
    input  logic [sl_ctx::CTX_W-1:0] ctx,
    input  logic [            511:0] job,
    output logic                     past,         // one cycle: on to the next slot
    output logic                     asleep,       // nothing moves: the clock may stand still
    output logic [             95:0] events,       // with past: {clamps, saturations, sat_gu}
    // the other units
    output logic                     unit_req,     // a job without matrix; until unit_done
    input  logic                     unit_done,
    output logic                     router_start,
    input  logic                     router_busy,
    // lines
    input  logic                     array_start,  // h is not this job's yet
    input  logic                     line_valid,
    input  logic [         12+AW:0]  line_info,
    output logic                     line_take,
    // sums
    output logic [            P-1:0] rd_en,
    output logic [           AW-1:0] rd_at,
    output logic [              4:0] rd_col,
    input  logic [         64*P-1:0] rd_low,
    input  logic [         64*P-1:0] rd_high,
    // tables
    output logic [              5:0] base_token,
    input  logic [             10:0] base,         // in the same cycle
    output logic [              9:0] row_exp_row,
    input  logic [              7:0] row_exp,      // in the same cycle
    // h memory
    output logic [              1:0] h_half,
    output logic [              4:0] h_col,
    output logic [           HW-1:0] h_at,
    output logic [            521:0] h_data,
    output logic [             10:0] h_beats,      // complete for all tokens
    // scores
    output logic                     lg_valid,
    output logic [              5:0] lg_token,
    output logic [              9:0] lg_row,
    output logic [             31:0] lg_value,
    // y
    output logic                     wr_valid,
    input  logic                     wr_ready,
    output logic [             31:0] wr_addr,
    output logic [            511:0] wr_data
);
  localparam int LOG2_T = $clog2(T);
  typedef enum logic [2:0] {IDLE, LINE, DRAIN, FLUSH, DROP, ROUTER, UNIT} state_t;
  state_t state;

  wire matrix = ctx[sl_ctx::CTX_MATRIX];
  wire expert = ctx[sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_EXPERT);
  wire router = ctx[sl_ctx::CTX_OP+:3] == 3'(sl_abi_pkg::SL_OP_ROUTER);
  wire [6:0] n_tokens = ctx[sl_ctx::CTX_N_TOKENS+:7];
  wire [6:0] hold = ctx[sl_ctx::CTX_HOLD+:7];
  wire partial = (job[sl_abi_pkg::SL_LSB_JOB_FLAGS+:16] & 16'(sl_abi_pkg::SL_FLAG_PARTIAL)) != 0;

  // ---- reading a line
  wire [4:0] first_port = line_info[4:0];
  wire [4:0] last_port = line_info[9:5];
  wire [AW-1:0] bank_at = line_info[10+:AW];
  wire line_b = line_info[10+AW];
  wire line_last = line_info[11+AW];
  wire line_aborted = line_info[12+AW];
  logic [4:0] port;
  logic [5:0] token;
  logic [17:0] unit;
  logic in_b;
  logic en;
  logic [7:0] flight;  // pairs on their way
  wire issue = state == DRAIN && en;
  wire last_token = {1'b0, token} + 7'd1 == n_tokens;
  wire line_end = issue && last_token && port == last_port;
  assign line_take = line_end || (state == LINE && line_valid && line_aborted);
  assign rd_at = bank_at + AW'({1'b0, token} >> LOG2_T);
  assign rd_col = 5'(token & 6'(T - 1));

  genvar p;
  generate
    for (p = 0; p < P; p = p + 1) begin : g_rd
      localparam logic [4:0] PORT_ID = p;
      assign rd_en[p] = issue && port == PORT_ID;
    end
  endgenerate

  logic quant_idle, quant_ready, rows_ready, clear;
  wire job_start = state == IDLE && ready && !past && matrix;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= IDLE;
      past <= 1'b0;
      unit_req <= 1'b0;
      router_start <= 1'b0;
      clear <= 1'b0;
      flight <= '0;
    end else begin
      past <= 1'b0;
      clear <= 1'b0;
      router_start <= 1'b0;
      flight <= flight + {7'd0, issue} - {7'd0, en && r_valid && !r_a} - {7'd0, en && w_valid};
      case (state)
        IDLE:
        if (ready && !past) begin
          unit <= '0;
          in_b <= 1'b0;
          if (matrix) state <= LINE;
          else if (ctx[sl_ctx::CTX_STATUS+:4] != 0) past <= 1'b1;
          else begin
            unit_req <= 1'b1;
            state <= UNIT;
          end
        end
        LINE:
        if (line_valid && !(router && router_busy)) begin
          port <= first_port;
          token <= '0;
          in_b <= line_b;
          if (line_b && !in_b) unit <= '0;
          state <= line_aborted ? DROP : DRAIN;
        end
        DRAIN:
        if (issue) begin
          token <= last_token ? 6'd0 : token + 1'b1;
          if (last_token) begin
            port <= port + 1'b1;
            unit <= unit + 1'b1;
          end
          if (line_end) state <= line_last ? FLUSH : LINE;
        end
        FLUSH:
        if (flight == 0 && quant_idle && !wr_valid) begin
          past <= !router;
          state <= router ? ROUTER : IDLE;
        end
        DROP:
        if (flight == 0 && !wr_valid) begin
          clear <= 1'b1;
          past <= 1'b1;
          state <= IDLE;
        end
        ROUTER:
        if (!router_busy) begin
          router_start <= 1'b1;
          past <= 1'b1;
          state <= IDLE;
        end
        default:
        if (unit_done) begin
          unit_req <= 1'b0;
          past <= 1'b1;
          state <= IDLE;
        end
      endcase
    end
  end

  // ---- stage 1: the sums' registers; stage 2: one port chosen, exponents
  localparam int TAG_W = 1 + 6 + 18 + 128;  // {pass A of an expert, token, unit, high sum, low sum}
  logic s1_valid, s2_valid, s1_a, s2_a;
  logic [4:0] s1_port;
  logic [5:0] s1_token, s2_token;
  logic [17:0] s1_unit, s2_unit;
  logic [63:0] s2_low, s2_high;
  logic [15:0] s2_mant_low, s2_mant_high;
  logic signed [17:0] s2_exp_low, s2_exp_high;
  assign base_token = s1_token;
  assign row_exp_row = s1_unit[9:0];
  wire signed [17:0] exp0 = {{2{ctx[sl_ctx::CTX_EXP0+15]}}, ctx[sl_ctx::CTX_EXP0+:16]};
  wire signed [17:0] exp1 = {{2{ctx[sl_ctx::CTX_EXP0+31]}}, ctx[sl_ctx::CTX_EXP0+16+:16]};
  wire signed [17:0] exp2 = {{2{ctx[sl_ctx::CTX_EXP0+47]}}, ctx[sl_ctx::CTX_EXP0+32+:16]};
  wire signed [17:0] base18 = {{7{base[10]}}, base};
  wire signed [17:0] row18 = {{10{row_exp[7]}}, row_exp};
  wire signed [17:0] u18 = {{8{ctx[sl_ctx::CTX_U+9]}}, ctx[sl_ctx::CTX_U+:10]};

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      s1_valid <= 1'b0;
      s2_valid <= 1'b0;
    end else if (en) begin
      s1_valid <= issue;
      s2_valid <= s1_valid;
    end
    if (en && issue) begin
      s1_port <= port;
      s1_token <= token;
      s1_unit <= unit;
      s1_a <= expert && !line_b;
    end
    if (en && s1_valid) begin
      s2_low <= rd_low[64*s1_port+:64];
      s2_high <= rd_high[64*s1_port+:64];
      s2_token <= s1_token;
      s2_unit <= s1_unit;
      s2_a <= s1_a;
      if (s1_a) begin
        s2_mant_low <= ctx[sl_ctx::CTX_MANT0+:16];
        s2_mant_high <= ctx[sl_ctx::CTX_MANT0+16+:16];
        s2_exp_low <= exp0 + base18 + 18'sd16;
        s2_exp_high <= exp1 + base18 + 18'sd16;
      end else if (expert) begin
        s2_mant_low <= ctx[sl_ctx::CTX_MANT0+32+:16];
        s2_mant_high <= ctx[sl_ctx::CTX_MANT0+32+:16];
        s2_exp_low <= exp2 - u18;
        s2_exp_high <= exp2 - u18;
      end else begin
        s2_mant_low <= ctx[sl_ctx::CTX_MANT0+:16];
        s2_mant_high <= ctx[sl_ctx::CTX_MANT0+:16];
        s2_exp_low <= router ? row18 + base18 + 18'sd16 : exp0 + base18;
        s2_exp_high <= exp0 + base18;
      end
    end
  end

  // ---- rounding
  logic r_valid, r_sat_low, r_sat_high;
  logic [31:0] g, u, f_low, f_high;
  logic [TAG_W-1:0] r_tag;
  sl_scale #(
      .TAG_W(TAG_W)
  ) u_scale_low (
      .clk(clk),
      .rst_n(rst_n),
      .en(en),
      .in_valid(s2_valid),
      .in_value(s2_low),
      .in_mant(s2_mant_low),
      .in_exp(s2_exp_low),
      .in_tag({s2_a, s2_token, s2_unit, s2_high, s2_low}),
      .out_valid(r_valid),
      .out_s32(g),
      .out_sat(r_sat_low),
      .out_f32(f_low),
      .out_tag(r_tag)
  );
  logic high_valid, high_tag;
  wire unused = &{1'b0, high_valid, high_tag};
  sl_scale #(
      .TAG_W(1)
  ) u_scale_high (
      .clk(clk),
      .rst_n(rst_n),
      .en(en),
      .in_valid(s2_valid),
      .in_value(s2_high),
      .in_mant(s2_mant_high),
      .in_exp(s2_exp_high),
      .in_tag(1'b0),
      .out_valid(high_valid),
      .out_s32(u),
      .out_sat(r_sat_high),
      .out_f32(f_high),
      .out_tag(high_tag)
  );
  wire r_a = r_tag[TAG_W-1];
  wire [5:0] r_token = r_tag[146+:6];
  wire [17:0] r_unit = r_tag[128+:18];
  wire to_rows = r_valid && !r_a && !router;

  // ---- scores
  assign lg_valid = r_valid && router && en;
  assign lg_token = r_token;
  assign lg_row = r_unit[9:0];
  assign lg_value = g;

  // ---- y
  sl_y_rows u_rows (
      .clk(clk),
      .rst_n(rst_n),
      .clear(clear),
      .partial(partial),
      .rows(ctx[sl_ctx::CTX_ROWS+:19]),
      .y_off(job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32]),
      .y_stride(job[sl_abi_pkg::SL_LSB_JOB_Y_STRIDE+:16]),
      .in_valid(to_rows && en),
      .in_ready(rows_ready),
      .token(r_token),
      .unit(r_unit),
      .low(partial ? r_tag[63:0] : {32'd0, f_low}),
      .high(partial ? r_tag[127:64] : {32'd0, f_high}),
      .wr_valid(wr_valid),
      .wr_ready(wr_ready),
      .wr_addr(wr_addr),
      .wr_data(wr_data)
  );

  // ---- h
  logic w_valid;
  logic [63:0] w_h;
  logic [10:0] w_tag;  // {token, lane}
  sl_swiglu #(
      .TAG_W(11)
  ) u_swiglu (
      .clk(clk),
      .rst_n(rst_n),
      .en(en),
      .in_valid(r_valid && r_a),
      .in_g(g),
      .in_u(u),
      .in_tag({r_token, r_unit[4:0]}),
      .out_valid(w_valid),
      .out_h(w_h),
      .out_tag(w_tag)
  );

  logic q_valid, q_saturated, q_clamped;
  logic [5:0] q_token;
  logic [10:0] q_block;
  logic [255:0] q_codes;
  logic [4:0] q_he;
  sl_quant u_quant (
      .clk(clk),
      .rst_n(rst_n),
      .clear(clear),
      .n_tokens(n_tokens),
      .u(ctx[sl_ctx::CTX_U+:10]),
      .first_block({10'd0, ctx[sl_ctx::CTX_ODD]}),
      .start(job_start),
      .in_valid(w_valid && en),
      .in_ready(quant_ready),
      .in_h(w_h),
      .in_lane(w_tag[4:0]),
      .in_token(w_tag[10:5]),
      .idle(quant_idle),
      .out_valid(q_valid),
      .out_token(q_token),
      .out_block(q_block),
      .out_codes(q_codes),
      .out_he(q_he),
      .out_saturated(q_saturated),
      .out_clamped(q_clamped)
  );

  assign en = (!to_rows || rows_ready) && (!w_valid || quant_ready);

  // Blocks to half entries of h; the half that no block of the slice fills is written as zeros with its
  // neighbour.
  wire [10:0] last_block = {10'd0, ctx[sl_ctx::CTX_ODD]} + ctx[sl_ctx::CTX_N_BLOCK+:11] - 11'd1;
  logic h_done;
  logic [10:0] h_next;
  logic b_last_token, b_whole;
  logic [HW-1:0] b_entry;
  logic [1:0] b_half;
  logic [10:0] b_beats;
  logic b_valid;
  logic [521:0] b_data;
  logic [5:0] b_token;
  always_ff @(posedge clk) begin
    b_valid <= q_valid && rst_n;
    if (q_valid) begin
      b_token <= q_token;
      b_entry <= HW'(q_block[10:1]) * HW'(hold);
      b_half <= (q_block == last_block && !q_block[0]) || (q_block == 1 && ctx[sl_ctx::CTX_ODD]) ? 2'b11
              : q_block[0] ? 2'b10 : 2'b01;
      b_data <= q_block[0] ? {q_he, 5'd0, q_codes, 256'd0} : {5'd0, q_he, 256'd0, q_codes};
      b_last_token <= {1'b0, q_token} + 7'd1 == n_tokens;
      b_whole <= q_block[0] || q_block == last_block;
      b_beats <= {1'b0, q_block[10:1]} + 11'd1;
    end
    h_half <= b_valid ? b_half : 2'b00;
    if (b_valid) begin
      h_col <= 5'(b_token & 6'(T - 1));
      h_at <= b_entry + HW'({{(HW - 6) {1'b0}}, b_token} >> LOG2_T);
      h_data <= b_data;
    end
    if (!rst_n || array_start) h_beats <= '0;
    else if (h_half != 0 && h_done) h_beats <= h_next;
    h_done <= b_valid && b_last_token && b_whole;
    h_next <= b_beats;
  end

  assign asleep = (state == IDLE ? !ready : state == LINE ? !line_valid : state == UNIT && !unit_done)
      && !past && !clear && !router_start && flight == 0 && quant_idle && !wr_valid && !b_valid
      && h_half == 0;

  // ---- events of the job
  always_ff @(posedge clk) begin
    if (state == IDLE) events <= '0;
    else begin
      if (en && r_valid && r_a) events[31:0] <= events[31:0] + {31'd0, r_sat_low} + {31'd0, r_sat_high};
      if (q_valid) begin
        events[63:32] <= events[63:32] + {31'd0, q_saturated};
        events[95:64] <= events[95:64] + {31'd0, q_clamped};
      end
    end
  end
endmodule
