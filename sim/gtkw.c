/* SPDX-License-Identifier: Apache-2.0 */
#include "gtkw.h"

#include <stdio.h>
#include <string.h>

/* What GTKWave's file format calls a signal's representation. */
#define BINARY "@28"
#define HEX "@22"
#define TITLE "@200"

static const struct signal {
    const char *format, *name; /* below TOP.sl_core */
    unsigned per_port;         /* bits of one weight port; 0: the name is complete */
} signals[] = {
    {TITLE, "control", 0},
    {BINARY, "ap_clk", 0},
    {BINARY, "ap_rst_n", 0},
    {BINARY, "interrupt", 0},
    {BINARY, "s_axi_control_awvalid", 0},
    {HEX, "s_axi_control_awaddr[11:0]", 0},
    {HEX, "s_axi_control_wdata[31:0]", 0},
    {TITLE, "control memory: read", 0},
    {BINARY, "m_axi_ctl_arvalid", 0},
    {BINARY, "m_axi_ctl_arready", 0},
    {HEX, "m_axi_ctl_araddr[63:0]", 0},
    {HEX, "m_axi_ctl_arlen[7:0]", 0},
    {BINARY, "m_axi_ctl_rvalid", 0},
    {BINARY, "m_axi_ctl_rready", 0},
    {BINARY, "m_axi_ctl_rlast", 0},
    {HEX, "m_axi_ctl_rresp[1:0]", 0},
    {HEX, "m_axi_ctl_rdata[511:0]", 0},
    {TITLE, "control memory: write", 0},
    {BINARY, "m_axi_ctl_awvalid", 0},
    {BINARY, "m_axi_ctl_awready", 0},
    {HEX, "m_axi_ctl_awaddr[63:0]", 0},
    {BINARY, "m_axi_ctl_wvalid", 0},
    {BINARY, "m_axi_ctl_wready", 0},
    {BINARY, "m_axi_ctl_wlast", 0},
    {HEX, "m_axi_ctl_wdata[511:0]", 0},
    {BINARY, "m_axi_ctl_bvalid", 0},
    {HEX, "m_axi_ctl_bresp[1:0]", 0},
    {TITLE, "weights (port p in slice p)", 0},
    {BINARY, "m_axi_w_arvalid", 1},
    {BINARY, "m_axi_w_arready", 1},
    {HEX, "m_axi_w_araddr", 64},
    {HEX, "m_axi_w_arlen", 8},
    {BINARY, "m_axi_w_rvalid", 1},
    {BINARY, "m_axi_w_rready", 1},
    {BINARY, "m_axi_w_rlast", 1},
    {HEX, "m_axi_w_rresp", 2},
    {HEX, "m_axi_w_rdata", 512},
};

static void write_signal(FILE *f, const struct signal *s, unsigned n_port)
{
    unsigned bits = s->per_port * n_port;
    if (!strcmp(s->format, TITLE))
        fprintf(f, TITLE "\n-%s\n", s->name);
    else if (bits == 0)
        fprintf(f, "%s\nTOP.sl_core.%s\n", s->format, s->name);
    else
        fprintf(f, "%s\nTOP.sl_core.%s[%u:0]\n", s->format, s->name, bits - 1);
}

bool sl_gtkw_write(const char *wave, unsigned n_port, uint64_t from, uint64_t to)
{
    char path[4096];
    const char *base = strrchr(wave, '/');
    if ((size_t)snprintf(path, sizeof path, "%s.gtkw", wave) >= sizeof path)
        return false;
    FILE *f = fopen(path, "w");
    if (!f)
        return false;
    fprintf(f, "[dumpfile] \"%s\"\n[savefile] \"%s\"\n[timestart] %llu\n[sst_expanded] 1\n", wave,
            path, (unsigned long long)from);
    fprintf(f, "[comment] %s: one cycle of the core is 4444 ps; cycles %llu to %llu\n",
            base ? base + 1 : wave, (unsigned long long)(from / 4444),
            (unsigned long long)(to / 4444));
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        write_signal(f, &signals[i], n_port);
    bool good = !ferror(f);
    return fclose(f) == 0 && good;
}
