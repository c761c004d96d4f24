// SPDX-License-Identifier: Apache-2.0
// sl_exp_neg against tests/ref: every d below 2^21, behind which it is 0 (n > 31 from 1,453,635 on), every d
// whose low or high bits alone vary, and random ones; with gaps in the stream. +all takes every u32
// (minutes). +seed=N repeats a run.
module tb_exp_neg;
  import "DPI-C" function int unsigned tb_exp_neg_want(input int unsigned d);

  localparam int LATENCY = 6;

  logic clk = 1'b0, rst_n = 1'b0, in_valid = 1'b0;
  logic [31:0] in_d, out_d;
  logic out_valid;
  logic [30:0] out_e;
  int seed = 1, n_passed = 0, n_failed = 0;
  longint unsigned n_right = 0, n_wrong = 0, n_put = 0;

  // The tag carries the argument.
  sl_exp_neg #(
      .TAG_W(32)
  ) dut (
      .clk(clk),
      .rst_n(rst_n),
      .in_valid(in_valid),
      .in_d(in_d),
      .in_tag(in_d),
      .out_valid(out_valid),
      .out_e(out_e),
      .out_tag(out_d)
  );

  always #1 clk = !clk;

  // What came in LATENCY cycles ago, and whether anything did.
  logic [LATENCY-1:0] expect_valid = '0;
  logic [32*LATENCY-1:0] expect_d;

  always @(posedge clk) begin
    expect_valid <= {expect_valid[LATENCY-2:0], in_valid && rst_n};
    expect_d <= {expect_d[32*LATENCY-33:0], in_d};
    if (rst_n && out_valid != expect_valid[LATENCY-1]) n_wrong <= n_wrong + 1;
    else if (rst_n && out_valid) begin
      if (out_d == expect_d[32*LATENCY-1-:32] && {1'b0, out_e} == tb_exp_neg_want(out_d))
        n_right <= n_right + 1;
      else begin
        if (n_wrong == 0) $display("d = %0d: %0d, should be %0d", out_d, out_e, tb_exp_neg_want(out_d));
        n_wrong <= n_wrong + 1;
      end
    end
  end

  task automatic put(input int unsigned d);
    in_valid = 1'b1;
    in_d = d;
    n_put++;
    @(negedge clk);
    in_valid = 1'b0;
  endtask

  // Ends a class of arguments.
  task automatic finish_class(input string name);
    repeat (LATENCY + 2) @(negedge clk);
    if (n_wrong == 0 && n_right == n_put) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s, %0d of %0d wrong", seed, name, n_put - n_right, n_put);
    end
    n_wrong = 0;
    n_right = 0;
    n_put = 0;
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    $display("tb_exp_neg seed=%0d", seed);
    void'($urandom(seed));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    for (int unsigned d = 0; d < 32'd1 << 21; d++) put(d);
    finish_class("below 2^21");
    for (int unsigned i = 0; i < 65536; i++) put(i << 16 | (i % 2 != 0 ? 32'hFFFF : 0));
    finish_class("high bits");
    for (int i = 0; i < 200000; i++) begin
      put($urandom >> $urandom_range(15));
      repeat ($urandom_range(2)) @(negedge clk);
    end
    finish_class("random");
    if ($test$plusargs("all")) begin
      for (int unsigned d = 0; d != 32'hFFFFFFFF; d++) put(d);
      put(32'hFFFFFFFF);
      finish_class("everything");
    end
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_exp_neg is wrong");
    $finish;
  end
endmodule
