/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A launch on devices that fail: once run on a sound device and found right, then again and again
 * on new devices, each with faults of its own. What is left is compared with what must be left, to
 * the last byte, but for what the jobs that failed wrote.
 */
#ifndef SL_FAULT_RIG_H
#define SL_FAULT_RIG_H

#include "core_rig.h"

enum {
    FAULT_MAX_JOB = 12,
    FAULT_TIMEOUT = 2000, /* cycles, of FAULT_SOUND */
    FAULT_ABSENT = 0xCDCD /* status where no record was written */
};
#define FAULT_SOUND "mem=ideal,timeout=2000"

/* The list in the rig, its right results in rig.ref, and what a sound device did meanwhile. */
struct fault_scene {
    struct core_rig rig;
    uint32_t limit;        /* of control memory, beats */
    uint8_t *got, *poison; /* owned */
    unsigned n_port;
    int router, indirect; /* jobs, or -1: the second reads the first one's record */
    struct sl_device_counters before, after;
    bool hung; /* some launch did not end: no more are tried */
};

/* One launch and what it left. */
struct fault_trial {
    const char *device;
    int err;
    unsigned status[FAULT_MAX_JOB];
    struct sl_device_counters before, after;
};

/* False: the simulated core is not built, which was said; an error when SL_NEED_SIM=1. */
bool fault_built(const char *device);

/* Scenes; false: the device is not built. Jobs of `rows` x 256 on one slab; or one job of every
 * kind, where the router's choice is the expert of another, and one asks for counters; or an
 * EXPERT, a PLAIN and a ROUTER job. */
bool fault_plain_scene(struct fault_scene *s, const char *device, unsigned rows,
                       const unsigned *n_tokens, unsigned n_job);
bool fault_full_scene(struct fault_scene *s, const char *device);
bool fault_matrix_scene(struct fault_scene *s, const char *device);
void fault_close(struct fault_scene *s);

/* One job of every kind on both devices: the same memory, to the last cycle and stall of the
 * records, and the same traffic. */
void fault_same_records(const char *first, const char *second, const char *options);

/* What a job moves: beats of control memory, itself included where it is read alone; y, record and
 * counters; counters; beats of weight memory on all ports, header and tables included. */
uint64_t fault_reads(const struct fault_scene *s, unsigned j);
uint64_t fault_writes(const struct fault_scene *s, unsigned j);
uint64_t fault_counters(const struct fault_scene *s, unsigned j);
uint64_t fault_weights(const struct fault_scene *s, unsigned j);

/* The launch, and once more, on a new device, to whose name SL_FAULT_MORE is added (its coverage:
 * tools/rtl/coverage.py). Asserts that both end without an error of the device,
 * that jobs that are OK are right and that nothing else was written. */
void fault_try(struct fault_scene *s, const char *device, struct fault_trial *first,
               struct fault_trial *second);

#endif
