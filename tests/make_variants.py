#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/variants: tiny random checkpoints of the variants for which no published
reference run exists, and the logits that a plain float64 forward pass gives for them. The pass below
follows the models' description (docs, tests/golden/README.md) and shares nothing with the engine:
whole sequences at once, no cache, no chunks. Needs numpy. Results are committed; run it again only
to add a variant."""
import json, os, struct, sys
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "golden", "variants")


# ---- number formats ----------------------------------------------------------------------------

def bf16_bits(x):
    u = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def bf16(x):
    return (bf16_bits(x).astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def stored(x, dtype):
    """Value as the file holds it."""
    if dtype == "BF16":
        return bf16(x)
    return np.asarray(x, np.float16 if dtype == "F16" else np.float32).astype(np.float64)


def tensor_bytes(x, dtype):
    if dtype == "BF16":
        return bf16_bits(x).tobytes()
    kind = {"F16": np.float16, "F32": np.float32, "I32": np.int32,
            "F8_E4M3": np.uint8}[dtype]  # codes
    return np.ascontiguousarray(x, kind).tobytes()


def write_safetensors(path, tensors):
    """tensors: {name: (array, dtype)}"""
    header, blob = {}, b""
    for name, (x, dtype) in tensors.items():
        data = tensor_bytes(x, dtype)
        header[name] = {"dtype": dtype, "shape": list(np.shape(x)),
                        "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


# ---- the forward pass --------------------------------------------------------------------------

def rms(x, w, eps):
    return w * x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rope_tables(c, n_tok):
    rot = c["n_rot"]
    base = c["theta"] * c.get("alpha", 0) ** (rot / (rot - 2)) if c.get("alpha") else c["theta"]
    freq = (base ** (-np.arange(0, rot, 2) / rot)).astype(np.float32).astype(np.float64)
    pos = np.arange(n_tok) / c.get("linear", 1)
    if c["table"] != "fp32":
        freq = bf16(freq)
    if c["table"] == "authors":
        angle = bf16(bf16(pos)[:, None] * freq)
        return bf16(np.cos(angle)), bf16(np.sin(angle))
    angle = (pos[:, None] * freq).astype(np.float32).astype(np.float64)
    return np.cos(angle), np.sin(angle)


def rotate(x, cos, sin):
    """x [T, heads, D]; the first 2 * cos.shape[1] channels, pairs (i, i + half)."""
    half = cos.shape[1]
    a, b = x[..., :half], x[..., half:2 * half]
    cos, sin = cos[:, None], sin[:, None]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, x[..., 2 * half:]], -1)


def attention(q, k, v):
    """Causal; q [T, H, D], k and v [T, G, D]."""
    n_tok, n_head, dim = q.shape
    group = n_head // k.shape[1]
    mask = np.triu(np.full((n_tok, n_tok), -np.inf), 1)
    out = np.empty_like(q)
    for h in range(n_head):
        s = q[:, h] @ k[:, h // group].T / np.sqrt(dim) + mask
        out[:, h] = softmax(s) @ v[:, h // group]
    return out.reshape(n_tok, -1)


def linear(w, name, x):
    y = x @ w[name + ".weight"].T
    return y + w[name + ".bias"] if name + ".bias" in w else y


def mlp(w, name, x):
    return linear(w, name + ".down_proj",
                  silu(linear(w, name + ".gate_proj", x)) * linear(w, name + ".up_proj", x))


def choose(scores, k, margins):
    order = np.argsort(-scores, kind="stable")
    margins.append(scores[order[k - 1]] - scores[order[k]] if k < len(scores) else 1)
    return order[:k]


def moe_hunyuan(c, w, at, b, margins):
    y = mlp(w, at + ".shared_mlp", b) if c["n_shared"] else np.zeros_like(b)
    s = b @ w[at + ".gate.wg.weight"].T
    p = softmax(s)
    for t in range(len(b)):
        top = choose(s[t], c["top_k"], margins)
        scale = 1 if c["top_k"] == 1 else max(p[t, top].sum(), 1.1920929e-7)
        for e in top:
            y[t] += p[t, e] / scale * mlp(w, f"{at}.experts.{e}", b[t:t + 1])[0]
    return y


def moe_yuan(c, w, at, b, margins):
    q, k, v = (b @ w[f"{at}.gate.{n}.weight"].T for n in ("query", "key", "value"))
    y = np.zeros_like(b)
    for t in range(len(b)):
        s = softmax(np.outer(q[t], k[t])) @ v[t]
        top = choose(s, c["top_k"], margins)
        p = softmax(s[top])
        for e, weight in zip(top, p):
            g, u = np.split(w[f"{at}.experts.{e}.w1.weight"] @ b[t], 2)
            y[t] += weight * (w[f"{at}.experts.{e}.w2.weight"] @ (silu(g) * u))
    return y


def heads(x, dim):
    return x.reshape(len(x), -1, dim)


def attend_hunyuan(c, w, at, a, tables, kept):
    q = heads(linear(w, at + ".q_proj", a), c["dim"])
    if at + ".k_proj.weight" in w:
        kept[:] = [heads(linear(w, at + f".{n}_proj", a), c["dim"]) for n in "kv"]
    q, k = rotate(q, *tables), rotate(kept[0], *tables)
    if c["qk_norm"]:
        q = rms(q, w[at + ".query_layernorm.weight"], c["eps"])
        k = rms(k, w[at + ".key_layernorm.weight"], c["eps"])
    return linear(w, at + ".o_proj", attention(q, k, kept[1]))


def shifted(x):
    return np.concatenate([np.zeros_like(x[:1]), x[:-1]])


def attend_yuan(c, w, at, a, tables, kept):
    g = at + ".lf_gate."
    c1, c2 = w[g + "conv1.weight"][..., 0], w[g + "conv2.weight"][..., 0]
    o1 = shifted(a) @ c1[..., 0].T + a @ c1[..., 1].T + w[g + "conv1.bias"]
    o2 = shifted(o1) @ c2[..., 0].T + o1 @ c2[..., 1].T + w[g + "conv2.bias"]
    f = rms(o2 + a, w[g + "output_layernorm.weight"], 1e-6)
    qk = np.concatenate([linear(w, at + ".q_proj", f), linear(w, at + ".k_proj", f)], 1)
    qk = qk.reshape(len(a), c["n_head"], 2, c["dim"])
    q, k = rotate(qk[:, :, 0], *tables), rotate(qk[:, :, 1], *tables)
    return linear(w, at + ".o_proj", attention(q, k, heads(linear(w, at + ".v_proj", a), c["dim"])))


def forward(c, w, ids):
    """Logits [T, vocab] and the smallest routing margin."""
    yuan = c["family"] == "yuan"
    tables, margins, kept = rope_tables(c, len(ids)), [], []
    x = w["model.embed_tokens.weight"][ids].copy()
    for l in range(c["n_layer"]):
        at = f"model.layers.{l}"
        a = rms(x, w[at + ".input_layernorm.weight"], c["eps"])
        x = x + (attend_yuan if yuan else attend_hunyuan)(c, w, at + ".self_attn", a, tables, kept)
        b = rms(x, w[at + ".post_attention_layernorm.weight"], c["eps"])
        x = x + (moe_yuan if yuan else moe_hunyuan)(c, w, at + ".mlp", b, margins)
    x = rms(x, w["model.norm.weight"], c["eps"])
    head = w["model.embed_tokens.weight" if c["tied"] else "lm_head.weight"]
    return x @ head.T, min(margins)


# ---- random weights ----------------------------------------------------------------------------

def make_weights(c, rng):
    d, f, dim = c["d"], c["f"], c["dim"]
    d_attn, d_kv, half = c["n_head"] * dim, c["n_kv"] * dim, d // 2
    w = {}

    def matrix(name, rows, cols, bias=False, gain=1.0):
        w[name + ".weight"] = rng.normal(size=(rows, cols)) * gain / np.sqrt(cols)
        if bias:
            w[name + ".bias"] = rng.normal(size=rows) * 0.2

    def norm(name, n):
        w[name + ".weight"] = 1 + 0.2 * rng.normal(size=n)

    w["model.embed_tokens.weight"] = rng.normal(size=(c["vocab"], d))
    norm("model.norm", d)
    if not c["tied"]:
        matrix("lm_head", c["vocab"], d)
    for l in range(c["n_layer"]):
        at = f"model.layers.{l}."
        norm(at + "input_layernorm", d)
        norm(at + "post_attention_layernorm", d)
        attn, moe, ab = at + "self_attn.", at + "mlp.", c.get("attention_bias", False)
        matrix(attn + "q_proj", d_attn, d, ab, 1.5)
        if l % c["cla"] == 0:
            matrix(attn + "k_proj", d_kv, d, ab, 1.5)
            matrix(attn + "v_proj", d_kv, d, ab)
        matrix(attn + "o_proj", d, d_attn, ab)
        if c["qk_norm"]:
            norm(attn + "query_layernorm", dim)
            norm(attn + "key_layernorm", dim)
        if c["family"] == "yuan":
            for name, rows, cols in (("conv1", half, d), ("conv2", d, half)):
                w[attn + f"lf_gate.{name}.weight"] = \
                    rng.normal(size=(rows, cols, 2, 1)) / np.sqrt(2 * cols)
                w[attn + f"lf_gate.{name}.bias"] = rng.normal(size=rows) * 0.2
            norm(attn + "lf_gate.output_layernorm", d)
            for name in ("query", "key", "value"):
                matrix(moe + "gate." + name, c["n_expert"], d, gain=1.5)
            for e in range(c["n_expert"]):
                matrix(moe + f"experts.{e}.w1", 2 * f, d, gain=1.5)
                matrix(moe + f"experts.{e}.w2", d, f)
            continue
        matrix(moe + "gate.wg", c["n_expert"], d, gain=2)
        for name, width in [("shared_mlp", f * c["n_shared"])] * bool(c["n_shared"]) + \
                [(f"experts.{e}", f) for e in range(c["n_expert"])]:
            mb = c.get("mlp_bias", False)
            matrix(moe + name + ".gate_proj", width, d, mb, 1.5)
            matrix(moe + name + ".up_proj", width, d, mb, 1.5)
            matrix(moe + name + ".down_proj", d, width, mb)
    return w


def fuse(c, w):
    """The exports' fused tensors: qkv by KV head, up in front of gate."""
    out, dim = dict(w), c["dim"]
    for l in range(c["n_layer"]):
        at = f"model.layers.{l}."
        if at + "self_attn.k_proj.weight" in w:
            for tail in (".weight", ".bias"):
                part = [out.pop(at + f"self_attn.{n}_proj" + tail, None) for n in "qkv"]
                if part[0] is None:
                    continue
                rest = part[0].shape[1:]
                part = [p.reshape(c["n_kv"], -1, *rest) for p in part]
                out[at + "self_attn.qkv_proj" + tail] = \
                    np.concatenate(part, 1).reshape(-1, *rest)
        for name in [n[:-len("up_proj.weight")] for n in w
                     if n.startswith(at + "mlp") and n.endswith("up_proj.weight")]:
            gate, up = out.pop(name + "gate_proj.weight"), out.pop(name + "up_proj.weight")
            out[name + "gate_and_up_proj.weight"] = np.concatenate([up, gate])
    return out


# ---- variants ----------------------------------------------------------------------------------

def hunyuan(arch, dtype, **over):
    c = dict(family="hunyuan", arch=arch, dtype=dtype, d=32, f=16, n_layer=2, n_head=4, n_kv=2,
             dim=8, vocab=48, n_expert=4, top_k=1, n_shared=1, cla=1, qk_norm=True, tied=True,
             eps=1e-5, theta=10000.0, table="fp32", n_tok=70)
    c.update(over)
    c["n_rot"] = c["dim"]
    return c


def yuan(dtype, **over):
    c = dict(family="yuan", arch="YuanForCausalLM", dtype=dtype, d=32, f=12, n_layer=2, n_head=4,
             dim=16, vocab=48, n_expert=6, top_k=2, cla=1, qk_norm=False, tied=True, eps=1e-6,
             theta=10000.0, table="fp32", n_tok=70)
    c.update(over)
    c["n_kv"], c["n_rot"] = c["n_head"], c["d"] // c["n_head"]
    return c


LARGE, A13B = "HunYuanForCausalLM", "HunYuanMoEV1ForCausalLM"
VARIANTS = {
    "cla3-top2-shared2": hunyuan(LARGE, "BF16", n_layer=5, cla=3, top_k=2, n_shared=2, alpha=1000.0),
    "biases-plain-rope": hunyuan(LARGE, "BF16", d=48, dim=12, attention_bias=True, mlp_bias=True,
                                 qk_norm=False, n_shared=0, top_k=2, tied=False, table="bf16freq"),
    "a13b-mha-head16": hunyuan(A13B, "F16", dim=16, n_kv=4, top_k=3, n_expert=6, f=20),
    "linear-rope": hunyuan(A13B, "F32", linear=4.0, qk_norm=False, d=36, dim=10, f=9),
    "bf16-shards-untied": hunyuan(LARGE, "BF16", cla=2, n_layer=3, tied=False, alpha=100000.0,
                                  shards=3),
    "fused-biases": hunyuan(LARGE, "BF16", cla=2, n_layer=3, top_k=2, alpha=1000.0, fused=True,
                            attention_bias=True),
    "head80": hunyuan(A13B, "BF16", dim=80, n_head=2, n_kv=1, alpha=1000.0, n_tok=140),
    "head96-theta": hunyuan(A13B, "BF16", dim=96, n_head=3, n_kv=1, theta=500000.0, qk_norm=False),
    "yuan-bf16freq-base": yuan("BF16", theta=40890.0, table="bf16freq", tied=True),
    "yuan-authors-full-rotary": yuan("BF16", dim=8, table="authors", tied=False, n_tok=300),
    "yuan-quarter-rotary-top3": yuan("F16", dim=32, top_k=3, n_expert=7, f=10),
    "yuan-top1": yuan("BF16", top_k=1, n_layer=1, extra_head=True),
}


def config_json(c):
    j = {"architectures": [c["arch"]], "hidden_size": c["d"], "num_hidden_layers": c["n_layer"],
         "num_attention_heads": c["n_head"], "vocab_size": c["vocab"], "hidden_act": "silu",
         "max_position_embeddings": 512, "rms_norm_eps": c["eps"],
         "tie_word_embeddings": c["tied"]}
    if c["family"] == "yuan":
        j.update(attention_projection_size=c["n_head"] * c["dim"], intermediate_size=c["f"],
                 use_moe=True, model_max_length=512, rope_table_variant=c["table"],
                 moe_config={"moe_num_experts": c["n_expert"], "moe_top_k": c["top_k"],
                             "norm_topk_prob": True, "gated_linear_unit": True,
                             "ffn_hidden_size": c["f"]})
        if c["theta"] != 10000:
            j["rotary_base"] = c["theta"]
        return j
    j.update(num_key_value_heads=c["n_kv"], intermediate_size=c["f"], num_experts=c["n_expert"],
             moe_topk=c["top_k"], use_mixed_mlp_moe=bool(c["n_shared"]),
             num_shared_expert=max(c["n_shared"], 1), use_qk_norm=c["qk_norm"],
             use_cla=c["cla"] > 1, cla_share_factor=max(c["cla"], 2), rope_theta=c["theta"],
             attention_bias=c.get("attention_bias", False), mlp_bias=c.get("mlp_bias", False))
    if c["arch"] == A13B:
        j["head_dim"] = c["dim"]
        j["moe_intermediate_size"] = [c["f"]] * c["n_layer"]
    j["rope_scaling"] = None
    if c.get("alpha"):
        j["rope_scaling"] = {"type": "dynamic", "alpha": c["alpha"], "factor": 1.0}
    if c.get("linear"):
        j["rope_scaling"] = {"type": "linear", "factor": c["linear"]}
    return j


def write_checkpoint(path, c, tensors):
    if c.get("extra_head"):  # a file may hold the head that a tied config does not use
        tensors = dict(tensors, **{"lm_head.weight": tensors["model.embed_tokens.weight"]})
    tensors = {name: (x, c["dtype"]) for name, x in tensors.items()}
    n = c.get("shards", 1)
    if n == 1:
        write_safetensors(os.path.join(path, "model.safetensors"), tensors)
        return
    index = {"metadata": {"total_size": sum(2 * x.size for x, _ in tensors.values())},
             "weight_map": {}}
    names = sorted(tensors)
    for s in range(n):
        file = f"model-{s + 1:05d}-of-{n:05d}.safetensors"
        part = {name: tensors[name] for name in names[s::n]}
        index["weight_map"].update({name: file for name in part})
        write_safetensors(os.path.join(path, file), part)
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as f:
        json.dump(index, f, separators=(",", ":"))


def make(name, c):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    for seed in range(1000):
        rng = np.random.default_rng([seed, *name.encode()])
        w = {k: stored(x, c["dtype"]) for k, x in make_weights(c, rng).items()}
        ids = rng.integers(0, c["vocab"], c["n_tok"])
        logits, margin = forward(c, w, ids)
        if margin > 1e-4:  # far above the rounding of fp32
            break
    else:
        sys.exit(f"{name}: no seed with a clear choice of experts")
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config_json(c), f, indent=1)
        f.write("\n")
    write_checkpoint(path, c, fuse(c, w) if c.get("fused") else w)
    rows = sorted({0, 1, 2, c["n_tok"] // 2, 63, 64, *range(c["n_tok"] - 4, c["n_tok"])})
    write_safetensors(os.path.join(path, "golden.safetensors"),
                      {"input_ids": (ids, "I32"), "rows": (rows, "I32"),
                       "logits": (logits[rows], "F32")})
    print(f"{name}: seed {seed}, margin {margin:.2g}, logits rms {np.sqrt((logits**2).mean()):.3g}")


if __name__ == "__main__":
    for variant, settings in VARIANTS.items():
        make(variant, settings)
