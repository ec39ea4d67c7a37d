"""Parts that honest networks of this set have in common; no network by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T


def residual_face(n: Net, x: T, dim: int = 128) -> T:
    """Write a small iResNet behind a front of the image's size."""
    x = n.cbp(x, 12, 3, 2)
    for w in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), w), w, 3, 2) + n.cb(x, w, 1, 2)
    return n.embed(n.bn(x), dim)


def mobile_face(n: Net, x: T, dim: int = 128) -> T:
    """Write a small MobileFaceNet behind a front of the image's size."""
    x = n.cbp(x, 16, 3, 2)
    for w in (16, 24, 32):
        x = n.inverted(x, w, 2)
    return n.gdc(x, dim)


def deep(n: Net, x: T, width: int = 32) -> T:
    """Make features [N, width, 14, 14] of the image."""
    return n.down(n.stem(x, 20), width)


def last(n: Net, x: T, width: int = 32) -> T:
    """Make features [N, width, 7, 7] of the image."""
    return n.down(deep(n, x, 28), width)


def up(x: T, factor: float = 2.0, mode: str = "bilinear") -> T:
    """Bring features to a finer size."""
    return F.interpolate(x, scale_factor=factor, mode=mode)


def matrix(rows: list[list[float]]) -> T:
    """Return stored numbers."""
    return torch.tensor(rows)
