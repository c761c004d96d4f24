// SPDX-License-Identifier: Apache-2.0
// Addresses of one port's weight stream: the bursts of a job's one or two passes, in the order in which the
// array uses them. Runs ahead of the array: a burst is asked for as soon as the stream FIFO has room for all
// of it.
// A whole pass is one linear range; a slice is, line by line and row by row, a range of scale beats and one
// of code beats. Throughput: one burst of at most 64 beats every second cycle. Backpressure: waits for credit
// and for req_ready.
module sl_weight_gen #(
    parameter int PORT = 0,
    parameter int DEPTH = 512  // places of the stream FIFO
) (
    input  logic                           clk,
    input  logic                           rst_n,
    input  logic                           flush,     // forgets the job; all places count as free again
    input  logic                           start,     // takes the passes; only while idle
    input  logic [2*sl_ctx::PASS_W-1:0] passes,  // A, then B; stable for one cycle after start
    input  logic                           two,       // B takes part
    input  logic [57:0]                    base,      // arena base in beats
    output logic                           busy,
    output logic                           req_valid,
    input  logic                           req_ready,
    output logic [57:0]                    req_beat,
    output logic [ 6:0]                    req_len,
    input  logic                           pop        // the array took a beat out of the FIFO
);
  localparam int CW = $clog2(DEPTH) + 1;
  localparam logic [4:0] PORT_ID = PORT[4:0];

  typedef enum logic [1:0] {IDLE, PASS, ROW, SEGMENT} state_t;
  state_t state;
  logic [2*sl_ctx::PASS_W-1:0] todo;  // the pass at work in the low half
  logic codes, in_row2;
  logic [17:0] lines;
  logic [31:0] row_at;      // first beat of the row
  logic [31:0] at, left;    // the rest of the segment
  logic [CW-1:0] credit;
  logic more;               // a pass follows

  wire [31:0] p_region = todo[sl_ctx::PASS_REGION+:32];
  wire [11:0] p_unit = todo[sl_ctx::PASS_UNIT_BEATS+:12];
  wire skip_first = PORT_ID < todo[sl_ctx::PASS_FIRST_PORT+:5];
  wire skip_last = PORT_ID > todo[sl_ctx::PASS_LAST_PORT+:5];
  wire [17:0] p_lines = todo[sl_ctx::PASS_N_LINE+:18];
  wire none = p_lines == 1 && (skip_first || skip_last) || p_lines == 2 && skip_first && skip_last;
  wire [31:0] skipped = (skip_first ? {20'd0, p_unit} : 32'd0) + (skip_last ? {20'd0, p_unit} : 32'd0);

  wire [57:0] beat = base + {26'd0, at};
  wire [6:0] to_page = 7'd64 - {1'b0, beat[5:0]};
  wire [6:0] len = left < {25'd0, to_page} ? left[6:0] : to_page;
  wire ask = state == SEGMENT && left != 0 && (!req_valid || req_ready) && {{(CW - 7) {1'b0}}, len} <= credit;
  wire row_done = !todo[sl_ctx::PASS_TWO_ROWS] || in_row2;

  assign busy = state != IDLE;

  always_ff @(posedge clk) begin
    if (ask) begin
      req_beat <= beat;
      req_len <= len;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n || flush) begin
      state <= IDLE;
      req_valid <= 1'b0;
      credit <= DEPTH[CW-1:0];
    end else begin
      if (ask) req_valid <= 1'b1;
      else if (req_ready) req_valid <= 1'b0;
      if (ask || pop) credit <= credit - (ask ? {{(CW - 7) {1'b0}}, len} : '0)
          + (pop ? {{(CW - 1) {1'b0}}, 1'b1} : '0);
      case (state)
        IDLE:
        if (start) begin
          todo <= passes;
          more <= two;
          state <= PASS;
        end
        PASS: begin
          lines <= p_lines - {17'd0, skip_first} - {17'd0, skip_last};
          row_at <= p_region + (skip_first ? {20'd0, p_unit} : 32'd0);
          in_row2 <= 1'b0;
          codes <= todo[sl_ctx::PASS_WHOLE] || todo[sl_ctx::PASS_N_SCALE+:6] == 0;
          at <= p_region + (skip_first ? {20'd0, p_unit} : 32'd0);
          left <= none ? 32'd0 : todo[sl_ctx::PASS_TOTAL+:32] - skipped;
          state <= none || todo[sl_ctx::PASS_WHOLE] ? SEGMENT : ROW;
          if (none) lines <= 18'd1;
        end
        ROW: begin
          at <= row_at + (codes ? {26'd0, todo[sl_ctx::PASS_SCALE_BEATS+:6]}
                                   + {21'd0, todo[sl_ctx::PASS_COL_FIRST+:11]}
                                : {26'd0, todo[sl_ctx::PASS_SCALE_FIRST+:6]});
          left <= codes ? {21'd0, todo[sl_ctx::PASS_N_COL+:11]} : {26'd0, todo[sl_ctx::PASS_N_SCALE+:6]};
          state <= SEGMENT;
        end
        default: begin
          if (ask) begin
            at <= at + {25'd0, len};
            left <= left - {25'd0, len};
          end else if (left == 0) begin
            if (!todo[sl_ctx::PASS_WHOLE] && !none && !codes) begin
              codes <= 1'b1;
              state <= ROW;
            end else if (!todo[sl_ctx::PASS_WHOLE] && !none && !(row_done && lines == 1)) begin
              row_at <= row_at + {21'd0, todo[sl_ctx::PASS_ROW_BEATS+:11]};
              in_row2 <= !row_done;
              if (row_done) lines <= lines - 1'b1;
              codes <= todo[sl_ctx::PASS_N_SCALE+:6] == 0;
              state <= ROW;
            end else begin
              todo <= {{sl_ctx::PASS_W{1'b0}}, todo[sl_ctx::PASS_W+:sl_ctx::PASS_W]};
              more <= 1'b0;
              state <= more ? PASS : IDLE;
            end
          end
        end
      endcase
    end
  end
endmodule
