# SPDX-License-Identifier: Apache-2.0
# vitis_hls -f tools/hls/vitis.tcl -tclargs TOP SOURCE_DIR P BUILD_DIR
# Synthesises one top function (sl_core, sl_expert_ffn_top, sl_router_topk_top, sl_kv_pack_top) for the U55C at
# 225 MHz. This script has never been run: its authors had no Vitis HLS. The sources it names are the ones that
# every test of this repository compiles with gcc and clang.
lassign $argv top root p build
file mkdir $build/vitis
cd $build/vitis
set flags "-std=gnu11 -DSL_TOOL_VITIS -DSL_P=$p -I$root/abi -I$root/hls"
open_project -reset $top
set_top $top
set list [open $root/hls/hls.f]
foreach f [read $list] {
    add_files $root/hls/$f -cflags $flags
}
close $list
open_solution -reset p$p -flow_target vitis
set_part xcu55c-fsvh2892-2L-e
create_clock -period 4.44 -name default
config_interface -m_axi_addr64
csynth_design
export_design -format xo -output $build/vitis/${top}_p$p.xo
exit
