"""Features that the network computes twice: once of the image, and once of a turned, moved or zoomed one.

A second view need not be made by an operator, nor by weights that resemble each other, nor lie on an axis of its own.
What it cannot avoid is that some feature B of the image is another feature A of the changed image: B(x) = A(T x).
So every layer's channels are summed up to numbers that do not depend on where in the tensor the features lie, for some
images x and for T x, and each channel is compared with the others (rows, halves of an axis, layers).

Equivariance alone proves nothing: a network with mirrored filters whose layers mix them has it everywhere and sees the
image once. It is a second view where the two never mix: they lie in different rows or halves that both see the whole
image, in layers that do not depend on each other, or in channels between which every kernel is zero. Where the weights
show that there is none of this (`plain_network`), nothing is run.
"""

from __future__ import annotations

import numpy as np

from pytest_facechallenge.analyses.implicit_batch.channel_partition import channel_axis, measure, structured_images
from pytest_facechallenge.analyses.implicit_batch.equivariant_channels import in_channels
from pytest_facechallenge.analyses.implicit_batch.equivariant_layers import in_layers
from pytest_facechallenge.analyses.implicit_batch.equivariant_parts import in_parts
from pytest_facechallenge.analyses.implicit_batch.feature_comparison import Comparison
from pytest_facechallenge.analyses.implicit_batch.image_transforms import CHANGES, candidates
from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis
from pytest_facechallenge.analyses.implicit_batch.plain_network import is_plain
from pytest_facechallenge.analyses.implicit_batch.strips_seen import StripsSeen
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

#: Of the changes that are looked for in every network, those looked for in large ones too.
IN_LARGE_NETWORKS = frozenset({Transform.MIRRORED, Transform.MIRRORED_TO_THE_PIXEL})


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return features of changed images that never mix with those of the image; the first per change and home."""
    layers = _layers(model, limits)
    if not layers or is_plain(model, limits):
        return []
    large = model.structure.total_macs >= limits.equivariance.large
    base = structured_images(model, limits)[: limits.equivariance.large_images if large else None]
    runner = model.open([layer.node.outputs[0] for layer in layers], optimised=large)
    plain = measure(model, runner, layers, base, limits)
    strips = StripsSeen(model, runner, layers, base, limits)
    found: list[Hypothesis] = []
    for candidate in candidates(model.structure, model.front, limits):
        if large and candidate.transform in CHANGES and candidate.transform not in IN_LARGE_NETWORKS:
            continue
        changed = candidate.change(base)
        if changed.shape != base.shape:
            continue
        turned = measure(model, runner, layers, changed, limits)
        comparison = Comparison(model, layers, runner, candidate, base, changed, plain, turned, strips)
        found += in_parts(comparison, limits)
        found += in_channels(comparison, limits)
        found += in_layers(comparison, limits)
    return found


def _layers(model: TracedModel, limits: Thresholds) -> list[Layer]:
    """Return the layers that are asked: those with enough channels, evenly spread where there are very many."""
    structure, wanted = model.structure, limits.equivariance
    usable = []
    for layer in structure.layers:
        shape = structure.shapes.get(layer.node.outputs[0], ())
        if layer.node.op in RECURRENT or len(shape) < 2 or _works_pixel_by_pixel(model, layer):
            continue
        if shape[channel_axis(layer, shape)] >= wanted.channels:
            usable.append(layer)
    most = wanted.large_layers if structure.total_macs >= wanted.large else wanted.layers
    if len(usable) <= most:
        return usable
    return [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, most).astype(int))]


def _works_pixel_by_pixel(model: TracedModel, layer: Layer) -> bool:
    """Whether a layer mixes the colours of each pixel and nothing else: such features turn with any image."""
    structure = model.structure
    weights = structure.constant(layer.weight)
    if weights is None or not model.is_pixels(layer):
        return False
    colours = structure.shapes[structure.image][1]
    return structure.shapes[layer.data][layer.contracted] == colours and all(
        extent == 1 for extent in weights.shape[2:]
    )
