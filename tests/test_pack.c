/* SPDX-License-Identifier: Apache-2.0 */
/* The packer against plain re-implementations in binary64 of the rules in docs/numerics.md 2
 * and 3.2. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "slab_read.h"
#include "store/pack.h"
#include "store/slab.h"
#include "test_main.h"

/* ---- tensors made here ---------------------------------------------------------------------- */

struct matrix {
    struct sl_tensor t;
    float *f32; /* the values as the packer sees them */
    void *data;
};

static struct matrix make_tensor(uint32_t rows, uint32_t cols, enum sl_dtype dtype, float scale)
{
    struct matrix m = {.t = {.name = "made.here.weight",
                             .dtype = dtype,
                             .n_dim = 2,
                             .dim = {rows, cols},
                             .n_elem = (uint64_t)rows * cols,
                             .scale = scale}};
    m.t.n_bytes = m.t.n_elem * sl_dtype_size(dtype);
    m.data = calloc(m.t.n_bytes, 1);
    m.t.data = m.data;
    m.f32 = dtype == SL_DTYPE_F32 ? m.data : calloc(m.t.n_elem, sizeof(float));
    return m;
}

static void free_tensor(struct matrix *m)
{
    if (m->f32 != m->data)
        free(m->f32);
    free(m->data);
}

enum shape_of_noise { GAUSS, HEAVY, RAGGED };

/* GAUSS: normal. HEAVY: normal with rare large ones. RAGGED: group sizes over 40 octaves. */
static struct matrix make_noise(struct sl_rng *rng, uint32_t rows, uint32_t cols, int kind)
{
    struct matrix m = make_tensor(rows, cols, SL_DTYPE_F32, 1);
    for (uint64_t i = 0; i < m.t.n_elem; i++) {
        double v = sl_rng_normal(rng) * 0.03;
        if (kind == HEAVY && sl_rng_range(rng, 0, 200) == 0)
            v *= 20;
        if (kind == RAGGED)
            v = ldexp(v, -(int)(i / 32 * 7 % 41));
        m.f32[i] = (float)v;
    }
    return m;
}

static struct sl_pack_matrix view(const struct matrix *m)
{
    uint32_t rows = (uint32_t)m->t.dim[0], cols = (uint32_t)m->t.dim[1];
    return (struct sl_pack_matrix){
        .tensor = &m->t, .n_row = rows, .rows = rows, .k = (cols + 31) / 32 * 32};
}

static uint8_t *emit(const struct sl_pack_plan *plan, struct sl_pack_run *run)
{
    uint8_t *slab = aligned_alloc(64, sl_slab_beats(&plan->header) * 64);
    CU_ASSERT_EQUAL(sl_pack_slab(plan, slab, run), 0);
    return slab;
}

static uint8_t *pack_plain(const struct matrix *m, int format, struct sl_pack_run *run)
{
    struct sl_pack_plan plan;
    struct sl_pack_matrix v = view(m);
    CU_ASSERT_EQUAL_FATAL(sl_pack_plan_plain(&plan, &v, format, run), 0);
    return emit(&plan, run);
}

/* ---- group-scaled formats ------------------------------------------------------------------- */

/* The nearest value of the table, the lower code on ties: every code tried in turn. */
static int nearest_code(int format, double w, double scale)
{
    int best = 0;
    double least = INFINITY;
    if (format == SL_FORMAT_Q8) {
        /* s8 codes in ascending order of value; -128 is not emitted */
        for (int v = -127; v <= 127; v++) {
            double d = fabs(w - v * scale);
            if (d < least)
                least = d, best = v & 255;
        }
        return best;
    }
    for (int code = 0; code < 16; code++) {
        double d = fabs(w - sl_test_code_value(format, code) * scale);
        if (d < least)
            least = d, best = code;
    }
    return best;
}

static double scale_value(int byte, int e0)
{
    return ldexp(32 + (byte & 31), (byte >> 5) + e0);
}

static double group_error(int format, const float *w, double scale)
{
    double sum = 0;
    for (int i = 0; i < 32; i++) {
        double d = w[i] - sl_test_code_value(format, nearest_code(format, w[i], scale)) * scale;
        sum += d * d;
    }
    return sum;
}

/* The byte nearest to absmax / top, by trying all 256; -1000 far below the window. */
static int middle_byte(int format, double absmax, int e0)
{
    double a = absmax / sl_test_top(format);
    if (a < scale_value(0, e0))
        return (int)rint(a / ldexp(1, e0)) - 32;
    int best = 0;
    for (int b = 1; b < 256; b++)
        if (fabs(scale_value(b, e0) - a) < fabs(scale_value(best, e0) - a))
            best = b;
    return best;
}

struct group_check {
    uint64_t n_bad_byte, n_bad_code, n_raised;
};

/* One stored group against the rule. */
static void check_group(const uint8_t *slab, uint32_t row, uint32_t col, const float *w,
                        struct group_check *out)
{
    struct sl_slab h;
    memcpy(&h, slab, sizeof h);
    struct sl_weight_at first = sl_test_weight(slab, 0, row, col);
    double absmax = 0, least = INFINITY, got;
    for (int i = 0; i < 32; i++)
        absmax = fmax(absmax, fabs((double)w[i]));
    int middle = middle_byte(h.format, absmax, h.exp0);
    for (int b = middle - 1; b <= middle + 2; b++)
        least = fmin(least, group_error(h.format, w,
                                        scale_value(b < 0     ? 0
                                                    : b > 255 ? 255
                                                              : b,
                                                    h.exp0)));
    double scale = scale_value(first.scale_byte, h.exp0);
    got = group_error(h.format, w, scale);
    out->n_bad_byte += got > least * (1 + 1e-12);
    out->n_raised += absmax > 0 && absmax / sl_test_top(h.format) < scale_value(0, h.exp0);
    for (uint32_t i = 0; i < 32; i++)
        out->n_bad_code +=
            sl_test_weight(slab, 0, row, col + i).code != nearest_code(h.format, w[i], scale);
}

static void check_plain(const struct matrix *m, int format)
{
    struct sl_pack_run run = {0};
    uint8_t *slab = pack_plain(m, format, &run);
    uint32_t rows = (uint32_t)m->t.dim[0], cols = (uint32_t)m->t.dim[1];
    struct sl_slab h;
    memcpy(&h, slab, sizeof h);
    double absmax = 0;
    for (uint64_t i = 0; i < m->t.n_elem; i++)
        absmax = fmax(absmax, fabs((double)m->f32[i]));
    CU_ASSERT_EQUAL(h.exp0, (int)floor(log2(absmax / sl_test_top(format))) - 12);
    CU_ASSERT_EQUAL(h.mant0, 1);
    struct group_check check = {0};
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < cols; c += 32)
            check_group(slab, r, c, m->f32 + r * cols + c, &check);
    CU_ASSERT_EQUAL(check.n_bad_byte, 0);
    CU_ASSERT_EQUAL(check.n_bad_code, 0);
    CU_ASSERT_EQUAL(run.n_group, (uint64_t)rows * cols / 32);
    CU_ASSERT_EQUAL(run.n_group_raised, check.n_raised);
    free(slab);
}

static void test_groups(void)
{
    struct sl_rng rng = sl_rng_open("groups", 11);
    for (int format = SL_FORMAT_Q8; format <= SL_FORMAT_MXFP4; format++)
        for (int kind = GAUSS; kind <= RAGGED; kind++) {
            struct matrix m = make_noise(&rng, 13, 1120, kind);
            check_plain(&m, format);
            free_tensor(&m);
        }
}

/* Weights that are integers and half integers of the scale: every rounding is a tie somewhere. */
static void test_ties(void)
{
    struct sl_rng rng = sl_rng_open("ties", 12);
    for (int format = SL_FORMAT_Q8; format <= SL_FORMAT_MXFP4; format++) {
        struct matrix m = make_tensor(8, 128, SL_DTYPE_F32, 1);
        int top = sl_test_top(format);
        for (uint64_t i = 0; i < m.t.n_elem; i++)
            m.f32[i] = ldexpf((float)(sl_rng_range(&rng, -4 * top, 4 * top) * 32), -12);
        for (uint64_t i = 0; i < m.t.n_elem; i += 32)
            m.f32[i] = ldexpf((float)(4 * top * 32), -12); /* the scale of every group is exact */
        check_plain(&m, format);
        free_tensor(&m);
    }
}

/* Zero matrices, single weights, the smallest and the largest floats. */
static void test_extremes(void)
{
    static const float value[] = {0, 1, -1, 1e-45f, 3e-39f, 3.4e38f, -3.4e38f};
    for (int format = SL_FORMAT_FP8; format <= SL_FORMAT_MXFP4; format++)
        for (size_t v = 0; v < sizeof value / sizeof value[0]; v++) {
            struct matrix m = make_tensor(3, 64, SL_DTYPE_F32, 1);
            struct sl_pack_run run = {0};
            m.f32[70] = value[v];
            uint8_t *slab = pack_plain(&m, format, &run);
            double got = sl_test_weight(slab, 0, 1, 6).weight, want = value[v];
            /* Below 2^-123 the smallest scale of s8 exponents is coarser than the value. */
            double bound =
                fabs(want) < 1e-36 && format != SL_FORMAT_FP8 ? ldexp(1, -124) : fabs(want) * 0.02;
            CU_ASSERT(fabs(got - want) <= bound);
            CU_ASSERT_EQUAL(sl_test_weight(slab, 0, 0, 0).value, 0);
            CU_ASSERT_EQUAL(sl_test_weight(slab, 0, 2, 63).value, 0);
            free(slab);
            free_tensor(&m);
        }
}

static void test_raised_groups(void)
{
    struct matrix m = make_tensor(2, 96, SL_DTYPE_F32, 1);
    for (int i = 0; i < 192; i++)
        m.f32[i] = (float)(i % 32 - 16) * 0.01f;
    for (int i = 32; i < 64; i++)
        m.f32[i] = ldexpf(m.f32[i], -9); /* below the window: 8 octaves */
    for (int i = 128; i < 160; i++)
        m.f32[i] = ldexpf(m.f32[i], -30); /* far below */
    for (int i = 160; i < 192; i++)
        m.f32[i] = 0; /* a zero group is not raised */
    struct sl_pack_run run = {0};
    uint8_t *slab = pack_plain(&m, SL_FORMAT_NF4, &run);
    CU_ASSERT_EQUAL(run.n_group, 6);
    CU_ASSERT_EQUAL(run.n_group_raised, 2);
    CU_ASSERT_EQUAL(sl_test_weight(slab, 0, 0, 32).scale_byte >> 5, 0);
    CU_ASSERT_EQUAL(sl_test_weight(slab, 0, 1, 32).scale_byte, 0);
    CU_ASSERT_EQUAL(sl_test_weight(slab, 0, 1, 33).value, 0);
    free(slab);
    free_tensor(&m);
}

/* ---- errors compared with other quantisers -------------------------------------------------- */

static double slab_error(const struct matrix *m, int format)
{
    struct sl_pack_run run = {0};
    uint8_t *slab = pack_plain(m, format, &run);
    uint32_t cols = (uint32_t)m->t.dim[1];
    double e = 0, n = 0;
    for (uint64_t i = 0; i < m->t.n_elem; i++) {
        double d =
            m->f32[i] - sl_test_weight(slab, 0, (uint32_t)(i / cols), (uint32_t)(i % cols)).weight;
        e += d * d;
        n += (double)m->f32[i] * m->f32[i];
    }
    free(slab);
    return sqrt(e / n);
}

/* NF4 as QLoRA has it: groups of 64, an fp32 absmax each, the unrounded code book. */
static double qlora_error(const struct matrix *m)
{
    static const double book[16] = {-1,
                                    -0.6961928009986877,
                                    -0.5250730514526367,
                                    -0.39491748809814453,
                                    -0.28444138169288635,
                                    -0.18477343022823334,
                                    -0.09105003625154495,
                                    0,
                                    0.07958029955625534,
                                    0.16093020141124725,
                                    0.24611230194568634,
                                    0.33791524171829224,
                                    0.44070982933044434,
                                    0.5626170039176941,
                                    0.7229568362236023,
                                    1};
    double e = 0, n = 0;
    for (uint64_t g = 0; g < m->t.n_elem; g += 64) {
        double absmax = 0;
        for (int i = 0; i < 64; i++)
            absmax = fmax(absmax, fabs((double)m->f32[g + i]));
        for (int i = 0; i < 64; i++) {
            double w = m->f32[g + i], least = INFINITY;
            for (int c = 0; c < 16; c++)
                least = fmin(least, fabs(w - book[c] * absmax));
            e += least * least;
            n += w * w;
        }
    }
    return sqrt(e / n);
}

static void test_better_than_qlora(void)
{
    struct sl_rng rng = sl_rng_open("better_than_qlora", 13);
    for (int kind = GAUSS; kind <= HEAVY; kind++) {
        struct matrix m = make_noise(&rng, 256, 1024, kind);
        double ours = slab_error(&m, SL_FORMAT_NF4), theirs = qlora_error(&m);
        printf("[%.4f against %.4f] ", ours, theirs);
        CU_ASSERT(ours < theirs);
        free_tensor(&m);
    }
}

/* Relative errors of Gaussian weights: the right order between formats, near the values that their
 * step sizes give. */
static void test_error_levels(void)
{
    struct sl_rng rng = sl_rng_open("error_levels", 14);
    struct matrix m = make_noise(&rng, 128, 1024, GAUSS);
    static const struct {
        int format;
        double low, high;
    } want[] = {{SL_FORMAT_Q8, 0.004, 0.0065},
                {SL_FORMAT_FP8, 0.02, 0.028},
                {SL_FORMAT_NF4, 0.07, 0.09},
                {SL_FORMAT_INT4, 0.08, 0.105},
                {SL_FORMAT_MXFP4, 0.085, 0.11}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double e = slab_error(&m, want[i].format);
        printf("[%d: %.4f] ", want[i].format, e);
        CU_ASSERT(e > want[i].low && e < want[i].high);
    }
    free_tensor(&m);
}

/* ---- fp8 ------------------------------------------------------------------------------------ */

static void test_fp8_codes_are_kept(void)
{
    struct sl_rng rng = sl_rng_open("fp8_codes", 15);
    static const float scales[] = {0.0012345678f, 1.0f, 0.99999994f, 1e-30f, 3.0f};
    for (size_t s = 0; s < 5; s++) {
        struct matrix m = make_tensor(7, 96, SL_DTYPE_F8_E4M3, scales[s]);
        uint8_t *code = m.data;
        for (uint64_t i = 0; i < m.t.n_elem; i++)
            do
                code[i] = (uint8_t)sl_rng_next(&rng);
            while ((code[i] & 127) == 127);
        struct sl_pack_run run = {0};
        uint8_t *slab = pack_plain(&m, SL_FORMAT_FP8, &run);
        struct sl_slab h;
        memcpy(&h, slab, sizeof h);
        uint64_t wrong = 0;
        for (uint32_t i = 0; i < m.t.n_elem; i++)
            wrong += sl_test_weight(slab, 0, i / 96, i % 96).code != code[i];
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT(h.mant0 >= 32768);
        /* The 16-bit significand nearest to the scale: at most half a unit of its last place. */
        CU_ASSERT(fabs(ldexp(h.mant0, h.exp0 + 9) - scales[s]) <= ldexp(0.5, h.exp0 + 9));
        CU_ASSERT_EQUAL(run.n_group, 0);
        free(slab);
        free_tensor(&m);
    }
}

/* Brute force over all codes; ties go to the even code, as IEEE rounding does. */
static int nearest_e4m3(double w, double scale)
{
    int best = 0;
    for (int code = 1; code < 127; code++) {
        double d = fabs(fabs(w) - sl_test_e4m3(code) * scale);
        double least = fabs(fabs(w) - sl_test_e4m3(best) * scale);
        if (d < least || (d == least && code % 2 == 0))
            best = code;
    }
    return best;
}

static void test_fp8_from_floats(void)
{
    struct sl_rng rng = sl_rng_open("fp8_from_floats", 16);
    struct matrix m = make_tensor(16, 256, SL_DTYPE_F32, 1);
    for (uint64_t i = 0; i < m.t.n_elem; i++)
        m.f32[i] = (float)ldexp(sl_rng_normal(&rng), -(int)sl_rng_range(&rng, 0, 16));
    m.f32[77] = -448.0f / 64; /* absmax: the scale is exactly 2^-6, so the next are ties */
    for (int code = 0; code < 126; code++)
        m.f32[256 + code] = (float)(sl_test_e4m3(code) + sl_test_e4m3(code + 1)) / 128;
    struct sl_pack_run run = {0};
    uint8_t *slab = pack_plain(&m, SL_FORMAT_FP8, &run);
    struct sl_slab h;
    memcpy(&h, slab, sizeof h);
    CU_ASSERT_EQUAL(ldexp(h.mant0, h.exp0 + 9), 0x1p-6);
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < m.t.n_elem; i++) {
        int code = sl_test_weight(slab, 0, i / 256, i % 256).code;
        wrong += (code & 127) != nearest_e4m3(m.f32[i], 0x1p-6);
        wrong += (code & 127) != 0 && (code > 127) != (m.f32[i] < 0);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    free(slab);

    m.f32[77] = 10; /* a scale that has to be rounded */
    slab = pack_plain(&m, SL_FORMAT_FP8, &run);
    memcpy(&h, slab, sizeof h);
    double scale = ldexp(h.mant0, h.exp0 + 9);
    CU_ASSERT(fabs(scale - 10.0 / 448) <= ldexp(0.5, h.exp0 + 9));
    for (uint32_t i = 0; i < m.t.n_elem; i++)
        wrong +=
            (sl_test_weight(slab, 0, i / 256, i % 256).code & 127) != nearest_e4m3(m.f32[i], scale);
    CU_ASSERT_EQUAL(wrong, 0);
    free(slab);
    free_tensor(&m);
}

/* An E4M3 tensor that goes to a group-scaled format is read with its scale. */
static void test_fp8_source_to_q8(void)
{
    struct matrix m = make_tensor(2, 32, SL_DTYPE_F8_E4M3, 0.5f);
    uint8_t *code = m.data;
    for (int i = 0; i < 64; i++)
        code[i] = (uint8_t)(0x38 + i % 8);
    struct sl_pack_run run = {0};
    uint8_t *slab = pack_plain(&m, SL_FORMAT_Q8, &run);
    for (uint32_t i = 0; i < 64; i++)
        CU_ASSERT_DOUBLE_EQUAL(sl_test_weight(slab, 0, i / 32, i % 32).weight,
                               0.5 * (1 + i % 8 / 8.0), 0.01);
    free(slab);
    free_tensor(&m);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void expect_refusal(struct matrix *m, int format, const char *place)
{
    struct sl_pack_plan plan;
    struct sl_pack_run run = {0};
    struct sl_pack_matrix v = view(m);
    CU_ASSERT_EQUAL(sl_pack_plan_plain(&plan, &v, format, &run), SL_ERR_RANGE);
    if (!strstr(sl_error_message(), "made.here.weight") || !strstr(sl_error_message(), place))
        CU_FAIL("the message names neither tensor nor place");
}

static void test_refuses_nan(void)
{
    for (int format = SL_FORMAT_FP8; format <= SL_FORMAT_MXFP4; format++) {
        struct matrix m = make_tensor(5, 40, SL_DTYPE_F32, 1);
        m.f32[3 * 40 + 39] = NAN;
        m.f32[4 * 40] = INFINITY;
        expect_refusal(&m, format, "[3, 39] is NaN");
        m.f32[2 * 40 + 1] = -INFINITY;
        expect_refusal(&m, format, "[2, 1] is infinite");
        free_tensor(&m);
        m = make_tensor(2, 32, SL_DTYPE_F8_E4M3, 1);
        ((uint8_t *)m.data)[33] = 0xFF;
        expect_refusal(&m, format, "[1, 1] is NaN");
        free_tensor(&m);
    }
    struct matrix m = make_tensor(1, 32, SL_DTYPE_F8_E4M3, 0);
    expect_refusal(&m, SL_FORMAT_FP8, "weight_scale");
    m.t.scale = -1;
    expect_refusal(&m, SL_FORMAT_FP8, "weight_scale");
    free_tensor(&m);
}

/* ---- experts -------------------------------------------------------------------------------- */

struct expert {
    struct matrix gate, up, down, norm;
};

static struct expert make_expert(struct sl_rng *rng, uint32_t d_ff, uint32_t d_model, double sigma)
{
    struct expert e = {make_noise(rng, d_ff, d_model, GAUSS), make_noise(rng, d_ff, d_model, GAUSS),
                       make_noise(rng, d_model, d_ff, GAUSS),
                       make_tensor(d_model, 1, SL_DTYPE_F32, 1)};
    e.norm.t.n_dim = 1;
    for (uint32_t i = 0; i < d_model; i++)
        e.norm.f32[i] = (float)(1 + 0.3 * sl_rng_normal(rng));
    for (uint64_t i = 0; i < e.gate.t.n_elem; i++) {
        e.gate.f32[i] *= (float)sigma;
        e.up.f32[i] *= (float)sigma * 3;
    }
    return e;
}

static void free_expert(struct expert *e)
{
    free_tensor(&e->gate);
    free_tensor(&e->up);
    free_tensor(&e->down);
    free_tensor(&e->norm);
}

static struct sl_pack_expert view_expert(const struct expert *e)
{
    struct sl_pack_expert v = {view(&e->gate), view(&e->up), view(&e->down), &e->norm.t};
    v.gate.rows = v.up.rows = v.down.k;
    v.down.rows = v.gate.k;
    return v;
}

/* Mean row energy under the norm's weight. */
static long double energy(const struct matrix *m, const struct matrix *norm)
{
    long double sum = 0;
    for (uint64_t i = 0; i < m->t.n_elem; i++) {
        long double v = (long double)m->f32[i] * norm->f32[i % m->t.dim[1]];
        sum += v * v;
    }
    return sum / (long double)m->t.dim[0];
}

/* The rule by another quadrature: Simpson's over -9..9 in steps of 1/100. */
static int u_h_rule(long double gate, long double up)
{
    long double sum = 0, pi = 3.14159265358979323846L;
    for (int i = 0; i <= 1800; i++) {
        long double z = (i - 900) / 100.0L, x = sqrtl(gate) * z, s = x / (1 + expl(-x));
        sum += (i == 0 || i == 1800 ? 1 : i % 2 ? 4 : 2) * s * s * expl(-z * z / 2) / sqrtl(2 * pi);
    }
    long double typical = sqrtl(sum / 300) * sqrtl(up);
    int u = 14 - (int)floorl(log2l(4 * typical));
    return u < -64 ? -64 : u > 53 ? 53 : u;
}

static void test_u_h(void)
{
    struct sl_rng rng = sl_rng_open("u_h", 17);
    int seen_min = 99, seen_max = -99;
    for (int i = -20; i <= 20; i++) {
        struct expert e = make_expert(&rng, 40, 72, ldexp(1.1, i));
        struct sl_pack_plan plan;
        struct sl_pack_run run = {0};
        struct sl_pack_expert v = view_expert(&e);
        CU_ASSERT_EQUAL(sl_pack_plan_expert(&plan, &v, SL_FORMAT_NF4, &run), 0);
        CU_ASSERT_EQUAL(plan.header.u_h,
                        u_h_rule(energy(&e.gate, &e.norm), energy(&e.up, &e.norm)));
        seen_min = plan.header.u_h < seen_min ? plan.header.u_h : seen_min;
        seen_max = plan.header.u_h > seen_max ? plan.header.u_h : seen_max;
        free_expert(&e);
    }
    printf("[%d..%d] ", seen_min, seen_max);
    CU_ASSERT(seen_min < -20 && seen_max > 40);
    CU_ASSERT_EQUAL(sl_pack_u_h(0, 1), SL_U_H_MAX);
    CU_ASSERT_EQUAL(sl_pack_u_h(1e300, 1e300), SL_U_H_MIN);
}

/* gate, up and down each equal the same matrix packed alone; what was padded is zero. */
static void check_expert(const struct expert *e, int format)
{
    struct sl_pack_plan plan;
    struct sl_pack_run run = {0}, alone = {0};
    struct sl_pack_expert v = view_expert(e);
    CU_ASSERT_EQUAL_FATAL(sl_pack_plan_expert(&plan, &v, format, &run), 0);
    uint8_t *slab = emit(&plan, &run);
    CU_ASSERT_EQUAL(plan.header.k % 32, 0);
    CU_ASSERT_EQUAL(plan.header.rows % 32, 0);
    const struct matrix *m[] = {&e->gate, &e->up, &e->down};
    uint64_t wrong = 0;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *plain = pack_plain(m[i], format, &alone);
        uint32_t rows = (uint32_t)m[i]->t.dim[0], cols = (uint32_t)m[i]->t.dim[1];
        uint32_t all_rows = i < 2 ? plan.header.rows : plan.header.k;
        uint32_t all_cols = i < 2 ? plan.header.k : plan.header.rows;
        for (uint32_t r = 0; r < all_rows; r++)
            for (uint32_t c = 0; c < all_cols; c++) {
                double got = sl_test_weight(slab, i, r, c).weight;
                bool real = r < rows && c < cols;
                wrong += got != (real ? sl_test_weight(plain, 0, r, c).weight : 0);
            }
        free(plain);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(run.n_group, alone.n_group);
    CU_ASSERT_EQUAL(run.n_group_raised, alone.n_group_raised);
    free(slab);
}

static void test_experts(void)
{
    struct sl_rng rng = sl_rng_open("experts", 18);
    for (int format = 0; format <= SL_FORMAT_MXFP4; format++) {
        struct expert e = make_expert(&rng, 96, 64, 1), odd = make_expert(&rng, 24, 45, 1);
        check_expert(&e, format);
        check_expert(&odd, format);
        free_expert(&e);
        free_expert(&odd);
    }
}

/* Rows of one tensor: halves, and the interleaved blocks of a fused matrix. */
static void test_parts_of_tensors(void)
{
    struct sl_rng rng = sl_rng_open("parts", 19);
    struct matrix m = make_noise(&rng, 24, 64, GAUSS);
    static const struct {
        uint32_t first, n, block, stride;
    } parts[] = {{0, 12, 0, 0}, {12, 12, 0, 0}, {0, 12, 4, 8}, {6, 6, 2, 8}};
    for (size_t p = 0; p < 4; p++) {
        struct matrix copy = make_tensor(parts[p].n, 64, SL_DTYPE_F32, 1);
        for (uint32_t r = 0; r < parts[p].n; r++) {
            uint32_t block = parts[p].block ? parts[p].block : 100;
            uint32_t row = parts[p].first + r / block * parts[p].stride + r % block;
            memcpy(copy.f32 + r * 64, m.f32 + row * 64, 64 * sizeof(float));
        }
        struct sl_pack_matrix v = view(&m);
        v.first_row = parts[p].first;
        v.n_row = v.rows = parts[p].n;
        v.block = parts[p].block;
        v.stride = parts[p].stride;
        struct sl_pack_plan plan;
        struct sl_pack_run run = {0};
        CU_ASSERT_EQUAL_FATAL(sl_pack_plan_plain(&plan, &v, SL_FORMAT_Q8, &run), 0);
        uint8_t *a = emit(&plan, &run), *b = pack_plain(&copy, SL_FORMAT_Q8, &run);
        CU_ASSERT_EQUAL(memcmp(a, b, sl_slab_beats(&plan.header) * 64), 0);
        free(a);
        free(b);
        free_tensor(&copy);
    }
    struct sl_pack_matrix v = view(&m);
    struct sl_pack_plan plan;
    struct sl_pack_run run = {0};
    v.first_row = 1;
    CU_ASSERT_EQUAL(sl_pack_plan_plain(&plan, &v, SL_FORMAT_Q8, &run), SL_ERR_SHAPE);
    free_tensor(&m);
}

/* ---- routers -------------------------------------------------------------------------------- */

static void test_router_rows(void)
{
    struct sl_rng rng = sl_rng_open("router_rows", 20);
    struct matrix m[3];
    struct sl_pack_matrix v[3];
    for (int i = 0; i < 3; i++) {
        m[i] = make_noise(&rng, 32, 72, RAGGED);
        v[i] = view(&m[i]);
    }
    memset(m[1].f32 + 3 * 72, 0, 72 * sizeof(float));
    m[2].f32[5 * 72 + 1] = 32767.4f; /* still 32767 */
    m[2].f32[6 * 72 + 1] = 32767.5f; /* rounds to 32768: one exponent more */
    m[2].f32[7 * 72 + 1] = -65535.0f;
    struct sl_pack_plan plan;
    struct sl_pack_run run = {0};
    CU_ASSERT_EQUAL_FATAL(sl_pack_plan_router(&plan, v, 3, &run), 0);
    CU_ASSERT_EQUAL(plan.header.rows, 96);
    CU_ASSERT_EQUAL(plan.header.k, 96);
    uint8_t *slab = emit(&plan, &run);
    uint64_t wrong = 0;
    for (uint32_t r = 0; r < 96; r++) {
        const float *row = m[r / 32].f32 + r % 32 * 72;
        double absmax = 0;
        for (int c = 0; c < 72; c++)
            absmax = fmax(absmax, fabs((double)row[c]));
        int e = -128;
        while (absmax > 0 && nearbyint(absmax / ldexp(1, e)) > 32767)
            e++;
        CU_ASSERT_EQUAL((int8_t)slab[64 + r], absmax > 0 ? e : 0);
        for (uint32_t c = 0; c < 96; c++) {
            double want = c < 72 ? nearbyint(ldexp((double)row[c], -(int8_t)slab[64 + r])) : 0;
            wrong += sl_test_weight(slab, 0, r, c).code != (int)want;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    free(slab);
    m[1].f32[0] = NAN;
    CU_ASSERT_EQUAL(sl_pack_plan_router(&plan, v, 3, &run), SL_ERR_RANGE);
    for (int i = 0; i < 3; i++)
        free_tensor(&m[i]);
}

/* ---- how it is worked does not matter ------------------------------------------------------- */

static void test_threads_and_portions(void)
{
    struct sl_rng rng = sl_rng_open("threads", 21);
    for (int format = 0; format <= SL_FORMAT_MXFP4; format++) {
        struct expert e = make_expert(&rng, 64, 96, 1);
        struct sl_pack_expert v = view_expert(&e);
        uint8_t *first = NULL;
        for (unsigned threads = 1; threads <= 5; threads++) {
            struct sl_pack_plan plan;
            struct sl_pack_run run = {0};
            CU_ASSERT_EQUAL_FATAL(sl_pool_open(&run.pool, threads), 0);
            CU_ASSERT_EQUAL_FATAL(sl_pack_plan_expert(&plan, &v, format, &run), 0);
            uint64_t bytes = sl_slab_beats(&plan.header) * 64;
            struct sl_slab_shape s = sl_slab_get_shape(&plan.header);
            uint8_t *slab = aligned_alloc(64, bytes), *p = slab + 64;
            sl_pack_head(&plan, slab);
            for (unsigned r = 0; r < 2; r++)
                for (uint64_t u = 0, n; u < s.units[r]; u += n) {
                    n = s.units[r] - u < threads * 3 ? s.units[r] - u : threads * 3;
                    CU_ASSERT_EQUAL(sl_pack_units(&plan, r, u, n, p, &run), 0);
                    p += n * s.unit_beats[r] * 64;
                }
            uint64_t groups = format == SL_FORMAT_FP8 ? 0 : 3 * 64 * 96 / 32;
            CU_ASSERT_EQUAL(run.n_group, groups);
            sl_pool_close(&run.pool);
            if (first)
                CU_ASSERT_EQUAL(memcmp(first, slab, bytes), 0);
            if (first)
                free(slab);
            else
                first = slab;
        }
        free(first);
        free_expert(&e);
    }
}

static const struct sl_case cases[] = {
    {"groups have the best byte and the nearest codes", test_groups},
    {"ties go to the lower code", test_ties},
    {"zeros and extreme magnitudes are packed", test_extremes},
    {"groups below the window are raised and counted", test_raised_groups},
    {"nf4 beats NF4 with groups of 64 and fp32 absmax", test_better_than_qlora},
    {"errors lie where the step sizes put them", test_error_levels},
    {"E4M3 codes of a release are kept exactly", test_fp8_codes_are_kept},
    {"fp8 from floats takes the nearest code", test_fp8_from_floats},
    {"E4M3 tensors are read with their scale", test_fp8_source_to_q8},
    {"NaN and infinity are refused by tensor and place", test_refuses_nan},
    {"u_h follows the rule", test_u_h},
    {"experts hold their three matrices and zeros", test_experts},
    {"a matrix may be a part of a tensor", test_parts_of_tensors},
    {"router rows use sixteen bits", test_router_rows},
    {"threads and portions change no byte", test_threads_and_portions},
    {NULL, NULL},
};
const struct sl_suite suite_pack = {"pack", cases};
