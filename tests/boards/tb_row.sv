// SPDX-License-Identifier: Apache-2.0
// Talks to rtl/boards/sl_ice40_row.sv through its serial port, as source or as a netlist: +vectors=FILE is the conversation
// (tests/boards/row_vectors.c). Compiled with Icarus or Verilator.
`timescale 1ns / 1ps
module tb_row;
`ifndef CLOCKS
`define CLOCKS 12
`define TOP sl_ice40_row
`endif
  localparam int CLOCKS = `CLOCKS;
  localparam int MAX = 1 << 20;
  logic clk = 1'b0, rx = 1'b1;
  wire tx, led_n;
  `TOP dut (
      .clk(clk),
      .rx(rx),
      .tx(tx),
      .led_n(led_n)
  );
  always #20 clk = !clk;

  logic [15:0] talk[0:MAX-1];
  string file;
  int at, waited, n_passed = 0, n_failed = 0;
  logic [7:0] got;

  task automatic send(input logic [7:0] value);
    logic [9:0] frame;
    frame = {1'b1, value, 1'b0};
    for (int i = 0; i < 10; i++) begin
      rx = frame[i];
      repeat (CLOCKS) @(negedge clk);
    end
  endtask

  task automatic receive(input int limit);
    waited = 0;
    while (tx && waited < limit) begin
      @(negedge clk);
      waited = waited + 1;
    end
    repeat (CLOCKS / 2) @(negedge clk);
    for (int i = 0; i < 8; i++) begin
      repeat (CLOCKS) @(negedge clk);
      got[i] = tx;
    end
    repeat (CLOCKS) @(negedge clk);
    if (!tx) waited = limit;
  endtask

  initial begin
    if (!$value$plusargs("vectors=%s", file)) $fatal(1, "+vectors=FILE is missing");
    $readmemh(file, talk);
    if (talk[0][15:8] !== 8'h01) $fatal(1, "no vectors in %s", file);
    repeat (300) @(negedge clk);
    at = 0;
    while (talk[at][15:8] !== 8'h03) begin
      if (talk[at][15:8] === 8'h01) send(talk[at][7:0]);
      else begin
        receive(20000);
        if (waited < 20000 && got === talk[at][7:0]) n_passed = n_passed + 1;
        else begin
          n_failed = n_failed + 1;
          if (n_failed < 10) $display("line %0d: %h, should be %h", at + 1, got, talk[at][7:0]);
        end
      end
      at = at + 1;
    end
    $display("%0d passed, %0d failed", n_passed, n_failed);
    if (n_failed != 0 || n_passed == 0) $fatal(1, "the row engine is wrong");
    $finish;
  end
endmodule
