/* SPDX-License-Identifier: Apache-2.0 */
/* The conversion: what it leaves behind when it is stopped in every way, and that the bytes are the
 * same. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "store_rig.h"
#include "test_main.h"

static struct sl_convert_params params(const char *in, const char *out)
{
    return (struct sl_convert_params){
        .in_dir = in, .out_dir = out, .format = "nf4", .format_dense = "q8", .n_threads = 2};
}

static int convert(const char *in, const char *out)
{
    struct sl_convert_params p = params(in, out);
    return sl_convert(&p, NULL);
}

/* Opens, and every checksum holds. */
static bool is_whole(const char *dir)
{
    struct sl_store *s = NULL;
    bool ok = !sl_store_open(&s, dir) && !sl_store_verify(s, NULL);
    sl_store_close(&s);
    return ok;
}

static void expect_refused(const struct sl_convert_params *p, int code, const char *word)
{
    struct sl_convert_report r = {.n_group = 77};
    int err = sl_convert(p, &r);
    if (err != code || !strstr(sl_error_message(), word))
        printf("[%d: %s; wanted \"%s\"] ", err, sl_error_message(), word);
    CU_ASSERT_EQUAL(err, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), word));
    CU_ASSERT_EQUAL(r.n_group, 77);
}

/* ---- the straight way ----------------------------------------------------------------------- */

struct watch {
    uint64_t last, total;
    unsigned calls, stop_at, backwards;
};

static bool watch_progress(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct watch *w = user;
    w->backwards += done < w->last || done > total || !what[0];
    w->last = done;
    w->total = total;
    return ++w->calls != w->stop_at;
}

static void test_report(void)
{
    char out[RIG_PATH];
    for (const char *const *model = rig_models(); *model; model++) {
        struct watch w = {0};
        struct sl_convert_report r;
        struct stat st;
        rig_fresh(out, NULL);
        struct sl_convert_params p = params(*model, out);
        p.progress = watch_progress;
        p.progress_user = &w;
        CU_ASSERT_EQUAL_FATAL(sl_convert(&p, &r), 0);
        CU_ASSERT(w.calls > 10 && w.backwards == 0);
        CU_ASSERT_EQUAL(w.total, r.bytes_out);
        CU_ASSERT(r.n_group > 0 && r.n_group_raised < r.n_group);
        CU_ASSERT_EQUAL(r.n_layer_resumed, 0);
        CU_ASSERT_EQUAL(stat(rig_join(*model, "model.safetensors"), &st), 0);
        CU_ASSERT(r.bytes_in > 0 && r.bytes_in < (uint64_t)st.st_size);
        CU_ASSERT_EQUAL(rig_count(out, ".part") + rig_count(out, ".frag"), 0);
        CU_ASSERT(is_whole(out));
        /* What the tokenizer needs, and the config, come along. */
        CU_ASSERT(rig_exists(out, "config.json"));
        CU_ASSERT_EQUAL(rig_exists(out, "hy.tiktoken"), rig_exists(*model, "hy.tiktoken"));
        CU_ASSERT_EQUAL(rig_exists(out, "generation_config.json"),
                        rig_exists(*model, "generation_config.json"));
        CU_ASSERT(!rig_exists(out, "model.safetensors") && !rig_exists(out, "golden.safetensors"));
    }
}

static void test_threads(void)
{
    char first[RIG_PATH], out[RIG_PATH];
    rig_fresh(first, NULL);
    CU_ASSERT_EQUAL_FATAL(convert(rig_models()[3], first), 0);
    for (unsigned n = 1; n <= 5; n += 2) {
        rig_fresh(out, NULL);
        struct sl_convert_params p = params(rig_models()[3], out);
        p.n_threads = n;
        CU_ASSERT_EQUAL(sl_convert(&p, NULL), 0);
        CU_ASSERT(rig_same_dirs(first, out));
    }
}

/* The directory may be missing before; converting again finds everything done. */
static void test_again(void)
{
    char parent[RIG_PATH], copy[RIG_PATH], out[RIG_PATH];
    rig_fresh(parent, NULL);
    snprintf(out, sizeof out, "%s", rig_join(parent, "new"));
    struct sl_convert_params p = params(rig_models()[0], out);
    struct sl_convert_report first, second;
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, &first), 0);
    rig_fresh(copy, out);
    CU_ASSERT_EQUAL(sl_convert(&p, &second), 0);
    CU_ASSERT_EQUAL(second.n_layer_resumed, 4);
    CU_ASSERT_EQUAL(second.n_group, first.n_group);
    CU_ASSERT_EQUAL(second.bytes_out, first.bytes_out);
    CU_ASSERT(rig_same_dirs(copy, out));
}

/* ---- interruptions -------------------------------------------------------------------------- */

/* Stopped at the n-th progress call, for many n, and taken up again. */
static void test_stopped(void)
{
    char whole[RIG_PATH], out[RIG_PATH];
    const char *in = rig_models()[0];
    rig_fresh(whole, NULL);
    CU_ASSERT_EQUAL_FATAL(convert(in, whole), 0);
    unsigned resumed = 0;
    for (unsigned stop = 1; stop < 260; stop += 37) {
        struct watch w = {.stop_at = stop};
        struct sl_convert_report r;
        rig_fresh(out, NULL);
        struct sl_convert_params p = params(in, out);
        p.progress = watch_progress;
        p.progress_user = &w;
        CU_ASSERT_EQUAL(sl_convert(&p, &r), SL_ERR_INTERRUPTED);
        CU_ASSERT(!sl_store_is_store(out) && rig_count(out, ".part") == 0);
        CU_ASSERT_EQUAL(sl_convert(&p, &r), 0); /* stop_at has passed */
        CU_ASSERT(w.backwards <= 1);            /* it began anew once */
        resumed += r.n_layer_resumed;
        CU_ASSERT(rig_same_dirs(whole, out));
    }
    CU_ASSERT(resumed > 3);
}

/* Runs the conversion in a process of its own and kills it after so many microseconds. True when it
 * was in time. */
static bool kill_during(const char *in, const char *out, long after_us)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(convert(in, out) ? 1 : 0);
    struct timespec t = {after_us / 1000000, after_us % 1000000 * 1000};
    nanosleep(&t, NULL);
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status);
}

static long time_of(const char *in, const char *out)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    CU_ASSERT_EQUAL_FATAL(convert(in, out), 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

static void test_killed(void)
{
    struct sl_rng rng = sl_rng_open("killed", 31);
    char whole[RIG_PATH], out[RIG_PATH];
    const char *in = rig_models()[3];
    rig_fresh(whole, NULL);
    long duration = time_of(in, whole);
    unsigned killed = 0, half = 0;
    for (int i = 0; i < 10; i++) {
        rig_fresh(out, NULL);
        /* Twice into the same directory: the second one dies while it resumes. */
        for (int again = 0; again < 2; again++) {
            killed += kill_during(in, out, (long)sl_rng_range(&rng, 0, duration));
            half += !sl_store_is_store(out);
            if (sl_store_is_store(out))
                CU_ASSERT(is_whole(out)); /* a manifest means that everything is there */
        }
        CU_ASSERT_EQUAL(convert(in, out), 0);
        CU_ASSERT_EQUAL(rig_count(out, ".frag"), 0);
        CU_ASSERT(rig_same_dirs(whole, out));
    }
    printf("[%u killed, %u before the manifest] ", killed, half);
    CU_ASSERT(killed > 0 && half > 0);
}

/* Fragments whose data vanished or shrank are not believed. */
static void test_lying_fragments(void)
{
    char whole[RIG_PATH], out[RIG_PATH];
    const char *in = rig_models()[0];
    rig_fresh(whole, NULL);
    CU_ASSERT_EQUAL_FATAL(convert(in, whole), 0);
    for (int kind = 0; kind < 4; kind++) {
        struct watch w = {.stop_at = 150};
        struct sl_convert_report r;
        rig_fresh(out, NULL);
        struct sl_convert_params p = params(in, out);
        p.progress = watch_progress;
        p.progress_user = &w;
        CU_ASSERT_EQUAL(sl_convert(&p, &r), SL_ERR_INTERRUPTED);
        CU_ASSERT_FATAL(rig_exists(out, "layer-0000.frag"));
        if (kind == 0)
            unlink(rig_join(out, "layer-0000.slab"));
        if (kind == 1)
            CU_ASSERT_EQUAL(truncate(rig_join(out, "layer-0000.slab"), 4096), 0);
        if (kind == 2)
            rig_write(rig_join(out, "layer-0001.slab.part"), "left over", 9);
        CU_ASSERT_EQUAL(sl_convert(&p, &r), 0);
        CU_ASSERT(rig_same_dirs(whole, out));
    }
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void test_other_conversion(void)
{
    char out[RIG_PATH], changed[RIG_PATH], other[RIG_PATH];
    const char *in = rig_models()[0];
    rig_fresh(out, NULL);
    struct watch w = {.stop_at = 150};
    struct sl_convert_params p = params(in, out);
    p.progress = watch_progress;
    p.progress_user = &w;
    CU_ASSERT_EQUAL(sl_convert(&p, NULL), SL_ERR_INTERRUPTED); /* leaves fragments */
    p.progress = NULL;

    struct sl_convert_params q = p;
    q.format = "int4";
    expect_refused(&q, SL_ERR_USAGE, "another model or format");
    q = p;
    q.format_dense = "nf4";
    expect_refused(&q, SL_ERR_USAGE, "another model or format");
    q = p;
    q.in_dir = rig_models()[2];
    expect_refused(&q, SL_ERR_USAGE, "another model or format");

    /* The same names and shapes with other weights. */
    struct rig_tensor t;
    rig_fresh(changed, in);
    CU_ASSERT_FATAL(rig_find(rig_join(changed, "model.safetensors"), "model.norm.weight", &t));
    rig_flip(rig_join(changed, "model.safetensors"), t.offset + 2, 1);
    q = p;
    q.in_dir = changed;
    expect_refused(&q, SL_ERR_USAGE, "another model or format");

    CU_ASSERT_EQUAL(sl_convert(&p, NULL), 0); /* nothing of that disturbed the work */
    q = p;
    q.format = "int4";
    expect_refused(&q, SL_ERR_USAGE, "another model or format"); /* now by the manifest */
    rig_write(rig_join(out, "layer-0009.frag"), "{}", 2);
    rig_write(rig_join(out, "notes.txt"), "mine", 4);
    q.force = true;
    CU_ASSERT_EQUAL(sl_convert(&q, NULL), 0);
    CU_ASSERT(is_whole(out));
    CU_ASSERT(!rig_exists(out, "layer-0009.frag"));
    CU_ASSERT(rig_exists(out, "notes.txt")); /* other people's files stay */
    unlink(rig_join(out, "notes.txt"));
    rig_fresh(other, NULL);
    q.out_dir = other;
    CU_ASSERT_EQUAL(sl_convert(&q, NULL), 0);
    CU_ASSERT(rig_same_dirs(out, other));
}

static void test_bad_directories(void)
{
    char dir[RIG_PATH], link[RIG_PATH], out[RIG_PATH];
    rig_fresh(dir, rig_models()[0]);
    rig_fresh(out, NULL);
    struct sl_convert_params p = params(dir, dir);
    expect_refused(&p, SL_ERR_USAGE, "same directory");
    snprintf(link, sizeof link, "%s", rig_join(out, "link"));
    CU_ASSERT_EQUAL(symlink(dir, link), 0);
    p.out_dir = link;
    expect_refused(&p, SL_ERR_USAGE, "same directory");
    p.out_dir = rig_models()[2];
    expect_refused(&p, SL_ERR_USAGE, "holds a checkpoint");
    p.out_dir = rig_join(dir, "config.json");
    expect_refused(&p, SL_ERR_IO, "not a directory");
    p.out_dir = "/proc/sluice-cannot-be-here";
    expect_refused(&p, SL_ERR_IO, "/proc/sluice-cannot-be-here");
    p.out_dir = "/nowhere/at/all";
    expect_refused(&p, SL_ERR_IO, "/nowhere/at/all");
    p.out_dir = out;
    p.in_dir = "/nowhere/at/all";
    expect_refused(&p, SL_ERR_IO, "/nowhere/at/all");
    p.in_dir = dir;
    p.format = "q5";
    expect_refused(&p, SL_ERR_USAGE, "q5");
    p.format = NULL; /* the default */
    p.format_dense = NULL;
    CU_ASSERT_EQUAL(sl_convert(&p, NULL), 0);
    CU_ASSERT(is_whole(out));
    struct sl_convert_params q = params(out, link);
    expect_refused(&q, SL_ERR_USAGE, "converted model");
}

struct inner {
    struct sl_convert_params p;
    int err;
};

static bool convert_inside(void *user, const char *what, uint64_t done, uint64_t total)
{
    struct inner *i = user;
    (void)what, (void)done, (void)total;
    i->err = sl_convert(&i->p, NULL);
    return false;
}

static void test_two_at_once(void)
{
    char out[RIG_PATH];
    rig_fresh(out, NULL);
    struct inner i = {params(rig_models()[0], out), 0};
    struct sl_convert_params p = i.p;
    p.progress = convert_inside;
    p.progress_user = &i;
    CU_ASSERT_EQUAL(sl_convert(&p, NULL), SL_ERR_INTERRUPTED);
    CU_ASSERT_EQUAL(i.err, SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_convert(&i.p, NULL), 0);
}

/* ---- bad models ----------------------------------------------------------------------------- */

static void test_nan(void)
{
    static const char *const names[] = {
        "model.layers.2.mlp.experts.7.up_proj.weight", "model.layers.1.self_attn.o_proj.weight",
        "model.layers.3.mlp.gate.wg.weight", "model.layers.0.post_attention_layernorm.weight",
        "model.embed_tokens.weight"};
    const uint32_t nan = 0x7FC00000;
    for (size_t i = 0; i < 5; i++) {
        char dir[RIG_PATH], out[RIG_PATH], file[RIG_PATH];
        struct rig_tensor t;
        size_t n;
        rig_fresh(dir, rig_models()[0]);
        rig_fresh(out, NULL);
        snprintf(file, sizeof file, "%s", rig_join(dir, "model.safetensors"));
        CU_ASSERT_FATAL(rig_find(file, names[i], &t));
        uint8_t *data = rig_read(file, &n);
        memcpy(data + t.offset + 4 * 37, &nan, 4);
        rig_write(file, data, n);
        free(data);
        struct sl_convert_params p = params(dir, out);
        expect_refused(&p, SL_ERR_RANGE, names[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "37]"));
        CU_ASSERT(!sl_store_is_store(out) && rig_count(out, ".part") == 0);
    }
}

static void test_bad_shapes(void)
{
    static const struct {
        const char *from, *to, *word;
    } edits[] = {
        {"\"intermediate_size\": 96", "\"intermediate_size\": 64", "mlp"},
        {"\"vocab_size\": 160", "\"vocab_size\": 161", "model.embed_tokens.weight"},
        {"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5", "model.layers.4."},
        {"\"num_experts\": 16", "\"num_experts\": 15", "mlp.gate.wg"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", "k_proj"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        char dir[RIG_PATH], out[RIG_PATH];
        size_t n;
        rig_fresh(dir, rig_models()[0]);
        rig_fresh(out, NULL);
        char *text = (char *)rig_read(rig_join(dir, "config.json"), &n);
        char *at = strstr(text, edits[i].from), *copy = malloc(n + 64);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        int len = sprintf(copy, "%.*s%s%s", (int)(at - text), text, edits[i].to,
                          at + strlen(edits[i].from));
        rig_write(rig_join(dir, "config.json"), copy, (size_t)len);
        free(copy);
        free(text);
        struct sl_convert_params p = params(dir, out);
        expect_refused(&p, SL_ERR_SHAPE, edits[i].word);
        CU_ASSERT(!sl_store_is_store(out));
    }
}

/* ---- full disks ----------------------------------------------------------------------------- */

/* What a child process found, told by its exit code. */
enum { CHILD_OK, CHILD_SKIPPED, CHILD_NO_ERROR, CHILD_WRONG_ERROR, CHILD_LEFT_FILES };

static int in_child(int (*fn)(const char *out), const char *out)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int r = fn(out);
        if (r > CHILD_SKIPPED)
            fprintf(stderr, "[%s] ", sl_error_message());
        _exit(r);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int judge(const char *out, int err, const char *word)
{
    if (!err)
        return CHILD_NO_ERROR;
    if (err != SL_ERR_IO || !strstr(sl_error_message(), word) || !strstr(sl_error_hint(), "space"))
        return CHILD_WRONG_ERROR;
    return sl_store_is_store(out) || rig_count(out, ".part") ? CHILD_LEFT_FILES : CHILD_OK;
}

/* A limit on file size, with the signal's default action: the library must survive it. */
static int hit_file_limit(const char *out)
{
    struct rlimit limit = {100000, 100000};
    signal(SIGXFSZ, SIG_DFL);
    setrlimit(RLIMIT_FSIZE, &limit);
    return judge(out, convert(rig_models()[0], out), "too large");
}

static int hit_file_limit_ignored(const char *out)
{
    struct rlimit limit = {100000, 100000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    return judge(out, convert(rig_models()[0], out), "too large");
}

/* A disk that is too small from the beginning: refused before anything is written. */
static int hit_estimate(const char *out)
{
    if (!rig_mount_small(out, "size=1m"))
        return CHILD_SKIPPED;
    int r = judge(out, convert(rig_models()[0], out), "MiB free");
    return r == CHILD_OK && rig_count(out, "") ? CHILD_LEFT_FILES : r;
}

/* Somebody else fills the disk while the conversion runs. */
static bool fill_disk(void *user, const char *what, uint64_t done, uint64_t total)
{
    const char *out = user;
    static const char block[65536];
    (void)what;
    if (done < total / 2 || rig_exists(out, "filler"))
        return true;
    int fd = open(rig_join(out, "filler"), O_WRONLY | O_CREAT, 0644);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
    return true;
}

static int hit_full_disk(const char *out)
{
    if (!rig_mount_small(out, "size=8m"))
        return CHILD_SKIPPED;
    struct sl_convert_params p = params(rig_models()[0], out);
    p.progress = fill_disk;
    p.progress_user = (void *)(uintptr_t)out;
    int r = judge(out, sl_convert(&p, NULL), "No space left");
    if (r != CHILD_OK)
        return r;
    struct sl_convert_report report;
    unlink(rig_join(out, "filler"));
    p.progress = NULL;
    if (sl_convert(&p, &report) || report.n_layer_resumed == 0 || !is_whole(out))
        return CHILD_WRONG_ERROR;
    return CHILD_OK;
}

static void test_full_disk(void)
{
    static int (*const tests[])(const char *) = {hit_file_limit, hit_file_limit_ignored,
                                                 hit_estimate, hit_full_disk};
    for (size_t i = 0; i < 4; i++) {
        char out[RIG_PATH];
        rig_fresh(out, NULL);
        int r = in_child(tests[i], out);
        if (r == CHILD_SKIPPED)
            printf("\nSKIPPED small disk: no right to mount one\n");
        else
            CU_ASSERT_EQUAL(r, CHILD_OK);
    }
}

static const struct sl_case cases[] = {
    {"a conversion reports what it did and leaves a whole model", test_report},
    {"thread counts change no byte", test_threads},
    {"a finished conversion is found finished", test_again},
    {"a stopped conversion goes on to the same bytes", test_stopped},
    {"a killed conversion opens not at all and goes on to the same bytes", test_killed},
    {"fragments without their data are made again", test_lying_fragments},
    {"another conversion's directory is refused, force starts over", test_other_conversion},
    {"impossible directories are refused", test_bad_directories},
    {"two conversions into one directory do not mix", test_two_at_once},
    {"NaN stops the conversion at its tensor", test_nan},
    {"config and weights must agree", test_bad_shapes},
    {"a full disk is an error that can be mended", test_full_disk},
    {NULL, NULL},
};
const struct sl_suite suite_convert = {"convert", cases};
