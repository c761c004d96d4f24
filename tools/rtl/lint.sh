#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Reads rtl/ with three parsers, so that it stays in the subset that all of them take, and checks its style. So the designs
# for boards of open tools (rtl/boards), which are one top each with a list of sources of the same name.
#   lint.sh BUILD_DIR
# verilator -Wall (waivers with their reasons: rtl/lint.vlt) and Icarus must be silent. Yosys elaborates every module of the
# configurations, lowers processes and looks for loops, multiple drivers and latches.
set -u
work=$1/lint
shapes="1,1 4,4 28,1"
passed=0 failed=0
sources=$(sed -e 's/#.*//' rtl/rtl.f)
mkdir -p "$work"

report() { # name, exit code, file with what is wrong
    if [ "$2" -eq 0 ] && [ ! -s "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        head -n 40 "$3"
    fi
}

# Yosys elaborates, lowers processes and looks for loops, several drivers and latches.
read_with_yosys() { # top, log, exit code, sources
    top=$1 log=$2 rc=$3
    shift 3
    yosys -Q -T -l "$log" -q -p "read_verilog -sv $*" \
        -p "hierarchy -check -top $top; proc; check -assert; select -assert-none t:\$dlatch t:\$adff" >/dev/null 2>&1
    echo $? >"$rc"
}

# Two kinds of warnings are no fault. Registers of sl_dot that are arrays of lanes, written all at once, are no memories; and
# the module around the configurations leaves their pins open.
yosys_complaints() { # log
    grep -E 'Warning|ERROR' "$1" | grep -vE 'Replacing memory .* with list of registers\. See rtl/(sl_dot|boards/sl_row_wide)\.sv'
}

# Yosys has no way to name several configurations at once; a module around them has.
{
    echo 'module sl_lint;'
    for s in $shapes; do
        echo "sl_core #(.P(${s%,*}), .T(${s#*,})) core_${s%,*}_${s#*,} ();"
    done
    echo 'endmodule'
} >"$work/sl_lint.sv"
# shellcheck disable=SC2086
read_with_yosys sl_lint "$work/yosys.log" "$work/yosys.rc" $sources "$work/sl_lint.sv" &
yosys_pid=$!

for s in $shapes; do
    verilator --lint-only -Wall -GP="${s%,*}" -GT="${s#*,}" --top-module sl_core rtl/lint.vlt -f rtl/rtl.f >"$work/out" 2>&1
    report "verilator P,T=$s" $? "$work/out"
    iverilog -g2012 -Wall -t null -s sl_core -Psl_core.P="${s%,*}" -Psl_core.T="${s#*,}" -f rtl/rtl.f >"$work/out" 2>&1
    report "iverilog P,T=$s" $? "$work/out"
done

# What IP packaging sees of the core (tools/xclbin): generated, one AXI interface for each port.
for s in $shapes; do
    "$1/slxclbin" print sl_core_kernel.sv u280 "${s%,*}x${s#*,}" rtl >"$work/sl_core_kernel.sv" &&
        verilator --lint-only -Wall --top-module sl_core_kernel rtl/lint.vlt -f rtl/rtl.f "$work/sl_core_kernel.sv" >"$work/out" 2>&1
    report "verilator sl_core_kernel P,T=$s" $? "$work/out"
done

for list in rtl/boards/*.f; do
    top=${list##*/}
    top=${top%.f}
    boards=$(cat "$list")
    # shellcheck disable=SC2086
    verilator --lint-only -Wall --top-module "$top" rtl/lint.vlt $boards >"$work/out" 2>&1
    report "verilator $top" $? "$work/out"
    # shellcheck disable=SC2086
    iverilog -g2012 -Wall -t null -s "$top" $boards >"$work/out" 2>&1
    report "iverilog $top" $? "$work/out"
    # shellcheck disable=SC2086
    read_with_yosys "$top" "$work/$top.log" "$work/$top.rc" $boards
    yosys_complaints "$work/$top.log" >"$work/out"
    report "yosys $top" "$(cat "$work/$top.rc")" "$work/out"
done

# What the parsers do not look at.
for f in rtl/*.sv rtl/boards/*.sv rtl/formal/*.sv; do
    [ -e "$f" ] || continue
    name=${f##*/}
    name=${name%.sv}
    {
        [ "$(head -n 1 "$f")" = '// SPDX-License-Identifier: Apache-2.0' ] || echo "$f: the first line is not the licence"
        sed -n 2p "$f" | grep -q '^// [A-Za-z]' || echo "$f: no comment that says what it is"
        [ "$(grep -cE '^(module|package) ' "$f")" -eq 1 ] || echo "$f: not exactly one module or package"
        grep -qE "^(module|package) (automatic )?$name\b" "$f" || echo "$f: its module is not named $name"
        grep -nP '^.{111,}' "$f" | cut -c1-60 | sed "s,^,$f: over 110 columns: ,"
        grep -nP '\t| $' "$f" | sed "s,^,$f: tab or space at the end: ,"
        case $f in
        rtl/formal/*) ;;
        rtl/boards/*)
            name=$(grep -lx "$f" rtl/boards/*.f)
            [ -n "$name" ] || echo "$f: in no list of rtl/boards"
            # An FPGA wakes up with what registers are declared with; nothing else may set them.
            grep -nE '^ *(initial|final)\b|#[0-9]' "$f" | sed "s,^,$f: not for hardware: ,"
            ;;
        *)
            [ "$(echo "$sources" | grep -cx "$f")" -eq 1 ] || echo "$f: not in rtl/rtl.f once"
            # An initial block may only fill a table.
            grep -nE '^ *initial +[^ ]|^ *final\b|#[0-9]' "$f" | sed "s,^,$f: not for hardware: ,"
            ;;
        esac
    } >"$work/out"
    report "style of $f" 0 "$work/out"
done

wait $yosys_pid
yosys_complaints "$work/yosys.log" >"$work/out"
report "yosys P,T=$(echo "$shapes" | tr ' ' ';')" "$(cat "$work/yosys.rc")" "$work/out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
