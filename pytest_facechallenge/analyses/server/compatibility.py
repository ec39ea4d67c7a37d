"""The step ``compat``: which operators, versions and types the file uses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import onnx
from onnx import defs

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.weights import inventory
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts, OperatorUse, PReluUse, TypeUse
from pytest_facechallenge.onnx_graph.ir import GraphError
from pytest_facechallenge.onnx_graph.open_shapes import infer_open
from pytest_facechallenge.onnx_graph.protos import graphs_of


def gather(context: Context) -> CompatibilityFacts:
    """List what a runtime has to know.

    Local functions are listed and their bodies' operators counted as if the model used each body once; Constant nodes
    count like any other.

    Raises
    ------
    google.protobuf.message.DecodeError
        The file is not an ONNX protobuf.
    """
    model = context.model
    return CompatibilityFacts(
        ir_version=model.ir_version,
        opsets={_domain(entry.domain): entry.version for entry in model.opset_import},
        operators=tuple(_operators(model)),
        types=tuple(_types(model)),
        functions=tuple(f"{function.domain}.{function.name}" for function in model.functions)[:20],
        prelus=tuple(_prelus(context)),
    )


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _nodes(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.NodeProto, dict[str, int]]]:
    """Yield (label, node, opsets that hold for it), in the file's order, subgraphs after the node that holds them."""
    opsets = {_domain(entry.domain): entry.version for entry in model.opset_import}
    pending: list[tuple[str, Iterator[tuple[int, onnx.NodeProto]], dict[str, int]]] = []
    for function in reversed(model.functions):
        own = {_domain(entry.domain): entry.version for entry in function.opset_import}
        pending.append((f"{function.name}/", enumerate(function.node), own))
    pending.append(("", enumerate(model.graph.node), opsets))
    while pending:
        path, nodes, versions = pending[-1]
        index, node = next(nodes, (0, None))
        if node is None:
            pending.pop()
            continue
        label = path + (node.name or f"{node.op_type}_{index}")
        yield label, node, versions
        for attribute in reversed(node.attribute):
            held = graphs_of(attribute)
            pending += [(f"{label}.{attribute.name}/", enumerate(graph.node), versions) for graph in held]


def _operators(model: onnx.ModelProto) -> Iterator[OperatorUse]:
    own = {(function.domain, function.name) for function in model.functions}
    first: dict[tuple[str, str, int], tuple[str, int]] = {}
    counts: dict[tuple[str, str, int], int] = {}
    for position, (label, node, opsets) in enumerate(_nodes(model)):
        if (node.domain, node.op_type) in own:
            continue
        domain = _domain(node.domain)
        key = (domain, node.op_type, opsets.get(domain, 0))
        first.setdefault(key, (label, position))
        counts[key] = counts.get(key, 0) + 1
    for (domain, op, opset), (label, position) in first.items():
        history = tuple(version for version in _history().get((domain, op), ()) if version <= opset)
        yield OperatorUse(
            domain=domain,
            op=op,
            since=history[-1] if history else 0,
            history=history,
            count=counts[domain, op, opset],
            first=label,
            position=position,
        )


@cache
def _history() -> dict[tuple[str, str], tuple[int, ...]]:
    """Return every version of every standard operator."""
    found: dict[tuple[str, str], set[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        found.setdefault((_domain(schema.domain), schema.name), set()).add(schema.since_version)
    return {key: tuple(sorted(versions)) for key, versions in found.items()}


def _types(model: onnx.ModelProto) -> Iterator[TypeUse]:
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    seen: dict[str, str] = {}
    for _, where, tensor in inventory.tensors(model):
        seen.setdefault(inventory.element_type(tensor), where)
    for what, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            if value.type.tensor_type.elem_type:
                number = value.type.tensor_type.elem_type
                seen.setdefault(names.get(number, f"type {number}"), f"{what} {value.name!r}")
    for label, node, _ in _nodes(model):
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype", "output_dtype") and attribute.type == onnx.AttributeProto.INT:
                seen.setdefault(names.get(attribute.i, f"type {attribute.i}"), f"node {label!r}")
    for dtype, where in seen.items():
        yield TypeUse(dtype=dtype, where=where)


def _prelus(context: Context) -> Iterator[PReluUse]:
    try:
        graph = context.graph
    except GraphError:
        return
    found = [node for node in graph.walk() if node.op == "PRelu" and not node.domain and len(node.inputs) == 2]
    if not found:
        return
    try:
        shapes = infer_open(graph)
    except GraphError:  # the slopes are told all the same, without the shape that they meet
        shapes = {}
    for node in found:
        slope = node.graph.constant(node.inputs[1])
        if slope is not None:
            shape = shapes.get(node.inputs[0])
            known = None if shape is None else tuple(-1 if extent is None else extent for extent in shape)
            yield PReluUse(node=node.label, slope=slope.shape, input=known)
