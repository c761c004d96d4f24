#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logits of an exported directory for given token ids, in fp32, as a .npy file.

  check_torch_logits.py DIR OUT.npy ID [ID ...]

Reads config.json and model.safetensors only, in either layout (FP8 or plain), so that another
implementation can be compared with this one.
"""
import argparse
import json
import pathlib

import numpy as np
import torch

from export import parameter_names, read_safetensors
from nets import Hunyuan, Yuan


def load(folder):
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    name = "yuan" if config["model_type"] == "yuan" else "hunyuan"
    model = {"hunyuan": Hunyuan, "yuan": Yuan}[name](config, torch.float32)
    tensors = read_safetensors(folder / "model.safetensors")
    state = dict(model.named_parameters())
    with torch.no_grad():
        for target, (source, index, change) in parameter_names(name, config).items():
            value = tensors[target] * tensors.get(target + "_scale", np.float32(1))
            place = state[source] if index is None else state[source][index]
            # Undo the layout change of the export: stacked experts are transposed, kernels squeezed.
            value = value.T if change and value.ndim == 2 else value
            place.copy_(torch.from_numpy(np.ascontiguousarray(value)).view_as(place))
    return model.eval(), config


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("folder")
    args.add_argument("out")
    args.add_argument("ids", type=int, nargs="+")
    args = args.parse_args()
    torch.set_num_threads(1)
    model, _ = load(args.folder)
    with torch.no_grad():
        logits, _ = model(torch.tensor([args.ids]))
    np.save(args.out, logits[0].numpy())


if __name__ == "__main__":
    main()
