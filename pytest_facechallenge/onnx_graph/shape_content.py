"""Which shapes depend on the content of values, and which values on what is in the image."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from onnx import TensorProto

from pytest_facechallenge.onnx_graph.ir import outer_reads
from pytest_facechallenge.onnx_graph.operators import Kind, Trait
from pytest_facechallenge.onnx_graph.strip import KEEP

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.onnx_graph.known_shapes import Shapes


def tainted(shapes: Shapes, start: set[str], outer: Callable[[str], bool]) -> set[str]:
    """Return all values of the graph whose content depends on those of ``start``.

    Shape, Size and SequenceLength ask for a value's size only, so they stop the dependence, unless the size itself
    depends on content: that of what NonZero finds is a count of pixels. Random numbers count as dependent.
    """
    own = {*shapes.graph.producers, *shapes.graph.constants, *shapes.graph.inputs}
    tainted = set(start)
    # Values whose shape depends on content: those from outside of unknown shape, and what is made with them.
    shaped = {name for name in shapes.known if name not in shapes.graph.producers and shapes.shape(name) is None}
    for node in shapes.graph.nodes:
        reads = {*node.inputs, *outer_reads(node)} - {""}
        dependent = {name for name in reads if name in tainted or (name not in own and outer(name))}
        outputs = set(node.outputs) - {""}
        if reads & shaped or any(i in node.operator.sizes and name in dependent for i, name in enumerate(node.inputs)):
            shaped |= {name for name in outputs if shapes.shape(name) is None}
        about_shape = node.operator.kind is Kind.ABOUT_SHAPE
        if node.operator.has(Trait.RANDOM) or (reads & shaped if about_shape else dependent):
            tainted |= outputs
    return tainted


def trusted(shapes: Shapes, missing: list[str]) -> list[str]:
    """Those of ``missing`` whose shape is the same for every image, so that one run tells it."""
    untrusted: set[str] = set()
    for node in shapes.graph.nodes:
        shaped = any(i in node.operator.sizes and name in shapes.varying for i, name in enumerate(node.inputs))
        reads = {*node.inputs, *outer_reads(node)}
        if shaped or reads & untrusted:
            untrusted |= {name for name in node.outputs if name and shapes.shape(name) is None}
    stopped = [name for name in missing if name in untrusted]
    if stopped:
        first = next(node for node in shapes.graph.nodes if set(node.outputs) & set(stopped))
        shapes.problems.append(
            f"the shape of {stopped[0]!r} (made by node {first.label!r}, {first.op}) depends on what is in the "
            f"image, so it has no fixed size; {len(stopped)} value(s) are affected"
        )
    return [name for name in missing if name not in untrusted]


def wanted_values(shapes: Shapes) -> list[str]:
    """Return values of this graph whose content has to be known, and is the same for every image.

    Beside `Operator.read` these are the small whole numbers that subgraphs read: sizes, mostly.
    """
    wanted: list[str] = []
    for node in shapes.graph.nodes:
        wanted += [node.inputs[position] for position in node.operator.read if position < len(node.inputs)]
        for name in outer_reads(node) if node.subgraphs else ():
            kind, shape = shapes.typed(name)
            if kind in (TensorProto.INT32, TensorProto.INT64) and shape is not None and prod(shape) <= KEEP:
                wanted.append(name)
    known = shapes.graph.producers
    return [name for name in dict.fromkeys(wanted) if name in known and name not in shapes.varying]
