"""One run of a graph in onnxruntime to read shapes that inference could not find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.onnx_graph.ir import outer_reads
from pytest_facechallenge.onnx_graph.protos import bodies
from pytest_facechallenge.onnx_graph.strip import is_hollow, stripped_in_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from pytest_facechallenge.onnx_graph.ir import Graph
    from pytest_facechallenge.onnx_graph.known_shapes import Typed

#: Prefix of the values added to the graph for the run; not a name that an exporter writes.
PREFIX = "facechallenge\x1fshape of "

#: Domains that the runtime brings itself.
RUNTIME_DOMAINS = ("", "ai.onnx.ml", "com.microsoft")


class RunOutcome(NamedTuple):
    """Shapes and values by name, and what went wrong in sentences."""

    shapes: dict[str, tuple[int, ...]]
    values: dict[str, npt.NDArray[Any]]
    problems: list[str]


def run(
    graph: Graph,
    inputs: Mapping[str, Typed],
    given: Mapping[str, npt.NDArray[Any]],
    shapes: list[str],
    values: list[str],
) -> RunOutcome:
    """Run the graph on noise images and return the asked shapes and values.

    Parameters
    ----------
    inputs
        Element type and shape of every value that is fed with noise.
    given
        Values from outside whose content is known.
    shapes, values
        Names of values whose shape, respectively content, is asked for.

    Notes
    -----
    Two runs with different input; what differs between them is not returned. Big weights are zeros made by
    ConstantOfShape nodes, so a 250 MB model is neither copied nor read.
    """
    unfed = sorted(name for name, (_, shape) in inputs.items() if shape is None)
    reachable, cut = _runnable(graph, set(unfed))
    shapes = [name for name in shapes if name in reachable]
    values = [name for name in values if name in reachable]
    problems = [cut] if cut else []
    if not shapes and not values:
        return RunOutcome({}, {}, problems)
    model = _build(graph, {name: typed for name, typed in inputs.items() if typed.shape is not None}, reachable)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in given.items())
    for name in shapes:
        model.graph.node.append(helper.make_node("Shape", [name], [PREFIX + name]))
        model.graph.output.append(helper.make_tensor_value_info(PREFIX + name, onnx.TensorProto.INT64, None))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values)
    try:
        first = _evaluate(model, inputs, 1)
        second = _evaluate(model, inputs, 2)
    except Exception as error:  # the runtime raises a dozen types, all meaning that the graph does not run
        text = " ".join(str(error).split())[:300]
        return RunOutcome({}, {}, [*problems, f"running the graph to read its shapes failed: {text}"])
    return RunOutcome(
        {
            name: tuple(int(extent) for extent in first[PREFIX + name])
            for name in shapes
            if np.array_equal(first[PREFIX + name], second[PREFIX + name])
        },
        {name: first[name] for name in values if np.array_equal(first[name], second[name])},
        problems,
    )


def _runnable(graph: Graph, unknown: set[str]) -> tuple[set[str], str]:
    """Return the values that can be computed without operators of foreign domains, and a sentence when some cannot."""
    blocked = set(unknown)
    reachable: set[str] = set()
    culprit = ""
    for node in graph.nodes:
        foreign = [inner for inner in (node, *_inner(node)) if inner.domain not in RUNTIME_DOMAINS]
        if foreign and not culprit:
            culprit = (
                f"node {foreign[0].label!r} is of the operator set {foreign[0].domain!r}, which cannot be run here"
            )
        if foreign or blocked & {*node.inputs, *outer_reads(node)}:
            blocked |= set(node.outputs)
        else:
            reachable |= set(node.outputs) - {""}
    return reachable, culprit


def _inner(node: Any) -> list[Any]:
    return [inner for body in node.subgraphs.values() for inner in body.walk()]


def _build(graph: Graph, inputs: Mapping[str, Typed], reachable: set[str]) -> onnx.ModelProto:
    proto = stripped_in_order(graph)
    proto.name = "shapes"
    del proto.input[:], proto.output[:], proto.value_info[:]
    kept = [
        node for node in proto.node if (node.op_type == "Constant" and not node.domain) or set(node.output) & reachable
    ]
    del proto.node[:]
    _fill(proto, kept, graph.opsets.get("", 1))
    for name, (kind, shape) in inputs.items():
        proto.input.append(helper.make_tensor_value_info(name, kind or onnx.TensorProto.FLOAT, shape))
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    return helper.make_model(proto, opset_imports=opsets, ir_version=10)


def _fill(proto: onnx.GraphProto, nodes: list[onnx.NodeProto], opset: int) -> None:
    """Put zeros, made at run time, where the bytes of big tensors were left out; subgraphs included."""
    hollow = [tensor for tensor in proto.initializer if is_hollow(tensor)]
    solid = [tensor for tensor in proto.initializer if not is_hollow(tensor)]
    del proto.initializer[:]
    proto.initializer.extend(solid)
    made: list[onnx.NodeProto] = [node for tensor in hollow for node in _zeros(tensor, tensor.name, opset)]
    for node in nodes:
        tensor = node.attribute[0].t if node.op_type == "Constant" and len(node.attribute) == 1 else None
        if tensor is not None and is_hollow(tensor):
            made += _zeros(tensor, node.output[0], opset)
            continue
        for graph in bodies(node):
            inner = list(graph.node)
            del graph.node[:]
            _fill(graph, inner, opset)
        made.append(node)
    proto.node.extend(made)


def _zeros(tensor: onnx.TensorProto, name: str, opset: int) -> list[onnx.NodeProto]:
    kind = tensor.data_type
    if opset < 9:  # ConstantOfShape came with 9
        dense = np.zeros(tuple(tensor.dims), helper.tensor_dtype_to_np_dtype(kind))
        return [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(dense))]
    plain = kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE) or kind in range(2, 10)
    value = helper.make_tensor("zero", kind if plain else onnx.TensorProto.FLOAT, [1], [0])
    made = name if plain else PREFIX + name + " before cast"
    shape = numpy_helper.from_array(np.array(tensor.dims, np.int64))
    nodes = [
        helper.make_node("Constant", [], [PREFIX + name + " extents"], value=shape),
        helper.make_node("ConstantOfShape", [PREFIX + name + " extents"], [made], value=value),
    ]
    return nodes if plain else [*nodes, helper.make_node("Cast", [made], [name], to=kind)]


def _evaluate(model: onnx.ModelProto, inputs: Mapping[str, Typed], seed: int) -> dict[str, npt.NDArray[Any]]:
    from pytest_facechallenge.inference.session import open_session  # the runtime is loaded only where it is needed

    session = open_session(model.SerializeToString(), optimise=False, log_level=4)
    generator = np.random.default_rng(seed)
    feeds: dict[str, npt.NDArray[Any]] = {}
    for entry in session.get_inputs():
        kind, shape = inputs[entry.name]
        dtype = helper.tensor_dtype_to_np_dtype(kind or onnx.TensorProto.FLOAT)
        noise = generator.random(shape or ()) * (255 if seed > 1 else 1)
        feeds[entry.name] = np.asarray(noise, dtype)
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))
