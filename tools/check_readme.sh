#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every `build/sluice` line of README.md with the given program, /tmp replaced by a fresh folder, and counts those that
# fail.
# usage: check_readme.sh SLUICE
set -u
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
grep '^build/sluice ' README.md | sed "s#/tmp/#$work/#g" >"$work/lines"
while read -r line; do
    if sh -c "$1 ${line#build/sluice }" >/dev/null 2>&1 </dev/null; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $line"
    fi
done <"$work/lines"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
