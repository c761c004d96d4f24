#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Perplexity of a model in every format against its own fp32 path, as a table for docs/measurements.md.
# usage: measure_formats.sh SLUICE MODEL_DIR [BYTES]   (BYTES of each held-back text, default 60000)
set -eu
sluice=$1 model=$2 bytes=${3:-60000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for lang in en zh; do
    head -c "$bytes" "models/heldout/$lang.txt" | iconv -c -f utf-8 -t utf-8 >"$work/$lang.txt"
done
cat "$work/en.txt" "$work/zh.txt" >"$work/text"

# One JSON object of `sluice perplexity` as a table row; field names as the program prints them.
row() { # name, json file, exact json file
    /usr/bin/python3 - "$1" "$2" "$3" <<'PY'
import json, sys
name, this, exact = sys.argv[1], json.load(open(sys.argv[2])), json.load(open(sys.argv[3]))
change = 100 * (this["perplexity"] / exact["perplexity"] - 1)
kl, flips = this.get("kl_divergence"), this.get("top1_flip_rate")
print(f"| {name} | {this['perplexity']:.4f} | {change:+.3f} % | {this['bits_per_byte']:.4f} | "
      + (f"{kl:.6f} | {100 * flips:.2f} % |" if kl is not None else "| |"))
PY
}

measure() { # name, options...
    name=$1
    shift
    "$sluice" perplexity -m "$model" -f "$work/text" --device cpu --json "$@" >"$work/this.json"
    row "$name" "$work/this.json" "$work/exact.json"
}

"$sluice" perplexity -m "$model" -f "$work/text" --json --exact >"$work/exact.json"
echo "| format (dense q8, KV int8 unless said) | perplexity | against exact | bits per byte | KL, nats | top-1 flips |"
echo "|---|---|---|---|---|---|"
row "exact (fp32)" "$work/exact.json" "$work/exact.json"
for f in q8 fp8 nf4 int4 mxfp4; do
    measure "$f" --format $f
done
measure "q8, KV f32" --format q8 -ctk f32 -ctv f32
measure "q8, KV int4" --format q8 -ctk int4 -ctv int4
/usr/bin/python3 tools/emulate_nf4.py "$model" "$work/nf4"
"$sluice" perplexity -m "$work/nf4" -f "$work/text" --json --exact >"$work/this.json"
row "NF4 of QLoRA, emulated: groups of 64, fp32 absmax, fp32 elsewhere" "$work/this.json" "$work/exact.json"
for lang in en zh; do
    "$sluice" perplexity -m "$model" -f "$work/$lang.txt" --json --exact >"$work/this.json"
    echo
    printf '%s, exact: ' "$lang"
    /usr/bin/python3 -c 'import json,sys; print("%.4f bits per byte" % json.load(open(sys.argv[1]))["bits_per_byte"])' "$work/this.json"
done
