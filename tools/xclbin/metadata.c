/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of the kernel as XML: kernel.xml, and the metadata that XRT reads from an xclbin. */
#include "target.h"

#include "sl_sim.h"

static void upper(char out[24], const char *name)
{
    unsigned i = 0;
    for (; name[i] && i < 23; i++)
        out[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    out[i] = 0;
}

static void print_ports(FILE *out, const struct target *t, const char *indent)
{
    char name[24];
    for (unsigned m = 0; m < t->n_master; m++) {
        upper(name, t->master[m].name);
        fprintf(out,
                "%s<port name=\"%s\" portType=\"addressable\" mode=\"master\" base=\"0x0\" "
                "range=\"0xFFFFFFFFFFFFFFFF\" dataWidth=\"512\"/>\n",
                indent, name);
    }
    fprintf(out,
            "%s<port name=\"S_AXI_CONTROL\" portType=\"addressable\" mode=\"slave\" base=\"0x0\" "
            "range=\"0x%X\" dataWidth=\"32\"/>\n",
            indent, CONTROL_RANGE);
}

static void print_args(FILE *out, const struct target *t, const char *indent)
{
    char name[24] = "S_AXI_CONTROL";
    for (unsigned i = 0; i < t->n_arg; i++) {
        const struct arg *a = &t->arg[i];
        if (a->pointer)
            upper(name, t->master[a->master].name);
        else
            snprintf(name, sizeof name, "S_AXI_CONTROL");
        fprintf(out,
                "%s<arg name=\"%s\" addressQualifier=\"%d\" id=\"%u\" port=\"%s\" size=\"0x%X\" "
                "offset=\"0x%X\" hostOffset=\"0x0\" hostSize=\"0x%X\" type=\"%s\"/>\n",
                indent, a->name, a->pointer, i, name, a->pointer ? 8 : 4, a->offset,
                a->pointer ? 8 : 4, a->pointer ? "void*" : "uint");
    }
}

void print_kernel_xml(FILE *out, const struct target *t)
{
    fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                 "<!-- Generated from the contract; never run through package_xo. -->\n"
                 "<root versionMajor=\"1\" versionMinor=\"6\">\n"
                 "  <kernel name=\"sl_core\" language=\"ip_c\" vlnv=\"sluice:kernel:sl_core:1.0\" "
                 "attributes=\"\" preferredWorkGroupSizeMultiple=\"0\" workGroupSize=\"1\" "
                 "interrupt=\"true\" hwControlProtocol=\"ap_ctrl_hs\">\n    <ports>\n");
    print_ports(out, t, "      ");
    fprintf(out, "    </ports>\n    <args>\n");
    print_args(out, t, "      ");
    fprintf(out, "    </args>\n  </kernel>\n</root>\n");
}

void print_metadata(FILE *out, const struct target *t)
{
    const char *size = "x=\"1\" y=\"1\" z=\"1\"";
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project name=\"sl_core\">\n"
            "  <platform vendor=\"xilinx\" boardid=\"%s\" name=\"sluice\" featureRomTime=\"0\">\n"
            "    <version major=\"1\" minor=\"0\"/>\n    <description/>\n"
            "    <board name=\"%s\" vendor=\"xilinx.com\" fpga=\"%.5s\"/>\n"
            "    <device name=\"fpga0\" fpgaDevice=\"virtexuplusHBM:%s\" addrWidth=\"0\">\n"
            "      <core name=\"OCL_REGION_0\" target=\"hw_em\" type=\"clc_region\" "
            "clockFreq=\"0MHz\" numComputeUnits=\"60\">\n"
            "        <kernelClocks>\n          <clock port=\"KERNEL_CLK\" frequency=\"%.1fMHz\"/>\n"
            "          <clock port=\"DATA_CLK\" frequency=\"%.1fMHz\"/>\n        </kernelClocks>\n",
            t->card->name, t->card->board, t->card->part, t->card->part, SL_SIM_CLOCK_HZ / 1e6,
            SL_SIM_CLOCK_HZ / 1e6);
    fprintf(out, "        <kernel name=\"sl_core\" language=\"ip_c\" "
                 "vlnv=\"sluice:kernel:sl_core:1.0\" attributes=\"\" "
                 "preferredWorkGroupSizeMultiple=\"0\" workGroupSize=\"1\" debug=\"false\" "
                 "interrupt=\"true\" hwControlProtocol=\"ap_ctrl_hs\">\n");
    print_ports(out, t, "          ");
    print_args(out, t, "          ");
    fprintf(out,
            "          <compileWorkGroupSize %s/>\n          <maxWorkGroupSize %s/>\n"
            "          <instance name=\"sl_core_1\">\n            <addrRemap base=\"0x%X\" "
            "range=\"0x%X\" port=\"S_AXI_CONTROL\"/>\n          </instance>\n        </kernel>\n"
            "      </core>\n    </device>\n  </platform>\n</project>\n",
            size, size, CONTROL_BASE, 0x10000);
}
