/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind "sim:" in --device. */
#include <stdio.h>
#include <string.h>

#include "accel/device.h"
#include "accel/sim_options.h"
#include "test_main.h"

static struct sl_sim_config parsed(const char *arg)
{
    struct sl_sim_config c;
    int err = sl_sim_config_parse(&c, arg);
    if (err)
        printf("\n  %s: %s\n", arg, sl_error_message());
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return c;
}

static void nothing_said_is_one_port_with_hbm(void)
{
    struct sl_sim_config c = parsed(NULL);
    CU_ASSERT(c.n_port == 1 && c.n_column == 1 && !c.dpi && c.timeout == 1000000);
    CU_ASSERT(c.core.memory == SL_SIM_HBM && c.core.latency == -1 && c.core.stall_pct == 0);
    CU_ASSERT(c.core.reset_seed == -1 && c.core.n_fault == 0 && !c.wave[0] && !c.coverage[0]);
}

static void every_option_reaches_its_field(void)
{
    struct sl_sim_config c = parsed("28x16,dpi,mem=ddr,latency=7,stall=90,seed=18,timeout=0,"
                                    "reset-seed=5");
    CU_ASSERT(c.n_port == 28 && c.n_column == 16 && c.dpi && c.timeout == 0);
    CU_ASSERT(c.core.memory == SL_SIM_DDR && c.core.latency == 7 && c.core.stall_pct == 90);
    CU_ASSERT(c.core.seed == 18 && c.core.reset_seed == 5);
    c = parsed("4");
    CU_ASSERT(c.n_port == 4 && c.n_column == 1);
    c = parsed("mem=ideal");
    CU_ASSERT(c.n_port == 1 && c.core.memory == SL_SIM_IDEAL && c.core.latency == -1);
    c = parsed("2,coverage=a/b.dat");
    CU_ASSERT_STRING_EQUAL(c.coverage, "a/b.dat");
}

static void waveforms_have_a_file_and_a_window(void)
{
    struct sl_sim_config c = parsed("wave=x.fst");
    CU_ASSERT_STRING_EQUAL(c.wave, "x.fst");
    CU_ASSERT(c.wave_from == 0 && c.wave_to == UINT64_MAX);
    c = parsed("1x4,wave=a@b/x.fst@100-20000000000");
    CU_ASSERT_STRING_EQUAL(c.wave, "a@b/x.fst");
    CU_ASSERT(c.wave_from == 100 && c.wave_to == 20000000000);
}

static void faults_name_a_kind_a_place_and_a_port(void)
{
    struct sl_sim_config c = parsed("4,fault=read-error@1,fault=dead@20:3,fault=late@5+99:ctl,"
                                    "fault=write-error@2,fault=write-late@3+7:ctl,"
                                    "fault=write-dead@9,seed=1,fault=read-error@6:0");
    static const struct sl_sim_fault want[] = {
        {SL_SIM_READ_ERROR, 0, 1, 0},          {SL_SIM_DEAD, 3, 20, 0},
        {SL_SIM_LATE, SL_SIM_CTL, 5, 99},      {SL_SIM_WRITE_ERROR, SL_SIM_CTL, 2, 0},
        {SL_SIM_WRITE_LATE, SL_SIM_CTL, 3, 7}, {SL_SIM_WRITE_DEAD, SL_SIM_CTL, 9, 0},
        {SL_SIM_READ_ERROR, 0, 6, 0},
    };
    CU_ASSERT_EQUAL_FATAL(c.core.n_fault, sizeof want / sizeof want[0]);
    for (unsigned i = 0; i < c.core.n_fault; i++) {
        const struct sl_sim_fault *f = &c.core.fault[i];
        CU_ASSERT(f->kind == want[i].kind && f->port == want[i].port && f->at == want[i].at &&
                  f->cycles == want[i].cycles);
    }
}

static void whatever_else_is_refused(void)
{
    static const char *const bad[] = {
        "",
        "0",
        "29",
        "4x",
        "4x0",
        "4x65",
        "4y2",
        "x4",
        "-1",
        "1,",
        ",dpi",
        "1,2",
        "dpi=1",
        "dpi,dpi",
        "mem",
        "mem=",
        "mem=hbm2",
        "mem=hbm,mem=ddr",
        "latency=-1",
        "latency=1000001",
        "latency=1e3",
        "stall=91",
        "stall= 5",
        "seed=",
        "seed=99999999999999999999",
        "timeout=4294967296",
        "reset-seed=2147483647",
        "fault=",
        "fault=dead",
        "fault=dead@",
        "fault=dead@0",
        "fault=dead@1:",
        "fault=dead@1:1",
        "fault=dead@1:ctlx",
        "fault=dead@1+5",
        "fault=late@1",
        "fault=late@1+",
        "fault=write-error@1:0",
        "fault=write-error@1 ",
        "fault=slow@1",
        "fault=deadly@1",
        "wave=",
        "wave=@1-2",
        "wave=f@1",
        "wave=f@2-2",
        "wave=f@-2",
        "wave=f@1-2x",
        "wave=f,coverage=g",
        "coverage=",
        "colour=red",
        ("fault=dead@1,fault=dead@2,fault=dead@3,fault=dead@4,fault=dead@5,fault=dead@6,"
         "fault=dead@7,fault=dead@8,fault=dead@9"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sl_sim_config c;
        int err = sl_sim_config_parse(&c, bad[i]);
        if (err != SL_ERR_USAGE)
            printf("\n  '%s' gives %d\n", bad[i], err);
        CU_ASSERT_EQUAL(err, SL_ERR_USAGE);
        CU_ASSERT(!strncmp(sl_error_message(), "device sim: ", 12));
        CU_ASSERT(strlen(sl_error_hint()) > 0 && !strchr(sl_error_message(), '\n'));
    }
    char longest[400] = "wave=";
    struct sl_sim_config c;
    memset(longest + 5, 'x', 300);
    CU_ASSERT_EQUAL(sl_sim_config_parse(&c, longest), SL_ERR_USAGE);
}

static void files_and_hints_name_the_variant(void)
{
    static const struct {
        const char *arg, *file, *hint;
    } cases[] = {
        {NULL, "sl_sim_p1t1.so", "make sim P=1 T=1"},
        {"4x16,dpi", "sl_sim_p4t16_dpi.so", "make sim P=4 T=16 DPI=1"},
        {"wave=f", "sl_sim_p1t1_trace.so", "make sim P=1 T=1 TRACE=1"},
        {"wave=f,reset-seed=3", "sl_sim_p1t1_trace.so", "make sim P=1 T=1 TRACE=1"},
        {"reset-seed=3", "sl_sim_p1t1_rand.so", "make sim P=1 T=1 RANDOM=1"},
        {"dpi,coverage=f", "sl_sim_p1t1_dpi_cov.so", "make sim P=1 T=1 DPI=1 COVERAGE=1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[80];
        struct sl_sim_config c = parsed(cases[i].arg);
        sl_sim_config_file(&c, text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].file);
        sl_sim_config_hint(&c, text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].hint);
    }
}

static void a_configuration_that_is_not_built_is_named(void)
{
    struct sl_device *dev = NULL;
    CU_ASSERT_EQUAL(sl_device_open(&dev, "sim:27x63"), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "sl_sim_p27t63.so is not built"));
    CU_ASSERT_STRING_EQUAL(sl_error_hint(), "make sim P=27 T=63");
    CU_ASSERT_EQUAL(sl_device_open(&dev, "sim,mem=slow"), SL_ERR_USAGE);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "mem=slow"));
    CU_ASSERT_EQUAL(sl_device_open(&dev, "simulator"), SL_ERR_USAGE);
    CU_ASSERT_PTR_NULL(dev);
}

static const struct sl_case cases[] = {
    {"nothing_said_is_one_port_with_hbm", nothing_said_is_one_port_with_hbm},
    {"every_option_reaches_its_field", every_option_reaches_its_field},
    {"waveforms_have_a_file_and_a_window", waveforms_have_a_file_and_a_window},
    {"faults_name_a_kind_a_place_and_a_port", faults_name_a_kind_a_place_and_a_port},
    {"whatever_else_is_refused", whatever_else_is_refused},
    {"files_and_hints_name_the_variant", files_and_hints_name_the_variant},
    {"a_configuration_that_is_not_built_is_named", a_configuration_that_is_not_built_is_named},
    {0},
};
const struct sl_suite suite_sim_options = {"sim_options", cases};
