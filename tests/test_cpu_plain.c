/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain matrices in every instruction set that the machine has, beside the reference: the same
 * words, the same statuses, and not a byte more read or written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/cpu_ops.h"
#include "ref/ref_core.h"
#include "ref/ref_gen.h"
#include "test_main.h"

enum { N_FORMAT = 5, JOB_BEATS = 2, GUARD = 37, FILL = 0xA5 };

struct shape {
    uint32_t k, rows, n_tok;
    enum gen w, x;
    int exp_low, exp_high; /* exponent of the matrix plus base; both 0: ordinary */
};

/* A matrix on the heap with not a byte behind its slack, x, and the reference's y and status. */
struct scene {
    int format;
    struct shape shape;
    struct ref_matrix m;
    uint8_t *slab, *ctl;
    uint64_t slab_beats, ctl_beats, x_beats, y_beats;
    struct sl_rng *rng;
};

static const struct sl_cpu_ops *ops_at(int i)
{
    return i == 0   ? sl_cpu_ops_native()
           : i == 1 ? sl_cpu_ops_avx2()
           : i == 2 ? sl_cpu_ops_avx512()
                    : NULL;
}

static uint32_t pick(struct sl_rng *rng, uint32_t low, uint32_t high)
{
    return (uint32_t)sl_rng_range(rng, low, high);
}

static uint8_t *beats(uint64_t n)
{
    uint8_t *p = aligned_alloc(64, n * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    memset(p, FILL, n * SL_BEAT_BYTES);
    return p;
}

static uint8_t *item_of(const struct scene *s, uint32_t t)
{
    return s->ctl + (JOB_BEATS + t * s->x_beats) * SL_BEAT_BYTES;
}

static void make_slab(struct scene *s)
{
    const struct shape *shape = &s->shape;
    struct ref_region region;
    struct sl_slab head = ref_plain_header(s->format, shape->k, shape->rows);
    s->slab_beats = ref_plain_region(s->format, shape->k, shape->rows, 1, &region) + SL_SLACK_BEATS;
    s->slab = beats(s->slab_beats);
    struct ref_weights w = {.n_port = 1, .w_limit = s->slab_beats, .w = {s->slab}};
    head.exp0 = (int16_t)sl_rng_range(s->rng, -70, 20);
    if (s->format == SL_FORMAT_FP8)
        head.mant0 = (uint16_t)sl_rng_range(s->rng, 32768, 65535);
    CU_ASSERT_FATAL(ref_matrix_alloc(&s->m, s->format, shape->rows, shape->k));
    gen_matrix(s->rng, shape->w, &s->m);
    CU_ASSERT_EQUAL(ref_put_plain(&w, 0, &head, &s->m), s->slab_beats);
}

static void make_x(struct scene *s)
{
    const struct shape *shape = &s->shape;
    const int exp0 = ((const struct sl_slab *)(const void *)s->slab)->exp0;
    for (uint32_t t = 0; t < shape->n_tok; t++) {
        gen_x8(s->rng, shape->x, shape->k, 9, item_of(s, t));
        if (shape->exp_low || shape->exp_high) {
            int64_t e = sl_rng_range(s->rng, shape->exp_low, shape->exp_high) - exp0;
            ref_put32(item_of(s, t), (uint32_t)e);
        }
    }
}

static void scene_open(struct scene *s, struct sl_rng *rng, const struct shape *shape, int format)
{
    *s = (struct scene){.format = format, .shape = *shape, .rng = rng};
    make_slab(s);
    s->x_beats = ref_act8_beats(shape->k);
    s->y_beats = ref_ceil_div(shape->rows, 16);
    s->ctl_beats = JOB_BEATS + shape->n_tok * (s->x_beats + s->y_beats);
    s->ctl = beats(s->ctl_beats);
    make_x(s);
}

static void scene_close(struct scene *s)
{
    ref_matrix_free(&s->m);
    free(s->slab);
    free(s->ctl);
}

/* Runs the reference; returns its status. */
static unsigned judge(struct scene *s)
{
    const struct shape *shape = &s->shape;
    struct sl_job job = {.op = SL_OP_PLAIN,
                         .format = (uint8_t)s->format,
                         .x_off = JOB_BEATS,
                         .y_off = (uint32_t)(JOB_BEATS + shape->n_tok * s->x_beats),
                         .n_tokens = (uint16_t)shape->n_tok,
                         .x_stride = (uint16_t)s->x_beats,
                         .y_stride = (uint16_t)s->y_beats,
                         .k = (uint16_t)shape->k,
                         .rows = shape->rows};
    struct sl_record record;
    memcpy(s->ctl, &job, sizeof job);
    struct ref_core core = {
        .ctl = s->ctl, .ctl_limit = s->ctl_beats, .weights = {.n_port = 1, .w = {s->slab}}};
    core.weights.w_limit = s->slab_beats;
    ref_launch(&core, 0, 1);
    memcpy(&record, s->ctl + SL_BEAT_BYTES, sizeof record);
    return record.status;
}

/* y of an implementation, with guard words behind every token's rows. */
struct result {
    float *y;
    size_t stride;
    uint8_t *done; /* [rows]: whether some part held the row */
};

/* The scratch memory ends where its allocation ends and holds whatever it held: at first noise,
 * then what the case before left. Freed at the end of the program. */
static uint8_t *work_of(const struct sl_cpu_ops *ops, struct sl_rng *rng)
{
    enum { MAX_OPS = 4 };
    static struct {
        const struct sl_cpu_ops *ops;
        uint8_t *work;
    } all[MAX_OPS];
    unsigned i = 0;
    while (i < MAX_OPS - 1 && all[i].ops && all[i].ops != ops)
        i++;
    if (!all[i].work) {
        all[i].ops = ops;
        all[i].work = aligned_alloc(64, (ops->work_bytes + 63) / 64 * 64);
        CU_ASSERT_PTR_NOT_NULL_FATAL(all[i].work);
        memset(all[i].work, (int)pick(rng, 0, 255), ops->work_bytes);
    }
    return all[i].work;
}

static void run_part(const struct scene *s, const struct sl_cpu_ops *ops, struct result *r,
                     uint32_t first, uint32_t n, unsigned want)
{
    uint8_t *work = work_of(ops, s->rng);
    struct sl_cpu_plain call = {.slab = (const void *)s->slab,
                                .x = item_of(s, 0),
                                .n_tok = s->shape.n_tok,
                                .first = first,
                                .n_row = n,
                                .y = r->y,
                                .y_stride = r->stride};
    CU_ASSERT_EQUAL(ops->plain(&call, work), want);
    if (want == SL_STATUS_OK)
        memset(r->done + first, 1, n);
}

/* Every word of a part that ran is the reference's, every other one is as it was. */
static bool as_judged(const struct scene *s, const struct result *r)
{
    const struct shape *shape = &s->shape;
    for (uint32_t t = 0; t < shape->n_tok; t++) {
        const uint8_t *want =
            s->ctl + (JOB_BEATS + shape->n_tok * s->x_beats + t * s->y_beats) * SL_BEAT_BYTES;
        for (uint32_t i = 0; i < r->stride; i++) {
            uint32_t got, word = FILL * 0x01010101u;
            memcpy(&got, &r->y[t * r->stride + i], sizeof got);
            if (i < shape->rows && r->done[i])
                word = ref_get32(want + 4 * (size_t)i);
            if (got != word) {
                printf("[token %u row %u: %08x, not %08x] ", t, i, got, word);
                return false;
            }
        }
    }
    return true;
}

/* Parts of any size, some left out. */
static void compare(const struct scene *s, const struct sl_cpu_ops *ops, unsigned status)
{
    const struct shape *shape = &s->shape;
    struct result r = {.stride = shape->rows + pick(s->rng, 1, GUARD)};
    r.y = malloc(shape->n_tok * r.stride * sizeof *r.y);
    r.done = calloc(shape->rows, 1);
    CU_ASSERT_FATAL(r.y && r.done);
    memset(r.y, FILL, shape->n_tok * r.stride * sizeof *r.y);
    for (uint32_t at = 0, n; at < shape->rows; at += (n + 15) / 16 * 16) {
        uint32_t left = shape->rows - at;
        n = pick(s->rng, 0, 3) ? SL_CPU_MAX_PART_ROWS : pick(s->rng, 1, SL_CPU_MAX_PART_ROWS);
        n = n < left ? n : left;
        if (at == 0 || pick(s->rng, 0, 7))
            run_part(s, ops, &r, at, n, status);
    }
    bool same = as_judged(s, &r);
    if (!same)
        printf("[%s format %d k %u rows %u tokens %u gen %d %d] ", ops->name, s->format, shape->k,
               shape->rows, shape->n_tok, shape->w, shape->x);
    CU_ASSERT(same);
    free(r.y);
    free(r.done);
}

static void run_shape(struct sl_rng *rng, const struct shape *shape)
{
    for (int format = 0; format < N_FORMAT; format++) {
        struct scene s;
        scene_open(&s, rng, shape, format);
        unsigned status = judge(&s);
        CU_ASSERT_EQUAL(status, SL_STATUS_OK);
        for (int i = 0; i < 3; i++)
            if (ops_at(i))
                compare(&s, ops_at(i), status);
        scene_close(&s);
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void every_width_and_height(void)
{
    static const uint32_t widths[] = {32,   64,   96,   128,  160,  192,   224,  256,  288,
                                      320,  480,  512,  544,  768,  992,   1024, 1056, 1280,
                                      2016, 2048, 2080, 4576, 6400, 18304, 32768};
    struct sl_rng rng = sl_rng_open(__func__, 51);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        uint32_t few = widths[i] > 4096 ? 40 : 300;
        for (uint32_t n_tok = 1; n_tok <= 5; n_tok++) {
            struct shape s = {widths[i], pick(&rng, 1, few), n_tok, GEN_ANY, GEN_RANDOM, 0, 0};
            run_shape(&rng, &s);
        }
    }
    for (uint32_t rows = 1; rows <= 70; rows++) {
        struct shape s = {
            pick(&rng, 1, 12) * 32, rows, pick(&rng, 1, 4), GEN_ANY, GEN_TYPICAL, 0, 0};
        run_shape(&rng, &s);
    }
}

static void every_number_of_tokens(void)
{
    struct sl_rng rng = sl_rng_open(__func__, 52);
    for (uint32_t n = 1; n <= SL_MAX_TOKENS; n++) {
        struct shape s = {pick(&rng, 1, 20) * 32, pick(&rng, 1, 100), n, GEN_ANY, GEN_RANDOM, 0, 0};
        run_shape(&rng, &s);
    }
}

/* The largest magnitudes, exponents and widths; every scale byte; nothing but zeros. */
static void extreme_and_degenerate_data(void)
{
    static const uint32_t tokens[] = {1, 2, 3, 8, 13};
    struct sl_rng rng = sl_rng_open(__func__, 53);
    for (int w = 0; w < N_GEN; w++)
        for (int x = 0; x < N_GEN; x++)
            for (int i = 0; i < 5; i++) {
                struct shape s = {
                    pick(&rng, 1, 80) * 32, 35, tokens[i], (enum gen)w, (enum gen)x, 0, 0};
                run_shape(&rng, &s);
            }
    for (int i = 0; i < 5; i++) {
        struct shape s = {SL_MAX_K, 17, tokens[i], GEN_WORST, GEN_WORST, 0, 0};
        run_shape(&rng, &s);
    }
    /* 64 groups of 80 rows: every byte in every place of a beat, 20 times. */
    struct shape scales = {2048, 80, 5, GEN_SCALES, GEN_RANDOM, 0, 0};
    run_shape(&rng, &scales);
}

/* Results that are infinite, subnormal or vanish, and those at the edges of each. */
static void sums_that_leave_fp32(void)
{
    static const int exponents[][2] = {{-940, -900}, {-230, -140}, {-180, -150}, {-165, -125},
                                       {-130, -120}, {30, 70},     {60, 90},     {80, 127},
                                       {100, 140},   {900, 940}};
    struct sl_rng rng = sl_rng_open(__func__, 54);
    for (size_t i = 0; i < sizeof exponents / sizeof *exponents; i++)
        for (int x = 0; x < N_GEN; x++)
            for (uint32_t n_tok = 1; n_tok < 20; n_tok += 6) {
                struct shape s = {pick(&rng, 1, 3) * 32,
                                  60,
                                  n_tok,
                                  x % 2 ? GEN_SMALL : GEN_ANY,
                                  (enum gen)x,
                                  exponents[i][0],
                                  exponents[i][1]};
                run_shape(&rng, &s);
            }
}

/* Takes from *rest what one fp8 weight can; its code. */
static uint8_t take_fp8(int64_t *rest)
{
    int64_t v = *rest < 229376 ? *rest : 229376;
    int shift = 0;
    while (v >> shift > 15)
        shift++;
    *rest -= v >> shift << shift;
    return (uint8_t)(v < 8 ? v : (shift + 1) << 3 | ((v >> shift) - 8));
}

/* A group of x = 127 (25 times) and 1 (7 times) whose sum is `sum`. */
static void make_group(uint8_t code[SL_BLOCK], int64_t sum, bool negative)
{
    int64_t high = sum / 127, low = sum % 127;
    for (int i = 0; i < SL_BLOCK; i++)
        code[i] = (uint8_t)(take_fp8(i < 25 ? &high : &low) | (negative ? 0x80 : 0));
    CU_ASSERT(high == 0 && low == 0);
}

/* Products of 65 bits that lie above the middle of two fp32 by less than 2^16: the nearest is the
 * upper one, and a rounding that forgets the lowest bits takes the lower, even one. */
static void make_near_ties(struct scene *s)
{
    struct sl_slab head = *(const struct sl_slab *)(const void *)s->slab;
    struct ref_weights w = {.n_port = 1, .w_limit = s->slab_beats, .w = {s->slab}};
    head.mant0 = (uint16_t)(sl_rng_range(s->rng, 25000, 32767) * 2 + 1);
    head.exp0 = -40;
    for (uint32_t row = 0; row < s->shape.rows; row++) {
        uint64_t even = (uint64_t)sl_rng_range(s->rng, 1 << 22, (1 << 23) - 1) * 2;
        ref_wide middle = (ref_wide)(2 * even + 1) << 40;
        int64_t sum = (int64_t)((middle + head.mant0 - 1) / head.mant0);
        uint8_t *code = s->m.code + (size_t)row * s->shape.k;
        make_group(code, sum >> 21, row % 2);
        make_group(code + SL_BLOCK, sum & ((1 << 21) - 1), row % 2);
    }
    ref_put_plain(&w, 0, &head, &s->m);
    for (uint32_t t = 0; t < s->shape.n_tok; t++) {
        uint8_t *item = item_of(s, t);
        ref_put32(item, t);
        item[64] = 21;
        item[65] = 0;
        for (int i = 0; i < 2 * SL_BLOCK; i++)
            item[128 + i] = i % SL_BLOCK < 25 ? 127 : 1;
    }
}

static void bits_far_below_the_last_decide(void)
{
    struct sl_rng rng = sl_rng_open(__func__, 56);
    for (uint32_t i = 0; i < 40; i++) {
        struct shape shape = {64, 48, i % 5 + 1, GEN_ZERO, GEN_ZERO, 0, 0};
        struct scene s;
        scene_open(&s, &rng, &shape, SL_FORMAT_FP8);
        make_near_ties(&s);
        unsigned status = judge(&s);
        CU_ASSERT_EQUAL(status, SL_STATUS_OK);
        for (int j = 0; j < 3; j++)
            if (ops_at(j))
                compare(&s, ops_at(j), status);
        scene_close(&s);
    }
}

/* Puts one forbidden value into one token's item, or one that is allowed. */
static void spoil(struct scene *s, uint32_t kind)
{
    const uint32_t k = s->shape.k, n_block = k / SL_BLOCK;
    uint8_t *item = item_of(s, pick(s->rng, 0, s->shape.n_tok - 1));
    uint8_t *xe = item + 64, *code = xe + ref_ceil_div(n_block, 64) * 64;
    switch (kind) {
    case 0: code[pick(s->rng, 0, k - 1)] = 0x80; break;
    case 1: code[k - 1] = 0x80; break;
    case 2: xe[pick(s->rng, 0, n_block - 1)] = (uint8_t)pick(s->rng, SL_XE_MAX + 1, 255); break;
    case 3: xe[n_block - 1] = SL_XE_MAX + 1; break;
    case 4: ref_put32(item, SL_BASE_MAX + 1); break;
    case 5: ref_put32(item, (uint32_t)(-SL_BASE_MAX - 1)); break;
    case 6: ref_put32(item, 0x80000000u); break;
    default: /* padding is not looked at, and the largest values are allowed */
        memset(xe + n_block, 0xFF, ref_ceil_div(n_block, 64) * 64 - n_block);
        memset(code + k, 0x80, ref_ceil_div(k, 64) * 64 - k);
        xe[n_block - 1] = SL_XE_MAX;
        code[k - 1] = 0x81;
        ref_put32(item, SL_BASE_MAX);
    }
}

static void forbidden_activations_are_told_and_nothing_is_written(void)
{
    struct sl_rng rng = sl_rng_open(__func__, 55);
    unsigned n_bad = 0, n_good = 0;
    for (uint32_t i = 0; i < 8 * 40; i++) {
        struct shape shape = {
            pick(&rng, 1, 70) * 32, 20, pick(&rng, 1, 9), GEN_ANY, GEN_RANDOM, 0, 0};
        struct scene s;
        scene_open(&s, &rng, &shape, (int)(i % N_FORMAT));
        spoil(&s, i % 8);
        unsigned status = judge(&s);
        n_bad += status == SL_STATUS_BAD_ACTIVATION;
        n_good += status == SL_STATUS_OK;
        for (int j = 0; j < 3; j++)
            if (ops_at(j))
                compare(&s, ops_at(j), status);
        scene_close(&s);
    }
    CU_ASSERT_EQUAL(n_bad, 7 * 40);
    CU_ASSERT_EQUAL(n_good, 40);
}

static void the_environment_limits_the_choice(void)
{
    const struct sl_cpu_ops *avx2 = sl_cpu_ops_avx2(), *avx512 = sl_cpu_ops_avx512();
    const struct sl_cpu_ops *native = sl_cpu_ops_native(), *second = avx2 ? avx2 : native;
    const char *env = getenv("SLUICE_SIMD");
    char before[64];
    snprintf(before, sizeof before, "%s", env ? env : "");
    setenv("SLUICE_SIMD", "generic", 1);
    CU_ASSERT_PTR_EQUAL(sl_cpu_ops_best(), native);
    setenv("SLUICE_SIMD", "avx2", 1);
    CU_ASSERT_PTR_EQUAL(sl_cpu_ops_best(), second);
    unsetenv("SLUICE_SIMD");
    CU_ASSERT_PTR_EQUAL(sl_cpu_ops_best(), avx512 ? avx512 : second);
    if (env)
        setenv("SLUICE_SIMD", before, 1);
}

static const struct sl_case cases[] = {
    {"every_instruction_set_gives_the_words_of_the_reference_in_every_shape",
     every_width_and_height},
    {"so_it_does_for_1_to_64_tokens", every_number_of_tokens},
    {"so_it_does_on_extreme_and_degenerate_data", extreme_and_degenerate_data},
    {"so_it_does_where_results_leave_fp32", sums_that_leave_fp32},
    {"so_it_does_where_bits_far_below_the_last_decide", bits_far_below_the_last_decide},
    {"forbidden_activations_are_told_and_nothing_is_written",
     forbidden_activations_are_told_and_nothing_is_written},
    {"the_environment_limits_the_choice", the_environment_limits_the_choice},
    {NULL, NULL},
};

const struct sl_suite suite_cpu_plain = {"cpu_plain", cases};
