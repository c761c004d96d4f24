#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All stages of `make test`: each prints its own tests, the last line adds them up. A stage that ends without its count, or
# with a failing exit code, is one failure more. Most stages keep one core busy, so two workers share them: the first takes those
# that build in the same folder, in their order; the others go to whoever comes first. Usage: run_tests.sh BUILD_DIR [STAGE...]
set -u
build=$1
shift
stages=${*:-check rtl unit readme checkfab cards clang sanitized}
work=$(mktemp -d)
second=""
trap 'rm -rf "$work"; [ -z "$second" ] || kill "$second" 2>/dev/null' EXIT
trap 'exit 130' INT TERM
jobs=$(nproc)

stage() { # name, command...
    name=$1 log=$work/log.$worker
    shift
    printf '== %s\n' "$name"
    start=$(date +%s)
    "$@" >"$log" 2>&1
    code=$?
    cat "$log"
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    p=${line%% passed*}
    f=${line#*, }
    f=${f%% failed*}
    s=$(grep -c '^SKIPPED' "$log")
    if [ -z "$line" ]; then
        p=$([ $code -eq 0 ] && echo 1 || echo 0)
        f=$((1 - p))
    elif [ $code -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    echo "$p $f $s" >>"$work/counts.$worker"
    printf '== %s: %s passed, %s failed, %s s\n' "$name" "$p" "$f" $(($(date +%s) - start))
}

quiet_make() {
    make --no-print-directory -s -j"$jobs" "$@"
}

unit() { # build dir, make variables...
    dir=$1
    shift
    quiet_make BUILD="$dir" "$@" "$dir/unit_tests" "$dir/sluice" "$dir/slxclbin" && SLUICE="$dir/sluice" "$dir/unit_tests"
}

# Every operation on the HLS C and on the RTL, plain and with group sums in C, beside the reference.
checkfab() {
    quiet_make BUILD="$build" "$build/checkfab" && quiet_make BUILD="$build" sim && quiet_make BUILD="$build" sim DPI=1 &&
        "$build/checkfab" --impl "$@"
}

run_stage() {
    s=$1
    case $s in
    rtl-lint) stage "rtl: three parsers and style" quiet_make BUILD="$build" rtl-lint ;;
    rtl-bench) stage "rtl: benches of its modules" quiet_make BUILD="$build" rtl-bench ;;
    rtl-boards) stage "rtl: designs for boards of open tools" bitstreams/build.sh "$build" bench ;;
    rtl-prove) # all proofs and miters take minutes: MITERS is set for the long run
        proofs="sl_array sl_page_split sl_control sl_weight_parse"
        [ -z "${MITERS:-}" ] || proofs=""
        stage "rtl: handshakes, FIFOs and bursts proved" quiet_make BUILD="$build" rtl-prove "PROOFS=$proofs"
        ;;
    rtl-miter)
        stage "rtl: arithmetic proved equal to its law" quiet_make BUILD="$build" rtl-miter \
            "${MITERS:-MITER=fp8 s8 4bit sign log2 sat32 rne_u64 rne scale_s32 scale_f32}"
        ;;
    checkfab) stage "checkfab" checkfab csim,csim:4,csim:16,csim:28,cpu,cpu:avx2,sim,sim,dpi ;;
    cards) # a few cases of everything: each launch goes through a vendor's runtime
        quiet_make BUILD="$build" cards
        stage "checkfab through XRT and OpenCL" checkfab xrt,opencl,opencl,ports=1,opencl,ports=28 --n 1
        ;;
    real) stage "whole experts in every format on the RTL" checkfab sim,sim,dpi --shape real ;;
    check) stage check quiet_make BUILD="$build" check ;;
    unit) # with the cores that tests of memory faults and profiles need
        quiet_make BUILD="$build" sim && quiet_make BUILD="$build" sim DPI=1 && quiet_make BUILD="$build" sim P=4 &&
            quiet_make BUILD="$build" cards
        export SL_NEED_SIM=1 SL_NEED_XRT=1
        stage unit unit "$build"
        unset SL_NEED_SIM SL_NEED_XRT
        ;;
    readme) stage "commands of the README" tools/check_readme.sh "$build/sluice" ;;
    clang) stage "clang, all warnings" quiet_make check-clang ;;
    long) stage "whole experts, long sweeps" env SL_LONG=1 SLUICE="$build/sluice" "$build/unit_tests" ;;
    synth) stage "resources of the core within their budget" quiet_make BUILD="$build" synth ;;
    prove) stage "proofs" quiet_make BUILD="$build" prove ;;
    fuzz) stage "fuzzers" quiet_make BUILD="$build" FUZZ_S="${FUZZ_S:-60}" fuzz ;;
    sanitized) stage "address and undefined-behaviour sanitizers" unit "$build/sanitized" SAN="asan ubsan" CFLAGS=-O1 WARN=-w ;;
    esac
}

# What nobody has begun yet, in the order given.
take() {
    for t in "$@"; do
        mkdir "$work/begun.$t" 2>/dev/null && run_stage "$t"
    done
}

mine="" shared="" back=""
for s in $stages; do
    case $s in
    rtl) shared="$shared rtl-bench rtl-lint rtl-miter rtl-boards rtl-prove" ;;
    clang) shared="$shared clang" ;;
    sanitized) shared="sanitized $shared" ;; # the longest one first
    *) mine="$mine $s" ;;
    esac
done
for s in $shared; do back="$s $back"; done
case $shared in *rtl*) quiet_make BUILD="$build" "$build/slxclbin" ;; esac # both workers would build it
worker=2
# shellcheck disable=SC2086
take $shared >"$work/out" 2>&1 &
second=$!
worker=1
# shellcheck disable=SC2086
take $mine $back
wait "$second"
second=""
grep -vE '^[0-9]+ passed, [0-9]+ failed$|^[0-9]+ skipped' "$work/out"
set -- $(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$work"/counts.*)
[ "$3" -eq 0 ] || echo "$3 skipped (see SKIPPED above)"
echo "$1 passed, $2 failed"
[ "$2" -eq 0 ]
