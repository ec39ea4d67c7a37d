"""Rows, or halves of an axis, of one tensor: one holds the features of the image, another those of the changed one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_partition import (
    WHOLE,
    Cut,
    Statistics,
    agreement_in_place,
    channel_axis,
    sum_up,
)
from pytest_facechallenge.analyses.implicit_batch.feature_comparison import Comparison
from pytest_facechallenge.analyses.implicit_batch.image_transforms import CHANGES, SHIFTS
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, blocks_of
from pytest_facechallenge.analyses.implicit_batch.probe_images import TURNS
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.strips_seen import changed_along_an_edge
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import FeatureHome

Array = npt.NDArray[Any]

#: Moves (down, right) in pixels by which a turned map may differ: strides read every second pixel.
MOVES = ((0, 0), (0, 1), (1, 0), (1, 1))


def in_parts(comparison: Comparison, limits: Thresholds) -> Iterator[Hypothesis]:
    """Find rows, or halves of an axis, that agree on the changed image and each see the whole image.

    A network with symmetric kernels repeats the left half of its maps in the right half, and even columns in odd ones;
    there the maps turn with the image, from the first layer on, and that change says nothing.
    """
    transform = comparison.candidate.transform
    for layer, plain, turned in zip(comparison.layers, comparison.plain, comparison.turned, strict=True):
        for cut, numbers in plain.items():
            if cut == WHOLE or cut not in turned or (cut.interleaved and transform in SHIFTS):
                continue
            pair = _agreeing_blocks(numbers, turned[cut], cut.blocks, limits)
            if pair is None:
                continue
            value = layer.node.outputs[0]
            extent = comparison.model.structure.shapes[value][cut.axis]
            # An axis of the parts alone is no side of a map: what changes place along it are the parts themselves.
            a_side = transform in CHANGES and extent > cut.blocks
            if a_side and _turns_with_the_image(comparison, layer, cut.blocks, limits):
                return
            if _sees_everything(comparison, layer, cut, pair, limits):
                share = round(comparison.model.macs_after(layer) / 2, 4)
                for start in dict.fromkeys([value, joined_at(comparison.model.structure, layer, cut.axis)]):
                    where = blocks_of(start, cut.axis, extent, cut.blocks, pair, cut.interleaved)
                    yield comparison.found(
                        FeatureHome.PARTS, (layer,), share, where, axis=cut.axis, parts=pair,
                        interleaved=cut.interleaved,
                    )  # fmt: skip
            return


def joined_at(structure: Structure, layer: Layer, axis: int) -> str:
    """Return the earliest value before a layer's result that has all of its parts side by side on the same axis.

    Behind a product that makes queries, keys and values of tokens, the tokens themselves go on beside it: the parts
    start where the tokens were put together.
    """
    value = layer.node.outputs[0]
    rank, extent = len(structure.shapes[value]), structure.shapes[value][axis]
    while (producer := structure.producer.get(value)) is not None:
        before = [name for name in producer.inputs if name in structure.varying and name != structure.image]
        before = [
            name for name in before
            if len(shape := structure.shapes.get(name, ())) == rank and shape[axis] == extent
        ]  # fmt: skip
        if not before:
            break
        value = min(before, key=lambda name: structure.position[id(structure.producer[name])])
    return value


def _agreeing_blocks(one: Statistics, other: Statistics, blocks: int, limits: Thresholds) -> tuple[int, int] | None:
    """Return two parts of which the first, on the image, is the second on the changed image, and not otherwise."""
    wanted = limits.equivariance
    for first in range(blocks):
        for second in range(blocks):
            if first == second:
                continue
            alike, live = agreement_in_place(one, other, first, second)
            if live.sum() < wanted.channels or (alike[live] >= wanted.alike_shared).mean() < wanted.share:
                continue
            same, _ = agreement_in_place(one, one, first, second)
            if (1 - same[live] >= wanted.further * (1 - alike[live]) + wanted.apart).mean() >= wanted.share:
                return first, second
    return None


def _turns_with_the_image(comparison: Comparison, layer: Layer, blocks: int, limits: Thresholds) -> bool:
    """Whether the layer's maps are turned as wholes when the image is.

    Parameters
    ----------
    blocks
        Parts that are compared: so many rows, or columns, of tokens are the parts, and no map.
    """
    wanted = limits.equivariance
    name, feed = layer.node.outputs[0], comparison.model.feed
    one, other = (
        as_floats(comparison.runner(feed(images[:1]))[name]) for images in (comparison.base, comparison.changed)
    )
    if one is None or other is None or one.ndim < 3:
        return False
    channels = channel_axis(layer, one.shape)
    one, other = np.moveaxis(one, channels, 0), np.moveaxis(other, channels, 0)
    for first, second in _as_maps(one, other, blocks=blocks):
        turns = [turn(first) for turn in TURNS.values()]
        for turned in (np.roll(turned, move, (-2, -1)) for turned in turns for move in MOVES):
            if turned.shape != second.shape:
                continue
            with_the_image, without = _correlation(turned, second), _correlation(turned, first)
            if with_the_image >= wanted.same_maps and 1 - without >= wanted.same_maps_times * (1 - with_the_image):
                return True
    return False


def _as_maps(*values: Array, blocks: int) -> Iterator[tuple[Array, ...]]:
    """Yield values, channels first, as they are; and tokens [C, 1, L] as maps of L places (or L - 1) of any sides."""
    yield values
    shape = values[0].shape
    if len(shape) != 3 or shape[1] != 1:
        return
    for extra in (0, 1):
        places = shape[2] - extra
        for rows in range(blocks + 1, places // (blocks + 1) + 1):
            if places % rows == 0:
                yield tuple(value[..., extra:].reshape(shape[0], rows, places // rows) for value in values)


def _correlation(one: Array, other: Array) -> float:
    """Return |correlation| over the elements, each channel (first axis) centred on its own mean."""
    a, b = (value.reshape(len(value), -1).astype(np.float64) for value in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return abs(float((a * b).sum())) / (float(np.linalg.norm(a) * np.linalg.norm(b)) + 1e-30)


def _sees_everything(comparison: Comparison, layer: Layer, cut: Cut, pair: tuple[int, int], limits: Thresholds) -> bool:
    """Whether a change along any edge of the image reaches both parts.

    A half of a map sees a little of the other half; it does not see the far edge as well as its own.
    """
    model, base = comparison.model, comparison.base
    axis = channel_axis(layer, model.structure.shapes[layer.node.outputs[0]])

    def summed_up(image: Array) -> Array:
        value = as_floats(comparison.runner(model.feed(image[None]))[layer.node.outputs[0]])
        assert value is not None  # noqa: S101  # it was measured before
        return np.concatenate(sum_up(value[None], axis, cut))[:, list(pair)]

    before = summed_up(base[0])
    reached = [np.abs(summed_up(image) - before).max(0) for image in changed_along_an_edge(base, limits)]
    sizes = np.stack(reached)  # [edges, parts, channels]
    reach = (sizes / np.maximum(sizes.max((0, 1)), 1e-30)).mean(2)
    return bool((reach.min(0) >= limits.equivariance.everywhere * reach.max(0)).all())
