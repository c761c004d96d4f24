// SPDX-License-Identifier: Apache-2.0
// sl_div_ports for every P that a core may have, over its whole domain, against the division of SystemVerilog.
module tb_div_ports;
  localparam int N_P = 32;
  localparam int LATENCY = 2;

  logic clk = 1'b0, start = 1'b0;
  logic [19:0] n = '0;
  logic [N_P-1:0] done;
  logic [20*N_P-1:0] quotient;
  logic [5*N_P-1:0] remainder;

  genvar i;
  generate
    for (i = 0; i < N_P; i = i + 1) begin : g_p
      sl_div_ports #(
          .P(i + 1)
      ) dut (
          .clk(clk),
          .rst_n(1'b1),
          .start(start),
          .n(n),
          .done(done[i]),
          .quotient(quotient[20*i+:20]),
          .remainder(remainder[5*i+:5])
      );
    end
  endgenerate

  int n_wrong[N_P];

  task automatic judge(input int value);
    for (int p = 1; p <= N_P; p++)
      if (!done[p-1] || int'(quotient[20*(p-1)+:20]) != value / p || int'(remainder[5*(p-1)+:5]) != value % p)
        n_wrong[p-1]++;
  endtask

  initial begin
    int n_passed, n_failed;
    for (int value = 0; value < (1 << 20) + LATENCY; value++) begin
      n = 20'(value);
      start = value < 1 << 20;
      #1 clk = 1'b1;
      #1 clk = 1'b0;
      if (value >= LATENCY - 1 && value < (1 << 20) + LATENCY - 1) judge(value - LATENCY + 1);
    end
    for (int p = 1; p <= N_P; p++) begin
      if (n_wrong[p-1] == 0) n_passed++;
      else begin
        n_failed++;
        $display("FAILED: P = %0d: %0d quotients or remainders are wrong", p, n_wrong[p-1]);
      end
    end
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal;
    $finish;
  end
endmodule
