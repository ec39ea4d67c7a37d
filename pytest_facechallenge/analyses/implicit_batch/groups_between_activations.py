"""Two networks in one that no kernel shows: their channels are turned together, or their kernels are sums.

What connects one activation to the next is one linear map, however many layers it is written as; see `linear_maps`.
So is what connects several activations beside each other to the next ones: layers that carry sum and difference of two
networks' features. Where these maps leave two groups of channels apart, the groups are compared as those of single
layers are, and each is fed another image: what it does alone shows behind the activations, where the two are apart.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from pytest_facechallenge.analyses.implicit_batch.linear_maps import (
    LinearMap,
    Source,
    beside,
    linear_maps,
    one_behind_the_other,
    sources,
)
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part, results_of
from pytest_facechallenge.analyses.implicit_batch.runner import Runner, as_floats
from pytest_facechallenge.analyses.implicit_batch.successive_activations import successions
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import CoupledGroups, Observation
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Grouped:
    """Linear maps from the same activations, their outputs one behind the other, and the groups they leave apart."""

    sources: tuple[Source, ...]
    maps: tuple[LinearMap, ...]
    groups: TwoGroups

    @property
    def layers(self) -> Iterator[Layer]:
        """Those on the way."""
        return (layer for each in self.maps for layer in each.layers)


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis | Observation]:
    """Return the two networks that the maps between activations hold, if they do."""
    wanted = limits.clusters
    grouped = _grouped(model.structure, limits)
    layers = {id(layer): layer for entry in grouped for layer in entry.layers}
    share = model.share(sum(layer.macs for layer in layers.values()))
    if len(layers) < wanted.layers or share < wanted.share:
        return []
    candidate, alike, unchanged = _likeness(model, grouped, limits)
    ordered = sorted(layers.values(), key=lambda layer: model.structure.position[id(layer.node)])
    seen = CoupledGroups(
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
    parts = next((parts for entry in grouped if (parts := _parts(model.structure, entry)) is not None), None)
    return [Hypothesis(seen, parts, behind_activations=True) if parts else seen]


def _parts(structure: Structure, entry: _Grouped) -> tuple[Part, Part] | None:
    """Return the groups of activations as parts; None where each has channels of several values."""
    inputs = entry.groups.inputs
    if len(entry.sources) == 1:
        _, value, axis = entry.sources[0]
        one, other = (
            Part(value, axis=axis, indices=tuple(np.flatnonzero(mask).tolist())) for mask in (inputs, ~inputs)
        )
        return one, other
    widths = [structure.shapes[source.value][source.axis] for source in entry.sources]
    owned = [mask.mean() for mask in np.split(inputs, np.cumsum(widths)[:-1])]
    if set(owned) != {0, 1}:
        return None
    return results_of(*(entry.sources[owned.index(group)].value for group in (1, 0)))


def _grouped(structure: Structure, limits: Thresholds) -> list[_Grouped]:
    """Return the maps between activations that leave two groups apart, where single layers do not.

    Of two networks in one every map does. So the first few that are drawn say whether the others are worth it.
    """
    wanted = limits.clusters
    activations = sources(structure, wanted.smallest)
    found = [each for each in activations if structure.shapes[each.value][each.axis] <= wanted.widest]
    grouped = _left_apart(structure, found, limits) or _left_apart_in_turn(structure, found, limits)
    return sorted(grouped, key=lambda entry: (entry.sources[0].position, -len(entry.sources)))


def _left_apart(structure: Structure, found: list[Source], limits: Thresholds) -> list[_Grouped]:
    """Return what the maps from one activation on, or from some beside each other, leave apart."""
    wanted = limits.clusters
    starts = [*beside(structure, found, wanted.beside), *((each,) for each in found)]
    grouped: list[_Grouped] = []
    looked_at = 0
    for index in np.random.default_rng(6).permutation(len(starts)):
        maps = _maps(structure, starts[index], limits)
        looked_at += bool(maps)
        for each in maps:
            groups = two_groups((np.abs(one_behind_the_other(each)).astype(np.float64) ** 2).sum(0), limits)
            entry = _Grouped(starts[index], each, groups) if groups is not None else None
            if entry and any(_connects(structure, layer, limits) for layer in entry.layers):
                grouped.append(entry)
        if looked_at == wanted.starts and not grouped:
            return []
    return grouped


def _left_apart_in_turn(structure: Structure, found: list[Source], limits: Thresholds) -> list[_Grouped]:
    """Return what two networks whose blocks take turns in one stream leave apart."""
    grouped = []
    for each in successions(structure, found, _waves(limits)[:1], limits):
        groups = two_groups(each.energy, limits)
        entry = _Grouped(each.sources, each.maps, groups) if groups is not None else None
        if entry and any(_connects(structure, layer, limits) for layer in entry.layers):
            grouped.append(entry)
    return grouped


def _waves(limits: Thresholds) -> Array:
    return np.random.default_rng(5).uniform(-np.pi, np.pi, (limits.clusters.waves, 2))


def _maps(structure: Structure, together: tuple[Source, ...], limits: Thresholds) -> list[tuple[LinearMap, ...]]:
    """Return the maps from some activations on: each by itself from one, all of one grid together from several.

    From several those count to which ways lead from all of them: where none does, the graph shows two branches.
    """
    maps = list(linear_maps(structure, together, _waves(limits), limits.clusters.maps))
    if len(together) == 1:
        return [(each,) for each in maps]
    maps = [each for each in maps if len(each.reached) == len(together)]
    grids = [[each for each in maps if np.allclose(each.waves, one.waves)] for one in maps[:1]]
    return [tuple(grid) for grid in grids]


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
    runner = model.open(list(dict.fromkeys(each.value for entry in asked for each in entry.maps)))

    def summed_up(images: Array) -> list[Statistics | None]:
        return _summed_up(model, runner, asked, images, limits)

    masks = [entry.groups.outputs for entry in asked]
    changes = candidates(model.structure, model.front, limits)
    return likeness(masks, summed_up, structured_images(model, limits), changes, limits)


def _summed_up(
    model: TracedModel, runner: Runner, asked: list[_Grouped], images: Array, limits: Thresholds
) -> list[Statistics | None]:
    """Return the statistics of the channels that maps lead to; None where the size of a value changes."""
    kept: list[list[tuple[Array, Array]]] = [[] for _ in asked]
    for image in images:
        values = runner(model.feed(image[None]))
        for numbers, entry in zip(kept, asked, strict=True):
            found = [as_floats(values[each.value]) for each in entry.maps]
            shapes = [model.structure.shapes[each.value] for each in entry.maps]
            sums = [
                sum_up(value[None], each.axis, WHOLE)
                for value, each, shape in zip(found, entry.maps, shapes, strict=True)
                if value is not None and value.shape == shape
            ]
            if len(sums) == len(found):
                means, skews = zip(*sums, strict=True)
                numbers.append((np.concatenate(means, 2), np.concatenate(skews, 2)))
    return [
        Statistics.of(np.concatenate([m for m, _ in pairs]), np.concatenate([s for _, s in pairs]), limits)
        if len(pairs) == len(images) else None
        for pairs in kept
    ]  # fmt: skip
