"""Layers that share, copy or mirror each other's weights while working side by side: the same body run twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure

Array = npt.NDArray[Any]

#: Correlation of two weight tensors from which one is a (scaled, perturbed) copy of the other. Between independent
#: tensors of n values it is below 5 / sqrt(n), which is why tensors under 64 values are not compared by value.
RELATED = 0.9
SMALLEST = 64

#: Values per tensor that are compared first; the rest only when these agree.
SAMPLE = 4096


@dataclass
class Class:
    """Executions with one set of weights (up to mirror, scale, noise), none of which depends on another.

    Attributes
    ----------
    layers
        At least two.
    relation
        How the weights relate: "shared", "equal", "scaled or perturbed", or the mirror's name.
    """

    layers: list[Layer]
    relation: str
    relations: list[str] = field(default_factory=list)

    @property
    def surplus(self) -> int:
        """Multiply-adds beyond the first execution."""
        return sum(layer.macs for layer in self.layers) - max(layer.macs for layer in self.layers)


def weight_classes(structure: Structure) -> list[Class]:
    """Find every set of parallel executions of related weights, in graph order."""
    by_shape: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in structure.layers:
        weights = structure.constant(layer.weight)
        if weights is not None:
            shape = tuple(sorted(weights.shape)) if layer.node.op not in CONVOLUTIONS else weights.shape
            by_shape.setdefault((layer.node.op in CONVOLUTIONS, shape), []).append(layer)
    found: list[Class] = []
    for layers in by_shape.values():
        if len(layers) > 1:
            found += _classes(structure, layers)
    return sorted(found, key=lambda group: structure.position[id(group.layers[0].node)])


def _classes(structure: Structure, layers: list[Layer]) -> list[Class]:
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
            relation = weight_relation(structure, first, layers[other_index], cache)
            if relation:
                group.append(layers[other_index])
                relations.append(relation)
                taken.add(other_index)
                free &= beside[other_index] >> (other_index + 1)
        if relations:
            found.append(Class(group, max(set(relations), key=relations.count), relations))
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
    structure: Structure, one: Layer, other: Layer, cache: dict[str, tuple[Array, Array]] | None = None
) -> str:
    """Say how the second layer's weights follow from the first's; "" when they do not."""
    if one.weight == other.weight:
        return "shared"
    cache = {} if cache is None else cache
    for layer in (one, other):
        if layer.weight not in cache:
            weights = np.asarray(structure.constant(layer.weight))
            cache[layer.weight] = (weights, _sample(weights))
    (a, a_sample), (b, b_sample) = cache[one.weight], cache[other.weight]
    if a.size < SMALLEST or a.dtype.kind not in "fiu":
        return ""
    if a.shape == b.shape and _correlate(a_sample, b_sample) > RELATED:
        return "equal" if np.array_equal(a, b) else "scaled or perturbed"
    spatial = [axis for axis in range(2, a.ndim) if a.shape[axis] > 1] if one.node.op in CONVOLUTIONS else []
    if spatial and a.shape == b.shape:
        for name, turned in turns(b):
            if turned.shape == a.shape and _correlate(a_sample, _sample(turned)) > RELATED:
                return name
    if a.ndim == 2 and b.ndim == 2 and a.shape == b.shape[::-1] and _correlate(a_sample, _sample(b.T)) > RELATED:
        return "" if a.shape[0] != a.shape[1] else "equal"
    return ""


def turns(weights: Array) -> list[tuple[str, Array]]:
    """Return the kernels mirrored and rotated, with the word for each."""
    if weights.ndim != 4:
        return [("mirrored", weights[..., ::-1])]
    return [
        ("mirrored", weights[..., ::-1]),
        ("upside down", weights[..., ::-1, :]),
        ("rotated", weights[..., ::-1, ::-1]),
        ("rotated", np.swapaxes(weights, -1, -2)),
        ("rotated", np.rot90(weights, 1, (-2, -1))),
        ("rotated", np.rot90(weights, 3, (-2, -1))),
    ]


def _sample(weights: Array) -> Array:
    """Per-output-channel normalised values: scaling single channels does not hide a copy."""
    rows = weights.reshape(weights.shape[0], -1)
    step = max(1, rows.size // SAMPLE)
    rows = rows[: max(2, rows.shape[0] // max(1, step // 4))] if step > 4 else rows
    rows = rows.astype(np.float32)
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


def repeated_blocks(weights: Array, blocks: int) -> str:
    """Say how the second of ``blocks`` parts of a grouped layer's kernels follows from the first; "" when it does not.

    Kernels that are all one kernel (a blur, a Sobel filter applied to each channel) are no evidence and give "".
    """
    if weights.shape[0] % blocks or weights.size < SMALLEST:
        return ""
    parts = weights.reshape(blocks, weights.shape[0] // blocks, *weights.shape[1:])
    first, second = parts[0], parts[1]
    if len(first) > 1:
        others = np.roll(first, 1, axis=0)
        if _correlate(_sample(first), _sample(others)) > RELATED:
            return ""
    if first.size < SMALLEST // 2:
        return ""
    if _correlate(_sample(first), _sample(second)) > RELATED:
        return "equal" if np.array_equal(first, second) else "scaled or perturbed"
    for name, turned in turns(second) if weights.ndim >= 4 and max(weights.shape[2:]) > 1 else []:
        if turned.shape == first.shape and _correlate(_sample(first), _sample(turned)) > RELATED:
            return name
    return ""
