/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between a program and the process that holds its card (card/remote.h, host/device_host): calls
 * and answers, one packet each, and a window of shared memory through which data goes. Both sides
 * are built from the same sources.
 */
#ifndef SL_CARD_REMOTE_WIRE_H
#define SL_CARD_REMOTE_WIRE_H

#include <stdint.h>

enum sl_remote_op {
    SL_REMOTE_HELLO,  /* answered once, when the card is open */
    SL_REMOTE_ALLOC,  /* off: beats of the control arena, n: of each weight arena */
    SL_REMOTE_WRITE,  /* from the window */
    SL_REMOTE_READ,   /* into the window */
    SL_REMOTE_LAUNCH, /* off: of the jobs, n: of them; limits: sizes that the core is told */
    SL_REMOTE_CLOSE   /* answered when the card is closed; then the process ends */
};

/* Each direction has a socket and a thread of its own, so that transfers and the core overlap. */
enum sl_remote_lane { SL_REMOTE_MAIN, SL_REMOTE_UP, SL_REMOTE_DOWN, SL_REMOTE_LANES };

/* Each direction has places for two transfers: while one is on its way, the next is filled. */
enum {
    SL_REMOTE_PLACES = 2,
    SL_REMOTE_PLACE_BEATS = 16384, /* 1 MiB */
    SL_REMOTE_PLACE_BYTES = SL_REMOTE_PLACE_BEATS * 64,
    SL_REMOTE_WINDOW_BYTES = 2 * SL_REMOTE_PLACES * SL_REMOTE_PLACE_BYTES,
    SL_REMOTE_TEXT = 400,
    SL_REMOTE_HINT = 200,
    SL_REMOTE_SOCKET = 3, /* descriptors in the process: of the first lane, then the others */
    SL_REMOTE_WINDOW = SL_REMOTE_SOCKET + SL_REMOTE_LANES
};

struct sl_remote_call {
    uint32_t op, off, n, deadline_ms;
    int32_t arena;
    uint32_t place; /* of the window: the upload's first, then the download's */
    uint32_t ctl_limit, w_limit;
};

struct sl_remote_answer {
    int32_t err; /* 0 or an enum sl_err, with its text */
    uint32_t n_port;
    char text[SL_REMOTE_TEXT], hint[SL_REMOTE_HINT];
};

#endif
