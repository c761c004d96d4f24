/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of rtl/ under Verilator, in process, with the memory timing of sim/: "sim", "sim:P",
 * "sim:PxT", and options (accel/sim_options.h). Each configuration is a shared object that
 * `make sim P=.. T=..` builds, looked for in $SLUICE_SIM_DIR, else in sim/ beside the program.
 */
#ifndef SL_ACCEL_SIM_H
#define SL_ACCEL_SIM_H

#include "accel/device.h"
#include "sl_sim.h"

int sl_sim_open(struct sl_device **out, const char *arg);
/*
 * A unit of hls/ alone, as an HLS tool made it ("expert_ffn" "router_topk" "kv_pack"; `make
 * hlsrtl`), with options of the memory only. A launch is one job: job_off is its beat, which may
 * lie behind dev->ctl_beats, and the record goes behind it. No QUERY is answered, so that
 * sl_device_alloc does not work on it: only dev->ops does.
 */
int sl_sim_open_unit(struct sl_device **out, const char *unit, const char *arg);
/* Counters of a simulated core as those of a device. */
void sl_sim_device_counters(struct sl_device_counters *out, const struct sl_sim_counters *c,
                            unsigned n_port, enum sl_sim_memory memory);
size_t sl_sim_list(struct sl_device_desc *out, size_t cap);

#endif
