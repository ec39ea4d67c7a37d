"""What operators that move and reshape data do to the axis of the images, and what decides sizes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.onnx_graph.batch_rules import Rule, crossing, each, meeting
from pytest_facechallenge.onnx_graph.batch_shapes import FEW, MORE, Dims, Extent
from pytest_facechallenge.onnx_graph.batch_state import FlowKind, Following, Place, State
from pytest_facechallenge.onnx_graph.operators import Along

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Node


def relaid(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Give the same elements in the same order another shape: the images lie as far apart as before."""
    place = inputs[0].place
    if place is None:
        return whole.at(None)
    found = _after(follower.dims(node.inputs[0]), follower.dims(node.outputs[0]), place)
    return whole.at(found) if found is not None else whole.losing(node.label)


def _after(before: Dims | None, after: Dims | None, place: Place) -> Place | None:
    """Return where images lie after a reshape; None where it cuts through them."""
    if before is None or after is None or None in before or None in after:
        return None
    stride = place.inner * prod(_factors(before[place.axis + 1 :]))
    axes = [axis for axis, extent in enumerate(after) if extent is not None and extent.batch]
    if len(axes) != 1:
        return None
    right = prod(_factors(after[axes[0] + 1 :]))
    inner, rest = divmod(stride, right) if right else (0, 1)
    held = after[axes[0]]
    if rest or inner < 1 or held is None or held.factor % inner:
        return None
    return place._replace(axis=axes[0], inner=inner)


def _factors(dims: Dims) -> list[int]:
    return [extent.factor for extent in dims if extent is not None]


def transpose(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Axes in another order."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    order = node.attributes.get("perm")
    if order is None:
        if dims is None:
            return whole.losing(node.label)
        order = list(range(len(dims)))[::-1]
    return whole.at(place._replace(axis=order.index(place.axis)))


def concat(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Tensors one behind the other along an axis."""
    dims = follower.dims(node.outputs[0])
    places = [state.place for state in inputs if state.place is not None]
    if not places or dims is None:
        return whole.losing(node.label) if places else whole.at(None)
    axis = node.attributes.get("axis", 0) % len(dims)
    if places[0].axis != axis:
        return meeting(follower, node, places, whole)
    if any(place != places[0] for place in places):
        return whole.losing(node.label)
    starts, sizes = 0, []
    for name, state in zip(node.inputs, inputs, strict=True):
        own = follower.dims(name)
        extent = own[axis] if own is not None else None
        if state.place is None and state.image:
            return whole.losing(node.label)
        if extent is not None and extent.batch and extent.factor % places[0].inner == 0:
            starts += extent.factor
            continue
        sizes.append(name)
    # What is not as long as the batch pushes the images to other places.
    return whole.at(places[0]._replace(moved=node.label) if sizes else places[0])


def pad(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Rows added around: the images go to other places where it is their axis."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    pads = node.attributes.get("pads") or follower.numbers(node, 1)
    if dims is None or pads is None or (len(node.inputs) > 3 and node.inputs[3]):
        return whole.losing(node.label)
    if pads[place.axis] or pads[place.axis + len(dims)]:
        return whole.at(place._replace(moved=node.label))
    return whole.at(place)


def cut(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Slice: the images stay where they are when whole ones are cut off, as many as there are."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    if any(state.image for state in inputs[1:]) or dims is None:
        return whole.losing(node.label)
    axes = _axes(follower, node, len(dims))
    if axes is None:
        return whole.losing(node.label)
    if place.axis not in axes:
        return whole.at(place)
    at = axes.index(place.axis)
    starts = [_number(follower, node, 1, "starts", at, images) for images in (FEW, MORE)]
    steps = _number(follower, node, 4, "steps", at, MORE) if len(node.inputs) > 4 and node.inputs[4] else 1
    before, after = dims[place.axis], (follower.dims(node.outputs[0]) or (None,) * len(dims))[place.axis]
    if before is None and place.moved:
        return whole.at(place)
    if before is None or None in starts or steps is None:
        return whole.losing(node.label)
    if after is not None and not after.batch and after.factor == 1 and place.inner == 1 and before.factor == 1:
        return crossing(follower, node, whole, "takes one image of the batch, for all of them")
    begin = [_from_start(start or 0, before.at(images)) for start, images in zip(starts, (FEW, MORE), strict=True)]
    unit = [place.inner * images for images in (FEW, MORE)]
    kept = after is not None and after.batch and after.factor % place.inner == 0
    if steps == 1 and kept and all(first % one == 0 for first, one in zip(begin, unit, strict=True)):
        return whole.at(place)
    if place.inner > 1:
        return whole.losing(node.label)  # a part of each image, perhaps
    return whole.at(place._replace(moved=place.moved or node.label))


def _from_start(start: int, extent: int) -> int:
    return max(0, start + extent) if start < 0 else min(start, extent)


def _axes(follower: Following, node: Node, rank: int) -> list[int] | None:
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 3 and node.inputs[3]:
        axes = follower.numbers(node, 3)
        if axes is None:
            return None
    if axes is None:
        first = node.attributes.get("starts")
        found = None if first is not None else follower.sizes.content(node.inputs[1])
        axes = list(range(len(first) if first is not None else 0 if found is None else found.values.size))
    return [axis % rank for axis in axes]


def _number(follower: Following, node: Node, position: int, attribute: str, at: int, images: int) -> int | None:
    given = node.attributes.get(attribute)
    if given is not None:
        return int(given[at])
    found = follower.sizes.content(node.inputs[position], images) if position < len(node.inputs) else None
    return None if found is None or at >= found.values.size else int(found.values.ravel()[at])


def split(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Pieces of an axis: where it is that of the images, each piece has to hold all of them."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None:
        return whole.at(None)
    if dims is None:
        return whole.losing(node.label)
    if place.axis != node.attributes.get("axis", 0) % len(dims):
        return whole.at(place)
    pieces = [(follower.dims(name) or (None,) * len(dims))[place.axis] for name in node.outputs]
    if all(piece is not None and piece.batch and piece.factor % place.inner == 0 for piece in pieces):
        return whole.at(place)
    return whole.losing(node.label)


def gather(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Entries of an axis, by constant places."""
    data, chosen = inputs[0], inputs[1]
    dims, rank = follower.dims(node.inputs[0]), _rank(follower, node.inputs[1])
    if dims is None or rank is None:
        return whole.losing(node.label)
    axis = node.attributes.get("axis", 0) % len(dims)
    if data.place is None:
        return whole.at(None if chosen.place is None else chosen.place._replace(axis=chosen.place.axis + axis))
    if chosen.place is not None:
        return whole.losing(node.label)
    if data.place.axis != axis:
        shift = rank - 1 if data.place.axis > axis else 0
        return whole.at(data.place._replace(axis=data.place.axis + shift))
    numbers, before = follower.numbers(node, 1), dims[axis]
    if numbers and len(set(numbers)) == 1 and before is not None and before.factor == 1:
        return crossing(follower, node, whole, "takes one image of the batch, for all of them")
    return whole.losing(node.label)


def _rank(follower: Following, name: str) -> int | None:
    """Return how many axes a value has, also where its extents depend on what is in the images."""
    dims = follower.dims(name)
    if dims is not None:
        return len(dims)
    maker = follower.graph.producers.get(name)
    return 1 if maker is not None and maker.op == "Range" else None


def gather_elements(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Entries along an axis, chosen for each place."""
    axis, dims = node.attributes.get("axis", 0), follower.dims(node.inputs[0])
    places = {state.place for state in inputs if state.place is not None}
    if dims is None or len(places) != 1 or next(iter(places)).axis == axis % len(dims):
        return whole.losing(node.label) if places else whole.at(None)
    return whole.at(places.pop())


def tile(_follower: Following, _node: Node, inputs: list[State], whole: State) -> State:
    """Whole copies one behind the other: element i of the axis is still of image i modulo their number."""
    return whole.at(inputs[0].place)


def one_hot(follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Add an axis, which says which."""
    place, dims = inputs[0].place, follower.dims(node.inputs[0])
    if place is None or dims is None or any(state.image for state in inputs[1:]):
        return whole.losing(node.label)
    axis = node.attributes.get("axis", -1) % (len(dims) + 1)
    return whole.at(place._replace(axis=place.axis + (axis <= place.axis)))


def reverse_sequence(_follower: Following, node: Node, inputs: list[State], whole: State) -> State:
    """Backwards along one axis."""
    place = inputs[0].place
    if place is not None and place.axis == node.attributes.get("time_axis", 0):
        return whole.at(place._replace(moved=node.label)) if place.inner == 1 else whole.losing(node.label)
    return whole.at(place)


def sized(follower: Following, node: Node, made: State) -> State:
    """Return the state with what decides how large the value is, beside the number of images that it holds."""
    if node.operator.along in (Along.PRODUCT, Along.GEMM, Along.EINSUM, Along.RECURRENT, Along.REDUCED):
        return replace(made, extents=frozenset())
    found = {_width_by_batch(follower, node, position, made.place) for position in node.operator.sizes}
    found |= {_width_by_content(follower, node, position) for position in node.operator.sizes}
    return replace(made, extents=made.extents | {index for index in found if index is not None})


def _width_by_content(follower: Following, node: Node, position: int) -> int | None:
    name = node.inputs[position] if position < len(node.inputs) else ""
    if not name or not follower.state(name).image or all(follower.dims(each) for each in node.outputs if each):
        return None
    return follower.flow(FlowKind.WIDTH, node, "makes as many values as what is in the image says", by_content=True)


def _width_by_batch(follower: Following, node: Node, position: int, place: Place | None) -> int | None:
    """Note an extent, other than that of the images, that the number of images decides."""
    name = node.inputs[position] if position < len(node.inputs) else ""
    if not name or not follower.state(name).sized or not follower.sizes_depend(name):
        return None
    content = follower.sizes.content(name)
    dims = follower.dims(node.outputs[0])
    if content is None or dims is None:
        return None
    counted = [int(at) for at in np.flatnonzero(content.counted)]
    if node.op == "Slice":
        axes = _axes(follower, node, len(dims))
        counted = [] if axes is None else [axes[at] for at in counted if at < len(axes)]
    elif node.op in ("Reshape", "Expand", "Tile", "Resize", "Upsample", "Pad"):
        counted = [at % len(dims) for at in counted]
    else:
        return None
    if all(axis == (place.axis if place is not None else _batch_axis(dims)) for axis in counted):
        return None
    return follower.flow(
        FlowKind.WIDTH, node, f"makes as many values as the number of images says ({name!r})",
        batches=follower.sizes_of(name),
    )  # fmt: skip


def _batch_axis(dims: Dims) -> int:
    return next((axis for axis, extent in enumerate(dims) if isinstance(extent, Extent) and extent.batch), 0)


RULES: dict[str, Rule] = {
    Along.RELAID: relaid,
    "Transpose": transpose,
    "Concat": concat,
    "Pad": pad,
    "Slice": cut,
    "Split": split,
    "Gather": gather,
    "GatherElements": gather_elements,
    "ScatterElements": gather_elements,
    "Expand": each,
    "Tile": tile,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
}
