/* SPDX-License-Identifier: Apache-2.0 */
/* KV_PACK and KV_UNPACK on every device against the independent reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core_rig.h"
#include "ref/ref_kv.h"

enum { CTL_BEATS = 16384 };

/* What a head vector holds. */
enum head {
    HEAD_RANDOM,
    HEAD_ZERO,
    HEAD_CONSTANT, /* one channel of the rotated block holds everything */
    HEAD_EXTREME,  /* +-32767 at random */
    HEAD_IMPULSE,  /* one channel */
    HEAD_TINY,     /* -1, 0, 1 */
    HEAD_POSITIVE,
    HEAD_OUTLIER, /* small channels and one of 32767 */
    HEAD_ROW, /* a row of the Hadamard matrix at full scale: the largest rotated value there is */
    N_HEAD
};

static int channel(struct sl_rng *rng, enum head head, unsigned i, unsigned d, unsigned pick)
{
    switch (head) {
    case HEAD_RANDOM: return (int)sl_rng_range(rng, -32767, 32767);
    case HEAD_ZERO: return 0;
    case HEAD_CONSTANT: return -20000;
    case HEAD_EXTREME: return sl_rng_next(rng) >> 40 & 1 ? 32767 : -32767;
    case HEAD_IMPULSE: return i == pick ? 12345 : 0;
    case HEAD_TINY: return (int)sl_rng_range(rng, -1, 1);
    case HEAD_POSITIVE: return (int)sl_rng_range(rng, 1, 32767);
    case HEAD_OUTLIER: return i == pick ? -32767 : (int)sl_rng_range(rng, -3, 3);
    default: return __builtin_parity(i & pick % d) ? -32767 : 32767;
    }
}

static int exponent(struct sl_rng *rng, unsigned n)
{
    switch (n % 5) {
    case 0: return (int)sl_rng_range(rng, -30, 0);
    case 1:
        return (int)sl_rng_range(rng, -150,
                                 -115); /* where the scale's exponent field runs out below */
    case 2: return (int)sl_rng_range(rng, 100, 135); /* and above */
    case 3: return (int)sl_rng_range(rng, -SL_BASE_MAX, SL_BASE_MAX);
    default: return n % 2 ? -SL_BASE_MAX : SL_BASE_MAX;
    }
}

static void fill_vectors(struct core_rig *rig, const struct sl_job *job)
{
    for (uint32_t v = 0; v < job->n_tokens * job->rows; v++) {
        uint8_t *x = rig_at(rig, job->x_off + v * job->x_stride);
        unsigned pick = (unsigned)sl_rng_range(&rig->rng, 0, job->k - 1);
        ref_put32(x, (uint32_t)exponent(&rig->rng, v / N_HEAD + v));
        for (unsigned i = 0; i < job->k; i++)
            ref_put16(x + 64 + 2 * i,
                      (uint16_t)channel(&rig->rng, (enum head)(v % N_HEAD), i, job->k, pick));
    }
}

static struct sl_job *add_kv(struct core_rig *rig, int op, int kind, unsigned d, unsigned n_tokens,
                             unsigned rows)
{
    struct sl_job *job = rig_job(rig, op);
    job->format = (uint8_t)kind;
    job->k = (uint16_t)d;
    job->n_tokens = (uint16_t)n_tokens;
    job->rows = rows;
    rig_place(rig, job, (uint32_t)rig->seed % 3);
    return job;
}

/* Packs and unpacks the same vectors as both kinds in one launch. */
static bool round_trip(struct core_rig *rig, unsigned d, unsigned n_tokens, unsigned rows,
                       uint64_t seed)
{
    rig_reset(rig, seed, "kv head_dim %u tokens %u rows %u", d, n_tokens, rows);
    for (int kind = SL_KVREC_INT8; kind <= SL_KVREC_INT4; kind++) {
        struct sl_job *pack = add_kv(rig, SL_OP_KV_PACK, kind, d, n_tokens, rows);
        fill_vectors(rig, pack);
        struct sl_job *unpack = add_kv(rig, SL_OP_KV_UNPACK, kind, d, n_tokens, rows);
        unpack->x_off = pack->y_off;
        unpack->x_stride = pack->y_stride;
    }
    rig->job[1].flags = SL_FLAG_PORT_COUNTERS;
    bool ok = rig_run(rig);
    for (uint32_t i = 0; i < rig->n_job; i++)
        ok = ok && rig_record(rig, i).status == SL_STATUS_OK;
    return ok;
}

static void every_head_size(void)
{
    const uint64_t seed = sl_rng_open("every_head_size", 31).state;
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, CTL_BEATS, 16), 0);
        for (unsigned d = 2; d <= SL_MAX_HEAD_DIM; d += strcmp(*device, "csim") ? 14 : 2)
            CU_ASSERT_TRUE(round_trip(&rig, d, 3, 15, seed + d));
        rig_close(&rig);
    }
}

static void many_tokens_and_rows(void)
{
    static const unsigned shape[][3] = {{2, 64, 256}, {128, 64, 8},  {96, 63, 3},
                                        {80, 16, 40}, {256, 1, 256}, {6, 1, 1}};
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim:4", 700000, 16), 0);
    for (size_t i = 0; i < sizeof shape / sizeof shape[0]; i++)
        CU_ASSERT_TRUE(round_trip(&rig, shape[i][0], shape[i][1], shape[i][2], 320 + i));
    rig_close(&rig);
}

/* Every bit pattern of a record is legal: codes, zero points and scales that no packer writes. */
static void unpack_takes_any_record(void)
{
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", CTL_BEATS, 16), 0);
    for (unsigned n = 0; n < 300; n++) {
        unsigned d = 2 * (1 + n * 37 % 128);
        rig_reset(&rig, 3300 + n, "kv unpack of noise, head_dim %u", d);
        for (int kind = SL_KVREC_INT8; kind <= SL_KVREC_INT4; kind++) {
            struct sl_job *job = add_kv(&rig, SL_OP_KV_UNPACK, kind, d, 2, 2);
            uint8_t *tail = rig_at(&rig, job->x_off + (uint32_t)ref_kv_beats(kind, d) - 1);
            if (n % 3 ==
                0) /* scale fields near each other, so that no group vanishes beside another */
                for (int g = 0; g < 8; g++)
                    ref_put16(tail + 2 * g,
                              (uint16_t)(n % 9 ? 0x3F00 + sl_rng_range(&rig.rng, 0, 0x7FF)
                                               : 0x8000 * (g % 2)));
        }
        CU_ASSERT_TRUE(rig_run(&rig));
    }
    rig_close(&rig);
}

/* Relative error in rms of pack and unpack of normal vectors, by the device. */
static double restored_error(struct core_rig *rig, int kind, unsigned d)
{
    double wrong = 0, right = 0;
    rig_reset(rig, 3400 + d, "kv error, head_dim %u", d);
    struct sl_job *pack = add_kv(rig, SL_OP_KV_PACK, kind, d, 1, 8), *unpack;
    for (uint32_t v = 0; v < 8; v++) {
        uint8_t *x = rig_at(rig, pack->x_off + v * pack->x_stride);
        ref_put32(x, (uint32_t)(-13 - (int)v));
        for (unsigned i = 0; i < d; i++)
            ref_put16(x + 64 + 2 * i,
                      (uint16_t)(int)fmin(fmax(8000 * sl_rng_normal(&rig->rng), -32767), 32767));
    }
    unpack = add_kv(rig, SL_OP_KV_UNPACK, kind, d, 1, 8);
    unpack->x_off = pack->y_off;
    unpack->x_stride = pack->y_stride;
    CU_ASSERT_TRUE(rig_run(rig));
    for (uint32_t v = 0; v < 8; v++)
        for (unsigned i = 0; i < d; i++) {
            double x = ldexp(
                (int16_t)ref_get16(rig_at(rig, pack->x_off + v * pack->x_stride) + 64 + 2 * i),
                (int)v);
            double y =
                ref_float(ref_get32(rig_at(rig, unpack->y_off + v * unpack->y_stride) + 4 * i));
            y = ldexp(y, 13 + 2 * (int)v); /* all vectors weigh the same */
            wrong += (y - x) * (y - x);
            right += x * x;
        }
    return sqrt(wrong / right);
}

static void restores_vectors_within_the_step(void)
{
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", CTL_BEATS, 16), 0);
    for (unsigned d = 32; d <= SL_MAX_HEAD_DIM; d += 16) {
        double int8 = restored_error(&rig, SL_KVREC_INT8, d),
               int4 = restored_error(&rig, SL_KVREC_INT4, d);
        CU_ASSERT(int8 > 1e-3 && int8 < 0.012);
        CU_ASSERT(int4 > 1e-2 && int4 < 0.11);
    }
    rig_close(&rig);
}

/* By hand: D = 2, codes (100, 50) * 2^0: y = (150, 50). e = 7 - 14 = -7, 150 * 128 / 127 -> sig
 * 152, scale 152 * 2^-7. */
static void a_vector_by_hand(void)
{
    static const int16_t x[2] = {100, 50};
    uint8_t record[2 * SL_BEAT_BYTES];
    uint32_t y[2];
    ref_kv_pack(SL_KVREC_INT8, 2, x, 0, record);
    CU_ASSERT_EQUAL(record[0], 126); /* 19200 / 152 = 126.3 */
    CU_ASSERT_EQUAL(record[1], 42);  /* 6400 / 152 = 42.1 */
    CU_ASSERT_EQUAL(ref_get16(record + 64), (152 - 128) | (-7 + 134) << 7);
    ref_kv_unpack(SL_KVREC_INT8, 2, record, y);
    CU_ASSERT_EQUAL(ref_float(y[0]), (126 + 42) * 152 / 256.0f);
    CU_ASSERT_EQUAL(ref_float(y[1]), (126 - 42) * 152 / 256.0f);
}

static const struct sl_case cases[] = {
    {"kv_reference_gives_a_vector_computed_by_hand", a_vector_by_hand},
    {"kv_restores_vectors_within_the_step", restores_vectors_within_the_step},
    {"kv_equals_the_reference_for_every_head_size", every_head_size},
    {"kv_equals_the_reference_for_many_tokens_and_rows", many_tokens_and_rows},
    {"kv_unpack_takes_any_record", unpack_takes_any_record},
    {NULL, NULL},
};

const struct sl_suite suite_core_kv = {"core_kv", cases};
