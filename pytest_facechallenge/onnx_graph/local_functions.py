"""Local functions of a model, and their calls replaced by their bodies."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

import onnx
from onnx import defs, inliner

from pytest_facechallenge.onnx_graph.protos import bodies

#: A graph may not grow beyond this many nodes by inlining: functions calling functions can double at each level.
MAX_NODES = 200_000


class GraphError(ValueError):
    """The model cannot be read as a graph; the message says where and why."""


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every call of a local function replaced by the function's body.

    Raises
    ------
    GraphError
        The functions call each other in a circle, expand beyond `MAX_NODES`, are called with inputs or outputs that
        they do not have, or cannot be put in the place of a call: no call is left, since nobody could see into it.
    """
    sizes = _expanded_sizes(model)
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > MAX_NODES:
        raise GraphError(f"the local functions expand to {total} nodes; more than {MAX_NODES} are not read")
    try:
        inlined = inliner.inline_local_functions(_of_one_version(model))
    except RuntimeError as error:  # an assertion of onnx's C++ code
        raise GraphError(f"the local functions cannot be inlined: {' '.join(str(error).split())[:300]}") from error
    pending = [inlined.graph]
    while pending:
        graph = pending.pop()
        for node in graph.node:
            if (node.domain, node.op_type) in sizes:
                raise GraphError(f"a call of the local function {node.op_type!r} cannot be replaced by its body")
            pending += bodies(node)
    return inlined


def other_operators(model: onnx.ModelProto, function: onnx.FunctionProto) -> list[str]:
    """Return the operators in a function that are others in the version that the model imports.

    Source: the comment on ``FunctionProto.opset_import`` in onnx.proto: the versions may differ, as long as the schema
    of every operator in the body is the same in both.
    """
    versions = versions_of(model.opset_import)
    found: dict[str, None] = {}
    pending = list(function.node)
    own = versions_of(function.opset_import)
    while pending:
        node = pending.pop()
        domain = _plain(node.domain)
        mine, models = own.get(domain), versions.get(domain)
        if mine and models and _since(node.op_type, domain, mine) != _since(node.op_type, domain, models):
            found[node.op_type] = None
        pending += [inner for body in bodies(node) for inner in body.node]
    return list(found)


def versions_of(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Return the version of each domain, the last where one is imported twice; "ai.onnx" is ""."""
    return {_plain(entry.domain): entry.version for entry in imports}


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _since(name: str, domain: str, version: int) -> int:
    """Return since which version an operator is as it is in ``version``; 0 for one that onnx does not know."""
    try:
        return int(defs.get_schema(name, version, domain).since_version)
    except defs.SchemaError:
        return 0


def _of_one_version(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with functions that import the versions of the model, as far as that changes no operator.

    onnx leaves calls of others as they are.
    """
    versions = versions_of(model.opset_import)
    if all(
        versions.get(domain, version) == version
        for function in model.functions
        for domain, version in versions_of(function.opset_import).items()
    ):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for function in changed.functions:
        if other := other_operators(model, function):
            raise GraphError(
                f"the local function {function.name!r} has operators of another version than the model: {other[0]!r}"
            )
        for entry in function.opset_import:
            entry.version = versions.get(_plain(entry.domain), entry.version)
    return changed


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
