"""Which nodes do more or less work depending on what is in the image: a time holds for the timed images only then.

A network that recognises the images that are timed, or any that are no faces, could take a short cut there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph.control_flow import constant_scalar, deciding_condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: How `Shapes.typed` marks what is no tensor.
SEQUENCE = -1


def decided_by_image(graph: Graph, shapes: Shapes) -> Iterator[str]:
    """Yield the nodes whose work may depend on the image's content, "gate (If)"; bodies are looked into.

    A condition, a number of turns, or a size that is computed from pixels, or drawn at random; and a result of unknown
    size, since that may be why it is unknown. Sizes that follow from sizes are the same for every image.
    """
    for node in graph.nodes:
        decides = any(
            position in node.operator.sizes and bool(name) and shapes.depends_on_image(name)
            for position, name in enumerate(node.inputs)
        )
        if decides or _may_stop_early(node, shapes) or _loses_its_size(node, shapes):
            yield f"{node.label} ({node.op})"
        for name, body in node.subgraphs.items():
            yield from decided_by_image(body, shapes.body(node, name))


def _loses_its_size(node: Node, shapes: Shapes) -> bool:
    """Whether a tensor made from the image has no known size, although everything it is made from has one."""

    def unknown(name: str) -> bool:
        return bool(name) and shapes.typed(name).kind != SEQUENCE and shapes.shape(name) is None

    made = any(unknown(name) and shapes.depends_on_image(name) for name in node.outputs)
    return made and not any(unknown(name) for name in node.inputs)


def _may_stop_early(node: Node, shapes: Shapes) -> bool:
    """Whether a Loop's own condition, computed in its body, depends on the image."""
    if node.op != "Loop" or node.domain or "body" not in node.subgraphs:
        return False
    inside = shapes.body(node, "body")
    name = deciding_condition(node.subgraphs["body"])
    return bool(name) and constant_scalar(inside, name) is None and inside.depends_on_image(name)
