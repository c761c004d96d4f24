/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs of the vendor's tools, and of the emulated board. The vendor's tools were not at hand:
 * what is printed for them follows their documentation (UG1393, UG1399) and says that it was never
 * run.
 */
#include "target.h"

#include "sl_sim.h"

static const char *const never_run =
    "Generated from the contract. Never run: no vendor tools were at hand.";

/* ---- rtl/ as a kernel ----------------------------------------------------------------------- */

struct axi_signal {
    const char *name;
    unsigned width;
    bool out; /* driven by the core */
};
static const struct axi_signal read_signals[] = {
    {"arvalid", 1, true},  {"arready", 1, false}, {"araddr", 64, true},
    {"arlen", 8, true},    {"rvalid", 1, false},  {"rready", 1, true},
    {"rdata", 512, false}, {"rresp", 2, false},   {"rlast", 1, false},
};
static const struct axi_signal write_signals[] = {
    {"awvalid", 1, true}, {"awready", 1, false}, {"awaddr", 64, true}, {"awlen", 8, true},
    {"wvalid", 1, true},  {"wready", 1, false},  {"wdata", 512, true}, {"wstrb", 64, true},
    {"wlast", 1, true},   {"bvalid", 1, false},  {"bready", 1, true},  {"bresp", 2, false},
};
static const struct axi_signal control_signals[] = {
    {"awvalid", 1, false}, {"awready", 1, true}, {"awaddr", 12, false}, {"wvalid", 1, false},
    {"wready", 1, true},   {"wdata", 32, false}, {"wstrb", 4, false},   {"bvalid", 1, true},
    {"bready", 1, false},  {"bresp", 2, true},   {"arvalid", 1, false}, {"arready", 1, true},
    {"araddr", 12, false}, {"rvalid", 1, true},  {"rready", 1, false},  {"rdata", 32, true},
    {"rresp", 2, true},
};
enum {
    N_READ = sizeof read_signals / sizeof read_signals[0],
    N_WRITE = sizeof write_signals / sizeof write_signals[0],
    N_CONTROL = sizeof control_signals / sizeof control_signals[0]
};

static void print_pins(FILE *out, const char *interface, const struct axi_signal *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (s[i].width == 1)
            fprintf(out, "    %s wire %s_%s,\n", s[i].out ? "output" : "input", interface,
                    s[i].name);
        else
            fprintf(out, "    %s wire [%u:0] %s_%s,\n", s[i].out ? "output" : "input",
                    s[i].width - 1, interface, s[i].name);
}

static void connect_pins(FILE *out, const char *interface, const struct axi_signal *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(out, "      .%s_%s(%s_%s),\n", interface, s[i].name, interface, s[i].name);
}

/* The core has its weight ports as vectors; IP packaging wants an interface of each. */
void print_wrapper(FILE *out, const struct target *t)
{
    fprintf(
        out,
        "// SPDX-License-Identifier: Apache-2.0\n// %s\n"
        "// sl_core of %u weight ports and %u token columns with an AXI interface for each port.\n"
        "module sl_core_kernel (\n    input wire ap_clk,\n    input wire ap_rst_n,\n"
        "    output wire interrupt,\n",
        never_run, t->n_port, t->n_column);
    print_pins(out, "s_axi_control", control_signals, N_CONTROL);
    print_pins(out, "m_axi_ctl", read_signals, N_READ);
    print_pins(out, "m_axi_ctl", write_signals, N_WRITE);
    for (unsigned p = 1; p < t->n_master; p++)
        for (unsigned i = 0; i < N_READ; i++)
            fprintf(out, "    %s wire [%u:0] %s_%s%s\n", read_signals[i].out ? "output" : "input",
                    read_signals[i].width - 1, t->master[p].name, read_signals[i].name,
                    p + 1 == t->n_master && i + 1 == N_READ ? "" : ",");
    fprintf(out,
            ");\n\n  sl_core #(\n      .P(%u),\n      .T(%u)\n  ) u_core (\n"
            "      .ap_clk(ap_clk),\n      .ap_rst_n(ap_rst_n),\n      .interrupt(interrupt),\n",
            t->n_port, t->n_column);
    connect_pins(out, "s_axi_control", control_signals, N_CONTROL);
    connect_pins(out, "m_axi_ctl", read_signals, N_READ);
    connect_pins(out, "m_axi_ctl", write_signals, N_WRITE);
    for (unsigned i = 0; i < N_READ; i++) {
        fprintf(out, "      .m_axi_w_%s({", read_signals[i].name);
        for (unsigned p = t->n_port; p-- > 0;)
            fprintf(out, "m_axi_w%u_%s%s", p, read_signals[i].name, p ? ", " : "})");
        fprintf(out, "%s\n", i + 1 == N_READ ? "" : ",");
    }
    fprintf(out, "  );\nendmodule\n");
}

void print_package_tcl(FILE *out, const struct target *t)
{
    fprintf(
        out,
        "# SPDX-License-Identifier: Apache-2.0\n# %s\n"
        "# vivado -mode batch -source package.tcl -tclargs ROOT OUT.xo (in the folder of "
        "kernel.xml "
        "and sl_core_kernel.sv)\n"
        "set root [lindex $argv 0]\nset xo [lindex $argv 1]\n"
        "create_project -force kernel ./kernel -part %s\n"
        "set list [open $root/rtl/rtl.f]\n"
        "foreach line [split [read $list] \\n] {\n"
        "  regsub {#.*} $line {} line\n"
        "  if {[string trim $line] ne {}} { add_files -norecurse $root/[string trim $line] }\n}\n"
        "close $list\nadd_files -norecurse ./sl_core_kernel.sv\n"
        "set_property top sl_core_kernel [current_fileset]\nupdate_compile_order -fileset "
        "sources_1\n"
        "ipx::package_project -root_dir ./ip -vendor sluice -library kernel -name sl_core "
        "-version 1.0 -taxonomy /KernelIP -import_files -set_current true\n"
        "set core [ipx::current_core]\n",
        never_run, t->card->part);
    fprintf(out, "ipx::associate_bus_interfaces -busif s_axi_control -clock ap_clk $core\n");
    for (unsigned m = 0; m < t->n_master; m++)
        fprintf(out,
                "ipx::associate_bus_interfaces -busif %s -clock ap_clk $core\n"
                "foreach {name value} {HAS_BURST 0 SUPPORTS_NARROW_BURST 0} {\n"
                "  set_property value $value [ipx::add_bus_parameter $name "
                "[ipx::get_bus_interfaces %s -of_objects $core]]\n}\n",
                t->master[m].name, t->master[m].name);
    fprintf(out,
            "set block [ipx::add_address_block reg0 [ipx::add_memory_map s_axi_control "
            "$core]]\nset_property range %u $block\n",
            CONTROL_RANGE);
    for (unsigned i = 0; i < t->n_arg; i++) {
        const struct arg *a = &t->arg[i];
        fprintf(out,
                "set reg [ipx::add_register %s $block]\nset_property address_offset 0x%X $reg\n"
                "set_property size %u $reg\n",
                a->name, a->offset, a->pointer ? 64 : 32);
        if (a->pointer)
            fprintf(out,
                    "set_property value %s [ipx::add_register_parameter ASSOCIATED_BUSIF $reg]\n",
                    t->master[a->master].name);
    }
    fprintf(out, "set_property slave_memory_map_ref s_axi_control [ipx::get_bus_interfaces "
                 "s_axi_control -of_objects $core]\n"
                 "set_property sdx_kernel true $core\nset_property sdx_kernel_type rtl $core\n"
                 "ipx::update_checksums $core\nipx::save_core $core\n"
                 "package_xo -force -xo_path $xo -kernel_name sl_core -ip_directory ./ip "
                 "-kernel_xml ./kernel.xml -ctrl_protocol ap_ctrl_hs\n");
}

/* ---- hls/ as a kernel, and linking ---------------------------------------------------------- */

void print_hls_cfg(FILE *out, const struct target *t)
{
    fprintf(out,
            "# SPDX-License-Identifier: Apache-2.0\n# %s\n"
            "# v++ -c --mode hls --config hls.cfg (paths are relative to the project)\n"
            "part=%s\n\n[hls]\nflow_target=vitis\npackage.output.format=xo\n"
            "package.output.file=sl_core.xo\nsyn.top=sl_core\nclock=%uHz\n"
            "syn.cflags=-Iabi -Ihls -DSL_TOOL_VITIS -DSL_P=%u\n",
            never_run, t->card->part, SL_SIM_CLOCK_HZ, t->n_port);
    for (const char *const *f =
             (const char *const[]){"activation", "core", "expert_ffn", "job", "kv_pack",
                                   "router_topk", "tops", "weight_pass", NULL};
         *f; f++)
        fprintf(out, "syn.file=hls/%s.c\n", *f);
}

static void print_channels(FILE *out, const struct master *m)
{
    if (m->count == 1)
        fprintf(out, "HBM[%u]", m->first);
    else
        fprintf(out, "HBM[%u:%u]", m->first, m->first + m->count - 1);
}

void print_link_cfg(FILE *out, const struct target *t)
{
    fprintf(out,
            "# SPDX-License-Identifier: Apache-2.0\n# %s\n"
            "# v++ -l -t hw --platform %s --config link.cfg sl_core.xo -o sl_core.xclbin\n"
            "[connectivity]\nnk=sl_core:1:sl_core_1\nslr=sl_core_1:SLR%u\n",
            never_run, t->card->platform, t->card->slr);
    for (unsigned m = 0; m < t->n_master; m++) {
        fprintf(out, "sp=sl_core_1.%s:", t->master[m].name);
        print_channels(out, &t->master[m]);
        fputc('\n', out);
    }
    fprintf(out, "\n[clock]\nfreqHz=%u:sl_core_1\n", SL_SIM_CLOCK_HZ);
    /* The memory's logic lies along the lower edge: what talks to it stays there. */
    fprintf(out, "\n[vivado]\nprop=run.impl_1.STEPS.PLACE_DESIGN.ARGS.DIRECTIVE=Explore\n"
                 "prop=run.impl_1.STEPS.PHYS_OPT_DESIGN.IS_ENABLED=true\n"
                 "prop=run.impl_1.STEPS.PLACE_DESIGN.TCL.PRE={pblock.tcl}\n");
}

void print_pblock_tcl(FILE *out, const struct target *t)
{
    fprintf(out,
            "# SPDX-License-Identifier: Apache-2.0\n# %s\n"
            "create_pblock sl_memory_side\nresize_pblock sl_memory_side -add SLR%u\n"
            "add_cells_to_pblock sl_memory_side [get_cells -hierarchical -filter {REF_NAME =~ "
            "sl_weight_port* || REF_NAME =~ sl_ctl_read* || REF_NAME =~ sl_axi_write*}]\n",
            never_run, t->card->slr);
}

void print_board_cfg(FILE *out, const struct target *t, const char *core)
{
    const uint64_t mib = 1024 * 1024;
    fprintf(out, "core %s\ncontrol %x\nmonitors %x\n", core, CONTROL_BASE, MONITOR_BASE);
    for (unsigned m = 0; m < t->n_master; m++)
        fprintf(out, "bank %llx %llx %x\n",
                (unsigned long long)(t->master[m].first * t->card->hbm_mib * mib),
                (unsigned long long)(t->master[m].count * t->card->hbm_mib * mib), 1u << m);
}
