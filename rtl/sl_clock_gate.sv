// SPDX-License-Identifier: Apache-2.0
// Clock of a unit that does nothing while `enable` is low. Under Verilator the clock then stands still, so
// that an idle unit costs no time to simulate (a latch holds enable through the high phase: no glitches);
// everywhere else, and with SL_FREE_CLOCKS, the clock passes, and the unit behaves the same. enable belongs
// to the clock edge at the end of its cycle.
module sl_clock_gate (
    input  logic clk,
    input  logic enable,
    output logic gated
);
`ifdef VERILATOR
`ifndef SL_FREE_CLOCKS
`define SL_GATED_CLOCKS
`endif
`endif
`ifdef SL_GATED_CLOCKS
  logic on;
  always_latch if (!clk) on = enable;
  assign gated = clk & on;
`else
  wire unused = &{1'b0, enable};
  assign gated = clk;
`endif
endmodule
