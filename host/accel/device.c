/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/device.h"

#include <stdio.h>
#include <string.h>

#include "accel/cpu_device.h"
#include "accel/csim.h"
#include "accel/link.h"
#include "accel/sim.h"
#include "accel/tlm_device.h"
#include "base/err.h"
#include "card/remote.h"

/* Every backend: a prefix of --device and how it opens and lists. */
static const struct backend {
    const char *prefix;
    int (*open)(struct sl_device **out, const char *arg); /* arg: behind ':' or ',', or NULL */
    size_t (*list)(struct sl_device_desc *out, size_t cap);
} backends[] = {
    {"csim", sl_csim_open, sl_csim_list},
    {"cpu", sl_cpu_device_open, sl_cpu_device_list},
    {"sim", sl_sim_open, sl_sim_list},
    {"model", sl_tlm_device_open, sl_tlm_device_list},
    {"xrt", sl_xrt_device_open, sl_xrt_device_list},
    {"opencl", sl_opencl_device_open, sl_opencl_device_list},
};
enum { N_BACKEND = sizeof backends / sizeof backends[0] };

size_t sl_devices(struct sl_device_desc *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < N_BACKEND; i++)
        n += backends[i].list(out + (n < cap ? n : cap), n < cap ? cap - n : 0);
    return n;
}

static const struct backend *find_backend(const char *name)
{
    size_t len = strcspn(name, ":,");
    for (size_t i = 0; i < N_BACKEND; i++)
        if (strlen(backends[i].prefix) == len && !strncmp(backends[i].prefix, name, len))
            return &backends[i];
    return NULL;
}

const char *sl_device_next(const char *list, char *out)
{
    char name[SL_DEVICE_NAME];
    size_t len = strcspn(list, "+");
    for (; list[len]; len += 1 + strcspn(list + len + 1, "+")) {
        snprintf(name, sizeof name, "%s", list + len + 1);
        name[strcspn(name, "+")] = 0;
        if (find_backend(name))
            break;
    }
    snprintf(out, SL_DEVICE_NAME, "%.*s", (int)len, list);
    return list[len] ? list + len + 1 : NULL;
}

int sl_device_open(struct sl_device **out, const char *name)
{
    const char *full = name ? name : "csim";
    const struct backend *backend = find_backend(full);
    if (!backend || strlen(full) >= sizeof(*out)->name)
        return sl_fail(SL_ERR_USAGE, "`sluice devices` lists them", "unknown device '%s'", full);
    const char *arg = full + strlen(backend->prefix);
    struct sl_device *dev = NULL;
    int err = backend->open(&dev, *arg ? arg + 1 : NULL);
    if (err)
        return err;
    snprintf(dev->name, sizeof dev->name, "%s", full);
    if (!dev->deadline_ms)
        dev->deadline_ms = SL_DEVICE_DEADLINE_MS;
    *out = dev;
    return 0;
}

void sl_device_close(struct sl_device **dev)
{
    if (*dev)
        (*dev)->ops->close(*dev);
    *dev = NULL;
}

/* Room for a QUERY before the model's own layout is known: job, record, answer. */
enum { QUERY_BEATS = 3 };

int sl_device_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats)
{
    ctl_beats = ctl_beats < QUERY_BEATS ? QUERY_BEATS : ctl_beats;
    int err = dev->ops->alloc(dev, ctl_beats, w_beats);
    if (err)
        return err;
    dev->ctl_beats = ctl_beats;
    dev->w_beats = w_beats;
    struct sl_caps caps;
    if ((err = sl_device_query(dev, &caps)))
        return err;
    if (caps.abi_version != SL_ABI_VERSION)
        return sl_fail(SL_ERR_ABI, "build host and core from the same sources",
                       "device %s has contract %08x, this program %08x", dev->name,
                       caps.abi_version, SL_ABI_VERSION);
    if (caps.n_port != dev->n_port)
        return sl_fail(SL_ERR_DEVICE, NULL, "device %s reports %u weight ports, expected %u",
                       dev->name, caps.n_port, dev->n_port);
    return 0;
}

static int check_range(const struct sl_device *dev, int arena, uint32_t off, uint32_t n_beats)
{
    uint32_t size = arena == SL_ARENA_CTL ? dev->ctl_beats : dev->w_beats;
    if (arena < SL_ARENA_CTL || arena >= (int)dev->n_port || (uint64_t)off + n_beats > size)
        return sl_fail(SL_ERR_RANGE, NULL, "transfer of %u beats at %u leaves arena %d of %s",
                       n_beats, off, arena, dev->name);
    return 0;
}

int sl_device_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                    uint32_t n_beats)
{
    int err = check_range(dev, arena, off, n_beats);
    return err ? err : dev->ops->write(dev, arena, off, src, n_beats);
}

int (*sl_device_upload_fault)(struct sl_device *dev);

int sl_device_write_begin(struct sl_device *dev, int arena, uint32_t off, const void *src,
                          uint32_t n_beats)
{
    int err = check_range(dev, arena, off, n_beats);
    if (!err && sl_device_upload_fault)
        err = sl_device_upload_fault(dev);
    if (!err)
        err = dev->ops->write_begin ? dev->ops->write_begin(dev, arena, off, src, n_beats)
                                    : dev->ops->write(dev, arena, off, src, n_beats);
    dev->n_upload_failed += err != 0;
    return err;
}

int sl_device_write_end(struct sl_device *dev)
{
    const int err = dev->ops->write_end ? dev->ops->write_end(dev) : 0;
    dev->n_upload_failed += err != 0;
    return err;
}

unsigned sl_device_write_open(struct sl_device *dev)
{
    if (dev->clock)
        return sl_link_sending(dev->clock);
    return dev->ops->write_open ? dev->ops->write_open(dev) : 0;
}

int sl_device_bind(struct sl_device *dev, uint32_t off, const struct sl_slab *slab)
{
    if (!dev->ops->bind)
        return sl_fail(SL_ERR_UNSUPPORTED, NULL, "device %s has weights of its own only",
                       dev->name);
    int err = check_range(dev, 0, off, 1);
    return err ? err : dev->ops->bind(dev, off, slab);
}

int sl_device_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats)
{
    int err = check_range(dev, arena, off, n_beats);
    return err ? err : dev->ops->read(dev, arena, off, dst, n_beats);
}

int sl_device_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms)
{
    int err = check_range(dev, SL_ARENA_CTL, job_off, 2 * n_job);
    return err ? err : dev->ops->launch(dev, job_off, n_job, deadline_ms);
}

int sl_device_query(struct sl_device *dev, struct sl_caps *out)
{
    enum { DEADLINE_MS = 10000 };
    struct sl_job job = {.op = SL_OP_QUERY, .cookie = 0x51554552u, .n_tokens = 1, .y_off = 2};
    struct sl_record record = {0}; /* not the one of an earlier query */
    int err = sl_device_write(dev, SL_ARENA_CTL, 0, &job, 1);
    err = err ? err : sl_device_write(dev, SL_ARENA_CTL, 1, &record, 1);
    err = err ? err : sl_device_launch(dev, 0, 1, DEADLINE_MS);
    err = err ? err : sl_device_read(dev, SL_ARENA_CTL, 1, &record, 1);
    err = err ? err : sl_device_read(dev, SL_ARENA_CTL, 2, out, 1);
    if (!err && (record.cookie != job.cookie || record.status != SL_STATUS_OK))
        return sl_fail(SL_ERR_DEVICE, "reload the device",
                       "device %s does not answer a query (status %u)", dev->name, record.status);
    return err;
}

int sl_device_counters(struct sl_device *dev, struct sl_device_counters *out)
{
    if (!dev->ops->counters)
        return sl_fail(SL_ERR_UNSUPPORTED, "use --device sim", "device %s counts no cycles",
                       dev->name);
    return dev->ops->counters(dev, out);
}
