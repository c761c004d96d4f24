#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# random.sh BUILD SEED...: checkfab on the core whose registers and memories hold random contents before reset, once for each seed
# (of the contents, and of the cases). What reset does not set must not matter. Counts checks: "N passed, M failed".
set -u
build=$1
shift
passed=0 failed=0
log=$build/random.log
for seed in "$@"; do
    start=$(date +%s)
    "$build/checkfab" --impl "sim,reset-seed=$seed" --seed "$seed" --n "${RANDOM_CASES:-2}" >"$log" 2>&1
    code=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    p=${line%% passed*} f=${line#*, }
    f=${f%% failed*}
    [ -n "$line" ] || p=0 f=1
    [ $code -eq 0 ] || [ "$f" -ne 0 ] || f=1
    [ "$f" -eq 0 ] || cat "$log"
    echo "contents $seed: $p passed, $f failed ($(($(date +%s) - start)) s)"
    passed=$((passed + p)) failed=$((failed + f))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
