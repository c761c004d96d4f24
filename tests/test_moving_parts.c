/* SPDX-License-Identifier: Apache-2.0 */
/* What moves experts, piece by piece: the thread that waits for a launch, an upload among others,
 * the judgement on guesses. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "accel/upload.h"
#include "base/clock.h"
#include "base/err.h"
#include "fabric/joblist.h"
#include "fabric/launcher.h"
#include "fabric/moe.h"
#include "store/slab.h"
#include "test_main.h"

/* ---- launcher ------------------------------------------------------------------------------- */

enum { SLOW_MS = 60, CTL_BEATS = 16 };

/* The core in C, slower. */
static int slow_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job,
                       unsigned deadline_ms)
{
    struct sl_device *csim = NULL;
    poll(NULL, 0, SLOW_MS);
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&csim, "csim"), 0);
    const int err = csim->ops->launch(dev, job_off, n_job, deadline_ms);
    sl_device_close(&csim);
    return err;
}

static struct sl_device *open_slow(struct sl_device_ops *ops)
{
    struct sl_device *dev = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, "csim"), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, CTL_BEATS, 1), 0);
    *ops = *dev->ops;
    ops->launch = slow_launch;
    dev->ops = ops;
    return dev;
}

/* A QUERY at beat 0, its record behind it, its answer at beat 2. */
static void put_query(struct sl_device *dev, uint32_t cookie)
{
    const struct sl_job job = {.op = SL_OP_QUERY, .cookie = cookie, .n_tokens = 1, .y_off = 2};
    CU_ASSERT_EQUAL(sl_device_write(dev, SL_ARENA_CTL, 0, &job, 1), 0);
}

static uint32_t answered(struct sl_device *dev)
{
    struct sl_record record;
    CU_ASSERT_EQUAL(sl_device_read(dev, SL_ARENA_CTL, 1, &record, 1), 0);
    return record.cookie;
}

static void a_launch_is_waited_for_by_its_thread(void)
{
    struct sl_device_ops ops;
    struct sl_device *dev = open_slow(&ops);
    struct sl_launcher *l = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_launcher_open(&l), 0);
    CU_ASSERT(sl_launcher_poll(l, 0)); /* nothing runs */
    for (uint32_t i = 1; i <= 3; i++) {
        uint64_t begin, end;
        put_query(dev, i);
        const uint64_t before = sl_now_ns();
        sl_launcher_start(l, dev, 0, 1, 10000);
        CU_ASSERT(sl_now_ns() - before < SLOW_MS * UINT64_C(1000000));
        CU_ASSERT_FALSE(sl_launcher_poll(l, 0));
        CU_ASSERT_FALSE(sl_launcher_poll(l, 500));
        if (i == 2) {
            CU_ASSERT(sl_launcher_poll(l, 10000000));
            CU_ASSERT(sl_launcher_poll(l, 0));
        }
        CU_ASSERT_EQUAL(sl_launcher_finish(l, &begin, &end), 0);
        CU_ASSERT(before <= begin && end <= sl_now_ns());
        CU_ASSERT(end - begin >= SLOW_MS * UINT64_C(1000000));
        CU_ASSERT_EQUAL(answered(dev), i);
    }
    sl_launcher_close(&l);
    CU_ASSERT_PTR_NULL(l);
    sl_launcher_close(&l);
    sl_device_close(&dev);
}

static void why_a_launch_failed_is_told_to_its_owner(void)
{
    struct sl_device_ops ops;
    struct sl_device *dev = open_slow(&ops);
    struct sl_launcher *l = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_launcher_open(&l), 0);
    sl_launcher_start(l, dev, CTL_BEATS - 1, 1, 10000);
    sl_fail(SL_ERR_IO, "another hint", "something else of this thread");
    CU_ASSERT(sl_launcher_poll(l, 10000000));
    CU_ASSERT_STRING_EQUAL(sl_error_message(), "something else of this thread");
    CU_ASSERT_EQUAL(sl_launcher_finish(l, NULL, NULL), SL_ERR_RANGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "leaves arena -1"));
    CU_ASSERT_STRING_EQUAL(sl_error_hint(), "");
    /* It is forgotten with the next one. */
    put_query(dev, 9);
    sl_launcher_start(l, dev, 0, 1, 10000);
    CU_ASSERT_EQUAL(sl_launcher_finish(l, NULL, NULL), 0);
    CU_ASSERT_EQUAL(answered(dev), 9);
    sl_launcher_close(&l);
    sl_device_close(&dev);
}

static void closing_waits_for_a_launch_that_runs(void)
{
    struct sl_device_ops ops;
    struct sl_device *dev = open_slow(&ops);
    struct sl_launcher *l = NULL;
    CU_ASSERT_EQUAL_FATAL(sl_launcher_open(&l), 0);
    put_query(dev, 5);
    sl_launcher_start(l, dev, 0, 1, 10000);
    sl_launcher_close(&l);
    CU_ASSERT_EQUAL(answered(dev), 5);
    sl_device_close(&dev);
}

/* ---- uploads -------------------------------------------------------------------------------- */

/* As a card's process does it: what was begun may fail later, and whoever waits is told. */
static unsigned n_begun, failing;
static int late_error;

static int begin_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                       uint32_t n_beats)
{
    if (++n_begun == failing)
        late_error = SL_ERR_DEVICE;
    return dev->ops->write(dev, arena, off, src, n_beats);
}

static int end_write(struct sl_device *dev)
{
    const int err = late_error;
    (void)dev;
    late_error = 0;
    return err ? sl_fail((enum sl_err)err, NULL, "the card did not take it") : 0;
}

enum { SLAB_K = 256, SLAB_ROWS = 64 };

static struct sl_slab *new_slab(void)
{
    struct sl_slab shape = {.magic = SL_SLAB_MAGIC,
                            .kind = SL_KIND_EXPERT,
                            .format = SL_FORMAT_Q8,
                            .k = SLAB_K,
                            .rows = SLAB_ROWS};
    struct sl_slab *slab =
        sl_alloc_aligned(SL_BEAT_BYTES, (sl_slab_beats(&shape) + SL_SLACK_BEATS) * SL_BEAT_BYTES);
    CU_ASSERT_PTR_NOT_NULL_FATAL(slab);
    memset(slab, 0x5a, sl_slab_beats(&shape) * SL_BEAT_BYTES);
    *slab = shape;
    return slab;
}

/* Two at a time: piece 1 is the first one's, 2 the second's, and so on. Whichever fails, the one
 * that it belongs to must not be taken for arrived. */
static void a_failure_is_told_whoever_asks_first(void)
{
    struct sl_slab *slab = new_slab();
    for (failing = 0; failing <= 4; failing++) {
        struct sl_device *dev = NULL;
        struct sl_upload a, b;
        CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, "csim:4"), 0);
        const uint32_t n = (uint32_t)sl_slab_port_beats(slab, dev->n_port);
        CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, CTL_BEATS, 2 * n + SL_SLACK_BEATS), 0);
        struct sl_device_ops ops = *dev->ops;
        ops.write_begin = begin_write;
        ops.write_end = end_write;
        dev->ops = &ops;
        CU_ASSERT_EQUAL(sl_upload_open(&a, dev, slab), 0);
        CU_ASSERT_EQUAL(sl_upload_open(&b, dev, slab), 0);
        n_begun = 0;
        sl_upload_begin(&a, slab, 0);
        sl_upload_begin(&b, slab, n);
        for (int i = 0; i < 2; i++) {
            CU_ASSERT(sl_upload_push(&a, 1));
            CU_ASSERT(sl_upload_push(&b, 1));
        }
        const int first = sl_upload_end(&b), second = sl_upload_end(&a);
        CU_ASSERT_EQUAL(first, failing ? SL_ERR_DEVICE : 0);
        CU_ASSERT_EQUAL(second, failing ? SL_ERR_DEVICE : 0);
        /* What is sent later is none the worse for it. */
        sl_upload_begin(&a, slab, 0);
        CU_ASSERT_EQUAL(sl_upload_end(&a), 0);
        /* Nor is it, when one was given up. */
        sl_upload_begin(&a, slab, 0);
        sl_upload_push(&a, 1);
        sl_upload_drop(&a);
        CU_ASSERT_PTR_NULL(a.slab);
        CU_ASSERT_FALSE(sl_upload_push(&a, 1));
        sl_upload_close(&a);
        sl_upload_close(&b);
        sl_device_close(&dev);
    }
    free(slab);
}

/* ---- guesses -------------------------------------------------------------------------------- */

enum { N_EXPERT = 16, USED = 2 };

struct judged {
    struct sl_config config;
    struct sl_fabric fabric;
    struct sl_moe_work work;
    struct sl_route route;
    struct sl_moe_pass pass;
};

static void judge_open(struct judged *j, double work_s, double read_s)
{
    *j = (struct judged){.config = {.n_layer = 4, .n_expert = N_EXPERT, .n_expert_used = USED}};
    j->fabric.config = &j->config;
    j->work.route = &j->route;
    j->pass = (struct sl_moe_pass){.f = &j->fabric, .work = &j->work, .layer = 2, .n_tok = 1};
    CU_ASSERT_EQUAL_FATAL(sl_predict_open(&j->fabric.predictor, N_EXPERT), 0);
    j->fabric.predictor.work_s[SL_PREDICT_DECODE] = work_s;
    j->fabric.predictor.read_s = read_s;
}

/* n times the layer chooses experts 3 and 5; `right` of two guesses are. */
static const struct sl_prediction *judge(struct judged *j, unsigned n, unsigned right)
{
    struct sl_predictor *p = &j->fabric.predictor;
    j->route.expert[0] = 3;
    j->route.expert[1] = 5;
    for (unsigned i = 0; i < n; i++) {
        memset(p->guess, 0, N_EXPERT * sizeof *p->guess);
        p->guess[right > 0 ? 3 : 7] = p->guess[right > 1 ? 5 : 8] = true;
        p->layer = j->pass.layer;
        sl_predict_score(&j->pass);
        CU_ASSERT_EQUAL(p->layer, UINT32_MAX);
    }
    return &p->kind[SL_PREDICT_DECODE];
}

static void guesses_are_counted_and_used_while_they_pay(void)
{
    struct judged j;
    judge_open(&j, 1e-3, 1e-3); /* a read is hidden whole: half of them have to be right */
    const struct sl_prediction *sum = judge(&j, 31, 2);
    CU_ASSERT(sum->guesses == 62 && sum->right == 62 && sum->chosen == 62);
    CU_ASSERT_FALSE(sum->on); /* too few to know */
    judge(&j, 1, 2);
    CU_ASSERT(sum->on && sum->switched == 1);
    /* All wrong from now on: the share fades to a half and below. */
    judge(&j, 32, 0);
    CU_ASSERT(sum->guesses == 128 && sum->right == 64 && sum->chosen == 128);
    CU_ASSERT(sum->on); /* a half is not yet below it by the margin */
    judge(&j, 20, 0);
    CU_ASSERT_FALSE(sum->on);
    CU_ASSERT_EQUAL(sum->switched, 2);
    /* It goes on comparing, and comes back. */
    judge(&j, 200, 2);
    CU_ASSERT(sum->on && sum->switched == 3);
    /* A share near the edge does not make it switch to and fro. */
    judge(&j, 1000, 1);
    CU_ASSERT(sum->on && sum->switched == 3);
    CU_ASSERT_EQUAL(j.fabric.predictor.kind[SL_PREDICT_PREFILL].guesses, 0);
    sl_predict_close(&j.fabric.predictor);
}

static void a_slow_disk_asks_for_better_guesses(void)
{
    static const struct {
        double work_s, read_s;
        unsigned right;
        bool on;
    } cases[] = {
        {1e-3, 1e-3, 1, false}, /* 1/2: no gain */
        {1e-3, 1e-3, 2, true},
        {1e-4, 1e-3, 1, false}, /* a tenth of a read is hidden: 10/11 have to be right */
        {1e-4, 1e-3, 2, true},
        {0, 1e-3, 2, false}, /* nothing to hide it behind */
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct judged j;
        judge_open(&j, cases[i].work_s, cases[i].read_s);
        CU_ASSERT_EQUAL(judge(&j, 100, cases[i].right)->on, cases[i].on);
        sl_predict_close(&j.fabric.predictor);
    }
}

static void a_guess_about_another_layer_is_not_judged(void)
{
    struct judged j;
    judge_open(&j, 1e-3, 1e-3);
    struct sl_predictor *p = &j.fabric.predictor;
    p->guess[3] = true;
    p->layer = 1;
    sl_predict_score(&j.pass);
    CU_ASSERT_EQUAL(p->kind[SL_PREDICT_DECODE].guesses, 0);
    /* Where the CPU has looked ahead, its choice counts: the card's is not known yet. */
    struct sl_route early = {.expert = {3, 4}};
    j.work.early = &early;
    j.pass.looked_ahead = true;
    j.route.expert[0] = j.route.expert[1] = 9;
    p->layer = 2;
    sl_predict_score(&j.pass);
    CU_ASSERT(p->kind[SL_PREDICT_DECODE].guesses == 1 && p->kind[SL_PREDICT_DECODE].right == 1);
    sl_predict_close(&j.fabric.predictor);
}

/* ---- a list's inputs ------------------------------------------------------------------------- */

static uint64_t bytes_up(struct sl_joblist *list)
{
    struct sl_device_counters before = {0}, after = {0};
    uint32_t y;
    CU_ASSERT_EQUAL(sl_device_counters(list->dev, &before), 0);
    sl_joblist_outputs(list);
    CU_ASSERT_EQUAL(sl_joblist_alloc(list, 1, &y), 0);
    struct sl_job *job = sl_joblist_add(list);
    CU_ASSERT_PTR_NOT_NULL_FATAL(job);
    job->op = SL_OP_QUERY;
    job->n_tokens = 1;
    job->y_off = y;
    CU_ASSERT_EQUAL(sl_joblist_launch(list), 0);
    CU_ASSERT_EQUAL(sl_device_counters(list->dev, &after), 0);
    return after.time.up_bytes - before.time.up_bytes;
}

/* 100 beats of x, a job and its empty record; then the last two alone, until x is new. */
static void inputs_that_a_device_holds_are_not_sent_again(void)
{
    enum { X = 100, ARENA = 1024, JOB_AND_RECORD = 2 * SL_BEAT_BYTES };
    struct sl_device *dev = NULL;
    struct sl_joblist list;
    uint32_t x;
    CU_ASSERT_EQUAL_FATAL(sl_device_open(&dev, "model"), 0);
    CU_ASSERT_EQUAL_FATAL(sl_device_alloc(dev, ARENA, 8), 0);
    CU_ASSERT_EQUAL_FATAL(sl_joblist_open(&list, dev, 0, 4), 0);
    CU_ASSERT_EQUAL(sl_joblist_alloc(&list, X, &x), 0);
    CU_ASSERT_EQUAL(bytes_up(&list), X * SL_BEAT_BYTES + JOB_AND_RECORD);
    sl_joblist_rewind(&list, x + X);
    CU_ASSERT_EQUAL(bytes_up(&list), JOB_AND_RECORD);
    sl_joblist_rewind(&list, x + X / 2);
    CU_ASSERT_EQUAL(sl_joblist_alloc(&list, X / 2, &x), 0);
    CU_ASSERT_EQUAL(bytes_up(&list), X / 2 * SL_BEAT_BYTES + JOB_AND_RECORD);
    sl_joblist_begin(&list);
    CU_ASSERT_EQUAL(sl_joblist_alloc(&list, X, &x), 0);
    CU_ASSERT_EQUAL(bytes_up(&list), X * SL_BEAT_BYTES + JOB_AND_RECORD);
    sl_joblist_close(&list);
    sl_device_close(&dev);
}

static const struct sl_case cases[] = {
    {"inputs_that_a_device_holds_are_not_sent_again",
     inputs_that_a_device_holds_are_not_sent_again},
    {"a_launch_is_waited_for_by_its_thread", a_launch_is_waited_for_by_its_thread},
    {"why_a_launch_failed_is_told_to_its_owner", why_a_launch_failed_is_told_to_its_owner},
    {"closing_waits_for_a_launch_that_runs", closing_waits_for_a_launch_that_runs},
    {"a_failure_is_told_whoever_asks_first", a_failure_is_told_whoever_asks_first},
    {"guesses_are_counted_and_used_while_they_pay", guesses_are_counted_and_used_while_they_pay},
    {"a_slow_disk_asks_for_better_guesses", a_slow_disk_asks_for_better_guesses},
    {"a_guess_about_another_layer_is_not_judged", a_guess_about_another_layer_is_not_judged},
    {NULL, NULL},
};
const struct sl_suite suite_moving_parts = {"moving_parts", cases};
