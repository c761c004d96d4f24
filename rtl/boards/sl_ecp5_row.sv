// SPDX-License-Identifier: Apache-2.0
// sl_row_wide behind a serial port of 1 Mbit/s, for boards with an ECP5-85F and 25 MHz. Resets itself for
// 255 clocks after configuration. led_n is low while a command is at work or an answer under way.
module sl_ecp5_row #(
    parameter int CLOCKS = 25  // a bit
) (
    input  logic clk,
    input  logic rx,
    output logic tx,
    output logic led_n
);
  logic [7:0] age = 8'd0;
  logic rst_n = 1'b0;
  always_ff @(posedge clk) begin
    if (age != 8'hFF) age <= age + 1'b1;
    rst_n <= age == 8'hFF;
  end

  logic in_valid, in_ready, out_valid, out_ready;
  logic [7:0] in_data, out_data;
  sl_uart #(
      .CLOCKS(CLOCKS)
  ) u_uart (
      .clk(clk),
      .rst_n(rst_n),
      .rx(rx),
      .tx(tx),
      .in_valid(in_valid),
      .in_ready(in_ready),
      .in_data(in_data),
      .out_valid(out_valid),
      .out_ready(out_ready),
      .out_data(out_data)
  );
  sl_row_wide u_engine (
      .clk(clk),
      .rst_n(rst_n),
      .in_valid(in_valid),
      .in_ready(in_ready),
      .in_data(in_data),
      .out_valid(out_valid),
      .out_ready(out_ready),
      .out_data(out_data)
  );
  always_ff @(posedge clk) led_n <= in_ready && out_ready;
endmodule
