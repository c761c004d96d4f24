#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Texts of five kinds, each a list of bytes: what tokenizers are compared on. The same for the same seed."""
import pathlib
import random

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ("english", "chinese", "code", "emoji", "invalid")
EMOJI = [chr(c) for first, last in ((0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6C5), (0x2600, 0x26FF), (0x1F900, 0x1F9FF))
         for c in range(first, last + 1)]
JOINERS = ["\u200d", "\ufe0f", "\u20e3"] + [chr(c) for c in range(0x1F3FB, 0x1F400)] + [chr(c) for c in range(0x1F1E6, 0x1F200)]
# What patterns, normalisers and escapes trip over.
ODD = ["  ", "   ", "\t", "\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "\u200b", "\u2581", "\u2581a", " \u2581", "'s", "'LL",
       "\u2019t", "'\u017f", "\u212a", "e\u0301", "\u00e9", "a\u0323\u0307", "\uac00\u11a7", "\u1100\u1161\u11a8", "\ufb01", "\u00bd", "\u00b2", "\u2167", "\u0661\u0662",
       "1234567", "3.14", "0x1F", "aaaaaaaaaaaaaaaa", "\ufffd", "\u0000", "\u001c", "<0x41>", "<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>",
       "<eod>", "<sep>", "<n>", "[INST]", "ﬀ", "ß", "İ", "ı", "\u0915\u094d\u0937", "\u0e01\u0e33", "שלום", "مرحبا", "Привет", "ありがとう", "カタカナ", "\U0001D54F"]


def slices(text, rng, n, longest):
    """Pieces from anywhere in a text."""
    out = []
    for _ in range(n):
        size = rng.randint(1, longest)
        at = rng.randrange(max(1, len(text) - size))
        out.append(text[at:at + size])
    return out


def with_odd(pieces, rng, share=0.3):
    for i, piece in enumerate(pieces):
        if rng.random() < share:
            at = rng.randint(0, len(piece))
            pieces[i] = piece[:at] + rng.choice(ODD) + piece[at:]
    return [p.encode("utf-8") for p in pieces]


def emoji(rng, n, longest):
    out = []
    for _ in range(n):
        text = ""
        for _ in range(rng.randint(1, max(1, longest // 6))):
            text += rng.choice(EMOJI)
            if rng.random() < 0.4:
                text += rng.choice(JOINERS)
            if rng.random() < 0.3:
                text += rng.choice([" ", "  ", " hi ", "!", "\n", "好"])
        out.append(text)
    return out


def break_bytes(text, rng):
    data = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        choice = rng.randrange(5)
        if choice == 0 and data:
            del data[min(at, len(data) - 1)]
        elif choice == 1:
            data[at:at] = bytes([rng.randrange(0x80, 0x100)])
        elif choice == 2:
            data[at:at] = rng.choice([b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe4\xbd", b"\xf0\x9f\x99", b"\xff\xfe", b"\xf8\x88\x80\x80\x80"])
        elif choice == 3 and data:
            data[min(at, len(data) - 1)] = rng.randrange(0x80, 0x100)
        else:
            data = data[:at]
    data += b"\x80" if is_valid(data) else b""
    return bytes(data)


def is_valid(data):
    try:
        bytes(data).decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def stretches(data):
    """(valid, text or byte): the valid stretches of a text as str, every other byte on its own."""
    out, at = [], 0
    while at < len(data):
        try:
            out.append((True, data[at:].decode("utf-8")))
            break
        except UnicodeDecodeError as why:
            if why.start:
                out.append((True, data[at:at + why.start].decode("utf-8")))
            out.append((False, data[at + why.start]))
            at += why.start + 1
    return out


def replaced(data):
    """As sentencepiece reads it: U+FFFD for each byte that belongs to no character."""
    return "".join(text if valid else "\ufffd" for valid, text in stretches(data))


def texts(kind, n, seed=1, longest=120):
    rng = random.Random(f"{kind} {seed}")
    if kind == "english":
        return with_odd(slices((ROOT / "models/heldout/en.txt").read_text(), rng, n, longest), rng)
    if kind == "chinese":
        return with_odd(slices((ROOT / "models/heldout/zh.txt").read_text(), rng, n, max(1, longest // 2)), rng)
    if kind == "code":
        source = "".join((ROOT / f).read_text() for f in ("host/cli/options.c", "host/engine/attention.c", "models/train.py", "rtl/sl_top.sv")
                         if (ROOT / f).exists())
        return with_odd(slices(source, rng, n, longest), rng)
    if kind == "emoji":
        return with_odd(emoji(rng, n, longest), rng)
    every = [t for k in KINDS[:4] for t in texts(k, n // 4 + 1, seed + 1000, longest)]
    return [break_bytes(rng.choice(every), rng) for _ in range(n)]
