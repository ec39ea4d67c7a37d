"""Plain networks that the evasions of this set are made of, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, computes, plain
from evaluation.blind4.export import network
from evaluation.blind4.layers import Body, Net, T
from evaluation.blind6.evasions_common import torch_of
from evaluation.builder import Array

#: A body, the name that its weights are drawn by, and the steps of training.
Parts = tuple[Body, str, int]


def ghost(n: Net, x: T) -> T:
    """Write a small GhostNet: half of the maps are made of the other half by cheap depthwise kernels."""
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cbr(x, width // 2, 3, 2)
        x = torch.cat([y, n.cbr(y, width // 2, 3, 1, -1)], 1)
        x = n.se(x)
    return n.gdc(x)


def swish(n: Net, x: T) -> T:
    """Write a small EfficientNet: inverted residuals, SiLU, squeeze and excitation."""
    x = F.silu(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = F.silu(n.cb(x, 2 * width, 1))
        y = F.silu(n.cb(y, 2 * width, 5, 2, -1))
        x = n.cb(n.se(y), width, 1)
    return n.pooled(F.silu(n.cb(x, 64, 1)), 64)


def leaky(n: Net, x: T) -> T:
    """Write a small VGG with leaky units and average pooling."""
    for width in (12, 16, 24, 32):
        x = F.avg_pool2d(F.leaky_relu(n.cb(x, width, 3), 0.1), 2)
    return n.embed(x)


def pooling(n: Net, x: T) -> T:
    """Write a small PoolFormer: places are mixed by average pooling."""
    x = n.conv(x, 24, 8, 8, padding=0)
    for _ in range(2):
        y = n.gn(x)
        x = x + F.avg_pool2d(y, 3, 1, 1) - y
        x = x + n.conv(F.gelu(n.conv(n.gn(x), 48, 1)), 24, 1)
    return n.embed(n.cbr(x, 24, 2, 2, padding=0), 64)


def gated(n: Net, x: T) -> T:
    """Write a small gMLP: patches, and gates that mix places."""
    t = n.patches(x, 32, 16, places=False)
    for _ in range(2):
        u, v = F.gelu(n.linear(n.ln(t), 64)).chunk(2, -1)
        v = n.linear(n.ln(v).transpose(1, 2), 49).transpose(1, 2)
        t = t + n.linear(u * (1 + v), 32)
    return n.embed(n.ln(t).mean(1), 64)


def of(parts: Parts) -> Callable[[Array], Array]:
    """Return the plain network as a function of images."""
    return lambda x: plain(*parts)(x)


def by_hand(parts: Parts, said: Callable[[Net, T], T], near: float = 1e-4) -> Claim:
    """Claim that the network is what ``said`` makes of the plain one's layers, and not the plain one."""

    def run(x: Array) -> Array:
        net = network(*parts)

        def start(y: T) -> T:
            net._at = 0
            return said(net, y)

        return torch_of(start, x)

    return computes(run, of(parts), near=near)


class Rerun(nn.Module):
    """The layers of a plain network under another body."""

    def __init__(self, parts: Parts, how: Callable[[Net, T], T]) -> None:
        super().__init__()
        self.net, self.how = network(*parts), how

    def forward(self, x: T) -> T:
        self.net._at = 0
        return self.how(self.net, x)


def seen(view: Callable[[T], T]) -> Callable[[Array], Array]:
    """Return a view that is written in PyTorch as one of arrays."""
    return lambda x: torch_of(view, x)


def tensor(value: Any) -> T:
    return torch.from_numpy(np.array(value, np.float32))
