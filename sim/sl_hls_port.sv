// SPDX-License-Identifier: Apache-2.0
// One memory port of a synthesised unit on a port of 64 bytes. The unit makes single accesses of up to W bits,
// one at a time, with its data in the low lanes whatever the address, and may change what it shows before it is
// taken: so an access is taken in the cycle in which it is shown, and held here until the memory takes it.
// Latency: none, requests and answers pass in the same cycle. Throughput: one access at a time in each
// direction. An access that would leave its 64 bytes goes out with its own address, and the memory refuses what
// is no multiple of 64. An answer that is not OKAY is kept from the unit, which knows no errors: it never ends.
module sl_hls_port #(
    parameter int W = 64
) (
    input  logic           clk,
    input  logic           rst_n,
    // the unit
    input  logic           u_arvalid,
    output logic           u_arready,
    input  logic [   63:0] u_araddr,
    input  logic [    2:0] u_arsize,
    output logic           u_rvalid,
    input  logic           u_rready,
    output logic [  W-1:0] u_rdata,
    input  logic           u_awvalid,
    output logic           u_awready,
    input  logic [   63:0] u_awaddr,
    input  logic [    2:0] u_awsize,
    input  logic           u_wvalid,
    output logic           u_wready,
    input  logic [  W-1:0] u_wdata,
    input  logic [W/8-1:0] u_wstrb,
    output logic           u_bvalid,
    input  logic           u_bready,
    // the memory
    output logic           arvalid,
    input  logic           arready,
    output logic [   63:0] araddr,
    input  logic           rvalid,
    output logic           rready,
    input  logic [  511:0] rdata,
    input  logic [    1:0] rresp,
    output logic           awvalid,
    input  logic           awready,
    output logic [   63:0] awaddr,
    output logic           wvalid,
    input  logic           wready,
    output logic [  511:0] wdata,
    output logic [   63:0] wstrb,
    input  logic           bvalid,
    output logic           bready,
    input  logic [    1:0] bresp
);
  // ---- read
  logic r_busy, ar_held;
  logic [5:0] r_lane;
  logic [63:0] ar_kept;
  wire ar_take = u_arvalid && !r_busy;
  wire ar_leaves = {1'b0, u_araddr[5:0]} + (7'd1 << u_arsize) > 7'd64;
  wire [63:0] ar_beat = {u_araddr[63:6], ar_leaves ? u_araddr[5:0] : 6'd0};

  assign u_arready = !r_busy;
  assign arvalid = ar_take || ar_held;
  assign araddr = ar_held ? ar_kept : ar_beat;
  assign u_rvalid = rvalid && rresp == 2'b00;
  assign rready = u_rready;
  wire [511:0] r_shifted = rdata >> {r_lane, 3'b000};
  assign u_rdata = r_shifted[W-1:0];

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      r_busy  <= 1'b0;
      ar_held <= 1'b0;
    end else begin
      ar_held <= arvalid && !arready;
      if (ar_take) r_busy <= 1'b1;
      else if (u_rvalid && rready) r_busy <= 1'b0;
    end
  end

  always_ff @(posedge clk)
    if (ar_take) begin
      r_lane  <= u_araddr[5:0];
      ar_kept <= ar_beat;
    end

  // ---- write: address and data together
  logic w_busy, aw_held, w_held;
  logic [63:0] aw_kept, strb_kept;
  logic [511:0] data_kept;
  wire w_take = u_awvalid && u_wvalid && !w_busy;
  wire aw_leaves = {1'b0, u_awaddr[5:0]} + (7'd1 << u_awsize) > 7'd64;
  wire [63:0] aw_beat = {u_awaddr[63:6], aw_leaves ? u_awaddr[5:0] : 6'd0};
  wire [511:0] w_shifted = {{512 - W{1'b0}}, u_wdata} << {u_awaddr[5:0], 3'b000};
  wire [63:0] strb_shifted = {{64 - W / 8{1'b0}}, u_wstrb} << u_awaddr[5:0];

  assign u_awready = w_take;
  assign u_wready = w_take;
  assign awvalid = w_take || aw_held;
  assign awaddr = aw_held ? aw_kept : aw_beat;
  assign wvalid = w_take || w_held;
  assign wdata = w_held ? data_kept : w_shifted;
  assign wstrb = w_held ? strb_kept : strb_shifted;
  assign u_bvalid = bvalid && bresp == 2'b00;
  assign bready = u_bready;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      w_busy  <= 1'b0;
      aw_held <= 1'b0;
      w_held  <= 1'b0;
    end else begin
      aw_held <= awvalid && !awready;
      w_held  <= wvalid && !wready;
      if (w_take) w_busy <= 1'b1;
      else if (u_bvalid && bready) w_busy <= 1'b0;
    end
  end

  always_ff @(posedge clk)
    if (w_take) begin
      aw_kept   <= aw_beat;
      data_kept <= w_shifted;
      strb_kept <= strb_shifted;
    end
endmodule
