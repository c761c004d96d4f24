/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention over the cache: its bits against docs/numerics.md section 6 written out, its values
 * against a plain softmax in binary64 over keys and values unpacked by the reference, and its
 * independence of chunking and threads.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "engine/attention.h"
#include "engine/kv_quant.h"
#include "engine/mathf.h"
#include "ref/ref_kv.h"
#include "sl_abi.h"
#include "test_main.h"

enum { MAX_POS = 200, MAX_DIM = 256 };

struct rig {
    struct sl_config c;
    uint32_t n_pos;
    struct sl_pool *pool;
    struct sl_kv kv;
    struct sl_attention attention;
    float *k, *v, *q, *out; /* [n_pos][heads][head_dim] */
};

static float *random_rows(struct sl_rng *rng, size_t n)
{
    float *x = malloc(n * sizeof *x);
    CU_ASSERT_PTR_NOT_NULL_FATAL(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)sl_rng_normal(rng);
    return x;
}

/* 6 query heads over n_kv_head, n_pos positions. */
struct size {
    uint32_t dim, n_kv_head, n_pos;
    unsigned n_threads;
};

static void rig_open_size(struct rig *r, struct sl_rng *rng, const struct size *s)
{
    *r = (struct rig){.c = {.n_layer = 4,
                            .cla_factor = 2,
                            .n_head = 6,
                            .n_kv_head = s->n_kv_head,
                            .head_dim = s->dim,
                            .d_attn = 6 * s->dim},
                      .n_pos = s->n_pos};
    size_t n = s->n_pos * (size_t)s->dim;
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&r->pool, s->n_threads), 0);
    CU_ASSERT_EQUAL_FATAL(sl_attention_open(&r->attention, &r->c, r->pool), 0);
    r->k = random_rows(rng, n * s->n_kv_head);
    r->v = random_rows(rng, n * s->n_kv_head);
    r->q = random_rows(rng, n * 6);
    r->out = calloc(n * 6, sizeof *r->out);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->out);
    for (size_t i = 0; i < n * 6; i++)
        r->q[i] *= 2; /* softmax with some contrast */
}

static void rig_open(struct rig *r, struct sl_rng *rng, uint32_t dim, unsigned n_threads)
{
    rig_open_size(r, rng, &(struct size){dim, 2, MAX_POS, n_threads});
}

static void rig_close(struct rig *r)
{
    free(r->k);
    free(r->v);
    free(r->q);
    free(r->out);
    sl_kv_close(&r->kv);
    sl_attention_close(&r->attention);
    sl_pool_close(&r->pool);
}

static void fill_cache(struct rig *r, enum sl_kv_format k, enum sl_kv_format v)
{
    sl_kv_close(&r->kv);
    CU_ASSERT_EQUAL_FATAL(sl_kv_open(&r->kv, &r->c, r->n_pos, k, v), 0);
    struct sl_kv_put put = {.kv_layer = 1, .n_tok = r->n_pos, .k = r->k, .v = r->v};
    CU_ASSERT_EQUAL_FATAL(sl_kv_store(&r->kv, &put, r->pool), 0);
}

static void run(struct rig *r, uint32_t pos, uint32_t n_tok)
{
    size_t at = (size_t)pos * r->c.d_attn;
    struct sl_attention_call call = {.kv = &r->kv,
                                     .kv_layer = 1,
                                     .pos = pos,
                                     .n_tok = n_tok,
                                     .q = r->q + at,
                                     .out = r->out + at};
    sl_attention_run(&r->attention, &call);
}

/* ---- the rule written out ------------------------------------------------------------------- */

/* A stored vector: its values in fp32, or codes less zero points and the scale of each group. */
struct stored {
    float value[MAX_DIM], scale[MAX_DIM / 32];
    int32_t code[MAX_DIM];
};

static struct stored decode(enum sl_kv_format format, uint32_t dim, const uint8_t *rec)
{
    struct stored s;
    uint32_t n_group = (dim + 31) / 32;
    for (uint32_t i = 0; i < dim; i++) {
        const uint8_t *scale = format == SL_KV_INT8 ? rec + dim : rec + dim / 2 + 2 * (i / 32);
        uint8_t nibble = (uint8_t)(rec[i / 2] >> (i % 2 * 4) & 15);
        if (format == SL_KV_F32)
            memcpy(&s.value[i], rec + 4 * i, 4);
        else
            s.scale[i / 32] = ref_float((uint32_t)(scale[0] | scale[1] << 8) << 16);
        if (format == SL_KV_INT8)
            s.code[i] = (int8_t)rec[i];
        if (format == SL_KV_INT4)
            s.code[i] = nibble - rec[dim / 2 + 2 * n_group + i / 32];
    }
    return s;
}

/* Channels that share a scale. */
static uint32_t group_width(enum sl_kv_format format, uint32_t dim)
{
    return format == SL_KV_INT4 ? 32 : dim;
}

static float sum16(const float *a, const float *b, uint32_t n)
{
    float s[16] = {0};
    for (uint32_t i = 0; i < n; i++)
        s[i % 16] = b ? fmaf(a[i], b[i], s[i % 16]) : s[i % 16] + a[i];
    for (int w = 8; w; w /= 2)
        for (int l = 0; l < w; l++)
            s[l] += s[l + w];
    return s[0];
}

/* A query as keys meet it: fp32, or s16 codes of one power of two. */
struct query {
    float value[MAX_DIM], factor;
    int32_t code[MAX_DIM];
};

static struct query query_by_rule(const struct rig *r, const float *q)
{
    uint32_t dim = r->c.head_dim;
    struct query out = {.factor = 1.0f / sqrtf((float)dim)};
    float top = 0;
    memcpy(out.value, q, dim * sizeof *q);
    if (r->kv.format_k == SL_KV_F32)
        return out;
    sl_kv_hadamard(out.value, dim);
    for (uint32_t i = 0; i < dim; i++)
        top = fmaxf(top, fabsf(out.value[i]));
    top = fmaxf(top, 0x1p-100f);
    for (uint32_t i = 0; i < dim; i++)
        out.code[i] = (int32_t)rintf(out.value[i] * (32767 / top));
    out.factor = top / 32767 * (out.factor / (float)sl_kv_hadamard_block(dim));
    return out;
}

static float score(enum sl_kv_format format, uint32_t dim, const struct query *q,
                   const struct stored *k)
{
    float s = 0;
    if (format == SL_KV_F32)
        return sum16(q->value, k->value, dim) * q->factor;
    for (uint32_t g = 0, width = group_width(format, dim); g * width < dim; g++) {
        int64_t sum = 0;
        for (uint32_t i = g * width; i < dim && i < (g + 1) * width; i++)
            sum += (int64_t)q->code[i] * k->code[i];
        float dot = (float)sum * k->scale[g];
        s = g ? s + dot : dot;
    }
    return s * q->factor;
}

/* acc of one channel plus the weighted values of some positions. */
static float add_values(enum sl_kv_format format, uint32_t dim, const struct stored *v,
                        const float *p, uint32_t n, uint32_t i, float acc)
{
    const uint32_t g = i / group_width(format, dim);
    float top = 0x1p-100f;
    int64_t sum = 0;
    for (uint32_t j = 0; j < n && format == SL_KV_F32; j++)
        acc = fmaf(p[j], v[j].value[i], acc);
    if (format == SL_KV_F32)
        return acc;
    for (uint32_t j = 0; j < n; j++)
        top = fmaxf(top, p[j] * v[j].scale[g]);
    for (uint32_t j = 0; j < n; j++)
        sum += (int64_t)rintf(p[j] * v[j].scale[g] * (32767 / top)) * v[j].code[i];
    return fmaf((float)sum, top / 32767, acc);
}

/* Sums of one query head over some positions. */
struct sums {
    float m, l, acc[MAX_DIM];
};

/* Of positions at .. end: blocks of 64. */
static struct sums span_by_rule(const struct rig *r, const struct query *q, uint32_t kv_head,
                                uint32_t at, uint32_t end)
{
    static struct stored v[64];
    uint32_t dim = r->c.head_dim;
    float p[64];
    struct sums s = {.m = -INFINITY};
    for (; at < end; at += 64) {
        uint32_t n = end - at < 64 ? end - at : 64;
        float top = s.m;
        for (uint32_t j = 0; j < n; j++) {
            struct stored k = decode(r->kv.format_k, dim, sl_kv_k(&r->kv, 1, kv_head, at + j));
            v[j] = decode(r->kv.format_v, dim, sl_kv_v(&r->kv, 1, kv_head, at + j));
            p[j] = score(r->kv.format_k, dim, q, &k);
            top = fmaxf(top, p[j]);
        }
        float c = sl_expf(s.m - top);
        for (uint32_t j = 0; j < n; j++)
            p[j] = sl_expf(p[j] - top);
        s.l = s.l * c + sum16(p, NULL, n);
        for (uint32_t i = 0; i < dim; i++)
            s.acc[i] = add_values(r->kv.format_v, dim, v, p, n, i, s.acc[i] * c);
        s.m = top;
    }
    return s;
}

/* One query head by docs/numerics.md section 6. */
static void by_rule(const struct rig *r, uint32_t pos, uint32_t head, float *y)
{
    uint32_t dim = r->c.head_dim, kv_head = head / (6 / r->c.n_kv_head);
    bool packed_v = r->kv.format_v != SL_KV_F32;
    struct query q = query_by_rule(r, r->q + ((size_t)pos * 6 + head) * dim);
    struct sums all = span_by_rule(r, &q, kv_head, 0, pos < 1024 ? pos + 1 : 1024);
    for (uint32_t at = 1024; at <= pos; at += 1024) {
        struct sums s = span_by_rule(r, &q, kv_head, at, pos - at < 1024 ? pos + 1 : at + 1024);
        float m = fmaxf(all.m, s.m), a = sl_expf(all.m - m), b = sl_expf(s.m - m);
        all.l = all.l * a + s.l * b;
        for (uint32_t i = 0; i < dim; i++)
            all.acc[i] = all.acc[i] * a + s.acc[i] * b;
        all.m = m;
    }
    for (uint32_t i = 0; i < dim; i++)
        y[i] = all.acc[i] / all.l;
    if (packed_v)
        sl_kv_hadamard(y, dim);
    for (uint32_t i = 0; packed_v && i < dim; i++)
        y[i] /= (float)sl_kv_hadamard_block(dim);
}

static const enum sl_kv_format formats[][2] = {{SL_KV_F32, SL_KV_F32},
                                               {SL_KV_INT8, SL_KV_INT8},
                                               {SL_KV_INT4, SL_KV_INT4},
                                               {SL_KV_INT8, SL_KV_INT4},
                                               {SL_KV_F32, SL_KV_INT8}};
enum { N_FORMAT = sizeof formats / sizeof *formats };
static const uint32_t dims[] = {8, 34, 80, 96, 128, 256};
enum { N_DIM = sizeof dims / sizeof *dims };

static void bits_follow_the_written_rule(void)
{
    static const uint32_t pos[] = {0, 1, 15, 62, 63, 64, 65, 127, 128, 199};
    struct sl_rng rng = sl_rng_open("attention", 31);
    for (int d = 0; d < N_DIM; d++) {
        struct rig r;
        float want[MAX_DIM];
        rig_open(&r, &rng, dims[d], 2);
        for (int f = 0; f < N_FORMAT; f++) {
            fill_cache(&r, formats[f][0], formats[f][1]);
            run(&r, 0, MAX_POS);
            for (size_t i = 0; i < sizeof pos / sizeof *pos; i++)
                for (uint32_t h = 0; h < 6; h++) {
                    by_rule(&r, pos[i], h, want);
                    const float *got = r.out + ((size_t)pos[i] * 6 + h) * dims[d];
                    CU_ASSERT_EQUAL(memcmp(got, want, dims[d] * sizeof *want), 0);
                }
        }
        rig_close(&r);
    }
}

/* Queries, keys and values of zeros, whose codes have no largest one, and the least that there is.
 */
static void zeros_follow_the_rule_too(void)
{
    static const uint32_t pos[] = {0, 2, 62, 130};
    struct sl_rng rng = sl_rng_open("attention", 38);
    struct rig r;
    float want[MAX_DIM];
    rig_open(&r, &rng, 80, 2);
    const size_t row = 2 * 80;
    memset(r.q, 0, 3 * 6 * 80 * sizeof *r.q);
    for (uint32_t i = 0; i < 6 * 80; i++)
        r.q[62 * 6 * 80 + i] = 0x1p-140f * (float)(i % 3);
    memset(r.k + row, 0, 70 * row * sizeof *r.k);
    memset(r.v, 0, 64 * row * sizeof *r.v);
    for (int f = 0; f < N_FORMAT; f++) {
        fill_cache(&r, formats[f][0], formats[f][1]);
        for (uint32_t n_tok = 1; n_tok <= 131; n_tok += 130)
            for (size_t i = 0; i < sizeof pos / sizeof *pos; i++) {
                run(&r, n_tok > 1 ? 0 : pos[i], n_tok);
                for (uint32_t h = 0; h < 6; h++) {
                    by_rule(&r, pos[i], h, want);
                    const float *got = r.out + ((size_t)pos[i] * 6 + h) * 80;
                    CU_ASSERT_EQUAL(memcmp(got, want, 80 * sizeof *want), 0);
                    CU_ASSERT(pos[i] > 62 || want[0] == 0);
                }
            }
    }
    rig_close(&r);
}

/* A query that is not finite has no result, and takes nobody else's. */
static void a_query_that_is_not_finite_has_no_result(void)
{
    struct sl_rng rng = sl_rng_open("attention", 39);
    struct rig r;
    float want[6 * 80], *got;
    rig_open(&r, &rng, 80, 1);
    for (int f = 0; f < N_FORMAT; f++)
        for (uint32_t n_tok = 1; n_tok <= 100; n_tok += 99) {
            fill_cache(&r, formats[f][0], formats[f][1]);
            got = r.out + (size_t)99 * 6 * 80;
            float *bad = r.q + (size_t)99 * 6 * 80 + 2 * 80 + 5, kept = *bad;
            run(&r, 100 - n_tok, n_tok);
            memcpy(want, got, sizeof want);
            *bad = f % 2 ? NAN : INFINITY;
            run(&r, 100 - n_tok, n_tok);
            *bad = kept;
            CU_ASSERT_EQUAL(memcmp(got, want, 2 * 80 * sizeof *want), 0);
            CU_ASSERT_EQUAL(memcmp(got + 3 * 80, want + 3 * 80, 3 * 80 * sizeof *want), 0);
            for (int i = 0; i < 80; i++)
                CU_ASSERT(isnan(got[2 * 80 + i]));
        }
    rig_close(&r);
}

/* Positions on both sides of a span's end, by one token, by few and by many; 6, 3 or 1 heads of a
 * group. */
static void spans_are_merged_by_the_written_rule(void)
{
    static const uint32_t pos[] = {1022, 1023, 1024, 1025, 1087, 2047, 2048, 2111};
    static const struct size sizes[] = {{80, 1, 2112, 3}, {34, 2, 2112, 1}, {80, 6, 2112, 2}};
    struct sl_rng rng = sl_rng_open("attention", 36);
    for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
        struct rig r;
        float want[MAX_DIM];
        rig_open_size(&r, &rng, &sizes[z]);
        size_t dim = sizes[z].dim;
        for (int f = 0; f < 3; f++) {
            fill_cache(&r, formats[f][0], formats[f][1]);
            for (int way = 0; way < 3; way++) {
                const uint32_t step[] = {1, 4, 16};
                memset(r.out, 0, r.n_pos * r.c.d_attn * sizeof *r.out);
                for (size_t i = 0; i < sizeof pos / sizeof *pos; i++) {
                    run(&r, pos[i] + 1 - step[way], step[way]);
                    uint32_t h = (uint32_t)sl_rng_range(&rng, 0, 5);
                    by_rule(&r, pos[i], h, want);
                    const float *got = r.out + ((size_t)pos[i] * 6 + h) * dim;
                    CU_ASSERT_EQUAL(memcmp(got, want, dim * sizeof *want), 0);
                }
            }
        }
        rig_close(&r);
    }
}

/* ---- values --------------------------------------------------------------------------------- */

/* What a record stands for, by the reference's unpacking. */
static void unpack(enum sl_kv_format format, uint32_t dim, const uint8_t *rec, double *out)
{
    uint8_t record[6 * 64] = {0};
    uint32_t bits[MAX_DIM], n_group = (dim + 31) / 32;
    uint32_t n_code = format == SL_KV_INT8 ? dim : dim / 2, beats = (n_code + 63) / 64;
    if (format == SL_KV_F32) {
        for (uint32_t i = 0; i < dim; i++) {
            float x;
            memcpy(&x, rec + 4 * i, 4);
            out[i] = x;
        }
        return;
    }
    memcpy(record, rec, n_code);
    memcpy(record + 64 * beats, rec + n_code, format == SL_KV_INT8 ? 2 : 2 * n_group);
    if (format == SL_KV_INT4)
        memcpy(record + 64 * beats + 32, rec + n_code + 2 * n_group, n_group);
    ref_kv_unpack(format == SL_KV_INT8 ? SL_KVREC_INT8 : SL_KVREC_INT4, dim, record, bits);
    for (uint32_t i = 0; i < dim; i++)
        out[i] = ref_float(bits[i]);
}

/* Softmax over all positions at once. */
static void plain(const struct rig *r, uint32_t pos, uint32_t head, double *y)
{
    static double k[MAX_POS][MAX_DIM], v[MAX_POS][MAX_DIM], s[MAX_POS];
    uint32_t dim = r->c.head_dim;
    const float *q = r->q + ((size_t)pos * 6 + head) * dim;
    double max = -INFINITY, sum = 0;
    for (uint32_t j = 0; j <= pos; j++) {
        unpack(r->kv.format_k, dim, sl_kv_k(&r->kv, 1, head / 3, j), k[j]);
        unpack(r->kv.format_v, dim, sl_kv_v(&r->kv, 1, head / 3, j), v[j]);
        s[j] = 0;
        for (uint32_t i = 0; i < dim; i++)
            s[j] += q[i] * k[j][i] / sqrt(dim);
        max = fmax(max, s[j]);
    }
    for (uint32_t j = 0; j <= pos; j++)
        sum += s[j] = exp(s[j] - max);
    for (uint32_t i = 0; i < dim; i++) {
        y[i] = 0;
        for (uint32_t j = 0; j <= pos; j++)
            y[i] += s[j] / sum * v[j][i];
    }
}

/* Values have unit variance. Codes of queries and weights have 16 bits. */
static void values_equal_a_plain_softmax_over_the_unpacked_cache(void)
{
    static const double limit[N_FORMAT] = {2e-6, 1.2e-4, 1.5e-4, 1.5e-4, 2e-4};
    static const uint32_t pos[] = {0, 63, 64, 199};
    struct sl_rng rng = sl_rng_open("attention", 32);
    for (int d = 0; d < N_DIM; d++) {
        struct rig r;
        double want[MAX_DIM];
        rig_open(&r, &rng, dims[d], 2);
        for (int f = 0; f < N_FORMAT; f++) {
            fill_cache(&r, formats[f][0], formats[f][1]);
            run(&r, 0, MAX_POS);
            for (int i = 0; i < 4; i++) {
                uint32_t head = (uint32_t)sl_rng_range(&rng, 0, 5);
                const float *got = r.out + ((size_t)pos[i] * 6 + head) * dims[d];
                plain(&r, pos[i], head, want);
                for (uint32_t c = 0; c < dims[d]; c++)
                    CU_ASSERT(fabs(got[c] - want[c]) <= limit[f]);
            }
        }
        rig_close(&r);
    }
}

/* Int8 must be close to what was never packed; int4 at least recognisable. */
static void packing_costs_little(void)
{
    static const double limit[] = {0, 0.02, 0.2};
    struct sl_rng rng = sl_rng_open("attention", 33);
    struct rig r;
    rig_open(&r, &rng, 80, 1);
    size_t n = (size_t)MAX_POS * r.c.d_attn;
    float *exact = malloc(n * sizeof *exact);
    CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
    for (int f = SL_KV_F32; f <= SL_KV_INT4; f++) {
        double error = 0, energy = 0;
        fill_cache(&r, (enum sl_kv_format)f, (enum sl_kv_format)f);
        run(&r, 0, MAX_POS);
        if (f == SL_KV_F32)
            memcpy(exact, r.out, n * sizeof *exact);
        for (size_t i = 0; i < n; i++) {
            error += pow((double)r.out[i] - exact[i], 2);
            energy += pow((double)exact[i], 2);
        }
        CU_ASSERT(sqrt(error / energy) <= limit[f]);
        CU_ASSERT(f == SL_KV_F32 || error > 0);
    }
    free(exact);
    rig_close(&r);
}

/* ---- independence --------------------------------------------------------------------------- */

static void chunking_and_threads_change_no_bit(void)
{
    static const uint32_t chunk[] = {1, 7, 64, 100};
    const struct sl_rng start = sl_rng_open("attention", 34);
    for (int f = 0; f < N_FORMAT; f++) {
        struct sl_rng rng = start;
        struct rig one;
        rig_open(&one, &rng, 80, 1);
        size_t bytes = (size_t)MAX_POS * one.c.d_attn * sizeof(float);
        fill_cache(&one, formats[f][0], formats[f][1]);
        run(&one, 0, MAX_POS);
        for (size_t i = 0; i < sizeof chunk / sizeof *chunk; i++) {
            struct rig two;
            rng = start;
            rig_open(&two, &rng, 80, 3);
            fill_cache(&two, formats[f][0], formats[f][1]);
            for (uint32_t at = 0; at < MAX_POS; at += chunk[i])
                run(&two, at, MAX_POS - at < chunk[i] ? MAX_POS - at : chunk[i]);
            CU_ASSERT_EQUAL(memcmp(one.out, two.out, bytes), 0);
            rig_close(&two);
        }
        rig_close(&one);
    }
}

static void later_positions_take_no_part(void)
{
    struct sl_rng rng = sl_rng_open("attention", 35);
    struct rig r;
    rig_open(&r, &rng, 80, 2);
    fill_cache(&r, SL_KV_INT8, SL_KV_INT4);
    size_t bytes = 6 * 80 * sizeof(float);
    float before[6 * 80];
    run(&r, 70, 1);
    memcpy(before, r.out + (size_t)70 * 6 * 80, bytes);
    for (uint32_t h = 0; h < 2; h++) {
        memset(sl_kv_k(&r.kv, 1, h, 71), 0xFF, (MAX_POS - 71) * sl_kv_vec_bytes(SL_KV_INT8, 80));
        memset(sl_kv_v(&r.kv, 1, h, 71), 0xFF, (MAX_POS - 71) * sl_kv_vec_bytes(SL_KV_INT4, 80));
    }
    run(&r, 70, 1);
    CU_ASSERT_EQUAL(memcmp(before, r.out + (size_t)70 * 6 * 80, bytes), 0);
    rig_close(&r);
}

static void cache_refuses_what_it_cannot_hold(void)
{
    struct sl_kv kv = {0};
    struct sl_config c = {.n_layer = 3, .cla_factor = 1, .n_head = 1, .n_kv_head = 1};
    c.head_dim = 7;
    CU_ASSERT_EQUAL(sl_kv_open(&kv, &c, 8, SL_KV_INT8, SL_KV_F32), SL_ERR_UNSUPPORTED);
    CU_ASSERT_EQUAL(sl_kv_open(&kv, &c, 8, SL_KV_F32, SL_KV_F32), 0);
    sl_kv_close(&kv);
    c.head_dim = 258;
    CU_ASSERT_EQUAL(sl_kv_open(&kv, &c, 8, SL_KV_F32, SL_KV_INT4), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NULL(kv.k);
    /* 17 TB: refused at once, with how much it would be and how much there is. */
    c = (struct sl_config){
        .n_layer = 64, .cla_factor = 1, .n_head = 8, .n_kv_head = 8, .head_dim = 256};
    CU_ASSERT_EQUAL(sl_kv_open(&kv, &c, 1 << 24, SL_KV_F32, SL_KV_F32), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "16777216 tokens take 17592.19 GB, and"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "int4"));
    CU_ASSERT_PTR_NULL(kv.k);
}

/* Resident pages of this process, bytes. */
static size_t resident(void)
{
    size_t total, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fscanf(f, "%zu %zu", &total, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What `info` says of a published model, and pages only for what is written. */
static void cache_takes_what_info_predicts_and_pages_when_written(void)
{
    struct sl_config c;
    struct sl_model_info m;
    struct sl_kv kv;
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&c, "tests/configs/hunyuan-large-instruct.json"), 0);
    sl_config_get_info(&c, &m);
    CU_ASSERT_EQUAL(2 * sl_kv_bytes(&c, 131072, SL_KV_INT8), 131072 * m.kv_bytes_int8);
    CU_ASSERT_EQUAL(2 * sl_kv_bytes(&c, 131072, SL_KV_INT4), 131072 * m.kv_bytes_int4);
    CU_ASSERT_EQUAL(sl_kv_bytes(&c, 131072, SL_KV_F32), 131072 * m.kv_bytes_bf16);
    c.n_layer = 4; /* two stored: 344 MB */
    const size_t before = resident();
    (void)before;
    CU_ASSERT_EQUAL_FATAL(sl_kv_open(&kv, &c, 131072, SL_KV_INT8, SL_KV_INT8), 0);
    uint8_t *end = sl_kv_v(&kv, 1, 7, 131071) + sl_kv_vec_bytes(SL_KV_INT8, 80);
    CU_ASSERT_EQUAL((size_t)(end - kv.v), sl_kv_bytes(&c, 131072, SL_KV_INT8));
    end[-1] = 1;
#ifndef __SANITIZE_ADDRESS__ /* its shadow of the cache takes memory at once */
    CU_ASSERT(resident() - before < 100u << 20);
#endif
    sl_kv_close(&kv);
}

/* ---- long contexts --------------------------------------------------------------------------- */

enum { LONG = 131072, N_KIND = 97, LONG_HEADS = 8, LONG_DIM = 34 };

/* Which of a few vectors lies at a position: anything, and one of its own at the very end. */
static uint32_t kind_at(uint32_t pos)
{
    return pos >= LONG - 20 ? N_KIND - 1 : (pos * 2654435761u >> 12) % (N_KIND - 1);
}

/* A cache of LONG positions made of N_KIND different records. */
static void fill_long(struct sl_kv *kv, struct sl_rng *rng)
{
    size_t rec_k = sl_kv_vec_bytes(kv->format_k, kv->head_dim);
    size_t rec_v = sl_kv_vec_bytes(kv->format_v, kv->head_dim);
    float *x = random_rows(rng, (size_t)2 * N_KIND * LONG_DIM);
    struct sl_pool *pool;
    struct sl_kv_put put = {.n_tok = N_KIND, .k = x, .v = x + (size_t)N_KIND * LONG_DIM};
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 1), 0);
    CU_ASSERT_EQUAL_FATAL(sl_kv_store(kv, &put, pool), 0);
    for (uint32_t pos = LONG; pos-- > N_KIND;) {
        memcpy(sl_kv_k(kv, 0, 0, pos), sl_kv_k(kv, 0, 0, kind_at(pos)), rec_k);
        memcpy(sl_kv_v(kv, 0, 0, pos), sl_kv_v(kv, 0, 0, kind_at(pos)), rec_v);
    }
    sl_pool_close(&pool);
    free(x);
}

/* Softmax over the whole context in binary64; the first N_KIND positions hold one of each kind. */
static void plain_long(const struct sl_kv *kv, uint32_t pos, const float *q, double *y)
{
    double k[MAX_DIM], v[N_KIND][MAX_DIM], s[N_KIND], weight[N_KIND] = {0}, max = -INFINITY;
    for (uint32_t kind = 0; kind < N_KIND; kind++) {
        unpack(kv->format_k, LONG_DIM, sl_kv_k(kv, 0, 0, kind), k);
        unpack(kv->format_v, LONG_DIM, sl_kv_v(kv, 0, 0, kind), v[kind]);
        s[kind] = 0;
        for (int i = 0; i < LONG_DIM; i++)
            s[kind] += q[i] * k[i] / sqrt(LONG_DIM);
        max = fmax(max, s[kind]);
    }
    double sum = 0;
    for (uint32_t at = 0; at <= pos; at++) {
        uint32_t kind = at < N_KIND ? at : kind_at(at);
        weight[kind] += exp(s[kind] - max);
        sum += exp(s[kind] - max);
    }
    for (int i = 0; i < LONG_DIM; i++) {
        y[i] = 0;
        for (int kind = 0; kind < N_KIND; kind++)
            y[i] += weight[kind] / sum * v[kind][i];
    }
}

/* One token, which is split, and the last of eight, which are not; positions at the end. */
static void contexts_of_131072_equal_a_softmax_in_binary64(void)
{
    static const double limit[] = {2e-6, 3e-5, 3e-5};
    struct sl_rng rng = sl_rng_open("attention", 37);
    struct sl_config c = {
        .n_layer = 1, .cla_factor = 1, .n_head = LONG_HEADS, .n_kv_head = 1, .head_dim = LONG_DIM};
    size_t row = (size_t)LONG_HEADS * LONG_DIM;
    float *q = random_rows(&rng, 16 * row), *out = calloc(16 * row, sizeof *out);
    struct sl_pool *pool;
    struct sl_attention a;
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 2), 0);
    CU_ASSERT_EQUAL_FATAL(sl_attention_open(&a, &c, pool), 0);
    for (int f = 0; f < 3; f++) {
        struct sl_kv kv;
        double want[MAX_DIM];
        CU_ASSERT_EQUAL_FATAL(sl_kv_open(&kv, &c, LONG, formats[f][0], formats[f][1]), 0);
        fill_long(&kv, &rng);
        for (uint32_t n_tok = 1; n_tok <= 16; n_tok *= 16) {
            struct sl_attention_call call = {
                .kv = &kv, .pos = LONG - n_tok, .n_tok = n_tok, .q = q, .out = out};
            sl_attention_run(&a, &call);
            for (uint32_t t = 0; t < n_tok; t += 15)
                for (size_t h = 0; h < LONG_HEADS; h += 7) {
                    size_t at = t * row + h * LONG_DIM;
                    plain_long(&kv, LONG - n_tok + t, q + at, want);
                    for (int i = 0; i < LONG_DIM; i++)
                        CU_ASSERT(fabs(out[at + (size_t)i] - want[i]) <= limit[f]);
                }
        }
        sl_kv_close(&kv);
    }
    sl_attention_close(&a);
    sl_pool_close(&pool);
    free(q);
    free(out);
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {CASE(bits_follow_the_written_rule),
                                       CASE(spans_are_merged_by_the_written_rule),
                                       CASE(zeros_follow_the_rule_too),
                                       CASE(a_query_that_is_not_finite_has_no_result),
                                       CASE(values_equal_a_plain_softmax_over_the_unpacked_cache),
                                       CASE(packing_costs_little),
                                       CASE(chunking_and_threads_change_no_bit),
                                       CASE(later_positions_take_no_part),
                                       CASE(cache_refuses_what_it_cannot_hold),
                                       CASE(cache_takes_what_info_predicts_and_pages_when_written),
                                       CASE(contexts_of_131072_equal_a_softmax_in_binary64),
                                       {NULL, NULL}};

const struct sl_suite suite_attention = {"attention", cases};
