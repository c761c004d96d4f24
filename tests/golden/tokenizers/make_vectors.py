#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small vocabularies beside it and what the libraries that they are written for make of texts.

usage: make_vectors.py [LINES]   needs spm_train (sentencepiece) and the python libraries sentencepiece, tokenizers, transformers

  spm           as Yuan's: BPE, byte fallback, identity, dummy prefix; a quarter of the pieces has score 0, above all others
  spm_odd       user-defined, unused and control pieces, no byte fallback, a map of its own, extra white space removed
  byte_level    tokenizer.json with NFC, a pattern in front of ByteLevel, tokens that take white space
  byte_level_2  tokenizer.json as GPT-2's, with the blank in front
  char_level    tokenizer.json with Prepend and Replace, byte fallback
  char_level_2  tokenizer.json with Metaspace for the first text only
Each directory NAME gets NAME.jsonl: hex of the text, special tokens parsed or not, ids, and hex of the decoded text.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import sentencepiece
import tokenizers
import transformers
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tools"))
import tokenizer_texts as tt  # noqa: E402

N_LINES = int(sys.argv[1]) if len(sys.argv) > 1 else 40
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
corpus = [t.decode() for kind in tt.KINDS[:4] for t in tt.texts(kind, 800, seed=7)]
# Code points to code points: ligatures, white space, two to one, and one to nothing.
RULES = ("FB01\t66 69\nFB00\t66 66\n3000\t20\n0009\t20\n000A\t20\nFF0C\t2C\n3002\t2E 20\n212A\t4B\n65 301\tE9\nBD\t31 2044 32\n"
         "200B\t\nD A\t20\nFFFD\t20\n2028\t20 20\n")
# Rare characters are left to byte fallback and the unknown piece.
frequent = {c for c, _ in collections.Counter("".join(corpus)).most_common(600)} - {"\0"}
corpus = ["".join(c for c in t if c in frequent) for t in corpus]


def write(name, case):
    lines = []
    for special in (False, True):
        for kind in tt.KINDS:
            for text in tt.texts(kind, N_LINES, seed=5 if special else 4, longest=60):
                ids, decoded = case(text, special)
                lines.append(json.dumps({"kind": kind, "hex": text.hex(), "special": special, "ids": ids,
                                         "decoded": None if decoded is None else decoded.encode().hex()}))
    (HERE / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    print(name, len(lines), "lines")


def train_spm(name, edit, *options):
    directory = HERE / name
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        pathlib.Path(work, "text").write_text("\n".join(t.replace("\n", " ").replace("\0", " ") for t in corpus))
        pathlib.Path(work, "rules.tsv").write_text(RULES)
        subprocess.run(["spm_train", f"--input={work}/text", f"--model_prefix={work}/m", "--model_type=bpe", "--minloglevel=2",
                        "--num_threads=1", *(o.replace("WORK", work) for o in options)], check=True)
        model = pb.ModelProto()
        model.ParseFromString(pathlib.Path(work, "m.model").read_bytes())
    edit(model)
    model.trainer_spec.input[:] = []
    model.trainer_spec.model_prefix = name
    (directory / "tokenizer.model").write_bytes(model.SerializeToString())
    return directory


def spm_case(directory, added):
    """Added tokens: as transformers' LlamaTokenizer cuts them out."""
    raw = sentencepiece.SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))
    slow = transformers.LlamaTokenizer(str(directory / "tokenizer.model"), legacy=True, add_bos_token=False, eos_token="<eod>")
    slow.add_tokens([AddedToken(t, special=True, normalized=False) for t in added], special_tokens=True)
    by_name = {t.content.encode(): i for i, t in slow.added_tokens_decoder.items()}
    names = re.compile(b"(" + b"|".join(re.escape(n) for n in sorted(by_name, key=len, reverse=True)) + b")")
    decoder = {str(i): {"content": t.content, "special": True} for i, t in slow.added_tokens_decoder.items()}
    (directory / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder, "add_bos_token": False,
                                                                 "eos_token": "<eod>", "model_max_length": 10**30}) + "\n")

    def case(text, special):
        if not special:
            ids = raw.encode(text)
            return ids, raw.decode([i for i in ids if i != raw.unk_id()]) if tt.is_valid(text) else None
        if tt.is_valid(text):
            return slow.convert_tokens_to_ids(slow.tokenize(text.decode())), None
        # The library takes no such text: between added tokens it is sentencepiece's.
        parts = re.split(names, text)
        return [i for part in parts if part for i in ([by_name[part]] if part in by_name else raw.encode(part))], None
    return case


def equal_scores(model):
    for piece in model.pieces[-300:]:
        piece.score = 0.0


def odd_pieces(model):
    normal = [p for p in model.pieces if p.type == p.NORMAL and len(p.piece) > 2]
    for piece in normal[:200:3]:
        piece.type = piece.UNUSED


def train_json(name, tok, trainer, added, decode=True):
    tok.train_from_iterator(corpus, trainer)
    tok.add_tokens(added)
    directory = HERE / name
    directory.mkdir(exist_ok=True)
    text = json.loads(tok.to_str())
    (directory / "tokenizer.json").write_text(json.dumps(text, ensure_ascii=False, separators=(",", ":")) + "\n")
    tok = Tokenizer.from_file(str(directory / "tokenizer.json"))
    byte_level = name.startswith("byte")
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    char = {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(rest)}}

    def encode(text, special):
        tok.encode_special_tokens = not special
        return tok.encode(text, add_special_tokens=False).ids

    def case(text, special):
        ids = []
        if byte_level:
            for valid, part in tt.stretches(text):
                ids += encode(part, special) if valid else [tok.token_to_id(char[part])]
        else:
            ids = encode(tt.replaced(text), special)
        return ids, tok.decode(ids, skip_special_tokens=True) if tt.is_valid(text) else None
    write(name, case)


BYTES = [f"<0x{b:02X}>" for b in range(256)]
ADDED = [AddedToken("<|im_start|>", special=True), AddedToken("<|endoftext|>", special=True, rstrip=True),
         AddedToken("<sep>", special=False, lstrip=True, normalized=False), AddedToken("<n>", special=False, normalized=True)]

write("spm", spm_case(train_spm("spm", equal_scores, "--vocab_size=1600", "--byte_fallback", "--normalization_rule_name=identity",
                                "--add_dummy_prefix=true", "--remove_extra_whitespaces=false", "--character_coverage=1.0",
                                "--split_digits=true", "--allow_whitespace_only_pieces=true"), ["<sep>", "<eod>"]))
write("spm_odd", spm_case(train_spm("spm_odd", odd_pieces, "--vocab_size=1600", "--normalization_rule_tsv=WORK/rules.tsv", "--character_coverage=1.0",
                                    "--user_defined_symbols=[INST],th,the,  ,你好", "--control_symbols=<sep>"), ["<sep>"]))

tok = Tokenizer(models.BPE(ignore_merges=True))
tok.normalizer = normalizers.NFC()
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"),
                                             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tok.decoder = decoders.ByteLevel()
tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
    single="<|im_start|> $A", special_tokens=[("<|im_start|>", 0)])])
train_json("byte_level", tok, trainers.BpeTrainer(vocab_size=1200, show_progress=False, special_tokens=["<|im_start|>"],
                                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), ADDED)

tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
tok.decoder = decoders.ByteLevel()
train_json("byte_level_2", tok, trainers.BpeTrainer(vocab_size=1000, show_progress=False,
                                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), ADDED)

for name, metaspace in (("char_level", False), ("char_level_2", True)):
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    else:
        tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tok.pre_tokenizer = None
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = [" ".join(t.split()[:6]) for t in corpus]
    corpus_all, corpus = corpus, words
    train_json(name, tok, trainers.BpeTrainer(vocab_size=1800, show_progress=False, limit_alphabet=600, max_token_length=12,
                                              special_tokens=["<unk>", "<s>", "</s>", *BYTES]), ADDED)
    corpus = corpus_all
