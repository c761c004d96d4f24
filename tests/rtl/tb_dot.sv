// SPDX-License-Identifier: Apache-2.0
// sl_dot (two columns) against docs/numerics.md 2 and 4. Every code of every format in every lane, one lane
// of x being 1 or -1 and the others 0; random and extreme beats, scales and exponents, beats that are held
// for several steps, pauses, sums that go on and sums that start anew. +beats=N: random beats of a format;
// +seed=N repeats a run.
module tb_dot;
  import "DPI-C" function chandle tb_dot_open();
  import "DPI-C" function void tb_dot_step(input chandle handle, input int format, input int router,
                                           input bit [511:0] beat, input int unsigned scales, input int row,
                                           input int clear, input int at, input bit [1043:0] x);
  import "DPI-C" function longint tb_dot_want(input chandle handle, input int row, input int at,
                                              input int column);

  localparam int T = 2;
  localparam int DEPTH = 16;
  localparam int STAGES = 9;

  logic clk = 1'b0, rst_n = 1'b0;
  logic [2:0] format = '0;
  logic router = 1'b0, step = 1'b0, load = 1'b0, row, clear;
  logic [511:0] beat;
  logic [31:0] scales;
  logic [3:0] sum_at;
  logic [1043:0] columns0, columns1, columns2;  // of this step and the two before
  wire [T*512-1:0] x = {columns2[1033:522], columns2[511:0]};
  wire [T*10-1:0] xe = {columns2[1043:1034], columns2[521:512]};
  logic rd_en = 1'b0;
  logic [3:0] rd_at;
  logic [4:0] rd_col;
  logic [63:0] rd_low, rd_high;

  sl_dot #(
      .T(T),
      .DEPTH(DEPTH)
  ) dut (
      .*
  );

  always #1 clk = !clk;

  int seed = 1, beats = 3000, n_passed = 0, n_failed = 0;
  longint n_right, n_wrong;
  chandle bench;
  logic [511:0] held;  // the beat and scales at work
  logic [31:0] held_scales;

  function automatic logic [511:0] random512();
    for (int i = 0; i < 16; i++) random512[32*i+:32] = $urandom;
  endfunction

  // x is due two cycles after its step; what is not looked at is random.
  task automatic tick();
    @(negedge clk);
    columns2 = columns1;
    columns1 = columns0;
    columns0 = {20'($urandom), random512(), random512()};
    step = 1'b0;
    load = 1'b0;
    beat = random512();
    scales = $urandom;
    row = 1'($urandom);
    clear = 1'($urandom);
    sum_at = 4'($urandom);
  endtask

  // One step with x; a new beat with it, or the held one.
  task automatic do_step(input bit fresh, input logic [511:0] codes, input logic [31:0] bytes,
                         input logic [1043:0] columns, input bit to_row, input bit from_zero,
                         input logic [3:0] at);
    if (fresh) begin
      held = codes;
      held_scales = bytes;
    end
    step = 1'b1;
    load = fresh;
    if (fresh) begin
      beat   = codes;
      scales = bytes;
    end
    row = to_row;
    clear = from_zero;
    sum_at = at;
    columns0 = columns;
    tb_dot_step(bench, int'(format), int'(router), held, held_scales, int'(to_row), int'(from_zero), int'(at),
                columns);
    tick();
  endtask

  // All sums that were written since the format was chosen.
  task automatic read_back(input logic [DEPTH-1:0] low, input logic [DEPTH-1:0] high);
    repeat (STAGES) tick();
    for (int a = 0; a < DEPTH; a++)
      for (int c = 0; c < T; c++) begin
        rd_en = 1'b1;
        rd_at = 4'(a);
        rd_col = 5'(c);
        tick();
        rd_en = 1'b0;
        judge(low[a], 0, a, c, rd_low);
        judge(high[a], 1, a, c, rd_high);
      end
  endtask

  function automatic void judge(input bit known, input int r, input int a, input int c, input longint got);
    if (known) begin
      if (got == tb_dot_want(bench, r, a, c)) n_right++;
      else begin
        if (n_wrong == 0)
          $display("format %0d router %0d: row %0d sum %0d column %0d is %0d, should be %0d", format, router,
                   r, a, c, got, tb_dot_want(bench, r, a, c));
        n_wrong++;
      end
    end
  endfunction

  function automatic void finish_class(input string name);
    if (n_wrong == 0 && n_right > 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): format %0d router %0d, %s: %0d of %0d wrong", seed, format, router, name,
               n_wrong, n_right + n_wrong);
    end
    n_right = 0;
    n_wrong = 0;
  endfunction

  // Lane by lane: the code is what the sum is. Lanes of a beat have different codes.
  task automatic every_code();
    logic [511:0] codes;
    logic [1043:0] columns;
    logic four_bit;
    four_bit = format >= 3'(sl_abi_pkg::SL_FORMAT_NF4);
    for (int c = 0; c < 256; c++) begin
      for (int i = 0; i < 64; i++) codes[8*i+:8] = 8'(c + 37 * i);
      for (int i = 0; i < 64; i++) begin
        columns = '0;
        columns[8*i+:8] = 8'd1;
        columns[522+8*i+:8] = 8'hFF;
        do_step(i == 0, codes, '0, columns, 1'(i >> 3), 1'b1, 4'(i));
        // A sum a lane; 8-bit formats: eight to a row.
        if (i % 16 == 15) read_back(four_bit ? 16'hFFFF : 16'h00FF, four_bit ? 16'hFFFF : 16'hFF00);
      end
    end
    finish_class("every code in every lane");
  endtask

  // Numbers that sums and packed products are longest with, or any; codes of x are -127 .. 127.
  function automatic logic [521:0] any_x(input int kind);
    logic [4:0] xe;
    for (int i = 0; i < 64; i++) begin
      logic [7:0] v;
      v = 8'($urandom);
      if (kind < 3) v = kind == 0 || (kind == 2 && v[0]) ? 8'h7F : 8'h81;
      any_x[8*i+:8] = v == 8'h80 && !(router && i >= 32) ? 8'h81 : v;
    end
    xe = 5'($urandom_range(router ? 15 : 21));
    any_x[512+:10] = {router ? xe : 5'($urandom_range(21)), xe};
  endfunction

  function automatic logic [511:0] any_beat(input int kind);
    any_beat = random512();
    if (kind < 3) for (int i = 1; i < 64; i++) any_beat[8*i+:8] = any_beat[8*(i%(kind+1))+:8];
  endfunction

  task automatic random_beats();
    logic [DEPTH-1:0] low, high;
    logic [1043:0] columns;
    logic four_bit, to_row;
    logic [3:0] at;
    four_bit = format >= 3'(sl_abi_pkg::SL_FORMAT_NF4) && !router;
    low = '0;
    high = '0;
    for (int b = 0; b < beats; b++) begin
      logic [511:0] codes;
      logic [31:0] bytes;
      int steps;
      codes = any_beat($urandom_range(7));
      bytes = $urandom_range(3) == 0 ? 32'hFFFFFFFF : $urandom;
      steps = $urandom_range(4, 1);
      to_row = 1'($urandom);
      for (int s = 0; s < steps; s++) begin
        bit known;
        at = 4'($urandom);
        known = four_bit ? low[at] && high[at] : to_row ? high[at] : low[at];
        columns = {any_x($urandom_range(5)), any_x($urandom_range(5))};
        do_step(s == 0, codes, bytes, columns, to_row, !known || $urandom_range(7) == 0, at);
        if (four_bit || !to_row) low[at] = 1'b1;
        if (four_bit || to_row) high[at] = 1'b1;
        while ($urandom_range(4) == 0) tick();
      end
      if (b % 100 == 99) read_back(low, high);
    end
    read_back(low, high);
    finish_class("random");
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("beats=%d", beats));
    $display("tb_dot seed=%0d", seed);
    void'($urandom(seed));
    bench = tb_dot_open();
    n_right = 0;
    n_wrong = 0;
    tick();
    tick();
    rst_n = 1'b1;
    for (int f = 0; f < 5; f++) begin
      format = 3'(f);
      repeat (STAGES) tick();
      every_code();
      random_beats();
    end
    router = 1'b1;
    for (int f = 0; f < 5; f += 4) begin
      format = 3'(f);
      repeat (STAGES) tick();
      random_beats();
    end
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_dot is wrong");
    $finish;
  end
endmodule
