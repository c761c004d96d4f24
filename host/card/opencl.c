/* SPDX-License-Identifier: Apache-2.0 */
#include "card/opencl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accel/args.h"
#include "base/err.h"
#include "base/file.h"
#include "card/opencl_api.h"
#include "card/xclbin.h"

enum {
    N_COPIES = 2,            /* control memory, weights */
    N_WORK = 4,              /* x, xe, h, he of hls/activation.h */
    FIRST_LAUNCH_MS = 50000, /* compilers may do their work only then */
    N_COMPILED_SCALAR = SL_ARG_TIMEOUT - SL_ARG_SCALAR
};

/* The end of one launch, told by a thread of the runtime. */
struct end {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
    cl_int status;
};

struct opencl {
    struct sl_device base;
    struct sl_opencl_api api;
    struct sl_opencl_place place;
    uint32_t timeout;
    cl_context context;
    /* All in order. Copies have their own, so that none waits for a launch, and those of control
     * memory for none of weights, which may be long and come from another thread. */
    cl_command_queue launches, copies[N_COPIES];
    cl_program program;
    cl_kernel kernel;
    cl_mem buffer[SL_MAX_PORTS + 1], work[N_WORK];
    struct end end;
    bool hung; /* a launch was given up: nothing can be released any more */
};

/* ---- memory --------------------------------------------------------------------------------- */

static int alloc_buffer(struct opencl *o, cl_mem *out, unsigned arg, uint64_t bytes)
{
    char what[80];
    cl_int code;
    const bool weights = arg >= SL_ARG_W && arg < SL_ARG_W + o->base.n_port;
    *out = o->api.clCreateBuffer(o->context, weights ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE, bytes,
                                 NULL, &code);
    /* Here a card's runtime chooses the memory that the design connects to this argument. */
    if (*out)
        code = o->api.clSetKernelArg(o->kernel, arg, sizeof *out, out);
    snprintf(what, sizeof what, "a buffer of %llu bytes for argument %u", (unsigned long long)bytes,
             arg);
    return code ? sl_opencl_refuse(code, what) : 0;
}

/* The arrays that a card has in the core. */
static int alloc_work(struct opencl *o)
{
    static const uint64_t codes = (uint64_t)SL_MAX_TOKENS * SL_MAX_K;
    const unsigned first = o->base.n_port + 1 + N_COMPILED_SCALAR;
    int err = 0;
    for (unsigned i = 0; !err && i < N_WORK; i++)
        err = alloc_buffer(o, &o->work[i], first + i, i % 2 ? codes / SL_BLOCK : codes);
    return err;
}

static int launch(struct opencl *o, uint32_t job_off, uint32_t n_job, unsigned deadline_ms);

static int opencl_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    struct opencl *o = (struct opencl *)dev;
    int err = alloc_buffer(o, &o->buffer[0], SL_ARG_CTL, (uint64_t)ctl_beats * SL_BEAT_BYTES);
    for (unsigned p = 0; !err && p < dev->n_port; p++)
        err = alloc_buffer(o, &o->buffer[p + 1], SL_ARG_W + p, (uint64_t)w_beats * SL_BEAT_BYTES);
    if (!err && !o->place.xilinx)
        err = alloc_work(o);
    if (err)
        return err;
    /* On the card from now on; later transfers go to parts of them. */
    cl_int code =
        o->api.clEnqueueMigrateMemObjects(o->launches, dev->n_port + 1, o->buffer,
                                          CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL);
    code = code ? code : o->api.clFinish(o->launches);
    if (code)
        return sl_opencl_refuse(code, "placing the buffers");
    return o->place.xilinx ? 0 : launch(o, 0, 0, FIRST_LAUNCH_MS);
}

static int opencl_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                        uint32_t n_beats)
{
    struct opencl *o = (struct opencl *)dev;
    const size_t at = (size_t)off * SL_BEAT_BYTES, n = (size_t)n_beats * SL_BEAT_BYTES;
    const cl_int code = n ? o->api.clEnqueueWriteBuffer(o->copies[arena >= 0], o->buffer[arena + 1],
                                                        CL_TRUE, at, n, src, 0, NULL, NULL)
                          : CL_SUCCESS;
    return code ? sl_opencl_refuse(code, "sending") : 0;
}

static int opencl_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    struct opencl *o = (struct opencl *)dev;
    const size_t at = (size_t)off * SL_BEAT_BYTES, n = (size_t)n_beats * SL_BEAT_BYTES;
    const cl_int code = n ? o->api.clEnqueueReadBuffer(o->copies[arena >= 0], o->buffer[arena + 1],
                                                       CL_TRUE, at, n, dst, 0, NULL, NULL)
                          : CL_SUCCESS;
    return code ? sl_opencl_refuse(code, "receiving") : 0;
}

/* ---- launch --------------------------------------------------------------------------------- */

static int end_open(struct end *e)
{
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);
    if (!err) {
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        err = pthread_mutex_init(&e->lock, NULL);
        err = err ? err : pthread_cond_init(&e->changed, &attr);
        pthread_condattr_destroy(&attr);
    }
    return err ? sl_fail(SL_ERR_NOMEM, NULL, "opencl: no lock") : 0;
}

static void CL_CALLBACK end_came(cl_event event, cl_int status, void *user)
{
    struct end *e = user;
    (void)event;
    pthread_mutex_lock(&e->lock);
    e->over = true;
    e->status = status;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

/* False: the deadline came first. */
static bool end_wait(struct end *e, unsigned deadline_ms)
{
    struct timespec t;
    int late = 0;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += deadline_ms / 1000;
    t.tv_nsec += (long)(deadline_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    pthread_mutex_lock(&e->lock);
    while (!e->over && late != ETIMEDOUT)
        late = pthread_cond_timedwait(&e->changed, &e->lock, &t);
    const bool over = e->over;
    pthread_mutex_unlock(&e->lock);
    return over;
}

static cl_int set_scalars(struct opencl *o, uint32_t job_off, uint32_t n_job)
{
    const struct sl_device *dev = &o->base;
    uint32_t value[SL_N_SCALAR];
    sl_arg_scalars(value, dev, job_off, n_job, o->timeout);
    const unsigned n = o->place.xilinx ? SL_N_SCALAR : N_COMPILED_SCALAR;
    cl_int code = CL_SUCCESS;
    for (unsigned i = 0; !code && i < n; i++)
        code = o->api.clSetKernelArg(o->kernel, dev->n_port + 1 + i, sizeof value[i], &value[i]);
    return code;
}

static int launch(struct opencl *o, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    cl_event event = NULL;
    cl_int code = set_scalars(o, job_off, n_job);
    if (code)
        return sl_opencl_refuse(code, "setting arguments");
    o->end.over = false;
    code = o->api.clEnqueueTask(o->launches, o->kernel, 0, NULL, &event);
    if (code)
        return sl_opencl_refuse(code, "starting the core");
    code = o->api.clSetEventCallback(event, CL_COMPLETE, end_came, &o->end);
    code = code ? code : o->api.clFlush(o->launches);
    if (code) {
        o->hung = true;
        return sl_opencl_refuse(code, "waiting for the core");
    }
    if (!end_wait(&o->end, deadline_ms)) {
        o->hung = true;
        return sl_fail(SL_ERR_TIMEOUT, "reset the card: xrt-smi reset",
                       "opencl: the core did not end in %u ms", deadline_ms);
    }
    o->api.clReleaseEvent(event);
    return o->end.status < 0 ? sl_opencl_refuse(o->end.status, "running the core") : 0;
}

static int opencl_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job,
                         unsigned deadline_ms)
{
    return launch((struct opencl *)dev, job_off, n_job, deadline_ms);
}

/* ---- open and close ------------------------------------------------------------------------- */

static void opencl_close(struct sl_device *dev)
{
    struct opencl *o = (struct opencl *)dev;
    if (o->hung)
        return;
    for (unsigned i = 0; i < N_WORK; i++)
        if (o->work[i])
            o->api.clReleaseMemObject(o->work[i]);
    for (unsigned i = 0; i <= SL_MAX_PORTS; i++)
        if (o->buffer[i])
            o->api.clReleaseMemObject(o->buffer[i]);
    if (o->kernel)
        o->api.clReleaseKernel(o->kernel);
    if (o->program)
        o->api.clReleaseProgram(o->program);
    for (unsigned i = 0; i < N_COPIES; i++)
        if (o->copies[i])
            o->api.clReleaseCommandQueue(o->copies[i]);
    if (o->launches)
        o->api.clReleaseCommandQueue(o->launches);
    if (o->context)
        o->api.clReleaseContext(o->context);
    pthread_cond_destroy(&o->end.changed);
    pthread_mutex_destroy(&o->end.lock);
    free(o);
}

static const struct sl_device_ops opencl_ops = {.alloc = opencl_alloc,
                                                .write = opencl_write,
                                                .read = opencl_read,
                                                .launch = opencl_launch,
                                                .close = opencl_close};

static int open_queues(struct opencl *o)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)o->place.platform, 0};
    cl_int code;
    o->context = o->api.clCreateContext(properties, 1, &o->place.device, NULL, NULL, &code);
    if (!o->context)
        return sl_opencl_refuse(code, "opening the device");
    o->launches = o->api.clCreateCommandQueue(o->context, o->place.device, 0, &code);
    for (unsigned i = 0; !code && i < N_COPIES; i++)
        o->copies[i] = o->api.clCreateCommandQueue(o->context, o->place.device, 0, &code);
    return code ? sl_opencl_refuse(code, "making a queue") : 0;
}

static int open_kernel(struct opencl *o, const char *name)
{
    cl_int code;
    o->kernel = o->api.clCreateKernel(o->program, name, &code);
    return o->kernel ? 0 : sl_opencl_refuse(code, "finding the core in the program");
}

static int load_design(struct opencl *o, const char *path)
{
    struct sl_xclbin file;
    struct sl_xclbin_core core;
    cl_int code = CL_SUCCESS;
    if (!*path)
        return sl_fail(SL_ERR_USAGE, "make xclbin, or opencl:P.N,xclbin=FILE",
                       "this platform of OpenCL takes an xclbin, and there is none");
    int err = sl_xclbin_open(&file, path);
    if (err)
        return err;
    err = sl_xclbin_core(&file, path, &core);
    if (!err) {
        const unsigned char *data = file.map.data;
        o->program = o->api.clCreateProgramWithBinary(o->context, 1, &o->place.device,
                                                      &file.map.size, &data, NULL, &code);
        if (o->program)
            code = o->api.clBuildProgram(o->program, 1, &o->place.device, NULL, NULL, NULL);
        err = code ? sl_opencl_refuse(code, "loading the design") : 0;
    }
    sl_xclbin_close(&file);
    o->base.n_port = core.n_port;
    return err ? err : open_kernel(o, core.kernel);
}

/* With the compiler's first complaint. */
static int refuse_source(const struct opencl *o, cl_int code, const char *path)
{
    char what[400], log[4096] = "";
    o->api.clGetProgramBuildInfo(o->program, o->place.device, CL_PROGRAM_BUILD_LOG, sizeof log - 1,
                                 log, NULL);
    const char *first = strstr(log, "error:");
    first = first ? first : log;
    snprintf(what, sizeof what, "compiling %s (%.*s)", path, (int)strcspn(first, "\n"), first);
    return sl_opencl_refuse(code, what);
}

static int compile(struct opencl *o, const struct sl_opencl_params *p)
{
    enum { MAX_SOURCE = 8 << 20 };
    char options[64], *text;
    size_t size;
    cl_int code;
    if (sl_file_read(&text, &size, p->source, MAX_SOURCE))
        return sl_fail(SL_ERR_USAGE, "make, or name its folder in SLUICE_CL_DIR",
                       "opencl: the source of the core is not at %s", p->source);
    const char *lines = text;
    o->program = o->api.clCreateProgramWithSource(o->context, 1, &lines, &size, &code);
    free(text);
    if (!o->program)
        return sl_opencl_refuse(code, "taking the source of the core");
    snprintf(options, sizeof options, "-cl-std=CL1.2 -DSL_P=%u", p->n_port);
    code = o->api.clBuildProgram(o->program, 1, &o->place.device, options, NULL, NULL);
    if (code)
        return refuse_source(o, code, p->source);
    o->base.n_port = p->n_port;
    return open_kernel(o, "sl_core_cl");
}

int sl_opencl_open(struct sl_device **out, const struct sl_opencl_params *p)
{
    struct opencl *o = sl_alloc(1, sizeof *o);
    if (!o)
        return SL_ERR_NOMEM;
    o->base.ops = &opencl_ops;
    o->timeout = p->timeout;
    strcpy(o->base.name, "opencl");
    int err = end_open(&o->end);
    if (err) {
        free(o);
        return err;
    }
    err = sl_opencl_load(&o->api);
    err = err ? err : sl_opencl_find(&o->api, p->platform, p->device, *p->xclbin, &o->place);
    err = err ? err : open_queues(o);
    if (!err)
        err = o->place.xilinx ? load_design(o, p->xclbin) : compile(o, p);
    if (err) {
        opencl_close(&o->base);
        return err;
    }
    *out = &o->base;
    return 0;
}
