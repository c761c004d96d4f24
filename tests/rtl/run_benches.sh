#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_benches.sh DIR "NAME..." [PLUSARG...]: runs the built benches DIR/tb_NAME/Vtb_NAME, prints the checks of each and counts
# benches at the end. A bench that ends without its count, or fails in spite of it, has failed.
set -u
dir=$1 names=$2
shift 2
passed=0 failed=0
for name in $names; do
    log=$dir/tb_$name/run.log
    start=$(date +%s)
    "$dir/tb_$name/Vtb_$name" "$@" >"$log" 2>&1
    code=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    p=0 f=1
    if [ -n "$line" ]; then
        p=${line%% passed*}
        f=${line#*, }
        f=${f%% failed*}
        [ "$code" -eq 0 ] || [ "$f" -ne 0 ] || f=1
    fi
    [ "$f" -eq 0 ] || tail -n 30 "$log"
    printf 'tb_%s: %s passed, %s failed (%s s)\n' "$name" "$p" "$f" $(($(date +%s) - start))
    if [ "$f" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
