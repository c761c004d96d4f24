/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core behind the OpenCL loader: what is refused and how, the RTL in the emulated card of
 * Xilinx' platform with the same cycles as in process, and the C compiled by another platform.
 * The last two need sl_device_host, `make xclbin`, libxrt1 and pocl-opencl-icd; skipped where
 * something is missing, unless SL_NEED_XRT=1. All operations: checkfab.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "card/opencl.h"
#include "card/opencl_api.h"
#include "card/remote_options.h"
#include "cli_rig.h"
#include "fault_rig.h"
#include "temp_file.h"
#include "upload_rig.h"

#define COMPILED "opencl,ports=1"
#define RUN "run -m models/demo-hunyuan --prompt=In_the_beginning -n 24 --device "

static bool is_there(const char *device, int *known)
{
    if (*known < 0) {
        struct sl_device *dev = NULL;
        const char *need = getenv("SL_NEED_XRT");
        *known = sl_device_open(&dev, device) == 0;
        sl_device_close(&dev);
        if (!*known) {
            printf("\nSKIPPED %s: %s; %s\n", device, sl_error_message(), sl_error_hint());
            CU_ASSERT_FALSE(need && *need == '1');
        }
    }
    CU_PASS("");
    return *known;
}

static bool emulated_is_there(void)
{
    static int known = -1;
    return is_there("opencl", &known);
}

static bool compiled_is_there(void)
{
    static int known = -1;
    return is_there(COMPILED, &known);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void options_that_do_not_exist_are_refused(void)
{
    static const char *const bad[] = {"ports=3",
                                      "ports=",
                                      "ports=4x",
                                      "1.2.3",
                                      "1.-2",
                                      "1234567.0",
                                      "1.",
                                      ".1",
                                      "0.x",
                                      "x",
                                      "deadline=0",
                                      "deadline=-5",
                                      "xclbin=",
                                      "ports=4,stall=5",
                                      "ports=1,die=1",
                                      "2x4",
                                      "dpi",
                                      "wave=x.fst",
                                      "ports=1,stock",
                                      "ports=4,summary=x.csv"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sl_remote_options o;
        bool emulated = false;
        const int err = sl_remote_options_parse(&o, "opencl", bad[i], &emulated);
        if (err != SL_ERR_USAGE)
            printf("\n  opencl:%s -> %s\n", bad[i], sl_err_name(err));
        CU_ASSERT_EQUAL(err, SL_ERR_USAGE);
    }
}

static void options_reach_their_fields(void)
{
    struct sl_remote_options o;
    bool emulated = true;
    CU_ASSERT_EQUAL_FATAL(
        sl_remote_options_parse(&o, "opencl", "3.12,ports=28,deadline=77", &emulated), 0);
    CU_ASSERT(o.platform == 3 && o.index == 12 && o.n_port == 28 && o.deadline_ms == 77);
    CU_ASSERT(!emulated && !o.xclbin[0] && o.opencl);
    CU_ASSERT_EQUAL_FATAL(sl_remote_options_parse(&o, COMPILED, "5,ports=4", &emulated), 0);
    CU_ASSERT(o.platform == SL_OPENCL_ANY && o.index == 5 && o.n_port == 4);
    CU_ASSERT_EQUAL(sl_remote_options_parse(&o, "xrt", "ports=4", &emulated), SL_ERR_USAGE);
    CU_ASSERT_EQUAL(sl_remote_options_parse(&o, "xrt", "1.0", &emulated), SL_ERR_USAGE);
}

/* A loader that cannot be used is named, and what brings a good one. */
static void a_missing_loader_is_named(void)
{
    static const struct {
        const char *library, *why;
    } cases[] = {{"/nowhere/libOpenCL.so.1", "/nowhere/libOpenCL.so.1 is not there"},
                 {"libm.so.6", "libm.so.6 has no cl"}};
    const struct sl_opencl_params p = {.platform = SL_OPENCL_ANY, .xclbin = "", .source = "x"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sl_device *dev = NULL;
        setenv("SLUICE_OPENCL", cases[i].library, 1);
        CU_ASSERT_EQUAL(sl_opencl_open(&dev, &p), SL_ERR_UNSUPPORTED);
        CU_ASSERT_PTR_NULL(dev);
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), cases[i].why));
        CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "install"));
    }
    unsetenv("SLUICE_OPENCL");
}

static void errors_have_their_names(void)
{
    CU_ASSERT_STRING_EQUAL(sl_opencl_error_name(-5), "CL_OUT_OF_RESOURCES");
    CU_ASSERT_STRING_EQUAL(sl_opencl_error_name(-11), "CL_BUILD_PROGRAM_FAILURE");
    CU_ASSERT_STRING_EQUAL(sl_opencl_error_name(-30), "CL_INVALID_VALUE");
    CU_ASSERT_STRING_EQUAL(sl_opencl_error_name(-61), "CL_INVALID_BUFFER_SIZE");
    CU_ASSERT_PTR_NULL(sl_opencl_error_name(-9999));
    CU_ASSERT_EQUAL(sl_opencl_refuse(-4, "a thing"), SL_ERR_NOMEM);
    CU_ASSERT_STRING_EQUAL(sl_error_message(),
                           "opencl: a thing failed: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
    CU_ASSERT_EQUAL(sl_opencl_refuse(-9999, "a thing"), SL_ERR_DEVICE);
    CU_ASSERT_STRING_EQUAL(sl_error_message(), "opencl: a thing failed: unknown code (-9999)");
}

static void check_refused(const char *device, int want, const char *why)
{
    struct sl_device *dev = NULL;
    const int err = sl_device_open(&dev, device);
    const bool said = strstr(sl_error_message(), why);
    if (err != want || !said)
        printf("\n  %s -> %s: %s\n", device, sl_err_name(err), sl_error_message());
    CU_ASSERT_EQUAL(err, want);
    CU_ASSERT(said);
    sl_device_close(&dev);
}

static void places_and_sources_that_do_not_exist_are_refused(void)
{
    static const char broken[] = "__kernel void sl_core_cl(__global int *a) { a[0] = b; }\n";
    char dir[256];
    if (!compiled_is_there())
        return;
    check_refused("opencl:99.0,ports=1", SL_ERR_USAGE, "opencl has no platform 99");
    check_refused("opencl:0.99,ports=1", SL_ERR_USAGE, "platform 0 has no device 99");
    CU_ASSERT_EQUAL_FATAL(sl_temp_dir(dir, sizeof dir), 0);
    setenv("SLUICE_CL_DIR", dir, 1);
    check_refused(COMPILED, SL_ERR_USAGE, "the source of the core is not at");
    temp_file_put(dir, "sl_core.cl", broken, sizeof broken - 1);
    check_refused(COMPILED, SL_ERR_DEVICE, "CL_BUILD_PROGRAM_FAILURE (-11)");
    temp_file_put(dir, "sl_core.cl", "\n", 1);
    check_refused(COMPILED, SL_ERR_DEVICE, "finding the core in the program failed: CL_");
    unsetenv("SLUICE_CL_DIR");
    setenv("OCL_ICD_VENDORS", dir, 1);
    check_refused(COMPILED, SL_ERR_UNSUPPORTED, "none of 0 platforms has a device");
    unsetenv("OCL_ICD_VENDORS");
}

/* ---- the emulated card ---------------------------------------------------------------------- */

static void records_have_the_cycles_of_the_same_core_in_process(void)
{
    static const char *const options[] = {"", ",stall=35,seed=7"};
    for (size_t i = 0; emulated_is_there() && i < sizeof options / sizeof options[0]; i++)
        fault_same_records("sim", "opencl", options[i]);
}

static void check_text(const char *device)
{
    static struct cli_result want, got;
    char line[512];
    cli_run(&want, RUN "csim");
    snprintf(line, sizeof line, RUN "%s", device);
    cli_run(&got, line);
    CU_ASSERT_EQUAL(want.code, 0);
    CU_ASSERT_EQUAL(got.code, 0);
    CU_ASSERT(strlen(want.out) > 40);
    CU_ASSERT_STRING_EQUAL(got.out, want.out);
    if (got.code)
        printf("\n  %s\n%s", line, got.err);
}

static void the_text_is_that_of_the_core_in_c(void)
{
    if (emulated_is_there())
        check_text("opencl");
    if (compiled_is_there()) {
        check_text(COMPILED);
        check_text("opencl,ports=28");
    }
    if (emulated_is_there() && compiled_is_there())
        check_text("opencl+" COMPILED);
}

static void a_card_that_fails_is_an_error_within_the_deadline(void)
{
    static const char *const cases[][2] = {
        {"opencl,die=30", "the emulated card ended"},
        {"opencl,hang=30,deadline=300", "no answer before the deadline"},
        {"opencl,fault=read-error@20000", "BUS_ERROR"}};
    for (size_t i = 0; emulated_is_there() && i < sizeof cases / sizeof cases[0]; i++) {
        static struct cli_result r;
        char line[512];
        snprintf(line, sizeof line, RUN "%s", cases[i][0]);
        cli_run(&r, line);
        CU_ASSERT(r.code == 4 || r.code == 1);
        if (!strstr(r.err, cases[i][1]))
            printf("\n  %s -> %d %s", line, r.code, r.err);
        CU_ASSERT_PTR_NOT_NULL(strstr(r.err, cases[i][1]));
    }
}

/* ---- the compiled core ---------------------------------------------------------------------- */

/* A PLAIN job of `rows` x 4096 for all tokens. */
static void plain_rig(struct core_rig *rig, const char *device, unsigned rows)
{
    enum { K = 4096, CTL_BEATS = 40000, W_BEATS = 20000 };
    CU_ASSERT_EQUAL_FATAL(rig_open(rig, device, CTL_BEATS, W_BEATS), 0);
    rig_reset(rig, 7, "a plain job");
    rig_plain_job(rig, SL_FORMAT_INT4, K, rows, SL_MAX_TOKENS);
}

static void a_compiled_core_is_one_in_c_and_right(void)
{
    static struct core_rig rig;
    struct sl_caps caps;
    if (!compiled_is_there())
        return;
    plain_rig(&rig, "opencl,ports=4", 16);
    CU_ASSERT(rig_run(&rig));
    CU_ASSERT_EQUAL(sl_device_query(rig.dev, &caps), 0);
    CU_ASSERT(caps.core == SL_CORE_HLS && caps.n_port == 4);
    rig_close(&rig);
}

static void upload_beside_launches(const char *device)
{
    enum { N = 12000, AT = 8000 };
    static struct core_rig rig;
    plain_rig(&rig, device, 16);
    CU_ASSERT(rig_run(&rig));
    upload_around_a_launch(&rig, AT, N);
    rig_close(&rig);
}

static void uploads_and_the_core_overlap(void)
{
    if (emulated_is_there()) {
        upload_beside_launches("opencl");
        upload_while_the_core_hangs("opencl,hang=2");
    }
    if (compiled_is_there())
        upload_beside_launches("opencl,ports=4");
}

/* The runtime cannot be interrupted: it is given up, and ends with its process. */
static void a_launch_that_is_too_long_is_given_up(void)
{
    static struct core_rig rig;
    if (!compiled_is_there())
        return;
    plain_rig(&rig, COMPILED, 256);
    CU_ASSERT(rig_run(&rig));
    CU_ASSERT_EQUAL(sl_device_launch(rig.dev, rig.job_off, rig.n_job, 1), SL_ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "did not end in 1 ms"));
    rig_close(&rig);
}

/* Without a design of Xilinx, platforms have the numbers that any other program sees. */
static void both_platforms_stand_side_by_side(void)
{
    struct sl_device *dev[2] = {NULL, NULL};
    struct sl_caps caps[2] = {{0}, {0}};
    if (!compiled_is_there() || !emulated_is_there())
        return;
    for (unsigned i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "opencl:%u.0", i);
        CU_ASSERT_EQUAL(sl_device_open(&dev[i], name), 0);
    }
    for (unsigned i = 0; i < 2 && dev[0] && dev[1]; i++) {
        CU_ASSERT_EQUAL(sl_device_alloc(dev[i], 64, 64), 0);
        CU_ASSERT_EQUAL(sl_device_query(dev[i], &caps[i]), 0);
    }
    CU_ASSERT(caps[0].core != caps[1].core);
    CU_ASSERT(caps[0].core == SL_CORE_HLS || caps[1].core == SL_CORE_HLS);
    for (unsigned i = 0; i < 2; i++)
        sl_device_close(&dev[i]);
}

static const struct sl_case cases[] = {
    {"options_that_do_not_exist_are_refused", options_that_do_not_exist_are_refused},
    {"options_reach_their_fields", options_reach_their_fields},
    {"a_missing_loader_is_named", a_missing_loader_is_named},
    {"errors_have_their_names", errors_have_their_names},
    {"places_and_sources_that_do_not_exist_are_refused",
     places_and_sources_that_do_not_exist_are_refused},
    {"records_have_the_cycles_of_the_same_core_in_process",
     records_have_the_cycles_of_the_same_core_in_process},
    {"the_text_is_that_of_the_core_in_c", the_text_is_that_of_the_core_in_c},
    {"a_card_that_fails_is_an_error_within_the_deadline",
     a_card_that_fails_is_an_error_within_the_deadline},
    {"a_compiled_core_is_one_in_c_and_right", a_compiled_core_is_one_in_c_and_right},
    {"uploads_and_the_core_overlap", uploads_and_the_core_overlap},
    {"a_launch_that_is_too_long_is_given_up", a_launch_that_is_too_long_is_given_up},
    {"both_platforms_stand_side_by_side", both_platforms_stand_side_by_side},
    {NULL, NULL}};

const struct sl_suite suite_opencl = {"opencl", cases};
