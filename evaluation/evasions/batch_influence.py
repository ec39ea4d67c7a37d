"""Evasions in which the rows of a batch influence each other."""

from collections.abc import Callable
from functools import partial

import numpy as np
from onnx import ModelProto

from evaluation.backbones.explicit import DIM, Backbone
from evaluation.builder import untyped
from evaluation.case import BATCH_RULE, Case, seed_of
from evaluation.proof import PROOFS, Proof
from evaluation.registry import register
from evaluation.sequential import SequentialBuilder

Change = Callable[[SequentialBuilder, str], str]


def _build(name: str, kind: str, change: Change, where: str, opset: int) -> ModelProto:
    net = SequentialBuilder(seed_of(name), opset=opset)
    backbone = Backbone(kind, seed_of(name) % 1000)
    weights = backbone.weights()
    if where == "image":
        y = backbone.emit(net, change(net, net.x), weights)
    elif where == "features":
        y = backbone.rest(net, change(net, backbone.stem(net, net.x, weights)), weights)
    else:
        y = change(net, backbone.emit(net, net.x, weights))
    return net.finish(y, DIM)


def rows(
    about: str, kind: str = "resnet", where: str = "embedding", opset: int = 11, *, idea: str
) -> Callable[[Change], Change]:
    """Register a change of the embedding, of the first features or of the image, by which rows depend on rows."""

    def add(change: Change) -> Change:
        name = f"rows_{change.__name__}"
        build = partial(_build, name, kind, change, where, opset)
        register(Case(name=name, rules=(BATCH_RULE,), expected="failed", idea=idea, about=about, build=build))
        PROOFS[name] = Proof(computes=None, together=True, apart=1e-2)
        return change

    return add


@rows("The mean embedding of the batch is taken away.", idea="batch statistics")
def mean_removed(net: SequentialBuilder, e: str) -> str:
    return net.op("Sub", e, net.reduce("Mean", e, 0))


@rows("A twentieth of the mean embedding of the batch is taken away.", "mobile", idea="batch statistics")
def small_mean_removed(net: SequentialBuilder, e: str) -> str:
    return net.op("Sub", e, net.op("Mul", net.reduce("Mean", e, 0), net.const(0.05)))


@rows("Embedding standardised with the batch's mean and deviation.", "folded", idea="batch statistics")
def batch_statistics(net: SequentialBuilder, e: str) -> str:
    centred = net.op("Sub", e, net.reduce("Mean", e, 0))
    variance = net.reduce("Mean", net.op("Mul", centred, centred), 0)
    return net.op("Add", e, net.op("Div", centred, net.op("Sqrt", net.op("Add", variance, net.const(0.1)))))


@rows(
    "The first features are standardised per channel with the statistics of the whole batch.",
    where="features",
    idea="batch statistics",
)
def feature_statistics(net: SequentialBuilder, y: str) -> str:
    centred = net.op("Sub", y, net.reduce("Mean", y, 0, 2, 3))
    variance = net.reduce("Mean", net.op("Mul", centred, centred), 0, 2, 3)
    return net.op("Div", centred, net.op("Sqrt", net.op("Add", variance, net.const(1e-3))))


@rows(
    "A BatchNormalization left in training mode normalises with the batch.",
    "mobile",
    "features",
    14,
    idea="batch statistics",
)
def training_mode(net: SequentialBuilder, y: str) -> str:
    values = [net.const(np.full(8, v)) for v in (1.0, 0.0, 0.0, 1.0)]
    return net.ops("BatchNormalization", y, *values, outputs=3, training_mode=1)[0]


@rows("The mean image of the batch is taken away.", "folded", "image", idea="batch statistics")
def mean_image(net: SequentialBuilder, x: str) -> str:
    return net.op("Sub", x, net.op("Mul", net.reduce("Mean", x, 0), net.const(0.5)))


@rows("Brightness is normalised with the mean over every pixel of every row.", "vit", "image", idea="batch statistics")
def global_brightness(net: SequentialBuilder, x: str) -> str:
    return net.op("Sub", x, net.op("ReduceMean", x, keepdims=1))


@rows("Attention over the rows of the batch mixes the embeddings.", idea="attention over the batch")
def attention_over_rows(net: SequentialBuilder, e: str) -> str:
    scores = net.op("MatMul", e, net.op("Transpose", e, perm=[1, 0]))
    return net.op("MatMul", net.softmax(net.op("Mul", scores, net.const(0.05))), e)


@rows(
    "Query expansion: every embedding is blended with its nearest neighbour of the batch.",
    "folded",
    idea="attention over the batch",
)
def nearest_neighbour(net: SequentialBuilder, e: str) -> str:
    unit = net.op("LpNormalization", e, axis=1, p=2)
    scores = net.op("MatMul", unit, net.op("Transpose", unit, perm=[1, 0]))
    depth = net.dim(e, 0)
    itself = net.op("OneHot", net.op("Range", net.const(0), depth, net.const(1)), depth, net.const([0.0, 10.0]))
    nearest = net.op("ArgMax", net.op("Sub", scores, itself), axis=1, keepdims=0)
    return net.op(
        "Add", net.op("Mul", e, net.const(0.8)), net.op("Mul", net.op("Gather", e, nearest, axis=0), net.const(0.2))
    )


@rows("A running sum over the batch is added.", "mobile", idea="order in the batch")
def running_sum(net: SequentialBuilder, e: str) -> str:
    return net.op("Add", e, net.op("Mul", net.op("CumSum", e, net.const(0)), net.const(0.3)))


@rows("TopK sorts every column over the batch and the maximum is taken away.", "vit", idea="batch statistics")
def sorted_columns(net: SequentialBuilder, e: str) -> str:
    top = net.ops("TopK", e, net.const([1]), outputs=2, axis=0)[0]
    return net.op("Sub", e, net.op("Mul", top, net.const(0.4)))


@rows("Every row is blended with the row before it (Pad and Slice on the batch axis).", idea="order in the batch")
def previous_row(net: SequentialBuilder, e: str) -> str:
    before = net.slice(net.op("Pad", e, net.const([1, 0, 0, 0])), [0], [-1], [0])
    return net.op("Add", e, net.op("Mul", before, net.const(0.3)))


@rows("A convolution over the batch axis, the rows taken as a line of cells.", "folded", idea="order in the batch")
def convolution_over_rows(net: SequentialBuilder, e: str) -> str:
    line = net.unsqueeze(net.op("Transpose", e, perm=[1, 0]), 0)
    kernel = net.const(np.tile([0.2, 0.7, 0.1], (DIM, 1, 1)))
    y = net.op("Conv", line, kernel, kernel_shape=[3], pads=[1, 1], group=DIM)
    return net.op("Transpose", net.squeeze(y, 0), perm=[1, 0])


@rows("A GRU reads the batch as a sequence.", "mobile", idea="order in the batch")
def recurrent_over_rows(net: SequentialBuilder, e: str) -> str:
    weights = [net.const(net.rng.normal(0, 0.3, (1, 3 * DIM, DIM))) for _ in range(2)]
    y = net.ops("GRU", net.unsqueeze(e, 1), *weights, hidden_size=DIM)[0]
    return net.op("Add", e, net.squeeze(y, 1, 2))


@rows("A Scan over the rows carries a moving average from one to the next.", "folded", idea="order in the batch")
def scan_over_rows(net: SequentialBuilder, e: str) -> str:
    start = net.op("Mul", net.reduce("Mean", e, 0, keep=False), net.const(0.0))
    body = net.child()
    state, row = net.name("Scan")[1], net.name("Scan")[1]
    new = body.op("Add", body.op("Mul", state, body.const(0.7)), body.op("Mul", row, body.const(0.3)))
    out = body.op("Sub", row, new)
    graph = body.graph([untyped(state), untyped(row)], [untyped(new), untyped(out)], "rows")
    return net.ops("Scan", start, e, outputs=2, body=graph, num_scan_inputs=1)[1]


@rows("A softmax over the batch weighs every column.", "resnet", opset=13, idea="batch statistics")
def softmax_over_rows(net: SequentialBuilder, e: str) -> str:
    return net.op("Mul", e, net.op("Softmax", e, axis=0))


@rows(
    "Rows are normalised against each other after a Transpose, by what resembles an L2 normalisation.",
    "mobile",
    idea="batch statistics",
)
def l2_of_columns(net: SequentialBuilder, e: str) -> str:
    turned = net.op("Transpose", e, perm=[1, 0])
    y = net.op("Div", turned, net.op("Add", net.reduce("L2", turned, 1), net.const(0.5)))
    return net.op("Transpose", y, perm=[1, 0])


@rows(
    "InstanceNormalization over a tensor in which the batch has become the spatial axis.",
    "folded",
    idea="batch statistics",
)
def instance_norm_over_rows(net: SequentialBuilder, e: str) -> str:
    y = net.unsqueeze(net.op("Transpose", e, perm=[1, 0]), 0)
    y = net.op("InstanceNormalization", y, net.const(np.ones(DIM)), net.const(np.zeros(DIM)), epsilon=0.1)
    return net.op("Add", e, net.op("Transpose", net.squeeze(y, 0), perm=[1, 0]))


@rows(
    "A GroupNorm whose reshape forgets the batch: one group over all rows.", where="features", idea="batch statistics"
)
def groupnorm_wrong_axis(net: SequentialBuilder, y: str) -> str:
    z = net.op("InstanceNormalization", net.reshape(y, 1, 4, -1), net.const(np.ones(4)), net.const(np.zeros(4)))
    return net.op("Reshape", z, net.op("Shape", y))


@rows(
    "The number of rows itself is mixed in: the embedding is shifted by a constant vector divided by N.",
    "vit",
    idea="batch size",
)
def batch_size(net: SequentialBuilder, e: str) -> str:
    count = net.op("Cast", net.dim(net.x, 0), to=1)
    return net.op("Add", e, net.op("Div", net.const(net.rng.normal(0, 2, DIM)), count))


@rows(
    "If the batch has more than one row, the batch mean is removed; single images pass unchanged.",
    "folded",
    idea="batch size",
)
def if_many_rows(net: SequentialBuilder, e: str) -> str:
    many = net.op("Greater", net.op("Cast", net.dim(e, 0), to=1), net.const(1.5))
    then, other = net.child(), net.child()
    outs = then.op("Sub", e, then.reduce("Mean", e, 0)), other.op("Identity", e)
    graphs = [
        inner.graph([], [untyped(out)], label)
        for inner, label, out in zip((then, other), ("many", "one"), outs, strict=True)
    ]
    return net.op("If", many, then_branch=graphs[0], else_branch=graphs[1])


@rows(
    "The first row of the batch is a reference that all others are measured against.",
    "mobile",
    idea="order in the batch",
)
def first_row(net: SequentialBuilder, e: str) -> str:
    return net.op("Sub", e, net.op("Mul", net.op("Gather", e, net.const([0]), axis=0), net.const(0.5)))


@rows(
    "The maximum over the batch of every feature cell gates the features.",
    "mobile",
    "features",
    idea="batch statistics",
)
def feature_maximum(net: SequentialBuilder, y: str) -> str:
    return net.op("Div", y, net.op("Add", net.reduce("Max", y, 0), net.const(0.5)))


@rows("Whitening: the covariance of the batch, one step of Newton's inverse root.", "resnet", idea="batch statistics")
def whitening(net: SequentialBuilder, e: str) -> str:
    covariance = net.op("MatMul", net.op("Transpose", e, perm=[1, 0]), e)
    scaled = net.op("Div", covariance, net.op("Cast", net.dim(e, 0), to=1))
    step = net.op("Sub", net.const(np.eye(DIM) * 1.5), net.op("Mul", scaled, net.const(0.02)))
    return net.op("MatMul", e, step)


@rows(
    "Halves of neighbouring rows are exchanged: a reshape that lets features cross the batch axis.",
    "folded",
    idea="order in the batch",
)
def crossing_reshape(net: SequentialBuilder, e: str) -> str:
    y = net.op("Transpose", net.reshape(e, DIM, -1), perm=[1, 0])
    return net.op("Add", e, net.op("Mul", y, net.const(0.2)))


@rows("Statistics over the batch through Einsum and a constant.", "vit", opset=12, idea="batch statistics")
def einsum_over_rows(net: SequentialBuilder, e: str) -> str:
    total = net.op("Einsum", e, net.const(np.eye(DIM)), equation="nd,dk->k")
    return net.op("Sub", e, net.op("Mul", total, net.const(0.1)))
