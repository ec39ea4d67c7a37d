"""Which inputs of a layer reach which outputs, and kernels that fall into equal independent parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import tensor_duplicates, weight_similarity
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, RECURRENT, Layer, Structure
from pytest_facechallenge.core.facts.implicit_batch import RepeatFact

Array = npt.NDArray[Any]


#: Layers named in a finding at most; kernels of a layer that are looked at before all are.
NAMED, ASKED = 6, 16

#: Numbers of parts that kernels may fall into.
BLOCKS = (2, 3, 4, 5, 6, 8)


def mixing(structure: Structure, layer: Layer) -> Array | None:
    """Return |weights| summed to [outputs, inputs], grouped layers spread out."""
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


def repeats(structure: Structure, branch: str) -> list[RepeatFact]:
    """Find layers whose kernels are equal, independent parts."""
    facts: list[RepeatFact] = []
    found: dict[tuple[int, str], list[Layer]] = {}
    for layer in structure.layers:
        weights = structure.constant(layer.weight)
        if weights is None or layer.node.op == "ConvTranspose" or not _may_fall_apart(layer, weights):
            continue
        matrix = mixing(structure, layer)
        if matrix is None:
            continue
        for blocks in BLOCKS:
            parts = independent_parts(layer, weights, matrix, blocks)
            relation = weight_similarity.repeated_blocks(parts, blocks) if parts is not None else ""
            if relation:
                found.setdefault((blocks, relation), []).append(layer)
                break
    by_blocks: dict[int, list[tuple[str, Layer]]] = {}
    for (blocks, relation), layers in found.items():
        by_blocks.setdefault(blocks, []).extend((relation, layer) for layer in layers)
    for blocks, entries in by_blocks.items():
        relations = [relation for relation, _ in entries]
        facts.append(
            RepeatFact(
                layers=tuple(layer.node.label for _, layer in entries[:NAMED]), blocks=blocks,
                weights=max(set(relations), key=relations.count),
                share=round(sum(layer.macs for _, layer in entries) / max(1, structure.total_macs), 4),
                branch=branch,
            )
        )  # fmt: skip
    return facts


def _may_fall_apart(layer: Layer, weights: Array) -> bool:
    """Whether some of the kernels leave it open that all of them fall into parts; most layers are settled by a few."""
    if layer.node.op in CONVOLUTIONS:
        if layer.groups > 1 or weights.ndim < 3:
            return True
        rows = weights[:: max(1, len(weights) // ASKED)]
    elif weights.ndim == 2:
        first = layer.node.inputs[0] == layer.data
        whole = weights.T if first != bool(layer.node.attributes.get("transB", 0)) else weights
        rows = whole[:: max(1, len(whole) // ASKED)]
    else:
        return True
    outputs = weights.shape[0] if layer.node.op in CONVOLUTIONS else len(whole)
    step = max(1, outputs // ASKED)
    sizes = np.abs(rows.astype(np.float32)).reshape(len(rows), rows.shape[1], -1).sum(2)
    for blocks in BLOCKS:
        if outputs % blocks or sizes.shape[1] % blocks:
            continue
        width = sizes.shape[1] // blocks
        own = np.arange(len(rows)) * step // (outputs // blocks)
        within = float(sizes.reshape(len(rows), blocks, width).sum(2)[np.arange(len(rows)), own].sum())
        if within >= 0.8 * float(sizes.sum()):
            return True
    return False


def overlap(structure: Structure, layer: Layer, stack: tensor_duplicates.Stack) -> float:
    """Return how far one output of the layer sums over both versions, 0..1."""
    matrix = mixing(structure, layer)
    if matrix is None or matrix.shape[1] % stack.blocks:
        return 1.0
    width = matrix.shape[1] // stack.blocks
    index = np.arange(matrix.shape[1])
    block = index % stack.blocks if stack.interleaved else index // width
    one, two = matrix[:, block == stack.first].sum(1), matrix[:, block == stack.second].sum(1)
    return float(np.minimum(one, two).sum() / max(1e-12, np.maximum(one, two).sum()))


def independent_parts(layer: Layer, weights: Array, matrix: Array, blocks: int) -> Array | None:
    """Return the kernels cut into ``blocks`` parts sharing neither inputs nor outputs, stacked on axis 0; or None."""
    outputs, inputs = matrix.shape
    if outputs % blocks or inputs % blocks:
        return None
    o, i = outputs // blocks, inputs // blocks
    within = sum(float(matrix[k * o : (k + 1) * o, k * i : (k + 1) * i].sum()) for k in range(blocks))
    if within < 0.95 * float(matrix.sum()):
        return None
    if layer.node.op in CONVOLUTIONS and layer.groups > 1:
        return weights if layer.groups % blocks == 0 else None
    if layer.node.op not in CONVOLUTIONS:
        first = layer.node.inputs[0] == layer.data
        weights = weights.T if first != bool(layer.node.attributes.get("transB", 0)) else weights
    return np.concatenate([weights[k * o : (k + 1) * o, k * i : (k + 1) * i] for k in range(blocks)])
