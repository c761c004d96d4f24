/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual clock of a device that has no board: its core's cycles, the launch, the PCIe link in
 * both directions and the host's own work, in modelled seconds. One host thread: calls advance the
 * clock one after the other, but for write_begin, whose transfers go on while launches run, and for
 * the host's work, which may run beside the last launch.
 *
 * A transfer takes transfer_us and its bytes by the rate; transfers of one direction follow one
 * another, the directions are independent. What was begun goes out in pieces (accel/upload.c), so a
 * blocking transfer waits for one of them at most, and the others for it. The defaults are
 * published figures of Gen3 x16: 12.2 GB/s for large transfers, 4 KiB at 0.7 GB/s, 50 to 100 us for
 * a launch through the vendor's runtime.
 */
#ifndef SL_ACCEL_LINK_H
#define SL_ACCEL_LINK_H

#include "sluice.h"

struct sl_link_config {
    double gbps;        /* 1e9 bytes a second, of large transfers */
    double transfer_us; /* of every transfer beside its bytes */
    double launch_us;   /* of every launch beside the core's cycles */
    double cpu_gbps;    /* the host reads what it computes itself at this rate; 0: not counted */
    bool cpu_measured;  /* wall time between two calls counts, from the first launch on */
};

struct sl_link {
    struct sl_link_config config;
    struct sl_virtual_time time;
    double up_free, down_free; /* from when on each direction is idle */
    double cpu_free;           /* likewise the host's own work */
    double launched;           /* when the last launch began */
    bool beside;               /* what the host does and begins now, it does beside that launch */
    uint64_t left_ns;          /* wall clock when the last call ended; 0: not yet */
};

/* The defaults: nothing of the host's work is counted. */
struct sl_link_config sl_link_defaults(void);
/* An option of a device, "pcie" "pcie_us" "launch_us" "cpu", and its value (NULL: it has none).
 * *taken: whether it is one. SL_ERR_USAGE: its value is refused. */
int sl_link_option(struct sl_link_config *config, const char *item, const char *value, bool *taken);
/* What help says of them. */
#define SL_LINK_HELP "[,pcie=GB/S][,pcie_us=US][,launch_us=US][,cpu=none|measured|GB/S]"

void sl_link_open(struct sl_link *link, const struct sl_link_config *config);
/* Around every call of the device, because of the wall time between them. */
void sl_link_enter(struct sl_link *link);
void sl_link_leave(struct sl_link *link);

void sl_link_write(struct sl_link *link, uint64_t bytes);
void sl_link_read(struct sl_link *link, uint64_t bytes);
void sl_link_write_begin(struct sl_link *link, uint64_t bytes);
void sl_link_write_end(struct sl_link *link);
/* Transfers that were begun and have not ended by now, as if they were one. */
unsigned sl_link_sending(const struct sl_link *link);
/* core_s: what the core took. */
void sl_link_launch(struct sl_link *link, double core_s);
/* The host computes on so many bytes of weights, from when it is idle on. Returns the seconds that
 * it takes: 0 unless the configuration says how to know. The clock goes on when somebody waits for
 * it: join. */
double sl_link_host(struct sl_link *link, uint64_t bytes);
void sl_link_join(struct sl_link *link);
/* The host's work has lasted as long as the launches so far. */
bool sl_link_caught_up(const struct sl_link *link);

#endif
