/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DRAM channel behind an AXI port: banks with open rows, activate and column timing, bank groups,
 * refresh, read/write turnaround, a controller with a bounded command queue. Commands are served in
 * order, rows are opened as far ahead as the queue reaches. Time is counted in units of 1 / (clock
 * of the memory * n), chosen so that a core cycle is a whole number of them.
 */
#ifndef SL_SIM_DRAM_H
#define SL_SIM_DRAM_H

#include "mem.h"

enum { SL_DRAM_MAX_BANK = 16, SL_DRAM_MAX_QUEUE = 64 };

/* A field of the address: (off >> shift) & mask. */
struct sl_dram_field {
    uint8_t shift, bits;
};

/* Times in units. Names as in the JEDEC standards. */
struct sl_dram_params {
    const char *name;
    uint32_t cycle;        /* units of a core cycle */
    uint32_t access_bytes; /* of one column command */
    struct sl_dram_field group_low, group_high, bank;
    uint8_t row_shift;
    uint32_t burst; /* data bus time of one column command */
    uint32_t cl, cwl, rcd, rp, ras, rtp, wr;
    uint32_t ccd_s, ccd_l, rrd_s, rrd_l, faw; /* _l: same bank group */
    uint32_t wtr_s, wtr_l, rtw;
    uint32_t refi, rfc;
    uint32_t request,
        reply;      /* of the controller: from a command to its column, from data to the port */
    uint32_t queue; /* commands in which the controller looks ahead */
    uint32_t max_command;  /* outstanding read commands that the port takes */
    uint32_t buffer_beats; /* read beats that it holds while the port is slower than the memory */
    uint32_t write_high, write_low; /* writes are sent from so many beats on, down to so many */
    uint32_t write_cycles;          /* core cycles from a burst's last beat to its response */
    int32_t path; /* core cycles between port and controller, both ways together */
};

/* latency: in place of params->path unless negative. */
struct sl_mem *sl_dram_open(const struct sl_dram_params *params, int32_t latency);

#endif
