"""Honest: transformers of papers that the earlier sets do not hold."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def deep(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 7 x 7."""
    return n.down(n.down(n.stem(x, 16), 24), width)


def ends(n: Net, t: T, dim: int = 128) -> T:
    """Read all tokens."""
    return n.embed(n.ln(t), dim)


def joined(t: T) -> T:
    """[N, heads, L, C] to [N, L, heads * C]."""
    return t.transpose(1, 2).reshape(-1, int(t.shape[2]), int(t.shape[1]) * int(t.shape[3]))


@honest_torch("MobileNetV4 hybrid: mobile multi-query attention, one strided key and value for four heads of queries.",
              idea="transformers", trained=3, opset=13)  # fmt: skip
def mobile_multi_query(n: Net, x: T) -> T:
    y = n.down(n.stem(x, 24), 32)
    for _ in range(2):
        q = tokens(n.conv(n.bn(y), 64, 1)).reshape(-1, 196, 4, 16).transpose(1, 2)
        z = n.cb(y, 32, 3, 2, -1)
        k, v = tokens(n.conv(z, 16, 1)).unsqueeze(1), tokens(n.conv(z, 16, 1)).unsqueeze(1)
        a = joined((q @ k.transpose(2, 3) * 0.25).softmax(-1) @ v)
        y = n.inverted(y + n.conv(grid(a, 14, 14), 32, 1), 32)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("ViT-Adapter: a spatial prior module of strided layers, injected in the tokens, and extracted from them.",
              idea="transformers", opset=14)  # fmt: skip
def spatial_prior_adapter(n: Net, x: T) -> T:
    def cross(a: T, b: T) -> T:
        q, k, v = n.linear(n.ln(a), 32), n.linear(n.ln(b), 32), n.linear(n.ln(b), 32)
        return n.linear((q @ k.transpose(1, 2) * 32**-0.5).softmax(-1) @ v, 32)

    prior = tokens(n.conv(deep(n, x), 32, 1))
    t = n.patches(x, 32)
    for _ in range(2):
        t = n.block(t + n.weight(32) * cross(t, prior))
        prior = prior + cross(prior, t)
        prior = prior + n.ff(n.ln(prior))
    return ends(n, torch.cat([t, prior], 2))


@honest_torch("Castling-ViT: linear-angular attention, a mean plus likeness of unit queries and keys, depthwise part.",
              idea="transformers", trained=3, opset=12)  # fmt: skip
def linear_angular_attention(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        a = 0.5 * v.mean(2, keepdim=True) + (q @ (k.transpose(2, 3) @ v)) / (np.pi * 49)
        local = n.conv(grid(joined(v), 7, 7), 32, 3, 1, -1)
        t = t + n.linear(joined(a) + tokens(local), 32)
        t = t + n.ff(n.ln(t))
    return ends(n, t)


@honest_torch("MLLA: linear attention in Mamba's block, rotary codes, local enhancement of values and an output gate.",
              idea="transformers", opset=15)  # fmt: skip
def mamba_like_linear_attention(n: Net, x: T) -> T:
    angle = torch.arange(49.0)[:, None] / 10 ** (torch.arange(8.0) / 4)
    cos, sin = angle.cos(), angle.sin()

    def turn(y: T) -> T:
        a, b = y.chunk(2, -1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    t = tokens(deep(n, x))
    for _ in range(2):
        s = n.ln(t)
        gate = F.silu(n.linear(s, 32))
        s = F.silu(tokens(n.conv(grid(n.linear(s, 32), 7, 7), 32, 3, 1, -1)))
        q, k, v = n.heads(s, 2)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        z = 1 / ((q * k.mean(2, keepdim=True)).sum(-1, keepdim=True) + 1e-4)
        a = joined(turn(q) @ (turn(k).transpose(2, 3) @ v / 49) * z)
        a = a + tokens(n.conv(grid(joined(v), 7, 7), 32, 3, 1, -1))
        t = t + n.linear(a * gate, 32)
        t = t + n.ff(n.ln(t))
    return ends(n, t)


@honest_torch("ViTamin: two stages of MBConv with layer norms, then a plain transformer with gated GELU.",
              idea="transformers", trained=3, opset=17)  # fmt: skip
def vitamin_stages(n: Net, x: T) -> T:
    y = n.conv(F.gelu(n.conv(x, 12, 3, 2)), 16, 3, 2)
    for width in (24, 32):
        z = n.conv(F.gelu(n.conv(F.gelu(n.conv(n.ln2d(y), 2 * width, 1)), 2 * width, 3, 2, -1)), width, 1)
        y = z + n.conv(F.avg_pool2d(y, 2), width, 1)
    t = tokens(y) + n.weight(1, 49, 32)
    for _ in range(2):
        t = t + n.attention(n.ln(t))
        a, b = n.linear(n.ln(t), 96).chunk(2, 2)
        t = t + n.linear(a * F.gelu(b), 32)
    return n.bn(n.linear(n.ln(t.mean(1)), 256))


@honest_torch("RoPE-Mixed: queries and keys are turned by learned frequencies of row and column together.",
              idea="transformers", opset=13)  # fmt: skip
def rope_of_mixed_frequencies(n: Net, x: T) -> T:
    rows, cols = torch.arange(49.0) // 7, torch.arange(49.0) % 7
    t = n.patches(x, 32, places=False)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        f = n.weight(2, 2, 8, gain=2.0)
        angle = rows[:, None] * f[0][:, None] + cols[:, None] * f[1][:, None]
        cos, sin = angle.cos(), angle.sin()
        made = []
        for y in (q, k):
            a, b = y[..., :8], y[..., 8:]
            made.append(torch.cat([a * cos - b * sin, a * sin + b * cos], -1))
        a = (made[0] @ made[1].transpose(2, 3) * 0.25).softmax(-1) @ v
        t = t + n.linear(joined(a), 32)
        t = t + n.ff(n.ln(t))
    return ends(n, t)


@honest_torch("HiViT: the early stages are feed-forward layers of units alone, merged, only the last stage attends.",
              idea="transformers", opset=14)  # fmt: skip
def hivit_late_attention(n: Net, x: T) -> T:
    y = n.conv(x, 12, 4, 4, padding=0).permute(0, 2, 3, 1)
    for width in (20, 32):
        y = y + n.ff(n.ln(y))
        y = torch.cat([y[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], 3)
        y = n.linear(n.ln(y), width)
    t = y.reshape(-1, 49, 32) + n.weight(1, 49, 32)
    return ends(n, n.block(n.block(t)))


@honest_torch("iFormer for phones: single-head modulation attention, the head's answer times a sigmoid of a layer.",
              idea="transformers", opset=16)  # fmt: skip
def single_head_modulation(n: Net, x: T) -> T:
    y = F.gelu(n.cb(n.stem(x, 24), 32, 5, 2))
    y = y + n.conv(F.gelu(n.conv(n.cb(y, 32, 7, 1, -1), 64, 1)), 32, 1)
    y = n.cb(y, 32, 3, 2)
    for _ in range(2):
        z = n.bn(y)
        q, k, v = (tokens(n.conv(z, width, 1)) for width in (16, 16, 32))
        a = grid((q @ k.transpose(1, 2) * 0.25).softmax(-1) @ v, 7, 7)
        y = y + n.conv(a * torch.sigmoid(n.conv(z, 32, 1)), 32, 1)
        y = y + n.conv(F.gelu(n.cb(y, 64, 1)), 32, 1)
    return n.embed(y, 128)


@honest_torch("SLAB: re-parametrised batch norms in place of layer norms, ReLU linear attention and a depthwise layer.",
              idea="transformers", trained=4, opset=12)  # fmt: skip
def simplified_linear_rep_norm(n: Net, x: T) -> T:
    def norm(t: T) -> T:
        return n.bn(t.transpose(1, 2).unsqueeze(3)).squeeze(3).transpose(1, 2) + n.weight(1, 1, 1) * t

    t = tokens(deep(n, x))
    for _ in range(2):
        q, k, v = n.heads(norm(t), 2)
        q, k = F.relu(q), F.relu(k)
        a = q @ (k.transpose(2, 3) @ v) / (q @ k.sum(2, keepdim=True).transpose(2, 3) + 1e-3)
        t = t + n.linear(joined(a) + tokens(n.conv(grid(joined(v), 7, 7), 32, 3, 1, -1)), 32)
        t = t + n.ff(norm(t))
    return n.embed(t, 128)


@honest_torch("T5's bias: distances along rows and columns fall in logarithmic buckets, a learned number for each.",
              idea="transformers", opset=11)  # fmt: skip
def logarithmic_bucket_bias(n: Net, x: T) -> T:
    i = np.arange(49)
    bucket = [np.sign(d) * np.minimum(3, np.floor(np.log2(np.abs(d) + 1))) + 3
              for d in (i[:, None] // 7 - i // 7, i[:, None] % 7 - i % 7)]  # fmt: skip
    at = torch.from_numpy((bucket[0] * 7 + bucket[1]).astype(np.int64))
    t = n.patches(x, 32, places=False)
    for _ in range(2):
        bias = n.weight(49, 2)[at.reshape(-1)].reshape(49, 49, 2).permute(2, 0, 1)
        t = n.block(t, 2, bias)
    return ends(n, t)


@honest_torch("ReLU over length: scores are rectified and divided by the number of tokens in place of a softmax.",
              idea="transformers", trained=3, opset=13)  # fmt: skip
def relu_over_sequence_length(n: Net, x: T) -> T:
    t = n.patches(x, 40)
    for _ in range(3):
        q, k, v = n.heads(n.ln(t), 4)
        t = t + n.linear(joined(F.relu(n.ln(q) @ n.ln(k).transpose(2, 3) * 0.3) / 49 @ v), 40)
        t = t + n.ff(n.ln(t))
    return ends(n, t)


@honest_torch("Selective attention: what earlier tokens asked to forget is summed up and taken off later scores.",
              idea="transformers", opset=14)  # fmt: skip
def selective_forgetting_scores(n: Net, x: T) -> T:
    low = torch.tril(torch.ones(49, 49))
    t = tokens(deep(n, x)) + n.weight(1, 49, 32)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 2)
        score = q @ k.transpose(2, 3) * 0.25
        forget = F.relu(score[:, :1]) * torch.tril(torch.ones(49, 49), -1)
        score = score - torch.cumsum(forget, 2) + (low - 1) * 1e4
        t = t + n.linear(joined(score.softmax(-1) @ v), 32)
        t = t + n.ff(n.ln(t))
    return ends(n, t)
