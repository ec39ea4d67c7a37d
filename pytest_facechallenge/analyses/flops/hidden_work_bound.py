"""How much work the free operators could hide: a bound that needs to recognise nothing.

`elementwise_contractions` finds the ways of writing a contraction that somebody thought of. However one is written,
each product of two numbers has to be made by some operator, and each has to be added to a sum by one. So the values
that the free operators of arithmetic touch bound from above what they can hide. Networks of known architectures keep
this small beside their convolutions and matrix products; one that does not is not what it seems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.flops.op_cost import size
from pytest_facechallenge.onnx_graph.operators import Trait

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: Values that one result of an interpolation is made of, on a plane.
TAPS = {"nearest": 0, "linear": 4, "bilinear": 4, "cubic": 16, "bicubic": 16}


def touched(node: Node, shapes: Shapes) -> int | None:
    """Return how many values of the image a free operator of arithmetic works on; None when a size is not known.

    A value counts once for each operator that reads or makes it; one that only moves data touches none.
    """
    if not any(shapes.depends_on_image(name) for name in node.outputs if name):
        return 0
    rate = _rate(node, shapes)
    if not rate:
        return 0
    sizes = [0]
    for name in {*node.inputs, *node.outputs} - {""}:
        kind, shape = shapes.typed(name)
        if not shapes.depends_on_image(name) or kind == -1:  # a sequence or an optional
            continue
        if shape is None:
            return None
        sizes.append(size(shape))
    if node.operator.has(Trait.WINDOW) or node.operator.has(Trait.INTERPOLATES):
        made = shapes.shape(node.outputs[0])
        return max(max(sizes), rate * size(made or ()))
    return rate * max(sizes)


def _rate(node: Node, shapes: Shapes) -> int:
    """Return how often the operator works on each value: once, but for windows, interpolation and several inputs."""
    operator = node.operator
    if operator.has(Trait.LOOKS_UP):  # a table of products is a product when the image says where
        return int(len(node.inputs) > 1 and shapes.depends_on_image(node.inputs[1]))
    if operator.has(Trait.SCATTERS):
        return int(node.attributes.get("reduction", "none") != "none")
    if operator.has(Trait.INTERPOLATES):
        default = "linear" if node.op == "GridSample" else "nearest"
        return TAPS.get(str(node.attributes.get("mode", default)), 16)
    if operator.has(Trait.IDLE):
        return 0
    if operator.has(Trait.VARIADIC):
        return max(1, len(node.inputs) - 1)
    if node.op == "LRN":
        return int(node.attributes.get("size", 1))
    if operator.has(Trait.WINDOW):
        return size(tuple(node.attributes.get("kernel_shape") or (1,)))
    return 1
