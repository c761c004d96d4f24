// SPDX-License-Identifier: Apache-2.0
// The functions of sl_num_pkg against tests/ref. Every code of every format; every number below 2^10 and
// shift below 14, every shift of random numbers and ties; sigmoid and silu around every table entry, at the
// ends and in even steps (tb_swiglu takes every g). +seed=N repeats a run.
module tb_num;
  import "DPI-C" function longint unsigned tb_any_u64(input longint unsigned seed, input longint unsigned i);
  import "DPI-C" function int tb_fp8_want(input int unsigned code);
  import "DPI-C" function int tb_4bit_want(input int unsigned format, input int unsigned code);
  import "DPI-C" function int unsigned tb_is_4bit_want(input int unsigned format);
  import "DPI-C" function int unsigned tb_log2_want(input longint unsigned v);
  import "DPI-C" function longint unsigned tb_rne_u64_want(input longint unsigned v, input int unsigned s);
  import "DPI-C" function longint tb_rne_want(input longint v, input int s);
  import "DPI-C" function int tb_sat32_want(input longint v);
  import "DPI-C" function int tb_jam_wrong(input longint v, input int unsigned m, input int unsigned up,
                                           input longint unsigned q);
  import "DPI-C" function void tb_scale_case(input longint unsigned seed, input longint unsigned i,
                                             output longint v, output int unsigned m, output int e);
  import "DPI-C" function int tb_scale_wrong(input longint v, input int unsigned m, input int e,
                                             input int s32, input int unsigned saturated,
                                             input int unsigned f32);
  import "DPI-C" function int unsigned tb_sigmoid_want(input int g);
  import "DPI-C" function int tb_silu_want(input int g);

  localparam int N_RANDOM = 400000;

  int seed = 1, n_passed = 0, n_failed = 0;
  longint n_right = 0, n_wrong = 0;

  function automatic void judge(input bit right, input longint a, input longint b, input longint got);
    if (right) n_right++;
    else begin
      if (n_wrong == 0) $display("of %h and %0d: %h", a, b, got);
      n_wrong++;
    end
  endfunction

  function automatic void finish_class(input string name);
    if (n_wrong == 0 && n_right > 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s, %0d of %0d wrong", seed, name, n_wrong, n_wrong + n_right);
    end
    n_wrong = 0;
    n_right = 0;
  endfunction

  function automatic longint unsigned any_u64(input int i);
    any_u64 = tb_any_u64(longint'(seed), longint'(i));
  endfunction

  function automatic void codes();
    for (int c = 0; c < 256; c++) begin
      logic signed [18:0] fp8;
      logic signed [7:0] s8;
      fp8 = sl_num_pkg::sl_decode_fp8(8'(c));
      s8  = sl_num_pkg::sl_decode_s8(8'(c));
      judge(int'(fp8) == tb_fp8_want(c), longint'(c), 0, longint'(fp8));
      judge(int'(s8) == (c < 128 ? c : c - 256), longint'(c), 1, longint'(s8));
    end
    for (int f = 0; f < 8; f++) begin
      judge(sl_num_pkg::sl_format_is_4bit(3'(f)) == 1'(tb_is_4bit_want(f)), longint'(f), 2, 0);
      for (int c = 0; c < 16; c++) begin
        logic signed [7:0] v;
        v = sl_num_pkg::sl_decode_4bit(3'(f), 4'(c));
        judge(int'(v) == tb_4bit_want(f, c), longint'(f), longint'(c), longint'(v));
      end
    end
    finish_class("codes");
  endfunction

  // A power of two, and the longest and a random number with the same leading bit.
  function automatic void log2();
    judge(sl_num_pkg::sl_log2(64'd0) == 6'd0, 0, 0, 0);
    for (int n = 0; n < 64; n++) begin
      longint unsigned one;
      one = 64'd1 << n;
      for (int i = 0; i < 500; i++) begin
        longint unsigned v;
        v = i == 0 ? one : i == 1 ? one | (one - 1) : one | any_u64(i) & (one - 1);
        judge(32'(sl_num_pkg::sl_log2(v)) == tb_log2_want(v), v, n, 0);
      end
    end
    finish_class("log2");
  endfunction

  function automatic void one_rounding(input longint unsigned v, input int unsigned s);
    longint unsigned got;
    got = sl_num_pkg::sl_rne_u64(v, s);
    judge(got == tb_rne_u64_want(v, s), v, longint'(s), got);
  endfunction

  function automatic void roundings();
    for (int v = 0; v < 1024; v++) for (int s = 0; s < 14; s++) one_rounding(64'(v), s);
    for (int s = 0; s < 80; s++)
      for (int i = 0; i < 4000; i++) begin
        longint unsigned v;
        v = any_u64(4000 * s + i);
        one_rounding(v, s);
        // Odd and even ties, and their neighbours.
        if (s > 0 && s < 64) begin
          v = (v << s) | 64'd1 << (s - 1);
          one_rounding(v, s);
          one_rounding(v + 1, s);
          one_rounding(v - 1, s);
        end
      end
    for (int i = 0; i < 1000; i++) one_rounding(any_u64(i), 32'd1 << (6 + i % 26) | 32'd1);
    one_rounding(64'h8000000000000000, 64);
    one_rounding(64'h8000000000000001, 64);
    one_rounding(64'hFFFFFFFFFFFFFFFF, 64);
    one_rounding(64'hFFFFFFFFFFFFFFFF, 65);
    one_rounding(64'hFFFFFFFFFFFFFFFF, 32'hFFFFFFFF);
    finish_class("sl_rne_u64");
  endfunction

  function automatic void one_signed(input longint v, input int s);
    judge(sl_num_pkg::sl_rne(v, s) == tb_rne_want(v, s), v, longint'(s), sl_num_pkg::sl_rne(v, s));
  endfunction

  function automatic void signed_roundings();
    for (int s = -62; s < 70; s++)
      for (int i = 0; i < 3000; i++) begin
        longint v;
        v = any_u64(3000 * s + i);
        // What is shifted left fits.
        if (s < 0) v = v >>> -s;
        one_signed(v, s);
        one_signed(s < 0 ? -v : ~v, s);
        // A tie.
        if (s > 0 && s < 63) begin
          v = any_u64(i) << s | 64'd1 << (s - 1);
          one_signed(v, s);
          one_signed(-v, s);
        end
      end
    one_signed(64'sh8000000000000000, 0);
    one_signed(64'sh8000000000000000, 63);
    one_signed(64'sh8000000000000000, 64);
    one_signed(64'sh8000000000000001, 64);
    one_signed(64'sh7FFFFFFFFFFFFFFF, 32'sh7FFFFFFF);
    one_signed(64'sd0, 32'sh80000000);
    for (int i = 0; i < 2000; i++) begin
      longint v;
      v = any_u64(i);
      judge(sl_num_pkg::sl_sign_s64(sl_num_pkg::sl_abs_u64(v), v < 0) == v, v, 0, 0);
      judge(sl_num_pkg::sl_abs_u64(v) == (v < 0 ? 64'd0 - 64'(v) : 64'(v)), v, 1, 0);
    end
    finish_class("sl_rne, sl_abs_u64, sl_sign_s64");
  endfunction

  function automatic void saturations();
    for (int d = -4; d <= 4; d++)
      for (int n = 28; n < 64; n++) begin
        longint v;
        v = (64'sd1 <<< n) + longint'(d);
        judge(sl_num_pkg::sl_sat32(v) == tb_sat32_want(v), v, n, longint'(sl_num_pkg::sl_sat32(v)));
        judge(sl_num_pkg::sl_sat32(-v) == tb_sat32_want(-v), -v, n, longint'(sl_num_pkg::sl_sat32(-v)));
      end
    for (int i = 0; i < N_RANDOM; i++) begin
      longint v;
      v = any_u64(i);
      judge(sl_num_pkg::sl_sat32(v) == tb_sat32_want(v), v, 0, longint'(sl_num_pkg::sl_sat32(v)));
      judge(sl_num_pkg::sl_sat32(-v) == tb_sat32_want(-v), -v, 0, longint'(sl_num_pkg::sl_sat32(-v)));
    end
    finish_class("sl_sat32");
  endfunction

  function automatic void scales();
    for (int i = 0; i < 8 * N_RANDOM; i++) begin
      longint v;
      int unsigned m;
      int e, up;
      logic [63:0] a;
      logic [64:0] jam;
      logic [32:0] s32;
      tb_scale_case(longint'(seed), longint'(i), v, m, e);
      a = sl_num_pkg::sl_abs_u64(v);
      jam = sl_num_pkg::sl_mul_jam(48'(a[31:0]) * 48'(m), 48'(a[63:32]) * 48'(m));
      judge(tb_jam_wrong(v, m, 32'(jam[64]), jam[63:0]) == 0, v, longint'(m), jam[63:0]);
      up = jam[64] ? 16 : 0;
      s32 = sl_num_pkg::sl_scale_s32_tail(jam[63:0], v < 0, e + up);
      judge(tb_scale_wrong(v, m, e, int'(s32[31:0]), 32'(s32[32]),
                           sl_num_pkg::sl_scale_f32_tail(jam[63:0], v < 0, e + up)) == 0,
            v, longint'(e), longint'(s32));
    end
    finish_class("sl_mul_jam, sl_scale_s32, sl_scale_f32");
  endfunction

  function automatic void one_g(input int g);
    judge(32'(sl_num_pkg::sl_sigmoid(g)) == tb_sigmoid_want(g), longint'(g), 0,
          longint'(sl_num_pkg::sl_sigmoid(g)));
    judge(sl_num_pkg::sl_silu(g) == tb_silu_want(g), longint'(g), 1, longint'(sl_num_pkg::sl_silu(g)));
  endfunction

  function automatic void sigmoids();
    int unsigned g;
    for (int i = -258; i <= 258; i++) for (int d = -3; d <= 3; d++) one_g(4096 * i + d);
    for (int n = 16; n < 32; n++) for (int d = -3; d <= 3; d++) one_g((32'sd1 <<< n) + d);
    for (int i = -(17 << 16); i <= 17 << 16; i += 3) one_g(i);
    // 8191 and a power of two have no common divisor: each step is at another place between the entries.
    g = 32'h80000000;
    for (int i = 0; i < 524352; i++) begin
      one_g(g);
      g += 8191;
    end
    one_g(g);
    finish_class("sl_sigmoid, sl_silu");
  endfunction

  initial begin
    void'($value$plusargs("seed=%d", seed));
    $display("tb_num seed=%0d", seed);
    codes();
    log2();
    roundings();
    signed_roundings();
    saturations();
    scales();
    sigmoids();
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_num_pkg is wrong");
    $finish;
  end
endmodule
