/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU as a device, in every instruction set: the way from sums to h for any numbers, jobs that
 * run together, slabs that are bound, and a model. checkfab has the operations one by one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/cpu_device.h"
#include "accel/cpu_ops.h"
#include "base/pool.h"
#include "cli_rig.h"
#include "core_rig.h"
#include "test_main.h"

enum { N_FORMAT = 5, THREADS = 3 };
static const char *const devices[] = {"cpu:avx512", "cpu:avx2", "cpu:native"};
enum { N_DEVICE = sizeof devices / sizeof devices[0] };

static uint32_t pick(struct sl_rng *rng, uint32_t low, uint32_t high)
{
    return (uint32_t)sl_rng_range(rng, low, high);
}

/* ---- from sums to h -------------------------------------------------------------------------- */

/* Any magnitude that a sum may have, about 2^bits. */
static int64_t any_sum(struct sl_rng *rng, unsigned bits)
{
    const int64_t v = (int64_t)(sl_rng_next(rng) >> 1) >> (62 - bits + pick(rng, 0, 2));
    return sl_rng_next(rng) & 1 ? v : -v;
}

/* h of one block by the reference's helpers (docs/numerics.md 5.1, 3.2). */
static void judge_block(const struct sl_cpu_swiglu *s, const int64_t *sum, int8_t *q, uint8_t *xe,
                        struct sl_cpu_counts *counts)
{
    ref_wide h[SL_BLOCK], most = 0;
    for (int i = 0; i < SL_BLOCK; i++) {
        bool sat[2];
        const int32_t g = ref_scale_s32(sum[2 * i], s->mant0, s->exp0, &sat[0]);
        const int32_t u = ref_scale_s32(sum[2 * i + 1], s->mant1, s->exp1, &sat[1]);
        counts->sat_gu += sat[0] + sat[1];
        h[i] = ref_round((ref_wide)g * ref_sigmoid(g), 16) * u;
        const ref_wide mag = h[i] < 0 ? -h[i] : h[i];
        most = mag > most ? mag : most;
    }
    int he = most ? ref_log2((uint64_t)most) - 38 + s->u : 0;
    counts->saturations += most && he > SL_XE_MAX;
    counts->clamps += most && he < 0;
    he = he < 0 ? 0 : he > SL_XE_MAX ? SL_XE_MAX : he;
    *xe = (uint8_t)he;
    for (int i = 0; i < SL_BLOCK; i++) {
        const ref_wide v = most ? ref_round(h[i], he - s->u + 32) : 0;
        q[i] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
    }
}

static struct sl_cpu_swiglu any_scales(struct sl_rng *rng, unsigned bits)
{
    const bool unit = sl_rng_next(rng) & 1, wild = pick(rng, 0, 3) == 0;
    struct sl_cpu_swiglu s = {.mant0 = unit ? 1 : (uint16_t)pick(rng, 32768, 65535),
                              .mant1 = unit ? 1 : (uint16_t)pick(rng, 1, 65535)};
    /* g and u between 2^-14 and 2^17, or anywhere. */
    const int top = (int)bits + (unit ? 0 : 16);
    s.exp0 = wild ? (int)sl_rng_range(rng, -1300, 1300) : (int)sl_rng_range(rng, 2, 33) - top;
    s.exp1 = wild ? (int)sl_rng_range(rng, -140, 70) : (int)sl_rng_range(rng, 2, 33) - top;
    s.u = (int)sl_rng_range(rng, wild ? SL_U_H_MIN - 255 : 0, wild ? SL_U_H_MAX : 30);
    return s;
}

static void run_swiglu(struct sl_rng *rng, const struct sl_cpu_ops *ops)
{
    enum { N = 4 * SL_BLOCK };
    _Alignas(64) int64_t sum[2 * N];
    _Alignas(64) int8_t h[N], want_h[N];
    uint8_t he[N / SL_BLOCK], want_he[N / SL_BLOCK];
    const unsigned bits = pick(rng, 1, 62);
    const bool zero = pick(rng, 0, 20) == 0;
    const struct sl_cpu_swiglu s = any_scales(rng, bits);
    struct sl_cpu_counts counts = {1, 2, 3}, want = counts;
    for (int i = 0; i < 2 * N; i++)
        sum[i] = zero ? 0 : any_sum(rng, bits);
    ops->swiglu(&s, sum, N, h, he, &counts);
    for (int b = 0; b < N / SL_BLOCK; b++)
        judge_block(&s, sum + 2 * SL_BLOCK * b, want_h + SL_BLOCK * b, &want_he[b], &want);
    const bool same = !memcmp(h, want_h, sizeof h) && !memcmp(he, want_he, sizeof he) &&
                      !memcmp(&counts, &want, sizeof counts);
    if (!same)
        printf("[%s bits %u mant %u %u exp %d %d u %d] ", ops->name, bits, s.mant0, s.mant1, s.exp0,
               s.exp1, s.u);
    CU_ASSERT(same);
}

static void any_sums_become_the_h_of_the_reference(void)
{
    const struct sl_cpu_ops *ops[] = {sl_cpu_ops_avx512(), sl_cpu_ops_avx2()};
    struct sl_rng rng = sl_rng_open(__func__, 61);
    CU_ASSERT_PTR_NOT_NULL(sl_cpu_ops_best());
    for (int i = 0; i < 2500; i++)
        for (int j = 0; j < 2; j++)
            if (ops[j])
                run_swiglu(&rng, ops[j]);
}

/* Ties, halves and limits of every step: g and u that are whole numbers around them. */
static void numbers_at_the_edges_too(void)
{
    static const int64_t edges[] = {
        0,        1,     2,       3,       4095,    4096,      4097,
        65535,    65536, 1048575, 1048576, 1048577, INT32_MAX, (int64_t)INT32_MAX + 1,
        1ll << 40};
    enum { N_EDGE = sizeof edges / sizeof edges[0] };
    const struct sl_cpu_ops *ops[] = {sl_cpu_ops_avx512(), sl_cpu_ops_avx2()};
    for (int exp = -2; exp <= 1; exp++)
        for (int u = -20; u <= SL_U_H_MAX; u += 7)
            for (int shift = 0; shift < N_EDGE; shift++) {
                _Alignas(64) int64_t sum[2 * SL_BLOCK];
                _Alignas(32) int8_t h[SL_BLOCK];
                int8_t want_h[SL_BLOCK];
                uint8_t he, want_he;
                const struct sl_cpu_swiglu s = {1, 1, exp, exp, u};
                for (int i = 0; i < SL_BLOCK; i++) {
                    const int64_t g = edges[i % N_EDGE], v = edges[(i + shift) % N_EDGE];
                    sum[2 * i] = i & 16 ? -g : g;
                    sum[2 * i + 1] = i & 1 ? -v : v;
                }
                struct sl_cpu_counts want = {0, 0, 0};
                judge_block(&s, sum, want_h, &want_he, &want);
                for (int j = 0; j < 2; j++) {
                    struct sl_cpu_counts counts = {0, 0, 0};
                    if (!ops[j])
                        continue;
                    ops[j]->swiglu(&s, sum, SL_BLOCK, h, &he, &counts);
                    CU_ASSERT(!memcmp(h, want_h, sizeof h) && he == want_he &&
                              !memcmp(&counts, &want, sizeof want));
                }
            }
}

/* ---- jobs that run together ------------------------------------------------------------------ */

/* A rig on one of the devices with a pool; false: the machine lacks the instructions. */
static bool open_rig(struct core_rig *rig, struct sl_pool **pool, const char *name, uint32_t ctl,
                     uint32_t w)
{
    struct sl_device *dev = NULL;
    const int err = sl_device_open(&dev, name);
    if (err == SL_ERR_UNSUPPORTED)
        return false;
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL_FATAL(rig_open_on(rig, dev, ctl, w), 0);
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(pool, THREADS), 0);
    CU_ASSERT_EQUAL_FATAL(sl_cpu_device_set_pool(dev, *pool), 0);
    return true;
}

static void close_rig(struct core_rig *rig, struct sl_pool **pool)
{
    rig_close(rig);
    sl_pool_close(pool);
}

static struct sl_job *add_expert(struct core_rig *rig, int format, uint32_t k, uint32_t d_ff,
                                 uint32_t n_tok)
{
    struct gen_expert ex;
    const struct sl_slab shape = ref_expert_header(format, k, d_ff);
    struct sl_job *job = rig_job(rig, SL_OP_EXPERT);
    job->format = (uint8_t)format;
    job->k = (uint16_t)k;
    job->rows = d_ff;
    job->slice_count = (uint16_t)d_ff;
    job->n_tokens = (uint16_t)n_tok;
    rig_place(rig, job, 0);
    rig_fill_x(rig, job, GEN_TYPICAL, n_tok, 4);
    CU_ASSERT_FATAL(gen_expert(&rig->rng, GEN_RANDOM, &shape, &ex));
    gen_expert_tune(&rig->rng, &ex, rig_at(rig, job->x_off));
    job->w_off = rig_put_expert(rig, &ex);
    gen_expert_free(&ex);
    return job;
}

/* Some tokens of another job's x, through a list. */
static void share_x(struct core_rig *rig, struct sl_job *job, const struct sl_job *of)
{
    job->x_off = of->x_off;
    job->x_stride = of->x_stride;
    job->flags |= SL_FLAG_LIST;
    job->list_off = rig_ctl(rig, ref_ceil_div(4 * (uint64_t)job->n_tokens, 64));
    for (uint32_t i = 0; i < job->n_tokens; i++)
        ref_put32(rig_at(rig, job->list_off) + 4 * (size_t)i,
                  pick(&rig->rng, 0, of->n_tokens - 1u) | i << SL_LIST_TOKEN_BITS);
}

/* One more job of the same expert or matrix, altered so that it may be in another one's way. */
static void add_variant(struct core_rig *rig)
{
    const struct sl_job of = rig->job[pick(&rig->rng, 0, rig->n_job - 1)];
    struct sl_job *job = rig_job(rig, of.op);
    const uint32_t cookie = job->cookie;
    *job = of;
    job->cookie = cookie;
    switch (pick(&rig->rng, 0, 5)) {
    case 0: /* the same y, written twice: the later one stays */
        job->n_tokens = (uint16_t)pick(&rig->rng, 1, of.n_tokens);
        return;
    case 1: job->flags ^= SL_FLAG_PARTIAL; break;
    case 2:
        job->n_tokens = 70; /* a failure between the others */
        return;
    case 3: /* part of the job is another one's x: whatever becomes of it */
        job->x_off = rig->job[pick(&rig->rng, 0, rig->n_job - 2)].y_off;
        job->flags &= (uint16_t)~SL_FLAG_LIST;
        job->n_tokens = 1;
        break;
    case 4: job->flags |= SL_FLAG_PORT_COUNTERS; break;
    default: share_x(rig, job, &of); break;
    }
    job->y_stride = (uint16_t)ref_y_beats(job);
    job->y_off = rig_ctl(rig, (uint64_t)job->n_tokens * job->y_stride);
}

static void run_list(struct core_rig *rig, uint64_t seed)
{
    rig_reset(rig, seed, "a list of independent jobs");
    const uint32_t n = pick(&rig->rng, 2, 7);
    for (uint32_t i = 0; i < n; i++) {
        const int format = (int)pick(&rig->rng, 0, N_FORMAT - 1);
        const uint32_t k = 32 * pick(&rig->rng, 1, 24), tokens = pick(&rig->rng, 1, 9);
        if (pick(&rig->rng, 0, 2))
            add_expert(rig, format, k, 32 * pick(&rig->rng, 1, 30), tokens);
        else
            rig_plain_job(rig, format, k, pick(&rig->rng, 1, 700), tokens);
    }
    for (uint32_t i = pick(&rig->rng, 0, 5); i > 0; i--)
        add_variant(rig);
    CU_ASSERT(rig_run(rig));
}

static void lists_of_jobs_are_as_if_one_ran_after_the_other(void)
{
    for (unsigned d = 0; d < N_DEVICE; d++) {
        struct core_rig rig;
        struct sl_pool *pool = NULL;
        if (!open_rig(&rig, &pool, devices[d], 60000, 200000))
            continue;
        for (uint64_t seed = 0; seed < (rig_long() ? 400 : 15); seed++)
            run_list(&rig, seed);
        close_rig(&rig, &pool);
    }
}

/* An expert writes y in its second pass, a matrix in the first; both read x in the first: were they
 * one group, the earlier job's y would stay, and its x be gone. The last reads what another wrote.
 */
static void run_in_each_others_way(struct core_rig *rig, int format)
{
    rig_reset(rig, (uint64_t)format, "jobs in each other's way, format %d", format);
    const struct sl_job expert = *add_expert(rig, format, 512, 512, 4);
    struct sl_job *plain = rig_plain_job(rig, format, 96, 500, 4);
    plain->y_off = expert.y_off;
    plain->y_stride = expert.y_stride;
    plain = rig_plain_job(rig, format, 512, 2000, 4);
    rig_plain_job(rig, format, 96, 40, 1)->y_off = plain->x_off;
    /* Zeros are an activation; what lies there before is none. */
    const struct sl_job zeros = *rig_plain_job(rig, format, 96, 64, 1);
    rig_fill_x(rig, &zeros, GEN_ZERO, 1, 0);
    rig_plain_job(rig, format, 96, 300, 1)->x_off = zeros.y_off;
    CU_ASSERT(rig_run(rig));
    CU_ASSERT_EQUAL(rig->outcome.loose[0].len, 0);
    CU_ASSERT_EQUAL(rig->outcome.n_ok, rig->n_job);
}

static void jobs_in_each_others_way_keep_their_order(void)
{
    for (unsigned d = 0; d < N_DEVICE; d++) {
        struct core_rig rig;
        struct sl_pool *pool = NULL;
        if (!open_rig(&rig, &pool, devices[d], 60000, 200000))
            continue;
        for (int format = 0; format < N_FORMAT; format++)
            run_in_each_others_way(&rig, format);
        close_rig(&rig, &pool);
    }
}

/* More experts than one group takes, and more h than it has room for. */
static void long_lists_are_cut_into_groups(void)
{
    for (unsigned d = 0; d < N_DEVICE; d++) {
        struct core_rig rig;
        struct sl_pool *pool = NULL;
        if (!open_rig(&rig, &pool, devices[d], 120000, 60000))
            continue;
        rig_reset(&rig, 5, "more than a group");
        const struct sl_job first = *add_expert(&rig, SL_FORMAT_NF4, 32, 8192, 64);
        for (int i = 0; i < 150; i++) {
            struct sl_job *job = rig_job(&rig, SL_OP_EXPERT);
            const uint32_t cookie = job->cookie;
            *job = first;
            job->cookie = cookie;
            job->n_tokens = i % 40 ? 1 : 64;
            job->slice_first = (uint16_t)(32 * pick(&rig.rng, 0, 100));
            job->slice_count = (uint16_t)(i % 40 ? 64 : 4992);
            job->y_off = rig_ctl(&rig, (uint64_t)job->n_tokens * job->y_stride);
        }
        CU_ASSERT(rig_run(&rig));
        close_rig(&rig, &pool);
    }
}

/* ---- bound slabs ----------------------------------------------------------------------------- */

/* The slab as the host has it, apart from every arena, with nothing behind its slack. */
static uint8_t *copy_slab(const struct core_rig *rig, uint32_t w_off, uint64_t n_beat)
{
    uint8_t *p = aligned_alloc(64, n_beat * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    memcpy(p, rig->ref.weights.w[0] + (size_t)w_off * SL_BEAT_BYTES, n_beat * SL_BEAT_BYTES);
    return p;
}

/* The device's arena is not written: what it computes with can only be bound. */
static void run_bound(struct core_rig *rig, int format)
{
    struct ref_region region[2];
    rig_reset(rig, (uint64_t)format, "a bound slab, format %d", format);
    const struct sl_job direct = *add_expert(rig, format, 96, 224, 3);
    const uint64_t beats = ref_expert_regions(format, 96, 224, 1, region) + SL_SLACK_BEATS;
    struct sl_job *job = rig_job(rig, SL_OP_EXPERT);
    const uint32_t cookie = job->cookie;
    *job = direct;
    job->cookie = cookie;
    job->flags = SL_FLAG_INDIRECT;
    job->w_off = 0xFFFFFFFF;
    job->n_tokens = 1;
    job->route_off = rig_ctl(rig, 1);
    job->slot_off = rig_ctl(rig, 2);
    job->n_expert = 20;
    job->y_off = rig_ctl(rig, job->y_stride);
    memset(rig_at(rig, job->route_off), 0, SL_BEAT_BYTES);
    ref_put16(rig_at(rig, job->route_off), 17);
    ref_put32(rig_at(rig, job->route_off) + 16, 12345);
    ref_put32(rig_at(rig, job->slot_off) + 4 * 17, direct.w_off);
    uint8_t *slab = copy_slab(rig, direct.w_off, beats);
    CU_ASSERT_EQUAL(sl_device_bind(rig->dev, direct.w_off, (const void *)slab), 0);
    const uint32_t off = rig_ctl(rig, 2 * rig->n_job);
    memcpy(rig_at(rig, off), rig->job, rig->n_job * sizeof rig->job[0]);
    CU_ASSERT(rig_run_at(rig, off, rig->n_job, false));
    CU_ASSERT_EQUAL(rig_record(rig, 0).status, SL_STATUS_OK);
    CU_ASSERT_EQUAL(rig_record(rig, 1).status, SL_STATUS_OK);
    CU_ASSERT_EQUAL(rig_record(rig, 1).expert, 17);
    free(slab);
}

static void bound_slabs_are_read_where_they_are(void)
{
    for (unsigned d = 0; d < N_DEVICE; d++)
        for (int format = 0; format < N_FORMAT; format++) {
            struct core_rig rig;
            struct sl_pool *pool = NULL;
            if (!open_rig(&rig, &pool, devices[d], 3000, 4000))
                continue;
            run_bound(&rig, format);
            close_rig(&rig, &pool);
        }
}

/* The limit of a bound slab is its own end, whatever the arena's is. */
static void a_job_larger_than_the_bound_slab_is_refused(void)
{
    for (unsigned d = 0; d < N_DEVICE; d++) {
        struct core_rig rig;
        struct sl_pool *pool = NULL;
        struct ref_region region;
        struct sl_record record;
        if (!open_rig(&rig, &pool, devices[d], 3000, 4000))
            continue;
        rig_reset(&rig, 3, "larger than its slab");
        struct sl_job job = *rig_plain_job(&rig, SL_FORMAT_Q8, 64, 40, 1);
        const uint64_t n = ref_plain_region(SL_FORMAT_Q8, 64, 40, 1, &region) + SL_SLACK_BEATS;
        uint8_t *slab = copy_slab(&rig, job.w_off, n);
        const struct {
            uint32_t rows, format;
            unsigned status;
        } wants[] = {{40, SL_FORMAT_Q8, SL_STATUS_OK},
                     {42, SL_FORMAT_Q8, SL_STATUS_BAD_ADDRESS},
                     {38, SL_FORMAT_Q8, SL_STATUS_BAD_HEADER},
                     {40, SL_FORMAT_FP8, SL_STATUS_BAD_HEADER}};
        CU_ASSERT_EQUAL(sl_device_bind(rig.dev, 7, (const void *)slab), 0);
        CU_ASSERT_EQUAL(sl_device_write(rig.dev, SL_ARENA_CTL, 0, rig.ref.ctl, 3000), 0);
        for (unsigned i = 0; i < sizeof wants / sizeof wants[0]; i++) {
            job.w_off = 7;
            job.rows = wants[i].rows;
            job.format = (uint8_t)wants[i].format;
            CU_ASSERT_EQUAL(sl_device_write(rig.dev, SL_ARENA_CTL, 2998, &job, 1), 0);
            CU_ASSERT_EQUAL(sl_device_launch(rig.dev, 2998, 1, 1000), 0);
            CU_ASSERT_EQUAL(sl_device_read(rig.dev, SL_ARENA_CTL, 2999, &record, 1), 0);
            CU_ASSERT_EQUAL(record.status, wants[i].status);
        }
        free(slab);
        close_rig(&rig, &pool);
    }
}

/* ---- names and models ------------------------------------------------------------------------ */

static void other_names_are_refused(void)
{
    static const char *const wrong[] = {"cpu:sse", "cpu:", "cpu:AVX2", "cpu:avx512,x"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sl_device *dev = NULL;
        CU_ASSERT_EQUAL(sl_device_open(&dev, wrong[i]), SL_ERR_USAGE);
        CU_ASSERT_PTR_NULL(dev);
    }
}

static void the_pool_is_for_the_cpu_alone(void)
{
    struct sl_device *dev = NULL;
    struct sl_pool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, "csim"), 0);
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 2), 0);
    CU_ASSERT_EQUAL(sl_cpu_device_set_pool(dev, pool), 0);
    sl_device_close(&dev);
    sl_pool_close(&pool);
}

static void a_model_gives_the_same_text_as_on_csim(void)
{
    static const struct cli_model models[] = {{"models/demo-hunyuan", "q8", ""},
                                              {"models/demo-yuan", "nf4", ""},
                                              {"models/demo-hunyuan", "fp8", "--kv-on-fabric"}};
    static const char *const how[] = {"--device cpu", "--device cpu --dense device -b 5",
                                      "--device cpu:avx2 --dense device -t 3",
                                      "--device cpu:native --resident 5"};
    static struct cli_result want, got;
    for (unsigned m = 0; m < sizeof models / sizeof models[0]; m++) {
        cli_run_model(&want, &models[m], false, "--device csim");
        CU_ASSERT(strlen(want.out) > 30);
        for (unsigned i = 0; i < sizeof how / sizeof how[0]; i++) {
            cli_run_model(&got, &models[m], i, how[i]);
            CU_ASSERT_STRING_EQUAL(got.out, want.out);
        }
    }
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static void bench_reports_every_row(void)
{
    static struct cli_result r;
    cli_run(&r, "bench --json --shape 64x96 --batches 1,3,70 --turns 2 --format nf4");
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT_EQUAL(count_of(r.out, "\"op\":\"expert\""), 3);
    CU_ASSERT_EQUAL(count_of(r.out, "\"op\":\"plain\""), 3);
    CU_ASSERT_EQUAL(count_of(r.out, "\"tokens\":70"), 2);
    CU_ASSERT_EQUAL(count_of(r.out, "\"share_of_read\":null"), 0);
    CU_ASSERT_EQUAL(count_of(r.out, "\"read_bytes_per_s_all\""), 1);
    CU_ASSERT_EQUAL(count_of(r.out, "\"seconds\":"), 10);
    cli_run(&r, "bench --membw --turns 1");
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT(strstr(r.out, "all threads") && !strstr(r.out, "experts"));
}

static void bench_refuses_what_it_cannot_measure(void)
{
    static const struct {
        const char *line;
        int code;
    } wrong[] = {{"bench --shape 64", 2},     {"bench --shape 64x96x2", 2},
                 {"bench --shape 64x90", 3},  {"bench --batches 1,,2", 2},
                 {"bench --batches 0", 2},    {"bench --batches 1,2,3,4,5,6,7,8,9", 2},
                 {"bench --device csim", 2},  {"bench --device cpu:sse", 2},
                 {"bench --batches 5000", 2}, {"bench --device cpus", 2}};
    static struct cli_result r;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cli_run(&r, wrong[i].line);
        if (r.code != wrong[i].code)
            printf("[%s: %d, %s] ", wrong[i].line, r.code, r.err);
        CU_ASSERT_EQUAL(r.code, wrong[i].code);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "; hint: "));
        CU_ASSERT_EQUAL(r.out[0], 0);
    }
}

static const struct sl_case cases[] = {
    {"any_sums_become_the_h_of_the_reference", any_sums_become_the_h_of_the_reference},
    {"numbers_at_the_edges_too", numbers_at_the_edges_too},
    {"lists_of_jobs_are_as_if_one_ran_after_the_other",
     lists_of_jobs_are_as_if_one_ran_after_the_other},
    {"jobs_in_each_others_way_keep_their_order", jobs_in_each_others_way_keep_their_order},
    {"long_lists_are_cut_into_groups", long_lists_are_cut_into_groups},
    {"bound_slabs_are_read_where_they_are", bound_slabs_are_read_where_they_are},
    {"a_job_larger_than_the_bound_slab_is_refused", a_job_larger_than_the_bound_slab_is_refused},
    {"other_names_are_refused", other_names_are_refused},
    {"the_pool_is_for_the_cpu_alone", the_pool_is_for_the_cpu_alone},
    {"bench_reports_every_row", bench_reports_every_row},
    {"bench_refuses_what_it_cannot_measure", bench_refuses_what_it_cannot_measure},
    {"a_model_gives_the_same_text_as_on_csim", a_model_gives_the_same_text_as_on_csim},
    {NULL, NULL},
};
const struct sl_suite suite_cpu_device = {"cpu_device", cases};
