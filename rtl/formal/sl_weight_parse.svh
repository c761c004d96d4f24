// SPDX-License-Identifier: Apache-2.0
// What sl_weight_parse promises (tools/rtl/prove.sh): it takes what is there, each row's scale beats before its code beats.
// cut: scale_mem
// prove: induction 2, PORT=0
// bug: s/scale_left != 0 \&\& in_valid/scale_left != 0/
// bug: s/beat_valid = busy \&\& !load \&\& scale_left == 0/beat_valid = busy \&\& !load/
// bug: s/rows_left == 1/rows_left == 0/
// bug: s/cols_left == 1/cols_left == 2/
  localparam int PW = sl_ctx::PASS_W;
  reg f_run = 1'b0;
  reg [6:0] f_scales;   // scale beats of the row that were taken
  reg [11:0] f_codes;   // code beats
  reg [19:0] f_rows;    // rows behind us
  wire [PW-1:0] f_p = in_b ? passes[sl_ctx::CTX_PASS_B+:PW] : passes[sl_ctx::CTX_PASS_A+:PW];
  wire [17:0] f_lines = f_p[sl_ctx::PASS_N_LINE+:18] - {17'd0, PORT_ID < f_p[sl_ctx::PASS_FIRST_PORT+:5]}
      - {17'd0, PORT_ID > f_p[sl_ctx::PASS_LAST_PORT+:5]};
  wire [19:0] f_all = f_p[sl_ctx::PASS_TWO_ROWS] ? {1'b0, f_lines, 1'b0} : {2'b00, f_lines};

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n || flush || start || load) begin
      f_scales <= '0;
      f_codes <= '0;
      f_rows <= '0;
    end else begin
      if (scale_take) f_scales <= f_scales + 1'b1;
      if (take) f_codes <= f_codes + 1'b1;
      if (take && f_codes + 12'd1 == {1'b0, f_p[sl_ctx::PASS_N_COL+:11]}) begin
        f_scales <= '0;
        f_codes <= '0;
        f_rows <= f_rows + 1'b1;
      end
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_weight_parse
    assume (f_run || !rst_n);
    if (take) assume (beat_valid);
`endif
    if (f_run) begin
      if (start) begin
        assume (!busy);
        assume (passes[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_COL+:11] != 0);
        assume (passes[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_COL+:11] != 0);
        assume (passes[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_SCALE+:6] <= 32);
        assume (passes[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_SCALE+:6] <= 32);
        assume (passes[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_LINE+:18] != 0);
        assume (passes[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_LINE+:18] != 0);
      end
      if (busy || $past(start)) assume ($stable(passes) && $stable(two));
      if (in_pop) assert (in_valid);
`ifdef SL_TOP_sl_weight_parse
      if (busy) begin
        assert (passes[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_COL+:11] != 0);
        assert (passes[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_COL+:11] != 0);
        assert (passes[sl_ctx::CTX_PASS_A+sl_ctx::PASS_N_LINE+:18] != 0);
        assert (passes[sl_ctx::CTX_PASS_B+sl_ctx::PASS_N_LINE+:18] != 0);
      end
      if (beat_valid) assert (in_valid && f_scales == {1'b0, f_p[sl_ctx::PASS_N_SCALE+:6]});
      if (busy && !load) begin
        assert ({1'b0, scale_left} + f_scales == {1'b0, f_p[sl_ctx::PASS_N_SCALE+:6]});
        assert ({1'b0, cols_left} + f_codes == {1'b0, f_p[sl_ctx::PASS_N_COL+:11]});
        assert (cols_left != 0);
        assert (n_scale == f_p[sl_ctx::PASS_N_SCALE+:6] && n_col == f_p[sl_ctx::PASS_N_COL+:11]);
        assert (rows_left != 0 && {1'b0, rows_left} + f_rows == f_all);
        if (f_codes != 0) assert (scale_left == 0);
        assert (col == f_p[sl_ctx::PASS_COL_FIRST+:11] + f_codes[10:0]);
        assert (col_first == f_p[sl_ctx::PASS_COL_FIRST+:11]);
      end
      if (in_b && busy) assert (two);
      if (load) assert (busy);
`endif
    end
  end
