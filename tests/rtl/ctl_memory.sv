// SPDX-License-Identifier: Apache-2.0
// The control arena behind a unit's read and write client: beats come in the order of the requests,
// latency_min .. latency_max cycles after the request, with gaps; requests and writes are stalled. clear
// forgets what was asked for. n_error counts requests, writes or their data that change while they wait,
// and lengths outside of 1..64.
module ctl_memory (
    input  logic         clk,
    input  logic         clear,
    input  logic         rd_valid,
    output logic         rd_ready,
    input  logic [ 31:0] rd_addr,
    input  logic [  6:0] rd_len,
    output logic         rsp_valid,
    output logic [511:0] rsp_data,
    input  logic         wr_valid,
    output logic         wr_ready,
    input  logic [ 31:0] wr_addr,
    input  logic [511:0] wr_data
);
  import "DPI-C" function void ctl_bench_read(input chandle handle, input int unsigned beat,
                                              output bit [511:0] data);
  import "DPI-C" function void ctl_bench_write(input chandle handle, input int unsigned beat,
                                               input bit [511:0] data);

  chandle arena;
  int latency_min = 1, latency_max = 1;
  int gap_percent = 0, ask_stall_percent = 0, write_stall_percent = 0;
  int n_error = 0;
  int n_read = 0, n_written = 0;

  int now = 0;
  int unsigned beat_addr[$];
  int beat_due[$];
  int due, last_due = 0;
  bit [511:0] data;
  logic rd_held = 1'b0, wr_held = 1'b0;
  logic [31:0] held_rd_addr, held_wr_addr;
  logic [6:0] held_rd_len;
  logic [511:0] held_wr_data;

  function automatic bit chance(input int percent);
    chance = percent > 0 && $urandom_range(99) < percent;
  endfunction

  initial begin
    rd_ready  = 1'b0;
    wr_ready  = 1'b0;
    rsp_valid = 1'b0;
  end

  always @(posedge clk) begin
    now <= now + 1;
    rd_ready <= !chance(ask_stall_percent);
    wr_ready <= !chance(write_stall_percent);
    rsp_valid <= 1'b0;
    rsp_data <= {16{$urandom}};  // nobody may look at it
    if (clear) begin
      beat_addr.delete();
      beat_due.delete();
    end else begin
      if (rd_held && (!rd_valid || rd_addr != held_rd_addr || rd_len != held_rd_len)) n_error++;
      if (wr_held && (!wr_valid || wr_addr != held_wr_addr || wr_data != held_wr_data)) n_error++;
      if (beat_due.size() != 0 && beat_due[0] <= now && !chance(gap_percent)) begin
        ctl_bench_read(arena, beat_addr[0], data);
        rsp_valid <= 1'b1;
        rsp_data <= data;
        n_read++;
        beat_addr.delete(0);
        beat_due.delete(0);
      end
      if (rd_valid && rd_ready) begin
        if (rd_len == 0 || rd_len > 64) n_error++;
        due = now + $urandom_range(latency_max, latency_min) - 1;
        if (last_due < due) last_due = due;
        for (int i = 0; i < int'(rd_len); i++) begin
          beat_addr.push_back(rd_addr + i);
          beat_due.push_back(last_due);
        end
      end
      if (wr_valid && wr_ready) begin
        ctl_bench_write(arena, wr_addr, wr_data);
        n_written++;
      end
    end
    rd_held <= rd_valid && !rd_ready && !clear;
    wr_held <= wr_valid && !wr_ready && !clear;
    held_rd_addr <= rd_addr;
    held_rd_len <= rd_len;
    held_wr_addr <= wr_addr;
    held_wr_data <= wr_data;
  end

  function automatic int outstanding();
    outstanding = beat_addr.size();
  endfunction
endmodule
