"""Local functions of a model, and their calls replaced by their bodies."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import onnx
from onnx import inliner

#: A graph may not grow beyond this many nodes by inlining: functions calling functions can double at each level.
MAX_NODES = 200_000


class GraphError(ValueError):
    """The model cannot be read as a graph; the message says where and why."""


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every call of a local function replaced by the function's body.

    Raises
    ------
    GraphError
        The functions call each other in a circle, expand beyond `MAX_NODES`, or are called with inputs or outputs that
        they do not have.
    """
    sizes = _expanded_sizes(model)
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > MAX_NODES:
        raise GraphError(f"the local functions expand to {total} nodes; more than {MAX_NODES} are not read")
    try:
        return inliner.inline_local_functions(model)
    except RuntimeError as error:  # an assertion of onnx's C++ code
        raise GraphError(f"the local functions cannot be inlined: {' '.join(str(error).split())[:300]}") from error


def _expanded_sizes(model: onnx.ModelProto) -> dict[tuple[str, str], int]:
    """Return how many nodes a call of each function becomes."""
    bodies = {(function.domain, function.name): function for function in model.functions}
    called = {
        key: [call for node in body.node if (call := (node.domain, node.op_type)) in bodies]
        for key, body in bodies.items()
    }
    try:
        order = list(TopologicalSorter(called).static_order())
    except CycleError as error:
        circle = error.args[1]
        names = f"{circle[0][1]!r} and {circle[1][1]!r}"
        raise GraphError(f"the local functions {names} call each other in a circle") from error
    sizes: dict[tuple[str, str], int] = {}
    for key in order:
        sizes[key] = sum(sizes.get((node.domain, node.op_type), 1) for node in bodies[key].node)
    return sizes
