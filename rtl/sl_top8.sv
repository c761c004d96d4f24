// SPDX-License-Identifier: Apache-2.0
// The eight largest of a stream of signed keys, best first, ties to the one that came first; each with its
// index.
// `clear` empties it. One key a cycle; latency 1. The first k places are the result for any k up to 8.
// Once the stream has ended, `set` replaces single keys (the indices stay), which makes the key registers the
// place of whatever is computed of the chosen ones. Unfilled places hold old values.
module sl_top8 (
    input  logic         clk,
    input  logic         clear,
    input  logic         in_valid,
    input  logic [ 31:0] in_key,
    input  logic [  7:0] in_index,
    input  logic         set,
    input  logic [  2:0] set_place,
    input  logic [ 31:0] set_key,
    output logic [255:0] keys,
    output logic [ 63:0] indices
);
  logic [7:0] full;
  // Place j stays: its key is at least as large. A run of ones from place 0, as keys are sorted.
  logic [7:0] keep;

  always_comb begin
    keep = 8'd0;
    if (in_valid)
      for (int j = 0; j < 8; j = j + 1) keep[j] = full[j] && $signed(in_key) <= $signed(keys[32*j+:32]);
  end

  always_ff @(posedge clk) begin
    if (clear) begin
      full <= 8'd0;
    end else if (in_valid) begin
      full <= {full[6:0], 1'b1};
      if (!keep[0]) begin
        keys[31:0] <= in_key;
        indices[7:0] <= in_index;
      end
      for (int j = 1; j < 8; j = j + 1)
        if (!keep[j]) begin
          keys[32*j+:32] <= keep[j-1] ? in_key : keys[32*j-32+:32];
          indices[8*j+:8] <= keep[j-1] ? in_index : indices[8*j-8+:8];
        end
    end else if (set) begin
      for (int j = 0; j < 8; j = j + 1) if (set_place == j[2:0]) keys[32*j+:32] <= set_key;
    end
  end
endmodule
