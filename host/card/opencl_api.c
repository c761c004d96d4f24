/* SPDX-License-Identifier: Apache-2.0 */
#include "card/opencl_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "card/opencl.h"

/* ---- errors --------------------------------------------------------------------------------- */

#define ERROR(name)                                                                                \
    {                                                                                              \
        name, #name, NULL                                                                          \
    }
#define ERROR_WITH(name, hint)                                                                     \
    {                                                                                              \
        name, #name, hint                                                                          \
    }
static const struct {
    cl_int code;
    const char *name, *hint;
} errors[] = {
    ERROR_WITH(CL_DEVICE_NOT_FOUND, "`sluice devices` lists them"),
    ERROR_WITH(CL_DEVICE_NOT_AVAILABLE, "another program may hold it"),
    ERROR_WITH(CL_COMPILER_NOT_AVAILABLE, "choose another platform: opencl:P.N"),
    ERROR_WITH(CL_MEM_OBJECT_ALLOCATION_FAILURE, "use a smaller model or format, or more ports"),
    ERROR_WITH(CL_OUT_OF_RESOURCES, "use a smaller model or format, or more ports"),
    ERROR_WITH(CL_OUT_OF_HOST_MEMORY, "use a smaller model or format"),
    ERROR_WITH(CL_BUILD_PROGRAM_FAILURE, "is the platform's compiler one of OpenCL C 1.2?"),
    ERROR_WITH(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "open the device again"),
    ERROR(CL_MAP_FAILURE),
    ERROR(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    ERROR_WITH(CL_COMPILE_PROGRAM_FAILURE, "is the platform's compiler one of OpenCL C 1.2?"),
    ERROR_WITH(CL_LINKER_NOT_AVAILABLE, "choose another platform: opencl:P.N"),
    ERROR(CL_INVALID_VALUE),
    ERROR(CL_INVALID_DEVICE_TYPE),
    ERROR(CL_INVALID_PLATFORM),
    ERROR(CL_INVALID_DEVICE),
    ERROR(CL_INVALID_CONTEXT),
    ERROR(CL_INVALID_QUEUE_PROPERTIES),
    ERROR(CL_INVALID_COMMAND_QUEUE),
    ERROR(CL_INVALID_HOST_PTR),
    ERROR(CL_INVALID_MEM_OBJECT),
    ERROR_WITH(CL_INVALID_BINARY, "is it made for this card? slxclbin show tells the platform"),
    ERROR(CL_INVALID_BUILD_OPTIONS),
    ERROR(CL_INVALID_PROGRAM),
    ERROR(CL_INVALID_PROGRAM_EXECUTABLE),
    ERROR_WITH(CL_INVALID_KERNEL_NAME, "the design holds another core: make xclbin"),
    ERROR(CL_INVALID_KERNEL_DEFINITION),
    ERROR(CL_INVALID_KERNEL),
    ERROR_WITH(CL_INVALID_ARG_INDEX, "the design holds another core: make xclbin"),
    ERROR(CL_INVALID_ARG_VALUE),
    ERROR(CL_INVALID_ARG_SIZE),
    ERROR(CL_INVALID_KERNEL_ARGS),
    ERROR(CL_INVALID_EVENT_WAIT_LIST),
    ERROR(CL_INVALID_EVENT),
    ERROR(CL_INVALID_OPERATION),
    ERROR_WITH(CL_INVALID_BUFFER_SIZE, "use a smaller model or format, or more ports"),
};
#undef ERROR
#undef ERROR_WITH
enum { N_ERROR = sizeof errors / sizeof errors[0] };

const char *sl_opencl_error_name(cl_int code)
{
    for (size_t i = 0; i < N_ERROR; i++)
        if (errors[i].code == code)
            return errors[i].name;
    return NULL;
}

int sl_opencl_refuse(cl_int code, const char *what)
{
    const bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY ||
                        code == CL_OUT_OF_RESOURCES || code == CL_INVALID_BUFFER_SIZE;
    const char *hint = NULL, *name = "unknown code";
    for (size_t i = 0; i < N_ERROR; i++)
        if (errors[i].code == code) {
            name = errors[i].name;
            hint = errors[i].hint;
        }
    return sl_fail(memory ? SL_ERR_NOMEM : SL_ERR_DEVICE, hint, "opencl: %s failed: %s (%d)", what,
                   name, code);
}

/* ---- library -------------------------------------------------------------------------------- */

/* A runtime of Xilinx that is listed system-wide ends every OpenCL program in which its tree is not
 * named. */
static void name_vendor_tree(void)
{
    static const char tree[] = "/opt/xilinx/xrt";
    if (access(tree, F_OK) == 0)
        setenv("XILINX_XRT", tree, 0);
}

int sl_opencl_load(struct sl_opencl_api *api)
{
    const char *name = getenv("SLUICE_OPENCL");
    const char *missing = NULL;
    if (!name || !*name)
        name = "libOpenCL.so.1";
    name_vendor_tree();
    api->library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (!api->library)
        return sl_fail(SL_ERR_UNSUPPORTED, "install an OpenCL loader (Debian: ocl-icd-libopencl1)",
                       "device opencl: %s is not there", name);
#define OPENCL_FUNCTION(function)                                                                  \
    *(void **)&api->function = dlsym(api->library, #function);                                     \
    missing = api->function ? missing : #function;
#include "card/opencl_api.h"
#undef OPENCL_FUNCTION
    return missing ? sl_fail(SL_ERR_UNSUPPORTED, "install an OpenCL loader of version 1.2 or later",
                             "device opencl: %s has no %s", name, missing)
                   : 0;
}

/* ---- platforms and devices ------------------------------------------------------------------ */

void sl_opencl_platform_name(const struct sl_opencl_api *api, cl_platform_id platform,
                             char out[SL_OPENCL_NAME])
{
    out[0] = 0;
    if (api->clGetPlatformInfo(platform, CL_PLATFORM_NAME, SL_OPENCL_NAME, out, NULL))
        out[0] = 0;
}

void sl_opencl_device_name(const struct sl_opencl_api *api, cl_device_id device,
                           char out[SL_OPENCL_NAME])
{
    out[0] = 0;
    if (api->clGetDeviceInfo(device, CL_DEVICE_NAME, SL_OPENCL_NAME, out, NULL))
        out[0] = 0;
}

cl_uint sl_opencl_platforms(const struct sl_opencl_api *api,
                            cl_platform_id out[SL_OPENCL_MAX_PLATFORM])
{
    cl_uint n = 0;
    if (api->clGetPlatformIDs(SL_OPENCL_MAX_PLATFORM, out, &n))
        return 0;
    return n < SL_OPENCL_MAX_PLATFORM ? n : SL_OPENCL_MAX_PLATFORM;
}

cl_uint sl_opencl_devices(const struct sl_opencl_api *api, cl_platform_id platform,
                          cl_device_id out[SL_OPENCL_MAX_DEVICE])
{
    cl_uint n = 0;
    if (api->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, SL_OPENCL_MAX_DEVICE, out, &n))
        return 0;
    return n < SL_OPENCL_MAX_DEVICE ? n : SL_OPENCL_MAX_DEVICE;
}

static bool is_xilinx(const struct sl_opencl_api *api, cl_platform_id platform)
{
    char name[SL_OPENCL_NAME];
    sl_opencl_platform_name(api, platform, name);
    return strstr(name, "Xilinx") != NULL;
}

/* The number of the preferred kind's first platform with a device, or -1. */
static int choose(const struct sl_opencl_api *api, const cl_platform_id *platform, cl_uint n,
                  bool xilinx)
{
    cl_device_id device[SL_OPENCL_MAX_DEVICE];
    for (cl_uint i = 0; i < n; i++)
        if (is_xilinx(api, platform[i]) == xilinx && sl_opencl_devices(api, platform[i], device))
            return (int)i;
    return -1;
}

int sl_opencl_find(const struct sl_opencl_api *api, int platform, unsigned device,
                   bool prefer_xilinx, struct sl_opencl_place *out)
{
    cl_platform_id list[SL_OPENCL_MAX_PLATFORM];
    cl_device_id devices[SL_OPENCL_MAX_DEVICE];
    const cl_uint n = sl_opencl_platforms(api, list);
    const bool any = platform == SL_OPENCL_ANY;
    if (any)
        platform = choose(api, list, n, prefer_xilinx);
    if (any && platform < 0)
        return sl_fail(SL_ERR_UNSUPPORTED,
                       prefer_xilinx ? "install XRT (Debian: libxrt1)"
                                     : "install one (Debian: pocl-opencl-icd), or make xclbin",
                       "opencl: none of %u platforms %s", n,
                       prefer_xilinx ? "takes an xclbin" : "has a device that takes source");
    if (platform < 0 || (cl_uint)platform >= n)
        return sl_fail(SL_ERR_USAGE, "`sluice devices` lists them; counted from 0",
                       "opencl has no platform %d, only %u", platform, n);
    const cl_uint n_device = sl_opencl_devices(api, list[platform], devices);
    if (device >= n_device)
        return sl_fail(SL_ERR_USAGE, "`sluice devices` lists them; counted from 0",
                       "opencl: platform %d has no device %u, only %u", platform, device, n_device);
    *out =
        (struct sl_opencl_place){list[platform], devices[device], is_xilinx(api, list[platform])};
    return 0;
}
