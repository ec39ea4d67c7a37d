"""Parts that honest networks of this set have in common; no network by itself."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T


def ir(n: Net, x: T, width: int, s: int = 1) -> T:
    """Write a unit of insightface's iResNet."""
    y = n.cb(n.cbp(n.bn(x), width), width, 3, s)
    return y + (x if s == 1 and x.shape[1] == width else n.cb(x, width, 1, s))


def ir_trunk(n: Net, x: T, *widths: int) -> T:
    """Write iResNet units of stride 2 behind a stem of stride 2."""
    y = n.cbp(x, 12, 3, 2)
    for w in widths:
        y = ir(n, y, w, 2)
    return y


def separable(n: Net, x: T, width: int, k: int = 3, s: int = 1) -> T:
    """Write ReLU, a depthwise and a pointwise layer and BatchNorm, as searched cells have them."""
    return n.cb(n.conv(F.relu(x), int(x.shape[1]), k, s, -1, bias=False), width, 1)


def mbconv(n: Net, x: T, width: int, k: int = 3, s: int = 1, factor: int = 3) -> T:
    """Write an inverted residual with SiLU and without gates."""
    mid = int(x.shape[1]) * factor
    y = n.cb(F.silu(n.cb(F.silu(n.cb(x, mid, 1)), mid, k, s, -1)), width, 1)
    return x + y if s == 1 and int(x.shape[1]) == width else y


def join(n: Net, mixed: T) -> T:
    """Bring heads [N, H, L, C] together and project: [N, L, H * C]."""
    h, length, c = (int(s) for s in mixed.shape[1:])
    return n.linear(mixed.transpose(1, 2).reshape(-1, length, h * c), h * c)


def rms(n: Net, x: T) -> T:
    """Divide tokens by their quadratic mean and scale."""
    return x * (x.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt() * (1 + n.weight(int(x.shape[-1])))
