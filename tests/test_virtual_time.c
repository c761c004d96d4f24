/* SPDX-License-Identifier: Apache-2.0 */
/* Devices without a board keep a clock: their core's cycles, the link, the launch, the host. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli_rig.h"
#include "core_scene.h"
#include "fault_rig.h"
#include "store/slab.h"

static bool within(double got, double want, double share)
{
    return fabs(got - want) <= share * fabs(want);
}

static struct sl_virtual_time clock_of(struct sl_device *dev)
{
    struct sl_device_counters c = {0};
    CU_ASSERT_EQUAL(sl_device_counters(dev, &c), 0);
    CU_ASSERT_TRUE(c.time.known);
    return c.time;
}

/* A clock without gaps: its parts add up. */
static void check_sum(const struct sl_virtual_time *t)
{
    CU_ASSERT(within(t->core_s + t->launch_s + t->link_s + t->cpu_s, t->total_s, 1e-9));
}

static struct sl_device *opened(const char *name, uint32_t w_beats)
{
    struct sl_device *dev = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, name), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, 1024, w_beats), 0);
    return dev;
}

/* ---- words ---------------------------------------------------------------------------------- */

static void a_modelled_core_has_the_words_of_the_reference(void)
{
    static const char *const devices[] = {"model", "model:4x4,mem=ddr", "model:28"};
    for (unsigned d = 0; d < 3; d++) {
        struct core_scene scene;
        CU_ASSERT_EQUAL_FATAL(scene_open(&scene, devices[d]), 0);
        for (int i = 0; i < SCENE_N_JOB; i++) {
            scene_restore(&scene);
            scene.rig.job[0] = scene.job[i];
            scene.rig.n_job = 1;
            CU_ASSERT_TRUE(rig_run(&scene.rig));
            CU_ASSERT_EQUAL(scene.rig.timed[0].status, SL_STATUS_OK);
            CU_ASSERT(scene.rig.timed[0].cycles > 0);
        }
        CU_ASSERT_TRUE(scene_weights_intact(&scene));
        scene_close(&scene);
    }
}

/* ---- weights where the store has them ------------------------------------------------------- */

enum {
    K = 128,
    ROWS = 96,
    SLAB_BEATS = 1 + ROWS / 2 * 2 * (1 + K / 64) + SL_SLACK_BEATS,
    ARENA = 512
};

/* A plain q8 matrix of small codes. */
static struct sl_slab *new_slab(void)
{
    uint8_t *slab = aligned_alloc(SL_BEAT_BYTES, SLAB_BEATS * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(slab);
    for (size_t i = 0; i < SLAB_BEATS * SL_BEAT_BYTES; i++)
        slab[i] = (uint8_t)(i * 2654435761u >> 20 & 63);
    struct sl_slab head = {.magic = SL_SLAB_MAGIC,
                           .kind = SL_KIND_PLAIN,
                           .format = SL_FORMAT_Q8,
                           .k = K,
                           .rows = ROWS,
                           .mant0 = 1,
                           .mant1 = 1,
                           .mant2 = 1};
    memcpy(slab, &head, sizeof head);
    return (void *)slab;
}

/* x of ones, one job, its y and cycles. */
static uint64_t run_plain(struct sl_device *dev, uint32_t w_off, float *y)
{
    struct sl_job job = {.op = SL_OP_PLAIN,
                         .format = SL_FORMAT_Q8,
                         .w_off = w_off,
                         .n_tokens = 1,
                         .x_off = 2,
                         .x_stride = 2 + K / 64,
                         .y_off = 10,
                         .y_stride = ROWS / 16,
                         .k = K,
                         .rows = ROWS};
    uint8_t x[(2 + K / 64) * SL_BEAT_BYTES] = {0};
    struct sl_record record = {0};
    memset(x + 2 * SL_BEAT_BYTES, 1, K);
    CU_ASSERT_EQUAL(sl_device_write(dev, SL_ARENA_CTL, 0, &job, 1), 0);
    CU_ASSERT_EQUAL(sl_device_write(dev, SL_ARENA_CTL, 2, x, 2 + K / 64), 0);
    CU_ASSERT_EQUAL(sl_device_launch(dev, 0, 1, 10000), 0);
    CU_ASSERT_EQUAL(sl_device_read(dev, SL_ARENA_CTL, 1, &record, 1), 0);
    CU_ASSERT_EQUAL(sl_device_read(dev, SL_ARENA_CTL, 10, y, ROWS / 16), 0);
    CU_ASSERT_EQUAL(record.status, SL_STATUS_OK);
    return record.cycles;
}

static void upload(struct sl_device *dev, uint32_t w_off, const struct sl_slab *slab)
{
    const uint32_t n = (uint32_t)sl_slab_port_beats(slab, dev->n_port);
    uint8_t *image = malloc((size_t)n * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(image);
    for (unsigned p = 0; p < dev->n_port; p++) {
        sl_slab_port_image(slab, p, dev->n_port, image);
        CU_ASSERT_EQUAL(sl_device_write(dev, (int)p, w_off, image, n), 0);
    }
    free(image);
}

static void bound_and_uploaded_weights_are_the_same(void)
{
    float want[ROWS], bound[ROWS], uploaded[ROWS];
    struct sl_slab *slab = new_slab();
    struct sl_device *ref = opened("csim:4", ARENA), *dev = opened("model:3", ARENA);
    upload(ref, 20, slab);
    run_plain(ref, 20, want);
    const struct sl_virtual_time before = clock_of(dev);
    CU_ASSERT_EQUAL(sl_device_bind(dev, 20, slab), 0);
    CU_ASSERT_EQUAL(clock_of(dev).up_bytes, before.up_bytes);
    const uint64_t cycles = run_plain(dev, 20, bound);
    upload(dev, 20, slab);
    CU_ASSERT_EQUAL(run_plain(dev, 20, uploaded), cycles);
    CU_ASSERT_EQUAL(memcmp(bound, want, sizeof want), 0);
    CU_ASSERT_EQUAL(memcmp(uploaded, want, sizeof want), 0);
    /* What is written over a slab counts from then on. */
    uint8_t *code = (uint8_t *)slab + 5 * SL_BEAT_BYTES;
    code[3] ^= 5;
    upload(dev, 20, slab);
    upload(ref, 20, slab);
    run_plain(dev, 20, uploaded);
    run_plain(ref, 20, want);
    CU_ASSERT_EQUAL(memcmp(uploaded, want, sizeof want), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(uploaded, bound, sizeof want), 0);
    sl_device_close(&dev);
    sl_device_close(&ref);
    free(slab);
}

/* ---- link ----------------------------------------------------------------------------------- */

/* Seconds of one blocking upload. */
static double upload_s(struct sl_device *dev, uint32_t n_beats)
{
    uint8_t *data = calloc(n_beats, SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    const double before = clock_of(dev).total_s;
    CU_ASSERT_EQUAL(sl_device_write(dev, 0, 0, data, n_beats), 0);
    free(data);
    return clock_of(dev).total_s - before;
}

/* Published: 12.2 GB/s of large transfers over Gen3 x16, 0.67 to 0.86 GB/s of 4 KiB ones. */
static void the_link_has_the_published_rates(void)
{
    enum { LARGE = 1 << 20 };
    struct sl_device *dev = opened("model", LARGE);
    CU_ASSERT(within(LARGE * 64.0 / upload_s(dev, LARGE), 12.2e9, 0.01));
    const double small = 4096 / upload_s(dev, 64);
    CU_ASSERT(small > 0.67e9 && small < 0.86e9);
    const struct sl_virtual_time t = clock_of(dev);
    check_sum(&t);
    sl_device_close(&dev);

    dev = opened("model,pcie=26,pcie_us=2", LARGE);
    CU_ASSERT(within(upload_s(dev, LARGE), LARGE * 64.0 / 26e9 + 2e-6, 1e-6));
    sl_device_close(&dev);
}

/* n uploads of `beats` beside launches of a matrix of so many cycles. */
static void overlap(const char *device, uint32_t n, uint32_t beats)
{
    float y[ROWS];
    struct sl_slab *slab = new_slab();
    struct sl_device *dev = opened(device, ARENA + beats);
    uint8_t *data = calloc(beats, SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    upload(dev, 0, slab);
    run_plain(dev, 0, y);
    const struct sl_virtual_time before = clock_of(dev);
    for (uint32_t i = 0; i < n; i++)
        CU_ASSERT_EQUAL(sl_device_write_begin(dev, 0, ARENA, data, beats), 0);
    for (unsigned i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(sl_device_launch(dev, 0, 1, 10000), 0);
    CU_ASSERT_EQUAL(sl_device_write_end(dev), 0);
    const struct sl_virtual_time t = clock_of(dev);
    const double link = t.beside_s - before.beside_s, hidden = t.hidden_s - before.hidden_s;
    const double core = t.core_s + t.launch_s - before.core_s - before.launch_s;
    const double shorter = link < core ? link : core;
    CU_ASSERT(hidden >= 0.95 * shorter && hidden <= 1.000001 * shorter);
    CU_ASSERT(within(t.total_s - before.total_s, link + core - hidden, 1e-6));
    check_sum(&t);
    /* The words do not depend on it. */
    float want[ROWS];
    struct sl_device *ref = opened("csim", ARENA);
    upload(ref, 0, slab);
    run_plain(ref, 0, want);
    run_plain(dev, 0, y);
    CU_ASSERT_EQUAL(memcmp(y, want, sizeof want), 0);
    sl_device_close(&ref);
    sl_device_close(&dev);
    free(data);
    free(slab);
}

static void uploads_beside_launches_are_hidden(void)
{
    static const uint32_t counts[] = {1, 4, 60, 400}; /* from much shorter to much longer */
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        overlap("model", counts[i], 512);
        overlap("model:1,launch_us=3,pcie_us=1", counts[i], 512);
        if (fault_built("sim:1,dpi"))
            overlap("sim:1,dpi,launch_us=20", counts[i], 512);
    }
}

static void the_directions_are_independent(void)
{
    enum { N = 4096 };
    struct sl_device *dev = opened("model", N);
    uint8_t *data = calloc(N, SL_BEAT_BYTES), beat[SL_BEAT_BYTES];
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    CU_ASSERT_EQUAL(sl_device_write_begin(dev, 0, 0, data, N), 0);
    const double before = clock_of(dev).total_s;
    CU_ASSERT_EQUAL(sl_device_read(dev, SL_ARENA_CTL, 0, beat, 1), 0);
    CU_ASSERT(within(clock_of(dev).total_s - before, 5.5e-6 + 64 / 12.2e9, 1e-6));
    /* A further upload goes behind the one that is on its way. */
    CU_ASSERT_EQUAL(sl_device_write(dev, SL_ARENA_CTL, 0, beat, 1), 0);
    CU_ASSERT(clock_of(dev).total_s - before > N * 64 / 12.2e9);
    sl_device_close(&dev);
    free(data);
}

/* ---- the host ------------------------------------------------------------------------------- */

static void the_hosts_work_counts_where_it_is_asked_for(void)
{
    const struct timespec pause = {0, 5000000};
    float y[ROWS];
    struct sl_slab *slab = new_slab();
    static const char *const devices[] = {"model", "model,cpu=measured"};
    for (unsigned d = 0; d < 2; d++) {
        struct sl_device *dev = opened(devices[d], ARENA);
        CU_ASSERT_EQUAL(sl_device_bind(dev, 0, slab), 0);
        run_plain(dev, 0, y);
        nanosleep(&pause, NULL);
        run_plain(dev, 0, y);
        const struct sl_virtual_time t = clock_of(dev);
        CU_ASSERT(d ? t.cpu_s >= 0.005 : t.cpu_s == 0);
        check_sum(&t);
        sl_device_close(&dev);
    }
    free(slab);
}

static void options_that_mean_nothing_are_refused(void)
{
    static const char *const bad[] = {"model:0",
                                      "model:29",
                                      "model:4x3",
                                      "model,dpi",
                                      "model,stall=5",
                                      "model,seed=1",
                                      "model,pcie=0",
                                      "model,pcie=",
                                      "model,pcie",
                                      "model,pcie=fast",
                                      "model,cpu=",
                                      "model,cpu=-1",
                                      "model,pcie_us=-1",
                                      "model,launch_us=1e9",
                                      "model,mem=",
                                      "model,timeout=5",
                                      "model,fault=dead@1",
                                      "model,cpu",
                                      "xrt,pcie=5"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sl_device *dev = NULL;
        const int err = sl_device_open(&dev, bad[i]);
        if (err != SL_ERR_USAGE)
            printf("%s: %d\n", bad[i], err);
        CU_ASSERT_EQUAL(err, SL_ERR_USAGE);
        sl_device_close(&dev);
    }
}

/* ---- whole models --------------------------------------------------------------------------- */

static json_t *run_json(const char *model, const char *how)
{
    static struct cli_result r;
    char line[512];
    snprintf(line, sizeof line, "run -m %s -n 6 --temp 0 --json %s", model, how);
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 0);
    json_t *o = json_loads(r.out, 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    return o;
}

static double seconds(const json_t *o, const char *phase, const char *part)
{
    return json_number_value(
        json_object_get(json_object_get(json_object_get(o, "virtual_time"), phase), part));
}

static const char *text_of(const json_t *o)
{
    return json_string_value(json_object_get(o, "text"));
}

static void a_model_takes_the_time_of_the_simulation(void)
{
    static const char *const models[] = {
        "models/demo-hunyuan --prompt=In_the_beginning",
        "models/demo-yuan --format nf4 --prompt=In_the_beginning --dense device"};
    static const char *const parts[] = {"total_s", "core_s", "launch_s",
                                        "link_s",  "up_s",   "down_s"};
    for (unsigned m = 0; m < 2 && fault_built("sim:1,dpi"); m++) {
        json_t *sim = run_json(models[m], "--device sim:1,dpi");
        json_t *model = run_json(models[m], "--device model:1");
        CU_ASSERT_STRING_EQUAL(text_of(sim), text_of(model));
        for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            CU_ASSERT(
                within(seconds(model, "decode", parts[i]), seconds(sim, "decode", parts[i]), 0.02));
            CU_ASSERT(within(seconds(model, "prefill", parts[i]), seconds(sim, "prefill", parts[i]),
                             0.02));
        }
        CU_ASSERT(seconds(sim, "decode", "core_s") > 0);
        json_decref(sim);
        json_decref(model);
    }
}

/* The CPU reads an absent expert's bytes: so slowly here that what a launch hides is nothing. */
static void absent_experts_take_the_cpus_time(void)
{
    static const char model[] =
        "models/demo-hunyuan --prompt=In_the_beginning --format q8 --dense device --keep static";
    json_t *slow = run_json(model, "--device model:4,cpu=0.01 --resident none");
    json_t *fast = run_json(model, "--device model:4,cpu=0.02 --resident none");
    json_t *none = run_json(model, "--device model:4,cpu=0.01");
    CU_ASSERT_STRING_EQUAL(text_of(slow), text_of(none));
    CU_ASSERT(within(seconds(slow, "decode", "cpu_s"), 2 * seconds(fast, "decode", "cpu_s"), 0.02));
    CU_ASSERT(seconds(slow, "decode", "cpu_s") > 0);
    CU_ASSERT_EQUAL(seconds(none, "decode", "cpu_s"), 0);
    json_decref(slow);
    json_decref(fast);
    json_decref(none);
}

static const struct sl_case cases[] = {
    {"a_modelled_core_has_the_words_of_the_reference",
     a_modelled_core_has_the_words_of_the_reference},
    {"bound_and_uploaded_weights_are_the_same", bound_and_uploaded_weights_are_the_same},
    {"the_link_has_the_published_rates", the_link_has_the_published_rates},
    {"uploads_beside_launches_are_hidden", uploads_beside_launches_are_hidden},
    {"the_directions_are_independent", the_directions_are_independent},
    {"the_hosts_work_counts_where_it_is_asked_for", the_hosts_work_counts_where_it_is_asked_for},
    {"options_that_mean_nothing_are_refused", options_that_mean_nothing_are_refused},
    {"a_model_takes_the_time_of_the_simulation", a_model_takes_the_time_of_the_simulation},
    {"absent_experts_take_the_cpus_time", absent_experts_take_the_cpus_time},
    {NULL, NULL},
};
const struct sl_suite suite_virtual_time = {"virtual_time", cases};
