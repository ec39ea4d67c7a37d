"""Honest networks of tokens: capsules, routing, recurrence, self-similarity."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.plain import head, stem
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest

WIDTH = 32


def _patches(net: NamedBuilder, side: int = 14) -> str:
    """Embed patches: [N, 3, 112, 112] to [N, side * side, 32], places added."""
    size = 112 // side
    x = net.conv("data", "patch", (WIDTH, 3, size, size), size, act="")
    x = net.transpose(net.reshape(x, 0, WIDTH, side * side), 0, 2, 1)
    return net.op("Add", x, net.rng("place").standard_normal((1, side * side, WIDTH)))


def _mlp(net: NamedBuilder, x: str, name: str) -> str:
    y = net.linear(net.layer_norm(x, WIDTH), f"{name}up", WIDTH, 64, "Relu")
    return net.op("Add", x, net.linear(y, f"{name}down", 64, WIDTH))


def _finish(net: NamedBuilder, x: str) -> onnx.ModelProto:
    return net.model(net.linear(net.mean(net.layer_norm(x, WIDTH), 1), "embed", WIDTH, EMBEDDING))


@honest("98 primary capsules routed to 8 by three rounds of agreement.", idea="routing")
def capsules() -> onnx.ModelProto:
    """Route 49 primary capsules to 8 face capsules by three rounds of agreement."""
    net = NamedBuilder(601)
    x = net.conv(stem(net, "data"), "c2", (16, 16, 8, 8), 8)
    primary = net.reshape(net.transpose(net.reshape(x, 0, 2, 8, 49), 0, 1, 3, 2), 0, 98, 1, 1, 8)
    votes = net.op("MatMul", primary, net.weight("turn", 98, 8, 8, 8, gain=8.0))
    votes = net.squeeze(votes, 3)
    detail = net.op("Mul", net.mean(votes, 3, keep=True), 0.0)
    out = ""
    for step in range(3):
        share = net.op("Softmax", detail, axis=2)
        total = net.sum(net.op("Mul", share, votes), 1, keep=True)
        square = net.sum(net.op("Mul", total, total), 3, keep=True)
        factor = net.op("Div", net.op("Sqrt", square), net.op("Add", square, 1.0))
        out = net.op("Mul", total, factor)
        if step < 2:
            detail = net.op("Add", detail, net.sum(net.op("Mul", votes, out), 3, keep=True))
    return net.model(net.linear(net.reshape(out, -1, 64), "embed", 64, EMBEDDING))


@honest("Attention between channels instead of tokens (XCiT).", idea="channel attention")
def cross_covariance_attention() -> onnx.ModelProto:
    net = NamedBuilder(602, 17)
    x = _patches(net)
    for i in range(2):
        y = net.reshape(net.linear(net.layer_norm(x, WIDTH), f"qkv{i}", WIDTH, 96), 0, 196, 3, 4, 8)
        q, k, v = (net.squeeze(part, 0) for part in net.split(net.transpose(y, 2, 0, 3, 4, 1), [1, 1, 1], 0))
        q, k = (net.op("Div", part, net.op("ReduceL2", part, axes=[-1], keepdims=1)) for part in (q, k))
        score = net.op("Softmax", net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 1, 3, 2)), 3.0), axis=-1)
        mixed = net.reshape(net.transpose(net.op("MatMul", score, v), 0, 3, 1, 2), 0, 196, WIDTH)
        x = net.op("Add", x, net.linear(mixed, f"out{i}", WIDTH, WIDTH))
        # The local patch interaction: back to a map and through a depthwise kernel.
        y = net.reshape(net.transpose(net.layer_norm(x, WIDTH), 0, 2, 1), 0, WIDTH, 14, 14)
        y = net.conv(y, f"local{i}", (WIDTH, 1, 3, 3), pad=1, group=WIDTH)
        x = net.op("Add", x, net.transpose(net.reshape(y, 0, WIDTH, 196), 0, 2, 1))
    return _finish(net, _mlp(net, x, "m"))


@honest("Attention along rows, then columns, folded into the batch axis.", idea="attention along axes")
def rows_then_columns_attention() -> onnx.ModelProto:
    """Attend along rows, then columns, each folded into the batch axis: 14 N sequences of 14 tokens."""
    net = NamedBuilder(603)
    x = net.reshape(_patches(net), -1, 14, 14, WIDTH)
    for i in range(2):
        lines = net.reshape(x, -1, 14, WIDTH)
        q, k, v = (net.linear(net.layer_norm(lines, WIDTH), f"{part}{i}", WIDTH, WIDTH) for part in "qkv")
        score = net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), WIDTH**-0.5)
        bias = net.op("Gather", net.weight(f"relative{i}", 27), np.arange(14)[:, None] - np.arange(14) + 13)
        score = net.op("Softmax", net.op("Add", score, bias), axis=-1)
        lines = net.op("Add", lines, net.linear(net.op("MatMul", score, v), f"o{i}", WIDTH, WIDTH))
        x = net.transpose(net.reshape(lines, -1, 14, 14, WIDTH), 0, 2, 1, 3)
    return _finish(net, _mlp(net, net.reshape(x, -1, 196, WIDTH), "m"))


@honest("Mixture of experts, the two best of four for each token.", idea="gated experts")
def experts_per_token() -> onnx.ModelProto:
    """Route every token to the two best of four experts, whatever the other images want."""
    net = NamedBuilder(604, 14)
    x = _patches(net, 7)
    best, which = net.ops("TopK", net.linear(x, "router", WIDTH, 4), [2], outputs=2, axis=-1)
    zeros = net.op("Mul", net.linear(x, "shape", WIDTH, 4), 0.0)
    gates = net.op("ScatterElements", zeros, which, net.op("Softmax", best, axis=-1), axis=-1)
    outs = []
    for i, gate in enumerate(net.split(gates, [1] * 4, 2)):
        y = net.linear(net.linear(x, f"e{i}up", WIDTH, 48, "Relu"), f"e{i}down", 48, WIDTH)
        outs.append(net.op("Mul", y, gate))
    x = net.op("Add", x, net.op("Sum", *outs))
    return net.model(net.linear(net.op("Flatten", x), "embed", 49 * WIDTH, EMBEDDING))


@honest("The embedding is made of the cosines between places of the face.", idea="self-similarity")
def self_similarity() -> onnx.ModelProto:
    """Embed which places of a face are alike: the cosine of every pair of feature vectors, upper triangle only."""
    net = NamedBuilder(605)
    x = net.conv(net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "c3", (32, 24, 4, 4), 4)
    x = net.reshape(x, 0, 32, 49)
    x = net.op("Sub", x, net.mean(x, 2, keep=True))
    x = net.op("Div", x, net.op("Add", net.op("ReduceL2", x, axes=[1], keepdims=1), 1e-3))
    alike = net.op("MatMul", net.transpose(x, 0, 2, 1), x)
    upper = np.flatnonzero(np.triu(np.ones((49, 49)), 1))
    pairs = net.op("Gather", net.reshape(alike, 0, 2401), upper, axis=1)
    return net.model(net.linear(pairs, "embed", len(upper), EMBEDDING))


@honest("A linear recurrence over the tokens in both directions in one Scan.", idea="recurrence both ways")
def two_way_recurrence() -> onnx.ModelProto:
    """Run a linear recurrence over the tokens in both directions in one Scan, each with its own weights."""
    net = NamedBuilder(606)
    x = net.transpose(_patches(net), 1, 0, 2)
    inner = net.child()
    states, outs = [], []
    for way in ("fore", "back"):
        decay = inner.store(f"{way}.decay", net.rng(way).uniform(0.6, 0.95, WIDTH).astype(np.float32))
        kept = inner.op("Mul", f"{way}_state", decay)
        states.append(inner.op("Add", kept, inner.linear(f"{way}_token", way, WIDTH, WIDTH)))
        outs.append(inner.op("Tanh", states[-1]))
    names = ["fore_state", "back_state", "fore_token", "back_token"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in (*states, *outs)]
    start = net.op("Mul", net.op("ReduceMax", x, axes=[0], keepdims=0), 0.0)
    body = inner.graph(inputs, outputs)
    ways = {"scan_input_directions": [0, 1], "scan_output_directions": [0, 1]}
    _, _, fore, back = net.ops("Scan", start, start, x, x, outputs=4, body=body, num_scan_inputs=2, **ways)
    x = net.transpose(net.op("Sum", x, fore, back), 1, 0, 2)
    return _finish(net, _mlp(net, x, "m"))


@honest("Each patch reads a word by the signs of eight projections.", idea="table look-up")
def hashed_words() -> onnx.ModelProto:
    """Hash every patch by the signs of eight projections and look the code up in a table of words."""
    net = NamedBuilder(607, 12)
    x = _patches(net)
    signs = net.op("Greater", net.linear(net.layer_norm(x, WIDTH), "planes", WIDTH, 8), 0.0)
    code = net.op("MatMul", net.op("Cast", signs, to=TensorProto.FLOAT), (2.0 ** np.arange(8)).reshape(8, 1))
    word = net.op("Gather", net.weight("words", 256, WIDTH, gain=3.0), net.op("Cast", net.squeeze(code, 2), to=7))
    x = net.op("Add", x, word)
    x = net.reshape(net.transpose(x, 0, 2, 1), 0, WIDTH, 14, 14)
    x = net.conv(net.conv(x, "c1", (WIDTH, WIDTH, 3, 3), pad=1), "c2", (24, WIDTH, 4, 4), 2, 1)
    return net.model(head(net, x, 24, 7))


@honest(
    "Patch merging, rolled windows, and learned queries expanded over the batch to read out.",
    idea="windows on the batch axis",
)
def class_tokens_and_merging() -> onnx.ModelProto:
    """Attend in shifted windows of merged patches (rolled features), with learned queries that read out the face."""
    net = NamedBuilder(608)
    x = net.reshape(_patches(net), -1, 14, 14, WIDTH)
    corners = [net.op("Slice", x, [dy, dx], [14, 14], [1, 2], [2, 2]) for dx in (0, 1) for dy in (0, 1)]
    x = net.linear(net.op("Concat", *corners, axis=3), "merge", 4 * WIDTH, WIDTH)
    for axis in (1, 2):
        ends = net.split(x, [3, 4], axis)
        x = net.op("Concat", ends[1], ends[0], axis=axis)
    x = net.reshape(x, -1, 49, WIDTH)
    rows = net.op("Gather", net.op("Shape", x), [0])
    queries = net.op("Expand", net.weight("queries", 1, 4, WIDTH), net.op("Concat", rows, [1, 1], axis=0))
    k, v = (net.linear(net.layer_norm(x, WIDTH), name, WIDTH, WIDTH) for name in ("k", "v"))
    score = net.op("Softmax", net.op("MatMul", queries, net.transpose(k, 0, 2, 1)), axis=-1)
    read = net.op("MatMul", score, v)
    return net.model(net.linear(net.op("Flatten", read), "embed", 4 * WIDTH, EMBEDDING))
