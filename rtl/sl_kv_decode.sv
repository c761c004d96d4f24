// SPDX-License-Identifier: Apache-2.0
// Buffers the beats of vectors (KV_PACK: head vectors, KV_UNPACK: records) and turns them into rows of 16
// channels (docs/numerics.md 5.5), with the exponent that belongs to them.
// KV_PACK: the s16 codes. KV_UNPACK: c = code * sig (INT4: (code - z) * sig), INT4 brought to the grid of
// the vector, G = F - 32: c << (32 - (F - E)), or sl_rne(c, (F - E) - 32). Channels that do not exist are
// 0.
//
// A vector begins when all of its beats are there, because a record's scales come last. Before its rows it
// takes 3 cycles, KV_UNPACK 3 + groups, which run beside the transform of the vector before.
// Throughput: one row a cycle (KV_PACK), one row in 4 cycles (KV_UNPACK). Latency of a row: 3 and 10
// cycles. Backpressure: none at in_* (BEATS of buffer: whoever asks for beats counts, x_len come free with
// vec_free); a vector's rows wait for rot_ready, are announced by rot_start and then cannot be stopped.
// Widths: |code - z| <= 255, |c| <= 255 * 255 < 2^16, |v| < 2^48 (exact but for the sl_rne).
module sl_kv_decode #(
    parameter int W = 57,
    parameter int LOG2_BEATS = 6
) (
    input  logic                   clk,
    input  logic                   rst_n,
    input  logic                   clear,
    input  logic                   unpack,
    input  logic                   int4,
    input  logic        [     3:0] x_len,       // beats of a vector
    input  logic        [     3:0] last_row,
    input  logic        [     2:0] last_group,  // 0 with INT8
    input  logic        [    15:0] tail_mask,   // lanes of the last row that are channels
    input  logic                   in_valid,
    input  logic        [   511:0] in_data,
    output logic                   vec_free,
    input  logic                   rot_ready,
    output logic                   rot_start,
    output logic                   row_valid,
    output logic        [16*W-1:0] row_data,
    output logic signed [    10:0] exponent     // of the vector that rot_start announced last
);
  (* ram_style = "distributed" *) logic [511:0] mem[0:(1<<LOG2_BEATS)-1];
  logic [LOG2_BEATS-1:0] head, tail;
  logic [LOG2_BEATS:0] there;

  typedef enum logic [2:0] {
    IDLE,
    HEAD,   // the beat with exponent or scales is being read
    KEEP,   // and put aside
    TOP,    // largest exponent of the groups, one a cycle
    READY,
    ROWS
  } state_t;
  state_t state;
  logic [3:0] row;
  logic [1:0] quad;
  logic [2:0] group;

  // ---- Beats
  wire issue = state == ROWS;
  wire last_issue = issue && row == last_row && (!unpack || quad == 2'd3);
  // Beat of the vector: the last or the first one for the exponents, then the row's.
  wire [3:0] nth_row = !unpack ? {1'b0, row[3:1]} + 4'd1 : int4 ? {3'd0, row[3]} : {2'd0, row[3:2]};
  wire [3:0] nth = state != HEAD ? nth_row : unpack ? x_len - 4'd1 : 4'd0;
  wire [LOG2_BEATS-1:0] at = head + (LOG2_BEATS)'(nth);

  logic [511:0] beat;
  always_ff @(posedge clk) begin
    if (in_valid) mem[tail] <= in_data;
    if (issue || state == HEAD) beat <= mem[at];
  end

  // ---- Exponents
  logic [127:0] scales;
  logic [63:0] zero_points;
  logic [7:0] top;
  logic signed [10:0] next_exponent;
  wire [7:0] field = scales[16*group+7+:8];

  always_ff @(posedge clk) begin
    if (state == KEEP) begin
      scales <= beat[127:0];
      zero_points <= beat[319:256];
      top <= 8'd0;
      next_exponent <= beat[10:0];
    end
    if (state == TOP) begin
      if (field > top) top <= field;
    end
    if (state == READY && rot_ready) begin
      // INT8: E; a scale of 0 leaves c = 0 and any exponent. INT4: G.
      if (!unpack) exponent <= next_exponent;
      else exponent <= $signed({3'd0, top}) - (int4 ? 11'sd166 : 11'sd134);
    end
  end

  // ---- KV_UNPACK: four channels a cycle
  logic b_v, c_v, d_v, m_v, s_v;
  logic b_end, c_end, d_end, m_end, s_end;  // last four of a row
  logic [3:0] b_row;
  logic [1:0] b_quad, c_quad, d_quad, m_quad, s_quad;
  logic c_half;
  logic [31:0] c_codes;
  logic [3:0] b_mask, c_mask;
  logic [7:0] c_sig, c_zero, d_sig;
  logic signed [8:0] c_left, d_left, m_left;  // 32 - (F - E)
  logic [4*8-1:0] d_mag;
  logic [3:0] d_neg, m_neg, s_neg;
  logic [4*16-1:0] m_mag;
  logic [4*48-1:0] s_mag;
  wire [2:0] b_group = int4 ? b_row[3:1] : 3'd0;
  wire [14:0] b_scale = scales[16*b_group+:15];

  // Code - zero point, or the s8 code.
  function automatic [8:0] difference(input [31:0] codes, input half, input four, input [7:0] zp,
                                      input [1:0] lane);
    logic [3:0] nibble;
    logic [7:0] code;
    begin
      nibble = 4'(codes >> {half, lane, 2'd0});
      code = 8'(codes >> {lane, 3'd0});
      difference = four ? {5'd0, nibble} - {1'b0, zp} : {code[7], code};
    end
  endfunction

  function automatic [7:0] magnitude(input [8:0] v);
    magnitude = v[8] ? 8'd0 - v[7:0] : v[7:0];
  endfunction

  function automatic [47:0] placed(input [15:0] mag, input signed [8:0] left);
    logic [8:0] right;
    logic [4:0] near;  // from 17 on the result is 0
    // verilator lint_off UNUSEDSIGNAL
    logic [63:0] rounded;  // below 2^16
    // verilator lint_on UNUSEDSIGNAL
    begin
      right = 9'd0 - left;
      near = right[8:5] != 4'd0 ? 5'd31 : right[4:0];
      rounded = sl_num_pkg::sl_rne_u64({48'd0, mag}, {27'd0, near});
      placed = left >= 0 ? {32'd0, mag} << left[5:0] : 48'(rounded);
    end
  endfunction

  // Last stage first: a simulator then needs no second copy of the wide registers.
  always_ff @(posedge clk) begin
    if (b_v && !unpack) begin
      for (int l = 0; l < 16; l++)
        row_data[W*l+:W] <= head_code(beat, b_row[0], 4'(l), b_row != last_row || tail_mask[l]);
    end
    if (s_v) begin
      for (int l = 0; l < 16; l++)
        if (s_quad == 2'(l / 4))
          row_data[W*l+:W] <= with_sign(s_neg[l%4], s_mag[48*(l%4)+:48]);
    end
    if (m_v) begin
      s_end  <= m_end;
      s_quad <= m_quad;
      s_neg  <= m_neg;
      for (int l = 0; l < 4; l++) s_mag[48*l+:48] <= placed(m_mag[16*l+:16], m_left);
    end
    if (d_v) begin
      m_end  <= d_end;
      m_quad <= d_quad;
      m_neg  <= d_neg;
      m_left <= d_left;
      for (int l = 0; l < 4; l++) m_mag[16*l+:16] <= {8'd0, d_mag[8*l+:8]} * {8'd0, d_sig};
    end
    if (c_v) begin
      d_end  <= c_end;
      d_quad <= c_quad;
      d_sig  <= c_sig;
      d_left <= c_left;
      for (int l = 0; l < 4; l++) begin
        d_mag[8*l+:8] <= c_mask[l] ? magnitude(difference(c_codes, c_half, int4, c_zero, 2'(l))) : 8'd0;
        d_neg[l] <= 1'(difference(c_codes, c_half, int4, c_zero, 2'(l)) >> 8);
      end
    end
    if (b_v && unpack) begin
      c_end  <= b_end;
      c_quad <= b_quad;
      c_mask <= b_mask;
      c_half <= b_quad[0];
      for (int i = 0; i < 16; i++)
        if ((int4 ? {b_row[2:0], b_quad[1]} : {b_row[1:0], b_quad}) == 4'(i)) c_codes <= beat[32*i+:32];
      c_sig  <= b_scale == 15'd0 ? 8'd0 : {1'b1, b_scale[6:0]};
      c_zero <= zero_points[8*b_group+:8];
      c_left <= int4 ? 9'sd32 - $signed({1'b0, top - b_scale[14:7]}) : 9'sd0;
    end
    if (issue) begin
      b_row  <= row;
      b_quad <= quad;
      b_end  <= quad == 2'd3;
      for (int l = 0; l < 4; l++) b_mask[l] <= row != last_row || tail_mask[{quad, 2'(l)}];
    end
  end

  function automatic [W-1:0] with_sign(input neg, input [47:0] mag);
    with_sign = neg ? (W)'(0) - {(W - 48)'(0), mag} : {(W - 48)'(0), mag};
  endfunction

  function automatic [W-1:0] head_code(input [511:0] codes, input odd, input [3:0] lane, input there_is);
    logic [15:0] code;
    begin
      code = odd ? codes[256+16*lane+:16] : codes[16*lane+:16];
      head_code = there_is ? {{W - 16{code[15]}}, code} : (W)'(0);
    end
  endfunction

  // ---- Control
  assign rot_start = state == READY && rot_ready;

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      state <= IDLE;
      head <= '0;
      tail <= '0;
      there <= '0;
      vec_free <= 1'b0;
      row_valid <= 1'b0;
      {b_v, c_v, d_v, m_v, s_v} <= 5'd0;
    end else begin
      if (in_valid) tail <= tail + 1'b1;
      there <= there + (LOG2_BEATS + 1)'(in_valid) - (last_issue ? (LOG2_BEATS + 1)'(x_len) : '0);
      if (last_issue) head <= head + (LOG2_BEATS)'(x_len);
      vec_free <= last_issue;
      b_v <= issue;
      c_v <= b_v && unpack;
      d_v <= c_v;
      m_v <= d_v;
      s_v <= m_v;
      row_valid <= b_v && !unpack || s_v && s_end;
      case (state)
        IDLE: if (there != '0 && there >= (LOG2_BEATS + 1)'(x_len)) state <= HEAD;
        HEAD: state <= KEEP;
        KEEP: begin
          state <= unpack ? TOP : READY;
          group <= 3'd0;
        end
        TOP: begin
          group <= group + 3'd1;
          if (group == last_group) state <= READY;
        end
        READY: begin
          row  <= 4'd0;
          quad <= 2'd0;
          if (rot_ready) state <= ROWS;
        end
        default: begin
          quad <= quad + 2'd1;
          if (!unpack || quad == 2'd3) row <= row + 4'd1;
          if (last_issue) state <= IDLE;
        end
      endcase
    end
  end
endmodule
