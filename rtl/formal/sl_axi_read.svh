// SPDX-License-Identifier: Apache-2.0
// What sl_axi_read promises (tools/rtl/prove.sh): every burst appears once on the address channel and rests there; every
// beat that the memory owes comes through with the tag of its burst, none is dropped.
// Totals of beats are counted modulo 2^F_W; f_start of a burst is the total before it.
// Where burst is cut (sl_weight_port), what it has proved here about its counts is assumed: it follows from the requests of earlier cycles.
// The core has LOG2_BURSTS = 5, which was not proved; 3 takes z3 a quarter of an hour (and was proved), so 2 is the gate.
// prove: induction 2, LOG2_BURSTS=2
// bug: s/else if (arready) arvalid/else arvalid/
// bug: s/ready = (!arvalid || arready)/ready = (1'b1)/
// bug: s/full = used\[LOG2_BURSTS\]/full = 1'b0/
// bug: s/last = done + 7'd1 ==/last = done ==/
// bug: s/last ? 7'd0 : done/last ? done : done/
// bug: s/req_len - 7'd1/req_len/
  localparam int F_N = 1 << LOG2_BURSTS;
  localparam int F_W = LOG2_BURSTS + 8;
  reg f_run = 1'b0;
  reg [F_W-1:0] f_total, f_sent, f_rsp;  // beats taken, asked for on the address channel, come
  reg [F_W-1:0] f_total0, f_rsp0;        // taken and come of tag 0
  reg [F_W-1:0] f_total1, f_rsp1;        // of tag 1
`ifndef SL_CUT
  reg [F_W-1:0] f_start[0:F_N-1], f_start0[0:F_N-1], f_start1[0:F_N-1];
`endif
  (* anyconst *) reg [LOG2_BURSTS:0] f_n;  // the watched burst
  reg f_live, f_tag;
  reg [6:0] f_len;
  wire [F_W-1:0] f_left0 = f_total0 - f_rsp0;  // still to come
  wire [F_W-1:0] f_left1 = f_total1 - f_rsp1;

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n) begin
      f_total <= '0;
      f_sent <= '0;
      f_rsp <= '0;
      f_total0 <= '0;
      f_rsp0 <= '0;
      f_total1 <= '0;
      f_rsp1 <= '0;
      f_live <= 1'b0;
    end else begin
      if (take) begin
        f_total <= f_total + {{F_W - 7{1'b0}}, req_len};
        if (!req_tag) f_total0 <= f_total0 + {{F_W - 7{1'b0}}, req_len};
        else f_total1 <= f_total1 + {{F_W - 7{1'b0}}, req_len};
`ifndef SL_CUT
        f_start[wr_ptr[LOG2_BURSTS-1:0]] <= f_total;
        f_start0[wr_ptr[LOG2_BURSTS-1:0]] <= f_total0;
        f_start1[wr_ptr[LOG2_BURSTS-1:0]] <= f_total1;
`endif
      end
      if (arvalid && arready) f_sent <= f_sent + {{F_W - 8{1'b0}}, arlen} + 1'b1;
      if (rvalid) f_rsp <= f_rsp + 1'b1;
      if (rsp_valid && !rsp_tag) f_rsp0 <= f_rsp0 + 1'b1;
      if (rsp_valid && rsp_tag) f_rsp1 <= f_rsp1 + 1'b1;
      if (take && wr_ptr == f_n) begin
        f_live <= 1'b1;
        f_tag <= req_tag;
        f_len <= req_len;
      end else if (rsp_valid && last && rd_ptr == f_n) f_live <= 1'b0;
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_axi_read
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      if (req_valid) `SL_ENV_sl_axi_read (req_len >= 1 && req_len <= 64);
      // The memory answers what it was asked for, and nothing else.
      if (rvalid) assume (rst_n && f_sent != f_rsp);
`ifdef SL_CUT
      assume (f_left0 <= 64 * F_N && f_left1 <= 64 * F_N);
      if (idle) assume (f_left0 == 0 && f_left1 == 0);
      if (rvalid) assume (rsp_valid);
      if (rsp_valid) assume (rsp_tag ? f_left1 != 0 : f_left0 != 0);
`else
      // The address channel: each burst once, unchanged until it is taken.
      if ($past(rst_n && arvalid && !arready)) assert (arvalid && $stable(araddr) && $stable(arlen));
      if ($past(rst_n && take)) begin
        assert (arvalid && araddr == $past(req_addr) && arlen == {1'b0, $past(req_len) - 7'd1});
      end
      assert (f_sent == f_total - (arvalid ? {{F_W - 8{1'b0}}, arlen} + 1'b1 : {F_W{1'b0}}));
      if (arvalid) assert (!idle && arlen < 64);
      // Beats: taken at once, as many as were asked for, with the tag of their burst.
      assert (rready);
      if (rvalid) assert (rsp_valid);
      assert (used <= F_N);
      if (idle) assert (f_total == f_rsp && done == 0 && f_left0 == 0 && f_left1 == 0);
      if (arvalid && used == 1) assert (done == 0);
      if (!idle) begin
        assert (done < oldest[6:0]);
        assert (f_rsp == f_start[rd_ptr[LOG2_BURSTS-1:0]] + {{F_W - 7{1'b0}}, done});
        assert (f_rsp0 == f_start0[rd_ptr[LOG2_BURSTS-1:0]]
                + (oldest[7] ? {F_W{1'b0}} : {{F_W - 7{1'b0}}, done}));
        assert (f_rsp1 == f_start1[rd_ptr[LOG2_BURSTS-1:0]]
                + (oldest[7] ? {{F_W - 7{1'b0}}, done} : {F_W{1'b0}}));
      end
      assert (f_left0 <= 64 * F_N && f_left1 <= 64 * F_N);
      if (rsp_valid) assert (rsp_tag ? f_left1 != 0 : f_left0 != 0);
      if (f_live) begin
        assert (f_n - rd_ptr < used);
        assert (burst[f_n[LOG2_BURSTS-1:0]] == {f_tag, f_len});
        if (rsp_valid && rd_ptr == f_n) assert (rsp_tag == f_tag);
      end
      if (expired) assert (!idle && quiet == timeout);
`endif
    end
  end

`ifndef SL_CUT
  generate
    for (genvar i = 0; i < F_N; i = i + 1) begin : g_f
      wire [LOG2_BURSTS-1:0] ahead = i[LOG2_BURSTS-1:0] - rd_ptr[LOG2_BURSTS-1:0];
      wire here = {1'b0, ahead} < used;
      wire newest = {1'b0, ahead} + 1'b1 == used;
      wire [7:0] word = burst[i];
      wire [F_W-1:0] start = f_start[i];
      wire [F_W-1:0] start0 = f_start0[i];
      wire [F_W-1:0] start1 = f_start1[i];
      wire [F_W-1:0] next = newest ? f_total : f_start[(i+1)%F_N];
      wire [F_W-1:0] next0 = newest ? f_total0 : f_start0[(i+1)%F_N];
      wire [F_W-1:0] next1 = newest ? f_total1 : f_start1[(i+1)%F_N];
      wire [F_W-1:0] len = {{F_W - 7{1'b0}}, word[6:0]};
      wire [F_W-1:0] len0 = word[7] ? {F_W{1'b0}} : len;
      wire [F_W-1:0] len1 = word[7] ? len : {F_W{1'b0}};
      wire [F_W-1:0] most = {{F_W - LOG2_BURSTS - 1{1'b0}}, used - {1'b0, ahead}} << 6;
      wire [F_W-1:0] rest0 = f_total0 - start0;
      wire [F_W-1:0] rest1 = f_total1 - start1;
      always @(posedge clk)
        if (f_run && here) begin
          assert (len >= 1 && len <= 64);
          assert (start + len == next);
          assert (start0 + len0 == next0);
          assert (start1 + len1 == next1);
          // What is owed from here on.
          assert (rest0 >= len0 && rest0 <= most);
          assert (rest1 >= len1 && rest1 <= most);
          if (newest && arvalid) assert (len == {{F_W - 8{1'b0}}, arlen} + 1'b1);
        end
    end
  endgenerate
`endif
