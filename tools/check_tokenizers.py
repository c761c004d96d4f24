#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ids and decoded text of Sluice's tokenizers beside those of the libraries that the files are written for, on texts of five
kinds. tools/check_tokenizers.sh calls it with what it could install; what is missing is told by name.

usage: check_tokenizers.py FILES_DIR build/tokenize_lines [LINES]

Text that is not UTF-8: tiktoken and byte-level tokenizer.json are compared stretch by stretch (the library sees each valid stretch
as a text, every other byte must be its own token); sentencepiece's library takes the bytes as they are, LlamaTokenizer is
not compared on them; a character-level
tokenizer.json is given the text with U+FFFD for each stray byte, which is what sentencepiece makes of it.
Decoded text is compared where the library gives text, for valid texts.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import tokenizer_texts as tt  # noqa: E402

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
files, program = pathlib.Path(sys.argv[1]), sys.argv[2]
n_lines = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
n_passed = n_failed = 0


def sluice(directory, texts, special):
    done = subprocess.run([program, str(directory)] + (["special"] if special else []), check=True, capture_output=True,
                          input=b"".join(t.hex().encode() + b"\n" for t in texts))
    rows = done.stdout.decode().split("\n")[:-1]
    assert len(rows) == len(texts)
    return [([int(i) for i in ids.split()], bytes.fromhex(text)) for ids, text in (r.split("|") for r in rows)]


def compare(name, directory, oracle, decode=None, modes=(False, True), kinds=tt.KINDS):
    """oracle(text, special) -> ids; decode(ids) -> text or None."""
    global n_passed, n_failed
    for special in modes:
        for kind in kinds:
            texts = tt.texts(kind, n_lines, seed=2 if special else 1)
            differ, differ_text = 0, 0
            for text, (ids, spelled) in zip(texts, sluice(directory, texts, special)):
                want = oracle(text, special)
                if ids != want:
                    differ += 1
                    if differ <= 3:
                        print(f"  {ascii(text)}\n    sluice {ids}\n    oracle {want}")
                elif decode and tt.is_valid(text) and decode(ids) != spelled.decode("utf-8", "replace"):
                    differ_text += 1
                    if differ_text <= 3:
                        print(f"  {ascii(text)}\n    sluice {ascii(spelled)}\n    oracle {ascii(decode(ids))}")
            ok = differ == 0 and differ_text == 0
            n_passed, n_failed = n_passed + ok, n_failed + (not ok)
            print(f"{'ok  ' if ok else 'FAIL'} {name}, {kind}{', special tokens' if special else ''}: {len(texts)} lines, "
                  f"{differ} differ in ids, {differ_text} in text", flush=True)


def skip(name, why):
    print(f"SKIPPED {name}: {why}")


def by_stretch(encode, byte_id):
    def oracle(text, special):
        ids = []
        for valid, part in tt.stretches(text):
            ids += encode(part, special) if valid else [byte_id(part)]
        return ids
    return oracle


def check_tiktoken():
    path = files / "cl100k_base.tiktoken"
    try:
        import tiktoken
        import tiktoken.load
    except ImportError:
        return skip("tiktoken", "the python library tiktoken is not installed")
    if not path.exists():
        return skip("tiktoken", "no cl100k_base.tiktoken")
    ranks = tiktoken.load.load_tiktoken_bpe(str(path))
    # The family's rank files have no holes; this one has neither.
    names = ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"] + [f"<|extra_{i}|>" for i in range(205)]
    specials = {name: len(ranks) + i for i, name in enumerate(names)}
    library = tiktoken.Encoding("hunyuan", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=specials)

    def encode(text, special):
        return library.encode(unicodedata.normalize("NFC", text), allowed_special="all" if special else set(), disallowed_special=())

    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "hy.tiktoken").write_text(path.read_text())
        pathlib.Path(directory, "config.json").write_text(json.dumps({"vocab_size": len(ranks) + 210}))
        compare("tiktoken (cl100k ranks)", directory, by_stretch(encode, lambda b: ranks[bytes([b])]))


def check_json(directory):
    try:
        import tokenizers
    except ImportError:
        return skip(directory.name, "the python library tokenizers is not installed")
    library = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    byte_level = "ByteLevel" in json.dumps(json.loads(library.to_str())["pre_tokenizer"])
    alphabet = bytes_to_chars()

    def encode(text, special):
        library.encode_special_tokens = not special
        return library.encode(text, add_special_tokens=False).ids

    with tempfile.TemporaryDirectory() as copy: # tokenizer.json alone
        (pathlib.Path(copy) / "tokenizer.json").write_bytes((directory / "tokenizer.json").read_bytes())
        oracle = (by_stretch(encode, lambda b: library.token_to_id(alphabet[b])) if byte_level
                  else lambda text, special: encode(tt.replaced(text), special))
        compare(f"tokenizer.json of {directory.name} ({'byte' if byte_level else 'character'} level)", copy, oracle,
                lambda ids: library.decode(ids, skip_special_tokens=True))


def bytes_to_chars():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def check_spm(path):
    try:
        import sentencepiece
    except ImportError:
        return skip(path.name, "the python library sentencepiece is not installed")
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "tokenizer.model").write_bytes(path.read_bytes())
        compare(f"sentencepiece, {path.name}", directory, lambda text, special: library.encode(text),
                lambda ids: library.decode([i for i in ids if i != library.unk_id()]), modes=(False,))
        check_slow(path, directory)


def check_slow(path, directory):
    """Added tokens between texts: transformers' LlamaTokenizer."""
    try:
        import transformers
    except ImportError:
        return skip(f"LlamaTokenizer, {path.name}", "the python library transformers is not installed")
    transformers.logging.set_verbosity_error()
    added = [transformers.AddedToken(name, special=True, normalized=False) for name in ("<sep>", "<mask>", "<FIM_SUFFIX>")]
    from sentencepiece import sentencepiece_model_pb2
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    for legacy in (True,) if model.normalizer_spec.remove_extra_whitespaces else (True, False): # refused
        library = transformers.LlamaTokenizer(str(path), legacy=legacy, add_bos_token=False, eos_token="<eod>")
        library.add_tokens(added, special_tokens=True)
        decoder = {str(i): {"content": t.content, "lstrip": t.lstrip, "rstrip": t.rstrip, "special": t.special}
                   for i, t in library.added_tokens_decoder.items()}
        pathlib.Path(directory, "tokenizer_config.json").write_text(json.dumps(
            {"added_tokens_decoder": decoder, "legacy": legacy, "eos_token": "<eod>", "model_max_length": 10**30}))

        def encode(text, special):
            return library.convert_tokens_to_ids(library.tokenize(text.decode(), split_special_tokens=not special))
        compare(f"LlamaTokenizer{'' if legacy else ', not legacy'}, {path.name}", directory, encode, kinds=tt.KINDS[:4])


def check_yuan():
    import os
    path = os.environ.get("SL_YUAN_TOKENIZER")
    if not path:
        return skip("Yuan's tokenizer", "SL_YUAN_TOKENIZER does not name the released tokenizer.model")
    global n_passed, n_failed
    golden = [json.loads(line) for line in (tt.ROOT / "tests/golden/tokenizers/yuan_spm.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "tokenizer.model").write_bytes(pathlib.Path(path).read_bytes())
        differ = sum(ids != g["ids"] or text.decode() != g["decoded"]
                     for g, (ids, text) in zip(golden, sluice(directory, [g["text"].encode() for g in golden], False)))
    n_passed, n_failed = n_passed + (not differ), n_failed + bool(differ)
    print(f"{'FAIL' if differ else 'ok  '} Yuan's tokenizer: {len(golden)} lines, {differ} differ")


check_tiktoken()
for model in sorted(files.glob("*.model")):
    check_spm(model)
for model in sorted(files.glob("*/tokenizer.json")):
    check_json(model.parent)
check_yuan()
print(f"{n_passed} passed, {n_failed} failed")
sys.exit(1 if n_failed or not n_passed else 0)
