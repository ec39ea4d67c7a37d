"""Which inputs of a layer reach which outputs: channel groups, whether the file says so or its zeros do."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, RECURRENT, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.tensor_duplicates import BlockPair
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


#: Pairs of channels up to which what connects them is kept: four observers ask for it.
_KEPT = 1 << 20


def mixing(structure: Structure, layer: Layer) -> Array | None:
    """Return |weights| summed to [outputs, inputs], grouped layers spread out; not to be written to."""
    key = id(layer.node)
    if key not in structure.mixed:
        matrix = _mixing(structure, layer)
        if matrix is not None and matrix.size > _KEPT:
            return matrix
        structure.mixed[key] = matrix
    return structure.mixed[key]


def _mixing(structure: Structure, layer: Layer) -> Array | None:
    weights = structure.constant(layer.weight)
    if weights is None or weights.dtype.kind not in "fiu" or weights.ndim < 2:
        return None
    sizes = np.abs(weights.astype(np.float32))
    if layer.node.op in CONVOLUTIONS:
        if layer.node.op == "ConvTranspose":
            return None
        flat: Array = sizes.reshape(*sizes.shape[:2], -1).sum(2)
        if layer.groups == 1:
            return flat
        full = np.zeros((flat.shape[0], flat.shape[1] * layer.groups), np.float32)
        rows = flat.shape[0] // layer.groups
        for group in range(layer.groups):
            part = slice(group * rows, (group + 1) * rows)
            full[part, group * flat.shape[1] : (group + 1) * flat.shape[1]] = flat[part]
        return full
    if weights.ndim != 2 or layer.node.op in RECURRENT or layer.node.op == "Einsum":
        return None
    first = layer.node.inputs[0] == layer.data
    turned: Array = sizes.T if first != bool(layer.node.attributes.get("transB", 0)) else sizes
    return turned


def overlap(structure: Structure, layer: Layer, pair: BlockPair) -> float:
    """Return how far one output of the layer sums over both versions, 0..1."""
    matrix = mixing(structure, layer)
    if matrix is None or matrix.shape[1] % pair.blocks:
        return 1.0
    width = matrix.shape[1] // pair.blocks
    index = np.arange(matrix.shape[1])
    block = index % pair.blocks if pair.interleaved else index // width
    one, two = matrix[:, block == pair.first].sum(1), matrix[:, block == pair.second].sum(1)
    return float(np.minimum(one, two).sum() / max(1e-12, np.maximum(one, two).sum()))


def independent_parts(layer: Layer, weights: Array, matrix: Array, blocks: int, limits: Thresholds) -> Array | None:
    """Return the kernels cut into ``blocks`` parts sharing neither inputs nor outputs, stacked on axis 0; or None."""
    outputs, inputs = matrix.shape
    if outputs % blocks or inputs % blocks:
        return None
    o, i = outputs // blocks, inputs // blocks
    within = sum(float(matrix[k * o : (k + 1) * o, k * i : (k + 1) * i].sum()) for k in range(blocks))
    if within < limits.weights.independent * float(matrix.sum()):
        return None
    if layer.node.op in CONVOLUTIONS and layer.groups > 1:
        return weights if layer.groups % blocks == 0 else None
    if layer.node.op not in CONVOLUTIONS:
        first = layer.node.inputs[0] == layer.data
        weights = weights.T if first != bool(layer.node.attributes.get("transB", 0)) else weights
    return np.concatenate([weights[k * o : (k + 1) * o, k * i : (k + 1) * i] for k in range(blocks)])
