/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests behind sl_validate, one after the other on one device. A test fills v->test and returns
 * 0; a negative enum sl_err is the device's own failure, behind which nothing else is asked of it
 * until it has been opened again.
 */
#ifndef SL_VALIDATE_VALIDATE_H
#define SL_VALIDATE_VALIDATE_H

#include "accel/code_names.h"
#include "accel/device.h"

enum {
    SL_VALIDATE_CTL_BEATS = 262144, /* 16 MiB: the largest transfer */
    SL_VALIDATE_W_BEATS = 24576,    /* 1.5 MiB for each weight port */
    SL_VALIDATE_SETUP_BEATS = 65536 /* of the control arena, for jobs and their data */
};

/* What stands behind a device's name. */
enum sl_validate_kind {
    SL_VALIDATE_NATIVE,   /* csim: the core in C, no clock */
    SL_VALIDATE_SIM,      /* the RTL simulated in process */
    SL_VALIDATE_MODEL,    /* the CPU in modelled time */
    SL_VALIDATE_EMULATED, /* a card's runtime with a simulated board */
    SL_VALIDATE_PLATFORM, /* another OpenCL platform */
    SL_VALIDATE_CARD
};

/* How the device is opened; sl_validate uses sl_device_open. */
typedef int (*sl_validate_open_fn)(struct sl_device **out, const char *name);

struct sl_validate {
    const struct sl_validate_params *params;
    sl_validate_open_fn open;
    struct sl_device *dev, *ref; /* owned; ref: the core in C with one port */
    struct sl_caps caps;
    enum sl_validate_kind kind;
    unsigned lost; /* the test in which the device failed; 0: it works */
    int open_err;  /* why it could not be opened */
    uint64_t rng;
    struct sl_validate_test test;
};

/* The whole, with devices that are opened by open(). */
int sl_validate_with(const struct sl_validate_params *params, sl_validate_open_fn open);

int sl_validate_open(struct sl_validate *v);
int sl_validate_memory(struct sl_validate *v);
int sl_validate_bandwidth(struct sl_validate *v);
int sl_validate_latency(struct sl_validate *v);
int sl_validate_arithmetic(struct sl_validate *v);
int sl_validate_malformed(struct sl_validate *v);
int sl_validate_weights(struct sl_validate *v);
int sl_validate_reopen(struct sl_validate *v);
int sl_validate_sensors(struct sl_validate *v);

/* ---- for the tests -------------------------------------------------------------------------- */

/* Opens the device, allocates its arenas and asks what it can do. */
int sl_validate_start(struct sl_validate *v);
/* The result FAILED or SKIPPED and the reason; returns 0. */
int sl_validate_wrong(struct sl_validate *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int sl_validate_skip(struct sl_validate *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* 0, or SL_ERR_INTERRUPTED once the caller wants to stop. */
int sl_validate_go_on(struct sl_validate *v);
/* A row of the test's table; its values are NaN. */
struct sl_validate_row *sl_validate_add_row(struct sl_validate *v, const char *name);
/* Deadline of one launch. */
unsigned sl_validate_deadline(const struct sl_validate *v);
uint64_t sl_validate_random(struct sl_validate *v);
double sl_validate_seconds(void);
/* Sorts value[n]; the one below which `share` of them lie. */
double sl_validate_quantile(double *value, unsigned n, double share);
/* Whether cycles of this device are simulated ones: "simulated cycles" or "cycles". */
const char *sl_validate_cycles(const struct sl_validate *v);

#endif
