/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind "sim:" in --device. */
#ifndef SL_ACCEL_SIM_OPTIONS_H
#define SL_ACCEL_SIM_OPTIONS_H

#include <stddef.h>

#include "accel/link.h"
#include "sl_sim.h"

enum { SL_SIM_PATH = 256 };
/* What a refusal begins with. */
#define SL_SIM_OPTIONS_WHO "device sim: "

struct sl_sim_config {
    unsigned n_port, n_column;
    bool dpi;
    const char *unit; /* a unit of hls/ alone, as a tool made it; NULL: the core of rtl/ */
    uint32_t timeout; /* the core's TIMEOUT register: cycles without a beat */
    struct sl_sim_options core;
    struct sl_link_config link;                    /* of the virtual clock */
    bool link_given;                               /* one of its options was */
    char wave[SL_SIM_PATH], coverage[SL_SIM_PATH]; /* files to write; "": none */
    uint64_t wave_from, wave_to;
};

/*
 * arg, or NULL for the defaults: P or PxT, then options, all separated by commas:
 *   dpi                          group sums computed in C: faster, the same cycles
 *   mem=hbm|ddr|ideal            timing model, default hbm
 *   latency=N                    cycles; see struct sl_sim_options
 *   stall=PCT  seed=N            channels wait at random; seed of that
 *   reset-seed=N                 registers start with random contents
 *   timeout=N                    default 1000000, 0: never
 *   fault=KIND@N[+M][:PORT]      read-error dead late (PORT: ctl or a number, default 0),
 *                                write-error write-dead write-late (ctl); N counts beats or
 *                                write bursts from 1; late: M cycles; may be repeated
 *   wave=FILE[@FROM-TO]          FST waveform and FILE.gtkw, of these cycles
 *   coverage=FILE                line coverage, written when the device is closed
 *   pcie= pcie_us= launch_us= cpu=   of the virtual clock (accel/link.h)
 * SL_ERR_USAGE: refused.
 */
int sl_sim_config_parse(struct sl_sim_config *out, const char *arg);

/* Name of the shared object that can do it, and the command that builds it. */
void sl_sim_config_file(const struct sl_sim_config *config, char *out, size_t cap);
void sl_sim_config_hint(const struct sl_sim_config *config, char *out, size_t cap);

#endif
