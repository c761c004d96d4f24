/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU as a device: one weight port, jobs carried out where the program runs, slabs read where
 * the store has them (sl_device_bind). "cpu" takes the best instructions (accel/cpu_ops.h),
 * "cpu:avx512", "cpu:avx2" and "cpu:native" the named ones.
 */
#ifndef SL_ACCEL_CPU_DEVICE_H
#define SL_ACCEL_CPU_DEVICE_H

#include "accel/device.h"

struct sl_pool;

/* arg: NULL, or a name of accel/cpu_ops.h. For accel/device.c. */
int sl_cpu_device_open(struct sl_device **out, const char *arg);
size_t sl_cpu_device_list(struct sl_device_desc *out, size_t cap);

/* Lends the device threads: it launches in them from now on, and is launched by the pool's owner
 * only. Borrowed until the device is closed or given another; NULL: the caller's thread alone. Any
 * other device takes no notice. SL_ERR_NOMEM. */
int sl_cpu_device_set_pool(struct sl_device *dev, struct sl_pool *pool);
/* Jobs of a CPU device may use the first n_beats of its control arena only; lists and records may
 * lie behind. */
void sl_cpu_device_limit(struct sl_device *dev, uint32_t n_beats);

#endif
