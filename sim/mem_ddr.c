/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel of DDR4-2400 (64 bit, 19.2 GB/s) behind each port, as on the cards that have no HBM. A
 * port of 512 bit at 225 MHz takes 14.4 GB/s of it, so a linear stream is bound by the port and
 * refresh costs little of it. Unit of time: a third of a clock of 1200 MHz, sixteen to a core
 * cycle.
 *
 * Sources, named in the table:
 *   [D]  DRAMsim3, DDR4_8Gb_x8_2400.ini (Micron MT40A1G8), timings by JESD79-4
 *   [S]  Wang et al., Shuhai, FCCM 2020 (U280, DDR4-2400): idle read 73.3 ns with the row
 * open, 89.9 ns closed, 106.6 ns with another one open; 18 of 19.2 GB/s linear; default address map
 * 17R-7C-2B-2BG [A]  assumed, nothing published was found
 */
#include "dram.h"

#define CK(x) (3u * (x))

static const struct sl_dram_params params = {
    .name = "ddr",
    .cycle = 16,
    .access_bytes = 64,         /* burst length 8 of 64 lines */
    .group_low = {6, 2},        /* [S] */
    .bank = {8, 2},             /* [S] */
    .row_shift = 17,            /* [S] */
    .burst = CK(4),             /* 8 beats, two a clock */
    .cl = CK(16),               /* [D] */
    .cwl = CK(16),              /* [D] */
    .rcd = CK(16),              /* [D] 13.3 ns */
    .rp = CK(16),               /* [D] 13.3 ns */
    .ras = CK(39),              /* [D] */
    .rtp = CK(9),               /* [D] 7.5 ns */
    .wr = CK(19),               /* [D] */
    .ccd_s = CK(4),             /* [D] */
    .ccd_l = CK(6),             /* [D] */
    .rrd_s = CK(4),             /* [D] */
    .rrd_l = CK(6),             /* [D] */
    .faw = CK(26),              /* [D] */
    .wtr_s = CK(3),             /* [D] */
    .wtr_l = CK(9),             /* [D] */
    .rtw = CK(16 + 4 + 2 - 16), /* CL + burst + 2 - CWL */
    .refi = CK(9364),           /* [D] 7.8 us */
    .rfc = CK(420),             /* [D] 350 ns */
    .request = 99,              /* [S] with reply, cl and burst: 73.3 ns */
    .reply = 105,
    .queue = 16,        /* [D] */
    .max_command = 64,  /* [A] as hbm */
    .buffer_beats = 64, /* [A] as hbm */
    .write_high = 32,   /* [A] */
    .write_low = 8,     /* [A] */
    .write_cycles = 16, /* [A] */
    .path = 16,         /* [A] as hbm */
};

struct sl_mem *sl_mem_ddr_open(int32_t latency)
{
    return sl_dram_open(&params, latency);
}
