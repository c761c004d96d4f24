// SPDX-License-Identifier: Apache-2.0
// What sl_y_write promises (tools/rtl/prove.sh): beat b of item i goes to y_off + i * y_stride + b, once, in order (sl_fifo).
// Up to 15 items of up to 15 beats: z3 does not get through products of 15 bits.
// with: sl_fifo
// cut: fifo.mem
// prove: induction 2, LOG2_DEPTH=5
// bug: s/last_beat ? item_addr : wr_addr/last_beat ? wr_addr : wr_addr/
// bug: s/taken \&\& last_beat) left/taken) left/
// bug: s/if (last_beat) item_addr/if (1'b1) item_addr/
// bug: s/beats_left <= last_beat ? y_len/beats_left <= last_beat ? 15'd1/
  (* hierconn *) wire [LOG2_DEPTH:0] \fifo.f_fill ;
  (* hierconn *) wire [LOG2_DEPTH+1:0] \fifo.f_count ;
  reg f_run = 1'b0;
  reg [31:0] f_in_left, f_out_left;  // beats to come in, to go out
  reg [14:0] f_items, f_beat;        // items to go out, next beat of the item
  reg [31:0] f_base;                 // its first beat
  wire f_accept = wr_valid && wr_ready;
  wire f_last = f_beat + 15'd1 == y_len;
  wire [31:0] f_product = {24'd0, 8'({4'd0, f_items[3:0]} * {4'd0, y_len[3:0]})};

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n || clear) begin
      f_in_left <= '0;
      f_out_left <= '0;
      f_items <= '0;
      f_beat <= '0;
    end else if (start) begin
      f_in_left <= {24'd0, 8'({4'd0, n_item[3:0]} * {4'd0, y_len[3:0]})};
      f_out_left <= {24'd0, 8'({4'd0, n_item[3:0]} * {4'd0, y_len[3:0]})};
      f_items <= n_item;
      f_beat <= '0;
      f_base <= y_off;
    end else begin
      if (in_valid) f_in_left <= f_in_left - 32'd1;
      if (f_accept) begin
        f_out_left <= f_out_left - 32'd1;
        f_beat <= f_last ? 15'd0 : f_beat + 15'd1;
        if (f_last) begin
          f_items <= f_items - 15'd1;
          f_base <= f_base + {16'd0, y_stride};
        end
      end
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_y_write
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      // The unit: starts when idle, counts the free places, writes what it announced.
      if (start) assume (!busy && y_len != 0 && y_len < 16 && n_item < 16 && !in_valid);
      if (busy || $past(start)) assume ($stable(y_len) && $stable(y_stride));
      if (in_valid) assume (f_in_left != 0 && \fifo.f_fill < 1 << LOG2_DEPTH);

      assert (f_in_left < 32'h4000_0000);
      assert (f_out_left - f_in_left == 32'(\fifo.f_count ));
      assert (busy == (f_items != 0));
      if (!busy) assert (f_in_left == 0 && f_out_left == 0 && f_beat == 0 && !wr_valid);
      if (busy) begin
        assert (y_len < 16 && f_items < 16 && f_beat < y_len && f_out_left == f_product - {17'd0, f_beat});
        assert (left == f_items && item_addr == f_base + {16'd0, y_stride});
        assert (beats_left + f_beat == y_len);
        assert (wr_addr == f_base + {17'd0, f_beat});
      end
      if ($past(rst_n && !clear && wr_valid && !wr_ready)) begin
        assert (wr_valid && $stable(wr_addr) && $stable(wr_data));
      end
    end
  end
