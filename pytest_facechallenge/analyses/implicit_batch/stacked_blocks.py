"""Blocks of one tensor that hold versions of the same data, before every layer where something was put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.connected import ConnectedModel
from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.tensor_duplicates import BlockPair, duplicate_blocks
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Relation

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class StackedBlocks:
    """Two blocks of a value before a layer.

    Attributes
    ----------
    layer, value
        The layer; the name of what it works on, or of something joined before it.
    pair
        The blocks.
    on_channels
        Whether they lie on the axis that the layer sums over.
    windows
        Whether they are windows of one map that overlap: then they are no versions of the whole.
    """

    layer: Layer
    value: str
    pair: BlockPair
    on_channels: bool
    windows: bool


def stacked_blocks(model: ConnectedModel, values: Mapping[str, Array], limits: Thresholds) -> tuple[StackedBlocks, ...]:
    """Return all such blocks.

    Parameters
    ----------
    values
        For the noise images, float [images, *shape], by name.
    """
    found: list[StackedBlocks] = []
    done: set[str] = set()
    for layer in model.joined_layers:
        for name in [layer.data, *(node.outputs[0] for node in model.joins_before(layer))]:
            if name in done or name not in values:
                continue
            done.add(name)
            found += _in_value(model, layer, name, values[name], limits)
    return tuple(found)


def _in_value(model: ConnectedModel, layer: Layer, name: str, values: Array, limits: Thresholds) -> list[StackedBlocks]:
    structure = model.structure
    rank = values.ndim - 1
    contracted = layer.contracted if name == layer.data else model.channel_axis(name, layer)
    if not 0 <= contracted < rank:
        return []
    positions = [axis for axis in range(rank) if axis != contracted and values.shape[axis + 1] > 1]
    kept = own_axes(structure, layer, limits) if rank == len(structure.shapes[layer.data]) else frozenset()
    pairs = duplicate_blocks(values, contracted, positions, limits, same_index=True, kept=kept)
    if not pairs and layer.node.op not in RECURRENT and values.shape[contracted + 1] > 1:
        complete = values.shape[contracted + 1] == structure.shapes[name][contracted]
        pairs = duplicate_blocks(values, contracted, [contracted], limits, same_index=False) if complete else []
    found = []
    for pair in pairs:
        relation = pair.difference.relation
        whole = pair.coverage >= limits.copies.whole and not pair.interleaved and pair.axis != contracted
        if relation is Relation.IDENTICAL and not whole:
            continue
        if relation is Relation.RESCALED and pair.coverage < limits.copies.rescaled:
            continue
        apart = _neighbouring_windows(pair, values.shape[1:], limits) or _slides(values, pair, limits)
        windows = apart and not model.is_pixels(layer)
        found.append(StackedBlocks(layer, name, pair, pair.axis == contracted, windows))
    return found


def _neighbouring_windows(pair: BlockPair, shape: tuple[int, ...], limits: Thresholds) -> bool:
    """Whether the blocks are windows of one map, each more than half its own width from the next one."""
    if pair.coverage >= limits.copies.windows or pair.difference.relation is not Relation.SHIFTED:
        return False
    own = [extent // pair.blocks if axis == pair.axis else extent for axis, extent in enumerate(shape)]
    return any(
        abs(by) > limits.copies.window_step * extent for by, extent in zip(pair.difference.shift, own, strict=True)
    )


def _slides(values: Array, pair: BlockPair, limits: Thresholds) -> bool:
    """Whether every window begins a step behind the one before: a map unfolded, of which the blocks are every second.

    Parameters
    ----------
    values
        float [images, *shape].
    """
    moved = [(axis + 1, by) for axis, by in enumerate(pair.difference.shift) if by]
    place = pair.axis + 1
    if not pair.interleaved or pair.difference.relation is not Relation.SHIFTED or len(moved) != 1:
        return False
    inside, by = moved[0][0], abs(moved[0][1])
    if inside == place or by >= values.shape[inside] or values.shape[place] <= 2:
        return False
    rows = np.moveaxis(values, (place, inside), (0, 1))
    ways = (rows[1:, :-by] == rows[:-1, by:], rows[:-1, :-by] == rows[1:, by:])
    return any(float(same.mean()) >= limits.copies.whole for same in ways)


def own_axes(structure: Structure, layer: Layer, limits: Thresholds) -> frozenset[int]:
    """Return the axes of what a product works on along which each index meets weights of its own.

    Several orders of one sequence, each with its own layer, are one product in the file when the layers are stacked.
    Weights that are those of the index before, up to scale, are no weights of its own.
    """
    weights = structure.constant(layer.weight)
    if weights is None or layer.node.op != "MatMul" or weights.ndim < 3:
        return frozenset()
    rank = len(structure.shapes[layer.data])
    found = set()
    for axis in range(weights.ndim - 2):
        slices = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
        place = rank - weights.ndim + axis
        if len(slices) < 2 or place < 0:
            continue
        norms = np.linalg.norm(slices, axis=1)
        likeness = np.abs((slices[1:] * slices[:-1]).sum(1)) / np.maximum(norms[1:] * norms[:-1], 1e-30)
        if likeness.max() < limits.copies.unrelated:
            found.add(place)
    return frozenset(found)
