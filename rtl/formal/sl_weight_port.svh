// SPDX-License-Identifier: Apache-2.0
// What sl_weight_port promises (tools/rtl/prove.sh): the beats that are asked for always have a place in the stream FIFO
// (they are never held back), and they enter it in the order of their bursts (sl_weight_gen, sl_axi_read, sl_fifo).
// with: sl_page_split sl_axi_read sl_fifo sl_weight_gen sl_weight_parse
// cut: u_fifo.mem u_parse.scale_mem u_read.burst u_gen.beat u_gen.len u_gen.at u_gen.left u_gen.row_at u_gen.lines u_parse.scale_left u_parse.cols_left u_parse.rows_left
// prove: induction 2, PORT=0 LOG2_DEPTH=7
// prove: induction 2, PORT=0 LOG2_DEPTH=9
// bug: s/.clear(flush)/.clear(1'b0)/
// bug: s/ \.pop(in_pop)/ .pop(take)/
// bug: s/.req_ready(req_ready \&\& !side_ask)/.req_ready(req_ready)/
// bug: s/rsp_valid \&\& !rsp_tag \&\& !flush),/rsp_valid \&\& !flush),/
  (* hierconn *) wire [LOG2_DEPTH+1:0] \u_fifo.f_count ;
  (* hierconn *) wire [12:0] \u_read.f_left0 ;
  (* hierconn *) wire [15:0] \u_gen.f_held ;
  reg f_run = 1'b0;
  reg f_flushed;  // in the last cycle
  wire [15:0] f_inside = 16'(\u_fifo.f_count ) + {3'd0, \u_read.f_left0 } + (gen_req ? {9'd0, gen_len} : 16'd0);

  always @(posedge clk) begin
    f_run <= 1'b1;
    f_flushed <= !rst_n || flush;
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_weight_port
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      // The core: takes what is there, and goes on flushing until nothing is owed.
      if (take) assume (beat_valid);
      if ($past(rst_n && flush && !idle)) assume (flush);
      if (side_valid) assume (side_len >= 1 && side_len <= 64);
      if ($past(rst_n && !flush && side_valid && !side_ready)) begin
        assume (side_valid && $stable(side_addr) && $stable(side_len));
      end
      assume ($stable(base));
      if ($past(rst_n) && !rst_n) assume (idle);

      assert (rready);
      if (rvalid && rsp_tag && !flush) assert (side_rsp && side_data == rdata);
      if (f_flushed) assert (\u_fifo.f_count == 0 && \u_gen.f_held == 0 && !gen_req);
      if (f_flushed && !flush) assert (\u_read.f_left0 == 0);
      if (!f_flushed) assert (f_inside == \u_gen.f_held );
      assert (\u_fifo.f_count <= 1 << LOG2_DEPTH);
      if (in_pop) assert (out_valid);
      if (beat_valid) assert (out_valid);
    end
  end
