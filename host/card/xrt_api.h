/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of XRT's C API that is used, so that building needs no XRT and the library is opened at
 * run time. The functions are the same from 2.13 to 2026.1; tests/vendor/xrt_api.c compares these
 * declarations with the vendor's headers where they are installed.
 * XRT_FUNCTION(result, name, arguments)
 */
#ifndef XRT_FUNCTION
#ifndef SL_CARD_XRT_API_H
#define SL_CARD_XRT_API_H

#include <stddef.h>
#include <stdint.h>

enum {
    SL_XRT_TO_DEVICE = 0,
    SL_XRT_FROM_DEVICE = 1,
    SL_XRT_COMPLETED = 4, /* of enum ert_cmd_state */
    SL_XRT_TIMEOUT = 8
};

/* A pointer to each function, by its name. */
struct sl_xrt_api {
    void *library;
#define XRT_FUNCTION(result, name, arguments) result(*name) arguments;
#include "card/xrt_api.h"
#undef XRT_FUNCTION
};

#endif
#else
XRT_FUNCTION(void *, xrtDeviceOpen, (unsigned index))
XRT_FUNCTION(int, xrtDeviceClose, (void *device))
XRT_FUNCTION(int, xrtDeviceLoadXclbinFile, (void *device, const char *path))
XRT_FUNCTION(int, xrtDeviceGetXclbinUUID, (void *device, uint8_t uuid[16]))
XRT_FUNCTION(void *, xrtPLKernelOpen, (void *device, const uint8_t uuid[16], const char *name))
XRT_FUNCTION(int, xrtKernelClose, (void *kernel))
XRT_FUNCTION(int, xrtKernelArgGroupId, (void *kernel, int arg))
XRT_FUNCTION(void *, xrtBOAlloc, (void *device, size_t size, uint64_t flags, uint32_t group))
XRT_FUNCTION(int, xrtBOFree, (void *buffer))
XRT_FUNCTION(void *, xrtBOMap, (void *buffer))
XRT_FUNCTION(int, xrtBOSync, (void *buffer, unsigned direction, size_t size, size_t offset))
XRT_FUNCTION(void *, xrtRunOpen, (void *kernel))
XRT_FUNCTION(int, xrtRunClose, (void *run))
XRT_FUNCTION(int, xrtRunSetArg, (void *run, int index, ...))
XRT_FUNCTION(int, xrtRunStart, (void *run))
XRT_FUNCTION(unsigned, xrtRunWaitFor, (void *run, unsigned timeout_ms))
XRT_FUNCTION(unsigned, xrtRunState, (void *run))
#endif
