"""The plain convolutional backbone that many of the named networks share."""

from __future__ import annotations

import onnx

from evaluation.named import EMBEDDING, NamedBuilder

LAST = 24


def stem(net: NamedBuilder, x: str, name: str = "stem", channels: int = 3) -> str:
    """Halve the side: [B, 3, 2s, 2s] to [B, 16, s, s]. A 4x4 kernel at stride 2 covers the image symmetrically."""
    return net.conv(x, name, (16, channels, 4, 4), 2, 1)


def trunk(net: NamedBuilder, x: str, side: int = 7) -> str:
    """Run the shared body and head: [B, 16, 56, 56] to [B, 64]; ``side`` is that of the last feature map."""
    x = net.conv(x, "c2", (24, 16, 4, 4), 2, 1)
    return late(net, residual(net, x, "r2", 24), 24, side)


def residual(net: NamedBuilder, x: str, name: str, width: int) -> str:
    return net.op(
        "Add", x, net.conv(net.conv(x, f"{name}a", (width, width, 3, 3), pad=1), f"{name}b", (width, width, 1, 1))
    )


def late(net: NamedBuilder, x: str, width: int, side: int = 7) -> str:
    """Run the last two reductions and the head: [B, width, 28, 28] to [B, 64]."""
    x = net.conv(x, "c3", (32, width, 4, 4), 2, 1)
    x = net.conv(x, "c4", (LAST, 32, 4, 4), 2, 1)
    return head(net, x, LAST, side)


def head(net: NamedBuilder, x: str, width: int, side: int) -> str:
    """Flatten and embed: [B, width, side, side] to [B, 64]."""
    return net.linear(net.op("Flatten", x, axis=1), "embed", width * side * side, EMBEDDING)


def plain(net: NamedBuilder, x: str = "data") -> str:
    """Run the ordinary network: [B, 3, 112, 112] to [B, 64]."""
    return trunk(net, stem(net, x))


def single(seed: int, opset: int = 13) -> onnx.ModelProto:
    """Build the ordinary network of a seed, which sees one view."""
    net = NamedBuilder(seed, opset)
    return net.model(plain(net))
