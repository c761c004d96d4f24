/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "accel/cpu_device.h"
#include "base/pool.h"
#include "fab.h"

enum {
    ALL_OPS = 0xFE,
    UNIT_OPS = 1 << SL_OP_EXPERT | 1 << SL_OP_PLAIN | 1 << SL_OP_ROUTER | 1 << SL_OP_KV_PACK |
               1 << SL_OP_KV_UNPACK
};

/*
 * The C of hls/ does about a beat of weights for one token in 100 ns, Verilator a cycle in 1 us.
 * What an HLS tool made of it takes some hundred times the cycles, and a unit alone counts nothing.
 * Behind XRT and OpenCL is the same simulation, or the C of hls/ where a platform compiles it.
 */
/* Threads as the program has them. The pool outlives every device, of which there is one at a time.
 */
static int fab_cpu_open(struct sl_device **out, const char *name)
{
    enum { THREADS = 3 };
    static struct sl_pool *pool;
    int err = pool ? 0 : sl_pool_open(&pool, THREADS);
    err = err ? err : sl_device_open(out, name);
    return err ? err : sl_cpu_device_set_pool(*out, pool);
}

static const struct fab_family families[] = {
    {"csim", "make", ALL_OPS, 0, 4000000, false, sl_device_open},
    {"cpu", "make", ALL_OPS, 0, 4000000, false, fab_cpu_open},
    {"sim", "make sim", ALL_OPS, 0, 200000, true, sl_device_open},
    {"xrt", "make xclbin", ALL_OPS, 0, 200000, true, sl_device_open},
    {"opencl", "make xclbin", ALL_OPS, 0, 200000, false, sl_device_open},
    {"hlsrtl", "make hlsrtl", UNIT_OPS, SL_FLAG_PORT_COUNTERS, 800, true, fab_hlsrtl_open},
};

const char *const fab_standard[] = {"csim",     "csim:4", "csim:28", "cpu",
                                    "cpu:avx2", "sim",    "sim,dpi", "sim:4x4,dpi,stall=20,seed=1",
                                    "hlsrtl",   NULL};

const struct fab_family *fab_family_of(const char *name)
{
    const size_t len = strcspn(name, ":,");
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strlen(families[i].prefix) == len && !strncmp(families[i].prefix, name, len))
            return &families[i];
    return NULL;
}

/* A code that is no operation's is anybody's to refuse. */
bool fab_takes(const struct fab_family *family, struct sl_job *job)
{
    job->flags &= (uint16_t)~family->no_flags;
    return job->op > SL_OP_KV_UNPACK || !(ALL_OPS >> job->op & 1) || family->ops >> job->op & 1;
}

const char *fab_next_name(const char *list, char *out, size_t cap)
{
    size_t len = strcspn(list, ",");
    while (list[len] && !fab_family_of(list + len + 1))
        len += 1 + strcspn(list + len + 1, ",");
    snprintf(out, cap, "%.*s", (int)len, list);
    return list[len] ? list + len + 1 : NULL;
}
