#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Build the training text: the King James Bible and Tang verse in simplified characters.

Needs the Debian packages bible-kjv, bible-kjv-text, opencc and npm. Writes to the work folder
  en.train.txt zh.train.txt   one document per block, blocks end with a form feed
and the held-back text to models/heldout/{en,zh}.txt (plain text, no document marks).
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import tarfile
import unicodedata
import zlib

POETRY = "chinese-poetry@2.0.1"
HERE = pathlib.Path(__file__).resolve().parent
COMMON_CHARS = 3000        # poems with any rarer character are left out: the vocabulary is small
PASSAGE_BYTES = 800        # a passage and its end mark fit one training window


def hashed(name, modulus):
    """A stable pseudo-random pick, independent of the order of the input."""
    return zlib.crc32(name.encode()) % modulus == 0


def bible_chapters():
    text = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True, text=True).stdout
    chapters = collections.OrderedDict()
    for line in text.splitlines():
        ref, verse = line.split(" ", 1)
        chapters.setdefault(ref.split(":")[0], []).append(verse.strip())
    return chapters


def passages(verses):
    """Cut a chapter into passages of a few whole verses, one verse per line."""
    block = []
    for verse in verses:
        block.append(verse)
        if sum(map(len, block)) >= PASSAGE_BYTES:
            yield "\n".join(block) + "\n"
            block = []
    if block:
        yield "\n".join(block) + "\n"


def english():
    chapters = bible_chapters()
    seen = collections.Counter(v for verses in chapters.values() for v in set(verses))
    train, held = [], []
    for name, verses in chapters.items():
        # Parallel passages (Kings and Chronicles, say) must not stand on both sides.
        unique = all(seen[v] == 1 for v in verses)
        if unique and hashed(name, 32):
            held.append("\n".join(verses) + "\n")
        else:
            train.extend(passages(verses))
    return train, held


def npm_package(work):
    folder = work / "package"
    if not folder.exists():
        name = subprocess.run(["npm", "pack", "--silent", POETRY], check=True, capture_output=True, text=True, cwd=work)
        with tarfile.open(work / name.stdout.strip().splitlines()[-1]) as tar:
            tar.extractall(work)
    return folder / "dist"


def regular(lines):
    """True for verse of four to sixteen even lines of five or seven characters."""
    halves = [h for line in lines for h in re.split("[,，。？！；?!;]", line) if h]
    return len(halves) in (4, 8, 12, 16) and len({len(h) for h in halves}) == 1 and len(halves[0]) in (5, 7)


def raw_poems(dist):
    for path in sorted(dist.glob("quantangshi/poet.tang.*.json"), key=lambda p: int(p.name.split(".")[2])):
        for poem in json.loads(path.read_text()):
            if regular(poem["paragraphs"]) and 0 < len(poem["title"]) <= 16:
                yield poem["title"], poem["author"], poem["paragraphs"]
    for poem in json.loads((dist / "shijing/shijing.json").read_text()):
        yield poem["title"], "诗经", poem["content"]


def chinese(work):
    blocks = ["《%s》%s\n%s\n" % (t, a, "\n".join(p)) for t, a, p in raw_poems(npm_package(work))]
    done = subprocess.run(["opencc", "-c", "t2s.json"], input="\f".join(blocks), check=True, capture_output=True, text=True)
    blocks = unicodedata.normalize("NFC", done.stdout).strip("\n").split("\f")
    count = collections.Counter("".join(blocks))
    common = {c for c, _ in count.most_common(COMMON_CHARS)}
    train, held, bodies = [], [], set()
    for block in blocks:
        block = block.strip() + "\n"
        # Anthologies list some poems under two poets; the first two lines tell.
        body = block.split("\n", 1)[1][:12]
        if body in bodies or not set(block) <= common:
            continue
        bodies.add(body)
        (held if hashed(body, 50) else train).append(block)
    return train, held


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--work", type=pathlib.Path, required=True)
    work = args.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    (HERE / "heldout").mkdir(exist_ok=True)
    for language, (train, held) in (("en", english()), ("zh", chinese(work))):
        (work / f"{language}.train.txt").write_text("\f".join(train))
        (HERE / "heldout" / f"{language}.txt").write_text("".join(held))
        print(language, len(train), "documents,", sum(len(d.encode()) for d in train), "bytes; held back",
              len(held), sum(len(d.encode()) for d in held), "bytes")


if __name__ == "__main__":
    main()
