/* SPDX-License-Identifier: Apache-2.0 */
/* The built program, run as a user runs it: exit codes, one-line errors, results. It stands beside
 * the tests' own program. */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli_rig.h"
#include "golden_read.h"
#include "test_main.h"

static const char demo[] = "models/demo-hunyuan";
static const char *const golden_models[] = {"hunyuan-large-cla2", "hunyuan-v1-moe-a13b",
                                            "yuan2-m32-base"};

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

/* One line on stderr that names the code and gives a hint, nothing on stdout. */
static void check_error(const char *line, int code, const char *name)
{
    struct cli_result r;
    char start_with[64];
    cli_run(&r, line);
    snprintf(start_with, sizeof start_with, "error: %s ", name);
    char *newline = strchr(r.err, '\n');
    bool good = r.code == code && !strncmp(r.err, start_with, strlen(start_with)) && newline &&
                !newline[1] && strstr(r.err, ": ") && strstr(r.err, "; hint: ") && !r.out[0];
    if (!good)
        printf("\n  %s -> %d\n  %s", line, r.code, r.err);
    CU_ASSERT(good);
}

static void wrong_command_lines_exit_with_2(void)
{
    check_error("", 2, "USAGE");
    check_error("walk", 2, "USAGE");
    check_error("run -m M -p P --bogus", 2, "USAGE");
    check_error("run -m M -p P -n ten", 2, "USAGE");
    check_error("run -m models/demo-hunyuan -p x --device nowhere", 2, "USAGE");
    check_error("run -m models/demo-hunyuan -p abcabcabcabc -c 2", 2, "USAGE");
    check_error("perplexity -m models/demo-hunyuan -p short", 2, "USAGE");
    check_error("perplexity -m models/demo-hunyuan -p short -c 1", 2, "USAGE");
}

static void missing_and_damaged_files_exit_with_3(void)
{
    char dir[256], line[1024], path[300];
    check_error("run -m /nonexistent -p x", 3, "IO");
    check_error("info /nonexistent", 3, "IO");
    check_error("run -m tests/golden/hunyuan-large-cla2 -p x", 3, "IO"); /* no vocabulary */
    check_error("tokenize -m models/demo-hunyuan -f /nonexistent", 3, "IO");
    check_error("logits -m models/demo-hunyuan -p x -o /dev/null", 3, "IO");
    check_error("logits -m models/demo-hunyuan -p x -o /nonexistent/x.npy", 3, "IO");
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/config.json", dir);
    write_text(path, "{\"architectures\": ");
    snprintf(line, sizeof line, "info %s", dir);
    check_error(line, 3, "FORMAT");
    write_text(path, "{\"architectures\": [\"NobodysModel\"], \"vocab_size\": 10}");
    check_error(line, 3, "UNSUPPORTED");
    snprintf(path, sizeof path, "%s/ids", dir);
    write_text(path, "1 2 three");
    snprintf(line, sizeof line, "logits -m models/demo-hunyuan --tokens %s -o %s/x.npy", path, dir);
    check_error(line, 3, "FORMAT");
    write_text(path, "1 2 999999");
    check_error(line, 3, "SHAPE");
}

static void help_and_version_answer_on_stdout(void)
{
    static const char *const lines[] = {"help",       "--help",        "-h",      "help run",
                                        "run --help", "perplexity -h", "version", "--version",
                                        "devices",    "devices --json"};
    struct cli_result r;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        cli_run(&r, lines[i]);
        CU_ASSERT_EQUAL(r.code, 0);
        CU_ASSERT(r.out[0] && !r.err[0]);
    }
}

/* ---- results against the published reference's */

static void ids_file(const char *dir, const int32_t *ids, size_t n, char *path, size_t cap)
{
    snprintf(path, cap, "%s/ids", dir);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%d%s", (int)ids[i], i % 3 ? ", " : "\n");
    fclose(f);
}

static void logits_equal_the_golden_ones(void)
{
    for (size_t m = 0; m < sizeof golden_models / sizeof golden_models[0]; m++) {
        struct golden g;
        struct cli_result r;
        char dir[256], ids[300], line[1024];
        size_t n_id = 0, n_logit = 0;
        CU_ASSERT_FATAL(golden_open(&g, golden_models[m]));
        CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
        const int32_t *id = golden_i32(&g, "input_ids", &n_id);
        const float *want = golden_f32(&g, "logits", &n_logit);
        CU_ASSERT_FATAL(id && want && n_id && n_logit % n_id == 0);
        ids_file(dir, id, n_id, ids, sizeof ids);
        snprintf(line, sizeof line, "logits -m %s/%s --exact --tokens %s -b 5 -o %s/x.npy",
                 sl_golden_dir(), golden_models[m], ids, dir);
        cli_run(&r, line);
        CU_ASSERT_EQUAL_FATAL(r.code, 0);
        snprintf(line, sizeof line, "%s/x.npy", dir);
        FILE *f = fopen(line, "rb");
        float *got = malloc(n_logit * sizeof *got);
        char header[129] = "", shape[64];
        CU_ASSERT_FATAL(f && got);
        CU_ASSERT_EQUAL(fread(header, 1, 128, f), 128);
        snprintf(shape, sizeof shape, "'shape': (%zu, %zu)", n_id, n_logit / n_id);
        CU_ASSERT_PTR_NOT_NULL(strstr(header + 10, shape));
        CU_ASSERT_EQUAL_FATAL(fread(got, sizeof *got, n_logit, f), n_logit);
        CU_ASSERT_EQUAL(fgetc(f), EOF);
        size_t far = 0;
        for (size_t i = 0; i < n_logit; i++)
            far += !(fabsf(got[i] - want[i]) <= 1e-4f + 1e-4f * fabsf(want[i]));
        CU_ASSERT_EQUAL(far, 0);
        fclose(f);
        free(got);
        golden_close(&g);
    }
}

static bool same_ids(json_t *list, const int32_t *want, size_t n)
{
    bool same = json_array_size(list) == n;
    for (size_t i = 0; i < n && same; i++)
        same = json_integer_value(json_array_get(list, i)) == want[i];
    return same;
}

static void greedy_runs_continue_as_the_reference_does(void)
{
    for (size_t m = 0; m < sizeof golden_models / sizeof golden_models[0]; m++) {
        struct golden g;
        struct cli_result r;
        char dir[256], ids[300], line[1024];
        size_t n_id = 0, n_next = 0;
        CU_ASSERT_FATAL(golden_open(&g, golden_models[m]));
        CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
        const int32_t *id = golden_i32(&g, "input_ids", &n_id);
        const int32_t *next = golden_i32(&g, "greedy_next_ids", &n_next);
        CU_ASSERT_FATAL(id && next);
        ids_file(dir, id, n_id, ids, sizeof ids);
        snprintf(line, sizeof line, "run -m %s/%s --exact --tokens %s -n %zu --temp 0 --json",
                 sl_golden_dir(), golden_models[m], ids, n_next);
        cli_run(&r, line);
        CU_ASSERT_EQUAL_FATAL(r.code, 0);
        json_t *o = json_loads(r.out, JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT(same_ids(json_object_get(o, "token_ids"), next, n_next));
        CU_ASSERT(same_ids(json_object_get(o, "prompt_token_ids"), id, n_id));
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "device")), "exact");
        json_decref(o);
        golden_close(&g);
    }
}

/* ---- run */

static void json_reports_what_ran_where(void)
{
    static const char *const keys[] = {
        "text",   "token_ids", "prompt_token_ids",   "prefill_tokens_per_s",
        "device", "seed",      "launches_per_token", "decode_tokens_per_s"};
    struct cli_result r;
    cli_run(&r, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 8 --json");
    CU_ASSERT_EQUAL_FATAL(r.code, 0);
    CU_ASSERT_PTR_EQUAL(strchr(r.out, '\n'), r.out + strlen(r.out) - 1); /* one line */
    json_t *o = json_loads(r.out, JSON_REJECT_DUPLICATES, NULL), *op;
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        CU_ASSERT(json_object_get(o, keys[i]) && !json_is_null(json_object_get(o, keys[i])));
    /* One launch for each of the four layers. */
    CU_ASSERT_EQUAL(json_real_value(json_object_get(o, "launches_per_token")), 4);
    json_t *list = json_object_get(o, "operations");
    size_t i, experts = 0;
    json_array_foreach(list, i, op)
    {
        const char *name = json_string_value(json_object_get(op, "op"));
        experts += name && !strcmp(name, "expert_ffn") &&
                   !strcmp(json_string_value(json_object_get(op, "impl")), "csim") &&
                   json_integer_value(json_object_get(op, "calls")) > 0;
    }
    CU_ASSERT_EQUAL(experts, 1);
    json_decref(o);
}

static void a_run_repeats_and_its_seed_matters(void)
{
    static struct cli_result a, b, c;
    cli_run(&a, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 --temp 1");
    cli_run(&b, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 --temp 1 -t 2 -b 2");
    cli_run(&c, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 --temp 1 -s 9");
    CU_ASSERT_EQUAL(a.code, 0);
    CU_ASSERT_EQUAL(strncmp(a.out, "In the beginning", 16), 0);
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
    CU_ASSERT_STRING_NOT_EQUAL(a.out, c.out);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.err, "seed 0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(c.err, "seed 9"));
    CU_ASSERT_PTR_NOT_NULL(strstr(a.err, "launches/token"));
}

static void the_text_does_not_depend_on_where_matrices_are_computed(void)
{
    static struct cli_result a, b;
    cli_run(&a, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24");
    cli_run(&b, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 --dense device -t 2");
    CU_ASSERT_EQUAL(a.code, 0);
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.err, " 4.0 launches/token"));
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err, " 13.0 launches/token"));
    cli_run(&b, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 --dense cpu -t 3");
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err, " 4.0 launches/token"));
    check_error("run -m models/demo-hunyuan -p x --dense gpu", 2, "USAGE");
    check_error("run -m models/demo-hunyuan -p x --exact --dense cpu", 2, "USAGE");
}

static void a_file_to_continue_loses_its_last_line_break(void)
{
    static struct cli_result a, b;
    char dir[256], path[300], line[512];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/text", dir);
    write_text(path, "In the beginning\n");
    snprintf(line, sizeof line, "run -m models/demo-hunyuan -f %s -n 8", path);
    cli_run(&a, line);
    cli_run(&b, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 8");
    CU_ASSERT_EQUAL(a.code, 0);
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
    cli_run(&a, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 8 --no-display-prompt");
    CU_ASSERT_STRING_EQUAL(a.out, b.out + strlen("In the beginning"));
}

static void text_sources_agree(void)
{
    static struct cli_result a, b, c;
    char dir[256], path[300], line[512];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/text", dir);
    write_text(path, "the light<|eos|>");
    cli_run(&a, "tokenize -m models/demo-hunyuan --prompt=the_light<|eos|>");
    snprintf(line, sizeof line, "tokenize -m models/demo-hunyuan -f %s", path);
    cli_run(&b, line);
    cli_run_with_input(&c, "tokenize -m models/demo-hunyuan", path);
    CU_ASSERT_EQUAL(a.code, 0);
    CU_ASSERT(strspn(a.out, "0123456789 ") == strlen(a.out) - 1);
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
    CU_ASSERT_STRING_EQUAL(a.out, c.out);
    cli_run(&b, "tokenize -m models/demo-hunyuan --prompt=the_light<|eos|> --no-special");
    CU_ASSERT(strlen(b.out) > strlen(a.out));
    cli_run(&b, "tokenize -m models/demo-hunyuan --prompt=the_light<|eos|> --json");
    json_t *o = json_loads(b.out, 0, NULL), *ids = json_object_get(o, "ids");
    json_t *last = json_array_get(json_object_get(o, "pieces"), json_array_size(ids) - 1);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(last, "text")), "<|eos|>");
    CU_ASSERT(json_is_true(json_object_get(last, "special")));
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(last, "id")), atol(strrchr(a.out, ' ')));
    json_decref(o);
    cli_run(&b, "tokenize -m models/demo-hunyuan --prompt=the_light<|eos|> --pieces");
    CU_ASSERT_PTR_NOT_NULL(strstr(b.out, "  \"<|eos|>\"  special\n"));
    /* As the library has it (golden/tokenizers): a blank in front, and a character in bytes. */
    cli_run(&b, "tokenize -m tests/golden/tokenizers/spm --prompt=a\xe2\x98\x83 --pieces");
    CU_ASSERT_EQUAL(b.code, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(b.out, "  \" a\"\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(b.out, "  \"\\xe2\"\n     155  \"\\x98\"\n     134  \"\\x83\"\n"));
}

/* Waits until the file has something in it: the program is then past loading. */
static void wait_for_output(const char *path)
{
    for (unsigned i = 0; i < 1500; i++) {
        FILE *f = fopen(path, "rb");
        int c = f ? fgetc(f) : EOF;
        if (f)
            fclose(f);
        if (c != EOF)
            return;
        poll(NULL, 0, 20);
    }
    CU_FAIL("no output within 30 s");
}

static void ctrl_c_keeps_the_text_and_exits_with_130(void)
{
    static struct cli_result r;
    char dir[256], out[300], err[300], ids[300];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(err, sizeof err, "%s/err", dir);
    snprintf(ids, sizeof ids, "%s/ids", dir);
    write_text(ids, "1 2 3");
    char line[1024];
    snprintf(line, sizeof line,
             "run -m %s/hunyuan-large-cla2 --exact --tokens %s -c 1000000 --temp 0",
             sl_golden_dir(), ids);
    pid_t pid = cli_start(line, NULL, out, err);
    wait_for_output(out);
    CU_ASSERT_EQUAL(kill(pid, SIGINT), 0);
    CU_ASSERT_EQUAL(cli_finish(pid), 130);
    cli_read(out, r.out);
    cli_read(err, r.err);
    CU_ASSERT_EQUAL(strncmp(r.out, "1 2 3 ", 6), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "decode"));
}

/* The file is a trace, alone in its directory. */
static void check_trace(const char *dir)
{
    char path[300];
    json_error_t why;
    snprintf(path, sizeof path, "%s/trace.json", dir);
    json_t *o = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
    CU_ASSERT(json_array_size(json_object_get(o, "traceEvents")) > 100);
    json_decref(o);
    unsigned n = 0;
    DIR *d = opendir(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strstr(e->d_name, "trace.json") != NULL;
    closedir(d);
    CU_ASSERT_EQUAL(n, 1);
}

static void a_profile_is_a_trace_a_table_and_json(void)
{
    static struct cli_result a, b;
    char dir[256], line[600];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    cli_run(&a, "run -m models/demo-hunyuan --prompt=In_the_beginning -n 12 --device csim");
    snprintf(line, sizeof line,
             "run -m models/demo-hunyuan --prompt=In_the_beginning -n 12 --device csim --profile "
             "%s/trace.json",
             dir);
    cli_run(&b, line);
    CU_ASSERT_EQUAL(b.code, 0);
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
    CU_ASSERT_PTR_NULL(strstr(a.err, "profile"));
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "reports no cycles"));
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "EXPERT q8"));
    CU_ASSERT_PTR_NOT_NULL(strstr(b.err, "dense on the CPU"));
    check_trace(dir);
    strcat(line, " --json");
    cli_run(&b, line);
    check_trace(dir);
    json_t *o = json_loads(b.out, JSON_REJECT_DUPLICATES, NULL), *p = json_object_get(o, "profile");
    CU_ASSERT_FATAL(json_is_object(p));
    CU_ASSERT(json_array_size(json_object_get(p, "operations")) >= 4);
    CU_ASSERT(json_array_size(json_object_get(p, "host")) >= 8);
    json_t *device = json_object_get(p, "device");
    CU_ASSERT(json_is_null(json_object_get(device, "simulated_cycles")));
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(device, "launches")),
                    json_integer_value(json_object_get(o, "launches")));
    CU_ASSERT_PTR_NULL(strstr(b.err, "EXPERT"));
    json_decref(o);
    check_error("run -m models/demo-hunyuan -p x --profile /nonexistent/t.json", 3, "IO");
    check_error("run -m models/demo-hunyuan -p x --profile /dev/null", 3, "IO");
    check_error("info models/demo-hunyuan --profile x", 2, "USAGE");
}

static void ctrl_c_leaves_a_whole_trace(void)
{
    static struct cli_result r;
    char dir[256], out[300], err[300], line[700];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(err, sizeof err, "%s/err", dir);
    snprintf(line, sizeof line,
             "run -m models/demo-hunyuan --prompt=And -c 100000 --temp 1 --device csim "
             "--profile %s/trace.json",
             dir);
    pid_t pid = cli_start(line, NULL, out, err);
    wait_for_output(out);
    poll(NULL, 0, 300);
    CU_ASSERT_EQUAL(kill(pid, SIGINT), 0);
    CU_ASSERT_EQUAL(cli_finish(pid), 130);
    cli_read(err, r.err);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "ROUTER"));
    check_trace(dir);
}

/* ---- perplexity, info, convert */

/* The scores of the second half of one window, from the logits that `logits` writes. */
static double window_nll(const float *logits, const int32_t *ids, size_t n, size_t n_vocab)
{
    double nll = 0;
    for (size_t j = n / 2; j + 1 < n; j++) {
        const float *row = logits + j * n_vocab;
        double sum = 0;
        for (size_t v = 0; v < n_vocab; v++)
            sum += exp((double)row[v]);
        nll += log(sum) - (double)row[ids[j + 1]];
    }
    return nll;
}

static void perplexity_scores_the_second_half_of_each_window(void)
{
    struct golden g;
    static struct cli_result r;
    char dir[256], ids[300], line[1024];
    size_t n = 0, n_logit = 0;
    CU_ASSERT_FATAL(golden_open(&g, "hunyuan-large-cla2"));
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    const int32_t *id = golden_i32(&g, "input_ids", &n);
    const float *logits = golden_f32(&g, "logits", &n_logit);
    CU_ASSERT_FATAL(id && logits);
    ids_file(dir, id, n, ids, sizeof ids);
    snprintf(line, sizeof line,
             "perplexity -m %s/hunyuan-large-cla2 --exact --tokens %s -c %zu -b 5 --json",
             sl_golden_dir(), ids, n);
    cli_run(&r, line);
    CU_ASSERT_EQUAL_FATAL(r.code, 0);
    json_t *o = json_loads(r.out, 0, NULL);
    double want = exp(window_nll(logits, id, n, n_logit / n) / (double)(n - 1 - n / 2));
    double got = json_real_value(json_object_get(o, "perplexity"));
    CU_ASSERT_DOUBLE_EQUAL(got / want, 1, 1e-3);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "windows")), 1);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "tokens_scored")),
                    (json_int_t)(n - 1 - n / 2));
    CU_ASSERT_PTR_NULL(json_object_get(o, "kl_divergence"));
    json_decref(o);
    golden_close(&g);
}

static void quantised_models_are_compared_with_the_exact_one(void)
{
    static struct cli_result r;
    cli_run(&r,
            "perplexity -m models/demo-hunyuan -f models/heldout/en.txt --no-reference -c 4000000 "
            "--json");
    CU_ASSERT_EQUAL(r.code, 2);
    char dir[256], path[300], line[512], text[4096 / SL_THIN(2)];
    FILE *f = fopen("models/heldout/en.txt", "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/text", dir);
    write_text(path, text);
    snprintf(line, sizeof line, "perplexity -m models/demo-hunyuan -f %s -c 128 --json", path);
    cli_run(&r, line);
    CU_ASSERT_EQUAL_FATAL(r.code, 0);
    json_t *o = json_loads(r.out, 0, NULL);
    double kl = json_real_value(json_object_get(o, "kl_divergence"));
    double ppl = json_real_value(json_object_get(o, "perplexity"));
    double exact = json_real_value(json_object_get(o, "exact_perplexity"));
    CU_ASSERT(kl > 0 && kl < 0.05);
    CU_ASSERT(fabs(log(ppl / exact)) < 0.05);
    CU_ASSERT(json_real_value(json_object_get(o, "bits_per_byte")) > 0.1);
    CU_ASSERT(json_real_value(json_object_get(o, "top1_flip_rate")) < 0.1);
    json_decref(o);
}

static void memory_is_planned_before_anything_is_loaded(void)
{
    static struct cli_result r;
    cli_run(&r, "info models/demo-yuan --in-memory --device cpu -c 16");
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "routed experts in memory   96 of 96"));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "altogether"));
    cli_run(&r, "info models/demo-yuan --in-memory --device cpu -c 16 --host-memory 100M");
    CU_ASSERT_EQUAL(r.code, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "the limit given leaves 0.10: work buffers"));
    check_error("run -m models/demo-yuan -p x -n 1 --host-memory 100M", 1, "NOMEM");
    check_error("info models/demo-yuan --host-memory 1G", 2, "USAGE");
}

static void info_needs_no_weights(void)
{
    static struct cli_result r;
    cli_run(&r, "info tests/configs/hunyuan-large-instruct.json --json");
    CU_ASSERT_EQUAL_FATAL(r.code, 0);
    json_t *o = json_loads(r.out, 0, NULL);
    /* 4 L H D and 2 L G D bytes for 64 layers, 80 heads, 8 K/V heads of 80, two layers sharing. */
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "kv_bytes_mha_bf16")), 1638400);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "kv_bytes_bf16")), 81920);
    CU_ASSERT_DOUBLE_EQUAL(json_real_value(json_object_get(o, "kv_percent_of_mha")), 5.0, 1e-9);
    json_decref(o);
    cli_run(&r, "info tests/configs/hunyuan-large-instruct.json");
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "81920 (5.00 %)"));
    /* A cache of 131,072 tokens: 2 records a head, layer pair and token, 82 bytes in int8, 49 in
     * int4. */
    cli_run(&r, "info tests/configs/hunyuan-large-instruct.json -c 131072 --json");
    o = json_loads(r.out, 0, NULL);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(o, "kv_cache_bytes")), 5502926848);
    json_decref(o);
    cli_run(&r, "info tests/configs/hunyuan-large-instruct.json -c 131072 -ctk f32 -ctv int4");
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "KV cache of 131072 tokens, K f32, V int4"));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "12381585408 bytes")); /* 320 and 49 */
    cli_run(&r, "info models/demo-hunyuan");
    CU_ASSERT_PTR_NOT_NULL(strstr(r.out, "weights"));
}

static void a_converted_model_generates_the_same_text(void)
{
    static struct cli_result a, b;
    char dir[256], line[512];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(line, sizeof line, "convert %s %s/m --format nf4", demo, dir);
    cli_run(&a, line);
    CU_ASSERT_EQUAL_FATAL(a.code, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.out, "bytes in"));
    cli_run(&a, line);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.out, "there already"));
    snprintf(line, sizeof line, "convert %s %s/m --format q8", demo, dir);
    cli_run(&a, line);
    CU_ASSERT_EQUAL(a.code, 2);
    snprintf(line, sizeof line, "run -m %s/m --prompt=In_the_beginning -n 16", dir);
    cli_run(&a, line);
    cli_run(&b, "run -m models/demo-hunyuan --format nf4 --prompt=In_the_beginning -n 16");
    CU_ASSERT_EQUAL(a.code, 0);
    CU_ASSERT_STRING_EQUAL(a.out, b.out);
}

static const struct sl_case cases[] = {
    {"wrong_command_lines_exit_with_2", wrong_command_lines_exit_with_2},
    {"missing_and_damaged_files_exit_with_3", missing_and_damaged_files_exit_with_3},
    {"help_and_version_answer_on_stdout", help_and_version_answer_on_stdout},
    {"logits_equal_the_golden_ones", logits_equal_the_golden_ones},
    {"greedy_runs_continue_as_the_reference_does", greedy_runs_continue_as_the_reference_does},
    {"json_reports_what_ran_where", json_reports_what_ran_where},
    {"a_run_repeats_and_its_seed_matters", a_run_repeats_and_its_seed_matters},
    {"the_text_does_not_depend_on_where_matrices_are_computed",
     the_text_does_not_depend_on_where_matrices_are_computed},
    {"a_file_to_continue_loses_its_last_line_break", a_file_to_continue_loses_its_last_line_break},
    {"text_sources_agree", text_sources_agree},
    {"ctrl_c_keeps_the_text_and_exits_with_130", ctrl_c_keeps_the_text_and_exits_with_130},
    {"a_profile_is_a_trace_a_table_and_json", a_profile_is_a_trace_a_table_and_json},
    {"ctrl_c_leaves_a_whole_trace", ctrl_c_leaves_a_whole_trace},
    {"perplexity_scores_the_second_half_of_each_window",
     perplexity_scores_the_second_half_of_each_window},
    {"quantised_models_are_compared_with_the_exact_one",
     quantised_models_are_compared_with_the_exact_one},
    {"info_needs_no_weights", info_needs_no_weights},
    {"memory_is_planned_before_anything_is_loaded", memory_is_planned_before_anything_is_loaded},
    {"a_converted_model_generates_the_same_text", a_converted_model_generates_the_same_text},
    {NULL, NULL},
};
const struct sl_suite suite_cli = {"cli", cases};
