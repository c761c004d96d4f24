// SPDX-License-Identifier: Apache-2.0
// Loads a job's activations (docs/numerics.md 3.1) from the control buffer into sl_act_mem and checks them.
// Tokens one after the other: base, block exponents, codes; columns beyond K become 0. 8-bit items: 64 codes
// a beat. 16-bit items (router): 32 codes a beat, stored as high bytes (lower half of an entry) and low bytes
// (upper half). Requests of the next token go out while the beats of this one arrive. Throughput: one beat a
// cycle. The beats of an answer are taken as they come. stop: forgets everything; beats that still come must
// be kept away by the caller.
module sl_x_load #(
    parameter int T = 1,
    parameter int XW = 16
) (
    input  logic          clk,
    input  logic          rst_n,
    input  logic          stop,
    input  logic          start,
    input  logic          wide,       // 16-bit items
    input  logic [  10:0] n_block,    // K / 32
    input  logic [   6:0] n_tokens,
    input  logic [   6:0] hold,       // ceil(n_tokens / T)
    input  logic [XW-1:0] x_base,
    input  logic          listed,     // token offsets come from off_data, else from x_off + t * x_stride
    input  logic [  31:0] x_off,
    input  logic [  15:0] x_stride,
    output logic [   5:0] off_at,
    input  logic [  31:0] off_data,   // in the same cycle as off_at
    output logic          done,       // bad and err are valid with it and stay
    output logic          bad,
    output logic          err,        // a bus error among the beats
    // control port
    output logic          rd_valid,
    input  logic          rd_ready,
    output logic [  31:0] rd_addr,
    output logic [   6:0] rd_len,
    input  logic          rsp_valid,
    input  logic          rsp_err,
    input  logic [ 511:0] rsp_data,
    // memory
    output logic [   1:0] wr_half,
    output logic [   4:0] wr_col,
    output logic [XW-1:0] wr_at,
    output logic [ 521:0] wr_data,
    output logic          base_valid,
    output logic [   5:0] base_token,
    output logic [  10:0] base        // signed
);
  wire [4:0] n_exp = 5'((n_block + 11'd63) >> 6);        // beats of exponents, up to 16
  wire [9:0] k64 = 10'((n_block + 11'd1) >> 1);          // code beats of 8-bit items, up to 512
  wire [10:0] n_code = wide ? {k64, 1'b0} : {1'b0, k64};
  wire [11:0] n_item = 12'd1 + 12'(n_exp) + 12'(n_code);

  // Requests.
  logic asking;
  logic [5:0] ask_t;
  logic [11:0] ask_left;
  logic fresh;  // at the first request of a token
  logic [31:0] row_at, ask_at;
  wire [31:0] token_at = listed ? off_data : row_at;
  wire [11:0] ask_n = fresh ? n_item : ask_left;
  assign off_at = ask_t;
  assign rd_valid = asking;
  assign rd_addr = fresh ? token_at : ask_at;
  assign rd_len = ask_n > 12'd64 ? 7'd64 : ask_n[6:0];

  always_ff @(posedge clk) begin
    if (!rst_n || stop) asking <= 1'b0;
    else if (start) begin
      asking <= 1'b1;
      ask_t <= '0;
      fresh <= 1'b1;
      row_at <= x_off;
    end else if (asking && rd_ready) begin
      ask_left <= ask_n - {5'd0, rd_len};
      ask_at <= rd_addr + {25'd0, rd_len};
      fresh <= ask_n <= 12'd64;
      if (ask_n <= 12'd64) begin
        ask_t <= ask_t + 1'b1;
        row_at <= row_at + {16'd0, x_stride};
        if ({1'b0, ask_t} + 7'd1 == n_tokens) asking <= 1'b0;
      end
    end
  end

  // Beats.
  typedef enum logic [1:0] {IDLE, HEAD, EXPS, CODES} state_t;
  state_t state;
  logic [5:0] t;
  logic [4:0] col;
  logic [6:0] group;
  logic [10:0] at;      // beat of the phase
  logic [XW-1:0] entry;
  logic [511:0] exps[0:15];

  wire [31:0] base32 = rsp_data[31:0];
  wire base_bad = $signed(base32) > sl_abi_pkg::SL_BASE_MAX || $signed(base32) < -sl_abi_pkg::SL_BASE_MAX;
  wire [10:0] exps_left = n_block - {at[4:0], 6'd0};     // blocks from this beat on
  wire [4:0] xe_max = wide ? 5'(sl_abi_pkg::SL_XE16_MAX) : 5'(sl_abi_pkg::SL_XE_MAX);
  wire [3:0] exp_at = wide ? at[9:6] : at[8:5];
  wire [4:0] xe_low = exps[exp_at][16*at[4:0]+:5];
  wire [4:0] xe_high = exps[exp_at][16*at[4:0]+8+:5];
  wire [4:0] xe_wide = exps[exp_at][8*at[5:0]+:5];
  // Beats of codes that hold none of the K columns (16-bit items), and halves that do not (8-bit items).
  wire pad_beat = wide && at == n_block;
  wire pad_half = !wide && {at, 1'b1} == {1'b0, n_block};

  logic exp_bad, code_bad;
  always_comb begin
    exp_bad = 1'b0;
    if (state == EXPS && rsp_valid)
      for (int i = 0; i < 64; i++)
      if (11'(i) < exps_left && rsp_data[8*i+:8] > {3'd0, xe_max}) exp_bad = 1'b1;
    code_bad = 1'b0;
    if (state == CODES && rsp_valid) begin
      if (wide) begin
        for (int i = 0; i < 32; i++) if (!pad_beat && rsp_data[16*i+:16] == 16'h8000) code_bad = 1'b1;
      end else begin
        for (int i = 0; i < 64; i++)
        if (!(pad_half && i >= 32) && rsp_data[8*i+:8] == 8'h80) code_bad = 1'b1;
      end
    end
  end

  always_ff @(posedge clk) begin
    wr_half <= 2'b00;
    base_valid <= 1'b0;
    if (state == EXPS && rsp_valid) exps[at[3:0]] <= rsp_data;
    if (state == HEAD && rsp_valid) begin
      base_valid <= 1'b1;
      base_token <= t;
      base <= base_bad ? 11'd0 : base32[10:0];
    end
    if (state == CODES && rsp_valid) begin
      wr_half <= 2'b11;
      wr_col <= col;
      wr_at <= entry;
      if (wide) begin
        logic [511:0] codes;
        for (int i = 0; i < 32; i++) begin
          codes[8*i+:8] = rsp_data[16*i+8+:8];
          codes[256+8*i+:8] = rsp_data[16*i+:8];
        end
        wr_data <= {xe_wide, xe_wide, pad_beat ? 512'd0 : codes};
      end else
        wr_data <= {pad_half ? 5'd0 : xe_high, xe_low, pad_half ? 256'd0 : rsp_data[511:256],
                    rsp_data[255:0]};
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n || stop) begin
      state <= IDLE;
      done <= 1'b0;
    end else begin
      done <= 1'b0;
      if (rsp_valid) begin
        err <= err || rsp_err;
        bad <= bad || exp_bad || code_bad || (state == HEAD && base_bad);
      end
      case (state)
        IDLE:
        if (start) begin
          state <= HEAD;
          t <= '0;
          col <= '0;
          group <= '0;
          bad <= 1'b0;
          err <= 1'b0;
        end
        HEAD:
        if (rsp_valid) begin
          state <= EXPS;
          at <= '0;
          entry <= x_base + XW'(group);
        end
        EXPS:
        if (rsp_valid) begin
          at <= at + 1'b1;
          if (at + 1'b1 == {6'd0, n_exp}) begin
            at <= '0;
            state <= CODES;
          end
        end
        default:
        if (rsp_valid) begin
          at <= at + 1'b1;
          entry <= entry + XW'(hold);
          if (at + 1'b1 == n_code) begin
            t <= t + 1'b1;
            col <= col == 5'(T - 1) ? 5'd0 : col + 1'b1;
            if (col == 5'(T - 1)) group <= group + 1'b1;
            state <= HEAD;
            if ({1'b0, t} + 7'd1 == n_tokens) begin
              state <= IDLE;
              done <= 1'b1;
            end
          end
        end
      endcase
    end
  end
endmodule
