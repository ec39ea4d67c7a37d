"""Channels that are zero for every image: their weights may connect whatever they like, and connect nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_clusters import TwoGroups, two_groups
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel

Array = npt.NDArray[Any]

#: By layer: which of its inputs and of its outputs are zero for every image shown, bool.
Silent = Mapping[int, tuple[Array, Array]]


def silent_channels(model: TracedModel, limits: Thresholds) -> Silent:
    """Return the silent channels before and behind each layer, by the node's id; nothing where biases show none.

    A bias that is far below what the weights can make of usual features says where to look; images decide.

    Raises
    ------
    RunError
        The layers' inputs cannot be computed.
    """
    structure = model.structure
    layers = [layer for layer in structure.layers if layer.node.op in CONVOLUTIONS and layer.groups == 1]
    if not any(_low(structure, layer, limits).any() for layer in layers):
        return {}
    runner = model.open([layer.data for layer in layers])
    rows = [runner(model.feed(image[None])) for image in model.natural]
    found: dict[int, tuple[Array, Array]] = {}
    for layer in layers:
        values = [np.moveaxis(np.asarray(row[layer.data]), layer.contracted, 0) for row in rows]
        inputs = ~np.any([value.reshape(len(value), -1).any(1) for value in values], axis=0)
        found[id(layer.node)] = (inputs, _low(structure, layer, limits))
    return found


def _low(structure: Structure, layer: Layer, limits: Thresholds) -> Array:
    """Return which outputs of a convolution have a bias far below zero, for its weights."""
    weights = structure.constant(layer.weight)
    bias = structure.constant(layer.node.inputs[2]) if len(layer.node.inputs) > 2 else None
    if weights is None or bias is None or len(weights) != bias.size:
        return np.zeros(0, bool)
    sizes = np.linalg.norm(weights.reshape(len(weights), -1).astype(np.float64), axis=1)
    low: Array = bias.ravel() < -limits.clusters.silent * sizes
    return low


def groups_without(silent: Silent, layer: Layer, energy: Array, limits: Thresholds) -> TwoGroups | None:
    """Return the two groups of a layer's channels, silent ones left out; these are counted with the first group.

    Parameters
    ----------
    energy
        float [outputs, inputs]; see `two_groups`.
    """
    inputs, outputs = silent.get(id(layer.node), (np.zeros(0, bool), np.zeros(0, bool)))
    # Without a bias nothing is known of a layer's outputs, and without a run nothing of its inputs: none is silent.
    inputs = inputs if inputs.size == energy.shape[1] else np.zeros(energy.shape[1], bool)
    outputs = outputs if outputs.size == energy.shape[0] else np.zeros(energy.shape[0], bool)
    if not (inputs.any() or outputs.any()):
        return two_groups(energy, limits)
    groups = two_groups(energy[np.ix_(~outputs, ~inputs)], limits)
    if groups is None:
        return None
    masks = [np.ones(len(mask), bool) for mask in (outputs, inputs)]
    masks[0][~outputs], masks[1][~inputs] = groups.outputs, groups.inputs
    return TwoGroups(masks[0], masks[1], groups.coupling)
