// SPDX-License-Identifier: Apache-2.0
// sl_div_half against tests/ref: both forms over quotients of every length, exact halves and their
// neighbours, the largest operands, and a flush (rst_n) in the middle. +seed=N repeats a run.
module tb_div_half;
  import "DPI-C" function int unsigned tb_div_half_want(input longint unsigned num,
                                                        input longint unsigned den, input int unsigned up);

  logic clk = 1'b0, rst_n = 1'b0, in_valid = 1'b0;
  logic in_ready, in_short, in_neg, out_valid, out_neg;
  logic [62:0] in_num;
  logic [38:0] in_den;
  logic [31:0] out_q;
  int seed = 1, n_passed = 0, n_failed = 0, n_right = 0, n_wrong = 0;

  sl_div_half dut (.*);

  always #1 clk = !clk;

  function automatic longint unsigned random64();
    random64 = {$urandom, $urandom};
  endfunction

  task automatic divide(input bit as_short, input longint unsigned num, input longint unsigned den);
    int cycles;
    bit neg;
    neg = 1'($urandom);
    in_valid = 1'b1;
    in_short = as_short;
    in_neg = neg;
    in_num = 63'(num);
    in_den = 39'(den);
    @(negedge clk);
    in_valid = 1'b0;
    in_num = 63'(random64());  // must have been taken
    in_den = 39'(random64());
    in_neg = !neg;
    for (cycles = 1; !out_valid && cycles < 40; cycles++) begin
      if (in_ready) n_wrong++;
      @(negedge clk);
    end
    if (cycles == (as_short ? 15 : 18) && in_ready && out_neg == neg &&
        out_q == tb_div_half_want(num, den, as_short ? 24 : 0))
      n_right++;
    else begin
      if (n_wrong++ == 0)
        $display("short %0d: %0d / %0d gave %0d after %0d", as_short, num, den, out_q, cycles);
    end
  endtask

  task automatic finish_class(input string name);
    if (n_wrong == 0 && n_right > 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s, %0d wrong", seed, name, n_wrong);
    end
    n_wrong = 0;
    n_right = 0;
  endtask

  initial begin
    longint unsigned num, den, quotient;
    void'($value$plusargs("seed=%d", seed));
    $display("tb_div_half seed=%0d", seed);
    void'($urandom(seed));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);

    for (int i = 0; i < 60000; i++) begin
      den = 1 + ((random64() & 64'h7FFFFFFFFE) >> $urandom_range(38));
      quotient = 64'($urandom) >> $urandom_range(31);
      while (quotient > (64'h7FFFFFFFFFFFFFFF - den) / den) quotient >>= 1;
      case (i % 4)
        0: num = random64() % den;
        1: num = den / 2;
        2: num = (den + 1) / 2;
        default: num = (den - 1) / 2;
      endcase
      num += quotient * den;
      // What rounds up to 2^32 is outside of the contract.
      if (num >= den * 64'hFFFFFFFF) num = den * 64'hFFFFFFFF;
      divide(1'b0, num, den);
    end
    finish_class("long form");
    divide(1'b0, 64'd1 << 62, 64'd1 << 31);
    divide(1'b0, (64'd1 << 62) - 1, (64'd1 << 31) - 1);
    divide(1'b0, 64'h7FFFFFFFFFFFFFFF, 64'h7FFFFFFFFF);
    divide(1'b0, 0, 1);
    divide(1'b0, 64'hFFFFFFFF, 1);
    divide(1'b0, 0, 64'h7FFFFFFFFF);
    divide(1'b0, (64'd1 << 31) * (64'd1 << 23), 64'd1 << 23);
    finish_class("ends of the long form");
    for (int i = 0; i < 60000; i++) begin
      den = 1 + ((random64() & 64'h7FFFFFFFFE) >> $urandom_range(38));
      num = random64() % ((den > 64'd1 << 30 ? 64'd1 << 30 : den) + 1);
      divide(1'b1, num, den);
    end
    finish_class("short form");
    divide(1'b1, 64'd1 << 30, 64'd1 << 30);
    divide(1'b1, 64'd1 << 30, 64'd1 << 38);
    divide(1'b1, 1, 1);
    divide(1'b1, 1, 64'd1 << 25);
    divide(1'b1, 1, (64'd1 << 25) + 1);
    divide(1'b1, 0, 5);
    finish_class("ends of the short form");
    for (int i = 0; i < 200; i++) begin
      in_valid = 1'b1;
      in_short = 1'(i);
      in_num = 63'd1 << 40;
      in_den = 39'd1 << 38;
      @(negedge clk);
      in_valid = 1'b0;
      repeat ($urandom_range(20)) @(negedge clk);
      rst_n = 1'b0;
      @(negedge clk);
      rst_n = 1'b1;
      if (!in_ready || out_valid) n_wrong++;
      divide(1'(i >> 1), 64'($urandom) >> 2, 64'd1 << 31);
    end
    finish_class("flush");
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_div_half is wrong");
    $finish;
  end
endmodule
