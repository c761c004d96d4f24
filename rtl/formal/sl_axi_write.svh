// SPDX-License-Identifier: Apache-2.0
// What sl_axi_write promises (tools/rtl/prove.sh): each beat taken in leaves once on the address and once on the data
// channel, in order (sl_fifo), rests there until it is taken, and is counted when it is acknowledged.
// with: sl_fifo
// cut: u_fifo.mem
// prove: induction 2
// bug: s/tags\[acked\[6:0\]\]/tags[acked[6:1]]/
// bug: s/open <= open + {6'd0, awvalid/open <= open + {6'd0, wvalid/
// bug: s/room <= 5'd16/room <= 5'd18/
// bug: s/pop = head_valid \&\& (aw_done || awready)/pop = head_valid \&\& (awready)/
// bug: s/aw_done <= !pop \&\& (aw_done || awready)/aw_done <= (aw_done || awready)/
// bug: s/w_done <= !pop \&\& (w_done || wready)/w_done <= 1'b0/
// bug: s/wvalid = head_valid \&\& !w_done/wvalid = head_valid/
// bug: s/take} + {4'd0, pop}/take} + {4'd0, wready}/
  (* hierconn *) wire [5:0] \u_fifo.f_in ;
  (* hierconn *) wire [5:0] \u_fifo.f_out ;
  (* hierconn *) wire [5:0] \u_fifo.f_count ;
  reg f_run = 1'b0;
  (* anyconst *) reg [6:0] f_t;  // number of a beat whose tag is watched
  reg f_t_live;
  reg [1:0] f_tag;
  reg [31:0] f_aw, f_w, f_popped;  // beats on the channels

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n) begin
      f_aw <= '0;
      f_w <= '0;
      f_popped <= '0;
      f_t_live <= 1'b0;
    end else begin
      if (awvalid && awready) f_aw <= f_aw + 1'b1;
      if (wvalid && wready) f_w <= f_w + 1'b1;
      if (pop) f_popped <= f_popped + 1'b1;
      if (take && sent[6:0] == f_t) begin
        f_t_live <= 1'b1;
        f_tag <= wr_tag;
      end else if (bvalid && acked[6:0] == f_t) f_t_live <= 1'b0;
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_axi_write
    assume (f_run || !rst_n);
    if (f_run) assume ($stable(base));
`endif
    if (f_run) begin
      // The memory acknowledges what it was given, and nothing else.
      if (bvalid) assume (rst_n && acked != f_aw && acked != f_w);
      if ($past(rst_n && awvalid && !awready)) assert (awvalid && $stable(awaddr) && $stable(awlen));
      if ($past(rst_n && wvalid && !wready)) begin
        assert (wvalid && $stable(wdata) && $stable(wstrb) && $stable(wlast));
      end
      assert (bready && awlen == 0 && wlast && &wstrb);
      assert (!(aw_done && w_done));
      if (!fifo_valid) assert (!aw_done && !w_done);
      assert (f_aw == f_popped + {31'd0, aw_done});
      assert (f_w == f_popped + {31'd0, w_done});
      assert (f_popped[5:0] == \u_fifo.f_out );
      assert (sent == f_popped + {26'd0, \u_fifo.f_count });
      assert ({1'b0, room} + \u_fifo.f_count == 16);
      assert (sent[5:0] == \u_fifo.f_in );
      // The head of the FIFO on both channels.
      if (awvalid) assert (awaddr == base + {26'd0, head_addr, 6'd0});
      if (wr_ready) assert (room >= 1);
      // Responses: counted, at most 64 open, each with the tag of its beat.
      assert ({25'd0, open} == f_aw - acked && open <= 64);
      assert (f_w - acked <= 65 && f_popped - acked <= 64 && sent - acked <= 80);
      if (f_t_live) begin
        assert ({25'd0, f_t - acked[6:0]} < sent - acked && tags[f_t] == f_tag);
        if (bvalid && acked[6:0] == f_t) assert (tag == f_tag);
      end
      if (late || dead) assert (owed && quiet == timeout && !bvalid);
    end
  end
