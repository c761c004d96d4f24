#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/families: tiny random checkpoints of Llama and its neighbours, and what a
plain float64 forward pass in torch gives for them: the residual stream behind every layer, the
experts that were chosen and their weights, all logits. Whole sequences at once, no cache, no chunks;
nothing is shared with the engine. Needs torch and numpy. Results are committed; run it again only to
add a model. With --check it writes nothing and compares what is there with the models' classes of
Hugging Face transformers, as far as the installed version has them."""
import json, math, os, sys
import numpy as np
import torch
from make_variants import stored, write_checkpoint, write_safetensors

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "golden", "families")
MARGIN = 1e-3  # of router logits between the last chosen and the first other expert


# ---- the forward pass --------------------------------------------------------------------------

def rms(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def inv_freq(cfg, dim):
    freq = cfg["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    s = cfg.get("rope_scaling") or {}
    if s.get("rope_type") != "llama3":
        return freq / s.get("factor", 1.0)
    out = []
    for f in freq.tolist():
        length = 2 * math.pi / f
        if length < s["original_max_position_embeddings"] / s["high_freq_factor"]:
            out.append(f)
        elif length > s["original_max_position_embeddings"] / s["low_freq_factor"]:
            out.append(f / s["factor"])
        else:
            smooth = (s["original_max_position_embeddings"] / length - s["low_freq_factor"]) / \
                (s["high_freq_factor"] - s["low_freq_factor"])
            out.append((1 - smooth) * f / s["factor"] + smooth * f)
    return torch.tensor(out, dtype=torch.float64)


def rope(x, freq):
    """x [heads, T, dim]: channel i turns with channel i + dim / 2."""
    angle = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), freq)
    z = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], -1)


def linear(w, name, x):
    return torch.nn.functional.linear(x, w[name + ".weight"], w.get(name + ".bias"))


def norm_qk(cfg, w, at, q, k):
    return (rms(q, w[at + ".q_norm.weight"], cfg["rms_norm_eps"]),
            rms(k, w[at + ".k_norm.weight"], cfg["rms_norm_eps"]))


def attention(cfg, w, at, x):
    dim, n_head, n_kv = cfg["head_dim"], cfg["num_attention_heads"], cfg["num_key_value_heads"]
    q, k, v = (linear(w, f"{at}.{n}_proj", x) for n in "qkv")
    if cfg["model_type"] == "olmoe":  # over all heads at once
        q, k = norm_qk(cfg, w, at, q, k)
    q, k, v = (y.view(len(x), -1, dim).transpose(0, 1) for y in (q, k, v))
    if cfg["model_type"].startswith("qwen3"):
        q, k = norm_qk(cfg, w, at, q, k)
    freq = inv_freq(cfg, dim)
    q, k = rope(q, freq), rope(k, freq).repeat_interleave(n_head // n_kv, 0)
    score = q @ k.transpose(1, 2) / math.sqrt(dim)
    future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    p = score.masked_fill(future, -math.inf).softmax(-1)
    out = p @ v.repeat_interleave(n_head // n_kv, 0)
    return linear(w, at + ".o_proj", out.transpose(0, 1).reshape(len(x), -1))


def swiglu(w, x, gate, up, down):
    return linear(w, down, torch.nn.functional.silu(linear(w, gate, x)) * linear(w, up, x))


def experts(w, x, router, mlp, top_k, renorm):
    """Output, chosen experts best first, their weights, the smallest margin."""
    score = linear(w, router, x)
    ranked = score.sort(-1, descending=True).values
    p, index = score.softmax(-1).topk(top_k, -1)
    if renorm:
        p = p / p.sum(-1, keepdim=True)
    y = torch.zeros_like(x)
    for t in range(len(x)):
        for weight, e in zip(p[t], index[t].tolist()):
            y[t] += weight * mlp(e, x[t])
    return y, index, p, (ranked[:, :top_k] - ranked[:, 1:top_k + 1]).min().item()


def feed_forward(cfg, w, at, x):
    if "num_experts_per_tok" not in cfg:
        names = [f"{at}.mlp.{n}_proj" for n in ("gate", "up", "down")]
        return swiglu(w, x, *names), None, None, math.inf
    if cfg["model_type"] == "mixtral":
        moe, names, renorm = at + ".block_sparse_moe", ("w1", "w3", "w2"), True
    else:
        moe, names = at + ".mlp", ("gate_proj", "up_proj", "down_proj")
        renorm = cfg["norm_topk_prob"]
    return experts(w, x, moe + ".gate",
                   lambda e, v: swiglu(w, v, *(f"{moe}.experts.{e}.{n}" for n in names)),
                   cfg["num_experts_per_tok"], renorm)


def forward(cfg, w, ids):
    """Tensors of golden.safetensors and the smallest routing margin."""
    eps, margin = cfg["rms_norm_eps"], math.inf
    x = w["model.embed_tokens.weight"][ids]
    out = {"hidden.0": x}
    for l in range(cfg["num_hidden_layers"]):
        at = f"model.layers.{l}"
        x = x + attention(cfg, w, at + ".self_attn", rms(x, w[at + ".input_layernorm.weight"], eps))
        y, index, p, m = feed_forward(
            cfg, w, at, rms(x, w[at + ".post_attention_layernorm.weight"], eps))
        x = x + y
        margin = min(margin, m)
        out[f"hidden.{l + 1}"] = x
        if index is not None:
            out[f"layers.{l}.topk_index"], out[f"layers.{l}.topk_weight"] = index, p
    head = "model.embed_tokens" if cfg["tie_word_embeddings"] else "lm_head"
    out["logits"] = linear({"h.weight": w[head + ".weight"]}, "h",
                           rms(x, w["model.norm.weight"], eps))
    return out, margin


# ---- random weights ----------------------------------------------------------------------------

def make_weights(cfg, rng):
    d, dim = cfg["hidden_size"], cfg["head_dim"]
    d_attn, d_kv = cfg["num_attention_heads"] * dim, cfg["num_key_value_heads"] * dim
    w = {}

    def matrix(name, rows, cols, bias=False, gain=1.0):
        w[name + ".weight"] = rng.normal(size=(rows, cols)) * gain / math.sqrt(cols)
        if bias:
            w[name + ".bias"] = rng.normal(size=rows) * 0.2

    def norm(name, n):
        w[name + ".weight"] = 1 + 0.3 * rng.normal(size=n)

    def mlp(names, width, bias=False):
        matrix(names[0], width, d, bias, 1.5)
        matrix(names[1], width, d, bias, 1.5)
        matrix(names[2], d, width, bias)

    w["model.embed_tokens.weight"] = rng.normal(size=(cfg["vocab_size"], d))
    norm("model.norm", d)
    if not cfg["tie_word_embeddings"]:
        matrix("lm_head", cfg["vocab_size"], d)
    for l in range(cfg["num_hidden_layers"]):
        at = f"model.layers.{l}."
        attn, bias = at + "self_attn.", cfg.get("attention_bias", cfg["model_type"] == "qwen2")
        norm(at + "input_layernorm", d)
        norm(at + "post_attention_layernorm", d)
        for name, rows, cols, gain in (("q_proj", d_attn, d, 1.5), ("k_proj", d_kv, d, 1.5),
                                       ("v_proj", d_kv, d, 1), ("o_proj", d, d_attn, 1)):
            matrix(attn + name, rows, cols,
                   bias and (name != "o_proj" or cfg["model_type"] != "qwen2"), gain)
        if cfg["model_type"] == "olmoe" or cfg["model_type"].startswith("qwen3"):
            norm(attn + "q_norm", d_attn if cfg["model_type"] == "olmoe" else dim)
            norm(attn + "k_norm", d_kv if cfg["model_type"] == "olmoe" else dim)
        if "num_experts_per_tok" not in cfg:
            mlp([f"{at}mlp.{n}_proj" for n in ("gate", "up", "down")], cfg["intermediate_size"],
                cfg.get("mlp_bias", False))
        elif cfg["model_type"] == "mixtral":
            matrix(at + "block_sparse_moe.gate", cfg["num_local_experts"], d, gain=2)
            for e in range(cfg["num_local_experts"]):
                mlp([f"{at}block_sparse_moe.experts.{e}.{n}" for n in ("w1", "w3", "w2")],
                    cfg["intermediate_size"])
        else:
            matrix(at + "mlp.gate", cfg["num_experts"], d, gain=2)
            for e in range(cfg["num_experts"]):
                mlp([f"{at}mlp.experts.{e}.{n}_proj" for n in ("gate", "up", "down")],
                    cfg.get("moe_intermediate_size", cfg["intermediate_size"]))
    return w


# ---- models ------------------------------------------------------------------------------------

def config(class_name, model_type, **over):
    cfg = {"architectures": [class_name], "model_type": model_type, "hidden_size": 32,
           "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
           "head_dim": 16, "vocab_size": 64, "hidden_act": "silu", "max_position_embeddings": 512,
           "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
           "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
           "torch_dtype": "bfloat16"}
    cfg.update(over)
    return cfg


def mixtral(**over):
    return config("MixtralForCausalLM", "mixtral", rope_theta=1e6, intermediate_size=32,
                  num_local_experts=8, num_experts_per_tok=2, sliding_window=None,
                  router_aux_loss_coef=0.02, output_router_logits=False, **over)


def qwen3(**over):
    cfg = dict(rms_norm_eps=1e-6, rope_theta=1e6, intermediate_size=96, moe_intermediate_size=16,
               num_experts=16, num_experts_per_tok=4, norm_topk_prob=True, decoder_sparse_step=1,
               mlp_only_layers=[], attention_bias=False, use_sliding_window=False,
               sliding_window=None)
    cfg.update(over)
    return config("Qwen3MoeForCausalLM", "qwen3_moe", **cfg)


def llama(**over):
    cfg = dict(intermediate_size=96, head_dim=8, attention_bias=False, mlp_bias=False)
    cfg.update(over)
    return config("LlamaForCausalLM", "llama", **cfg)


def dense(class_name, model_type, **over):
    cfg = dict(intermediate_size=96, sliding_window=None)
    cfg.update(over)
    return config(class_name, model_type, **cfg)


def olmoe(**over):
    return config("OlmoeForCausalLM", "olmoe", head_dim=8, intermediate_size=16, num_experts=8,
                  num_experts_per_tok=3, norm_topk_prob=False, attention_bias=False, clip_qkv=None,
                  **over)


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 128}
MODELS = {  # name: config, files, tokens
    "mixtral": (mixtral(), 1, 40),
    "qwen3-moe": (qwen3(), 3, 40),
    "qwen3-moe-plain": (qwen3(norm_topk_prob=False, attention_bias=True, num_experts=8,
                              num_experts_per_tok=3, tie_word_embeddings=True), 1, 32),
    "llama": (llama(tie_word_embeddings=True), 1, 40),
    "llama3-rope": (llama(rope_scaling=LLAMA3, rope_theta=500000.0, num_key_value_heads=1,
                          head_dim=32), 1, 48),
    "llama-biases": (llama(attention_bias=True, mlp_bias=True, num_attention_heads=2,
                           head_dim=16, rope_scaling={"rope_type": "linear", "factor": 4.0}),
                     1, 32),
    "mistral": (dense("MistralForCausalLM", "mistral", rope_theta=1e6, sliding_window=512), 1, 32),
    "qwen2": (dense("Qwen2ForCausalLM", "qwen2", head_dim=8, rope_theta=1e6, rms_norm_eps=1e-6,
                    use_sliding_window=False, sliding_window=512, tie_word_embeddings=True), 1, 32),
    "qwen3": (dense("Qwen3ForCausalLM", "qwen3", rope_theta=1e6, rms_norm_eps=1e-6,
                    attention_bias=False, use_sliding_window=False), 1, 32),
    "olmoe": (olmoe(), 1, 32),
}


def written_config(name, cfg):
    """What the file says: derived or newer keys as releases have them."""
    cfg = dict(cfg)
    if name in ("llama", "llama-biases", "qwen2", "olmoe"):
        del cfg["head_dim"]  # hidden_size / num_attention_heads
    if name == "llama-biases":
        cfg["rope_parameters"] = dict(cfg.pop("rope_scaling"), rope_theta=cfg.pop("rope_theta"))
    return cfg


def make(name, cfg, n_file, n_tok):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    for seed in range(1000):
        rng = np.random.default_rng([seed, *name.encode()])
        w = {k: stored(x, "BF16") for k, x in make_weights(cfg, rng).items()}
        ids = rng.integers(0, cfg["vocab_size"], n_tok)
        out, margin = forward(cfg, {k: torch.from_numpy(x) for k, x in w.items()},
                              torch.from_numpy(ids))
        if margin > MARGIN:
            break
    else:
        sys.exit(f"{name}: no seed with a clear choice of experts")
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(written_config(name, cfg), f, indent=1)
        f.write("\n")
    write_checkpoint(path, {"dtype": "BF16", "shards": n_file}, w)
    tensors = {"input_ids": (ids, "I32")}
    for k, x in out.items():
        tensors[k] = (x.numpy(), "I32" if k.endswith("topk_index") else "F32")
    write_safetensors(os.path.join(path, "golden.safetensors"), tensors)
    print(f"{name}: seed {seed}, margin {margin:.2g}, "
          f"logits rms {out['logits'].pow(2).mean().sqrt():.3g}")


# ---- the published classes ---------------------------------------------------------------------

def read_golden(path):
    with open(path, "rb") as f:
        data = f.read()
    end = 8 + int.from_bytes(data[:8], "little")
    out = {}
    for name, t in json.loads(data[8:end]).items():
        first, last = (end + o for o in t["data_offsets"])
        kind = {"F32": np.float32, "I32": np.int32}[t["dtype"]]
        out[name] = np.frombuffer(data[first:last], kind).reshape(t["shape"])
    return out


def check(name, cfg):
    import glob, transformers
    from safetensors.torch import load_file
    if not hasattr(transformers, cfg["architectures"][0]):
        return print(f"{name}: transformers {transformers.__version__} has no such class")
    kind, path = getattr(transformers, cfg["architectures"][0]), os.path.join(OUT, name)
    golden = read_golden(os.path.join(path, "golden.safetensors"))
    own = kind.config_class(**{k: v for k, v in cfg.items() if k != "architectures"})
    own._attn_implementation = "eager"
    model = kind(own).double().eval()
    tensors = {}
    for file in glob.glob(os.path.join(path, "model*.safetensors")):
        tensors.update(load_file(file))
    try:
        missing, unknown = model.load_state_dict(tensors, strict=False)
    except RuntimeError as e:  # older classes have no head_dim
        return print(f"{name}: transformers {transformers.__version__}: {str(e).splitlines()[1]}")
    assert not unknown and set(missing) <= {"lm_head.weight"}, (missing, unknown)
    model.tie_weights()
    with torch.no_grad():
        r = model(torch.from_numpy(golden["input_ids"].astype(np.int64))[None],
                  output_hidden_states=True)
    diffs = [np.abs(r.logits[0].numpy() - golden["logits"]).max()]
    for l, h in enumerate(r.hidden_states[:-1]):  # the last one is behind the final norm
        diffs.append(np.abs(h[0].numpy() - golden[f"hidden.{l}"]).max())
    print(f"{name}: transformers {transformers.__version__}: largest difference {max(diffs):.2g}")


if __name__ == "__main__":
    for model_name, (settings, files, tokens) in MODELS.items():
        if "--check" in sys.argv[1:]:
            check(model_name, settings)
        else:
            make(model_name, settings, files, tokens)
