"""How the copies travel through the body, and how their embeddings are joined at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.explicit import DIM, Backbone, flat_fc
from evaluation.builder import untyped
from evaluation.images import Array
from evaluation.sequential import SequentialBuilder, Weights


@dataclass(frozen=True)
class Copies:
    """Embeddings of the copies: a list of [N, DIM], or one tensor stacked on axis 0, [k, N, DIM], or on axis 1."""

    names: list[str]
    axis: int | None = None

    def listed(self, net: SequentialBuilder, count: int) -> list[str]:
        if self.axis is None:
            return self.names
        return [net.op("Gather", self.names[0], net.const(i), axis=self.axis) for i in range(count)]

    def stacked(self, net: SequentialBuilder) -> tuple[str, int]:
        if self.axis is not None:
            return self.names[0], self.axis
        return net.op("Concat", *(net.unsqueeze(name, 1) for name in self.names), axis=1), 1


Stack = Callable[[SequentialBuilder, Backbone, Sequence[Weights], Sequence[str]], Copies]
STACKS: dict[str, tuple[Stack, int]] = {}


def stack(opset: int = 11) -> Callable[[Stack], Stack]:
    def register(function: Stack) -> Stack:
        STACKS[function.__name__] = (function, opset)
        return function

    return register


@stack()
def branches(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Each copy through its own emission of the body, layer after layer of one branch, then of the next."""
    return Copies([backbone.emit(net, x, w) for x, w in zip(versions, weights, strict=True)])


@stack()
def batch(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Concatenated on the batch axis; Reshape to [k, N, DIM] behind the body."""
    y = backbone.emit(net, net.op("Concat", *versions, axis=0), weights[0])
    return Copies([net.reshape(y, len(versions), -1, DIM)], 0)


@stack()
def batch_halves(
    net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]
) -> Copies:
    """Concatenated on the batch axis; cut apart again by Slice at multiples of the batch size."""
    y = backbone.emit(net, net.op("Concat", *versions, axis=0), weights[0])
    rows = net.unsqueeze(net.dim(net.x, 0), 0)
    ends = [net.op("Mul", rows, net.const([i])) for i in range(len(versions) + 1)]
    zero = net.const([0])
    return Copies([net.op("Slice", y, a, b, zero) for a, b in pairwise(ends)])


@stack()
def batch_interleaved(
    net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]
) -> Copies:
    """Concatenated on channels and reshaped, so that the copies of one image are neighbours in the batch."""
    y = net.reshape(net.op("Concat", *versions, axis=1), -1, 3, 112, 112)
    return Copies([net.reshape(backbone.emit(net, y, weights[0]), -1, len(versions), DIM)], 1)


@stack()
def batch_scatter(
    net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]
) -> Copies:
    """Make an empty batch of k*N rows by Tile and add the copies in by Pad on the batch axis."""
    rows = net.dim(net.x, 0)
    total = None
    for i, x in enumerate(versions):
        before = net.unsqueeze(net.op("Mul", rows, net.const(i)), 0)
        after = net.unsqueeze(net.op("Mul", rows, net.const(len(versions) - 1 - i)), 0)
        pads = net.op("Concat", before, net.const([0, 0, 0]), after, net.const([0, 0, 0]), axis=0)
        padded = net.op("Pad", x, pads)
        total = padded if total is None else net.op("Add", total, padded)
    return Copies([net.reshape(backbone.emit(net, str(total), weights[0]), len(versions), -1, DIM)], 0)


@stack()
def channels(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Concatenated on channels, grouped convolutions with the weights repeated per group."""
    return Copies([backbone.side_by_side(net, net.op("Concat", *versions, axis=1), list(weights))], 1)


@stack()
def depth(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Use a fifth axis and 3-D convolutions that are one deep."""
    y = net.op("Concat", *(net.unsqueeze(x, 2) for x in versions), axis=2)
    return Copies([backbone.over_depth(net, y, weights[0])], 1)


@stack()
def five_d(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Use a sequence axis [N, k, 3, H, W] that is folded into the batch by a Reshape of computed size."""
    y = net.op("Concat", *(net.unsqueeze(x, 1) for x in versions), axis=1)
    folded = net.op("Mul", net.dim(y, 0), net.dim(y, 1))
    shape = net.op("Concat", net.unsqueeze(folded, 0), net.const([3, 112, 112]), axis=0)
    y = backbone.emit(net, net.op("Reshape", y, shape), weights[0])
    shape = net.op("Concat", net.unsqueeze(net.dim(net.x, 0), 0), net.const([len(versions), DIM]), axis=0)
    return Copies([net.op("Reshape", y, shape)], 1)


@stack()
def sequence(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """SequenceConstruct, SequenceAt and one emission of the body per element; ConcatFromSequence joins."""
    items = net.op("SequenceConstruct", *versions)
    outs = [backbone.emit(net, net.op("SequenceAt", items, net.const(i)), w) for i, w in enumerate(weights)]
    return Copies([net.op("ConcatFromSequence", net.op("SequenceConstruct", *outs), axis=0, new_axis=1)], 0)


@stack(opset=17)
def sequence_map(
    net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]
) -> Copies:
    """SequenceMap runs the body on every element of a sequence."""
    net.bind(weights[0], flat_fc)
    body = net.child()
    item = net.name("SequenceMap")[1]
    out = backbone.emit(body, item, weights[0])
    graph = body.graph([untyped(item)], [untyped(out)], "each")
    outs = net.op("SequenceMap", net.op("SequenceConstruct", *versions), body=graph)
    return Copies([net.op("ConcatFromSequence", outs, axis=0, new_axis=1)], 0)


@stack()
def loop(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Gather the i-th copy in a Loop and run the body; the scan output stacks the embeddings."""
    net.bind(weights[0], flat_fc)
    copies = net.op("Concat", *(net.unsqueeze(x, 0) for x in versions), axis=0)
    body = net.child()
    i, go = net.name("Loop")[1], net.name("Loop")[1]
    out = backbone.emit(body, body.op("Gather", copies, i, axis=0), weights[0])
    still = body.op("Identity", go)
    graph = body.graph(
        [
            helper.make_tensor_value_info(i, TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info(still, TensorProto.BOOL, []), untyped(out)],
        "pass",
    )
    return Copies([net.op("Loop", net.const(len(versions)), net.const(True, np.bool_), body=graph)], 0)


@stack()
def scan(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Scan over the stacked copies, with the network as the body."""
    net.bind(weights[0], flat_fc)
    copies = net.op("Concat", *(net.unsqueeze(x, 0) for x in versions), axis=0)
    body = net.child()
    item = net.name("Scan")[1]
    out = backbone.emit(body, item, weights[0])
    graph = body.graph([untyped(item)], [untyped(out)], "pass")
    return Copies([net.op("Scan", copies, body=graph, num_scan_inputs=1)], 0)


@stack()
def function(net: SequentialBuilder, backbone: Backbone, weights: Sequence[Weights], versions: Sequence[str]) -> Copies:
    """Call a local function that holds the body and its weights once per copy."""
    body = SequentialBuilder(7)
    body.opset, body.constants_as_nodes = net.opset, True
    out = backbone.emit(body, body.x, weights[0])
    imports = [helper.make_opsetid("", net.opset)]
    net.functions.append(onnx.helper.make_function("local", "Backbone", [body.x], [out], body.nodes, imports))
    return Copies([net.op("Backbone", x, domain="local") for x in versions])


# ---- joins

Join = tuple[Callable[[SequentialBuilder, Copies, int], str], Callable[[Sequence[Array]], Array]]


def _mean(net: SequentialBuilder, copies: Copies, k: int) -> str:
    if copies.axis is None:
        total = copies.names[0]
        for name in copies.names[1:]:
            total = net.op("Add", total, name)
        return net.op("Mul", total, net.const(1.0 / k))
    return net.reduce("Mean", copies.names[0], copies.axis, keep=False)


def _mean_op(net: SequentialBuilder, copies: Copies, k: int) -> str:
    return net.op("Mean", *copies.listed(net, k))


def _weighted(net: SequentialBuilder, copies: Copies, k: int) -> str:
    parts = [net.op("Mul", name, net.const(0.7**i)) for i, name in enumerate(copies.listed(net, k))]
    return net.op("Sum", *parts)


def _weighted_matmul(net: SequentialBuilder, copies: Copies, k: int) -> str:
    stacked, axis = copies.stacked(net)
    y = net.op("Transpose", stacked, perm=[1, 2, 0] if axis == 0 else [0, 2, 1])
    return net.reshape(net.op("MatMul", y, net.const([[0.7**i] for i in range(k)])), -1, DIM)


def _max(net: SequentialBuilder, copies: Copies, k: int) -> str:
    if copies.axis is None:
        return net.op("Max", *copies.names)
    return net.reduce("Max", copies.names[0], copies.axis, keep=False)


def _concat(net: SequentialBuilder, copies: Copies, k: int) -> str:
    if copies.axis == 1:
        return net.reshape(copies.names[0], -1, k * DIM)
    return net.op("Concat", *copies.listed(net, k), axis=1)


def _l2(net: SequentialBuilder, x: str) -> str:
    return net.op("Div", x, net.reduce("L2", x, 1))


def _sum_l2(net: SequentialBuilder, copies: Copies, k: int) -> str:
    return _l2(net, net.op("Sum", *copies.listed(net, k)))


def _mean_of_unit(net: SequentialBuilder, copies: Copies, k: int) -> str:
    return net.op("Sum", *(net.op("LpNormalization", name, axis=1, p=2) for name in copies.listed(net, k)))


def _unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def _norm_weighted(net: SequentialBuilder, copies: Copies, k: int) -> str:
    """Weigh every copy by a softmax of its norm: the clearer view counts more."""
    names = copies.listed(net, k)
    norms = net.op("Concat", *(net.reduce("L2", name, 1) for name in names), axis=1)
    gates = net.split(net.softmax(norms), [1] * k, 1)
    return net.op("Sum", *(net.op("Mul", name, gate) for name, gate in zip(names, gates, strict=True)))


def _norm_weighted_numpy(values: Sequence[Array]) -> Array:
    norms = np.stack([np.linalg.norm(v, axis=1) for v in values])
    gates = np.exp(norms - norms.max(0))
    gates /= gates.sum(0)
    return np.asarray(sum(v * g[:, None] for v, g in zip(values, gates, strict=True)))


def _decayed(values: Sequence[Array]) -> Array:
    return np.asarray(sum(v * 0.7**i for i, v in enumerate(values)))


JOINS: dict[str, Join] = {
    "mean": (_mean, lambda values: np.mean(values, axis=0)),
    "mean_op": (_mean_op, lambda values: np.mean(values, axis=0)),
    "weighted": (_weighted, _decayed),
    "weighted_matmul": (_weighted_matmul, _decayed),
    "max": (_max, lambda values: np.max(values, axis=0)),
    "concat": (_concat, lambda values: np.concatenate(values, axis=1)),
    "sum_l2": (_sum_l2, lambda values: _unit(np.sum(values, axis=0))),
    "mean_of_unit": (_mean_of_unit, lambda values: np.sum([_unit(v) for v in values], axis=0)),
    "norm_weighted": (_norm_weighted, _norm_weighted_numpy),
}
