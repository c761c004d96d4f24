/* SPDX-License-Identifier: Apache-2.0 */
/* exp, sums and norms of the host against binary64, and every instruction set against the rule of
 * docs/numerics.md section 6 written out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv_quant.h"
#include "engine/mathf.h"
#include "engine/simd.h"
#include "test_main.h"

static const double exp_bound = 8.1e-8; /* stated in docs/numerics.md */

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool same_bits(const float *a, const float *b, size_t n)
{
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* All floats would take minutes here: every 251st, and all near the ends and near zero. */
static void exp_stays_within_its_bound(void)
{
    double worst = 0;
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t bits = 0; bits<0x42B20000; bits += bits> 0x42AE0000 ? 1 : 251) {
            float x = float_of(bits | sign << 31);
            if (x < -87.33f || x > 88.7228f)
                continue;
            double want = exp((double)x), error = fabs((double)sl_expf(x) - want) / want;
            worst = error > worst ? error : worst;
        }
    CU_ASSERT(worst <= exp_bound);
    CU_ASSERT(worst > 1e-9); /* it was looked at */
}

static void exp_has_exact_ends(void)
{
    CU_ASSERT_EQUAL(sl_expf(0.0f), 1.0f);
    CU_ASSERT_EQUAL(sl_expf(-0.0f), 1.0f);
    CU_ASSERT_EQUAL(sl_expf(nextafterf(-87.33f, -100)), 0.0f);
    CU_ASSERT(sl_expf(-87.33f) >= 0x1p-126f);
    CU_ASSERT_EQUAL(sl_expf(-INFINITY), 0.0f);
    CU_ASSERT(isfinite(sl_expf(88.7228f)));
    CU_ASSERT_EQUAL(sl_expf(88.73f), INFINITY);
    CU_ASSERT_EQUAL(sl_expf(INFINITY), INFINITY);
    CU_ASSERT(isnan(sl_expf(NAN)));
}

/* ---- every instruction set ------------------------------------------------------------------ */

static void fill(struct sl_rng *rng, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(sl_rng_normal(rng) * exp2((double)sl_rng_range(rng, -6, 6)));
}

/* Term i into partial i mod 16, ascending; then the tree. Products by fmaf. */
static float rule(const float *a, const float *b, size_t n)
{
    float s[16] = {0};
    for (size_t i = 0; i < n; i++)
        s[i % 16] = b ? fmaf(a[i], b[i], s[i % 16]) : s[i % 16] + a[i];
    for (int width = 8; width; width /= 2)
        for (int l = 0; l < width; l++)
            s[l] += s[l + width];
    return s[0];
}

enum { MAX_N = 300 };

static void check_sums(const struct sl_simd *simd, struct sl_rng *rng, size_t n)
{
    static float a[4][MAX_N], b[4][MAX_N];
    const float *pa[4], *pb[4];
    float out[16], max = -INFINITY;
    for (int r = 0; r < 4; r++) {
        fill(rng, a[r], n);
        fill(rng, b[r], n);
        pa[r] = a[r];
        pb[r] = b[r];
    }
    for (size_t i = 0; i < n; i++)
        max = fmaxf(max, a[0][i]);
    CU_ASSERT_EQUAL(simd->sum(a[0], n), rule(a[0], NULL, n));
    CU_ASSERT_EQUAL(simd->max(a[0], n), max);
    CU_ASSERT_EQUAL(simd->dot(a[0], b[0], n), rule(a[0], b[0], n));
    simd->dot4(pa, b[0], n, out);
    for (int r = 0; r < 4; r++)
        CU_ASSERT_EQUAL(out[r], rule(a[r], b[0], n));
    simd->dot4x4(pa, pb, n, out);
    for (int r = 0; r < 16; r++)
        CU_ASSERT_EQUAL(out[r], rule(a[r / 4], b[r % 4], n));
}

static void sums_follow_the_16_partial_tree_on_every_instruction_set(void)
{
    struct sl_rng rng = sl_rng_open("mathf", 11);
    for (int level = 0; level < SL_N_SIMD_LEVEL; level++) {
        const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
        for (size_t n = 0; simd && n < 70; n++)
            check_sums(simd, &rng, n);
        if (simd)
            check_sums(simd, &rng, MAX_N);
    }
    CU_ASSERT_PTR_NOT_NULL(sl_simd_best());
}

static void check_elementwise(const struct sl_simd *simd, struct sl_rng *rng, size_t n)
{
    float x[MAX_N], y[MAX_N], got[MAX_N], want[MAX_N];
    fill(rng, x, n);
    fill(rng, y, n);
    if (n > 2) {
        x[n / 2] = -200;
        x[n / 3] = NAN;
    }
    simd->exp_sub(got, x, n, 0.75f);
    for (size_t i = 0; i < n; i++)
        want[i] = sl_expf(x[i] - 0.75f);
    for (size_t i = 0; i < n; i++)
        CU_ASSERT((isnan(got[i]) && isnan(want[i])) || same_bits(&got[i], &want[i], 1));
    simd->silu_mul(got, x, y, n);
    for (size_t i = 0; i < n; i++) {
        want[i] = x[i] / (1.0f + sl_expf(-x[i])) * y[i];
        CU_ASSERT((isnan(got[i]) && isnan(want[i])) || got[i] == want[i]);
    }
    memcpy(got, y, n * sizeof *y);
    simd->axpy(got, x, n, 1.7f);
    for (size_t i = 0; i < n; i++) {
        want[i] = fmaf(1.7f, x[i], y[i]);
        CU_ASSERT((isnan(got[i]) && isnan(want[i])) || got[i] == want[i]);
    }
}

static void elementwise_loops_agree_on_every_instruction_set(void)
{
    struct sl_rng rng = sl_rng_open("mathf", 12);
    for (int level = 0; level < SL_N_SIMD_LEVEL; level++) {
        const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
        for (size_t n = 0; simd && n < 70; n++)
            check_elementwise(simd, &rng, n);
    }
    CU_ASSERT_STRING_EQUAL(sl_simd_at(SL_SIMD_GENERIC)->name, "generic");
}

enum { MAX_Q = 11 };

/* One block of packed records with anything behind them, some queries' codes, weights and sums to
 * add to. */
struct block_case {
    struct sl_kv_block block;
    uint32_t n_q, seen; /* seen: positions that the sums take */
    int16_t q[MAX_Q * SL_KV_QUERY];
    float factor[MAX_Q], p[MAX_Q * SL_KV_BLOCK], acc[MAX_Q * 256];
    uint8_t rec[SL_KV_BLOCK * 258 + SL_KV_GROUP];
};

static void make_block(struct block_case *c, struct sl_rng *rng, enum sl_kv_format format,
                       uint32_t dim)
{
    size_t stride = sl_kv_vec_bytes(format, dim);
    float vec[256];
    c->block = (struct sl_kv_block){c->rec, dim, (uint32_t)sl_rng_range(rng, 1, SL_KV_BLOCK)};
    c->n_q = (uint32_t)sl_rng_range(rng, 1, MAX_Q);
    c->seen = (uint32_t)sl_rng_range(rng, 1, c->block.n);
    for (size_t i = 0; i < sizeof c->rec; i++)
        c->rec[i] = (uint8_t)sl_rng_range(rng, 0, 255);
    fill(rng, c->factor, MAX_Q);
    fill(rng, c->p, (size_t)MAX_Q * SL_KV_BLOCK);
    fill(rng, c->acc, (size_t)MAX_Q * 256);
    for (uint32_t i = 0; i < MAX_Q * SL_KV_BLOCK; i++)
        c->p[i] = i % SL_KV_BLOCK < c->seen ? fabsf(c->p[i]) : 0;
    memset(c->q, 0, sizeof c->q);
    for (uint32_t h = 0; h < c->n_q; h++)
        for (uint32_t i = 0; i < dim; i++)
            c->q[h * SL_KV_QUERY + sl_kv_place(format, i)] =
                (int16_t)sl_rng_range(rng, -32767, 32767);
    for (uint32_t j = 0; j < c->block.n; j++) {
        fill(rng, vec, dim);
        CU_ASSERT(sl_kv_pack_vec(format, dim, vec, c->rec + j * stride));
    }
}

/* Scores and weighted sums of one block for n_q heads, from the records and by way of tiles; bits
 * equal those of the portable set from the records, one head at a time. */
static void check_block(const struct sl_simd *simd, struct sl_rng *rng, enum sl_kv_format format,
                        uint32_t dim)
{
    static struct block_case c;
    static float s[3][MAX_Q * SL_KV_BLOCK], acc[3][MAX_Q * 256], scale[8 * SL_KV_BLOCK];
    static int16_t code[SL_KV_BLOCK * 256];
    const struct sl_simd *portable = sl_simd_at(SL_SIMD_GENERIC);
    uint32_t width = sl_kv_padded(dim);
    struct sl_kv_tile tile = {.code = code, .scale = scale};
    make_block(&c, rng, format, dim);
    struct sl_kv_block seen = {c.rec, dim, c.seen};
    struct sl_kv_query q = {c.q, c.factor};
    for (int way = 0; way < 3; way++)
        memcpy(acc[way], c.acc, sizeof c.acc);
    for (uint32_t h = 0; h < c.n_q; h++) {
        size_t at = (size_t)h * SL_KV_BLOCK, row = (size_t)h * width;
        portable->scores[format](
            &c.block, &(struct sl_kv_query){c.q + h * SL_KV_QUERY, c.factor + h}, 1, s[0] + at);
        portable->accumulate[format](&seen, c.p + at, 1, acc[0] + row);
    }
    simd->scores[format](&c.block, &q, c.n_q, s[1]);
    simd->accumulate[format](&seen, c.p, c.n_q, acc[1]);
    simd->load_k[format](&c.block, &tile);
    simd->tile_scores(&tile, &q, c.n_q, s[2]);
    simd->load_v[format](&c.block, &tile);
    simd->tile_accumulate(&tile, c.seen, c.p, c.n_q, acc[2]);
    for (int way = 1; way < 3; way++)
        for (uint32_t h = 0; h < c.n_q; h++) {
            size_t at = (size_t)h * SL_KV_BLOCK;
            CU_ASSERT(same_bits(s[0] + at, s[way] + at, c.block.n));
            for (uint32_t i = 0; i < dim; i++)
                CU_ASSERT(same_bits(acc[0] + h * width + sl_kv_place(format, i),
                                    acc[way] + h * width + sl_kv_place(format, i), 1));
        }
}

/* Three rows beside the formula of the online softmax's step: one that has seen nothing, one whose
 * maximum rises, one whose maximum stays. */
static void soften_some(const struct sl_simd *simd, struct sl_rng *rng, uint32_t n)
{
    enum { ROWS = 3 };
    const float before[ROWS] = {-INFINITY, -9.0f, 1e3f}, sums[ROWS] = {0, 2.25f, 2.25f};
    float s[ROWS][SL_KV_BLOCK], want[ROWS][SL_KV_BLOCK], max[ROWS], sum[ROWS], c[ROWS];
    float top[ROWS];
    memcpy(max, before, sizeof max);
    memcpy(sum, sums, sizeof sum);
    memcpy(top, before, sizeof top);
    fill(rng, s[0], ROWS * SL_KV_BLOCK);
    for (int h = 0; h < ROWS; h++) {
        for (uint32_t i = 0; i < n; i++)
            top[h] = fmaxf(top[h], s[h][i]);
        for (uint32_t i = 0; i < n; i++)
            want[h][i] = sl_expf(s[h][i] - top[h]);
    }
    simd->soften(s[0], ROWS, n, &(struct sl_softmax){max, sum, c});
    for (int h = 0; h < ROWS; h++) {
        CU_ASSERT_EQUAL(c[h], sl_expf(before[h] - top[h]));
        CU_ASSERT_EQUAL(max[h], top[h]);
        CU_ASSERT_EQUAL(sum[h], sums[h] * c[h] + rule(want[h], NULL, n));
        CU_ASSERT(same_bits(s[h], want[h], n));
    }
}

/* Exponentials of everything from where they are 0 up to 1, in steps of 2^-9. */
static void soften_down_to_nothing(const struct sl_simd *simd)
{
    float s[SL_KV_BLOCK], max = 0, sum = 0, c;
    for (int first = -90 * 512; first <= 0; first += SL_KV_BLOCK) {
        for (int i = 0; i < SL_KV_BLOCK; i++)
            s[i] = fminf((float)(first + i) / 512, 0);
        simd->soften(s, 1, SL_KV_BLOCK, &(struct sl_softmax){&max, &sum, &c});
        for (int i = 0; i < SL_KV_BLOCK; i++)
            CU_ASSERT_EQUAL(s[i], sl_expf(fminf((float)(first + i) / 512, 0)));
    }
}

static void softening_follows_its_formula_on_every_instruction_set(void)
{
    struct sl_rng rng = sl_rng_open("mathf", 17);
    for (int level = 0; level < SL_N_SIMD_LEVEL; level++) {
        const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
        for (uint32_t n = 1; simd && n <= SL_KV_BLOCK; n++)
            soften_some(simd, &rng, n);
        if (simd)
            soften_down_to_nothing(simd);
    }
}

/* Every 16-bit pattern and every E4M3 code, at every alignment, NaNs only as NaNs. */
static void widening_agrees_with_the_scalar_one_on_every_instruction_set(void)
{
    enum { N = 65536 };
    static uint8_t src[2 * N + 8];
    static float got[N], want[N];
    static const enum sl_dtype type[] = {SL_DTYPE_BF16, SL_DTYPE_F16, SL_DTYPE_F8_E4M3};
    for (int i = 0; i < 3; i++)
        for (int level = 0; level < SL_N_SIMD_LEVEL; level++) {
            const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
            size_t n = type[i] == SL_DTYPE_F8_E4M3 ? 256 : N, size = sl_dtype_size(type[i]);
            uint8_t *at = src + level;
            size_t n_bad = 0;
            for (uint32_t v = 0; v < n; v++) {
                at[size * v] = (uint8_t)v;
                at[size * v + size - 1] = (uint8_t)(size == 2 ? v >> 8 : v);
            }
            if (!simd)
                continue;
            sl_widen(type[i], at, n, want);
            simd->widen(type[i], at, n - 3, 1.0f, got);
            for (size_t v = 0; v < n - 3; v++)
                n_bad += isnan(want[v]) ? !isnan(got[v]) : !same_bits(&got[v], &want[v], 1);
            simd->widen(type[i], at, n - 3, 0.3f, got);
            for (size_t v = 0; v < n - 3; v++)
                n_bad += isnan(want[v]) ? !isnan(got[v]) : got[v] != want[v] * 0.3f;
            CU_ASSERT_EQUAL(n_bad, 0);
        }
}

/* Rows of stored values of a size that ends within a vector, at odd addresses. */
static void products_of_stored_rows_follow_the_same_rule(void)
{
    static const enum sl_dtype type[] = {SL_DTYPE_F32, SL_DTYPE_BF16, SL_DTYPE_F16,
                                         SL_DTYPE_F8_E4M3};
    static uint8_t raw[4][4 * MAX_N + 1];
    static float value[MAX_N], b[MAX_N];
    struct sl_rng rng = sl_rng_open("stored", 12);
    for (int level = 0; level < SL_N_SIMD_LEVEL; level++)
        for (size_t i = 0; i < 4; i++)
            for (size_t n = 1; n <= MAX_N; n += n < 40 ? 1 : 65) {
                const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
                const size_t size = sl_dtype_size(type[i]);
                const float scale = i == 3 ? 0.3f : 1.0f;
                const uint8_t *a[4];
                float out[4];
                fill(&rng, b, n);
                for (size_t r = 0; r < 4; r++) {
                    a[r] = raw[r] + 1;
                    for (size_t at = 0; at < size * n; at++) {
                        const bool top = at % size == size - 1; /* of no NaN */
                        raw[r][1 + at] = (uint8_t)(sl_rng_next(&rng) & (top ? 0xBB : 0xFF));
                    }
                }
                if (simd)
                    simd->dot4_stored(type[i], a, scale, b, n, out);
                for (size_t r = 0; simd && r < 4; r++) {
                    sl_widen(type[i], a[r], n, value);
                    for (size_t v = 0; v < n; v++)
                        value[v] *= scale;
                    const float want = rule(value, b, n);
                    CU_ASSERT(same_bits(&out[r], &want, 1));
                }
            }
}

static void packed_blocks_agree_on_every_instruction_set(void)
{
    static const uint32_t dim[] = {2, 6, 8, 16, 24, 32, 34, 48, 64, 80, 96, 128, 134, 250, 256};
    struct sl_rng rng = sl_rng_open("mathf", 13);
    for (int level = 0; level < SL_N_SIMD_LEVEL; level++) {
        const struct sl_simd *simd = sl_simd_at((enum sl_simd_level)level);
        for (size_t i = 0; simd && i < sizeof dim / sizeof *dim; i++)
            for (int format = SL_KV_INT8; format <= SL_KV_INT4; format++)
                check_block(simd, &rng, (enum sl_kv_format)format, dim[i]);
    }
}

/* ---- norms ---------------------------------------------------------------------------------- */

static void rms_norm_equals_its_formula(void)
{
    struct sl_rng rng = sl_rng_open("mathf", 14);
    float x[80], w[80], y[80];
    double sum = 0;
    fill(&rng, x, 80);
    fill(&rng, w, 80);
    for (int i = 0; i < 80; i++)
        sum += (double)x[i] * x[i];
    sl_rms_norm(y, x, w, 80, 1e-5f);
    for (int i = 0; i < 80; i++) {
        double want = (double)w[i] * x[i] / sqrt(sum / 80 + 1e-5);
        CU_ASSERT(fabs(y[i] - want) <= 4e-7 * fabs(want));
    }
    float zero[8] = {0}, one[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    sl_rms_norm(zero, zero, one, 8, 1e-5f);
    CU_ASSERT_EQUAL(zero[3], 0.0f);
}

static void softmax_sums_to_one_and_survives_large_scores(void)
{
    float x[20];
    double sum = 0;
    for (int i = 0; i < 20; i++)
        x[i] = 1e4f + (float)i;
    sl_softmax(x, 20);
    for (int i = 0; i < 20; i++)
        sum += x[i];
    CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(x[19] / x[18], exp(1), 1e-5);
}

static void finite_means_neither_nan_nor_infinity(void)
{
    float x[70] = {0};
    x[3] = -3.4e38f;
    x[69] = 1e-42f;
    CU_ASSERT_TRUE(sl_all_finite(x, 70));
    x[68] = NAN;
    CU_ASSERT_FALSE(sl_all_finite(x, 70));
    CU_ASSERT_TRUE(sl_all_finite(x, 68));
    x[68] = -INFINITY;
    CU_ASSERT_FALSE(sl_all_finite(x, 70));
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {
    CASE(exp_stays_within_its_bound),
    CASE(exp_has_exact_ends),
    CASE(sums_follow_the_16_partial_tree_on_every_instruction_set),
    CASE(elementwise_loops_agree_on_every_instruction_set),
    CASE(packed_blocks_agree_on_every_instruction_set),
    CASE(softening_follows_its_formula_on_every_instruction_set),
    CASE(widening_agrees_with_the_scalar_one_on_every_instruction_set),
    CASE(products_of_stored_rows_follow_the_same_rule),
    CASE(rms_norm_equals_its_formula),
    CASE(softmax_sums_to_one_and_survives_large_scores),
    CASE(finite_means_neither_nan_nor_infinity),
    {NULL, NULL}};

const struct sl_suite suite_mathf = {"mathf", cases};
