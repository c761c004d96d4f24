// SPDX-License-Identifier: Apache-2.0
// The router's decision (docs/numerics.md 5.4): from the logits of up to 64 tokens to the record: routes,
// token lists by expert, scores. The logits come from the matrix engine before `start` and are kept here, as
// is the bias.
// Per token: scores, one a cycle (SIGMOID: one in 15, by the divider; ATTENTION: one in n, of fewer than 24
// experts one in about n / 2 + 20), which go through the selection as they come; then the exponentials of the
// chosen and of all scores (SIGMOID: the chosen sigmas); then a division in 15 cycles for each weight. One
// token after the other.
// Cycles of a token of n experts, every beat being taken at once: SOFTMAX n + 16 top_k + 17, ATTENTION n^2 +
// 2 n + 16 top_k + 53 from 24 experts on, both n more without RENORM; SIGMOID 15 n + 16 top_k + 19; SCORES:
// n + 2 a beat more; RECYCLE 4 top_k + 1 more, and max(40, n + 2) + n + 9 for each overflow.
// Once a job: n + 2 a beat for the table, tokens * top_k to sort, as many + 2 a beat for the list, about 8
// more.
// Backpressure: logits and bias are always taken. A beat that is not taken (wr_ready low) holds up whatever
// would assemble the next one.
// Rounding: as the named helpers say; everything else is exact. Widths: docs/numerics.md section 4.
// clear: idle in the next cycle, whatever was going on; logits and bias stay.
module sl_router_topk #(
    parameter RAM_STYLE = "ultra"  // of the logits: "block" for devices without UltraRAM
) (
    input  logic         clk,
    input  logic         rst_n,
    input  logic         clear,
    input  logic         lg_valid,
    input  logic [  5:0] lg_token,
    input  logic [  9:0] lg_row,
    input  logic [ 31:0] lg_value,
    input  logic         bias_valid,
    input  logic [  7:0] bias_index,
    input  logic [ 31:0] bias_value,
    input  logic         has_bias,    // stable from start to done
    input  logic         start,
    // verilator lint_off UNUSEDSIGNAL
    input  logic [511:0] job,         // of which the core has used the rest
    // verilator lint_on UNUSEDSIGNAL
    output logic         busy,
    output logic         done,
    output logic [ 15:0] status,
    output logic [  9:0] overflows,   // RECYCLE: choices that found their expert full; from done on
    output logic         wr_valid,
    input  logic         wr_ready,
    output logic [ 31:0] wr_addr,
    output logic [511:0] wr_data
);
  localparam logic [3:0] IDLE = 4'd0, SETUP = 4'd1, LOAD = 4'd2, SCORE = 4'd3, BEST = 4'd4, EXPS = 4'd5,
      BASE = 4'd6, WEIGH = 4'd7, ROUTE = 4'd8, PACK = 4'd9, SORT = 4'd10, LAST = 4'd11, RECYCLE = 4'd12;
  localparam logic [1:0] SCORES = 2'd0, TABLE = 2'd1, LIST = 2'd2;  // what PACK packs
  localparam logic [30:0] Q30 = 31'h40000000;

  wire run = rst_n && !clear;

  // ---- the job ----------------------------------------------------------------------------------
  logic [3:0] state;
  logic sigmoid, attend, renorm, scores, recycle;
  logic [7:0] n_last;  // experts, tokens, choices, entries of the list: less one
  logic [5:0] t_last;
  logic [2:0] k_last;
  logic [8:0] list_last;
  logic [31:0] route_addr, lists_addr, scores_addr;  // of the next beat of each part
  logic [6:0] capacity;  // RECYCLE
  logic [31:0] seed, position;  // position: of the token
  logic [15:0] layer;
  logic [5:0] token;
  logic new_token;  // the first cycle of LOAD or SCORE of a token

  wire [6:0] job_tokens = job[sl_abi_pkg::SL_LSB_JOB_N_TOKENS+:7];
  wire [7:0] job_rows = job[sl_abi_pkg::SL_LSB_JOB_ROWS+:8];
  wire [3:0] job_top_k = job[sl_abi_pkg::SL_LSB_JOB_TOP_K+:4];
  wire [7:0] job_mode = job[sl_abi_pkg::SL_LSB_JOB_FORMAT+:8];
  wire [15:0] job_capacity = job[sl_abi_pkg::SL_LSB_JOB_SLICE_COUNT+:16];
  wire [15:0] job_flags = job[sl_abi_pkg::SL_LSB_JOB_FLAGS+:16];

  assign busy = state != IDLE;
  assign status = sl_abi_pkg::SL_STATUS_OK[15:0];

  // ---- logits -----------------------------------------------------------------------------------
  logic rd_go;
  logic [9:0] rd_row;
  logic rd1, rd2, rd1_load, rd2_load;
  logic [31:0] logit;  // with rd2

  sl_router_logits #(
      .RAM_STYLE(RAM_STYLE)
  ) logits (
      .clk(clk),
      .wr_valid(lg_valid),
      .wr_token(lg_token),
      .wr_row(lg_row),
      .wr_value(lg_value),
      .rd_valid(rd_go),
      .rd_token(token),
      .rd_row(rd_row),
      .rd_value(logit)
  );

  always_ff @(posedge clk) begin
    rd1 <= run && rd_go;
    rd2 <= run && rd1;
    if (rd_go) rd1_load <= state == LOAD;
    if (rd1) rd2_load <= rd1_load;
  end
  wire got_load = rd2 && rd2_load;
  wire got_score = rd2 && !rd2_load;

  // ---- reading in order: k and v of ATTENTION, then the scores' rows ----------------------------
  logic [7:0] row_i;  // expert
  logic [7:0] col_j;  // ATTENTION: the other expert; LOAD: 0 for k, 1 for v
  logic [9:0] row_at;  // LOAD: the row that is read
  logic issued;  // all rows of SCORE have been asked for
  logic [1:0] under_way;  // rows asked for whose division has not come back
  logic div_done;
  wire row_first = !attend || col_j == 8'd0;
  wire row_last = !attend || col_j == n_last;
  // A sum that found the request to the divider occupied would be lost: two at most are under way, but for
  // rows that take longer than a division (18 cycles).
  wire room = !sigmoid && (!attend || n_last >= 8'd23) || under_way < 2'd2;

  assign rd_go = !new_token && (state == LOAD || state == SCORE && !issued && (!row_first || room));
  assign rd_row = state == LOAD ? row_at : {2'd0, row_i};

  always_ff @(posedge clk) begin
    if (new_token) begin
      row_i <= 8'd0;
      col_j <= 8'd0;
      row_at <= {2'd0, n_last} + 10'd1;
      issued <= 1'b0;
      under_way <= 2'd0;
    end else if (state == LOAD) begin
      row_at <= row_at + 10'd1;
      row_i <= row_i == n_last ? 8'd0 : row_i + 8'd1;
      if (row_i == n_last) col_j <= col_j == 8'd1 ? 8'd0 : 8'd1;
    end else if (state == SCORE) begin
      if (rd_go) begin
        col_j <= row_last ? 8'd0 : col_j + 8'd1;
        if (row_last) row_i <= row_i + 8'd1;
        if (row_last && row_i == n_last) issued <= 1'b1;
      end
      under_way <= under_way + {1'b0, rd_go && row_first} - {1'b0, div_done};
    end
  end
  wire load_last = state == LOAD && !new_token && row_i == n_last && col_j == 8'd1;

  // ---- scores and selection ---------------------------------------------------------------------
  logic [7:0] got_i;  // SOFTMAX, SIGMOID: expert of the logit that comes next
  logic [7:0] key_i;  // expert of the key that comes next
  logic key_valid, key_last;
  logic [31:0] key;
  logic [7:0] key_index;
  logic [255:0] keys;
  logic [63:0] indices;
  logic p_set;
  logic [2:0] p_place;
  logic [30:0] p;
  logic div_neg;
  logic [31:0] div_q;
  logic [31:0] score_mem[0:255];
  logic [24:0] sigma_mem[0:255];
  logic [31:0] bias_mem[0:255];
  logic [31:0] bias;  // of expert key_i, once key_i has been still for a cycle, as it is between divisions

  wire score_div = state == SCORE && div_done;
  wire [31:0] div_signed = div_neg ? 32'd0 - div_q : div_q;
  wire key_come = score_div || got_score && !sigmoid && !attend;

  function automatic [31:0] biased(input [31:0] sigma, input [31:0] by);
    logic signed [63:0] sum;
    begin
      sum = $signed({32'd0, sigma}) + $signed({{32{by[31]}}, by});
      biased = sl_num_pkg::sl_sat32(sum);
    end
  endfunction

  always_ff @(posedge clk) begin
    if (bias_valid) bias_mem[bias_index] <= bias_value;
    if (state == SCORE && sigmoid) bias <= bias_mem[key_i];
  end

  always_ff @(posedge clk) begin
    if (got_score && !attend) score_mem[got_i] <= logit;
    else if (score_div && attend) score_mem[key_i] <= div_signed;
    if (score_div && sigmoid) sigma_mem[key_i] <= div_q[24:0];
  end

  always_ff @(posedge clk) begin
    if (new_token) got_i <= 8'd0;
    else if (got_score) got_i <= got_i + 8'd1;
    if (new_token) key_i <= 8'd0;
    else if (key_come) key_i <= key_i + 8'd1;
    if (key_come) begin
      key <= attend ? div_signed : sigmoid ? biased(div_q, has_bias ? bias : 32'd0) : logit;
      key_index <= key_i;
      key_last <= key_i == n_last;
    end
    key_valid <= run && key_come;
  end

  sl_top8 top8 (
      .clk(clk),
      .clear(new_token),
      .in_valid(key_valid),
      .in_key(key),
      .in_index(key_index),
      .set(p_set),
      .set_place(p_place),
      .set_key({1'b0, p}),
      .keys(keys),
      .indices(indices)
  );

  // ---- capacity: the token's experts ------------------------------------------------------------
  logic recycling;
  logic [63:0] given;
  wire [63:0] experts = recycle ? given : indices;

  sl_router_recycle recycler (
      .clk(clk),
      .rst_n(run),
      .begin_job(state == SETUP),
      .zero_valid(key_come && token == 6'd0),
      .zero_index(key_i),
      .start(state == BEST && recycle),
      .indices(indices),
      .n_last(n_last),
      .k_last(k_last),
      .capacity(capacity),
      .key(seed),
      .position(position),
      .layer(layer),
      .busy(recycling),
      .experts(given),
      .overflows(overflows)
  );

  // ---- exponentials: of the logits (SIGMOID), of products (ATTENTION), of the chosen and all scores
  logic [31:0] best;  // the largest score
  logic [7:0] w_i;  // EXPS: next to be asked for
  logic w_all, w_issued;  // the chosen are through; everything is
  logic w1, w1_all;
  logic [31:0] w1_key, w1_score;
  logic [24:0] w1_sigma;
  logic x_valid, x_neg;
  logic [31:0] x;
  logic at_d_valid;
  logic [31:0] at_d;
  logic e_valid, e_neg;
  logic [30:0] e;

  wire need_all = !sigmoid && !renorm;
  wire w_go = state == EXPS && !w_issued;
  wire pack_go;
  logic [8:0] pack_i;

  always_ff @(posedge clk) begin
    if (state == BEST) begin
      best <= keys[31:0];
      w_i <= 8'd0;
      w_all <= 1'b0;
      w_issued <= 1'b0;
    end else if (w_go) begin
      w_i <= w_i + 8'd1;
      if (!w_all && w_i == {5'd0, k_last}) begin
        w_i <= 8'd0;
        w_all <= 1'b1;
        w_issued <= !need_all;
      end else if (w_i == n_last) w_issued <= 1'b1;
    end
    w1 <= run && w_go;
    w1_all <= w_all;
    if (w_go && !w_all) begin
      w1_key <= keys[{w_i[2:0], 5'd0}+:32];
      w1_sigma <= sigma_mem[indices[{w_i[2:0], 3'd0}+:8]];
    end
    if (w_go && w_all || pack_go) w1_score <= score_mem[state == PACK ? pack_i[7:0] : w_i];
  end

  always_ff @(posedge clk) begin
    if (got_score && sigmoid) begin
      x <= logit[31] ? 32'd0 - logit : logit;
      x_neg <= logit[31];
    end else if (w1) x <= best - (w1_all ? w1_score : w1_key);
    x_valid <= run && (got_score && sigmoid || w1 && !sigmoid);
  end

  sl_exp_neg #(
      .TAG_W(1)
  ) exp_neg (
      .clk(clk),
      .rst_n(run),
      .in_valid(x_valid || at_d_valid),
      .in_d(at_d_valid ? at_d : x),
      .in_tag(x_neg),
      .out_valid(e_valid),
      .out_e(e),
      .out_tag(e_neg)
  );

  // ---- attention --------------------------------------------------------------------------------
  logic sum_valid, sum_neg;
  logic [62:0] sum_num;
  logic [31:0] sum_den;

  sl_router_attend attention (
      .clk(clk),
      .rst_n(run),
      .start(new_token),
      .n_last(n_last),
      .ld_valid(got_load),
      .ld_value(logit),
      .q_valid(got_score && attend),
      .q(logit),
      .d_valid(at_d_valid),
      .d(at_d),
      .e_valid(e_valid && state == SCORE && attend),
      .e(e[30:6]),
      .sum_valid(sum_valid),
      .sum_neg(sum_neg),
      .sum_num(sum_num),
      .sum_den(sum_den)
  );

  // ---- numerators of the weights: replace the keys of the chosen, and are summed ----------------
  logic [7:0] p_i;
  logic p_all;
  logic [38:0] p_sum;
  wire p_valid = state == EXPS && (sigmoid ? w1 : e_valid);
  assign p = sigmoid ? {6'd0, w1_sigma} : e;
  assign p_set = p_valid && !p_all;
  assign p_place = p_i[2:0];
  wire p_last = p_valid && (p_all ? p_i == n_last : !need_all && p_i == {5'd0, k_last});

  always_ff @(posedge clk) begin
    if (state == BEST) begin
      p_i <= 8'd0;
      p_all <= 1'b0;
      p_sum <= 39'd0;
    end else if (p_valid) begin
      p_i <= p_i + 8'd1;
      if (!p_all && p_i == {5'd0, k_last}) begin
        p_i <= 8'd0;
        p_all <= 1'b1;
      end
      if (p_all || !need_all) p_sum <= p_sum + {8'd0, p};
    end
  end

  // ---- division ---------------------------------------------------------------------------------
  // One request waits here: a sigma, an attention's mean, a weight.
  logic dq_valid, dq_short, dq_neg;
  logic [62:0] dq_num;
  logic [38:0] dq_den;
  logic div_ready;
  logic [2:0] q_i, r_i;  // choice to be asked for, and the one that comes back
  logic q_issued;
  wire dq_sigma = e_valid && state == SCORE && sigmoid;
  wire divide = renorm || !sigmoid;  // weights are quotients
  wire dq_weight = state == WEIGH && divide && !q_issued && !dq_valid;
  wire [31:0] q_key = keys[{q_i, 5'd0}+:32];

  always_ff @(posedge clk) begin
    if (dq_sigma || dq_weight) begin
      dq_short <= 1'b1;
      dq_neg <= 1'b0;
      dq_num <= dq_weight ? {32'd0, q_key[30:0]} : {32'd0, e_neg ? e : Q30};
      dq_den <= dq_weight ? p_sum : {8'd0, Q30} + {8'd0, e};
    end else if (sum_valid) begin
      dq_short <= 1'b0;
      dq_neg <= sum_neg;
      dq_num <= sum_num;
      dq_den <= {7'd0, sum_den};
    end
    dq_valid <= run && (dq_sigma || dq_weight || sum_valid || dq_valid && !div_ready);
  end

  sl_div_half div_half (
      .clk(clk),
      .rst_n(run),
      .in_valid(dq_valid),
      .in_ready(div_ready),
      .in_short(dq_short),
      .in_neg(dq_neg),
      .in_num(dq_num),
      .in_den(dq_den),
      .out_valid(div_done),
      .out_neg(div_neg),
      .out_q(div_q)
  );

  always_ff @(posedge clk) begin
    if (state == BASE) begin
      q_i <= 3'd0;
      r_i <= 3'd0;
      q_issued <= 1'b0;
    end else if (state == WEIGH) begin
      if (dq_weight || !divide) q_i <= q_i + 3'd1;
      if (dq_weight && q_i == k_last) q_issued <= 1'b1;
      if (div_done) r_i <= r_i + 3'd1;
    end
  end
  wire weigh_last = divide ? div_done && r_i == k_last : q_i == k_last;

  // ---- token lists ------------------------------------------------------------------------------
  logic [1:0] pack_what;
  logic sort, sort_busy;
  logic [31:0] table_word, list_word;

  sl_router_lists lists (
      .clk(clk),
      .rst_n(run),
      .zero_valid(key_come && token == 6'd0),
      .zero_index(key_i),
      .add_valid(w_go && !w_all),
      .add_expert(experts[{w_i[2:0], 3'd0}+:8]),
      .add_token(token),
      .add_choice(w_i[2:0]),
      .table_valid(pack_go && pack_what == TABLE),
      .table_index(pack_i[7:0]),
      .table_word(table_word),
      .sort(sort),
      .t_last(t_last),
      .k_last(k_last),
      .sort_busy(sort_busy),
      .list_valid(pack_go && pack_what == LIST),
      .list_index(pack_i),
      .list_word(list_word)
  );

  // ---- beats ------------------------------------------------------------------------------------
  // PACK asks for the words of a beat, one a cycle, and waits until the beat has been taken.
  logic pack_hold;
  logic pack1, pack1_beat, pack1_end;  // a word has come; it is its beat's last; everything's last
  logic [3:0] pack1_lane;
  wire [8:0] pack_last = pack_what == LIST ? list_last : {1'b0, n_last};
  wire [31:0] pack_word = pack_what == LIST ? list_word : pack_what == TABLE ? table_word : w1_score;
  wire put_weight = state == WEIGH && (!divide || div_done);
  wire send_route = state == ROUTE;
  wire send_pack = pack1 && pack1_beat;

  wire pack_done = pack1 && pack1_end;

  assign pack_go = state == PACK && !pack_hold && !wr_valid;

  always_ff @(posedge clk) begin
    if (state != PACK || pack_done) begin
      pack_i <= 9'd0;
      pack_hold <= 1'b0;
    end else if (pack_go) begin
      pack_i <= pack_i + 9'd1;
      pack_hold <= pack_i[3:0] == 4'd15 || pack_i == pack_last;
    end else if (wr_valid && wr_ready) pack_hold <= 1'b0;
    if (pack_go) begin
      pack1_lane <= pack_i[3:0];
      pack1_beat <= pack_i[3:0] == 4'd15 || pack_i == pack_last;
      pack1_end <= pack_i == pack_last;
    end
    pack1 <= run && pack_go;
  end

  sl_router_beat beat (
      .clk(clk),
      .rst_n(run),
      .base(state == BASE && !wr_valid),
      .base_experts(experts),
      .k_last(k_last),
      .put(put_weight || pack1),
      .put_alone(pack1 && pack1_lane == 4'd0),
      .put_lane(pack1 ? pack1_lane : 4'd4 + {1'b0, divide ? r_i : q_i}),
      .put_word(pack1 ? pack_word : divide ? div_q : q_key),
      .send(send_route || send_pack),
      .send_addr(send_route ? route_addr : pack_what == SCORES ? scores_addr : lists_addr),
      .wr_valid(wr_valid),
      .wr_ready(wr_ready),
      .wr_addr(wr_addr),
      .wr_data(wr_data)
  );

  // ---- sequence ---------------------------------------------------------------------------------
  wire token_done = state == ROUTE && !scores || state == PACK && pack_what == SCORES && pack_done;

  always_ff @(posedge clk) begin
    if (state == IDLE && start) begin
      sigmoid <= job_mode == sl_abi_pkg::SL_MODE_SIGMOID[7:0];
      attend <= job_mode == sl_abi_pkg::SL_MODE_ATTENTION[7:0];
      renorm <= (job_flags & sl_abi_pkg::SL_FLAG_RENORM[15:0]) != 16'd0;
      scores <= (job_flags & sl_abi_pkg::SL_FLAG_SCORES[15:0]) != 16'd0;
      recycle <= (job_flags & sl_abi_pkg::SL_FLAG_RECYCLE[15:0]) != 16'd0;
      capacity <= job_capacity[15:7] != 9'd0 ? 7'd127 : job_capacity[6:0];
      seed <= job[sl_abi_pkg::SL_LSB_JOB_PART_STRIDE+:32];
      layer <= job[sl_abi_pkg::SL_LSB_JOB_ROUTE_TOKEN+:16];
      n_last <= job_rows - 8'd1;
      t_last <= job_tokens[5:0] - 6'd1;
      k_last <= job_top_k[2:0] - 3'd1;
      list_last <= {2'd0, job_tokens} * {5'd0, job_top_k} - 9'd1;
      route_addr <= job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32];
      lists_addr <= job[sl_abi_pkg::SL_LSB_JOB_Y_OFF+:32] + {25'd0, job_tokens};
    end
    if (state == SETUP) scores_addr <= lists_addr + {28'd0, n_last[7:4]} + {27'd0, list_last[8:4]} + 32'd2;
    if (send_route) route_addr <= route_addr + 32'd1;
    if (send_pack && pack_what == SCORES) scores_addr <= scores_addr + 32'd1;
    if (send_pack && pack_what != SCORES) lists_addr <= lists_addr + 32'd1;
    if (state == SETUP) token <= 6'd0;
    else if (token_done) token <= token + 6'd1;
    if (state == IDLE && start) position <= job[sl_abi_pkg::SL_LSB_JOB_ROUTE_OFF+:32];
    else if (token_done) position <= position + 32'd1;
    if (token_done) pack_what <= TABLE;
    else if (state == ROUTE) pack_what <= SCORES;
    else if (state == SORT) pack_what <= LIST;
  end

  always_ff @(posedge clk) begin
    new_token <= 1'b0;
    sort <= 1'b0;
    done <= 1'b0;
    if (!run) state <= IDLE;
    else
      case (state)
        IDLE: if (start) state <= SETUP;
        SETUP: begin
          state <= attend ? LOAD : SCORE;
          new_token <= 1'b1;
        end
        LOAD: if (load_last) state <= SCORE;
        SCORE: if (key_valid && key_last) state <= BEST;
        BEST: state <= recycle ? RECYCLE : EXPS;
        RECYCLE: if (!recycling) state <= EXPS;
        EXPS: if (p_last) state <= BASE;
        BASE: if (!wr_valid) state <= p_sum == 39'd0 ? ROUTE : WEIGH;
        WEIGH: if (weigh_last) state <= ROUTE;
        ROUTE, PACK:
        if (token_done) begin
          state <= token == t_last ? PACK : attend ? LOAD : SCORE;
          new_token <= token != t_last;
        end else if (state == ROUTE) state <= PACK;
        else if (pack_done) begin
          state <= pack_what == TABLE ? SORT : LAST;
          sort <= pack_what == TABLE;
        end
        SORT: if (!sort && !sort_busy) state <= PACK;
        default:  // LAST
        if (!wr_valid) begin
          state <= IDLE;
          done <= 1'b1;
        end
      endcase
  end
endmodule
