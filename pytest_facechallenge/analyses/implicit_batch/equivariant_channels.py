"""Channels of one tensor: some hold the features of the image, others those of the changed one, and no kernel mixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_groups import mixing
from pytest_facechallenge.analyses.implicit_batch.channel_partition import WHOLE, Statistics, agreement, channel_axis
from pytest_facechallenge.analyses.implicit_batch.feature_comparison import Comparison, asked_channels
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import FeatureHome

Array = npt.NDArray[Any]


def in_channels(comparison: Comparison, limits: Thresholds) -> Iterator[Hypothesis]:
    """Find layers in which channels repeat others that no kernel connects them with."""
    wanted, model = limits.equivariance, comparison.model
    apart: list[Layer] = []
    ways: list[tuple[Part, Part]] = []
    mixed = neither = 0
    for layer, plain, turned in zip(comparison.layers, comparison.plain, comparison.turned, strict=True):
        if WHOLE not in plain or WHOLE not in turned:
            continue
        pairs = agreeing_channels(plain[WHOLE], turned[WHOLE], limits)
        if not pairs:
            continue
        matrix = mixing(model.structure, layer)
        depthwise = matrix is not None and layer.groups > 1 and matrix.shape[0] // layer.groups < wanted.channels
        if matrix is None or layer in model.front or min(matrix.shape) < 2 * wanted.channels or depthwise:
            neither += layer.macs  # first layers mix all colours, depthwise ones nothing, in any network
            continue
        parts = components(matrix, limits)
        if np.mean([parts[c] != parts[other] for c, other in pairs]) >= wanted.separate:
            apart.append(layer)
            axis = channel_axis(layer, model.structure.shapes[layer.node.outputs[0]])
            ways = ways or _two_sides(layer, axis, parts, pairs, limits)
        else:
            mixed += layer.macs
    work = sum(layer.macs for layer in apart)
    if len(apart) >= wanted.together and work > mixed:
        share = model.share((work + neither) / 2)
        for where in ways:
            yield comparison.found(FeatureHome.CHANNELS, tuple(apart[: limits.running.named]), share, where)


def _two_sides(
    layer: Layer, axis: int, groups: Array, pairs: list[tuple[int, int]], limits: Thresholds
) -> list[tuple[Part, Part]]:
    """Return the ways in which a layer's channels may be two looks: groups that repeat others, and those others.

    Where several groups repeat several others, each in a pair of its own, nothing says which of one pair goes with
    which of the next: all ways are returned, of the largest pairs.
    """
    counts = Counter((int(groups[one]), int(groups[other])) for one, other in pairs if groups[one] != groups[other])
    chains: list[tuple[set[int], set[int]]] = []
    for (first, second), _ in counts.most_common():
        for one, other in ((first, second), (second, first)):
            chain = next(((a, b) for a, b in chains if one in a or other in b), None)
            if chain is not None:
                chain[0].add(one)
                chain[1].add(other)
                break
        else:
            chains.append(({first}, {second}))
    chains = chains[: limits.equivariance.group_pairs]
    value = layer.node.outputs[0]
    found = []
    for flips in product((False, True), repeat=len(chains) - 1):
        sides = [chains[0], *(chain[::-1] if flip else chain for flip, chain in zip(flips, chains[1:], strict=True))]
        chosen = [np.isin(groups, sorted(set().union(*(side[k] for side in sides)))) for k in (0, 1)]
        first_part, second_part = (
            Part(value, axis=axis, indices=tuple(np.flatnonzero(mask).tolist())) for mask in chosen
        )
        found.append((first_part, second_part))
    return found


def agreeing_channels(one: Statistics, other: Statistics, limits: Thresholds) -> list[tuple[int, int]]:
    """Return (channel, the one it repeats) when most live channels repeat another one, else nothing."""
    wanted = limits.equivariance
    live = one.live[0][0] | one.live[1][0]
    asked = asked_channels(len(live), limits)
    alike, live = agreement(one, other, asked=asked)
    if live.sum() < wanted.channels:
        return []
    alike[np.arange(len(asked)), asked] = 0
    same, _ = agreement(one, one, asked=asked)
    alike[same >= wanted.alike] = 0
    best = alike.argmax(1)
    repeated = live & (alike.max(1) >= wanted.alike)
    if repeated.sum() < wanted.share * live.sum():
        return []
    return [(int(asked[c]), int(best[c])) for c in np.flatnonzero(repeated)]


def components(matrix: Array, limits: Thresholds) -> Array:
    """Tell the outputs of a layer apart by which of them share inputs, through any chain.

    Parameters
    ----------
    matrix
        |weights| summed to [outputs, inputs]; what is silent against a row's largest entry counts as zero.

    Returns
    -------
    int [outputs]
        Equal for outputs that are connected.
    """
    used = matrix > limits.equivariance.silent * np.maximum(matrix.max(1, keepdims=True), 1e-30)
    label = np.arange(len(matrix))
    owner = np.full(matrix.shape[1], -1)
    for row in range(len(matrix)):
        inputs = np.flatnonzero(used[row])
        for other in np.unique(owner[inputs]):
            if other >= 0:
                label[label == label[other]] = label[row]
        owner[inputs] = row
    return label
