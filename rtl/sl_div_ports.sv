// SPDX-License-Identifier: Apache-2.0
// Quotient and remainder of a 20-bit number by the constant P, by the reciprocal: with M = 2^K / P rounded
// up, M P = 2^K + e and 0 <= e < P <= 2^(K - 20), n M / 2^K exceeds n / P by n e / (P 2^K) < 1 / P: too
// little to reach the next whole number.
// Latency from start to done: 2 cycles. Throughput: one a cycle. No backpressure.
module sl_div_ports #(
    parameter int P = 1
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        start,
    input  logic [19:0] n,
    output logic        done,
    output logic [19:0] quotient,
    output logic [ 4:0] remainder
);
  localparam int K = 20 + $clog2(P);
  localparam logic [25:0] M = 26'(((1 << K) + P - 1) / P);

  logic busy;
  logic [19:0] n1;
  logic [45:0] product;
  wire [19:0] whole = 20'(product >> K);

  always_ff @(posedge clk) begin
    busy <= rst_n && start;
    done <= rst_n && busy;
    n1 <= n;
    product <= {26'd0, n} * {20'd0, M};
    quotient <= whole;
    remainder <= 5'(n1 - 20'(whole * 20'(P)));
  end
endmodule
