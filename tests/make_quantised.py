#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/quantised: tiny random checkpoints in the layouts of the quantised releases,
and the logits that the float64 forward pass of make_variants.py gives for their dequantised weights.

GPTQ follows AutoGPTQ's storage rules: W [out, in] transposed, qweight I32 [in * bits / 32, out] with
the first column in the lowest bits, qzeros I32 [groups, out * bits / 32] holding zero - 1 (gptq_v2:
zero), scales F16 [groups, out], g_idx I32 [in]. FP8 follows the release of Hunyuan-Large: F8_E4M3
<linear>.weight, F32 scalars weight_scale and input_scale, F32 router. Needs numpy. Results are
committed; run it again only to add a variant. For measurements `--large DIR` writes one layer of
Yuan 2.0-M32's widths with two experts as BF16, int4 and int8, and `--model FROM TO BITS` a BF16
model's linears rounded to nearest in groups of 128 (GPTQ itself would choose better codes)."""
import json, os, shutil, sys
import numpy as np
import make_variants as mv

OUT = os.path.join(mv.HERE, "golden", "quantised")


# ---- GPTQ --------------------------------------------------------------------------------------

def quantise_groups(w, bits, group, symmetric):
    """q [out, in] 0 .. 2^bits - 1, zero and scale [out, groups]; rounding to nearest."""
    rows, cols = w.shape
    top, n = 2 ** bits - 1, -(-cols // group)
    q = np.zeros((rows, cols), np.int64)
    zero, scale = np.zeros((rows, n), np.int64), np.zeros((rows, n))
    for g in range(n):
        part = slice(g * group, min((g + 1) * group, cols))
        lo, hi = np.minimum(w[:, part].min(1), 0), np.maximum(w[:, part].max(1), 0)
        if symmetric:
            hi = np.maximum(-lo, hi)
            lo = -hi
        scale[:, g] = ((hi - lo) / top).astype(np.float16)
        zero[:, g] = 2 ** (bits - 1) if symmetric else np.clip(np.rint(-lo / scale[:, g]), 0, top)
        q[:, part] = np.clip(np.rint(w[:, part] / scale[:, g, None]) + zero[:, g, None], 0, top)
    return q, zero, scale


def pack(x, bits):
    """[n, m] small integers -> int32 [n * bits / 32, m], the first in the lowest bits."""
    per = 32 // bits
    parts = x.astype(np.uint64).reshape(-1, per, x.shape[1])
    shift = (np.arange(per, dtype=np.uint64) * np.uint64(bits))[None, :, None]
    return np.bitwise_or.reduce(parts << shift, 1).astype(np.uint32).view(np.int32)


def gptq_linear(c, w):
    """Parts as stored, and the weights that they stand for."""
    bits = c["bits"]
    group = w.shape[1] if c["group"] == -1 else c["group"]
    q, zero, scale = quantise_groups(w, bits, group, c["sym"])
    stored = zero if c.get("v2") else (zero - 1) % 2 ** bits
    g = np.arange(w.shape[1]) // group
    parts = {"qweight": (pack(q.T, bits), "I32"), "qzeros": (pack(stored, bits).T, "I32"),
             "scales": (scale.T, "F16"), "g_idx": (g, "I32")}
    return parts, (q - zero[:, g]) * scale[:, g]


def is_gptq_linear(name):
    return name.endswith((".w1.weight", ".w2.weight")) or "_proj." in name


def write_gptq(path, c, w):
    """Replaces the linears of w by what the file holds and returns the weights' section."""
    tensors = {}
    for name in list(w):
        if not is_gptq_linear(name):
            tensors[name] = (w[name], "F16")
            continue
        parts, w[name] = gptq_linear(c, w[name])
        for part, value in parts.items():
            tensors[name[:-len("weight")] + part] = value
    whole = os.path.join(path, c["file"])
    mv.write_safetensors(whole, tensors)
    with open(whole, "rb") as f:
        data = f.read()
    size = c["piece"]
    for i in range(-(-len(data) // size) if size else 0):
        with open(f"{whole}{i:02d}", "wb") as f:
            f.write(data[i * size:(i + 1) * size])
    if size:
        os.remove(whole)
    section = {"bits": c["bits"], "group_size": c["group"], "damp_percent": 0.01,
               "desc_act": False, "static_groups": False, "sym": c["sym"],
               "true_sequential": True, "model_file_base_name": "gptq_model"}
    if c.get("own_file"):
        with open(os.path.join(path, "quantize_config.json"), "w") as f:
            json.dump(section, f, indent=1)
        return None
    return dict(section, quant_method="gptq",
                checkpoint_format="gptq_v2" if c.get("v2") else "gptq")


# ---- FP8 ---------------------------------------------------------------------------------------

def e4m3_values():
    code = np.arange(127)
    e, m = code >> 3, code & 7
    return np.where(e == 0, m * 2.0 ** -9, (8 + m) * 2.0 ** (e - 10.0))


def fp8_linear(w):
    """Codes, scale and the weights that they stand for."""
    values = e4m3_values()
    scale = np.float32(np.abs(w).max() / 448)
    code = np.abs(np.abs(w)[..., None] / scale - values).argmin(-1)
    return code | (w < 0) << 7, scale, np.sign(w) * values[code] * np.float64(scale)


def is_fp8_linear(name):
    return "_proj.weight" in name


def write_fp8(path, c, w, rng):
    """The same for FP8. Fused tensors share a scale, so the weights are quantised fused."""
    tensors, plain = {}, {}
    for name, x in mv.fuse(c, w).items():
        if not is_fp8_linear(name):
            tensors[name] = (x, "F32" if ".gate.wg." in name else "BF16")
            plain[name] = x
            continue
        code, scale, plain[name] = fp8_linear(x)
        tensors[name] = (code, "F8_E4M3")
        tensors[name + "_scale"] = (scale, "F32")
        tensors[name[:-len("weight")] + "input_scale"] = (np.float32(rng.uniform(0.01, 1)), "F32")
    w.update(split(c, plain))
    names, n = sorted(tensors), c["shards"]
    index = {"metadata": {"total_size": sum(len(mv.tensor_bytes(*t)) for t in tensors.values())},
             "weight_map": {}}
    for s in range(n):
        file = f"model-{s + 1:05d}-of-{n:05d}.safetensors"
        part = {name: tensors[name] for name in names[s::n]}
        index["weight_map"].update({name: file for name in part})
        mv.write_safetensors(os.path.join(path, file), part)
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump(index, f, separators=(",", ":"))
    ignored = ["lm_head"] + [f"model.layers.{l}.mlp.gate.wg" for l in range(c["n_layer"])]
    return {"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ignored}


def split(c, w):
    """The matrices inside of fused tensors."""
    out, group = {}, c["n_head"] // c["n_kv"]
    for name, x in w.items():
        if ".qkv_proj." in name:
            part = x.reshape(c["n_kv"], group + 2, c["dim"], -1)
            for key, rows in (("q", part[:, :group]), ("k", part[:, group]), ("v", part[:, group + 1])):
                out[name.replace("qkv", key)] = rows.reshape(-1, x.shape[1])
        elif ".gate_and_up_proj." in name:
            up, gate = np.split(x, 2)
            out[name.replace("gate_and_up", "up")] = up
            out[name.replace("gate_and_up", "gate")] = gate
        else:
            out[name] = x
    return out


# ---- variants ----------------------------------------------------------------------------------

def gptq(bits, group, file, **over):
    c = mv.yuan("F16", d=64, f=32, n_layer=1, n_expert=4, bits=bits, group=group, sym=True, dim=16,
                file=file, piece=0)
    c.update(over)
    c["n_kv"], c["n_rot"] = c["n_head"], c["d"] // c["n_head"]
    return c


VARIANTS = {
    # Cut anywhere; the last group of w2 has 32 columns.
    "gptq-int4-g128": gptq(4, 128, "gptq_model-4bit-128g.safetensors", d=128, f=160, dim=32,
                           n_expert=3, piece=70001),
    "gptq-int8-g32": gptq(8, 32, "yuan2-m32-int8.safetensors", n_layer=2, piece=32768),
    "gptq-int4-asymmetric-g64": gptq(4, 64, "model.safetensors", sym=False, f=64,
                                     own_file=True),
    "gptq-int8-v2-rows": gptq(8, -1, "model.safetensors", v2=True),
    "fp8-fused-shards": mv.hunyuan(mv.LARGE, "BF16", cla=2, n_layer=3, alpha=1000.0, shards=3),
}


def make(name, c):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    for seed in range(1000):
        rng = np.random.default_rng([seed, *name.encode()])
        w = mv.make_weights(c, rng)
        for k in w:
            w[k] = mv.stored(w[k], "F32" if ".gate.wg." in k else c["dtype"])
        section = write_gptq(path, c, w) if "bits" in c else write_fp8(path, c, w, rng)
        ids = rng.integers(0, c["vocab"], c["n_tok"])
        logits, margin = mv.forward(c, w, ids)
        if margin > 1e-4:
            break
    else:
        sys.exit(f"{name}: no seed with a clear choice of experts")
    config = mv.config_json(c)
    if section:
        config["quantization_config"] = section
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    rows = sorted({0, 1, 2, c["n_tok"] // 2, 63, 64, *range(c["n_tok"] - 4, c["n_tok"])})
    mv.write_safetensors(os.path.join(path, "golden.safetensors"),
                         {"input_ids": (ids, "I32"), "rows": (rows, "I32"),
                          "logits": (logits[rows], "F32")})
    print(f"{name}: seed {seed}, margin {margin:.2g}, logits rms {np.sqrt((logits**2).mean()):.3g}")


def make_large(out):
    for name, over in (("bf16", {}), ("int4", {"bits": 4}), ("int8", {"bits": 8})):
        path = os.path.join(out, name)
        os.makedirs(path, exist_ok=True)
        c = gptq(4, 128, "model.safetensors", d=2048, f=8192, n_head=16, dim=256,
                 n_expert=2, vocab=1024)
        c.update(over)
        w = mv.make_weights(c, np.random.default_rng(1))
        config = mv.config_json(c)
        if over:
            config["quantization_config"] = write_gptq(path, c, w)
        else:
            mv.write_checkpoint(path, dict(c, dtype="BF16"), w)
        with open(os.path.join(path, "config.json"), "w") as f:
            json.dump(config, f)


def read_safetensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        header, data = json.loads(f.read(n)), f.read()
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        half = np.frombuffer(data[a:b], np.uint16 if t["dtype"] == "BF16" else np.float32)
        wide = (half.astype(np.uint32) << 16).view(np.float32) if t["dtype"] == "BF16" else half
        out[name] = wide.reshape(t["shape"]).astype(np.float64)
    return out


def quantise_model(source, out, bits):
    c = {"bits": bits, "group": 128, "sym": True, "file": "model.safetensors", "piece": 0}
    os.makedirs(out, exist_ok=True)
    for name in os.listdir(source):
        if name not in ("model.safetensors", "config.json"):
            shutil.copy(os.path.join(source, name), out)
    with open(os.path.join(source, "config.json")) as f:
        config = json.load(f)
    w = read_safetensors(os.path.join(source, "model.safetensors"))
    config["quantization_config"] = write_gptq(out, c, w)
    with open(os.path.join(out, "config.json"), "w") as f:
        json.dump(config, f)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--model"]:
        sys.exit(quantise_model(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    if sys.argv[1:2] == ["--large"]:
        sys.exit(make_large(sys.argv[2]))
    for variant, settings in VARIANTS.items():
        if len(sys.argv) < 2 or variant in sys.argv[1:]:
            make(variant, settings)
