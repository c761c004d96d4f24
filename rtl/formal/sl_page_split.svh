// SPDX-License-Identifier: Apache-2.0
// What sl_page_split promises (tools/rtl/prove.sh): bursts inside of 4 KiB that together are the request.
// prove: induction 2
// bug: s/7'd64 - {1'b0, in_beat\[5:0\]}/7'd64 - {2'b0, in_beat[4:0]}/
// bug: s/cut = in_len > to_page/cut = in_len >= to_page/
// bug: s/in_ready = out_ready \&\& (second/in_ready = out_ready || (second/
  reg f_run = 1'b0;
  reg [6:0] f_done;  // beats of the request that are through
  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n) f_done <= '0;
    else if (in_valid && out_ready) f_done <= in_ready ? 7'd0 : f_done + out_len;
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_page_split
    assume (f_run || !rst_n);
`endif
    if (f_run && rst_n) begin
      if (in_valid) `SL_ENV_sl_page_split (in_len >= 1 && in_len <= 64);
      if ($past(rst_n && in_valid && !in_ready)) begin
        `SL_ENV_sl_page_split (in_valid && $stable(in_beat) && $stable(in_len));
      end
      if (!second) assert (f_done == 0);
      else assert (in_valid);
      if (in_valid) begin
        if (second) assert (f_done >= 1 && f_done == to_page && f_done < in_len);
        assert (out_len >= 1 && out_len <= 64);
        assert ({1'b0, out_beat[5:0]} + out_len <= 64);
`ifdef SL_TOP_sl_page_split
        assert (out_beat == in_beat + {51'd0, f_done});
`endif
        assert (f_done + out_len <= in_len);
        if (in_ready) assert (out_ready && f_done + out_len == in_len);
        if (out_ready && !in_ready) assert (f_done + out_len < in_len);
      end
      // Held while it waits.
      if ($past(rst_n && out_valid && !out_ready)) begin
        assert (out_valid && $stable(out_beat) && $stable(out_len));
      end
    end
  end
