"""Channels of layers, summed up to numbers that do not depend on where in the tensor the features lie.

Whatever carries a feature (a row of the batch, a token of a sequence, a place of a map), its mean and its skew over all
places stay the same when it is carried otherwise. So two channels can be compared over some images without knowing
how either of them is laid out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.blur import gaussian
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.runner import Runner, as_floats
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Cut:
    """A way to part a tensor: ``blocks`` parts of ``axis``, contiguous or every n-th index; axis -1 is no part."""

    axis: int
    blocks: int
    interleaved: bool = False


WHOLE = Cut(-1, 1)
#: Numbers of all layers that are held at a time: the images are summed up together while they are few.
_TOGETHER = 4_000_000


@dataclass(frozen=True)
class Statistics:
    """What two numbers per image, part and channel (mean, and skew in -1..1) say about the channels of each part.

    Attributes
    ----------
    marks
        Per number: float64 [blocks, images, channels], over the images centred and scaled to length 1.
    live
        Per number: bool [blocks, channels], whether it varies over the images.
    """

    marks: tuple[Array, Array]
    live: tuple[Array, Array]

    @classmethod
    def of(cls, mean: Array, skew: Array, limits: Thresholds) -> Statistics:
        """Make statistics of numbers [images, blocks, channels]."""
        wanted = limits.equivariance
        (one, first), (two, second) = _marks(mean, wanted.mean_varies), _marks(skew, wanted.skew_varies)
        return cls((one, two), (first, second))


def channel_axis(layer: Layer, shape: tuple[int, ...]) -> int:
    """Return the axis of a layer's result that holds its channels: weights on the left of a product give its rows."""
    if layer.node.op in CONVOLUTIONS and len(shape) > 2:
        return 1
    on_the_left = layer.node.op == "MatMul" and layer.node.inputs[0] == layer.weight and len(shape) > 1
    return len(shape) - (2 if on_the_left else 1)


def structured_images(model: OpenedModel, limits: Thresholds) -> Array:
    """Make images with structure of several sizes, equal in mean and contrast, even at the border."""
    images = model.feed.images
    unit = _structures(images.channels, images.height, images.width, images.seed + 2, limits)
    made: Array = (images.low + (images.high - images.low) * unit).astype(np.float32)
    return made


@functools.lru_cache(maxsize=2)
def _structures(channels: int, height: int, width: int, seed: int, limits: Thresholds) -> Array:
    """Return `structured_images` in 0..1."""
    wanted = limits.equivariance
    random = np.random.default_rng(seed)
    shape = (wanted.images, channels, height, width)
    fields = np.zeros(shape)
    for size in wanted.blurs:
        field = gaussian(random.standard_normal(shape), size)
        fields += field / field.std((2, 3), keepdims=True)
    margin = margin_of(height, width, limits)
    window = np.zeros(shape[2:])
    window[margin : shape[2] - margin, margin : shape[3] - margin] = 1
    fields = (fields - (fields * window).sum((2, 3), keepdims=True) / window.sum()) * window
    fields *= wanted.contrast / np.sqrt((fields**2).sum((2, 3), keepdims=True) / window.sum())
    unit: Array = np.clip(0.5 + fields, 0, 1)
    unit.flags.writeable = False
    return unit


def margin_of(height: int, width: int, limits: Thresholds) -> int:
    """Return how many pixels at each border of `structured_images` are even."""
    wanted = limits.equivariance
    return min(wanted.margin, height // wanted.margin_share, width // wanted.margin_share)


def _cuts(shape: tuple[int, ...], channels: int, limits: Thresholds) -> list[Cut]:
    """Return the ways to part a tensor: its rows, and halves of any axis but that of the channels."""
    cuts = [WHOLE]
    for axis, extent in enumerate(shape):
        if axis == channels or extent < 2:
            continue
        if axis == 0 and extent <= limits.equivariance.rows:
            cuts.append(Cut(0, extent))
        elif extent % 2 == 0:
            cuts += [Cut(axis, 2), Cut(axis, 2, interleaved=True)]
    return cuts


def measure(
    model: OpenedModel, runner: Runner, chosen: list[Layer], images: Array, limits: Thresholds
) -> list[dict[Cut, Statistics]]:
    """Return for every layer and cut the numbers over the images; empty for a tensor whose size changes."""
    kept: list[dict[Cut, list[tuple[Array, Array]]]] = [{} for _ in chosen]
    measured = [0] * len(chosen)
    shapes = [model.structure.shapes[layer.node.outputs[0]] for layer in chosen]
    together = max(1, _TOGETHER // max(1, sum(int(np.prod(shape)) for shape in shapes)))
    for start in range(0, len(images), together):
        runs = [runner(model.feed(image[None])) for image in images[start : start + together]]
        for number, (layer, shape) in enumerate(zip(chosen, shapes, strict=True)):
            values = [as_floats(run[layer.node.outputs[0]]) for run in runs]
            usable = [value for value in values if value is not None and value.shape == shape]
            if not usable:
                continue
            measured[number] += len(usable)
            axis, stacked = channel_axis(layer, shape), np.stack(usable)
            for cut in _cuts(shape, axis, limits):
                kept[number].setdefault(cut, []).append(sum_up(stacked, axis, cut))
    return [
        {
            cut: Statistics.of(np.concatenate([m for m, _ in pairs]), np.concatenate([s for _, s in pairs]), limits)
            for cut, pairs in entry.items()
            if count == len(images)
        }
        for entry, count in zip(kept, measured, strict=True)
    ]


def sum_up(values: Array, channels: int, cut: Cut) -> tuple[Array, Array]:
    """Return mean and skew of every part and channel.

    Parameters
    ----------
    values
        Of one tensor, float32 [images, *shape].
    channels
        The axis of ``shape`` that holds the channels.

    Returns
    -------
    (mean, skew)
        float64 [images, blocks, channels].
    """
    maps = np.moveaxis(values, channels + 1, 1)
    if cut.axis >= 0:
        axis = 2 + (cut.axis if cut.axis < channels else cut.axis - 1)
        length = maps.shape[axis] // cut.blocks
        parted = (length, cut.blocks) if cut.interleaved else (cut.blocks, length)
        maps = maps.reshape(*maps.shape[:axis], *parted, *maps.shape[axis + 1 :])
        maps = np.moveaxis(maps, axis + 1 if cut.interleaved else axis, 2)
    # With the places of one part and channel side by side, numpy sums in pairs and float32 is exact enough.
    flat = maps.reshape(*maps.shape[:2], cut.blocks, -1)
    mean = flat.mean(-1, keepdims=True)
    apart = flat - mean
    size = np.abs(apart)
    signed, squared = (np.einsum("icbp,icbp->icb", each, size).astype(np.float64) for each in (apart, size))
    skew = signed / (squared + 1e-30 * flat.shape[-1])
    return mean[..., 0].astype(np.float64).swapaxes(1, 2), skew.swapaxes(1, 2)


def _marks(numbers: Array, floor: float) -> tuple[Array, Array]:
    """Centre and scale numbers over the images; say which vary enough to be compared."""
    centred = numbers - numbers.mean(0)
    length = np.linalg.norm(centred, axis=0)
    live = length > floor * (np.abs(numbers).max(0) + 1e-30)
    scaled = np.where(live, centred / np.maximum(length, 1e-30), 0)
    return np.moveaxis(scaled, 0, 1), live


def agreement(
    one: Statistics, other: Statistics, first: int = 0, second: int = 0, asked: Array | None = None
) -> tuple[Array, Array]:
    """Return how alike channels of a part are to each of another, and which are live.

    Parameters
    ----------
    asked
        Which channels of the first part, int [n]; all when None.

    Returns
    -------
    (alike, live)
        float [n, channels], bool [n].
    """
    chosen = np.arange(one.live[0].shape[1]) if asked is None else asked
    worst: Array | None = None
    for number in (0, 1):
        live, theirs = one.live[number][first][chosen], other.live[number][second]
        alike = np.abs(one.marks[number][first][:, chosen].T @ other.marks[number][second])
        alike[~live[:, None] & ~theirs[None, :]] = 1.0
        worst = alike if worst is None else np.minimum(worst, alike)
    assert worst is not None  # noqa: S101  # the loop ran twice
    return worst, (one.live[0][first] | one.live[1][first])[chosen]


def agreement_in_place(one: Statistics, other: Statistics, first: int, second: int) -> tuple[Array, Array]:
    """Return how alike each channel of a part is to the same channel of another, [channels], and which are live."""
    worst: Array | None = None
    for number in (0, 1):
        live, theirs = one.live[number][first], other.live[number][second]
        alike = np.abs((one.marks[number][first] * other.marks[number][second]).sum(0))
        alike[~live & ~theirs] = 1.0
        worst = alike if worst is None else np.minimum(worst, alike)
    assert worst is not None  # noqa: S101  # the loop ran twice
    return worst, one.live[0][first] | one.live[1][first]
