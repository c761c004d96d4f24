// SPDX-License-Identifier: Apache-2.0
// sl_kv_pack against tests/ref: every beat of y once and nothing else, both operations and kinds, all sizes
// of heads, forbidden activations, every kind of record, a memory with latency, gaps and stalls, jobs back
// to back, clear anywhere. +seed=N repeats a run; +soak=N adds N random cases.
module tb_kv_pack;
  import "DPI-C" function chandle ctl_bench_open(input longint unsigned seed);
  import "DPI-C" function void ctl_bench_close(input chandle handle);
  import "DPI-C" function void ctl_bench_job(input chandle handle, output bit [511:0] job);
  import "DPI-C" function int ctl_bench_wrong(input chandle handle, input int status);
  import "DPI-C" function void tb_kv_case(input chandle handle, input int op, input int kind, input int d,
                                          input int n_tokens, input int rows, input int data, input int flaw);

  localparam int PACK = sl_abi_pkg::SL_OP_KV_PACK;
  localparam int UNPACK = sl_abi_pkg::SL_OP_KV_UNPACK;
  localparam int N_FLAW = 6;

  logic clk = 1'b0, rst_n = 1'b0, clear = 1'b0, start = 1'b0;
  logic [511:0] job = '0;
  bit [511:0] next_job;
  logic done, rd_valid, rd_ready, rsp_valid, wr_valid, wr_ready;
  logic [15:0] status;
  logic [31:0] rd_addr, wr_addr;
  logic [6:0] rd_len;
  logic [511:0] rsp_data, wr_data;

  sl_kv_pack dut (.*);
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

  // Without waiting: the job's first cycle may be the last one's done.
  task automatic begin_job(input int op, input int kind, input int d, input int n_tokens, input int rows,
                           input int data, input int flaw);
    tb_kv_case(bench, op, kind, d, n_tokens, rows, data, flaw);
    ctl_bench_job(bench, next_job);
    job = next_job;
    start = 1'b1;
    @(negedge clk);
    start = 1'b0;
  endtask

  task automatic run_case(input int op, input int kind, input int d, input int n_tokens, input int rows,
                          input int data, input int flaw);
    int began, limit, wrong, dones;
    dones = n_done + int'(done);  // the last job's done is counted in the next cycle
    began = cycle;
    limit = 20000 + n_tokens * rows * 20000;
    begin_job(op, kind, d, n_tokens, rows, data, flaw);
    while (!done && cycle - began < limit) @(negedge clk);
    took = cycle - began;
    wrong = ctl_bench_wrong(bench, int'(status)) + memory.n_error + memory.outstanding() + int'(!done) +
        int'(n_done != dones);
    memory.n_error = 0;
    if (wrong == 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s int%0d d %0d, %0d x %0d vectors, data %0d flaw %0d: %0d wrong, %0d",
               seed, op == PACK ? "pack" : "unpack", kind != 0 ? 4 : 8, d, n_tokens, rows, data, flaw, wrong,
               done);
    end
  endtask

  task automatic every_size();
    for (int d = 2; d <= 256; d += 2)
      for (int op = PACK; op <= UNPACK; op++)
        for (int kind = 0; kind < 2; kind++) begin
          set_memory((d / 2 + op + kind) % 4);
          run_case(op, kind, d, 3, 1 + d % 7, d / 2, 0);
        end
  endtask

  task automatic usual_sizes();
    int sizes[15] = '{2, 4, 6, 30, 32, 34, 64, 80, 96, 126, 128, 160, 192, 254, 256};
    for (int i = 0; i < 15; i++)
      for (int op = PACK; op <= UNPACK; op++)
        for (int kind = 0; kind < 2; kind++) begin
          set_memory(i % 4);
          run_case(op, kind, sizes[i], 8, 9, 0, 0);
          run_case(op, kind, sizes[i], 1, 1, i, 0);
        end
  endtask

  task automatic flaws();
    for (int n = 0; n < 300; n++) begin
      set_memory(n % 4);
      run_case(PACK, n & 1, 2 * $urandom_range(128, 1), $urandom_range(4, 1), $urandom_range(8, 1), n,
               1 + n % (N_FLAW - 1));
    end
  endtask

  task automatic random_case();
    set_memory($urandom_range(3));
    run_case($urandom_range(UNPACK, PACK), $urandom_range(1), 2 * $urandom_range(128, 1),
             $urandom_range(9, 1), $urandom_range(16, 1), $urandom_range(1000),
             $urandom_range(9) == 0 ? $urandom_range(N_FLAW - 1) : 0);
  endtask

  // clear at any moment: idle in the next cycle, nothing more is asked for or written, and the next job is
  // right.
  task automatic clear_anywhere();
    for (int n = 0; n < 300; n++) begin
      set_memory(n % 4);
      begin_job(PACK + n % 2, (n >> 1) & 1, 2 * $urandom_range(128, 1), 2, 9, n, 0);
      for (int c = $urandom_range(n < 150 ? 300 : 3000); c > 0 && !done; c--) @(negedge clk);
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

  task automatic large_jobs();
    set_memory(0);
    run_case(PACK, 0, 2, 64, 256, 0, 0);
    run_case(UNPACK, 1, 2, 64, 256, 0, 0);
    run_case(PACK, 1, 128, 64, 128, 0, 1);
    run_case(PACK, 1, 128, 64, 64, 0, 0);
  endtask

  task automatic speed();
    int sizes[5] = '{64, 80, 96, 128, 256};
    real cycles[4];
    set_memory(1);
    for (int i = 0; i < 5; i++) begin
      for (int op = PACK; op <= UNPACK; op++)
        for (int kind = 0; kind < 2; kind++) begin
          run_case(op, kind, sizes[i], 16, 16, 0, 0);
          cycles[2*(op-PACK)+kind] = took / 256.0;
        end
      $display("head_dim %3d, cycles a vector: pack int8 %5.1f int4 %5.1f, unpack int8 %5.1f int4 %5.1f",
               sizes[i], cycles[0], cycles[1], cycles[2], cycles[3]);
    end
    set_memory(0);
    run_case(PACK, 0, 128, 1, 1, 0, 0);
    $display("one vector of 128, latency 1: pack int8 %0d cycles", took);
    run_case(UNPACK, 1, 128, 1, 1, 0, 0);
    $display("one vector of 128, latency 1: unpack int4 %0d cycles", took);
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("soak=%d", soak));
    $display("tb_kv_pack +seed=%0d", seed);
    void'($urandom(seed));
    bench = ctl_bench_open(longint'(seed));
    memory.arena = bench;
    repeat (4) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);
    usual_sizes();
    every_size();
    flaws();
    clear_anywhere();
    large_jobs();
    for (int n = 0; n < 100 + soak; n++) random_case();
    speed();
    ctl_bench_close(bench);
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "tb_kv_pack failed");
    $finish;
  end
endmodule
