// SPDX-License-Identifier: Apache-2.0
// AXI4 read channels of one port: takes bursts, remembers whose they are, hands the beats on in order.
// A burst is 1..64 beats inside of 4 KiB (the client's duty). A request reaches ARVALID one cycle later;
// beats pass without delay. Throughput: one burst a cycle, one beat a cycle. Backpressure: req_ready drops
// while the address channel waits or MAX_BURSTS are outstanding; beats cannot be held back (RREADY is always
// 1), so clients ask only for what they can take. quiet counts cycles in which the memory owed something and
// gave nothing; it stays at timeout (0: never expires).
module sl_axi_read #(
    parameter int LOG2_BURSTS = 5
) (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [31:0] timeout,
    input  logic        rearm,      // counts quiet from 0 again
    input  logic        req_valid,
    output logic        req_ready,
    input  logic [63:0] req_addr,
    input  logic [ 6:0] req_len,
    input  logic        req_tag,
    // beats, in the order of the requests
    output logic        rsp_valid,
    output logic        rsp_tag,
    output logic        rsp_err,
    output logic        idle,     // nothing outstanding
    output logic        expired,  // owed for `timeout` cycles
    // AXI
    output logic        arvalid,
    input  logic        arready,
    output logic [63:0] araddr,
    output logic [ 7:0] arlen,
    input  logic        rvalid,
    output logic        rready,
    input  logic [ 1:0] rresp
);
  logic [7:0] burst[0:(1<<LOG2_BURSTS)-1];  // {tag, beats}
  logic [LOG2_BURSTS:0] wr_ptr, rd_ptr;
  logic [6:0] done;  // beats of the oldest burst that have come
  logic [31:0] quiet;
  wire [LOG2_BURSTS:0] used = wr_ptr - rd_ptr;
  wire full = used[LOG2_BURSTS];
  wire [7:0] oldest = burst[rd_ptr[LOG2_BURSTS-1:0]];
  wire take = req_valid && req_ready;
  wire last = done + 7'd1 == oldest[6:0];

  assign idle = wr_ptr == rd_ptr;
  assign req_ready = (!arvalid || arready) && !full;
  assign rready = 1'b1;
  assign rsp_valid = rvalid && !idle;
  assign rsp_tag = oldest[7];
  assign rsp_err = rresp[1];
  assign expired = timeout != 0 && quiet == timeout;

  always_ff @(posedge clk) begin
    if (take) begin
      burst[wr_ptr[LOG2_BURSTS-1:0]] <= {req_tag, req_len};
      araddr <= req_addr;
      arlen <= {1'b0, req_len - 7'd1};
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      arvalid <= 1'b0;
      wr_ptr <= '0;
      rd_ptr <= '0;
      done <= '0;
      quiet <= '0;
    end else begin
      if (take) begin
        arvalid <= 1'b1;
        wr_ptr <= wr_ptr + 1'b1;
      end else if (arready) arvalid <= 1'b0;
      if (rsp_valid) begin
        done <= last ? 7'd0 : done + 7'd1;
        if (last) rd_ptr <= rd_ptr + 1'b1;
      end
      if (idle || rvalid || rearm || timeout == 0) quiet <= '0;
      else if (quiet != timeout) quiet <= quiet + 1'b1;
    end
  end
endmodule
