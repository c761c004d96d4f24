/* SPDX-License-Identifier: Apache-2.0 */
/* The process that holds a card (card/remote.h): its start, its sockets and its end. */
#ifndef SL_CARD_REMOTE_PROCESS_H
#define SL_CARD_REMOTE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "card/remote_wire.h"

struct sl_remote_process {
    pid_t pid; /* 0: none */
    int socket[SL_REMOTE_LANES];
    uint8_t *window; /* SL_REMOTE_WINDOW_BYTES, shared with it */
};

struct sl_remote_start {
    char *const *argv; /* the program by its full name first */
    const char *dir;   /* where it runs and logs to host.log; NULL: here, without a log */
    char *const *env;  /* "NAME=value" on top of the program's own environment, ends with NULL */
};

/* SL_ERR_IO, SL_ERR_NOMEM. *out can be closed in every case. */
int sl_remote_process_open(struct sl_remote_process *out, const struct sl_remote_start *start);
/* Kills it with everything that its runtime started: they are one session. */
void sl_remote_process_end(struct sl_remote_process *p);
/* The same, and gives back what belongs to it. */
void sl_remote_process_close(struct sl_remote_process *p);

#endif
