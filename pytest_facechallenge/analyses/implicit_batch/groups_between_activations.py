"""Two networks in one that no kernel shows: their channels are turned together, or their kernels are sums.

What connects one activation to the next is one linear map, however many layers it is written as; see `linear_maps`.
Where these maps leave two groups of channels apart, the groups are compared as those of single layers are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_clusters import TwoGroups, two_groups
from pytest_facechallenge.analyses.implicit_batch.channel_groups import mixing
from pytest_facechallenge.analyses.implicit_batch.channel_partition import (
    WHOLE,
    Statistics,
    structured_images,
    sum_up,
)
from pytest_facechallenge.analyses.implicit_batch.coupled_groups import likeness
from pytest_facechallenge.analyses.implicit_batch.image_transforms import Candidate, candidates
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.linear_maps import LinearMap, linear_maps, sources
from pytest_facechallenge.analyses.implicit_batch.runner import Runner, as_floats
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import CoupledGroups, Observation
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Grouped:
    """A linear map, and the two groups that it leaves apart."""

    found: LinearMap
    groups: TwoGroups


def observe(model: TracedModel, limits: Thresholds) -> list[Observation]:
    """Return the two networks that the maps between activations hold, if they do."""
    wanted = limits.clusters
    grouped = _grouped(model.structure, limits)
    layers = {id(layer): layer for entry in grouped for layer in entry.found.layers}
    share = model.share(sum(layer.macs for layer in layers.values()))
    if len(layers) < wanted.layers or share < wanted.share:
        return []
    candidate, alike, unchanged = _likeness(model, grouped, limits)
    ordered = sorted(layers.values(), key=lambda layer: model.structure.position[id(layer.node)])
    return [
        CoupledGroups(
            layers=tuple(layer.node.label for layer in ordered[: limits.running.named]),
            count=len(ordered),
            share=share,
            coupling=round(max(entry.groups.coupling for entry in grouped), 11),
            alike=round(alike, 3),
            alike_unchanged=round(unchanged, 3),
            transform=candidate.transform if candidate else Transform.NONE,
            colours=candidate.colours if candidate else (),
            turn=candidate.turn if candidate else Transform.NONE,
            taps=candidate.taps if candidate else (),
            together=True,
            branch=model.branch,
        )
    ]


def _grouped(structure: Structure, limits: Thresholds) -> list[_Grouped]:
    """Return the maps between activations that leave two groups apart, where single layers do not.

    Of two networks in one every map does. So the first few that are drawn say whether the others are worth it.
    """
    wanted = limits.clusters
    waves = np.random.default_rng(5).uniform(-np.pi, np.pi, (wanted.waves, 2))
    starts = list(sources(structure, wanted.smallest))
    found: list[tuple[int, _Grouped]] = []
    looked_at = 0
    for index in np.random.default_rng(6).permutation(len(starts)):
        maps = list(linear_maps(structure, starts[index], waves, wanted.maps))
        looked_at += bool(maps)
        for each in maps:
            groups = two_groups((np.abs(each.work()).astype(np.float64) ** 2).sum(0), limits)
            if groups is not None and any(_connects(structure, layer, limits) for layer in each.layers):
                found.append((starts[index].position, _Grouped(each, groups)))
        if looked_at == wanted.starts and not found:
            return []
    return [entry for _, entry in sorted(found, key=lambda each: each[0])]


def _connects(structure: Structure, layer: Layer, limits: Thresholds) -> bool:
    """Whether a layer by itself shows no groups: those that do are seen as they stand."""
    if layer.groups > 1:
        return False
    matrix = mixing(structure, layer)
    return matrix is None or two_groups(matrix**2, limits) is None


def _likeness(model: TracedModel, grouped: list[_Grouped], limits: Thresholds) -> tuple[Candidate | None, float, float]:
    """Return the change of the image under which one group's features are the other's, that share, and without it."""
    spread = np.unique(np.linspace(0, len(grouped) - 1, min(limits.clusters.compared, len(grouped))).astype(int))
    asked = [grouped[index] for index in spread]
    runner = model.open(list(dict.fromkeys(entry.found.value for entry in asked)))

    def summed_up(images: Array) -> list[Statistics | None]:
        return _summed_up(model, runner, asked, images, limits)

    masks = [entry.groups.outputs for entry in asked]
    changes = candidates(model.structure, model.front, limits)
    return likeness(masks, summed_up, structured_images(model, limits), changes, limits)


def _summed_up(
    model: TracedModel, runner: Runner, asked: list[_Grouped], images: Array, limits: Thresholds
) -> list[Statistics | None]:
    """Return the statistics of the channels that each map leads to; None for a value whose size changes."""
    kept: list[list[tuple[Array, Array]]] = [[] for _ in asked]
    for image in images:
        values = runner(model.feed(image[None]))
        for entry, each in zip(kept, asked, strict=True):
            value = as_floats(values[each.found.value])
            if value is not None and value.shape == model.structure.shapes[each.found.value]:
                entry.append(sum_up(value[None], each.found.axis, WHOLE))
    return [
        Statistics.of(np.concatenate([m for m, _ in pairs]), np.concatenate([s for _, s in pairs]), limits)
        if len(pairs) == len(images) else None
        for pairs in kept
    ]  # fmt: skip
