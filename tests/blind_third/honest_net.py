"""The graph writer for opsets 9 to 20, and the blocks that several honest networks of this set are made of."""

from __future__ import annotations

import numpy as np
import onnx

from tests.blind.net import EMBEDDING, Net


class Writer(Net):
    """Write reductions, cuts and expanded weights as the opset at hand spells them."""

    def reduce(self, kind: str, x: str, *axes: int, keep: bool = False) -> str:
        if self.opset >= 18:
            return self.op(kind, x, list(axes), keepdims=int(keep))
        return self.op(kind, x, axes=list(axes), keepdims=int(keep))

    def mean(self, x: str, *axes: int, keep: bool = False) -> str:
        return self.reduce("ReduceMean", x, *axes, keep=keep)

    def cut(self, x: str, start: int, end: int, axis: int, step: int = 1) -> str:
        if self.opset >= 10:
            return self.op("Slice", x, [start], [end], [axis], [step])
        return self.op("Slice", x, starts=[start], ends=[end], axes=[axis])

    def rows(self, x: str) -> str:
        """Give the batch size as a vector of one number, the way a traced ``x.shape[0]`` is written."""
        return self.unsqueeze(self.op("Gather", self.op("Shape", x), np.array(0), axis=0), 0)

    def for_each_row(self, x: str, name: str, *shape: int) -> str:
        """Expand a weight [1, *shape] over the batch of ``x``."""
        target = self.op("Concat", self.rows(x), list(shape), axis=0)
        return self.op("Expand", self.weight(name, 1, *shape, gain=float(np.prod(shape)) ** 0.5), target)

    def places(self, x: str, name: str, count: int, width: int) -> str:
        return self.op("Add", x, self.put(name, self.rng(name).standard_normal((1, count, width)).astype(np.float32)))

    def embed(self, x: str, width: int) -> onnx.ModelProto:
        """Flatten what is left of each image, embed it and close the graph."""
        return self.model(self.linear(self.op("Flatten", x, axis=1), "embed", width, EMBEDDING))


def early(net: Net, x: str = "data", channels: int = 3) -> str:
    """Run two ordinary reductions: [N, channels, 112, 112] to [N, 24, 28, 28]."""
    return net.conv(net.conv(x, "stem", (16, channels, 4, 4), 2, 1), "c2", (24, 16, 4, 4), 2, 1)


def flat_tokens(net: Net, x: str, width: int, count: int) -> str:
    """Read a map [N, width, h, w] as tokens [N, h * w, width]."""
    return net.transpose(net.reshape(x, 0, width, count), 0, 2, 1)


def heads(net: Net, x: str, count: int, width: int) -> str:
    return net.transpose(net.reshape(x, 0, -1, count, width // count), 0, 2, 1, 3)


def joined(net: Net, x: str, width: int) -> str:
    return net.reshape(net.transpose(x, 0, 2, 1, 3), 0, -1, width)


def read(net: Net, q: str, k: str, v: str, count: int, width: int, bias: str = "") -> str:
    """Let queries read keys and values, all [B, T, width], in ``count`` heads; ``bias`` joins the scores."""
    q, k, v = (heads(net, part, count, width) for part in (q, k, v))
    score = net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 1, 3, 2)), (width / count) ** -0.5)
    if bias:
        score = net.op("Add", score, bias)
    share = net.op("Softmax", score, axis=3)
    return joined(net, net.op("MatMul", share, v), width)


def attend(net: Net, x: str, name: str, width: int, count: int, bias: str = "") -> str:
    """Add self-attention over the tokens of [B, T, width]."""
    y = net.layer_norm(x, width)
    q, k, v = (net.linear(y, f"{name}.{part}", width, width) for part in "qkv")
    return net.op("Add", x, net.linear(read(net, q, k, v, count, width, bias), f"{name}.out", width, width))


def feed(net: Net, x: str, name: str, width: int) -> str:
    y = net.linear(net.layer_norm(x, width), f"{name}.up", width, 2 * width, "Relu")
    return net.op("Add", x, net.linear(y, f"{name}.down", 2 * width, width))
