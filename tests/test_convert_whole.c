/* SPDX-License-Identifier: Apache-2.0 */
/* A conversion as its user meets it: what it says before it begins, and what becomes of it when the
 * program is killed, stopped, started twice. */
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli_rig.h"
#include "model_copy.h"
#include "store/store.h"
#include "store_rig.h"
#include "temp_file.h"
#include "test_main.h"

enum { LINE = 2 * RIG_PATH + 128 };

static struct sl_convert_params params(const char *in, const char *out)
{
    return (struct sl_convert_params){
        .in_dir = in, .out_dir = out, .format = "nf4", .format_dense = "q8", .n_threads = 2};
}

/* Bytes of the files whose names end so. */
static uint64_t file_bytes(const char *dir, const char *name)
{
    struct stat st;
    return stat(rig_join(dir, name), &st) ? 0 : (uint64_t)st.st_size;
}

static uint64_t slab_bytes(const char *dir)
{
    uint64_t bytes = file_bytes(dir, "head.slab");
    for (unsigned layer = 0; layer < 64; layer++) {
        char name[32];
        snprintf(name, sizeof name, "layer-%04u.slab", layer);
        bytes += file_bytes(dir, name);
    }
    return bytes;
}

/* ---- estimates ------------------------------------------------------------------------------ */

static void a_dry_run_writes_nothing_and_foretells_the_files(void)
{
    for (const char *const *model = rig_models(); *model; model++) {
        char parent[RIG_PATH], out[RIG_PATH];
        struct sl_convert_estimate e = {0};
        struct sl_convert_report r;
        rig_fresh(parent, NULL);
        snprintf(out, sizeof out, "%s", rig_join(parent, "new"));
        struct sl_convert_params p = params(*model, out);
        CU_ASSERT_EQUAL_FATAL(sl_convert_estimate(&p, &e), 0);
        CU_ASSERT_EQUAL(rig_count(parent, ""), 0);
        CU_ASSERT(e.fits && e.n_file == 1 && e.bytes_todo >= e.bytes_out);
        CU_ASSERT(e.read_rate > 0 && e.expert_rate > 0 && e.dense_rate > 0);
        CU_ASSERT(isfinite(e.seconds) && e.seconds > 0 && e.open_s > 0);
        CU_ASSERT_EQUAL_FATAL(sl_convert(&p, &r), 0);
        CU_ASSERT_EQUAL(e.bytes_in, r.bytes_in);
        CU_ASSERT_EQUAL(e.bytes_out, slab_bytes(out) + file_bytes(out, "tensors.safetensors"));
        CU_ASSERT_EQUAL(sl_convert_estimate(&p, &e), 0);
        CU_ASSERT(e.bytes_todo == 0 && e.seconds == 0);
        p.force = true;
        CU_ASSERT_EQUAL(sl_convert_estimate(&p, &e), 0);
        CU_ASSERT(e.bytes_todo >= e.bytes_out);
        CU_ASSERT(sl_store_is_store(out));
    }
}

static bool stop_late(void *user, const char *what, uint64_t done, uint64_t total)
{
    (void)user, (void)what;
    return done < total / 2;
}

static void an_estimate_knows_what_is_done_already(void)
{
    char out[RIG_PATH], before[RIG_PATH];
    struct sl_convert_estimate e;
    rig_fresh(out, NULL);
    struct sl_convert_params p = params(rig_models()[0], out);
    p.progress = stop_late;
    CU_ASSERT_EQUAL(sl_convert(&p, NULL), SL_ERR_INTERRUPTED);
    CU_ASSERT_FATAL(rig_exists(out, "layer-0000.frag"));
    rig_fresh(before, out);
    CU_ASSERT_EQUAL_FATAL(sl_convert_estimate(&p, &e), 0);
    /* Of the four layers at least one is left, and at least one is done: 1 MiB is set aside. */
    CU_ASSERT(e.bytes_todo < e.bytes_out + (1 << 20) - file_bytes(out, "layer-0000.slab") + 1);
    CU_ASSERT(e.bytes_todo > file_bytes(out, "layer-0000.slab"));
    p.format = "int4";
    CU_ASSERT_EQUAL(sl_convert_estimate(&p, &e), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "--force"));
    CU_ASSERT(rig_same_dirs(before, out));
}

static void expect_refused(const char *in, const char *out, int code, const char *word)
{
    struct sl_convert_params p = params(in, out);
    struct sl_convert_estimate e = {.n_file = 77};
    const int err = sl_convert_estimate(&p, &e);
    if (err != code || !strstr(sl_error_message(), word))
        printf("[%d: %s; wanted \"%s\"] ", err, sl_error_message(), word);
    CU_ASSERT_EQUAL(err, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), word));
    CU_ASSERT_EQUAL(e.n_file, 77);
}

static void a_dry_run_fails_where_the_conversion_would(void)
{
    static const struct {
        const char *from, *to;
    } lost[] = {
        {"model.layers.3.mlp.experts.15.down_proj.weight",
         "model.layers.3.mlp.experts.15.down_prol.weight"},
        {"model.layers.2.self_attn.q_proj.weight", "model.layers.2.self_attn.q_prok.weight"},
        {"model.layers.1.mlp.gate.wg.weight", "model.layers.1.mlp.gate.wh.weight"},
        {"model.norm.weight", "model.morm.weight"}};
    char out[RIG_PATH], file[RIG_PATH];
    rig_fresh(out, NULL);
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        struct model_copy c;
        model_copy_open(&c, "hunyuan-large-cla2");
        model_copy_rename(&c, lost[i].from, lost[i].to);
        model_copy_write(&c, NULL, 0);
        expect_refused(c.dir, out, SL_ERR_SHAPE, lost[i].from);
        /* The conversion says so before it writes. */
        struct sl_convert_params p = params(c.dir, out);
        CU_ASSERT_EQUAL(sl_convert(&p, NULL), SL_ERR_SHAPE);
        CU_ASSERT_EQUAL(rig_count(out, ""), 0);
        model_copy_close(&c);
    }
    const char *in = rig_models()[0];
    snprintf(file, sizeof file, "%s", rig_join(out, "file"));
    rig_write(file, "x", 1);
    expect_refused(in, file, SL_ERR_IO, "not a directory");
    expect_refused(in, rig_join(file, "below"), SL_ERR_IO, "file/below");
    expect_refused(in, "/nowhere/at/all", SL_ERR_IO, "cannot be created");
    expect_refused(in, "", SL_ERR_IO, "cannot be created");
    expect_refused(in, in, SL_ERR_USAGE, "same directory");
    expect_refused(in, rig_models()[2], SL_ERR_USAGE, "holds a checkpoint");
    expect_refused("/nowhere/at/all", out, SL_ERR_IO, "/nowhere/at/all");
}

static void missing_shards_are_told_in_one_line(void)
{
    static const char header[] =
        "{\"%u\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    char dir[256], index[4096] = "{\"weight_map\":{", text[128];
    const float one = 1;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    for (unsigned i = 1; i <= 12; i++) {
        snprintf(text, sizeof text, "%s\"%u\":\"model-%05u-of-00012.safetensors\"",
                 i > 1 ? "," : "", i, i);
        strcat(index, text);
    }
    strcat(index, "}}");
    temp_file_put(dir, "model.safetensors.index.json", index, strlen(index));
    for (unsigned i = 1; i <= 12; i++) {
        char name[64];
        snprintf(name, sizeof name, "model-%05u-of-00012.safetensors", i);
        snprintf(text, sizeof text, header, i);
        if (i % 2)
            temp_safetensors_put(dir, name, text, &one, 4);
    }
    expect_refused(dir, dir, SL_ERR_IO, "6 of 12 shards are missing");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(sl_error_message(), "model-00002-of-00012.safetensors, model-00"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "..."));
    CU_ASSERT_PTR_NULL(strchr(sl_error_message(), '\n'));
    CU_ASSERT_PTR_NULL(strstr(sl_error_message(), "00003"));
}

/* ---- space ---------------------------------------------------------------------------------- */

enum { CHILD_OK, CHILD_SKIPPED, CHILD_FAILED };

/* On a disk of 1 MiB nothing fits; on one that an earlier run's half-written layer fills all does.
 */
static int use_small_disks(const char *out)
{
    struct sl_convert_params p = params(rig_models()[0], out);
    struct sl_convert_estimate e;
    if (!rig_mount_small(out, "size=1m"))
        return CHILD_SKIPPED;
    if (sl_convert_estimate(&p, &e) || e.fits || rig_count(out, ""))
        return CHILD_FAILED;
    if (!rig_mount_small(out, "size=8m"))
        return CHILD_SKIPPED;
    const size_t n = (7 << 20) + (1 << 19);
    void *left = calloc(1, n);
    rig_write(rig_join(out, "layer-0002.slab.part"), left, n);
    free(left);
    if (sl_convert_estimate(&p, &e) || !e.fits || !rig_exists(out, "layer-0002.slab.part"))
        return CHILD_FAILED;
    return sl_convert(&p, NULL) ? CHILD_FAILED : CHILD_OK;
}

static void space_counts_what_will_be_overwritten(void)
{
    char out[RIG_PATH];
    int status = 0;
    rig_fresh(out, NULL);
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(use_small_disks(out));
    waitpid(pid, &status, 0);
    CU_ASSERT_FATAL(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_SKIPPED)
        printf("\nSKIPPED small disk: no right to mount one\n");
    else
        CU_ASSERT_EQUAL(WEXITSTATUS(status), CHILD_OK);
}

/* ---- info ----------------------------------------------------------------------------------- */

/* Every format against the slabs that a conversion makes; the sizes of Hunyuan-Large by hand. */
static void info_foretells_the_converted_sizes(void)
{
    struct sl_convert_sizes s;
    CU_ASSERT_EQUAL_FATAL(sl_convert_sizes(rig_models()[0], &s), 0);
    CU_ASSERT_EQUAL(s.n_format, 5);
    for (size_t i = 0; i < s.n_format; i++) {
        char out[RIG_PATH];
        rig_fresh(out, NULL);
        struct sl_convert_params p = params(rig_models()[0], out);
        p.format = p.format_dense = s.format[i].format;
        CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
        CU_ASSERT_EQUAL(s.format[i].experts + s.format[i].dense + s.routers, slab_bytes(out));
        CU_ASSERT_EQUAL(sl_convert_sizes(out, &s), SL_ERR_USAGE);
    }
    CU_ASSERT_EQUAL_FATAL(sl_convert_sizes("tests/configs/hunyuan-large-instruct.json", &s), 0);
    /* numerics.md 2.4, K = 6400, F = 18304, nf4. A pair of rows of gate and up: 2 * 200 scale bytes
     * in 7 beats, 6400 bytes of codes in 100; of down: 2 * 572 in 18 beats, 18304 in 286. With the
     * header, in pages of 64 beats: 45,803 pages. 64 layers of 16 + 1. */
    CU_ASSERT_STRING_EQUAL(s.format[0].format, "nf4");
    CU_ASSERT_EQUAL(18304 * 107 + 3200 * 304, 45802 * 64);
    CU_ASSERT_EQUAL(s.format[0].experts, 64 * 17 * 45803ull * 4096);
    /* Embedding [129024, 6400], 129 norms of 6400, 128 of 80. */
    CU_ASSERT_EQUAL(s.kept, 2 * (129024ull * 6400 + 129 * 6400 + 128 * 80));
}

/* ---- the program ---------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sleep_for(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)};
    nanosleep(&t, NULL);
}

/* sluice convert in a process of its own; what it prints goes to files in `log`. */
struct program {
    char line[LINE], out_dir[RIG_PATH], log[RIG_PATH];
};

static void program_open(struct program *p, const char *in, const char *options)
{
    rig_fresh(p->log, NULL);
    rig_fresh(p->out_dir, NULL);
    snprintf(p->line, sizeof p->line, "convert %s %s -t 1 %s", in, p->out_dir, options);
}

static pid_t program_start(const struct program *p)
{
    return cli_start(p->line, NULL, rig_join(p->log, "out"), rig_join(p->log, "err"));
}

static bool has_begun(const char *dir)
{
    return rig_count(dir, ".part") + rig_count(dir, ".frag") > 0;
}

/* Starts it and kills it after some time. True when that was in the middle of the work. */
static bool kill_after(const struct program *p, double seconds)
{
    const pid_t pid = program_start(p);
    sleep_for(seconds);
    kill(pid, SIGKILL);
    return cli_finish(pid) == 1000 + SIGKILL && !sl_store_is_store(p->out_dir) &&
           has_begun(p->out_dir);
}

/* Killed in the middle of its work as often as `kills`, on the way to several results, each of
 * which has the bytes of a conversion that nobody disturbed. */
static void kill_conversions(const char *in, int kills)
{
    struct sl_rng rng = sl_rng_open("kills", 1009);
    struct program whole, p;
    program_open(&whole, in, "--format nf4");
    const double begin = now();
    CU_ASSERT_EQUAL_FATAL(cli_finish(program_start(&whole)), 0);
    const double duration = now() - begin;
    int done = 0, results = 0, runs = 0;
    while (done < kills && runs < 40 * kills) {
        program_open(&p, in, "--format nf4");
        for (int i = 0; i < 4 && done < kills && !sl_store_is_store(p.out_dir); i++, runs++)
            done += kill_after(&p, duration * (double)sl_rng_range(&rng, 0, 1000) / 1000);
        CU_ASSERT_EQUAL(cli_finish(program_start(&p)), 0);
        CU_ASSERT_EQUAL(rig_count(p.out_dir, ".frag") + rig_count(p.out_dir, ".part"), 0);
        CU_ASSERT(rig_same_dirs(whole.out_dir, p.out_dir));
        results++;
    }
    printf("[%d kills in %d runs, %d results alike] ", done, runs, results);
    CU_ASSERT_EQUAL(done, kills);
}

static void killed_programs_end_in_the_same_bytes(void)
{
    kill_conversions("models/demo-yuan", 10);
}

/* The same of a model of 86 MB in five shards that build/make_checkpoint writes. */
static void a_larger_model_survives_kills_too(void)
{
    const char *is_long = getenv("SL_LONG");
    char dir[RIG_PATH], command[LINE], tool[512];
    if (!is_long || strcmp(is_long, "1")) {
        CU_PASS("SL_LONG=1 kills conversions of a larger model");
        return;
    }
    const ssize_t n = readlink("/proc/self/exe", tool, sizeof tool - 32);
    CU_ASSERT_FATAL(n > 0);
    tool[n] = 0;
    strcpy(strrchr(tool, '/') + 1, "make_checkpoint");
    if (access(tool, X_OK)) {
        printf("\nSKIPPED larger model: make build/make_checkpoint\n");
        return;
    }
    rig_fresh(dir, NULL);
    snprintf(command, sizeof command,
             "%s models/demo-hunyuan/config.json %s --layers 12 --shards 5 --random", tool, dir);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    kill_conversions(dir, 10);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == pid;
}

/* Waits until the conversion has begun to write, then holds it there. False: it ended before. */
static bool hold_in_the_middle(const struct program *p, pid_t pid)
{
    const double limit = now() + 60;
    while (!has_begun(p->out_dir) && now() < limit && !has_ended(pid))
        sleep_for(0.001);
    kill(pid, SIGSTOP);
    return has_begun(p->out_dir) && !sl_store_is_store(p->out_dir);
}

static void run_refused(const char *line, const char *word)
{
    static struct cli_result r;
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.err, word));
}

/* While one runs: another is refused, a dry run is not. After Ctrl-C: another format is refused,
 * the same command goes on. */
static void a_second_program_and_ctrl_c_leave_it_whole(void)
{
    static struct cli_result r;
    char line[LINE + 32];
    struct program whole, p;
    program_open(&whole, "models/demo-yuan", "--format nf4");
    program_open(&p, "models/demo-yuan", "--format nf4");
    CU_ASSERT_EQUAL_FATAL(cli_finish(program_start(&whole)), 0);
    const pid_t pid = program_start(&p);
    CU_ASSERT_FATAL(hold_in_the_middle(&p, pid));
    run_refused(p.line, "another conversion is writing here");
    snprintf(line, sizeof line, "%s --force", p.line);
    run_refused(line, "another conversion is writing here");
    snprintf(line, sizeof line, "%s --dry-run", p.line);
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 0);
    kill(pid, SIGINT);
    kill(pid, SIGCONT);
    CU_ASSERT_EQUAL(cli_finish(pid), 130);
    CU_ASSERT(!sl_store_is_store(p.out_dir));
    CU_ASSERT_EQUAL(rig_count(p.out_dir, ".part"), 0);
    snprintf(line, sizeof line, "convert models/demo-yuan %s --format int4", p.out_dir);
    run_refused(line, "--force");
    snprintf(line, sizeof line, "convert models/demo-hunyuan %s --format nf4", p.out_dir);
    run_refused(line, "--force");
    CU_ASSERT_EQUAL(cli_finish(program_start(&p)), 0);
    CU_ASSERT(rig_same_dirs(whole.out_dir, p.out_dir));
}

static void a_dry_run_prints_text_or_json(void)
{
    static struct cli_result r;
    char dir[256], line[512], unit[3][3] = {"", "", ""};
    double in = 0, out = 0, available = 0;
    /* The tensors of the file are its bytes behind length word and header. */
    uint64_t header = 0;
    size_t n;
    uint8_t *data = rig_read("models/demo-hunyuan/model.safetensors", &n);
    memcpy(&header, data, 8);
    free(data);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(line, sizeof line, "convert models/demo-hunyuan %s/m --format nf4 --dry-run", dir);
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT_EQUAL(
        sscanf(r.out, "%*u tensors in 1 file, %lf %2s; the result takes %lf %2s; %lf %2s are free",
               &in, unit[0], &out, unit[1], &available, unit[2]),
        6);
    CU_ASSERT_DOUBLE_EQUAL(in, (double)(n - 8 - header) / 1e6, 0.0051);
    CU_ASSERT_STRING_EQUAL(unit[0], "MB");
    CU_ASSERT_STRING_EQUAL(unit[1], "MB");
    CU_ASSERT(out > 0 && available > 0 && unit[2][1] == 'B');
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "estimate: "));
    strcat(line, " --json");
    cli_run(&r, line);
    CU_ASSERT_EQUAL(r.code, 0);
    json_t *o = json_loads(r.out, 0, NULL);
    struct stat st;
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "bytes_in")),
                    (json_int_t)(n - 8 - header));
    CU_ASSERT(json_is_true(json_object_get(o, "fits")));
    CU_ASSERT(json_real_value(json_object_get(o, "seconds")) > 0);
    json_decref(o);
    CU_ASSERT_NOT_EQUAL(stat(rig_join(dir, "m"), &st), 0);
}

static const struct sl_case cases[] = {
    {"a_dry_run_writes_nothing_and_foretells_the_files",
     a_dry_run_writes_nothing_and_foretells_the_files},
    {"an_estimate_knows_what_is_done_already", an_estimate_knows_what_is_done_already},
    {"a_dry_run_fails_where_the_conversion_would", a_dry_run_fails_where_the_conversion_would},
    {"missing_shards_are_told_in_one_line", missing_shards_are_told_in_one_line},
    {"space_counts_what_will_be_overwritten", space_counts_what_will_be_overwritten},
    {"info_foretells_the_converted_sizes", info_foretells_the_converted_sizes},
    {"a_dry_run_prints_text_or_json", a_dry_run_prints_text_or_json},
    {"killed_programs_end_in_the_same_bytes", killed_programs_end_in_the_same_bytes},
    {"a_larger_model_survives_kills_too", a_larger_model_survives_kills_too},
    {"a_second_program_and_ctrl_c_leave_it_whole", a_second_program_and_ctrl_c_leave_it_whole},
    {NULL, NULL},
};
const struct sl_suite suite_convert_whole = {"convert_whole", cases};
