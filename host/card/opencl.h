/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device behind the OpenCL loader, in this process. On a platform of Xilinx the design is an
 * xclbin; any other platform compiles the core from its C (hls/core.cl). Runtimes keep global
 * state and may end the process, so this runs in one of its own: card/remote.h.
 */
#ifndef SL_CARD_OPENCL_H
#define SL_CARD_OPENCL_H

#include "accel/device.h"

enum { SL_OPENCL_ANY = -1 };

struct sl_opencl_params {
    /* As the loader numbers them; SL_OPENCL_ANY: that of Xilinx if there is an xclbin, else the
     * first of another vendor that has a device. */
    int platform;
    unsigned device;
    const char *xclbin; /* "": none */
    const char *source; /* file with the core in OpenCL C, all in one */
    unsigned n_port;    /* of a core that is compiled from it */
    uint32_t timeout;   /* the core's argument, which a compiled core has not */
};

int sl_opencl_open(struct sl_device **out, const struct sl_opencl_params *params);

#endif
