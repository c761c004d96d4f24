/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that waits for a device's launch, so that its owner computes, reads and uploads
 * meanwhile. One launch at a time; only the owner calls.
 */
#ifndef SL_FABRIC_LAUNCHER_H
#define SL_FABRIC_LAUNCHER_H

#include "accel/device.h"

struct sl_launcher;

/* SL_ERR_NOMEM when no thread can be had. */
int sl_launcher_open(struct sl_launcher **out);
/* Waits for a launch that is on its way (it has a deadline of its own). */
void sl_launcher_close(struct sl_launcher **launcher);
/* As sl_device_launch, but returns at once. dev must live until the launch is over. */
void sl_launcher_start(struct sl_launcher *launcher, struct sl_device *dev, uint32_t job_off,
                       uint32_t n_job, unsigned deadline_ms);
/* True when the launch is over; waits at most so long for it. */
bool sl_launcher_poll(struct sl_launcher *launcher, unsigned wait_us);
/* Waits for its end: what sl_device_launch returned, with the message in the caller's thread. The
 * times (sl_now_ns) of its begin and end; may be NULL. */
int sl_launcher_finish(struct sl_launcher *launcher, uint64_t *begin, uint64_t *end);

#endif
