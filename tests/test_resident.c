/* SPDX-License-Identifier: Apache-2.0 */
/* Experts that the device does not have are computed by the CPU from the store: the same words,
 * whichever they are, in decode and in prefill, on any device. */
#include <stdio.h>
#include <string.h>

#include "cli_rig.h"

static const char *const models[] = {"models/demo-hunyuan --prompt=In_the_beginning",
                                     "models/demo-yuan --format nf4 --prompt=In_the_beginning"};
enum { N_MODEL = sizeof models / sizeof models[0] };

static void run(struct cli_result *r, const char *model, const char *how)
{
    char line[512];
    snprintf(line, sizeof line, "run -m %s -n 24 %s", model, how);
    cli_run(r, line);
    CU_ASSERT_EQUAL(r->code, 0);
}

static void the_text_does_not_depend_on_what_is_resident(void)
{
    static const char *const how[] = {"--device csim --resident none",
                                      "--device csim --resident 1",
                                      "--device csim:4 --resident 8",
                                      "--device csim --resident 15",
                                      "--device csim+csim:4 --resident 5",
                                      "--device csim --resident 3 --dense cpu -b 3"};
    static struct cli_result want, got;
    for (unsigned m = 0; m < N_MODEL; m++) {
        run(&want, models[m], "--device csim");
        CU_ASSERT(strlen(want.out) > 30);
        for (unsigned i = 0; i < sizeof how / sizeof how[0]; i++) {
            run(&got, models[m], how[i]);
            CU_ASSERT_STRING_EQUAL(got.out, want.out);
        }
    }
}

/* Tokens through experts on the CPU, from the report; -1: the line is missing. */
static long on_cpu(const char *json)
{
    static const char line[] = "\"op\":\"expert_ffn\",\"impl\":\"cpu\",\"calls\":";
    const char *at = strstr(json, line);
    long n = -1;
    return at && sscanf(at + sizeof line - 1, "%ld", &n) == 1 ? n : -1;
}

/* Hunyuan's router chooses one expert of 16 a token and layer. */
static void what_the_cpu_computes_is_counted(void)
{
    static struct cli_result none, half, all;
    run(&none, models[0], "--device csim --resident none --json");
    run(&half, models[0], "--device csim --resident 8 --json");
    run(&all, models[0], "--device csim --resident all --json");
    CU_ASSERT(on_cpu(none.out) > 0);
    CU_ASSERT(on_cpu(half.out) > 0 && on_cpu(half.out) < on_cpu(none.out));
    CU_ASSERT_EQUAL(on_cpu(all.out), -1);
}

static void other_numbers_are_refused(void)
{
    static const char *const wrong[] = {"17", "-1", "half", "3x", "99999999"};
    static struct cli_result r;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char line[200];
        snprintf(line, sizeof line, "run -m models/demo-hunyuan --prompt=x -n 2 --resident=%s",
                 wrong[i]);
        cli_run(&r, line);
        CU_ASSERT_EQUAL(r.code, 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, "; hint: give all, none, or a number"));
    }
}

static const struct sl_case cases[] = {
    {"the_text_does_not_depend_on_what_is_resident", the_text_does_not_depend_on_what_is_resident},
    {"what_the_cpu_computes_is_counted", what_the_cpu_computes_is_counted},
    {"other_numbers_are_refused", other_numbers_are_refused},
    {NULL, NULL},
};
const struct sl_suite suite_resident = {"resident", cases};
