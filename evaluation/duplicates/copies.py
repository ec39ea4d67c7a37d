"""Copies of an ONNX model that compute the same in another form, or nearly the same: what somebody might hand in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, version_converter

Array = npt.NDArray[np.float32]

#: Nodes through which a positive factor of a channel passes unchanged.
_SCALED_THROUGH = ("PRelu", "Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool")


def _copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _weights(model: onnx.ModelProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _with_weights(model: onnx.ModelProto, weights: dict[str, Array]) -> onnx.ModelProto:
    copy = _copied(model)
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(w), n) for n, w in weights.items())
    return copy


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node and inner value another name, and store the weights in another order."""
    copy = _copied(model)
    kept = {value.name for value in [*copy.graph.input, *copy.graph.output]}
    names: dict[str, str] = {}

    def other(name: str) -> str:
        return name if name in kept or not name else names.setdefault(name, f"x{len(names) * 7919 % 100_003}")

    for index, node in enumerate(copy.graph.node):
        node.name = f"n{index}"
        node.input[:] = [other(name) for name in node.input]
        node.output[:] = [other(name) for name in node.output]
    tensors = sorted(copy.graph.initializer, key=lambda tensor: str(numpy_helper.to_array(tensor).sum()))
    moved = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    for tensor in moved:
        tensor.name = other(tensor.name)
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(moved)
    del copy.graph.value_info[:]
    return copy


def other_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert to operator set 17."""
    copy: onnx.ModelProto = version_converter.convert_version(_copied(model), 17)
    return copy


def batch_norms_added(model: onnx.ModelProto, seed: int = 1) -> onnx.ModelProto:
    """Take a scale, also a negative one, and a shift out of every convolution into a BatchNormalization behind it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = _weights(model)
    copy = _copied(model)
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(copy.graph.node):
        nodes.append(node)
        if node.op_type != "Conv" or node.input[1] not in weights:
            continue
        kernel = weights[node.input[1]]
        scale = (rng.uniform(0.5, 2, len(kernel)) * rng.choice([-1, 1], len(kernel))).astype(np.float32)
        mean, spread = rng.normal(0, 1, len(kernel)).astype(np.float32), rng.uniform(0.5, 2, len(kernel))
        factor = (scale / np.sqrt(spread + 1e-5)).astype(np.float32)
        bias = weights[node.input[2]] if len(node.input) > 2 else np.zeros(len(kernel), np.float32)
        inner = f"bn{index}"
        weights |= {
            f"{inner}.kernel": kernel / factor[:, None, None, None],
            f"{inner}.scale": scale,
            f"{inner}.bias": bias + factor * mean,
            f"{inner}.mean": mean,
            f"{inner}.var": spread.astype(np.float32),
        }
        outer = node.output[0]
        for name in node.input[1:]:
            weights.pop(name)
        node.input[:] = [node.input[0], f"{inner}.kernel"]
        node.output[:] = [inner]
        names = [f"{inner}.{part}" for part in ("scale", "bias", "mean", "var")]
        nodes.append(helper.make_node("BatchNormalization", [inner, *names], [outer], inner, epsilon=1e-5))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return _with_weights(copy, weights)


def permuted(model: onnx.ModelProto, seed: int = 2) -> onnx.ModelProto:
    """Permute and rescale the channels between two layers, wherever nothing else reads them."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = dict(_weights(model))
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.op_type != "Conv" or _group(node) != 1:
            continue
        path = _path(node, readers)
        if path is None:
            continue
        count = len(weights[node.input[1]])
        order = rng.permutation(count)
        scale = np.exp(rng.normal(0, 1, count)).astype(np.float32)
        _permute(weights, node, path, order, scale)
    return _with_weights(model, weights)


def _group(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _path(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> list[onnx.NodeProto] | None:
    """Return the nodes behind a convolution up to the next one that mixes channels, None where they branch."""
    found: list[onnx.NodeProto] = []
    last = node
    while True:
        following = readers.get(last.output[0], [])
        if len(following) != 1:
            return None
        last = following[0]
        found.append(last)
        if last.op_type in ("Conv", "Gemm") and (last.op_type == "Gemm" or _group(last) == 1):
            return found
        depthwise = last.op_type == "Conv"
        if not depthwise and last.op_type not in (*_SCALED_THROUGH, "Flatten", "BatchNormalization"):
            return None


def _permute(
    weights: dict[str, Array],
    node: onnx.NodeProto,
    path: list[onnx.NodeProto],
    order: npt.NDArray[np.int64],
    scale: Array,
) -> None:
    weights[node.input[1]] = (weights[node.input[1]] * scale[:, None, None, None])[order]
    if len(node.input) > 2:
        weights[node.input[2]] = (weights[node.input[2]] * scale)[order]
    for each in path[:-1]:
        if each.op_type in ("PRelu", "Conv"):
            weights[each.input[1]] = weights[each.input[1]][order]
        if each.op_type == "Conv" and len(each.input) > 2:
            weights[each.input[2]] = (weights[each.input[2]] * scale)[order]
        if each.op_type == "BatchNormalization":
            gain, bias, mean, spread = each.input[1:5]
            weights[gain], weights[spread] = weights[gain][order], weights[spread][order]
            weights[mean], weights[bias] = (weights[mean] * scale)[order], (weights[bias] * scale)[order]
    last = path[-1]
    if last.op_type == "Conv":
        weights[last.input[1]] = (weights[last.input[1]] / scale[None, :, None, None])[:, order]
        return
    turned = any(attribute.name == "transB" and attribute.i for attribute in last.attribute)
    matrix = weights[last.input[1]] if turned else weights[last.input[1]].T
    blocks = matrix.reshape(len(matrix), len(order), -1) / scale[None, :, None]
    matrix = blocks[:, order].reshape(len(matrix), -1)
    weights[last.input[1]] = matrix if turned else matrix.T


def noisy(model: onnx.ModelProto, share: float, seed: int = 3) -> onnx.ModelProto:
    """Add noise to every stored number: ``share`` of the standard deviation of its tensor."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return _with_weights(
        model,
        {
            name: (array + share * array.std() * rng.standard_normal(array.shape)).astype(array.dtype)
            if np.issubdtype(array.dtype, np.floating)
            else array
            for name, array in _weights(model).items()
        },
    )


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Round every stored number to float16."""
    return _with_weights(
        model,
        {
            name: array.astype(np.float16).astype(array.dtype) if np.issubdtype(array.dtype, np.floating) else array
            for name, array in _weights(model).items()
        },
    )


def projected(model: onnx.ModelProto, matrix: Array) -> onnx.ModelProto:
    """Multiply the embedding by a matrix [D, E]."""
    copy = _copied(model)
    output = copy.graph.output[0]
    copy.graph.initializer.append(numpy_helper.from_array(matrix.astype(np.float32), "projection"))
    copy.graph.node.append(helper.make_node("MatMul", [output.name, "projection"], ["projected"], "projection"))
    new = helper.make_tensor_value_info("projected", onnx.TensorProto.FLOAT, ["N", matrix.shape[1]])
    del copy.graph.output[:]
    copy.graph.output.append(new)
    return copy


def rotated(model: onnx.ModelProto, width: int, seed: int = 4) -> onnx.ModelProto:
    """Rotate the embedding."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return projected(model, np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32))


def pruned(model: onnx.ModelProto, width: int, kept: int) -> onnx.ModelProto:
    """Keep the first ``kept`` values of the embedding."""
    return projected(model, np.eye(width, dtype=np.float32)[:, :kept])


def kinds(width: int) -> dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]]:
    """Return every kind of copy by its name; ``width`` is that of the embedding."""
    found: dict[str, Any] = {
        "other names and order": renamed,
        "another operator set": other_opset,
        "BatchNormalization unfolded": batch_norms_added,
        "channels permuted and rescaled": permuted,
        "both": lambda model: permuted(batch_norms_added(model)),
        "rounded to float16": rounded,
        "noise of 0.1 %": lambda model: noisy(model, 0.001),
        "noise of 1 %": lambda model: noisy(model, 0.01),
        "noise of 5 %": lambda model: noisy(model, 0.05),
        "embedding rotated": lambda model: rotated(model, width),
        "half of the embedding": lambda model: pruned(model, width, width // 2),
        "a quarter of the embedding": lambda model: pruned(model, width, width // 4),
    }
    return found
