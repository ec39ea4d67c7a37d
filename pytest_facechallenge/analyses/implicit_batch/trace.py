"""A variant of the model, traced: complete when it is made, read by every observer, changed by none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.connected import ConnectedModel, connect
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.pixel_recovery import recovering_layers
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.stacked_blocks import StackedBlocks, stacked_blocks
from pytest_facechallenge.analyses.implicit_batch.tensor_duplicates import thin
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch import Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class TracedModel(ConnectedModel):
    """One variant of the model with its values for the noise images.

    Attributes
    ----------
    values
        By name, float32 [images, *shape]: the image, what the layers near it and those behind a join work on, and
        what layers with related weights work on. Of large values only some channels.
    blocks
        Blocks of these values that hold versions of the same data.
    unseen
        What tracing could not look into.
    """

    values: Mapping[str, Array]
    blocks: tuple[StackedBlocks, ...]
    unseen: tuple[Unseen, ...]


def trace(opened: OpenedModel, limits: Thresholds) -> TracedModel:
    """Trace an opened variant: recover hidden pixels, relate the layers, run it on the noise images.

    Raises
    ------
    RunError
        A part of it does not run.
    """
    hidden = recovering_layers(opened, limits)
    model = connect(replace(opened, structure=opened.structure.without(hidden)), limits)
    values, resized = _values(model, limits)
    for array in values.values():
        array.flags.writeable = False
    return TracedModel(
        **{name: getattr(model, name) for name in model.__dataclass_fields__},
        values=MappingProxyType(values),
        blocks=stacked_blocks(model, values, limits),
        unseen=(*resized, *_idle(model, values, limits)),
    )


def _values(model: ConnectedModel, limits: Thresholds) -> tuple[dict[str, Array], list[Unseen]]:
    """Run the noise images and return the values that observers ask for, and those whose size the image decides."""
    image = model.feed.name
    axes = _wanted(model)
    images = model.feed.images.noise(limits.signatures.probes)
    values: dict[str, Array] = {image: images[:, None]}
    if not axes:
        return values, []
    runner = model.open(list(axes))
    kept: dict[str, list[Array]] = {name: [] for name in axes}
    for one in images:
        for name, value in runner(model.feed(one[None])).items():
            array = as_floats(value)
            if array is not None and array.ndim >= 1:
                kept[name].append(thin(array[None], max(0, axes[name]), limits.duplicates.elements)[0])
    chosen = _of_one_size(kept, limits)
    if len(chosen) < len(images):
        values[image] = images[chosen][:, None]
    resized = []
    for name, arrays in kept.items():
        arrays = [arrays[index] for index in chosen] if len(arrays) == len(images) else arrays
        if len(arrays) == len(chosen) and len({array.shape for array in arrays}) == 1 and arrays[0].size:
            values[name] = np.stack(arrays)
        elif any(array.size for array in arrays):  # the rest of a division into groups may be empty
            resized.append(Unseen(gap=Gap.SIZE_DEPENDS, names=(name,), branch=model.branch))
    return values, resized


def _wanted(model: ConnectedModel) -> dict[str, int]:
    """Return the values that observers ask for, with the axis along which each may be thinned."""
    shapes = model.structure.shapes
    axes: dict[str, int] = {}
    for layer in model.joined_layers:
        axes.setdefault(layer.data, layer.contracted)
        for node in model.joins_before(layer):
            axes.setdefault(node.outputs[0], model.channel_axis(node.outputs[0], layer))
    for layer in [*model.front, *model.pools]:
        axes.setdefault(layer.data, layer.contracted)
    for head in model.heads:
        for layer in head.first.layers:
            axes.setdefault(layer.data, layer.contracted)
            for root in sorted(model.regions[layer.data].roots):
                axes.setdefault(root, min(1, len(shapes.get(root, ())) - 1))
    axes.pop(model.feed.name, None)
    return {name: axis for name, axis in axes.items() if len(shapes.get(name, ())) >= 1}


def _of_one_size(kept: Mapping[str, list[Array]], limits: Thresholds) -> list[int]:
    """Return the noise images for which all tensors have one size: the largest that enough images give.

    Where the image decides how many rows a part of the network works on, most of that part is seen so.
    """
    images = limits.signatures.probes
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    full = [arrays for arrays in kept.values() if len(arrays) == images]
    for index in range(images):
        groups.setdefault(tuple(arrays[index].shape for arrays in full), []).append(index)
    least = limits.running.same_size * images
    enough = [
        (sum(prod(shape) for shape in sizes), indices)
        for sizes, indices in groups.items()
        if len(indices) >= least or len(groups) == 1
    ]
    return max(enough, default=(0, list(range(images))))[1]


def _idle(model: ConnectedModel, values: Mapping[str, Array], limits: Thresholds) -> list[Unseen]:
    """Return first layers that no probe image reaches, although the image decides what they work on."""
    found = []
    for layer in model.front:
        seen = values.get(layer.data)
        if seen is None or not (seen == seen[:1]).all():
            continue
        share = model.macs_after(layer)
        if share >= limits.running.idle:
            found.append(Unseen(gap=Gap.IDLE, names=(layer.node.label,), share=share, branch=model.branch))
    return found
