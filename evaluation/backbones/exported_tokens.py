"""Ordinary transformers behind the evasions: images to one embedding each."""

from __future__ import annotations

import numpy as np

from evaluation.builder import Array
from evaluation.exported import ExportBuilder
from evaluation.named import EMBEDDING

WIDTH, HEADS, PATCHES = 48, 4, 49


def attention(net: ExportBuilder, x: str, name: str, width: int, bias: str = "", lead: int = 1) -> str:
    """Self-attention over the last axis but one, behind ``lead`` axes that are kept; ``bias`` joins the scores."""
    y = net.linear(x, f"{name}.qkv", width, 3 * width)
    heads = []
    for part in net.split(y, [width] * 3, lead + 1):
        part = net.reshape(part, *[0] * lead, -1, HEADS, width // HEADS)
        heads.append(net.transpose(part, *range(lead), lead + 1, lead, lead + 2))
    q, k, v = heads
    score = net.op("MatMul", q, net.transpose(k, *range(lead + 1), lead + 2, lead + 1))
    score = net.op("Mul", score, (width / HEADS) ** -0.5)
    if bias:
        score = net.op("Add", score, bias)
    # Before opset 13 the axis must be the last one, counted from the front.
    mixed = net.op("MatMul", net.op("Softmax", score, axis=lead + 2), v)
    mixed = net.transpose(mixed, *range(lead), lead + 1, lead, lead + 2)
    return net.linear(net.reshape(mixed, *[0] * lead, -1, width), f"{name}.proj", width, width)


def block(net: ExportBuilder, x: str, name: str, width: int, bias: str = "", lead: int = 1) -> str:
    x = net.op("Add", x, attention(net, net.norm(x, f"{name}.norm1", width), f"{name}.attn", width, bias, lead))
    y = net.gelu(net.linear(net.norm(x, f"{name}.norm2", width), f"{name}.fc1", width, 2 * width))
    return net.op("Add", x, net.linear(y, f"{name}.fc2", 2 * width, width))


def patches(net: ExportBuilder, x: str) -> str:
    """Embed 16 x 16 patches: [B, 3, 112, w] to [B, 7 * w / 16, 48]."""
    x = net.conv(x, "patch_embed", (WIDTH, 3, 16, 16), 16, act="")
    return net.transpose(net.reshape(x, 0, WIDTH, -1), 0, 2, 1)


def places(net: ExportBuilder) -> str:
    return net.store("pos_embed", net.rng("pos_embed").standard_normal((1, PATCHES, WIDTH)).astype(np.float32))


def with_class_token(net: ExportBuilder, x: str) -> str:
    """Put a token, the same for all rows, before the others."""
    token = net.store("cls_token", net.rng("cls_token").standard_normal((1, 1, WIDTH)).astype(np.float32))
    shape = net.op("Concat", net.rows(x), [1, WIDTH], axis=0)
    return net.op("Concat", net.op("Expand", token, shape), x, axis=1)


def encoder(net: ExportBuilder, x: str) -> str:
    """Run two layers and embed the class token: [B, 1 + T, 48] to [B, 64]."""
    for i in range(2):
        x = block(net, x, f"blocks.{i}", WIDTH)
    token = net.op("Gather", net.norm(x, "norm", WIDTH), np.array(0), axis=1)
    return net.linear(token, "head", WIDTH, EMBEDDING)


def vit(net: ExportBuilder, x: str) -> str:
    return encoder(net, with_class_token(net, net.op("Add", patches(net, x), places(net))))


SWIN, WINDOW = 24, 7


def swin_patches(net: ExportBuilder, x: str) -> str:
    """Embed 4 x 4 patches, channels last: [B, 3, 112, 112] to [B, 28, 28, 24]."""
    return net.transpose(net.conv(x, "patch_embed", (SWIN, 3, 4, 4), 4, act=""), 0, 2, 3, 1)


def relative_bias(net: ExportBuilder, name: str, mirror: bool = False) -> Array:
    """Give a bias for each pair of places in a 7 x 7 window by how far they are apart: [heads, 49, 49]."""
    table = net.rng(name).standard_normal((13, 13, HEADS)).astype(np.float32)
    row, column = np.divmod(np.arange(WINDOW**2), WINDOW)
    down, right = np.subtract.outer(row, row) + 6, np.subtract.outer(column, column) + 6
    return np.asarray(table[down, 12 - right if mirror else right].transpose(2, 0, 1))


def _windows(net: ExportBuilder, x: str, name: str, side: int, width: int) -> str:
    """Attend inside windows that are folded into the batch axis, then unfold them."""
    count = side // WINDOW
    x = net.transpose(net.reshape(x, -1, count, WINDOW, count, WINDOW, width), 0, 1, 3, 2, 4, 5)
    bias = net.store(f"{name}.bias", relative_bias(net, f"{name}.table"))
    x = block(net, net.reshape(x, -1, WINDOW**2, width), name, width, bias)
    x = net.transpose(net.reshape(x, -1, count, count, WINDOW, WINDOW, width), 0, 1, 3, 2, 4, 5)
    return net.reshape(x, -1, side, side, width)


def _rolled(net: ExportBuilder, x: str, axis: int, move: int) -> str:
    side = 14
    return net.op("Concat", net.cut(x, move, side, axis), net.cut(x, 0, move, axis), axis=axis)


def swin_layers(net: ExportBuilder, x: str) -> str:
    """Windows, patch merging, rolled windows, a weight for each place: [B, 28, 28, 24] to [B, 64]."""
    x = _windows(net, x, "layers.0", 28, SWIN)
    parts = [net.op("Slice", x, [i, j], [28, 28], [1, 2], [2, 2]) for j in range(2) for i in range(2)]
    x = net.norm(net.op("Concat", *parts, axis=3), "merge_norm", 4 * SWIN)
    x = net.linear(x, "merge", 4 * SWIN, WIDTH)
    x = _rolled(net, _rolled(net, x, 1, 3), 2, 3)
    x = _windows(net, x, "layers.1", 14, WIDTH)
    x = _rolled(net, _rolled(net, x, 1, 11), 2, 11)
    x = net.transpose(net.norm(x, "norm", WIDTH), 0, 3, 1, 2)
    x = net.conv(x, "gdc", (WIDTH, 1, 14, 14), act="", group=WIDTH)
    return net.linear(net.op("Flatten", x), "head", WIDTH, EMBEDDING)


def swin(net: ExportBuilder, x: str) -> str:
    return swin_layers(net, swin_patches(net, x))
