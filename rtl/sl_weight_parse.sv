// SPDX-License-Identifier: Apache-2.0
// Separates scale beats from code beats at the head of a port's stream and puts each code beat beside its
// scale bytes.
// Scale beats of a row come first (docs/numerics.md 2.4) and are kept until its last code beat; they are
// taken in one a
// cycle, while the array still works on the beat it has copied.
// Latency: none for code beats (the FIFO's head is the output). Backpressure: code beats wait for `take`.
module sl_weight_parse #(
    parameter int PORT = 0
) (
    input  logic                        clk,
    input  logic                        rst_n,
    input  logic                        flush,
    input  logic                        start,   // the array begins a job; only while not busy
    input  logic [2*sl_ctx::PASS_W-1:0] passes,  // stable from start until the job's last beat
    input  logic                        two,
    input  logic                        four_bit,
    // head of the stream
    input  logic                        in_valid,
    input  logic [               511:0] in_data,
    output logic                        in_pop,
    // code beats: in_data with the scale bytes of its groups, {high row g1, g0, low row g1, g0}
    output logic                        beat_valid,
    output logic [                31:0] scales,
    input  logic                        take
);
  localparam logic [4:0] PORT_ID = PORT[4:0];

  logic [511:0] scale_mem[0:31];
  logic busy, in_b, load;
  logic [18:0] rows_left;
  logic [5:0] scale_left, n_scale;
  logic [4:0] scale_at, scale_first;
  logic [10:0] col, cols_left, col_first, n_col;

  wire scale_take = busy && !load && scale_left != 0 && in_valid;
  wire row_end = take && cols_left == 1;

  // Code beat c of a row has groups 2c and 2c + 1: bytes 4c .. 4c + 3 of the scales (4-bit: interleaved
  // by row) or 2c,
  // 2c + 1.
  wire [4:0] rel = (four_bit ? col[8:4] : col[9:5]) - scale_first;
  wire [31:0] quad = scale_mem[rel][32*col[3:0]+:32];
  wire [15:0] duo = scale_mem[rel][16*col[4:0]+:16];

  assign beat_valid = busy && !load && scale_left == 0 && in_valid;
  assign in_pop = scale_take || take;
  assign scales = four_bit ? {quad[31:24], quad[15:8], quad[23:16], quad[7:0]} : {16'd0, duo};

  always_ff @(posedge clk) begin
    if (scale_take) scale_mem[scale_at] <= in_data;
  end

  always_ff @(posedge clk) begin
    if (!rst_n || flush) begin
      busy <= 1'b0;
      load <= 1'b0;
    end else if (start) begin
      busy <= 1'b1;
      in_b <= 1'b0;
      load <= 1'b1;
    end else if (load) begin
      // This port's share of the pass: see sl_weight_gen.
      logic [sl_ctx::PASS_W-1:0] p;
      logic skip_first, skip_last, none;
      logic [17:0] n, lines;
      p = in_b ? passes[sl_ctx::CTX_PASS_B+:sl_ctx::PASS_W] : passes[sl_ctx::CTX_PASS_A+:sl_ctx::PASS_W];
      skip_first = PORT_ID < p[sl_ctx::PASS_FIRST_PORT+:5];
      skip_last = PORT_ID > p[sl_ctx::PASS_LAST_PORT+:5];
      n = p[sl_ctx::PASS_N_LINE+:18];
      lines = n - {17'd0, skip_first} - {17'd0, skip_last};
      none = (n == 1 && (skip_first || skip_last)) || (n == 2 && skip_first && skip_last);
      rows_left <= p[sl_ctx::PASS_TWO_ROWS] ? {lines, 1'b0} : {1'b0, lines};
      n_scale <= p[sl_ctx::PASS_N_SCALE+:6];
      scale_left <= p[sl_ctx::PASS_N_SCALE+:6];
      scale_first <= p[sl_ctx::PASS_SCALE_FIRST+:5];
      scale_at <= '0;
      col_first <= p[sl_ctx::PASS_COL_FIRST+:11];
      col <= p[sl_ctx::PASS_COL_FIRST+:11];
      n_col <= p[sl_ctx::PASS_N_COL+:11];
      cols_left <= p[sl_ctx::PASS_N_COL+:11];
      load <= none && !in_b && two;
      in_b <= in_b || (none && two);
      busy <= !none || (!in_b && two);
    end else begin
      if (scale_take) begin
        scale_left <= scale_left - 1'b1;
        scale_at <= scale_at + 1'b1;
      end
      if (row_end) begin
        rows_left <= rows_left - 1'b1;
        scale_left <= n_scale;
        scale_at <= '0;
        col <= col_first;
        cols_left <= n_col;
        if (rows_left == 1) begin
          load <= two && !in_b;
          in_b <= 1'b1;
          busy <= two && !in_b;
        end
      end else if (take) begin
        col <= col + 1'b1;
        cols_left <= cols_left - 1'b1;
      end
    end
  end
endmodule
