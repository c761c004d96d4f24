/* SPDX-License-Identifier: Apache-2.0 */
/* PLAIN and REDUCE on every device against the independent reference. */
#include <math.h>
#include <string.h>

#include "core_rig.h"

enum { N_FORMAT = 5, CTL_BEATS = 60000, W_BEATS = 600000 };

struct plain_case {
    uint32_t k, rows;
    unsigned n_tokens;
    int flags;
    enum gen w, x;
    int base_max;
};

static void make_head(struct core_rig *rig, struct sl_slab *head, const struct ref_matrix *m)
{
    *head = ref_plain_header(m->format, m->k, m->rows);
    head->exp0 = (int16_t)sl_rng_range(&rig->rng, -70, 20);
    if (m->format == SL_FORMAT_FP8)
        head->mant0 = (uint16_t)sl_rng_range(&rig->rng, 32768, 65535);
}

/* Rows of x in the order n_tokens - 1, 0, n_tokens - 1, 1, ... with any choice in the upper bits.
 */
static void put_list(struct core_rig *rig, struct sl_job *job)
{
    job->list_off = rig_ctl(rig, ref_ceil_div(4 * (uint64_t)job->n_tokens, 64));
    for (uint32_t i = 0; i < job->n_tokens; i++) {
        uint32_t row = i % 2 ? i / 2 : job->n_tokens - 1u;
        uint32_t choice = (uint32_t)sl_rng_range(&rig->rng, 0, 255);
        ref_put32(rig_at(rig, job->list_off) + 4 * i, row | choice << SL_LIST_TOKEN_BITS);
    }
}

static bool run_case(struct core_rig *rig, const struct plain_case *c, int format, uint64_t seed)
{
    struct ref_matrix m = {0};
    struct sl_slab head;
    rig_reset(rig, seed, "plain format %d k %u rows %u tokens %u flags %d gen %d/%d", format, c->k,
              c->rows, c->n_tokens, c->flags, c->w, c->x);
    bool ok = ref_matrix_alloc(&m, format, c->rows, c->k);
    if (ok) {
        struct sl_job *job = rig_job(rig, SL_OP_PLAIN);
        gen_matrix(&rig->rng, c->w, &m);
        make_head(rig, &head, &m);
        job->format = (uint8_t)format;
        job->flags = (uint16_t)c->flags;
        job->k = (uint16_t)c->k;
        job->rows = c->rows;
        job->n_tokens = (uint16_t)c->n_tokens;
        rig_place(rig, job, (uint32_t)seed % 3);
        rig_fill_x(rig, job, c->x, c->n_tokens, c->base_max);
        if (c->flags & SL_FLAG_LIST)
            put_list(rig, job);
        job->w_off = rig_put_plain(rig, &head, &m);
        ok = rig_run(rig) && rig_record(rig, 0).status == SL_STATUS_OK;
    }
    ref_matrix_free(&m);
    return ok;
}

static void run_cases(const struct plain_case *cases, size_t n, uint64_t seed)
{
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, 8192, 40000), 0);
        for (size_t i = 0; i < n; i++)
            for (int format = 0; format < N_FORMAT; format++)
                CU_ASSERT_TRUE(run_case(&rig, &cases[i], format, seed + 10 * i + (uint64_t)format));
        rig_close(&rig);
    }
}

static void every_format_and_shape(void)
{
    static const struct plain_case cases[] = {
        {.k = 32, .rows = 1, .n_tokens = 1},
        {.k = 32, .rows = 2, .n_tokens = 64},
        {.k = 64, .rows = 3, .n_tokens = 2},
        {.k = 96, .rows = 55, .n_tokens = 3},
        {.k = 96, .rows = 56, .n_tokens = 7},
        {.k = 96, .rows = 57, .n_tokens = 16},
        {.k = 992, .rows = 113, .n_tokens = 63},
        {.k = 1024, .rows = 16, .n_tokens = 5},
        {.k = 1056, .rows = 97, .n_tokens = 2},
        {.k = 2080, .rows = 31, .n_tokens = 3},
        {.k = 6400, .rows = 129, .n_tokens = 1},
        {.k = 32768, .rows = 5, .n_tokens = 2},
        {.k = 160, .rows = 1000, .n_tokens = 17, .base_max = SL_BASE_MAX},
        {.k = 96, .rows = 7, .n_tokens = 2, .flags = SL_FLAG_PARTIAL | SL_FLAG_PORT_COUNTERS},
        {.k = 2080, .rows = 8, .n_tokens = 3, .flags = SL_FLAG_PARTIAL},
        {.k = 96, .rows = 21, .n_tokens = 1, .flags = SL_FLAG_LIST},
        {.k = 288, .rows = 12, .n_tokens = 17, .flags = SL_FLAG_LIST, .base_max = 4},
        {.k = 64, .rows = 9, .n_tokens = 64, .flags = SL_FLAG_LIST | SL_FLAG_PARTIAL},
        {.k = 1120, .rows = 59, .n_tokens = 1, .flags = SL_FLAG_PORT_COUNTERS},
    };
    run_cases(cases, sizeof cases / sizeof cases[0],
              sl_rng_open("every_format_and_shape", 11).state);
}

static void extreme_and_degenerate_data(void)
{
    static const struct plain_case cases[] = {
        {.k = 32768,
         .rows = 4,
         .n_tokens = 2,
         .w = GEN_WORST,
         .x = GEN_WORST,
         .flags = SL_FLAG_PARTIAL},
        {.k = 32768, .rows = 3, .n_tokens = 1, .w = GEN_WORST, .x = GEN_WORST, .base_max = 60},
        {.k = 992, .rows = 61, .n_tokens = 3, .w = GEN_ANY},
        {.k = 96, .rows = 9, .n_tokens = 2, .w = GEN_ZERO},
        {.k = 96, .rows = 9, .n_tokens = 2, .x = GEN_ZERO},
        {.k = 160, .rows = 33, .n_tokens = 3, .w = GEN_SMALL},
        {.k = 160, .rows = 33, .n_tokens = 3, .x = GEN_SMALL},
        {.k = 4128, .rows = 10, .n_tokens = 1, .w = GEN_SCALES},
    };
    run_cases(cases, sizeof cases / sizeof cases[0],
              sl_rng_open("extreme_and_degenerate_data", 12).state);
}

static void the_largest_row_count(void)
{
    static const struct plain_case c = {.k = 32, .rows = SL_MAX_ROWS, .n_tokens = 2};
    static const struct plain_case odd = {
        .k = 64, .rows = SL_MAX_ROWS - 1, .n_tokens = 1, .flags = SL_FLAG_PARTIAL};
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, CTL_BEATS,
                                       rig_device_ports(*device) == 1 ? W_BEATS : W_BEATS / 4),
                              0);
        CU_ASSERT_TRUE(run_case(&rig, &c, SL_FORMAT_Q8, 120));
        CU_ASSERT_TRUE(run_case(&rig, &odd, SL_FORMAT_NF4, 120));
        rig_close(&rig);
    }
}

/* The arenas end with the slack, so that a sanitizer sees a read behind it. */
static void in_an_arena_of_its_own_size(void)
{
    static const struct plain_case parts[] = {{.k = 96, .rows = 57, .n_tokens = 2},
                                              {.k = 1056, .rows = 8, .n_tokens = 1}};
    for (int i = 0; rig_devices[i]; i++)
        for (size_t n = 0; n < N_FORMAT * sizeof parts / sizeof parts[0]; n++) {
            const struct plain_case *c = &parts[n / N_FORMAT];
            int format = (int)(n % N_FORMAT);
            struct ref_region region;
            uint64_t beats =
                ref_plain_region(format, c->k, c->rows, rig_device_ports(rig_devices[i]), &region);
            struct core_rig rig;
            CU_ASSERT_EQUAL_FATAL(
                rig_open(&rig, rig_devices[i], 256, (uint32_t)beats + SL_SLACK_BEATS), 0);
            CU_ASSERT_TRUE(run_case(&rig, c, format, 150 + n));
            rig_close(&rig);
        }
}

/* Parts of random words, by part or by token in memory. */
static void run_reduce(struct core_rig *rig, uint32_t rows, unsigned n_tokens, unsigned n_part,
                       bool by_token)
{
    struct sl_job *job = rig_job(rig, SL_OP_REDUCE);
    job->rows = rows;
    job->n_tokens = (uint16_t)n_tokens;
    job->n_part = (uint8_t)n_part;
    uint32_t part = (uint32_t)ref_x_beats(job) + 1;
    job->x_stride = (uint16_t)(by_token ? part * n_part : part);
    job->part_stride = by_token ? part : part * n_tokens;
    job->y_stride = (uint16_t)(ref_y_beats(job) + 2);
    job->x_off = rig_ctl(rig, (uint64_t)part * n_part * n_tokens);
    job->y_off = rig_ctl(rig, (uint64_t)job->y_stride * n_tokens);
    job->scale_mant = (uint16_t)sl_rng_range(&rig->rng, rows % 5 == 0 ? 0 : 1, 65535);
    job->scale_exp = (int16_t)sl_rng_range(&rig->rng, -220, 70);
    uint8_t *x = rig_at(rig, job->x_off);
    for (size_t i = 0; i < (size_t)part * n_part * n_tokens * 8; i++)
        ref_put64(x + 8 * i,
                  (uint64_t)((int64_t)sl_rng_next(&rig->rng) >> sl_rng_range(&rig->rng, 0, 63)));
    CU_ASSERT_TRUE(rig_run(rig));
    CU_ASSERT_EQUAL(rig_record(rig, 0).status, SL_STATUS_OK);
}

static void reduce_in_every_shape(void)
{
    static const unsigned rows[] = {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 250, 1000, 6400};
    static const unsigned tokens[] = {1, 2, 3, 7, 16, 63, 64}, parts[] = {1, 2, 3, 8, 255};
    for (const char *const *device = rig_devices; *device; device++) {
        struct core_rig rig;
        unsigned n = 0;
        CU_ASSERT_EQUAL_FATAL(rig_open(&rig, *device, CTL_BEATS, 16), 0);
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
            for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
                unsigned n_tokens = tokens[n++ % 7];
                if ((rows[r] / 8 + 2) * parts[p] * n_tokens > 20000)
                    n_tokens = 1;
                rig_reset(&rig, 1300 + n, "reduce rows %u parts %u tokens %u", rows[r], parts[p],
                          n_tokens);
                if ((rows[r] / 8 + 2) * parts[p] * n_tokens < 50000)
                    run_reduce(&rig, rows[r], n_tokens, parts[p], n % 2);
            }
        rig_close(&rig);
    }
}

static void reduce_of_the_largest_row_count(void)
{
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", 120000, 16), 0);
    rig_reset(&rig, 1400, "reduce of MAX_ROWS");
    run_reduce(&rig, SL_MAX_ROWS, 1, 2, false);
    rig_close(&rig);
}

/* Sums that cancel to zero, wrap, and give the largest words. */
static void reduce_at_the_edges(void)
{
    static const int64_t pairs[][2] = {
        {5, -5},        {INT64_MAX, INT64_MAX}, {INT64_MIN, INT64_MIN},
        {INT64_MIN, 0}, {INT64_MAX, 0},         {-1, 0},
        {1, 0},         {INT64_MAX, 1}};
    static const int exponents[] = {-32768, -230, -212, -166, -150, 0, 60, 64, 65, 32767};
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", 256, 16), 0);
    for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++) {
        rig_reset(&rig, 1500 + e, "reduce at the edges, exponent %d", exponents[e]);
        struct sl_job *job = rig_job(&rig, SL_OP_REDUCE);
        job->rows = 8;
        job->n_part = 2;
        job->part_stride = 1;
        job->scale_mant = e % 2 ? 65535 : 1;
        job->scale_exp = (int16_t)exponents[e];
        job->x_off = rig_ctl(&rig, 2);
        job->y_off = rig_ctl(&rig, 1);
        for (int i = 0; i < 8; i++) {
            ref_put64(rig_at(&rig, job->x_off) + 8 * i, (uint64_t)pairs[i][0]);
            ref_put64(rig_at(&rig, job->x_off + 1) + 8 * i, (uint64_t)pairs[i][1]);
        }
        CU_ASSERT_TRUE(rig_run(&rig));
        CU_ASSERT_EQUAL(ref_get32(rig_at(&rig, job->y_off)), 0); /* 5 - 5 is +0 */
    }
    rig_close(&rig);
}

/* y against W x in binary64 with the same codes: only the last rounding differs. */
static void near_the_product_in_binary64(void)
{
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim:4", 4096, 20000), 0);
    for (int format = 0; format < N_FORMAT; format++) {
        static const struct plain_case c = {.k = 416, .rows = 75, .n_tokens = 1};
        struct ref_matrix m;
        struct sl_slab head;
        rig_reset(&rig, 1600 + (uint64_t)format, "plain against binary64, format %d", format);
        CU_ASSERT_TRUE_FATAL(ref_matrix_alloc(&m, format, c.rows, c.k));
        gen_matrix(&rig.rng, GEN_TYPICAL, &m);
        make_head(&rig, &head, &m);
        struct sl_job *job = rig_job(&rig, SL_OP_PLAIN);
        job->format = (uint8_t)format;
        job->k = (uint16_t)c.k;
        job->rows = c.rows;
        rig_place(&rig, job, 0);
        rig_fill_x(&rig, job, GEN_TYPICAL, 1, 5);
        job->w_off = rig_put_plain(&rig, &head, &m);
        CU_ASSERT_TRUE(rig_run(&rig));
        for (uint32_t r = 0; r < c.rows; r++) {
            double want = 0, size = 0, got = ref_float(ref_get32(rig_at(&rig, job->y_off) + 4 * r));
            for (uint32_t i = 0; i < c.k; i++) {
                double term = ldexp(ref_matrix_value(&m, r, i) * head.mant0, head.exp0) *
                              gen_value8(rig_at(&rig, job->x_off), c.k, i);
                want += term;
                size += fabs(term);
            }
            CU_ASSERT(size > 0 && fabs(got - want) <= 6e-8 * fabs(want) + 1e-13 * size);
        }
        ref_matrix_free(&m);
    }
    rig_close(&rig);
}

static const struct sl_case cases[] = {
    {"plain_is_the_product_in_binary64_rounded_once", near_the_product_in_binary64},
    {"plain_equals_the_reference_in_every_format_and_shape", every_format_and_shape},
    {"plain_equals_the_reference_on_extreme_and_degenerate_data", extreme_and_degenerate_data},
    {"plain_has_262144_rows", the_largest_row_count},
    {"plain_fits_an_arena_of_its_own_size", in_an_arena_of_its_own_size},
    {"reduce_equals_the_reference_in_every_shape", reduce_in_every_shape},
    {"reduce_adds_262144_rows", reduce_of_the_largest_row_count},
    {"reduce_wraps_cancels_and_rounds_at_the_edges", reduce_at_the_edges},
    {NULL, NULL},
};

const struct sl_suite suite_core_plain = {"core_plain", cases};
