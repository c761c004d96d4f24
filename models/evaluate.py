#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bits per byte of an exported model on the held-back text, and sample continuations, in fp32.

  evaluate.py DIR [--prompt TEXT ...]

The text is cut into windows of 256 tokens; each is scored in full after one <|startoftext|>, which is
not scored itself.
"""
import argparse
import math
import pathlib

import torch
import torch.nn.functional as F

from bpe import RANKS, SPECIALS, Tokenizer
from check_torch_logits import load

HERE = pathlib.Path(__file__).resolve().parent
WINDOW = 256
START, EOS = SPECIALS["<|startoftext|>"], SPECIALS["<|eos|>"]


def bits_per_byte(model, tokenizer, language):
    text = (HERE / "heldout" / f"{language}.txt").read_text()
    ids = tokenizer.encode(text)
    nats = 0.0
    with torch.no_grad():
        for i in range(0, len(ids), WINDOW):
            window = torch.tensor(ids[i:i + WINDOW])
            logits, _ = model(torch.cat([torch.tensor([START]), window[:-1]])[None])
            nats += F.cross_entropy(logits[0], window, reduction="sum").item()
    return nats / math.log(2) / len(text.encode()), len(ids)


def sample(model, tokenizer, prompt, limit=120, temperature=0.7, top_k=20, top_p=0.8):
    ids = [START] + tokenizer.encode(prompt)
    with torch.no_grad():
        while len(ids) < limit:
            logits, _ = model(torch.tensor([ids]))
            value, index = (logits[0, -1] / temperature).topk(top_k)
            prob = torch.softmax(value, -1)
            prob[prob.cumsum(0) - prob >= top_p] = 0
            ids.append(index[torch.multinomial(prob, 1)].item())
            if ids[-1] >= RANKS:
                break
    return tokenizer.decode(ids) + (" [eos]" if ids[-1] == EOS else "")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("folder", type=pathlib.Path)
    args.add_argument("--prompt", nargs="*", default=[])
    args = args.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model, _ = load(args.folder)
    tokenizer = Tokenizer(args.folder / "hy.tiktoken")
    for language in ("en", "zh"):
        bits, tokens = bits_per_byte(model, tokenizer, language)
        print(f"{language}: {bits:.4f} bits per byte, {tokens} tokens")
    for prompt in args.prompt:
        print("---\n" + sample(model, tokenizer, prompt))


if __name__ == "__main__":
    main()
