// SPDX-License-Identifier: Apache-2.0
// Capacity routing (docs/numerics.md 5.4, RECYCLE): experts that take so many tokens of a job and no more. A
// choice that finds its expert full gets another one, drawn by Philox 2x32-10 from those that have room and
// are none of the token's own.
// In this order: begin_job; zero_* clears every expert's count, before the first `start`; `start` takes a
// token's choices, best first, and busy lasts until `experts` is what they have become, which stays until the
// next start.
// Cycles of a token: 4 a choice; an overflow has max(40, n + 2) + n + 9 more for n experts.
// Backpressure: none; the caller waits for busy to end.
// Widths: an expert takes at most one choice of a token, 64 of a job.
module sl_router_recycle (
    input  logic        clk,
    input  logic        rst_n,
    input  logic        begin_job,
    input  logic        zero_valid,
    input  logic [ 7:0] zero_index,
    input  logic        start,
    input  logic [63:0] indices,     // u8 each; those above k_last are not looked at
    input  logic [ 7:0] n_last,      // experts, choices: less one. Up to key: stable from begin_job on
    input  logic [ 2:0] k_last,
    input  logic [ 6:0] capacity,    // 1 .. 127
    input  logic [31:0] key,
    input  logic [31:0] position,    // of the token; stable while busy
    input  logic [15:0] layer,
    output logic        busy,
    output logic [63:0] experts,
    output logic [ 9:0] overflows    // since begin_job
);
  localparam logic [2:0] IDLE = 3'd0, LOOK = 3'd1, READ = 3'd2, TEST = 3'd3, DRAW = 3'd4, REDUCE = 3'd5,
      FIND = 3'd6, GIVE = 3'd7;
  localparam logic [31:0] MULTIPLIER = 32'hD256D193, WEYL = 32'h9E3779B9;

  logic [2:0] state;
  logic [2:0] choice;
  logic [7:0] mine;  // expert of the choice at work
  logic again;  // READ: the choice has been drawn already

  assign busy = state != IDLE;

  // ---- counts -----------------------------------------------------------------------------------
  logic [6:0] taken[0:255];
  logic [6:0] count;  // of `mine`
  logic [255:0] room;
  logic full;
  wire [7:0] at = zero_valid ? zero_index : mine;
  wire [6:0] count_next = count + 7'd1;

  always_ff @(posedge clk) begin
    if (zero_valid || state == GIVE) taken[at] <= zero_valid ? 7'd0 : count_next;
    if (state == READ) begin
      count <= taken[at];
      full  <= !room[mine];
    end
    if (begin_job) room <= {256{1'b1}};
    else if (state == GIVE && count_next >= capacity) room[mine] <= 1'b0;
  end

  // ---- candidates, one expert a cycle: counted in DRAW, picked in FIND --------------------------
  logic [8:0] scan_at;
  logic s1, s1_room, s1_own;
  logic [7:0] s1_index;
  logic [8:0] n_open;  // candidates
  logic [7:0] left;  // candidates ahead of the drawn one
  logic found;
  wire scan_go = (state == DRAW || state == FIND) && scan_at <= {1'b0, n_last};
  wire scan_end = !scan_go && !s1;
  wire open = s1 && s1_room && !s1_own;
  wire draw_begin = state == TEST && full && !again;
  logic find_begin;

  // Whether an expert is one of the choices up to `last`.
  function automatic is_own(input [7:0] expert, input [63:0] choices, input [2:0] last);
    begin
      is_own = 1'b0;
      for (int j = 0; j < 8; j = j + 1)
        if (j[2:0] <= last && choices[8*j+:8] == expert) is_own = 1'b1;
    end
  endfunction

  always_ff @(posedge clk) begin
    if (draw_begin || find_begin) scan_at <= 9'd0;
    else if (scan_go) scan_at <= scan_at + 9'd1;
    if (scan_go) begin
      s1_index <= scan_at[7:0];
      s1_room <= room[scan_at[7:0]];
      s1_own <= is_own(scan_at[7:0], experts, k_last);
    end
    s1 <= rst_n && scan_go;
    if (draw_begin) n_open <= 9'd0;
    else if (state == DRAW && open) n_open <= n_open + 9'd1;
  end

  // ---- the draw: ten rounds of four cycles, and one for the product of the word and n_open ------
  logic [31:0] a, b, ctr1, round_key;
  logic [63:0] p1, p2, p3;
  logic [1:0] step;
  logic [3:0] round;
  wire drawn = round == 4'd10;

  always_ff @(posedge clk) begin
    p1 <= {32'd0, a} * {32'd0, b};
    p2 <= p1;
    p3 <= p2;
    step <= draw_begin || state == DRAW && drawn ? 2'd0 : step + 2'd1;
    if (draw_begin) begin
      a <= position;
      b <= MULTIPLIER;
      ctr1 <= {layer, 13'd0, choice};
      round_key <= key;
      round <= 4'd0;
    end else if (state == DRAW && !drawn && step == 2'd3) begin
      a <= p3[63:32] ^ round_key ^ ctr1;
      ctr1 <= p3[31:0];
      round_key <= round_key + WEYL;
      round <= round + 4'd1;
    end else if (state == DRAW && drawn) b <= {23'd0, n_open};
  end

  // ---- sequence ---------------------------------------------------------------------------------
  assign find_begin = state == REDUCE && step == 2'd3;

  always_ff @(posedge clk) begin
    if (begin_job) overflows <= 10'd0;
    else if (draw_begin) overflows <= overflows + 10'd1;
    if (state == IDLE && start) begin
      experts <= indices;
      choice  <= 3'd0;
    end
    if (state == LOOK) begin
      mine  <= experts[{choice, 3'd0}+:8];
      again <= 1'b0;
    end
    if (find_begin) begin
      left  <= p3[39:32];
      found <= 1'b0;
    end
    if (state == FIND) begin
      again <= 1'b1;
      if (open && !found) begin
        left  <= left - 8'd1;
        found <= left == 8'd0;
        if (left == 8'd0) mine <= s1_index;
      end
    end
    if (state == GIVE) begin
      for (int j = 0; j < 8; j = j + 1) if (choice == j[2:0]) experts[8*j+:8] <= mine;
      choice <= choice + 3'd1;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) state <= IDLE;
    else
      case (state)
        IDLE: if (start) state <= LOOK;
        LOOK: state <= READ;
        READ: state <= TEST;
        TEST: state <= draw_begin ? DRAW : GIVE;
        DRAW: if (drawn && scan_end) state <= REDUCE;
        REDUCE: if (find_begin) state <= FIND;
        FIND: if (scan_end) state <= READ;
        default: state <= choice == k_last ? IDLE : LOOK;  // GIVE
      endcase
  end
endmodule
