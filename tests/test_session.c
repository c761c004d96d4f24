/* SPDX-License-Identifier: Apache-2.0 */
/* Models and sessions through the public interface: what changes no bit, and what is refused. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"
#include "golden_read.h"
#include "model_copy.h"
#include "sluice.h"
#include "test_main.h"

enum { MAX_TOKENS = 24, MAX_VOCAB = 160 };

static const char *const dirs[] = {"hunyuan-large-cla2", "hunyuan-v1-moe-a13b", "yuan2-m32-base"};
enum { N_DIR = sizeof dirs / sizeof *dirs };

/* The prompt of a golden directory. */
static size_t prompt(const char *dir, int32_t ids[MAX_TOKENS])
{
    struct golden g;
    size_t n;
    golden_open(&g, dir);
    const int32_t *from = golden_i32(&g, "input_ids", &n);
    CU_ASSERT_FATAL(from && n <= MAX_TOKENS);
    memcpy(ids, from, n * sizeof *ids);
    golden_close(&g);
    return n;
}

static struct sl_model *open_model(const char *dir, bool exact, unsigned n_threads)
{
    char path[400];
    struct sl_model *model = NULL;
    snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), dir);
    struct sl_model_params params = {.path = path, .exact = exact, .n_threads = n_threads};
    int err = sl_model_open(&model, &params);
    if (err)
        printf("[%s: %s] ", dir, sl_error_message());
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return model;
}

static struct sl_session *open_session(struct sl_model *model, const char *cache, uint32_t n_batch)
{
    struct sl_session *session = NULL;
    struct sl_session_params params = {
        .n_ctx = 40, .n_batch = n_batch, .cache_type_k = cache, .cache_type_v = cache};
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &params), 0);
    return session;
}

/* All logits of ids[n], fed in pieces of `piece` tokens. Rows of the model's own vocabulary. */
static void eval_in_pieces(struct sl_session *session, const int32_t *ids, size_t n, size_t piece,
                           float *logits, uint32_t n_vocab)
{
    for (size_t at = 0; at < n; at += piece) {
        size_t count = n - at < piece ? n - at : piece;
        CU_ASSERT_EQUAL(sl_session_eval(session, ids + at, count, true, logits + at * n_vocab), 0);
    }
}

/* ---- what changes no bit -------------------------------------------------------------------- */

static void compare_ways(const char *dir, bool exact, const char *cache)
{
    static const struct {
        unsigned n_threads;
        uint32_t n_batch;
        size_t piece;
    } ways[] = {{1, 0, 99}, {2, 0, 99}, {3, 5, 99}, {2, 1, 99}, {1, 0, 1}, {2, 4, 7}};
    static float first[MAX_TOKENS * MAX_VOCAB], other[MAX_TOKENS * MAX_VOCAB];
    int32_t ids[MAX_TOKENS];
    size_t n = prompt(dir, ids);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        struct sl_model_info info;
        struct sl_model *model = open_model(dir, exact, ways[w].n_threads);
        struct sl_session *session = open_session(model, cache, ways[w].n_batch);
        sl_model_get_info(model, &info);
        eval_in_pieces(session, ids, n, ways[w].piece, w ? other : first, info.n_vocab);
        if (w)
            CU_ASSERT_EQUAL(memcmp(first, other, n * info.n_vocab * sizeof(float)), 0);
        CU_ASSERT(first[0] == first[0]);
        sl_session_close(&session);
        sl_model_close(&model);
    }
}

static void exact_models_do_not_depend_on_threads_or_chunks(void)
{
    static const char *const cache[] = {"f32", "int8", "int4"};
    for (int d = 0; d < N_DIR; d++)
        for (int c = 0; c < 3; c++)
            compare_ways(dirs[d], true, cache[c]);
}

static void quantised_models_do_not_depend_on_threads_or_chunks(void)
{
    static const char *const cache[] = {"int8", "int4"};
    for (int d = 0; d < N_DIR; d++)
        for (int c = 0; c < 2; c++)
            compare_ways(dirs[d], false, cache[c]);
}

static void packing_on_the_fabric_changes_no_bit(void)
{
    static float cpu[MAX_VOCAB], fabric[MAX_VOCAB];
    for (int d = 0; d < N_DIR; d++) {
        int32_t ids[MAX_TOKENS];
        size_t n = prompt(dirs[d], ids);
        struct sl_model *model = open_model(dirs[d], false, 2);
        for (int on = 0; on < 2; on++) {
            struct sl_session *session = NULL;
            struct sl_session_stats stats;
            struct sl_session_params params = {
                .n_ctx = 40, .cache_type_v = "int4", .kv_on_fabric = on == 1};
            CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &params), 0);
            for (size_t i = 0; i < n; i++)
                CU_ASSERT_EQUAL(sl_session_eval(session, &ids[i], 1, false, on ? fabric : cpu), 0);
            sl_session_get_stats(session, &stats);
            for (size_t i = 0; i < stats.n_op; i++)
                if (!strcmp(stats.op[i].op, "kv_pack"))
                    CU_ASSERT_EQUAL(strcmp(stats.op[i].impl, "cpu") == 0, on == 0);
            sl_session_close(&session);
        }
        CU_ASSERT_EQUAL(memcmp(cpu, fabric, sizeof cpu), 0);
        sl_model_close(&model);
    }
}

static void last_logits_are_the_last_row_of_all(void)
{
    static float all[MAX_TOKENS * MAX_VOCAB], last[MAX_VOCAB];
    for (int d = 0; d < N_DIR; d++) {
        int32_t ids[MAX_TOKENS];
        size_t n = prompt(dirs[d], ids);
        struct sl_model_info info;
        struct sl_model *model = open_model(dirs[d], true, 2);
        struct sl_session *session = open_session(model, NULL, 7);
        sl_model_get_info(model, &info);
        CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, true, all), 0);
        sl_session_reset(session);
        CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, false, last), 0);
        CU_ASSERT_EQUAL(memcmp(all + (n - 1) * info.n_vocab, last, info.n_vocab * sizeof *last), 0);
        sl_session_close(&session);
        sl_model_close(&model);
    }
}

static double cosine(const float *a, const float *b, size_t n)
{
    double dot = 0, norm_a = 0, norm_b = 0;
    for (size_t i = 0; i < n; i++) {
        dot += (double)a[i] * b[i];
        norm_a += (double)a[i] * a[i];
        norm_b += (double)b[i] * b[i];
    }
    return dot / sqrt(norm_a * norm_b);
}

/* What the first layer's experts gave, and which they were. */
struct first_layer {
    struct sl_route route[MAX_TOKENS];
    float out[MAX_TOKENS][64];
};

static void keep_route(void *user, uint32_t layer, uint32_t pos, const struct sl_route *route,
                       size_t n_tok)
{
    struct first_layer *f = user;
    if (layer == 0)
        memcpy(f->route + pos, route, n_tok * sizeof *route);
}

static void keep_output(void *user, const struct sl_trace_item *item)
{
    struct first_layer *f = user;
    if (item->layer == 0 && item->point == SL_TRACE_FFN_OUT)
        memcpy(f->out[item->pos], item->data, item->n_tok * sizeof *f->out);
}

/* Where both choose the same experts, the quantised first layer gives what the exact one gives.
 * Further on a random model soon takes other experts: its best ones are close together. */
static void quantised_layers_resemble_exact_ones(void)
{
    static struct first_layer first[2];
    for (int d = 0; d < N_DIR; d++) {
        int32_t ids[MAX_TOKENS];
        size_t n = prompt(dirs[d], ids), n_same = 0;
        for (int exact = 0; exact < 2; exact++) {
            struct sl_trace trace = {keep_output, keep_route, &first[exact]};
            struct sl_model *model = open_model(dirs[d], exact == 1, 2);
            struct sl_session *session = open_session(model, NULL, 0);
            sl_session_set_trace(session, &trace);
            CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, false, NULL), 0);
            sl_session_close(&session);
            sl_model_close(&model);
        }
        for (size_t t = 0; t < n; t++) {
            bool same = !memcmp(first[0].route[t].expert, first[1].route[t].expert, 2);
            double cos = cosine(first[0].out[t], first[1].out[t], 64);
            n_same += same && cos > 0.99 && cos < 1;
        }
        CU_ASSERT(4 * n_same >= 3 * n);
    }
}

struct worker {
    struct sl_session *session;
    const int32_t *ids;
    size_t n;
    float logits[MAX_VOCAB];
    int err;
};

static void *work(void *user)
{
    struct worker *w = user;
    for (size_t i = 0; i < w->n && !w->err; i++)
        w->err = sl_session_eval(w->session, &w->ids[i], 1, false, w->logits);
    return NULL;
}

static void sessions_of_one_model_may_run_in_different_threads(void)
{
    static struct worker w[3];
    int32_t ids[MAX_TOKENS];
    size_t n = prompt("yuan2-m32-base", ids);
    struct sl_model *model = open_model("yuan2-m32-base", true, 2);
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        w[i] = (struct worker){.session = open_session(model, NULL, 0), .ids = ids, .n = n};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        CU_ASSERT_EQUAL(w[i].err, 0);
        CU_ASSERT_EQUAL(memcmp(w[i].logits, w[0].logits, 120 * sizeof(float)), 0);
        sl_session_close(&w[i].session);
    }
    sl_model_close(&model);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void bad_input_appends_nothing(void)
{
    static float want[MAX_VOCAB], got[MAX_VOCAB];
    int32_t ids[MAX_TOKENS], bad[4] = {1, 2, 120, 3}, negative = -1, many[41] = {0};
    size_t n = prompt("yuan2-m32-base", ids);
    struct sl_model *model = open_model("yuan2-m32-base", true, 1);
    struct sl_session *session = open_session(model, NULL, 3);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, false, want), 0);
    sl_session_reset(session);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, n - 1, false, NULL), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, bad, 4, false, NULL), SL_ERR_RANGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "120"));
    CU_ASSERT_EQUAL(sl_session_eval(session, &negative, 1, false, NULL), SL_ERR_RANGE);
    CU_ASSERT_EQUAL(sl_session_eval(session, many, 41, false, NULL), SL_ERR_RANGE);
    CU_ASSERT_EQUAL(sl_session_eval(session, many, 40 - n + 2, false, NULL), SL_ERR_RANGE);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, 0, false, NULL), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, 0, false, got), SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids + n - 1, 1, false, got), 0);
    CU_ASSERT_EQUAL(memcmp(want, got, 120 * sizeof *want), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, many, 40 - n, false, NULL), 0); /* to the brim */
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, 1, false, NULL), SL_ERR_RANGE);
    sl_session_close(&session);
    sl_model_close(&model);
}

/* Tokens of a long text, any. */
static int32_t *long_text(size_t n, int32_t n_vocab)
{
    struct sl_rng rng = sl_rng_open("session", 51);
    int32_t *ids = malloc(n * sizeof *ids);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)sl_rng_range(&rng, 0, n_vocab - 1);
    return ids;
}

struct layers {
    uint64_t done, total, calls, stop_at;
};

static bool count_layers(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct layers *l = user;
    CU_ASSERT(what && done == l->done + 1);
    l->done = done;
    l->total = total;
    l->calls++;
    return done != l->stop_at;
}

/* Behind some layers of every chunk; the same session then has the logits of one that was never
 * stopped. */
static void stop_and_go_on(struct sl_session *session, uint64_t stop, uint64_t layers,
                           const float *want, uint32_t n_vocab, const int32_t *ids, size_t n)
{
    static float got[MAX_VOCAB];
    struct layers l = {.stop_at = stop};
    sl_session_set_progress(session, count_layers, &l);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, false, got), stop ? SL_ERR_INTERRUPTED : 0);
    CU_ASSERT(l.total == layers && l.done == (stop ? stop : layers));
    sl_session_set_progress(session, NULL, NULL);
    if (!stop)
        sl_session_reset(session);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, false, got), 0);
    CU_ASSERT(!memcmp(want, got, n_vocab * sizeof *want));
    sl_session_reset(session);
}

static void prefill_tells_its_layers_and_stops_without_a_trace(void)
{
    static float want[MAX_VOCAB];
    int32_t ids[MAX_TOKENS];
    for (size_t d = 0; d < N_DIR; d++) {
        const size_t n = prompt(dirs[d], ids);
        struct sl_model *model = open_model(dirs[d], false, 2);
        struct sl_session *whole = open_session(model, "int8", 5);
        struct sl_session *session = open_session(model, "int8", 5);
        struct sl_model_info info;
        struct layers decode = {0};
        sl_model_get_info(model, &info);
        const uint64_t layers = (n + 4) / 5 * info.n_layer;
        CU_ASSERT_EQUAL(sl_session_eval(whole, ids, n, false, want), 0);
        for (uint64_t stop = 0; stop <= layers; stop += 1 + stop / 3)
            stop_and_go_on(session, stop, layers, want, info.n_vocab, ids, n);
        sl_session_set_progress(whole, count_layers, &decode);
        CU_ASSERT_EQUAL(sl_session_eval(whole, ids, 1, false, want), 0);
        CU_ASSERT_EQUAL(decode.calls, 0);
        sl_session_close(&whole);
        sl_session_close(&session);
        sl_model_close(&model);
    }
}

/* A context filled to its last position, the last tokens one by one; nothing fits behind it. */
static void contexts_of_131072_are_filled_to_the_brim(void)
{
    enum { N = 131072, LAST = 3 };
    static float logits[MAX_VOCAB];
    const char *is_long = getenv("SL_LONG");
    if (!is_long || strcmp(is_long, "1")) {
        CU_PASS("SL_LONG=1 fills a context");
        return;
    }
    struct sl_model *model = open_model(dirs[0], false, 0);
    struct sl_session *session = NULL;
    struct sl_session_params params = {.n_ctx = N};
    struct sl_model_info info;
    sl_model_get_info(model, &info);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &params), 0);
    int32_t *ids = long_text(N, (int32_t)info.n_vocab);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, N - LAST, false, NULL), 0);
    for (size_t i = N - LAST; i < N; i++) {
        memset(logits, 0xFF, sizeof logits); /* NaNs */
        CU_ASSERT_EQUAL(sl_session_eval(session, ids + i, 1, false, logits), 0);
        for (uint32_t v = 0; v < info.n_vocab; v++)
            CU_ASSERT(isfinite(logits[v]));
    }
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, 1, false, NULL), SL_ERR_RANGE);
    free(ids);
    sl_session_close(&session);
    sl_model_close(&model);
}

static struct sl_model *open_copy(struct model_copy *copy, const char *key, int value, int want)
{
    struct sl_model *model = NULL;
    model_copy_write(copy, key, value);
    struct sl_model_params params = {.path = copy->dir, .exact = true, .n_threads = 1};
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), want);
    return model;
}

/* A NaN in token 7's embedding: a chunk with it fails as a whole, and the sequence goes on as if it
 * had not been tried. */
static void a_number_that_is_not_finite_names_its_layer_and_leaves_no_trace(void)
{
    static float want[MAX_VOCAB], got[MAX_VOCAB];
    static const int32_t good[] = {1, 2, 3, 4, 5},
                         poisoned[] = {6, 8, 7}; /* 7 is in the second chunk */
    struct model_copy copy;
    model_copy_open(&copy, "yuan2-m32-base");
    model_copy_set(&copy, "model.embed_tokens.weight", 7 * 64 + 5, NAN);
    struct sl_model *model = open_copy(&copy, NULL, 0, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(model);
    struct sl_session *session = open_session(model, NULL, 2);
    CU_ASSERT_EQUAL(sl_session_eval(session, good, 5, false, want), 0);
    sl_session_reset(session);
    CU_ASSERT_EQUAL(sl_session_eval(session, good, 2, false, NULL), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, poisoned, 3, false, NULL), SL_ERR_RANGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "not finite"));
    CU_ASSERT_EQUAL(sl_session_eval(session, good + 2, 3, false, got), 0);
    CU_ASSERT_EQUAL(memcmp(want, got, 120 * sizeof *want), 0);
    sl_session_close(&session);
    sl_model_close(&model);
    model_copy_close(&copy);
}

static void an_overflow_inside_a_layer_names_it(void)
{
    static const struct {
        const char *tensor, *message;
    } poison[] = {{"model.layers.1.self_attn.o_proj.weight", "layer 1"},
                  {"model.layers.2.self_attn.v_proj.weight", "layer 2"},
                  {"model.layers.2.self_attn.q_proj.weight", "layer 2"},
                  {"model.layers.0.mlp.gate.wg.weight", NULL},
                  {"model.layers.2.mlp.shared_mlp.down_proj.weight", "layer 2"}};
    static const int32_t ids[] = {1, 2, 3};
    for (size_t i = 0; i < sizeof poison / sizeof *poison; i++) {
        struct model_copy copy;
        model_copy_open(&copy, "hunyuan-large-cla2");
        model_copy_set(&copy, poison[i].tensor, 3, i % 2 ? INFINITY : NAN);
        struct sl_model *model = open_copy(&copy, NULL, 0, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(model);
        struct sl_session *session = open_session(model, NULL, 0);
        int err = sl_session_eval(session, ids, 3, false, NULL);
        CU_ASSERT(err == SL_ERR_RANGE || !poison[i].message);
        if (poison[i].message)
            CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), poison[i].message));
        sl_session_close(&session);
        sl_model_close(&model);
        model_copy_close(&copy);
    }
}

static void missing_tensors_are_named_at_open(void)
{
    static const struct {
        const char *dir, *from, *to;
    } lost[] = {
        {"hunyuan-large-cla2", "model.layers.3.mlp.gate.wg.weight",
         "model.layers.3.mlp.gate.wx.weight"},
        {"hunyuan-large-cla2", "model.layers.2.self_attn.k_proj.weight",
         "model.layers.2.self_attn.x_proj.weight"},
        {"hunyuan-large-cla2", "model.layers.1.self_attn.key_layernorm.weight",
         "model.layers.1.self_attn.kex_layernorm.weight"},
        {"hunyuan-large-cla2", "model.layers.0.mlp.experts.15.up_proj.weight",
         "model.layers.0.mlp.experts.15.ux_proj.weight"},
        {"hunyuan-v1-moe-a13b", "model.norm.weight", "model.narm.weight"},
        {"yuan2-m32-base", "lm_head.weight", "lm_hxad.weight"},
        {"yuan2-m32-base", "model.layers.2.self_attn.lf_gate.conv2.bias",
         "model.layers.2.self_attn.lf_gate.convx.bias"},
        {"yuan2-m32-base", "model.layers.1.mlp.experts.31.w1.weight",
         "model.layers.1.mlp.experts.31.wx.weight"},
        {"yuan2-m32-base", "model.layers.0.mlp.gate.value.weight",
         "model.layers.0.mlp.gate.valxe.weight"},
    };
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        struct model_copy copy;
        model_copy_open(&copy, lost[i].dir);
        model_copy_rename(&copy, lost[i].from, lost[i].to);
        struct sl_model *model = open_copy(&copy, NULL, 0, SL_ERR_SHAPE);
        CU_ASSERT_PTR_NULL(model);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), lost[i].from));
        sl_model_close(&model);
        model_copy_close(&copy);
    }
}

static void tensors_of_another_shape_are_refused_at_open(void)
{
    static const struct {
        const char *dir, *key;
        int value;
    } other[] = {{"hunyuan-large-cla2", "intermediate_size", 64},
                 {"hunyuan-large-cla2", "vocab_size", 161},
                 {"hunyuan-large-cla2", "num_key_value_heads", 4},
                 {"hunyuan-large-cla2", "num_experts", 17},
                 {"hunyuan-large-cla2", "num_hidden_layers", 5},
                 {"hunyuan-large-cla2", "num_shared_expert", 2},
                 {"hunyuan-v1-moe-a13b", "head_dim", 16},
                 {"yuan2-m32-base", "attention_projection_size", 64}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        struct model_copy copy;
        model_copy_open(&copy, other[i].dir);
        struct sl_model *model = open_copy(&copy, other[i].key, other[i].value, SL_ERR_SHAPE);
        CU_ASSERT_PTR_NULL(model);
        sl_model_close(&model);
        model_copy_close(&copy);
    }
}

static void what_does_not_exist_is_a_usage_error(void)
{
    struct sl_model *model = NULL, *exact = open_model("hunyuan-large-cla2", true, 1);
    struct sl_session *session = NULL;
    struct sl_session_params bad_type = {.cache_type_k = "fp16"}, fabric = {.kv_on_fabric = true};
    struct sl_session_params huge = {.n_ctx = UINT32_MAX};
    struct sl_model_params nowhere = {.exact = true};
    CU_ASSERT_EQUAL(sl_session_open(&session, exact, &bad_type), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "fp16"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "int4"));
    CU_ASSERT_EQUAL(sl_session_open(&session, exact, &fabric), SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_session_open(&session, exact, &huge), SL_ERR_USAGE);
    CU_ASSERT_PTR_NULL(session);
    CU_ASSERT_EQUAL(sl_model_open(&model, &nowhere), SL_ERR_USAGE);
    nowhere.path = "/nonexistent";
    CU_ASSERT(sl_model_open(&model, &nowhere) < 0);
    CU_ASSERT_PTR_NULL(model);
    sl_session_close(&session);
    sl_model_close(&model);
    sl_model_close(&exact);
    CU_ASSERT_PTR_NULL(exact);
}

static void unknown_formats_and_devices_are_refused(void)
{
    char path[400];
    struct sl_model *model = NULL;
    snprintf(path, sizeof path, "%s/hunyuan-large-cla2", sl_golden_dir());
    struct sl_model_params params = {.path = path, .format = "q9"};
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_USAGE);
    params.format = NULL;
    params.device = "toaster";
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_USAGE);
    CU_ASSERT_PTR_NULL(model);
}

/* A converted model gives the bits of the checkpoint quantised in memory, and has no exact form. */
static void a_converted_model_is_the_model_quantised_in_memory(void)
{
    static float memory[MAX_TOKENS * MAX_VOCAB], store[MAX_TOKENS * MAX_VOCAB];
    for (int d = 0; d < N_DIR; d++) {
        char out[300], in[400];
        int32_t ids[MAX_TOKENS];
        size_t n = prompt(dirs[d], ids);
        struct sl_model *model = NULL;
        struct sl_convert_report report;
        CU_ASSERT_EQUAL_FATAL(sl_temp_dir(out, sizeof out), 0);
        snprintf(in, sizeof in, "%s/%s", sl_golden_dir(), dirs[d]);
        struct sl_convert_params convert = {.in_dir = in, .out_dir = out, .n_threads = 2};
        CU_ASSERT_EQUAL_FATAL(sl_convert(&convert, &report), 0);
        struct sl_model_params params = {.path = out, .exact = true, .n_threads = 2};
        CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_USAGE);
        params.exact = false;
        for (int i = 0; i < 2; i++) {
            params.path = i ? out : in;
            CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &params), 0);
            struct sl_session *session = open_session(model, NULL, 0);
            CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, true, i ? store : memory), 0);
            sl_session_close(&session);
            sl_model_close(&model);
        }
        CU_ASSERT_EQUAL(memcmp(memory, store, sizeof store), 0);
    }
}

/* ---- facts ---------------------------------------------------------------------------------- */

static void facts_and_counts_are_those_of_the_run(void)
{
    int32_t ids[MAX_TOKENS];
    size_t n = prompt("hunyuan-large-cla2", ids);
    struct sl_model *model = open_model("hunyuan-large-cla2", true, 2);
    struct sl_session *session = open_session(model, "int8", 0);
    struct sl_session_stats stats;
    struct sl_model_info info;
    sl_model_get_info(model, &info);
    CU_ASSERT_STRING_EQUAL(info.architecture, "hunyuan-large");
    CU_ASSERT_STRING_EQUAL(info.device, "-");
    CU_ASSERT(info.weight_bytes > 5000000);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, n, false, NULL), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, 1, false, NULL), 0);
    sl_session_get_stats(session, &stats);
    CU_ASSERT_EQUAL(stats.n_tokens, n + 1);
    CU_ASSERT_EQUAL(stats.n_decode_tokens, 1);
    CU_ASSERT_EQUAL(stats.n_launches, 0);
    uint64_t router = 0, pack = 0, attention = 0;
    for (size_t i = 0; i < stats.n_op; i++) {
        router += strcmp(stats.op[i].op, "router") ? 0 : stats.op[i].calls;
        pack += strcmp(stats.op[i].op, "kv_pack") ? 0 : stats.op[i].calls;
        attention += strcmp(stats.op[i].op, "attention") ? 0 : stats.op[i].calls;
    }
    CU_ASSERT_EQUAL(router, 4 * (n + 1));
    CU_ASSERT_EQUAL(attention, 4 * (n + 1));
    CU_ASSERT_EQUAL(pack, 2 * 2 * 2 * (n + 1)); /* K and V, two stored layers, two heads */
    sl_session_close(&session);
    sl_model_close(&model);
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {
    CASE(exact_models_do_not_depend_on_threads_or_chunks),
    CASE(quantised_models_do_not_depend_on_threads_or_chunks),
    CASE(packing_on_the_fabric_changes_no_bit),
    CASE(last_logits_are_the_last_row_of_all),
    CASE(quantised_layers_resemble_exact_ones),
    CASE(sessions_of_one_model_may_run_in_different_threads),
    CASE(bad_input_appends_nothing),
    CASE(a_number_that_is_not_finite_names_its_layer_and_leaves_no_trace),
    CASE(prefill_tells_its_layers_and_stops_without_a_trace),
    CASE(contexts_of_131072_are_filled_to_the_brim),
    CASE(an_overflow_inside_a_layer_names_it),
    CASE(missing_tensors_are_named_at_open),
    CASE(tensors_of_another_shape_are_refused_at_open),
    CASE(what_does_not_exist_is_a_usage_error),
    CASE(unknown_formats_and_devices_are_refused),
    CASE(a_converted_model_is_the_model_quantised_in_memory),
    CASE(facts_and_counts_are_those_of_the_run),
    {NULL, NULL}};

const struct sl_suite suite_session = {"session", cases};
