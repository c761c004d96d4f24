#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every `build/sluice` line of README.md with the given program and counts those that fail.
# usage: check_readme.sh SLUICE
set -u
passed=0 failed=0
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
grep '^build/sluice ' README.md >"$lines"
while read -r line; do
    if sh -c "$1 ${line#build/sluice }" >/dev/null 2>&1 </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $line"
    fi
done <"$lines"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
