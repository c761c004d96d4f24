#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Short runs of the Hunyuan demo: {recycle on, off} x {separate learning rates on, off}.

  ablate.py --work WORK [--steps 120] [--seeds 1]

Prints a Markdown table. Load figures are taken before re-assignment; loss is the mean training loss
of the last fifth, and the held-back bits per byte are measured without capacity, as in inference.
"""
import argparse
import pathlib

import numpy as np
import torch

from bpe import Tokenizer
from evaluate import bits_per_byte
from train import RECIPE, build, describe, optimizer, streams_of, train_step


def run(work, recycle, split_lr, steps, seed):
    recipe = dict(RECIPE["hunyuan"], steps=steps, recycle=recycle, split_lr=split_lr, fp8=False)
    torch.manual_seed(seed)
    model, streams = build("hunyuan"), streams_of(work)
    opt = optimizer(model, recipe)
    losses, stats = [], []
    for step in range(steps):
        loss, s = train_step(model, opt, recipe, streams, step)
        losses.append(loss)
        stats.append(describe(s))
    model.dtype = torch.float32
    tokenizer = Tokenizer(work / "hy.tiktoken")
    bits = [bits_per_byte(model, tokenizer, language)[0] for language in ("en", "zh")]
    late = stats[-steps // 5:]
    mean = lambda key, rows: np.mean([row[key] for row in rows])
    return [np.mean(losses[-steps // 5:]), *bits, mean("load_cv", stats), mean("load_cv", late),
            mean("load_max_over_mean", late), 100 * mean("overflow", stats), 100 * mean("dropped", stats)]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", type=pathlib.Path, required=True)
    args.add_argument("--steps", type=int, default=120)
    args.add_argument("--seeds", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(1)
    print("| recycle | separate lr | loss | bits/byte en | bits/byte zh | load CV, all | load CV, last fifth "
          "| max/mean, last fifth | overflow % | dropped % |\n|" + "---|" * 10, flush=True)
    for recycle in (True, False):
        for split_lr in (True, False):
            rows = [run(args.work, recycle, split_lr, args.steps, seed) for seed in range(args.seeds)]
            cells = ["on" if recycle else "off", "on" if split_lr else "off"] + [f"{x:.3f}" for x in np.mean(rows, 0)]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
