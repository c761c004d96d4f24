/* SPDX-License-Identifier: Apache-2.0 */
/* A page that the board writes and others map: the program, which reads counters, and the helper
 * that waits for the end of a launch (nosleep.c). The file's name is in SLUICE_BOARD_SHOWN. */
#ifndef SL_BOARD_SHOWN_H
#define SL_BOARD_SHOWN_H

#include <stdint.h>

#include "sl_sim.h"

struct board_shown {
    struct sl_sim_counters counters; /* after every launch */
    uint32_t n_end;                  /* of launches; a futex, woken behind each */
    int64_t end_ns;                  /* when the last one ended, CLOCK_MONOTONIC */
};

#endif
