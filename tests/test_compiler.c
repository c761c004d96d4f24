/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core against an unoptimised build of its own sources, and every unit's own top against the
 * core: random jobs, many of them broken in a byte. gcc 12.2 miscompiles sums of signed bytes when
 * it vectorises for VNNI; the reference cannot tell such an error from one of the sources. Every
 * arena ends where its allocation ends, so that a sanitiser sees any access behind it.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "sl_core_native.h"
#include "test_main.h"
#include "tops.h"

static struct sl_core_work work;

enum {
    CTL_BEATS = 3000,
    W_BEATS = 6000,
    X_OFF = 8,
    Y_OFF = 1500,
    LIST_OFF = 4,
    ROUTE_OFF = 5,
    SLOT_OFF = 6,
    N_JOB_RANDOM = 600
};

struct scene {
    uint8_t *ctl;       /* owned; job at beat 0, record at beat 1 */
    void *w;            /* owned */
    struct sl_job *job; /* beat 0 of ctl */
    struct sl_rng rng;
};

static uint32_t pick(struct scene *s, uint32_t lo, uint32_t hi)
{
    return (uint32_t)sl_rng_range(&s->rng, lo, hi);
}

static void noise(struct scene *s, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (uint8_t)sl_rng_next(&s->rng);
}

static void scene_open(struct scene *s, const char *name, uint64_t seed)
{
    s->ctl = malloc((size_t)CTL_BEATS * SL_BEAT_BYTES);
    s->w = malloc((size_t)W_BEATS * SL_BEAT_BYTES);
    s->rng = sl_rng_open(name, seed);
    s->job = (struct sl_job *)(void *)s->ctl;
    CU_ASSERT_FATAL(s->ctl && s->w);
    noise(s, s->w, (size_t)W_BEATS * SL_BEAT_BYTES);
}

static void scene_close(struct scene *s)
{
    free(s->ctl);
    free(s->w);
}

static void put_head(struct scene *s, uint8_t kind, uint32_t rows)
{
    struct sl_job *j = s->job;
    struct sl_slab h = {.magic = SL_SLAB_MAGIC, .kind = kind, .k = j->k, .rows = rows};
    h.format = kind == SL_KIND_ROUTER ? 0 : j->format;
    h.flags = kind == SL_KIND_ROUTER ? (uint16_t)pick(s, 0, 1) : 0;
    h.u_h = (int16_t)(kind == SL_KIND_EXPERT ? (int)pick(s, 0, 117) - 64 : 0);
    h.mant0 = h.mant1 = h.mant2 = j->format == SL_FORMAT_FP8 ? 40000 : 1;
    h.exp0 = (int16_t) - (int)pick(s, 10, 60);
    h.exp1 = (int16_t) - (int)pick(s, 10, 60);
    h.exp2 = (int16_t) - (int)pick(s, 10, 60);
    memcpy((uint8_t *)s->w + (size_t)j->w_off * SL_BEAT_BYTES, &h, sizeof h);
}

/* Legal x for every item: small exponents, no forbidden code. */
static void put_x(struct scene *s, uint32_t code_bytes)
{
    uint32_t exps = (s->job->k / SL_BLOCK + 63) / 64;
    for (uint32_t t = 0; t < s->job->n_tokens; t++) {
        uint8_t *x = s->ctl + (size_t)(X_OFF + t * s->job->x_stride) * SL_BEAT_BYTES;
        int32_t base = (int32_t)pick(s, 0, 40) - 30;
        memcpy(x, &base, sizeof base);
        for (uint32_t i = 0; i < exps * SL_BEAT_BYTES; i++)
            x[SL_BEAT_BYTES + i] &= 15;
        uint8_t *code = x + (size_t)(1 + exps) * SL_BEAT_BYTES;
        for (uint32_t i = 0; i < s->job->k * code_bytes; i++)
            code[i] |= code[i] == 128; /* neither -128 nor the high byte of -32768 */
    }
}

static void make_matrix_job(struct scene *s, bool expert)
{
    struct sl_job *j = s->job;
    j->format = (uint8_t)pick(s, 0, SL_FORMAT_MXFP4);
    j->flags = (uint16_t)(pick(s, 0, 1) * SL_FLAG_PARTIAL | pick(s, 0, 1) * SL_FLAG_LIST);
    j->n_tokens = (uint16_t)pick(s, 1, 4);
    j->k = (uint16_t)(32 * pick(s, 1, 5));
    j->rows = expert ? 32 * pick(s, 1, 4) : pick(s, 1, 70);
    j->slice_first = (uint16_t)(expert ? 32 * pick(s, 0, j->rows / 32 - 1) : 0);
    j->slice_count = (uint16_t)(expert ? 32 * pick(s, 1, (j->rows - j->slice_first) / 32) : 0);
    j->x_stride = 6;
    j->y_stride = 20;
    j->list_off = LIST_OFF;
    if (expert && pick(s, 0, 2) == 0) {
        struct sl_route_entry route = {.expert0 = 3, .weight0 = 99};
        uint32_t slots[16] = {0, 0, 0, 5};
        memcpy(s->ctl + (size_t)ROUTE_OFF * SL_BEAT_BYTES, &route, sizeof route);
        memcpy(s->ctl + (size_t)SLOT_OFF * SL_BEAT_BYTES, slots, sizeof slots);
        j->flags |= SL_FLAG_INDIRECT;
        j->n_tokens = 1;
        j->n_expert = 16;
        j->route_off = ROUTE_OFF;
        j->slot_off = SLOT_OFF;
        j->w_off = 5;
    }
    for (uint32_t t = 0; t < 16; t++) {
        uint32_t entry = pick(s, 0, j->n_tokens - 1u) | t << SL_LIST_TOKEN_BITS;
        memcpy(s->ctl + (size_t)LIST_OFF * SL_BEAT_BYTES + 4 * t, &entry, sizeof entry);
    }
    put_x(s, 1);
    put_head(s, expert ? SL_KIND_EXPERT : SL_KIND_PLAIN, j->rows);
}

static void make_router_job(struct scene *s)
{
    struct sl_job *j = s->job;
    j->format = (uint8_t)pick(s, 0, SL_MODE_ATTENTION);
    j->flags = (uint16_t)(pick(s, 0, 1) * SL_FLAG_RENORM | pick(s, 0, 1) * SL_FLAG_SCORES);
    j->n_tokens = (uint16_t)pick(s, 1, 6);
    j->k = (uint16_t)(32 * pick(s, 1, 4));
    j->rows = pick(s, 8, 40);
    j->top_k = (uint8_t)pick(s, 1, 8);
    j->x_stride = 10;
    put_x(s, 2);
    put_head(s, SL_KIND_ROUTER, j->format == SL_MODE_ATTENTION ? 3 * j->rows : j->rows);
}

static void make_kv_job(struct scene *s, bool pack)
{
    struct sl_job *j = s->job;
    j->format = (uint8_t)pick(s, 0, SL_KVREC_INT4);
    j->n_tokens = (uint16_t)pick(s, 1, 4);
    j->rows = pick(s, 1, 4);
    j->k = (uint16_t)(2 * pick(s, 1, SL_MAX_HEAD_DIM / 2));
    j->x_stride = 12;
    j->y_stride = 17;
    for (uint32_t i = 0; pack && i < j->n_tokens * j->rows; i++) {
        uint8_t *x = s->ctl + (size_t)(X_OFF + 12 * i) * SL_BEAT_BYTES;
        int32_t exponent = (int32_t)pick(s, 0, 60) - 40;
        memcpy(x, &exponent, sizeof exponent);
        for (uint32_t b = SL_BEAT_BYTES; b < 12 * SL_BEAT_BYTES; b++)
            x[b] |= x[b] == 128;
    }
}

static void make_reduce_job(struct scene *s)
{
    struct sl_job *j = s->job;
    j->n_tokens = (uint16_t)pick(s, 1, 4);
    j->rows = pick(s, 1, 60);
    j->n_part = (uint8_t)pick(s, 1, 6);
    j->x_stride = 9;
    j->y_stride = 5;
    j->part_stride = 40;
    j->scale_mant = (uint16_t)pick(s, 0, 65535);
    j->scale_exp = (int16_t) - (int)pick(s, 0, 250);
}

/* A legal job of `op` at beat 0 with everything that it reads. */
static void make_job(struct scene *s, uint32_t op)
{
    noise(s, s->ctl, (size_t)CTL_BEATS * SL_BEAT_BYTES);
    memset(s->job, 0, sizeof *s->job);
    s->job->op = (uint8_t)op;
    s->job->cookie = pick(s, 0, UINT32_MAX);
    s->job->x_off = X_OFF;
    s->job->y_off = Y_OFF;
    s->job->w_off = pick(s, 0, 3);
    switch (op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: make_matrix_job(s, op == SL_OP_EXPERT); break;
    case SL_OP_ROUTER: make_router_job(s); break;
    case SL_OP_KV_PACK:
    case SL_OP_KV_UNPACK: make_kv_job(s, op == SL_OP_KV_PACK); break;
    case SL_OP_REDUCE: make_reduce_job(s); break;
    default: break;
    }
    s->job->flags |= (uint16_t)(pick(s, 0, 3) == 0 ? SL_FLAG_PORT_COUNTERS : 0);
}

/* Changes the job, its list, its route, its x or its header somewhere. */
static void break_job(struct scene *s)
{
    static const uint32_t at[] = {0,         0,        0,     0,         LIST_OFF,
                                  ROUTE_OFF, SLOT_OFF, X_OFF, X_OFF + 1, X_OFF + 2};
    uint32_t beat = at[pick(s, 0, sizeof at / sizeof at[0] - 1)];
    if (pick(s, 0, 4) == 0)
        ((uint8_t *)s->w)[s->job->w_off % 8 * SL_BEAT_BYTES + pick(s, 0, 29)] ^=
            (uint8_t)(1 << pick(s, 0, 7));
    else
        s->ctl[beat * SL_BEAT_BYTES + pick(s, 0, 63)] = (uint8_t)sl_rng_next(&s->rng);
}

static uint16_t status_of(const uint8_t *ctl)
{
    struct sl_record record;
    memcpy(&record, ctl + SL_BEAT_BYTES, sizeof record);
    return record.status;
}

typedef void core_fn(struct scene *s, void *ctl);

/* Runs both on copies of the scene's memory; true: every byte is the same. *status: what the first
 * reported. */
static bool agree(struct scene *s, core_fn *a, core_fn *b, unsigned *status)
{
    size_t n = (size_t)CTL_BEATS * SL_BEAT_BYTES;
    uint8_t *ctl = malloc(n), *other = malloc(n);
    CU_ASSERT_FATAL(ctl && other);
    memcpy(ctl, s->ctl, n);
    memcpy(other, s->ctl, n);
    a(s, ctl);
    b(s, other);
    bool same = !memcmp(ctl, other, n);
    *status = status_of(ctl);
    free(ctl);
    free(other);
    return same;
}

static void run_p1(struct scene *s, void *ctl)
{
    const void *w[1] = {s->w};
    sl_core_call_p1(ctl, w, &work, 0, 1, CTL_BEATS, W_BEATS);
}

static void run_o0(struct scene *s, void *ctl)
{
    const void *w[1] = {s->w};
    sl_core_call_o0(ctl, w, &work, 0, 1, CTL_BEATS, W_BEATS);
}

/* The synthesised tops: the core's, or the unit's. */
static void run_core_top(struct scene *s, void *ctl)
{
    sl_core(ctl, s->w, 0, 1, CTL_BEATS, W_BEATS, 0);
}

static void run_unit_top(struct scene *s, void *ctl)
{
    switch (s->job->op) {
    case SL_OP_EXPERT:
    case SL_OP_PLAIN: sl_expert_ffn_top(ctl, s->w, 0, CTL_BEATS, W_BEATS); break;
    case SL_OP_ROUTER: sl_router_topk_top(ctl, s->w, 0, CTL_BEATS, W_BEATS); break;
    default: sl_kv_pack_top(ctl, 0, CTL_BEATS); break;
    }
}

static void optimised_core_equals_the_unoptimised_one(void)
{
    struct scene s;
    unsigned n_bad = 0, n_not_ok = 0, status;
    scene_open(&s, "optimised", 1);
    for (uint32_t i = 0; i < N_JOB_RANDOM; i++) {
        make_job(&s, SL_OP_QUERY + i % SL_OP_KV_UNPACK);
        n_bad += !agree(&s, run_p1, run_o0, &status);
        n_not_ok += status != SL_STATUS_OK;
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT_EQUAL(n_not_ok, 0);
    scene_close(&s);
}

static void broken_jobs_end_alike_and_inside_of_the_arenas(void)
{
    struct scene s;
    unsigned n_bad = 0, status, seen[SL_STATUS_BUS_ERROR + 1] = {0};
    scene_open(&s, "broken", 2);
    for (uint32_t i = 0; i < 8 * N_JOB_RANDOM; i++) {
        make_job(&s, SL_OP_QUERY + i % SL_OP_KV_UNPACK);
        for (uint32_t n = pick(&s, 1, 2); n > 0; n--)
            break_job(&s);
        n_bad += !agree(&s, run_p1, run_p1, &status);
        seen[status <= SL_STATUS_BUS_ERROR ? status : SL_STATUS_BUS_ERROR]++;
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    for (unsigned i = 0; i <= SL_STATUS_BAD_ACTIVATION; i++)
        CU_ASSERT(seen[i] > 0 || i == SL_STATUS_MISS);
    CU_ASSERT_EQUAL(seen[SL_STATUS_TIMEOUT] + seen[SL_STATUS_PORT_DEAD] + seen[SL_STATUS_BUS_ERROR],
                    0);
    scene_close(&s);
}

static void launches_of_noise_stay_inside_of_the_arenas(void)
{
    struct scene s;
    unsigned n_changed = 0;
    scene_open(&s, "noise", 3);
    uint8_t *before = malloc((size_t)CTL_BEATS * SL_BEAT_BYTES);
    CU_ASSERT_FATAL(before != NULL);
    for (uint32_t i = 0; i < N_JOB_RANDOM; i++) {
        const void *w[4] = {s.w, s.w, s.w, s.w};
        uint32_t off = pick(&s, 0, 9) ? pick(&s, 0, 40) : pick(&s, 0, UINT32_MAX);
        uint32_t n = pick(&s, 0, 9) ? pick(&s, 0, 9) : pick(&s, 0, UINT32_MAX);
        noise(&s, s.ctl, (size_t)CTL_BEATS * SL_BEAT_BYTES);
        for (uint32_t beat = 0; beat < CTL_BEATS; beat++) {
            s.ctl[beat * SL_BEAT_BYTES] &= 7;     /* op */
            s.ctl[beat * SL_BEAT_BYTES + 1] &= 3; /* format */
            memset(s.ctl + beat * SL_BEAT_BYTES + 2, pick(&s, 0, 1) ? 8 : 0, 1);
            s.ctl[beat * SL_BEAT_BYTES + 3] = 0;
        }
        memcpy(before, s.ctl, (size_t)CTL_BEATS * SL_BEAT_BYTES);
        sl_core_call_p4(s.ctl, w, &work, off, n, CTL_BEATS, W_BEATS);
        n_changed += memcmp(before, s.ctl, (size_t)CTL_BEATS * SL_BEAT_BYTES) != 0;
    }
    CU_ASSERT(n_changed > N_JOB_RANDOM / 2);
    CU_ASSERT(n_changed < N_JOB_RANDOM);
    free(before);
    scene_close(&s);
}

static void tops_for_synthesis_equal_the_core(void)
{
    static const uint32_t ops[] = {SL_OP_EXPERT, SL_OP_PLAIN, SL_OP_ROUTER, SL_OP_KV_PACK,
                                   SL_OP_KV_UNPACK};
    struct scene s;
    unsigned n_bad = 0, n_ok = 0, status;
    scene_open(&s, "tops", 4);
    for (uint32_t i = 0; i < 200; i++) {
        make_job(&s, ops[i % 5]);
        s.job->flags &= (uint16_t)~SL_FLAG_PORT_COUNTERS; /* the core's business */
        if (i >= 150)
            break_job(&s);
        n_bad += !agree(&s, run_p1, run_core_top, &status);
        n_ok += status == SL_STATUS_OK;
        if (!(s.job->flags & SL_FLAG_PORT_COUNTERS) && s.job->op == ops[i % 5])
            n_bad += !agree(&s, run_p1, run_unit_top, &status);
    }
    CU_ASSERT_EQUAL(n_bad, 0);
    CU_ASSERT(n_ok >= 150);
    scene_close(&s);
}

static const struct sl_case cases[] = {
    {"optimised_core_equals_the_unoptimised_one", optimised_core_equals_the_unoptimised_one},
    {"broken_jobs_end_alike_and_inside_of_the_arenas",
     broken_jobs_end_alike_and_inside_of_the_arenas},
    {"launches_of_noise_stay_inside_of_the_arenas", launches_of_noise_stay_inside_of_the_arenas},
    {"tops_for_synthesis_equal_the_core", tops_for_synthesis_equal_the_core},
    {NULL, NULL},
};
const struct sl_suite suite_compiler = {"compiler", cases};
