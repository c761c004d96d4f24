/* SPDX-License-Identifier: Apache-2.0 */
/* The command line without a model: the option table, texts that arrive in pieces, .npy files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/console.h"
#include "cli/npy.h"
#include "cli/options.h"
#include "cli/utf8_stream.h"
#include "test_main.h"

enum { MAX_ARG = 32 };

/* Splits at single spaces; getopt may reorder the pointers, never the text. */
static bool parse(const char *line, struct sl_options *o, struct sl_complaint *why)
{
    static char text[512]; /* options point into it until the next call */
    char *argv[MAX_ARG] = {(char[]){"sluice"}};
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word && argc < MAX_ARG - 1; word = strtok(NULL, " "))
        argv[argc++] = word;
    memset(why, 0, sizeof *why);
    return sl_options_parse(o, argc, argv, why);
}

/* What makes each verb complete. */
static const char *const minimal[SL_N_VERB] = {
    [SL_VERB_RUN] = "run --model=M --prompt=P",
    [SL_VERB_CHAT] = "chat -m M",
    [SL_VERB_CONVERT] = "convert A B",
    [SL_VERB_INFO] = "info M",
    [SL_VERB_TOKENIZE] = "tokenize --model=M",
    [SL_VERB_LOGITS] = "logits --model=M --tokens=T --output=O",
    [SL_VERB_PERPLEXITY] = "perplexity --model=M --file=F",
    [SL_VERB_DEVICES] = "devices",
    [SL_VERB_VALIDATE] = "validate",
    [SL_VERB_CACHE] = "cache --trace=T --slots=1",
    [SL_VERB_BENCH] = "bench",
    [SL_VERB_PLAN] = "plan config.json",
    [SL_VERB_HELP] = "help",
    [SL_VERB_VERSION] = "version",
};

static void value_for(const struct sl_option *opt, char *out, size_t cap)
{
    if (opt->kind == SL_OPTION_TEXT)
        snprintf(out, cap, "some");
    else if (opt->kind == SL_OPTION_CHOICE)
        snprintf(out, cap, "%.*s", (int)strcspn(opt->value, "|"), opt->value);
    else
        snprintf(out, cap, "%d", opt->max >= 1 ? 1 : 0);
}

static bool holds(const struct sl_options *o, const struct sl_option *opt, const char *value)
{
    const void *field = (const char *)o + opt->field;
    switch (opt->kind) {
    case SL_OPTION_FLAG: return *(const bool *)field;
    case SL_OPTION_INT:
    case SL_OPTION_SIZE: return *(const int64_t *)field == atol(value);
    case SL_OPTION_REAL: return fabs(*(const double *)field - atof(value)) < 1e-12;
    default: return *(const char *const *)field && !strcmp(*(const char *const *)field, value);
    }
}

static void every_option_parses_where_it_applies_and_only_there(void)
{
    struct sl_options o;
    struct sl_complaint why;
    for (size_t i = 0; i < sl_n_option; i++) {
        const struct sl_option *opt = &sl_option_table[i];
        char value[32], line[256];
        value_for(opt, value, sizeof value);
        for (int v = 0; v < SL_N_VERB; v++) {
            bool applies = opt->verbs >> v & 1;
            /* --help stands for what a verb needs, so that one option alone can be tried. */
            bool help = !strcmp(opt->name, "help");
            snprintf(line, sizeof line, "%s%s --%s %s", sl_verb_name((enum sl_verb)v),
                     help ? "" : " --help", opt->name, opt->kind == SL_OPTION_FLAG ? "" : value);
            bool ok = parse(line, &o, &why);
            if (ok != applies)
                printf("\n  %s: %s\n", line, why.what);
            CU_ASSERT_EQUAL(ok, applies);
            CU_ASSERT(ok ? holds(&o, opt, value) : strstr(why.what, "not an option of") != NULL);
            if (!ok || !opt->alias)
                continue;
            snprintf(line, sizeof line, "%s%s -%s %s", sl_verb_name((enum sl_verb)v),
                     help ? "" : " --help", opt->alias, opt->kind == SL_OPTION_FLAG ? "" : value);
            CU_ASSERT(parse(line, &o, &why) && holds(&o, opt, value));
        }
    }
}

static void names_and_aliases_are_unique(void)
{
    for (size_t i = 0; i < sl_n_option; i++)
        for (size_t j = 0; j < sl_n_option; j++) {
            const struct sl_option *a = &sl_option_table[i], *b = &sl_option_table[j];
            CU_ASSERT(i == j || strcmp(a->name, b->name));
            CU_ASSERT(!a->alias || strcmp(a->alias, b->name));
            CU_ASSERT(i == j || !a->alias || !b->alias || strcmp(a->alias, b->alias));
        }
}

static void help_lists_every_option_of_the_verb(void)
{
    for (int v = 0; v < SL_N_VERB; v++) {
        char *text = NULL, name[64];
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        sl_options_help(f, (enum sl_verb)v);
        fclose(f);
        for (size_t i = 0; i < sl_n_option && v != SL_VERB_HELP; i++) {
            snprintf(name, sizeof name, "--%s ", sl_option_table[i].name);
            const char *options = strstr(text, "options:");
            bool listed = options && strstr(options, name);
            if (listed != (sl_option_table[i].verbs >> v & 1))
                printf("\n  %s of %s\n", name, sl_verb_name((enum sl_verb)v));
            CU_ASSERT_EQUAL(listed, (bool)(sl_option_table[i].verbs >> v & 1));
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "exit codes"));
        free(text);
    }
}

static void verbs_are_complete_with_what_they_need(void)
{
    struct sl_options o;
    struct sl_complaint why;
    for (int v = 0; v < SL_N_VERB; v++) {
        CU_ASSERT(parse(minimal[v], &o, &why));
        CU_ASSERT_EQUAL(o.verb, (enum sl_verb)v);
    }
    CU_ASSERT(parse("--help", &o, &why) && o.verb == SL_VERB_HELP);
    CU_ASSERT(parse("--version", &o, &why) && o.verb == SL_VERB_VERSION);
    CU_ASSERT(parse("help run", &o, &why) && o.verb == SL_VERB_RUN && o.help);
    CU_ASSERT(parse("run -h", &o, &why) && o.help);
}

static void spellings_of_other_programs_work(void)
{
    struct sl_options o;
    struct sl_complaint why;
    CU_ASSERT_FATAL(
        parse("run -m M -p P -n 64 -c 512 -t 2 -b 32 -temp 0.5 -top-k 3 -s 7 -ctk int4 -ctv f32",
              &o, &why));
    CU_ASSERT_EQUAL(o.n_predict, 64);
    CU_ASSERT_EQUAL(o.ctx_size, 512);
    CU_ASSERT_EQUAL(o.threads, 2);
    CU_ASSERT_EQUAL(o.batch_size, 32);
    CU_ASSERT_DOUBLE_EQUAL(o.temp, 0.5, 0);
    CU_ASSERT_EQUAL(o.top_k, 3);
    CU_ASSERT_EQUAL(o.seed, 7);
    CU_ASSERT_STRING_EQUAL(o.cache_type_k, "int4");
    CU_ASSERT_STRING_EQUAL(o.cache_type_v, "f32");
    CU_ASSERT(parse("run -mM -pP -n64 --n-predict", &o, &why) == false);
    CU_ASSERT(parse("run -mM -pP -n64", &o, &why) && o.n_predict == 64);
    CU_ASSERT(parse("run -m M -p P -n -1", &o, &why) && o.n_predict == -1);
    CU_ASSERT(parse("run -m M --prompt=--help", &o, &why) && !o.help &&
              !strcmp(o.prompt, "--help"));
    CU_ASSERT(parse("convert A B --format nf4", &o, &why) && !strcmp(o.arg[1], "B"));
    CU_ASSERT(parse("convert --format nf4 -- A B", &o, &why) && !strcmp(o.arg[0], "A"));
    CU_ASSERT(parse("run -m M -f -", &o, &why) && !strcmp(o.file, "-"));
}

static void settings_that_are_not_given_are_the_models(void)
{
    struct sl_options o;
    struct sl_complaint why;
    CU_ASSERT_FATAL(parse(minimal[SL_VERB_RUN], &o, &why));
    CU_ASSERT(isnan(o.temp) && isnan(o.top_p) && isnan(o.repeat_penalty));
    CU_ASSERT_EQUAL(o.top_k, -1);
    CU_ASSERT_EQUAL(o.n_predict, -1);
    CU_ASSERT_EQUAL(o.seed, 0);
    CU_ASSERT_PTR_NULL(o.format);
}

static void wrong_lines_are_refused_with_reason_and_hint(void)
{
    static const char *const wrong[][3] = {
        {"", "no verb", "sluice help"},
        {"jump", "jump: not a verb", "sluice help"},
        {"-m M", "-m: not a verb", "verb comes first"},
        {"help jump", "help jump: not a verb", "sluice help"},
        {"run", "no model", "-m MODEL"},
        {"run -m M", "no text", "-p TEXT"},
        {"run -m M -p P -f F", "several texts", "one of"},
        {"run -m M -p P x", "x: unexpected argument", "sluice run"},
        {"run -m M -p", "--prompt: the value is missing", "--prompt TEXT"},
        {"run -m -p P", "--model: the value is missing", "--model=VALUE"},
        {"run -m M -p P -n", "--n-predict: the value is missing", "--n-predict N"},
        {"run -m M -p P -n ten", "--n-predict ten: not a whole number", "from -1"},
        {"run -m M -p P -n 1.5", "not a whole number", "from -1"},
        {"run -m M -p P -n 0x10", "not a whole number", "from -1"},
        {"run -m M -p P -n -2", "out of range", "from -1"},
        {"run -m M -p P -n 99999999999999999999", "out of range", "from -1"},
        {"run -m M -p P -c -1", "out of range", "from 0"},
        {"run -m M -p P --temp hot", "--temp hot: not a number", "from 0"},
        {"run -m M -p P --temp nan", "not a number", "from 0"},
        {"run -m M -p P --temp inf", "not a number", "from 0"},
        {"run -m M -p P --temp -1", "out of range", "from 0"},
        {"run -m M -p P --top-p 1.5", "out of range", "from 0 to 1"},
        {"run -m M -p P --repeat-penalty 0", "must be above 0", "no penalty"},
        {"run -m M -p P --format q9", "--format q9: unknown value", "nf4|int4|mxfp4|q8|fp8"},
        {"run -m M -p P --format q", "--format q: unknown value", "nf4"},
        {"run -m M -p P --json=1", "--json: takes no value", "without ="},
        {"run -m M -m N -p P", "--model: given twice", "once"},
        {"run -m M --model N -p P", "--model: given twice", "once"},
        {"run -m M -p P --tem 1", "--tem: unknown option", "--temp?"},
        {"run -m M -p P --sede 1", "--sede: unknown option", "--seed?"},
        {"run -m M -p P --frobnicate", "--frobnicate: unknown option", "sluice run --help"},
        {"run -m M -p P -x", "-x: unknown option", "sluice run --help"},
        {"run -m M -p P --force", "--force: not an option of `run`", "sluice run --help"},
        {"run -m M -p P --exact --format q8", "--exact", "leave out"},
        {"run -m= -p P", "--model: the value is empty", "give a value"},
        {"run -m M -p P --host-memory 8X", "8X: not a size", "K, M, G or T"},
        {"run -m M -p P --host-memory 8GB", "8GB: not a size", "K, M, G or T"},
        {"run -m M -p P --host-memory G", "G: not a size", "K, M, G or T"},
        {"run -m M -p P --host-memory -1", "-1: not a size", "K, M, G or T"},
        {"run -m M -p P --host-memory 0", "0: out of range", "K, M, G or T"},
        {"run -m M -p P --host-memory 99999999T", "out of range", "K, M, G or T"},
        {"tokenize -p P", "no model", "-m MODEL"},
        {"logits -m M --tokens T", "no output", "-o FILE"},
        {"perplexity -m M", "no text", "-f FILE"},
        {"perplexity -m M -f F --reference R --no-reference", "contradicts", "leave out"},
        {"convert A", "1 of 2", "IN_DIR OUT_DIR"},
        {"convert A B C", "C: unexpected", "IN_DIR OUT_DIR"},
        {"info", "no model", "info MODEL"},
        {"info A -m B", "twice", "info MODEL"},
        {"devices now", "now: unexpected", "sluice devices"},
    };
    struct sl_options o;
    struct sl_complaint why;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bool refused = !parse(wrong[i][0], &o, &why);
        bool good = refused && strstr(why.what, wrong[i][1]) && strstr(why.hint, wrong[i][2]);
        if (!good)
            printf("\n  %s -> %s; hint: %s\n", wrong[i][0], why.what, why.hint);
        CU_ASSERT(good);
    }
}

/* ---- text in pieces */

static void check_stream(const char *const *part, const char *want)
{
    struct sl_utf8_stream s = {0};
    for (; *part; part++)
        CU_ASSERT(sl_utf8_stream_add(&s, *part, strlen(*part)));
    CU_ASSERT(sl_utf8_stream_end(&s));
    CU_ASSERT_STRING_EQUAL(s.text.v, want);
    sl_utf8_stream_free(&s);
}

#define FFFD "\xef\xbf\xbd"
#define STREAM(want, ...) check_stream((const char *const[]){__VA_ARGS__, NULL}, want)

static void characters_wait_until_they_are_whole(void)
{
    struct sl_utf8_stream s = {0};
    CU_ASSERT(sl_utf8_stream_add(&s, "a\xe6\xb7", 3));
    CU_ASSERT_STRING_EQUAL(s.text.v, "a");
    CU_ASSERT(sl_utf8_stream_add(&s, "\xb7", 1));
    CU_ASSERT_STRING_EQUAL(s.text.v, "a\xe6\xb7\xb7");
    CU_ASSERT(sl_utf8_stream_add(&s, "\xf0\x9f\x99", 3));
    CU_ASSERT_STRING_EQUAL(s.text.v, "a\xe6\xb7\xb7");
    CU_ASSERT(sl_utf8_stream_end(&s));
    CU_ASSERT_STRING_EQUAL(s.text.v, "a\xe6\xb7\xb7" FFFD);
    sl_utf8_stream_free(&s);
}

/* The examples of the Unicode Standard, section 3.9, tables 3-8 to 3-11. */
static void what_is_no_character_is_replaced(void)
{
    STREAM("/"
           "A",
           "/", "A");
    STREAM(FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A", "\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
                                                        "A");
    STREAM(FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A", "\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
                                                        "A");
    STREAM(FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B", "\xf4\x91\x92\x93\xff"
                                                       "A"
                                                       "\x80\xbf"
                                                       "B");
    STREAM(FFFD FFFD FFFD FFFD "A", "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
                                    "A");
    STREAM("\xf0\x9f\x99\x82", "\xf0", "\x9f", "\x99", "\x82");
    STREAM("", "");
}

/* ---- .npy */

static void npy_files_hold_rows_behind_numpys_header(void)
{
    char dir[256], path[300], file[1024];
    struct sl_npy npy;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/x.npy", dir);
    CU_ASSERT_EQUAL_FATAL(sl_npy_open(&npy, path, 3), 0);
    CU_ASSERT_EQUAL(sl_npy_append(&npy, (const float[]){1, 2, 3}, 1), 0);
    CU_ASSERT_EQUAL(sl_npy_append(&npy, (const float[]){4, 5, 6, 7, 8, 9.5f}, 2), 0);
    CU_ASSERT(access(path, F_OK) != 0); /* not there before it is complete */
    CU_ASSERT_EQUAL(sl_npy_commit(&npy), 0);
    sl_npy_close(&npy);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    CU_ASSERT_EQUAL_FATAL(n, 128 + 9 * 4);
    /* numpy.lib.format: magic, version 1.0, little-endian length that makes the header a multiple
     * of 64. */
    CU_ASSERT_EQUAL(memcmp(file, "\x93NUMPY\x01\x00\x76\x00", 10), 0);
    static const char dict[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }";
    CU_ASSERT_EQUAL(memcmp(file + 10, dict, sizeof dict - 1), 0);
    CU_ASSERT_EQUAL(strspn(file + 10 + sizeof dict - 1, " "), 118 - (sizeof dict - 1) - 1);
    CU_ASSERT_EQUAL(file[127], '\n');
    CU_ASSERT_EQUAL(memcmp(file + 128 + 32, "\x00\x00\x18\x41", 4), 0); /* 9.5f */
}

static void an_abandoned_npy_file_leaves_nothing(void)
{
    char dir[256], path[300];
    struct sl_npy npy;
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    snprintf(path, sizeof path, "%s/x.npy", dir);
    CU_ASSERT_EQUAL_FATAL(sl_npy_open(&npy, path, 1), 0);
    CU_ASSERT_EQUAL(sl_npy_append(&npy, (const float[]){1}, 1), 0);
    sl_npy_close(&npy);
    CU_ASSERT_EQUAL(rmdir(dir), 0); /* empty */
}

static void sizes_have_binary_units(void)
{
    static const struct {
        const char *line;
        int64_t bytes;
    } right[] = {{"info M --host-memory 12345", 12345},
                 {"info M --host-memory=3K", 3072},
                 {"info M --host-memory 5M", 5242880},
                 {"info M --host-memory 24G", 25769803776},
                 {"info M --host-memory 2T", 2199023255552}};
    struct sl_options o;
    struct sl_complaint why;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        CU_ASSERT(parse(right[i].line, &o, &why));
        CU_ASSERT_EQUAL(o.host_memory, right[i].bytes);
    }
}

static void sizes_and_durations_have_the_unit_that_suits_them(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } size[] = {{0, "0.00 kB"},
                {312, "0.31 kB"},
                {999949, "999.9 kB"},
                {999950, "1.00 MB"},
                {96400000, "96.40 MB"},
                {100000000, "100.0 MB"},
                {389547683328, "389.5 GB"},
                {999999999999, "1.00 TB"},
                {UINT64_MAX, "18.45 EB"}};
    static const struct {
        double seconds;
        const char *text;
    } time[] = {
        {0, "under 1 s"},     {0.99, "under 1 s"}, {1, "1 s"},           {89, "89 s"},
        {90, "2 min"},        {5399, "90 min"},    {5400, "1 h 30 min"}, {360000, "100 h 00 min"},
        {1e12, "a long time"}};
    char text[SL_SIZE_MAX], duration[SL_DURATION_MAX];
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        sl_size(text, size[i].bytes);
        CU_ASSERT_STRING_EQUAL(text, size[i].text);
    }
    for (size_t i = 0; i < sizeof time / sizeof *time; i++) {
        sl_duration(duration, time[i].seconds);
        CU_ASSERT_STRING_EQUAL(duration, time[i].text);
    }
}

static const struct sl_case cases[] = {
    {"sizes_have_binary_units", sizes_have_binary_units},
    {"every_option_parses_where_it_applies_and_only_there",
     every_option_parses_where_it_applies_and_only_there},
    {"names_and_aliases_are_unique", names_and_aliases_are_unique},
    {"help_lists_every_option_of_the_verb", help_lists_every_option_of_the_verb},
    {"verbs_are_complete_with_what_they_need", verbs_are_complete_with_what_they_need},
    {"spellings_of_other_programs_work", spellings_of_other_programs_work},
    {"settings_that_are_not_given_are_the_models", settings_that_are_not_given_are_the_models},
    {"wrong_lines_are_refused_with_reason_and_hint", wrong_lines_are_refused_with_reason_and_hint},
    {"characters_wait_until_they_are_whole", characters_wait_until_they_are_whole},
    {"what_is_no_character_is_replaced", what_is_no_character_is_replaced},
    {"npy_files_hold_rows_behind_numpys_header", npy_files_hold_rows_behind_numpys_header},
    {"an_abandoned_npy_file_leaves_nothing", an_abandoned_npy_file_leaves_nothing},
    {"sizes_and_durations_have_the_unit_that_suits_them",
     sizes_and_durations_have_the_unit_that_suits_them},
    {NULL, NULL},
};
const struct sl_suite suite_options = {"options", cases};
