/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: sums against what was put in, traces as any reader of the format sees them. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/profile.h"
#include "golden_read.h"
#include "sluice.h"
#include "test_main.h"

/* ---- reading a trace ------------------------------------------------------------------------ */

enum { MAX_TRACK = 64, MAX_DEPTH = 32, MAX_COUNTER = 8 };

/* Complete events of one (process, thread), which must be nested. */
struct track {
    int pid, tid;
    bool named;
    double begin; /* of the last event */
    double open[MAX_DEPTH];
    int depth;
};

struct trace {
    json_t *root, *events;
    struct track track[MAX_TRACK];
    size_t n_track;
    const char *process[8]; /* name of each pid */
    bool good;
};

static json_int_t whole(json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static const char *text(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static struct track *track_of(struct trace *t, json_t *event)
{
    int pid = (int)whole(event, "pid"), tid = (int)whole(event, "tid");
    for (size_t i = 0; i < t->n_track; i++)
        if (t->track[i].pid == pid && t->track[i].tid == tid)
            return &t->track[i];
    CU_ASSERT_FATAL(t->n_track < MAX_TRACK);
    t->track[t->n_track] = (struct track){.pid = pid, .tid = tid, .begin = -1};
    return &t->track[t->n_track++];
}

static double microseconds(json_t *event, const char *key)
{
    json_t *v = json_object_get(event, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void read_name(struct trace *t, json_t *event)
{
    const char *name = text(json_object_get(event, "args"), "name");
    int pid = (int)whole(event, "pid");
    if (!strcmp(text(event, "name"), "process_name")) {
        t->good = t->good && pid > 0 && pid < 8 && *name;
        t->process[pid & 7] = name;
    } else if (!strcmp(text(event, "name"), "thread_name")) {
        t->good = t->good && *name;
        track_of(t, event)->named = true;
    }
}

/* Begins in order, and ends before what it is inside of. */
static void read_complete(struct trace *t, json_t *event)
{
    struct track *track = track_of(t, event);
    double begin = microseconds(event, "ts"), dur = microseconds(event, "dur"), end = begin + dur;
    const double slack = 1e-4; /* of a sum of decimals */
    while (track->depth && track->open[track->depth - 1] <= begin + slack)
        track->depth--;
    bool inside = !track->depth || end <= track->open[track->depth - 1] + slack;
    t->good = t->good && begin >= track->begin && dur >= 0 && inside && track->named &&
              *text(event, "name") && track->depth < MAX_DEPTH;
    track->begin = begin;
    if (track->depth < MAX_DEPTH)
        track->open[track->depth++] = end;
}

static void read_counter(struct trace *t, json_t *event)
{
    const char *key;
    json_t *v, *args = json_object_get(event, "args");
    t->good = t->good && json_object_size(args) > 0 && microseconds(event, "ts") >= 0;
    json_object_foreach(args, key, v) t->good = t->good && json_is_number(v);
}

static void read_event(struct trace *t, json_t *event)
{
    const char *phase = text(event, "ph");
    bool good = t->good;
    t->good = t->good && *text(event, "name") && whole(event, "pid") > 0;
    if (!strcmp(phase, "M"))
        read_name(t, event);
    else if (!strcmp(phase, "X"))
        read_complete(t, event);
    else if (!strcmp(phase, "C"))
        read_counter(t, event);
    else
        t->good = t->good && !strcmp(phase, "i") && microseconds(event, "ts") >= 0 &&
                  !strcmp(text(event, "s"), "t") && track_of(t, event)->named;
    if (good && !t->good)
        printf("\n  %s\n", json_dumps(event, 0));
}

static struct trace read_trace(const char *path)
{
    json_error_t why;
    struct trace t = {.good = true};
    t.root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    if (!t.root)
        printf("\n  %s:%d: %s\n", path, why.line, why.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.root);
    t.events = json_object_get(t.root, "traceEvents");
    CU_ASSERT_FATAL(json_is_array(t.events));
    size_t i;
    json_t *event;
    json_array_foreach(t.events, i, event) read_event(&t, event);
    CU_ASSERT(t.good);
    return t;
}

/* Sum of an argument over the core's jobs called `op` (NULL: all). */
static uint64_t sum_of(const struct trace *t, const char *op, const char *key)
{
    uint64_t sum = 0;
    size_t i;
    json_t *event;
    json_array_foreach(t->events, i, event)
    {
        const char *name = text(event, "name");
        bool job = whole(event, "pid") == 2 && strcmp(text(event, "ph"), "C") &&
                   strcmp(name, "launch") && (!op || !strcmp(name, op));
        if (job)
            sum += (uint64_t)whole(json_object_get(event, "args"), key);
    }
    return sum;
}

static size_t count_of(const struct trace *t, int pid, const char *phase, const char *name)
{
    size_t i, n = 0;
    json_t *event;
    json_array_foreach(t->events, i, event) n += whole(event, "pid") == pid &&
                                                 !strcmp(text(event, "ph"), phase) &&
                                                 (!name || !strcmp(text(event, "name"), name));
    return n;
}

/* ---- putting something in ------------------------------------------------------------------- */

static void temp_path(char out[320])
{
    char dir[256];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out, 320, "%s/trace.json", dir);
}

static unsigned files_beside(const char *path)
{
    char dir[320];
    unsigned n = 0;
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = 0;
    DIR *d = opendir(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static struct sl_profile *open_profile(const char *path, size_t max_events)
{
    struct sl_profile *p = NULL;
    struct sl_profile_params params = {.path = path, .max_events = max_events};
    CU_ASSERT_EQUAL_FATAL(sl_profile_open(&p, &params), 0);
    return p;
}

static const char expert[] = "EXPERT", kv[] = "KV_PACK", nf4[] = "nf4", int8[] = "int8";

/* A device with a clock of 200 MHz: a cycle has 5 ns. */
static void set_timed(struct sl_profile *p)
{
    struct sl_profile_device d = {
        .name = "te\"st\\", .memory = "ideal", .n_port = 2, .n_column = 4, .clock_hz = 200e6};
    d.ceiling = 100;
    sl_profile_set_device(p, &d);
}

/* Launch i: two experts and a packer, and 50 cycles of its own. */
static void add_launch(struct sl_profile *p, uint32_t i, bool timed)
{
    uint32_t c = timed ? 1 : 0;
    struct sl_profile_job job = {.op = expert,
                                 .format = nf4,
                                 .cycles = c * (1000 + i),
                                 .macs = 700 * 1024,
                                 .beats = 1000,
                                 .stall_read = c * 30,
                                 .stall_ctl = c * 20,
                                 .stall_core = c * 10,
                                 .saturations = 3,
                                 .clamps = 4,
                                 .slots = 1024,
                                 .n_tok = 1,
                                 .expert = (int32_t)i};
    sl_profile_add_job(p, &job);
    job.expert = -1;
    sl_profile_add_job(p, &job);
    struct sl_profile_job pack = {
        .op = kv, .format = int8, .cycles = c * 300, .slots = 512, .n_tok = 1, .expert = -1};
    sl_profile_add_job(p, &pack);
    uint64_t now = sl_now_ns();
    struct sl_profile_launch launch = {now, now + 1000, c * (2 * (1000 + i) + 300 + 50)};
    sl_profile_add_launch(p, &launch);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void sums_are_those_of_the_records(void)
{
    struct sl_profile *p = open_profile(NULL, 0);
    struct sl_profile_op op[4];
    struct sl_profile_device d;
    set_timed(p);
    uint64_t cycles = 0;
    for (uint32_t i = 0; i < 10; i++) {
        add_launch(p, i, true);
        cycles += 2 * (1000 + i);
    }
    CU_ASSERT_EQUAL_FATAL(sl_profile_get_ops(p, op, 4), 2);
    CU_ASSERT_STRING_EQUAL(op[0].op, "EXPERT");
    CU_ASSERT_STRING_EQUAL(op[0].format, "nf4");
    CU_ASSERT_EQUAL(op[0].jobs, 20);
    CU_ASSERT_EQUAL(op[0].launches, 10);
    CU_ASSERT_EQUAL(op[0].cycles, cycles);
    CU_ASSERT_EQUAL(op[0].macs, 20 * 700 * 1024);
    CU_ASSERT_EQUAL(op[0].bytes, 20 * 1000 * 64);
    CU_ASSERT_EQUAL(op[0].stall_read, 600);
    CU_ASSERT_EQUAL(op[0].stall_ctl, 400);
    CU_ASSERT_EQUAL(op[0].stall_core, 200);
    CU_ASSERT_EQUAL(op[0].saturations, 60);
    CU_ASSERT_EQUAL(op[0].clamps, 80);
    CU_ASSERT_DOUBLE_EQUAL(op[0].memory_share, 20 * 64000.0 / ((double)cycles * 100), 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(op[0].slot_share, 20 * 700.0 / (double)cycles, 1e-12);
    CU_ASSERT_EQUAL(op[1].cycles, 3000);
    CU_ASSERT_EQUAL(op[1].bytes, 0);
    sl_profile_get_device(p, &d);
    CU_ASSERT_EQUAL(d.launches, 10);
    CU_ASSERT_EQUAL(d.job_cycles, cycles + 3000);
    CU_ASSERT_EQUAL(d.cycles, cycles + 3000 + 500);
    CU_ASSERT_EQUAL(d.dropped_launches + d.dropped_spans, 0);
    CU_ASSERT_EQUAL(sl_profile_get_ops(p, NULL, 0), 2);
    sl_profile_close(&p);
    CU_ASSERT_PTR_NULL(p);
}

/* A job of 1000 cycles on 2 ports with 100 bytes a cycle and 1024 slots. */
static const char *bound_by(uint32_t beats, uint64_t macs, uint32_t read, uint32_t ctl,
                            uint32_t core)
{
    struct sl_profile *p = open_profile(NULL, 16);
    struct sl_profile_op op;
    struct sl_profile_job job = {.op = expert,
                                 .format = nf4,
                                 .cycles = 1000,
                                 .macs = macs,
                                 .beats = beats,
                                 .stall_read = read,
                                 .stall_ctl = ctl,
                                 .stall_core = core,
                                 .slots = 1024};
    set_timed(p);
    sl_profile_add_job(p, &job);
    CU_ASSERT_EQUAL(sl_profile_get_ops(p, &op, 1), 1);
    sl_profile_close(&p);
    return op.bound;
}

static void what_bound_a_job_is_its_largest_use_or_stall(void)
{
    CU_ASSERT_STRING_EQUAL(bound_by(1500, 600 * 1024, 100, 0, 0), "memory");
    CU_ASSERT_STRING_EQUAL(bound_by(100, 200 * 1024, 700, 50, 10), "memory");
    CU_ASSERT_STRING_EQUAL(bound_by(500, 900 * 1024, 20, 0, 50), "array");
    CU_ASSERT_STRING_EQUAL(bound_by(500, 300 * 1024, 20, 0, 600), "array");
    CU_ASSERT_STRING_EQUAL(bound_by(100, 100 * 1024, 100, 600, 0), "control port");
    CU_ASSERT_STRING_EQUAL(bound_by(100, 100 * 1024, 100, 100, 100), "latency");
    CU_ASSERT_STRING_EQUAL(bound_by(0, 0, 0, 0, 0), "latency");
}

static void a_trace_holds_every_record(void)
{
    char path[320];
    temp_path(path);
    struct sl_profile *p = open_profile(path, 0);
    struct sl_profile_op op[4];
    struct sl_span outer, inner;
    set_timed(p);
    sl_span_begin(p, &outer, SL_SPAN_DECODE, 5);
    for (uint32_t i = 0; i < 7; i++) {
        sl_span_begin(p, &inner, SL_SPAN_LAUNCH, i);
        add_launch(p, i, true);
        sl_span_end(p, &inner);
    }
    sl_span_end(p, &outer);
    CU_ASSERT_EQUAL(access(path, F_OK), -1);
    CU_ASSERT_EQUAL(sl_profile_write(p), 0);
    CU_ASSERT_EQUAL(files_beside(path), 1);
    struct trace t = read_trace(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t.process[1] && t.process[2] ? t.process[1] : NULL);
    CU_ASSERT_PTR_NOT_NULL(strstr(t.process[1], "wall time"));
    CU_ASSERT_PTR_NOT_NULL(strstr(t.process[2], "simulated time"));
    CU_ASSERT_PTR_NOT_NULL(strstr(t.process[2], "te\"st\\"));
    CU_ASSERT_EQUAL(count_of(&t, 2, "X", "EXPERT"), 14);
    CU_ASSERT_EQUAL(count_of(&t, 2, "X", "launch"), 7);
    CU_ASSERT_EQUAL(count_of(&t, 1, "X", "launch"), 7);
    CU_ASSERT_EQUAL(count_of(&t, 1, "X", "decode"), 1);
    CU_ASSERT(count_of(&t, 2, "C", NULL) >= 7 * 3);
    CU_ASSERT_EQUAL_FATAL(sl_profile_get_ops(p, op, 4), 2);
    CU_ASSERT_STRING_EQUAL(op[0].phase, "decode");
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "cycles"), op[i].cycles);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "macs"), op[i].macs);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "weight_bytes"), op[i].bytes);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "stall_read"), op[i].stall_read);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "stall_ctl"), op[i].stall_ctl);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "stall_core"), op[i].stall_core);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "saturations"), op[i].saturations);
        CU_ASSERT_EQUAL(sum_of(&t, op[i].op, "clamps"), op[i].clamps);
    }
    CU_ASSERT_EQUAL(sum_of(&t, "EXPERT", "expert"), 0 + 1 + 2 + 3 + 4 + 5 + 6);
    json_decref(t.root);
    sl_profile_close(&p);
    CU_ASSERT_EQUAL(files_beside(path), 1);
}

/* Slices of the core stand where their cycles say: 5 ns each. */
static void simulated_time_is_cycles_at_the_nominal_clock(void)
{
    char path[320];
    temp_path(path);
    struct sl_profile *p = open_profile(path, 0);
    set_timed(p);
    add_launch(p, 0, true);
    add_launch(p, 1, true);
    CU_ASSERT_EQUAL(sl_profile_write(p), 0);
    struct trace t = read_trace(path);
    static const double want[][2] = {{0, 2350},    {0, 1000},    {1000, 1000}, {2000, 300},
                                     {2350, 2352}, {2350, 1001}, {3351, 1001}, {4352, 300}};
    size_t i, n = 0;
    json_t *event;
    json_array_foreach(t.events, i, event)
    {
        if (whole(event, "pid") != 2 || strcmp(text(event, "ph"), "X"))
            continue;
        CU_ASSERT_FATAL(n < 8);
        CU_ASSERT_DOUBLE_EQUAL(microseconds(event, "ts"), want[n][0] * 0.005, 1e-9);
        CU_ASSERT_DOUBLE_EQUAL(microseconds(event, "dur"), want[n][1] * 0.005, 1e-9);
        n++;
    }
    CU_ASSERT_EQUAL(n, 8);
    json_decref(t.root);
    sl_profile_close(&p);
}

static void without_a_clock_no_time_is_invented(void)
{
    char path[320];
    temp_path(path);
    struct sl_profile *p = open_profile(path, 0);
    struct sl_profile_op op[2];
    struct sl_profile_device d = {.name = "csim", .n_port = 1, .n_column = 1};
    sl_profile_set_device(p, &d);
    add_launch(p, 0, false);
    CU_ASSERT_EQUAL(sl_profile_write(p), 0);
    struct trace t = read_trace(path);
    CU_ASSERT_PTR_NOT_NULL(strstr(t.process[2], "no cycles"));
    CU_ASSERT_EQUAL(count_of(&t, 2, "X", NULL) + count_of(&t, 2, "C", NULL), 0);
    CU_ASSERT_EQUAL(count_of(&t, 2, "i", NULL), 3);
    CU_ASSERT_EQUAL(sum_of(&t, NULL, "macs"), 2 * 700 * 1024);
    CU_ASSERT_EQUAL_FATAL(sl_profile_get_ops(p, op, 2), 2);
    CU_ASSERT(isnan(op[0].memory_share) && isnan(op[0].slot_share));
    CU_ASSERT_STRING_EQUAL(op[0].bound, "-");
    json_decref(t.root);
    sl_profile_close(&p);
}

static struct sl_profile_work work_of(const struct sl_profile *p, const char *name)
{
    struct sl_profile_work work[32];
    size_t n = sl_profile_get_work(p, work, 32);
    for (size_t i = 0; i < n && i < 32; i++)
        if (!strcmp(work[i].name, name))
            return work[i];
    return (struct sl_profile_work){0};
}

static void time_inside_of_a_span_is_not_counted_twice(void)
{
    struct sl_profile *p = open_profile(NULL, 0);
    struct sl_span outer, inner;
    sl_span_begin(p, &outer, SL_SPAN_LAYER, 0);
    for (int i = 0; i < 3; i++) {
        sl_span_begin(p, &inner, SL_SPAN_NORM, 0);
        usleep(2000);
        sl_span_end(p, &inner);
    }
    sl_span_end(p, &outer);
    struct sl_profile_work layer = work_of(p, "layer"), norm = work_of(p, "norm");
    CU_ASSERT_EQUAL(layer.calls, 1);
    CU_ASSERT_EQUAL(norm.calls, 3);
    CU_ASSERT(norm.total_s >= 0.006 && norm.self_s == norm.total_s);
    CU_ASSERT_DOUBLE_EQUAL(layer.self_s + norm.total_s, layer.total_s, 1e-9);
    CU_ASSERT_EQUAL(sl_profile_current(p), SL_N_SPAN);
    sl_profile_close(&p);
}

static void nothing(void *user, size_t i, unsigned thread)
{
    (void)user, (void)i, (void)thread;
    usleep(300);
}

static void *other_thread(void *user)
{
    struct sl_span outer, inner;
    sl_span_begin(user, &outer, SL_SPAN_DECODE, 0);
    sl_span_begin(user, &inner, SL_SPAN_ATTENTION, 0);
    sl_span_end(user, &inner);
    sl_span_end(user, &outer);
    return NULL;
}

static void every_thread_has_a_track(void)
{
    char path[320];
    temp_path(path);
    struct sl_profile *p = open_profile(path, 0);
    struct sl_pool *pool = NULL;
    struct sl_span span;
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(sl_pool_open(&pool, 3), 0);
    sl_pool_set_profile(pool, p);
    sl_span_begin(p, &span, SL_SPAN_ATTENTION, 9);
    for (int i = 0; i < 20; i++)
        sl_pool_run(pool, nothing, NULL, 12);
    sl_span_end(p, &span);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, other_thread, p), 0);
    pthread_join(thread, NULL);
    sl_pool_close(&pool);
    CU_ASSERT_EQUAL(work_of(p, "attention").calls, 2); /* workers are not counted */
    CU_ASSERT_EQUAL(sl_profile_write(p), 0);
    struct trace t = read_trace(path);
    CU_ASSERT_EQUAL(t.n_track, 4);
    CU_ASSERT_EQUAL(count_of(&t, 1, "X", "decode"), 1);
    CU_ASSERT(count_of(&t, 1, "X", "attention") > 2);
    json_decref(t.root);
    sl_profile_close(&p);
}

static void a_full_recorder_counts_what_it_drops(void)
{
    char path[320];
    temp_path(path);
    struct sl_profile *p = open_profile(path, 7);
    struct sl_profile_device d;
    struct sl_profile_op op[2];
    struct sl_span span;
    set_timed(p);
    for (uint32_t i = 0; i < 10; i++) {
        sl_span_begin(p, &span, SL_SPAN_LAUNCH, i);
        add_launch(p, i, true);
        sl_span_end(p, &span);
    }
    sl_profile_get_device(p, &d);
    CU_ASSERT_EQUAL(d.dropped_spans, 3);
    CU_ASSERT_EQUAL(d.dropped_launches, 8); /* of three jobs each, two fit */
    CU_ASSERT_EQUAL(d.launches, 10);
    CU_ASSERT_EQUAL(work_of(p, "launch").calls, 10);
    CU_ASSERT_EQUAL(sl_profile_get_ops(p, op, 2), 2);
    CU_ASSERT_EQUAL(op[0].jobs, 20);
    CU_ASSERT_EQUAL(sl_profile_write(p), 0);
    struct trace t = read_trace(path);
    CU_ASSERT_EQUAL(count_of(&t, 2, "X", "launch"), 2);
    CU_ASSERT_EQUAL(count_of(&t, 2, "X", NULL), 2 + 6);
    CU_ASSERT_EQUAL(count_of(&t, 1, "X", NULL), 7);
    json_t *other = json_object_get(t.root, "otherData");
    CU_ASSERT_EQUAL(whole(other, "dropped_spans"), 3);
    CU_ASSERT_EQUAL(whole(other, "dropped_launches"), 8);
    json_decref(t.root);
    sl_profile_close(&p);
}

static void a_place_that_cannot_be_written_is_refused_at_once(void)
{
    char path[320];
    struct sl_profile *p = NULL;
    struct sl_profile_params params = {.path = "/nonexistent/trace.json"};
    CU_ASSERT_EQUAL(sl_profile_open(&p, &params), SL_ERR_IO);
    CU_ASSERT_PTR_NULL(p);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "/nonexistent/trace.json"));
    CU_ASSERT(*sl_error_hint());
    params.path = "/dev/null";
    CU_ASSERT_EQUAL(sl_profile_open(&p, &params), SL_ERR_IO);
    CU_ASSERT(*sl_error_hint());
    p = open_profile(NULL, 4);
    CU_ASSERT_EQUAL(sl_profile_write(p), SL_ERR_USAGE);
    sl_profile_close(&p);
    temp_path(path);
    p = open_profile(path, 4);
    CU_ASSERT_EQUAL(files_beside(path), 1);
    sl_profile_close(&p); /* never written */
    CU_ASSERT_EQUAL(files_beside(path), 0);
}

/* ---- whole models --------------------------------------------------------------------------- */

enum { MAX_TOKENS = 24, MAX_VOCAB = 160, N_DECODE = 5 };

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

/* A prefill, then some tokens one by one; last logits. device: NULL for an exact model. */
static void evaluate(const char *dir, const char *device, struct sl_profile *p, float *logits,
                     struct sl_session_stats *stats, struct sl_model_info *info)
{
    char path[400];
    int32_t ids[MAX_TOKENS];
    size_t n = prompt(dir, ids), first = n - N_DECODE;
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    snprintf(path, sizeof path, "%s/%s", sl_golden_dir(), dir);
    struct sl_model_params mp = {
        .path = path, .exact = !device, .n_threads = 2, .profile = p, .device = device};
    struct sl_session_params sp = {.n_ctx = 40};
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &mp), 0);
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &sp), 0);
    CU_ASSERT_EQUAL(sl_session_eval(session, ids, first, false, logits), 0);
    for (size_t i = first; i < n; i++)
        CU_ASSERT_EQUAL(sl_session_eval(session, &ids[i], 1, false, logits), 0);
    sl_session_get_stats(session, stats);
    sl_model_get_info(model, info);
    info->architecture = info->format = info->format_dense = info->device = NULL;
    sl_session_close(&session);
    sl_model_close(&model);
}

static uint64_t jobs_of(const struct sl_profile *p, const char *op, const char *phase)
{
    struct sl_profile_op all[16];
    uint64_t n = 0;
    size_t count = sl_profile_get_ops(p, all, 16);
    for (size_t i = 0; i < count && i < 16; i++)
        n += !strcmp(all[i].op, op) && !strcmp(all[i].phase, phase) ? all[i].jobs : 0;
    return n;
}

static void a_profiled_model_gives_the_same_bits_and_counts(void)
{
    static const char *const dirs[] = {"hunyuan-large-cla2", "yuan2-m32-base"};
    static float plain[MAX_VOCAB], profiled[MAX_VOCAB];
    for (int m = 0; m < 2; m++) {
        char path[320];
        temp_path(path);
        struct sl_profile *p = open_profile(path, 0);
        struct sl_session_stats stats, profiled_stats;
        struct sl_model_info info;
        struct sl_profile_device d;
        evaluate(dirs[m], "csim", NULL, plain, &stats, &info);
        evaluate(dirs[m], "csim", p, profiled, &profiled_stats, &info);
        CU_ASSERT_EQUAL(memcmp(plain, profiled, sizeof plain), 0);
        CU_ASSERT_EQUAL(stats.n_launches, profiled_stats.n_launches);
        sl_profile_get_device(p, &d);
        CU_ASSERT_STRING_EQUAL(d.name, "csim");
        CU_ASSERT(d.launches == stats.n_launches && d.cycles == 0 && d.clock_hz == 0);
        uint64_t per_token = info.n_expert_used + (info.n_shared_expert ? 1 : 0);
        uint64_t steps = (uint64_t)N_DECODE * info.n_layer;
        CU_ASSERT_EQUAL(jobs_of(p, "ROUTER", "decode"), steps);
        CU_ASSERT(jobs_of(p, "EXPERT", "decode") >= steps * per_token &&
                  jobs_of(p, "EXPERT", "decode") <= steps * per_token + stats.n_retries);
        CU_ASSERT_EQUAL(jobs_of(p, "PLAIN", "decode"), 0);
        CU_ASSERT(jobs_of(p, "PLAIN", "prefill") > 0);
        CU_ASSERT_EQUAL(work_of(p, "launch").calls, stats.n_launches);
        CU_ASSERT_EQUAL(work_of(p, "decode").calls, N_DECODE);
        CU_ASSERT_EQUAL(work_of(p, "layer").calls, (N_DECODE + 1) * info.n_layer);
        CU_ASSERT_EQUAL(work_of(p, "attention").calls, (N_DECODE + 1) * info.n_layer);
        CU_ASSERT(work_of(p, "dense on the CPU").calls > 0 && work_of(p, "upload").calls == 1);
        CU_ASSERT_EQUAL(sl_profile_write(p), 0);
        struct trace t = read_trace(path);
        CU_ASSERT_EQUAL(count_of(&t, 1, "X", "decode"), N_DECODE);
        CU_ASSERT_EQUAL(count_of(&t, 2, "i", "ROUTER"), steps + jobs_of(p, "ROUTER", "prefill"));
        json_decref(t.root);
        sl_profile_close(&p);
    }
}

static uint64_t pad32(uint32_t n)
{
    return (n + 31u) / 32 * 32;
}

/* Macs of the decoded experts by the formula of docs/numerics.md 5.6. */
static void macs_are_those_of_the_mathematics(void)
{
    static float logits[MAX_VOCAB];
    struct sl_profile *p = open_profile(NULL, 0);
    struct sl_session_stats stats;
    struct sl_model_info info;
    struct sl_profile_op op[16];
    evaluate("yuan2-m32-base", "csim", p, logits, &stats, &info);
    size_t n = sl_profile_get_ops(p, op, 16), seen = 0;
    for (size_t i = 0; i < n && i < 16; i++)
        if (!strcmp(op[i].op, "EXPERT") && !strcmp(op[i].phase, "decode")) {
            CU_ASSERT_EQUAL(op[i].macs, op[i].jobs * 3 * pad32(info.d_model) * pad32(info.d_ff));
            CU_ASSERT(op[i].bytes > 0 && op[i].bytes % op[i].jobs == 0);
            seen++;
        }
    CU_ASSERT_EQUAL(seen, 1);
    sl_profile_close(&p);
}

/* The smallest simulated core that is built; false: none. */
static bool find_simulation(struct sl_device_desc *out)
{
    struct sl_device_desc all[32];
    size_t n = sl_devices(all, 32);
    for (size_t i = 0; i < n && i < 32; i++)
        if (!strncmp(all[i].name, "sim", 3) && all[i].usable) {
            *out = all[i];
            return true;
        }
    return false;
}

static void compare_sums(const struct sl_profile *sim, const struct sl_profile *csim)
{
    struct sl_profile_op a[16], b[16];
    struct sl_profile_device d;
    uint64_t cycles = 0;
    size_t n = sl_profile_get_ops(sim, a, 16);
    sl_profile_get_device(sim, &d);
    CU_ASSERT_FATAL(n <= 16 && n == sl_profile_get_ops(csim, b, 16));
    for (size_t i = 0; i < n; i++) {
        cycles += a[i].cycles;
        CU_ASSERT(a[i].op == b[i].op && a[i].jobs == b[i].jobs && a[i].launches == b[i].launches);
        CU_ASSERT(a[i].macs == b[i].macs && a[i].bytes == b[i].bytes);
        CU_ASSERT(a[i].saturations == b[i].saturations && a[i].clamps == b[i].clamps);
        CU_ASSERT(a[i].cycles > 0 && *a[i].bound != '-');
        CU_ASSERT(a[i].memory_share >= 0 && a[i].memory_share < 1.05);
        CU_ASSERT((a[i].slot_share > 0) == (a[i].macs > 0) && a[i].slot_share <= 1);
        /* stall_ctl may have begun while the job ahead was still at work. */
        CU_ASSERT(a[i].stall_read + a[i].stall_core <= a[i].cycles);
    }
    CU_ASSERT_EQUAL(cycles, d.job_cycles);
    CU_ASSERT(d.cycles >= d.job_cycles && d.clock_hz > 0 && d.ceiling > 0 && *d.memory);
}

/* Where one is built: cycles that add up, beside the counts of csim. */
static void a_simulated_core_reports_its_cycles(void)
{
    static float want[MAX_VOCAB], got[MAX_VOCAB];
    char path[320];
    struct sl_device_desc built;
    struct sl_session_stats stats;
    struct sl_model_info info;
    temp_path(path);
    if (!find_simulation(&built)) {
        printf("\nSKIPPED profile of a simulated core: none is built (make sim DPI=1)\n");
        CU_PASS("no simulation");
        return;
    }
    struct sl_profile *sim = open_profile(path, 0), *csim = open_profile(NULL, 0);
    evaluate("hunyuan-large-cla2", "csim", csim, want, &stats, &info);
    evaluate("hunyuan-large-cla2", built.name, sim, got, &stats, &info);
    CU_ASSERT_EQUAL(memcmp(want, got, sizeof want), 0);
    compare_sums(sim, csim);
    CU_ASSERT_EQUAL(sl_profile_write(sim), 0);
    struct trace t = read_trace(path);
    struct sl_profile_device d;
    sl_profile_get_device(sim, &d);
    CU_ASSERT_EQUAL(count_of(&t, 2, "X", "launch"), d.launches);
    CU_ASSERT_EQUAL(sum_of(&t, NULL, "cycles"), d.job_cycles);
    json_decref(t.root);
    sl_profile_close(&sim);
    sl_profile_close(&csim);
}

static void an_exact_model_has_host_work_only(void)
{
    static float logits[MAX_VOCAB];
    char path[320];
    temp_path(path);
    struct sl_profile *p = open_profile(path, 0);
    struct sl_session_stats stats;
    struct sl_model_info info;
    struct sl_profile_device d;
    evaluate("yuan2-m32-base", NULL, p, logits, &stats, &info);
    sl_profile_get_device(p, &d);
    CU_ASSERT(d.launches == 0 && !d.name[0]);
    CU_ASSERT_EQUAL(sl_profile_get_ops(p, NULL, 0), 0);
    CU_ASSERT_EQUAL(work_of(p, "moe").calls, (N_DECODE + 1) * info.n_layer);
    CU_ASSERT(work_of(p, "localized filter").calls > 0);
    CU_ASSERT_EQUAL(sl_profile_write(p), 0);
    struct trace t = read_trace(path);
    CU_ASSERT_PTR_NULL(t.process[2]);
    CU_ASSERT_EQUAL(count_of(&t, 2, "M", NULL), 0);
    json_decref(t.root);
    sl_profile_close(&p);
}

/* A failed evaluation closes what it opened: the next spans are nested as before. */
static void a_failed_evaluation_leaves_no_span_open(void)
{
    char path[400];
    struct sl_profile *p = open_profile(NULL, 0);
    struct sl_model *model = NULL;
    struct sl_session *session = NULL;
    snprintf(path, sizeof path, "%s/yuan2-m32-base", sl_golden_dir());
    struct sl_model_params mp = {.path = path, .device = "nowhere", .profile = p};
    CU_ASSERT(sl_model_open(&model, &mp) < 0);
    CU_ASSERT_EQUAL(sl_profile_current(p), SL_N_SPAN);
    mp.device = "csim";
    CU_ASSERT_EQUAL_FATAL(sl_model_open(&model, &mp), 0);
    struct sl_session_params sp = {.n_ctx = 4};
    CU_ASSERT_EQUAL_FATAL(sl_session_open(&session, model, &sp), 0);
    int32_t many[5] = {1, 2, 3, 4, 5};
    CU_ASSERT(sl_session_eval(session, many, 5, false, NULL) < 0);
    CU_ASSERT_EQUAL(sl_profile_current(p), SL_N_SPAN);
    sl_session_close(&session);
    sl_model_close(&model);
    sl_profile_close(&p);
}

#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f                                                                                      \
    }
static const struct sl_case cases[] = {CASE(sums_are_those_of_the_records),
                                       CASE(what_bound_a_job_is_its_largest_use_or_stall),
                                       CASE(a_trace_holds_every_record),
                                       CASE(simulated_time_is_cycles_at_the_nominal_clock),
                                       CASE(without_a_clock_no_time_is_invented),
                                       CASE(time_inside_of_a_span_is_not_counted_twice),
                                       CASE(every_thread_has_a_track),
                                       CASE(a_full_recorder_counts_what_it_drops),
                                       CASE(a_place_that_cannot_be_written_is_refused_at_once),
                                       CASE(a_profiled_model_gives_the_same_bits_and_counts),
                                       CASE(macs_are_those_of_the_mathematics),
                                       CASE(a_simulated_core_reports_its_cycles),
                                       CASE(an_exact_model_has_host_work_only),
                                       CASE(a_failed_evaluation_leaves_no_span_open),
                                       {NULL, NULL}};
const struct sl_suite suite_profile = {"profile", cases};
