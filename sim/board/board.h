/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card that XRT's hardware emulation sees: memory banks, the Verilated core behind its
 * registers, and the profiler's monitors. Memory, timing and protocol checks are those of
 * sl_sim.h; every buffer that XRT allocates is an arena of it, so that a launch takes the cycles
 * that it takes in process, and an access outside of all buffers is answered with an error.
 */
#ifndef SL_BOARD_H
#define SL_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shown.h"

enum { BOARD_MAX_BANK = 40, BOARD_TEXT = 256 };

/* Memory as MEM_TOPOLOGY describes it. */
struct board_bank {
    uint64_t base, bytes;
    uint32_t ports; /* as sl_sim_arena's */
    uint8_t *host;  /* mapped by board_open; pages appear when they are touched */
};

/* What board.cfg in the container says. */
struct board_config {
    char core[64];     /* shared object of the core */
    uint64_t control;  /* address of the core's registers */
    uint64_t monitors; /* address of the first profile monitor (monitor.h) */
    uint32_t n_bank;
    struct board_bank bank[BOARD_MAX_BANK];
};

struct board;

/* False: *why, BOARD_TEXT characters, says what is wrong. */
bool board_read_config(struct board_config *out, const char *path, char *why);
/* folder: of the shared object. options: those of --device sim, and hang=N and die=N (the N-th
 * launch never ends; ends the process). */
bool board_open(struct board **out, const struct board_config *config, const char *folder,
                const char *options, char *why);
void board_close(struct board *board); /* accepts NULL */

/* Outside of the banks nothing is stored and zeros are read: false then. */
bool board_write(struct board *board, uint64_t address, const uint8_t *data, size_t n);
bool board_read(struct board *board, uint64_t address, uint8_t *out, size_t n);
/* A buffer. False: outside of the banks, or too many. */
bool board_allocate(struct board *board, uint64_t address, uint64_t bytes);
void board_release(struct board *board, uint64_t address);

/* Registers of the core and of the monitors. Reading CTRL of a core that is busy simulates on, up
 * to its end or for some thousand cycles. False: the core broke a rule, board_message() tells. */
bool board_write_register(struct board *board, uint64_t address, uint32_t value);
bool board_read_register(struct board *board, uint64_t address, uint32_t *value);
/* Written after every launch; not owned. */
void board_show(struct board *board, struct board_shown *out);
/* Simulated time since reset. */
uint64_t board_nanoseconds(const struct board *board);
const char *board_message(const struct board *board);

#endif
