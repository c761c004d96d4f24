// SPDX-License-Identifier: Apache-2.0
// Addresses of one port's weight stream: the bursts of a job's one or two passes, in the order in which
// the array uses
// them. Runs ahead of the array: a burst is asked for as soon as the stream FIFO has room for all of it.
// A whole pass is one linear range; a slice is, line by line and row by row, a range of scale beats and
// one of code beats.
// Throughput: one burst of at most 64 beats every second cycle. Backpressure: waits for credit and for
// req_ready.
module sl_weight_gen #(
    parameter int PORT = 0,
    parameter int DEPTH = 512  // places of the stream FIFO
) (
    input  logic                        clk,
    input  logic                        rst_n,
    input  logic                        flush,   // forgets the job; all places count as free again
    input  logic                        start,   // takes the job; only while not busy
    input  logic [2*sl_ctx::PASS_W-1:0] passes,  // A, then B; stable from start until not busy
    input  logic                        two,     // B takes part
    input  logic [                57:0] base,    // arena base in beats
    output logic                        busy,
    output logic                        req_valid,
    input  logic                        req_ready,
    output logic [                57:0] req_beat,
    output logic [                 6:0] req_len,
    input  logic                        pop      // the array took a beat out of the FIFO
);
  localparam int CW = $clog2(DEPTH) + 1;
  localparam logic [4:0] PORT_ID = PORT[4:0];

  typedef enum logic [2:0] {IDLE, PASS, ROW, CUT, ASK, NEXT} state_t;
  state_t state;
  logic in_b, whole, codes, in_row2, two_rows;
  logic [17:0] lines;
  logic [31:0] row_at;    // first beat of the row
  logic [31:0] at, left;  // the rest of the segment
  logic [57:0] beat;      // the next burst
  logic [6:0] len;
  logic [CW-1:0] credit;

  wire ask = state == ASK && (!req_valid || req_ready) && {{(CW - 7) {1'b0}}, len} <= credit;
  assign busy = state != IDLE;

  always_ff @(posedge clk) begin
    if (ask) begin
      req_beat <= beat;
      req_len <= len;
    end
    if (!rst_n || flush) credit <= DEPTH[CW-1:0];
    else if (ask || pop)
      credit <= credit - (ask ? {{(CW - 7) {1'b0}}, len} : '0) + (pop ? {{(CW - 1) {1'b0}}, 1'b1} : '0);
    if (!rst_n || flush) req_valid <= 1'b0;
    else if (ask) req_valid <= 1'b1;
    else if (req_ready) req_valid <= 1'b0;
  end

  always_ff @(posedge clk) begin
    if (!rst_n || flush) state <= IDLE;
    else
      case (state)
        IDLE:
        if (start) begin
          in_b <= 1'b0;
          state <= PASS;
        end
        PASS: begin
          // This port's share: without the first line when its unit there lies before the pass,
          // likewise the last.
          logic [sl_ctx::PASS_W-1:0] p;
          logic skip_first, skip_last;
          logic [17:0] n;
          logic [31:0] unit, from;
          p = in_b ? passes[sl_ctx::CTX_PASS_B+:sl_ctx::PASS_W] : passes[sl_ctx::CTX_PASS_A+:sl_ctx::PASS_W];
          skip_first = PORT_ID < p[sl_ctx::PASS_FIRST_PORT+:5];
          skip_last = PORT_ID > p[sl_ctx::PASS_LAST_PORT+:5];
          n = p[sl_ctx::PASS_N_LINE+:18];
          unit = {20'd0, p[sl_ctx::PASS_UNIT_BEATS+:12]};
          from = p[sl_ctx::PASS_REGION+:32] + (skip_first ? unit : 32'd0);
          lines <= n - {17'd0, skip_first} - {17'd0, skip_last};
          row_at <= from;
          at <= from;
          left <= p[sl_ctx::PASS_TOTAL+:32] - (skip_first ? unit : 32'd0) - (skip_last ? unit : 32'd0);
          whole <= p[sl_ctx::PASS_WHOLE];
          two_rows <= p[sl_ctx::PASS_TWO_ROWS];
          codes <= p[sl_ctx::PASS_N_SCALE+:6] == 0;
          in_row2 <= 1'b0;
          state <= p[sl_ctx::PASS_WHOLE] ? CUT : ROW;
          if ((n == 1 && (skip_first || skip_last)) || (n == 2 && skip_first && skip_last)) begin
            in_b <= 1'b1;
            state <= two && !in_b ? PASS : IDLE;
          end
        end
        ROW: begin
          logic [sl_ctx::PASS_W-1:0] p;
          p = in_b ? passes[sl_ctx::CTX_PASS_B+:sl_ctx::PASS_W] : passes[sl_ctx::CTX_PASS_A+:sl_ctx::PASS_W];
          at <= row_at
              + (codes ? {26'd0, p[sl_ctx::PASS_SCALE_BEATS+:6]} + {21'd0, p[sl_ctx::PASS_COL_FIRST+:11]}
                       : {26'd0, p[sl_ctx::PASS_SCALE_FIRST+:6]});
          left <= codes ? {21'd0, p[sl_ctx::PASS_N_COL+:11]} : {26'd0, p[sl_ctx::PASS_N_SCALE+:6]};
          state <= CUT;
        end
        // A burst ends with its 4 KiB page.
        CUT: begin
          logic [57:0] b;
          logic [6:0] to_page;
          b = base + {26'd0, at};
          to_page = 7'd64 - {1'b0, b[5:0]};
          beat <= b;
          len <= left < {25'd0, to_page} ? left[6:0] : to_page;
          state <= ASK;
        end
        ASK:
        if (ask) begin
          at <= at + {25'd0, len};
          left <= left - {25'd0, len};
          state <= left == {25'd0, len} ? NEXT : CUT;
        end
        default: begin
          logic [sl_ctx::PASS_W-1:0] p;
          logic row_done;
          p = in_b ? passes[sl_ctx::CTX_PASS_B+:sl_ctx::PASS_W] : passes[sl_ctx::CTX_PASS_A+:sl_ctx::PASS_W];
          row_done = !two_rows || in_row2;
          if (!whole && !codes) begin
            codes <= 1'b1;
            state <= ROW;
          end else if (!whole && !(row_done && lines == 1)) begin
            row_at <= row_at + {21'd0, p[sl_ctx::PASS_ROW_BEATS+:11]};
            in_row2 <= !row_done;
            if (row_done) lines <= lines - 1'b1;
            codes <= p[sl_ctx::PASS_N_SCALE+:6] == 0;
            state <= ROW;
          end else begin
            in_b <= 1'b1;
            state <= two && !in_b ? PASS : IDLE;
          end
        end
      endcase
  end
endmodule
