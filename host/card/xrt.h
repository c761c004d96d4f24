/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card behind XRT's C API, in this process. XRT keeps global state, ends the process on some
 * errors and cannot be interrupted, so this runs in a process of its own: card/remote.h.
 */
#ifndef SL_CARD_XRT_H
#define SL_CARD_XRT_H

#include "accel/device.h"

struct sl_xrt_params {
    unsigned index;     /* the card's number */
    const char *xclbin; /* the design that it gets */
    uint32_t timeout;   /* the core's argument */
    bool poll;          /* ask for the end instead of waiting, where waiting takes whole seconds */
};
int sl_xrt_open(struct sl_device **out, const struct sl_xrt_params *params);

#endif
