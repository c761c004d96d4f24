// SPDX-License-Identifier: Apache-2.0
// sl_scale against tests/ref: ties, ends of s32 and fp32, subnormals, products of more than 64 bits, any
// exponent (tests/rtl/num_cases.c). In one stream: without gaps, with gaps, and with a pipe that is held at
// random; each result comes LATENCY cycles of a running pipe after its argument, and stays while the pipe
// is held. +cases=N: how many of each; +seed=N repeats a run.
module tb_scale;
  import "DPI-C" function void tb_scale_case(input longint unsigned seed, input longint unsigned i,
                                             output longint v, output int unsigned m, output int e);
  import "DPI-C" function int tb_scale_wrong(input longint v, input int unsigned m, input int e,
                                             input int s32, input int unsigned saturated,
                                             input int unsigned f32);
  localparam int LATENCY = 6;

  logic clk = 1'b0, rst_n = 1'b0, en = 1'b1, in_valid = 1'b0;
  logic [63:0] in_value;
  logic [15:0] in_mant;
  logic signed [17:0] in_exp;
  logic [31:0] in_tag;
  logic out_valid, out_sat;
  logic [31:0] out_s32, out_f32, out_tag;

  sl_scale #(.TAG_W(32)) dut (.*);

  always #1 clk = !clk;

  int seed = 1, cases = 400000, n_passed = 0, n_failed = 0;
  int n_right = 0, n_wrong = 0, at = 0;
  int next_tag = 0;  // arguments are numbered, and come out in order
  longint v;
  int unsigned m;
  int e;

  // What came in LATENCY running cycles ago.
  logic [LATENCY-1:0] expected = '0;
  logic [97:0] held;
  logic was_held = 1'b0;

  function automatic void wrong(input string what);
    if (n_wrong == 0) $display("case %0d: %s", out_tag, what);
    n_wrong++;
  endfunction

  always @(posedge clk) begin
    if (!rst_n) expected <= '0;
    else if (en) expected <= {expected[LATENCY-2:0], in_valid};
    was_held <= rst_n && !en;
    held <= {out_valid, out_sat, out_s32, out_f32, out_tag};
    if (was_held && held !== {out_valid, out_sat, out_s32, out_f32, out_tag}) wrong("moves while held");
    if (rst_n && out_valid != expected[LATENCY-1]) wrong("comes at the wrong time");
    if (rst_n && en && out_valid) begin
      tb_scale_case(longint'(seed), longint'(out_tag), v, m, e);
      next_tag <= out_tag + 1;
      if (out_tag != next_tag) wrong($sformatf("%0d was due", next_tag));
      else if (tb_scale_wrong(v, m, e, out_s32, 32'(out_sat), out_f32) != 0)
        wrong($sformatf("%h * %0d * 2^%0d: %h %b %h", v, m, e, out_s32, out_sat, out_f32));
      else n_right++;
    end
  end

  task automatic run_class(input string name, input int gap_percent, input int hold_percent);
    longint value;
    int unsigned mant;
    int exponent, put;
    n_right = 0;
    n_wrong = 0;
    put = 0;
    while (put < cases) begin
      en = $urandom_range(99) >= hold_percent;
      in_valid = $urandom_range(99) >= gap_percent;
      if (in_valid) tb_scale_case(longint'(seed), longint'(at), value, mant, exponent);
      // Where nothing comes in, anything may be on the wires.
      in_value = in_valid ? value : {$urandom, $urandom};
      in_mant = in_valid ? 16'(mant) : 16'($urandom);
      in_exp = in_valid ? 18'(exponent) : 18'($urandom);
      in_tag = at;
      @(negedge clk);
      if (en && in_valid) begin
        put++;
        at++;
      end
    end
    in_valid = 1'b0;
    en = 1'b1;
    repeat (LATENCY + 1) @(negedge clk);
    if (n_wrong == 0 && n_right == put) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s, %0d of %0d right", seed, name, n_right, put);
    end
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("cases=%d", cases));
    $display("tb_scale seed=%0d", seed);
    void'($urandom(seed));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    run_class("without gaps", 0, 0);
    run_class("gaps", 30, 0);
    run_class("held", 0, 40);
    run_class("gaps, held", 50, 50);
    // What is in the pipe is gone after a reset.
    in_valid = 1'b1;
    repeat (3) @(negedge clk);
    in_valid = 1'b0;
    rst_n = 1'b0;
    @(negedge clk);
    next_tag = at;
    rst_n = 1'b1;
    cases = 1000;
    run_class("after a reset", 10, 10);
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_scale is wrong");
    $finish;
  end
endmodule
