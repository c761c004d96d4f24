// SPDX-License-Identifier: Apache-2.0
// sl_reduce against tests/ref: every beat of y once and nothing else, any number of rows, tokens and parts,
// scales over the whole range of fp32, a memory with latency, gaps and stalls, jobs back to back, clear
// anywhere. +seed=N repeats a run; +soak=N adds N random cases.
module tb_reduce;
  import "DPI-C" function chandle ctl_bench_open(input longint unsigned seed);
  import "DPI-C" function void ctl_bench_close(input chandle handle);
  import "DPI-C" function void ctl_bench_job(input chandle handle, output bit [511:0] job);
  import "DPI-C" function int ctl_bench_wrong(input chandle handle, input int status);
  import "DPI-C" function void tb_reduce_case(input chandle handle, input int rows, input int n_tokens,
                                              input int n_part, input int data, input int mant, input int e,
                                              input int compact);

  logic clk = 1'b0, rst_n = 1'b0, clear = 1'b0, start = 1'b0;
  logic [511:0] job = '0;
  bit [511:0] next_job;
  logic done, rd_valid, rd_ready, rsp_valid, wr_valid, wr_ready;
  logic [15:0] status;
  logic [31:0] rd_addr, wr_addr;
  logic [6:0] rd_len;
  logic [511:0] rsp_data, wr_data;

  sl_reduce dut (.*);
  ctl_memory memory (.clear(clear || !rst_n), .*);  // a unit may ask for anything before its reset

  chandle bench;
  int seed = 1, soak = 0, n_passed = 0, n_failed = 0, cycle = 0, n_done = 0, took;

  always #1 clk = !clk;
  always @(negedge clk) cycle <= cycle + 1;
  always @(posedge clk) if (done) n_done <= n_done + 1;

  // Memories from ideal to bad.
  task automatic set_memory(input int which);
    memory.latency_min = which == 0 ? 1 : which == 1 ? 150 : $urandom_range(40, 1);
    memory.latency_max = which == 1 ? 150 : memory.latency_min + $urandom_range(which == 0 ? 0 : 60);
    memory.gap_percent = which < 2 ? 0 : $urandom_range(60);
    memory.ask_stall_percent = which < 2 ? 0 : $urandom_range(80);
    memory.write_stall_percent = which < 2 ? 0 : which == 3 ? 93 : $urandom_range(60);
  endtask

  // 0: about 2^-32, ordinary results; else anything that fp32 and the job can express.
  function automatic int pick_exponent(input int which);
    case (which % 4)
      0: pick_exponent = -40 + $urandom_range(16);
      1: pick_exponent = -210 + $urandom_range(110);
      2: pick_exponent = 40 + $urandom_range(110);
      default: pick_exponent = $urandom_range(65535) - 32768;
    endcase
  endfunction

  // Without waiting: the job's first cycle may be the last one's done.
  task automatic begin_job(input int rows, input int n_tokens, input int n_part, input int data);
    int mant;
    mant = data % 3 == 0 ? 1 : data % 7 == 1 ? 0 : $urandom_range(65535);
    tb_reduce_case(bench, rows, n_tokens, n_part, data, mant, pick_exponent(data), data & 1);
    ctl_bench_job(bench, next_job);
    job = next_job;
    start = 1'b1;
    @(negedge clk);
    start = 1'b0;
  endtask

  task automatic run_case(input int rows, input int n_tokens, input int n_part, input int data);
    int began, limit, wrong, dones;
    dones = n_done + int'(done);  // the last job's done is counted in the next cycle
    began = cycle;
    limit = 20000 + n_tokens * (rows / 8 + 1) * n_part * 400;
    begin_job(rows, n_tokens, n_part, data);
    while (!done && cycle - began < limit) @(negedge clk);
    took = cycle - began;
    wrong = ctl_bench_wrong(bench, int'(status)) + memory.n_error + memory.outstanding() + int'(!done) +
        int'(n_done != dones);
    memory.n_error = 0;
    if (wrong == 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %0d rows, %0d tokens, %0d parts, data %0d: %0d wrong, done %0d", seed,
               rows, n_tokens, n_part, data, wrong, done);
    end
  endtask

  task automatic every_shape();
    int parts[6] = '{1, 2, 3, 4, 16, 255};
    int many[9] = '{256, 257, 511, 1000, 2048, 4096, 6400, 6401, 18304};
    for (int rows = 1; rows <= 300; rows++) begin
      set_memory(rows % 4);
      run_case(rows, 1 + rows % 3, parts[rows%6], rows);
    end
    for (int t = 1; t <= 64; t++) begin
      set_memory(t % 4);
      run_case(1 + t % 40, t, 1 + t % 5, t);
    end
    for (int p = 1; p <= 255; p++) begin
      set_memory(p % 4);
      run_case(1 + p % 40, 2, p, p);
    end
    for (int i = 0; i < 9; i++) begin
      set_memory(i % 4);
      run_case(many[i], 2, 1 + i % 4, i);
    end
    set_memory(0);
    run_case(262144, 1, 2, 1);
  endtask

  task automatic random_case();
    int n_part;
    n_part = $urandom_range(9) == 0 ? $urandom_range(40, 1) : $urandom_range(6, 1);
    set_memory($urandom_range(3));
    run_case($urandom_range(1) != 0 ? $urandom_range(40, 1) : $urandom_range(700, 1), $urandom_range(5, 1),
             n_part, $urandom_range(1000));
  endtask

  // clear at any moment: idle in the next cycle, nothing more is asked for or written, and the next job is
  // right.
  task automatic clear_anywhere();
    for (int n = 0; n < 300; n++) begin
      set_memory(n % 4);
      begin_job($urandom_range(600, 1), 2, $urandom_range(5, 1), n);
      for (int c = $urandom_range(n < 150 ? 200 : 2000); c > 0 && !done; c--) @(negedge clk);
      clear = 1'b1;
      @(negedge clk);
      clear = n % 3 == 0;  // for one cycle, or for some
      if (done || wr_valid || rd_valid) begin
        n_failed++;
        $display("FAILED (+seed=%0d): not idle after clear, case %0d", seed, n);
      end else n_passed++;
      repeat (n % 5) @(negedge clk);
      clear = 1'b0;
      memory.n_error = 0;
      random_case();
    end
  endtask

  task automatic speed();
    int parts[6] = '{1, 2, 3, 4, 8, 16};
    set_memory(1);
    for (int i = 0; i < 6; i++) begin
      run_case(6400, 4, parts[i], 1);
      $display("4 tokens of 6400 rows, %2d parts: %6d cycles, %5.2f an output beat", parts[i], took,
               took / 1600.0);
    end
    set_memory(0);
    run_case(16, 1, 2, 1);
    $display("one beat of two parts, latency 1: %0d cycles", took);
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("soak=%d", soak));
    $display("tb_reduce +seed=%0d", seed);
    void'($urandom(seed));
    bench = ctl_bench_open(longint'(seed));
    memory.arena = bench;
    repeat (4) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);
    every_shape();
    clear_anywhere();
    for (int n = 0; n < 200 + soak; n++) random_case();
    speed();
    ctl_bench_close(bench);
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "tb_reduce failed");
    $finish;
  end
endmodule
