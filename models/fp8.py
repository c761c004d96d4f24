# SPDX-License-Identifier: Apache-2.0
"""E4M3 numbers: codes with numpy (export) and straight-through rounding with torch (training).

E4M3: bias 7, three fraction bits, largest finite 448, smallest step 2^-9; 0x7f and 0xff are NaN and
never produced, because values are clamped to +-448 first.
"""
import numpy as np
import torch

MAX = 448.0


def encode(x):
    """float array with |x| <= 448 -> uint8 codes, round to nearest even."""
    x = np.asarray(x, np.float32)
    mag = np.minimum(np.abs(x), MAX)
    _, exponent = np.frexp(mag)                             # mag = f * 2^exponent, f in [0.5, 1)
    exponent = np.where(mag > 0, np.maximum(exponent - 1, -6), -6)
    steps = np.rint(np.ldexp(mag, 3 - exponent)).astype(np.int32)     # 0..16; below 8 = subnormal
    code = (exponent + 6) * 8 + steps                       # a carry to 16 moves into the exponent
    return (code | np.where(np.signbit(x), 0x80, 0)).astype(np.uint8)


def decode(code):
    code = np.asarray(code, np.int32)
    exponent, fraction = (code >> 3) & 15, code & 7
    mag = np.where(exponent == 0, np.ldexp(fraction / 8.0, -6), np.ldexp(1 + fraction / 8.0, exponent - 7))
    return np.where(code & 0x80, -mag, mag).astype(np.float32)


def fake_quant(weight, dims):
    """Weight as the release stores it (scale = absmax / 448 over `dims`); gradients pass unchanged."""
    with torch.no_grad():
        scale = weight.abs().amax(dims, keepdim=True) / MAX
        x = weight / scale
        _, exponent = torch.frexp(x)
        step = torch.ldexp(torch.ones_like(x), torch.clamp(exponent - 1, min=-6) - 3)
        delta = torch.clamp(torch.round(x / step) * step, -MAX, MAX) * scale - weight
    return weight + delta
