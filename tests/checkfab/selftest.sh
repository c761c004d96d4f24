#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# checkfab must be able to fail: a wrong bit is put into what a device read or wrote, and has to be reported at its place, with a
# command that repeats it. Usage: selftest.sh CHECKFAB
set -u
fab=$1
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

expect() { # what, exit code, pattern, command...
    what=$1 code=$2 pattern=$3
    shift 3
    "$@" >"$log" 2>&1
    got=$?
    if [ $got -eq "$code" ] && grep -qE "$pattern" "$log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $what: exit code $got instead of $code, or not '$pattern' in:"
        cat "$log"
    fi
}

expect "sound" 0 '^1 passed, 0 failed$' "$fab" --impl csim --op reduce
expect "bit of y" 1 'job 0 op 3 y item 0 beat 1 .*word 3\)' \
    "$fab" --impl csim --op plain --format q8 --shape odd --seed 1 --n 1 --corrupt y:19
expect "bit behind y" 1 'outside of every output .*word 15\)' \
    "$fab" --impl csim --op plain --format q8 --shape tiny --seed 0 --n 1 --corrupt y:47
expect "bit of a record" 1 'record 0 .*word 6\): expected 00007440 got 00007460' \
    "$fab" --impl csim --op plain --format nf4 --shape odd --seed 3 --n 1 --corrupt record:6
expect "guard beat" 1 'guard beat 1 .*word 1\)' \
    "$fab" --impl csim --op kv_pack --format int4 --shape tiny --n 1 --corrupt guard:17
# A unit of a plain q8 slab of k 96 has 6 beats, behind one header: word 289 (beat 18) is columns 68 to 71 of row 5.
expect "bit of a weight" 1 'job 0 op 3 y item 0 beat 0 .*word 5\)' \
    "$fab" --impl csim --op plain --format q8 --shape odd --seed 0 --n 1 --corrupt weight:289
expect "bit in a soak" 1 'repeat: .*--soak --format fp8 --seed 0 --n 1' \
    "$fab" --impl csim --soak --n 5 --corrupt y:0
expect "hostile jobs" 1 'repeat: .*--op jobs --shape hostile --seed 0 --n 1' \
    "$fab" --impl csim --op jobs --corrupt guard:3
expect "nothing to test" 77 '^SKIPPED nonsense' "$fab" --impl nonsense
expect "wrong option" 2 'no such option' "$fab" --nonsense
expect "wrong class" 2 'no such class' "$fab" --op plain --shape nonsense

# The printed command repeats the difference, and without the wrong bit it passes.
"$fab" --impl csim --op list --format int4 --corrupt record:0 >"$log" 2>&1
again=$(sed -n 's/^  repeat: checkfab //p' "$log" | head -n 1)
place=$(grep -oE 'record 0 \(ctl beat [0-9]+, word 0\).*' "$log" | head -n 1)
# shellcheck disable=SC2086
expect "repeated" 1 "$(echo "$place" | sed 's/[()]/\\&/g')" "$fab" $again --corrupt record:0
# shellcheck disable=SC2086
expect "repeated without" 0 '^1 passed, 0 failed$' "$fab" $again

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
