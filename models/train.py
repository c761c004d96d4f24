#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Train a demonstration model; resumes from its checkpoint when one is there.

  train.py --model hunyuan --work WORK      (or --model yuan)

WORK holds en.npz, zh.npz and hy.tiktoken from corpus.py and bpe.py. The checkpoint and its log go to
WORK/<model>.pt and WORK/<model>.log.
"""
import argparse
import json
import math
import os
import pathlib
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
import torch.nn.functional as F

from bpe import SPECIALS, VOCAB
from nets import Hunyuan, Yuan

TOKENS_PER_STEP = 4096
CONTEXT = 256
LONG_CONTEXT = 512         # the last part, together with the FP8 rounding, sees longer windows
LAST_PART = 0.88
EOS, START, PAD = SPECIALS["<|eos|>"], SPECIALS["<|startoftext|>"], SPECIALS["<|pad|>"]

CONFIG = {
    "hunyuan": {
        "architectures": ["HunYuanForCausalLM"], "model_type": "hunyuan",
        "vocab_size": VOCAB, "hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_act": "silu",
        "max_position_embeddings": 512, "rms_norm_eps": 1e-05,
        "pad_token_id": PAD, "bos_token_id": START, "eos_token_id": EOS,
        "pretraining_tp": 1, "tie_word_embeddings": True, "rope_theta": 10000.0,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0},
        "attention_bias": False, "attention_dropout": 0.0, "use_qk_norm": True,
        "use_cla": True, "cla_share_factor": 2, "num_experts": 16, "use_mixed_mlp_moe": True,
        "num_shared_expert": 1, "moe_topk": 1, "capacity_factor": 1.0, "moe_drop_tokens": False,
        "moe_random_routing_dropped_token": False, "torch_dtype": "bfloat16",
    },
    "yuan": {
        "architectures": ["YuanForCausalLM"], "model_type": "yuan",
        "vocab_size": VOCAB, "hidden_size": 192, "intermediate_size": 64, "attention_projection_size": 384,
        "num_hidden_layers": 3, "num_attention_heads": 6, "hidden_act": "silu",
        "max_position_embeddings": 512, "model_max_length": 512, "rms_norm_eps": 1e-06,
        "use_cache": True, "causal_mask": True, "use_flash_attention": False, "dropout": 0,
        "reset_attention_mask": False, "reset_position_ids": True, "use_loss_mask": False, "use_moe": True,
        "eod_token": EOS, "sep_token": SPECIALS["<|extra_0|>"],
        "pad_token_id": EOS, "bos_token_id": EOS, "eos_token_id": EOS, "tie_word_embeddings": True,
        "moe_config": {"moe_num_experts": 32, "moe_top_k": 2, "norm_topk_prob": True,
                       "gated_linear_unit": True, "ffn_hidden_size": 64},
        "torch_dtype": "bfloat16", "rope_table_variant": "fp32", "rotary_base": 10000,
    },
}

# capacity: share of the even load an expert takes in training; recycle: overflow goes to a random free
# slot instead of being dropped; split_lr: the routed experts' learning rate is scaled by the square
# root of the share of tokens an expert sees; balance: weight of the balance loss.
RECIPE = {
    "hunyuan": {"lr": 2.5e-3, "steps": 4000, "capacity": 1.25, "recycle": True, "split_lr": True, "balance": 0.01, "fp8": True},
    "yuan": {"lr": 3e-3, "steps": 1800, "capacity": None, "recycle": False, "split_lr": False, "balance": 0.01, "fp8": False},
}


def build(name, dtype=torch.bfloat16):
    return {"hunyuan": Hunyuan, "yuan": Yuan}[name](CONFIG[name], dtype)


class Stream:
    """The documents of one language, in a new order each epoch; a batch depends on the step alone."""

    def __init__(self, path, salt):
        data = np.load(path)
        self.ids, self.starts, self.salt, self.epoch = data["ids"], data["starts"], salt, None

    def take(self, step, rows, context):
        span = context + 1
        need = rows * span
        per_epoch = len(self.ids) // need
        epoch, block = divmod(step, per_epoch)
        if epoch != self.epoch:
            order = np.random.default_rng([self.salt, epoch]).permutation(len(self.starts) - 1)
            self.text = np.concatenate([self.ids[self.starts[d]:self.starts[d + 1]] for d in order])
            self.epoch = epoch
        return self.text[block * need:(block + 1) * need].reshape(rows, span)


def batch(streams, step, context):
    rows = TOKENS_PER_STEP // context // len(streams)
    ids = np.concatenate([s.take(step, rows, context) for s in streams]).astype(np.int64)
    return torch.from_numpy(ids[:, :-1]), torch.from_numpy(np.ascontiguousarray(ids[:, 1:]))


def optimizer(model, recipe):
    groups = {}
    for name, p in model.named_parameters():
        routed = ".experts." in name
        scale = math.sqrt(model.topk / model.experts_n) if routed and recipe["split_lr"] else 1.0
        decay = 0.05 if p.dim() > 1 and name != "embed" else 0.0
        groups.setdefault((scale, decay), []).append(p)
    return torch.optim.AdamW([{"params": ps, "scale": s, "weight_decay": d} for (s, d), ps in groups.items()],
                             lr=recipe["lr"], betas=(0.9, 0.95), foreach=True)


def rate(recipe, step):
    warm = min(100, recipe["steps"] // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - warm) / (recipe["steps"] - warm)))


def train_step(model, opt, recipe, streams, step):
    context = LONG_CONTEXT if step >= LAST_PART * recipe["steps"] else CONTEXT
    model.fp8 = recipe["fp8"] and step >= LAST_PART * recipe["steps"]
    torch.manual_seed(step)        # the recycling draw is the only random part of a step
    for group in opt.param_groups:
        group["lr"] = recipe["lr"] * rate(recipe, step) * group["scale"]
    ids, target = batch(streams, step, context)
    logits, stats = model(ids, recipe["capacity"], recipe["recycle"])
    loss = F.cross_entropy(logits.view(-1, VOCAB), target.view(-1))
    total = loss + recipe["balance"] * sum(s["balance"] for s in stats)
    opt.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    return loss.item(), stats


def describe(stats):
    load = torch.stack([s["load"].float() for s in stats])
    pairs = load.sum()
    return {"load_cv": round((load.std(1, unbiased=False) / load.mean(1)).mean().item(), 3),
            "load_max_over_mean": round((load.max(1).values / load.mean(1)).max().item(), 2),
            "overflow": round(sum(s["overflow"] for s in stats) / pairs.item(), 4),
            "dropped": round(sum(s["dropped"] for s in stats) / pairs.item(), 4)}


def streams_of(work):
    return [Stream(work / "en.npz", 1), Stream(work / "zh.npz", 2)]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", choices=CONFIG, required=True)
    args.add_argument("--work", type=pathlib.Path, required=True)
    args = args.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe, streams = RECIPE[args.model], streams_of(args.work)
    model = build(args.model)
    opt = optimizer(model, recipe)
    checkpoint, step, seconds = args.work / f"{args.model}.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        step, seconds = state["step"], state["seconds"]

    def save():
        torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "seconds": seconds},
                   checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").replace(checkpoint)

    log = open(args.work / f"{args.model}.log", "a", buffering=1)
    mean, saved = None, time.time()
    while step < recipe["steps"]:
        begin = time.time()
        loss, stats = train_step(model, opt, recipe, streams, step)
        step += 1
        seconds += time.time() - begin
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss
        if step % 20 == 0:
            print(json.dumps({"step": step, "loss": round(mean, 4), "tokens": step * TOKENS_PER_STEP,
                              "seconds": round(seconds), "tok_per_s": round(TOKENS_PER_STEP / (time.time() - begin)),
                              **describe(stats)}), file=log)
        if step == 40 or time.time() - saved > 240:
            save()
            saved = time.time()
    save()


if __name__ == "__main__":
    main()
