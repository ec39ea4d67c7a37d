"""Plain networks that the evasions of this set are made of."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T


def csp(n: Net, x: T) -> T:
    """Write a small CSPNet: half of the maps go round a block, the other half past it; Mish."""

    def mish(y: T) -> T:
        return y * torch.tanh(F.softplus(y))

    x = mish(n.cb(x, 16, 5, 4))
    for width in (24, 32):
        a, b = mish(n.cb(x, width, 3, 2)).chunk(2, 1)
        x = torch.cat([a, b + mish(n.cb(mish(n.cb(b, width // 2, 1)), width // 2))], 1)
    return n.embed(x)


def conv_mixer(n: Net, x: T) -> T:
    """Write a small ConvMixer: patches of 8, depthwise kernels of 5, pointwise layers."""
    x = n.bn(F.gelu(n.conv(x, 24, 8, 8, padding=0)))
    for _ in range(2):
        x = x + n.bn(F.gelu(n.conv(x, 24, 5, 1, -1)))
        x = n.bn(F.gelu(n.conv(x, 24, 1)))
    return n.gdc(x)


def blaze(n: Net, x: T) -> T:
    """Write a small BlazeFace: depthwise kernels of 5, and shortcuts by pooling and more channels."""
    x = n.cbr(x, 12, 5, 2)
    for width in (18, 24, 32):
        y = n.cb(n.conv(x, int(x.shape[1]), 5, 2, -1), width, 1)
        short = F.pad(F.max_pool2d(x, 2), (0, 0, 0, 0, 0, width - int(x.shape[1])))
        x = F.relu(y + short)
    return n.embed(x, 64)


def res2(n: Net, x: T) -> T:
    """Write a small Res2Net: four parts of the maps, each of which gets what the one before has become."""
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.down(x, width)
        parts = n.cbr(x, width, 1).chunk(4, 1)
        y: list[T] = []
        for i, part in enumerate(parts):
            y.append(part if i == 0 else n.cbr(part + y[-1] if i > 1 else part, width // 4))
        x = F.relu(x + n.cb(torch.cat(y, 1), width, 1))
    return n.gdc(x)


def wide_kernels(n: Net, x: T) -> T:
    """Write a small network of ELU and dilated kernels."""
    x = F.elu(n.cb(x, 12, 3, 2))
    for width, d in ((16, 2), (20, 2), (28, 1)):
        x = F.elu(n.cb(F.avg_pool2d(x, 2), width, 3, 1, dilation=d))
    return n.embed(x, 64)


def waves(size: int) -> tuple[T, T]:
    """Return cosines and sines of a Fourier transform of this size, divided by its root."""
    angle = 2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
    c, s = (torch.from_numpy((f(angle) / size**0.5).astype(np.float32)) for f in (np.cos, np.sin))
    return c, s


def transformed(t: T) -> T:
    """Return the real part of the Fourier transform of tokens over places and channels."""
    (a, b), (c, d) = waves(int(t.shape[1])), waves(int(t.shape[2]))
    return a @ t @ c - b @ t @ d
