#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# synth.sh TOOL BUILD: synthesises every unit (and with Vitis the core) for the U55C at 4.44 ns.
set -eu
tool=$1 root=$(pwd)
mkdir -p "$2/hls"
build=$(cd "$2/hls" && pwd)
p=${SL_P:-1}

need() { # program
    command -v "$1" >/dev/null && return
    echo "error: $1 is not installed; hint: put it in PATH, or use another TOOL (vitis, bambu)" >&2
    exit 1
}

case $tool in
vitis)
    need vitis_hls
    for top in sl_expert_ffn_top sl_router_topk_top sl_kv_pack_top sl_core; do
        vitis_hls -f "$root/tools/hls/vitis.tcl" -tclargs "$top" "$root" "$p" "$build"
    done
    ;;
bambu)
    need bambu
    need verilator
    exec "$root/tools/hls/bambu.sh" "$root" "$build" "$p"
    ;;
*)
    echo "error: make hls needs TOOL=vitis or TOOL=bambu" >&2
    exit 1
    ;;
esac
