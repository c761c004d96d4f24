/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timing of a memory channel as one AXI port sees it, in core cycles. A model is asked once per
 * burst: when it is accepted, it says when each beat will be there. Data is not its business, and
 * time is passed in, so nothing has to be called in a cycle in which nothing is accepted.
 */
#ifndef SL_SIM_MEM_H
#define SL_SIM_MEM_H

#include <stdint.h>

#include "sl_sim.h"

enum {
    SL_MEM_BEAT = 64,        /* bytes of one beat of an AXI port */
    SL_MEM_MAX_BURST = 64,   /* beats: 4 KiB */
    SL_MEM_COMMAND_BEATS = 8 /* a controller's command: AXI3, 16 beats of 256 bits */
};

struct sl_mem;

struct sl_mem_ops {
    const char *name;
    void (*reset)(struct sl_mem *mem); /* idle, time 0 */
    /* A burst of n beats at byte `off` of the channel, accepted in cycle now: ready[i] is the first
     * cycle in which beat i may be on the bus, ascending. Calls come with ascending now. */
    void (*read)(struct sl_mem *mem, uint64_t off, unsigned n, uint64_t now, uint64_t *ready);
    /* A beat accepted in cycle now; returns the first cycle in which the next one may be. */
    uint64_t (*write)(struct sl_mem *mem, uint64_t off, uint64_t now);
    void (*close)(struct sl_mem *mem);
};

/* Base of every model's own struct. */
struct sl_mem {
    const struct sl_mem_ops *ops;
    uint32_t max_command;  /* outstanding read commands that the port takes */
    uint32_t write_cycles; /* from a burst's last beat to its response */
};

/* Selects by options->memory and options->latency. NULL: no memory. */
struct sl_mem *sl_mem_open(const struct sl_sim_options *options);
void sl_mem_close(struct sl_mem *mem); /* accepts NULL */
const char *sl_mem_name(enum sl_sim_memory memory);

/* Bytes per cycle of a linear stream of 4 KiB bursts with a master that is always ready: the model
 * run alone over `bytes` (a multiple of 4 KiB), from the first beat to the last. 0: no memory. */
double sl_mem_stream(const struct sl_sim_options *options, uint64_t bytes);
/* The ceiling that efficiency is judged against: the same over 64 MiB. */
double sl_mem_ceiling(const struct sl_sim_options *options);

/* One per file. */
struct sl_mem *sl_mem_ideal_open(int32_t latency);
struct sl_mem *sl_mem_hbm_open(int32_t latency);
struct sl_mem *sl_mem_ddr_open(int32_t latency);

#endif
