#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# prove.sh BUILD: Frama-C Eva over tests/prove; fails on any alarm or unproved assertion.
set -eu
if ! command -v frama-c >/dev/null; then
    echo "SKIPPED: make prove needs frama-c (Debian: frama-c-base); the static asserts were checked by the compiler" >&2
    exit 0
fi
mkdir -p "$1/prove"
bad=0
for f in tests/prove/prove_*.c; do
    name=$(basename "$f" .c)
    log=$1/prove/$name.log
    start=$(date +%s)
    frama-c -c11 -machdep gcc_x86_64 -cpp-extra-args="-Iabi -Ihls" -eva -eva-slevel 2000 -eva-no-alloc-returns-null \
        -eva-auto-loop-unroll 600 -eva-verbose 1 "$f" >"$log" 2>&1 || { tail -n 5 "$log"; bad=1; continue; }
    seconds=$(($(date +%s) - start))
    if grep -q 'alarms generated\|0 alarms' "$log" && ! grep -Eq '\[eva:alarm\]|assertion got status (unknown|invalid)' "$log"; then
        echo "proved   $name (${seconds} s, $(frama-c -version))"
    else
        echo "FAILED   $name: see $log"
        grep -E '\[eva:alarm\]|got status' "$log" | head -n 5
        bad=1
    fi
done
exit $bad
