"""Evasions in which the images of a batch change each other's embeddings, beside their pure reference."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.references import once
from evaluation.backbones.small import TOKENS, WIDTH, mlp, mobile, resnet, tokens
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import evasion

SINGLE = {
    "attention_between_rows": once(mobile, 1301),
    "neighbouring_frames": once(resnet, 1302),
    "query_expansion": once(mobile, 1303),
    "running_centre": once(mobile, 1304),
}


@evasion(
    BATCH_RULE, "The embeddings of a batch attend to each other (BatchFormer left in).", idea="attention over the batch"
)
def attention_between_rows() -> onnx.ModelProto:
    """Build BatchFormer and leave it in: the embeddings of a batch attend to each other as if they were tokens."""
    net = NamedBuilder(1301)
    e = mobile(net, "data")
    x = net.unsqueeze(e, 0)
    q, k, v = (net.linear(x, name, EMBEDDING, EMBEDDING, gain=0.5) for name in "qkv")
    score = net.op("Softmax", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), axis=-1)
    return net.model(net.op("Add", e, net.squeeze(net.op("MatMul", score, v), 0)))


def attended(e: Array) -> Array:
    net = NamedBuilder(1301)
    q, k, v = (
        e @ net.value(f"{name}.w", EMBEDDING, EMBEDDING, gain=0.5).T + net.value(f"{name}.b", EMBEDDING)
        for name in "qkv"
    )
    score = np.exp(q @ k.T - (q @ k.T).max(1, keepdims=True))
    return np.asarray(e + score / score.sum(1, keepdims=True) @ v)


@evasion(
    BATCH_RULE, "A filter of three taps along the batch, as if rows were frames of one film.", idea="order in the batch"
)
def neighbouring_frames() -> onnx.ModelProto:
    """Build with a short filter along the batch: rows that follow each other are frames of one film."""
    net = NamedBuilder(1302, 11)
    line = net.unsqueeze(net.transpose(resnet(net, "data"), 1, 0), 0)
    taps = np.tile([0.25, 0.5, 0.25], (EMBEDDING, 1, 1))
    total = net.op("Conv", line, taps, group=EMBEDDING, pads=[1, 1])
    ones = net.op("ConstantOfShape", net.op("Shape", line), value=onnx.numpy_helper.from_array(np.ones(1, np.float32)))
    there = net.op("Conv", ones, taps, group=EMBEDDING, pads=[1, 1])
    return net.model(net.transpose(net.squeeze(net.op("Div", total, there), 0), 1, 0))


def filtered(e: Array) -> Array:
    near = 0.5 * np.eye(len(e)) + 0.25 * np.eye(len(e), k=1) + 0.25 * np.eye(len(e), k=-1)
    return np.asarray(near @ e / near.sum(1, keepdims=True))


@evasion(
    BATCH_RULE,
    "Each embedding becomes a weighted sum of the three most alike in the batch.",
    idea="attention over the batch",
)
def query_expansion() -> onnx.ModelProto:
    """Build with each embedding replaced by a weighted sum of those most alike in the batch, itself included."""
    net = NamedBuilder(1303, 14)
    e = mobile(net, "data")
    unit = net.op("Div", e, net.op("ReduceL2", e, axes=[1], keepdims=1))
    rows = net.op("Gather", net.op("Shape", e), [0])
    best, which = net.ops(
        "TopK", net.op("MatMul", unit, net.transpose(unit, 1, 0)), net.op("Min", rows, [3]), outputs=2
    )
    share = net.op("Pow", net.op("Relu", best), 3.0)
    near = net.op("Mul", net.op("Gather", unit, which, axis=0), net.unsqueeze(share, 2))
    return net.model(net.sum(near, 1))


def expanded(e: Array) -> Array:
    unit = e / np.linalg.norm(e, axis=1, keepdims=True)
    alike = unit @ unit.T
    out = np.zeros_like(unit)
    for row, scores in enumerate(alike):
        for other in np.argsort(-scores)[:3]:
            out[row] += max(scores[other], 0) ** 3 * unit[other]
    return np.asarray(out)


@evasion(
    BATCH_RULE,
    "Half of the mean of the embeddings so far is taken away (CumSum over the batch).",
    idea="order in the batch",
)
def running_centre() -> onnx.ModelProto:
    """Build with the mean of all embeddings of the batch so far taken away from each, by half."""
    net = NamedBuilder(1304)
    e = mobile(net, "data")
    so_far = net.op("CumSum", e, np.array(0))
    count = net.op("CumSum", net.op("Add", net.op("Mul", e, 0.0), 1.0), np.array(0))
    return net.model(net.op("Sub", e, net.op("Mul", net.op("Div", so_far, count), 0.5)))


def centred(e: Array) -> Array:
    return np.asarray(e - 0.5 * np.cumsum(e, axis=0) / np.arange(1, len(e) + 1)[:, None])


@evasion(BATCH_RULE, "MeanVarianceNormalization at its default axes, which include the batch.", idea="batch statistics")
def default_axes(rest: str = "") -> onnx.ModelProto:
    """Build with MeanVarianceNormalization left at its default axes, of which the batch is one.

    ``rest`` "before" builds only what precedes it, flattened; "after" what the host normalised follows.
    """
    net = NamedBuilder(1305)
    x = net.conv(net.conv("data", "c0", (16, 3, 4, 4), 2, 1), "c1", (24, 16, 4, 4), 2, 1, act="")
    if rest == "before":
        return net.model(net.op("Flatten", x), 24 * 28 * 28)
    x = net.reshape("flat", -1, 24, 28, 28) if rest else net.op("MeanVarianceNormalization", x, axes=[0, 2, 3])
    x = net.conv(net.op("Relu", x), "c2", (32, 24, 4, 4), 2, 1)
    x = net.conv(x, "c3", (32, 32, 4, 4), 2, 1)
    e = net.linear(net.op("Flatten", x), "embed", 32 * 49, EMBEDDING)
    made = net.model(e, extra=("flat",) if rest else ())
    return _flat_input(made, 24 * 28 * 28) if rest else made


@evasion(
    BATCH_RULE,
    "Attention folds the batch into the sequence: patches attend to patches of other images.",
    idea="attention over the batch",
)
def tokens_of_all_rows(rest: str = "") -> onnx.ModelProto:
    """Build a transformer whose attention folds the batch into the sequence, so patches attend to other images.

    ``rest`` "before" builds the tokens and "after" what follows the attention, which the host did.
    """
    net = NamedBuilder(1306)
    x = tokens(net, "data")
    if rest == "before":
        return net.model(net.op("Flatten", x), TOKENS * WIDTH)
    if rest == "after":
        x = net.reshape("flat", -1, TOKENS, WIDTH)
    else:
        q, k, v = (net.linear(x, name, WIDTH, WIDTH, gain=0.7) for name in "qkv")
        line = [net.reshape(part, 1, -1, WIDTH) for part in (q, k, v)]
        share = net.op("Softmax", net.op("MatMul", line[0], net.transpose(line[1], 0, 2, 1)), axis=-1)
        x = net.op("Add", x, net.reshape(net.op("MatMul", share, line[2]), -1, TOKENS, WIDTH))
    e = net.linear(net.mean(mlp(net, x, "mlp"), 1), "embed", WIDTH, EMBEDDING)
    made = net.model(e, extra=("flat",) if rest else ())
    return _flat_input(made, TOKENS * WIDTH) if rest else made


def attended_tokens(x: Array) -> Array:
    """Let the tokens [N * 49, 40] of a batch attend to each other."""
    net = NamedBuilder(1306)
    q, k, v = (x @ net.value(f"{name}.w", WIDTH, WIDTH, gain=0.7).T + net.value(f"{name}.b", WIDTH) for name in "qkv")
    score = np.exp(q @ k.T - (q @ k.T).max(1, keepdims=True))
    return np.asarray(x + score / score.sum(1, keepdims=True) @ v)


def _flat_input(made: onnx.ModelProto, size: int) -> onnx.ModelProto:
    shape = made.graph.input[1].type.tensor_type.shape
    del shape.dim[1:]
    shape.dim.add().dim_value = size
    return made


REFERENCE = {
    "attention_between_rows": attended,
    "neighbouring_frames": filtered,
    "query_expansion": expanded,
    "running_centre": centred,
}
