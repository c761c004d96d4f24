// SPDX-License-Identifier: Apache-2.0
// Activations of T token columns: x in one memory, h in another, one address space (the top bit chooses h; a
// router job with many columns fills both with x). An entry is 64 codes and two block exponents of each
// column: {xe1, xe0, codes}; each half (32 codes and their exponent) is written alone. Latency of a read: 2
// cycles, because block memories have output registers of their own and x or h is chosen behind them. One
// write of one column and one read of all columns a cycle. No backpressure.
module sl_act_mem #(
    parameter int T = 1,
    localparam int ENTRIES = sl_abi_pkg::SL_MAX_TOKENS * sl_abi_pkg::SL_MAX_K / 64 / T,
    localparam int AW = $clog2(ENTRIES) + 1
) (
    input  logic             clk,
    input  logic [      1:0] wr_half,  // which halves
    input  logic [      4:0] wr_col,
    input  logic [   AW-1:0] wr_at,
    input  logic [    521:0] wr_data,
    input  logic [      1:0] h_half,   // a second writer, of the upper half of the address space
    input  logic [      4:0] h_col,
    input  logic [   AW-2:0] h_at,
    input  logic [    521:0] h_data,
    input  logic             rd_en,
    input  logic [   AW-1:0] rd_at,
    output logic [T*512-1:0] rd_codes,
    output logic [ T*10-1:0] rd_exps   // of each column {xe1, xe0}
);
  wire upper = wr_at[AW-1];
  // The loader writes h's memory only while no expert is at work, so the two writers never meet there.
  wire [1:0] up_half = h_half | (upper ? wr_half : 2'b00);
  wire [4:0] up_col = h_half != 0 ? h_col : wr_col;
  wire [AW-2:0] up_at = h_half != 0 ? h_at : wr_at[AW-2:0];
  wire [521:0] up_data = h_half != 0 ? h_data : wr_data;

  logic choose, from_h;
  always_ff @(posedge clk) begin
    choose <= rd_en;
    if (rd_en) from_h <= rd_at[AW-1];
  end

  genvar c;
  generate
    for (c = 0; c < T; c = c + 1) begin : g_col
      (* ram_style = "ultra" *) logic [260:0] x_low[0:ENTRIES-1];
      (* ram_style = "ultra" *) logic [260:0] x_high[0:ENTRIES-1];
      (* ram_style = "ultra" *) logic [260:0] h_low[0:ENTRIES-1];
      (* ram_style = "ultra" *) logic [260:0] h_high[0:ENTRIES-1];
      logic [260:0] x_low_q, x_high_q, h_low_q, h_high_q;
      localparam logic [4:0] C = c;
      always_ff @(posedge clk) begin
        if (wr_half[0] && !upper && wr_col == C) x_low[wr_at[AW-2:0]] <= {wr_data[516:512], wr_data[255:0]};
        if (wr_half[1] && !upper && wr_col == C)
          x_high[wr_at[AW-2:0]] <= {wr_data[521:517], wr_data[511:256]};
        if (up_half[0] && up_col == C) h_low[up_at] <= {up_data[516:512], up_data[255:0]};
        if (up_half[1] && up_col == C) h_high[up_at] <= {up_data[521:517], up_data[511:256]};
        if (rd_en && !rd_at[AW-1]) begin
          x_low_q  <= x_low[rd_at[AW-2:0]];
          x_high_q <= x_high[rd_at[AW-2:0]];
        end
        if (rd_en && rd_at[AW-1]) begin
          h_low_q  <= h_low[rd_at[AW-2:0]];
          h_high_q <= h_high[rd_at[AW-2:0]];
        end
        if (choose) begin
          rd_codes[512*c+:512] <= from_h ? {h_high_q[255:0], h_low_q[255:0]}
              : {x_high_q[255:0], x_low_q[255:0]};
          rd_exps[10*c+:10] <= from_h ? {h_high_q[260:256], h_low_q[260:256]}
              : {x_high_q[260:256], x_low_q[260:256]};
        end
      end
    end
  endgenerate
endmodule
