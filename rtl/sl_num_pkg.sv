// SPDX-License-Identifier: Apache-2.0
// The named helpers of docs/numerics.md section 1 and the decoding of codes, with the names that hls/primitives.h has. Each is
// exact for every argument. Where C does it in one breath, the pieces are here that pipelines put between registers.
package sl_num_pkg;

  function automatic logic [63:0] sl_abs_u64(input logic signed [63:0] v);
    sl_abs_u64 = v[63] ? 64'd0 - v : v;
  endfunction

  // floor(log2 v), v > 0; 0 for 0.
  function automatic logic [5:0] sl_log2(input logic [63:0] v);
    logic [63:0] r;
    logic [5:0] n;
    begin
      r = v;
      n = 6'd0;
      if (r[63:32] != 0) begin
        n = n | 6'd32;
        r = r >> 32;
      end
      if (r[31:16] != 0) begin
        n = n | 6'd16;
        r = r >> 16;
      end
      if (r[15:8] != 0) begin
        n = n | 6'd8;
        r = r >> 8;
      end
      if (r[7:4] != 0) begin
        n = n | 6'd4;
        r = r >> 4;
      end
      if (r[3:2] != 0) begin
        n = n | 6'd2;
        r = r >> 2;
      end
      if (r[1]) n = n | 6'd1;
      sl_log2 = n;
    end
  endfunction

  // v * 2^-s, its rounding still to come: {sticky, half, kept[63:0]}: half is the highest bit that falls out, sticky tells
  // whether any below it is set. Any s.
  function automatic logic [65:0] sl_rne_split(input logic [63:0] v, input logic [31:0] s);
    logic [63:0] below;
    begin
      if (s == 0) sl_rne_split = {2'b00, v};
      else if (s > 64) sl_rne_split = 66'd0;
      else begin
        below = v >> (s - 1);
        sl_rne_split = {v != (below << (s - 1)), below[0], 1'b0, below[63:1]};
      end
    end
  endfunction

  // The second half: to nearest, ties to even.
  function automatic logic [63:0] sl_rne_join(input logic [65:0] split);
    sl_rne_join = split[63:0] + {63'd0, split[64] && (split[65] || split[0])};
  endfunction

  // v * 2^-s to nearest, ties to even. Any s.
  function automatic logic [63:0] sl_rne_u64(input logic [63:0] v, input logic [31:0] s);
    sl_rne_u64 = sl_rne_join(sl_rne_split(v, s));
  endfunction

  function automatic logic signed [31:0] sl_sat32(input logic signed [63:0] v);
    sl_sat32 = v[63:31] == 33'd0 || v[63:31] == {33{1'b1}} ? v[31:0] : v[63] ? 32'h80000000 : 32'h7FFFFFFF;
  endfunction

  // |v| * m from the products of its halves, low = v[31:0] * m and high = v[63:32] * m: {up, q} with |v| m = q * 2^(16 up);
  // with up the bits that fell out are kept in bit 0, below every later rounding.
  function automatic logic [64:0] sl_mul_jam(input logic [47:0] low, input logic [47:0] high);
    logic [48:0] sum;
    begin
      sum = {1'b0, high} + {33'd0, low[47:32]};
      if (sum[48:32] != 0) sl_mul_jam = {1'b1, sum[47:0], low[31:17], low[16] || low[15:0] != 0};
      else sl_mul_jam = {1'b0, sum[31:0], low[31:0]};
    end
  endfunction

  // E4M3 code as an integer times 2^9.
  function automatic logic signed [18:0] sl_decode_fp8(input logic [7:0] code);
    logic normal;
    logic [17:0] mag;
    begin
      normal = code[6:3] != 0;
      mag = {14'd0, normal, code[2:0]} << (code[6:3] - {3'd0, normal});
      sl_decode_fp8 = ({1'b0, mag} ^ {19{code[7]}}) + {18'd0, code[7]};
    end
  endfunction

  // s8 values of a 4-bit format's 16 codes; other formats have the table of INT4.
  function automatic logic [127:0] sl_book(input logic [2:0] format);
    sl_book = format == 3'(sl_abi_pkg::SL_FORMAT_NF4) ? sl_abi_pkg::SL_CODEBOOK_NF4
            : format == 3'(sl_abi_pkg::SL_FORMAT_MXFP4) ? sl_abi_pkg::SL_CODEBOOK_MXFP4 : sl_abi_pkg::SL_CODEBOOK_INT4;
  endfunction

  function automatic logic signed [7:0] sl_decode_4bit(input logic [2:0] format, input logic [3:0] code);
    logic [127:0] book;
    begin
      book = sl_book(format);
      sl_decode_4bit = book[8*code+:8];
    end
  endfunction

  function automatic logic sl_format_is_4bit(input logic [2:0] format);
    sl_format_is_4bit = format >= 3'(sl_abi_pkg::SL_FORMAT_NF4);
  endfunction

  // sigmoid of a Q16 number's magnitude below 16, in three pieces: the two table entries around it, {T[i], T[i] to T[i + 1]};
  // the interpolation; the sign.
  function automatic logic [33:0] sl_sigmoid_entry(input logic [7:0] i);
    logic [16:0] here, next;
    begin
      here = sl_table_pkg::SL_SIGMOID[17*{1'b0, i}+:17];
      next = sl_table_pkg::SL_SIGMOID[17*({1'b0, i}+9'd1)+:17];
      sl_sigmoid_entry = {here, next - here};
    end
  endfunction

  function automatic logic [16:0] sl_sigmoid_between(input logic [33:0] entry, input logic [11:0] f);
    logic [28:0] slope;
    begin
      slope = {12'd0, entry[16:0]} * {17'd0, f} + 29'd2048;
      sl_sigmoid_between = entry[33:17] + slope[28:12];
    end
  endfunction

endpackage
