// SPDX-License-Identifier: Apache-2.0
// Prepares jobs, ahead of those at work: fetches a job, checks it in the order of docs/numerics.md 5.6, finds
// an INDIRECT job's expert, reads the slab's header (and a router's tables), plans the passes, loads x, and
// publishes the result into the next slot. A job that fails a check is published with its status. Reads of
// the control buffer that meet output of a job still at work wait at the control port.
// Latency: about 200 cycles and up to six dependent reads; hidden while an earlier job works. Throughput: one
// job at a time. Backpressure: waits for a free slot and for room in the x memory.
// A read that is not answered within the timeout ends the job as TIMEOUT, once it was answered after all
// (control port: quit throws the answers away) or the port is dead. The remaining jobs then end as PORT_DEAD.
// Beats that come with an error are not looked at; their job ends as BUS_ERROR. Where the scan for jobs that
// ask for per-port counters fails, such jobs say so, unless others made room for counters.
module sl_prep #(
    parameter int P = 1,
    parameter int T = 1,
    localparam int XW = $clog2(sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T) + 1
) (
    input  logic                     clk,
    input  logic                     rst_n,
    // launch
    input  logic                     go,
    input  logic [             31:0] job_off,
    input  logic [             31:0] job_count,
    input  logic [             31:0] ctl_limit,
    input  logic [             31:0] w_limit,
    output logic                     asleep,       // nothing to do: the clock may stand still
    output logic                     fin,          // all jobs are published, or the list does not fit
    output logic                     counters,     // there is room for per-port counters
    // slots
    input  logic                     slot_free,
    input  logic                     all_free,     // no job is at work
    output logic                     publish,
    output logic [sl_ctx::CTX_W-1:0] ctx,
    output logic [            511:0] job,
    output logic [             32:0] y_end,        // first beat behind y, y_off where there is none
    input  logic                     x_release,    // the array is through with the oldest job's x
    input  logic                     w_dead,
    // control buffer
    input  logic                     ctl_dead,
    input  logic                     ctl_late,
    output logic                     quit,         // the answers that are still to come are not wanted
    input  logic                     ctl_idle,     // nothing is owed
    output logic                     rd_valid,
    input  logic                     rd_ready,
    output logic [             31:0] rd_addr,
    output logic [              6:0] rd_len,
    input  logic                     rsp_valid,
    input  logic                     rsp_err,
    input  logic [            511:0] rsp_data,
    // port 0: headers and tables
    input  logic                     w_expired,
    input  logic                     array_idle,   // it does not starve: whose beat is missed is told there
    output logic                     side_late,    // an answer is late
    output logic                     side_rearm,   // one cycle: w_expired counts from 0 again
    input  logic                     w_flush,      // the ports are being drained: the answer will not come
    output logic                     side_valid,
    input  logic                     side_ready,
    output logic [             31:0] side_addr,
    output logic [              6:0] side_len,
    input  logic                     side_rsp,
    input  logic                     side_err,
    input  logic [            511:0] side_data,
    // memories of the stages behind
    output logic [              1:0] wr_half,
    output logic [              4:0] wr_col,
    output logic [           XW-1:0] wr_at,
    output logic [            521:0] wr_data,
    output logic                     base_valid,
    output logic [              5:0] base_token,
    output logic [             10:0] base,
    output logic                     row_exp_valid,  // 64 row exponents of a router
    output logic [              3:0] row_exp_at,
    output logic                     bias_valid,     // 16 biases
    output logic [              3:0] bias_at,
    output logic [            511:0] table_data
);
  localparam int COUNTER_BEATS = (16 * P + 63) / 64;
  localparam int ENTRIES = sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T;
  localparam int LOG2_T = $clog2(T);

  typedef enum logic [5:0] {
    IDLE, SCAN, SCAN_FITS, SCAN_LAST, NEXT, FETCH, WAIT_READ, PARSED, CHECK, ITEMS, ITEMS2, SPAN_X, SPAN_Y,
    SPAN_PART, SPAN_ALL, ADDRESS, ROUTE, ROUTE_GOT, SLOT_GOT, GEOMETRY, LINES, REGION_A, LINES_B, REGION_B,
    SLAB, HEAD, WAIT_SIDE, HEAD_GOT, BIAS_END, TABLES, TABLES_GOT, BIAS_GOT, FIRST_LINE, LAST_LINE, PLAN_A,
    PLAN_B, TOTAL_A, MACS, MACS2, MACS3, X_SIZE, X_ROOM, LIST, LIST_GOT, LIST_ROW, LIST_CHECK, LOAD,
    LOADING, QUIT, PUBLISH, MULTIPLY, DIVIDE
  } state_t;
  logic [5:0] state, after;  // of state_t; plain vectors, because tasks pass them on

  // ---- the job
  logic [31:0] index;
  logic [31:0] at;               // of the scan, the token or the table at work
  logic dirty;                   // SCAN: some job asks for counters; LIST: some token lies outside
  logic scanning;                // the lost read was the scan's
  logic [3:0] scan_status;       // not OK: some job was not seen
  logic overdue;                 // the answer of port 0 is late
  logic [3:0] status;
  wire [7:0] op = job[sl_abi_pkg::SL_LSB_JOB_OP+:8];
  wire [7:0] format = job[sl_abi_pkg::SL_LSB_JOB_FORMAT+:8];
  wire [15:0] flags = job[sl_abi_pkg::SL_LSB_JOB_FLAGS+:16];
  wire [31:0] x_off = job[sl_abi_pkg::SL_LSB_JOB_X_OFF+:32];
  wire [31:0] y_off = job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32];
  wire [15:0] n_tokens = job[sl_abi_pkg::SL_LSB_JOB_N_TOKENS+:16];
  wire [15:0] x_stride = job[sl_abi_pkg::SL_LSB_JOB_X_STRIDE+:16];
  wire [15:0] y_stride = job[sl_abi_pkg::SL_LSB_JOB_Y_STRIDE+:16];
  wire [7:0] top_k = job[sl_abi_pkg::SL_LSB_JOB_TOP_K+:8];
  wire [31:0] list_off = job[sl_abi_pkg::SL_LSB_JOB_LIST_OFF+:32];
  wire [15:0] k = job[sl_abi_pkg::SL_LSB_JOB_K+:16];
  wire [31:0] rows = job[sl_abi_pkg::SL_LSB_JOB_ROWS+:32];
  wire [15:0] slice_first = job[sl_abi_pkg::SL_LSB_JOB_SLICE_FIRST+:16];
  wire [15:0] slice_count = job[sl_abi_pkg::SL_LSB_JOB_SLICE_COUNT+:16];
  wire [31:0] part_stride = job[sl_abi_pkg::SL_LSB_JOB_PART_STRIDE+:32];
  wire [31:0] route_off = job[sl_abi_pkg::SL_LSB_JOB_ROUTE_OFF+:32];
  wire [31:0] slot_off = job[sl_abi_pkg::SL_LSB_JOB_SLOT_OFF+:32];
  wire [15:0] route_token = job[sl_abi_pkg::SL_LSB_JOB_ROUTE_TOKEN+:16];
  wire [7:0] route_choice = job[sl_abi_pkg::SL_LSB_JOB_ROUTE_CHOICE+:8];
  wire [7:0] n_part = job[sl_abi_pkg::SL_LSB_JOB_N_PART+:8];
  wire [15:0] n_expert = job[sl_abi_pkg::SL_LSB_JOB_N_EXPERT+:16];

  wire is_query = op == 8'(sl_abi_pkg::SL_OP_QUERY);
  wire is_expert = op == 8'(sl_abi_pkg::SL_OP_EXPERT);
  wire is_plain = op == 8'(sl_abi_pkg::SL_OP_PLAIN);
  wire is_reduce = op == 8'(sl_abi_pkg::SL_OP_REDUCE);
  wire is_router = op == 8'(sl_abi_pkg::SL_OP_ROUTER);
  wire is_pack = op == 8'(sl_abi_pkg::SL_OP_KV_PACK);
  wire is_unpack = op == 8'(sl_abi_pkg::SL_OP_KV_UNPACK);
  wire is_kv = is_pack || is_unpack;
  wire is_matrix = is_expert || is_plain || is_router;
  wire f_partial = (flags & 16'(sl_abi_pkg::SL_FLAG_PARTIAL)) != 0;
  wire f_indirect = (flags & 16'(sl_abi_pkg::SL_FLAG_INDIRECT)) != 0;
  wire f_list = (flags & 16'(sl_abi_pkg::SL_FLAG_LIST)) != 0;
  wire f_scores = (flags & 16'(sl_abi_pkg::SL_FLAG_SCORES)) != 0;
  wire f_recycle = (flags & 16'(sl_abi_pkg::SL_FLAG_RECYCLE)) != 0;
  wire four_bit = !is_router && format >= 8'(sl_abi_pkg::SL_FORMAT_NF4);
  wire fp8 = format == 8'(sl_abi_pkg::SL_FORMAT_FP8);
  wire attention = is_router && format == 8'(sl_abi_pkg::SL_MODE_ATTENTION);

  // ---- checks that need the job alone
  wire [15:0] flags_allowed =
      is_expert ? 16'(sl_abi_pkg::SL_FLAG_PARTIAL | sl_abi_pkg::SL_FLAG_INDIRECT | sl_abi_pkg::SL_FLAG_LIST
                      | sl_abi_pkg::SL_FLAG_PORT_COUNTERS)
      : is_plain ? 16'(sl_abi_pkg::SL_FLAG_PARTIAL | sl_abi_pkg::SL_FLAG_LIST
                       | sl_abi_pkg::SL_FLAG_PORT_COUNTERS)
      : is_router ? 16'(sl_abi_pkg::SL_FLAG_RENORM | sl_abi_pkg::SL_FLAG_SCORES | sl_abi_pkg::SL_FLAG_RECYCLE
                        | sl_abi_pkg::SL_FLAG_PORT_COUNTERS)
      : 16'(sl_abi_pkg::SL_FLAG_PORT_COUNTERS);
  wire [7:0] n_format = is_expert || is_plain ? 8'(sl_abi_pkg::SL_FORMAT_MXFP4 + 1)
                      : is_router ? 8'(sl_abi_pkg::SL_MODE_ATTENTION + 1)
                      : is_kv ? 8'(sl_abi_pkg::SL_KVREC_INT4 + 1) : 8'd1;
  wire k_blocks = k[4:0] == 0 && k != 0 && k <= 16'(sl_abi_pkg::SL_MAX_K);
  wire rows_blocks = rows[4:0] == 0 && rows != 0 && rows <= sl_abi_pkg::SL_MAX_K;
  wire count_blocks = slice_count[4:0] == 0 && slice_count != 0 && slice_count <= 16'(sl_abi_pkg::SL_MAX_K);
  wire [16:0] slice_end = {1'b0, slice_first} + {1'b0, slice_count};
  wire rows_matrix = rows != 0 && rows <= sl_abi_pkg::SL_MAX_ROWS;
  wire [7:0] topk_max = rows < 8 ? rows[7:0] : 8'(sl_abi_pkg::SL_MAX_TOPK);
  wire shape_ok =
      is_expert ? k_blocks && rows_blocks && count_blocks && slice_first[4:0] == 0
                  && {15'd0, slice_end} <= rows
                  && (!f_indirect || route_choice < 8'(sl_abi_pkg::SL_MAX_TOPK))
      : is_plain ? k_blocks && rows_matrix
      : is_reduce ? rows_matrix && n_part != 0
      : is_router ? k_blocks && rows != 0 && rows <= sl_abi_pkg::SL_MAX_N_EXPERT && top_k != 0
          && top_k <= topk_max && (!f_recycle || slice_count != 0)
      : is_kv ? !k[0] && k != 0 && k <= 16'(sl_abi_pkg::SL_MAX_HEAD_DIM) && rows != 0
          && rows <= sl_abi_pkg::SL_MAX_KV_ROWS
      : 1'b1;

  // n / 2^log2, rounded up: beats that hold n items.
  function automatic logic [18:0] beats(input logic [18:0] n, input logic [3:0] log2);
    beats = (n + (19'd1 << log2) - 19'd1) >> log2;
  endfunction

  // ---- geometry, in beats
  wire [10:0] n_block = k[15:5];
  wire [9:0] k64 = 10'(beats({8'd0, n_block}, 1));
  wire [11:0] x8_item = 12'd1 + 12'(beats({8'd0, n_block}, 6)) + {2'd0, k64};
  wire [18:0] kv_codes = beats({3'd0, k}, format == 0 ? 4'd6 : 4'd7);
  logic [18:0] x_item, y_item;
  logic [14:0] n_x, n_y;          // items
  logic [32:0] x_end, y_last;
  assign y_end = status == 0 ? y_last : {1'b0, y_off};
  wire [18:0] y_rows = is_expert ? {3'd0, k} : rows[18:0];
  wire [18:0] list_beats = beats({12'd0, n_tokens[6:0]}, 4);
  wire [14:0] route_table = 15'(beats({10'd0, rows[8:0]}, 4));

  // A region's rows of K64 columns in the job's format.
  wire [10:0] cols_a = is_router ? {k64, 1'b0} : {1'b0, k64};
  wire [5:0] scales_a = is_router || fp8 ? 6'd0
                        : four_bit ? 6'(beats({9'd0, k64}, 4)) : 6'(beats({9'd0, k64}, 5));
  wire [10:0] row_a = cols_a + {5'd0, scales_a};
  wire two_rows = !is_router && !four_bit;
  wire [11:0] unit_a = two_rows ? {row_a, 1'b0} : {1'b0, row_a};
  wire [9:0] f64 = 10'(beats({8'd0, rows[15:5]}, 1));
  wire [5:0] scales_b = fp8 ? 6'd0 : four_bit ? 6'(beats({9'd0, f64}, 4)) : 6'(beats({9'd0, f64}, 5));
  wire [10:0] row_b = {1'b0, f64} + {5'd0, scales_b};
  wire [11:0] unit_b = two_rows ? {row_b, 1'b0} : {1'b0, row_b};
  wire [17:0] units_a = is_expert ? {2'd0, rows[15:0]} : is_plain ? 18'(beats(rows[18:0], 1))
                        : {8'd0, router_rows};
  wire [9:0] router_rows = attention ? 10'({rows[8:0], 1'b0} + {1'b0, rows[8:0]}) : {1'b0, rows[8:0]};
  // Columns of down that a slice takes.
  wire [9:0] col_first_b = {1'b0, slice_first[14:6]};
  wire [10:0] col_end_b = 11'(beats({2'd0, slice_end}, 6));
  wire [16:0] slice_last = slice_end - 17'd1;
  wire [5:0] scale_first_b = fp8 ? 6'd0 : four_bit ? 6'(slice_first >> 10) : 6'(slice_first >> 11);
  wire [5:0] scale_last_b = four_bit ? 6'(slice_last >> 10) : 6'(slice_last >> 11);
  wire [5:0] n_scale_b = fp8 ? 6'd0 : scale_last_b - scale_first_b + 6'd1;
  wire whole_b = slice_first == 0 && {15'd0, slice_end} == rows;

  logic [31:0] w_off;
  logic [15:0] expert;
  logic [31:0] weight;
  logic [32:0] slab_end;
  logic [31:0] region_b;         // first beat of down
  logic [17:0] lines_a_all, lines_b;
  logic [17:0] line_first, n_line_a;
  logic [4:0] first_port_a, last_port_a, last_port_b;
  logic [31:0] total_a, total_b;
  logic has_bias;
  logic [31:0] rows_at;          // first beat of the units
  logic [63:0] macs;
  logic [6:0] hold;
  logic [239:0] head;            // a slab's header, as far as it is used
  wire [10:0] table_beats = is_router ? 11'(beats({9'd0, router_rows}, 6)) : 11'd0;
  wire [10:0] bias_beats = 11'(beats({10'd0, rows[8:0]}, 4));

  // ---- helpers: one multiplier, one divider by P, one reader of either port
  logic [31:0] mul_a, mul_b;
  logic [63:0] part, product;
  logic [1:0] mul_wait;
  logic div_start, div_done;
  logic [19:0] div_n, quotient;
  logic [4:0] remainder;
  sl_div_ports #(
      .P(P)
  ) u_div (
      .clk(clk),
      .rst_n(rst_n),
      .start(div_start),
      .n(div_n),
      .done(div_done),
      .quotient(quotient),
      .remainder(remainder)
  );

  logic [511:0] got;
  logic got_err;

  // ---- x
  logic load_start, load_stop, load_done, load_bad, load_err;
  logic load_rd_valid;
  logic [31:0] load_rd_addr;
  logic [6:0] load_rd_len;
  logic [5:0] off_at;
  logic [31:0] off[0:63];
  logic [511:0] list[0:3];
  logic [XW-1:0] x_base;
  logic [1:0] x_used, x_take;    // halves of the x memory
  logic x_next;                  // half to use next
  logic [1:0] held[0:3];         // what published jobs hold, oldest first
  logic [2:0] held_wr, held_rd;
  wire [17:0] x_size = product[17:0];
  wire x_fits_half = x_size <= 18'(ENTRIES / 2);
  wire x_over = x_size > 18'(ENTRIES);
  wire [23:0] list_row = list[at[5:4]][32*at[3:0]+:24];
  wire [40:0] row_at = {9'd0, x_off} + product[40:0];

  wire loading = state == LOADING;

  sl_x_load #(
      .T (T),
      .XW(XW)
  ) u_x_load (
      .clk(clk),
      .rst_n(rst_n),
      .stop(load_stop),
      .start(load_start),
      .wide(is_router),
      .n_block(n_block),
      .n_tokens(n_tokens[6:0]),
      .hold(hold),
      .x_base(x_base),
      .listed(f_list),
      .x_off(x_off),
      .x_stride(x_stride),
      .off_at(off_at),
      .off_data(off[off_at]),
      .done(load_done),
      .bad(load_bad),
      .err(load_err),
      .rd_valid(load_rd_valid),
      .rd_ready(rd_ready && loading),
      .rd_addr(load_rd_addr),
      .rd_len(load_rd_len),
      .rsp_valid(rsp_valid && loading),
      .rsp_err(rsp_err),
      .rsp_data(rsp_data),
      .wr_half(wr_half),
      .wr_col(wr_col),
      .wr_at(wr_at),
      .wr_data(wr_data),
      .base_valid(base_valid),
      .base_token(base_token),
      .base(base)
  );

  logic ask;
  logic [31:0] ask_addr;
  logic [6:0] ask_len;
  assign rd_valid = loading ? load_rd_valid : ask;
  assign rd_addr = loading ? load_rd_addr : ask_addr;
  assign rd_len = loading ? load_rd_len : ask_len;
  assign load_stop = !loading;
  assign table_data = side_data;

  wire x_room = (x_used & x_take) == 0 && (!x_over || all_free);
  assign asleep = (state == IDLE || (state == NEXT && !slot_free && index != job_count)
      || (state == X_ROOM && !x_room)) && !publish && !fin && !side_rearm;

  wire [32:0] list_end = {1'b0, job_off} + {job_count, 1'b0};
  wire ctl_waiting = state == SCAN || state == WAIT_READ || state == LIST_GOT || state == LOADING;
  wire side_waiting = state == WAIT_SIDE || state == TABLES_GOT || state == BIAS_GOT;
  assign side_late = overdue && side_waiting;

  wire signed [15:0] u_h = head[sl_abi_pkg::SL_LSB_SLAB_U_H+:16];
  wire head_ok =
      head[sl_abi_pkg::SL_LSB_SLAB_MAGIC+:32] == sl_abi_pkg::SL_SLAB_MAGIC
      && head[sl_abi_pkg::SL_LSB_SLAB_KIND+:8] == (is_router ? 8'(sl_abi_pkg::SL_KIND_ROUTER)
                                                  : is_expert ? 8'(sl_abi_pkg::SL_KIND_EXPERT)
                                                  : 8'(sl_abi_pkg::SL_KIND_PLAIN))
      && head[sl_abi_pkg::SL_LSB_SLAB_FORMAT+:8] == (is_router ? 8'd0 : format)
      && head[sl_abi_pkg::SL_LSB_SLAB_K+:32] == {16'd0, k}
      && head[sl_abi_pkg::SL_LSB_SLAB_ROWS+:32] == (is_router ? {22'd0, router_rows} : rows)
      && (head[sl_abi_pkg::SL_LSB_SLAB_FLAGS+:16]
          & ~(is_router ? 16'(sl_abi_pkg::SL_SLAB_HAS_BIAS) : 16'd0)) == 0
      && (!is_expert || (u_h >= $signed(16'(sl_abi_pkg::SL_U_H_MIN))
                         && u_h <= $signed(16'(sl_abi_pkg::SL_U_H_MAX))));

  wire [10:0] n_col_b = col_end_b - {1'b0, col_first_b};
  wire signed [9:0] u = $signed(u_h[9:0]) - $signed({2'b00, job[sl_abi_pkg::SL_LSB_JOB_U_H_DROP+:8]});

  // Assembled once a job, in the cycle in which publish rises.
  always_ff @(posedge clk) begin
    if (state == PUBLISH) begin
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_REGION+:32] <= rows_at;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_TOTAL+:32] <= total_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_LINE+:18] <= n_line_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_UNIT_BEATS+:12] <= unit_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_ROW_BEATS+:11] <= row_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_SCALE_BEATS+:6] <= scales_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_SCALE+:6] <= scales_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_COL+:11] <= cols_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_TWO_ROWS] <= two_rows;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_WHOLE] <= 1'b1;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_FIRST_PORT+:5] <= first_port_a;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_LAST_PORT+:5] <= last_port_a;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_REGION+:32] <= region_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_TOTAL+:32] <= total_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_LINE+:18] <= lines_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_UNIT_BEATS+:12] <= unit_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_ROW_BEATS+:11] <= row_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_SCALE_BEATS+:6] <= scales_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_SCALE_FIRST+:6] <= scale_first_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_SCALE+:6] <= n_scale_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_COL_FIRST+:11] <= {1'b0, col_first_b};
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_COL+:11] <= n_col_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_TWO_ROWS] <= two_rows;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_WHOLE] <= whole_b;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_LAST_PORT+:5] <= last_port_b;
      ctx[sl_ctx::CTX_OP+:3] <= op[2:0];
      ctx[sl_ctx::CTX_FORMAT+:3] <= format[2:0];
      ctx[sl_ctx::CTX_MATRIX] <= is_matrix && status == 0;
      ctx[sl_ctx::CTX_N_TOKENS+:7] <= n_tokens[6:0];
      ctx[sl_ctx::CTX_HOLD+:7] <= hold;
      ctx[sl_ctx::CTX_X_BASE+:16] <= 16'(x_base);
      ctx[sl_ctx::CTX_STATUS+:4] <= status;
      ctx[sl_ctx::CTX_EXPERT+:16] <= expert;
      ctx[sl_ctx::CTX_WEIGHT+:32] <= weight;
      ctx[sl_ctx::CTX_MACS+:64] <= macs;
      ctx[sl_ctx::CTX_MANT0+:48] <= is_router ? 48'd1 : head[sl_abi_pkg::SL_LSB_SLAB_MANT0+:48];
      ctx[sl_ctx::CTX_EXP0+:48] <= is_router ? 48'd0 : head[sl_abi_pkg::SL_LSB_SLAB_EXP0+:48];
      ctx[sl_ctx::CTX_U+:10] <= u;
      ctx[sl_ctx::CTX_ODD] <= slice_first[5];
      ctx[sl_ctx::CTX_N_BLOCK+:11] <= slice_count[15:5];
      ctx[sl_ctx::CTX_ROWS+:19] <= is_expert ? {3'd0, k} : is_router ? {9'd0, router_rows} : rows[18:0];
      ctx[sl_ctx::CTX_HAS_BIAS] <= has_bias;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_SCALE_FIRST+:6] <= 6'd0;
      ctx[sl_ctx::CTX_PASS_A+sl_ctx::PASS_COL_FIRST+:11] <= 11'd0;
      ctx[sl_ctx::CTX_PASS_B+sl_ctx::PASS_FIRST_PORT+:5] <= 5'd0;
    end
  end

  task automatic finish(input logic [3:0] code);
    begin
      status <= code;
      state <= PUBLISH;
    end
  endtask

  task automatic multiply(input logic [31:0] a, input logic [31:0] b, input logic [5:0] then_state);
    begin
      mul_a <= a;
      mul_b <= b;
      mul_wait <= 2'd2;  // two register stages
      after <= then_state;
      state <= MULTIPLY;
    end
  endtask

  task automatic divide(input logic [19:0] n, input logic [5:0] then_state);
    begin
      div_n <= n;
      div_start <= 1'b1;
      after <= then_state;
      state <= DIVIDE;
    end
  endtask

  task automatic read_ctl(input logic [31:0] addr, input logic [6:0] len, input logic [5:0] then_state);
    begin
      ask <= 1'b1;
      ask_addr <= addr;
      ask_len <= len;
      after <= then_state;
      state <= WAIT_READ;
    end
  endtask

  always_ff @(posedge clk) begin
    part <= {32'd0, mul_a} * {32'd0, mul_b};
    product <= part;
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= IDLE;
      ask <= 1'b0;
      side_valid <= 1'b0;
      publish <= 1'b0;
      fin <= 1'b0;
      quit <= 1'b0;
      x_used <= '0;
      x_next <= 1'b0;
      held_wr <= '0;
      held_rd <= '0;
      div_start <= 1'b0;
      load_start <= 1'b0;
      row_exp_valid <= 1'b0;
      bias_valid <= 1'b0;
    end else begin
      publish <= 1'b0;
      side_rearm <= 1'b0;
      fin <= 1'b0;
      div_start <= 1'b0;
      load_start <= 1'b0;
      row_exp_valid <= 1'b0;
      bias_valid <= 1'b0;
      if (rd_ready && state != LOADING) ask <= 1'b0;
      if (side_ready) side_valid <= 1'b0;
      if (x_release) begin
        x_used <= x_used & ~held[held_rd[1:0]];
        held_rd <= held_rd + 1'b1;
      end
      case (state)
        IDLE:
        if (go) begin
          counters <= 1'b0;
          dirty <= 1'b0;
          scan_status <= 4'(sl_abi_pkg::SL_STATUS_OK);
          got_err <= 1'b1;  // until the scan has seen the first job
          index <= '0;
          at <= '0;
          if (job_count == 0 || job_count > sl_abi_pkg::SL_MAX_JOBS || list_end > {1'b0, ctl_limit}) begin
            fin <= 1'b1;
          end else if (ctl_dead) state <= NEXT;
          else begin
            ask <= 1'b1;
            ask_addr <= job_off;
            ask_len <= job_count > 64 ? 7'd64 : job_count[6:0];
            state <= SCAN;
          end
        end
        SCAN:
        if (rsp_valid) begin
          dirty <= dirty || (!rsp_err && (rsp_data[sl_abi_pkg::SL_LSB_JOB_FLAGS+:16]
              & 16'(sl_abi_pkg::SL_FLAG_PORT_COUNTERS)) != 0);
          if (rsp_err) scan_status <= 4'(sl_abi_pkg::SL_STATUS_BUS_ERROR);
          if (at == 0) begin
            got <= rsp_data;  // the first job: it is not read again
            got_err <= rsp_err;
          end
          at <= at + 1'b1;
          if (at + 1'b1 == job_count) state <= SCAN_FITS;
          else if (at[5:0] == 6'd63) begin
            ask <= 1'b1;
            ask_addr <= job_off + at + 1'b1;
            ask_len <= job_count - at - 1'b1 > 64 ? 7'd64 : 7'(job_count - at - 1'b1);
          end
        end
        SCAN_FITS: multiply(job_count, COUNTER_BEATS, SCAN_LAST);
        SCAN_LAST: begin
          counters <= dirty;
          state <= NEXT;
          if (dirty && {31'd0, list_end} + product > {32'd0, ctl_limit}) begin
            fin <= 1'b1;
            state <= IDLE;
          end
        end
        NEXT:
        if (index == job_count) begin
          fin <= 1'b1;
          state <= IDLE;
        end else if (slot_free) begin
          job <= '0;
          x_take <= '0;
          expert <= '0;
          weight <= '0;
          macs <= '0;
          overdue <= 1'b0;
          if (ctl_dead) finish(4'(sl_abi_pkg::SL_STATUS_PORT_DEAD));
          else if (index == 0 && !got_err) state <= FETCH;
          else read_ctl(job_off + index, 7'd1, FETCH);
        end
        FETCH:
        if (got_err) finish(4'(sl_abi_pkg::SL_STATUS_BUS_ERROR));
        else begin
          job <= got;
          state <= PARSED;
        end
        PARSED: begin
          w_off <= job[sl_abi_pkg::SL_LSB_JOB_W_OFF+:32];
          hold <= 7'(beats({12'd0, n_tokens[6:0]}, 4'(LOG2_T)));
          state <= CHECK;
          if (w_dead) finish(4'(sl_abi_pkg::SL_STATUS_PORT_DEAD));
          else if (scan_status != 0 && !counters
              && (flags & 16'(sl_abi_pkg::SL_FLAG_PORT_COUNTERS)) != 0)
            finish(scan_status);
        end
        CHECK: begin
          state <= ITEMS;
          if (op < 8'(sl_abi_pkg::SL_OP_QUERY) || op > 8'(sl_abi_pkg::SL_OP_KV_UNPACK))
            finish(4'(sl_abi_pkg::SL_STATUS_BAD_OP));
          else if (format >= n_format) finish(4'(sl_abi_pkg::SL_STATUS_BAD_FORMAT));
          else if ((flags & ~flags_allowed) != 0) finish(4'(sl_abi_pkg::SL_STATUS_BAD_FLAGS));
          else if (!is_query && (n_tokens == 0
              || n_tokens > (f_indirect ? 16'd1 : 16'(sl_abi_pkg::SL_MAX_TOKENS))))
            finish(4'(sl_abi_pkg::SL_STATUS_BAD_TOKENS));
          else if (!shape_ok) finish(4'(sl_abi_pkg::SL_STATUS_BAD_SHAPE));
        end
        ITEMS: begin
          n_x <= {8'd0, n_tokens[6:0]};
          n_y <= {8'd0, n_tokens[6:0]};
          x_item <= {7'd0, x8_item};
          y_item <= f_partial ? beats(y_rows, 3) : beats(y_rows, 4);
          if (is_reduce) x_item <= beats(y_rows, 3);
          if (is_router) x_item <= {7'd0, x8_item} + {9'd0, k64};
          if (is_pack) begin
            x_item <= 19'd1 + beats({3'd0, k}, 5);
            y_item <= kv_codes + 19'd1;
          end
          if (is_unpack) begin
            x_item <= kv_codes + 19'd1;
            y_item <= beats({3'd0, k}, 4);
          end
          if (is_query) begin
            n_x <= '0;
            n_y <= 15'd1;
            y_item <= 19'd1;
          end
          if (is_router) n_y <= 15'd1;
          // KV: items of all tokens. ROUTER: list entries.
          multiply({16'd0, n_tokens}, is_router ? {24'd0, top_k} : rows, ITEMS2);
        end
        ITEMS2: begin
          if (is_kv) begin
            n_x <= product[14:0];
            n_y <= product[14:0];
          end
          if (is_router)
            y_item <= {12'd0, n_tokens[6:0]} + {4'd0, route_table} + beats({3'd0, product[15:0]}, 4);
          // ROUTER: beats of the scores.
          multiply({16'd0, n_tokens}, {17'd0, route_table}, SPAN_X);
        end
        SPAN_X: begin
          if (is_router && f_scores) y_item <= y_item + product[18:0];
          multiply(n_x == 0 ? 32'd0 : {17'd0, n_x} - 32'd1, {16'd0, x_stride}, SPAN_Y);
        end
        SPAN_Y: begin
          x_end <= is_query ? 33'd0 : {1'b0, x_off} + 33'(product[31:0]) + {14'd0, x_item};
          if (n_x > 1 && {3'd0, x_stride} < x_item) finish(4'(sl_abi_pkg::SL_STATUS_BAD_SHAPE));
          else if (n_y > 1 && {3'd0, y_stride} < y_item) finish(4'(sl_abi_pkg::SL_STATUS_BAD_SHAPE));
          else multiply({17'd0, n_y} - 32'd1, {16'd0, y_stride}, SPAN_PART);
        end
        SPAN_PART: begin
          y_last <= {1'b0, y_off} + 33'(product[31:0]) + {14'd0, y_item};
          if (is_reduce && n_part > 1 && part_stride < {13'd0, x_item})
            finish(4'(sl_abi_pkg::SL_STATUS_BAD_SHAPE));
          else multiply(is_reduce ? {24'd0, n_part} - 32'd1 : 32'd0, part_stride, ADDRESS);
        end
        ADDRESS: begin
          if (y_last > {1'b0, ctl_limit}
              || (f_list ? {1'b0, list_off} + {14'd0, list_beats} > {1'b0, ctl_limit}
                         : {31'd0, x_end} + product > {32'd0, ctl_limit})
              || (f_indirect && ({1'b0, route_off} + {17'd0, route_token} >= {1'b0, ctl_limit}
                                 || {1'b0, slot_off} + {14'd0, beats({3'd0, n_expert}, 4)}
                                    > {1'b0, ctl_limit})))
            finish(4'(sl_abi_pkg::SL_STATUS_BAD_ADDRESS));
          else begin
            if (f_indirect) read_ctl(route_off + {16'd0, route_token}, 7'd1, ROUTE_GOT);
            else if (is_matrix) state <= GEOMETRY;
            else finish(4'(sl_abi_pkg::SL_STATUS_OK));
          end
        end
        ROUTE_GOT:
        if (got_err) finish(4'(sl_abi_pkg::SL_STATUS_BUS_ERROR));
        else begin
          expert <= got[sl_abi_pkg::SL_LSB_ROUTE_EXPERT0+16*route_choice[2:0]+:16];
          weight <= got[sl_abi_pkg::SL_LSB_ROUTE_WEIGHT0+32*route_choice[2:0]+:32];
          state <= ROUTE;
        end
        ROUTE:
        if (expert >= n_expert) finish(4'(sl_abi_pkg::SL_STATUS_BAD_ROUTE));
        else read_ctl(slot_off + {20'd0, expert[15:4]}, 7'd1, SLOT_GOT);
        SLOT_GOT: begin
          w_off <= got[32*expert[3:0]+:32];
          state <= GEOMETRY;
          if (got_err) finish(4'(sl_abi_pkg::SL_STATUS_BUS_ERROR));
          else if (got[32*expert[3:0]+:32] == sl_abi_pkg::SL_SLOT_ABSENT)
            finish(4'(sl_abi_pkg::SL_STATUS_MISS));
        end

        // Size of the slab: lines of each region, rounded up to whole lines on every port.
        GEOMETRY: divide({2'd0, units_a} - 20'd1, LINES);
        LINES: begin
          lines_a_all <= quotient[17:0] + 18'd1;
          last_port_a <= remainder;
          multiply({12'd0, quotient} + 32'd1, {20'd0, unit_a}, REGION_A);
        end
        REGION_A: begin
          region_b <= w_off + 32'd1 + product[31:0];
          slab_end <= {1'b0, w_off} + 33'd1 + {22'd0, table_beats} + product[32:0]
              + 33'(sl_abi_pkg::SL_SLACK_BEATS);
          if (is_expert) divide({5'd0, k[15:1]} - 20'd1, LINES_B);
          else state <= SLAB;
        end
        LINES_B: begin
          lines_b <= quotient[17:0] + 18'd1;
          last_port_b <= remainder;
          multiply({12'd0, quotient} + 32'd1, {20'd0, unit_b}, REGION_B);
        end
        REGION_B: begin
          total_b <= product[31:0];
          slab_end <= slab_end + product[32:0];
          state <= SLAB;
        end
        SLAB:
        if (slab_end > {1'b0, w_limit}) finish(4'(sl_abi_pkg::SL_STATUS_BAD_ADDRESS));
        else state <= HEAD;
        HEAD:
        if (w_dead) finish(4'(sl_abi_pkg::SL_STATUS_PORT_DEAD));
        else if (!w_flush) begin
          side_valid <= 1'b1;
          side_addr <= w_off;
          side_len <= 7'd1;
          state <= WAIT_SIDE;
        end
        WAIT_SIDE:
        if (side_rsp) begin
          head <= side_data[239:0];
          got_err <= side_err;
          state <= HEAD_GOT;
        end
        HEAD_GOT: begin
          has_bias <= is_router && (head[sl_abi_pkg::SL_LSB_SLAB_FLAGS+:16]
              & 16'(sl_abi_pkg::SL_SLAB_HAS_BIAS)) != 0;
          rows_at <= w_off + 32'd1 + {21'd0, table_beats};
          state <= is_router ? BIAS_END : FIRST_LINE;
          if (overdue) finish(4'(sl_abi_pkg::SL_STATUS_TIMEOUT));
          else if (got_err) finish(4'(sl_abi_pkg::SL_STATUS_BUS_ERROR));
          else if (!head_ok) finish(4'(sl_abi_pkg::SL_STATUS_BAD_HEADER));
        end
        // A router's tables. The stages behind have one copy, so earlier jobs must be through with theirs.
        BIAS_END:
        if (has_bias && slab_end + {22'd0, bias_beats} > {1'b0, w_limit})
          finish(4'(sl_abi_pkg::SL_STATUS_BAD_HEADER));
        else begin
          if (has_bias) rows_at <= rows_at + {21'd0, bias_beats};
          state <= TABLES;
        end
        TABLES:
        if (w_dead) finish(4'(sl_abi_pkg::SL_STATUS_PORT_DEAD));
        else if (all_free && !w_flush) begin
          side_valid <= 1'b1;
          side_addr <= w_off + 32'd1;
          side_len <= 7'(table_beats + (has_bias ? bias_beats : 11'd0));
          at <= '0;
          got_err <= 1'b0;
          state <= TABLES_GOT;
        end
        TABLES_GOT: begin
          row_exp_valid <= side_rsp;
          row_exp_at <= at[3:0];
          if (side_rsp) begin
            got_err <= got_err || side_err;
            at <= at + 1'b1;
            if (at + 1'b1 == {21'd0, table_beats}) begin
              at <= '0;
              state <= has_bias ? BIAS_GOT : FIRST_LINE;
            end
          end
        end
        BIAS_GOT: begin
          bias_valid <= side_rsp;
          bias_at <= at[3:0];
          if (side_rsp) begin
            got_err <= got_err || side_err;
            at <= at + 1'b1;
            if (at + 1'b1 == {21'd0, bias_beats}) state <= FIRST_LINE;
          end
        end

        // The passes.
        FIRST_LINE:
        if (overdue) finish(4'(sl_abi_pkg::SL_STATUS_TIMEOUT));
        else if (got_err) finish(4'(sl_abi_pkg::SL_STATUS_BUS_ERROR));
        else begin
          line_first <= '0;
          first_port_a <= '0;
          n_line_a <= lines_a_all;
          if (is_expert) divide({4'd0, slice_first}, LAST_LINE);
          else state <= PLAN_A;
        end
        LAST_LINE: begin
          line_first <= quotient[17:0];
          first_port_a <= remainder;
          divide({3'd0, slice_last}, PLAN_A);
        end
        PLAN_A: begin
          if (is_expert) begin
            n_line_a <= quotient[17:0] - line_first + 18'd1;
            last_port_a <= remainder;
          end
          multiply({14'd0, line_first}, {20'd0, unit_a}, PLAN_B);
        end
        PLAN_B: begin
          rows_at <= rows_at + product[31:0];
          multiply({14'd0, n_line_a}, {20'd0, unit_a}, TOTAL_A);
        end
        TOTAL_A: begin
          total_a <= product[31:0];
          multiply({16'd0, n_tokens}, {16'd0, k}, MACS);
        end
        MACS: begin
          macs <= product;
          multiply(product[31:0], is_expert ? {16'd0, slice_count} : is_router ? {22'd0, router_rows}
              : rows, MACS2);
        end
        MACS2: begin
          macs <= product;
          state <= MACS3;
        end
        MACS3: begin
          if (is_expert) macs <= {macs[62:0], 1'b0} + macs;
          multiply({21'd0, cols_a}, {25'd0, hold}, X_SIZE);
        end

        // Room for x: half of the memory where that is enough, so that the next job's x can be loaded
        // meanwhile.
        X_SIZE: begin
          x_take <= x_fits_half ? (x_next ? 2'b10 : 2'b01) : 2'b11;
          x_base <= x_fits_half && x_next ? XW'(ENTRIES / 2) : '0;
          state <= X_ROOM;
        end
        X_ROOM:
        if (x_room) begin
          at <= '0;
          if (f_list) begin
            ask <= 1'b1;
            ask_addr <= list_off;
            ask_len <= list_beats[6:0];
            got_err <= 1'b0;
            state <= LIST_GOT;
          end else state <= LOAD;
        end
        LIST_GOT:
        if (rsp_valid) begin
          list[at[1:0]] <= rsp_data;
          got_err <= got_err || rsp_err;
          at <= at + 1'b1;
          if (7'(at + 1'b1) == list_beats[6:0]) begin
            at <= '0;
            dirty <= 1'b0;
            state <= LIST_ROW;
          end
        end
        LIST_ROW: multiply({8'd0, list_row}, {16'd0, x_stride}, LIST_CHECK);
        LIST_CHECK: begin
          off[at[5:0]] <= row_at[31:0];
          if (row_at + {22'd0, x_item} > {9'd0, ctl_limit}) dirty <= 1'b1;
          at <= at + 1'b1;
          state <= LIST_ROW;
          if (7'(at) + 7'd1 == n_tokens[6:0]) begin
            state <= LOAD;
            if (got_err) finish(4'(sl_abi_pkg::SL_STATUS_BUS_ERROR));
            else if (dirty || row_at + {22'd0, x_item} > {9'd0, ctl_limit})
              finish(4'(sl_abi_pkg::SL_STATUS_BAD_LIST));
          end
        end
        LOAD: begin
          load_start <= 1'b1;
          state <= LOADING;
        end
        LOADING:
        if (load_done) begin
          finish(load_err ? 4'(sl_abi_pkg::SL_STATUS_BUS_ERROR)
              : load_bad ? 4'(sl_abi_pkg::SL_STATUS_BAD_ACTIVATION)
                 : 4'(sl_abi_pkg::SL_STATUS_OK));
        end

        // What was asked for is drained before the next read.
        QUIT:
        if (ctl_idle || ctl_dead) begin
          quit <= 1'b0;
          if (scanning) begin  // without per-port counters
            scan_status <= 4'(sl_abi_pkg::SL_STATUS_TIMEOUT);
            state <= NEXT;
          end else finish(4'(sl_abi_pkg::SL_STATUS_TIMEOUT));
        end
        PUBLISH: begin
          publish <= 1'b1;
          index <= index + 1'b1;
          if (status == 0 && is_matrix) begin
            held[held_wr[1:0]] <= x_take;
            held_wr <= held_wr + 1'b1;
            x_used <= (x_release ? x_used & ~held[held_rd[1:0]] : x_used) | x_take;
            if (x_fits_half) x_next <= !x_next;
          end
          state <= NEXT;
        end
        WAIT_READ:
        if (rsp_valid) begin
          got <= rsp_data;
          got_err <= rsp_err;
          state <= after;
        end
        MULTIPLY: begin
          mul_wait <= mul_wait - 1'b1;
          if (mul_wait == 1) state <= after;
        end
        default: if (div_done) state <= after;
      endcase
      // Deadlines.
      if (ctl_waiting && ctl_late) begin
        ask <= 1'b0;
        quit <= 1'b1;
        state <= QUIT;
        scanning <= state == SCAN;
      end else if (ctl_waiting && ctl_dead) begin
        ask <= 1'b0;
        if (state == SCAN) state <= NEXT;
        else finish(4'(sl_abi_pkg::SL_STATUS_PORT_DEAD));
      end
      if (side_waiting && w_expired && array_idle && !overdue && !w_flush && !w_dead) begin
        overdue <= 1'b1;
        side_rearm <= 1'b1;
      end
      if (side_waiting && (w_flush || w_dead)) begin
        side_valid <= 1'b0;
        state <= state == WAIT_SIDE ? HEAD : TABLES;
        if (overdue) finish(4'(sl_abi_pkg::SL_STATUS_TIMEOUT));
        else if (w_dead) finish(4'(sl_abi_pkg::SL_STATUS_PORT_DEAD));
      end
    end
  end

endmodule
