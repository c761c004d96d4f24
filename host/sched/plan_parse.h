/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plan is told of cards and host.
 *   cards: [Nx]CARD[,option...] or [Nx]option[,option...], CARD one of abi/cards.def, options
 *     gb=G gbps=G          memory behind the weight ports and its rate, 1e9 bytes (a second)
 *     ports=P columns=T    of the core; default 28 and 1
 *     clock=MHZ            of the core, default 225
 *     mem=hbm|ddr|ideal    timing of a port's memory
 *     pcie= pcie_us= launch_us=   as of --device model
 *   host: gb=G (64) gbps=G (measured) disk=G (3): memory, what the CPU reads of it, of the disk
 */
#ifndef SL_SCHED_PLAN_PARSE_H
#define SL_SCHED_PLAN_PARSE_H

#include "accel/link.h"
#include "sched/tlm.h"

struct sl_plan_cards {
    char name[64];
    unsigned n;
    struct sl_tlm_config core;
    double gb, gbps, clock_hz; /* gb 0: by the channels behind the ports */
    double channel_gb;         /* memory of one port */
    struct sl_link_config link;
};

struct sl_plan_host {
    double gb, gbps, disk_gbps; /* gbps 0: to be measured */
};

/* text NULL: the defaults. SL_ERR_USAGE. */
int sl_plan_parse_cards(struct sl_plan_cards *out, const char *text);
int sl_plan_parse_host(struct sl_plan_host *out, const char *text);

#endif
