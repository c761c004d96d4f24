/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of tb_kv_pack.sv. */
#include <string.h>

#include "ctl_bench.h"
#include "ref/ref_kv.h"

enum { GROUP = 32, ZERO_POINTS_AT = 32 };

/* What a head vector holds. */
enum head {
    HEAD_RANDOM,
    HEAD_ZERO,
    HEAD_CONSTANT, /* one channel of each rotated block holds everything */
    HEAD_EXTREME,  /* +-32767 at random */
    HEAD_IMPULSE,
    HEAD_TINY, /* -1, 0, 1 */
    HEAD_POSITIVE,
    HEAD_OUTLIER,  /* small channels and one of -32767 */
    HEAD_ROW,      /* a row of the Hadamard matrix at full scale: the largest rotated value */
    HEAD_NEG_ROW,  /* its negative */
    HEAD_SIZES,    /* random magnitude in bits */
    HEAD_NEGATIVE, /* few channels below zero, in some groups only */
    N_HEAD
};

/* What a record holds. */
enum record {
    RECORD_NOISE,
    RECORD_NEAR,   /* exponents of the groups within 3 of each other, zero points as packed */
    RECORD_SPREAD, /* within 60: beyond the common grid */
    RECORD_ENDS,   /* exponent fields 0, 1, 254, 255 */
    RECORD_EMPTY,  /* some scales 0 */
    RECORD_ZERO,   /* all scales 0 but for the sign */
    RECORD_LARGE,  /* the largest rotated value there is: zero points and significands of 255 */
    N_RECORD
};

enum flaw { FLAW_NONE, FLAW_LAST_CODE, FLAW_CODE, FLAW_ABOVE, FLAW_BELOW, FLAW_WILD, N_FLAW };

void tb_kv_case(void *handle, int op, int kind, int d, int n_tokens, int rows, int data, int flaw);

static int channel(struct ctl_bench *b, enum head head, unsigned i, unsigned pick)
{
    switch (head) {
    case HEAD_RANDOM: return (int)ctl_bench_range(b, -32767, 32767);
    case HEAD_ZERO: return 0;
    case HEAD_CONSTANT: return -20000;
    case HEAD_EXTREME: return ctl_bench_range(b, 0, 1) ? 32767 : -32767;
    case HEAD_IMPULSE: return i == pick ? 12345 : 0;
    case HEAD_TINY: return (int)ctl_bench_range(b, -1, 1);
    case HEAD_POSITIVE: return (int)ctl_bench_range(b, 1, 32767);
    case HEAD_OUTLIER: return i == pick ? -32767 : (int)ctl_bench_range(b, -3, 3);
    case HEAD_ROW: return __builtin_parity(i & pick) ? -32767 : 32767;
    case HEAD_NEG_ROW: return __builtin_parity(i & pick) ? 32767 : -32767;
    case HEAD_SIZES: return (int)(ctl_bench_range(b, -32767, 32767) >> ctl_bench_range(b, 0, 14));
    default: return i % 11 == pick % 11 ? -(int)ctl_bench_range(b, 0, 300) : 0;
    }
}

static int exponent(struct ctl_bench *b, unsigned n)
{
    switch (n % 6) {
    case 0: return (int)ctl_bench_range(b, -30, 0);
    case 1: return (int)ctl_bench_range(b, -150, -115); /* the scale's field runs out below */
    case 2: return (int)ctl_bench_range(b, 100, 135);   /* and above */
    case 3: return (int)ctl_bench_range(b, -SL_BASE_MAX, SL_BASE_MAX);
    case 4: return -SL_BASE_MAX;
    default: return SL_BASE_MAX;
    }
}

static uint8_t *item_at(struct ctl_bench *b, uint32_t v)
{
    return ctl_bench_at(b, b->job.x_off + v * b->job.x_stride);
}

static void fill_head(struct ctl_bench *b, uint32_t v, enum head head)
{
    uint8_t *x = item_at(b, v);
    unsigned d = b->job.k, pick = (unsigned)ctl_bench_range(b, 0, d - 1);
    ref_put32(x, (uint32_t)exponent(b, v));
    for (unsigned i = 0; i < (d + 31) / 32 * 32; i++) /* padding is not looked at */
        ref_put16(x + 64 + 2 * i, i < d ? (uint16_t)channel(b, head, i, pick) : 0x8000);
}

static uint16_t record_scale(struct ctl_bench *b, enum record record, unsigned field)
{
    static const uint8_t ends[] = {0, 1, 254, 255};
    uint16_t sign = (uint16_t)(ctl_bench_range(b, 0, 1) << 15);
    uint16_t sig = (uint16_t)ctl_bench_range(b, 0, 127);
    switch (record) {
    case RECORD_NEAR: return (uint16_t)(sign | sig | (field + ctl_bench_range(b, 0, 3)) << 7);
    case RECORD_SPREAD: return (uint16_t)(sign | sig | (field + ctl_bench_range(b, 0, 60)) << 7);
    case RECORD_ENDS: return (uint16_t)(sign | sig | ends[ctl_bench_range(b, 0, 3)] << 7);
    case RECORD_EMPTY: return ctl_bench_range(b, 0, 2) ? sign : (uint16_t)(sign | sig | field << 7);
    case RECORD_LARGE: return (uint16_t)(127 | field << 7);
    default: return sign;
    }
}

/* The arena holds noise already: a record of noise needs nothing. */
static void fill_record(struct ctl_bench *b, uint32_t v, enum record record)
{
    uint64_t beats = ref_kv_beats(b->job.format, b->job.k);
    uint8_t *x = item_at(b, v), *meta = x + (beats - 1) * SL_BEAT_BYTES;
    unsigned field = (unsigned)ctl_bench_range(b, 0, 255 - 60);
    for (unsigned g = 0; g < SL_MAX_HEAD_DIM / GROUP && record != RECORD_NOISE; g++) {
        ref_put16(meta + 2 * g, record_scale(b, record, field));
        if (record == RECORD_NEAR)
            meta[ZERO_POINTS_AT + g] &= 15;
        if (record == RECORD_LARGE)
            meta[ZERO_POINTS_AT + g] = 255;
    }
    if (record == RECORD_LARGE)
        memset(x, b->job.format == SL_KVREC_INT8 ? 0x80 : 0, (beats - 1) * SL_BEAT_BYTES);
}

static void spoil(struct ctl_bench *b, enum flaw flaw)
{
    uint32_t last = (uint32_t)b->job.n_tokens * b->job.rows - 1, d = b->job.k;
    uint32_t any = (uint32_t)ctl_bench_range(b, 0, last);
    switch (flaw) {
    case FLAW_LAST_CODE: ref_put16(item_at(b, last) + 64 + 2 * (d - 1), 0x8000); break;
    case FLAW_CODE:
        ref_put16(item_at(b, any) + 64 + 2 * ctl_bench_range(b, 0, d - 1), 0x8000);
        break;
    case FLAW_ABOVE: ref_put32(item_at(b, last), SL_BASE_MAX + 1); break;
    case FLAW_BELOW: ref_put32(item_at(b, any), (uint32_t)-SL_BASE_MAX - 1); break;
    case FLAW_WILD:
        ref_put32(item_at(b, any), (uint32_t)(1 + ctl_bench_range(b, 0, 1 << 20)) << 11);
        break;
    default: break;
    }
}

static uint64_t span(uint64_t n, uint64_t item, uint64_t stride)
{
    return (n - 1) * stride + item;
}

void tb_kv_case(void *handle, int op, int kind, int d, int n_tokens, int rows, int data, int flaw)
{
    struct ctl_bench *b = handle;
    struct sl_job *job = &b->job;
    uint32_t n = (uint32_t)(n_tokens * rows);
    ctl_bench_begin(b);
    job->op = (uint8_t)op;
    job->format = (uint8_t)kind;
    job->k = (uint16_t)d;
    job->n_tokens = (uint16_t)n_tokens;
    job->rows = (uint32_t)rows;
    int room = n < 1000 ? (int)ctl_bench_range(b, 0, 2) : 0;
    job->x_stride = (uint16_t)(ref_x_beats(job) + (uint64_t)ctl_bench_range(b, 0, room));
    job->y_stride = (uint16_t)(ref_y_beats(job) + (uint64_t)ctl_bench_range(b, 0, room));
    ctl_bench_place(b, span(n, ref_x_beats(job), job->x_stride),
                    span(n, ref_y_beats(job), job->y_stride));
    if (n == 1) /* then strides are not looked at */
        job->x_stride = job->y_stride = (uint16_t)ctl_bench_range(b, 0, 65535);
    for (uint32_t v = 0; v < n; v++) {
        if (op == SL_OP_KV_PACK)
            fill_head(b, v, (enum head)((v + (unsigned)data) % N_HEAD));
        else
            fill_record(b, v, (enum record)((v + (unsigned)data) % N_RECORD));
    }
    if (op == SL_OP_KV_PACK)
        spoil(b, (enum flaw)flaw);
    ctl_bench_expect(b, op == SL_OP_KV_PACK ? ref_run_kv_pack : ref_run_kv_unpack);
}
