/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pseudo-channel of the HBM2 of an Alveo U280 (two stacks of 4 GB, 32 pseudo-channels) behind
 * each port: 64 data lines at 1800 Mb/s and an AXI3 port of 256 bit at 450 MHz are 14.4 GB/s, which
 * is a 512-bit port at 225 MHz; 32 of them are the 460 GB/s of the data sheet. A 4 KiB burst of the
 * core becomes eight AXI3 bursts of 16 beats. Unit of time: a clock of 900 MHz, four to a core
 * cycle.
 *
 * Sources, named in the table:
 *   [S]  Wang et al., Shuhai: Benchmarking High Bandwidth Memory on FPGAs, FCCM 2020 (U280): 425
 * GB/s of 460 linear; idle read 106.7 ns with the row open, 122.2 ns closed, 137.8 ns with another
 * one open; default address map 14R-1BG-2B-5C-1BG; refresh every 3.9 us [P]  AMD PG276 and PG313:
 * AXI3, bursts of 16; 64-entry AXI command queue and 12-entry controller queue; a linear read
 *        without bank group interleaving has 54 % in place of 95 %, so a column in the same group
 * takes twice as long [D]  DRAMsim3, HBM2_8Gb_x128.ini, and [R] Ramulator 2, HBM2.cpp: timings by
 * JESD235; tRFC of a 4 Gb channel 260 ns [A]  assumed, nothing published was found No number was
 * fitted: linear reads reach 425 of 460 GB/s because 3.9 us - 260 ns - closing and opening rows is
 * what is left (tests/test_sim_memory.c).
 */
#include "dram.h"

#define NS(x) ((uint32_t)(((x)*9 + 9) / 10)) /* whole clocks of 900 MHz */

static const struct sl_dram_params params = {
    .name = "hbm",
    .cycle = 4,
    .access_bytes = 32,            /* burst length 4 of 64 lines */
    .group_low = {5, 1},           /* [S] */
    .bank = {11, 2},               /* [S] */
    .group_high = {13, 1},         /* [S] */
    .row_shift = 14,               /* [S] */
    .burst = 2,                    /* 4 beats, two a clock */
    .cl = NS(14),                  /* [D] */
    .cwl = NS(4),                  /* [D] */
    .rcd = NS(14),                 /* [D] [R]; [S]: 15.5 ns in steps of 2.2 */
    .rp = NS(14),                  /* [D] [R]; [S]: 15.6 ns in steps of 2.2 */
    .ras = NS(34),                 /* [D] [R] */
    .rtp = NS(4),                  /* [D] [R] */
    .wr = NS(16),                  /* [D] [R] */
    .ccd_s = 2,                    /* the burst */
    .ccd_l = 4,                    /* [P] [R] twice ccd_s */
    .rrd_s = NS(4),                /* [D] [R] */
    .rrd_l = NS(6),                /* [D] [R] */
    .faw = NS(30),                 /* [D] [R] */
    .wtr_s = NS(6),                /* [D] [R] */
    .wtr_l = NS(8),                /* [D] [R] */
    .rtw = NS(14) + 2 + 2 - NS(4), /* [R] CL + burst + 2 - CWL */
    .refi = NS(3900),              /* [S] [D] [R] */
    .rfc = NS(260),                /* [D] [R] 4 Gb per channel */
    .request = 40,                 /* [S] with reply, cl and burst: 106.7 ns */
    .reply = 41,
    .queue = 12,        /* [P] */
    .max_command = 64,  /* [P] */
    .buffer_beats = 64, /* [A] */
    .write_high = 32,   /* [A] */
    .write_low = 8,     /* [A] */
    .write_cycles =
        16,     /* [A] accepted by the controller, which keeps the order of reads and writes */
    .path = 16, /* [A] width and clock conversion between a kernel port and the AXI3 port */
};

struct sl_mem *sl_mem_hbm_open(int32_t latency)
{
    return sl_dram_open(&params, latency);
}
