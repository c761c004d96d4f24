/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core whose time is modelled: "model", "model:P", "model:PxT" and options. The CPU computes the
 * words (accel/cpu_device.h), the transaction model (sched/tlm.h) says how many cycles a core of P
 * ports and T columns would have taken, and the link (accel/link.h) what the transfers would have.
 * Weights are read where the store has them (sl_device_bind), or are uploaded as to a card.
 *
 * Options: mem=hbm|ddr|ideal, latency=N, pcie= pcie_us= launch_us= cpu=, as of sim. Per-port
 * counters are refused. Words and statuses are the core's for lists that go well; a job that a core
 * refuses may be refused for another reason, and records are written when the launch ends.
 */
#ifndef SL_ACCEL_TLM_DEVICE_H
#define SL_ACCEL_TLM_DEVICE_H

#include "accel/device.h"
#include "accel/sim_options.h"
#include "sched/tlm.h"

/* arg: what stands behind "model:", or NULL. For accel/device.c. */
int sl_tlm_device_open(struct sl_device **out, const char *arg);
size_t sl_tlm_device_list(struct sl_device_desc *out, size_t cap);

/* The core that the options describe. */
struct sl_tlm_config sl_tlm_device_core(const struct sl_sim_config *config);

#endif
