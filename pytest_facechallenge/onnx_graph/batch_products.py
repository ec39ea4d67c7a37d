"""What matrix products do to the axis of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph.batch_rules import Rule, crossing, meeting
from pytest_facechallenge.onnx_graph.batch_state import Following, Place, State
from pytest_facechallenge.onnx_graph.operators import Along

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Node

_SUMS = "sums over the images of the batch"


def product(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """MatMul: the last axis of one operand and the last but one of the other are summed over."""
    dims = [follower.dims(name) for name in node.inputs[:2]]
    if dims[0] is None or dims[1] is None:
        return whole.losing(node.label)
    left, right = inputs[0].place, inputs[1].place
    ranks = len(dims[0]), len(dims[1])
    if min(ranks) < 2:
        return _with_vector(follower, node, inputs, whole, ranks)
    rank = max(ranks)
    summed = left is not None and left.axis == ranks[0] - 1, right is not None and right.axis == ranks[1] - 2
    if any(summed):
        kept = [
            place._replace(axis=place.axis + rank - ranks[at])
            for at, place in enumerate((left, right))
            if place is not None and not summed[at]
        ]
        return crossing(follower, node, whole, _SUMS, kept[0] if kept else None)
    places = [
        place._replace(axis=place.axis + rank - ranks[at])
        for at, place in enumerate((left, right))
        if place is not None
    ]
    return meeting(follower, node, places, whole)


def _with_vector(follower: Following, node: Node, inputs: list[State], whole: State, ranks: tuple[int, int]) -> State:
    left, right = inputs[0].place, inputs[1].place
    if left is not None and right is not None:
        return whole.losing(node.label)
    if left is not None:
        if left.axis == ranks[0] - 1:
            return crossing(follower, node, whole, _SUMS)
        return whole.at(left)
    if right is not None:
        if right.axis == max(0, ranks[1] - 2):
            return crossing(follower, node, whole, _SUMS)
        return whole.at(right._replace(axis=right.axis - 1))
    return whole.at(None)


def gemm(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Gemm: two matrices, each perhaps turned, and a bias."""
    places: list[Place] = []
    summed = False
    for at, (state, turned) in enumerate(zip(inputs[:2], ("transA", "transB"), strict=True)):
        if state.place is not None:
            axis = 1 - state.place.axis if node.attributes.get(turned, 0) else state.place.axis
            summed = summed or axis == 1 - at
            if axis == at:
                places.append(state.place._replace(axis=axis))
    if summed:
        return crossing(follower, node, whole, _SUMS, places[0] if places else None)
    bias = inputs[2].place if len(inputs) > 2 else None
    if bias is not None:
        dims = follower.dims(node.inputs[2])
        if dims is None:
            return whole.losing(node.label)
        places.append(bias._replace(axis=bias.axis + 2 - len(dims)))
    return meeting(follower, node, places, whole)


def einsum(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Einsum: letters that are not in the result are summed over."""
    terms, arrow, result = str(node.attributes.get("equation", "")).replace(" ", "").partition("->")
    operands = terms.split(",")
    if "." in terms or not arrow or len(operands) != len(inputs):
        if node.operator.along is Along.EINSUM and all(state.place in (None, Place(0)) for state in inputs):
            starts = [term.startswith("...") for term, state in zip(operands, inputs, strict=False) if state.place]
            same = {_rank(follower, name) for name, state in zip(node.inputs, inputs, strict=True) if state.place}
            if all(starts) and result.startswith("...") and len(same) == 1:
                return whole.at(Place(0))
        return whole.losing(node.label)
    places: list[Place] = []
    summed = False
    for term, state in zip(operands, inputs, strict=True):
        if state.place is None:
            continue
        if state.place.axis >= len(term):
            return whole.losing(node.label)
        letter = term[state.place.axis]
        if term.count(letter) > 1:
            return whole.losing(node.label)
        if letter in result:
            places.append(state.place._replace(axis=result.index(letter)))
        else:
            summed = True
    if summed:
        return crossing(follower, node, whole, _SUMS, places[0] if places else None)
    return meeting(follower, node, places, whole)


def _rank(follower: Following, name: str) -> int:
    """Return the number of axes of a value; -1 when it is not known."""
    dims = follower.dims(name)
    return -1 if dims is None else len(dims)


RULES: dict[str, Rule] = {Along.PRODUCT: product, Along.GEMM: gemm, Along.EINSUM: einsum}
