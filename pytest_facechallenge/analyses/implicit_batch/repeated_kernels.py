"""Layers whose kernels fall into equal independent parts: one network applied to inputs stacked on the channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import weight_similarity
from pytest_facechallenge.analyses.implicit_batch.channel_groups import independent_parts, mixing
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, blocks_of
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import RepeatedKernels
from pytest_facechallenge.core.facts.implicit_batch_kinds import WeightRelation

Array = npt.NDArray[Any]


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return one observation for each number of parts that kernels fall into."""
    structure = model.structure
    found: dict[tuple[int, WeightRelation], list[Layer]] = {}
    for layer in structure.layers:
        blocks, relation = _repeated(structure, layer, limits)
        if relation and not _filters_each_colour(model, layer, blocks):
            found.setdefault((blocks, relation), []).append(layer)
    by_blocks: dict[int, list[tuple[WeightRelation, Layer]]] = {}
    for (blocks, relation), layers in found.items():
        by_blocks.setdefault(blocks, []).extend((relation, layer) for layer in layers)
    seen: list[Hypothesis] = []
    for blocks, entries in by_blocks.items():
        layers = [layer for _, layer in entries]
        if len(layers) > 1 and not any(structure.depends(later, early) for early in layers for later in layers):
            continue  # a bank of filters beside another one (real and imaginary parts): no network is deep in one layer
        relations = [relation for relation, _ in entries]
        repeated = RepeatedKernels(
            layers=tuple(layer.node.label for _, layer in entries[: limits.running.named]),
            blocks=blocks,
            weights=max(WeightRelation, key=relations.count),
            share=model.share(sum(layer.macs for layer in layers)),
            branch=model.branch,
        )
        first = min(layers, key=lambda layer: structure.position[id(layer.node)])
        extent = structure.shapes[first.data][first.contracted]
        parts = blocks_of(first.data, first.contracted, extent, blocks, (0, 1), interleaved=False)
        seen.append(Hypothesis(repeated, parts))
    return seen


def _filters_each_colour(model: TracedModel, layer: Layer, blocks: int) -> bool:
    """Whether a layer applies one bank of filters to each colour of the image alone."""
    shape = model.structure.shapes[layer.data]
    colours = len(shape) == 4 and shape[layer.contracted] == blocks == model.feed.images.channels
    return colours and model.is_pixels(layer) and shape[2:] == model.structure.shapes[model.feed.name][2:]


def _repeated(structure: Structure, layer: Layer, limits: Thresholds) -> tuple[int, WeightRelation]:
    """Return into how many equal parts the layer's kernels fall, and how these relate."""
    nothing = (0, WeightRelation.UNRELATED)
    weights = structure.constant(layer.weight)
    if weights is None or layer.node.op == "ConvTranspose" or not _may_fall_apart(layer, weights, limits):
        return nothing
    matrix = mixing(structure, layer)
    if matrix is None:
        return nothing
    for blocks in limits.weights.blocks:
        parts = independent_parts(layer, weights, matrix, blocks, limits)
        if parts is None:
            continue
        relation = weight_similarity.repeated_blocks(parts, blocks, limits)
        if relation:
            return blocks, relation
    return nothing


def _may_fall_apart(layer: Layer, weights: Array, limits: Thresholds) -> bool:
    """Whether some of the kernels leave it open that all of them fall into parts; most layers are settled by a few."""
    asked = limits.weights.rows
    if layer.node.op in CONVOLUTIONS:
        if layer.groups > 1 or weights.ndim < 3:
            return True
        kernels = weights
    elif weights.ndim == 2:
        first = layer.node.inputs[0] == layer.data
        kernels = weights.T if first != bool(layer.node.attributes.get("transB", 0)) else weights
    else:
        return True
    outputs = len(kernels)
    step = max(1, outputs // asked)
    rows = kernels[::step]
    sizes = np.abs(rows.astype(np.float32)).reshape(len(rows), rows.shape[1], -1).sum(2)
    for blocks in limits.weights.blocks:
        if outputs % blocks or sizes.shape[1] % blocks:
            continue
        width = sizes.shape[1] // blocks
        own = np.arange(len(rows)) * step // (outputs // blocks)
        within = float(sizes.reshape(len(rows), blocks, width).sum(2)[np.arange(len(rows)), own].sum())
        if within >= limits.weights.may_part * float(sizes.sum()):
            return True
    return False
