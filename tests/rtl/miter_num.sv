// SPDX-License-Identifier: Apache-2.0
// Each module says of one function of sl_num_pkg that it equals another form of itself for every argument:
// the decoders a table made by the C functions, the others the law of docs/numerics.md written with wide
// integers. FAULT = 1 spoils the result for a single argument: the proof must then fail.

module miter_fp8 #(
    parameter FAULT = 0
) (
    input [7:0] code
);
  wire [18:0] got = sl_num_pkg::sl_decode_fp8(code);
  wire [18:0] want = miter_rom_pkg::FP8[19*code+:19];
  always @* assert ((got ^ (FAULT != 0 && code == 8'h81)) == want);
endmodule

module miter_s8 #(
    parameter FAULT = 0
) (
    input [7:0] code
);
  wire [7:0] got = sl_num_pkg::sl_decode_s8(code);
  wire [7:0] want = miter_rom_pkg::S8[8*code+:8];
  always @* assert ((got ^ (FAULT != 0 && code == 8'h80)) == want);
endmodule

module miter_4bit #(
    parameter FAULT = 0
) (
    input [2:0] format,
    input [3:0] code
);
  wire [7:0] got = sl_num_pkg::sl_decode_4bit(format, code);
  wire [7:0] want = miter_rom_pkg::CODE4[8*{format, code}+:8];
  wire is_4bit = sl_num_pkg::sl_format_is_4bit(format);
  always @* begin
    assert ((got ^ (FAULT != 0 && format == 3'd4 && code == 4'd9)) == want);
    assert (is_4bit == miter_rom_pkg::IS_4BIT[format]);
  end
endmodule

module miter_sign #(
    parameter FAULT = 0
) (
    input [63:0] v
);
  wire [63:0] mag = sl_num_pkg::sl_abs_u64(v) ^ (FAULT != 0 && v == 64'h8000000000000000);
  wire [63:0] back = sl_num_pkg::sl_sign_s64(mag, v[63]);
  always @* begin
    assert ({1'b0, mag} == (v[63] ? 65'h10000000000000000 - {1'b0, v} : {1'b0, v}));
    assert (back == v);
  end
endmodule

module miter_log2 #(
    parameter FAULT = 0
) (
    input [63:0] v
);
  wire [5:0] n = sl_num_pkg::sl_log2(v) ^ (FAULT != 0 && v == 64'h0000800000000001);
  // The leading one is bit n, and nothing is above it.
  always @* assert (v == 0 ? n == 0 : (v >> n) == 64'd1);
endmodule

module miter_sat32 #(
    parameter FAULT = 0
) (
    input signed [63:0] v
);
  wire [31:0] got = sl_num_pkg::sl_sat32(v) ^ (FAULT != 0 && v == -64'sd2147483649);
  wire [31:0] want = v > 64'sd2147483647 ? 32'h7FFFFFFF : v < -64'sd2147483648 ? 32'h80000000 : v[31:0];
  always @* assert (got == want);
endmodule

// Floor, remainder and half the unit in 66 bits; every s.
module miter_rne_u64 #(
    parameter FAULT = 0
) (
    input [63:0] v,
    input [31:0] s
);
  wire [6:0] n = s > 32'd65 ? 7'd65 : s[6:0];  // from 65 on the half is more than any v
  wire [65:0] unit = 66'd1 << n;
  wire [65:0] rest = {2'd0, v} & (unit - 66'd1);
  wire [63:0] kept = {2'd0, v} >> n;
  wire up = {rest, 1'b0} > {1'b0, unit} || ({rest, 1'b0} == {1'b0, unit} && kept[0]);
  wire [63:0] got = sl_num_pkg::sl_rne_u64(v, s) ^ (FAULT != 0 && v == 64'd6 && s == 32'd2);
  always @* assert (got == kept + {63'd0, up});
endmodule

// On two's complement: the floor, then up when more than half is left, or half and the floor is odd. s > -64;
// shifted left, the law is that of the bits that stay.
module miter_rne #(
    parameter FAULT = 0
) (
    input signed [63:0] v,
    input signed [31:0] s
);
  wire [5:0] n = s[5:0];
  wire signed [63:0] floor = v >>> n;
  wire [64:0] unit = 65'd1 << n;
  wire [64:0] rest = {1'b0, v} & (unit - 65'd1);
  wire up = {rest, 1'b0} > {1'b0, unit} || ({rest, 1'b0} == {1'b0, unit} && floor[0]);
  wire [5:0] left = -s[5:0];
  wire [63:0] want = s >= 64 ? 64'd0 : s > 0 ? floor + {63'd0, up} : v << left;
  wire [63:0] got = sl_num_pkg::sl_rne(v, s) ^ (FAULT != 0 && v == -64'sd6 && s == 2);
  always @* if (s > -64) assert (got == want);
endmodule
