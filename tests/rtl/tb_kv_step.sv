// SPDX-License-Identifier: Apache-2.0
// sl_kv_step against the law: every extent below 2^16, of the larger ones every leading 17 bits with random
// rest; +all: every extent there is. +seed=N repeats a run.
module tb_kv_step;
  import "DPI-C" function int tb_step_wrong(input int int4, input int extent, input int exponent,
                                            input int sig, input int shift, input int bits, input int zero);
  localparam int DEPTH = 16;  // of the record of what is under way
  localparam int LARGEST = 32767 * 256;  // of |y|

  logic clk = 1'b0, rst_n = 1'b0, clear = 1'b0, int4 = 1'b0, in_valid = 1'b0;
  logic signed [10:0] exponent = '0;
  logic [2:0] in_group;
  logic signed [23:0] in_max, in_min;
  logic out_valid, out_zero;
  logic [2:0] out_group;
  logic [7:0] out_sig;
  logic [4:0] out_shift;
  logic [15:0] out_bits;

  sl_kv_step dut (.*);

  int seed = 1, all, n_passed = 0, n_failed = 0, sent = 0, seen = 0;
  int extents[DEPTH];

  always #1 clk = !clk;

  always @(negedge clk) begin
    if (out_valid) begin
      if (tb_step_wrong(int'(int4), extents[seen%DEPTH], int'(exponent), int'(out_sig), int'(out_shift),
                        int'(out_bits), int'(out_zero)) == 0 && out_group == 3'(seen))
        n_passed++;
      else begin
        n_failed++;
        if (n_failed < 20)
          $display("FAILED (+seed=%0d): int%0d extent %0d exponent %0d: sig %0d shift %0d bits %h zero %b",
                   seed, int4 ? 4 : 8, extents[seen%DEPTH], exponent, out_sig, out_shift, out_bits, out_zero);
      end
      seen <= seen + 1;
    end
  end

  task automatic send(input int extent);
    int low, other;
    if (int4) begin
      // Any split into mx and -mn that both fit.
      low = extent > LARGEST ? extent - LARGEST : 0;
      other = $urandom_range(extent > LARGEST ? LARGEST : extent, low);
      in_max = 24'(other);
      in_min = 24'(other - extent);
    end else begin
      other = $urandom_range(extent);
      in_max = extent[0] ? 24'(extent) : 24'(other);
      in_min = extent[0] ? -24'(other) : -24'(extent);
    end
    in_valid = 1'b1;
    in_group = 3'(sent);
    extents[sent%DEPTH] = extent;
    sent++;
    @(negedge clk);
    in_valid = 1'b0;
    if ($urandom_range(15) == 0) @(negedge clk);
  endtask

  // The exponent is that of a whole vector: it stays while extents are under way.
  task automatic set_exponent(input int e);
    repeat (10) @(negedge clk);
    exponent = 11'(e);
  endtask

  task automatic sweep(input int limit);
    for (int extent = 0; extent <= (all != 0 ? limit : 65535); extent++) begin
      if (extent % 8192 == 0) set_exponent($urandom_range(40) - 20);
      else if (extent % 4096 == 0) set_exponent($urandom_range(300) - 150);
      send(extent);
    end
    for (int bit_no = 16; bit_no < 24 && all == 0; bit_no++)
      for (int lead = 65536; lead < 131072; lead++) begin
        int extent;
        if (lead % 8192 == 0) set_exponent($urandom_range(300) - 150);
        extent = (lead << (bit_no - 16)) | ($urandom & ((1 << (bit_no - 16)) - 1));
        if (extent <= limit) send(extent);
      end
    for (int e = -1023; e <= 1023; e++) begin
      set_exponent(e);
      for (int n = 0; n < 24; n++) send($urandom_range(2 << n > limit ? limit : 2 << n));
    end
    repeat (10) @(negedge clk);
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    all = int'($test$plusargs("all") != 0);
    $display("tb_kv_step +seed=%0d", seed);
    void'($urandom(seed));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);
    sweep(LARGEST);
    int4 = 1'b1;
    sweep(2 * LARGEST);
    if (sent != seen) n_failed++;
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "tb_kv_step failed");
    $finish;
  end
endmodule
