/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the RTL shows beside its results: registers that hold what was written, and records whose
 * times and waits add up. Needs the cores of `make sim P=1 T=1` and `make sim P=4 T=1`; what is not
 * built is skipped, unless SL_NEED_SIM=1.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "core_scene.h"
#include "fault_rig.h"
#include "sl_sim.h"

/* ---- registers ------------------------------------------------------------------------------ */

enum {
    CTRL = 0,
    GIE = 4,
    IER = 8,
    ISR = 12,
    ARGUMENTS = 16, /* docs/registers.md: pointers 12 apart, then scalars 8 apart */
    PAGE = 4096,
    IDLE = 4,
    DONE = 2,
    READY = 8,
    N_SCALAR = 5
};

/* Bytes from 0x10 on: does a register lie there? */
static bool is_argument(unsigned n_port, uint32_t offset)
{
    const uint32_t scalars = 0x1C + 12 * n_port;
    if (offset >= scalars)
        return (offset - scalars) % 8 == 0 && offset < scalars + 8 * N_SCALAR;
    return offset >= ARGUMENTS && (offset - ARGUMENTS) % 12 < 8;
}

static uint32_t value_at(uint32_t offset, uint32_t round)
{
    return (offset + 1) * 0x9E3779B9u ^ (round ? 0xFFFFFFFFu : 0);
}

static uint32_t reg(const struct sl_sim_api *api, struct sl_sim *sim, uint32_t offset)
{
    uint32_t value = 0xDEADBEEF;
    CU_ASSERT_EQUAL(api->read_reg(sim, offset, &value), SL_SIM_OK);
    return value;
}

/* All of the page: arguments read as what `round` wrote (2: nothing was), the rest as 0. */
static void check_page(const struct sl_sim_api *api, struct sl_sim *sim, uint32_t round)
{
    for (uint32_t offset = ARGUMENTS; offset < PAGE; offset += 4) {
        const bool is = is_argument(api->n_port, offset) && round < 2;
        const uint32_t got = reg(api, sim, offset), want = is ? value_at(offset, round) : 0;
        if (got != want)
            printf("\n  P=%u: register 0x%x reads 0x%x, not 0x%x\n", api->n_port, offset, got,
                   want);
        CU_ASSERT_EQUAL(got, want);
    }
}

static void check_arguments(const struct sl_sim_api *api, struct sl_sim *sim)
{
    check_page(api, sim, 2);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t offset = ARGUMENTS; offset < PAGE; offset += 4)
            CU_ASSERT_EQUAL(api->write_reg(sim, offset, value_at(offset, round)), SL_SIM_OK);
        check_page(api, sim, round);
    }
}

/* A launch of no jobs, by the rules of ap_ctrl_hs. */
static void check_control(const struct sl_sim_api *api, struct sl_sim *sim)
{
    for (uint32_t offset = 0x1C + 12 * api->n_port; is_argument(api->n_port, offset); offset += 8)
        CU_ASSERT_EQUAL(api->write_reg(sim, offset, 0), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->run(sim, 500), SL_SIM_OK);
    CU_ASSERT_EQUAL(reg(api, sim, CTRL), IDLE);
    CU_ASSERT_EQUAL(reg(api, sim, ISR), 0);
    CU_ASSERT_EQUAL(api->write_reg(sim, CTRL, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->run(sim, 500), SL_SIM_OK); /* nothing is enabled */
    CU_ASSERT_EQUAL(reg(api, sim, ISR), 0);
    CU_ASSERT_EQUAL(reg(api, sim, CTRL), IDLE | DONE | READY);
    CU_ASSERT_EQUAL(reg(api, sim, CTRL), IDLE); /* done is cleared by reading */
    CU_ASSERT_EQUAL(api->write_reg(sim, GIE, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->write_reg(sim, IER, 3), SL_SIM_OK);
    CU_ASSERT(reg(api, sim, GIE) == 1 && reg(api, sim, IER) == 3);
    CU_ASSERT_EQUAL(api->write_reg(sim, CTRL, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->run(sim, 500), SL_SIM_INTERRUPT);
    CU_ASSERT_EQUAL(reg(api, sim, ISR), 3);
    CU_ASSERT_EQUAL(api->write_reg(sim, ISR, 1), SL_SIM_OK); /* toggles */
    CU_ASSERT_EQUAL(reg(api, sim, ISR), 2);
    CU_ASSERT_EQUAL(api->write_reg(sim, ISR, 2), SL_SIM_OK);
    CU_ASSERT_EQUAL(reg(api, sim, ISR), 0);
    CU_ASSERT_EQUAL(api->run(sim, 500), SL_SIM_OK);
    CU_ASSERT_EQUAL(reg(api, sim, CTRL), IDLE | DONE | READY);
}

/* Opens a core without the host around it; close it by its table. */
static const struct sl_sim_api *open_core(unsigned n_port, const struct sl_sim_options *options,
                                          struct sl_sim **sim)
{
    const char *env = getenv("SLUICE_SIM_DIR");
    const struct sl_sim_api *(*entry)(void) = NULL;
    char folder[400], path[500];
    sl_program_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s%s/sl_sim_p%ut1.so", env && *env ? env : folder,
             env && *env ? "" : "/sim", n_port);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(library);
    *(void **)&entry = dlsym(library, SL_SIM_ENTRY);
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    CU_ASSERT_EQUAL_FATAL(entry()->open(sim, options), SL_SIM_OK);
    dlclose(library); /* it stays */
    return entry();
}

static void check_registers(unsigned n_port)
{
    static const struct sl_sim_options options = {
        .memory = SL_SIM_IDEAL, .latency = -1, .reset_seed = -1};
    struct sl_sim *sim = NULL;
    const struct sl_sim_api *api = open_core(n_port, &options, &sim);
    check_arguments(api, sim);
    check_control(api, sim);
    CU_ASSERT_STRING_EQUAL(api->message(sim), "");
    api->close(sim);
}

static void registers_read_back_what_was_written(void)
{
    if (fault_built("sim:1"))
        check_registers(1);
    if (fault_built("sim:4"))
        check_registers(4);
}

/* ---- times ---------------------------------------------------------------------------------- */

/* Sums over the records of a launch. */
struct times {
    uint64_t cycles, waits, slots, beats;
};

/* Runs the rig's jobs and adds up. Up to each record, waits are part of the time: what is left
 * holds every cycle in which the array multiplied or a beat of the arena moved (`beats`, of them
 * all). */
static struct times run_timed(struct core_rig *rig, uint64_t beats)
{
    struct times t = {.beats = beats};
    CU_ASSERT_TRUE(rig_run(rig));
    for (uint32_t j = 0; j < rig->n_job; j++) {
        const struct sl_record *r = &rig->timed[j];
        const bool half = rig->job[j].op != SL_OP_ROUTER && rig->job[j].format >= SL_FORMAT_NF4;
        CU_ASSERT_EQUAL(r->status, SL_STATUS_OK);
        t.cycles += r->cycles;
        t.waits += (uint64_t)r->stall_read + r->stall_ctl + r->stall_core;
        t.slots += r->macs / (half ? 128 : 64);
        CU_ASSERT(t.waits + t.slots <= t.cycles);
    }
    CU_ASSERT(t.waits + t.slots + t.beats <= t.cycles);
    return t;
}

/* One memory answers each request after L cycles. What nobody waits for takes the same time behind
 * all of them (up to `max`), but for `n_trip` round trips: of the last write, and of a job that is
 * not the array's. */
static void check_latencies(const char *what,
                            void (*fill)(struct core_rig *, struct core_scene *, int), int arg,
                            int max, unsigned n_trip, uint64_t beats)
{
    static const int latency[] = {1, 2, 3, 17, 100, 401};
    int64_t rest = 0;
    for (unsigned i = 0; i < sizeof latency / sizeof latency[0] && latency[i] <= max; i++) {
        struct core_scene scene;
        char device[64];
        snprintf(device, sizeof device, "sim:1,mem=ideal,latency=%d", latency[i]);
        CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
        for (unsigned again = 0; again < 2; again++) { /* the pause before it is nobody's wait */
            scene_restore(&scene);
            fill(&scene.rig, &scene, arg);
            const struct times t = run_timed(&scene.rig, beats);
            const int64_t left = (int64_t)(t.cycles - t.waits) - (int64_t)n_trip * latency[i];
            if (i + again == 0)
                rest = left;
            if (left != rest)
                printf("\n  %s, latency %d, launch %u: %lld cycles without waits, not %lld\n", what,
                       latency[i], again, (long long)left, (long long)rest);
            CU_ASSERT_EQUAL(left, rest);
        }
        scene_close(&scene);
    }
}

static void one_job(struct core_rig *rig, struct core_scene *scene, int base)
{
    *rig_job(rig, scene->job[base].op) = scene->job[base];
}

/* A REDUCE whose beats take longer than all that is around them. */
static void long_reduce(struct core_rig *rig, struct core_scene *scene, int n_part)
{
    one_job(rig, scene, SCENE_REDUCE);
    struct sl_job *job = &rig->job[0];
    job->rows = 200;
    job->n_tokens = 1;
    job->n_part = (uint8_t)n_part;
    job->x_off = 1;
    job->x_stride = 25;
    job->part_stride = 25;
}

static void waits_and_work_are_the_time_of_one_job(void)
{
    static const int by_array[] = {SCENE_EXPERT, SCENE_LIST, SCENE_INDIRECT, SCENE_PLAIN,
                                   SCENE_ROUTER};
    if (!fault_built("sim:1"))
        return;
    for (unsigned i = 0; i < sizeof by_array / sizeof by_array[0]; i++)
        check_latencies("array", one_job, by_array[i], 401, 1, 0);
    check_latencies("query", one_job, SCENE_QUERY, 401, 2, 1);
    check_latencies("reduce", one_job, SCENE_REDUCE, 401, 2, 18 + 4);
    check_latencies("long reduce", long_reduce, 9, 401, 2, 9 * 25 + 13);
    check_latencies("pack", one_job, SCENE_PACK, 401, 2, 2 * 18 + 12);
    check_latencies("unpack", one_job, SCENE_UNPACK, 401, 2, 12 + 24);
}

/* Jobs of 64 tokens: each is ready before the array is, so that none but the first waits for it. */
static void jobs_in_a_row(struct core_rig *rig, struct core_scene *scene, int n)
{
    enum { TOKENS = SL_MAX_TOKENS };
    for (int i = 0; i < n; i++) {
        one_job(rig, scene, SCENE_PLAIN);
        struct sl_job *job = &rig->job[i];
        const uint32_t x = job->x_off, len = (uint32_t)ref_x_beats(job);
        job->n_tokens = TOKENS;
        job->y_stride = (uint16_t)ref_y_beats(job);
        job->x_off = job->y_off + TOKENS * job->y_stride;
        job->x_stride = (uint16_t)len;
        for (uint32_t t = 0; t < TOKENS; t++)
            memcpy(rig_at(rig, job->x_off + t * len), rig_at(rig, x), len * SL_BEAT_BYTES);
    }
}

/* A read is late in its first cycle and dead in the next; so is the write that tells it. */
static void a_deadline_of_one_cycle_is_one(void)
{
    enum { LATENCY = 1000, BEATS = 8, BASE = 1 << 20 };
    static _Alignas(64) uint8_t memory[BEATS * SL_BEAT_BYTES];
    static const struct sl_sim_options options = {
        .memory = SL_SIM_IDEAL,
        .latency = LATENCY,
        .reset_seed = -1,
        .n_fault = 1,
        .fault = {{.kind = SL_SIM_WRITE_DEAD, .port = SL_SIM_CTL, .at = 1}}};
    static const struct sl_job job = {.op = SL_OP_QUERY, .cookie = 7, .y_off = 6};
    static const uint32_t scalar[N_SCALAR] = {0, 1, BEATS, 16, 1};
    const struct sl_sim_arena arena = {BASE, sizeof memory, memory, 1};
    struct sl_sim_counters c;
    struct sl_sim *sim = NULL;
    if (!fault_built("sim:1"))
        return;
    const struct sl_sim_api *api = open_core(1, &options, &sim);
    memcpy(memory, &job, sizeof job);
    CU_ASSERT_EQUAL(api->map(sim, &arena, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->write_reg(sim, ARGUMENTS, BASE), SL_SIM_OK);
    for (uint32_t i = 0; i < N_SCALAR; i++)
        CU_ASSERT_EQUAL(api->write_reg(sim, 0x1C + 12 + 8 * i, scalar[i]), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->write_reg(sim, GIE, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->write_reg(sim, IER, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->write_reg(sim, CTRL, 1), SL_SIM_OK);
    CU_ASSERT_EQUAL(api->run(sim, 2 * LATENCY), SL_SIM_INTERRUPT);
    api->counters(sim, &c);
    CU_ASSERT_EQUAL(c.ctl.read_bursts, 1);
    CU_ASSERT_EQUAL(c.ctl.write_bursts, 1);
    CU_ASSERT(c.cycles < LATENCY / 5);
    api->close(sim);
}

static void waits_and_work_are_the_time_of_many_jobs(void)
{
    if (fault_built("sim:1"))
        check_latencies("jobs in a row", jobs_in_a_row, 6, 100, 1, 0);
}

static const struct sl_case cases[] = {
    {"registers_read_back_what_was_written", registers_read_back_what_was_written},
    {"waits_and_work_are_the_time_of_one_job", waits_and_work_are_the_time_of_one_job},
    {"waits_and_work_are_the_time_of_many_jobs", waits_and_work_are_the_time_of_many_jobs},
    {"a_deadline_of_one_cycle_is_one", a_deadline_of_one_cycle_is_one},
    {0},
};
const struct sl_suite suite_sim_core = {"sim_core", cases};
