/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind "xrt:" and "opencl:" in --device (card/remote.h). */
#ifndef SL_CARD_REMOTE_OPTIONS_H
#define SL_CARD_REMOTE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "sl_sim.h"

enum { SL_REMOTE_PATH = 512, SL_REMOTE_BOARD = 256 };

struct sl_remote_options {
    int platform;    /* of OpenCL; SL_OPENCL_ANY: not given */
    unsigned index;  /* of the card */
    unsigned n_port; /* of a core that OpenCL compiles; 0: not given */
    bool opencl, stock;
    uint32_t timeout;             /* of the core, cycles */
    enum sl_sim_memory memory;    /* of the board */
    unsigned deadline_ms;         /* of a launch; 0: the usual one */
    char xclbin[SL_REMOTE_PATH];  /* absolute; "": none */
    char source[SL_REMOTE_PATH];  /* of a core that OpenCL compiles, absolute */
    char summary[SL_REMOTE_PATH]; /* "": none */
    char board[SL_REMOTE_BOARD];  /* the board's own options, checked */
};

/* backend: "xrt" or "opencl", with or without what follows. arg may be NULL. *emulated: the design
 * is made for hardware emulation. SL_ERR_USAGE, or why the design cannot be read. */
int sl_remote_options_parse(struct sl_remote_options *out, const char *backend, const char *arg,
                            bool *emulated);

#endif
