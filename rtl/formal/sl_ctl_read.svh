// SPDX-License-Identifier: Apache-2.0
// What sl_ctl_read promises (tools/rtl/prove.sh): each request of either client becomes bursts inside of 4 KiB that are
// together its beats, and the beats come back to it (sl_page_split, sl_axi_read).
// with: sl_page_split sl_axi_read
// inside sl_axi_read: s/LOG2_BURSTS = 5/LOG2_BURSTS = 1/
// prove: induction 2
// bug: s/pick = busy ? chosen : rd_valid\[1\]/pick = rd_valid[1]/
// bug: s/rd_ready = {ready \&\& valid \&\& pick, ready \&\& valid \&\& !pick}/rd_ready = {ready \&\& valid \&\& pick, ready \&\& valid}/
// bug: s/busy <= valid \&\& !ready/busy <= valid \&\& !part_ready/
// bug: s/.req_tag(pick)/.req_tag(chosen)/
// bug: s/{11'd0, beat_valid \&\& tag}/{11'd0, beat_valid}/
// bug: s/.rst_n(rst_n \&\& valid)/.rst_n(rst_n)/
  (* hierconn *) wire [6:0] \u_split.f_done ;
  (* hierconn *) wire [8:0] \u_read.f_total1 ;
  (* hierconn *) wire [8:0] \u_read.f_total0 ;
  (* hierconn *) wire [8:0] \u_read.f_rsp1 ;
  (* hierconn *) wire [8:0] \u_read.f_rsp0 ;
  (* hierconn *) wire [8:0] \u_read.f_left0 ;
  (* hierconn *) wire [8:0] \u_read.f_left1 ;
  reg f_run = 1'b0;
  reg [8:0] f_ask0, f_ask1, f_got0, f_got1;  // beats of finished requests, and of answers
  wire [8:0] f_part = {2'd0, \u_split.f_done };

  // A request that is given up counts with what was already asked for.
  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n) begin
      f_ask0 <= '0;
      f_ask1 <= '0;
      f_got0 <= '0;
      f_got1 <= '0;
    end else begin
      if (rd_valid[0] && rd_ready[0]) f_ask0 <= f_ask0 + {2'd0, rd_len[6:0]};
      else if (busy && !chosen && !valid) f_ask0 <= f_ask0 + f_part;
      if (rd_valid[1] && rd_ready[1]) f_ask1 <= f_ask1 + {2'd0, rd_len[13:7]};
      else if (busy && chosen && !valid) f_ask1 <= f_ask1 + f_part;
      if (beat_valid && !tag) f_got0 <= f_got0 + 1'b1;
      if (beat_valid && tag) f_got1 <= f_got1 + 1'b1;
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_ctl_read
    assume (f_run || !rst_n);
    if (f_run) assume ($stable(base));
`endif
    if (f_run) begin
      // Clients: 1 to 64 beats, held until they are accepted; what is not held back stays so; who quits goes on quitting
      // until nothing is on its way.
      if (rd_valid[0]) assume (rd_len[6:0] >= 1 && rd_len[6:0] <= 64);
      if (rd_valid[1]) assume (rd_len[13:7] >= 1 && rd_len[13:7] <= 64);
      if ($past(rst_n && rd_valid[0] && !rd_ready[0] && !drop[0]) && !drop[0]) begin
        assume (rd_valid[0] && $stable(rd_addr[31:0]) && $stable(rd_len[6:0]));
        if ($past(!hold)) assume (!hold);
      end
      if ($past(rst_n && rd_valid[1] && !rd_ready[1] && !drop[1]) && !drop[1]) begin
        assume (rd_valid[1] && $stable(rd_addr[63:32]) && $stable(rd_len[13:7]));
      end
      // One client at a time; an accepted request was asked for to its last beat.
      assert (!(rd_ready[0] && rd_ready[1]));
      if (!busy) assert (f_part == 0);
      if (rd_ready[0]) assert (rd_valid[0] && !hold && !drop[0]);
      if (rd_ready[1]) assert (rd_valid[1] && !drop[1]);
      assert (\u_read.f_total0 == f_ask0 + (busy && !chosen ? f_part : 9'd0));
      assert (\u_read.f_total1 == f_ask1 + (busy && chosen ? f_part : 9'd0));
      assert (f_got0 == \u_read.f_rsp0 );
      assert (f_got1 == \u_read.f_rsp1 );
      // To whom the beats go.
      assert (!(rsp_valid[0] && rsp_valid[1]));
      if (rvalid && !drop[0] && !drop[1]) assert (rsp_valid == (tag ? 2'b10 : 2'b01) && rsp_data == rdata);
      if (drop[0]) assert (!rsp_valid[0]);
      if (drop[1]) assert (!rsp_valid[1]);
      // What each is owed.
      assert (owed0 == {3'd0, \u_read.f_left0 });
      assert (owed1 == {3'd0, \u_read.f_left1 });
      if (asleep) assert (!arvalid && (&idle));
    end
  end
