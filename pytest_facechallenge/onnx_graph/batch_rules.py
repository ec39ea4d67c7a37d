"""What operators that work place by place, along axes, or on maps do to the axis of the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_facechallenge.onnx_graph.batch_state import FlowKind, Following, Place, State
from pytest_facechallenge.onnx_graph.operators import Along

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Node

#: (follower, node, states of the inputs, all of them together) -> the state of what the node makes.
Rule = Callable[["Following", "Node", list[State], State], State]

#: Since this opset Softmax and its like work along one axis; before, from an axis on.
_ONE_AXIS_SINCE = 13


def each(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Place by place, with broadcasting: axes count from the right."""
    ranks = {name: len(dims) for name in node.inputs if name and (dims := follower.dims(name)) is not None}
    places: list[Place] = []
    for name, state in zip(node.inputs, inputs, strict=True):
        if state.place is not None:
            if len(ranks) < len(set(node.inputs) - {""}):
                return whole.losing(node.label)
            places.append(state.place._replace(axis=state.place.axis + max(ranks.values()) - ranks[name]))
    return meeting(follower, node, places, whole)


def meeting(follower: Following, node: Node, places: list[Place], whole: State) -> State:
    """Return the state of a value in which values with these places meet, element by element."""
    if not places:
        return whole.at(None)
    first = places[0]
    if any(place.axis != first.axis for place in places):
        flow = follower.flow(FlowKind.PAIRS, node, "lets each image of the batch meet each other one")
        return whole.through(flow).at(first)
    if any(place.inner != first.inner for place in places):
        return whole.losing(node.label)
    if any(place.moved != first.moved for place in places):
        flow = follower.flow(FlowKind.MOVED, node, "lets an image meet what stood at another place of the batch")
        return whole.through(flow).at(first._replace(moved=""))
    return whole.at(first)


def crossing(follower: Following, node: Node, whole: State, what: str, place: Place | None = None) -> State:
    """Return the state of a value for which the images of a batch were put together."""
    return whole.through(follower.flow(FlowKind.OVER_ROWS, node, what)).at(place)


def reduced(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Sum up, or take the largest, along axes."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        axes = follower.numbers(node, 1)
        if axes is None:
            return whole.losing(node.label)
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        return whole.at(place)
    if dims is None:
        return whole.losing(node.label)
    gone = {axis % len(dims) for axis in axes} if axes else set(range(len(dims)))
    if place.axis in gone:
        return crossing(follower, node, whole, "puts the images of the batch together")
    kept = node.attributes.get("keepdims", 1)
    return whole.at(place if kept else place._replace(axis=place.axis - sum(axis < place.axis for axis in gone)))


def one_axis(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Whatever compares, sorts, sums up or normalises along one axis."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    if dims is None:
        return whole.losing(node.label)
    old = node.op in ("Softmax", "LogSoftmax", "Hardmax") and node.opset < _ONE_AXIS_SINCE
    axis = node.attributes.get("axis", {"ArgMax": 0, "ArgMin": 0, "DFT": 1}.get(node.op, 1 if old else -1))
    if node.op in ("CumSum", "CumProd") or (node.op == "DFT" and len(node.inputs) > 2):
        found = follower.numbers(node, 2 if node.op == "DFT" else 1)
        if not found:
            return whole.losing(node.label)
        axis = found[0]
    axis %= len(dims)
    if place.axis == axis or (old and place.axis > axis):
        left = place if node.op not in ("ArgMax", "ArgMin", "TopK") else None
        return crossing(follower, node, whole, "works along the axis of the batch", left)
    gone = node.op in ("ArgMax", "ArgMin") and not node.attributes.get("keepdims", 1)
    return whole.at(place._replace(axis=place.axis - 1) if gone and axis < place.axis else place)


def tail(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Normalisation over the axes from ``axis`` on."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    if dims is None:
        return whole.losing(node.label)
    if place.axis >= node.attributes.get("axis", -1) % len(dims):
        return crossing(follower, node, whole, "normalises the images of the batch together", place)
    return whole.at(place)


def maps(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Convolutions, pooling, normalisation of maps: [first axis, channels, places…]."""
    place = inputs[0].place
    if any(state.place is not None for state in inputs[1:]):
        together = node.op in ("GridSample", "DeformConv") and place is not None
        if not together or any(state.place not in (None, place) for state in inputs[1:]):
            return whole.losing(node.label)
    if place is not None and node.op == "MeanVarianceNormalization":
        # The axes by default are the first and those of the places.
        axes, dims = node.attributes.get("axes", (0, 2, 3)), follower.dims(node.inputs[0])
        if dims is None:
            return whole.losing(node.label)
        if place.axis in {axis % len(dims) for axis in axes}:
            return crossing(follower, node, whole, "normalises the images of the batch together", place)
        return whole.at(place)
    if place is None or place.axis == 0:
        if place is not None and node.op in ("Resize", "Upsample"):
            before, after = follower.dims(node.inputs[0]), follower.dims(node.outputs[0])
            if not before or not after or before[0] != after[0]:
                return whole.losing(node.label)  # it resizes along the batch as well, or nobody knows
        return whole.at(place)
    if place.axis == 1:
        return _along_channels(follower, node, whole, place)
    return _along_places(follower, node, whole, place)


def _along_channels(follower: Following, node: Node, whole: State, place: Place) -> State:
    pools = node.op in ("AveragePool", "MaxPool", "LpPool", "InstanceNormalization") or node.op.startswith("Global")
    if pools or node.op in ("Resize", "Upsample", "GridSample"):
        return whole.at(place)
    if node.op == "Conv" and node.attributes.get("group", 1) == 1:
        return crossing(follower, node, whole, "sums over the images of the batch, which are its channels")
    return whole.losing(node.label)


def _along_places(follower: Following, node: Node, whole: State, place: Place) -> State:
    if node.op == "LRN":
        return whole.at(place)
    if node.op.startswith("Global") or node.op in ("InstanceNormalization", "GroupNormalization"):
        stays = place if node.op.endswith("Normalization") else None
        return crossing(follower, node, whole, "puts the images of the batch together, which are its places", stays)
    dims, axis = follower.dims(node.inputs[-1 if node.op != "Conv" else 1]), place.axis - 2
    window = node.attributes.get("kernel_shape")
    if window is None and node.op == "Conv" and dims is not None:
        window = [1 if extent is None else extent.factor for extent in dims[2:]]
    if window is None or axis >= len(window):
        return whole.losing(node.label)
    pads = node.attributes.get("pads", [0] * 2 * len(window))
    strides = node.attributes.get("strides", [1] * len(window))
    if window[axis] == 1 and strides[axis] == 1 and not pads[axis] and not pads[axis + len(window)]:
        return whole.at(place)
    if place.inner > 1 or strides[axis] > 1:
        return whole.losing(node.label)  # a stride as long as an image keeps them apart
    return crossing(follower, node, whole, "works in windows along the axis of the batch", place)


def first_apart(_follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Attention and its like: entries of the first axis are worked on apart."""
    places = {state.place for state in inputs if state.place is not None}
    if len(places) == 1 and next(iter(places)).axis == 0:
        return whole.at(places.pop())
    return whole.losing(node.label) if places else whole.at(None)


def batch_normalization(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Place by place, but for training mode."""
    place = inputs[0].place
    if any(state.place is not None for state in inputs[1:]):
        return whole.losing(node.label)
    # Before opset 14 runtimes do not agree on what training is; the marked node says so.
    if place is not None and node.attributes.get("training_mode", 0) and place.axis != 1:
        return crossing(follower, node, whole, "is in training mode: it normalises by the batch", place)
    return whole.at(place)


def recurrent(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Recurrent layers: [time, N, C], or [N, time, C] where ``layout`` is 1."""
    place = inputs[0].place
    if place is None:
        return whole.losing(node.label) if any(state.place is not None for state in inputs[1:]) else whole.at(None)
    batch, time = (0, 1) if node.attributes.get("layout", 0) else (1, 0)
    if place.axis == batch:
        return whole.at(place)
    if place.axis == time:
        if place.inner > 1:
            return whole.losing(node.label)
        return crossing(follower, node, whole, "reads the images of the batch one after the other")
    return whole.losing(node.label)


RULES: dict[str, Rule] = {
    Along.EACH: each,
    Along.REDUCED: reduced,
    Along.ONE_AXIS: one_axis,
    Along.TAIL: tail,
    Along.MAPS: maps,
    Along.FIRST_APART: first_apart,
    Along.RECURRENT: recurrent,
    "BatchNormalization": batch_normalization,
}
