/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "opencl" can name here, without a runtime: the design that would be taken, the libraries
 * that the loader would find, and the platforms that are registered. Nothing is started or opened;
 * numbers of platforms are known only to the loader, so that none is listed.
 */
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "card/cards.h"
#include "card/remote.h"
#include "card/remote_options.h"

static const char vendor_library[] = "libxilinxopencl.so.2";

/* Files of registered platforms other than Xilinx, "pocl, intel". */
static void other_platforms(char *out, size_t cap)
{
    char pattern[PATH_MAX];
    const char *env = getenv("OCL_ICD_VENDORS");
    glob_t found;
    size_t n = 0;
    out[0] = 0;
    snprintf(pattern, sizeof pattern, "%.4000s/*.icd", env && *env ? env : "/etc/OpenCL/vendors");
    if (glob(pattern, 0, NULL, &found))
        return;
    for (size_t i = 0; i < found.gl_pathc && n + 1 < cap; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        const int len = (int)strlen(name) - (int)strlen(".icd");
        if (strcmp(name, "xilinx.icd"))
            n += (size_t)snprintf(out + n, cap - n, "%s%.*s", n ? ", " : "", len, name);
    }
    globfree(&found);
}

static void fill(struct sl_device_desc *d, const char *name, const char *what, const char *missing)
{
    *d = (struct sl_device_desc){.usable = !*missing};
    snprintf(d->name, sizeof d->name, "%s", name);
    snprintf(d->detail, sizeof d->detail, "%s%s%s", what, *missing ? "; " : "", missing);
}

static void describe_design(struct sl_device_desc *d, const char *missing, bool emulated)
{
    char path[PATH_MAX];
    const bool there = !access("/opt/xilinx/xrt/lib/libxilinxopencl.so.2", R_OK) ||
                       sl_library_find(vendor_library, path, sizeof path);
    if (!*missing && !there)
        missing = "libxilinxopencl.so.2 is not there: install XRT (Debian: libxrt1)";
    fill(d, "opencl",
         emulated ? "an emulated card, the RTL behind OpenCL: platform Xilinx"
                  : "a card behind OpenCL, the first of platform Xilinx",
         missing);
}

static void describe_compiled(struct sl_device_desc *d, const char *missing, const char *source)
{
    char names[64], what[160];
    other_platforms(names, sizeof names);
    snprintf(what, sizeof what,
             "the core in HLS C, compiled by a platform of OpenCL (%s), 1 weight port",
             names[0] ? names : "none");
    if (!*missing && access(source, R_OK))
        missing = "sl_core.cl is not built: make";
    if (!*missing && !names[0])
        missing = "install one (Debian: pocl-opencl-icd)";
    fill(d, "opencl,ports=1", what, missing);
}

size_t sl_opencl_device_list(struct sl_device_desc *out, size_t cap)
{
    char missing[128];
    bool emulated = false;
    struct sl_remote_options *o = sl_alloc(1, sizeof *o);
    if (!o)
        return 0;
    const char *env = getenv("SLUICE_OPENCL");
    sl_card_missing(env && *env ? env : "libOpenCL.so.1", "ocl-icd-libopencl1", missing,
                    sizeof missing);
    const bool design = sl_remote_options_parse(o, "opencl", NULL, &emulated) == 0 && o->xclbin[0];
    if (design && cap > 0)
        describe_design(&out[0], missing, emulated);
    if (cap > design)
        describe_compiled(&out[design], missing, o->source);
    free(o);
    return (size_t)design + 1;
}
