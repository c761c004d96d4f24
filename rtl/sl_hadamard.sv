// SPDX-License-Identifier: Apache-2.0
// Unnormalised Hadamard transform (Sylvester order) of one vector at a time, in blocks of 2^n_stage
// channels. Rows of 16 channels come in order and leave in the order of the last stage, each with its row
// number.
//
// Stage k maps channels (a, b) at distance 2^k to (a + b, a - b). Distances 1..8 lie inside of a row; from
// 16 on two rows are combined, which are then read one after the other. Stage 0 works on the rows as they
// arrive, the last stage sends what it computes instead of storing it, so a vector of R rows takes n_stage
// (R + 4) + 1 cycles when its rows come without gaps; the 4 are the latency of the pipeline, because a
// stage begins when the one before has been stored. Throughput inside of a stage: one row (16 additions) a
// cycle.
// Backpressure: `start` claims the unit and is allowed while in_ready; the rows may then come with any
// gaps. The last stage waits for out_ready, the vector's rows follow without a way to stop them. With
// n_stage = 1 the first stage is the last one: in_ready then includes out_ready. out_ready may only fall
// between a vector's last row and the next one. Widths: W bits two's complement; the caller's values times
// 2^n_stage fit. No rounding.
module sl_hadamard #(
    parameter int W = 57
) (
    input  logic            clk,
    input  logic            rst_n,
    input  logic            clear,
    input  logic [     3:0] last_row,   // rows of a vector - 1; from stage 4 on the rows are an even number
    input  logic [     3:0] n_stage,    // 1..8
    output logic            in_ready,
    input  logic            start,
    input  logic            in_valid,
    input  logic [16*W-1:0] in_data,
    input  logic            out_ready,
    output logic            out_valid,
    output logic            out_last,
    output logic [     3:0] out_row,
    output logic [16*W-1:0] out_data
);
  (* ram_style = "distributed" *) logic [16*W-1:0] mem[0:15];

  logic       running;
  logic       issued;      // the last row of the last stage is on its way
  logic [3:0] stage, step;
  logic [2:0] gap;
  wire        loading = stage == 4'd0;
  wire        final_stage = stage + 4'd1 == n_stage;
  wire        go = running && !issued && (loading ? in_valid : gap == 3'd0 && (!final_stage || out_ready));

  assign in_ready = !running && (n_stage != 4'd1 || out_ready);

  // Stages 4..7 take the rows in pairs: bit 0 of the step is the bit of the row number that tells the pair
  // apart.
  function automatic [3:0] row_of(input [3:0] k, input [3:0] j);
    case (k)
      4'd5: row_of = {j[3:2], j[0], j[1]};
      4'd6: row_of = {j[3], j[0], j[2:1]};
      4'd7: row_of = {j[0], j[3:1]};
      default: row_of = j;
    endcase
  endfunction
  wire [3:0] row = row_of(stage, step);

  // The pipeline: row read; held (its partner row follows or went before); operands; sum.
  logic s_v, h_v, x_v, sum_v;
  logic s_final, h_final, x_final, s_end, h_end, x_end, sum_end, sum_final;
  logic [3:0] s_row, h_row, x_row, sum_row;
  logic [3:0] s_stage, h_stage;
  logic s_second, h_second;  // second row of its pair
  logic [16*W-1:0] s, h, h_old, x, p, sum;
  logic [15:0] minus;  // lanes that get p - x

  // Last stage first: a simulator then needs no second copy of the wide registers.
  always_ff @(posedge clk) begin
    if (sum_v && !sum_final) mem[sum_row] <= sum;
    if (x_v) begin
      for (int l = 0; l < 16; l++) sum[l*W+:W] <= minus[l] ? p[l*W+:W] - x[l*W+:W] : p[l*W+:W] + x[l*W+:W];
      sum_row <= x_row;
      sum_final <= x_final;
      sum_end <= x_end;
    end
    if (h_v) begin
      x <= h;
      x_row <= h_row;
      x_final <= h_final;
      x_end <= h_end;
      case (h_stage)
        4'd0: begin
          for (int l = 0; l < 16; l++) p[l*W+:W] <= h[(l^1)*W+:W];
          minus <= 16'hAAAA;
        end
        4'd1: begin
          for (int l = 0; l < 16; l++) p[l*W+:W] <= h[(l^2)*W+:W];
          minus <= 16'hCCCC;
        end
        4'd2: begin
          for (int l = 0; l < 16; l++) p[l*W+:W] <= h[(l^4)*W+:W];
          minus <= 16'hF0F0;
        end
        4'd3: begin
          for (int l = 0; l < 16; l++) p[l*W+:W] <= h[(l^8)*W+:W];
          minus <= 16'hFF00;
        end
        default: begin
          p <= h_second ? h_old : s;
          minus <= {16{h_second}};
        end
      endcase
    end
    if (s_v) begin
      h_old <= h;
      h <= s;
      h_row <= s_row;
      h_stage <= s_stage;
      h_second <= s_second;
      h_final <= s_final;
      h_end <= s_end;
    end
    if (go) begin
      s <= loading ? in_data : mem[row];
      s_row <= row;
      s_stage <= stage;
      s_second <= step[0];
      s_final <= final_stage;
      s_end <= step == last_row;
    end
  end

  assign out_valid = sum_v && sum_final;
  assign out_last = sum_end;
  assign out_row = sum_row;
  assign out_data = sum;

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      running <= 1'b0;
      s_v <= 1'b0;
      h_v <= 1'b0;
      x_v <= 1'b0;
      sum_v <= 1'b0;
    end else begin
      s_v   <= go;
      h_v   <= s_v;
      x_v   <= h_v;
      sum_v <= x_v;
      if (!running) begin
        running <= start;
        issued <= 1'b0;
        stage <= 4'd0;
        step <= 4'd0;
        gap <= 3'd0;
      end else begin
        if (gap != 3'd0) gap <= gap - 3'd1;
        if (go) begin
          step <= step + 4'd1;
          if (step == last_row) begin
            step <= 4'd0;
            gap <= 3'd4;
            stage <= stage + 4'd1;
            issued <= final_stage;
          end
        end
        if (out_valid && out_last) running <= 1'b0;
      end
    end
  end
endmodule
