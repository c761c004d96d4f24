// SPDX-License-Identifier: Apache-2.0
// Positions of the fields in the vectors that the core's modules pass to each other.
package sl_ctx;

  // A pass: one sweep over units of a slab region (docs/numerics.md 2.5) against activations. All ports share
  // it; beat offsets are those of one arena.
  localparam int PASS_REGION = 0;         // 32: first beat of line 0
  localparam int PASS_TOTAL = 32;         // 32: beats of all lines, when whole
  localparam int PASS_N_LINE = 64;        // 18: lines; line i holds one unit of every port
  localparam int PASS_UNIT_BEATS = 82;    // 12
  localparam int PASS_ROW_BEATS = 94;     // 11: scale and code beats of a row (4-bit: of a pair)
  localparam int PASS_SCALE_BEATS = 105;  // 6
  localparam int PASS_SCALE_FIRST = 111;  // 6: first scale beat that takes part
  localparam int PASS_N_SCALE = 117;      // 6
  localparam int PASS_COL_FIRST = 123;    // 11: first code beat that takes part
  localparam int PASS_N_COL = 134;        // 11
  localparam int PASS_TWO_ROWS = 145;     // 1: a unit is two rows one after the other
  localparam int PASS_WHOLE = 146;        // 1: all columns take part, so lines follow each other without gaps
  localparam int PASS_FIRST_PORT = 147;   // 5: first port with a unit in line 0
  localparam int PASS_LAST_PORT = 152;    // 5: last port with a unit in the last line
  localparam int PASS_W = 157;

  // What a prepared job tells the stages behind (one per slot).
  localparam int CTX_PASS_A = 0;
  localparam int CTX_PASS_B = PASS_W;                 // an expert's down matrix
  localparam int CTX_OP = 2 * PASS_W;                 // 3
  localparam int CTX_FORMAT = CTX_OP + 3;             // 3; a router's mode is in the job
  localparam int CTX_MATRIX = CTX_FORMAT + 3;         // 1: runs on the array
  localparam int CTX_N_TOKENS = CTX_MATRIX + 1;       // 7
  localparam int CTX_HOLD = CTX_N_TOKENS + 7;         // 7: ceil(n_tokens / T), steps of one weight beat
  localparam int CTX_X_BASE = CTX_HOLD + 7;           // 16: first entry of x
  localparam int CTX_STATUS = CTX_X_BASE + 16;        // 4
  localparam int CTX_EXPERT = CTX_STATUS + 4;         // 16
  localparam int CTX_WEIGHT = CTX_EXPERT + 16;        // 32
  localparam int CTX_MACS = CTX_WEIGHT + 32;          // 64
  localparam int CTX_MANT0 = CTX_MACS + 64;           // 3 x 16
  localparam int CTX_EXP0 = CTX_MANT0 + 48;           // 3 x 16, signed
  localparam int CTX_U = CTX_EXP0 + 48;               // 10: exponent of h, signed
  localparam int CTX_ODD = CTX_U + 10;              // 1: the slice begins in the upper half of a beat of h
  localparam int CTX_N_BLOCK = CTX_ODD + 1;           // 11: blocks of h
  localparam int CTX_ROWS = CTX_N_BLOCK + 11;         // 19: rows of y (ROUTER: of the slab)
  localparam int CTX_HAS_BIAS = CTX_ROWS + 19;        // 1
  localparam int CTX_W = CTX_HAS_BIAS + 1;

  localparam int N_SLOT = 4;  // jobs between preparation and record

endpackage
