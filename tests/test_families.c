/* SPDX-License-Identifier: Apache-2.0 */
/* Llama and its neighbours against an independent float64 pass (make_families.py):
 * the stream behind every layer, choices, logits; then quantised, on every device that this machine
 * has without a board. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_rig.h"
#include "engine/session.h"
#include "golden_read.h"
#include "logits_rig.h"
#include "sluice.h"
#include "store_rig.h"
#include "test_main.h"

struct rig {
    char path[400];
    struct golden g;
    const int32_t *ids;
    size_t n;
    struct sl_model_info info;
    unsigned n_compared; /* rows of hidden states, and choices */
};

static void rig_open(struct rig *r, const char *name)
{
    char dir[100];
    *r = (struct rig){0};
    snprintf(dir, sizeof dir, "families/%s", name);
    snprintf(r->path, sizeof r->path, "%s/%s", sl_golden_dir(), dir);
    golden_open(&r->g, dir);
    r->ids = golden_i32(&r->g, "input_ids", &r->n);
    CU_ASSERT_FATAL(r->ids && r->n >= 24);
    CU_ASSERT_EQUAL_FATAL(sl_config_info(r->path, &r->info), 0);
}

/* ---- the exact path ------------------------------------------------------------------------- */

static void compare(const char *name, const float *got, const float *want, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double excess = fabs((double)got[i] - want[i]) / (1e-4 + 1e-4 * fabs((double)want[i]));
        worst = !(excess <= worst) ? excess : worst;
    }
    if (!(worst <= 1))
        printf("[%s: %.3g of the tolerance] ", name, worst);
    CU_ASSERT(worst <= 1);
}

static void on_item(void *user, const struct sl_trace_item *item)
{
    struct rig *r = user;
    char name[64];
    size_t n;
    if (item->point != SL_TRACE_HIDDEN)
        return;
    snprintf(name, sizeof name, "hidden.%u", item->layer);
    const float *want = golden_f32(&r->g, name, &n);
    CU_ASSERT_FATAL(want && n == r->n * item->width && item->stride == item->width);
    compare(name, item->data, want + item->pos * item->width, item->n_tok * item->width);
    r->n_compared += (unsigned)item->n_tok;
}

static void on_route(void *user, uint32_t layer, uint32_t pos, const struct sl_route *route,
                     size_t n_tok)
{
    struct rig *r = user;
    char name[64];
    size_t n_index, n_weight, k = r->info.n_expert_used;
    if (!k)
        return;
    snprintf(name, sizeof name, "layers.%u.topk_index", layer);
    const int32_t *index = golden_i32(&r->g, name, &n_index);
    snprintf(name, sizeof name, "layers.%u.topk_weight", layer);
    const float *weight = golden_f32(&r->g, name, &n_weight);
    CU_ASSERT_FATAL(index && weight && n_index == r->n * k && n_weight == n_index);
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t i = 0; i < k; i++)
            CU_ASSERT_EQUAL(route[t].expert[i], index[(pos + t) * k + i]);
        compare(name, route[t].weight, weight + (pos + t) * k, k);
    }
    r->n_compared += (unsigned)n_tok;
}

/* All logits, malloc()ed, of a model that is fed in two calls; trace: may be NULL. */
static float *run(const struct rig *r, const struct sl_model_params *mp,
                  const struct sl_session_params *sp, size_t first, const struct sl_trace *trace)
{
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    float *logits = malloc(r->n * r->info.n_vocab * sizeof *logits);
    int err = sl_model_open(&model, mp);
    if (err)
        printf("[%s: %s] ", r->path, sl_error_message());
    CU_ASSERT_FATAL(logits && !err);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, sp), 0);
    sl_session_set_trace(session, trace);
    CU_ASSERT_EQUAL(sl_session_eval(session, r->ids, first, true, logits), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, r->ids + first, r->n - first, true,
                                    logits + first * r->info.n_vocab),
                    0);
    sl_session_close(&session);
    sl_model_close(&model);
    return logits;
}

static bool same(const struct rig *r, const float *a, const float *b)
{
    return !memcmp(a, b, r->n * r->info.n_vocab * sizeof *a);
}

/* Intermediate results and logits; fed otherwise, token by token too, not a bit changes. */
static void check_exact(const char *name)
{
    static const struct {
        uint32_t n_batch, first;
    } split[] = {{7, 1}, {1, 23}, {3, 11}};
    struct rig r;
    size_t n_logit;
    rig_open(&r, name);
    const struct sl_trace trace = {on_item, on_route, &r};
    const struct sl_model_params mp = {.path = r.path, .exact = true, .n_threads = 2};
    const struct sl_session_params whole = {.n_ctx = 64};
    float *logits = run(&r, &mp, &whole, 20, &trace);
    const float *want = golden_f32(&r.g, "logits", &n_logit);
    CU_ASSERT_FATAL(want && n_logit == r.n * r.info.n_vocab);
    compare("logits", logits, want, n_logit);
    CU_ASSERT_EQUAL(r.n_compared,
                    r.n * (r.info.n_layer + 1 + (r.info.n_expert ? r.info.n_layer : 0)));
    for (size_t i = 0; i < sizeof split / sizeof *split; i++) {
        const struct sl_session_params sp = {.n_ctx = 64, .n_batch = split[i].n_batch};
        float *other = run(&r, &mp, &sp, split[i].first, NULL);
        CU_ASSERT(same(&r, other, logits));
        free(other);
    }
    free(logits);
    golden_close(&r.g);
}

/* ---- quantised ------------------------------------------------------------------------------ */

static void log_softmax(double *out, const float *x, size_t n)
{
    double max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        max = x[i] > max ? (double)x[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] - max - log(sum);
}

/* Mean over positions of the divergence of b from a. */
static double divergence(const struct rig *r, const float *a, const float *b)
{
    enum { MAX_VOCAB = 256 };
    double p[MAX_VOCAB], q[MAX_VOCAB], sum = 0;
    const size_t v = r->info.n_vocab;
    CU_ASSERT_FATAL(v <= MAX_VOCAB);
    for (size_t t = 0; t < r->n; t++) {
        log_softmax(p, a + t * v, v);
        log_softmax(q, b + t * v, v);
        for (size_t i = 0; i < v; i++)
            sum += exp(p[i]) * (p[i] - q[i]);
    }
    return sum / (double)r->n;
}

/* The same words from every device, from the store, and however it is fed; near the exact ones. */
static void check_devices(const char *name, const char *format, double near)
{
    static const struct {
        const char *device, *dense, *split;
    } how[] = {{"csim", "device", NULL},
               {"csim:4", "cpu", NULL},
               {"cpu", NULL, NULL},
               {"cpu:native", "device", NULL},
               {"model:4x4", "device", NULL},
               {"csim+csim:4", NULL, "layers"},
               {"model:4+csim", NULL, "slices"}}; /* only where an MLP has blocks for both */
    struct rig r;
    char dir[RIG_PATH];
    rig_open(&r, name);
    logits_convert(dir, r.path, format);
    struct sl_model_params mp = {.path = r.path, .exact = true, .n_threads = 2};
    const struct sl_session_params exact = {.n_ctx = 64}, sp = {.n_ctx = 64, .n_batch = 30};
    float *want = run(&r, &mp, &exact, r.n - 1, NULL);
    mp.exact = false;
    mp.format = format;
    float *got = run(&r, &mp, &sp, 1, NULL);
    const double kl = divergence(&r, want, got);
    if (!(kl > 0 && kl < near))
        printf("[%s %s: divergence %.3g] ", name, format, kl);
    CU_ASSERT(kl > 0 && kl < near);
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        const struct sl_session_params other = {.n_ctx = 64, .n_batch = 3 + (uint32_t)i};
        if (r.info.n_expert && how[i].split && !strcmp(how[i].split, "slices"))
            continue;
        mp.path = i % 2 ? dir : r.path;
        mp.device = how[i].device;
        mp.dense = how[i].dense;
        mp.split = how[i].split;
        float *again = run(&r, &mp, &other, 1 + 5 * i, NULL);
        if (!same(&r, again, got))
            printf("[%s %s on %s] ", name, format, how[i].device);
        CU_ASSERT(same(&r, again, got));
        free(again);
    }
    free(want);
    free(got);
    golden_close(&r.g);
}

/* ---- what a dense model has not -------------------------------------------------------------- */

static void a_dense_model_has_no_experts_to_place(void)
{
    static const char *const bad[] = {"none", "0", "1", "all_of_them"};
    struct rig r;
    struct sl_model *model = NULL;
    struct sl_memory m;
    uint64_t bytes;
    rig_open(&r, "llama");
    struct sl_model_params mp = {.path = r.path, .n_threads = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mp.resident = bad[i];
        CU_ASSERT_EQUAL(sl_model_open(&model, &mp), SL_ERR_USAGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "dense model has no routed experts"));
    }
    mp.resident = "all";
    for (int exact = 0; exact < 2; exact++) {
        mp.exact = exact;
        mp.routing = "capacity:1";
        CU_ASSERT_EQUAL(sl_model_open(&model, &mp), SL_ERR_USAGE);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "dense model has no router"));
    }
    mp.exact = false;
    mp.routing = NULL;
    CU_ASSERT_EQUAL(sl_model_open(&model, &mp), 0);
    sl_model_close(&model);
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &mp), 0);
    CU_ASSERT_TRUE(m.n_expert == 0 && m.expert_bytes == 0 && !m.streamed && m.total > 0);
    CU_ASSERT_EQUAL(sl_expert_bytes(r.path, NULL, &bytes), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "no routed experts"));
    golden_close(&r.g);
}

/* Its store is read from disk as a whole: where memory does not hold it, there is nothing to leave
 * out. */
static void a_dense_store_that_does_not_fit_is_refused(void)
{
    struct rig r;
    char dir[RIG_PATH];
    struct sl_model *model = NULL;
    rig_open(&r, "llama");
    logits_convert(dir, r.path, "q8");
    const struct sl_model_params mp = {.path = dir, .n_threads = 1, .host_memory = 1 << 20};
    CU_ASSERT_EQUAL(sl_model_open(&model, &mp), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "memory:"));
    golden_close(&r.g);
}

static void routes_of_a_dense_model_are_not_recorded(void)
{
    struct rig r;
    char dir[RIG_PATH];
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    struct sl_route_log *log = NULL;
    rig_fresh(dir, NULL);
    rig_open(&r, "llama");
    const struct sl_model_params mp = {.path = r.path, .exact = true, .n_threads = 1};
    const struct sl_session_params sp = {.n_ctx = 64};
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &mp), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &sp), 0);
    CU_ASSERT_EQUAL_FATAL(sl_route_log_open(&log, rig_join(dir, "routes.csv")), 0);
    CU_ASSERT_EQUAL(sl_session_log_routes(session, log), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "a dense model chooses no experts"));
    sl_session_close(&session);
    sl_route_log_close(&log);
    sl_model_close(&model);
    CU_ASSERT_FALSE(rig_exists(dir, "routes.csv"));
    golden_close(&r.g);
}

/* ---- info and plan --------------------------------------------------------------------------- */

static void plans_of_released_models_hold_together(void)
{
    static const struct {
        const char *config;
        double weights, bits; /* of all routed experts; of one weight in nf4: a beat of scales for
                                 16 of weights, but for 12 where K is 768 */
    } model[] = {{"mixtral-8x7b", 32. * 8 * 3 * 4096 * 14336, 4.25},
                 {"qwen3-30b-a3b", 48. * 128 * 3 * 2048 * 768, (2 * 4.25 + 4 * 13. / 12) / 3},
                 {"llama-3.1-8b", 0, 0}};
    static struct cli_result out;
    for (size_t i = 0; i < sizeof model / sizeof *model; i++) {
        char line[200];
        snprintf(line, sizeof line,
                 "plan tests/configs/%s.json --format nf4 --cards gb=16,ports=16,columns=4 "
                 "--host gb=64,gbps=40 --json",
                 model[i].config);
        cli_run(&out, line);
        CU_ASSERT_EQUAL_FATAL(out.code, 0);
        json_t *o = json_loads(out.out, 0, NULL), *place, *decode = json_object_get(o, "decode");
        size_t at;
        double routed = 0;
        json_array_foreach(json_object_get(o, "places"), at, place)
        {
            if (at == 3)
                routed = json_number_value(json_object_get(place, "card_bytes")) +
                         json_number_value(json_object_get(place, "host_bytes"));
        }
        const double want = model[i].weights * model[i].bits / 8;
        CU_ASSERT_DOUBLE_EQUAL(routed, want, 1e-4 * want);
        const double rate = json_number_value(json_object_get(decode, "tokens_per_s"));
        CU_ASSERT(isfinite(rate) && rate > 1 && rate < 1000);
        json_decref(o);
        snprintf(line, sizeof line, "info tests/configs/%s.json", model[i].config);
        cli_run(&out, line);
        CU_ASSERT_EQUAL(out.code, 0);
        CU_ASSERT_EQUAL(!strstr(out.out, "experts"), model[i].weights == 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(out.out, "\nd_ff "));
    }
}

/* Seconds of the device's own clock. */
static double clock_of(const struct sl_session *session)
{
    struct sl_session_stats stats;
    sl_session_get_stats(session, &stats);
    CU_ASSERT_FATAL(stats.n_device == 1 && stats.device[0].time.known);
    return stats.device[0].time.total_s;
}

static void a_dense_model_takes_what_is_expected(void)
{
    enum { PROMPT = 30, DECODE = 10 };
    static const char *const device[] = {"model:4x4,mem=hbm,cpu=10", "model:16,pcie=1,cpu=2"};
    struct rig r;
    float logits[256];
    rig_open(&r, "llama3-rope");
    CU_ASSERT_FATAL(r.info.n_vocab <= 256 && r.n >= PROMPT + DECODE);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++) {
        const struct sl_model_params mp = {
            .path = r.path, .device = device[i], .dense = i ? "cpu" : "device", .n_threads = 1};
        const struct sl_session_params sp = {.n_ctx = 64};
        const struct sl_expect_params ep = {.model = &mp,
                                            .n_prompt = PROMPT,
                                            .n_ctx = PROMPT + DECODE / 2,
                                            .prefill_hit = 1,
                                            .decode_hit = 1};
        struct sl_model *model = NULL;
        struct sl_session *session = NULL;
        struct sl_expected want;
        CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &mp), 0);
        CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &sp), 0);
        double begin = clock_of(session), prefill, decode;
        CU_ASSERT_EQUAL(sl_session_eval(session, r.ids, PROMPT, false, logits), 0);
        prefill = clock_of(session) - begin;
        for (size_t t = PROMPT; t < PROMPT + DECODE; t++)
            CU_ASSERT_EQUAL(sl_session_eval(session, r.ids + t, 1, false, logits), 0);
        decode = clock_of(session) - begin - prefill;
        CU_ASSERT_EQUAL_FATAL(sl_expect(&ep, &want), 0);
        CU_ASSERT_DOUBLE_EQUAL(want.prefill_tokens_per_s * prefill / PROMPT, 1, 0.1);
        CU_ASSERT_DOUBLE_EQUAL(want.decode_tokens_per_s * decode / DECODE, 1, 0.1);
        sl_session_close(&session);
        sl_model_close(&model);
    }
    golden_close(&r.g);
}

#define EXACT(tag, name)                                                                           \
    static void tag##_exact(void)                                                                  \
    {                                                                                              \
        check_exact(name);                                                                         \
    }
#define DEVICES(tag, name, format, near)                                                           \
    static void tag##_##format(void)                                                               \
    {                                                                                              \
        check_devices(name, #format, near);                                                        \
    }

EXACT(mixtral, "mixtral")
EXACT(qwen3, "qwen3-moe")
EXACT(qwen3_plain, "qwen3-moe-plain")
EXACT(llama, "llama")
EXACT(llama3, "llama3-rope")
EXACT(llama_biases, "llama-biases")
EXACT(mistral, "mistral")
EXACT(qwen2, "qwen2")
EXACT(qwen3_dense, "qwen3")
EXACT(olmoe, "olmoe")
DEVICES(mixtral, "mixtral", nf4, 0.03)
DEVICES(qwen3, "qwen3-moe", q8, 0.004)
DEVICES(qwen3_plain, "qwen3-moe-plain", fp8, 0.025)
DEVICES(llama, "llama", q8, 0.01)
DEVICES(qwen2, "qwen2", q8, 0.009)
DEVICES(qwen3_dense, "qwen3", int4, 0.03)
DEVICES(olmoe, "olmoe", mxfp4, 0.025)
DEVICES(llama3, "llama3-rope", nf4, 0.025)

#define CASE(tag, title)                                                                           \
    {                                                                                              \
        title, tag                                                                                 \
    }
static const struct sl_case cases[] = {
    CASE(mixtral_exact, "mixtral_equals_float64"),
    CASE(qwen3_exact, "qwen3_moe_in_shards_equals_float64"),
    CASE(qwen3_plain_exact, "qwen3_moe_with_biases_not_renormalised_tied_equals_float64"),
    CASE(llama_exact, "llama_tied_equals_float64"),
    CASE(llama3_exact, "llama_3_rope_equals_float64"),
    CASE(llama_biases_exact, "llama_with_biases_and_linear_rope_equals_float64"),
    CASE(mistral_exact, "mistral_equals_float64"),
    CASE(qwen2_exact, "qwen2_equals_float64"),
    CASE(qwen3_dense_exact, "qwen3_dense_equals_float64"),
    CASE(olmoe_exact, "olmoe_equals_float64"),
    CASE(mixtral_nf4, "mixtral_quantised_has_the_same_words_everywhere"),
    CASE(qwen3_q8, "qwen3_moe_quantised_has_the_same_words_everywhere"),
    CASE(qwen3_plain_fp8, "qwen3_moe_with_biases_quantised_has_the_same_words_everywhere"),
    CASE(llama_q8, "llama_quantised_has_the_same_words_everywhere"),
    CASE(qwen2_q8, "qwen2_quantised_has_the_same_words_everywhere"),
    CASE(qwen3_dense_int4, "qwen3_dense_quantised_has_the_same_words_everywhere"),
    CASE(olmoe_mxfp4, "olmoe_quantised_has_the_same_words_everywhere"),
    CASE(llama3_nf4, "llama_3_quantised_has_the_same_words_everywhere"),
    CASE(a_dense_model_has_no_experts_to_place, "a_dense_model_has_no_experts_to_place"),
    CASE(a_dense_store_that_does_not_fit_is_refused, "a_dense_store_that_does_not_fit_is_refused"),
    CASE(routes_of_a_dense_model_are_not_recorded, "routes_of_a_dense_model_are_not_recorded"),
    CASE(a_dense_model_takes_what_is_expected, "a_dense_model_takes_what_is_expected"),
    CASE(plans_of_released_models_hold_together, "plans_of_released_models_hold_together"),
    {NULL, NULL}};

const struct sl_suite suite_families = {"families", cases};
