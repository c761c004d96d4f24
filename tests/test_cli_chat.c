/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice chat` as a user talks to it: turns through a pipe, commands, Ctrl-C, full contexts. */
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli_rig.h"
#include "temp_file.h"
#include "test_main.h"

#define DEMO "chat -m models/demo-hunyuan --device cpu "

enum { MAX_TURN = 24 };

/* What came out of a conversation: one object for each turn. */
struct turns {
    struct cli_result r;
    json_t *turn[MAX_TURN];
    size_t n;
};

static void put_text(char *path, size_t cap, const char *text)
{
    char dir[256];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "turns", text, strlen(text));
    snprintf(path, cap, "%s/turns", dir);
}

static void talk(struct turns *t, const char *line, const char *text)
{
    char path[300];
    put_text(path, sizeof path, text);
    cli_run_with_input(&t->r, line, path);
    CU_ASSERT_EQUAL(t->r.code, 0);
    t->n = 0;
    for (char *at = t->r.out; *at && t->n < MAX_TURN; at = strchr(at, '\n') + 1) {
        t->turn[t->n] = json_loads(at, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t->turn[t->n]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(strchr(at, '\n'));
        t->n++;
    }
}

static void free_turns(struct turns *t)
{
    for (size_t i = 0; i < t->n; i++)
        json_decref(t->turn[i]);
    t->n = 0;
}

static json_t *get(const struct turns *t, size_t i, const char *key)
{
    CU_ASSERT_FATAL(i < t->n);
    json_t *v = json_object_get(t->turn[i], key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    return v;
}

static json_int_t get_int(const struct turns *t, size_t i, const char *key)
{
    return json_integer_value(get(t, i, key));
}

static bool is_stop(const struct turns *t, size_t i, const char *why)
{
    return !strcmp(json_string_value(get(t, i, "stop")), why);
}

/* ---- what the cache holds */

/* The ids in the cache after turn 0 and those read for turn 1, evaluated at once, are answered as
 * turn 1 was. */
static void a_second_turn_is_read_on_top_of_the_first(void)
{
    static struct turns t;
    static struct cli_result r;
    char dir[256], path[300], line[512];
    talk(&t, DEMO "--json -n 9 --temp 0 --system Brief", "Who art thou?\nAnd then?");
    CU_ASSERT_EQUAL_FATAL(t.n, 2);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/ids", dir);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    json_t *lists[] = {get(&t, 0, "prompt_token_ids"), get(&t, 0, "token_ids"),
                       get(&t, 1, "prompt_token_ids")};
    const size_t held = json_array_size(lists[0]) + (size_t)get_int(&t, 0, "decode_tokens");
    CU_ASSERT_EQUAL((size_t)get_int(&t, 1, "cached_tokens"), held);
    CU_ASSERT_EQUAL(get_int(&t, 0, "cached_tokens"), 0);
    for (size_t l = 0, written = 0; l < 3; l++)
        for (size_t i = 0; i < json_array_size(lists[l]) && (l == 2 || written < held); i++)
            fprintf(f, "%d ", (int)json_integer_value(json_array_get(lists[l], i))), written++;
    fclose(f);
    snprintf(line, sizeof line,
             "run -m models/demo-hunyuan --device cpu --json -n 9 --temp 0 --tokens %s", path);
    cli_run(&r, line);
    json_t *whole = json_loads(r.out, 0, NULL);
    CU_ASSERT(json_equal(json_object_get(whole, "token_ids"), get(&t, 1, "token_ids")));
    json_decref(whole);
    free_turns(&t);
}

static void one_prompt_is_the_first_turn(void)
{
    static struct turns t;
    static struct cli_result r;
    talk(&t, DEMO "--json -n 5 --temp 0 --system Brief", "Who art thou?");
    cli_run(&r, "run -m models/demo-hunyuan --device cpu --json -n 5 --temp 0 --system Brief "
                "--chat --prompt=Who_art_thou?");
    json_t *run = json_loads(r.out, 0, NULL);
    CU_ASSERT(json_equal(json_object_get(run, "prompt_token_ids"), get(&t, 0, "prompt_token_ids")));
    CU_ASSERT(json_equal(json_object_get(run, "token_ids"), get(&t, 0, "token_ids")));
    json_t *from = json_object_get(run, "sampling_from");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(from, "temperature")), "option");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(from, "top_k")),
                           "generation_config.json");
    json_decref(run);
    free_turns(&t);
}

/* ---- commands */

static void commands_do_what_they_say(void)
{
    static struct turns a, b;
    /* Greedy: the same conversation has the same answers, whatever was in the cache and in the
     * penalty's memory before. */
    talk(&a, DEMO "--json -n 8 --temp 0",
         "\n  \nWho art thou?\n/regen\nMore\\\nof it\n/reset\n/nothing\n/regen\nWho art "
         "thou?\n/exit\nx\n");
    CU_ASSERT_EQUAL_FATAL(a.n, 4);
    CU_ASSERT(json_equal(get(&a, 0, "token_ids"), get(&a, 1, "token_ids")));
    CU_ASSERT(json_equal(get(&a, 0, "token_ids"), get(&a, 3, "token_ids")));
    CU_ASSERT(json_equal(get(&a, 0, "prompt_token_ids"), get(&a, 3, "prompt_token_ids")));
    CU_ASSERT(get_int(&a, 2, "cached_tokens") > 0 && get_int(&a, 3, "cached_tokens") == 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.r.err, "note: /nothing: not a command"));
    CU_ASSERT_PTR_NOT_NULL(strstr(a.r.err, "note: /regen: nothing was asked yet"));
    free_turns(&a);
    /* A seed repeats all of a conversation, and another answer is another one. */
    talk(&a, DEMO "--json -n 8 --temp 1 -s 5", "Who art thou?\n/regen\n/help\n");
    talk(&b, DEMO "--json -n 8 --temp 1 -s 5 -b 2", "Who art thou?\r\n/regen\r\n");
    CU_ASSERT(a.n == 2 && b.n == 2);
    CU_ASSERT(json_equal(get(&a, 0, "token_ids"), get(&b, 0, "token_ids")));
    CU_ASSERT(json_equal(get(&a, 1, "token_ids"), get(&b, 1, "token_ids")));
    CU_ASSERT_FALSE(json_equal(get(&a, 0, "token_ids"), get(&a, 1, "token_ids")));
    CU_ASSERT_PTR_NOT_NULL(strstr(a.r.err, "/reset"));
    free_turns(&a);
    free_turns(&b);
}

static void the_end_of_input_ends_it(void)
{
    static struct turns t;
    talk(&t, DEMO "--json", "");
    CU_ASSERT(t.n == 0 && !t.r.err[0]);
    talk(&t, DEMO "-n 3 --json", "no line break");
    CU_ASSERT_EQUAL(t.n, 1);
    free_turns(&t);
}

/* ---- full contexts */

static void a_full_context_drops_the_oldest_turns(void)
{
    static struct turns t;
    talk(&t, DEMO "--json -n 9 --temp 0 -c 64 --system Brief",
         "Who art thou?\nAnd then?\nAnd then?\nAnd then?\nAnd then?\nAnd then?\n");
    CU_ASSERT_EQUAL_FATAL(t.n, 6);
    json_int_t dropped = 0;
    json_t *system = get(&t, 0, "prompt_token_ids");
    for (size_t i = 0; i < t.n; i++) {
        json_t *read = get(&t, i, "prompt_token_ids");
        json_int_t n = get_int(&t, i, "cached_tokens") + (json_int_t)json_array_size(read) +
                       get_int(&t, i, "decode_tokens");
        CU_ASSERT(n <= 64 && !is_stop(&t, i, "context"));
        dropped += get_int(&t, i, "dropped_turns");
        if (!get_int(&t, i, "dropped_turns"))
            continue;
        /* What is left is read anew, and the system message is still there. */
        CU_ASSERT_EQUAL(get_int(&t, i, "cached_tokens"), 0);
        for (size_t k = 0; k < 3; k++)
            CU_ASSERT(json_equal(json_array_get(read, k), json_array_get(system, k)));
    }
    CU_ASSERT(dropped > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(t.r.err, "the oldest turns were dropped"));
    free_turns(&t);
}

static void what_does_not_fit_is_told(void)
{
    static struct turns t;
    talk(&t, DEMO "--json --temp 0 -c 24",
         "Who art thou?\nA turn of far more than twenty-four tokens, whatever its words are: "
         "abcdefghijklmnopqrstuvwxyz\nAnd then?\n");
    CU_ASSERT_EQUAL_FATAL(t.n, 2);
    CU_ASSERT(is_stop(&t, 0, "context"));
    CU_ASSERT(get_int(&t, 1, "dropped_turns") == 1 && get_int(&t, 1, "cached_tokens") == 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(t.r.err, "do not fit a context of 24; hint: shorten it"));
    free_turns(&t);
}

/* ---- Ctrl-C */

/* Waits until the file has more than `from` bytes; returns how many. */
static long wait_for(const char *path, long from)
{
    struct stat st;
    for (unsigned i = 0; i < 6000; i++) {
        if (!stat(path, &st) && st.st_size > from)
            return st.st_size;
        poll(NULL, 0, 5);
    }
    CU_FAIL("nothing came within 30 s");
    return from;
}

struct dialogue {
    char in[300], out[300], err[300];
    int to; /* the program's standard input */
    pid_t pid;
};

static void begin(struct dialogue *d, const char *line)
{
    char dir[256];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(d->in, sizeof d->in, "%s/in", dir);
    snprintf(d->out, sizeof d->out, "%s/out", dir);
    snprintf(d->err, sizeof d->err, "%s/err", dir);
    CU_ASSERT_EQUAL_FATAL(mkfifo(d->in, 0600), 0);
    d->pid = cli_start(line, d->in, d->out, d->err);
    d->to = open(d->in, O_WRONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(d->to >= 0);
}

static void say(const struct dialogue *d, const char *text)
{
    CU_ASSERT_EQUAL(write(d->to, text, strlen(text)), (ssize_t)strlen(text));
}

/* Numbers of a statistics line. */
static const char *read_rates(const char *at, int *prefill, int *decode, int *cached)
{
    at = strstr(at, "prefill ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    CU_ASSERT_EQUAL(sscanf(at,
                           "prefill %d tokens, %*f tok/s; decode %d tokens, %*f tok/s; %d tokens",
                           prefill, decode, cached),
                    3);
    return strchr(at, '\n') + 1;
}

/* A hot sampler hardly ever ends an answer by itself. */
static void ctrl_c_stops_the_answer_and_not_the_program(void)
{
    static char err[CLI_MAX_OUTPUT];
    struct dialogue d;
    int prefill[2], decode[2], cached[2];
    begin(&d, "chat -m models/demo-hunyuan -v -c 100000 --temp 3 --top-k 0 --top-p 1 "
              "--repeat-penalty 1 -s 3");
    long told = wait_for(d.err, 0); /* the settings */
    say(&d, "first\n");
    wait_for(d.out, 0);
    CU_ASSERT_EQUAL(kill(d.pid, SIGINT), 0);
    wait_for(d.err, told); /* the statistics: the answer is over */
    cli_read(d.out, err);
    const long shown = (long)strlen(err);
    say(&d, "second\n");
    wait_for(d.out, shown);
    CU_ASSERT_EQUAL(kill(d.pid, SIGINT), 0);
    close(d.to);
    CU_ASSERT_EQUAL(cli_finish(d.pid), 0);
    cli_read(d.err, err);
    const char *next = read_rates(err, &prefill[0], &decode[0], &cached[0]);
    read_rates(next, &prefill[1], &decode[1], &cached[1]);
    CU_ASSERT(cached[0] == 0 && cached[1] == prefill[0] + decode[0]);
    const char *stop = strstr(err, "stop: interrupt\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(stop);
    CU_ASSERT_PTR_NOT_NULL(strstr(stop + 1, "stop: interrupt\n"));
}

static void ctrl_c_at_the_prompt_exits_with_130(void)
{
    struct dialogue d;
    begin(&d, DEMO "-v");
    wait_for(d.err, 0);
    CU_ASSERT_EQUAL(kill(d.pid, SIGINT), 0);
    CU_ASSERT_EQUAL(cli_finish(d.pid), 130);
    close(d.to);
}

/* ---- a terminal */

static void a_terminal_has_a_prompt(void)
{
    static char out[CLI_MAX_OUTPUT];
    struct dialogue d = {.to = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    char dir[256];
    CU_ASSERT_FATAL(d.to >= 0 && !grantpt(d.to) && !unlockpt(d.to));
    CU_ASSERT_EQUAL_FATAL(ptsname_r(d.to, d.in, sizeof d.in), 0);
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(d.out, sizeof d.out, "%s/out", dir);
    snprintf(d.err, sizeof d.err, "%s/err", dir);
    d.pid = cli_start(DEMO "-n 3", d.in, d.out, d.err);
    wait_for(d.out, 1);
    say(&d, "go\\\n");
    wait_for(d.out, 3);
    say(&d, "on\n");
    wait_for(d.out, 5);
    say(&d, "/exit\n");
    CU_ASSERT_EQUAL(cli_finish(d.pid), 0);
    cli_read(d.out, out);
    CU_ASSERT_EQUAL(strncmp(out, "> | ", 4), 0);
    cli_read(d.err, out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "conversation as hunyuan"));
    close(d.to);
}

/* ---- refusals */

static void check_error(const char *line, int code, const char *start)
{
    static struct cli_result r;
    cli_run(&r, line);
    if (r.code != code || strncmp(r.err, start, strlen(start)))
        printf("\n  %s -> %d\n  %s", line, r.code, r.err);
    CU_ASSERT_EQUAL(r.code, code);
    CU_ASSERT_EQUAL(strncmp(r.err, start, strlen(start)), 0);
    CU_ASSERT(!r.out[0] && strchr(r.err, '\n') == r.err + strlen(r.err) - 1);
}

static void what_makes_no_sense_is_refused(void)
{
    char dir[256], line[600];
    check_error("chat", 2, "error: USAGE chat: no model given");
    check_error(DEMO "-p x", 2, "error: USAGE --prompt: not an option of `chat`");
    check_error("run -m M -p x --system y", 2, "error: USAGE --system: the text is not");
    check_error("run -m M -p x --chat-template y", 2, "error: USAGE --chat-template: the text");
    check_error("run -m M --tokens x --chat", 2, "error: USAGE --chat: token ids");
    check_error(DEMO "--chat-template nobody", 2, "error: USAGE chat template nobody");
    check_error(DEMO "--chat-template yuan", 3, "error: UNSUPPORTED chat template yuan");
    check_error("chat -m /nonexistent", 3, "error: IO");
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    temp_file_put(dir, "generation_config.json", "{\"top_p\": NaN}", 14);
    snprintf(line, sizeof line, "chat -m %s", dir);
    check_error(line, 3, "error: FORMAT ");
}

static const struct sl_case cases[] = {
    {"a_second_turn_is_read_on_top_of_the_first", a_second_turn_is_read_on_top_of_the_first},
    {"one_prompt_is_the_first_turn", one_prompt_is_the_first_turn},
    {"commands_do_what_they_say", commands_do_what_they_say},
    {"the_end_of_input_ends_it", the_end_of_input_ends_it},
    {"a_full_context_drops_the_oldest_turns", a_full_context_drops_the_oldest_turns},
    {"what_does_not_fit_is_told", what_does_not_fit_is_told},
    {"ctrl_c_stops_the_answer_and_not_the_program", ctrl_c_stops_the_answer_and_not_the_program},
    {"ctrl_c_at_the_prompt_exits_with_130", ctrl_c_at_the_prompt_exits_with_130},
    {"a_terminal_has_a_prompt", a_terminal_has_a_prompt},
    {"what_makes_no_sense_is_refused", what_makes_no_sense_is_refused},
    {NULL, NULL},
};
const struct sl_suite suite_cli_chat = {"cli_chat", cases};
