"""Whether a value has a place for each image, whatever their number.

One that meets a stored row for each of four images has not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph.batch_shapes import Extent
from pytest_facechallenge.onnx_graph.operators import Along

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.onnx_graph.batch_state import Following, Place
    from pytest_facechallenge.onnx_graph.ir import Node

#: The extent of an axis that holds one row for each image.
ONE_EACH = Extent(1, batch=True)


def grows(follower: Following, node: Node, name: str, place: Place) -> bool:
    """Return whether a result of a node has as many places more as there are images more.

    Parameters
    ----------
    name, place
        The result, and where the images lie in it.
    """
    dims = follower.dims(name)
    extent = dims[place.axis] if dims is not None and place.axis < len(dims) else None
    if dims is None or extent is None or not extent.batch:
        return False
    if node.op == "Squeeze" and len(node.inputs) < 2 and "axes" not in node.attributes:
        return False  # of a single image it takes the axis away
    return all(stored is not None and (stored.batch or stored.factor == 1)
               for stored in _met(follower, node, place, len(dims)))  # fmt: skip


def _met(follower: Following, node: Node, place: Place, rank: int) -> Iterator[Extent | None]:
    """Yield how large what is stored is along the images, where it is broadcast: the runtime's shapes may hide it."""
    if node.operator.along is Along.EACH:
        for name in node.inputs:
            dims = follower.dims(name) if name else ()
            axis = place.axis - rank + (len(dims) if dims is not None else rank)
            if dims is None:
                yield None
            elif name and axis >= 0:
                yield dims[axis]
    if node.operator.along is Along.EINSUM:
        terms, _, result = str(node.attributes.get("equation", "")).replace(" ", "").partition("->")
        letter = result[place.axis] if "." not in terms and place.axis < len(result) else ""
        for term, name in zip(terms.split(","), node.inputs, strict=False):
            dims = follower.dims(name)
            if letter and letter in term:
                yield dims[term.index(letter)] if dims is not None and len(dims) == len(term) else None
