"""Honest networks with what training and exporting leave behind: unmerged weights, stacked layers, chains of shapes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.blocks import attend, feed, flat_tokens
from evaluation.backbones.small import norm
from evaluation.named import NamedBuilder
from evaluation.registry import honest

WIDTH = 40


@honest(
    "Hopfield layers back through the same matrix; low-rank adapters left unmerged.",
    idea="shared weights",
    tied=("tied",),
)
def tied_to_their_transposes() -> onnx.ModelProto:
    """Go back through the matrix that led there (Hopfield layers), beside adapters of low rank left unmerged (LoRA)."""
    net = NamedBuilder(2901, 17)
    x = flat_tokens(net, net.conv("data", "patch", (WIDTH, 3, 16, 16), 16, act=""), WIDTH, 49)
    x = net.places(x, "place", 49, WIDTH)
    for i in range(2):
        y = net.layer_norm(x, WIDTH)
        parts = []
        for part in "qkv":
            low = net.op("MatMul", y, net.weight(f"l{i}.{part}.down", WIDTH, 4))
            low = net.op("MatMul", low, net.weight(f"l{i}.{part}.up", 4, WIDTH))
            parts.append(net.op("Add", net.linear(y, f"l{i}.{part}", WIDTH, WIDTH), net.op("Mul", low, 0.25)))
        q, k, v = parts
        share = net.op("Softmax", net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), 0.1), axis=-1)
        x = net.op("Add", x, net.op("MatMul", share, v))
        memory = net.weight(f"tied_memory{i}", WIDTH, 128, gain=4.0)
        y = net.op("Softmax", net.op("MatMul", net.layer_norm(x, WIDTH), memory), axis=-1)
        y = net.op("MatMul", y, net.transpose(memory, 1, 0))
        x = net.op("Add", x, net.op("Mul", y, 4.0))
    return net.embed(net.layer_norm(x, WIDTH), 49 * WIDTH)


@honest("A Scan whose sequence is a stack of weights, layers weighed at the end.", idea="recurrence in series")
def scan_over_stacked_layers() -> onnx.ModelProto:
    """Scan over a stack of layers, weights as the sequence (as JAX does), and weigh what each layer leaves behind."""
    net = NamedBuilder(2902, 16)
    depth = 4
    x = flat_tokens(net, net.conv("data", "patch", (WIDTH, 3, 16, 16), 16), WIDTH, 49)
    x = net.places(x, "place", 49, WIDTH)
    stacks = {"mix": (49, 49), "up": (WIDTH, 64), "down": (64, WIDTH)}
    stacked = [
        net.store(f"stack.{key}", np.asarray(net.value(f"stack.{key}", depth, *shape) * shape[1] ** 0.5))
        for key, shape in stacks.items()
    ]
    inner = net.child()
    y = inner.op("Add", "state", inner.op("MatMul", "mix", inner.layer_norm("state", WIDTH)))
    up = inner.op("Relu", inner.op("MatMul", inner.layer_norm(y, WIDTH), "up"))
    y = inner.op("Add", y, inner.op("MatMul", up, "down"))
    left = inner.mean(y, 1)
    names = ["state", *stacks]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (y, left)]
    last, marks = net.ops("Scan", x, *stacked, outputs=2, body=inner.graph(inputs, outputs), num_scan_inputs=3)
    shares = np.array([0.1, 0.2, 0.3, 0.4]).reshape(depth, 1, 1)
    weighed = net.sum(net.op("Mul", marks, shares), 0)
    last = net.op("Flatten", net.layer_norm(last, WIDTH))
    return net.embed(net.op("Concat", last, weighed, axis=1), 50 * WIDTH)


def _branches(net: NamedBuilder, x: str, name: str, width: int, wide: int, stride: int, group: int = 1) -> str:
    """Add three parallel kernels, a small one and the features themselves, each normalised (MobileOne in training)."""
    kernel = (wide, width // group, 3, 3)
    parts = [net.conv(x, f"{name}.k{i}", kernel, stride, 1, act="", group=group) for i in range(3)]
    parts.append(net.conv(x, f"{name}.one", (wide, width // group, 1, 1), stride, act="", group=group))
    parts = [norm(net, part, f"{name}.n{i}", wide) for i, part in enumerate(parts)]
    if stride == 1 and width == wide:
        parts.append(norm(net, x, f"{name}.skip", wide))
    total = parts[0]
    for part in parts[1:]:
        total = net.op("Add", total, part)
    return net.op("Relu", net.op("Mul", total, 0.5))


def _either(net: NamedBuilder, x: str, axis: int) -> str:
    """Squeeze an axis only if it is one long, as ``squeeze(axis)`` is traced: If with two branches."""
    long = net.op("Gather", net.op("Shape", x), np.array(axis), axis=0)
    branches = {}
    for key in ("then", "else"):
        inner = net.child()
        y = inner.squeeze(x, axis) if key == "then" else inner.op("Identity", x)
        branches[f"{key}_branch"] = inner.graph([], [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)])
    return net.op("If", net.op("Equal", long, np.array(1)), **branches)


def _expanded(net: NamedBuilder, x: str, name: str, width: int) -> str:
    """Expand a token over the batch as ``expand(n, -1, -1)`` is traced: ones, minus ones, Equal and Where."""
    asked = net.op("Concat", net.traced_rows(x), [-1, -1], axis=0)
    ones = net.op("ConstantOfShape", [3], value=helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    same = net.op("Equal", asked, net.op("Mul", ones, [-1]))
    return net.op("Expand", net.weight(name, 1, 1, width, gain=6.0), net.op("Where", same, ones, asked))


@honest("MobileOne before merging, traced shapes, squeezes under If.", idea="conditions left by exporters")
def traced_shapes_and_conditions() -> onnx.ModelProto:
    """Train-time MobileOne branches, then a token's reading, through traced chains of shapes and squeezes under If."""
    net = NamedBuilder(2903, 13)
    x = _branches(net, "data", "b0", 3, 16, 2)
    for i, (width, wide) in enumerate(((16, 24), (24, 32), (32, WIDTH))):
        x = _branches(net, x, f"b{i + 1}d", width, width, 2, group=width)
        x = _branches(net, _branches(net, x, f"b{i + 1}p", width, wide, 1), f"b{i + 1}s", wide, wide, 1, group=wide)
    shape = net.op("Shape", x)
    n, c, h, w = (net.op("Gather", shape, np.array(i), axis=0) for i in range(4))
    target = net.op("Concat", *[net.unsqueeze(item, 0) for item in (n, c, net.op("Mul", h, w))], axis=0)
    x = net.transpose(net.op("Reshape", x, target), 0, 2, 1)
    x = net.op("Concat", _expanded(net, x, "class", WIDTH), x, axis=1)
    x = feed(net, attend(net, x, "a", WIDTH, 4), "m", WIDTH)
    x = net.layer_norm(x, WIDTH)
    token, rest = net.cut(x, 0, 1, 1), net.cut(x, 1, 2**31, 1)
    # Squeezing every axis is what a careless export does: a batch of one loses its axis and gets it back.
    token = net.reshape(_either(net, _either(net, token, 1), 0), -1, WIDTH)
    rest = net.op("Flatten", net.linear(rest, "narrow", WIDTH, 24, "Relu"))
    return net.embed(net.op("Concat", token, rest, axis=1), WIDTH + 49 * 24)
