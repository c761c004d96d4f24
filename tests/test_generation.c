/* SPDX-License-Identifier: Apache-2.0 */
/* generation_config.json: what it says, what it must not say, and what holds without it. */
#include <math.h>
#include <string.h>

#include "engine/generation.h"
#include "temp_file.h"
#include "test_main.h"

static int parse(struct sl_generation *g, const char *json)
{
    return sl_generation_parse(g, "generation_config.json", json, strlen(json));
}

static void settings_are_read_as_they_stand(void)
{
    struct sl_generation g;
    CU_ASSERT_EQUAL_FATAL(
        parse(&g, "{\"do_sample\": true, \"temperature\": 0.5, \"top_k\": 40, \"top_p\": 0.25,"
                  " \"repetition_penalty\": 1.125, \"eos_token_id\": [127960, 127967], \"x\": {}}"),
        0);
    CU_ASSERT(g.temp == 0.5f && g.top_k == 40 && g.top_p == 0.25f && g.repeat_penalty == 1.125f);
    CU_ASSERT_FATAL(g.n_stop == 2);
    CU_ASSERT(g.stop[0] == 127960 && g.stop[1] == 127967);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_STRING_EQUAL(g.from[i], "generation_config.json");
    CU_ASSERT_EQUAL_FATAL(parse(&g, "{\"temperature\": 0.5, \"top_k\": 20.0, \"top_p\": null,"
                                    " \"eos_token_id\": 77185}"),
                          0);
    CU_ASSERT(g.temp == 0 && g.top_k == 20 && g.top_p == 1); /* do_sample is not said: greedy */
    CU_ASSERT(g.n_stop == 1 && g.stop[0] == 77185);
    CU_ASSERT_STRING_EQUAL(g.from[2], "default");
    CU_ASSERT_EQUAL_FATAL(parse(&g, "{}"), 0);
    CU_ASSERT(g.temp == 0 && g.top_k == 0 && g.top_p == 1 && g.repeat_penalty == 1 && !g.n_stop);
}

static void nonsense_is_refused_by_its_key(void)
{
    static const struct {
        const char *json, *named;
    } bad[] = {
        {"", ":1: "},
        {"[]", "not a JSON object"},
        {"{\"temperature\": NaN}", ":1: "},
        {"{\"temperature\": Infinity}", ":1: "},
        {"{\"temperature\": 1e999}", ":1: "},
        {"{\"temperature\": 1e300}", "temperature"},
        {"{\"temperature\": -0.5}", "temperature"},
        {"{\"temperature\": \"0.7\"}", "temperature"},
        {"{\"temperature\": true}", "temperature"},
        {"{\"top_k\": 20.5}", "top_k"},
        {"{\"top_k\": -1}", "top_k"},
        {"{\"top_k\": 4294967296}", "top_k"},
        {"{\"top_p\": 1.5}", "top_p"},
        {"{\"top_p\": [0.5]}", "top_p"},
        {"{\"repetition_penalty\": 0}", "repetition_penalty"},
        {"{\"repetition_penalty\": 1e9}", "repetition_penalty"},
        {"{\"do_sample\": \"yes\"}", "do_sample"},
        {"{\"do_sample\": 1}", "do_sample"},
        {"{\"do_sample\": true, \"do_sample\": false}", "duplicate"},
        {"{\"eos_token_id\": \"2\"}", "eos_token_id"},
        {"{\"eos_token_id\": -1}", "eos_token_id"},
        {"{\"eos_token_id\": 2.0}", "eos_token_id"},
        {"{\"eos_token_id\": 2147483648}", "eos_token_id"},
        {"{\"eos_token_id\": 99999999999999999999}", ":1: "},
        {"{\"eos_token_id\": [1, [2]]}", "eos_token_id"},
        {"{\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "eos_token_id"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sl_generation g = {.n_stop = 77};
        int err = parse(&g, bad[i].json);
        if (err != SL_ERR_FORMAT || !strstr(sl_error_message(), bad[i].named))
            printf("\n  %s: %d %s", bad[i].json, err, sl_error_message());
        CU_ASSERT_EQUAL(err, SL_ERR_FORMAT);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), bad[i].named));
        CU_ASSERT(!strchr(sl_error_message(), '\n') && sl_error_hint()[0]);
        CU_ASSERT_EQUAL(g.n_stop, 77); /* nothing is written */
    }
}

/* A directory with one of tests/configs as its config.json. */
static void put_config(char *dir, size_t cap, const char *name)
{
    char path[256], text[16384];
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, cap), 0);
    snprintf(path, sizeof path, "tests/configs/%s.json", name);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    temp_file_put(dir, "config.json", text, fread(text, 1, sizeof text, f));
    fclose(f);
}

/* Published values of the releases' own files. */
static void a_family_has_the_settings_of_its_release(void)
{
    static const struct {
        const char *config;
        float temp, top_p, penalty;
        uint32_t top_k;
        const char *from;
    } families[] = {
        {"hunyuan-large-instruct", 0.7f, 0.6f, 1.05f, 20, "the family's release"},
        {"hunyuan-a13b", 0.7f, 0.8f, 1.05f, 20, "the family's release"},
        {"yuan2-m32", 0, 1, 1, 0, "default"},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        struct sl_generation g;
        char dir[256];
        put_config(dir, sizeof dir, families[i].config);
        CU_ASSERT_EQUAL_FATAL(sl_generation_load(&g, dir), 0);
        CU_ASSERT(g.temp == families[i].temp && g.top_p == families[i].top_p);
        CU_ASSERT(g.repeat_penalty == families[i].penalty && g.top_k == families[i].top_k);
        CU_ASSERT_STRING_EQUAL(g.from[0], families[i].from);
        CU_ASSERT_EQUAL(g.n_stop, 0); /* config.json's eos_token_id is a placeholder */
        /* A file, whatever it says, stands for all of them. */
        temp_file_put(dir, "generation_config.json", "{\"top_p\": 0.5}", 14);
        CU_ASSERT_EQUAL_FATAL(sl_generation_load(&g, dir), 0);
        CU_ASSERT(g.temp == 0 && g.top_p == 0.5f && g.repeat_penalty == 1);
    }
}

static const struct sl_case cases[] = {
    {"settings_are_read_as_they_stand", settings_are_read_as_they_stand},
    {"nonsense_is_refused_by_its_key", nonsense_is_refused_by_its_key},
    {"a_family_has_the_settings_of_its_release", a_family_has_the_settings_of_its_release},
    {NULL, NULL},
};
const struct sl_suite suite_generation = {"generation", cases};
