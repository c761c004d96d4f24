// SPDX-License-Identifier: Apache-2.0
// sl_quant against docs/numerics.md 3.2: jobs of 1 to 64 tokens and 1 to 6 blocks from any block on, every u
// that there is; zero and sparse blocks, ties, codes that round to 128, saturation and clamps; with and
// without gaps; some abandoned half way (clear). Every block of every token must come once, in order; idle
// must tell exactly whether a full block is left; what waits at the input waits one cycle a block at most.
// +jobs=N: how many; +seed=N repeats a run.
module tb_quant;
  import "DPI-C" function longint unsigned tb_mix(input longint unsigned seed, input longint unsigned i);
  import "DPI-C" function longint tb_quant_value(input longint unsigned key, input int u, input int lane);
  import "DPI-C" function int tb_quant_wrong(input longint unsigned key, input int u,
                                             input bit [255:0] codes, input int he, input int saturated,
                                             input int clamped);

  localparam int LATENCY = 37;  // from a block's last value to its first token's codes

  logic clk = 1'b0, rst_n = 1'b0, clear = 1'b0, start = 1'b0, in_valid = 1'b0;
  logic [10:0] first_block = '0;
  logic [6:0] n_tokens = 7'd1;
  logic [9:0] u = '0;
  logic in_ready;
  logic [63:0] in_h;
  logic [4:0] in_lane;
  logic [5:0] in_token;
  logic idle, out_valid, out_saturated, out_clamped;
  logic [5:0] out_token;
  logic [10:0] out_block;
  logic [255:0] out_codes;
  logic [4:0] out_he;

  sl_quant dut (.*);

  always #1 clk = !clk;

  int seed = 1, jobs = 400, n_passed = 0, n_failed = 0;
  int job = 0, n_wrong = 0, cycle = 0;
  // Of the job: blocks in, pairs of block and token out, cycles that an input waited.
  int n_full, n_out, n_wait;
  int last_in, first_out;  // cycles
  int n_saturated = 0, n_clamped = 0, n_zero = 0;  // over all jobs

  function automatic longint unsigned key_of(input int block, input int token);
    key_of = tb_mix(longint'(seed), 64'({32'(job), 16'(block), 16'(token)}));
  endfunction

  function automatic int signed_u();
    signed_u = int'($signed(u));
  endfunction

  function automatic void wrong(input string what);
    if (n_wrong < 5) $display("job %0d, output %0d: %s", job, n_out, what);
    n_wrong++;
  endfunction

  function automatic void judge_output();
    int block, token;
    block = n_out / int'(n_tokens);
    token = n_out % int'(n_tokens);
    if (block >= n_full) wrong("nothing of the kind came in");
    else if (out_token != 6'(token) || out_block != 11'(int'(first_block) + block))
      wrong($sformatf("is token %0d of block %0d", out_token, out_block));
    else if (tb_quant_wrong(key_of(block, token), signed_u(), out_codes, 32'(out_he), 32'(out_saturated),
                            32'(out_clamped)) != 0)
      wrong($sformatf("he %0d saturated %0d clamped %0d codes %h", out_he, out_saturated, out_clamped,
                      out_codes));
    n_saturated += int'(out_saturated);
    n_clamped += int'(out_clamped);
    n_zero += int'(out_codes == 0);
  endfunction

  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (rst_n && !clear && !start) begin
      if (idle != (n_full * int'(n_tokens) == n_out)) wrong(idle ? "idle too early" : "not idle");
      if (!in_ready && n_full - n_out / int'(n_tokens) < 2) wrong("not ready though a buffer is free");
      if (in_valid && !in_ready) n_wait <= n_wait + 1;
      if (in_valid && in_ready && in_lane == 5'd31 && 7'(in_token) + 7'd1 == n_tokens) begin
        n_full  <= n_full + 1;
        last_in <= cycle;
      end
      if (out_valid) begin
        judge_output();
        if (n_out == 0) first_out <= cycle;
        n_out <= n_out + 1;
      end
    end
  end

  task automatic put(input int block, input int lane, input int token, input int gap_percent);
    while ($urandom_range(99) < gap_percent) begin
      in_h = {$urandom, $urandom};  // nobody may look at it
      in_lane = 5'($urandom);
      in_token = 6'($urandom);
      @(negedge clk);
    end
    in_valid = 1'b1;
    in_h = tb_quant_value(key_of(block, token), signed_u(), lane);
    in_lane = 5'(lane);
    in_token = 6'(token);
    @(posedge clk);
    while (!in_ready) @(posedge clk);
    @(negedge clk);
    in_valid = 1'b0;
  endtask

  task automatic begin_job(input int tokens, input int exponent, input int first);
    job++;
    n_tokens = 7'(tokens);
    u = 10'(exponent);
    first_block = 11'(first);
    start = 1'b1;
    @(negedge clk);
    start = 1'b0;
    n_full = 0;
    n_out = 0;
    n_wait = 0;
    n_wrong = 0;
  endtask

  // Abandoned after `values` values, if there are as many.
  task automatic run_job(input int tokens, input int exponent, input int first, input int blocks,
                         input int gap_percent, input int values);
    int n, patience;
    n = 0;
    begin_job(tokens, exponent, first);
    for (int b = 0; b < blocks && n < values; b++)
      for (int l = 0; l < 32 && n < values; l++)
        for (int t = 0; t < tokens && n < values; t++) begin
          put(b, l, t, gap_percent);
          n++;
        end
    if (n < blocks * 32 * tokens) begin
      repeat ($urandom_range(40)) @(negedge clk);
      clear = 1'b1;
      @(negedge clk);
      clear  = 1'b0;
      n_full = 0;
      n_out  = 0;
      repeat ($urandom_range(10)) @(negedge clk);
    end else begin
      for (patience = 0; n_out != blocks * tokens && patience < 32 * 64 * 3; patience++) @(negedge clk);
      repeat (3) @(negedge clk);
      if (n_out != blocks * tokens) wrong("does not come");
      if (gap_percent == 0 && n_wait > blocks) wrong($sformatf("inputs waited %0d cycles", n_wait));
      if (blocks == 1 && first_out - last_in != LATENCY)
        wrong($sformatf("the first token took %0d cycles", first_out - last_in));
    end
    if (n_wrong == 0) n_passed++;
    else begin
      n_failed++;
      $display("FAILED (+seed=%0d): job %0d: %0d tokens, u %0d, blocks %0d + %0d, gaps %0d%%, %0d values",
               seed, job, tokens, exponent, first, blocks, gap_percent, values);
    end
  endtask

  initial begin
    void'($value$plusargs("seed=%d", seed));
    void'($value$plusargs("jobs=%d", jobs));
    $display("tb_quant seed=%0d", seed);
    void'($urandom(seed));
    repeat (3) @(negedge clk);
    clear = 1'b1;
    rst_n = 1'b1;
    @(negedge clk);
    clear  = 1'b0;
    n_full = 0;
    n_out  = 0;
    for (int i = 0; i < jobs; i++) begin
      int tokens, exponent, blocks;
      case (i % 3)
        0: tokens = $urandom_range(4, 1);
        1: tokens = $urandom_range(64, 1);
        default: tokens = 64 - $urandom_range(2);
      endcase
      // Mostly so that he can be in its range; u is -64 - 255 .. 53.
      exponent = i % 5 == 4 ? $urandom_range(372) - 319 : $urandom_range(80) - 27;
      blocks = $urandom_range(6, 1);
      run_job(tokens, exponent, i % 4 == 3 ? $urandom_range(1000) : $urandom_range(1), blocks,
              i % 2 == 0 ? 0 : $urandom_range(60),
              i % 7 == 6 ? $urandom_range(32 * tokens * blocks) : 1 << 30);
    end
    for (int tokens = 1; tokens <= 64; tokens++) run_job(tokens, tokens - 12, tokens % 2, 3, 0, 1 << 30);
    $display("%0d saturated, %0d clamped, %0d without a code", n_saturated, n_clamped, n_zero);
    if (n_saturated == 0 || n_clamped == 0 || n_zero == 0) n_failed++;
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0) $fatal(1, "sl_quant is wrong");
    $finish;
  end
endmodule
