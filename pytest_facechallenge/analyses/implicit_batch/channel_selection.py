"""Which channels a node takes out of a value, where the graph says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import Structure
from pytest_facechallenge.onnx_graph.ir import Node

Indices = npt.NDArray[np.int64]


def selected(structure: Structure, node: Node, axis: int, channels: int) -> list[Indices]:
    """Return the channels that each result of a node has; [] where it takes others than whole channels.

    Parameters
    ----------
    node
        A ``Split``, a ``Slice`` or a ``Gather`` whose first input has the channels.
    axis, channels
        The axis that holds them, of the input, and how many there are.
    """
    everything = np.arange(channels)
    if node.op == "Split":
        if int(node.attributes.get("axis", 0)) not in (axis, axis - len(structure.shapes[node.inputs[0]])):
            return []
        sizes = [structure.shapes[name][axis] for name in node.outputs if name in structure.shapes]
        return np.split(everything, np.cumsum(sizes)[:-1]) if sum(sizes) == channels else []
    if node.op == "Gather":
        places = structure.constant(node.inputs[1])
        along = int(node.attributes.get("axis", 0)) % len(structure.shapes[node.inputs[0]])
        return (
            [everything[places.astype(np.int64)]] if places is not None and places.ndim == 1 and along == axis else []
        )
    return _sliced(structure, node, axis, everything)


def _sliced(structure: Structure, node: Node, axis: int, everything: Indices) -> list[Indices]:
    given = [_numbers(structure, node, place, name) for place, name in ((1, "starts"), (2, "ends"), (3, "axes"))]
    steps = _numbers(structure, node, 4, "steps")
    starts, ends, axes = given
    if starts is None or ends is None:
        return []
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    rank = len(structure.shapes[node.inputs[0]])
    before, after = structure.shapes[node.inputs[0]], structure.shapes.get(node.outputs[0], ())
    if len(after) != rank or any(before[other] != after[other] for other in range(rank) if other != axis):
        return []
    chosen = everything
    for start, end, along, step in zip(starts, ends, axes, steps, strict=True):
        if along % rank == axis:
            chosen = chosen[start:end:step]
        elif step != 1:
            return []
    return [chosen] if len(chosen) == after[axis] else []


def _numbers(structure: Structure, node: Node, place: int, name: str) -> list[int] | None:
    """Return numbers that an input holds, or, before opset 10, an attribute."""
    found: Any = node.attributes.get(name)
    if found is None and len(node.inputs) > place and node.inputs[place]:
        found = structure.constant(node.inputs[place])
    return None if found is None else [int(number) for number in np.asarray(found).reshape(-1)]
