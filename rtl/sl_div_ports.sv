// SPDX-License-Identifier: Apache-2.0
// Quotient and remainder of a 20-bit number by the constant P.
// Latency from start to done: 1 cycle when P is a power of two, else 21 (restoring, one bit a cycle). One at
// a time.
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
  localparam int LOG2 = $clog2(P);

  generate
    if ((1 << LOG2) == P) begin : g_shift
      always_ff @(posedge clk) begin
        done <= rst_n && start;
        if (start) begin
          quotient <= n >> LOG2;
          remainder <= 5'(n & 20'(P - 1));
        end
      end
    end else begin : g_divide
      logic [4:0] left;
      logic [4:0] rem;
      wire [5:0] next = {rem, quotient[19]};
      wire fits = next >= 6'(P);
      assign remainder = rem;
      always_ff @(posedge clk) begin
        if (!rst_n) begin
          left <= '0;
          done <= 1'b0;
        end else begin
          done <= left == 1;
          if (start) left <= 5'd20;
          else if (left != 0) left <= left - 1'b1;
        end
        if (start) begin
          quotient <= n;
          rem <= '0;
        end else if (left != 0) begin
          quotient <= {quotient[18:0], fits};
          rem <= 5'(fits ? next - 6'(P) : next);
        end
      end
    end
  endgenerate
endmodule
