#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vitis.sh NAME TARGET KERNEL: NAME.xclbin by the vendor's tools from the generated files in the folder NAME. Written after
# the vendor's documentation (UG1393, UG1399); never run: the tools were not at hand.
set -eu
name=$1 target=$2 kernel=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
for tool in v++ $([ "$kernel" = hls ] || echo vivado); do
    command -v "$tool" >/dev/null || {
        echo "error: TARGET=$target needs $tool, which is not in PATH; hint: source Vitis' settings64.sh, or TARGET=hw_emu for the emulation that needs no vendor tools (inputs are in $name)" >&2
        exit 3
    }
done
platform=$(sed -n 's/.*--platform \([^ ]*\).*/\1/p' "$name/link.cfg" | head -n 1)
if [ "$kernel" = rtl ]; then
    (cd "$name" && vivado -mode batch -source package.tcl -tclargs "$root" sl_core.xo)
    xo=$name/sl_core.xo
else
    (cd "$root" && v++ -c --mode hls --config "$name/hls.cfg" --work_dir "$name/hls")
    xo=$name/hls/sl_core.xo
fi
v++ -l -t "$target" --platform "$platform" --config "$name/link.cfg" --temp_dir "$name/link" "$xo" -o "$name.xclbin"
