// SPDX-License-Identifier: Apache-2.0
// sl_kv_quant against tests/ref: its division over the whole domain (every sig with every quotient and
// remainder that can occur), then random vectors of any number of channels. +seed=N repeats a run; +soak=N
// adds N random vectors.
module tb_kv_quant;
  import "DPI-C" function chandle tb_quant_open(input longint unsigned seed);
  import "DPI-C" function int tb_quant_lowest(input int kind, input int sig);
  import "DPI-C" function void tb_quant_range(input chandle handle, input int kind, input int extent,
                                              input int first);
  import "DPI-C" function int tb_quant_random(input chandle handle, input int kind);
  import "DPI-C" function void tb_quant_row(input chandle handle, input int row, output bit [383:0] lanes);
  import "DPI-C" function int tb_quant_wrong(input chandle handle, input int beat, input bit [511:0] data);

  logic clk = 1'b0, rst_n = 1'b0, clear = 1'b0, int4 = 1'b0, in_valid = 1'b0, in_last = 1'b0, room = 1'b0;
  logic [3:0] last_row = '0, in_row = '0, row_addr;
  logic [2:0] last_group = '0;
  logic [15:0] tail_mask = '0;
  logic signed [10:0] exponent = '0;
  logic [383:0] in_data = '0, row_data;
  logic row_rd, vec_done, out_claim, out_valid;
  logic [511:0] out_data;

  sl_kv_quant #(.W(24)) dut (.*);

  chandle bench;
  bit [383:0] rows[16];
  int seed = 1, soak = 0, n_passed = 0, n_failed = 0;
  int beats = 0, wrong = 0, claims = 0;

  always #1 clk = !clk;
  always @(posedge clk) if (row_rd) row_data <= rows[row_addr];

  always @(negedge clk) begin
    if (out_claim) claims <= claims + 1;
    if (out_valid) begin
      wrong <= wrong + tb_quant_wrong(bench, beats, out_data);
      beats <= beats + 1;
    end
  end

  task automatic run_vector(input int kind, input int d);
    int n_beats, n_rows;
    n_rows = (d + 15) / 16;
    n_beats = (kind == 0 ? (d + 63) / 64 : (d + 127) / 128) + 1;
    int4 = kind != 0;
    last_row = 4'(n_rows - 1);
    last_group = kind != 0 ? 3'((d - 1) / 32) : 3'd0;
    tail_mask = 16'hFFFF >> (15 - (d - 1) % 16);
    beats = 0;
    wrong = 0;
    claims = 0;
    for (int r = 0; r < n_rows; r++) begin
      tb_quant_row(bench, r, rows[r]);
      in_valid = 1'b1;
      in_data = rows[r];
      in_row = 4'(r);
      in_last = r == n_rows - 1;
      @(negedge clk);
      in_valid = 1'b0;
    end
    room = $urandom_range(7) != 0;
    for (int c = 0; c < 200 && beats < n_beats; c++) begin
      @(negedge clk);
      if (c > 40) room = 1'b1;
    end
    @(negedge clk);
    if (wrong == 0 && beats == n_beats && claims == 1) n_passed++;
    else begin
      n_failed++;
      if (n_failed < 20)
        $display("FAILED (+seed=%0d): int%0d, %0d channels: %0d beats wrong, %0d of %0d came, %0d claims",
                 seed, int4 ? 4 : 8, d, wrong, beats, n_beats, claims);
    end
  endtask

  task automatic every_division();
    for (int kind = 0; kind < 2; kind++)
      for (int sig = 128; sig <= 255; sig++) begin
        int extent;
        extent = tb_quant_lowest(kind, sig);
        for (int first = 0; first <= extent; first += kind == 0 ? 254 : 247) begin
          tb_quant_range(bench, kind, extent, first);
          run_vector(kind, 255);
        end
      end
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("soak=%d", soak));
    $display("tb_kv_quant +seed=%0d", seed);
    void'($urandom(seed));
    bench = tb_quant_open(longint'(seed));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);
    every_division();
    for (int n = 0; n < 5000 + soak; n++) begin
      int d;
      d = tb_quant_random(bench, n % 2);
      run_vector(n % 2, d);
    end
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "tb_kv_quant failed");
    $finish;
  end
endmodule
