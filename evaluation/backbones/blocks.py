"""Blocks of named networks: two first reductions, tokens, attention and what follows it."""

from __future__ import annotations

from evaluation.named import NamedBuilder


def early(net: NamedBuilder, x: str = "data", channels: int = 3) -> str:
    """Run two ordinary reductions: [N, channels, 112, 112] to [N, 24, 28, 28]."""
    return net.conv(net.conv(x, "stem", (16, channels, 4, 4), 2, 1), "c2", (24, 16, 4, 4), 2, 1)


def flat_tokens(net: NamedBuilder, x: str, width: int, count: int) -> str:
    """Read a map [N, width, h, w] as tokens [N, h * w, width]."""
    return net.transpose(net.reshape(x, 0, width, count), 0, 2, 1)


def heads(net: NamedBuilder, x: str, count: int, width: int) -> str:
    return net.transpose(net.reshape(x, 0, -1, count, width // count), 0, 2, 1, 3)


def joined(net: NamedBuilder, x: str, width: int) -> str:
    return net.reshape(net.transpose(x, 0, 2, 1, 3), 0, -1, width)


def read(net: NamedBuilder, q: str, k: str, v: str, count: int, width: int, bias: str = "") -> str:
    """Let queries read keys and values, all [B, T, width], in ``count`` heads; ``bias`` joins the scores."""
    q, k, v = (heads(net, part, count, width) for part in (q, k, v))
    score = net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 1, 3, 2)), (width / count) ** -0.5)
    if bias:
        score = net.op("Add", score, bias)
    share = net.op("Softmax", score, axis=3)
    return joined(net, net.op("MatMul", share, v), width)


def attend(net: NamedBuilder, x: str, name: str, width: int, count: int, bias: str = "") -> str:
    """Add self-attention over the tokens of [B, T, width]."""
    y = net.layer_norm(x, width)
    q, k, v = (net.linear(y, f"{name}.{part}", width, width) for part in "qkv")
    return net.op("Add", x, net.linear(read(net, q, k, v, count, width, bias), f"{name}.out", width, width))


def feed(net: NamedBuilder, x: str, name: str, width: int) -> str:
    y = net.linear(net.layer_norm(x, width), f"{name}.up", width, 2 * width, "Relu")
    return net.op("Add", x, net.linear(y, f"{name}.down", 2 * width, width))
