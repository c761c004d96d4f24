// SPDX-License-Identifier: Apache-2.0
// One weight port: address stream, AXI reads, a stream FIFO of DEPTH beats, scale beats set apart. Port 0
// also serves single reads of headers and tables (side), which do not pass through the FIFO.
// Bursts are issued only when the FIFO has room for them, so RREADY is constantly 1; with latency L and
// 64-beat bursts the stream keeps min(1, DEPTH / (L + 64)) of the port's beats.
// flush: forgets streams and stored beats and discards what still arrives; keep it up until idle.
module sl_weight_port #(
    parameter int PORT = 0,
    parameter int LOG2_DEPTH = 9
) (
    input  logic                             clk,
    input  logic                             rst_n,
    input  logic [                     63:0] base,        // of the arena, a multiple of 64
    input  logic [                     31:0] timeout,
    input  logic                             rearm,
    input  logic                             flush,
    output logic                             idle,
    output logic                             expired,
    // the job whose weights are requested
    input  logic                             gen_start,
    input  logic [2*sl_ctx::PASS_W-1:0]      gen_passes,
    input  logic                             gen_two,
    output logic                             gen_busy,
    // the job in the array
    input  logic                             use_start,
    input  logic [2*sl_ctx::PASS_W-1:0]      use_passes,
    input  logic                             use_two,
    input  logic                             use_four_bit,
    output logic                             beat_valid,
    output logic                             beat_err,
    output logic [                    511:0] beat,
    output logic [                     31:0] scales,
    input  logic                             take,
    output logic                             used,        // a scale or code beat was used up
    // single reads
    input  logic                             side_valid,
    output logic                             side_ready,
    input  logic [                     31:0] side_addr,
    input  logic [                      6:0] side_len,
    output logic                             side_rsp,
    output logic                             side_err,
    output logic [                    511:0] side_data,
    // AXI
    output logic                             arvalid,
    input  logic                             arready,
    output logic [                     63:0] araddr,
    output logic [                      7:0] arlen,
    input  logic                             rvalid,
    output logic                             rready,
    input  logic [                    511:0] rdata,
    input  logic [                      1:0] rresp
);
  logic gen_req;
  logic [57:0] gen_beat;
  logic [6:0] gen_len;
  logic req_ready, rsp_valid, rsp_tag, rsp_err;
  logic in_pop, out_valid, out_err;
  logic [511:0] out_data;

  wire side_ask;
  wire [57:0] side_beat;
  wire [6:0] side_part;

  sl_weight_gen #(
      .PORT(PORT),
      .DEPTH(1 << LOG2_DEPTH)
  ) u_gen (
      .clk(clk),
      .rst_n(rst_n),
      .flush(flush),
      .start(gen_start),
      .passes(gen_passes),
      .two(gen_two),
      .base(base[63:6]),
      .busy(gen_busy),
      .req_valid(gen_req),
      .req_ready(req_ready && !side_ask),
      .req_beat(gen_beat),
      .req_len(gen_len),
      .pop(in_pop)
  );

  // Side reads come first and are cut at 4 KiB.
  generate
    if (PORT == 0) begin : g_side
      sl_page_split u_split (
          .clk(clk),
          .rst_n(rst_n && !flush),
          .in_valid(side_valid),
          .in_ready(side_ready),
          .in_beat(base[63:6] + {26'd0, side_addr}),
          .in_len(side_len),
          .out_valid(side_ask),
          .out_ready(req_ready),
          .out_beat(side_beat),
          .out_len(side_part)
      );
    end else begin : g_no_side
      wire unused = &{1'b0, side_valid, side_addr, side_len};
      assign side_ask = 1'b0;
      assign side_beat = '0;
      assign side_part = '0;
      assign side_ready = 1'b0;
    end
  endgenerate

  sl_axi_read u_read (
      .clk(clk),
      .rst_n(rst_n),
      .timeout(timeout),
      .rearm(rearm),
      .req_valid((gen_req || side_ask) && !flush),
      .req_ready(req_ready),
      .req_addr({side_ask ? side_beat : gen_beat, 6'd0}),
      .req_len(side_ask ? side_part : gen_len),
      .req_tag(side_ask),
      .rsp_valid(rsp_valid),
      .rsp_tag(rsp_tag),
      .rsp_err(rsp_err),
      .idle(idle),
      .expired(expired),
      .arvalid(arvalid),
      .arready(arready),
      .araddr(araddr),
      .arlen(arlen),
      .rvalid(rvalid),
      .rready(rready),
      .rresp(rresp)
  );
  assign side_rsp = rsp_valid && rsp_tag && !flush;
  assign side_err = rsp_err;
  assign side_data = rdata;

  sl_fifo #(
      .WIDTH(513),
      .LOG2_DEPTH(LOG2_DEPTH)
  ) u_fifo (
      .clk(clk),
      .rst_n(rst_n),
      .clear(flush),
      .in_valid(rsp_valid && !rsp_tag && !flush),
      .in_data({rsp_err, rdata}),
      .out_valid(out_valid),
      .out_data({out_err, out_data}),
      .out_pop(in_pop)
  );

  sl_weight_parse #(
      .PORT(PORT)
  ) u_parse (
      .clk(clk),
      .rst_n(rst_n),
      .flush(flush),
      .start(use_start),
      .passes(use_passes),
      .two(use_two),
      .four_bit(use_four_bit),
      .in_valid(out_valid),
      .in_data(out_data),
      .in_pop(in_pop),
      .beat_valid(beat_valid),
      .scales(scales),
      .take(take)
  );
  assign beat = out_data;
  assign used = in_pop;

  // A scale beat's error counts for the next code beat.
  logic scale_err;
  assign beat_err = out_err || scale_err;
  always_ff @(posedge clk) begin
    if (!rst_n || flush || (take && in_pop)) scale_err <= 1'b0;
    else if (in_pop) scale_err <= scale_err || out_err;
  end
endmodule
