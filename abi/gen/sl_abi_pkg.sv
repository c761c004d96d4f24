// SPDX-License-Identifier: Apache-2.0
// Generated from abi/*.def by tools/abigen.c; `make gen` renews it, `make check-gen` compares it.
package sl_abi_pkg;

  localparam logic [31:0] SL_ABI_VERSION = 32'h63419cc7;

  localparam int SL_BEAT_BYTES = 64;
  localparam int SL_BLOCK = 32;
  localparam int SL_MAX_PORTS = 28;
  localparam int SL_MAX_TOKENS = 64;
  localparam int SL_MAX_K = 32768;
  localparam int SL_MAX_ROWS = 262144;
  localparam int SL_MAX_N_EXPERT = 256;
  localparam int SL_MAX_TOPK = 8;
  localparam int SL_MAX_HEAD_DIM = 256;
  localparam int SL_MAX_KV_ROWS = 256;
  localparam int SL_MAX_PARTS = 255;
  localparam int SL_MAX_JOBS = 65535;
  localparam int SL_SLACK_BEATS = 8;
  localparam int SL_XE_MAX = 21;
  localparam int SL_XE16_MAX = 15;
  localparam int SL_BASE_MAX = 1023;
  localparam int SL_WE_MAX = 7;
  localparam int SL_SIG_BASE = 32;
  localparam int SL_U_H_MIN = -64;
  localparam int SL_U_H_MAX = 53;
  localparam int SL_U_H_STEP = 8;
  localparam int SL_SLAB_MAGIC = 1111575635;
  localparam int SL_SLOT_ABSENT = 2147483647;
  localparam int SL_LIST_TOKEN_BITS = 24;

  localparam int SL_OP_QUERY = 1;
  localparam int SL_OP_EXPERT = 2;
  localparam int SL_OP_PLAIN = 3;
  localparam int SL_OP_REDUCE = 4;
  localparam int SL_OP_ROUTER = 5;
  localparam int SL_OP_KV_PACK = 6;
  localparam int SL_OP_KV_UNPACK = 7;
  localparam int SL_FORMAT_FP8 = 0;
  localparam int SL_FORMAT_Q8 = 1;
  localparam int SL_FORMAT_NF4 = 2;
  localparam int SL_FORMAT_INT4 = 3;
  localparam int SL_FORMAT_MXFP4 = 4;
  localparam int SL_MODE_SOFTMAX = 0;
  localparam int SL_MODE_SIGMOID = 1;
  localparam int SL_MODE_ATTENTION = 2;
  localparam int SL_KVREC_INT8 = 0;
  localparam int SL_KVREC_INT4 = 1;
  localparam int SL_KIND_PLAIN = 0;
  localparam int SL_KIND_EXPERT = 1;
  localparam int SL_KIND_ROUTER = 2;
  localparam int SL_FLAG_PARTIAL = 1;
  localparam int SL_FLAG_INDIRECT = 2;
  localparam int SL_FLAG_LIST = 4;
  localparam int SL_FLAG_PORT_COUNTERS = 8;
  localparam int SL_FLAG_RENORM = 16;
  localparam int SL_FLAG_SCORES = 32;
  localparam int SL_FLAG_RECYCLE = 64;
  localparam int SL_SLAB_HAS_BIAS = 1;
  localparam int SL_STATUS_OK = 0;
  localparam int SL_STATUS_BAD_OP = 1;
  localparam int SL_STATUS_BAD_FORMAT = 2;
  localparam int SL_STATUS_BAD_FLAGS = 3;
  localparam int SL_STATUS_BAD_TOKENS = 4;
  localparam int SL_STATUS_BAD_SHAPE = 5;
  localparam int SL_STATUS_BAD_ADDRESS = 6;
  localparam int SL_STATUS_BAD_ROUTE = 7;
  localparam int SL_STATUS_MISS = 8;
  localparam int SL_STATUS_BAD_HEADER = 9;
  localparam int SL_STATUS_BAD_LIST = 10;
  localparam int SL_STATUS_BAD_ACTIVATION = 11;
  localparam int SL_STATUS_TIMEOUT = 12;
  localparam int SL_STATUS_PORT_DEAD = 13;
  localparam int SL_STATUS_BUS_ERROR = 14;
  localparam int SL_CORE_HLS = 0;
  localparam int SL_CORE_RTL = 1;

  // Code books, entry 0 lowest, 8 bits each.
  localparam logic [127:0] SL_CODEBOOK_NF4 = 128'h7f5c47382b1f140a00f4e9dccebda881;
  localparam logic [127:0] SL_CODEBOOK_INT4 = 128'hfffefdfcfbfaf9f80706050403020100;
  localparam logic [127:0] SL_CODEBOOK_MXFP4 = 128'hf4f8fafcfdfeff000c08060403020100;

  // Bit position of each field in its 512-bit beat.
  localparam int SL_LSB_JOB_OP = 0;
  localparam int SL_LSB_JOB_FORMAT = 8;
  localparam int SL_LSB_JOB_FLAGS = 16;
  localparam int SL_LSB_JOB_COOKIE = 32;
  localparam int SL_LSB_JOB_W_OFF = 64;
  localparam int SL_LSB_JOB_X_OFF = 96;
  localparam int SL_LSB_JOB_Y_OFF = 128;
  localparam int SL_LSB_JOB_N_TOKENS = 160;
  localparam int SL_LSB_JOB_X_STRIDE = 176;
  localparam int SL_LSB_JOB_Y_STRIDE = 192;
  localparam int SL_LSB_JOB_TOP_K = 208;
  localparam int SL_LSB_JOB_U_H_DROP = 216;
  localparam int SL_LSB_JOB_LIST_OFF = 224;
  localparam int SL_LSB_JOB_K = 256;
  localparam int SL_LSB_JOB_SCALE_MANT = 272;
  localparam int SL_LSB_JOB_ROWS = 288;
  localparam int SL_LSB_JOB_SLICE_FIRST = 320;
  localparam int SL_LSB_JOB_SLICE_COUNT = 336;
  localparam int SL_LSB_JOB_PART_STRIDE = 352;
  localparam int SL_LSB_JOB_ROUTE_OFF = 384;
  localparam int SL_LSB_JOB_SLOT_OFF = 416;
  localparam int SL_LSB_JOB_ROUTE_TOKEN = 448;
  localparam int SL_LSB_JOB_ROUTE_CHOICE = 464;
  localparam int SL_LSB_JOB_N_PART = 472;
  localparam int SL_LSB_JOB_SCALE_EXP = 480;
  localparam int SL_LSB_JOB_N_EXPERT = 496;
  localparam int SL_LSB_RECORD_COOKIE = 0;
  localparam int SL_LSB_RECORD_STATUS = 32;
  localparam int SL_LSB_RECORD_EXPERT = 48;
  localparam int SL_LSB_RECORD_ABI_VERSION = 64;
  localparam int SL_LSB_RECORD_WEIGHT = 96;
  localparam int SL_LSB_RECORD_CYCLES = 128;
  localparam int SL_LSB_RECORD_MACS = 192;
  localparam int SL_LSB_RECORD_BEATS = 256;
  localparam int SL_LSB_RECORD_STALL_READ = 288;
  localparam int SL_LSB_RECORD_STALL_CTL = 320;
  localparam int SL_LSB_RECORD_STALL_CORE = 352;
  localparam int SL_LSB_RECORD_SAT_GU = 384;
  localparam int SL_LSB_RECORD_SATURATIONS = 416;
  localparam int SL_LSB_RECORD_CLAMPS = 448;
  localparam int SL_LSB_RECORD_OVERFLOWS = 480;
  localparam int SL_LSB_SLAB_MAGIC = 0;
  localparam int SL_LSB_SLAB_KIND = 32;
  localparam int SL_LSB_SLAB_FORMAT = 40;
  localparam int SL_LSB_SLAB_FLAGS = 48;
  localparam int SL_LSB_SLAB_K = 64;
  localparam int SL_LSB_SLAB_ROWS = 96;
  localparam int SL_LSB_SLAB_U_H = 128;
  localparam int SL_LSB_SLAB_MANT0 = 144;
  localparam int SL_LSB_SLAB_MANT1 = 160;
  localparam int SL_LSB_SLAB_MANT2 = 176;
  localparam int SL_LSB_SLAB_EXP0 = 192;
  localparam int SL_LSB_SLAB_EXP1 = 208;
  localparam int SL_LSB_SLAB_EXP2 = 224;
  localparam int SL_LSB_SLAB_RESERVED0 = 240;
  localparam int SL_LSB_SLAB_RESERVED1 = 256;
  localparam int SL_LSB_SLAB_RESERVED2 = 320;
  localparam int SL_LSB_SLAB_RESERVED3 = 384;
  localparam int SL_LSB_SLAB_RESERVED4 = 448;
  localparam int SL_LSB_CAPS_ABI_VERSION = 0;
  localparam int SL_LSB_CAPS_N_PORT = 32;
  localparam int SL_LSB_CAPS_N_COLUMN = 48;
  localparam int SL_LSB_CAPS_FORMATS = 64;
  localparam int SL_LSB_CAPS_OPS = 96;
  localparam int SL_LSB_CAPS_MAX_ROWS = 128;
  localparam int SL_LSB_CAPS_MAX_K = 160;
  localparam int SL_LSB_CAPS_MAX_TOKENS = 192;
  localparam int SL_LSB_CAPS_MAX_EXPERT = 208;
  localparam int SL_LSB_CAPS_MAX_TOPK = 224;
  localparam int SL_LSB_CAPS_MAX_HEAD_DIM = 240;
  localparam int SL_LSB_CAPS_MAX_JOBS = 256;
  localparam int SL_LSB_CAPS_CORE = 288;
  localparam int SL_LSB_CAPS_RESERVED0 = 320;
  localparam int SL_LSB_CAPS_RESERVED1 = 384;
  localparam int SL_LSB_CAPS_RESERVED2 = 448;
  localparam int SL_LSB_ROUTE_EXPERT0 = 0;
  localparam int SL_LSB_ROUTE_EXPERT1 = 16;
  localparam int SL_LSB_ROUTE_EXPERT2 = 32;
  localparam int SL_LSB_ROUTE_EXPERT3 = 48;
  localparam int SL_LSB_ROUTE_EXPERT4 = 64;
  localparam int SL_LSB_ROUTE_EXPERT5 = 80;
  localparam int SL_LSB_ROUTE_EXPERT6 = 96;
  localparam int SL_LSB_ROUTE_EXPERT7 = 112;
  localparam int SL_LSB_ROUTE_WEIGHT0 = 128;
  localparam int SL_LSB_ROUTE_WEIGHT1 = 160;
  localparam int SL_LSB_ROUTE_WEIGHT2 = 192;
  localparam int SL_LSB_ROUTE_WEIGHT3 = 224;
  localparam int SL_LSB_ROUTE_WEIGHT4 = 256;
  localparam int SL_LSB_ROUTE_WEIGHT5 = 288;
  localparam int SL_LSB_ROUTE_WEIGHT6 = 320;
  localparam int SL_LSB_ROUTE_WEIGHT7 = 352;
  localparam int SL_LSB_ROUTE_RESERVED0 = 384;
  localparam int SL_LSB_ROUTE_RESERVED1 = 448;

  typedef struct packed {
    logic [15:0] n_expert;
    logic signed [15:0] scale_exp;
    logic [7:0] n_part;
    logic [7:0] route_choice;
    logic [15:0] route_token;
    logic [31:0] slot_off;
    logic [31:0] route_off;
    logic [31:0] part_stride;
    logic [15:0] slice_count;
    logic [15:0] slice_first;
    logic [31:0] rows;
    logic [15:0] scale_mant;
    logic [15:0] k;
    logic [31:0] list_off;
    logic [7:0] u_h_drop;
    logic [7:0] top_k;
    logic [15:0] y_stride;
    logic [15:0] x_stride;
    logic [15:0] n_tokens;
    logic [31:0] y_off;
    logic [31:0] x_off;
    logic [31:0] w_off;
    logic [31:0] cookie;
    logic [15:0] flags;
    logic [7:0] format;
    logic [7:0] op;
  } sl_job_t;

  typedef struct packed {
    logic [31:0] overflows;
    logic [31:0] clamps;
    logic [31:0] saturations;
    logic [31:0] sat_gu;
    logic [31:0] stall_core;
    logic [31:0] stall_ctl;
    logic [31:0] stall_read;
    logic [31:0] beats;
    logic [63:0] macs;
    logic [63:0] cycles;
    logic [31:0] weight;
    logic [31:0] abi_version;
    logic [15:0] expert;
    logic [15:0] status;
    logic [31:0] cookie;
  } sl_record_t;

  typedef struct packed {
    logic [63:0] reserved4;
    logic [63:0] reserved3;
    logic [63:0] reserved2;
    logic [63:0] reserved1;
    logic [15:0] reserved0;
    logic signed [15:0] exp2;
    logic signed [15:0] exp1;
    logic signed [15:0] exp0;
    logic [15:0] mant2;
    logic [15:0] mant1;
    logic [15:0] mant0;
    logic signed [15:0] u_h;
    logic [31:0] rows;
    logic [31:0] k;
    logic [15:0] flags;
    logic [7:0] format;
    logic [7:0] kind;
    logic [31:0] magic;
  } sl_slab_t;

  typedef struct packed {
    logic [63:0] reserved2;
    logic [63:0] reserved1;
    logic [63:0] reserved0;
    logic [31:0] core;
    logic [31:0] max_jobs;
    logic [15:0] max_head_dim;
    logic [15:0] max_topk;
    logic [15:0] max_expert;
    logic [15:0] max_tokens;
    logic [31:0] max_k;
    logic [31:0] max_rows;
    logic [31:0] ops;
    logic [31:0] formats;
    logic [15:0] n_column;
    logic [15:0] n_port;
    logic [31:0] abi_version;
  } sl_caps_t;

  typedef struct packed {
    logic [63:0] reserved1;
    logic [63:0] reserved0;
    logic [31:0] weight7;
    logic [31:0] weight6;
    logic [31:0] weight5;
    logic [31:0] weight4;
    logic [31:0] weight3;
    logic [31:0] weight2;
    logic [31:0] weight1;
    logic [31:0] weight0;
    logic [15:0] expert7;
    logic [15:0] expert6;
    logic [15:0] expert5;
    logic [15:0] expert4;
    logic [15:0] expert3;
    logic [15:0] expert2;
    logic [15:0] expert1;
    logic [15:0] expert0;
  } sl_route_t;

  // Argument offsets of a core with p weight ports.
  localparam int SL_ARG_CTL = 'h10;
  function automatic int sl_arg_w(input int p);
    sl_arg_w = 'h1C + 12 * p;
  endfunction
  localparam int SL_ARG_WORD_JOB_OFF = 0;  // at sl_arg_w(P) + this
  localparam int SL_ARG_WORD_JOB_COUNT = 8;  // at sl_arg_w(P) + this
  localparam int SL_ARG_WORD_CTL_LIMIT = 16;  // at sl_arg_w(P) + this
  localparam int SL_ARG_WORD_W_LIMIT = 24;  // at sl_arg_w(P) + this
  localparam int SL_ARG_WORD_TIMEOUT = 32;  // at sl_arg_w(P) + this

endpackage
