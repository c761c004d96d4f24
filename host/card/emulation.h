/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder in which XRT's hardware emulation can live, and the environment that makes it do so: a
 * private tree of XRT's libraries, xrt.ini, the description of the cards, the folder of OpenCL
 * vendors, and the places of sockets, logs and results. Everything is gone when it is closed.
 */
#ifndef SL_CARD_EMULATION_H
#define SL_CARD_EMULATION_H

#include <stdbool.h>
#include <stddef.h>

#include "board/shown.h"

enum { SL_EMULATION_PATH = 256, SL_EMULATION_ENV = 24, SL_EMULATION_MAX_CARD = 8 };

struct sl_emulation_params {
    const char *board;   /* options of the board (sim/board/board.h), or "" */
    const char *helpers; /* folder with libsl_nosleep.so */
    bool no_sleep;       /* shorten the pauses of XRT's emulation */
    bool profile;        /* count transfers: summary.csv when the process ends */
};

struct sl_emulation {
    char dir[64];                    /* "/tmp/sluice-PID-..." */
    int life;                        /* the read end of a FIFO that the board keeps open, or -1 */
    const struct board_shown *shown; /* mapped: what the board writes */
    char *env[SL_EMULATION_ENV];     /* owned; "NAME=value", ends with NULL: what is set on top */
};

/* SL_ERR_IO. On failure nothing is left behind. */
int sl_emulation_open(struct sl_emulation *out, const struct sl_emulation_params *params);
void sl_emulation_close(struct sl_emulation *e);
/* Why something ended: the last line, not an empty one, of "board.log" or of "host.log", what the
 * process of the card printed; "" when there is none. */
void sl_emulation_last_line(const struct sl_emulation *e, const char *name, char *out, size_t cap);

#endif
