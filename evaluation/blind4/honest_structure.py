"""Honest: networks whose weights are shared in one pass, symmetric by construction, or normalised in the graph."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


@honest_torch(
    "Recursive weight tying: one residual block is applied three times in a row to what it made.", idea="tying"
)
def tied_recursive_block(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    a, b = n.weight(24, 24, 3, 3, gain=0.3), n.weight(24, 24, 3, 3, gain=0.3)
    for _ in range(3):
        x = x + n.bn(F.conv2d(F.relu(F.conv2d(x, a, padding=1)), b, padding=1))
    return n.embed(n.down(x, 32))


@honest_torch("ALBERT-like: one transformer block's weights for three blocks in a row.", idea="tying")
def tied_transformer_blocks(n: Net, x: T) -> T:
    t = n.patches(x, 24)
    qkv, out = n.weight(24, 72), n.weight(24, 24)
    for _ in range(3):
        q, k, v = (n.ln(t) @ qkv).chunk(3, -1)
        t = t + (q @ k.transpose(1, 2) * 0.2).softmax(-1) @ v @ out
    return n.embed(n.ln(t))


@honest_torch(
    "Positive and negative parts of one kernel, relu(w) and relu(-w), in two layers as NMF networks have them.",
    idea="tying",
)
def signed_kernel_parts(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    kernel = n.weight(24, 24, 3, 3, gain=0.3)
    excited, calmed = F.conv2d(x, F.relu(kernel), padding=1), F.conv2d(x, F.relu(-kernel), padding=1)
    return n.embed(n.down(F.relu(n.bn(excited / (1 + F.relu(calmed)))), 32))


@honest_torch(
    "A symmetric head: the linear layer's columns for left and right places are tied, as for frontal faces.",
    idea="symmetry",
)
def symmetric_head(n: Net, x: T) -> T:
    x = n.down(n.down(n.stem(x), 24), 24)
    half = n.weight(64, 24, 7, 4)
    whole = torch.cat([half, half[..., :3].flip(3)], 3)
    return n.bn(x.flatten(1) @ whole.flatten(1).T)


@honest_torch(
    "Kernels that are symmetric by construction: w + mirrored w, a prior of the texture of skin.", idea="symmetry"
)
def symmetric_kernels_in_the_graph(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        kernel = n.weight(width, x.shape[1], 3, 3, gain=0.4)
        x = F.relu(n.bn(F.conv2d(x, kernel + kernel.flip(3), stride=2, padding=1)))
    return n.embed(x)


@honest_torch(
    "Group convolutions of the four turns, as steerable networks have them, pooled over the turns in the end.",
    idea="symmetry",
)
def rotation_group_convolutions(n: Net, x: T) -> T:

    def turn(w: T, times: int) -> T:
        for _ in range(times):
            w = w.transpose(-1, -2).flip(-1)
        return w

    kernel = n.weight(4, 3, 3, 3)
    x = F.relu(F.conv2d(x, torch.cat([turn(kernel, i) for i in range(4)]), stride=2, padding=1))
    for width in (6, 6, 8):
        k = n.weight(width, 4, x.shape[1] // 4, 3, 3, gain=0.5)
        turned = [turn(torch.roll(k, i, 2), i).flatten(1, 2) for i in range(4)]
        x = F.relu(n.bn(F.conv2d(x, torch.cat(turned), stride=2, padding=1)))
    return n.embed(x.reshape(-1, 4, 8, 49).amax(1))


@honest_torch("Weight-standardised convolutions with group normalisation.", idea="normalised weights")
def weight_standardised(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        w = n.weight(width, x.shape[1], 3, 3)
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5) * 0.2
        x = F.relu(n.gn(F.conv2d(x, w, stride=2, padding=1)))
    return n.embed(x)


@honest_torch("Spectral and weight normalisation left in the graph: g * v / |v|.", idea="normalised weights")
def weight_norm_left_in(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        v = n.weight(width, x.shape[1], 3, 3)
        v = v * n.weight(width, 1, 1, 1) / v.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
        x = F.leaky_relu(n.bn(F.conv2d(x, v, stride=2, padding=1)), 0.1)
    return n.embed(x)
