#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Byte-level BPE in the Hunyuan file form: train `hy.tiktoken` and turn text into ids.

The file has one line "base64 rank" for each rank; the special tokens follow the ranks.
"""
import argparse
import base64
import collections
import heapq
import pathlib
import unicodedata

import numpy as np
import regex

VOCAB = 3584
EXTRAS = 11
RANKS = VOCAB - 5 - EXTRAS
NAMED = ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"]
SPECIALS = {name: RANKS + i for i, name in enumerate(NAMED + [f"<|extra_{i}|>" for i in range(EXTRAS)])}
PIECES = regex.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def pieces(text):
    return PIECES.findall(unicodedata.normalize("NFC", text))


def train_ranks(text, n_ranks):
    """Merge the most frequent adjacent pair until there are n_ranks ranks; returns them as bytes."""
    counts = collections.Counter(pieces(text))
    words = [list(piece.encode()) for piece in counts]
    weights = list(counts.values())
    ranks = [bytes([b]) for b in range(256)]
    pair_count = collections.Counter()
    where = collections.defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pair_count[pair] += weights[i]
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    while len(ranks) < n_ranks:
        n, pair = heapq.heappop(heap)
        if -n != pair_count[pair]:          # stale entry: the count changed since it was pushed
            if pair_count[pair] > 0:
                heapq.heappush(heap, (-pair_count[pair], pair))
            continue
        new = len(ranks)
        ranks.append(ranks[pair[0]] + ranks[pair[1]])
        touched = set()
        for i in where.pop(pair):
            old, word, j = words[i], [], 0
            while j < len(old):
                if j + 1 < len(old) and old[j] == pair[0] and old[j + 1] == pair[1]:
                    word.append(new)
                    j += 2
                else:
                    word.append(old[j])
                    j += 1
            for p in zip(old, old[1:]):
                pair_count[p] -= weights[i]
            for p in zip(word, word[1:]):
                pair_count[p] += weights[i]
                if new in p:
                    where[p].add(i)
                    touched.add(p)
            words[i] = word
        for p in touched:
            heapq.heappush(heap, (-pair_count[p], p))
    assert len(set(ranks)) == n_ranks, "two pairs spell the same bytes"
    return ranks


class Tokenizer:
    def __init__(self, path):
        lines = pathlib.Path(path).read_text().split("\n")[:-1]
        self.bytes_of = [base64.b64decode(line.split()[0]) for line in lines]
        self.rank = {b: i for i, b in enumerate(self.bytes_of)}
        self.cache = {}

    def piece(self, raw):
        if raw in self.rank:
            return [self.rank[raw]]
        parts = [raw[i:i + 1] for i in range(len(raw))]
        while len(parts) > 1:
            best = min(range(len(parts) - 1), key=lambda i: self.rank.get(parts[i] + parts[i + 1], RANKS))
            if parts[best] + parts[best + 1] not in self.rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return [self.rank[p] for p in parts]

    def encode(self, text):
        ids = []
        for piece in pieces(text):
            if piece not in self.cache:
                self.cache[piece] = self.piece(piece.encode())
            ids.extend(self.cache[piece])
        return ids

    def decode(self, ids):
        return b"".join(self.bytes_of[i] if i < RANKS else b"" for i in ids).decode("utf-8", "replace")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--work", type=pathlib.Path, required=True)
    work = args.parse_args().work
    texts = {lang: (work / f"{lang}.train.txt").read_text() for lang in ("en", "zh")}
    path = work / "hy.tiktoken"
    ranks = train_ranks("\n".join(t.replace("\f", "") for t in texts.values()), RANKS)
    path.write_text("".join(f"{base64.b64encode(b).decode()} {i}\n" for i, b in enumerate(ranks)))
    tokenizer = Tokenizer(path)
    for lang, text in texts.items():
        ids, starts = [], []
        for document in text.split("\f"):
            starts.append(len(ids))
            ids += [SPECIALS["<|startoftext|>"]] + tokenizer.encode(document) + [SPECIALS["<|eos|>"]]
        np.savez(work / f"{lang}.npz", ids=np.array(ids, np.uint16), starts=np.array(starts + [len(ids)], np.int64))
        print(lang, len(starts), "documents", len(ids), "tokens", round(len(text.encode()) / len(ids), 2), "bytes/token")


if __name__ == "__main__":
    main()
