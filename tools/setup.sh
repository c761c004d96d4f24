#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that the build needs, with `test` also those of tests and gates, and only those that are missing.
set -eu
packages="gcc g++ make pkg-config libc6-dev zlib1g-dev libjansson-dev libpcre2-dev libutf8proc-dev libxxhash-dev verilator
          opencl-c-headers"
[ "${1:-}" != test ] || packages="$packages libcunit1-dev clang libclang-rt-14-dev yosys iverilog z3 berkeley-abc
          nextpnr-ice40 fpga-icestorm ocl-icd-libopencl1 pocl-opencl-icd libxrt1 libxrt-dev unzip"
missing=""
for p in $packages; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: missing packages:$missing; hint: run as root or install sudo" >&2; exit 1; }
    sudo=sudo
fi
echo "installing:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
