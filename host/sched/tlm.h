/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transaction-level model of the core: the cycles of a launch from its job list alone. Bursts,
 * lines of the array and beats of y take the place of clock edges; what the stages of rtl/ wait for
 * is kept, data are not. Constants were calibrated against the RTL (docs/measurements.md), within
 * 2 % for the launches that models make. Modelled cycles are no measurement: whoever prints them
 * says so.
 *
 * Not modelled: memories that stall at random or fail, writes that the memory takes slower than one
 * a cycle, changes of rows by scattered reads but those of REDUCE, ports' shares beyond
 * the largest one (all ports step together).
 */
#ifndef SL_SCHED_TLM_H
#define SL_SCHED_TLM_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_abi.h"

enum { SL_TLM_CLOCK_HZ = 225000000 }; /* nominal clock of the core; memories are built on it */

/* Timing models of sim/mem_*.c. */
enum sl_tlm_memory { SL_TLM_HBM, SL_TLM_DDR, SL_TLM_IDEAL };

struct sl_tlm_config {
    unsigned n_port, n_column; /* P, T */
    enum sl_tlm_memory memory;
    int32_t latency; /* as sim's latency=; -1: the memory's own */
};

/* A job and what its record will say of it. */
struct sl_tlm_job {
    struct sl_job job;   /* INDIRECT: w_off is the chosen expert's */
    uint16_t slab_flags; /* ROUTER: of its slab */
    uint32_t overflows;  /* of RECYCLE */
    uint16_t status; /* SL_STATUS_*: MISS ends behind the slot table, others behind the checks */
};

struct sl_tlm_time {
    uint64_t cycles; /* as in the record */
    uint64_t beats;  /* of weights, all ports */
    uint32_t stall_read, stall_ctl, stall_core;
};

/* Traffic of a launch in beats of 64 bytes. */
struct sl_tlm_traffic {
    uint64_t ctl_read, ctl_write;
    uint64_t w_read; /* all ports, headers and tables included */
};

struct sl_tlm;

/* "hbm" "ddr" "ideal". */
const char *sl_tlm_memory_name(enum sl_tlm_memory memory);
/* Bytes per cycle that a linear read of one port gets of the memory. */
double sl_tlm_ceiling(const struct sl_tlm_config *config);

/* P from 1 to SL_MAX_PORTS, T a power of two up to 16. SL_ERR_USAGE, SL_ERR_NOMEM. */
int sl_tlm_open(struct sl_tlm **out, const struct sl_tlm_config *config);
void sl_tlm_close(struct sl_tlm *tlm); /* accepts NULL */
/* Runs the list of n jobs at beat job_off, which starts at time 0. time: [n], or NULL; traffic: or
 * NULL. Returns the cycles from start to interrupt. Depends on the arguments alone. */
uint64_t sl_tlm_launch(struct sl_tlm *tlm, const struct sl_tlm_job *jobs, uint32_t n,
                       uint32_t job_off, struct sl_tlm_time *time, struct sl_tlm_traffic *traffic);

#endif
