/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card behind XRT's C API, in this process. XRT keeps global state, ends the process on some
 * errors and cannot be interrupted, so this runs in a process of its own: accel/remote.h.
 */
#ifndef SL_ACCEL_XRT_H
#define SL_ACCEL_XRT_H

#include "accel/device.h"

/* index: the card's number. xclbin: the design that it gets. timeout: the core's argument. */
int sl_xrt_open(struct sl_device **out, unsigned index, const char *xclbin, uint32_t timeout);

#endif
