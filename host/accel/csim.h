/* SPDX-License-Identifier: Apache-2.0 */
/* The core of hls/, compiled natively: "csim" (one weight port) or "csim:P". */
#ifndef SL_ACCEL_CSIM_H
#define SL_ACCEL_CSIM_H

#include "accel/device.h"

int sl_csim_open(struct sl_device **out, const char *arg);
size_t sl_csim_list(struct sl_device_desc *out, size_t cap);

#endif
