/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenCL loader, opened at run time: the functions that are used, platforms and devices by
 * number, and errors by name.
 * OPENCL_FUNCTION(name)
 */
#ifndef OPENCL_FUNCTION
#ifndef SL_CARD_OPENCL_API_H
#define SL_CARD_OPENCL_API_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdbool.h>

/* A pointer to each function, by its name. */
struct sl_opencl_api {
    void *library;
#define OPENCL_FUNCTION(name) __typeof__(&name) name;
#include "card/opencl_api.h"
#undef OPENCL_FUNCTION
};

struct sl_opencl_place {
    cl_platform_id platform;
    cl_device_id device;
    bool xilinx; /* takes an xclbin and no source */
};

enum { SL_OPENCL_MAX_PLATFORM = 16, SL_OPENCL_MAX_DEVICE = 64, SL_OPENCL_NAME = 128 };

/* $SLUICE_OPENCL, else libOpenCL.so.1. SL_ERR_UNSUPPORTED: not there, or too old. The library stays
 * open: it keeps threads. */
int sl_opencl_load(struct sl_opencl_api *api);
/* platform may be SL_OPENCL_ANY, which prefers the one that takes an xclbin or the others. */
int sl_opencl_find(const struct sl_opencl_api *api, int platform, unsigned device,
                   bool prefer_xilinx, struct sl_opencl_place *out);
/* A name of each platform and device, "" where it does not tell. */
void sl_opencl_platform_name(const struct sl_opencl_api *api, cl_platform_id platform,
                             char out[SL_OPENCL_NAME]);
void sl_opencl_device_name(const struct sl_opencl_api *api, cl_device_id device,
                           char out[SL_OPENCL_NAME]);
/* How many there are, at most the number that `out` takes; 0 also where the platform fails. */
cl_uint sl_opencl_platforms(const struct sl_opencl_api *api,
                            cl_platform_id out[SL_OPENCL_MAX_PLATFORM]);
cl_uint sl_opencl_devices(const struct sl_opencl_api *api, cl_platform_id platform,
                          cl_device_id out[SL_OPENCL_MAX_DEVICE]);
/* "CL_INVALID_VALUE"; NULL: unknown. */
const char *sl_opencl_error_name(cl_int code);
/* Records that OpenCL refused `what`. SL_ERR_NOMEM where memory is short, else SL_ERR_DEVICE. */
int sl_opencl_refuse(cl_int code, const char *what);

#endif
#else
OPENCL_FUNCTION(clGetPlatformIDs)
OPENCL_FUNCTION(clGetPlatformInfo)
OPENCL_FUNCTION(clGetDeviceIDs)
OPENCL_FUNCTION(clGetDeviceInfo)
OPENCL_FUNCTION(clCreateContext)
OPENCL_FUNCTION(clReleaseContext)
OPENCL_FUNCTION(clCreateCommandQueue)
OPENCL_FUNCTION(clReleaseCommandQueue)
OPENCL_FUNCTION(clCreateProgramWithBinary)
OPENCL_FUNCTION(clCreateProgramWithSource)
OPENCL_FUNCTION(clBuildProgram)
OPENCL_FUNCTION(clGetProgramBuildInfo)
OPENCL_FUNCTION(clReleaseProgram)
OPENCL_FUNCTION(clCreateKernel)
OPENCL_FUNCTION(clReleaseKernel)
OPENCL_FUNCTION(clSetKernelArg)
OPENCL_FUNCTION(clCreateBuffer)
OPENCL_FUNCTION(clReleaseMemObject)
OPENCL_FUNCTION(clEnqueueMigrateMemObjects)
OPENCL_FUNCTION(clEnqueueWriteBuffer)
OPENCL_FUNCTION(clEnqueueReadBuffer)
OPENCL_FUNCTION(clEnqueueTask)
OPENCL_FUNCTION(clSetEventCallback)
OPENCL_FUNCTION(clReleaseEvent)
OPENCL_FUNCTION(clFlush)
OPENCL_FUNCTION(clFinish)
#endif
