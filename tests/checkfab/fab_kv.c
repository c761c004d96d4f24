/* SPDX-License-Identifier: Apache-2.0 */
/* KV_PACK and KV_UNPACK. */
#include <string.h>

#include "fab.h"

/* One channel of a head vector of some kind. */
static int channel(struct sl_rng *rng, enum fab_data data, unsigned kind, unsigned i, unsigned pick)
{
    if (data == FAB_RANDOM)
        return (int)sl_rng_range(rng, -32767, 32767);
    if (data == FAB_WORST) /* +-32767 at random, or a row of the Hadamard matrix at full scale */
        return (kind % 2 ? __builtin_parity(i & pick) : (int)(sl_rng_next(rng) >> 40 & 1)) ? -32767
                                                                                           : 32767;
    switch (kind % 6) {
    case 0: return 0;
    case 1: return -20000;
    case 2: return i == pick ? 12345 : 0;
    case 3: return (int)sl_rng_range(rng, -1, 1);
    case 4: return (int)sl_rng_range(rng, 1, 32767);
    default: return i == pick ? -32767 : (int)sl_rng_range(rng, -3, 3);
    }
}

/* Ordinary exponents, and those at which the scale's exponent field runs out. */
static int exponent(struct sl_rng *rng, unsigned n)
{
    switch (n % 5) {
    case 0: return (int)sl_rng_range(rng, -150, -115);
    case 1: return (int)sl_rng_range(rng, 100, 135);
    case 2: return n % 2 ? -SL_BASE_MAX : SL_BASE_MAX;
    default: return (int)sl_rng_range(rng, -30, 0);
    }
}

static struct sl_job *add(struct fab *f, int op, const struct fab_kv *s, int kind)
{
    struct sl_job *job = rig_job(f->rig, op);
    job->format = (uint8_t)kind;
    job->k = (uint16_t)s->d;
    job->n_tokens = (uint16_t)fab_tokens(f, s->n_tokens);
    job->rows = s->rows;
    if (sl_rng_range(&f->rig->rng, 0, 3) == 0)
        job->flags = SL_FLAG_PORT_COUNTERS;
    rig_place(f->rig, job, (uint32_t)sl_rng_range(&f->rig->rng, 0, 2));
    return job;
}

struct sl_job *fab_add_pack(struct fab *f, const struct fab_kv *s, int kind, enum fab_data data)
{
    struct sl_rng *rng = &f->rig->rng;
    struct sl_job *job = add(f, SL_OP_KV_PACK, s, kind);
    for (uint32_t v = 0; v < job->n_tokens * job->rows; v++) {
        uint8_t *x = rig_at(f->rig, job->x_off + v * job->x_stride);
        const unsigned pick = (unsigned)sl_rng_range(rng, 0, s->d - 1);
        ref_put32(x, (uint32_t)exponent(rng, data == FAB_RANDOM ? 3 : v));
        for (unsigned i = 0; i < s->d; i++)
            ref_put16(x + 64 + 2 * i, (uint16_t)channel(rng, data, v, i, pick));
    }
    return job;
}

/* Records of any bits; their scales near each other when random, at the ends when worst. */
struct sl_job *fab_add_unpack(struct fab *f, const struct fab_kv *s, int kind, enum fab_data data)
{
    struct sl_rng *rng = &f->rig->rng;
    struct sl_job *job = add(f, SL_OP_KV_UNPACK, s, kind);
    for (uint32_t v = 0; v < job->n_tokens * job->rows; v++) {
        const uint32_t last = (uint32_t)ref_kv_beats(kind, s->d) - 1;
        uint8_t *tail = rig_at(f->rig, job->x_off + v * job->x_stride + last);
        for (int g = 0; g < 8 && data != FAB_DEGENERATE; g++)
            ref_put16(tail + 2 * g,
                      (uint16_t)(data == FAB_RANDOM
                                     ? 0x3F00 + sl_rng_range(rng, 0, 0x7FF)
                                     : sl_rng_range(rng, 0, 3) * 0x4000 - sl_rng_range(rng, 0, 1)));
    }
    return job;
}

static enum fab_result run_pack(struct fab *f, const struct fab_case *c, const char *shape,
                                const struct fab_kv *s)
{
    fab_reset(f, c, "kv_pack", shape);
    fab_add_pack(f, s, c->format, c->data);
    return fab_launch(f, true);
}

static enum fab_result run_unpack(struct fab *f, const struct fab_case *c, const char *shape,
                                  const struct fab_kv *s)
{
    fab_reset(f, c, "kv_unpack", shape);
    fab_add_unpack(f, s, c->format, c->data);
    return fab_launch(f, true);
}

static const struct fab_kv tiny[] = {{64, 1, 1}, {128, 1, 2}, {32, 2, 2},
                                     {80, 1, 3}, {96, 1, 2},  {256, 1, 1}};
static enum fab_result run_pack_tiny(struct fab *f, const struct fab_case *c)
{
    return run_pack(f, c, "tiny", &tiny[c->shape]);
}
static enum fab_result run_unpack_tiny(struct fab *f, const struct fab_case *c)
{
    return run_unpack(f, c, "tiny", &tiny[c->shape]);
}

/* Every head size by turns. */
enum { N_HEAD_DIM = SL_MAX_HEAD_DIM / 2 };
static struct fab_kv head(const struct fab_case *c)
{
    return (struct fab_kv){2 * (c->shape + 1), 1, 2 + c->round % 3};
}
static enum fab_result run_pack_odd(struct fab *f, const struct fab_case *c)
{
    const struct fab_kv s = head(c);
    return run_pack(f, c, "odd", &s);
}
static enum fab_result run_unpack_odd(struct fab *f, const struct fab_case *c)
{
    const struct fab_kv s = head(c);
    return run_unpack(f, c, "odd", &s);
}

static const struct fab_kv batch[] = {
    {64, 2, 3}, {80, 3, 2}, {128, 17, 1}, {2, 63, 2}, {96, 64, 1}};
static enum fab_result run_pack_batch(struct fab *f, const struct fab_case *c)
{
    return run_pack(f, c, "batch", &batch[c->shape]);
}
static enum fab_result run_unpack_batch(struct fab *f, const struct fab_case *c)
{
    return run_unpack(f, c, "batch", &batch[c->shape]);
}

static const struct fab_kv longest[] = {{256, 1, 256}, {2, 64, 256}, {128, 64, 8}};
static enum fab_result run_pack_long(struct fab *f, const struct fab_case *c)
{
    return run_pack(f, c, "long", &longest[c->shape]);
}
static enum fab_result run_unpack_long(struct fab *f, const struct fab_case *c)
{
    return run_unpack(f, c, "long", &longest[c->shape]);
}

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

const struct fab_set fab_kv_sets[] = {
    {"kv_pack", "tiny", N_OF(tiny), true, 256, 16, run_pack_tiny, false},
    {"kv_pack", "odd", N_HEAD_DIM, true, 256, 16, run_pack_odd, false},
    {"kv_pack", "batch", N_OF(batch), true, 2048, 16, run_pack_batch, false},
    {"kv_pack", "long", N_OF(longest), true, 150000, 16, run_pack_long, false},
    {"kv_unpack", "tiny", N_OF(tiny), true, 256, 16, run_unpack_tiny, false},
    {"kv_unpack", "odd", N_HEAD_DIM, true, 256, 16, run_unpack_odd, false},
    {"kv_unpack", "batch", N_OF(batch), true, 4096, 16, run_unpack_batch, false},
    {"kv_unpack", "long", N_OF(longest), true, 150000, 16, run_unpack_long, false},
    {NULL, NULL, 0, false, 0, 0, NULL, false},
};
