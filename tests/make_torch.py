#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/torch: checkpoints as torch.save writes them, and the same tensors as safetensors
(views.safetensors) written here byte by byte. Needs torch (Debian's python3-torch) and numpy. Results
are committed; run it again only to add a file."""
import collections, json, os, shutil, struct, zipfile
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
VARIANTS = os.path.join(HERE, "golden", "variants")
OUT = os.path.join(HERE, "golden", "torch")
KINDS = {"BF16": (torch.bfloat16, 2), "F16": (torch.float16, 2), "F32": (torch.float32, 4)}
NAMES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}


def read_safetensors(path):
    """{name: tensor}, each with a storage of its own."""
    with open(path, "rb") as f:
        blob = f.read()
    n, = struct.unpack("<Q", blob[:8])
    out = {}
    for name, e in json.loads(blob[8:8 + n]).items():
        begin, end = (8 + n + o for o in e["data_offsets"])
        kind = KINDS[e["dtype"]][0]
        out[name] = torch.frombuffer(bytearray(blob[begin:end]), dtype=kind).reshape(e["shape"])
    return out


def tensor_bytes(t):
    t = t.detach().contiguous()
    if t.dtype in (torch.bfloat16, torch.float16):
        t = t.view(torch.int16)
    return t.numpy().tobytes()


def write_safetensors(path, tensors):
    header, blob = {}, b""
    for name, t in tensors.items():
        data = tensor_bytes(t)
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape),
                        "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


def state_dict(tensors):
    """As nn.Module.state_dict() returns it."""
    d = collections.OrderedDict(tensors)
    d._metadata = collections.OrderedDict(
        (name.rsplit(".", 1)[0], {"version": 1}) for name in tensors)
    d._metadata[""] = {"version": 1}
    return d


def folder(name, source):
    path = os.path.join(OUT, name)
    os.makedirs(path, exist_ok=True)
    for file in ("config.json", "golden.safetensors"):
        shutil.copy(os.path.join(VARIANTS, source, file), path)
    return path


def make_shards():
    """Three shards with an index: the shards of a variant, saved as state_dicts."""
    source = os.path.join(VARIANTS, "bf16-shards-untied")
    path = folder("shards", "bf16-shards-untied")
    with open(os.path.join(source, "model.safetensors.index.json")) as f:
        index = json.load(f)
    for file in sorted(set(index["weight_map"].values())):
        out = file.replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
        tensors = read_safetensors(os.path.join(source, file))
        torch.save(state_dict(tensors), os.path.join(path, out))
        index["weight_map"].update({name: out for name in tensors})
    with open(os.path.join(path, "pytorch_model.bin.index.json"), "w") as f:
        json.dump(index, f, separators=(",", ":"))


def make_single():
    """One file, as training leaves it: a plain dict; the experts of a layer are views of one storage,
    projections parameters, one matrix a transposed view, a head tied to the embedding, an integer
    buffer and what rotary embeddings keep."""
    path = folder("single", "yuan-top1")
    tensors = read_safetensors(os.path.join(VARIANTS, "yuan-top1", "model.safetensors"))
    experts = [n for n in tensors if ".experts." in n]
    flat = torch.cat([tensors[n].reshape(-1) for n in experts])
    at = 0
    for n in experts:
        size = tensors[n].numel()
        tensors[n] = flat[at:at + size].view(tensors[n].shape)
        at += size
    o_proj = "model.layers.0.self_attn.o_proj.weight"
    v_proj = "model.layers.0.self_attn.v_proj.weight"
    tensors[o_proj] = tensors[o_proj].t().contiguous().t()
    tensors[v_proj] = torch.nn.Parameter(tensors[v_proj])
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.arange(4.0)
    tensors["model.position_ids"] = torch.arange(8)
    assert not tensors[o_proj].is_contiguous() and tensors[experts[1]].storage_offset() > 0
    torch.save(dict(tensors), os.path.join(path, "pytorch_model.bin"))


def make_views():
    """Every kind of view and of type, in both pickle protocols, and the values they have."""
    rng = np.random.default_rng(7)
    base = torch.from_numpy(rng.normal(size=(6, 10)).astype(np.float32))
    half = base.to(torch.float16)
    brain = base.to(torch.bfloat16)
    tensors = {
        "whole": base, "tied": base, "rows": base[2:4], "columns": base[:, 3:7],
        "every_second": base[::2], "transposed": base.t(), "permuted":
        brain.view(2, 3, 10).permute(2, 0, 1), "scalar": base[3, 4], "row_of_one": base[5:6].t(),
        "empty": base[:0], "half": half, "half_back": half.t()[4:], "brain_row": brain[1],
        "brain_parameter": torch.nn.Parameter(brain[3:]), "five": brain.view(1, 2, 3, 5, 2),
        "ones_stride": torch.as_strided(base, (4, 1), (1, 999)),
    }
    os.makedirs(OUT, exist_ok=True)
    extra = {"int64": torch.arange(3), "flag": torch.tensor(True), "double": base.double(),
             "number": 3, "nothing": None, "list": [1, 2, (3, 4)], "nested": {"inner": base[0]},
             "past_31_bits": 1 << 40, "negative": -5, "two_bytes": 5000}
    for protocol in (2, 4):
        torch.save({**tensors, **extra}, os.path.join(OUT, f"views-protocol{protocol}.bin"),
                   pickle_protocol=protocol)
    write_safetensors(os.path.join(OUT, "views.safetensors"), tensors)


def make_refused():
    """What torch writes and this project does not read."""
    torch.save({"w": torch.ones(3).expand(4, 3)}, os.path.join(OUT, "refused-expanded.bin"))
    torch.save({"w": torch.ones(3)}, os.path.join(OUT, "refused-old-format.bin"),
               _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {"w": torch.ones(3)}, "epoch": 3},
               os.path.join(OUT, "refused-training.bin"))
    torch.save(torch.nn.Linear(2, 2), os.path.join(OUT, "refused-module.bin"))
    torch.save({"w": torch.ones(3).to_sparse()}, os.path.join(OUT, "refused-sparse.bin"))
    torch.save({"w": torch.ones(3), "rate": 0.5}, os.path.join(OUT, "refused-float.bin"))


def make_seeds():
    """What the fuzzers of the archive and of its pickle start from."""
    a = torch.arange(6.0).to(torch.bfloat16).view(2, 3)
    p = torch.nn.Parameter(torch.ones(2))
    tensors = {"a": a, "b": a.t(), "c": a[1:], "p": p, "i": torch.arange(2)}
    seeds = os.path.join(HERE, "fuzz", "seeds")
    for name, value, protocol in (("dict", tensors, 2), ("state", state_dict(tensors), 2),
                                  ("protocol4", tensors, 4)):
        for kind in ("fuzz_torch", "fuzz_pickle"):
            os.makedirs(os.path.join(seeds, kind), exist_ok=True)
        path = os.path.join(seeds, "fuzz_torch", name)
        torch.save(value, path, pickle_protocol=protocol)
        with zipfile.ZipFile(path) as z, \
                open(os.path.join(seeds, "fuzz_pickle", name), "wb") as f:
            f.write(z.read(f"{name}/data.pkl"))


if __name__ == "__main__":
    make_shards()
    make_single()
    make_views()
    make_refused()
    make_seeds()
