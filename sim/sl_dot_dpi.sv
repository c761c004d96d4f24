// SPDX-License-Identifier: Apache-2.0
// rtl/sl_dot.sv with its arithmetic in C (sim/dot_dpi.c): same ports, same cycles, same sums, for speed of
// simulation. Not for synthesis.
module sl_dot_dpi #(
    parameter int T = 1,
    parameter int DEPTH = 128,
    localparam int AW = $clog2(DEPTH)
) (
    input  logic             clk,
    input  logic             rst_n,
    input  logic [      2:0] format,
    input  logic             router,
    input  logic             step,
    input  logic             load,
    input  logic [    511:0] beat,
    input  logic [     31:0] scales,
    input  logic             row,
    input  logic             clear,
    input  logic [   AW-1:0] sum_at,
    input  logic [T*512-1:0] x,
    input  logic [ T*10-1:0] xe,
    input  logic             rd_en,
    input  logic [   AW-1:0] rd_at,
    input  logic [      4:0] rd_col,
    output logic [     63:0] rd_low,
    output logic [     63:0] rd_high
);
  import "DPI-C" function chandle sl_dot_open(input int n_column, input int depth);
  import "DPI-C" function void sl_dot_close(input chandle dot);
  import "DPI-C" function void sl_dot_reset(input chandle dot);
  import "DPI-C" function void sl_dot_load(input chandle dot, input int format, input int router,
                                           input bit [511:0] beat, input int unsigned scales);
  import "DPI-C" function void sl_dot_step(input chandle dot, input int at, input int row, input int clear,
                                           input bit [T*512-1:0] x, input bit [T*10-1:0] xe);
  import "DPI-C" function void sl_dot_commit(input chandle dot);
  import "DPI-C" function longint unsigned sl_dot_sum(input chandle dot, input int high, input int at,
                                                      input int column);

  localparam int STAGES = 9;

  chandle dot;
  initial dot = sl_dot_open(T, DEPTH);
  final sl_dot_close(dot);

  logic [STAGES-1:1] valid;
  logic load1;
  logic [511:0] raw;
  logic [31:0] raw_scales;
  logic [1:0] d_row, d_clear;  // of the two steps before
  logic [2*AW-1:0] d_at;

  // The order matters: sums are read before the step that ends in this cycle changes them, and a step uses
  // the beat that was held with it.
  always_ff @(posedge clk) begin
    if (rd_en) begin
      rd_low  <= sl_dot_sum(dot, 0, {{(32 - AW) {1'b0}}, rd_at}, {27'd0, rd_col});
      rd_high <= sl_dot_sum(dot, 1, {{(32 - AW) {1'b0}}, rd_at}, {27'd0, rd_col});
    end
    if (valid[STAGES-1]) sl_dot_commit(dot);
    if (valid[2])
      sl_dot_step(dot, {{(32 - AW) {1'b0}}, d_at[2*AW-1:AW]}, {31'd0, d_row[1]}, {31'd0, d_clear[1]}, x, xe);
    if (load1) sl_dot_load(dot, {29'd0, format}, {31'd0, router}, raw, raw_scales);
    load1 <= load;
    if (load) begin
      raw <= beat;
      raw_scales <= scales;
    end
    if (step || valid[1]) begin
      d_row <= {d_row[0], row};
      d_clear <= {d_clear[0], clear};
      d_at <= {d_at[AW-1:0], sum_at};
    end
    if (!rst_n) begin
      valid <= '0;
      sl_dot_reset(dot);
    end else valid <= {valid[STAGES-2:1], step};
  end
endmodule
