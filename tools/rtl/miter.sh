#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# miter.sh BUILD [NAME...]: proves by SAT (Yosys) that each miter of tests/rtl/miter_*.sv holds for every argument, and that its
# proof fails when a single argument's result is spoilt. Prints one line each and "N passed, M failed".
#
# Proved for every argument:
#   fp8 s8 4bit       decoders = the C functions of hls/primitives.h (a table that they print)
#   sign log2 sat32   = the law of docs/numerics.md in other words
#   rne_u64 rne       = floor, remainder and half in wide integers; every v, every s (sl_rne: s > -64)
#   scale_s32 scale_f32   sl_mul_jam and the tails = one shift and one rounding of the exact product; every product, sign and
#                         exponent of 18 bits
#   scale             the pipeline sl_scale, running: the same, from any state of its registers. Its two multipliers are cut: that
#                     they multiply is taken for granted.
# Only tested (tests/rtl): the array's own decoders (every code in every lane: tb_dot); that pipelines hold and mind gaps;
# sl_sigmoid, sl_silu and sl_swiglu (every g: tb_swiglu +all), sl_exp_neg (every d: tb_exp_neg +all); sl_quant and sl_div_half
# (random and directed).
set -u
build=$1
shift
if ! command -v yosys >/dev/null; then
    echo "SKIPPED: rtl-miter needs yosys"
    exit 0
fi
dir=$build/bench/miter
mkdir -p "$dir"
"$build/bench/miter_rom" >"$dir/miter_rom_pkg.sv" || exit 1
packages="abi/gen/sl_abi_pkg.sv rtl/gen/sl_table_pkg.sv rtl/sl_num_pkg.sv $dir/miter_rom_pkg.sv"
passed=0 failed=0

# The multipliers of miter_scale become one pair, then free.
yosys_script() { # name, fault
    case $1 in
    scale)
        steps='-seq 7 -prove-skip 6'
        cut='opt -share_all; select -assert-count 2 t:$mul; cutpoint t:$mul'
        ;;
    *) steps='' cut='' ;;
    esac
    case $1 in
    scale*) sources="rtl/sl_scale.sv tests/rtl/miter_scale.sv" ;;
    *) sources=tests/rtl/miter_num.sv ;;
    esac
    echo "read_verilog -sv -formal $packages $sources
hierarchy -check -top miter_$1 -chparam FAULT $2
proc; flatten; $cut; opt -full; memory_map; opt -full; opt_clean
select -assert-min 1 t:\$assert
sat -verify -prove-asserts -show-ports $steps"
}

sat() { # name, fault
    yosys_script "$1" "$2" >"$dir/$1_$2.ys"
    yosys -l "$dir/$1_$2.log" -q "$dir/$1_$2.ys" >/dev/null 2>&1
}

for name in ${*:-fp8 s8 4bit sign log2 sat32 rne_u64 rne scale_s32 scale_f32 scale}; do
    start=$(date +%s)
    result=proved
    if ! sat "$name" 0; then
        result=FAILED
    elif sat "$name" 1 || ! grep -q 'model found: FAIL' "$dir/${name}_1.log"; then
        result='FAILED: holds for a spoilt result too'
    fi
    [ "$result" = proved ] && passed=$((passed + 1)) || failed=$((failed + 1))
    echo "miter_$name: $result ($(($(date +%s) - start)) s)"
    [ "$result" = proved ] || tail -n 25 "$dir/${name}_0.log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
