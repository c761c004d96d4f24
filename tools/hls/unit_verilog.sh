#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# unit_verilog.sh FOLDER TOP: prints Bambu's Verilog of a unit in a form that can be simulated anywhere. Tables are files
# that it opens by their names, so they get their folder. Work arrays have such files too, megabytes of zeros that
# take seconds to read: without a name they are not read, and a simulator starts memories with zeros by itself.
set -eu
cd "$1"
folder=$(pwd)
names=$(mktemp)
trap 'rm -f "$names"' EXIT
for f in *array_ref_*.mem; do
    if grep -q 1 "$f"; then
        echo "s|\"$f\"|\"$folder/$f\"|"
    else
        echo "s|\"$f\"|\"\"|"
    fi
done >"$names"
# shellcheck disable=SC2016
sed -E -f "$names" -e 's/\$readmemb\((MEMORY_INIT_file[_a-z]*) *,/if (\1 != "") &/' "$2.v"
