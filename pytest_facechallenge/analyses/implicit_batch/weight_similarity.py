"""Layers that share, copy or mirror each other's weights while working side by side: the same body run twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import WeightRelation

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class WeightClass:
    """Executions with one set of weights (up to mirror, scale, noise), none of which depends on another.

    Attributes
    ----------
    layers
        At least two.
    relations
        How the weights of each but the first follow from the first one's.
    """

    layers: tuple[Layer, ...]
    relations: tuple[WeightRelation, ...]

    @property
    def surplus(self) -> int:
        """Multiply-adds beyond the first execution."""
        return sum(layer.macs for layer in self.layers) - max(layer.macs for layer in self.layers)


def weight_classes(structure: Structure, limits: Thresholds) -> list[WeightClass]:
    """Find every set of parallel executions of related weights, in graph order."""
    by_shape: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in structure.layers:
        weights = structure.constant(layer.weight)
        if weights is not None:
            shape = tuple(sorted(weights.shape)) if layer.node.op not in CONVOLUTIONS else weights.shape
            by_shape.setdefault((layer.node.op in CONVOLUTIONS, shape), []).append(layer)
    found: list[WeightClass] = []
    for layers in by_shape.values():
        if len(layers) > 1:
            found += _classes(structure, layers, limits)
    return sorted(found, key=lambda group: structure.position[id(group.layers[0].node)])


def _classes(structure: Structure, layers: list[Layer], limits: Thresholds) -> list[WeightClass]:
    """Find the classes among layers whose weights have one shape."""
    taken: set[int] = set()
    cache: dict[str, tuple[Array, Array]] = {}
    beside = _beside(structure, layers)
    found = []
    for index, first in enumerate(layers):
        if index in taken:
            continue
        group, relations = [first], []
        free = beside[index] >> (index + 1)
        other_index = index
        while free:
            step = (free & -free).bit_length()
            other_index, free = other_index + step, free >> step
            if other_index in taken:
                continue
            relation = weight_relation(structure, first, layers[other_index], limits, cache)
            if relation:
                group.append(layers[other_index])
                relations.append(relation)
                taken.add(other_index)
                free &= beside[other_index] >> (other_index + 1)
        if relations:
            found.append(WeightClass(tuple(group), tuple(relations)))
    return found


def _beside(structure: Structure, layers: list[Layer]) -> list[int]:
    """For each layer: a bit set of the layers (by their place in the list) that neither feed it nor are fed by it."""
    places = {structure.position[id(layer.node)]: index for index, layer in enumerate(layers)}
    mask = sum(1 << position for position in places)
    everything = (1 << len(layers)) - 1
    beside = [everything & ~(1 << index) for index in range(len(layers))]
    for position, index in places.items():
        above = structure.ancestors[position] & mask
        while above:
            low = above & -above
            other = places[low.bit_length() - 1]
            above ^= low
            beside[index] &= ~(1 << other)
            beside[other] &= ~(1 << index)
    return beside


def weight_relation(
    structure: Structure,
    one: Layer,
    other: Layer,
    limits: Thresholds,
    cache: dict[str, tuple[Array, Array]] | None = None,
) -> WeightRelation:
    """Return how the second layer's weights follow from the first's."""
    related = limits.weights.related
    if one.weight == other.weight:
        return WeightRelation.SHARED
    cache = {} if cache is None else cache
    for layer in (one, other):
        if layer.weight not in cache:
            weights = np.asarray(structure.constant(layer.weight))
            cache[layer.weight] = (weights, _sample(weights, limits))
    (a, a_sample), (b, b_sample) = cache[one.weight], cache[other.weight]
    if a.size < limits.weights.smallest or a.dtype.kind not in "fiu":
        return WeightRelation.UNRELATED
    if a.shape == b.shape and _correlate(a_sample, b_sample) > related:
        return WeightRelation.EQUAL if np.array_equal(a, b) else WeightRelation.PERTURBED
    spatial = [axis for axis in range(2, a.ndim) if a.shape[axis] > 1] if one.node.op in CONVOLUTIONS else []
    if spatial and a.shape == b.shape:
        for name, turned in turns(b):
            if turned.shape == a.shape and _correlate(a_sample, _sample(turned, limits)) > related:
                return name
    swapped = a.ndim == 2 and b.ndim == 2 and a.shape == b.shape[::-1]
    if swapped and a.shape[0] == a.shape[1] and _correlate(a_sample, _sample(b.T, limits)) > related:
        return WeightRelation.EQUAL
    return WeightRelation.UNRELATED


def turns(weights: Array) -> list[tuple[WeightRelation, Array]]:
    """Return the kernels mirrored and rotated, with the relation for each."""
    if weights.ndim != 4:
        return [(WeightRelation.MIRRORED, weights[..., ::-1])]
    return [
        (WeightRelation.MIRRORED, weights[..., ::-1]),
        (WeightRelation.UPSIDE_DOWN, weights[..., ::-1, :]),
        (WeightRelation.ROTATED, weights[..., ::-1, ::-1]),
        (WeightRelation.ROTATED, np.swapaxes(weights, -1, -2)),
        (WeightRelation.ROTATED, np.rot90(weights, 1, (-2, -1))),
        (WeightRelation.ROTATED, np.rot90(weights, 3, (-2, -1))),
    ]


def _sample(weights: Array, limits: Thresholds) -> Array:
    """Return the values of the first kernels, each kernel normalised: scaling single ones does not hide a copy."""
    rows = weights.reshape(weights.shape[0], -1)
    parts = max(1, rows.size // limits.weights.sample)
    rows = rows[: max(2, len(rows) // parts)].astype(np.float32)
    centred = rows - rows.mean()
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    scaled: Array = (centred / np.maximum(length, 1e-12)).reshape(-1)
    return scaled


def _correlate(one: Array, other: Array) -> float:
    """Return |cosine| when one is a plain multiple channel by channel; 0 for tensors without information."""
    if one.size != other.size:
        return 0.0
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return abs(float(one @ other)) / norm if norm > 0 else 0.0


def repeated_blocks(weights: Array, blocks: int, limits: Thresholds) -> WeightRelation:
    """Return how the second of ``blocks`` parts of a grouped layer's kernels follows from the first.

    Kernels that are all one kernel (a blur, a Sobel filter applied to each channel) are no evidence.
    """
    related, smallest = limits.weights.related, limits.weights.smallest
    if weights.shape[0] % blocks or weights.size < smallest:
        return WeightRelation.UNRELATED
    parts = weights.reshape(blocks, weights.shape[0] // blocks, *weights.shape[1:])
    first, second = parts[0], parts[1]
    sample = _sample(first, limits)
    if len(first) > 1 and _correlate(sample, _sample(np.roll(first, 1, axis=0), limits)) > related:
        return WeightRelation.UNRELATED
    if first.size < smallest // 2:
        return WeightRelation.UNRELATED
    if _correlate(sample, _sample(second, limits)) > related:
        return WeightRelation.EQUAL if np.array_equal(first, second) else WeightRelation.PERTURBED
    for name, turned in turns(second) if weights.ndim >= 4 and max(weights.shape[2:]) > 1 else []:
        if turned.shape == first.shape and _correlate(sample, _sample(turned, limits)) > related:
            return name
    return WeightRelation.UNRELATED
