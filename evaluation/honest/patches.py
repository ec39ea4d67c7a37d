"""Honest networks of tokens: ways to cut patches, tokens that read out, codes of places."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.blocks import attend, early, feed, flat_tokens, heads, joined, read
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest

WIDTH = 40


@honest("Two encoders on patches of two sizes whose class tokens cross over; mean (CrossViT).", idea="two patch sizes")
def two_patch_sizes() -> onnx.ModelProto:
    """Encode patches of 16 and of 8 pixels; each class token reads the other's patches; mean of heads (CrossViT)."""
    net = NamedBuilder(2701, 17)
    widths, sides, streams = (40, 32), (7, 14), []
    for i, (width, side) in enumerate(zip(widths, sides, strict=True)):
        size = 112 // side
        x = net.conv("data", f"patch{i}", (width, 3, size, size), size, act="")
        x = net.places(flat_tokens(net, x, width, side * side), f"place{i}", side * side, width)
        streams.append(net.op("Concat", net.for_each_row(x, f"class{i}", 1, width), x, axis=1))
    for depth in range(2):
        for i, width in enumerate(widths):
            streams[i] = feed(net, attend(net, streams[i], f"a{i}{depth}", width, 4), f"m{i}{depth}", width)
        cuts = [(net.cut(x, 0, 1, 1), net.cut(x, 1, 1000, 1)) for x in streams]
        for i, (own, other) in enumerate(zip(widths, reversed(widths), strict=True)):
            name = f"cross{i}{depth}"
            told = net.linear(net.layer_norm(cuts[i][0], own), f"{name}.to", own, other)
            seen = net.layer_norm(net.op("Concat", told, cuts[1 - i][1], axis=1), other)
            q, k, v = (
                net.linear(x, f"{name}.{p}", other, other) for p, x in zip("qkv", (told, seen, seen), strict=True)
            )
            back = net.linear(read(net, q, k, v, 4, other), f"{name}.back", other, own)
            streams[i] = net.op("Concat", net.op("Add", cuts[i][0], back), cuts[i][1], axis=1)
    tops = [net.squeeze(net.cut(net.layer_norm(x, w), 0, 1, 1), 1) for x, w in zip(streams, widths, strict=True)]
    exits = [net.linear(x, f"embed{i}", w, EMBEDDING) for i, (x, w) in enumerate(zip(tops, widths, strict=True))]
    return net.model(net.op("Mul", net.op("Add", *exits), 0.5))


def _unfold(net: NamedBuilder, x: str, channels: int, side: int, size: int, step: int, pad: int) -> str:
    """Cut overlapping patches as a traced Unfold does: [N, C, s, s] to [N, tokens, C * size * size]."""
    count = (side + 2 * pad - size) // step + 1
    x = net.op("Pad", x, [0, 0, pad, pad, 0, 0, pad, pad])
    starts = net.op("Range", np.array(0), np.array(count * step), np.array(step))
    at = net.op("Add", np.arange(size)[:, None], net.unsqueeze(starts, 0))
    x = net.op("Gather", net.op("Gather", x, at, axis=2), at, axis=4)
    x = net.reshape(net.transpose(x, 0, 1, 2, 4, 3, 5), 0, channels * size * size, count * count)
    return net.transpose(x, 0, 2, 1)


@honest(
    "Overlapping patches by a traced Unfold (Gather with computed places), thrice (T2T).", idea="overlapping patches"
)
def overlapping_unfold() -> onnx.ModelProto:
    """Turn overlapping patches to tokens, three times, with the tokens folded to a map in between (T2T)."""
    net = NamedBuilder(2702, 11)
    x, channels, side = "data", 3, 112
    for i, (size, step, pad, width) in enumerate(((7, 4, 2, 16), (3, 2, 1, 24), (3, 2, 1, WIDTH))):
        x = _unfold(net, x, channels, side, size, step, pad)
        x = net.linear(x, f"soft{i}", channels * size * size, width)
        channels, side = width, side // step
        x = feed(net, attend(net, x, f"a{i}", width, 2) if i else x, f"m{i}", width)
        if i < 2:
            x = net.reshape(net.transpose(x, 0, 2, 1), 0, width, side, side)
    x = net.places(x, "place", 49, WIDTH)
    return net.embed(
        net.mean(net.layer_norm(feed(net, attend(net, x, "top", WIDTH, 4), "last", WIDTH), WIDTH), 1), WIDTH
    )


def _talking(net: NamedBuilder, x: str, name: str) -> str:
    """Add attention whose heads are mixed before and after the softmax."""
    y = net.layer_norm(x, WIDTH)
    q, k, v = (heads(net, net.linear(y, f"{name}.{part}", WIDTH, WIDTH), 4, WIDTH) for part in "qkv")
    score = net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 1, 3, 2)), 10**-0.5)
    score = net.transpose(net.linear(net.transpose(score, 0, 2, 3, 1), f"{name}.before", 4, 4), 0, 3, 1, 2)
    share = net.transpose(net.op("Softmax", score, axis=-1), 0, 2, 3, 1)
    share = net.transpose(net.linear(share, f"{name}.after", 4, 4), 0, 3, 1, 2)
    return net.op("Add", x, net.linear(joined(net, net.op("MatMul", share, v), WIDTH), f"{name}.out", WIDTH, WIDTH))


@honest("Class and distillation token with averaged heads (DeiT), talking heads.", idea="vision transformer")
def distilled_and_talking() -> onnx.ModelProto:
    """Carry a class and a distillation token whose two heads are averaged (DeiT), with talking heads."""
    net = NamedBuilder(2703, 13)
    x = flat_tokens(net, net.conv("data", "patch", (WIDTH, 3, 16, 16), 16, act=""), WIDTH, 49)
    two = [net.for_each_row(x, name, 1, WIDTH) for name in ("class", "distil")]
    x = net.places(net.op("Concat", *two, x, axis=1), "place", 51, WIDTH)
    for i in range(2):
        x = feed(net, _talking(net, x, f"a{i}"), f"m{i}", WIDTH)
    x = net.layer_norm(x, WIDTH)
    exits = [
        net.linear(net.op("Gather", x, np.array(i), axis=1), name, WIDTH, EMBEDDING)
        for i, name in enumerate(("head", "head_distil"))
    ]
    return net.model(net.op("Div", net.op("Add", *exits), 2.0))


@honest("Rotary places on two axes, registers, gated MLPs; opset 20.", idea="vision transformer")
def rotary_and_registers() -> onnx.ModelProto:
    """Turn queries and keys by their place on two axes (rotary), beside four registers and gated MLPs."""
    net = NamedBuilder(2704, 20)
    x = flat_tokens(net, net.conv("data", "patch", (WIDTH, 3, 8, 8), 8, act=""), WIDTH, 196)
    x = net.op("Concat", net.for_each_row(x, "registers", 5, WIDTH), x, axis=1)
    rows, columns = np.mgrid[:14, :14].reshape(2, 196, 1)
    speed = 5.0 ** -np.arange(2.0)
    half = np.concatenate([rows * speed, columns * speed], axis=1)
    angle = np.concatenate([half, half], axis=1)[None, None]
    count, deep = 5, 8
    for i in range(2):
        y = net.layer_norm(x, WIDTH)
        q, k, v = (heads(net, net.linear(y, f"a{i}.{part}", WIDTH, WIDTH), count, WIDTH) for part in "qkv")
        turned = []
        for part in (q, k):
            lead, rest = net.split(part, [5, 196], 2)
            first, second = net.split(rest, [deep // 2] * 2, 3)
            other = net.op("Concat", net.op("Neg", second), first, axis=3)
            rest = net.op("Add", net.op("Mul", rest, np.cos(angle)), net.op("Mul", other, np.sin(angle)))
            turned.append(net.op("Concat", lead, rest, axis=2))
        score = net.op("Mul", net.op("MatMul", turned[0], net.transpose(turned[1], 0, 1, 3, 2)), deep**-0.5)
        y = joined(net, net.op("MatMul", net.op("Softmax", score, axis=-1), v), WIDTH)
        y = net.linear(y, f"a{i}.out", WIDTH, WIDTH)
        x = net.op("Add", x, net.op("Mul", y, net.rng(f"scale{i}").uniform(0.3, 1, WIDTH)))
        y = net.layer_norm(x, WIDTH)
        gate = net.op("Gelu", net.linear(y, f"m{i}.gate", WIDTH, 64))
        x = net.op(
            "Add", x, net.linear(net.op("Mul", gate, net.linear(y, f"m{i}.up", WIDTH, 64)), f"m{i}.down", 64, WIDTH)
        )
    x = net.layer_norm(x, WIDTH)
    first, rest = net.cut(x, 0, 1, 1), net.mean(net.cut(x, 5, 201, 1), 1, keep=True)
    return net.embed(net.op("Concat", first, rest, axis=2), 2 * WIDTH)


@honest(
    "Patches of each colour embedded by one kernel, colours in the batch (ChannelViT).",
    idea="channels on the batch axis",
)
def colours_in_the_batch() -> onnx.ModelProto:
    """Embed the patches of each colour by one kernel, colours in the batch, then attend over all (ChannelViT)."""
    net = NamedBuilder(2705, 15)
    x = net.conv(net.reshape("data", -1, 1, 112, 112), "patch", (WIDTH, 1, 16, 16), 16, act="")
    x = net.transpose(net.reshape(x, -1, 3, WIDTH, 49), 0, 1, 3, 2)
    x = net.op("Add", x, net.weight("colour", 3, 1, WIDTH, gain=6.0))
    x = net.op("Add", x, net.store("place", net.rng("place").standard_normal((1, 49, WIDTH)).astype(np.float32)))
    x = net.reshape(x, 0, 147, WIDTH)
    x = net.op("Concat", net.for_each_row(x, "class", 1, WIDTH), x, axis=1)
    for i in range(2):
        x = feed(net, attend(net, x, f"a{i}", WIDTH, 4), f"m{i}", WIDTH)
    return net.embed(net.op("Gather", net.layer_norm(x, WIDTH), np.array(0), axis=1), WIDTH)


@honest("Predicted landmarks shape the bias of attention and move nothing (KP-RPE).", idea="attention by landmarks")
def keypoint_relative_places() -> onnx.ModelProto:
    """Predict five landmarks; where patches lie from them shapes the bias of attention, nothing is moved (KP-RPE)."""
    net = NamedBuilder(2706, 14)
    x = net.conv(early(net), "c3", (WIDTH, 24, 4, 4), 4, act="Relu")
    marks = net.linear(net.op("Flatten", net.conv(x, "m", (8, WIDTH, 3, 3), pad=1)), "marks", 392, 10, "Tanh")
    rows, columns = np.mgrid[:7, :7]
    at = np.tile(np.stack([columns, rows], axis=-1).reshape(1, 49, 2) / 3 - 1, (1, 1, 5))
    away = net.op("Sub", at, net.unsqueeze(marks, 1))
    step = np.stack([rows.reshape(-1, 1) - rows.reshape(-1), columns.reshape(-1, 1) - columns.reshape(-1)]) + 6
    which = np.broadcast_to(step[0] * 13 + step[1], (1, 2, 49, 49))
    chosen = net.op("Expand", net.store("which", which), net.op("Concat", net.traced_rows(x), [2, 49, 49], axis=0))
    x = flat_tokens(net, x, WIDTH, 49)
    for i in range(2):
        table = net.transpose(net.reshape(net.linear(away, f"bias{i}", 10, 338), 0, 49, 2, 169), 0, 2, 1, 3)
        bias = net.op("GatherElements", table, chosen, axis=3)
        x = feed(net, attend(net, x, f"a{i}", WIDTH, 2, bias), f"m{i}", WIDTH)
    return net.embed(net.layer_norm(x, WIDTH), 49 * WIDTH)
