// SPDX-License-Identifier: Apache-2.0
// Token lists by expert (docs/numerics.md 5.4): a counting sort of the choices. In this order: zero_* clears
// every expert's count; add_* brings the choices, each place of each token once; table_* goes over the
// experts in ascending order and gives start | count << 16; `sort` fills the list (sort_busy until it is
// full); list_* reads it: token | choice << 24.
// Latency: table_valid, list_valid to the word 1 cycle; sort takes tokens * top_k + 2 cycles. Throughput: one
// a cycle.
// Backpressure: none; the caller asks for a word when it can take it.
// Widths: a count is at most 64 (a token chooses an expert once), a start at most 512.
module sl_router_lists (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        zero_valid,
    input  logic [ 7:0] zero_index,
    input  logic        add_valid,
    input  logic [ 7:0] add_expert,
    input  logic [ 5:0] add_token,
    input  logic [ 2:0] add_choice,
    input  logic        table_valid,
    input  logic [ 7:0] table_index,
    output logic [31:0] table_word,
    input  logic        sort,
    input  logic [ 5:0] t_last,
    input  logic [ 2:0] k_last,
    output logic        sort_busy,
    input  logic        list_valid,
    input  logic [ 8:0] list_index,
    output logic [31:0] list_word
);
  // Counts while choices come, then the place of the next entry of each expert.
  logic [9:0] place[0:255];
  logic [7:0] chosen[0:511];  // by token, choice
  logic [8:0] list[0:511];  // choice, token
  logic [8:0] list_entry;
  logic [9:0] sum;  // of the counts of the experts before

  logic       go1;
  logic [5:0] t0, t1;
  logic [2:0] c0, c1;
  logic [7:0] e1;
  logic       go0;

  assign sort_busy = go0 || go1;
  assign list_word = {5'd0, list_entry[8:6], 18'd0, list_entry[5:0]};

  wire [7:0] at = go1 ? e1 : table_valid ? table_index : add_valid ? add_expert : zero_index;
  wire [9:0] old = place[at];
  wire [9:0] start = table_index == 8'd0 ? 10'd0 : sum;

  always_ff @(posedge clk) begin
    if (zero_valid || add_valid || table_valid || go1)
      place[at] <= zero_valid ? 10'd0 : table_valid ? start : old + 10'd1;
    if (table_valid) begin
      table_word <= {6'd0, old, 6'd0, start};
      sum <= start + old;
    end
  end

  always_ff @(posedge clk) begin
    if (add_valid) chosen[{add_token, add_choice}] <= add_expert;
    if (go0) e1 <= chosen[{t0, c0}];
  end

  always_ff @(posedge clk) begin
    if (go1) list[old[8:0]] <= {c1, t1};
    if (list_valid) list_entry <= list[list_index];
  end

  always_ff @(posedge clk) begin
    if (sort) begin
      t0 <= 6'd0;
      c0 <= 3'd0;
    end else if (go0) begin
      c0 <= c0 == k_last ? 3'd0 : c0 + 3'd1;
      if (c0 == k_last) t0 <= t0 + 6'd1;
    end
    if (go0) begin
      t1 <= t0;
      c1 <= c0;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      go0 <= 1'b0;
      go1 <= 1'b0;
    end else begin
      if (sort) go0 <= 1'b1;
      else if (c0 == k_last && t0 == t_last) go0 <= 1'b0;
      go1 <= go0;
    end
  end
endmodule
