// SPDX-License-Identifier: Apache-2.0
// What sl_control promises (tools/rtl/prove.sh): AXI4-Lite answers that wait for their ready, one for each request; a launch
// begins once for each start and never while one runs.
// prove: induction 2, P=4
// bug: s/else if (bready) bvalid/else bvalid/
// bug: s/!awready \&\& !bvalid/!awready/
// bug: s/arvalid \&\& !arready \&\& !rvalid/arvalid \&\& !arready/
// bug: s/begin_run = ap_start \&\& !running/begin_run = ap_start/
// bug: s/else if (rready) rvalid/else rvalid/
  reg f_run = 1'b0;
  reg [1:0] f_write, f_read;  // requests taken and not answered
  reg f_busy;                 // between start and done
  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n) begin
      f_write <= '0;
      f_read <= '0;
      f_busy <= 1'b0;
    end else begin
      f_write <= f_write + {1'b0, awvalid && awready} - {1'b0, bvalid && bready};
      f_read <= f_read + {1'b0, arvalid && arready} - {1'b0, rvalid && rready};
      if (start) f_busy <= 1'b1;
      else if (done) f_busy <= 1'b0;
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_control
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      // The host keeps to AXI; the core is done once for each start.
      if ($past(rst_n && awvalid && !awready)) assume (awvalid && $stable(awaddr));
      if ($past(rst_n && wvalid && !wready)) assume (wvalid && $stable(wdata) && $stable(wstrb));
      if ($past(rst_n && arvalid && !arready)) assume (arvalid && $stable(araddr));
      if (done) assume (f_busy);

      assert (awready == wready);
      if (awready) assert (awvalid && wvalid && !bvalid);
      if (arready) assert (arvalid && !rvalid);
      assert (f_write == {1'b0, bvalid});
      assert (f_read == {1'b0, rvalid});
      if ($past(rst_n && bvalid && !bready)) assert (bvalid && $stable(bresp));
      if ($past(rst_n && rvalid && !rready)) assert (rvalid && $stable(rdata) && $stable(rresp));
      if (start) assert (!f_busy && ap_start && running);
      assert (running == (f_busy || start));
      if (interrupt) assert (gie);
      if (asleep) assert (!bvalid && !rvalid);
    end
  end
