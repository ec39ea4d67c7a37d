"""The ordinary networks behind the evasions: each takes images of one kind and gives one embedding per image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evaluation.named import EMBEDDING, NamedBuilder

Body = Callable[[NamedBuilder, str], str]


def norm(net: NamedBuilder, x: str, name: str, width: int, spread: float = 1.0) -> str:
    """Batch normalisation with the statistics of a training that is over; ``spread`` is what it has seen."""
    rng = net.rng(name)
    values = {
        "scale": rng.uniform(0.7, 1.3, width),
        "shift": 0.2 * rng.standard_normal(width),
        "mean": 0.2 * rng.standard_normal(width),
        "var": spread * rng.uniform(0.5, 1.5, width),
    }
    return net.op("BatchNormalization", x, *[net.store(f"{name}.{k}", v.astype(np.float32)) for k, v in values.items()])


def prelu(net: NamedBuilder, x: str, name: str, width: int) -> str:
    slope = net.rng(f"{name}.slope").uniform(0.1, 0.4, (width, 1, 1)).astype(np.float32)
    return net.op("PRelu", x, net.store(f"{name}.slope", slope))


def inverted_residual(net: NamedBuilder, x: str, name: str, width: int, factor: int = 2) -> str:
    wide = width * factor
    y = prelu(net, net.conv(x, f"{name}.up", (wide, width, 1, 1), act=""), f"{name}.up", wide)
    y = prelu(net, net.conv(y, f"{name}.dw", (wide, 1, 3, 3), pad=1, act="", group=wide), f"{name}.dw", wide)
    return net.op("Add", x, net.conv(y, f"{name}.down", (width, wide, 1, 1), act=""))


def mobile(net: NamedBuilder, x: str) -> str:
    """MobileFaceNet in small: depthwise reductions, inverted residuals, a global depthwise convolution."""
    x = prelu(net, net.conv(x, "stem", (16, 3, 4, 4), 2, 1, act=""), "stem", 16)
    for i, (cin, cout) in enumerate(((16, 32), (32, 40), (40, 48))):
        x = net.conv(x, f"reduce{i}", (cin, 1, 4, 4), 2, 1, group=cin)
        x = net.conv(x, f"widen{i}", (cout, cin, 1, 1), act="")
        x = inverted_residual(net, x, f"block{i}", cout)
    x = net.conv(x, "gdc", (48, 1, 7, 7), act="", group=48)
    return net.linear(net.op("Flatten", x), "embed", 48, EMBEDDING)


def features(net: NamedBuilder, x: str) -> str:
    """Residual features with unmerged normalisation: [B, 3, s, s] to [B, 32, s / 16, s / 16]."""
    x = prelu(net, norm(net, net.conv(x, "stem", (12, 3, 4, 4), 2, 1, act=""), "stem", 12), "stem", 12)
    for i, (cin, cout) in enumerate(((12, 16), (16, 24), (24, 32))):
        x = net.conv(x, f"reduce{i}", (cout, cin, 4, 4), 2, 1, act="")
        x = prelu(net, norm(net, x, f"reduce{i}", cout), f"reduce{i}", cout)
        if i:
            y = net.conv(norm(net, x, f"pre{i}", cout), f"res{i}a", (cout, cout, 3, 3), pad=1, act="")
            y = prelu(net, y, f"res{i}a", cout)
            y = norm(net, net.conv(y, f"res{i}b", (cout, cout, 3, 3), pad=1, act=""), f"res{i}b", cout)
            x = net.op("Add", x, y)
    return x


def flat(net: NamedBuilder, x: str) -> str:
    return net.linear(net.op("Flatten", norm(net, x, "last", 32)), "embed", 32 * 49, EMBEDDING)


def pooled(net: NamedBuilder, x: str) -> str:
    y = net.conv(x, "wide", (96, 32, 1, 1))
    return net.linear(net.op("Flatten", net.op("GlobalAveragePool", y)), "embed", 96, EMBEDDING)


def resnet(net: NamedBuilder, x: str) -> str:
    return flat(net, features(net, x))


def resnet_any_size(net: NamedBuilder, x: str) -> str:
    return pooled(net, features(net, x))


WIDTH, HEADS, TOKENS = 40, 4, 49


def tokens(net: NamedBuilder, x: str, embedded: bool = False) -> str:
    """Embed 7 x 7 patches: [B, 3, 112, 112] to [B, 49, 40], places added; ``embedded`` takes [B, 40, 7, 7]."""
    if not embedded:
        x = net.conv(x, "patch", (WIDTH, 3, 16, 16), 16, act="")
    x = net.transpose(net.reshape(x, 0, WIDTH, TOKENS), 0, 2, 1)
    return net.op("Add", x, net.store("place", net.rng("place").standard_normal((1, TOKENS, WIDTH)).astype(np.float32)))


def attention(net: NamedBuilder, x: str, name: str, bias: str = "") -> str:
    """Multi-head self-attention over the last axis but one, whatever stands before it; ``bias`` joins the scores."""
    lead = 2 if bias else 1
    y = net.linear(net.layer_norm(x, WIDTH), f"{name}.qkv", WIDTH, 3 * WIDTH)
    heads = []
    for part in net.split(y, [WIDTH] * 3, lead + 1):
        part = net.reshape(part, *[0] * lead, 0, HEADS, WIDTH // HEADS)
        heads.append(net.transpose(part, *range(lead), lead + 1, lead, lead + 2))
    q, k, v = heads
    k = net.transpose(k, *range(lead + 1), lead + 2, lead + 1)
    score = net.op("Mul", net.op("MatMul", q, k), (WIDTH / HEADS) ** -0.5)
    if bias:
        score = net.op("Add", score, bias)
    mixed = net.op("MatMul", net.op("Softmax", score, axis=-1), v)
    mixed = net.transpose(mixed, *range(lead), lead + 1, lead, lead + 2)
    mixed = net.reshape(mixed, *[0] * lead, 0, WIDTH)
    return net.op("Add", x, net.linear(mixed, f"{name}.out", WIDTH, WIDTH))


def mlp(net: NamedBuilder, x: str, name: str, width: int = WIDTH, act: str = "Relu") -> str:
    y = net.linear(net.layer_norm(x, width), f"{name}.up", width, 2 * width, act)
    return net.op("Add", x, net.linear(y, f"{name}.down", 2 * width, width))


def transformer(net: NamedBuilder, x: str, embedded: bool = False) -> str:
    x = tokens(net, x, embedded)
    for i in range(2):
        x = mlp(net, attention(net, x, f"att{i}"), f"mlp{i}")
    return net.linear(net.mean(net.layer_norm(x, WIDTH), 1), "embed", WIDTH, EMBEDDING)
