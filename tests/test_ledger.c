/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/host_memory.h"
#include "store/expert_memory.h"
#include "store_rig.h"
#include "test_main.h"

/* ---- what the machine has ------------------------------------------------------------------- */

/* A file below a root that stands for the system's, with the folders above it. */
static void put(const char *root, const char *path, const char *text)
{
    char full[RIG_PATH];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mkdir(full, 0755);
    }
    rig_write(full, text, strlen(text));
}

static void expect_available(const char *root, uint64_t want, const char *by)
{
    const char *limit_by = NULL;
    CU_ASSERT_EQUAL(sl_host_memory_available(root, &limit_by), want);
    CU_ASSERT_STRING_EQUAL(limit_by, by);
}

static void test_available(void)
{
    char root[RIG_PATH];
    rig_fresh(root, NULL);
    expect_available(root, 0, "the machine");
    put(root, "proc/meminfo",
        "MemTotal:       9000 kB\nMemFree: 100 kB\nMemAvailable:   8000 kB\n");
    expect_available(root, 8000 * 1024, "the machine");
    /* Version 2: the group has no limit, the one above it has. */
    put(root, "proc/self/cgroup", "0::/batch/job\n");
    put(root, "sys/fs/cgroup/batch/job/memory.max", "max\n");
    put(root, "sys/fs/cgroup/batch/job/memory.current", "123456\n");
    expect_available(root, 8000 * 1024, "the machine");
    put(root, "sys/fs/cgroup/batch/memory.max", "5000000\n");
    put(root, "sys/fs/cgroup/batch/memory.current", "3000000\n");
    expect_available(root, 2000000, "the control group");
    /* Page cache that can go counts as free. */
    put(root, "sys/fs/cgroup/batch/memory.stat", "anon 1\nfile 7\ninactive_file 500000\n");
    expect_available(root, 2500000, "the control group");
    put(root, "sys/fs/cgroup/batch/memory.current", "9000000\n");
    expect_available(root, 0, "the control group");
    put(root, "sys/fs/cgroup/batch/memory.max", "50000000\n");
    expect_available(root, 8000 * 1024, "the machine");
    /* Version 1, a controller among others. */
    put(root, "proc/self/cgroup", "3:cpu,cpuacct:/x\n2:hugetlb,memory:/box\n1:name=systemd:/y\n");
    put(root, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", "4000000\n");
    put(root, "sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1000000\n");
    put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    expect_available(root, 3000000, "the control group");
    /* This machine says something too. */
    const char *by;
    CU_ASSERT(sl_host_memory_available("", &by) > 1 << 20);
    CU_ASSERT(sl_host_memory_peak() > 1 << 20 && sl_memory_peak() > 1 << 20);
}

/* ---- a model's parts ------------------------------------------------------------------------ */

static uint64_t file_bytes(const char *dir, const char *end)
{
    uint64_t sum = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        struct stat st;
        const size_t len = strlen(e->d_name), tail = strlen(end);
        if (len >= tail && !strcmp(e->d_name + len - tail, end) &&
            !stat(rig_join(dir, e->d_name), &st))
            sum += (uint64_t)st.st_size;
    }
    if (d)
        closedir(d);
    return sum;
}

static uint64_t part(const struct sl_memory *m, const char *name)
{
    for (size_t i = 0; i < m->n_part; i++)
        if (!strcmp(m->part[i].name, name))
            return m->part[i].bytes;
    CU_FAIL("no such part");
    return 0;
}

static void convert_model(char dir[RIG_PATH])
{
    rig_fresh(dir, NULL);
    const struct sl_convert_params p = {
        .in_dir = rig_models()[0], .out_dir = dir, .format = "nf4", .format_dense = "q8"};
    CU_ASSERT_EQUAL_FATAL(sl_convert(&p, NULL), 0);
}

/* The slabs' parts are what the files take; the others add up to the total. */
static void test_parts(void)
{
    char dir[RIG_PATH];
    struct sl_memory m;
    convert_model(dir);
    struct sl_model_params p = {.path = dir, .device = "cpu", .n_ctx = 100};
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT_EQUAL(part(&m, "dense matrices") + part(&m, "routers") + part(&m, "shared experts") +
                        part(&m, "routed experts"),
                    file_bytes(dir, ".slab"));
    CU_ASSERT_EQUAL(part(&m, "tensors kept as they are"), file_bytes(dir, "tensors.safetensors"));
    CU_ASSERT_EQUAL(part(&m, "device in this machine"), 0);
    struct sl_model_info info;
    CU_ASSERT_EQUAL(sl_config_info(dir, &info), 0);
    CU_ASSERT_EQUAL(part(&m, "KV cache"), 100 * info.kv_bytes_int8 + info.lfa_state_bytes);
    uint64_t total = 0;
    for (size_t i = 0; i < m.n_part; i++)
        total += m.part[i].bytes;
    CU_ASSERT_EQUAL(m.total, total);
    CU_ASSERT(m.limit >= m.total && !m.streamed);
    CU_ASSERT_EQUAL(m.n_expert, 64);
    CU_ASSERT_EQUAL(m.n_expert_held, 64);
    CU_ASSERT_EQUAL(m.expert_bytes * 64, part(&m, "routed experts"));
    /* A device that is simulated here has what it is given once more. */
    p.device = NULL;
    p.resident = "4";
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT_EQUAL(part(&m, "device in this machine"),
                    file_bytes(dir, ".slab") - part(&m, "routed experts") / 16 * 12);
    p.dense = "cpu";
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT_EQUAL(part(&m, "device in this machine"), part(&m, "routed experts") / 4 +
                                                            part(&m, "routers") +
                                                            part(&m, "shared experts"));
}

static void test_limits(void)
{
    char dir[RIG_PATH];
    struct sl_memory all, m;
    convert_model(dir);
    struct sl_model_params p = {.path = dir, .device = "cpu", .n_ctx = 100};
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&all, &p), 0);
    const uint64_t rest = all.total - part(&all, "routed experts");
    p.host_memory = all.total;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT_FALSE(m.streamed);
    CU_ASSERT_STRING_EQUAL(m.limit_by, "the limit given");
    p.host_memory = all.total - 1;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT(m.streamed && m.n_expert_held == 63);
    p.host_memory = rest + 5 * all.expert_bytes + 1;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT(m.streamed && m.n_expert_held == 5 && m.total == p.host_memory - 1);
    /* One expert of a token is the least (this model uses one). */
    p.host_memory = rest + all.expert_bytes;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT_EQUAL(m.n_expert_held, 1);
    p.host_memory--;
    memset(&m, 7, sizeof m);
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "the limit given leaves"));
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "work buffers"));
    CU_ASSERT_EQUAL(m.n_part, (size_t)0x0707070707070707);
    struct sl_model *model = NULL;
    CU_ASSERT_EQUAL(sl_model_open(&model, &p), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NULL(model);
    p.host_memory = UINT64_C(1) << 60;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_message(), "a limit of"));
    /* What is quantised in memory cannot be streamed. */
    p = (struct sl_model_params){
        .path = rig_models()[0], .device = "cpu", .format = "nf4", .n_ctx = 100};
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), 0);
    CU_ASSERT_EQUAL(part(&m, "routed experts"), part(&all, "routed experts"));
    CU_ASSERT_EQUAL(part(&m, "dense matrices"), part(&all, "dense matrices"));
    p.host_memory = m.total - 1;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), SL_ERR_NOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(sl_error_hint(), "convert it"));
    CU_ASSERT_EQUAL(sl_model_open(&model, &p), SL_ERR_NOMEM);
    p.exact = true;
    CU_ASSERT_EQUAL(sl_memory_plan(&m, &p), SL_ERR_UNSUPPORTED);
}

/* The budget of the plan is what the store's expert memory has. */
static void test_budget(void)
{
    char dir[RIG_PATH];
    struct sl_memory m;
    struct sl_store *store = NULL;
    struct sl_expert_memory *memory = NULL;
    convert_model(dir);
    struct sl_model_params p = {.path = dir, .device = "cpu"};
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&m, &p), 0);
    p.host_memory = m.total - 40 * m.expert_bytes;
    CU_ASSERT_EQUAL_FATAL(sl_memory_plan(&m, &p), 0);
    const struct sl_stream_params sp = {.budget = m.n_expert_held * m.expert_bytes};
    CU_ASSERT_EQUAL_FATAL(sl_store_open_streamed(&store, dir, &sp), 0);
    const struct sl_expert_memory_params mp = {.store = store};
    CU_ASSERT_EQUAL_FATAL(sl_expert_memory_open(&memory, &mp), 0);
    CU_ASSERT_EQUAL(sl_expert_memory_room(memory), 24);
    sl_expert_memory_close(&memory);
    sl_store_close(&store);
}

static const struct sl_case cases[] = {
    {"what is available is the least of machine and control groups", test_available},
    {"the parts of a model are what its files take", test_parts},
    {"experts are streamed when they do not fit, and what never fits is refused", test_limits},
    {"the plan's budget becomes slots", test_budget},
    {NULL, NULL},
};
const struct sl_suite suite_ledger = {"ledger", cases};
