/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slab_read.h"
#include "sluice.h"
#include "store/slab.h"
#include "test_main.h"

static struct sl_slab make_header(int kind, int format, uint32_t k, uint32_t rows)
{
    uint16_t mant = format == SL_FORMAT_FP8 && kind != SL_KIND_ROUTER ? 40000 : 1;
    return (struct sl_slab){.magic = SL_SLAB_MAGIC,
                            .kind = (uint8_t)kind,
                            .format = (uint8_t)format,
                            .k = k,
                            .rows = rows,
                            .mant0 = mant,
                            .mant1 = mant,
                            .mant2 = mant,
                            .exp0 = -7,
                            .exp1 = -8,
                            .exp2 = -9};
}

/* A slab with random contents behind its header; aligned like a real one. */
static uint8_t *make_slab(struct sl_rng *rng, const struct sl_slab *h)
{
    uint64_t bytes = sl_slab_beats(h) * 64;
    uint8_t *p = aligned_alloc(64, bytes);
    memcpy(p, h, 64);
    for (uint64_t i = 64; i < bytes; i++)
        p[i] = (uint8_t)(sl_rng_next(rng) >> 24);
    return p;
}

static const struct sl_slab *as_header(const uint8_t *slab)
{
    return (const struct sl_slab *)(const void *)slab;
}

/* Sizes worked out by hand from docs/numerics.md 2.4 and 2.5. */
static void test_sizes(void)
{
    struct {
        int kind, format;
        uint32_t k, rows;
        uint64_t beats;
    } cases[] = {
        /* 32 columns: one weight beat per row, one scale beat */
        {SL_KIND_PLAIN, SL_FORMAT_FP8, 32, 1, 1 + 2},
        {SL_KIND_PLAIN, SL_FORMAT_Q8, 32, 1, 1 + 4},
        {SL_KIND_PLAIN, SL_FORMAT_NF4, 32, 3, 1 + 2 * 2},
        /* scale beats step at 1024 (pairs) and 2048 (rows) columns of K64 */
        {SL_KIND_PLAIN, SL_FORMAT_INT4, 1024, 2, 1 + 1 + 16},
        {SL_KIND_PLAIN, SL_FORMAT_INT4, 1056, 2, 1 + 2 + 17},
        {SL_KIND_PLAIN, SL_FORMAT_Q8, 2048, 2, 1 + 2 * (1 + 32)},
        {SL_KIND_PLAIN, SL_FORMAT_Q8, 2080, 2, 1 + 2 * (2 + 33)},
        /* Hunyuan-Large's expert: 6400 x 18304, down 6400 rows in 3200 units */
        {SL_KIND_EXPERT, SL_FORMAT_NF4, 6400, 18304, 1 + 18304 * (7 + 100) + 3200 * (18 + 286)},
        {SL_KIND_EXPERT, SL_FORMAT_Q8, 6400, 18304,
         1 + 18304 * 2 * (4 + 100) + 3200 * 2 * (9 + 286)},
        {SL_KIND_EXPERT, SL_FORMAT_FP8, 6400, 18304, 1 + 18304 * 200 + 3200 * 572},
        {SL_KIND_EXPERT, SL_FORMAT_MXFP4, 64, 96, 1 + 96 * 2 + 32 * (1 + 2)},
        /* 16 rows of 64 s16: one table beat, two beats a row */
        {SL_KIND_ROUTER, 0, 64, 16, 1 + 1 + 16 * 2},
        {SL_KIND_ROUTER, 0, 96, 96, 1 + 2 + 96 * 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_slab h = make_header(cases[i].kind, cases[i].format, cases[i].k, cases[i].rows);
        CU_ASSERT_EQUAL(sl_slab_check(&h), 0);
        CU_ASSERT_EQUAL(sl_slab_beats(&h), cases[i].beats);
    }
    struct sl_slab biased = make_header(SL_KIND_ROUTER, 0, 64, 17);
    biased.flags = SL_SLAB_HAS_BIAS;
    CU_ASSERT_EQUAL(sl_slab_beats(&biased), 1 + 1 + 2 + 17 * 2);
}

/* Every unit of a region, in natural order at `src`, lies at its place on its port. */
static void check_region(const uint8_t *src, uint8_t *const *image, uint64_t at,
                         const uint64_t *shape, unsigned n_port)
{
    uint64_t units = shape[0], bytes = shape[1], wrong = 0;
    for (uint64_t j = 0; j < units; j++)
        wrong += memcmp(image[j % n_port] + at + j / n_port * bytes, src + j * bytes, bytes) != 0;
    CU_ASSERT_EQUAL(wrong, 0);
    uint64_t slots = (units + n_port - 1) / n_port;
    for (uint64_t j = units; j < slots * n_port; j++) /* missing units are zero */
        for (uint64_t b = 0; b < bytes; b++)
            wrong += image[j % n_port][at + j / n_port * bytes + b] != 0;
    CU_ASSERT_EQUAL(wrong, 0);
}

static void check_ports(const uint8_t *slab, unsigned n_port, uint64_t head,
                        const uint64_t regions[2][2])
{
    uint64_t beats = sl_slab_port_beats(as_header(slab), n_port);
    uint64_t want = head / 64;
    for (unsigned r = 0; r < 2; r++)
        want += (regions[r][0] + n_port - 1) / n_port * regions[r][1] / 64;
    CU_ASSERT_EQUAL(beats, want);
    uint8_t *image[SL_MAX_PORTS];
    for (unsigned p = 0; p < n_port; p++) {
        image[p] = malloc(beats * 64);
        memset(image[p], 0xA5, beats * 64);
        sl_slab_port_image(as_header(slab), p, n_port, image[p]);
        CU_ASSERT_EQUAL(memcmp(image[p], slab, head), 0);
    }
    uint64_t src = head, at = head;
    for (unsigned r = 0; r < 2; r++) {
        check_region(slab + src, image, at, regions[r], n_port);
        src += regions[r][0] * regions[r][1];
        at += (regions[r][0] + n_port - 1) / n_port * regions[r][1];
    }
    for (unsigned p = 0; p < n_port; p++)
        free(image[p]);
}

static void test_port_images(void)
{
    static const unsigned ports[] = {1, 4, 28};
    struct sl_rng rng = sl_rng_open("port_images", 1);
    struct {
        int kind, format;
        uint32_t k, rows;
        uint64_t head, regions[2][2];
    } cases[] = {
        {SL_KIND_PLAIN, SL_FORMAT_Q8, 96, 61, 64, {{31, 2 * 3 * 64}, {0, 64}}},
        {SL_KIND_PLAIN, SL_FORMAT_FP8, 64, 5, 64, {{3, 2 * 64}, {0, 64}}},
        {SL_KIND_EXPERT, SL_FORMAT_NF4, 1088, 96, 64, {{96, 19 * 64}, {544, 3 * 64}}},
        {SL_KIND_EXPERT, SL_FORMAT_Q8, 64, 32, 64, {{32, 4 * 64}, {32, 4 * 64}}},
        {SL_KIND_EXPERT, SL_FORMAT_FP8, 32, 64, 64, {{64, 2 * 64}, {16, 2 * 64}}},
        {SL_KIND_ROUTER, 0, 96, 96, 3 * 64, {{96, 4 * 64}, {0, 64}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_slab h = make_header(cases[i].kind, cases[i].format, cases[i].k, cases[i].rows);
        uint8_t *slab = make_slab(&rng, &h);
        for (unsigned p = 0; p < 3; p++)
            check_ports(slab, ports[p], cases[i].head, (const uint64_t(*)[2])cases[i].regions);
        free(slab);
    }
}

/* Codes and scale bytes of a slice are those of the whole at the shifted place; the rest of its
 * beats is padding. */
static void check_slice(const uint8_t *slab, uint32_t first, uint32_t count)
{
    struct sl_slab h = *as_header(slab);
    h.rows = count;
    uint64_t bytes = sl_slab_beats(&h) * 64, wrong = 0;
    uint8_t *slice = aligned_alloc(64, bytes);
    memset(slice, 0xEE, bytes);
    CU_ASSERT_EQUAL(sl_slab_slice(as_header(slab), first, count, slice), 0);
    CU_ASSERT_EQUAL(memcmp(slice, &h, 64), 0);
    for (uint32_t r = 0; r < count; r++)
        for (uint32_t c = 0; c < h.k; c++)
            for (unsigned m = 0; m < 2; m++) {
                struct sl_weight_at a = sl_test_weight(slab, m, first + r, c),
                                    b = sl_test_weight(slice, m, r, c);
                wrong += a.code != b.code || a.scale_byte != b.scale_byte;
            }
    for (uint32_t r = 0; r < h.k; r++)
        for (uint32_t c = 0; c < (count + 63) / 64 * 64; c++) {
            struct sl_weight_at b = sl_test_weight(slice, 2, r, c);
            struct sl_weight_at a = c < count ? sl_test_weight(slab, 2, r, first + c) : b;
            wrong += a.code != b.code || a.scale_byte != b.scale_byte;
            wrong += c >= count && (b.value != 0 || b.scale_byte > 0);
        }
    CU_ASSERT_EQUAL(wrong, 0);
    free(slice);
}

static void test_slices(void)
{
    struct sl_rng rng = sl_rng_open("slices", 2);
    for (int format = 0; format <= SL_FORMAT_MXFP4; format++) {
        struct sl_slab h = make_header(SL_KIND_EXPERT, format, 96, 2144);
        h.u_h = 17;
        uint8_t *slab = make_slab(&rng, &h);
        static const uint32_t cuts[][2] = {{0, 2144},  {0, 32},    {32, 32},
                                           {2112, 32}, {96, 1056}, {64, 1024}};
        for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++)
            check_slice(slab, cuts[i][0], cuts[i][1]);
        free(slab);
    }
}

static void test_bad_slices(void)
{
    struct sl_rng rng = sl_rng_open("bad_slices", 3);
    struct sl_slab h = make_header(SL_KIND_EXPERT, SL_FORMAT_Q8, 32, 64);
    uint8_t *slab = make_slab(&rng, &h), dst[64];
    static const uint32_t bad[][2] = {{0, 0},   {16, 32}, {0, 33},
                                      {32, 64}, {96, 32}, {UINT32_MAX - 31, 64}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(sl_slab_slice(as_header(slab), bad[i][0], bad[i][1], dst), SL_ERR_SHAPE);
    free(slab);
    h = make_header(SL_KIND_PLAIN, SL_FORMAT_Q8, 32, 64);
    CU_ASSERT_EQUAL(sl_slab_slice(&h, 0, 32, dst), SL_ERR_SHAPE);
}

static void expect_bad(struct sl_slab h, const char *field)
{
    CU_ASSERT_EQUAL(sl_slab_check(&h), SL_ERR_FORMAT);
    if (!strstr(sl_error_message(), field))
        CU_FAIL("the message does not name the field");
}

static void test_bad_headers(void)
{
    const struct sl_slab ok = make_header(SL_KIND_EXPERT, SL_FORMAT_Q8, 64, 96);
#define BAD(base, change, field)                                                                   \
    do {                                                                                           \
        struct sl_slab h = base;                                                                   \
        h.change;                                                                                  \
        expect_bad(h, field);                                                                      \
    } while (0)
    BAD(ok, magic ^= 1, "magic");
    BAD(ok, kind = 3, "kind");
    BAD(ok, format = 5, "format");
    BAD(ok, flags = 1, "flags");
    BAD(ok, k = 0, "k");
    BAD(ok, k = 48, "k");
    BAD(ok, k = 32800, "k");
    BAD(ok, rows = 0, "rows");
    BAD(ok, rows = 97, "rows");
    BAD(ok, rows = 32800, "rows");
    BAD(ok, u_h = 54, "u_h");
    BAD(ok, u_h = -65, "u_h");
    BAD(ok, mant0 = 2, "mant0");
    BAD(ok, mant2 = 0, "mant2");
    BAD(ok, exp1 = 128, "exp1");
    BAD(ok, exp1 = -129, "exp1");
    BAD(ok, reserved3 = 1, "reserved");
    const struct sl_slab fp8 = make_header(SL_KIND_PLAIN, SL_FORMAT_FP8, 64, 7);
    BAD(fp8, mant0 = 32767, "mant0");
    BAD(fp8, exp0 = -193, "exp0");
    BAD(fp8, u_h = 1, "u_h");
    BAD(fp8, rows = 262145, "rows");
    const struct sl_slab router = make_header(SL_KIND_ROUTER, 0, 64, 768);
    CU_ASSERT_EQUAL(sl_slab_check(&router), 0);
    BAD(router, rows = 769, "rows");
    BAD(router, format = 1, "format");
    BAD(router, flags = 2, "flags");
    BAD(router, flags = SL_SLAB_HAS_BIAS, "rows");
#undef BAD
}

static const struct sl_case cases[] = {
    {"slab sizes equal those worked out by hand", test_sizes},
    {"every unit lands on its port and place for P = 1, 4, 28", test_port_images},
    {"a slice holds the whole's codes and scales", test_slices},
    {"slices outside of d_ff are refused", test_bad_slices},
    {"a damaged header is refused by the field's name", test_bad_headers},
    {NULL, NULL},
};
const struct sl_suite suite_slab = {"slab", cases};
