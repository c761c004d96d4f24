// SPDX-License-Identifier: Apache-2.0
// One token's attention over its experts (docs/numerics.md 5.4): numerator sum a_j v_j and denominator sum
// a_j of every row q_i, a_j = e^-(M_i - q_i k_j). The exponential and the division are outside, shared with
// the other modes.
// `start` begins a token of n_last + 1 experts; then n values k and n values v come on ld_*, then every q_i n
// times in succession on q_*, all at up to one a cycle and with gaps where the sender likes.
// M_i - q_i k_j = |q_i| |k_x - k_j| with k_x the largest k (q_i negative: the smallest), as a product of
// integers is monotonic: one pass over k and one unsigned multiplication.
// Latency: q_valid to d_valid 6 cycles; e_valid of the last product to sum_valid 5. Throughput: one product a
// cycle.
// Backpressure: none anywhere; the sender sees to it that a row's sum is taken before the next one's is
// ready.
// Widths: |q| |k_x - k| < 2^63 in Q32; d = sl_rne to Q16, clamped to 32 bits; a Q23, 24 bits, half up;
// |numerator| <= 2^62.
module sl_router_attend (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        start,
    input  logic [ 7:0] n_last,
    input  logic        ld_valid,
    input  logic [31:0] ld_value,
    input  logic        q_valid,
    input  logic [31:0] q,
    output logic        d_valid,    // to the exponential
    output logic [31:0] d,
    input  logic        e_valid,    // from it, in the same order
    input  logic [24:0] e,          // Q24: the exponential >> 6
    output logic        sum_valid,
    output logic        sum_neg,
    output logic [62:0] sum_num,    // magnitude
    output logic [31:0] sum_den
);
  logic [31:0] k_mem[0:255];
  logic [31:0] v_mem[0:255];
  logic [31:0] k_max, k_min;

  // Position in the values that arrive: n of k, then n of v.
  logic [7:0] ld_at;
  logic       ld_v;
  always_ff @(posedge clk) begin
    if (start) begin
      ld_at <= 8'd0;
      ld_v  <= 1'b0;
    end else if (ld_valid) begin
      ld_at <= ld_at == n_last ? 8'd0 : ld_at + 8'd1;
      ld_v  <= ld_v ^ (ld_at == n_last);
    end
  end

  always_ff @(posedge clk) begin
    if (ld_valid) begin
      if (ld_v) v_mem[ld_at] <= ld_value;
      else begin
        k_mem[ld_at] <= ld_value;
        if (ld_at == 8'd0 || $signed(ld_value) > $signed(k_max)) k_max <= ld_value;
        if (ld_at == 8'd0 || $signed(ld_value) < $signed(k_min)) k_min <= ld_value;
      end
    end
  end

  // Front: q and j -> d.
  logic [ 7:0] k_at;
  logic [ 4:0] front;  // valid bits of the stages
  logic [31:0] q1, k1, q2, k2;
  logic [63:0] m3, m4, m5;

  // min(sl_rne(m, 16), 2^32 - 1), m < 2^63.
  function automatic [31:0] to_q16(input [63:0] m);
    logic [63:0] d64;
    begin
      d64 = sl_num_pkg::sl_rne_u64(m, 32'd16);
      to_q16 = d64[63:32] != 32'd0 ? 32'hFFFFFFFF : d64[31:0];
    end
  endfunction

  always_ff @(posedge clk) begin
    if (start) k_at <= 8'd0;
    else if (q_valid) k_at <= k_at == n_last ? 8'd0 : k_at + 8'd1;
  end

  always_ff @(posedge clk) begin
    if (q_valid) begin
      q1 <= q;
      k1 <= k_mem[k_at];
    end
    if (front[0]) begin
      q2 <= q1[31] ? 32'd0 - q1 : q1;
      k2 <= q1[31] ? k1 - k_min : k_max - k1;
    end
    if (front[1]) m3 <= {32'd0, q2} * {32'd0, k2};
    if (front[2]) m4 <= m3;
    if (front[3]) m5 <= m4;
    if (front[4]) d <= to_q16(m5);
  end

  // Back: e -> a, a v -> sums.
  logic [ 7:0] v_at;
  logic [ 3:0] back, last;
  logic [ 2:0] first;
  logic [23:0] a1, a2, a3;
  logic [31:0] v1;
  logic [56:0] p2, p3;  // signed
  logic [63:0] num;  // signed
  logic [31:0] den;

  always_ff @(posedge clk) begin
    if (start) v_at <= 8'd0;
    else if (e_valid) v_at <= v_at == n_last ? 8'd0 : v_at + 8'd1;
  end

  always_ff @(posedge clk) begin
    if (e_valid) begin
      a1 <= e[24:1] + {23'd0, e[0]};  // Q23, half up
      v1 <= v_mem[v_at];
    end
    if (back[0]) begin
      p2 <= $signed({{32{1'b0}}, 1'b0, a1}) * $signed({{25{v1[31]}}, v1});
      a2 <= a1;
    end
    if (back[1]) begin
      p3 <= p2;
      a3 <= a2;
    end
    if (back[2]) begin
      num <= (first[2] ? 64'd0 : num) + {{7{p3[56]}}, p3};
      den <= (first[2] ? 32'd0 : den) + {8'd0, a3};
    end
    if (back[3] && last[3]) begin
      sum_neg <= num[63];
      sum_num <= num[63] ? 63'd0 - num[62:0] : num[62:0];
      sum_den <= den;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      front <= 5'd0;
      back <= 4'd0;
      d_valid <= 1'b0;
      sum_valid <= 1'b0;
    end else begin
      front <= {front[3:0], q_valid};
      back <= {back[2:0], e_valid};
      d_valid <= front[4];
      sum_valid <= back[3] && last[3];
    end
    if (e_valid || back != 4'd0) begin
      first <= {first[1:0], v_at == 8'd0};
      last  <= {last[2:0], v_at == n_last};
    end
  end
endmodule
