"""Honest networks whose features attend in windows, on grids, to halos and to their nearest neighbours."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.blocks import attend, early, feed, flat_tokens, read
from evaluation.named import NamedBuilder
from evaluation.registry import honest

WIDTH = 32


def _relative(side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    at = np.mgrid[:side, :side].reshape(2, -1)
    rows, columns = at[:, :, None] - at[:, None] + side - 1
    return np.asarray(rows * (2 * side - 1) + columns)


@honest("Attention in blocks and among places two apart, both in the batch (MaxViT).", idea="windows on the batch axis")
def blocks_and_grids() -> onnx.ModelProto:
    """Attend in blocks of neighbours, then among places two apart, both folded into the batch (MaxViT)."""
    net = NamedBuilder(2801, 13)
    x = net.conv(early(net), "c3", (WIDTH, 24, 4, 4), 2, 1)
    y = net.conv(net.conv(x, "up", (64, WIDTH, 1, 1)), "dw", (64, 1, 3, 3), pad=1, group=64)
    x = net.op("Add", x, net.conv(y, "down", (WIDTH, 64, 1, 1), act=""))
    for i, (cut, to, back) in enumerate(
        (((2, 7, 2, 7), (0, 2, 4, 3, 5, 1), (0, 5, 1, 3, 2, 4)), ((7, 2, 7, 2), (0, 3, 5, 2, 4, 1), (0, 5, 3, 1, 4, 2)))
    ):
        w = net.reshape(net.transpose(net.reshape(x, 0, WIDTH, *cut), *to), -1, 49, WIDTH)
        table = net.op("Gather", net.weight(f"table{i}", 169, 4, gain=2.0), _relative(7), axis=0)
        bias = net.unsqueeze(net.transpose(table, 2, 0, 1), 0)
        w = feed(net, attend(net, w, f"a{i}", WIDTH, 4, bias), f"m{i}", WIDTH)
        x = net.reshape(net.transpose(net.reshape(w, -1, 2, 2, 7, 7, WIDTH), *back), 0, WIDTH, 14, 14)
    return net.embed(net.conv(x, "c4", (24, WIDTH, 4, 4), 2, 1), 24 * 49)


@honest("Blocks of features read overlapping margins around them, in the batch (HaloNet).", idea="overlapping windows")
def halos_around_blocks() -> onnx.ModelProto:
    """Let each block of features read itself and a margin of its neighbours, overlapping and in the batch (HaloNet)."""
    net = NamedBuilder(2802, 12)
    x = net.conv(early(net), "c3", (WIDTH, 24, 4, 4), 2, 1)
    for i in range(2):
        blocks = net.transpose(net.reshape(x, 0, WIDTH, 2, 7, 2, 7), 0, 2, 4, 3, 5, 1)
        blocks = net.reshape(blocks, -1, 49, WIDTH)
        wide = net.op("Pad", x, [0, 0, 3, 3, 0, 0, 3, 3])
        at = np.arange(2)[:, None] * 7 + np.arange(13)
        halos = net.op("Gather", net.op("Gather", wide, at, axis=2), at, axis=4)
        halos = net.reshape(net.transpose(halos, 0, 2, 4, 3, 5, 1), -1, 169, WIDTH)
        q = net.linear(net.layer_norm(blocks, WIDTH), f"h{i}.q", WIDTH, WIDTH)
        k, v = (net.linear(net.layer_norm(halos, WIDTH), f"h{i}.{part}", WIDTH, WIDTH) for part in "kv")
        bias = net.weight(f"h{i}.bias", 1, 2, 49, 169, gain=60.0)
        y = net.linear(read(net, q, k, v, 2, WIDTH, bias), f"h{i}.out", WIDTH, WIDTH)
        y = feed(net, net.op("Add", blocks, y), f"h{i}.m", WIDTH)
        y = net.transpose(net.reshape(y, -1, 2, 2, 7, 7, WIDTH), 0, 5, 1, 3, 2, 4)
        x = net.reshape(y, 0, WIDTH, 14, 14)
    return net.embed(net.conv(x, "c4", (24, WIDTH, 4, 4), 2, 1), 24 * 49)


@honest("Each place joined to its nearest in likeness by TopK and GatherND (Vision GNN).", idea="selection")
def graph_of_places() -> onnx.ModelProto:
    """Join each place of the features to its eight nearest in likeness and take what differs most (Vision GNN)."""
    net = NamedBuilder(2803, 16)
    x = flat_tokens(net, net.conv(early(net), "c3", (WIDTH, 24, 4, 4), 2, 1), WIDTH, 196)
    for i in range(2):
        y = net.linear(net.layer_norm(x, WIDTH), f"g{i}.in", WIDTH, WIDTH)
        unit = net.op("Div", y, net.op("Add", net.reduce("L2", y, 2, keep=True), 1e-4))
        alike = net.op("MatMul", unit, net.transpose(unit, 0, 2, 1))
        _, near = net.ops("TopK", alike, [9], outputs=2, axis=2)
        others = net.op("GatherND", y, net.unsqueeze(net.reshape(near, 0, 1764), 2), batch_dims=1)
        apart = net.op("Sub", net.reshape(others, 0, 196, 9, WIDTH), net.unsqueeze(y, 2))
        y = net.op("Concat", y, net.reduce("Max", apart, 2, keep=False), axis=2)
        x = feed(net, net.op("Add", x, net.linear(y, f"g{i}.out", 2 * WIDTH, WIDTH)), f"g{i}.m", WIDTH)
    x = net.reshape(net.transpose(x, 0, 2, 1), 0, WIDTH, 14, 14)
    return net.embed(net.conv(x, "c4", (24, WIDTH, 4, 4), 2, 1), 24 * 49)
