/* SPDX-License-Identifier: Apache-2.0 */
/* Job lists: QUERY, every status and the order of the checks, bounds of the arenas, hostile jobs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_scene.h"
#include "fault_rig.h"

/* The devices of all core tests and, where it is built, the RTL; ends with NULL. */
static const char *const *all_devices(void)
{
    enum { MAX_DEVICE = 16 };
    static const char *list[MAX_DEVICE + 2];
    size_t n = 0;
    if (list[0])
        return list;
    for (; rig_devices[n]; n++)
        list[n] = rig_devices[n];
    if (!getenv("SL_DEVICES") && fault_built("sim:1"))
        list[n] = "sim:1,mem=ideal";
    return list;
}

/* Runs one job of the scene, changed by patches, and compares with the reference. Its status. */
static int run_one(struct core_scene *scene, const struct sl_job *job)
{
    scene_restore(scene);
    struct core_rig *rig = &scene->rig;
    rig->job[0] = *job;
    rig->n_job = 1;
    CU_ASSERT_TRUE(rig_run(rig));
    return rig_record(rig, 0).status;
}

static void put_value(void *at, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        ((uint8_t *)at)[i] = (uint8_t)(value >> 8 * i);
}

/* One field of a job. */
struct patch {
    uint8_t at, width;
    uint64_t value;
};
#define SET(field, value)                                                                          \
    {                                                                                              \
        SL_AT_job_##field, sizeof((struct sl_job *)0)->field, value                                \
    }

static struct sl_job patched(const struct core_scene *scene, int base, const struct patch *patch,
                             int n)
{
    struct sl_job job = scene->job[base];
    for (int i = 0; i < n; i++)
        if (patch[i].width)
            put_value((uint8_t *)&job + patch[i].at, patch[i].width, patch[i].value);
    return job;
}

/* ---- statuses -------------------------------------------------------------------------------- */

/* The scene's router has sigmoids. */
#define CHOICE(with) SET(format, SL_MODE_SOFTMAX), SET(flags, SL_FLAG_EXPERT_CHOICE | (with))

static const struct rule {
    int base;
    struct patch patch[4];
    int status;
} rules[] = {
    {SCENE_QUERY, {SET(op, 0)}, SL_STATUS_BAD_OP},
    {SCENE_QUERY, {SET(op, 8)}, SL_STATUS_BAD_OP},
    {SCENE_EXPERT, {SET(op, 255)}, SL_STATUS_BAD_OP},
    {SCENE_QUERY, {SET(n_tokens, 0), SET(k, 7), SET(rows, 0)}, SL_STATUS_OK},
    {SCENE_QUERY, {SET(n_tokens, 999), SET(flags, SL_FLAG_PORT_COUNTERS)}, SL_STATUS_OK},
    {SCENE_QUERY, {SET(format, 1)}, SL_STATUS_BAD_FORMAT},
    {SCENE_EXPERT, {SET(format, 5)}, SL_STATUS_BAD_FORMAT},
    {SCENE_PLAIN, {SET(format, 255)}, SL_STATUS_BAD_FORMAT},
    {SCENE_REDUCE, {SET(format, 1)}, SL_STATUS_BAD_FORMAT},
    {SCENE_ROUTER, {SET(format, 3)}, SL_STATUS_BAD_FORMAT},
    {SCENE_PACK, {SET(format, 2)}, SL_STATUS_BAD_FORMAT},
    {SCENE_UNPACK, {SET(format, 2)}, SL_STATUS_BAD_FORMAT},
    {SCENE_QUERY, {SET(flags, SL_FLAG_PARTIAL)}, SL_STATUS_BAD_FLAGS},
    {SCENE_EXPERT, {SET(flags, SL_FLAG_RENORM)}, SL_STATUS_BAD_FLAGS},
    {SCENE_EXPERT, {SET(flags, SL_FLAG_SCORES)}, SL_STATUS_BAD_FLAGS},
    {SCENE_EXPERT, {SET(flags, 0x8000)}, SL_STATUS_BAD_FLAGS},
    {SCENE_PLAIN, {SET(flags, SL_FLAG_INDIRECT)}, SL_STATUS_BAD_FLAGS},
    {SCENE_REDUCE, {SET(flags, SL_FLAG_PARTIAL)}, SL_STATUS_BAD_FLAGS},
    {SCENE_REDUCE, {SET(flags, SL_FLAG_LIST)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {SET(flags, SL_FLAG_LIST)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {SET(flags, 0x8000 | SL_FLAG_RECYCLE)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {SET(flags, SL_FLAG_RECYCLE), SET(slice_count, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(flags, SL_FLAG_RECYCLE), SET(slice_count, 1)}, SL_STATUS_OK},
    {SCENE_ROUTER, {SET(flags, SL_FLAG_RECYCLE), SET(slice_count, 65535)}, SL_STATUS_OK},
    {SCENE_PLAIN, {SET(flags, SL_FLAG_RECYCLE)}, SL_STATUS_BAD_FLAGS},
    {SCENE_EXPERT, {SET(flags, SL_FLAG_NOISE)}, SL_STATUS_BAD_FLAGS},
    {SCENE_EXPERT, {SET(flags, SL_FLAG_EXPERT_CHOICE)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {CHOICE(0), SET(slice_count, 1)}, SL_STATUS_OK},
    {SCENE_ROUTER, {CHOICE(SL_FLAG_SCORES), SET(slice_count, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {CHOICE(0), SET(n_tokens, 2), SET(slice_count, 3)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {CHOICE(0), SET(slice_count, 65535)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {CHOICE(0), SET(slice_count, 1), SET(top_k, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {CHOICE(SL_FLAG_RENORM), SET(slice_count, 1)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {CHOICE(SL_FLAG_RECYCLE), SET(slice_count, 1)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {CHOICE(SL_FLAG_NOISE), SET(slice_count, 1)}, SL_STATUS_BAD_FLAGS},
    {SCENE_ROUTER, {SET(flags, SL_FLAG_EXPERT_CHOICE), SET(slice_count, 1)}, SL_STATUS_BAD_FLAGS},
    {SCENE_PACK, {SET(flags, SL_FLAG_LIST)}, SL_STATUS_BAD_FLAGS},
    {SCENE_UNPACK, {SET(flags, 64)}, SL_STATUS_BAD_FLAGS},
    {SCENE_EXPERT, {SET(n_tokens, 0)}, SL_STATUS_BAD_TOKENS},
    {SCENE_EXPERT, {SET(n_tokens, 65)}, SL_STATUS_BAD_TOKENS},
    {SCENE_INDIRECT, {SET(n_tokens, 2)}, SL_STATUS_BAD_TOKENS},
    {SCENE_INDIRECT, {SET(n_tokens, 0)}, SL_STATUS_BAD_TOKENS},
    {SCENE_PLAIN, {SET(n_tokens, 65535)}, SL_STATUS_BAD_TOKENS},
    {SCENE_REDUCE, {SET(n_tokens, 0)}, SL_STATUS_BAD_TOKENS},
    {SCENE_ROUTER, {SET(n_tokens, 65)}, SL_STATUS_BAD_TOKENS},
    {SCENE_PACK, {SET(n_tokens, 0)}, SL_STATUS_BAD_TOKENS},
    {SCENE_UNPACK, {SET(n_tokens, 65)}, SL_STATUS_BAD_TOKENS},
    {SCENE_EXPERT, {SET(k, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(k, 48)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(k, 32800)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(rows, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(rows, 80)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(rows, 32800)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(rows, 65536 + 64)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_first, 16), SET(slice_count, 32)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_count, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_count, 16)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_count, 96)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_first, 64), SET(slice_count, 32)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_first, 65504), SET(slice_count, 64)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(slice_first, 32), SET(slice_count, 32)}, SL_STATUS_OK},
    {SCENE_EXPERT, {SET(x_stride, 2)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(y_stride, 3)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(y_stride, 7), SET(flags, SL_FLAG_PARTIAL)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(n_tokens, 1), SET(x_stride, 0), SET(y_stride, 0)}, SL_STATUS_OK},
    {SCENE_LIST, {SET(x_stride, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_LIST, {SET(n_tokens, 1), SET(x_stride, 0)}, SL_STATUS_OK},
    {SCENE_INDIRECT, {SET(route_choice, 8)}, SL_STATUS_BAD_SHAPE},
    {SCENE_EXPERT, {SET(route_choice, 255), SET(n_part, 0), SET(top_k, 99)}, SL_STATUS_OK},
    {SCENE_PLAIN, {SET(k, 16)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PLAIN, {SET(rows, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PLAIN, {SET(rows, SL_MAX_ROWS + 1)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PLAIN, {SET(y_stride, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_REDUCE, {SET(rows, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_REDUCE, {SET(rows, SL_MAX_ROWS + 1)}, SL_STATUS_BAD_SHAPE},
    {SCENE_REDUCE, {SET(n_part, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_REDUCE, {SET(part_stride, 2)}, SL_STATUS_BAD_SHAPE},
    {SCENE_REDUCE, {SET(x_stride, 2)}, SL_STATUS_BAD_SHAPE},
    {SCENE_REDUCE, {SET(n_part, 1), SET(part_stride, 0), SET(k, 1)}, SL_STATUS_OK},
    {SCENE_ROUTER, {SET(k, 65)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(rows, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(rows, 257)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(rows, 0x10006)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(top_k, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(top_k, 7)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(top_k, 9), SET(rows, 16)}, SL_STATUS_BAD_SHAPE},
    {SCENE_ROUTER, {SET(x_stride, 3)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(k, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(k, 63)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(k, 258)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(rows, 0)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(rows, 257)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(x_stride, 2)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(y_stride, 1)}, SL_STATUS_BAD_SHAPE},
    {SCENE_PACK, {SET(n_tokens, 1), SET(rows, 1), SET(x_stride, 0)}, SL_STATUS_OK},
    {SCENE_UNPACK, {SET(k, 2), SET(x_stride, 1)}, SL_STATUS_BAD_SHAPE},
    {SCENE_UNPACK, {SET(y_stride, 3)}, SL_STATUS_BAD_SHAPE},
    {SCENE_QUERY, {SET(y_off, SCENE_CTL)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(x_off, SCENE_CTL)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(x_off, 0xFFFFFFFF)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(y_off, 0xFFFFFFFE)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(w_off, 0xFFFFFFFF)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(w_off, SL_SLOT_ABSENT)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(x_stride, 65535)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_EXPERT, {SET(y_stride, 65535)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_LIST, {SET(list_off, SCENE_CTL)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_LIST, {SET(list_off, 0xFFFFFFFF)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_LIST, {SET(x_off, 0xFFFFFFFF)}, SL_STATUS_BAD_LIST},
    {SCENE_LIST, {SET(x_stride, 65535)}, SL_STATUS_BAD_LIST},
    {SCENE_INDIRECT, {SET(route_off, SCENE_CTL)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(route_off, 0xFFFFFFFF), SET(route_token, 1)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(route_token, 65535)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(slot_off, SCENE_CTL)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(slot_off, 0xFFFFFFFF)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(n_expert, 65535)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(w_off, 0xFFFFFFFF)}, SL_STATUS_OK},
    {SCENE_INDIRECT, {SET(n_expert, 0)}, SL_STATUS_BAD_ROUTE},
    {SCENE_INDIRECT, {SET(n_expert, 2)}, SL_STATUS_BAD_ROUTE},
    {SCENE_INDIRECT, {SET(route_choice, 1)}, SL_STATUS_MISS},
    {SCENE_INDIRECT, {SET(route_choice, 2)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_INDIRECT, {SET(route_choice, 3)}, SL_STATUS_BAD_HEADER},
    {SCENE_INDIRECT, {SET(route_choice, 4)}, SL_STATUS_BAD_ROUTE},
    {SCENE_EXPERT, {SET(k, 32)}, SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, {SET(rows, 96)}, SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, {SET(format, SL_FORMAT_INT4)}, SL_STATUS_BAD_HEADER},
    {SCENE_PLAIN, {SET(rows, 8)}, SL_STATUS_BAD_HEADER},
    {SCENE_ROUTER, {SET(rows, 5)}, SL_STATUS_BAD_HEADER},
    {SCENE_ROUTER, {SET(format, SL_MODE_ATTENTION)}, SL_STATUS_BAD_HEADER},
    {SCENE_ROUTER, {SET(format, SL_MODE_ATTENTION), SET(rows, 2), SET(top_k, 2)}, SL_STATUS_OK},
    {SCENE_REDUCE, {SET(x_off, SCENE_CTL - 1)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_REDUCE, {SET(part_stride, 0xFFFFFFFF)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_REDUCE,
     {SET(rows, SL_MAX_ROWS), SET(n_tokens, 1), SET(n_part, 1)},
     SL_STATUS_BAD_ADDRESS},
    {SCENE_PACK, {SET(x_off, SCENE_CTL - 3)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_PACK, {SET(rows, 256), SET(n_tokens, 64)}, SL_STATUS_BAD_ADDRESS},
    {SCENE_UNPACK, {SET(y_off, SCENE_CTL - 1)}, SL_STATUS_BAD_ADDRESS},
};

static void every_rule_has_its_status(void)
{
    for (const char *const *device = all_devices(); *device; device++) {
        struct core_scene scene;
        CU_ASSERT_EQUAL_FATAL(scene_open(&scene, *device), 0);
        for (int base = 0; base < SCENE_N_JOB; base++)
            CU_ASSERT_EQUAL(run_one(&scene, &scene.job[base]), SL_STATUS_OK);
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
            struct sl_job job = patched(&scene, rules[i].base, rules[i].patch, 4);
            int status = run_one(&scene, &job), want = rules[i].status;
            if (job.flags & SL_FLAG_EXPERT_CHOICE && scene.rig.ref.kind == SL_CORE_RTL)
                want = SL_STATUS_BAD_FLAGS;
            if (status != want)
                printf("\n  rule %zu: status %d, expected %d\n", i, status, want);
            CU_ASSERT_EQUAL(status, want);
        }
        scene_close(&scene);
    }
}

/* Bytes of the control arena that make an otherwise good job fail, or that nobody looks at. */
static const struct {
    int base;
    uint32_t beat, byte; /* from x_off */
    unsigned width;
    uint32_t value;
    int status;
} bad_bytes[] = {
    {SCENE_EXPERT, 5, 0, 1, 0x80, SL_STATUS_BAD_ACTIVATION},  /* token 1, code 0 */
    {SCENE_EXPERT, 5, 63, 1, 0x80, SL_STATUS_BAD_ACTIVATION}, /* its last code */
    {SCENE_EXPERT, 4, 1, 1, 22, SL_STATUS_BAD_ACTIVATION},    /* its last exponent */
    {SCENE_EXPERT, 4, 0, 1, 255, SL_STATUS_BAD_ACTIVATION},
    {SCENE_EXPERT, 4, 2, 1, 255, SL_STATUS_OK}, /* padding of the exponents */
    {SCENE_EXPERT, 0, 0, 4, 1024, SL_STATUS_BAD_ACTIVATION},
    {SCENE_EXPERT, 0, 0, 4, (uint32_t)-1024, SL_STATUS_BAD_ACTIVATION},
    {SCENE_EXPERT, 0, 0, 4, 0x80000000, SL_STATUS_BAD_ACTIVATION},
    {SCENE_EXPERT, 0, 0, 4, (uint32_t)-1023, SL_STATUS_OK},
    {SCENE_EXPERT, 3, 0, 4, 1023, SL_STATUS_OK},
    {SCENE_PLAIN, 0, 0, 4, 1023, SL_STATUS_OK},
    {SCENE_EXPERT, 0, 4, 4, 0x12345678, SL_STATUS_OK},     /* the rest of the base's beat */
    {SCENE_EXPERT, 6, 0, 4, 5000, SL_STATUS_OK},           /* a token that is not asked for */
    {SCENE_LIST, 9, 0, 4, 5000, SL_STATUS_BAD_ACTIVATION}, /* the list names row 3 */
    {SCENE_LIST, 6, 0, 4, 5000, SL_STATUS_OK},             /* but not row 2 */
    {SCENE_ROUTER, 11, 62, 2, 0x8000, SL_STATUS_BAD_ACTIVATION},
    {SCENE_ROUTER, 9, 1, 1, 16, SL_STATUS_BAD_ACTIVATION},
    {SCENE_ROUTER, 9, 2, 1, 16, SL_STATUS_OK},
    {SCENE_ROUTER, 8, 0, 4, 1024, SL_STATUS_BAD_ACTIVATION},
    {SCENE_ROUTER, 8, 0, 4, 1023, SL_STATUS_OK},
    {SCENE_ROUTER, 0, 0, 4, (uint32_t)-1023, SL_STATUS_OK},
    {SCENE_PACK, 17, 62, 2, 0x8000, SL_STATUS_BAD_ACTIVATION},
    {SCENE_PACK, 15, 0, 4, 1024, SL_STATUS_BAD_ACTIVATION},
    {SCENE_PACK, 15, 0, 4, (uint32_t)-1024, SL_STATUS_BAD_ACTIVATION},
    {SCENE_PACK, 15, 4, 4, 0x80008000, SL_STATUS_OK},
};

static void forbidden_activations(void)
{
    for (const char *const *device = all_devices(); *device; device++) {
        struct core_scene scene;
        CU_ASSERT_EQUAL_FATAL(scene_open(&scene, *device), 0);
        for (size_t i = 0; i < sizeof bad_bytes / sizeof bad_bytes[0]; i++) {
            scene_restore(&scene);
            scene.rig.job[0] = scene.job[bad_bytes[i].base];
            scene.rig.n_job = 1;
            put_value(rig_at(&scene.rig, scene.rig.job[0].x_off + bad_bytes[i].beat) +
                          bad_bytes[i].byte,
                      bad_bytes[i].width, bad_bytes[i].value);
            CU_ASSERT_TRUE(rig_run(&scene.rig));
            CU_ASSERT_EQUAL(rig_record(&scene.rig, 0).status, bad_bytes[i].status);
        }
        scene_close(&scene);
    }
}

/* Header fields of the three kinds of slab. */
static const struct {
    int base;
    struct patch patch;
    int status;
} bad_heads[] = {
#define HEAD(field, value)                                                                         \
    {                                                                                              \
        SL_AT_slab_##field, sizeof((struct sl_slab *)0)->field, value                              \
    }
    {SCENE_EXPERT, HEAD(magic, 0), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(kind, SL_KIND_PLAIN), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(format, SL_FORMAT_INT4), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(flags, SL_SLAB_HAS_BIAS), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(k, 65536 + 64), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(rows, 32), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(u_h, (uint64_t)(SL_U_H_MIN - 1)), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(u_h, SL_U_H_MAX + 1), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(u_h, 32767), SL_STATUS_BAD_HEADER},
    {SCENE_EXPERT, HEAD(u_h, (uint64_t)SL_U_H_MIN), SL_STATUS_OK},
    {SCENE_EXPERT, HEAD(u_h, SL_U_H_MAX), SL_STATUS_OK},
    {SCENE_EXPERT, HEAD(mant0, 0), SL_STATUS_OK},
    {SCENE_EXPERT, HEAD(mant2, 65535), SL_STATUS_OK},
    {SCENE_EXPERT, HEAD(exp0, 32767), SL_STATUS_OK},
    {SCENE_EXPERT, HEAD(exp1, 0x8000), SL_STATUS_OK},
    {SCENE_EXPERT, HEAD(reserved4, 99), SL_STATUS_OK},
    {SCENE_PLAIN, HEAD(magic, 0x42414C54), SL_STATUS_BAD_HEADER},
    {SCENE_PLAIN, HEAD(kind, SL_KIND_EXPERT), SL_STATUS_BAD_HEADER},
    {SCENE_PLAIN, HEAD(flags, 2), SL_STATUS_BAD_HEADER},
    {SCENE_PLAIN, HEAD(u_h, 1000), SL_STATUS_OK},
    {SCENE_ROUTER, HEAD(kind, SL_KIND_PLAIN), SL_STATUS_BAD_HEADER},
    {SCENE_ROUTER, HEAD(format, 1), SL_STATUS_BAD_HEADER},
    {SCENE_ROUTER, HEAD(flags, 2), SL_STATUS_BAD_HEADER},
    {SCENE_ROUTER, HEAD(flags, 0), SL_STATUS_OK},
    {SCENE_ROUTER, HEAD(rows, 18), SL_STATUS_BAD_HEADER},
#undef HEAD
};

static void headers_that_disagree_on(const char *device)
{
    struct core_scene scene;
    CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
    for (size_t i = 0; i < sizeof bad_heads / sizeof bad_heads[0]; i++) {
        const struct sl_job *job = &scene.job[bad_heads[i].base];
        uint8_t *head = scene.rig.ref.weights.w[0] + (size_t)job->w_off * SL_BEAT_BYTES;
        uint8_t saved[SL_BEAT_BYTES];
        memcpy(saved, head, sizeof saved);
        put_value(head + bad_heads[i].patch.at, bad_heads[i].patch.width, bad_heads[i].patch.value);
        int status = run_one(&scene, job);
        if (status != bad_heads[i].status)
            printf("\n  header %zu: status %d, expected %d\n", i, status, bad_heads[i].status);
        CU_ASSERT_EQUAL(status, bad_heads[i].status);
        memcpy(head, saved, sizeof saved);
    }
    scene_close(&scene);
}

static void headers_that_disagree(void)
{
    for (const char *const *device = all_devices(); *device; device++)
        headers_that_disagree_on(*device);
}

/* Faults of one INDIRECT job with a list, in the order of their statuses. Two faults: the first
 * counts. */
enum fault_at { AT_JOB, AT_ROUTE, AT_SLOT, AT_LIST, AT_X };

static const struct fault {
    enum fault_at at;
    struct patch patch;
    int status;
} ordered[] = {
    {AT_JOB, SET(op, 9), SL_STATUS_BAD_OP},
    {AT_JOB, SET(format, 7), SL_STATUS_BAD_FORMAT},
    {AT_JOB, SET(flags, 0xFFFF), SL_STATUS_BAD_FLAGS},
    {AT_JOB, SET(n_tokens, 3), SL_STATUS_BAD_TOKENS},
    {AT_JOB, SET(slice_count, 17), SL_STATUS_BAD_SHAPE},
    {AT_JOB, SET(y_off, 0xFFFFFFF0), SL_STATUS_BAD_ADDRESS},
    {AT_ROUTE, {0, 2, 0xFFFF}, SL_STATUS_BAD_ROUTE},
    {AT_SLOT, {0, 4, SL_SLOT_ABSENT}, SL_STATUS_MISS},
    {AT_SLOT, {0, 4, 0x7FFFFFFE}, SL_STATUS_BAD_ADDRESS},
    {AT_SLOT, {0, 4, 1}, SL_STATUS_BAD_HEADER}, /* a beat of the slab before */
    {AT_LIST, {0, 4, 0xFFFFFF}, SL_STATUS_BAD_LIST},
    {AT_X, {128, 1, 0x80}, SL_STATUS_BAD_ACTIVATION},
};

static void apply(struct core_scene *scene, struct sl_job *job, const struct fault *f)
{
    struct core_rig *rig = &scene->rig;
    const struct sl_job *base = &scene->job[SCENE_INDIRECT];
    const uint32_t expert = ref_get16(scene->saved + (size_t)base->route_off * SL_BEAT_BYTES);
    uint8_t *to[] = {[AT_JOB] = (uint8_t *)job,
                     [AT_ROUTE] = rig_at(rig, base->route_off),
                     [AT_SLOT] = rig_at(rig, base->slot_off) + 4 * expert,
                     [AT_LIST] = rig_at(rig, scene->job[SCENE_LIST].list_off),
                     [AT_X] = rig_at(rig, base->x_off)};
    put_value(to[f->at] + f->patch.at, f->patch.width, f->patch.value);
}

static void checks_come_in_the_order_of_the_codes_on(const char *device)
{
    enum { N = sizeof ordered / sizeof ordered[0] };
    struct core_scene scene;
    CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
    for (int first = 0; first < N; first++)
        for (int second = first; second < N; second++) {
            scene_restore(&scene);
            struct sl_job job = scene.job[SCENE_INDIRECT];
            job.flags |= SL_FLAG_LIST;
            job.list_off = scene.job[SCENE_LIST].list_off;
            ref_put32(rig_at(&scene.rig, job.list_off), 0); /* row 0, where AT_X puts its fault */
            apply(&scene, &job, &ordered[second]);
            apply(&scene, &job, &ordered[first]);
            scene.rig.job[0] = job;
            scene.rig.n_job = 1;
            CU_ASSERT_TRUE(rig_run(&scene.rig));
            struct sl_record rec = rig_record(&scene.rig, 0);
            CU_ASSERT_EQUAL(rec.status, ordered[first].status);
            CU_ASSERT_EQUAL(rec.macs + rec.beats + rec.saturations + rec.clamps + rec.sat_gu, 0);
        }
    scene_close(&scene);
}

static void checks_come_in_the_order_of_the_codes(void)
{
    for (const char *const *device = all_devices(); *device; device++)
        checks_come_in_the_order_of_the_codes_on(*device);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* Moves what a job names to the last beats where it fits, then one further. */
static const struct {
    int base;
    uint8_t field; /* a u32 offset */
    uint32_t len;
    int beyond; /* status one beat further */
    struct patch patch;
} ends[] = {
    {SCENE_QUERY, SL_AT_job_y_off, 1, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_EXPERT, SL_AT_job_x_off, 6, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_EXPERT, SL_AT_job_y_off, 9, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_LIST, SL_AT_job_x_off, 12, SL_STATUS_BAD_LIST, {0}},
    {SCENE_LIST, SL_AT_job_list_off, 1, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_EXPERT, SL_AT_job_y_off, 13, SL_STATUS_BAD_ADDRESS, SET(y_stride, 9)},
    {SCENE_PLAIN, SL_AT_job_y_off, 5, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_REDUCE, SL_AT_job_x_off, 18, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_REDUCE, SL_AT_job_y_off, 4, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_ROUTER, SL_AT_job_x_off, 12, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_ROUTER, SL_AT_job_y_off, 8, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_ROUTER, SL_AT_job_y_off, 9, SL_STATUS_BAD_ADDRESS, SET(top_k, 6)},
    {SCENE_INDIRECT, SL_AT_job_route_off, 1, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_INDIRECT, SL_AT_job_slot_off, 1, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_PACK, SL_AT_job_x_off, 18, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_PACK, SL_AT_job_y_off, 12, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_UNPACK, SL_AT_job_x_off, 12, SL_STATUS_BAD_ADDRESS, {0}},
    {SCENE_UNPACK, SL_AT_job_y_off, 24, SL_STATUS_BAD_ADDRESS, {0}},
};

static void ranges_end_at_the_arena_on(const char *device)
{
    struct core_scene scene;
    CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        for (uint32_t further = 0; further < 2; further++) {
            scene_restore(&scene);
            struct core_rig *rig = &scene.rig;
            rig->job[0] = patched(&scene, ends[i].base, &ends[i].patch, 1);
            rig->n_job = 1;
            uint8_t *field = (uint8_t *)&rig->job[0] + ends[i].field;
            uint32_t old = ref_get32(field), off = SCENE_CTL - ends[i].len + further;
            ref_put32(field, off);
            if (!further && ends[i].field != SL_AT_job_y_off)
                memmove(rig_at(rig, off), rig_at(rig, old), ends[i].len * SL_BEAT_BYTES);
            CU_ASSERT_TRUE(rig_run(rig));
            CU_ASSERT_EQUAL(rig_record(rig, 0).status, further ? ends[i].beyond : SL_STATUS_OK);
        }
    scene_close(&scene);
}

static void ranges_end_at_the_arena(void)
{
    for (const char *const *device = all_devices(); *device; device++)
        ranges_end_at_the_arena_on(*device);
}

/* A slab whose slack ends with the arena, and one beat less of arena. */
static void slabs_end_with_their_slack(void)
{
    static const int bases[] = {SCENE_EXPERT, SCENE_PLAIN, SCENE_ROUTER};
    for (const char *const *device = all_devices(); *device; device++)
        for (int i = 0; i < 3; i++) {
            struct core_scene scene;
            CU_ASSERT_EQUAL_FATAL(scene_open(&scene, *device), 0);
            struct core_rig *rig = &scene.rig;
            const struct sl_job *job = &scene.job[bases[i]];
            uint32_t limit = job->w_off + scene.slab_beats[bases[i]];
            for (uint32_t less = 0; less < 3; less++) {
                rig->ref.weights.w_limit = rig->dev->w_beats = limit - less;
                int beyond = bases[i] == SCENE_ROUTER && less == 1 ? SL_STATUS_BAD_HEADER
                                                                   : SL_STATUS_BAD_ADDRESS;
                CU_ASSERT_EQUAL(run_one(&scene, job), less ? beyond : SL_STATUS_OK);
            }
            scene_close(&scene);
        }
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void launches_that_do_not_fit_write_nothing_on(const char *device)
{
    struct core_scene scene;
    CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
    struct core_rig *rig = &scene.rig;
    const uint32_t counters = 2 * (uint32_t)ref_ceil_div(16 * rig->dev->n_port, SL_BEAT_BYTES);
    const struct {
        uint32_t off, n;
        int flags;
        bool starts;
    } launches[] = {
        {SCENE_CTL - 4, 2, 0, true},
        {SCENE_CTL - 4, 3, 0, false},
        {SCENE_CTL - 2, 2, 0, false},
        {SCENE_CTL, 1, 0, false},
        {0xFFFFFFFF, 1, 0, false},
        {0xFFFFFFF0, 0x20, 0, false},
        {SCENE_CTL - 100, 0xFFFFFFFF, 0, false},
        {SCENE_CTL - 100, 0, 0, false},
        {SCENE_CTL - 4 - counters, 2, SL_FLAG_PORT_COUNTERS, true},
        {SCENE_CTL - 3 - counters, 2, SL_FLAG_PORT_COUNTERS, false},
        {SCENE_CTL - 4, 2, SL_FLAG_PORT_COUNTERS, false},
    };
    for (size_t i = 0; i < sizeof launches / sizeof launches[0]; i++) {
        scene_restore(&scene);
        for (uint32_t j = 0; j < 3; j++) {
            struct sl_job job = scene.job[SCENE_QUERY];
            job.flags = (uint16_t)(j == 1 ? launches[i].flags : 0);
            if ((uint64_t)launches[i].off + j < SCENE_CTL)
                memcpy(rig_at(rig, launches[i].off + j), &job, sizeof job);
        }
        rig->n_job = 0;
        CU_ASSERT_TRUE(rig_run_at(rig, launches[i].off, launches[i].n, false));
        CU_ASSERT_EQUAL(rig->outcome.started, launches[i].starts);
    }
    scene_close(&scene);
}

static void launches_that_do_not_fit_write_nothing(void)
{
    for (const char *const *device = all_devices(); *device; device++)
        launches_that_do_not_fit_write_nothing_on(*device);
}

static void long_lists(uint32_t n, bool starts)
{
    struct core_rig rig;
    CU_ASSERT_EQUAL_FATAL(rig_open(&rig, "csim", 2 * n + 2, 16), 0);
    rig_reset(&rig, 5100, "list of %u jobs", n);
    for (uint32_t i = 0; i < n; i++) {
        struct sl_job job = {
            .op = (uint8_t)(i % 3 ? SL_OP_QUERY : 77), .cookie = i * 7, .y_off = 0};
        memcpy(rig_at(&rig, i + 1), &job, sizeof job);
    }
    CU_ASSERT_TRUE(rig_run_at(&rig, 1, n, false));
    CU_ASSERT_EQUAL(rig.outcome.started, starts);
    rig_close(&rig);
}

static void lists_have_up_to_max_jobs(void)
{
    long_lists(SL_MAX_JOBS, true);
    long_lists(SL_MAX_JOBS + 1, false);
}

/* All of the scene's jobs with failing ones between them, counters for some. */
static void a_failed_job_does_not_stop_the_next(void)
{
    for (const char *const *device = all_devices(); *device; device++) {
        struct core_scene scene;
        CU_ASSERT_EQUAL_FATAL(scene_open(&scene, *device), 0);
        scene_restore(&scene);
        struct core_rig *rig = &scene.rig;
        uint32_t y = scene.job[0].y_off;
        for (int base = 0; base < SCENE_N_JOB; base++) {
            struct sl_job *job = rig_job(rig, 0);
            *job = scene.job[base];
            job->flags |= base % 2 ? SL_FLAG_PORT_COUNTERS : 0;
            job->y_off = y;
            y += SCENE_Y / SCENE_N_JOB;
            job = rig_job(rig, 0);
            *job = scene.job[base];
            job->flags = SL_FLAG_PORT_COUNTERS | 0x4000;
        }
        CU_ASSERT_TRUE(rig_run(rig));
        for (uint32_t i = 0; i < rig->n_job; i++) {
            struct sl_record rec = rig_record(rig, i);
            CU_ASSERT_EQUAL(rec.status, i % 2 ? SL_STATUS_BAD_FLAGS : SL_STATUS_OK);
            CU_ASSERT_EQUAL(rec.cookie, rig->job[i].cookie);
            CU_ASSERT_EQUAL(rec.abi_version, SL_ABI_VERSION);
        }
        scene_close(&scene);
    }
}

static void query_reports_the_contract(void)
{
    for (int i = 0; all_devices()[i]; i++) {
        struct core_scene scene;
        struct sl_caps caps;
        CU_ASSERT_EQUAL_FATAL(scene_open(&scene, all_devices()[i]), 0);
        CU_ASSERT_EQUAL(run_one(&scene, &scene.job[SCENE_QUERY]), SL_STATUS_OK);
        memcpy(&caps, scene.rig.got + (size_t)scene.job[SCENE_QUERY].y_off * 64, sizeof caps);
        CU_ASSERT_EQUAL(caps.abi_version, SL_ABI_VERSION);
        CU_ASSERT_EQUAL(caps.n_port, rig_device_ports(all_devices()[i]));
        CU_ASSERT(caps.n_column >= 1);
        CU_ASSERT_EQUAL(caps.formats, 0x1F);
        CU_ASSERT_EQUAL(caps.ops, 0xFE);
        CU_ASSERT_EQUAL(caps.max_rows, 262144);
        CU_ASSERT_EQUAL(caps.max_jobs, 65535);
        CU_ASSERT(caps.core == SL_CORE_HLS || caps.core == SL_CORE_RTL);
        scene_close(&scene);
    }
}

/* ---- hostile jobs ---------------------------------------------------------------------------- */

static void run_hostile(const char *device, unsigned n, uint64_t seed)
{
    struct core_scene scene;
    unsigned seen[SL_STATUS_BUS_ERROR + 1] = {0};
    bool same = true;
    CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
    struct core_rig *rig = &scene.rig;
    for (unsigned i = 0; i < n && same; i++) {
        scene_restore(&scene);
        rig->rng.state = (seed + i) * 0x9E3779B97F4A7C15u | 1;
        rig->seed = seed + i;
        snprintf(rig->what, sizeof rig->what, "hostile job %u", i);
        uint32_t off = scene_hostile(&scene);
        same = rig_run_at(rig, off, rig->n_job, false);
        for (uint32_t j = 0; j < rig->n_job && rig->outcome.started; j++) {
            uint16_t status = rig_record(rig, j).status;
            seen[status <= SL_STATUS_BUS_ERROR ? status : 0]++;
        }
        if (rig->lost) {
            scene_close(&scene);
            CU_ASSERT_EQUAL_FATAL(scene_open(&scene, device), 0);
        }
    }
    CU_ASSERT_TRUE(same);
    for (int status = 0; status <= SL_STATUS_BAD_ACTIVATION && n > 5000; status++)
        CU_ASSERT(seen[status] > 0);
    CU_ASSERT(seen[SL_STATUS_OK] * 20 > n);
    CU_ASSERT_TRUE(scene_weights_intact(&scene));
    scene_close(&scene);
}

static void hostile_jobs(void)
{
    uint64_t seed = sl_rng_open("hostile_jobs", 51).state;
    run_hostile("csim", rig_long() ? 5000000 : 100000 / SL_THIN(4), seed);
    run_hostile("csim:4", 10000, seed + 1);
    run_hostile("csim:28", 5000, seed + 2);
}

static const struct sl_case cases[] = {
    {"query_reports_the_contract", query_reports_the_contract},
    {"every_rule_has_its_status", every_rule_has_its_status},
    {"forbidden_activations_are_found_and_padding_is_not_looked_at", forbidden_activations},
    {"slab_headers_that_disagree_with_the_job_are_refused", headers_that_disagree},
    {"checks_come_in_the_order_of_the_codes", checks_come_in_the_order_of_the_codes},
    {"ranges_may_end_with_the_arena_but_not_beyond", ranges_end_at_the_arena},
    {"slabs_may_end_with_their_slack_but_not_beyond", slabs_end_with_their_slack},
    {"launches_that_do_not_fit_write_nothing", launches_that_do_not_fit_write_nothing},
    {"lists_have_up_to_max_jobs", lists_have_up_to_max_jobs},
    {"a_failed_job_does_not_stop_the_next", a_failed_job_does_not_stop_the_next},
    {"hostile_jobs_write_only_what_the_reference_writes", hostile_jobs},
    {NULL, NULL},
};

const struct sl_suite suite_core_jobs = {"core_jobs", cases};
