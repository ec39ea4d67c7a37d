"""How the networks of this set end: maps of any size to an embedding, with a head of moderate size."""

from __future__ import annotations

from evaluation.blind4.layers import Net, T


def tail(n: Net, x: T, width: int = 32, dim: int = 64) -> T:
    """Stride down to 7 x 7, then a linear layer over all places, and BatchNorm."""
    while x.shape[2] > 7:
        x = n.down(x, width)
    return n.embed(x, dim)
