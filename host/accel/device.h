/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that runs the core: one control/activation arena and P weight arenas, written and read
 * by the host, and launches that walk a list of jobs. Backends fill the table; fabric.c is the only
 * caller besides tests.
 */
#ifndef SL_ACCEL_DEVICE_H
#define SL_ACCEL_DEVICE_H

#include "sl_abi.h"
#include "sluice.h"

enum { SL_DEVICE_NAME = 256 }; /* longest name of a device, with its NUL */
/* The largest job on a slow simulation stays far below. */
enum { SL_DEVICE_DEADLINE_MS = 600000 };
enum { SL_ARENA_CTL = -1 }; /* arena numbers: SL_ARENA_CTL, or a weight port 0 .. n_port - 1 */

struct sl_device;
struct sl_link;

/* Traffic of one memory port since the device was opened. */
struct sl_port_counters {
    uint64_t read_bytes, write_bytes; /* bytes that moved (writes: of enabled lanes) */
    uint64_t read_beats, write_beats;
    uint64_t read_bursts, write_bursts;
};

/* What a device that counts its clock knows beside the records. All since it was opened. */
struct sl_device_counters {
    uint64_t launches;
    uint64_t cycles;       /* core cycles from start to interrupt, all launches */
    uint64_t total_cycles; /* every cycle that was simulated, register accesses included */
    double cpu_s;          /* processor time of the simulation, all launches */
    double clock_hz;       /* nominal clock of the core */
    double ceiling;        /* bytes per cycle of one port: a linear read of 4 KiB bursts */
    char memory[32];       /* timing model that says so: "hbm" "ddr" "ideal" */
    unsigned n_port;
    struct sl_port_counters ctl, w[SL_MAX_PORTS]; /* w: n_port entries */
    struct sl_virtual_time time;                  /* of devices that have no board */
};

struct sl_device_ops {
    /* Sizes in beats; called once, before any transfer. Weight arenas are below 4 GB each. */
    int (*alloc)(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats);
    /* Copies whole beats. Ranges were checked against the arena's size. Blocking. */
    int (*write)(struct sl_device *dev, int arena, uint32_t off, const void *src, uint32_t n_beats);
    /* A write that may go on while the core runs; src is free again when begin returns. end waits
     * for all of them and tells the first failure. NULL: write does it. */
    int (*write_begin)(struct sl_device *dev, int arena, uint32_t off, const void *src,
                       uint32_t n_beats);
    int (*write_end)(struct sl_device *dev);
    /* How many of those begun are on their way, without waiting for one. NULL: none ever. */
    unsigned (*write_open)(struct sl_device *dev);
    /* Where the core reads slabs as the host holds them, in natural order: w_off `off` names `slab`
     * (checked, borrowed until it is bound to another or the device is closed), whatever the weight
     * arenas hold there. NULL: weights have to be written. */
    int (*bind)(struct sl_device *dev, uint32_t off, const struct sl_slab *slab);
    int (*read)(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats);
    /* Runs the job list at job_off; returns when all records are written or after deadline_ms with
     * SL_ERR_TIMEOUT. */
    int (*launch)(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms);
    void (*close)(struct sl_device *dev);
    /* NULL where nothing counts (csim). */
    int (*counters)(struct sl_device *dev, struct sl_device_counters *out);
};

/* Base of every backend's own struct. */
struct sl_device {
    const struct sl_device_ops *ops;
    char name[SL_DEVICE_NAME]; /* as given to --device: "csim" "csim:4" "sim:4x1,mem=hbm" */
    unsigned n_port;           /* P */
    uint32_t ctl_beats, w_beats;
    uint8_t *ctl_host; /* the ctl arena where the host can address it directly (csim), else NULL */
    /* Of a device without a board (accel/link.h): what its owner does beside it is told to it, and
     * a launch is waited for by whoever starts it. NULL: time is real */
    struct sl_link *clock;
    uint64_t n_upload_failed; /* calls of write_begin and write_end that did */
    unsigned deadline_ms; /* of a launch of a model; 0 while it is opened: SL_DEVICE_DEADLINE_MS */
};

/* name: "csim", "csim:P" (P one of the built configurations), "sim:PxT,option,..." (accel/sim.h),
 * "cpu" (accel/cpu_device.h), "model:PxT,option,..." (accel/tlm_device.h).
 * NULL: the default device.
 * SL_ERR_USAGE lists what exists. The device answers a QUERY before it is returned: another ABI
 * version is SL_ERR_ABI. */
int sl_device_open(struct sl_device **out, const char *name);
void sl_device_close(struct sl_device **dev);
/* The next name of a list "xrt:0+xrt:1,stall=10": a '+' separates where a backend's name follows.
 * out: SL_DEVICE_NAME characters. Returns the rest, or NULL behind the last one. */
const char *sl_device_next(const char *list, char *out);
int sl_device_alloc(struct sl_device *dev, uint32_t ctl_beats, uint32_t w_beats);
/* Range-checked transfers. */
int sl_device_write(struct sl_device *dev, int arena, uint32_t off, const void *src,
                    uint32_t n_beats);
/* For tests of what happens then: asked ahead of each upload, and what is not 0 is its error. NULL:
 * none fails by itself. */
extern int (*sl_device_upload_fault)(struct sl_device *dev);
/* Uploads beside the core: a launch may run between them, if it needs nothing of what is written.
 */
int sl_device_write_begin(struct sl_device *dev, int arena, uint32_t off, const void *src,
                          uint32_t n_beats);
int sl_device_write_end(struct sl_device *dev);
/* How many uploads write_end would have to wait for. */
unsigned sl_device_write_open(struct sl_device *dev);
/* Instead of writing it: see the table. Any off below w_beats is as good as another. */
int sl_device_bind(struct sl_device *dev, uint32_t off, const struct sl_slab *slab);
int sl_device_read(struct sl_device *dev, int arena, uint32_t off, void *dst, uint32_t n_beats);
int sl_device_launch(struct sl_device *dev, uint32_t job_off, uint32_t n_job, unsigned deadline_ms);
int sl_device_query(struct sl_device *dev, struct sl_caps *out);
/* SL_ERR_UNSUPPORTED where the device does not count. */
int sl_device_counters(struct sl_device *dev, struct sl_device_counters *out);

#endif
