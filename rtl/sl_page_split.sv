// SPDX-License-Identifier: Apache-2.0
// Cuts a request of 1..64 beats into one or two bursts that do not cross 4 KiB. No latency for the first;
// in_ready rises with the acceptance of the last. Backpressure: out_ready.
module sl_page_split (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        in_valid,
    output logic        in_ready,
    input  logic [57:0] in_beat,
    input  logic [ 6:0] in_len,
    output logic        out_valid,
    input  logic        out_ready,
    output logic [57:0] out_beat,
    output logic [ 6:0] out_len
);
  logic second;
  wire [6:0] to_page = 7'd64 - {1'b0, in_beat[5:0]};
  wire cut = in_len > to_page;

  assign out_valid = in_valid;
  assign out_beat = second ? {in_beat[57:6] + 52'd1, 6'd0} : in_beat;
  assign out_len = second ? in_len - to_page : cut ? to_page : in_len;
  assign in_ready = out_ready && (second || !cut);

  always_ff @(posedge clk) begin
    if (!rst_n) second <= 1'b0;
    else if (in_valid && out_ready) second <= cut && !second;
  end
endmodule
