/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an xclbin is made for: a card, a shape of the core, and what follows from both by the one
 * contract (abi/regs.def, abi/cards.def): arguments with their offsets, memory interfaces, and
 * which memory each of them reaches. Every generated file is printed from this.
 */
#ifndef SL_XCLBIN_TARGET_H
#define SL_XCLBIN_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sl_abi.h"

enum {
    MAX_ARG = SL_MAX_PORTS + 8,
    MAX_MASTER = SL_MAX_PORTS + 1,
    CONTROL_BASE = 0x1800000, /* registers of the core, in emulation */
    MONITOR_BASE = 0x1C00000, /* profile monitors, in emulation */
    CONTROL_RANGE = 0x1000
};

struct card {
    const char *name, *platform, *board, *part, *doc;
    unsigned n_hbm, hbm_mib, slr;
};
extern const struct card cards[];
extern const unsigned n_card;

struct arg {
    char name[24]; /* "ctl" "w0" "job_off" */
    bool pointer;
    unsigned master; /* of a pointer: 0 the control buffer's, 1 + p port p's */
    uint32_t offset;
};

/* A memory interface and the HBM channels that it reaches. */
struct master {
    char name[24]; /* "m_axi_ctl" "m_axi_w0" */
    bool writes;
    unsigned first, count; /* channels */
};

struct target {
    const struct card *card;
    unsigned n_port, n_column;
    bool hls; /* the kernel of hls/, not rtl/ */
    unsigned n_arg, n_master;
    struct arg arg[MAX_ARG];
    struct master master[MAX_MASTER];
};

/* False: no such card or shape; *why says so. */
bool target_make(struct target *t, const char *card, unsigned n_port, unsigned n_column, bool hls,
                 const char **why);

/* Generated files. */
void print_metadata(FILE *out, const struct target *t);    /* EMBEDDED_METADATA, hw_emu */
void print_kernel_xml(FILE *out, const struct target *t);  /* for package_xo */
void print_package_tcl(FILE *out, const struct target *t); /* Vivado: rtl/ to an .xo */
void print_wrapper(FILE *out, const struct target *t);     /* rtl/ with one interface per port */
void print_hls_cfg(FILE *out, const struct target *t);     /* v++ -c --mode hls */
void print_link_cfg(FILE *out, const struct target *t);    /* v++ -l --config */
void print_pblock_tcl(FILE *out, const struct target *t);  /* Vivado: the ports near the memory */
void print_board_cfg(FILE *out, const struct target *t, const char *core); /* sim/board */

#endif
