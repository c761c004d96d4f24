// SPDX-License-Identifier: Apache-2.0
// What sl_fifo promises: it stands in front of the module's endmodule in the copy that is proved (tools/rtl/prove.sh).
// One item, any, is watched from its entry to its exit; so every item leaves once, in order and unchanged.
// arrays: mem
// prove: induction 2, LOG2_DEPTH=9
// bug: s/fetch = !empty \&\& (!out_valid || out_pop)/fetch = !empty/
// bug: s/if (fetch) rd_ptr/if (fetch \&\& !in_valid) rd_ptr/
// bug: s/mem\[wr_ptr\[LOG2_DEPTH-1:0\]\]/mem[wr_ptr[LOG2_DEPTH-1:1]]/
  localparam int F_W = LOG2_DEPTH + 2;
  (* anyconst *) reg [F_W-1:0] f_n;  // number of the watched item
  reg [F_W-1:0] f_in, f_out;         // items in and out
  reg f_live;                        // the watched one is inside
  reg [WIDTH-1:0] f_data;
  reg f_run = 1'b0;
  wire [LOG2_DEPTH:0] f_fill = wr_ptr - rd_ptr;
  wire [F_W-1:0] f_count = f_in - f_out;
  wire [F_W-1:0] f_ahead = f_n - f_out;

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n || clear) begin
      f_in <= '0;
      f_out <= '0;
      f_live <= 1'b0;
    end else begin
      if (in_valid) f_in <= f_in + 1'b1;
      if (out_valid && out_pop) f_out <= f_out + 1'b1;
      if (in_valid && f_in == f_n) begin
        f_live <= 1'b1;
        f_data <= in_data;
      end else if (out_valid && out_pop && f_ahead == 0) f_live <= 1'b0;
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_fifo
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      // The writer counts the free places.
      if (in_valid) `SL_ENV_sl_fifo (f_fill < 1 << LOG2_DEPTH);
      // Nothing is lost or made.
      assert (f_count == {1'b0, f_fill} + {{F_W - 1{1'b0}}, out_valid});
      assert (f_fill <= 1 << LOG2_DEPTH);
      assert (wr_ptr == f_in[LOG2_DEPTH:0]);
      if (f_live) assert (f_ahead < f_count);
      // Unchanged.
`ifndef SL_CUT
      if (f_live && !(out_valid && f_ahead == 0)) assert (mem[f_n[LOG2_DEPTH-1:0]] == f_data);
      if (f_live && out_valid && f_ahead == 0) assert (out_data == f_data);
`endif
      // An item that waits comes to the head in the next cycle.
      if ($past(rst_n && !clear && !empty)) assert (out_valid);
      if ($past(rst_n && !clear && out_valid && !out_pop)) assert (out_valid && $stable(out_data));
    end
  end
