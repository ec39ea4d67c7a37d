"""The shape of every value of a graph, for a given batch.

Three sources, in this order:

1. onnx shape inference (with data propagation) on a copy of the graph from which the bytes of big weights are left out;
   declared intermediate shapes are dropped first, because a file may declare what it likes.
2. Where inference gives up, one run of the graph in onnxruntime (CPU, optimisations off), big weights replaced by
   zeros: only shapes are read from it, so their values do not matter.
3. Bodies of If, Loop and Scan are taken out and treated the same way, with the shapes that reach them.

A shape that depends on what is in the image (after NonZero, say) stays unknown: one run would show one image's.
Nothing here judges.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.onnx_graph import shape_run
from pytest_facechallenge.onnx_graph.control_flow import bound
from pytest_facechallenge.onnx_graph.ir import Graph, Node, outer_reads
from pytest_facechallenge.onnx_graph.known_shapes import Shape, Shapes, Typed
from pytest_facechallenge.onnx_graph.shape_content import tainted, trusted, wanted_values
from pytest_facechallenge.onnx_graph.strip import KEEP, is_big, stripped_in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

#: Of the face images of every challenge that the rulebooks know (channels, height, width): what stands in for an
#: axis that a model leaves open. A model that does is reported, see `Shapes.assumed`.
IMAGE = (3, 112, 112)


def infer(graph: Graph, *, batch: int = 1, image: Shape = IMAGE) -> Shapes:
    """Find the shape of every value of a main graph.

    Parameters
    ----------
    graph
        Local functions inlined, as `ir.from_model` gives it.
    batch
        What the first axis of the first input becomes, and that of every other input that is open or as long (also
        where the file declares another number; when the graph cannot be evaluated with it, the declared number is
        kept and `Shapes.assumed` says so).
    image
        Channels, height and width for axes that the model leaves open.

    Returns
    -------
    Shapes
        Unknown shapes are None; the reasons are in ``problems``.
    """
    shapes = _infer_main(graph, batch, image)
    shapes.batch = batch
    fixed = _fixed_batches(graph, batch)
    if fixed and (_missing(shapes) or shapes.unsound):
        declared = _infer_main(graph, None, image)
        if _trouble(declared) < _trouble(shapes):
            declared.assumed.append(
                f"the model is fixed to a batch of {', '.join(str(number) for number in fixed)} and cannot be "
                f"evaluated with {batch}: the figures are for its whole batch"
            )
            declared.batch = max(fixed)
            return declared
    return shapes


def _trouble(shapes: Shapes) -> int:
    return len(_missing(shapes)) + len(shapes.unsound)


def _fixed_batches(graph: Graph, batch: int) -> list[int]:
    """Return the number of images that the first input is fixed to, where it is another one than ``batch``."""
    first = _first_extent(graph)
    return [first] if first > 0 and first != batch else []


def _first_extent(graph: Graph) -> int:
    """Return the declared extent of the first axis of the first input; 0 when it is open."""
    declared = {entry.name: entry.type.tensor_type.shape.dim for entry in graph.proto.input}
    dims = declared[graph.inputs[0]] if graph.inputs else []
    return int(dims[0].dim_value) if dims else 0


def _infer_main(graph: Graph, batch: int | None, image: Shape) -> Shapes:
    shapes = Shapes(graph, _infer_body)
    images = _first_extent(graph)
    inputs = set(graph.inputs)
    for entry in graph.proto.input:
        if entry.name in inputs:
            dims = entry.type.tensor_type.shape.dim
            # A further input may be no batch at all (a matrix, say): its size stays unless it is the batch's own.
            kept = bool(dims) and dims[0].dim_value > 0 and dims[0].dim_value != images
            kept = kept and entry.name != graph.inputs[0]
            shapes.known[entry.name] = _fixed_input(entry, None if kept else batch, image, shapes.assumed)
    _complete(shapes, portrayed=inputs, varying=set(inputs))
    return shapes


def _fixed_input(entry: onnx.ValueInfoProto, batch: int | None, image: Shape, assumed: list[str]) -> Typed:
    kind = entry.type.tensor_type
    if not entry.type.HasField("tensor_type"):
        return Typed(0, None)
    if not kind.HasField("shape"):
        assumed.append(f"input {entry.name!r} declares no shape: taken as {_text((batch or 1, *image))}")
        return Typed(kind.elem_type, (batch or 1, *image))
    channels_last = len(kind.shape.dim) == 4 and kind.shape.dim[3].dim_value == image[0]
    usual = (*image[1:], image[0]) if channels_last and kind.shape.dim[1].dim_value != image[0] else image
    shape: list[int] = []
    for axis, dim in enumerate(kind.shape.dim):
        fixed = dim.HasField("dim_value") and dim.dim_value >= 0
        if axis == 0 and (batch is not None or not fixed):
            shape.append(batch or 1)
        elif fixed:
            shape.append(dim.dim_value)
        elif len(kind.shape.dim) == len(usual) + 1:
            shape.append(usual[axis - 1])
            assumed.append(f"axis {axis} of input {entry.name!r} is left open: taken as {usual[axis - 1]}")
        else:
            assumed.append(f"axis {axis} of input {entry.name!r} is left open and has no usual size: taken as 1")
            shape.append(1)
    return Typed(kind.elem_type, tuple(shape))


def _text(shape: Iterable[int]) -> str:
    return "x".join(str(extent) for extent in shape)


def _complete(shapes: Shapes, portrayed: set[str], varying: set[str]) -> None:
    """Fill ``shapes.known`` from the inputs, which are there already."""
    graph = shapes.graph
    model = _model(shapes)
    _read_inferred(shapes, model)
    shapes.portrayed = tainted(shapes, portrayed, shapes.depends_on_image)
    hollow = {name for name, tensor in graph.constants.items() if is_big(tensor.proto)}
    shapes.varying = tainted(shapes, varying | hollow | set(_fed(shapes)), shapes.depends_on_image)
    _ask_the_runtime(shapes)
    shapes.unsound = _unsound(shapes)
    if _missing(shapes):
        strict = _strict_message(model)
        if strict:
            shapes.problems.append(f"onnx shape inference says: {strict}")


def _ask_the_runtime(shapes: Shapes) -> None:
    """Fill in by a run what inference left open, as far as it is the same for every image."""
    graph = shapes.graph
    values = wanted_values(shapes)
    missing = _missing(shapes)
    if not missing and not values:
        return
    askable = trusted(shapes, missing)
    if askable or values:
        shapes.ran = True
        inputs = {name: shapes.typed(name) for name in _fed(shapes)}
        outcome = shape_run.run(graph, inputs, _given(shapes), askable, values)
        for name, shape in outcome.shapes.items():
            shapes.known[name] = Typed(shapes.typed(name).kind, shape)
        shapes.values |= outcome.values
        shapes.problems += outcome.problems


def _unsound(shapes: Shapes) -> list[str]:
    """Return what shape inference does not look at: Reshapes that would change the number of elements."""
    found = []
    for node in shapes.graph.nodes:
        if node.op in ("Reshape", "Flatten") and not node.domain and node.inputs and node.outputs:
            before, after = shapes.shape(node.inputs[0]), shapes.shape(node.outputs[0])
            if before is not None and after is not None and prod(before) != prod(after):
                found.append(f"node {node.label!r} ({node.op}) cannot turn {_text(before)} into {_text(after)}")
    return found


def _fed(shapes: Shapes) -> list[str]:
    """Return the values that come from outside and whose content is not known."""
    return [name for name in shapes.known if name not in shapes.graph.producers and name not in shapes.values]


def _given(shapes: Shapes) -> dict[str, npt.NDArray[Any]]:
    """Return the values that come from outside and whose content is known."""
    return {name: value for name, value in shapes.values.items() if name not in shapes.graph.producers}


def _model(shapes: Shapes) -> onnx.ModelProto:
    """Return the graph as a model of its own: known inputs typed, big weights hollow, no declared shapes."""
    graph = shapes.graph
    proto = stripped_in_order(graph)
    del proto.input[:], proto.output[:], proto.value_info[:]
    proto.initializer.extend(numpy_helper.from_array(value, name) for name, value in _given(shapes).items())
    for name in _fed(shapes):
        kind, shape = shapes.known[name]
        proto.input.append(helper.make_tensor_value_info(name, kind or onnx.TensorProto.FLOAT, shape))
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    return helper.make_model(proto, opset_imports=opsets, ir_version=10)


def _read_inferred(shapes: Shapes, model: onnx.ModelProto) -> None:
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx raises RuntimeError, ValueError and its own InferenceError here
        shapes.problems.append(f"onnx shape inference failed: {_first_line(error)}")
        return
    for entry in inferred.graph.value_info:
        if entry.name in shapes.graph.producers:
            shapes.known[entry.name] = _of_type(entry.type)


def _of_type(kind: onnx.TypeProto) -> Typed:
    if not kind.HasField("tensor_type"):
        return Typed(-1, None)
    tensor = kind.tensor_type
    # A window larger than its map gives a negative extent here, which is none.
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") and d.dim_value >= 0 for d in tensor.shape.dim):
        return Typed(tensor.elem_type, None)
    return Typed(tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim))


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _strict_message(model: onnx.ModelProto) -> str:
    try:
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        return _first_line(error)
    return ""


def _missing(shapes: Shapes) -> list[str]:
    """Return outputs of nodes with no known shape that are tensors as far as is known."""
    return [
        name
        for node in shapes.graph.nodes
        for name in node.outputs
        if name and shapes.shape(name) is None and shapes.typed(name).kind != -1
    ]


def _infer_body(outer: Shapes, node: Node, body: Graph) -> Shapes:
    """Find the shapes inside a subgraph, with the shapes that reach it from around.

    The inputs of a Loop's or Scan's body may change their shape from turn to turn: those that do (found by comparing
    with the body's outputs) are taken as unknown.
    """
    given = _body_inputs(outer, node, body)
    unsteady: list[str] = []
    while True:
        shapes = _infer_body_once(outer, node, body, given)
        changed = _states_that_change(node, body, shapes)
        if not changed:  # every round makes at least one more input unknown, so this comes
            break
        given |= {name: Typed(given[name].kind, None) for name in changed}
        unsteady += changed
    if unsteady:
        shapes.problems.append(f"the shape of {', '.join(unsteady)} changes from turn to turn of {node.label!r}")
    return shapes


def _infer_body_once(outer: Shapes, node: Node, body: Graph, given: Mapping[str, Typed]) -> Shapes:
    shapes = Shapes(body, _infer_body, outer)
    shapes.known = dict(given)
    own = {*body.inputs, *body.constants, *body.producers, *body.sparse}
    reads: set[str] = set(body.outputs)
    for inner in body.nodes:
        reads |= {*inner.inputs, *outer_reads(inner)}
    for name in sorted(reads - own - {""}):
        shapes.known[name] = outer.typed(name)
        constant = outer.graph.constant(name)
        value = outer.value(name) if constant is None or constant.size <= KEEP else None
        if value is not None:
            shapes.values[name] = value
    feeds_image = any(outer.depends_on_image(name) for name in node.inputs if name)
    _complete(shapes, set(body.inputs) if feeds_image else set(), set(body.inputs))
    return shapes


def _body_inputs(outer: Shapes, node: Node, body: Graph) -> dict[str, Typed]:
    declared = {entry.name: _of_type(entry.type) for entry in body.proto.input}
    given = {name: Typed(declared[name].kind, None) for name in body.inputs}
    if node.op == "Scan" and node.opset < 9:  # it has a batch axis besides
        return given
    how = bound(node, body)
    if how.condition:
        given |= {how.iteration: Typed(onnx.TensorProto.INT64, ()), how.condition: Typed(onnx.TensorProto.BOOL, ())}
    given |= {carried.given: outer.typed(carried.start) for carried in how.carried}
    for sliced in how.sliced:
        kind, shape = outer.typed(sliced.whole)
        if shape is not None and -len(shape) <= sliced.axis < len(shape):
            place = sliced.axis % len(shape)
            given[sliced.piece] = Typed(kind, shape[:place] + shape[place + 1 :])
    return given


def _states_that_change(node: Node, body: Graph, shapes: Shapes) -> list[str]:
    return [
        carried.given
        for carried in bound(node, body).carried
        if shapes.shape(carried.given) is not None and shapes.shape(carried.given) != shapes.shape(carried.made)
    ]
