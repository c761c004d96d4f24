#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compare `sluice tokenize` with the golden lines of the released tokenizer, given only the public cl100k_base.tiktoken
("base64 rank" on each line): the release's first 100256 ranks are the same. Lines with later ids are skipped.

usage: tools/check_cl100k.py cl100k_base.tiktoken [build/sluice]
"""
import json
import pathlib
import subprocess
import sys
import tempfile

RELEASE_RANKS = 127957
golden = pathlib.Path(__file__).parent.parent / "tests/golden/tokenizers"
ranks = pathlib.Path(sys.argv[1]).read_text()
program = sys.argv[2] if len(sys.argv) > 2 else "build/sluice"
n_rank = len(ranks.split("\n")) - 1
compared = failed = 0
with tempfile.TemporaryDirectory() as model:
    pathlib.Path(model, "hy.tiktoken").write_text(ranks)
    pathlib.Path(model, "config.json").write_text(json.dumps({"vocab_size": n_rank + 5 + 205}))
    for name, key in (("hunyuan_bpe.jsonl", "text"), ("hunyuan_chat.jsonl", "rendered")):
        for line in (golden / name).read_text().splitlines():
            case = json.loads(line)
            if any(n_rank <= i < RELEASE_RANKS for i in case["ids"]):
                continue
            want = [i - RELEASE_RANKS + n_rank if i >= RELEASE_RANKS else i for i in case["ids"]]
            out = subprocess.run([program, "tokenize", "-m", model, "-f", "-"], input=case[key].encode(),
                                 capture_output=True, check=True)
            compared += 1
            if [int(i) for i in out.stdout.split()] != want:
                failed += 1
                print("differs:", ascii(case[key]))
print(f"{compared} lines compared, {failed} differ")
sys.exit(1 if failed or not compared else 0)
