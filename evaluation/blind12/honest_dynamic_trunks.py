"""Honest: layers whose weights or gates follow from the features of the one image, not held by the earlier sets."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def deep(n: Net, x: T, width: int = 32) -> T:
    """Bring the image down to a map of 14 x 14."""
    return n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), width, 3, 2)


@honest_torch("Lightweight dynamic convolution over rows of tokens: softmax kernels of seven, four heads.",
              idea="dynamic layers", trained=3, opset=13)  # fmt: skip
def softmax_kernels_over_tokens(n: Net, x: T) -> T:
    t = tokens(n.down(deep(n, x), 32))
    for _ in range(2):
        y = n.ln(t)
        k = n.linear(y, 28).reshape(-1, 49, 4, 7).softmax(3)
        a, b = n.linear(y, 64).chunk(2, 2)
        v = F.pad(a * torch.sigmoid(b), (0, 0, 3, 3))
        near = torch.stack([v[:, i : i + 49] for i in range(7)], 3).reshape(-1, 49, 4, 8, 7)
        t = t + n.linear((near * k.unsqueeze(3)).sum(4).reshape(-1, 49, 32), 32)
        t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("A stored head plus a product of two vectors that the pooled feature gives: rank-one updates by image.",
              idea="dynamic layers", trained=3, opset=16)  # fmt: skip
def rank_one_updated_head(n: Net, x: T) -> T:
    y = n.down(deep(n, x), 40).mean((2, 3))
    base = n.linear(y, 128)
    for _ in range(2):
        key, out = torch.tanh(n.linear(y, 40)), torch.tanh(n.linear(y, 128))
        base = base + out * (key * y).sum(1, keepdim=True)
    return n.bn(base)


@honest_torch("GaterNet: a small network of strided layers gives one gate for every channel of a residual network.",
              idea="dynamic layers", opset=11)  # fmt: skip
def gater_network_for_all_channels(n: Net, x: T) -> T:
    z = n.cbr(x, 12, 3, 2)
    g = torch.sigmoid(n.linear(n.cbr(n.cbr(z, 12, 5, 4), 16, 3, 2).mean((2, 3)), 72) * 2)
    at = 0
    for width in (16, 24, 32):
        y = n.cb(n.cbr(z, width, 3, 2), width) * g[:, at : at + width, None, None]
        z, at = F.relu(y + n.cb(z, width, 1, 2)), at + width
    return n.gdc(z, 128)


@honest_torch("AdaLN-zero of DiT with the pooled tokens as condition: shifts, scales and gates of every block.",
              idea="dynamic layers", trained=3, opset=14)  # fmt: skip
def own_pool_modulated_blocks(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    c = F.silu(n.linear(t.mean(1), 32))
    for _ in range(2):
        a, b, g, d, e, h = (n.linear(c, 192) * 0.5).unsqueeze(1).chunk(6, 2)
        t = t + (1 + g) * n.attention(n.ln(t) * (1 + a) + b)
        t = t + (1 + h) * n.ff(n.ln(t) * (1 + d) + e)
    return n.embed(n.ln(t), 128)


@honest_torch("A mixture of low-rank adapters: softmax gates of the pooled feature weigh four pairs of narrow layers.",
              idea="dynamic layers", opset=13)  # fmt: skip
def mixture_of_low_rank_adapters(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        g = n.linear(y.mean((2, 3)), 4).softmax(1)
        low = n.conv(y, 16, 1).reshape(-1, 4, 4, 14, 14) * g.reshape(-1, 4, 1, 1, 1)
        y = F.relu(n.cb(y, 32) + n.conv(low.reshape(-1, 16, 14, 14), 32, 1))
    return n.gdc(n.down(y, 40), 192)


@honest_torch("Dynamic token normalisation: statistics within a token and between tokens, mixed.",
              idea="dynamic layers", trained=4, opset=12)  # fmt: skip
def dynamic_token_normalised(n: Net, x: T) -> T:
    t = n.patches(x, 32)
    for _ in range(2):
        lam = torch.sigmoid(n.weight(1, 1, 32, gain=2.0))
        mix = n.weight(49, 49, gain=2.0).softmax(1)
        m = lam * t.mean(2, keepdim=True) + (1 - lam) * (mix @ t)
        v = lam * t.var(2, keepdim=True, unbiased=False) + (1 - lam) * (mix @ (t * t) - (mix @ t) ** 2).clamp(min=0.0)
        y = (t - m) / (v + 1e-4).sqrt()
        t = t + n.attention(y)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t), 128)


@honest_torch("Dynamic depthwise layers by pooled features: a 3x3 kernel of every channel from 3x3 cells of the map.",
              idea="dynamic layers", trained=3, opset=15)  # fmt: skip
def depthwise_kernels_from_cells(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        cells = F.avg_pool2d(y, 4, 5, 1)
        k = n.conv(F.gelu(n.conv(cells, 16, 1)), 32, 1).flatten(2).softmax(2)
        near = F.unfold(n.bn(y), 3, padding=1).reshape(-1, 32, 9, 196)
        y = y + n.conv((near * k.unsqueeze(3)).sum(2).reshape(-1, 32, 14, 14), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Frequency-banded gates: a low band of the deep map and what is left are weighed by two gates by image.",
              idea="dynamic layers", opset=16)  # fmt: skip
def two_bands_weighed_by_image(n: Net, x: T) -> T:
    y = n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2)
    for width in (28, 36):
        low = F.avg_pool2d(y, 5, 1, 2, count_include_pad=False)
        g = torch.sigmoid(n.linear(y.mean((2, 3)), 2 * int(y.shape[1])))[:, :, None, None] * 2
        a, b = g.chunk(2, 1)
        y = n.cbr(low * a + (y - low) * b, width, 3, 2)
    return n.gdc(y, 128)
