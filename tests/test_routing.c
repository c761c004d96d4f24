/* SPDX-License-Identifier: Apache-2.0 */
/* Routing that is not the model's own: capacity and recycling, against tests/make_routing.py and
 * tests/ref; what it changes of a model's results, and what it does not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/routing.h"
#include "engine/session.h"
#include "golden_read.h"
#include "primitives.h"
#include "ref/ref_recycle.h"
#include "routing_vectors.h"
#include "sl_core_native.h"
#include "test_main.h"

enum { N_WORDS = sizeof philox_words / sizeof philox_words[0] };
enum { N_CASE = sizeof recycled / sizeof recycled[0] };
enum { Y_OFF = 0, CTL_BEATS = 256 };

/* ---- the draw and the rule ------------------------------------------------------------------- */

static void the_generator_is_philox_2x32_10(void)
{
    for (int i = 0; i < N_WORDS; i++) {
        uint32_t word[2];
        const uint64_t both =
            sl_philox(philox_words[i].key, philox_words[i].counter[0], philox_words[i].counter[1]);
        ref_philox(philox_words[i].key, philox_words[i].counter, word);
        for (int w = 0; w < 2; w++) {
            CU_ASSERT_EQUAL((uint32_t)(both >> 32 * w), philox_words[i].word[w]);
            CU_ASSERT_EQUAL(word[w], philox_words[i].word[w]);
        }
    }
}

static struct sl_job job_of(int i)
{
    return (struct sl_job){.op = SL_OP_ROUTER,
                           .flags = SL_FLAG_RECYCLE,
                           .y_off = Y_OFF,
                           .n_tokens = (uint16_t)recycled[i].n_tokens,
                           .top_k = (uint8_t)recycled[i].top_k,
                           .rows = recycled[i].n_expert,
                           .slice_count = (uint16_t)recycled[i].capacity,
                           .part_stride = recycled[i].seed,
                           .route_off = recycled[i].pos,
                           .route_token = (uint16_t)recycled[i].layer};
}

static void the_reference_recycles_as_the_vectors(void)
{
    for (int i = 0; i < N_CASE; i++) {
        const struct sl_job job = job_of(i);
        struct ref_recycle r = {.overflows = 0};
        for (unsigned t = 0; t < job.n_tokens; t++) {
            struct sl_route_entry entry;
            uint16_t *expert = &entry.expert0;
            const unsigned at = recycled[i].first + t * job.top_k;
            for (unsigned c = 0; c < job.top_k; c++)
                expert[c] = chosen[at + c];
            ref_recycle(&r, &job, t, &entry);
            for (unsigned c = 0; c < job.top_k; c++)
                CU_ASSERT_EQUAL(expert[c], given[at + c]);
        }
        CU_ASSERT_EQUAL(r.overflows, recycled[i].overflows);
    }
}

/* Scores by which the tokens choose what the vectors say. */
static void make_logits(int i, int32_t logits[SL_MAX_TOKENS][SL_STEP_ROUTER_ROWS])
{
    for (unsigned t = 0; t < recycled[i].n_tokens; t++) {
        for (unsigned e = 0; e < recycled[i].n_expert; e++)
            logits[t][e] = -(int32_t)(e << 8);
        for (unsigned c = 0; c < recycled[i].top_k; c++)
            logits[t][chosen[recycled[i].first + t * recycled[i].top_k + c]] =
                (int32_t)(SL_MAX_TOPK - c) << 16;
    }
}

/* The record's routes, and the lists that follow from them. */
static void check_record(int i, const uint8_t *y)
{
    const unsigned k = recycled[i].top_k, n_tok = recycled[i].n_tokens;
    const uint8_t *table = y + n_tok * SL_BEAT_BYTES;
    unsigned count[SL_MAX_N_EXPERT] = {0};
    for (unsigned n = 0; n < n_tok * k; n++) {
        const uint8_t *entry = y + n / k * SL_BEAT_BYTES;
        const unsigned e = given[recycled[i].first + n], c = n % k;
        CU_ASSERT_EQUAL(ref_get16(entry + SL_AT_route_expert0 + 2 * c), e);
        count[e]++;
        if (c) /* weights stay with the choice, and the best comes first */
            CU_ASSERT(ref_get32(entry + SL_AT_route_weight0 + 4 * c) <
                      ref_get32(entry + SL_AT_route_weight0 + 4 * (c - 1)));
    }
    for (unsigned e = 0; e < recycled[i].n_expert; e++)
        CU_ASSERT_EQUAL(ref_get16(table + 4 * e + 2), count[e]);
}

static void the_core_recycles_as_the_vectors(void)
{
    int32_t(*logits)[SL_STEP_ROUTER_ROWS] = calloc(SL_MAX_TOKENS, sizeof *logits);
    uint8_t *ctl = calloc(CTL_BEATS, SL_BEAT_BYTES);
    const uint64_t slab[64 * SL_BEAT_BYTES / 8] = {0}; /* a head without a bias, and exponents */
    CU_ASSERT_FATAL(logits && ctl);
    for (int i = 0; i < N_CASE; i++) {
        struct sl_step step = {.job = job_of(i)};
        make_logits(i, logits);
        sl_step_choose_p1(ctl, slab, &step, logits);
        CU_ASSERT_EQUAL(step.record.overflows, recycled[i].overflows);
        check_record(i, ctl);
    }
    free(logits);
    free(ctl);
}

/* A factor that makes the case's capacity. */
static struct sl_routing routing_of(int i)
{
    const uint64_t kt = (uint64_t)recycled[i].top_k * recycled[i].n_tokens;
    return (struct sl_routing){
        .kind = SL_ROUTING_CAPACITY,
        .factor = (uint32_t)(1000ull * recycled[i].capacity * recycled[i].n_expert / kt),
        .seed = recycled[i].seed};
}

static void the_engine_recycles_as_the_vectors(void)
{
    for (int i = 0; i < N_CASE; i++) {
        const struct sl_routing routing = routing_of(i);
        const struct sl_config config = {.n_expert = recycled[i].n_expert,
                                         .n_expert_used = recycled[i].top_k};
        const struct sl_routing_chunk chunk = {&routing, &config, recycled[i].layer,
                                               recycled[i].pos, recycled[i].n_tokens};
        struct sl_route route[SL_MAX_TOKENS];
        const unsigned k = recycled[i].top_k;
        CU_ASSERT_EQUAL(sl_routing_capacity(&routing, &config, recycled[i].n_tokens),
                        recycled[i].capacity);
        for (unsigned n = 0; n < recycled[i].n_tokens * k; n++)
            route[n / k].expert[n % k] = chosen[recycled[i].first + n];
        sl_routing_recycle(&chunk, route);
        for (unsigned n = 0; n < recycled[i].n_tokens * k; n++)
            CU_ASSERT_EQUAL(route[n / k].expert[n % k], given[recycled[i].first + n]);
    }
}

/* ---- noise ----------------------------------------------------------------------------------- */

enum { N_NOISED = sizeof noised / sizeof noised[0] };

static struct sl_job noisy_job(int i)
{
    return (struct sl_job){.op = SL_OP_ROUTER,
                           .flags = SL_FLAG_NOISE | SL_FLAG_SCORES,
                           .y_off = Y_OFF,
                           .n_tokens = (uint16_t)noised[i].n_tokens,
                           .top_k = 1,
                           .rows = noised[i].n_expert,
                           .list_off = noised[i].deviation,
                           .part_stride = noised[i].seed,
                           .route_off = noised[i].pos,
                           .route_token = (uint16_t)noised[i].layer};
}

static void scores_get_the_noise_of_the_vectors(void)
{
    int32_t(*logits)[SL_STEP_ROUTER_ROWS] = calloc(SL_MAX_TOKENS, sizeof *logits);
    uint8_t *ctl = calloc(CTL_BEATS, SL_BEAT_BYTES);
    const uint64_t slab[64 * SL_BEAT_BYTES / 8] = {0};
    CU_ASSERT_FATAL(logits && ctl);
    for (int i = 0; i < N_NOISED; i++) {
        struct sl_step step = {.job = noisy_job(i)};
        const unsigned n = noised[i].n_expert;
        for (unsigned t = 0; t < noised[i].n_tokens; t++)
            for (unsigned e = 0; e < n; e++)
                logits[t][e] = (int32_t)quiet[noised[i].first + t * n + e];
        sl_step_choose_p1(ctl, slab, &step, logits);
        for (unsigned t = 0; t < noised[i].n_tokens; t++) {
            /* Behind routes, one beat of table and one of lists. */
            const uint8_t *scores = ctl + (noised[i].n_tokens + 2 + t) * SL_BEAT_BYTES;
            const int64_t *want = loud + noised[i].first + t * n;
            const unsigned best = ref_get16(ctl + t * SL_BEAT_BYTES + SL_AT_route_expert0);
            for (unsigned e = 0; e < n; e++) {
                CU_ASSERT_EQUAL((int32_t)ref_get32(scores + 4 * e), want[e]);
                CU_ASSERT_EQUAL(ref_noisy(&step.job, t, e, (int32_t)quiet[want - loud + e]),
                                want[e]);
                CU_ASSERT(want[e] <= want[best]);
            }
        }
    }
    free(logits);
    free(ctl);
}

static void the_engine_has_the_same_noise(void)
{
    for (int i = 0; i < N_NOISED; i++) {
        const uint32_t thousandths = (uint32_t)(noised[i].deviation * 1000ull / 65536);
        const struct sl_routing routing = {SL_ROUTING_NOISY, thousandths, noised[i].seed};
        const struct sl_config config = {.n_expert = noised[i].n_expert};
        const struct sl_routing_chunk chunk = {&routing, &config, noised[i].layer, noised[i].pos,
                                               noised[i].n_tokens};
        const uint32_t first = noised[i].first, n = noised[i].n_expert;
        if (sl_routing_deviation(&routing) != noised[i].deviation || loud[first] == INT32_MAX)
            continue;
        for (uint32_t t = 0; t < noised[i].n_tokens; t++) {
            float scores[SL_MAX_EXPERT];
            for (uint32_t e = 0; e < n; e++)
                scores[e] = (float)quiet[first + t * n + e] * 0x1p-16f;
            sl_routing_add_noise(&chunk, t, scores);
            for (uint32_t e = 0; e < n; e++)
                CU_ASSERT_DOUBLE_EQUAL(scores[e], (double)loud[first + t * n + e] * 0x1p-16, 2e-5);
        }
    }
}

/* ---- texts and numbers ----------------------------------------------------------------------- */

static void texts_are_taken_or_refused(void)
{
    static const struct {
        const char *text;
        uint32_t factor, seed;
    } good[] = {{"capacity:1", 1000, 0},
                {"capacity:1.25", 1250, 0},
                {"capacity:0.001,seed=4294967295", 1, UINT32_MAX},
                {"capacity:1000.000,seed=0", 1000000, 0},
                {"capacity:2.5,seed=7", 2500, 7}};
    static const char *const bad[] = {"",
                                      "capacity",
                                      "capacity:",
                                      "capacity:.5",
                                      "capacity:2.",
                                      "capacity:0",
                                      "capacity:0.0001",
                                      "capacity:-1",
                                      "capacity:1000.001",
                                      "capacity:99999999999999999999999",
                                      "capacity:1,",
                                      "capacity:1,seed",
                                      "capacity:1,seed=",
                                      "capacity:1,seed=4294967296",
                                      "capacity:1,seed=-1",
                                      "capacity:1,seed=1 ",
                                      "Capacity:1",
                                      "expert-choice",
                                      "expert-choice:1,seed=3",
                                      "noisy:",
                                      "noisy:0",
                                      "noisy1",
                                      "noisy:1001",
                                      "uniform"};
    struct sl_routing r;
    CU_ASSERT(sl_routing_parse(&r, "noisy") == 0 && r.kind == SL_ROUTING_NOISY);
    CU_ASSERT(r.factor == 1000 && r.seed == 0 && sl_routing_deviation(&r) == 65536);
    CU_ASSERT(sl_routing_parse(&r, "noisy,seed=8") == 0 && r.factor == 1000 && r.seed == 8);
    CU_ASSERT(sl_routing_parse(&r, "noisy:0.25,seed=8") == 0 && r.factor == 250 && r.seed == 8);
    CU_ASSERT_EQUAL(sl_routing_max_chunk(&r), 0);
    CU_ASSERT(sl_routing_parse(&r, "expert-choice:1.5") == 0 && r.kind == SL_ROUTING_EXPERTS);
    CU_ASSERT(r.factor == 1500 && sl_routing_max_chunk(&r) == SL_ROUTING_MAX_CHUNK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT_EQUAL(sl_routing_parse(&r, good[i].text), 0);
        CU_ASSERT(r.kind == SL_ROUTING_CAPACITY && r.factor == good[i].factor);
        CU_ASSERT_EQUAL(r.seed, good[i].seed);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_EQUAL(sl_routing_parse(&r, bad[i]), SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_routing_parse(&r, NULL), 0);
    CU_ASSERT_EQUAL(r.kind, SL_ROUTING_TOP_K);
    CU_ASSERT_EQUAL(sl_routing_max_chunk(&r), 0);
}

/* ceil(c k T / E), exactly: 1.1 * 2 * 10 / 22 is 1, though not in binary. */
static void a_capacity_is_rounded_up_from_the_exact_quotient(void)
{
    static const struct {
        uint32_t factor, k, n_tok, n_expert, want;
    } cases[] = {{1100, 2, 10, 22, 1},      {1101, 2, 10, 22, 2}, {1000, 1, 64, 16, 4},
                 {1, 1, 1, 256, 1},         {1000, 8, 63, 64, 8}, {1000000, 8, 64, 8, 64000},
                 {1000000, 8, 64, 1, 65535}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sl_routing r = {SL_ROUTING_CAPACITY, cases[i].factor, 0};
        const struct sl_config c = {.n_expert = cases[i].n_expert, .n_expert_used = cases[i].k};
        CU_ASSERT_EQUAL(sl_routing_capacity(&r, &c, cases[i].n_tok), cases[i].want);
    }
}

/* ---- models ---------------------------------------------------------------------------------- */

enum { MAX_TOKENS = 24, MAX_VOCAB = 160, MAX_LAYER = 8 };

/* A golden model over its prompt: logits of all tokens, routes of each layer. */
struct way {
    const char *dir, *routing, *device, *resident, *split;
    bool exact;
    uint32_t n_batch;
    unsigned n_threads;
};
struct result {
    size_t n_tok;
    uint32_t n_vocab, n_expert, k;
    struct sl_route route[MAX_LAYER][MAX_TOKENS];
    float logits[MAX_TOKENS * MAX_VOCAB];
};

static void take_routes(void *user, uint32_t layer, uint32_t pos, const struct sl_route *route,
                        size_t n_tok)
{
    struct result *r = user;
    if (layer < MAX_LAYER && pos + n_tok <= MAX_TOKENS)
        memcpy(&r->route[layer][pos], route, n_tok * sizeof *route);
}

static void run(const struct way *way, struct result *out)
{
    char path[400];
    struct golden g;
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    struct sl_model_info info;
    const struct sl_trace trace = {.user = out, .on_route = take_routes};
    snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), way->dir);
    const struct sl_model_params params = {.path = path,
                                           .exact = way->exact,
                                           .routing = way->routing,
                                           .device = way->device,
                                           .resident = way->resident,
                                           .split = way->split,
                                           .n_threads = way->n_threads ? way->n_threads : 1};
    memset(out, 0, sizeof *out);
    golden_open(&g, way->dir);
    const int32_t *ids = golden_i32(&g, "input_ids", &out->n_tok);
    CU_ASSERT_FATAL(ids && out->n_tok <= MAX_TOKENS);
    const int err = sl_model_open(&model, &params);
    if (err)
        printf("[%s: %s] ", way->dir, sl_error_message());
    CU_ASSERT_EQUAL_FATAL(err, 0);
    sl_model_get_info(model, &info);
    out->n_vocab = info.n_vocab;
    out->n_expert = info.n_expert;
    out->k = info.n_expert_used;
    CU_ASSERT_FATAL(out->n_vocab <= MAX_VOCAB);
    CU_ASSERT_EQUAL_FATAL(
        sl_session_open(&session, model,
                        &(struct sl_session_params){.n_ctx = 40, .n_batch = way->n_batch}),
        0);
    sl_session_set_trace(session, &trace);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, out->n_tok, true, out->logits), 0);
    sl_session_close(&session);
    sl_model_close(&model);
    golden_close(&g);
}

static bool same(const struct result *a, const struct result *b)
{
    return a->n_tok == b->n_tok &&
           !memcmp(a->logits, b->logits, a->n_tok * a->n_vocab * sizeof(float));
}

/* Of the first layer, whose tokens are the same: the plain routes, recycled by the reference. */
static unsigned check_first_layer(const struct result *plain, const struct result *got,
                                  unsigned capacity, uint32_t seed)
{
    const struct sl_job job = {.rows = plain->n_expert,
                               .top_k = (uint8_t)plain->k,
                               .slice_count = (uint16_t)capacity,
                               .part_stride = seed};
    struct ref_recycle r = {.overflows = 0};
    for (unsigned t = 0; t < plain->n_tok; t++) {
        struct sl_route_entry entry;
        uint16_t *expert = &entry.expert0;
        memcpy(expert, plain->route[0][t].expert, plain->k * sizeof *expert);
        ref_recycle(&r, &job, t, &entry);
        for (unsigned c = 0; c < plain->k; c++) {
            CU_ASSERT_EQUAL(got->route[0][t].expert[c], expert[c]);
            CU_ASSERT_EQUAL(got->route[0][t].weight[c], plain->route[0][t].weight[c]);
        }
    }
    return r.overflows;
}

/* |a - b| / |b|. */
static double distance(const struct result *a, const struct result *b)
{
    const size_t n = b->n_tok * b->n_vocab;
    double norm = 0, error = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)a->logits[i] - (double)b->logits[i];
        norm += (double)b->logits[i] * (double)b->logits[i];
        error += d * d;
    }
    return sqrt(error / norm);
}

static const char *const dirs[] = {"hunyuan-large-cla2", "hunyuan-v1-moe-a13b", "yuan2-m32-base"};
enum { N_DIR = sizeof dirs / sizeof *dirs };

static void a_prompt_is_recycled_as_one_chunk(void)
{
    struct result *r = calloc(2, sizeof *r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    unsigned overflows = 0;
    for (int d = 0; d < N_DIR; d++)
        for (int exact = 0; exact < 2; exact++) {
            struct way way = {.dir = dirs[d], .exact = exact};
            run(&way, &r[0]);
            way.routing = "capacity:1,seed=99";
            run(&way, &r[1]);
            const unsigned kt = r->k * (unsigned)r->n_tok;
            overflows += check_first_layer(&r[0], &r[1], (kt + r->n_expert - 1) / r->n_expert, 99);
            CU_ASSERT(!same(&r[0], &r[1]));
        }
    CU_ASSERT(overflows > 0);
    free(r);
}

static void room_for_all_and_single_tokens_change_no_bit(void)
{
    struct result *r = calloc(2, sizeof *r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (int d = 0; d < N_DIR; d++)
        for (int exact = 0; exact < 2; exact++) {
            const struct way plain = {.dir = dirs[d], .exact = exact};
            struct way way = plain;
            run(&plain, &r[0]);
            way.routing = "capacity:1000";
            run(&way, &r[1]);
            CU_ASSERT(same(&r[0], &r[1]));
            way.routing = "capacity:0.001";
            way.n_batch = 1;
            run(&way, &r[1]);
            CU_ASSERT(same(&r[0], &r[1]));
        }
    free(r);
}

static void what_computes_changes_no_bit(void)
{
    static const struct way ways[] = {{.device = "csim:4", .n_threads = 3},
                                      {.device = "cpu", .n_threads = 2},
                                      {.device = "csim", .resident = "1"},
                                      {.device = "csim", .resident = "none"},
                                      {.device = "csim+csim"},
                                      {.device = "csim+csim", .split = "slices"}};
    struct result *r = calloc(2, sizeof *r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (int d = 0; d < N_DIR; d++) {
        struct way way = {.dir = dirs[d], .routing = "capacity:0.8,seed=5"};
        run(&way, &r[0]);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            if (ways[i].split && d != 0) /* the others' experts are a single block wide */
                continue;
            way = ways[i];
            way.dir = dirs[d];
            way.routing = "capacity:0.8,seed=5";
            run(&way, &r[1]);
            CU_ASSERT(same(&r[0], &r[1]));
        }
        way.routing = "capacity:0.8,seed=6";
        run(&way, &r[1]);
        CU_ASSERT(!same(&r[0], &r[1]));
    }
    free(r);
}

static void noise_depends_on_no_chunk_and_no_device(void)
{
    static const struct way ways[] = {{.n_batch = 1},
                                      {.n_batch = 5, .n_threads = 2},
                                      {.device = "csim:4"},
                                      {.device = "cpu", .n_batch = 7},
                                      {.device = "csim", .resident = "none"},
                                      {.exact = true},
                                      {.exact = true, .n_batch = 1, .n_threads = 2}};
    struct result *r = calloc(2, sizeof *r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (int d = 0; d < N_DIR; d++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            struct way way = ways[i];
            const bool first = i == 0 || way.exact != ways[i - 1].exact;
            way.dir = dirs[d];
            way.routing = "noisy:0.5,seed=3";
            run(&way, &r[!first]);
            CU_ASSERT(first || same(&r[0], &r[1]));
        }
        struct way way = {.dir = dirs[d], .exact = true, .routing = "noisy:0.5,seed=4"};
        run(&way, &r[1]);
        CU_ASSERT(!same(&r[0], &r[1]));
    }
    free(r);
}

/* r[0]: of a device. What it rounds, against what another routing changes. */
static void check_near_exact(struct way way, struct result r[2])
{
    way.exact = true;
    run(&way, &r[1]);
    const double near = distance(&r[0], &r[1]);
    way.routing = NULL;
    run(&way, &r[0]);
    CU_ASSERT(near < 0.1 && 3 * near < distance(&r[0], &r[1]));
}

/* Slices: the others' experts are a single block wide. */
static bool can_run(const struct way *way)
{
    return !(way->split && way->dir != dirs[0]) &&
           !(!strcmp(way->device, "cpu:avx2") && !__builtin_cpu_supports("avx2"));
}

/* The same words from every device and every way to hold weights, near those of the exact path. */
static void every_device_lets_experts_choose_alike(void)
{
    static const struct way ways[] = {{.device = "csim:4", .n_threads = 3},
                                      {.device = "cpu", .n_threads = 2},
                                      {.device = "cpu:native"},
                                      {.device = "cpu:avx2"},
                                      {.device = "csim", .resident = "1"},
                                      {.device = "csim", .resident = "none"},
                                      {.device = "csim+csim"},
                                      {.device = "csim+csim", .split = "slices"}};
    struct result *r = calloc(2, sizeof *r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (int d = 0; d < N_DIR; d++)
        for (int batch = 0; batch < 2; batch++) {
            /* 5: several chunks, whose last is a single token in one of the models. */
            const struct way way = {
                .dir = dirs[d], .routing = "expert-choice:1.2", .n_batch = batch ? 5 : 0};
            run(&way, &r[0]);
            for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
                struct way other = ways[i];
                other.dir = way.dir;
                other.routing = way.routing;
                other.n_batch = way.n_batch;
                if (!can_run(&other))
                    continue;
                run(&other, &r[1]);
                CU_ASSERT(same(&r[0], &r[1]));
            }
            check_near_exact(way, r);
        }
    free(r);
}

/* Where every expert takes every token, a token's experts are all of them, whatever is beside it.
 */
static void experts_that_take_all_depend_on_no_chunk(void)
{
    struct result *r = calloc(2, sizeof *r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    for (int d = 0; d < N_DIR; d++) {
        struct way way = {.dir = dirs[d], .exact = true, .routing = "expert-choice:1000"};
        run(&way, &r[0]);
        way.n_batch = 3;
        way.n_threads = 2;
        run(&way, &r[1]);
        CU_ASSERT(same(&r[0], &r[1]));
        way.routing = "expert-choice:1";
        run(&way, &r[0]);
        CU_ASSERT(!same(&r[0], &r[1]));
        way.n_batch = 0;
        run(&way, &r[1]);
        CU_ASSERT(!same(&r[0], &r[1]));
    }
    free(r);
}

static void expert_choice_is_refused_at_decode_and_where_there_is_none(void)
{
    char path[400];
    const int32_t id = 1;
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), dirs[0]);
    struct sl_model_params params = {.path = path, .exact = true, .routing = "expert-choice:1"};
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &params), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &(struct sl_session_params){0}), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, &id, 1, false, NULL), SL_ERR_UNSUPPORTED);
    sl_session_close(&session);
    sl_model_close(&model);
    params.exact = false;
    params.device = "csim";
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &params), 0);
    CU_ASSERT_EQUAL(sl_session_open(&session, model, &(struct sl_session_params){.n_batch = 65}),
                    SL_ERR_USAGE);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &(struct sl_session_params){0}), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, &id, 1, false, NULL), SL_ERR_UNSUPPORTED);
    sl_session_close(&session);
    sl_model_close(&model);
    params.device = "model";
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "does not let experts choose"));
    params.device = "csim";
    params.routing = "expert-choice:1000";
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "16 experts with 64 tokens each"));
}

static void a_core_without_noise_is_refused(void)
{
    char path[400];
    struct sl_model *model = NULL;
    snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), dirs[0]);
    struct sl_model_params params = {.path = path, .device = "model", .routing = "noisy"};
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_UNSUPPORTED);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "its router has no noise"));
}

static void a_batch_above_a_router_job_is_refused(void)
{
    char path[400];
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), dirs[0]);
    struct sl_model_params params = {.path = path, .exact = true, .routing = "capacity:2"};
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &params), 0);
    CU_ASSERT_EQUAL(sl_session_open(&session, model, &(struct sl_session_params){.n_batch = 65}),
                    SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_session_open(&session, model, &(struct sl_session_params){.n_batch = 64}),
                    0);
    sl_session_close(&session);
    sl_model_close(&model);
    params.routing = "capacity:two";
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_USAGE);
}

static const struct sl_case cases[] = {
    {"the_generator_is_philox_2x32_10", the_generator_is_philox_2x32_10},
    {"the_reference_recycles_as_the_vectors", the_reference_recycles_as_the_vectors},
    {"the_core_recycles_as_the_vectors", the_core_recycles_as_the_vectors},
    {"the_engine_recycles_as_the_vectors", the_engine_recycles_as_the_vectors},
    {"scores_get_the_noise_of_the_vectors", scores_get_the_noise_of_the_vectors},
    {"the_engine_has_the_same_noise", the_engine_has_the_same_noise},
    {"texts_are_taken_or_refused", texts_are_taken_or_refused},
    {"a_capacity_is_rounded_up_from_the_exact_quotient",
     a_capacity_is_rounded_up_from_the_exact_quotient},
    {"a_prompt_is_recycled_as_one_chunk", a_prompt_is_recycled_as_one_chunk},
    {"room_for_all_and_single_tokens_change_no_bit", room_for_all_and_single_tokens_change_no_bit},
    {"what_computes_changes_no_bit", what_computes_changes_no_bit},
    {"noise_depends_on_no_chunk_and_no_device", noise_depends_on_no_chunk_and_no_device},
    {"experts_that_take_all_depend_on_no_chunk", experts_that_take_all_depend_on_no_chunk},
    {"every_device_lets_experts_choose_alike", every_device_lets_experts_choose_alike},
    {"expert_choice_is_refused_at_decode_and_where_there_is_none",
     expert_choice_is_refused_at_decode_and_where_there_is_none},
    {"a_core_without_noise_is_refused", a_core_without_noise_is_refused},
    {"a_batch_above_a_router_job_is_refused", a_batch_above_a_router_job_is_refused},
    {NULL, NULL},
};
const struct sl_suite suite_routing = {"routing", cases};
