/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU as a device: one weight port, jobs carried out where the program runs, slabs read where
 * the store has them (sl_device_bind).
 */
#ifndef SL_ACCEL_CPU_DEVICE_H
#define SL_ACCEL_CPU_DEVICE_H

#include "accel/device.h"

/* arg: NULL. For accel/device.c. */
int sl_cpu_device_open(struct sl_device **out, const char *arg);
size_t sl_cpu_device_list(struct sl_device_desc *out, size_t cap);

#endif
