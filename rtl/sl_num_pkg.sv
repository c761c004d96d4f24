// SPDX-License-Identifier: Apache-2.0
// The named helpers of docs/numerics.md sections 1 and 5.1 and the decoding of codes, with the names that
// hls/primitives.h has. Each is exact for every argument. Where C does it in one breath, the pieces are here
// that pipelines put between registers, and the whole, by which they are judged (tests/rtl,
// tools/rtl/miter.sh). sl_div_half and sl_exp_neg are modules.
package sl_num_pkg;

  function automatic logic [63:0] sl_abs_u64(input logic signed [63:0] v);
    sl_abs_u64 = v[63] ? 64'd0 - v : v;
  endfunction

  // Puts the sign back on a magnitude of at most 2^63.
  function automatic logic signed [63:0] sl_sign_s64(input logic [63:0] mag, input logic neg);
    sl_sign_s64 = neg ? 64'd0 - mag : mag;
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

  // v * 2^-s, its rounding still to come: {sticky, half, kept[63:0]}: half is the highest bit that falls out,
  // sticky tells whether any below it is set. Any s.
  function automatic logic [65:0] sl_rne_split(input logic [63:0] v, input logic [31:0] s);
    logic [5:0] t;  // bits below half
    logic [63:0] below;
    begin
      if (s == 0) sl_rne_split = {2'b00, v};
      else if (s > 64) sl_rne_split = 66'd0;
      else begin
        t = s[5:0] - 6'd1;
        below = v >> t;
        sl_rne_split = {(v & ~(64'hFFFFFFFFFFFFFFFF << t)) != 0, below[0], 1'b0, below[63:1]};
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

  // The same of a signed number; s <= 0 shifts left, and the result then fits.
  function automatic logic signed [63:0] sl_rne(input logic signed [63:0] v, input logic signed [31:0] s);
    logic [63:0] mag;
    begin
      mag = sl_abs_u64(v);
      if (s <= 0) mag = mag << -s;
      else if (s >= 64) mag = 64'd0;
      else mag = sl_rne_u64(mag, s);
      sl_rne = sl_sign_s64(mag, v[63]);
    end
  endfunction

  function automatic logic signed [31:0] sl_sat32(input logic signed [63:0] v);
    sl_sat32 = v[63:31] == 33'd0 || v[63:31] == {33{1'b1}} ? v[31:0] : v[63] ? 32'h80000000 : 32'h7FFFFFFF;
  endfunction

  // |v| * m from the products of its halves, low = v[31:0] * m and high = v[63:32] * m: {up, q} with
  // |v| m = q * 2^(16 up); with up the bits that fell out are kept in bit 0, below every later rounding.
  function automatic logic [64:0] sl_mul_jam(input logic [47:0] low, input logic [47:0] high);
    logic [48:0] sum;
    begin
      sum = {1'b0, high} + {33'd0, low[47:32]};
      if (sum[48:32] != 0) sl_mul_jam = {1'b1, sum[47:0], low[31:17], low[16] || low[15:0] != 0};
      else sl_mul_jam = {1'b0, sum[31:0], low[31:0]};
    end
  endfunction

  // What sl_scale_s32 and sl_scale_f32 do with the product q of sl_mul_jam, its sign and its exponent e (up
  // counted in): {saturated, sat32(RNE(q * 2^e))}; fp32 bits, rounded once. |e| < 2^30.
  function automatic logic [32:0] sl_scale_s32_tail(input logic [63:0] q, input logic neg,
                                                    input logic signed [31:0] e);
    logic [63:0] limit, r;
    begin
      limit = 64'h7FFFFFFF + {63'd0, neg};
      if (e < 0) r = sl_rne_u64(q, -e);
      else if (q > limit || e > 31) r = q == 0 ? 64'd0 : limit + 64'd1;
      else r = q << e;
      if (r > limit) sl_scale_s32_tail = {1'b1, neg ? 32'h80000000 : 32'h7FFFFFFF};
      else sl_scale_s32_tail = {1'b0, neg ? 32'd0 - r[31:0] : r[31:0]};
    end
  endfunction

  function automatic logic [31:0] sl_scale_f32_tail(input logic [63:0] q, input logic neg,
                                                    input logic signed [31:0] e);
    logic signed [31:0] n, s;
    logic [30:0] sig, field;
    begin
      n = $signed({26'd0, sl_log2(q)}) + e;
      // The unit of the result is 2^(e + s): 23 below the leading one, but not below 2^-149.
      s = n >= -126 ? n - e - 23 : -149 - e;
      field = n >= -126 ? {n[7:0] + 8'd126, 23'd0} : 31'd0;
      sig = s <= 0 ? 31'(q << -s) : 31'(sl_rne_u64(q, s));
      sl_scale_f32_tail = {neg, q == 0 ? 31'd0 : n > 127 ? 31'h7F800000 : sig + field};
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

  function automatic logic signed [7:0] sl_decode_s8(input logic [7:0] code);
    sl_decode_s8 = code;
  endfunction

  // s8 values of a 4-bit format's 16 codes; other formats have the table of INT4.
  function automatic logic [127:0] sl_book(input logic [2:0] format);
    sl_book = format == 3'(sl_abi_pkg::SL_FORMAT_NF4) ? sl_abi_pkg::SL_CODEBOOK_NF4
            : format == 3'(sl_abi_pkg::SL_FORMAT_MXFP4) ? sl_abi_pkg::SL_CODEBOOK_MXFP4
                : sl_abi_pkg::SL_CODEBOOK_INT4;
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

  // sigmoid of a Q16 number's magnitude below 16, in two pieces: the table entry below it and the way to the
  // next, {T[i], T[i + 1] - T[i]}; the interpolation.
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

  // sigmoid of s32 Q16, in Q16: 0 .. 65536.
  function automatic logic [16:0] sl_sigmoid(input logic signed [31:0] g);
    logic [31:0] a;
    logic [16:0] sigma;
    begin
      a = g[31] ? 32'd0 - g : g;
      sigma = a[31:20] != 0 ? 17'h10000 : sl_sigmoid_between(sl_sigmoid_entry(a[19:12]), a[11:0]);
      sl_sigmoid = g[31] ? 17'h10000 - sigma : sigma;
    end
  endfunction

  // silu of s32 Q16, in s32 Q16.
  function automatic logic signed [31:0] sl_silu(input logic signed [31:0] g);
    logic signed [63:0] p;
    begin
      p = $signed({{32{g[31]}}, g}) * $signed({47'd0, sl_sigmoid(g)});
      sl_silu = 32'(sl_rne(p, 32'sd16));
    end
  endfunction

endpackage
