// SPDX-License-Identifier: Apache-2.0
// What sl_weight_gen promises (tools/rtl/prove.sh): the bursts of a job are, in order and without gap or overlap, the
// segments of its passes as docs/numerics.md 2.5 lays them out for this port (f_*: a segment after the other); each
// lies inside of 4 KiB, and no more beats are asked for than the FIFO has places.
// prove: induction 2, DEPTH=128 PORT=1
// prove: induction 2, DEPTH=512 PORT=0
// prove: induction 2, DEPTH=512 PORT=3
// bug: s/7'd64 - {1'b0, b\[5:0\]}/7'd64 - {1'b0, at[5:0]}/
// bug: s/state <= left == {25'd0, len} ? NEXT/state <= left <= 32'd64 ? NEXT/
// bug: s/skip_last = PORT_ID > p/skip_last = PORT_ID >= p/
// bug: s/codes <= p\[sl_ctx::PASS_N_SCALE+:6\] == 0;/codes <= 1'b0;/
// bug: s/credit - (ask ?/credit - (pop ?/
// bug: s/row_done \&\& lines == 1/row_done \&\& lines == 2/
  localparam int PW = sl_ctx::PASS_W;
  localparam int F_W = 120;
  // A segment: {there is one, in pass B, lines left, first beat of the row, second row, codes, next beat, beats left}.
  // Behind the last there is none.
  function automatic [F_W-1:0] f_segment(input [PW-1:0] p, input b, input [17:0] n, input [31:0] row, input row2,
                                         input c);
    f_segment = {
      1'b1,
      b,
      n,
      row,
      row2,
      c,
      row + (c ? {26'd0, p[sl_ctx::PASS_SCALE_BEATS+:6]} + {21'd0, p[sl_ctx::PASS_COL_FIRST+:11]}
               : {26'd0, p[sl_ctx::PASS_SCALE_FIRST+:6]}),
      c ? {21'd0, p[sl_ctx::PASS_N_COL+:11]} : {26'd0, p[sl_ctx::PASS_N_SCALE+:6]},
      2'b00
    };
  endfunction
  function automatic f_first(input [PW-1:0] p);
    f_first = PORT_ID < p[sl_ctx::PASS_FIRST_PORT+:5];
  endfunction
  function automatic f_last(input [PW-1:0] p);
    f_last = PORT_ID > p[sl_ctx::PASS_LAST_PORT+:5];
  endfunction
  function automatic [18:0] f_lines(input [PW-1:0] p);
    f_lines = {1'b0, p[sl_ctx::PASS_N_LINE+:18]} - {18'd0, f_first(p)} - {18'd0, f_last(p)};
  endfunction
  function automatic [32:0] f_beats(input [PW-1:0] p);
    f_beats = {1'b0, p[sl_ctx::PASS_TOTAL+:32]} - (f_first(p) ? {21'd0, p[sl_ctx::PASS_UNIT_BEATS+:12]} : 33'd0)
        - (f_last(p) ? {21'd0, p[sl_ctx::PASS_UNIT_BEATS+:12]} : 33'd0);
  endfunction
  // The first segment of a pass in which the port has lines.
  function automatic [F_W-1:0] f_begin(input [PW-1:0] p, input b);
    reg [31:0] from;
    reg [F_W-1:0] s;
    from = p[sl_ctx::PASS_REGION+:32] + (f_first(p) ? {20'd0, p[sl_ctx::PASS_UNIT_BEATS+:12]} : 32'd0);
    s = f_segment(p, b, 18'(f_lines(p)), from, 1'b0, p[sl_ctx::PASS_N_SCALE+:6] == 0);
    if (p[sl_ctx::PASS_WHOLE]) s[65:2] = {from, 32'(f_beats(p))};
    f_begin = s;
  endfunction
  function automatic f_legal(input [PW-1:0] p);
    f_legal = p[sl_ctx::PASS_N_LINE+:18] != 0 && p[sl_ctx::PASS_N_COL+:11] != 0 && p[sl_ctx::PASS_N_SCALE+:6] <= 32
        && f_lines(p) < 19'h4_0000
        && (!p[sl_ctx::PASS_WHOLE] || f_lines(p) == 0 || (f_beats(p) < 33'h1_0000_0000 && f_beats(p) != 0));
  endfunction

  wire [PW-1:0] f_pa = passes[sl_ctx::CTX_PASS_A+:PW];
  wire [PW-1:0] f_pb = passes[sl_ctx::CTX_PASS_B+:PW];
  wire [F_W-1:0] f_begin_b = two && f_lines(f_pb) != 0 ? f_begin(f_pb, 1'b1) : {F_W{1'b0}};
  wire [F_W-1:0] f_begin_a = f_lines(f_pa) != 0 ? f_begin(f_pa, 1'b0) : f_begin_b;

  // Behind a segment of pass b.
  function automatic [F_W-1:0] f_next(input [PW-1:0] p, input b, input [17:0] n, input [31:0] row, input row2,
                                      input c, input [F_W-1:0] behind);
    reg [31:0] next_row;
    next_row = row + {21'd0, p[sl_ctx::PASS_ROW_BEATS+:11]};
    if (p[sl_ctx::PASS_WHOLE]) f_next = behind;
    else if (!c) f_next = f_segment(p, b, n, row, row2, 1'b1);
    else if (p[sl_ctx::PASS_TWO_ROWS] && !row2)
      f_next = f_segment(p, b, n, next_row, 1'b1, p[sl_ctx::PASS_N_SCALE+:6] == 0);
    else if (n != 1) f_next = f_segment(p, b, n - 18'd1, next_row, 1'b0, p[sl_ctx::PASS_N_SCALE+:6] == 0);
    else f_next = behind;
  endfunction

  reg f_run = 1'b0;
  reg [F_W-1:0] f_seg;
  reg [15:0] f_asked, f_popped;
  wire f_there = f_seg[119], f_b = f_seg[118];
  wire [17:0] f_n = f_seg[117:100];
  wire [31:0] f_row = f_seg[99:68], f_at = f_seg[65:34], f_left = f_seg[33:2];
  wire f_row2 = f_seg[67], f_codes = f_seg[66];
  wire [PW-1:0] f_p = f_b ? f_pb : f_pa;
  wire [15:0] f_held = f_asked - f_popped;  // beats asked for that still need a place

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n || flush) begin
      f_seg <= '0;
      f_asked <= '0;
      f_popped <= '0;
    end else begin
      if (start && !busy) f_seg <= f_begin_a;
      else if (ask) begin
        if (f_left != {25'd0, len}) f_seg[65:2] <= {f_at + {25'd0, len}, f_left - {25'd0, len}};
        else f_seg <= f_next(f_p, f_b, f_n, f_row, f_row2, f_codes, f_b ? {F_W{1'b0}} : f_begin_b);
      end
      if (ask) f_asked <= f_asked + {9'd0, len};
      if (pop) f_popped <= f_popped + 1'b1;
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_weight_gen
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      if (pop) `SL_ENV_sl_weight_gen (f_held > (req_valid ? {9'd0, req_len} : 16'd0));
      // The job: well formed, and unchanged until it is asked for.
      if (start) assume (!busy && f_legal(f_pa) && (!two || f_legal(f_pb)));
      if (busy) assume ($stable(passes) && $stable(two) && $stable(base));
`ifdef SL_TOP_sl_weight_gen
      if (busy) assert (f_legal(f_pa) && (!two || f_legal(f_pb)));
`endif

      // Places.
      assert (f_held <= DEPTH);
      assert ({{16 - CW{1'b0}}, credit} + f_held == DEPTH);
      // What was asked for rests until it is taken.
      if ($past(rst_n && !flush && req_valid && !req_ready)) begin
        assert (req_valid && $stable(req_beat) && $stable(req_len));
      end
      if (req_valid) begin
        assert (req_len >= 1 && req_len <= 64 && {1'b0, req_beat[5:0]} + req_len <= 64);
        assert ({9'd0, req_len} <= f_held);
      end
`ifndef SL_TOP_sl_weight_gen
      // Inside sl_weight_port: what is proved of the segments is taken as it stands.
      if (state == ASK) assume (len >= 1 && {1'b0, beat[5:0]} + len <= 64);
`else
      // A burst is the next piece of the stream, and every piece becomes a burst.
      if (ask) begin
        assert (f_there && beat == base + {26'd0, f_at} && {25'd0, len} <= f_left);
        assert (len >= 1 && {1'b0, beat[5:0]} + len <= 64);
      end
      if (!busy) assert (!f_there);
      assert (state <= NEXT);
      // How the two run in step.
      if (f_there && !f_b) assert (busy);
      if (f_there && f_b) assert (two);
      if (state == PASS) assert (f_seg == (in_b ? f_begin_b : f_begin_a));
      if (state == PASS && in_b) assert (two);
      if (state == ROW || state == CUT || state == ASK) begin
        assert (f_there && f_b == in_b && f_n == lines && f_row == row_at && f_row2 == in_row2 && f_codes == codes);
        assert (whole == f_p[sl_ctx::PASS_WHOLE] && two_rows == f_p[sl_ctx::PASS_TWO_ROWS]);
        assert (f_left != 0);
        if (!whole) assert (lines != 0);
      end
      if (state == ROW) assert (!whole && f_seg == f_segment(f_p, in_b, lines, row_at, in_row2, codes));
      if (state == CUT || state == ASK) assert (at == f_at && left == f_left);
      if (state == ASK) begin
        assert (beat == base + {26'd0, at} && len >= 1 && {25'd0, len} <= left);
        assert ({1'b0, beat[5:0]} + len <= 64);
      end
      if (state == NEXT) begin
        assert (whole == (in_b ? f_pb[sl_ctx::PASS_WHOLE] : f_pa[sl_ctx::PASS_WHOLE]));
        assert (two_rows == (in_b ? f_pb[sl_ctx::PASS_TWO_ROWS] : f_pa[sl_ctx::PASS_TWO_ROWS]));
        assert (f_seg == f_next(in_b ? f_pb : f_pa, in_b, lines, row_at, in_row2, codes,
                                in_b ? {F_W{1'b0}} : f_begin_b));
        if (!whole) assert (lines != 0);
        if (in_b) assert (two);
      end
`endif
    end
  end
