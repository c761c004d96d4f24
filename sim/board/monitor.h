/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of XRT's profile monitors, filled from the simulation's own counts: an AXI interface
 * monitor (AIM) per memory port, control port first, then the accelerator monitor (AM) of the
 * core, MONITOR_STRIDE apart. Offsets as XRT 2.13 reads them (xdp/profile/device/aim.cpp, am.cpp).
 */
#ifndef SL_BOARD_MONITOR_H
#define SL_BOARD_MONITOR_H

#include "sl_sim.h"

enum { MONITOR_STRIDE = 0x1000, MONITOR_PORTS = SL_SIM_MAX_PORTS + 1 };

struct monitor_core {
    uint64_t launches, cycles;
};

struct monitors {
    uint32_t n_port; /* memory ports, the control port included */
    /* At the last reset and at the last sample of each monitor. */
    struct sl_sim_traffic zero[MONITOR_PORTS], port[MONITOR_PORTS];
    struct monitor_core core_zero, core;
    uint64_t min_cycles, max_cycles; /* of a launch */
};

/* offset: from the first monitor. counters: those of this moment. */
uint32_t monitor_read(struct monitors *m, uint64_t offset, const struct sl_sim_counters *counters);
void monitor_write(struct monitors *m, uint64_t offset, uint32_t value,
                   const struct sl_sim_counters *counters);
/* A launch took so long. */
void monitor_launch(struct monitors *m, uint64_t cycles);

#endif
