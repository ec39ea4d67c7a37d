"""Signs of a second run that every network shows by itself: weights read twice, filters that are copies, more rows."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper
from scipy.spatial.distance import pdist

from evaluation.builder import Array
from evaluation.images import smooth_and_noise
from evaluation.runtime import session

LENGTH, ALIKE = 9, 1e-4


def _filters(made: onnx.ModelProto, constants: bool) -> dict[int, list[Array]]:
    """Collect the filters by their length: the slices along the first axis, and the columns of matrices."""
    found: dict[int, list[Array]] = {}
    for item in made.graph.initializer:
        array = numpy_helper.to_array(item)
        if array.dtype != np.float32 or array.ndim < 2 or (item.name.startswith("const_") and not constants):
            continue
        sides = [array.reshape(len(array), -1), array.reshape(-1, array.shape[-1]).T]
        for rows in sides if array.ndim in (2, 3) else sides[:1]:
            if rows.shape[1] >= LENGTH and len(np.unique(np.abs(rows[0]))) > 0.7 * rows.shape[1]:
                found.setdefault(rows.shape[1], []).append(rows)
    return found


def copied_filters(made: onnx.ModelProto, constants: bool = False) -> int:
    """Count pairs of filters alike but for order, sign and scale; ``constants`` includes fixed arrays."""
    count = 0
    for groups in _filters(made, constants).values():
        rows = np.sort(np.abs(np.concatenate(groups)), axis=1)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        count += int((pdist(rows, "chebyshev") < ALIKE).sum()) if len(rows) > 1 else 0
    return count


def readers(graph: onnx.GraphProto) -> list[str]:
    """List what nodes read, once for every reader, subgraphs included."""
    names: list[str] = []
    for node in graph.node:
        names += node.input
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                names += readers(attribute.g)
    return names


def second_runs(made: onnx.ModelProto, tied: tuple[str, ...]) -> list[str]:
    """List weights that work twice although not declared tied, and convolutions that get other rows than images."""
    graph = made.graph
    read = readers(graph)
    large = {item.name for item in graph.initializer if len(item.dims) > 1 and np.prod(item.dims) >= 64}
    found = sorted(name for name in large if read.count(name) > 1 and not any(name.startswith(item) for item in tied))
    inputs = {node.input[0] for node in graph.node if node.op_type == "Conv"} - {"data"} - large
    exposed = onnx.ModelProto()
    exposed.CopyFrom(made)
    exposed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in sorted(inputs))
    results = session(exposed).run(["fc", *sorted(inputs)], {"data": smooth_and_noise()[:3]})[1:]
    return found + [name for name, result in zip(sorted(inputs), results, strict=True) if len(result) != 3]
