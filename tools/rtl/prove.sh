#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# prove.sh BUILD [NAME...]: proves rtl/formal/NAME.svh, the properties of rtl/NAME.sv, with yosys-smtbmc and z3. They stand in front of
# the module's endmodule in a copy, so that they see its registers; those of the modules inside it (`with:`) come along.
# One line for each proof, then "N passed, M failed".
#
# `prove: induction K, PARAMETER=VALUE...`: from reset for K steps, and from every state that kept the properties for K steps:
# the properties hold always. `prove: bound N`: for N cycles from reset.
# `inside MODULE: EXPRESSION` is a sed command for the copy of a module inside (a smaller parameter).
# `bug: EXPRESSION` is a sed command that spoils the module: from reset its proof must then fail within 12 cycles.
# CHANGED=DIR (mutate.py): a module that is in DIR is taken from there; only its first proof is tried.
set -u
build=$1
shift
if ! command -v yosys-smtbmc >/dev/null || ! command -v z3 >/dev/null; then
    echo "SKIPPED: rtl-prove needs yosys and z3"
    exit 0
fi
dir=$build/prove
mkdir -p "$dir"
passed=0 failed=0
names=${*:-$(cd rtl/formal && ls ./*.svh | sed 's,^\./,,; s,\.svh$,,')}

# Copies the module with its properties: name, sed command that spoils it, file.
copy() {
    source=rtl/$1.sv
    [ ! -e "${CHANGED:-/}/$1.sv" ] || source=$CHANGED/$1.sv
    sed -e "$2" "$source" | awk -v properties="rtl/formal/$1.svh" '
        /^endmodule/ { while ((getline line < properties) > 0) print line }
        { print }' >"$3"
}

field() { # name, key: the values of its lines
    sed -n "s|^// $2: ||p" "rtl/formal/$1.svh"
}

# Writes $work.smt2: name, parameters, sed command.
model() {
    files=
    for part in $(field "$1" with); do
        if [ -e "rtl/formal/$part.svh" ]; then copy "$part" "$(field "$1" "inside $part")" "$dir/$part.sv"; else cp "rtl/$part.sv" "$dir/$part.sv"; fi
        files="$files $dir/$part.sv"
    done
    copy "$1" "$3" "$work.sv"
    defines="-DSL_TOP_$1"
    # What a module expects of those around it is assumed at the top and proved inside.
    for m in $names $(field "$1" with); do
        [ "$m" = "$1" ] || defines="$defines -DSL_ENV_$m=assert"
    done
    defines="$defines -DSL_ENV_$1=assume"
    # Small memories become registers: plain bit vectors are what z3 is fast with. Large ones stay arrays, or are cut (`cut:`):
    # what they give is then anything, and the properties about it are left out.
    cut= map=memory_map logic=QF_BV
    [ -z "$(field "$1" cut)" ] || cut="cutpoint $(field "$1" cut | sed 's,[^ ]*,*/&,g')" defines="$defines -DSL_CUT"
    [ -z "$(field "$1" arrays)" ] || map= logic=QF_ABV
    chparam=
    for p in $2; do chparam="$chparam -chparam ${p%=*} ${p#*=}"; done
    echo "read_verilog -sv -formal $defines abi/gen/sl_abi_pkg.sv rtl/sl_ctx.sv $files $work.sv
hierarchy -check -top $1$chparam
proc; flatten; opt -keepdc; memory_collect; $cut
$map; opt -keepdc; async2sync; dffunmap; opt_clean
select -assert-min 1 t:\$assert
write_smt2 -wires $work.smt2" >"$work.ys"
    yosys -Q -T -l "$work.log" -q "$work.ys" >/dev/null 2>&1
}

smt() { # options...
    timeout 900 yosys-smtbmc --noprogress --unroll --logic $logic -s z3 "$@" "$work.smt2" >>"$work.log" 2>&1
}

for name in $names; do
    count=0
    field "$name" prove >"$dir/$name.proofs"
    [ -z "${CHANGED:-}" ] || sed -i 1q "$dir/$name.proofs"
    while IFS=, read -r how parameters; do
        count=$((count + 1))
        work=$dir/${name}_$count
        start=$(date +%s)
        result=FAILED
        steps=${how#* }
        if model "$name" "$parameters" ''; then
            case $how in
            induction*) smt -t "$steps" && smt -i -t "$steps" && result="proved by induction" ;;
            bound*) smt -t "$steps" && result="proved for $steps cycles from reset" ;;
            esac
        fi
        if [ "$result" = FAILED ]; then failed=$((failed + 1)); else passed=$((passed + 1)); fi
        echo "$name$parameters: $result ($(($(date +%s) - start)) s)"
        [ "$result" != FAILED ] || tail -n 15 "$work.log"
    done <"$dir/$name.proofs"
    [ -z "${CHANGED:-}" ] || continue
    first=$(sed -n '1s/^[^,]*,*//p' "$dir/$name.proofs")
    start=$(date +%s)
    bugs=0 found=0
    field "$name" bug >"$dir/$name.bugs"
    while read -r command; do
        bugs=$((bugs + 1))
        work=$dir/${name}_bug$bugs
        copy "$name" "$command" "$work.sv"
        copy "$name" '' "$dir/$name.sv"
        if cmp -s "$work.sv" "$dir/$name.sv"; then
            echo "$name: changes nothing: $command"
        elif model "$name" "$first" "$command" && ! smt -t 12 && grep -q 'BMC failed' "$work.log"; then
            found=$((found + 1))
        else
            echo "$name: no counterexample with $command"
            tail -n 3 "$work.log"
        fi
    done <"$dir/$name.bugs"
    if [ "$bugs" -gt 0 ] && [ "$bugs" -eq "$found" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$name: $found of $bugs seeded bugs refuted from reset ($(($(date +%s) - start)) s)"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
