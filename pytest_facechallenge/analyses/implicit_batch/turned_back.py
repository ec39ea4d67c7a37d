"""Whether the features of a turned image are turned back, so that they stand where those of the image do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_partition import channel_axis
from pytest_facechallenge.analyses.implicit_batch.feature_comparison import Comparison
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import PLACES_TURNED, Transform

Array = npt.NDArray[Any]


def before_the_next_layers(structure: Structure, layer: Layer) -> set[str]:
    """Return the names of a layer's results and of all that is made of them without another layer."""
    reached, pending = set(layer.node.outputs), list(layer.node.outputs)
    while pending:
        for node in structure.graph.consumers.get(pending.pop(), ()):
            fresh = {name for name in node.outputs if name in structure.varying} - reached
            if id(node) not in structure.layer_of:
                reached |= fresh
                pending.extend(fresh)
    return reached


def turned_back(comparison: Comparison, one: Layer, other: Layer, limits: Thresholds) -> int:
    """Return how many channels of one layer for the image another one gives, place by place, for the turned image.

    A layer of mirrored kernels gives the mirrored map of the mirrored image; kernels that are symmetric together need
    no more. Only one that takes it for a second look at the face turns the map back.

    Returns
    -------
    int
        0 for a change of the image that leaves every pixel where it is, and where the maps stay turned.

    Raises
    ------
    RunError
        The runtime refuses a part of the network.
    """
    model, wanted = comparison.model, limits.equivariance
    candidate = comparison.candidate
    if candidate.transform not in PLACES_TURNED and candidate.turn is Transform.NONE:
        return 0
    sides = [before_the_next_layers(model.structure, layer) for layer in (one, other)]
    alike = _alike_in_size(model.structure, sides[0] - sides[1], sides[1] - sides[0])
    small = ((a, b) for a, b in alike if prod(model.structure.shapes[a]) <= wanted.elements)
    pairs = list(islice(small, wanted.values))
    if not pairs:
        return 0
    raw = (one.node.outputs[0], other.node.outputs[0])
    runner = model.open(list(dict.fromkeys(name for pair in [raw, *pairs] for name in pair)))
    images = range(min(wanted.placed, len(comparison.base)))
    plain, turned = (
        [runner(model.feed(images_of[index][None])) for index in images]
        for images_of in (comparison.base, comparison.changed)
    )
    shape = model.structure.shapes[one.node.outputs[0]]
    channels = shape[channel_axis(one, shape)]
    found = {
        (a, b): _in_place([as_floats(run[a]) for run in plain], [as_floats(run[b]) for run in turned], channels, limits)
        for a, b in dict.fromkeys([raw, *pairs])
    }
    # What agrees without being turned back has no places that the change moves, such as frequencies of the columns.
    return 0 if found[raw] >= wanted.channels else max(found.values())


def _alike_in_size(structure: Structure, first: set[str], second: set[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of values of one size, those nearest to the layers' results first."""
    order = {name: at for at, node in enumerate(structure.nodes) for name in node.outputs}
    left, right = (sorted(names & structure.shapes.keys(), key=lambda name: order[name]) for names in (first, second))
    by_size: dict[tuple[int, ...], list[str]] = {}
    for name in left:
        by_size.setdefault(structure.shapes[name], []).append(name)
    for name in right:
        yield from ((early, name) for early in by_size.get(structure.shapes[name], ()))


def _in_place(here: list[Array | None], there: list[Array | None], channels: int, limits: Thresholds) -> int:
    """Return how many channels agree place by place; 0 for values of a few places.

    An axis of places that is as long as that of the channels is taken for it too, and the lower number counts: on it,
    maps that stand turned agree in another order.
    """
    first, second = ([value for value in values if value is not None] for values in (here, there))
    shapes = {value.shape for value in (*first, *second)}
    if len(first) != len(here) or len(second) != len(there) or len(shapes) != 1:
        return 0
    one, two = np.stack(first), np.stack(second)
    found = []
    for start, end in _axes_of(one.shape, channels):
        if one[0].size < limits.equivariance.fewest_places * channels:
            continue
        axes = range(start, end)
        a, b = (
            _scaled(np.moveaxis(value, axes, range(end - start)).reshape(channels, -1), limits) for value in (one, two)
        )
        found.append(int((np.abs(a @ b.T).max(1, initial=0.0) >= limits.equivariance.alike).sum()))
    return min(found, default=0)


def _axes_of(shape: tuple[int, ...], channels: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of neighbouring axes that hold so many elements: channels, or groups of them."""
    for start in range(2, len(shape)):
        size = 1
        for end in range(start + 1, len(shape) + 1):
            size *= shape[end - 1]
            if size == channels and shape[start] > 1 and shape[end - 1] > 1:
                yield start, end


def _scaled(rows: Array, limits: Thresholds) -> Array:
    """Return rows centred and of length 1; those that do not vary are 0."""
    centred = rows.astype(np.float64)
    size = np.abs(rows).max(1, keepdims=True, initial=0.0)
    centred -= centred.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    scaled: Array = np.where(length > limits.signatures.apart * size, centred / np.maximum(length, 1e-30), 0.0)
    return scaled
