#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a formatter does not see: licence line, tabs, line and file length, exits in library code, suites in their list.
set -eu
bad=0
fail() {
    echo "error: $1" >&2
    bad=1
}
sources=$(git ls-files '*.c' '*.h' '*.def' '*.sh' '*.py' '*.cl' ':!abi/gen/*')
for f in $sources; do
    [ -e "$f" ] || continue
    head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || fail "$f: no SPDX line"
done
for f in $(git ls-files '*.c' '*.h'); do
    [ -e "$f" ] || continue
    grep -nP '\t' "$f" && fail "$f: tab"
    grep -nP ' $' "$f" && fail "$f: trailing space"
    grep -nP '^.{101,}' "$f" && fail "$f: line over 100 columns"
    [ "$(wc -l <"$f")" -le 800 ] || fail "$f: over 800 lines"
done
grep -nE '\b(exit|abort|printf|puts)\(' host/base/*.c host/store/*.c host/engine/*.c host/accel/*.c host/fabric/*.c host/validate/*.c host/card/*.c host/cache/*.c host/bench/*.c && fail "library code prints or exits"
for f in tests/test_*.c; do
    s=$(basename "$f" .c)
    s=${s#test_}
    [ "$s" = main ] || grep -q "^SUITE($s)" tests/suites.def || fail "$f is not in tests/suites.def"
done
[ "$(wc -l <README.md)" -le 200 ] || fail "README.md is over 200 lines"
exit $bad
