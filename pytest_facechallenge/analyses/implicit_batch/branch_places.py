"""Early features that stand elsewhere on another way through the model's conditions: a decision places them.

On each way the same layers are shown the same images. Where one way's maps are the other's displaced or turned, the
condition decides where the features stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.displacement import displacement
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.steered_places import as_channels, content, is_sure, smooth
from pytest_facechallenge.analyses.implicit_batch.steering_ways import layers_before, map_size
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.analyses.implicit_batch.variants import EVERYTHING
from pytest_facechallenge.core.facts.alignment import Steered, SteeredPlaces

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class EarlyMap:
    """What an early layer works on.

    Attributes
    ----------
    values
        For each image shown, float [c, h, w].
    size
        Rows and columns.
    recovered
        See `SteeredPlaces`.
    image
        Height and width of the image.
    branch
        The way through the conditions.
    """

    values: tuple[Array, ...]
    size: tuple[int, int]
    recovered: float
    image: tuple[int, int]
    branch: str


def early_maps(model: TracedModel, limits: Thresholds) -> dict[str, EarlyMap]:
    """Return what the first layers work on, by their labels; nothing where no condition on the image was followed."""
    if not model.branch or model.branch == EVERYTHING or model.variant.by_size:
        return {}
    wanted, structure = limits.alignment, model.structure
    image, before = structure.shapes[structure.image], layers_before(structure)
    names: dict[str, str] = {}
    for layer in structure.layers:
        early = before.get(layer.data, wanted.layers + 1) <= wanted.fork_layers
        if early and layer.data != structure.image and map_size(structure.shapes[layer.data], image, limits):
            names.setdefault(layer.node.label, layer.data)
    names = dict(list(names.items())[: wanted.maps])
    if not names:
        return {}
    runner = model.open(list(names.values()))
    images = smooth(model.natural[: wanted.images], limits)
    shown = [runner(model.feed(one[None])) for one in images]
    found = {}
    for label, name in names.items():
        values = [as_channels(as_floats(row[name]), structure) for row in shown]
        size = map_size(structure.shapes[name], image, limits)
        kept = tuple(value for value in values if value is not None)
        if size and len(kept) == len(values):
            held = content(model, (name,), limits)
            found[label] = EarlyMap(kept, size, held, (image[2], image[3]), model.branch)
    return found


def compare(one: dict[str, EarlyMap], other: dict[str, EarlyMap], limits: Thresholds) -> list[SteeredPlaces]:
    """Return one observation for the first layer whose maps stand elsewhere on the second way, if there is one."""
    for label, first in one.items():
        second = other.get(label)
        if second is None or first.size != second.size:
            continue
        changes = [
            displacement(a, b, limits) for a, b in zip(first.values, second.values, strict=True) if a.shape == b.shape
        ]
        sure = [change for change in changes if change is not None and is_sure(change, limits)]
        if len(sure) < limits.alignment.agree:
            continue
        largest = max(sure, key=lambda change: sum(map(abs, change.pixels)))
        steps = [by * whole / part for by, whole, part in zip(largest.pixels, first.image, first.size, strict=True)]
        return [
            SteeredPlaces(
                node=label, steering=second.branch, how=Steered.DECIDED,
                pixels=(float(f"{steps[0]:.3g}"), float(f"{steps[1]:.3g}")), turn=largest.turn,
                explained=round(min(change.explained for change in sure), 4), agree=len(sure), images=len(changes),
                recovered=round(max(first.recovered, second.recovered), 4), size=first.size, branch=first.branch,
            )
        ]  # fmt: skip
    return []
