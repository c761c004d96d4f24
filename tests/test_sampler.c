/* SPDX-License-Identifier: Apache-2.0 */
/* Draws against probabilities computed by hand; the bound on chi-square is its 99.99 % quantile. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sluice.h"
#include "test_main.h"

enum { MAX_VOCAB = 8, N_DRAW = 20000 };

static struct sl_sampler_params plain(void)
{
    return (struct sl_sampler_params){
        .temp = 1, .top_k = 0, .top_p = 1, .repeat_penalty = 1, .seed = 1};
}

static struct sl_sampler *open_sampler(struct sl_sampler_params p, size_t n)
{
    struct sl_sampler *s = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_sampler_open(&s, &p, n), 0);
    return s;
}

static int32_t sample_once(struct sl_sampler_params p, const float *logits, size_t n)
{
    struct sl_sampler *s = open_sampler(p, n);
    int32_t id = sl_sampler_sample(s, logits);
    sl_sampler_close(&s);
    return id;
}

static void logs(const double *prob, size_t n, float *logits)
{
    for (size_t i = 0; i < n; i++)
        logits[i] = (float)log(prob[i]);
}

/* Draws N_DRAW times and compares with want[n] (zero: must never come). */
static void check_distribution(struct sl_sampler_params p, const float *logits, size_t n,
                               const double *want)
{
    static const double quantile[MAX_VOCAB] = {0, 15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88};
    unsigned count[MAX_VOCAB] = {0}, df = 0;
    struct sl_sampler *s = open_sampler(p, n);
    for (unsigned i = 0; i < N_DRAW; i++) {
        int32_t id = sl_sampler_sample(s, logits);
        CU_ASSERT_FATAL(id >= 0 && (size_t)id < n);
        count[id]++;
    }
    sl_sampler_close(&s);
    double chi = 0;
    for (size_t i = 0; i < n; i++) {
        double expected = want[i] * N_DRAW, d = count[i] - expected;
        if (want[i] > 0)
            chi += d * d / expected;
        else
            CU_ASSERT_EQUAL(count[i], 0);
        df += want[i] > 0;
    }
    CU_ASSERT(chi <= quantile[df - 1]);
}

static void greedy_takes_the_largest_and_the_lowest_index(void)
{
    struct sl_sampler_params p = plain();
    p.temp = 0;
    CU_ASSERT_EQUAL(sample_once(p, (const float[]){1, 3, 2}, 3), 1);
    CU_ASSERT_EQUAL(sample_once(p, (const float[]){1, 3, 3, 3}, 4), 1);
    CU_ASSERT_EQUAL(sample_once(p, (const float[]){-5, -5}, 2), 0);
    p.temp = -1;
    CU_ASSERT_EQUAL(sample_once(p, (const float[]){0, 0, 1}, 3), 2);
}

static void nan_is_never_chosen(void)
{
    struct sl_sampler_params p = plain();
    for (int greedy = 0; greedy < 2; greedy++) {
        p.temp = greedy ? 0 : 1;
        CU_ASSERT_EQUAL(sample_once(p, (const float[]){NAN, -1, NAN}, 3), 1);
        CU_ASSERT_EQUAL(sample_once(p, (const float[]){NAN, -INFINITY, NAN}, 3), 1);
        CU_ASSERT_EQUAL(sample_once(p, (const float[]){NAN, NAN}, 2), 0);
        CU_ASSERT_EQUAL(sample_once(p, (const float[]){1, INFINITY, 2}, 3), 1);
        CU_ASSERT_EQUAL(sample_once(p, (const float[]){-INFINITY, -INFINITY, -3}, 3), 2);
    }
    p = plain();
    p.top_k = 2;
    CU_ASSERT_EQUAL(sample_once(p, (const float[]){NAN, -1, NAN}, 3), 1);
    p.top_p = 0.5f;
    CU_ASSERT_EQUAL(sample_once(p, (const float[]){NAN, NAN, 4}, 3), 2);
}

static void draws_follow_the_softmax(void)
{
    static const double prob[] = {0.5, 0.25, 0.15, 0.07, 0.03};
    float logits[5];
    logs(prob, 5, logits);
    check_distribution(plain(), logits, 5, prob);
}

static void temperature_divides_the_logits(void)
{
    /* Temperature 1/2 squares the probabilities: 0.36, 0.09, 0.01 over 0.46. */
    static const double prob[] = {0.6, 0.3, 0.1}, cold[] = {0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46};
    float logits[3];
    struct sl_sampler_params p = plain();
    p.temp = 0.5f;
    logs(prob, 3, logits);
    check_distribution(p, logits, 3, cold);
    p.temp = 1e-30f; /* as good as greedy, without overflow */
    check_distribution(p, logits, 3, (const double[]){1, 0, 0});
}

static void top_k_keeps_the_k_largest(void)
{
    static const double prob[] = {0.1, 0.4, 0.2, 0.3};
    float logits[4];
    struct sl_sampler_params p = plain();
    logs(prob, 4, logits);
    p.top_k = 2;
    check_distribution(p, logits, 4, (const double[]){0, 4.0 / 7, 0, 3.0 / 7});
    p.top_k = 1;
    check_distribution(p, logits, 4, (const double[]){0, 1, 0, 0});
    p.top_k = 99;
    check_distribution(p, logits, 4, prob);
    p.top_k = 1; /* the lowest index among equals, as greedy */
    check_distribution(p, (const float[]){0, 2, 2, 2}, 4, (const double[]){0, 1, 0, 0});
}

static void top_p_keeps_the_smallest_set_that_reaches_it(void)
{
    static const double prob[] = {0.2, 0.5, 0.3};
    float logits[3];
    struct sl_sampler_params p = plain();
    logs(prob, 3, logits);
    p.top_p = 0; /* at least one */
    check_distribution(p, logits, 3, (const double[]){0, 1, 0});
    p.top_p = 0.49f;
    check_distribution(p, logits, 3, (const double[]){0, 1, 0});
    p.top_p = 0.51f;
    check_distribution(p, logits, 3, (const double[]){0, 0.625, 0.375});
    p.top_p = 0.79f;
    check_distribution(p, logits, 3, (const double[]){0, 0.625, 0.375});
    p.top_p = 0.81f;
    check_distribution(p, logits, 3, prob);
    p.top_p = 7;
    check_distribution(p, logits, 3, prob);
}

static void top_p_counts_what_top_k_and_temperature_left(void)
{
    static const double prob[] = {0.4, 0.3, 0.2, 0.1};
    float logits[4];
    struct sl_sampler_params p = plain();
    logs(prob, 4, logits);
    p.top_p = 0.5f; /* 0.4 < 0.5: two remain */
    check_distribution(p, logits, 4, (const double[]){4.0 / 7, 3.0 / 7, 0, 0});
    p.top_k = 2; /* 4/7 >= 0.5: one remains */
    check_distribution(p, logits, 4, (const double[]){1, 0, 0, 0});
    p.top_k = 0;
    p.temp = 0.5f; /* 0.16 of 0.30 >= 0.5: one remains */
    check_distribution(p, logits, 4, (const double[]){1, 0, 0, 0});
}

static void the_penalty_comes_first(void)
{
    struct sl_sampler_params p = plain();
    p.temp = 0;
    p.repeat_penalty = 1.5f;
    struct sl_sampler *s = open_sampler(p, 3);
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){2, 1.9f, 0}), 0);
    sl_sampler_accept(s, 0);
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){2, 1.9f, 0}), 1);    /* 2 / 1.5 */
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){-1, -1.2f, -9}), 1); /* -1 * 1.5 */
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){-1, -1.6f, -9}), 0);
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){0, -0.1f, -9}), 0);
    sl_sampler_accept(s, 0);                                               /* counts once */
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){2, 1.2f, 0}), 0); /* 1.333, not 0.889 */
    sl_sampler_accept(s, -1);
    sl_sampler_accept(s, 3); /* ids that do not exist change nothing */
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){2, 1.2f, 0}), 0);
    sl_sampler_close(&s);
    p.temp = 1;
    p.top_k = 1;
    s = open_sampler(p, 3);
    sl_sampler_accept(s, 0);
    CU_ASSERT_EQUAL(sl_sampler_sample(s, (const float[]){2, 1.9f, 0}), 1);
    sl_sampler_close(&s);
}

static void a_seed_decides_the_sequence(void)
{
    enum { N = 64 };
    float logits[N] = {0};
    struct sl_sampler_params p = plain();
    p.seed = 42;
    struct sl_sampler *a = open_sampler(p, N), *b = open_sampler(p, N);
    p.seed = 43;
    struct sl_sampler *c = open_sampler(p, N);
    unsigned differ = 0, distinct = 0;
    int32_t last = -1;
    for (unsigned i = 0; i < 100; i++) {
        int32_t id = sl_sampler_sample(a, logits);
        CU_ASSERT_EQUAL(sl_sampler_sample(b, logits), id);
        differ += sl_sampler_sample(c, logits) != id;
        distinct += id != last;
        last = id;
    }
    CU_ASSERT(differ > 80);
    CU_ASSERT(distinct > 80);
    sl_sampler_close(&a);
    sl_sampler_close(&b);
    sl_sampler_close(&c);
}

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static void a_large_vocabulary_keeps_only_its_best(void)
{
    enum { N = 20000, K = 40 };
    struct sl_rng rng = sl_rng_open("a_large_vocabulary_keeps_only_its_best", 3);
    float *logits = malloc(N * sizeof *logits), *sorted = malloc(N * sizeof *sorted);
    CU_ASSERT_FATAL(logits && sorted);
    for (size_t i = 0; i < N; i++)
        sorted[i] = logits[i] = (float)sl_rng_normal(&rng);
    qsort(sorted, N, sizeof *sorted, descending);
    struct sl_sampler_params p = plain();
    p.top_k = K;
    struct sl_sampler *s = open_sampler(p, N);
    bool inside = true;
    for (unsigned i = 0; i < 500; i++)
        inside = inside && logits[sl_sampler_sample(s, logits)] >= sorted[K - 1];
    CU_ASSERT(inside);
    sl_sampler_close(&s);
    free(logits);
    free(sorted);
}

static void impossible_settings_are_refused(void)
{
    struct sl_sampler *s = NULL;
    struct sl_sampler_params p = plain();
    p.temp = NAN;
    CU_ASSERT_EQUAL(sl_sampler_open(&s, &p, 4), SL_ERR_USAGE);
    p = plain();
    p.top_p = -0.1f;
    CU_ASSERT_EQUAL(sl_sampler_open(&s, &p, 4), SL_ERR_USAGE);
    p.top_p = NAN;
    CU_ASSERT_EQUAL(sl_sampler_open(&s, &p, 4), SL_ERR_USAGE);
    p = plain();
    p.repeat_penalty = 0;
    CU_ASSERT_EQUAL(sl_sampler_open(&s, &p, 4), SL_ERR_USAGE);
    p.repeat_penalty = INFINITY;
    CU_ASSERT_EQUAL(sl_sampler_open(&s, &p, 4), SL_ERR_USAGE);
    p = plain();
    CU_ASSERT_EQUAL(sl_sampler_open(&s, &p, 0), SL_ERR_SHAPE);
    CU_ASSERT_PTR_NULL(s);
    sl_sampler_close(&s);
    sl_sampler_close(NULL);
}

static const struct sl_case cases[] = {
    {"greedy_takes_the_largest_and_the_lowest_index",
     greedy_takes_the_largest_and_the_lowest_index},
    {"nan_is_never_chosen", nan_is_never_chosen},
    {"draws_follow_the_softmax", draws_follow_the_softmax},
    {"temperature_divides_the_logits", temperature_divides_the_logits},
    {"top_k_keeps_the_k_largest", top_k_keeps_the_k_largest},
    {"top_p_keeps_the_smallest_set_that_reaches_it", top_p_keeps_the_smallest_set_that_reaches_it},
    {"top_p_counts_what_top_k_and_temperature_left", top_p_counts_what_top_k_and_temperature_left},
    {"the_penalty_comes_first", the_penalty_comes_first},
    {"a_seed_decides_the_sequence", a_seed_decides_the_sequence},
    {"a_large_vocabulary_keeps_only_its_best", a_large_vocabulary_keeps_only_its_best},
    {"impossible_settings_are_refused", impossible_settings_are_refused},
    {NULL, NULL},
};
const struct sl_suite suite_sampler = {"sampler", cases};
