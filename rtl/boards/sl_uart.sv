// SPDX-License-Identifier: Apache-2.0
// Serial port, 8N1, CLOCKS (at least 4) clocks a bit. A received byte waits in one register; the next one
// replaces it unless in_ready comes first. Bits are sampled in their middle; a start bit gone by then and a
// low stop bit are ignored. Sending: out_ready when the line is free. Latency: a byte's time.
module sl_uart #(
    parameter int CLOCKS = 12
) (
    input  logic       clk,
    input  logic       rst_n,
    input  logic       rx,
    output logic       tx,
    output logic       in_valid,   // received
    input  logic       in_ready,
    output logic [7:0] in_data,
    input  logic       out_valid,  // to send
    output logic       out_ready,
    input  logic [7:0] out_data
);
  localparam int CW = $clog2(CLOCKS);
  logic [2:0] line;  // rx, two clocks late and one more
  logic [CW-1:0] rx_count, tx_count;
  logic [3:0] rx_bit, tx_bit;
  logic [7:0] rx_shift;
  logic [8:0] tx_shift;
  logic receiving, sending;

  assign tx = sending ? tx_shift[0] : 1'b1;
  assign out_ready = !sending;

  always_ff @(posedge clk) begin
    line <= {line[1:0], rx};
    if (!rst_n) begin
      receiving <= 1'b0;
      in_valid <= 1'b0;
    end else begin
      if (in_ready) in_valid <= 1'b0;
      if (!receiving) begin
        receiving <= line[2:1] == 2'b10;
        rx_count <= CW'(CLOCKS / 2 - 1);
        rx_bit <= 4'd0;
      end else if (rx_count != 0) rx_count <= rx_count - 1'b1;
      else begin
        rx_count <= CW'(CLOCKS - 1);
        rx_bit <= rx_bit + 1'b1;
        rx_shift <= {line[1], rx_shift[7:1]};
        if (rx_bit == 4'd0 && line[1]) receiving <= 1'b0;
        if (rx_bit == 4'd9) begin
          receiving <= 1'b0;
          if (line[1]) begin
            in_valid <= 1'b1;
            in_data <= rx_shift;
          end
        end
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) sending <= 1'b0;
    else if (!sending) begin
      sending <= out_valid;
      tx_shift <= {out_data, 1'b0};
      tx_count <= CW'(CLOCKS - 1);
      tx_bit <= 4'd0;
    end else if (tx_count != 0) tx_count <= tx_count - 1'b1;
    else begin
      tx_count <= CW'(CLOCKS - 1);
      tx_shift <= {1'b1, tx_shift[8:1]};
      tx_bit <= tx_bit + 1'b1;
      if (tx_bit == 4'd9) sending <= 1'b0;
    end
  end
endmodule
