#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every line of README.md that calls a program of build/ (an echo may feed it), as it lies beside the given one, /tmp replaced by a fresh
# folder, and counts those that fail.
# usage: check_readme.sh SLUICE
set -u
passed=0 failed=0
folder=$(dirname "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep -E '^(echo .*\| )?build/sl' README.md | sed 's/  *#.*//' | sed "s#/tmp/#$work/#g" >"$work/lines"
while read -r line; do
    if sh -c "$(printf '%s' "$line" | sed "s#build/#$folder/#g")" >/dev/null 2>&1 </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $line"
    fi
done <"$work/lines"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
