/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Verilated core as C: pins, one clock cycle, waveforms, coverage. verilated.cpp, the project's
 * only C++, implements it.
 */
#ifndef SL_SIM_MODEL_H
#define SL_SIM_MODEL_H

#include <stdint.h>

#include "sl_sim.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_model;

/* Ports p of m_axi_w in bit p (two bits for rresp). Wide pins are read and written in place, little
 * endian, port p at its multiple of 64 bytes (rdata), 8 bytes (araddr), 1 byte (arlen). */
struct sl_pins {
    /* to the core */
    uint32_t s_wdata;
    uint16_t s_awaddr, s_araddr;
    uint8_t s_busy; /* the register port is in use; else s_* are all zero and not looked at */
    uint8_t rst_n, s_awvalid, s_wvalid, s_bready, s_arvalid, s_rready;
    uint8_t ctl_arready, ctl_rvalid, ctl_rresp, ctl_rlast;
    uint8_t ctl_awready, ctl_wready, ctl_bvalid, ctl_bresp;
    uint32_t w_arready, w_rvalid, w_rlast;
    uint64_t w_rresp;
    uint8_t *ctl_rdata, *w_rdata;
    /* from the core, as of the last settle */
    uint8_t s_awready, s_wready, s_bvalid, s_arready, s_rvalid, interrupt;
    uint8_t ctl_arvalid, ctl_rready, ctl_arlen;
    uint8_t ctl_awvalid, ctl_awlen, ctl_wvalid, ctl_wlast, ctl_bready;
    uint32_t s_rdata;
    uint32_t w_arvalid, w_rready;
    uint64_t ctl_araddr, ctl_awaddr, ctl_wstrb;
    const uint8_t *ctl_wdata, *w_araddr, *w_arlen;
};

/* reset_seed: of what registers hold before reset, -1: zeros. NULL: no memory. */
struct sl_model *sl_model_open(struct sl_pins *pins, int64_t reset_seed);
void sl_model_close(struct sl_model *model);
/* Low half of a cycle: drives the pins, settles, fills in what the core drives. */
void sl_model_settle(struct sl_model *model, struct sl_pins *pins);
/* Rising edge. */
void sl_model_tick(struct sl_model *model);

/* False: not in this variant, or the file cannot be opened. dump() between settle and tick, and
 * behind tick; time in picoseconds. */
bool sl_model_wave_open(struct sl_model *model, const char *path);
void sl_model_wave_dump(struct sl_model *model, uint64_t time);
void sl_model_wave_close(struct sl_model *model);
bool sl_model_write_coverage(struct sl_model *model, const char *path);

#ifdef __cplusplus
}
#endif

#endif
