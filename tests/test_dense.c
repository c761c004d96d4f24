/* SPDX-License-Identifier: Apache-2.0 */
/* Plain matrices on the CPU: the words of the reference, and nothing that a user sees changes with
 * the place where they are computed but launches and memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/cpu_ops.h"
#include "fabric/fabric_state.h"
#include "golden_read.h"
#include "ref/ref_core.h"
#include "ref/ref_gen.h"
#include "sluice.h"
#include "store/slab.h"
#include "store_rig.h"
#include "test_main.h"

/* ---- one matrix ----------------------------------------------------------------------------- */

struct shape {
    uint32_t k, rows, n_tok;
    enum gen w, x;
};

/* A slab on the heap with not a byte behind its slack, x, and the reference's y. */
struct case_data {
    struct ref_matrix m;
    uint8_t *slab, *ctl;
    uint64_t x_beats, y_beats;
    struct sl_job job;
};

static uint8_t *beats(uint64_t n)
{
    uint8_t *p = aligned_alloc(64, n * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    memset(p, 0xA5, n * SL_BEAT_BYTES);
    return p;
}

static void make_slab(struct case_data *d, struct sl_rng *rng, const struct shape *s, int format)
{
    struct ref_region region;
    uint64_t n = ref_plain_region(format, s->k, s->rows, 1, &region) + SL_SLACK_BEATS;
    struct sl_slab head = ref_plain_header(format, s->k, s->rows);
    struct ref_weights w = {.n_port = 1, .w_limit = n, .w = {d->slab = beats(n)}};
    head.exp0 = (int16_t)sl_rng_range(rng, -70, 20);
    if (format == SL_FORMAT_FP8)
        head.mant0 = (uint16_t)sl_rng_range(rng, 32768, 65535);
    CU_ASSERT_FATAL(ref_matrix_alloc(&d->m, format, s->rows, s->k));
    gen_matrix(rng, s->w, &d->m);
    CU_ASSERT_EQUAL(ref_put_plain(&w, 0, &head, &d->m), n);
    CU_ASSERT_EQUAL(sl_slab_beats((const void *)d->slab) + SL_SLACK_BEATS, n);
}

/* Job, record, x, y behind one another. */
static void make_case(struct case_data *d, struct sl_rng *rng, const struct shape *s, int format)
{
    make_slab(d, rng, s, format);
    d->x_beats = ref_act8_beats(s->k);
    d->y_beats = ((uint64_t)s->rows + 15) / 16;
    uint64_t n = 2 + s->n_tok * (d->x_beats + d->y_beats);
    d->ctl = beats(n);
    for (uint32_t t = 0; t < s->n_tok; t++)
        gen_x8(rng, s->x, s->k, 9, d->ctl + (2 + t * d->x_beats) * SL_BEAT_BYTES);
    d->job = (struct sl_job){.op = SL_OP_PLAIN,
                             .format = (uint8_t)format,
                             .x_off = 2,
                             .y_off = (uint32_t)(2 + s->n_tok * d->x_beats),
                             .n_tokens = (uint16_t)s->n_tok,
                             .x_stride = (uint16_t)d->x_beats,
                             .y_stride = (uint16_t)d->y_beats,
                             .k = (uint16_t)s->k,
                             .rows = s->rows};
    memcpy(d->ctl, &d->job, sizeof d->job);
    struct ref_core core = {
        .ctl = d->ctl, .ctl_limit = n, .weights = {.n_port = 1, .w = {d->slab}}};
    core.weights.w_limit = sl_slab_beats((const void *)d->slab) + SL_SLACK_BEATS;
    CU_ASSERT_EQUAL(ref_launch(&core, 0, 1).n_ok, 1);
}

static bool same_words(const struct case_data *d, const float *y, size_t stride)
{
    for (uint32_t t = 0; t < d->job.n_tokens; t++) {
        const uint8_t *want = d->ctl + (d->job.y_off + t * d->y_beats) * SL_BEAT_BYTES;
        if (memcmp(y + t * stride, want, d->job.rows * sizeof *y))
            return false;
    }
    return true;
}

static void run_case(struct sl_rng *rng, const struct shape *s, int format)
{
    const struct sl_cpu_ops *ops = sl_cpu_ops_best();
    struct case_data d = {0};
    make_case(&d, rng, s, format);
    size_t stride = s->rows + (size_t)sl_rng_range(rng, 0, 3);
    float *y = malloc(s->n_tok * stride * sizeof *y);
    void *work = aligned_alloc(64, (ops->work_bytes + 63) / 64 * 64);
    CU_ASSERT_FATAL(y && work);
    memset(y, 0xFF, s->n_tok * stride * sizeof *y);
    for (uint32_t at = 0, n; at < s->rows; at += n) {
        n = SL_CPU_ROW_STEP *
            (uint32_t)sl_rng_range(rng, 1, SL_CPU_MAX_PART_ROWS / SL_CPU_ROW_STEP);
        struct sl_cpu_plain call = {.slab = (const void *)d.slab,
                                    .x = d.ctl + (size_t)2 * SL_BEAT_BYTES,
                                    .n_tok = s->n_tok,
                                    .first = at,
                                    .n_row = n < s->rows - at ? n : s->rows - at,
                                    .y = y,
                                    .y_stride = stride};
        CU_ASSERT_EQUAL(ops->plain(&call, work), SL_STATUS_OK);
    }
    bool same = same_words(&d, y, stride);
    if (!same)
        printf("[format %d k %u rows %u tokens %u] ", format, s->k, s->rows, s->n_tok);
    CU_ASSERT(same);
    ref_matrix_free(&d.m);
    free(d.slab);
    free(d.ctl);
    free(y);
    free(work);
}

static void parts_on_the_cpu_are_the_words_of_the_reference(void)
{
    static const struct shape shapes[] = {
        {32, 1, 1, GEN_RANDOM, GEN_RANDOM},     {96, 17, 3, GEN_ANY, GEN_RANDOM},
        {64, 16, 64, GEN_RANDOM, GEN_TYPICAL},  {160, 1000, 2, GEN_RANDOM, GEN_RANDOM},
        {1056, 257, 5, GEN_SCALES, GEN_RANDOM}, {6400, 129, 1, GEN_TYPICAL, GEN_TYPICAL},
        {32768, 19, 1, GEN_WORST, GEN_WORST},   {2080, 48, 63, GEN_RANDOM, GEN_SMALL},
        {96, 33, 2, GEN_ZERO, GEN_RANDOM},      {96, 33, 2, GEN_RANDOM, GEN_ZERO}};
    struct sl_rng rng = sl_rng_open(__func__, 31);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int format = SL_FORMAT_FP8; format <= SL_FORMAT_MXFP4; format++)
            run_case(&rng, &shapes[i], format);
}

static void a_forbidden_activation_is_told(void)
{
    struct sl_rng rng = sl_rng_open(__func__, 32);
    struct shape s = {64, 16, 1, GEN_RANDOM, GEN_RANDOM};
    struct case_data d = {0};
    float y[16];
    make_case(&d, &rng, &s, SL_FORMAT_Q8);
    void *work = aligned_alloc(64, (sl_cpu_ops_best()->work_bytes + 63) / 64 * 64);
    struct sl_cpu_plain call = {.slab = (const void *)d.slab,
                                .x = d.ctl + (size_t)2 * SL_BEAT_BYTES,
                                .n_tok = 1,
                                .n_row = 16,
                                .y = y,
                                .y_stride = 16};
    d.ctl[4 * SL_BEAT_BYTES + 5] = 0x80; /* behind base and exponents: -128 */
    CU_ASSERT_EQUAL(sl_cpu_ops_best()->plain(&call, work), SL_STATUS_BAD_ACTIVATION);
    ref_matrix_free(&d.m);
    free(d.slab);
    free(d.ctl);
    free(work);
}

/* ---- whole models --------------------------------------------------------------------------- */

enum { MAX_TOKENS = 24, MAX_VOCAB = 160 };
static const char *const dirs[] = {"hunyuan-large-cla2", "hunyuan-v1-moe-a13b", "yuan2-m32-base"};
static const char *const choices[] = {NULL, "auto", "cpu", "device"};
enum { N_DIR = sizeof dirs / sizeof *dirs, N_CHOICE = sizeof choices / sizeof *choices };

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

static uint64_t calls_of(const struct sl_session_stats *stats, const char *op, const char *impl)
{
    for (size_t i = 0; i < stats->n_op; i++)
        if (!strcmp(stats->op[i].op, op) && !strcmp(stats->op[i].impl, impl))
            return stats->op[i].calls;
    return 0;
}

/* dir: a golden directory, or the path of a converted model. */
static struct sl_model *open_model(const char *dir, const char *dense, const char *device)
{
    char path[400];
    struct sl_model *model = NULL;
    snprintf(path, sizeof path, "%s%s%s", *dir == '/' ? "" : sl_golden_dir(),
             *dir == '/' ? "" : "/", dir);
    struct sl_model_params params = {
        .path = path, .dense = dense, .device = device, .format_dense = "nf4", .n_threads = 3};
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &params), 0);
    return model;
}

struct counts {
    uint64_t decode_tokens, decode_launches, retries, n_layer;
    uint64_t linear_cpu, linear_device, expert_cpu;
};

/* A prefill of all but the last six tokens, then those one by one. */
static void evaluate(const char *dir, const char *dense, const char *device, float *logits,
                     struct counts *out)
{
    int32_t ids[MAX_TOKENS];
    size_t n = prompt(*dir == '/' ? dirs[0] : dir, ids), first = n - 6;
    struct sl_model *model = open_model(dir, dense, device);
    struct sl_session *session = NULL;
    struct sl_session_params params = {.n_ctx = 40, .n_batch = 7};
    struct sl_model_info info;
    sl_model_get_info(model, &info);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &params), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, first, true, logits), 0);
    for (size_t i = first; i < n; i++)
        CU_ASSERT_EQUAL(sl_session_eval(session, &ids[i], 1, false, logits + i * info.n_vocab), 0);
    struct sl_session_stats stats;
    sl_session_get_stats(session, &stats);
    *out = (struct counts){.decode_tokens = stats.n_decode_tokens,
                           .decode_launches = stats.n_decode_launches,
                           .retries = stats.n_retries,
                           .n_layer = info.n_layer,
                           .linear_cpu = calls_of(&stats, "linear", "cpu"),
                           .linear_device = calls_of(&stats, "linear", device),
                           .expert_cpu = calls_of(&stats, "expert_ffn", "cpu")};
    sl_session_close(&session);
    sl_model_close(&model);
}

static void the_place_of_plain_matrices_changes_no_bit(void)
{
    static float first[MAX_TOKENS * MAX_VOCAB], other[MAX_TOKENS * MAX_VOCAB];
    for (int d = 0; d < N_DIR; d++)
        for (int c = 0; c < N_CHOICE; c++) {
            struct counts n;
            evaluate(dirs[d], choices[c], c == 3 ? "csim:4" : "csim", c ? other : first, &n);
            if (c)
                CU_ASSERT_EQUAL(memcmp(first, other, sizeof first), 0);
            CU_ASSERT(first[0] == first[0] && first[0] != 0);
        }
}

/* One launch a layer, and one more for every round of repeated jobs. */
static void decode_takes_one_launch_a_layer(void)
{
    static float logits[MAX_TOKENS * MAX_VOCAB];
    for (int d = 0; d < N_DIR; d++)
        for (int c = 0; c < N_CHOICE; c++) {
            bool device = choices[c] && !strcmp(choices[c], "device");
            struct counts n;
            evaluate(dirs[d], choices[c], "csim", logits, &n);
            CU_ASSERT_EQUAL(n.decode_tokens, 6);
            uint64_t least = 6 * n.n_layer;
            CU_ASSERT(device
                          ? n.decode_launches >= 3 * least + 6
                          : n.decode_launches >= least && n.decode_launches <= least + n.retries);
        }
}

/* Gives every expert of a converted model an exponent under which its h saturates; returns how many
 * there are. */
static unsigned spoil_exponents(const char *dir, uint32_t n_layer)
{
    unsigned count = 0;
    for (uint32_t l = 0; l < n_layer; l++) {
        char path[400];
        size_t n = 0;
        snprintf(path, sizeof path, "%s/layer-%04u.slab", dir, l);
        uint8_t *file = rig_read(path, &n);
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        for (size_t at = 0; at + sizeof(struct sl_slab) <= n; at += SL_BEAT_BYTES) {
            struct sl_slab *slab = (void *)(file + at);
            bool expert = slab->magic == SL_SLAB_MAGIC && slab->kind == SL_KIND_EXPERT;
            count += expert;
            slab->u_h = expert ? 45 : slab->u_h;
        }
        rig_write(path, file, n);
        free(file);
    }
    return count;
}

static void jobs_that_are_repeated_are_launches_too(void)
{
    static float logits[MAX_TOKENS * MAX_VOCAB];
    char in[400], out[300];
    struct counts n;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(out, sizeof out), 0);
    snprintf(in, sizeof in, "%s/%s", sl_golden_dir(), dirs[0]);
    struct sl_convert_params convert = {
        .in_dir = in, .out_dir = out, .format_dense = "nf4", .n_threads = 2};
    struct sl_convert_report report;
    CU_ASSERT_EQUAL_FATAL(sl_convert(&convert, &report), 0);
    CU_ASSERT_EQUAL(spoil_exponents(out, 4), 4 * (16 + 1));
    evaluate(out, NULL, "csim", logits, &n);
    CU_ASSERT(n.retries > 0);
    /* Every token's shared expert, at least, needs another launch in every layer. */
    CU_ASSERT(n.decode_launches >= 2 * n.decode_tokens * n.n_layer);
    CU_ASSERT(n.decode_launches <= n.decode_tokens * n.n_layer + n.retries);
}

static void the_stats_say_what_computed_the_matrices(void)
{
    static float logits[MAX_TOKENS * MAX_VOCAB];
    for (int c = 0; c < N_CHOICE; c++) {
        struct counts n;
        evaluate("hunyuan-large-cla2", choices[c], "csim", logits, &n);
        const char *name = choices[c] ? choices[c] : "auto";
        /* Four layers of four matrices, two of which share K and V, and a head. */
        uint64_t per_pass = 4 * 4 - 2 * 2 + 1;
        CU_ASSERT_EQUAL((n.linear_cpu + n.linear_device) % per_pass, 0);
        CU_ASSERT_EQUAL(n.linear_device == 0, !strcmp(name, "cpu"));
        CU_ASSERT_EQUAL(n.linear_cpu == 0, !strcmp(name, "device"));
        CU_ASSERT(strcmp(name, "auto") || n.linear_cpu == 6 * per_pass);
        CU_ASSERT_EQUAL(n.expert_cpu, 0);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Beats of a weight arena of a golden model. */
static uint32_t arena_beats(const struct sl_config *c, const struct sl_store *store,
                            struct sl_pool *pool, enum sl_dense dense)
{
    struct sl_ops ops = {0};
    struct sl_fabric_params params = {
        .config = c, .store = store, .pool = pool, .device = "csim", .dense = dense};
    CU_ASSERT_EQUAL_FATAL(sl_fabric_open(&ops, &params), 0);
    uint32_t n = ((const struct sl_fabric *)ops.ctx)->member[0].dev->w_beats;
    ops.close(ops.ctx);
    return n;
}

static uint64_t dense_beats(const struct sl_config *c, const struct sl_store *store)
{
    uint64_t n = sl_slab_beats(sl_store_matrix(store, SL_MATRIX_LM_HEAD, 0).header);
    for (uint32_t l = 0; l < c->n_layer; l++)
        for (int m = SL_MATRIX_Q; m <= SL_MATRIX_O; m++) {
            const struct sl_slab *slab = sl_store_matrix(store, (enum sl_matrix)m, l).header;
            n += slab ? sl_slab_beats(slab) : 0;
        }
    return n;
}

static void matrices_of_the_cpu_take_no_memory_of_the_device(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/hunyuan-large-cla2", sl_golden_dir());
    struct sl_config config;
    struct sl_checkpoint *ckpt = NULL;
    struct sl_store *store = NULL;
    struct sl_pool *pool = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 2), 0);
    CU_ASSERT_EQUAL_FATAL(sl_config_load(&config, path), 0);
    CU_ASSERT_EQUAL_FATAL(sl_checkpoint_open(&ckpt, path), 0);
    struct sl_quant_params q = {.format = SL_FORMAT_Q8, .format_dense = SL_FORMAT_Q8, .pool = pool};
    CU_ASSERT_EQUAL_FATAL(sl_store_quantise(&store, ckpt, &config, &q), 0);
    uint32_t all = arena_beats(&config, store, pool, SL_DENSE_DEVICE);
    CU_ASSERT_EQUAL(arena_beats(&config, store, pool, SL_DENSE_AUTO), all);
    CU_ASSERT_EQUAL(all - arena_beats(&config, store, pool, SL_DENSE_CPU),
                    dense_beats(&config, store));
    sl_store_close(&store);
    sl_checkpoint_close(&ckpt);
    sl_pool_close(&pool);
}

static void unknown_places_are_refused(void)
{
    char path[400];
    struct sl_model *model = NULL;
    snprintf(path, sizeof path, "%s/hunyuan-large-cla2", sl_golden_dir());
    struct sl_model_params params = {.path = path, .dense = "gpu"};
    CU_ASSERT_EQUAL(sl_model_open(&model, &params), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "gpu"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "device"));
}

static const struct sl_case cases[] = {
    {"parts_on_the_cpu_are_the_words_of_the_reference",
     parts_on_the_cpu_are_the_words_of_the_reference},
    {"a_forbidden_activation_is_told", a_forbidden_activation_is_told},
    {"the_place_of_plain_matrices_changes_no_bit", the_place_of_plain_matrices_changes_no_bit},
    {"decode_takes_one_launch_a_layer", decode_takes_one_launch_a_layer},
    {"jobs_that_are_repeated_are_launches_too", jobs_that_are_repeated_are_launches_too},
    {"the_stats_say_what_computed_the_matrices", the_stats_say_what_computed_the_matrices},
    {"matrices_of_the_cpu_take_no_memory_of_the_device",
     matrices_of_the_cpu_take_no_memory_of_the_device},
    {"unknown_places_are_refused", unknown_places_are_refused},
    {NULL, NULL}};
const struct sl_suite suite_dense = {"dense", cases};
