#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bambu.sh ROOT BUILD P: every unit through PandA-Bambu at full size: synthesis, lint of its Verilog, one job in
# Verilator whose control buffer must hash like the C's. Figures go to BUILD/bambu.csv.
set -eu
root=$1 build=$2/bambu p=$3
device=xcu55c-2Lfsvh2892-VVD clock=4.44
csv=$2/bambu.csv
flags="-I$root/abi -I$root/hls"
version=$(bambu --version | sed -n 's/^ *Version: \([^ ]* [^ ]*\).*/\1/p')
bad=0
[ "$p" = 1 ] || { echo "error: the bench has one port; hint: unset SL_P" >&2; exit 1; }
mkdir -p "$build"
echo "unit,ports,tool,device,clock_ns,estimated_area,dsp,flip_flops,estimated_mhz,states,bench_macs,bench_cycles" >"$csv.part"

# One C file of the units with all macros expanded: Bambu reads a pragma only where it stands in the file itself. The
# beat's type stays in a header, which Bambu's driver includes next to the system's.
prepare() {
    mkdir -p stub
    for h in stdint stdbool stddef; do : >stub/$h.h; done
    sed 's/.*/#include "&"/' "$root/hls/hls.f" >all.c
    gcc -std=c11 -E -P -nostdinc -Istub $flags "-DSL_P=$p" -DSL_TOOL_BAMBU all.c -o expanded.c
    { echo '#include <stdint.h>'; sed -n '/^typedef struct sl_beat/,/^} sl_beat/p' expanded.c | sed s/SL_BEAT_WORDS/8/; } >beat_type.h
    { printf '#include <stdbool.h>\n#include <stddef.h>\n#include "beat_type.h"\n'
      sed '/^typedef struct sl_beat/,/^} sl_beat/d' expanded.c; } >units.c
}

# The last figure of a kind in the log is the top function's.
last() { # pattern
    sed -n "s/.*$1 *: *\([0-9]*\).*/\1/p" log | tail -n 1
}

unit() { # top, bench
    mkdir -p "$build/$1"
    cd "$build/$1"
    prepare
    gcc -std=gnu11 -O1 -w $flags "-D$2" units.c "$root/tools/hls/bench.c" -o native
    want=$(./native)
    start=$(date +%s)
    cp "$root/tools/hls/bench.c" bench.c
    bambu units.c --top-fname="$1" --device-name=$device --clock-period=$clock --generate-interface=INFER -O2 \
        --compiler=I386_CLANG13 -m64 $flags "-D$2" --generate-tb=bench.c --simulate --simulator=VERILATOR -v4 >log 2>&1 || {
        echo "FAILED $1: bambu, see $PWD/log"; bad=1; return; }
    verilator --lint-only -Wno-WIDTH -Wno-PINMISSING "$1.v" >lint.log 2>&1 || {
        echo "FAILED $1: lint, see $PWD/lint.log"; bad=1; return; }
    got=$(grep '^bench status' log || true)
    cycles=$(sed -n 's/.*CYCLES value="\([0-9]*\)".*/\1/p' bambu_results_0.xml)
    macs=$(echo "$want" | sed 's/.*macs \([0-9]*\).*/\1/')
    [ "$got" = "$want" ] || { echo "FAILED $1: Verilog says '$got', C says '$want'"; bad=1; return; }
    echo "$1,$p,$version,$device,$clock,$(last 'Total estimated area'),$(last 'Estimated number of DSPs'),$(last "Total number of flip-flops in function $1"),$(last 'Estimated max frequency (MHz)'),$(last 'Number of states'),$macs,$cycles" >>"$csv.part"
    echo "ok     $1: $want, $cycles cycles ($(($(date +%s) - start)) s)"
}

unit sl_kv_pack_top BENCH_KV
unit sl_router_topk_top BENCH_ROUTER
unit sl_expert_ffn_top BENCH_EXPERT
cat "$csv.part"
[ $bad = 0 ] && mv "$csv.part" "$csv"
exit $bad
