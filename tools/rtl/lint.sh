#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Reads rtl/ with three parsers, so that it stays in the subset that all of them take, and checks its style.
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

# Yosys has no way to name several configurations at once; a module around them has.
{
    echo 'module sl_lint;'
    for s in $shapes; do
        echo "sl_core #(.P(${s%,*}), .T(${s#*,})) core_${s%,*}_${s#*,} ();"
    done
    echo 'endmodule'
} >"$work/sl_lint.sv"
(
    # shellcheck disable=SC2086
    yosys -Q -T -l "$work/yosys.log" -q -p "read_verilog -sv $(echo $sources) $work/sl_lint.sv" \
        -p "hierarchy -check -top sl_lint; proc; check -assert; select -assert-none t:\$dlatch t:\$adff" >/dev/null 2>&1
    echo $? >"$work/yosys.rc"
) &
yosys_pid=$!

for s in $shapes; do
    verilator --lint-only -Wall -GP="${s%,*}" -GT="${s#*,}" --top-module sl_core rtl/lint.vlt -f rtl/rtl.f >"$work/out" 2>&1
    report "verilator P,T=$s" $? "$work/out"
    iverilog -g2012 -Wall -t null -s sl_core -Psl_core.P="${s%,*}" -Psl_core.T="${s#*,}" -f rtl/rtl.f >"$work/out" 2>&1
    report "iverilog P,T=$s" $? "$work/out"
done

# What the parsers do not look at.
for f in rtl/*.sv rtl/formal/*.sv; do
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
# Two kinds of warnings are no fault. Registers of sl_dot that are arrays of lanes, written all at once, are no memories; and
# the module around the configurations leaves their pins open.
grep -E 'Warning|ERROR' "$work/yosys.log" |
    grep -vE 'Replacing memory .* with list of registers\. See rtl/sl_dot\.sv' >"$work/out"
report "yosys P,T=$(echo "$shapes" | tr ' ' ';')" "$(cat "$work/yosys.rc")" "$work/out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
