// SPDX-License-Identifier: Apache-2.0
// Logits of up to 64 tokens, 768 rows each: two tokens a word, so that 24,576 words of 64 bits hold them (6
// UltraRAMs or 48 block RAMs). One write and one read a cycle; latency of a read 2 cycles (address to
// rd_value).
module sl_router_logits #(
    // verilator lint_off UNUSEDPARAM
    parameter RAM_STYLE = "ultra"  // an attribute; "block" for devices without UltraRAM
    // verilator lint_on UNUSEDPARAM
) (
    input  logic        clk,
    input  logic        wr_valid,
    input  logic [ 5:0] wr_token,
    input  logic [ 9:0] wr_row,
    input  logic [31:0] wr_value,
    input  logic        rd_valid,
    input  logic [ 5:0] rd_token,
    input  logic [ 9:0] rd_row,
    output logic [31:0] rd_value
);
  (* ram_style = RAM_STYLE *)
  logic [63:0] mem[0:24575];
  logic [63:0] word;
  logic        read, odd;

  // 768 words a pair of tokens: {3 pair + row / 256, row % 256}.
  function automatic [14:0] place(input [4:0] pair, input [9:0] row);
    place = {{2'd0, pair} + {1'b0, pair, 1'b0} + {5'd0, row[9:8]}, row[7:0]};
  endfunction

  always_ff @(posedge clk) begin
    if (wr_valid && !wr_token[0]) mem[place(wr_token[5:1], wr_row)][31:0] <= wr_value;
    if (wr_valid && wr_token[0]) mem[place(wr_token[5:1], wr_row)][63:32] <= wr_value;
  end

  always_ff @(posedge clk) begin
    read <= rd_valid;
    if (rd_valid) begin
      word <= mem[place(rd_token[5:1], rd_row)];
      odd  <= rd_token[0];
    end
    if (read) rd_value <= odd ? word[63:32] : word[31:0];
  end
endmodule
