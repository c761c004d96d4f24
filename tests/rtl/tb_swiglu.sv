// SPDX-License-Identifier: Apache-2.0
// sl_swiglu against tests/ref: g around every table entry and power of two, in small steps below 17, in even
// steps over all of s32, with u of any length; with gaps and a pipe that is held. +all: every g, against the
// C core's sl_silu (minutes). +seed=N repeats a run.
module tb_swiglu;
  import "DPI-C" function void tb_swiglu_case(input longint unsigned seed, input longint unsigned i,
                                              output int g, output int u);
  import "DPI-C" function longint tb_swiglu_want(input int g, input int u);
  import "DPI-C" function longint tb_swiglu_twin(input int g, input int u);
  localparam int LATENCY = 7;

  logic clk = 1'b0, rst_n = 1'b0, en = 1'b1, in_valid = 1'b0;
  logic [31:0] in_g, in_u;
  logic [63:0] out_tag;
  logic out_valid;
  logic [63:0] out_h;

  // The tag carries the arguments.
  sl_swiglu #(
      .TAG_W(64)
  ) dut (
      .clk(clk),
      .rst_n(rst_n),
      .en(en),
      .in_valid(in_valid),
      .in_g(in_g),
      .in_u(in_u),
      .in_tag({in_g, in_u}),
      .out_valid(out_valid),
      .out_h(out_h),
      .out_tag(out_tag)
  );

  always #1 clk = !clk;

  int seed = 1, n_passed = 0, n_failed = 0;
  longint n_right = 0, n_wrong = 0, n_put = 0;
  logic twin = 1'b0;

  // What came in LATENCY running cycles ago.
  logic [LATENCY-1:0] expected = '0;
  logic [64*LATENCY-1:0] arguments;
  logic [128:0] held;
  logic was_held = 1'b0;

  function automatic void wrong(input string what);
    if (n_wrong == 0) $display("g %h u %h: %h %s", out_tag[63:32], out_tag[31:0], out_h, what);
    n_wrong++;
  endfunction

  always @(posedge clk) begin
    if (!rst_n) expected <= '0;
    else if (en) begin
      expected  <= {expected[LATENCY-2:0], in_valid};
      arguments <= {arguments[64*LATENCY-65:0], in_g, in_u};
    end
    was_held <= rst_n && !en;
    held <= {out_valid, out_h, out_tag};
    if (was_held && held !== {out_valid, out_h, out_tag}) wrong("moves while held");
    if (rst_n && out_valid != expected[LATENCY-1]) wrong("comes at the wrong time");
    else if (rst_n && en && out_valid) begin
      if (out_tag != arguments[64*LATENCY-1-:64]) wrong("of the wrong arguments");
      else if (out_h != (twin ? tb_swiglu_twin(out_tag[63:32], out_tag[31:0])
                              : tb_swiglu_want(out_tag[63:32], out_tag[31:0])))
        wrong("");
      else n_right++;
    end
  end

  task automatic put(input int g, input int u);
    in_valid = 1'b1;
    in_g = g;
    in_u = u;
    n_put++;
    @(negedge clk);
    while (!en) begin
      en = 1'($urandom);
      @(negedge clk);
    end
    in_valid = 1'b0;
  endtask

  task automatic finish_class(input string name);
    en = 1'b1;
    repeat (LATENCY + 2) @(negedge clk);
    if (n_wrong == 0 && n_right == n_put) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s, %0d of %0d right", seed, name, n_right, n_put);
    end
    n_right = 0;
    n_wrong = 0;
    n_put = 0;
  endtask

  initial begin
    int g, u;
    void'($value$plusargs("seed=%d", seed));
    $display("tb_swiglu seed=%0d", seed);
    void'($urandom(seed));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    for (int i = 0; i < 300000; i++) begin
      tb_swiglu_case(longint'(seed), longint'(i), g, u);
      put(g, u);
    end
    finish_class("around entries and powers of two");
    for (int i = 300000; i < 500000; i++) begin
      if (i % 3 == 0) @(negedge clk);
      en = 1'($urandom);
      tb_swiglu_case(longint'(seed), longint'(i), g, u);
      put(g, u);
    end
    finish_class("gaps, held");
    for (int i = -(17 << 16); i <= 17 << 16; i += 5) put(i, 1);
    finish_class("below 17");
    g = 32'h80000000;
    for (int i = 0; i < 524352; i++) begin
      tb_swiglu_case(longint'(seed), longint'(i), u, u);
      put(g, u);
      g += 8191;
    end
    finish_class("even steps");
    put(32'h80000000, 32'h80000000);
    put(32'h80000000, 32'h7FFFFFFF);
    put(32'h7FFFFFFF, 32'h80000000);
    put(32'h7FFFFFFF, 32'h7FFFFFFF);
    put(0, 32'h80000000);
    put(-1, -1);
    put(1, -1);
    put(32'h80000000, 0);
    finish_class("ends");
    if ($test$plusargs("all")) begin
      twin = 1'b1;
      u = 32'h80000000;
      g = 32'h80000000;
      do begin
        put(g, u);
        u += 32'h9E3779B1;
        g++;
      end while (g != 32'h80000000);
      finish_class("every g");
    end
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_swiglu is wrong");
    $finish;
  end
endmodule
