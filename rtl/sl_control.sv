// SPDX-License-Identifier: Apache-2.0
// Register page of the core on AXI4-Lite: ap_ctrl_hs and the arguments (docs/registers.md, abi/regs.def).
// CTRL: bit 0 start (set by the host, cleared when the core takes it: ap_ready with ap_done), 1 done (cleared
// by reading), 2 idle, 3 ready, 7 auto-restart. A finished launch raises ISR bits 0 and 1 and, if enabled,
// the interrupt.
// A write or read takes 3 cycles; one of each at a time. No input reaches an output in the same cycle.
module sl_control #(
    parameter int P = 1
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic            awvalid,
    output logic            awready,
    input  logic [    11:0] awaddr,
    input  logic            wvalid,
    output logic            wready,
    input  logic [    31:0] wdata,
    input  logic [     3:0] wstrb,
    output logic            bvalid,
    input  logic            bready,
    output logic [     1:0] bresp,
    input  logic            arvalid,
    output logic            arready,
    input  logic [    11:0] araddr,
    output logic            rvalid,
    input  logic            rready,
    output logic [    31:0] rdata,
    output logic [     1:0] rresp,
    output logic            interrupt,
    output logic            asleep,     // the clock may stand still while no input is valid
    // the core
    output logic            start,      // one cycle
    input  logic            done,       // one cycle
    output logic [    63:0] ctl_base,
    output logic [64*P-1:0] w_base,
    output logic [    31:0] job_off,
    output logic [    31:0] job_count,
    output logic [    31:0] ctl_limit,
    output logic [    31:0] w_limit,
    output logic [    31:0] timeout
);
  localparam int SCALARS = 'h1C + 12 * P;  // byte offset of the first scalar
  localparam int N_PTR = P + 1;
  localparam int N_SCALAR = 5;

  logic [64*N_PTR-1:0] ptr;
  logic [32*N_SCALAR-1:0] scalar;
  logic ap_start, ap_done, auto_restart, running, gie;
  logic [1:0] ier, isr;

  // Address and data are taken together, in the cycle behind the one in which both are there.
  wire write = awready;
  wire read = arready;
  assign wready = awready;
  assign bresp = 2'b00;
  assign rresp = 2'b00;
  assign interrupt = gie && isr != 0;
  assign ctl_base = ptr[63:0];
  assign w_base = ptr[64*N_PTR-1:64];
  assign {timeout, w_limit, ctl_limit, job_count, job_off} = scalar;

  wire ctrl_write = write && awaddr == 12'h0 && wstrb[0];
  wire begin_run = ap_start && !running;

  assign asleep = !bvalid && !rvalid && !begin_run && !start && !done;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      awready <= 1'b0;
      arready <= 1'b0;
      bvalid <= 1'b0;
      rvalid <= 1'b0;
      ap_start <= 1'b0;
      ap_done <= 1'b0;
      auto_restart <= 1'b0;
      running <= 1'b0;
      gie <= 1'b0;
      ier <= '0;
      isr <= '0;
      start <= 1'b0;
      ptr <= '0;
      scalar <= '0;
    end else begin
      awready <= awvalid && wvalid && !awready && !bvalid;
      arready <= arvalid && !arready && !rvalid;
      if (write) bvalid <= 1'b1;
      else if (bready) bvalid <= 1'b0;
      if (read) rvalid <= 1'b1;
      else if (rready) rvalid <= 1'b0;

      start <= begin_run;
      if (begin_run) running <= 1'b1;
      if (done) begin
        running <= 1'b0;
        ap_start <= auto_restart;
        ap_done <= 1'b1;
      end else if (read && araddr == 12'h0) ap_done <= 1'b0;
      if (ctrl_write) begin
        if (wdata[0]) ap_start <= 1'b1;
        auto_restart <= wdata[7];
      end
      if (write && awaddr == 12'h4 && wstrb[0]) gie <= wdata[0];
      if (write && awaddr == 12'h8 && wstrb[0]) ier <= wdata[1:0];
      // ISR bits toggle when 1 is written, as Vitis HLS has it.
      if (write && awaddr == 12'hC && wstrb[0]) isr <= (isr ^ wdata[1:0]) | ({2{done}} & ier);
      else if (done) isr <= isr | ier;

      if (write) begin
        logic [31:0] mask;
        mask = {{8{wstrb[3]}}, {8{wstrb[2]}}, {8{wstrb[1]}}, {8{wstrb[0]}}};
        for (int i = 0; i < N_PTR; i++) begin
          if (awaddr == 12'(16 + 12 * i)) ptr[64*i+:32] <= (ptr[64*i+:32] & ~mask) | (wdata & mask);
          if (awaddr == 12'(20 + 12 * i)) ptr[64*i+32+:32] <= (ptr[64*i+32+:32] & ~mask) | (wdata & mask);
        end
        for (int i = 0; i < N_SCALAR; i++)
        if (awaddr == 12'(SCALARS + 8 * i)) scalar[32*i+:32] <= (scalar[32*i+:32] & ~mask) | (wdata & mask);
      end
    end
  end

  always_ff @(posedge clk) begin
    if (read) begin
      rdata <= '0;
      if (araddr == 12'h0)
        rdata <= {24'd0, auto_restart, 3'd0, ap_done, !running && !ap_start, ap_done, ap_start};
      if (araddr == 12'h4) rdata <= {31'd0, gie};
      if (araddr == 12'h8) rdata <= {30'd0, ier};
      if (araddr == 12'hC) rdata <= {30'd0, isr};
      for (int i = 0; i < N_PTR; i++) begin
        if (araddr == 12'(16 + 12 * i)) rdata <= ptr[64*i+:32];
        if (araddr == 12'(20 + 12 * i)) rdata <= ptr[64*i+32+:32];
      end
      for (int i = 0; i < N_SCALAR; i++) if (araddr == 12'(SCALARS + 8 * i)) rdata <= scalar[32*i+:32];
    end
  end
endmodule
