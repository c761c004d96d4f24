/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU's packing of K and V against the reference of docs/numerics.md 5.5. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kv_quant.h"
#include "ref/ref_kv.h"
#include "sl_abi.h"
#include "test_main.h"

enum { MAX_RECORD = 6 * 64 };

static const uint32_t dims[] = {2, 4, 6, 8, 10, 32, 34, 48, 64, 80, 90, 96, 128, 160, 254, 256};
enum { N_DIM = sizeof dims / sizeof *dims };

/* docs/numerics.md 3.1, head vectors. */
static int to_codes(const float *vec, uint32_t n, int16_t *code)
{
    double top = 0;
    int exponent = 0;
    for (uint32_t i = 0; i < n; i++)
        top = fmax(top, fabs((double)vec[i]));
    if (top > 0)
        exponent = (int)floor(log2(top)) - 14;
    for (uint32_t i = 0; i < n; i++)
        code[i] = (int16_t)fmin(32767, fmax(-32767, nearbyint(vec[i] * exp2(-exponent))));
    return exponent;
}

/* The core's record (code beats, a beat of scales and zero points) as the cache stores it. */
static void to_dense(enum sl_kv_format format, uint32_t dim, const uint8_t *record, uint8_t *out)
{
    uint32_t n_code = format == SL_KV_INT8 ? dim : dim / 2;
    uint32_t n_scale = format == SL_KV_INT8 ? 1 : (dim + 31) / 32;
    const uint8_t *tail = record + (n_code + 63) / 64 * 64;
    memcpy(out, record, n_code);
    memcpy(out + n_code, tail, 2 * n_scale);
    if (format == SL_KV_INT4)
        memcpy(out + n_code + 2 * n_scale, tail + 32, n_scale);
}

static void check_vec(const float *vec, uint32_t dim)
{
    for (int f = SL_KV_INT8; f <= SL_KV_INT4; f++) {
        enum sl_kv_format format = (enum sl_kv_format)f;
        uint8_t record[MAX_RECORD], want[MAX_RECORD], got[MAX_RECORD];
        int16_t code[256];
        int exponent = to_codes(vec, dim, code);
        ref_kv_pack(format == SL_KV_INT8 ? SL_KVREC_INT8 : SL_KVREC_INT4, dim, code, exponent,
                    record);
        to_dense(format, dim, record, want);
        memset(got, 0xA5, sizeof got);
        CU_ASSERT_TRUE(sl_kv_pack_vec(format, dim, vec, got));
        CU_ASSERT_EQUAL(memcmp(got, want, sl_kv_vec_bytes(format, dim)), 0);
        CU_ASSERT_EQUAL(got[sl_kv_vec_bytes(format, dim)], 0xA5);
    }
}

static void random_vectors_equal_the_reference(void)
{
    struct sl_rng rng = sl_rng_open("kv_quant", 21);
    for (int i = 0; i < N_DIM; i++)
        for (int round = 0; round < 60; round++) {
            float vec[256];
            double scale = exp2((double)sl_rng_range(&rng, -20, 20));
            double spread = (double)sl_rng_range(&rng, 0, 3);
            for (uint32_t j = 0; j < dims[i]; j++)
                vec[j] = (float)(scale * sl_rng_normal(&rng) * exp(spread * sl_rng_normal(&rng)));
            check_vec(vec, dims[i]);
        }
}

/* Scales that leave bf16's normal numbers, at both ends, subnormal input among them. */
static void extreme_magnitudes_equal_the_reference(void)
{
    struct sl_rng rng = sl_rng_open("kv_quant", 22);
    for (int e = -149; e <= 127; e++)
        for (int i = 0; i < N_DIM; i += 3) {
            float vec[256];
            for (uint32_t j = 0; j < dims[i]; j++)
                vec[j] = (float)(exp2(e) * (double)sl_rng_range(&rng, -1000, 1000) / 1000);
            check_vec(vec, dims[i]);
        }
}

static void special_vectors_equal_the_reference(void)
{
    for (int i = 0; i < N_DIM; i++) {
        float vec[256] = {0};
        check_vec(vec, dims[i]); /* all zero */
        for (uint32_t j = 0; j < dims[i]; j++) {
            memset(vec, 0, sizeof vec);
            vec[j] = j % 2 ? -1.0f : 3.4028235e38f; /* one channel: the rotation spreads it */
            check_vec(vec, dims[i]);
        }
        for (uint32_t j = 0; j < dims[i]; j++)
            vec[j] = 1; /* the rotation gathers it */
        check_vec(vec, dims[i]);
        for (uint32_t j = 0; j < dims[i]; j++)
            vec[j] = j % 2 ? -32767.5f : 32767.5f; /* rounds past the largest code */
        check_vec(vec, dims[i]);
    }
}

static void numbers_that_are_not_finite_are_refused(void)
{
    float vec[80] = {1};
    uint8_t out[128];
    memset(out, 7, sizeof out);
    vec[79] = NAN;
    CU_ASSERT_FALSE(sl_kv_pack_vec(SL_KV_INT8, 80, vec, out));
    vec[79] = INFINITY;
    CU_ASSERT_FALSE(sl_kv_pack_vec(SL_KV_INT4, 80, vec, out));
    CU_ASSERT_EQUAL(out[0], 7);
}

static void record_sizes_are_those_of_the_published_table(void)
{
    /* Hunyuan-Large: 32 stored layers, 8 heads of 80, K and V. */
    CU_ASSERT_EQUAL(2 * 32 * 8 * sl_kv_vec_bytes(SL_KV_INT8, 80), 41984);
    CU_ASSERT_EQUAL(2 * 32 * 8 * sl_kv_vec_bytes(SL_KV_INT4, 80), 25088);
    CU_ASSERT_EQUAL(sl_kv_vec_bytes(SL_KV_F32, 80), 320);
}

static void hadamard_in_fp32_is_sylvesters_in_blocks(void)
{
    CU_ASSERT_EQUAL(sl_kv_hadamard_block(80), 16);
    CU_ASSERT_EQUAL(sl_kv_hadamard_block(96), 32);
    CU_ASSERT_EQUAL(sl_kv_hadamard_block(256), 256);
    CU_ASSERT_EQUAL(sl_kv_hadamard_block(2), 2);
    for (int i = 0; i < N_DIM; i++) {
        uint32_t block = sl_kv_hadamard_block(dims[i]);
        float x[256], was[256];
        for (uint32_t j = 0; j < dims[i]; j++)
            was[j] = x[j] = (float)((int)(j * 37 % 101) - 50); /* integers: exact */
        sl_kv_hadamard(x, dims[i]);
        for (uint32_t r = 0; r < dims[i]; r++) {
            double want = 0;
            for (uint32_t c = 0; c < block; c++)
                want += (__builtin_parity(r % block & c) ? -1 : 1) * was[r / block * block + c];
            CU_ASSERT_EQUAL(x[r], want);
        }
    }
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {CASE(random_vectors_equal_the_reference),
                                       CASE(extreme_magnitudes_equal_the_reference),
                                       CASE(special_vectors_equal_the_reference),
                                       CASE(numbers_that_are_not_finite_are_refused),
                                       CASE(record_sizes_are_those_of_the_published_table),
                                       CASE(hadamard_in_fp32_is_sylvesters_in_blocks),
                                       {NULL, NULL}};

const struct sl_suite suite_kv_quant = {"kv_quant", cases};
