// SPDX-License-Identifier: Apache-2.0
// A unit that an HLS tool made from hls/ (`SL_HLS_TOP of hls/tops.c, in the form that PandA-Bambu gives it)
// behind the pins and registers of sl_core, so that whatever simulates a core simulates the unit: one weight
// port, one job a launch at JOB_OFF, its record behind it. JOB_COUNT and TIMEOUT are not looked at.
// SL_HLS_WEIGHTS: the unit has a weight port. W_CTL: bits of its control port.
module sl_hls_unit #(
    parameter int W_CTL = 64
) (
    input  logic         ap_clk,
    input  logic         ap_rst_n,
    input  logic         s_axi_control_awvalid,
    output logic         s_axi_control_awready,
    input  logic [ 11:0] s_axi_control_awaddr,
    input  logic         s_axi_control_wvalid,
    output logic         s_axi_control_wready,
    input  logic [ 31:0] s_axi_control_wdata,
    input  logic [  3:0] s_axi_control_wstrb,
    output logic         s_axi_control_bvalid,
    input  logic         s_axi_control_bready,
    output logic [  1:0] s_axi_control_bresp,
    input  logic         s_axi_control_arvalid,
    output logic         s_axi_control_arready,
    input  logic [ 11:0] s_axi_control_araddr,
    output logic         s_axi_control_rvalid,
    input  logic         s_axi_control_rready,
    output logic [ 31:0] s_axi_control_rdata,
    output logic [  1:0] s_axi_control_rresp,
    output logic         interrupt,
    output logic         m_axi_ctl_arvalid,
    input  logic         m_axi_ctl_arready,
    output logic [ 63:0] m_axi_ctl_araddr,
    output logic [  7:0] m_axi_ctl_arlen,
    input  logic         m_axi_ctl_rvalid,
    output logic         m_axi_ctl_rready,
    input  logic [511:0] m_axi_ctl_rdata,
    input  logic [  1:0] m_axi_ctl_rresp,
    input  logic         m_axi_ctl_rlast,
    output logic         m_axi_ctl_awvalid,
    input  logic         m_axi_ctl_awready,
    output logic [ 63:0] m_axi_ctl_awaddr,
    output logic [  7:0] m_axi_ctl_awlen,
    output logic         m_axi_ctl_wvalid,
    input  logic         m_axi_ctl_wready,
    output logic [511:0] m_axi_ctl_wdata,
    output logic [ 63:0] m_axi_ctl_wstrb,
    output logic         m_axi_ctl_wlast,
    input  logic         m_axi_ctl_bvalid,
    output logic         m_axi_ctl_bready,
    input  logic [  1:0] m_axi_ctl_bresp,
    output logic         m_axi_w_arvalid,
    input  logic         m_axi_w_arready,
    output logic [ 63:0] m_axi_w_araddr,
    output logic [  7:0] m_axi_w_arlen,
    input  logic         m_axi_w_rvalid,
    output logic         m_axi_w_rready,
    input  logic [511:0] m_axi_w_rdata,
    input  logic [  1:0] m_axi_w_rresp,
    input  logic         m_axi_w_rlast
);
  wire clk = ap_clk;
  logic start, done, asleep;
  logic [63:0] ctl_base, w_base;
  logic [31:0] job_off, job_count, ctl_limit, w_limit, timeout;
  wire unused = &{1'b0, asleep, job_count, timeout, w_base, w_limit, m_axi_ctl_rlast, m_axi_w_rlast};

  sl_control #(
      .P(1)
  ) control (
      .clk,
      .rst_n(ap_rst_n),
      .awvalid(s_axi_control_awvalid),
      .awready(s_axi_control_awready),
      .awaddr(s_axi_control_awaddr),
      .wvalid(s_axi_control_wvalid),
      .wready(s_axi_control_wready),
      .wdata(s_axi_control_wdata),
      .wstrb(s_axi_control_wstrb),
      .bvalid(s_axi_control_bvalid),
      .bready(s_axi_control_bready),
      .bresp(s_axi_control_bresp),
      .arvalid(s_axi_control_arvalid),
      .arready(s_axi_control_arready),
      .araddr(s_axi_control_araddr),
      .rvalid(s_axi_control_rvalid),
      .rready(s_axi_control_rready),
      .rdata(s_axi_control_rdata),
      .rresp(s_axi_control_rresp),
      .interrupt,
      .asleep,
      .start,
      .done,
      .ctl_base,
      .w_base,
      .job_off,
      .job_count,
      .ctl_limit,
      .w_limit,
      .timeout
  );

  // ---- control port
  logic c_arvalid, c_arready, c_rvalid, c_rready;
  logic c_awvalid, c_awready, c_wvalid, c_wready, c_bvalid, c_bready;
  logic [63:0] c_araddr, c_awaddr;
  logic [2:0] c_arsize, c_awsize;
  logic [W_CTL-1:0] c_rdata, c_wdata;
  logic [W_CTL/8-1:0] c_wstrb;

  assign m_axi_ctl_arlen = 8'd0;
  assign m_axi_ctl_awlen = 8'd0;
  assign m_axi_ctl_wlast = 1'b1;
  sl_hls_port #(
      .W(W_CTL)
  ) ctl_port (
      .clk,
      .rst_n(ap_rst_n),
      .u_arvalid(c_arvalid),
      .u_arready(c_arready),
      .u_araddr(c_araddr),
      .u_arsize(c_arsize),
      .u_rvalid(c_rvalid),
      .u_rready(c_rready),
      .u_rdata(c_rdata),
      .u_awvalid(c_awvalid),
      .u_awready(c_awready),
      .u_awaddr(c_awaddr),
      .u_awsize(c_awsize),
      .u_wvalid(c_wvalid),
      .u_wready(c_wready),
      .u_wdata(c_wdata),
      .u_wstrb(c_wstrb),
      .u_bvalid(c_bvalid),
      .u_bready(c_bready),
      .arvalid(m_axi_ctl_arvalid),
      .arready(m_axi_ctl_arready),
      .araddr(m_axi_ctl_araddr),
      .rvalid(m_axi_ctl_rvalid),
      .rready(m_axi_ctl_rready),
      .rdata(m_axi_ctl_rdata),
      .rresp(m_axi_ctl_rresp),
      .awvalid(m_axi_ctl_awvalid),
      .awready(m_axi_ctl_awready),
      .awaddr(m_axi_ctl_awaddr),
      .wvalid(m_axi_ctl_wvalid),
      .wready(m_axi_ctl_wready),
      .wdata(m_axi_ctl_wdata),
      .wstrb(m_axi_ctl_wstrb),
      .bvalid(m_axi_ctl_bvalid),
      .bready(m_axi_ctl_bready),
      .bresp(m_axi_ctl_bresp)
  );

  // ---- weight port: 64 bits, read only
  logic w_arvalid, w_arready, w_rvalid, w_rready;
  logic [63:0] w_araddr, w_rdata;
  logic [2:0] w_arsize;

  assign m_axi_w_arlen = 8'd0;
`ifndef SL_HLS_WEIGHTS
  assign {w_arvalid, w_rready, w_araddr, w_arsize} = '0;
`endif
  sl_hls_port #(
      .W(64)
  ) w_port (
      .clk,
      .rst_n(ap_rst_n),
      .u_arvalid(w_arvalid),
      .u_arready(w_arready),
      .u_araddr(w_araddr),
      .u_arsize(w_arsize),
      .u_rvalid(w_rvalid),
      .u_rready(w_rready),
      .u_rdata(w_rdata),
      .u_awvalid(1'b0),
      .u_awready(),
      .u_awaddr(64'd0),
      .u_awsize(3'd0),
      .u_wvalid(1'b0),
      .u_wready(),
      .u_wdata(64'd0),
      .u_wstrb(8'd0),
      .u_bvalid(),
      .u_bready(1'b0),
      .arvalid(m_axi_w_arvalid),
      .arready(m_axi_w_arready),
      .araddr(m_axi_w_araddr),
      .rvalid(m_axi_w_rvalid),
      .rready(m_axi_w_rready),
      .rdata(m_axi_w_rdata),
      .rresp(m_axi_w_rresp),
      .awvalid(),
      .awready(1'b0),
      .awaddr(),
      .wvalid(),
      .wready(1'b0),
      .wdata(),
      .wstrb(),
      .bvalid(1'b0),
      .bready(),
      .bresp(2'd0)
  );

  // ---- the unit; what is left out of its pins are constants of a single access
  `SL_HLS_TOP unit (
      .clock(clk),
      .reset(ap_rst_n),
      .start_port(start),
      .done_port(done),
      .cache_reset(1'b0),
      .ctl(ctl_base),
      .job_off(job_off),
      .ctl_limit(ctl_limit),
`ifdef SL_HLS_WEIGHTS
      .w0(w_base),
      .w_limit(w_limit),
      .m_axi_gmem_w0_arvalid(w_arvalid),
      .m_axi_gmem_w0_arready(w_arready),
      .m_axi_gmem_w0_araddr(w_araddr),
      .m_axi_gmem_w0_arsize(w_arsize),
      .m_axi_gmem_w0_rvalid(w_rvalid),
      .m_axi_gmem_w0_rready(w_rready),
      .m_axi_gmem_w0_rdata(w_rdata),
      .m_axi_gmem_w0_rlast(w_rvalid),
      .m_axi_gmem_w0_rresp(2'd0),
      .m_axi_gmem_w0_rid(6'd0),
      .m_axi_gmem_w0_ruser(1'b0),
      .m_axi_gmem_w0_awready(1'b0),
      .m_axi_gmem_w0_wready(1'b0),
      .m_axi_gmem_w0_bvalid(1'b0),
      .m_axi_gmem_w0_bresp(2'd0),
      .m_axi_gmem_w0_bid(6'd0),
      .m_axi_gmem_w0_buser(1'b0),
`endif
      .m_axi_gmem_ctl_arvalid(c_arvalid),
      .m_axi_gmem_ctl_arready(c_arready),
      .m_axi_gmem_ctl_araddr(c_araddr),
      .m_axi_gmem_ctl_arsize(c_arsize),
      .m_axi_gmem_ctl_rvalid(c_rvalid),
      .m_axi_gmem_ctl_rready(c_rready),
      .m_axi_gmem_ctl_rdata(c_rdata),
      .m_axi_gmem_ctl_rlast(c_rvalid),
      .m_axi_gmem_ctl_rresp(2'd0),
      .m_axi_gmem_ctl_rid(6'd0),
      .m_axi_gmem_ctl_ruser(1'b0),
      .m_axi_gmem_ctl_awvalid(c_awvalid),
      .m_axi_gmem_ctl_awready(c_awready),
      .m_axi_gmem_ctl_awaddr(c_awaddr),
      .m_axi_gmem_ctl_awsize(c_awsize),
      .m_axi_gmem_ctl_wvalid(c_wvalid),
      .m_axi_gmem_ctl_wready(c_wready),
      .m_axi_gmem_ctl_wdata(c_wdata),
      .m_axi_gmem_ctl_wstrb(c_wstrb),
      .m_axi_gmem_ctl_bvalid(c_bvalid),
      .m_axi_gmem_ctl_bready(c_bready),
      .m_axi_gmem_ctl_bresp(2'd0),
      .m_axi_gmem_ctl_bid(6'd0),
      .m_axi_gmem_ctl_buser(1'b0)
  );
endmodule
