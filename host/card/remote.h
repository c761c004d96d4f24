/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cards behind a vendor's runtime, each in a process of its own (host/device_host): the runtime may
 * end it, hang or crash, and the program gets an error within the deadline.
 *
 * "xrt[:N]": card N through XRT. "opencl[:P.N]": device N of platform P through the ICD loader.
 * Platforms are numbered by the loader, from 0. Without P: Xilinx where a design exists and no
 * ports are asked for, else the first other one with a device. Platforms other than Xilinx compile
 * the core from sl_core.cl beside the program or in $SLUICE_CL_DIR; what PoCL compiled stays in the
 * user's own cache (POCL_CACHE_DIR, else ~/.cache/pocl). The loader is $SLUICE_OPENCL, else
 * libOpenCL.so.1.
 * Options follow, separated by commas:
 *   xclbin=FILE    the design; default $SLUICE_XCLBIN, else the one that `make xclbin` built
 *   ports=P        1, 4, 16 or 28 weight ports of a core that OpenCL compiles, default 1
 *   summary=FILE   XRT's own profile of the run (summary.csv), written when the device is closed
 *   deadline=MS    of a launch
 *   stock          without the helper that shortens the pauses of XRT's emulation
 * With a design for hardware emulation also options of its board: those of "sim:" but for the
 * shape, and hang=N, die=N (the N-th launch never ends; ends the board).
 */
#ifndef SL_CARD_REMOTE_H
#define SL_CARD_REMOTE_H

#include "accel/device.h"

int sl_xrt_device_open(struct sl_device **out, const char *arg);
size_t sl_xrt_device_list(struct sl_device_desc *out, size_t cap);
int sl_opencl_device_open(struct sl_device **out, const char *arg);
size_t sl_opencl_device_list(struct sl_device_desc *out, size_t cap);

#endif
