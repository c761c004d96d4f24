/* SPDX-License-Identifier: Apache-2.0 */
#include "variant_rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_main.h"

enum { MAX_TOKENS = 300 };

void variant_open(struct variant_rig *r, const char *dir)
{
    struct sl_model_info info;
    snprintf(r->path, sizeof r->path, "%s/%s", sl_golden_dir(), dir);
    golden_open(&r->g, dir);
    r->ids = golden_i32(&r->g, "input_ids", &r->n);
    CU_ASSERT_FATAL(r->ids && r->n <= MAX_TOKENS);
    CU_ASSERT_EQUAL_FATAL(sl_config_info(r->path, &info), 0);
    r->n_vocab = info.n_vocab;
}

void variant_close(struct variant_rig *r)
{
    golden_close(&r->g);
}

float *variant_run(const struct variant_rig *r, const struct sl_model_params *mp,
                   const struct sl_session_params *sp, size_t first)
{
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    float *logits = malloc(r->n * r->n_vocab * sizeof *logits);
    int err = sl_model_open(&model, mp);
    if (err)
        printf("[%s: %s] ", r->path, sl_error_message());
    CU_ASSERT_FATAL(logits && !err);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, sp), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, r->ids, first, true, logits), 0);
    CU_ASSERT_EQUAL(
        sl_session_eval(session, r->ids + first, r->n - first, true, logits + first * r->n_vocab),
        0);
    sl_session_close(&session);
    sl_model_close(&model);
    return logits;
}

static void compare(const struct variant_rig *r, const float *logits)
{
    size_t n_row, n_logit;
    const int32_t *row = golden_i32(&r->g, "rows", &n_row);
    const float *want = golden_f32(&r->g, "logits", &n_logit);
    double worst = 0;
    CU_ASSERT_FATAL(row && want && n_row >= 8 && n_logit == n_row * r->n_vocab);
    for (size_t i = 0; i < n_logit; i++) {
        size_t t = (size_t)row[i / r->n_vocab];
        double got = logits[t * r->n_vocab + i % r->n_vocab];
        double excess = fabs(got - want[i]) / (1e-4 + 1e-4 * fabs((double)want[i]));
        worst = !(excess <= worst) ? excess : worst;
    }
    if (!(worst <= 1))
        printf("[%.3g of the tolerance] ", worst);
    CU_ASSERT(worst <= 1);
}

void variant_check_exact(const char *dir)
{
    struct variant_rig r;
    variant_open(&r, dir);
    struct sl_model_params mp = {.path = r.path, .exact = true, .n_threads = 2};
    struct sl_session_params one = {.n_ctx = 512}, many = {.n_ctx = 512, .n_batch = 9};
    float *a = variant_run(&r, &mp, &one, 1), *b = variant_run(&r, &mp, &many, 65);
    compare(&r, a);
    CU_ASSERT_EQUAL(memcmp(a, b, r.n * r.n_vocab * sizeof *a), 0);
    free(a);
    free(b);
    variant_close(&r);
}

void variant_check_fabric(const char *dir, const char *format)
{
    struct variant_rig r;
    variant_open(&r, dir);
    struct sl_model_params mp = {.path = r.path, .format = format, .n_threads = 2};
    struct sl_session_params one = {.n_ctx = 512, .cache_type_v = "int4"}, many = one;
    many.n_batch = 5;
    many.kv_on_fabric = true;
    float *a = variant_run(&r, &mp, &one, 1), *b = variant_run(&r, &mp, &many, 64), sum = 0;
    for (size_t i = 0; i < r.n * r.n_vocab; i++)
        sum += fabsf(a[i]);
    CU_ASSERT(isfinite(sum) && sum > 0);
    CU_ASSERT_EQUAL(memcmp(a, b, r.n * r.n_vocab * sizeof *a), 0);
    free(a);
    free(b);
    variant_close(&r);
}
