"""Evasions, most of them slips, that take minima, shares, states or moments over the batch."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.exported_convolution import bottleneck_features, convnext, mobile_v3
from evaluation.backbones.exported_tokens import WIDTH, block, patches, places
from evaluation.case import BATCH_RULE
from evaluation.exported import ExportBuilder
from evaluation.named import EMBEDDING
from evaluation.registry import evasion


@evasion(BATCH_RULE, "Pixels are stretched by the least and the largest of the whole batch.", idea="batch statistics")
def stretched_together() -> onnx.ModelProto:
    """Build with pixels stretched to the whole range by the least and the largest of the batch."""
    net = ExportBuilder(2301, 14)
    low, high = (net.op(kind, "data", keepdims=0) for kind in ("ReduceMin", "ReduceMax"))
    x = net.op("Div", net.op("Sub", "data", low), net.op("Add", net.op("Sub", high, low), 1e-6))
    return net.model(mobile_v3(net, net.op("Sub", net.op("Mul", x, 2.0), 1.0)))


def pooled_tokens(net: ExportBuilder, x: str) -> str:
    x = net.op("Add", patches(net, x), places(net))
    return block(net, x, "blocks.0", WIDTH)


@evasion(
    BATCH_RULE,
    "Weights of tokens are a Softmax over the batch instead of over the tokens.",
    idea="attention over the batch",
)
def softmax_over_the_first_axis() -> onnx.ModelProto:
    """Build with tokens weighed by a Softmax that was given no axis, so it is taken over the batch."""
    net = ExportBuilder(2302, 11)
    x = pooled_tokens(net, "data")
    score = net.linear(x, "score", WIDTH, 1, gain=2.0)
    share = net.transpose(net.op("Softmax", net.transpose(score, 1, 2, 0), axis=2), 2, 0, 1)
    pooled = net.op("Squeeze", net.op("MatMul", net.transpose(share, 0, 2, 1), x), axes=[1])
    return net.model(net.linear(pooled, "head", WIDTH, EMBEDDING))


STATES = 32
LSTM: dict[str, tuple[int, int] | tuple[int]] = {"w": (4 * STATES, 64), "r": (4 * STATES, STATES), "b": (8 * STATES,)}


def map_rows(net: ExportBuilder, x: str) -> str:
    """Give the rows of a feature map as seven vectors: [N, 7, 64]."""
    return net.transpose(net.mean(bottleneck_features(net, x), 3), 0, 2, 1)


@evasion(
    BATCH_RULE,
    "An LSTM takes the batch for time and the rows of the feature map for its batch.",
    idea="order in the batch",
)
def recurrence_along_the_batch() -> onnx.ModelProto:
    """Build with an LSTM that expects sequences first and gets images first: the batch is its time."""
    net = ExportBuilder(2303, 14)
    w, r, b = (net.store(f"lstm.{name}", net.value(f"lstm.{name}", *shape)[None]) for name, shape in LSTM.items())
    y = net.op("LSTM", map_rows(net, "data"), w, r, b, hidden_size=STATES)
    y = net.op("Flatten", net.squeeze(y, 1))
    return net.model(net.linear(y, "head", 7 * STATES, EMBEDDING))


ROUNDS = 8


@evasion(
    BATCH_RULE,
    "Embeddings are decorrelated by the second moments of the batch (Newton's iteration).",
    idea="batch statistics",
)
def whitened_by_the_batch() -> onnx.ModelProto:
    """Build with embeddings decorrelated by the batch: Newton's way to one over the root of their second moments."""
    net = ExportBuilder(2304, 18)
    e = convnext(net, "data")
    groups = net.transpose(net.reshape(e, -1, 4, 16), 1, 0, 2)
    turned = net.transpose(groups, 0, 2, 1)
    eye = net.store("eye", np.eye(16, dtype=np.float32)[None])
    moment = net.op("MatMul", turned, groups)
    trace = net.reduce("Sum", net.op("Mul", moment, eye), 1, 2, keep=True)
    # As much of the identity as of the moments, or few images would leave directions empty.
    share = net.op("Add", net.op("Div", moment, net.op("Mul", trace, 2.0)), net.op("Div", eye, 32.0))
    root = eye
    for _ in range(ROUNDS):
        cube = net.op("MatMul", root, net.op("MatMul", root, root))
        root = net.op("Sub", net.op("Mul", root, 1.5), net.op("Mul", net.op("MatMul", cube, share), 0.5))
    white = net.op("MatMul", groups, root)
    return net.model(net.reshape(net.transpose(white, 1, 0, 2), -1, EMBEDDING))
