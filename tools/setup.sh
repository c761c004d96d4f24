#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs Debian packages, and only those that are missing: what the build needs; with `cards` also the vendors' runtimes and what
# the emulated card takes; with `test` all that, and what tests and gates need.
set -eu
packages="gcc g++ make pkg-config libc6-dev zlib1g-dev libjansson-dev libpcre2-dev libutf8proc-dev libxxhash-dev liburing-dev libzip-dev
          verilator opencl-c-headers"
case ${1:-} in cards | test) packages="$packages libxrt1 unzip ocl-icd-libopencl1 pocl-opencl-icd" ;; esac
[ "${1:-}" != test ] || packages="$packages libcunit1-dev sentencepiece clang libclang-rt-14-dev yosys iverilog z3 berkeley-abc
          nextpnr-ice40 fpga-icestorm libxrt-dev"
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
