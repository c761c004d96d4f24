#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Small seeds for fuzz_spm (length, model, text) and fuzz_tokenizer_json (file, zero, text), beside this file."""
import json
import pathlib
import struct

seeds = pathlib.Path(__file__).resolve().parent / "seeds"


def field(number, wire, value):
    head = number << 3 | wire
    key = bytes([head]) if head < 128 else bytes([head & 127 | 128, head >> 7])
    if wire == 2:
        return key + bytes([len(value)]) + value
    return key + (struct.pack("<f", value) if wire == 5 else bytes([value]))


def piece(text, kind=1, score=0.0):
    return field(1, 2, field(1, 2, text.encode()) + field(2, 5, score) + field(3, 0, kind))


pieces = piece("<unk>", 2) + piece("<s>", 3) + piece("ab", 5, -1.0) + piece("abc", 1, -2.0) + piece("a", 1, -3.0) + piece("b", 4) + piece("\u2581a")
units = [0] * 8
units[0] = (ord("x") ^ 1) << 10
charsmap = struct.pack("<I8I", 32, *units) + b"yz\0"
model = pieces + field(2, 2, field(3, 0, 2)) + field(3, 2, field(1, 2, b"nmt") + field(2, 2, charsmap) + field(3, 0, 1))
text = " ab abc\xff \u2581a\u4f60<s>".encode()
for name, m in (("model", model), ("text", b"")):
    (seeds / "fuzz_spm" / name).write_bytes(struct.pack("<H", len(m)) + m + text + b"the hehe \xe4\xbd\xa0\xff aaaaaa")

alphabet = {c: i for i, c in enumerate([chr(b) for b in range(0x21, 0x7F)] + ["\u0120a", "\u0120"])}
whole = {"added_tokens": [{"id": 99, "content": "<s>", "special": True, "lstrip": True, "rstrip": True, "normalized": True}],
         "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
         "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False},
         "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}]},
         "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                            "special_tokens": {"<s>": {"id": "<s>", "ids": [99]}}},
         "model": {"type": "BPE", "unk_token": "!", "fuse_unk": True, "vocab": {"!": 0, "a": 1, "b": 2, "ab": 3, "\u2581": 4, "\u2581ab": 5},
                   "merges": ["a b", ["\u2581", "ab"]]}}
split = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|[\\s]+"}, "behavior": "Removed", "invert": True},
    {"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]},
    "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": alphabet, "merges": []}}
for name, v in (("char", json.dumps(whole)), ("split", json.dumps(split)), ("b", "b"), ("c", "c")):
    (seeds / "fuzz_tokenizer_json" / name).write_bytes(v.encode() + b"\0" + "the <s> ab 1234 don't\xe9\u0301  \u4f60\n".encode() + b"\xff\x80")
