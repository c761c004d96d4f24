// SPDX-License-Identifier: Apache-2.0
// Multiply-accumulate array of one weight port: 64 lanes times T token columns, exact (docs/numerics.md
// section 4). A code beat is copied at its first step and held for as many steps as the job has groups of T
// tokens. Each step adds its products with one group's activations to that group's sums.
// fp8, q8: 64 columns of one row; 4-bit: 64 columns of two rows, packed into one multiplier per lane (d_high
// * 2^18 + d_low;
// at most 4 packed products are added before they are taken apart); router: 32 s16 columns of one row,
// against the high
//   bytes of x in lanes 0..31 and the low bytes, unsigned, in lanes 32..63, whose sum counts 2^-8 as much.
// Latency: a step's products are in the sums STAGES (9) cycles later. Throughput: one step a cycle. No
// backpressure: the array's control steps only when it may. The sums are read through a second port: rd_low,
// rd_high one cycle after rd_en. Widths: weight s19 (4-bit s27 packed), x s9, product s36, group sum s32,
// scaled s38, sum s64; nothing is rounded. sim/sl_dot_dpi.sv is the same for
// simulation, with its arithmetic in C.
module sl_dot #(
    parameter int T = 1,
    parameter int DEPTH = 128,  // sums of each row and column
    localparam int AW = $clog2(DEPTH)
) (
    input  logic             clk,
    input  logic             rst_n,
    // of the job at work
    input  logic [      2:0] format,
    input  logic             router,
    // step
    input  logic             step,
    input  logic             load,     // first step of a beat: beat and scales are copied
    input  logic [    511:0] beat,
    input  logic [     31:0] scales,
    input  logic             row,      // 8-bit formats: which row of the unit
    input  logic             clear,    // first beat of its row: the sum starts from 0
    input  logic [   AW-1:0] sum_at,
    input  logic [T*512-1:0] x,        // two cycles after step: 64 codes of each column
    input  logic [ T*10-1:0] xe,       // with x: its exponents {xe1, xe0}
    // sums
    input  logic             rd_en,
    input  logic [   AW-1:0] rd_at,
    input  logic [      4:0] rd_col,
    output logic [     63:0] rd_low,
    output logic [     63:0] rd_high
);
  localparam int STAGES = 9;
  localparam int N = 4 * T;  // group sums of a step: of each column low g0, low g1, high g0, high g1

  wire four_bit = format >= 3'(sl_abi_pkg::SL_FORMAT_NF4) && !router;
  wire plain = router || format == 3'(sl_abi_pkg::SL_FORMAT_FP8);  // no group scales

  // The held beat, and what travels beside the products: valid, row, clear and address of stages 1 .. 8.
  logic [511:0] raw;
  logic [31:0] raw_scales;
  logic load1;
  logic [STAGES-1:1] valid;
  logic [STAGES-1:1] d_row, d_clear;
  logic [(STAGES-1)*AW-1:0] d_at;  // stage i in bits AW (i - 1)

  always_ff @(posedge clk) begin
    if (!rst_n) valid <= '0;
    else valid <= {valid[STAGES-2:1], step};
  end

  always_ff @(posedge clk) begin
    if (load) begin
      raw <= beat;
      raw_scales <= scales;
    end
    load1 <= load;
    if (step || valid != 0) begin
      d_row <= {d_row[STAGES-2:1], row};
      d_clear <= {d_clear[STAGES-2:1], clear};
      d_at <= {d_at[(STAGES-2)*AW-1:0], sum_at};
    end
  end

  // Scales: significands (6 bits each) and shifts (without, then with x's exponents; 5 bits each, per
  // column), stages 2 .. 6.
  logic [23:0] sig2, sig3, sig4, sig5, sig6;
  logic [19:0] sh2;
  logic [5*N-1:0] sh3, sh4, sh5, sh6;

  always_ff @(posedge clk) begin
    if (valid[1]) begin
      for (int i = 0; i < 4; i++) begin
        sig2[6*i+:6] <= plain ? 6'd1 : {1'b1, raw_scales[8*i+:5]};
        sh2[5*i+:5] <= router ? (i % 2 == 0 ? 5'd8 : 5'd0) : plain ? 5'd0 : {2'd0, raw_scales[8*i+5+:3]};
      end
    end
    if (valid[2]) begin
      sig3 <= sig2;
      for (int j = 0; j < T; j++)
        for (int i = 0; i < 4; i++) sh3[5*(4*j+i)+:5] <= xe[10*j+5*(i%2)+:5] + sh2[5*i+:5];
    end
    if (valid[3]) begin
      sig4 <= sig3;
      sh4 <= sh3;
    end
    if (valid[4]) begin
      sig5 <= sig4;
      sh5 <= sh4;
    end
    if (valid[5]) begin
      sig6 <= sig5;
      sh6 <= sh5;
    end
  end

  // Group sums, stage 6.
  logic [32*N-1:0] group;

  logic signed [26:0] w[0:63];
  // The three code books one behind the other: 6 bits choose a value, so that each bit of it is
  // one 6-input table.
  logic [7:0] rom[0:63];
  wire [1:0] book = format[1:0];
  initial
    for (int i = 0; i < 64; i = i + 1)
      rom[i] = sl_num_pkg::sl_decode_4bit(i < 16 ? 3'(sl_abi_pkg::SL_FORMAT_MXFP4) : 3'(i >> 4), 4'(i));

  always_ff @(posedge clk) begin
    if (valid[1] && load1) begin
      if (four_bit) begin
        for (int i = 0; i < 64; i++) begin
          logic signed [7:0] d0, d1;
          d0 = rom[{book, raw[8*i+:4]}];
          d1 = rom[{book, raw[8*i+4+:4]}];
          w[i] <= {d1[7], d1, 18'd0} + {{19{d0[7]}}, d0};
        end
      end else if (router) begin
        for (int i = 0; i < 32; i++) begin
          w[i] <= {{11{raw[16*i+15]}}, raw[16*i+:16]};
          w[32+i] <= {{11{raw[16*i+15]}}, raw[16*i+:16]};
        end
      end else if (plain) begin
        for (int i = 0; i < 64; i++) begin
          logic signed [18:0] v;
          v = sl_num_pkg::sl_decode_fp8(raw[8*i+:8]);
          w[i] <= {{8{v[18]}}, v};
        end
      end else begin
        for (int i = 0; i < 64; i++) w[i] <= {{19{raw[8*i+7]}}, raw[8*i+:8]};
      end
    end
  end

  genvar c;
  generate
    for (c = 0; c < T; c = c + 1) begin : g_col
      logic signed [35:0] product[0:63];
      logic signed [30:0] low4[0:15];
      logic signed [18:0] high4[0:15];
      logic signed [31:0] low16[0:3];
      logic signed [20:0] high16[0:3];

      always_ff @(posedge clk) begin
        if (valid[2])
          for (int i = 0; i < 64; i++)
            product[i] <= w[i] * $signed({x[512*c+8*i+7] && (i < 32 || !router), x[512*c+8*i+:8]});
        if (valid[3]) begin
          for (int i = 0; i < 16; i++) begin
            logic signed [35:0] t;
            t = product[4*i] + product[4*i+1] + product[4*i+2] + product[4*i+3];
            low4[i] <= four_bit ? {{13{t[17]}}, t[17:0]} : t[30:0];
            high4[i] <= four_bit ? {t[35], t[35:18]} + {18'd0, t[17]} : 19'd0;
          end
        end
        if (valid[4]) begin
          for (int i = 0; i < 4; i++) begin
            low16[i] <= {low4[4*i][30], low4[4*i]} + {low4[4*i+1][30], low4[4*i+1]}
                + {low4[4*i+2][30], low4[4*i+2]}
                + {low4[4*i+3][30], low4[4*i+3]};
            high16[i] <= {{2{high4[4*i][18]}}, high4[4*i]} + {{2{high4[4*i+1][18]}}, high4[4*i+1]}
                + {{2{high4[4*i+2][18]}}, high4[4*i+2]} + {{2{high4[4*i+3][18]}}, high4[4*i+3]};
          end
        end
        if (valid[5]) begin
          for (int i = 0; i < 2; i++) begin
            logic signed [20:0] h;
            h = high16[2*i] + high16[2*i+1];
            group[128*c+32*i+:32] <= low16[2*i] + low16[2*i+1];
            group[128*c+64+32*i+:32] <= {{11{h[20]}}, h};
          end
        end
      end
    end
  endgenerate

  // Stage 7: times the significand. Stage 8: shifted, both groups of a row added.
  logic signed [37:0] scaled[0:N-1];
  logic [5*N-1:0] sh7;
  logic [63:0] low8[0:T-1];
  logic [63:0] high8[0:T-1];
  logic [64*T-1:0] low_mem[0:DEPTH-1];
  logic [64*T-1:0] high_mem[0:DEPTH-1];

  wire [AW-1:0] at = d_at[AW*(STAGES-2)+:AW];
  wire [64*T-1:0] low_old = d_clear[8] ? '0 : low_mem[at];
  wire [64*T-1:0] high_old = d_clear[8] ? '0 : high_mem[at];

  always_ff @(posedge clk) begin
    if (valid[6]) begin
      for (int i = 0; i < N; i++)
      scaled[i] <= $signed({{6{group[32*i+31]}}, group[32*i+:32]}) * $signed({32'd0, sig6[6*(i%4)+:6]});
      sh7 <= sh6;
    end
    if (valid[7]) begin
      for (int j = 0; j < T; j++) begin
        low8[j] <= ({{26{scaled[4*j][37]}}, scaled[4*j]} << sh7[20*j+:5])
            + ({{26{scaled[4*j+1][37]}}, scaled[4*j+1]} << sh7[20*j+5+:5]);
        if (four_bit)
          high8[j] <= ({{26{scaled[4*j+2][37]}}, scaled[4*j+2]} << sh7[20*j+10+:5])
              + ({{26{scaled[4*j+3][37]}}, scaled[4*j+3]} << sh7[20*j+15+:5]);
      end
    end
    if (valid[8]) begin
      logic [64*T-1:0] low_new, high_new;
      for (int j = 0; j < T; j++) begin
        low_new[64*j+:64] = low_old[64*j+:64] + low8[j];
        high_new[64*j+:64] = high_old[64*j+:64] + (four_bit ? high8[j] : low8[j]);
      end
      if (four_bit || !d_row[8]) low_mem[at] <= low_new;
      if (four_bit || d_row[8]) high_mem[at] <= high_new;
    end
    if (rd_en) begin
      rd_low <= low_mem[rd_at][64*rd_col+:64];
      rd_high <= high_mem[rd_at][64*rd_col+:64];
    end
  end
endmodule
