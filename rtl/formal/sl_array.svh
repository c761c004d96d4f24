// SPDX-License-Identifier: Apache-2.0
// What sl_array's counters mean (tools/rtl/prove.sh): every cycle between two jobs, or from the launch to its first, without a prepared
// job is in stall_ctl; every cycle of a job's passes is a step, or in stall_read, or in stall_core.
// prove: induction 2
// prove: induction 2, P=3
// bug: s/if (fin || launch) begin/if (fin) begin/
// bug: s/if (fin || launch) begin/if (launch) begin/
// bug: s/stall_ctl <= '0;/stall_ctl <= '1;/
// bug: s/state == IDLE \&\& !ready) stall_ctl/state == IDLE) stall_ctl/
// bug: s/if (wait_core) stall_core/if (!wait_core) stall_core/
// bug: s/if (wait_read) stall_read/if (wait_core) stall_read/
// bug: s/stall_core <= '0;/stall_core <= '1;/
// bug: s/wait_core = state == RUN \&\& beats_ok \&\& !step/wait_core = state == RUN \&\& !step/
  reg f_run = 1'b0;
  reg f_busy;  // a job is in the array, or leaves it in this cycle
  reg [31:0] f_ctl, f_read, f_core, f_step, f_passes;
  wire f_idle = !f_busy || fin;
  wire f_begin = f_idle && ready && !fin;

  always @(posedge clk) begin
    f_run <= 1'b1;
    if (!rst_n) begin
      f_busy <= 1'b0;
      f_ctl <= '0;
      f_passes <= stall_read + stall_core;
      f_read <= stall_read;
      f_core <= stall_core;
      f_step <= '0;
    end else begin
      if (fin) f_busy <= 1'b0;
      if (f_begin) f_busy <= ctx[sl_ctx::CTX_MATRIX] && !dead;
      f_ctl <= fin || launch ? 32'd0 : f_ctl + {31'd0, f_idle && !ready};
      f_read <= f_begin ? 32'd0 : f_read + {31'd0, wait_read};
      f_core <= f_begin ? 32'd0 : f_core + {31'd0, wait_core};
      f_step <= f_begin ? 32'd0 : f_step + {31'd0, step};
      f_passes <= f_begin ? 32'd0 : f_passes + {31'd0, state == RUN};
    end
  end

  always @(posedge clk) begin
`ifdef SL_TOP_sl_array
    assume (f_run || !rst_n);
`endif
    if (f_run) begin
      assert ((state == IDLE) == f_idle);
      assert (stall_ctl == f_ctl);
      assert (stall_read == f_read && stall_core == f_core);
      assert (stall_read + stall_core + f_step == f_passes);
      // A wait has one reason, and says so; no step without its beats.
      assert ({1'b0, wait_read} + {1'b0, wait_core} + {1'b0, step} == {1'b0, state == RUN});
      if (load) assert (step && (active & ~beat_valid) == 0);
      if (wait_core && group == 0) assert ((active & ~beat_valid) == 0);
      if (fin) assert (!$past(fin) || !$past(rst_n));
    end
  end
