"""Features behind a first layer that stand on another grid than the image's: re-sampled, moved, cut out, enlarged.

Layers give grids of whole strides about the image's middle. Where features that still are nearly the image stand on
another one, something placed them anew; dots on the image show where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.dots import grid_of
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.pixel_content import recovered
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.steered_places import as_channels, content
from pytest_facechallenge.analyses.implicit_batch.steering_ways import channels_last, layers_before, map_size
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.alignment import EarlyGrid
from pytest_facechallenge.core.facts.implicit_batch import Observation

Array = npt.NDArray[Any]

#: Operators that can put features elsewhere by themselves.
PLACING = frozenset(
    {"Resize", "Upsample", "GridSample", "Gather", "GatherElements", "GatherND", "Slice", "Pad", "RoiAlign", "MatMul",
     "Gemm", "Einsum", "Conv", "ConvTranspose", "DepthToSpace", "CenterCropPad", "ScatterElements", "ScatterND",
     "Expand", "Tile", "Reshape"}
)  # fmt: skip

#: Operators whose enlarged maps are learned, not interpolated.
LEARNED = frozenset({"ConvTranspose", "DepthToSpace", "Reshape"})


def observe(model: TracedModel, limits: Thresholds) -> list[Observation]:
    """Return one observation for each layer that works on early features on a grid that no layer gives."""
    found: list[Observation] = []
    image = model.feed.images
    for layer in _asked(model, limits):
        runner = model.open([layer.data])

        def shown(one: Array, runner: Any = runner, name: str = layer.data) -> Array:
            value = as_channels(as_floats(runner(model.feed(one))[name]), model.structure)
            return np.zeros(0) if value is None else value

        grid = grid_of(shown, model.natural[:1], image.high - image.low, limits)
        if grid is None or grid.is_a_layers(limits):
            continue
        roots = tuple(sorted(model.regions[layer.data].roots))
        size = map_size(model.structure.shapes[layer.data], model.structure.shapes[model.structure.image], limits)
        held = content(model, roots, limits)
        if min(grid.scale) < limits.alignment.enlarged:
            held = max(held, _of_enlarged(model, layer.data, limits))
        scale, offset = (tuple(round(value, 3) for value in pair) for pair in (grid.scale, grid.offset))
        found.append(
            EarlyGrid(
                layer=layer.node.label, scale=(scale[0], scale[1]), offset=(offset[0], offset[1]),
                straight=grid.straight and grid.skew <= limits.alignment.scale, dots=grid.dots,
                learned=_learned(model, layer), recovered=round(held, 4), size=size or (0, 0),
                image=(image.height, image.width), via=model.via(layer), branch=model.branch,
            )
        )  # fmt: skip
    return found


def _asked(model: TracedModel, limits: Thresholds) -> Iterator[Layer]:
    """Yield the layers whose early maps something may have put elsewhere, each map once."""
    structure = model.structure
    before = layers_before(structure)
    height, width = model.feed.images.height, model.feed.images.width
    done: set[str] = set()
    for layer in structure.layers:
        size = map_size(structure.shapes.get(layer.data, ()), structure.shapes[structure.image], limits)
        if layer.data in done or size is None or len(done) >= limits.alignment.grids:
            continue
        longest = max(size[0] * width, size[1] * height) / min(size[0] * width, size[1] * height)
        long = layer.node.op == "MatMul" and longest > limits.alignment.aspect
        if long or _sums_over_columns(structure, layer):
            continue  # windows of tokens: an axis is that of the windows, or of the channels
        if not 0 < before.get(layer.data, 0) <= limits.alignment.layers:
            continue
        times = limits.alignment.larger
        larger = size[0] > times * height and size[1] > times * width
        region = model.regions.get(layer.data)
        placed = region is not None and any(node.op in PLACING and structure.moves(node) for node in region.nodes)
        if larger or placed:
            done.add(layer.data)
            yield layer


def _sums_over_columns(structure: Structure, layer: Layer) -> bool:
    """Whether a product takes the last axis of its data as channels, where a map has its columns there."""
    shape, image = structure.shapes[layer.data], structure.shapes[structure.image]
    right = layer.node.op == "MatMul" and layer.node.inputs[0] == layer.data
    return right and len(shape) == 4 and not channels_last(shape, image)


def _learned(model: TracedModel, layer: Layer) -> bool:
    """Whether only layers with weights of their own, or channels laid out as places, can have made the grid."""
    ops = {node.op for node in model.regions[layer.data].nodes} & PLACING
    producers = {
        model.structure.producer[name].op
        for name in model.regions[layer.data].roots
        if name in model.structure.producer
    }
    return bool(producers & LEARNED or ops & LEARNED) and ops <= LEARNED


def _of_enlarged(model: TracedModel, name: str, limits: Thresholds) -> float:
    """Return how much of independent pixels an enlarged map holds: its places at each pixel taken as channels."""
    images = model.feed.images
    noise = images.noise(limits.alignment.noise)
    runner = model.open([name])
    shown = [as_channels(as_floats(runner(model.feed(one[None]))[name]), model.structure) for one in noise]
    values = np.stack([value for value in shown if value is not None])
    if len(values) < len(noise):
        return 0.0
    by = max(1, round(values.shape[2] / images.height))
    rows, columns = (extent // by * by for extent in values.shape[2:])
    cells = values[:, :, :rows, :columns].reshape(len(values), values.shape[1], rows // by, by, columns // by, by)
    cells = cells.transpose(0, 1, 3, 5, 2, 4).reshape(len(values), -1, rows // by, columns // by)
    return recovered(noise, cells, limits)
