#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a copy of a checkpoint whose experts went through NF4 as QLoRA defines it: the 16-level code book, blocks of
64 consecutive weights along K, one fp32 absmax each (Dettmers et al. 2023, section 3). `sluice perplexity --exact` on the
copy is the yardstick for the format nf4. Needs numpy.

usage: emulate_nf4.py CHECKPOINT_DIR OUT_DIR
"""
import json
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

LEVELS = np.array([
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1], dtype=np.float32)
EXPERT = re.compile(r"\.mlp\.(experts\.\d+|shared_mlp)\..*\.weight$")


def e4m3_table():
    """Value of each of the 256 OCP E4M3 codes (the two NaN codes are not expected)."""
    code = np.arange(256)
    exponent, fraction = code >> 3 & 15, code & 7
    magnitude = np.where(exponent == 0, fraction * 2.0**-9, (8 + fraction) * 2.0**(exponent - 10.0))
    return np.where(code & 128, -magnitude, magnitude).astype(np.float32)


def read(path):
    """name -> float32 array; FP8 weights without their scale."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + o for o in entry["data_offsets"])
        raw = data[begin:end]
        if entry["dtype"] == "F32":
            values = np.frombuffer(raw, "<f4")
        elif entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif entry["dtype"] == "F8_E4M3":
            values = e4m3_table()[np.frombuffer(raw, np.uint8)]
        else:
            raise SystemExit(f"error: {name} has dtype {entry['dtype']}, which this tool does not read")
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def write(path, tensors):
    header, offset = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            out.write(np.ascontiguousarray(values, "<f4").tobytes())


def nf4(weights):
    """Rows in blocks of 64; a shorter last block keeps its own absmax."""
    out = np.empty_like(weights, dtype=np.float32)
    middle = (LEVELS[1:] + LEVELS[:-1]) / 2
    for first in range(0, weights.shape[1], 64):
        block = weights[:, first:first + 64]
        absmax = np.abs(block).max(axis=1, keepdims=True)
        absmax[absmax == 0] = 1
        out[:, first:first + 64] = LEVELS[np.searchsorted(middle, block / absmax)] * absmax
    return out


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    tensors = read(source / "model.safetensors")
    result = {}
    for name, values in tensors.items():
        if name.endswith(("weight_scale", "input_scale")):
            continue
        scale = tensors.get(name + "_scale")
        values = values if scale is None else values * np.float32(scale.reshape(()))
        result[name] = nf4(values) if EXPERT.search(name) else values
    write(target / "model.safetensors", result)
    config = json.loads((source / "config.json").read_text())
    config.pop("quantization_config", None)
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for extra in ("hy.tiktoken", "generation_config.json"):
        if (source / extra).exists():
            shutil.copy(source / extra, target / extra)


main()
