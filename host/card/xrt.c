/* SPDX-License-Identifier: Apache-2.0 */
#include "card/xrt.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel/args.h"
#include "base/clock.h"
#include "base/err.h"
#include "card/xclbin.h"
#include "card/xrt_api.h"

struct xrt {
    struct sl_device base;
    struct sl_xrt_api api;
    uint32_t timeout;
    bool poll;
    void *device, *kernel, *run; /* XRT's handles, owned */
    void *buffer[SL_MAX_PORTS + 1];
    uint8_t *host[SL_MAX_PORTS + 1]; /* where buffers are mapped */
};

static int refuse(const char *what)
{
    return sl_fail(SL_ERR_DEVICE, "xrt-smi examine tells the card's state", "xrt: %s failed", what);
}

/* ---- library -------------------------------------------------------------------------------- */

static int load(struct sl_xrt_api *api)
{
    static const char name[] = "libxrt_coreutil.so.2";
    api->library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (!api->library)
        return sl_fail(SL_ERR_UNSUPPORTED, "install XRT (Debian: libxrt1)",
                       "device xrt: %s is not there", name);
    const char *missing = NULL;
#define XRT_FUNCTION(result, name, arguments)                                                      \
    *(void **)&api->name = dlsym(api->library, #name);                                             \
    missing = api->name ? missing : #name;
#include "card/xrt_api.h"
#undef XRT_FUNCTION
    return missing ? sl_fail(SL_ERR_UNSUPPORTED, "install XRT 2.13 or later",
                             "device xrt: %s has no %s", name, missing)
                   : 0;
}

/* ---- memory --------------------------------------------------------------------------------- */

static int alloc_arena(struct xrt *x, unsigned arg, uint64_t bytes)
{
    const int group = x->api.xrtKernelArgGroupId(x->kernel, (int)arg);
    if (group < 0)
        return refuse("finding an argument's memory");
    x->buffer[arg] = x->api.xrtBOAlloc(x->device, bytes, 0, (uint32_t)group);
    if (!x->buffer[arg])
        return sl_fail(SL_ERR_NOMEM, "use a model or a format that is smaller, or more ports",
                       "device %s: no room for %llu bytes in memory %d", x->base.name,
                       (unsigned long long)bytes, group);
    x->host[arg] = x->api.xrtBOMap(x->buffer[arg]);
    if (!x->host[arg])
        return refuse("mapping a buffer");
    return x->api.xrtRunSetArg(x->run, (int)arg, x->buffer[arg]) ? refuse("setting arguments") : 0;
}

static int xrt_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct xrt *x = (struct xrt *)dev;
    int err = alloc_arena(x, SL_ARG_CTL, (uint64_t)ctl_beats * SL_BEAT_BYTES);
    for (unsigned p = 0; !err && p < dev->n_port; p++)
        err = alloc_arena(x, SL_ARG_W + p, (uint64_t)w_beats * SL_BEAT_BYTES);
    return err;
}

static int xrt_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                     uint32_t n_beats)
{
    struct xrt *x = (struct xrt *)dev;
    const size_t at = (size_t)off * SL_BEAT_BYTES, n = (size_t)n_beats * SL_BEAT_BYTES;
    const int i = arena + 1;
    memcpy(x->host[i] + at, src, n);
    return n && x->api.xrtBOSync(x->buffer[i], SL_XRT_TO_DEVICE, n, at) ? refuse("sending") : 0;
}

static int xrt_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct xrt *x = (struct xrt *)dev;
    const size_t at = (size_t)off * SL_BEAT_BYTES, n = (size_t)n_beats * SL_BEAT_BYTES;
    const int i = arena + 1;
    if (n && x->api.xrtBOSync(x->buffer[i], SL_XRT_FROM_DEVICE, n, at))
        return refuse("receiving");
    memcpy(dst, x->host[i] + at, n);
    return 0;
}

/* ---- launch --------------------------------------------------------------------------------- */

/* Buffers were set when they were made, and stay. */
static int set_scalars(struct xrt *x, uint32_t job_off, uint32_t n_job)
{
    const struct sl_device *dev = &x->base;
    uint32_t value[SL_N_SCALAR];
    int err = 0;
    sl_arg_scalars(value, dev, job_off, n_job, x->timeout);
    for (unsigned i = 0; !err && i < SL_N_SCALAR; i++)
        err = x->api.xrtRunSetArg(x->run, (int)(dev->n_port + 1 + i), value[i]);
    return err ? refuse("setting arguments") : 0;
}

static unsigned poll_end(struct xrt *x, unsigned deadline_ms)
{
    enum { PAUSE_NS = 50000 };
    const struct timespec pause = {0, PAUSE_NS};
    const uint64_t end = sl_now_ms() + deadline_ms;
    unsigned state;
    while ((state = x->api.xrtRunState(x->run)) != SL_XRT_COMPLETED) {
        if (sl_now_ms() >= end)
            return SL_XRT_TIMEOUT;
        nanosleep(&pause, NULL);
    }
    return state;
}

static int xrt_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    struct xrt *x = (struct xrt *)dev;
    int err = set_scalars(x, job_off, n_job);
    if (err)
        return err;
    if (x->api.xrtRunStart(x->run))
        return refuse("starting the core");
    const unsigned state =
        x->poll ? poll_end(x, deadline_ms) : x->api.xrtRunWaitFor(x->run, deadline_ms);
    if (state == SL_XRT_COMPLETED)
        return 0;
    return sl_fail(state == SL_XRT_TIMEOUT ? SL_ERR_TIMEOUT : SL_ERR_DEVICE,
                   "reset the card: xrt-smi reset", "device %s: the core did not end (state %u)",
                   dev->name, state);
}

/* ---- open and close ------------------------------------------------------------------------- */

static void xrt_close(struct sl_device *dev)
{
    struct xrt *x = (struct xrt *)dev;
    if (x->run)
        x->api.xrtRunClose(x->run);
    for (unsigned i = 0; i <= SL_MAX_PORTS; i++)
        if (x->buffer[i])
            x->api.xrtBOFree(x->buffer[i]);
    if (x->kernel)
        x->api.xrtKernelClose(x->kernel);
    if (x->device)
        x->api.xrtDeviceClose(x->device);
    free(x);
}

static const struct sl_device_ops xrt_ops = {.alloc = xrt_alloc,
                                             .write = xrt_write,
                                             .read = xrt_read,
                                             .launch = xrt_launch,
                                             .close = xrt_close};

static int open_card(struct xrt *x, unsigned index, const char *path, const char *kernel)
{
    uint8_t uuid[16];
    x->device = x->api.xrtDeviceOpen(index);
    if (!x->device)
        return sl_fail(SL_ERR_DEVICE, "`sluice devices` lists them", "xrt has no card %u", index);
    if (x->api.xrtDeviceLoadXclbinFile(x->device, path))
        return sl_fail(SL_ERR_DEVICE, "is it made for this card? slxclbin show tells the platform",
                       "card %u refuses %s", index, path);
    if (x->api.xrtDeviceGetXclbinUUID(x->device, uuid))
        return refuse("asking for the design's UUID");
    x->kernel = x->api.xrtPLKernelOpen(x->device, uuid, kernel);
    if (!x->kernel)
        return refuse("opening the core");
    x->run = x->api.xrtRunOpen(x->kernel);
    return x->run ? 0 : refuse("opening a run");
}

int sl_xrt_open(struct sl_device **out, const struct sl_xrt_params *params)
{
    const char *path = params->xclbin;
    struct sl_xclbin file;
    struct sl_xclbin_core core;
    int err = sl_xclbin_open(&file, path);
    if (err)
        return err;
    err = sl_xclbin_core(&file, path, &core);
    sl_xclbin_close(&file);
    if (err)
        return err;
    struct xrt *x = sl_alloc(1, sizeof *x);
    if (!x)
        return SL_ERR_NOMEM;
    x->base.ops = &xrt_ops;
    x->base.n_port = core.n_port;
    x->timeout = params->timeout;
    x->poll = params->poll;
    strcpy(x->base.name, "xrt");
    err = load(&x->api);
    err = err ? err : open_card(x, params->index, path, core.kernel);
    if (err) {
        xrt_close(&x->base);
        return err;
    }
    *out = &x->base;
    return 0;
}
