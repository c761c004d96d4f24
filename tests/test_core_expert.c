/* SPDX-License-Identifier: Apache-2.0 */
/* EXPERT on every device against the reference, and the reference against binary64. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core_rig.h"

enum { N_FORMAT = 5, CTL_BEATS = 24576, W_BEATS = 320000 };

/* One expert, one job on it. */
struct expert_case {
    uint32_t k, d_ff;
    unsigned n_tokens;
    uint32_t first, count; /* of the slice; count 0: whole */
    int flags;
    enum gen w, x;
    int base_max;
};

static struct sl_job *add_job(struct core_rig *rig, const struct expert_case *c, int format)
{
    struct sl_job *job = rig_job(rig, SL_OP_EXPERT);
    job->format = (uint8_t)format;
    job->flags = (uint16_t)c->flags;
    job->k = (uint16_t)c->k;
    job->rows = c->d_ff;
    job->n_tokens = (uint16_t)c->n_tokens;
    job->slice_first = (uint16_t)c->first;
    job->slice_count = (uint16_t)(c->count ? c->count : c->d_ff);
    return job;
}

/* Slab, x and one job in a fresh rig; `ex` may be changed by the caller before it is uploaded. */
static bool make_expert(struct core_rig *rig, const struct expert_case *c, int format,
                        struct gen_expert *ex)
{
    struct sl_slab shape = ref_expert_header(format, c->k, c->d_ff);
    if (!gen_expert(&rig->rng, c->w, &shape, ex))
        return false;
    struct sl_job *job = add_job(rig, c, format);
    rig_place(rig, job, (uint32_t)(rig->seed % 2));
    rig_fill_x(rig, job, c->x, c->n_tokens, c->base_max);
    gen_expert_tune(&rig->rng, ex, rig_at(rig, job->x_off));
    return true;
}

static bool run_case(struct core_rig *rig, const struct expert_case *c, int format, uint64_t seed)
{
    struct gen_expert ex;
    rig_reset(rig, seed, "expert format %d k %u d_ff %u tokens %u slice %u+%u gen %d/%d", format,
              c->k, c->d_ff, c->n_tokens, c->first, c->count, c->w, c->x);
    bool ok = make_expert(rig, c, format, &ex);
    if (ok) {
        rig->job[0].w_off = rig_put_expert(rig, &ex);
        ok = rig_run(rig) && rig_record(rig, 0).status == SL_STATUS_OK;
    }
    gen_expert_free(&ex);
    return ok;
}

static void run_cases(const struct expert_case *cases, size_t n, uint64_t seed)
{
    for (unsigned d = 0; rig_devices[d]; d++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, rig_devices[d], CTL_BEATS, W_BEATS), 0);
        for (size_t i = d % SL_THIN(2); i < n; i += SL_THIN(2))
            for (int format = 0; format < N_FORMAT; format++)
                CU_ASSERT_TRUE(run_case(&rig, &cases[i], format, seed + 10 * i + (uint64_t)format));
        rig_close(&rig);
    }
}

static void every_format_and_shape(void)
{
    static const struct expert_case cases[] = {
        {.k = 32, .d_ff = 32, .n_tokens = 1},
        {.k = 64, .d_ff = 64, .n_tokens = 2},
        {.k = 96, .d_ff = 96, .n_tokens = 3},
        {.k = 992, .d_ff = 160, .n_tokens = 7},
        {.k = 1024, .d_ff = 32, .n_tokens = 16},
        {.k = 1056, .d_ff = 64, .n_tokens = 63},
        {.k = 2080, .d_ff = 96, .n_tokens = 2},
        {.k = 6400, .d_ff = 160, .n_tokens = 1},
        {.k = 96, .d_ff = 4576, .n_tokens = 2},
        {.k = 64, .d_ff = 992, .n_tokens = 64},
        {.k = 1056, .d_ff = 2080, .n_tokens = 3},
        {.k = 32768, .d_ff = 32, .n_tokens = 1},
        {.k = 32, .d_ff = 32768, .n_tokens = 1},
        {.k = 128, .d_ff = 96, .n_tokens = 1, .flags = SL_FLAG_PARTIAL},
        {.k = 96, .d_ff = 32, .n_tokens = 3, .flags = SL_FLAG_PARTIAL | SL_FLAG_PORT_COUNTERS},
        {.k = 160,
         .d_ff = 4160,
         .n_tokens = 2,
         .first = 2016,
         .count = 1088,
         .flags = SL_FLAG_PORT_COUNTERS},
        {.k = 64, .d_ff = 2112, .n_tokens = 1, .first = 1024, .count = 32, .base_max = 900},
        {.k = 96,
         .d_ff = 1120,
         .n_tokens = 1,
         .first = 992,
         .count = 64,
         .flags = SL_FLAG_PORT_COUNTERS},
    };
    run_cases(cases, sizeof cases / sizeof cases[0],
              sl_rng_open("every_format_and_shape", 1).state);
}

static void extreme_and_degenerate_data(void)
{
    static const struct expert_case cases[] = {
        {.k = 1056, .d_ff = 96, .n_tokens = 2, .w = GEN_WORST, .x = GEN_WORST},
        {.k = 32768, .d_ff = 32, .n_tokens = 1, .w = GEN_WORST, .x = GEN_WORST},
        {.k = 32, .d_ff = 32768, .n_tokens = 1, .w = GEN_WORST, .x = GEN_WORST},
        {.k = 992, .d_ff = 160, .n_tokens = 3, .w = GEN_ANY},
        {.k = 96, .d_ff = 64, .n_tokens = 2, .w = GEN_ZERO},
        {.k = 96, .d_ff = 64, .n_tokens = 2, .x = GEN_ZERO},
        {.k = 160, .d_ff = 96, .n_tokens = 3, .w = GEN_SMALL},
        {.k = 160, .d_ff = 96, .n_tokens = 3, .x = GEN_SMALL},
        {.k = 2048, .d_ff = 256, .n_tokens = 1, .w = GEN_SCALES},
        {.k = 96, .d_ff = 96, .n_tokens = 2, .base_max = SL_BASE_MAX},
    };
    run_cases(cases, sizeof cases / sizeof cases[0],
              sl_rng_open("extreme_and_degenerate_data", 2).state);
}

/* Tunes an expert so that g, u or h leave their windows, and tells what the record must show. */
struct window_case {
    const char *what;
    int g_shift, u_shift; /* added to the exponents of gate and up */
    int u_h;              /* absolute */
    int drop;             /* u_h_drop */
    bool sat_gu, saturates, clamps;
};

static const struct window_case windows[] = {
    {"h inside", 0, 0, 16, 0, false, false, false},
    {"g saturates", 40, 0, 0, 0, true, false, false},
    {"u saturates", 0, 40, 0, 0, true, false, false},
    {"g and u saturate", 60, 60, -64, 0, true, false, true},
    {"h above the window", 0, 0, 53, 0, false, true, false},
    {"h below the window", 0, 0, -30, 0, false, false, true},
    {"drop brings h back", 0, 0, 53, 40, false, false, false},
    {"drop empties h", 0, 0, 53, 255, false, false, true},
    {"drop from the lowest u_h", 0, 0, -64, 255, false, false, true},
    {"g vanishes", -60, 0, 10, 0, false, false, false},
    {"tiny u at the largest u_h", 0, -14, 53, 0, false, true, false},
};

static void run_window(struct core_rig *rig, const struct window_case *c, int format, uint64_t seed)
{
    const struct expert_case shape = {
        .k = 96, .d_ff = 128, .n_tokens = 5, .w = GEN_TYPICAL, .x = GEN_TYPICAL};
    struct gen_expert ex;
    rig_reset(rig, seed, "expert window '%s' format %d", c->what, format);
    CU_ASSERT_TRUE_FATAL(make_expert(rig, &shape, format, &ex));
    const uint8_t *x = rig_at(rig, rig->job[0].x_off);
    ex.head.exp0 = (int16_t)(gen_exponent(&ex.m[0], x, ex.head.mant0, 0) + c->g_shift);
    ex.head.exp1 = (int16_t)(gen_exponent(&ex.m[1], x, ex.head.mant1, 0) + c->u_shift);
    ex.head.u_h = (int16_t)c->u_h;
    rig->job[0].u_h_drop = (uint8_t)c->drop;
    rig->job[0].w_off = rig_put_expert(rig, &ex);
    CU_ASSERT_TRUE(rig_run(rig));
    struct sl_record rec = rig_record(rig, 0);
    CU_ASSERT_EQUAL(rec.sat_gu != 0, c->sat_gu);
    CU_ASSERT_EQUAL(rec.saturations != 0, c->saturates);
    CU_ASSERT_EQUAL(rec.clamps != 0, c->clamps);
    gen_expert_free(&ex);
}

static void windows_of_g_u_and_h(void)
{
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, 256, 4096), 0);
        for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
            for (int format = 0; format < N_FORMAT; format++)
                run_window(&rig, &windows[i], format, 300 + 10 * i + (uint64_t)format);
        rig_close(&rig);
    }
}

/* Outputs that are subnormal, zero or infinite as fp32. */
static void output_range_of_fp32(void)
{
    static const int exponents[] = {-32768, -300, -215, -205, -200, -190, 60, 90, 110, 32767};
    const struct expert_case shape = {.k = 64, .d_ff = 64, .n_tokens = 2};
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim:4", 256, 4096), 0);
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        struct gen_expert ex;
        rig_reset(&rig, 400 + i, "expert exp2 %d", exponents[i]);
        CU_ASSERT_TRUE_FATAL(make_expert(&rig, &shape, SL_FORMAT_FP8, &ex));
        ex.head.exp2 = (int16_t)exponents[i];
        ex.head.u_h = 14;
        rig.job[0].w_off = rig_put_expert(&rig, &ex);
        CU_ASSERT_TRUE(rig_run(&rig));
        gen_expert_free(&ex);
    }
    rig_close(&rig);
}

/* Whole expert, then its slices cut[i] .. cut[i + 1] with their sum, in one launch. */
static void run_slices(struct core_rig *rig, const struct expert_case *whole, int format,
                       const uint32_t *cut, unsigned n)
{
    struct gen_expert ex;
    CU_ASSERT_TRUE_FATAL(make_expert(rig, whole, format, &ex));
    const uint32_t w_off = rig_put_expert(rig, &ex), x_off = rig->job[0].x_off,
                   x_stride = rig->job[0].x_stride;
    const uint32_t part_beats = (uint32_t)ref_ceil_div(8 * whole->k, 64), stride = part_beats + 1;
    const uint32_t parts = rig_ctl(rig, (uint64_t)n * whole->n_tokens * stride);
    rig->job[0].w_off = w_off;
    for (unsigned i = 0; i < n; i++) {
        struct expert_case part = *whole;
        part.first = cut[i];
        part.count = cut[i + 1] - cut[i];
        part.flags = SL_FLAG_PARTIAL;
        struct sl_job *job = add_job(rig, &part, format);
        job->w_off = w_off;
        job->x_off = x_off;
        job->x_stride = (uint16_t)x_stride;
        job->y_off = parts + i * whole->n_tokens * stride;
        job->y_stride = (uint16_t)stride;
    }
    struct sl_job *sum = rig_job(rig, SL_OP_REDUCE);
    sum->n_tokens = (uint16_t)whole->n_tokens;
    sum->rows = whole->k;
    sum->n_part = (uint8_t)n;
    sum->x_off = parts;
    sum->x_stride = (uint16_t)stride;
    sum->part_stride = whole->n_tokens * stride;
    sum->y_stride = rig->job[0].y_stride;
    sum->y_off = rig_ctl(rig, (uint64_t)whole->n_tokens * sum->y_stride);
    sum->scale_mant = ex.head.mant2;
    sum->scale_exp = (int16_t)(ex.head.exp2 - ex.head.u_h);
    CU_ASSERT_TRUE(rig_run(rig));
    for (unsigned t = 0; t < whole->n_tokens; t++)
        CU_ASSERT_EQUAL(
            memcmp(rig->got + (rig->job[0].y_off + t * sum->y_stride) * (size_t)SL_BEAT_BYTES,
                   rig->got + (sum->y_off + t * sum->y_stride) * (size_t)SL_BEAT_BYTES,
                   4 * whole->k),
            0);
    gen_expert_free(&ex);
}

static void slices_add_up_to_the_whole(void)
{
    static const struct {
        uint32_t d_ff, cut[6];
        unsigned n;
    } splits[] = {
        {192, {0, 96, 192}, 2},
        {192, {0, 32, 160, 192}, 3},
        {2144, {0, 992, 1056, 2080, 2144}, 4},
        {160, {0, 32, 64, 96, 128, 160}, 5},
    };
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, 4096, 40000), 0);
        for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++)
            for (int format = 0; format < N_FORMAT; format++) {
                struct expert_case whole = {.k = 96, .d_ff = splits[i].d_ff, .n_tokens = 3};
                rig_reset(&rig, 500 + 10 * i + (uint64_t)format,
                          "expert d_ff %u in %u slices, format %d", whole.d_ff, splits[i].n,
                          format);
                run_slices(&rig, &whole, format, splits[i].cut, splits[i].n);
            }
        rig_close(&rig);
    }
}

/* Rows 9, 0, 9, 3, ... of a table of ten, with choices in the upper bits. */
static void token_lists_repeat_and_jump(void)
{
    const struct expert_case c = {.k = 160, .d_ff = 64, .n_tokens = 10};
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, 4096, 20000), 0);
        for (unsigned n = 1; n <= SL_MAX_TOKENS; n = n * 3 + 1) {
            struct gen_expert ex;
            int format = (int)(n % N_FORMAT);
            rig_reset(&rig, 600 + n, "expert with a list of %u", n);
            CU_ASSERT_TRUE_FATAL(make_expert(&rig, &c, format, &ex));
            struct sl_job *job = &rig.job[0];
            job->flags = SL_FLAG_LIST;
            job->n_tokens = (uint16_t)n;
            job->list_off = rig_ctl(&rig, ref_ceil_div(4 * n, 64));
            for (unsigned i = 0; i < n; i++) {
                uint32_t row = i % 3 == 0 ? 9 : (uint32_t)sl_rng_range(&rig.rng, 0, 9);
                ref_put32(rig_at(&rig, job->list_off) + 4 * i, row | (i * 37 & 255)
                                                                         << SL_LIST_TOKEN_BITS);
            }
            job->y_off = rig_ctl(&rig, (uint64_t)n * job->y_stride);
            job->w_off = rig_put_expert(&rig, &ex);
            CU_ASSERT_TRUE(rig_run(&rig));
            CU_ASSERT_EQUAL(rig_record(&rig, 0).status, SL_STATUS_OK);
            gen_expert_free(&ex);
        }
        rig_close(&rig);
    }
}

/* The arenas end with the slack, so that a sanitizer sees a read behind it. */
static void in_an_arena_of_its_own_size(void)
{
    static const struct expert_case parts[] = {
        {.k = 96, .d_ff = 160, .n_tokens = 2},
        {.k = 96, .d_ff = 160, .n_tokens = 2, .first = 128, .count = 32},
        {.k = 32, .d_ff = 1056, .n_tokens = 1, .first = 32, .count = 1024},
    };
    for (int i = 0; rig_devices[i]; i++)
        for (size_t n = 0; n < N_FORMAT * sizeof parts / sizeof parts[0]; n++) {
            const struct expert_case *c = &parts[n / N_FORMAT];
            int format = (int)(n % N_FORMAT);
            struct ref_region region[2];
            uint64_t beats =
                ref_expert_regions(format, c->k, c->d_ff, rig_device_ports(rig_devices[i]), region);
            struct core_rig rig;
            CU_ASSERT_EQUAL_FATAL(
                rig_open(&rig, rig_devices[i], 256, (uint32_t)beats + SL_SLACK_BEATS), 0);
            CU_ASSERT_TRUE(run_case(&rig, c, format, 650 + n));
            rig_close(&rig);
        }
}

/* ---- against mathematics --------------------------------------------------------------------- */

static double weight(const struct gen_expert *ex, int i, uint32_t row, uint32_t col)
{
    static const size_t mant_at[] = {SL_AT_slab_mant0, SL_AT_slab_mant1, SL_AT_slab_mant2};
    static const size_t exp_at[] = {SL_AT_slab_exp0, SL_AT_slab_exp1, SL_AT_slab_exp2};
    const uint8_t *head = (const uint8_t *)&ex->head;
    int e = (int16_t)ref_get16(head + exp_at[i]);
    return ldexp(ref_matrix_value(&ex->m[i], row, col) * ref_get16(head + mant_at[i]), e);
}

/* y = down(silu(gate x) * (up x)) in binary64. Returns the root mean square of h. */
static double ffn(const struct gen_expert *ex, const double *x, double *y)
{
    const uint32_t k = ex->head.k, d_ff = ex->head.rows;
    double square = 0;
    memset(y, 0, k * sizeof *y);
    for (uint32_t j = 0; j < d_ff; j++) {
        double g = 0, u = 0;
        for (uint32_t c = 0; c < k; c++) {
            g += weight(ex, 0, j, c) * x[c];
            u += weight(ex, 1, j, c) * x[c];
        }
        double h = g / (1 + exp(-g)) * u;
        square += h * h / d_ff;
        for (uint32_t i = 0; i < k; i++)
            y[i] += weight(ex, 2, i, j) * h;
    }
    return sqrt(square);
}

/* Error in rms of the core's output against ffn() of the same weights and the unquantised x. */
static double ffn_error(struct core_rig *rig, int format, int target)
{
    enum { K = 512, D_FF = 256 };
    static double x[K], y[K];
    const struct expert_case c = {.k = K, .d_ff = D_FF, .n_tokens = 1, .w = GEN_TYPICAL};
    struct gen_expert ex;
    double wrong = 0, right = 0;
    if (!make_expert(rig, &c, format, &ex))
        return 1;
    uint8_t *item = rig_at(rig, rig->job[0].x_off);
    for (uint32_t i = 0; i < K; i++)
        x[i] = sl_rng_normal(&rig->rng);
    gen_quantise8(x, K, item);
    ex.head.exp0 = (int16_t)gen_exponent(&ex.m[0], item, ex.head.mant0, target);
    ex.head.exp1 = (int16_t)gen_exponent(&ex.m[1], item, ex.head.mant1, target);
    ex.head.u_h = (int16_t)(14 - ilogb(4 * ffn(&ex, x, y)));
    rig->job[0].w_off = rig_put_expert(rig, &ex);
    CU_ASSERT_TRUE(rig_run(rig));
    for (uint32_t i = 0; i < K; i++) {
        double got = ref_float(ref_get32(rig_at(rig, rig->job[0].y_off) + 4 * i));
        wrong += (got - y[i]) * (got - y[i]);
        right += y[i] * y[i];
    }
    gen_expert_free(&ex);
    return sqrt(wrong / right);
}

static void near_the_ffn_in_binary64(void)
{
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", 4096, 40000), 0);
    for (int target = -6; target <= 4; target += 2)
        for (int format = 0; format < N_FORMAT; format++) {
            rig_reset(&rig, 700 + (uint64_t)format,
                      "expert against binary64, format %d, g about 2^%d", format, target);
            double error = ffn_error(&rig, format, target);
            CU_ASSERT(error < 0.035);
            CU_ASSERT(error > 1e-4); /* 8-bit activations cannot be better */
        }
    rig_close(&rig);
}

static void helpers_agree_with_binary64(void)
{
    struct sl_rng rng = sl_rng_open("helpers", 8);
    for (int i = 0; i < 20000; i++) {
        int64_t v = (int64_t)sl_rng_next(&rng) >> sl_rng_range(&rng, 0, 63);
        int e = (int)sl_rng_range(&rng, -215, 80);
        uint16_t m = (uint16_t)sl_rng_next(&rng);
        int64_t narrow =
            v >> 26; /* 38 bits times 16 are exact in binary64, then one rounding to fp32 */
        float want = (float)ldexp((double)narrow * m, e);
        if (m && narrow)
            CU_ASSERT_EQUAL(ref_float(ref_scale_f32(narrow, m, e)), want);
        int s = (int)sl_rng_range(&rng, 1, 40);
        CU_ASSERT_EQUAL((double)ref_round(v >> 11, s), nearbyint(ldexp((double)(v >> 11), -s)));
        int32_t g = (int32_t)(v >> 32);
        CU_ASSERT(fabs(ref_sigmoid(g) / 65536.0 - 1 / (1 + exp(-g / 65536.0))) < 7e-5);
        uint32_t d = (uint32_t)v;
        CU_ASSERT(fabs(ref_exp_neg(d) / 1073741824.0 - exp(-(double)d / 65536)) < 2e-6);
    }
    CU_ASSERT_EQUAL(ref_scale_f32(0, 5, 0), 0);
    CU_ASSERT_EQUAL(ref_scale_f32(-1, 1, -200), 0x80000000u);
    CU_ASSERT_EQUAL(ref_scale_f32(-1, 1, 128), 0xFF800000u);
    CU_ASSERT_EQUAL(ref_scale_f32(1, 1, -149), 1);
    CU_ASSERT_EQUAL(ref_scale_f32(0x1FFFFFF, 1, 103), 0x7F800000u); /* rounds up past the largest */
    CU_ASSERT_EQUAL(ref_code_value(SL_FORMAT_FP8, 0x7E), 229376);   /* 448 * 2^9 */
    CU_ASSERT_EQUAL(ref_code_value(SL_FORMAT_FP8, 0x81), -1);
    CU_ASSERT_EQUAL(ref_code_value(SL_FORMAT_MXFP4, 15), -12);
}

/* ---- whole experts, on request --------------------------------------------------------------- */

static void experts_of_the_target_models(void)
{
    static const struct expert_case cases[] = {
        {.k = 2048, .d_ff = 8192, .n_tokens = 2, .w = GEN_TYPICAL},  /* Yuan 2.0-M32 */
        {.k = 6400, .d_ff = 18304, .n_tokens = 1, .w = GEN_TYPICAL}, /* Hunyuan-Large */
    };
    if (!rig_long()) {
        CU_PASS("SL_LONG=1 runs whole experts");
        return;
    }
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        uint32_t w_beats = !strcmp(*device, "csim")     ? 6000000
                           : !strcmp(*device, "csim:4") ? 1500000
                                                        : 250000;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, CTL_BEATS, w_beats), 0);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            for (int format = 0; format < N_FORMAT; format++)
                CU_ASSERT_TRUE(run_case(&rig, &cases[i], format, 800 + 10 * i + (uint64_t)format));
        rig_close(&rig);
    }
}

static const struct sl_case cases[] = {
    {"helpers_of_the_reference_agree_with_binary64", helpers_agree_with_binary64},
    {"expert_is_near_the_ffn_in_binary64", near_the_ffn_in_binary64},
    {"expert_equals_the_reference_in_every_format_and_shape", every_format_and_shape},
    {"expert_equals_the_reference_on_extreme_and_degenerate_data", extreme_and_degenerate_data},
    {"expert_counts_what_leaves_the_windows_of_g_u_and_h", windows_of_g_u_and_h},
    {"expert_rounds_subnormal_and_infinite_outputs", output_range_of_fp32},
    {"slices_of_an_expert_add_up_to_the_whole", slices_add_up_to_the_whole},
    {"expert_follows_lists_that_repeat_and_jump", token_lists_repeat_and_jump},
    {"expert_fits_an_arena_of_its_own_size", in_an_arena_of_its_own_size},
    {"experts_of_the_target_models_equal_the_reference", experts_of_the_target_models},
    {NULL, NULL},
};

const struct sl_suite suite_core_expert = {"core_expert", cases};
