/* SPDX-License-Identifier: Apache-2.0 */
/* Where an expert is computed, and when it is moved, changes no word: held by a card, sent through
 * it, moved in meanwhile, by the CPU; in decode and in prefill, on any device and several, and when
 * uploads fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/device.h"
#include "cli_rig.h"
#include "logits_rig.h"
#include "sluice.h"

static const struct cli_model models[] = {{"models/demo-hunyuan", "q8", ""},
                                          {"models/demo-yuan", "nf4", ""}};
enum { N_MODEL = sizeof models / sizeof models[0] };

static void the_text_does_not_depend_on_what_is_resident(void)
{
    static const char *const how[] = {"--device csim --resident none",
                                      "--device csim --resident 1",
                                      "--device csim:4 --resident 8",
                                      "--device csim --resident 15",
                                      "--device csim+csim:4 --resident 5",
                                      "--device csim --resident 3 --dense cpu -b 3",
                                      "--device csim:4 --resident 4 --keep lru",
                                      "--device csim --resident 4 --keep lfu -b 7",
                                      "--device csim --resident 4 --keep static",
                                      "--device csim+csim:4+csim --resident 6 --keep adaptive",
                                      "--device csim+csim+csim:4 --resident 2 --keep lru",
                                      "--device csim+csim:4 --split slices",
                                      "--device model:4+csim --split slices --dense cpu",
                                      "--device model:28,cpu=5 --resident 3",
                                      "--device cpu",
                                      "--device cpu:native --dense device -b 5"};
    static struct cli_result want, got;
    for (unsigned m = 0; m < N_MODEL; m++) {
        cli_run_model(&want, &models[m], false, "--device csim");
        CU_ASSERT(strlen(want.out) > 30);
        for (unsigned i = m % SL_THIN(2); i < sizeof how / sizeof how[0]; i += SL_THIN(2)) {
            cli_run_model(&got, &models[m], true, how[i]);
            CU_ASSERT_STRING_EQUAL(got.out, want.out);
        }
    }
}

/* The other demonstration model has two blocks of d_ff to share out. */
static void up_to_four_devices_say_the_same(void)
{
    static const char *const how[] = {"--device csim+csim+csim:4+csim --resident 5 --keep lru",
                                      "--device csim+csim+csim --split slices",
                                      "--device csim+csim+csim:4+model:4 --split slices -b 5"};
    static struct cli_result want, got;
    cli_run_model(&want, &models[0], true, "--device csim");
    for (unsigned i = 0; i < sizeof how / sizeof how[0]; i++) {
        cli_run_model(&got, &models[0], i, how[i]);
        CU_ASSERT_STRING_EQUAL(got.out, want.out);
    }
    cli_run(&got, "run -m models/demo-yuan -p x -n 1 --device csim+csim+csim --split slices");
    CU_ASSERT_EQUAL(got.code, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(got.err, "2 blocks of 32 rows to share out"));
}

/* ---- as a library --------------------------------------------------------------------------- */

/* Two of three uploads, once the model is open: they come back later. */
static unsigned n_upload, upload_from;
static int most_fail(struct sl_device *dev)
{
    (void)dev;
    n_upload++;
    return n_upload > upload_from && n_upload % 3 ? SL_ERR_IO : 0;
}

static void uploads_that_fail_cost_no_word(void)
{
    static const char *const resident[] = {"0", "3"};
    float *want = logits_new(), *got = logits_new();
    struct sl_model_params params = {
        .path = "models/demo-hunyuan", .device = "csim:4", .dense = "cpu", .keep = "lru"};
    logits_of(&params, want, NULL);
    for (size_t i = 0; i < sizeof resident / sizeof resident[0]; i++) {
        params.resident = resident[i];
        n_upload = 0;
        upload_from = 0;
        /* How many belong to opening it. */
        struct sl_model *model = NULL;
        sl_device_upload_fault = most_fail;
        upload_from = UINT32_MAX;
        CU_ASSERT_EQUAL(sl_model_open(&model, &params), 0);
        sl_model_close(&model);
        upload_from = n_upload;
        n_upload = 0;
        logits_of(&params, got, NULL);
        sl_device_upload_fault = NULL;
        CU_ASSERT(n_upload > upload_from + 3);
        CU_ASSERT_EQUAL(memcmp(want, got, LOGITS_BYTES), 0);
    }
    free(want);
    free(got);
}

/* ---- counts --------------------------------------------------------------------------------- */

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
    cli_run_model(&none, &models[0], true, "--device csim --resident none --json");
    cli_run_model(&half, &models[0], true, "--device csim --resident 8 --json");
    cli_run_model(&all, &models[0], true, "--device csim --resident all --json");
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
    {"up_to_four_devices_say_the_same", up_to_four_devices_say_the_same},
    {"uploads_that_fail_cost_no_word", uploads_that_fail_cost_no_word},
    {"the_text_does_not_depend_on_what_is_resident", the_text_does_not_depend_on_what_is_resident},
    {"what_the_cpu_computes_is_counted", what_the_cpu_computes_is_counted},
    {"other_numbers_are_refused", other_numbers_are_refused},
    {NULL, NULL},
};
const struct sl_suite suite_resident = {"resident", cases};
