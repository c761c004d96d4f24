#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write a checkpoint of train.py in the families' released layouts.

  export.py --model hunyuan --work WORK    -> demo-hunyuan/  FP8 release layout
  export.py --model yuan --work WORK       -> demo-yuan/     BF16
"""
import argparse
import json
import pathlib
import shutil
import struct

import numpy as np
import torch

import fp8
from bpe import SPECIALS
from train import CONFIG, CONTEXT, batch, build, streams_of

HERE = pathlib.Path(__file__).resolve().parent
SIZES = {"F8_E4M3": np.uint8, "BF16": np.uint16, "F32": np.float32}


def bf16_bits(x):
    """fp32 -> bfloat16 bit patterns, round to nearest even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    """tensors: name -> (dtype name, array of that dtype's storage type)."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (kind, data) in tensors.items():
        assert data.dtype == SIZES[kind], name
        header[name] = {"dtype": kind, "shape": list(data.shape), "data_offsets": [offset, offset + data.nbytes]}
        offset += data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_suffix(".part")        # readers never see half a file
    with open(part, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            out.write(np.ascontiguousarray(data).tobytes())
    part.replace(path)


def read_safetensors(path):
    """name -> fp32 array, E4M3 and BF16 widened (scales are separate tensors, not applied)."""
    raw = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + o for o in t["data_offsets"])
        data = np.frombuffer(raw[begin:end], SIZES[t["dtype"]]).reshape(t["shape"])
        if t["dtype"] == "BF16":
            data = (data.astype(np.uint32) << 16).view(np.float32)
        elif t["dtype"] == "F8_E4M3":
            data = fp8.decode(data)
        out[name] = data
    return out


def parameter_names(name, config):
    """Release tensor name -> (parameter name, index into it or None, shape change or None)."""
    swap = lambda a: a.T                                     # experts are stacked as [in, out]
    table = {"model.embed_tokens.weight": ("embed", None, None)}
    for l in range(config["num_hidden_layers"]):
        p, r = f"layers.{l}.", f"model.layers.{l}."
        table[r + "input_layernorm.weight"] = (p + "norm1", None, None)
        table[r + "post_attention_layernorm.weight"] = (p + "norm2", None, None)
        owner = name == "yuan" or l % config["cla_share_factor"] == 0
        for x in ("q", "k", "v", "o") if owner else ("q", "o"):
            table[r + f"self_attn.{x}_proj.weight"] = (p + x, None, None)
        if name == "hunyuan":
            table[r + "self_attn.query_layernorm.weight"] = (p + "q_norm", None, None)
            table[r + "self_attn.key_layernorm.weight"] = (p + "k_norm", None, None)
            table[r + "mlp.gate.wg.weight"] = (p + "wg", None, None)
            for x in ("gate", "up", "down"):
                table[r + f"mlp.shared_mlp.{x}_proj.weight"] = (p + x, None, None)
            width = config["intermediate_size"]
            for e in range(config["num_experts"]):
                x = r + f"mlp.experts.{e}."
                table[x + "gate_proj.weight"] = (p + "experts.w1", (e, slice(None), slice(0, width)), swap)
                table[x + "up_proj.weight"] = (p + "experts.w1", (e, slice(None), slice(width, None)), swap)
                table[x + "down_proj.weight"] = (p + "experts.w2", (e,), swap)
        else:
            for i in (1, 2):
                table[r + f"self_attn.lf_gate.conv{i}.weight"] = (p + f"conv{i}", None, lambda a: a[..., None])
                table[r + f"self_attn.lf_gate.conv{i}.bias"] = (p + f"bias{i}", None, None)
            table[r + "self_attn.lf_gate.output_layernorm.weight"] = (p + "lf_norm", None, None)
            for i, x in enumerate(("query", "key", "value")):
                table[r + f"mlp.gate.{x}.weight"] = (p + f"router.{i}", None, None)
            for e in range(config["moe_config"]["moe_num_experts"]):
                table[r + f"mlp.experts.{e}.w1.weight"] = (p + "experts.w1", (e,), swap)
                table[r + f"mlp.experts.{e}.w2.weight"] = (p + "experts.w2", (e,), swap)
    table["model.norm.weight"] = ("norm", None, None)
    return table


def input_maxima(model, work):
    """Largest absolute input of every linear, over a few training windows."""
    ids, _ = batch(streams_of(work), 0, CONTEXT)
    maxima = {}
    note = lambda key, x: maxima.__setitem__(key, max(maxima.get(key, 0.0), x.abs().max().item()))
    names = {id(p): n for n, p in model.named_parameters()}
    plain = model.linear

    def linear(x, weight):
        note(names[id(weight)], x)
        return plain(x, weight)

    def experts(module, inputs):
        name = next(n for n, m in model.named_modules() if m is module)
        b, choice = inputs[0].float(), inputs[1][:, 0]
        for e in range(module.count):
            x = b[choice == e]
            if len(x):
                gate, up = (x @ module.w1[e]).chunk(2, -1)
                note(f"{name}.w1.{e}", x)
                note(f"{name}.w2.{e}", torch.nn.functional.silu(gate) * up)

    hooks = [layer.experts.register_forward_pre_hook(experts) for layer in model.layers]
    model.linear = linear
    with torch.no_grad():
        model(ids)
    model.linear = plain
    for hook in hooks:
        hook.remove()
    return maxima


def tensors_of(name, model, work):
    state = {n: p.detach().numpy() for n, p in model.named_parameters()}
    maxima = input_maxima(model, work) if name == "hunyuan" else {}
    out = {}
    for target, (source, index, change) in parameter_names(name, CONFIG[name]).items():
        value = state[source] if index is None else state[source][index]
        value = change(value) if change else value
        if target.endswith("wg.weight"):
            out[target] = ("F32", np.ascontiguousarray(value))
        elif name == "hunyuan" and target.endswith("_proj.weight"):
            scale = np.float32(np.abs(value).max() / fp8.MAX)
            out[target] = ("F8_E4M3", fp8.encode(np.clip(value / scale, -fp8.MAX, fp8.MAX)))
            out[target + "_scale"] = ("F32", np.array(scale, np.float32))
            key = source if index is None else f"{source}.{index[0]}"
            largest = maxima.get(key) or fp8.MAX      # an expert no sample token reaches: scale 1
            out[target.replace(".weight", ".input_scale")] = ("F32", np.array(largest / fp8.MAX, np.float32))
        else:
            out[target] = ("BF16", bf16_bits(value))
    return out


def config_of(name):
    config = dict(CONFIG[name])
    if name == "hunyuan":
        gates = [f"model.layers.{l}.mlp.gate.wg" for l in range(config["num_hidden_layers"])]
        config["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "static",
                                         "ignored_layers": ["lm_head"] + gates}
    return config


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", choices=CONFIG, required=True)
    args.add_argument("--work", type=pathlib.Path, required=True)
    args = args.parse_args()
    torch.set_num_threads(1)
    model = build(args.model, torch.float32)
    state = torch.load(args.work / f"{args.model}.pt")
    model.load_state_dict(state["model"])
    folder = HERE / f"demo-{args.model}"
    folder.mkdir(exist_ok=True)
    write_safetensors(folder / "model.safetensors", tensors_of(args.model, model, args.work))
    config = config_of(args.model)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generation = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05,
                  "eos_token_id": [SPECIALS["<|eos|>"], SPECIALS["<|endoftext|>"]],
                  "pad_token_id": config["pad_token_id"], "bos_token_id": config["bos_token_id"]}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    shutil.copy(args.work / "hy.tiktoken", folder)
    print("step", state["step"], "size", (folder / "model.safetensors").stat().st_size)


if __name__ == "__main__":
    main()
