// SPDX-License-Identifier: Apache-2.0
// sl_router_topk against tests/ref: whole records, every beat once and nothing else, in all modes and shapes,
// with ties, saturated and equal scores, stalls of the write port, jobs back to back and clear in the middle.
// +seed=N repeats a run; +soak=N adds N random cases.
module tb_router_topk;
  import "DPI-C" function chandle tb_router_open(input longint unsigned seed);
  import "DPI-C" function void tb_router_close(input chandle handle);
  import "DPI-C" function void tb_router_case(input chandle handle, input int mode, input int flags,
                                              input int n_expert, input int top_k, input int n_tokens,
                                              input int has_bias, input int data);
  import "DPI-C" function void tb_router_again(input chandle handle);
  import "DPI-C" function int tb_router_logit(input chandle handle, input int token, input int row);
  import "DPI-C" function int tb_router_bias(input chandle handle, input int expert);
  import "DPI-C" function int tb_router_capacity(input chandle handle);
  import "DPI-C" function int tb_router_seed(input chandle handle);
  import "DPI-C" function int tb_router_position(input chandle handle);
  import "DPI-C" function int tb_router_layer(input chandle handle);
  import "DPI-C" function int tb_router_overflows(input chandle handle);
  import "DPI-C" function void tb_router_wrote(input chandle handle, input int beat, input bit [511:0] value);
  import "DPI-C" function int tb_router_wrong(input chandle handle);

  localparam int N_DATA = 8;  // kinds of logits in tb_router_topk.c
  localparam int SATURATED = 3;

  logic clk = 1'b0, rst_n = 1'b0, clear = 1'b0;
  logic lg_valid = 1'b0, bias_valid = 1'b0, has_bias = 1'b0, start = 1'b0, wr_ready = 1'b0;
  logic [5:0] lg_token;
  logic [9:0] lg_row;
  logic [31:0] lg_value, bias_value;
  logic [7:0] bias_index;
  logic [511:0] job = '0;
  logic busy, done, wr_valid;
  logic [15:0] status;
  logic [9:0] overflows;
  logic [31:0] wr_addr;
  logic [511:0] wr_data;

  sl_router_topk dut (.*);

  chandle ref_model;
  int seed = 1, soak = 0;
  int n_passed = 0, n_failed = 0, cycle = 0;
  int ready_percent = 100;
  bit checking = 1'b0;
  logic [31:0] y_off = '0;
  logic held = 1'b0;
  logic [31:0] held_addr;
  logic [511:0] held_data;
  int protocol_errors = 0;

  always #1 clk = !clk;
  always @(negedge clk) wr_ready <= $urandom_range(99) < ready_percent;

  // The write port: takes beats, and watches that an offered beat neither changes nor disappears.
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (held && !clear && (!wr_valid || wr_addr != held_addr || wr_data != held_data)) begin
      $display("an offered beat changed");
      protocol_errors <= protocol_errors + 1;
    end
    held <= wr_valid && !wr_ready && !clear && rst_n;
    held_addr <= wr_addr;
    held_data <= wr_data;
    if (wr_valid && wr_ready) begin
      if (checking) tb_router_wrote(ref_model, wr_addr - y_off, wr_data);
      else begin
        $display("a write outside of a job");
        protocol_errors <= protocol_errors + 1;
      end
    end
  end

  task automatic load(input int mode, input int n_expert, input int n_tokens);
    for (int t = 0; t < n_tokens; t++)
      for (int r = 0; r < (mode == sl_abi_pkg::SL_MODE_ATTENTION ? 3 * n_expert : n_expert); r++) begin
        lg_valid = 1'b1;
        lg_token = 6'(t);
        lg_row = 10'(r);
        lg_value = tb_router_logit(ref_model, t, r);
        // The bias comes while the logits do.
        bias_valid = t == 0 && r < n_expert;
        bias_index = 8'(r);
        bias_value = tb_router_bias(ref_model, r % 256);
        @(negedge clk);
      end
    lg_valid = 1'b0;
    bias_valid = 1'b0;
  endtask

  // Everything of the job that is not the unit's business holds noise.
  task automatic begin_job(input int mode, input int flags, input int n_expert, input int top_k,
                           input int n_tokens, input int bias);
    for (int i = 0; i < 16; i++) job[32*i+:32] = $urandom;
    y_off = $urandom;
    job[sl_abi_pkg::SL_LSB_JOB_FORMAT+:8] = 8'(mode);
    job[sl_abi_pkg::SL_LSB_JOB_FLAGS+:16] = 16'(flags);
    job[sl_abi_pkg::SL_LSB_JOB_N_TOKENS+:16] = 16'(n_tokens);
    job[sl_abi_pkg::SL_LSB_JOB_ROWS+:32] = n_expert;
    job[sl_abi_pkg::SL_LSB_JOB_TOP_K+:8] = 8'(top_k);
    job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32] = y_off;
    if ((flags & sl_abi_pkg::SL_FLAG_RECYCLE) != 0) begin
      job[sl_abi_pkg::SL_LSB_JOB_SLICE_COUNT+:16] = 16'(tb_router_capacity(ref_model));
      job[sl_abi_pkg::SL_LSB_JOB_PART_STRIDE+:32] = tb_router_seed(ref_model);
      job[sl_abi_pkg::SL_LSB_JOB_ROUTE_OFF+:32] = tb_router_position(ref_model);
      job[sl_abi_pkg::SL_LSB_JOB_ROUTE_TOKEN+:16] = 16'(tb_router_layer(ref_model));
    end
    has_bias = bias != 0;
    start = 1'b1;
    @(negedge clk);
    start = 1'b0;
  endtask

  function automatic string name_of(input int mode);
    name_of = mode == sl_abi_pkg::SL_MODE_SOFTMAX ? "SOFTMAX" :
              mode == sl_abi_pkg::SL_MODE_SIGMOID ? "SIGMOID" : "ATTENTION";
  endfunction

  int took;  // cycles of the last job, start to done

  task automatic run_case(input int mode, input int flags, input int n_expert, input int top_k,
                          input int n_tokens, input int bias, input int data);
    tb_router_case(ref_model, mode, flags, n_expert, top_k, n_tokens, bias, data);
    load(mode, n_expert, n_tokens);
    run_job(mode, flags, n_expert, top_k, n_tokens, bias, data);
  endtask

  // The job of the logits that are there.
  task automatic run_job(input int mode, input int flags, input int n_expert, input int top_k,
                         input int n_tokens, input int bias, input int data);
    int began, limit, wrong;
    limit = n_expert * (mode == sl_abi_pkg::SL_MODE_ATTENTION ? n_expert : 20);
    limit = 100 * (1000 + n_tokens * limit);
    checking = 1'b1;
    began = cycle;
    begin_job(mode, flags, n_expert, top_k, n_tokens, bias);
    while (!done && cycle - began < limit) @(negedge clk);
    took = cycle - began;
    checking = 1'b0;
    wrong = tb_router_wrong(ref_model) + protocol_errors;
    if (!done || busy || status != 16'(sl_abi_pkg::SL_STATUS_OK)) wrong++;
    if (int'(overflows) != tb_router_overflows(ref_model)) wrong++;
    if (wrong == 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): %s flags %0d experts %0d top_k %0d tokens %0d bias %0d data %0d", seed,
               name_of(mode), flags, n_expert, top_k, n_tokens, bias, data);
      $display("  %0d wrong, done %0d, ready %0d%%", wrong, done, ready_percent);
    end
    protocol_errors = 0;
  endtask

  function automatic int flags_of(input int bits);
    flags_of = (bits[0] ? sl_abi_pkg::SL_FLAG_RENORM : 0) | (bits[1] ? sl_abi_pkg::SL_FLAG_SCORES : 0) |
               (bits[2] ? sl_abi_pkg::SL_FLAG_PORT_COUNTERS : 0) |
               (bits[3] ? sl_abi_pkg::SL_FLAG_RECYCLE : 0);
  endfunction

  function automatic int pick_ready(input int which);
    pick_ready = which == 0 ? 100 : which == 1 ? 50 : which == 2 ? 7 : 100;
  endfunction

  // Every mode, flag, bias and top_k on every number of experts; tokens, data and stalls go round.
  task automatic every_shape();
    int experts[9] = '{1, 2, 3, 16, 17, 32, 64, 255, 256};
    int tokens[7] = '{1, 2, 3, 5, 16, 31, 64};
    int n = 0;
    for (int e = 0; e < 9; e++)
      for (int mode = 0; mode < 3; mode++)
        for (int top_k = 1; top_k <= 8 && top_k <= experts[e]; top_k++)
          for (int bits = 0; bits < 12; bits++) begin
            int n_tokens;
            n_tokens = tokens[n%7];
            if (experts[e] > 64) n_tokens = mode == sl_abi_pkg::SL_MODE_ATTENTION ? 1 : (n_tokens + 3) / 4;
            ready_percent = pick_ready(n % 4);
            run_case(mode, flags_of((bits & 3) | (bits & 8)), experts[e], top_k, n_tokens, bits >> 2 & 1,
                     n % N_DATA);
            n++;
          end
  endtask

  // Every number of tokens.
  task automatic every_batch();
    for (int t = 1; t <= 64; t++) begin
      ready_percent = pick_ready(t % 4);
      run_case(t % 3, flags_of(t), 20, 1 + t % 8, t, t % 2, t % N_DATA);
    end
  endtask

  task automatic random_case(input int n_tokens_max);
    int n_expert, mode, n_tokens;
    mode = $urandom_range(2);
    n_expert = $urandom_range(1) != 0 ? $urandom_range(256, 1) : $urandom_range(24, 1);
    n_tokens = $urandom_range(n_tokens_max, 1);
    if (mode == sl_abi_pkg::SL_MODE_ATTENTION && n_expert > 40) n_tokens = 1;
    ready_percent = pick_ready($urandom_range(3));
    run_case(mode, flags_of($urandom_range(15)), n_expert, $urandom_range(n_expert > 8 ? 8 : n_expert, 1),
             n_tokens, $urandom_range(1), $urandom_range(N_DATA - 1));
  endtask

  // clear at any moment: idle in the next cycle, nothing more is written, and the next job is right.
  task automatic clear_anywhere();
    for (int n = 0; n < 150; n++) begin
      int mode, n_expert, after;
      mode = n % 3;
      n_expert = $urandom_range(40, 8);
      after = $urandom_range(n < 75 ? 200 : 3000);
      ready_percent = pick_ready(n % 3);
      tb_router_case(ref_model, mode, flags_of(n), n_expert, 8, 3, n & 1, n % N_DATA);
      load(mode, n_expert, 3);
      checking = 1'b1;
      begin_job(mode, flags_of(n), n_expert, 8, 3, n & 1);
      for (int c = 0; c < after && !done; c++) @(negedge clk);
      clear = 1'b1;
      @(negedge clk);
      clear = n % 2 == 0;  // for one cycle, or for some
      checking = 1'b0;
      if (busy || done || wr_valid) begin
        n_failed++;
        $display("FAILED (+seed=%0d): not idle after clear, case %0d", seed, n);
      end else n_passed++;
      repeat (n % 5) @(negedge clk);
      clear = 1'b0;
      if (n % 4 < 2) random_case(3);
      else begin  // the logits have stayed
        tb_router_again(ref_model);
        run_job(mode, flags_of(n), n_expert, 8, 3, n & 1, n % N_DATA);
      end
    end
  endtask

  // A short job, cleared for one cycle at every moment of its life, and right when it is started again at once.
  task automatic clear_everywhere(input int mode, input int percent);
    int length;
    ready_percent = percent;
    run_case(mode, flags_of(2), 5, 2, 2, 1, 0);
    length = took + 2;
    for (int after = 0; after < length; after++) begin
      tb_router_again(ref_model);
      checking = 1'b1;
      begin_job(mode, flags_of(2), 5, 2, 2, 1);
      repeat (after) @(negedge clk);
      clear = 1'b1;
      @(negedge clk);
      clear = 1'b0;
      checking = 1'b0;
      if (busy || done || wr_valid) begin
        n_failed++;
        $display("FAILED (+seed=%0d): not idle when cleared after %0d cycles", seed, after);
      end
      if (after % 2 != 0) repeat (4) @(negedge clk);
      tb_router_again(ref_model);
      run_job(mode, flags_of(2), 5, 2, 2, 1, 0);
    end
  endtask

  // Cycles of typical shapes with a write port that always takes: what the module's header promises, at most.
  task automatic report(input int mode, input int flags, input int n_expert, input int top_k,
                        input int n_tokens);
    int promised, n, table_beats;
    ready_percent = 100;
    run_case(mode, flags, n_expert, top_k, n_tokens, 0, 0);
    n = n_expert;
    table_beats = (n + 15) / 16;
    if (mode == sl_abi_pkg::SL_MODE_ATTENTION) promised = n * n + 2 * n + 53;
    else if (mode == sl_abi_pkg::SL_MODE_SIGMOID) promised = 15 * n + 19;
    else promised = n + 17;
    if (mode != sl_abi_pkg::SL_MODE_SIGMOID && (flags & sl_abi_pkg::SL_FLAG_RENORM) == 0) promised += n;
    promised += 16 * top_k;
    if ((flags & sl_abi_pkg::SL_FLAG_RECYCLE) != 0) promised += 4 * top_k + 1;
    if ((flags & sl_abi_pkg::SL_FLAG_SCORES) != 0) promised += n + 2 * table_beats;
    promised = n_tokens * promised + n + 2 * table_beats;
    promised += int'(overflows) * ((n + 2 > 40 ? n + 2 : 40) + n + 9);
    promised += 2 * n_tokens * top_k + 2 * ((n_tokens * top_k + 15) / 16) + 8;
    if (took > promised) begin
      n_failed++;
      $display("FAILED: promised are %0d cycles", promised);
    end
    $display("cycles: %-9s %-6s %-6s experts %3d top_k %0d tokens %2d: %7d", name_of(mode),
             (flags & sl_abi_pkg::SL_FLAG_RENORM) != 0 ? "RENORM" : "-",
             (flags & sl_abi_pkg::SL_FLAG_SCORES) != 0 ? "SCORES" :
             (flags & sl_abi_pkg::SL_FLAG_RECYCLE) != 0 ? $sformatf("%0d over", overflows) : "-", n_expert, top_k, n_tokens, took);
  endtask

  task automatic report_all();
    int batches[3] = '{1, 16, 64};
    for (int b = 0; b < 3; b++) begin
      report(sl_abi_pkg::SL_MODE_SOFTMAX, 0, 16, 1, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, sl_abi_pkg::SL_FLAG_RENORM, 64, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, 0, 64, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, sl_abi_pkg::SL_FLAG_SCORES, 64, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, 0, 256, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, sl_abi_pkg::SL_FLAG_RECYCLE, 16, 1, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, sl_abi_pkg::SL_FLAG_RECYCLE, 64, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SOFTMAX, sl_abi_pkg::SL_FLAG_RECYCLE, 256, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SIGMOID, sl_abi_pkg::SL_FLAG_RENORM, 64, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_SIGMOID, sl_abi_pkg::SL_FLAG_RENORM, 256, 8, batches[b]);
      report(sl_abi_pkg::SL_MODE_ATTENTION, sl_abi_pkg::SL_FLAG_RENORM, 32, 2, batches[b]);
      report(sl_abi_pkg::SL_MODE_ATTENTION, sl_abi_pkg::SL_FLAG_RENORM, 64, 2, batches[b]);
      report(sl_abi_pkg::SL_MODE_ATTENTION, sl_abi_pkg::SL_FLAG_RENORM, 256, 8, batches[b] == 64 ? 2 : 1);
    end
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("soak=%d", soak));
    $display("tb_router_topk seed=%0d", seed);
    void'($urandom(seed));
    ref_model = tb_router_open(64'(unsigned'(seed)));
    repeat (3) @(negedge clk);
    rst_n = 1'b1;
    @(negedge clk);
    every_shape();
    $display("%0d passed, %0d failed after every shape", n_passed, n_failed);
    every_batch();
    for (int n = 0; n < 200; n++) random_case(12);
    // The largest job, with the largest magnitudes.
    run_case(sl_abi_pkg::SL_MODE_SOFTMAX, sl_abi_pkg::SL_FLAG_SCORES, 256, 8, 64, 0, SATURATED);
    run_case(sl_abi_pkg::SL_MODE_ATTENTION, sl_abi_pkg::SL_FLAG_SCORES, 256, 8, 4, 0, SATURATED);
    clear_anywhere();
    for (int mode = 0; mode < 3; mode++) begin
      clear_everywhere(mode, 100);
      clear_everywhere(mode, 50);
    end
    report_all();
    for (int n = 0; n < soak; n++) random_case(64);
    tb_router_close(ref_model);
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "the router is wrong");
    $finish;
  end
endmodule
