# SPDX-License-Identifier: Apache-2.0
"""The two model families in PyTorch: Hunyuan-Large (shared + routed experts, CLA, QK-norm) and
Yuan 2.0-M32 (attention router, localized filtering).

Weights are kept in fp32; matrix products run in `dtype` (bf16 in training, fp32 for checks).
Expert weights are stored stacked, [experts, in, out], so that one batched product serves a layer.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

from fp8 import fake_quant


def rms(x, weight, eps):
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


class GatherRows(torch.autograd.Function):
    """rows -> rows[forward_index], where index len(rows) means a zero row.

    The gradient is gathered through `backward_index` (for every row its uses, [rows, n]) instead of
    scattered: scatter-add is several times slower on a CPU.
    """

    @staticmethod
    def forward(ctx, rows, forward_index, backward_index):
        ctx.save_for_backward(backward_index)
        return torch.cat([rows, rows.new_zeros(1, rows.shape[1])]).index_select(0, forward_index)

    @staticmethod
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        grad = torch.cat([grad, grad.new_zeros(1, grad.shape[1])])
        picked = grad.index_select(0, index.flatten())
        return picked.view(index.shape[0], index.shape[1], -1).sum(1), None, None


def place(choice, experts, capacity, recycle):
    """Give every (token, choice) a slot in a table of [experts, capacity] rows.

    Returns slot [T, k] (experts * capacity = dropped), load per expert before any re-assignment, and
    the number of overflowing and of dropped choices. capacity None = as large as the fullest expert.
    """
    flat = choice.flatten()
    load = torch.bincount(flat, minlength=experts)
    if capacity is None:
        capacity = int(load.max())
    order = torch.argsort(flat, stable=True)
    rank = torch.empty_like(flat)
    rank[order] = torch.arange(len(flat)) - (load.cumsum(0) - load)[flat[order]]
    over = rank >= capacity
    slot = torch.where(over, torch.full_like(flat, experts * capacity), flat * capacity + rank)
    overflow = dropped = int(over.sum())
    if recycle and overflow:
        # Recycle routing: overflowing tokens take random free slots, so no token is lost while any
        # expert has room.
        taken = torch.zeros(experts * capacity + 1, dtype=torch.bool)
        taken[slot] = True
        free = (~taken[:-1]).nonzero().flatten()
        free = free[torch.randperm(len(free))][:overflow]
        lost = over.nonzero().flatten()[:len(free)]
        slot[lost] = free
        dropped -= len(free)
    return slot.view(choice.shape), capacity, load, overflow, dropped


class Experts(nn.Module):
    """Stacked SwiGLU experts: w1 = gate | up."""

    def __init__(self, experts, hidden, width, layers):
        super().__init__()
        self.count, self.width = experts, width
        self.w1 = nn.Parameter(torch.randn(experts, hidden, 2 * width) * hidden ** -0.5)
        self.w2 = nn.Parameter(torch.randn(experts, width, hidden) * (width * 2 * layers) ** -0.5)

    def weights(self, fp8):
        if not fp8:
            return self.w1, self.w2
        w1 = self.w1.view(self.count, -1, 2, self.width)        # gate and up have a scale each
        return fake_quant(w1, (1, 3)).view_as(self.w1), fake_quant(self.w2, (1, 2))

    def forward(self, b, choice, weight, capacity, recycle, fp8):
        tokens, k = choice.shape
        slot, capacity, load, overflow, dropped = place(choice, self.count, capacity, recycle)
        rows = self.count * capacity
        pair_of = torch.full((rows + 1,), tokens * k)
        pair_of[slot.flatten()] = torch.arange(tokens * k)
        pair_of = pair_of[:rows]
        token_of = torch.where(pair_of < tokens * k, torch.div(pair_of, k, rounding_mode="floor"), tokens)
        w1, w2 = (w.to(b.dtype) for w in self.weights(fp8))
        y = torch.bmm(GatherRows.apply(b, token_of, slot).view(self.count, capacity, -1), w1)
        gate, up = y.chunk(2, -1)
        out = torch.bmm(F.silu(gate) * up, w2).view(rows, -1)
        out = GatherRows.apply(out, slot.flatten(), pair_of[:, None]).view(tokens, k, -1)
        stats = {"load": load, "overflow": overflow, "dropped": dropped}
        return (out.float() * weight[..., None]).sum(1), stats


class Model(nn.Module):
    """What the families share: embedding, final norm, tied head, rotary tables, attention core."""

    def __init__(self, config, dtype):
        super().__init__()
        self.c, self.dtype = config, dtype
        self.fp8 = False              # straight-through E4M3 weights, for the last part of training
        self.eps = config["rms_norm_eps"]
        self.layers_n = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.embed = nn.Parameter(torch.randn(config["vocab_size"], config["hidden_size"]) * 0.02)
        self.norm = nn.Parameter(torch.ones(config["hidden_size"]))

    def linear(self, x, weight):
        if self.fp8:
            weight = fake_quant(weight, (0, 1))
        return F.linear(x.to(self.dtype), weight.to(self.dtype))

    def rotary(self, length, base, channels):
        freq = base ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)
        angle = torch.arange(length, dtype=torch.float32)[:, None] * freq.float()
        return angle.cos(), angle.sin()

    @staticmethod
    def rotate(x, tables):
        """x [B, T, heads, channels], half-split pairs."""
        cos, sin = (t[:, None] for t in tables)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def attend(self, q, k, v):
        """q [B, T, H, D], k and v [B, T, G, D] -> [B, T, H * D]; query head j uses kv head j // (H/G)."""
        batch, length, heads, dim = q.shape
        groups = k.shape[2]
        q = q.view(batch, length, groups, heads // groups, dim).permute(0, 2, 3, 1, 4)
        q = q.reshape(batch * groups, -1, dim).to(self.dtype)
        k = k.permute(0, 2, 3, 1).reshape(batch * groups, dim, length).to(self.dtype)
        v = v.permute(0, 2, 1, 3).reshape(batch * groups, length, dim).to(self.dtype)
        score = torch.bmm(q, k).view(batch * groups, -1, length, length) * dim ** -0.5
        mask = torch.full((length, length), -math.inf, dtype=score.dtype).triu(1)
        prob = torch.softmax(score + mask, -1).view(batch * groups, -1, length)
        out = torch.bmm(prob, v).view(batch, groups, -1, length, dim)
        return out.permute(0, 3, 1, 2, 4).reshape(batch, length, heads * dim)

    def head(self, x):
        return F.linear(rms(x, self.norm, self.eps).to(self.dtype), self.embed.to(self.dtype)).float()

    def forward(self, ids, capacity_factor=None, recycle=False):
        """Logits and, for every layer, the routing statistics. capacity_factor None = no limit."""
        x = F.embedding(ids, self.embed)
        capacity = None
        if capacity_factor is not None:
            capacity = math.ceil(capacity_factor * self.topk * ids.numel() / self.experts_n)
        stats, shared = [], {}
        tables = self.tables(ids.shape[1])
        for layer in self.layers:
            x = x + layer.attention(self, rms(x, layer.norm1, self.eps), tables, shared)
            b = rms(x, layer.norm2, self.eps)
            y, s = layer.moe(self, b.view(-1, b.shape[-1]), capacity, recycle)
            x = x + y.view_as(x)
            stats.append(s)
        return self.head(x), stats


class HunyuanLayer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        h, width, layers = c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"]
        self.heads, self.groups = c["num_attention_heads"], c["num_key_value_heads"]
        dim = h // self.heads
        matrix = lambda rows, cols, scale=1.0: nn.Parameter(torch.randn(rows, cols) * cols ** -0.5 * scale)
        self.owner = index % c["cla_share_factor"] == 0
        self.norm1, self.norm2 = nn.Parameter(torch.ones(h)), nn.Parameter(torch.ones(h))
        self.q_norm, self.k_norm = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.ones(dim))
        self.q = matrix(h, h)
        self.o = matrix(h, h, (2 * layers) ** -0.5)
        if self.owner:
            self.k, self.v = matrix(self.groups * dim, h), matrix(self.groups * dim, h)
        self.gate, self.up = matrix(width, h), matrix(width, h)
        self.down = matrix(h, width, (2 * layers) ** -0.5)
        self.wg = matrix(c["num_experts"], h, 0.5)
        self.experts = Experts(c["num_experts"], h, width, layers)

    def attention(self, m, a, tables, shared):
        batch, length, _ = a.shape
        q = m.linear(a, self.q).view(batch, length, self.heads, -1).float()
        if self.owner:          # raw k and v: reusers apply rotation and their own norm themselves
            shared["k"] = m.linear(a, self.k).view(batch, length, self.groups, -1).float()
            shared["v"] = m.linear(a, self.v).view(batch, length, self.groups, -1)
        q = rms(m.rotate(q, tables), self.q_norm, m.eps)
        k = rms(m.rotate(shared["k"], tables), self.k_norm, m.eps)
        return m.linear(m.attend(q, k, shared["v"]), self.o).float()

    def moe(self, m, b, capacity, recycle):
        prob = torch.softmax(b @ self.wg.t(), -1)
        weight, choice = prob.max(-1, keepdim=True)
        b = b.to(m.dtype)
        shared = m.linear(F.silu(m.linear(b, self.gate)) * m.linear(b, self.up), self.down)
        routed, stats = self.experts(b, choice, weight, capacity, recycle, m.fp8)
        share = stats["load"].float() / stats["load"].sum()
        stats["balance"] = m.experts_n * (share * prob.mean(0)).sum()
        return shared.float() + routed, stats


class Hunyuan(Model):
    def __init__(self, config, dtype=torch.bfloat16):
        super().__init__(config, dtype)
        self.experts_n, self.topk = config["num_experts"], config["moe_topk"]
        self.layers = nn.ModuleList(HunyuanLayer(config, i) for i in range(self.layers_n))

    def tables(self, length):
        dim = self.c["hidden_size"] // self.heads
        return self.rotary(length, self.c["rope_theta"] * self.c["rope_scaling"]["alpha"] ** (dim / (dim - 2)), dim)


class YuanLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, p, layers = c["hidden_size"], c["attention_projection_size"], c["num_hidden_layers"]
        moe = c["moe_config"]
        matrix = lambda rows, cols, scale=1.0: nn.Parameter(torch.randn(rows, cols) * cols ** -0.5 * scale)
        self.heads, self.dim, self.rotated = c["num_attention_heads"], p // c["num_attention_heads"], h // c["num_attention_heads"]
        self.norm1, self.norm2 = nn.Parameter(torch.ones(h)), nn.Parameter(torch.ones(h))
        self.q, self.k, self.v = matrix(p, h), matrix(p, h), matrix(p, h)
        self.o = matrix(h, p, (2 * layers) ** -0.5)
        self.conv1 = nn.Parameter(torch.randn(h // 2, h, 2) * (2 * h) ** -0.5)
        self.bias1 = nn.Parameter(torch.zeros(h // 2))
        self.conv2 = nn.Parameter(torch.randn(h, h // 2, 2) * h ** -0.5)
        self.bias2 = nn.Parameter(torch.zeros(h))
        self.lf_norm = nn.Parameter(torch.ones(h))
        experts = moe["moe_num_experts"]
        self.router = nn.ParameterList([matrix(experts, h) for _ in range(3)])
        self.experts = Experts(experts, h, moe["ffn_hidden_size"], layers)

    @staticmethod
    def conv(m, x, weight, bias):
        """Causal, kernel 2; index 0 multiplies the older step, which is zero at the start."""
        older = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return m.linear(torch.cat([older, x], -1), torch.cat([weight[..., 0], weight[..., 1]], 1)).float() + bias

    def attention(self, m, a, tables, _):
        batch, length, _ = a.shape
        f = self.conv(m, self.conv(m, a, self.conv1, self.bias1), self.conv2, self.bias2)
        f = rms(f + a, self.lf_norm, 1e-6)
        # Per head a query block, then a key block; q_proj holds the first half of the heads.
        c = torch.cat([m.linear(f, self.q), m.linear(f, self.k)], -1).float()
        q, k = c.view(batch, length, self.heads, 2 * self.dim).chunk(2, -1)
        turn = lambda x: torch.cat([m.rotate(x[..., :self.rotated], tables), x[..., self.rotated:]], -1)
        v = m.linear(a, self.v).view(batch, length, self.heads, -1)
        return m.linear(m.attend(turn(q), turn(k), v), self.o).float()

    def moe(self, m, b, capacity, recycle):
        q, k, v = (b @ w.t() for w in self.router)
        score = (torch.softmax(q[:, :, None] * k[:, None, :], -1) * v[:, None, :]).sum(-1)
        top, choice = score.topk(m.topk, -1)
        routed, stats = self.experts(b.to(m.dtype), choice, torch.softmax(top, -1), capacity, recycle, m.fp8)
        share = stats["load"].float() / stats["load"].sum()
        stats["balance"] = m.experts_n * (share * torch.softmax(score, -1).mean(0)).sum()
        return routed, stats


class Yuan(Model):
    def __init__(self, config, dtype=torch.bfloat16):
        super().__init__(config, dtype)
        self.experts_n, self.topk = config["moe_config"]["moe_num_experts"], config["moe_config"]["moe_top_k"]
        self.layers = nn.ModuleList(YuanLayer(config) for _ in range(self.layers_n))

    def tables(self, length):
        return self.rotary(length, self.c["rotary_base"], self.c["hidden_size"] // self.heads)


