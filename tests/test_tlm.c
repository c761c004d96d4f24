/* SPDX-License-Identifier: Apache-2.0 */
/* The transaction model of the core beside the RTL: what each says of the same launches. The whole
 * table is tests/calibrate. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fault_rig.h"
#include "mem.h"
#include "test_main.h"
#include "tlm_rig.h"

enum { CTL_BEATS = 1 << 13, W_BEATS = 1 << 16 };

static const struct tlm_case launches[] = {
    {TLM_QUERY, 0, 0, 0, 1, 0, 0, 0},
    {TLM_DECODE, SL_FORMAT_NF4, 256, 512, 1, 16, 1, SL_MODE_SOFTMAX},
    {TLM_DECODE, SL_FORMAT_Q8, 256, 512, 1, 16, 4, SL_MODE_ATTENTION},
    {TLM_DECODE, SL_FORMAT_FP8, 512, 256, 1, 32, 2, SL_MODE_SIGMOID},
    {TLM_LINEAR, SL_FORMAT_Q8, 256, 2048, 1, 0, 0, 0},
    {TLM_LINEAR, SL_FORMAT_MXFP4, 512, 512, 9, 0, 0, 0},
    {TLM_ROUTE, SL_FORMAT_NF4, 128, 256, 3, 16, 1, SL_MODE_SOFTMAX},
    {TLM_ROUTE, SL_FORMAT_INT4, 96, 64, 70, 8, 2, SL_MODE_SOFTMAX},
    {TLM_RECYCLE, SL_FORMAT_INT4, 96, 64, 70, 8, 2, SL_MODE_SOFTMAX},
    {TLM_RECYCLE, SL_FORMAT_NF4, 64, 64, 33, 64, 4, SL_MODE_SIGMOID},
    {TLM_LISTS, SL_FORMAT_NF4, 256, 512, 2, 0, 4, 0},
    {TLM_LISTS, SL_FORMAT_FP8, 256, 256, 6, 0, 3, 0},
    {TLM_LISTS, SL_FORMAT_Q8, 128, 128, 33, 0, 2, 0},
    {TLM_SLICE, SL_FORMAT_NF4, 256, 544, 2, 0, 0, 0},
    {TLM_KV, SL_KVREC_INT8, 128, 0, 4, 0, 4, 0},
    {TLM_MIX, SL_FORMAT_NF4, 128, 256, 3, 16, 2, SL_MODE_SOFTMAX},
};
enum { N_LAUNCH = sizeof launches / sizeof launches[0] };

static bool within(double got, double want, double share)
{
    return fabs(got - want) <= share * want;
}

/* All launches on one device. */
static void compare(const char *device)
{
    struct tlm_rig rig = {0};
    int err = tlm_rig_open(&rig, device, CTL_BEATS, W_BEATS);
    CU_ASSERT_EQUAL(err, 0);
    for (unsigned i = 0; !err && i < N_LAUNCH; i++) {
        struct tlm_answer a;
        CU_ASSERT_EQUAL_FATAL(tlm_rig_run(&rig, &launches[i], &a), 0);
        const bool near = within((double)a.model, (double)a.sim, 0.02);
        if (!near)
            printf("%s, launch %u: the RTL took %llu cycles, the model says %llu\n", device, i,
                   (unsigned long long)a.sim, (unsigned long long)a.model);
        CU_ASSERT(near);
        uint64_t sum = 0, want = 0;
        for (uint32_t j = 0; j < a.n_job; j++) {
            CU_ASSERT_EQUAL(a.record[j].status, SL_STATUS_OK);
            CU_ASSERT_EQUAL(a.time[j].beats, a.record[j].beats);
            sum += a.time[j].cycles;
            want += a.record[j].cycles;
        }
        CU_ASSERT(within((double)sum, (double)want, 0.02));
        CU_ASSERT_EQUAL(a.traffic.ctl_write, a.ctl_write);
        CU_ASSERT_EQUAL(a.traffic.ctl_read, a.ctl_read);
    }
    tlm_rig_close(&rig);
}

static void launches_take_the_cycles_of_the_rtl(void)
{
    if (fault_built("sim:1,dpi")) {
        compare("sim:1,dpi,mem=hbm");
        compare("sim:1,dpi,mem=ddr");
        compare("sim:1,dpi,mem=ideal");
        compare("sim:1,dpi,mem=hbm,latency=60");
    }
    if (fault_built("sim:4")) {
        compare("sim:4,mem=hbm");
        compare("sim:4,mem=ideal,latency=40");
    }
}

static void memories_are_those_of_the_simulation(void)
{
    static const enum sl_sim_memory sim[] = {
        [SL_TLM_HBM] = SL_SIM_HBM, [SL_TLM_DDR] = SL_SIM_DDR, [SL_TLM_IDEAL] = SL_SIM_IDEAL};
    for (int m = SL_TLM_HBM; m <= SL_TLM_IDEAL; m++) {
        const struct sl_tlm_config config = {1, 1, (enum sl_tlm_memory)m, -1};
        const struct sl_sim_options o = {.memory = sim[m], .latency = -1, .reset_seed = -1};
        CU_ASSERT_STRING_EQUAL(sl_tlm_memory_name(config.memory), sl_mem_name(sim[m]));
        CU_ASSERT(within(sl_tlm_ceiling(&config), sl_mem_ceiling(&o), 0.002));
    }
    CU_ASSERT_EQUAL((int)SL_TLM_CLOCK_HZ, (int)SL_SIM_CLOCK_HZ);
}

/* A launch leaves nothing behind in the model. */
static void a_launch_depends_on_its_list_alone(void)
{
    const struct sl_tlm_config config = {4, 2, SL_TLM_HBM, -1};
    struct sl_tlm_job small = {.job = {.op = SL_OP_QUERY, .n_tokens = 1, .y_off = 100}}, large;
    struct sl_tlm *tlm;
    large = (struct sl_tlm_job){.job = {.op = SL_OP_EXPERT,
                                        .format = SL_FORMAT_NF4,
                                        .n_tokens = 5,
                                        .x_stride = 20,
                                        .y_off = 1000,
                                        .y_stride = 32,
                                        .k = 512,
                                        .rows = 1024,
                                        .slice_count = 1024}};
    CU_ASSERT_EQUAL_FATAL(sl_tlm_open(&tlm, &config), 0);
    const uint64_t one = sl_tlm_launch(tlm, &small, 1, 0, NULL, NULL);
    const uint64_t two = sl_tlm_launch(tlm, &large, 1, 0, NULL, NULL);
    CU_ASSERT(two > one && one > 0);
    CU_ASSERT_EQUAL(sl_tlm_launch(tlm, &small, 1, 0, NULL, NULL), one);
    CU_ASSERT_EQUAL(sl_tlm_launch(tlm, &large, 1, 0, NULL, NULL), two);
    large.status = SL_STATUS_BAD_SHAPE; /* refused before any weight is read */
    struct sl_tlm_traffic traffic;
    CU_ASSERT(sl_tlm_launch(tlm, &large, 1, 0, NULL, &traffic) < one + 20);
    CU_ASSERT_EQUAL(traffic.w_read, 0);
    CU_ASSERT(sl_tlm_launch(tlm, &large, 0, 0, NULL, NULL) < one);
    sl_tlm_close(tlm);
}

static void cores_that_cannot_be_built_are_refused(void)
{
    static const struct sl_tlm_config bad[] = {{0, 1, SL_TLM_HBM, -1},
                                               {29, 1, SL_TLM_HBM, -1},
                                               {1, 0, SL_TLM_HBM, -1},
                                               {1, 3, SL_TLM_HBM, -1},
                                               {1, 32, SL_TLM_HBM, -1}};
    struct sl_tlm *tlm = NULL;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(sl_tlm_open(&tlm, &bad[i]), SL_ERR_USAGE);
}

static const struct sl_case cases[] = {
    {"launches_take_the_cycles_of_the_rtl", launches_take_the_cycles_of_the_rtl},
    {"memories_are_those_of_the_simulation", memories_are_those_of_the_simulation},
    {"a_launch_depends_on_its_list_alone", a_launch_depends_on_its_list_alone},
    {"cores_that_cannot_be_built_are_refused", cores_that_cannot_be_built_are_refused},
    {NULL, NULL},
};
const struct sl_suite suite_tlm = {"tlm", cases};
