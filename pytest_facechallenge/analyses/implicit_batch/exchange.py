"""An intervention: one part of the network is fed another image's data, the rest goes on with the image's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.replaced_parts import ReplacedParts
from pytest_facechallenge.analyses.implicit_batch.stages import stages
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.interventions import Exchanged

Array = npt.NDArray[Any]


def exchange(model: OpenedModel, hypothesis: Hypothesis, limits: Thresholds) -> Exchanged | None:
    """Feed each of two parts the data of other images, and see which layers and how much of the embedding follow.

    Returns
    -------
    Exchanged or None
        None where the parts cannot be replaced (they are no floats, or their size depends on the image), or where the
        embedding does not depend on the image.

    Raises
    ------
    RunError
        The runtime refuses the network with its parts replaced.
    """
    parts = hypothesis.parts
    layers = _behind(model, parts)
    names = [layer.node.outputs[0] for layer in layers]
    images = model.feed.images.natural(limits.exchange.pairs)
    network = ReplacedParts.of(model, parts, images, [*names, model.feed.output])
    if network is None:
        return None
    plain = [network.run(index) for index in range(len(images))]
    changes: tuple[dict[str, Array], dict[str, Array]] = ({}, {})
    moved: tuple[list[float], list[float]] = ([], [])
    for index in range(len(images)):
        other = (index + 1) % len(images)
        here, there = plain[index], plain[other]
        for number in range(len(parts)):
            mixed = network.run(index, number, other)
            step = _step(here, there, mixed, model.feed.output)
            if step is None or any(np.shape(mixed[name]) != np.shape(here[name]) for name in names):
                return None
            moved[number].append(step)
            for name in names:
                change = (np.asarray(mixed[name], np.float64) - np.asarray(here[name], np.float64)) ** 2
                changes[number][name] = changes[number].get(name, 0) + change
    sides = [_alone(changes[0][name], changes[1][name], limits) for name in names]
    live = [max(1, int((changes[0][name] + changes[1][name] > 0).sum())) for name in names]
    shares = [
        (float(one.sum() / count), float(other.sum() / count)) for (one, other), count in zip(sides, live, strict=True)
    ]
    work = [sum(layer.macs * share[number] for layer, share in zip(layers, shares, strict=True)) for number in (0, 1)]
    behind = max(1, sum(layer.macs for layer in layers))
    owned = limits.exchange.owned
    depths = [
        stages(model.structure, [layer for layer, share in zip(layers, shares, strict=True) if share[number] >= owned])
        for number in (0, 1)
    ]
    last = [
        max((index for index, share in enumerate(shares) if share[number] >= owned), default=-1) for number in (0, 1)
    ]
    ends = [(names[index], sides[index][number]) for number, index in enumerate(last) if index >= 0]
    return Exchanged(
        pairs=len(images),
        alone=(round(work[0] / behind, 4), round(work[1] / behind, 4)),
        stages=min(depths),
        pure=round(float(sum(shares[0])), 3) if shares else 0.0,
        moved=(_summed_up(moved[0]), _summed_up(moved[1])),
        apart=_apart(network, plain, ends, limits) if min(last) >= 0 else -1.0,
    )


def _apart(
    network: ReplacedParts, plain: list[dict[str, Any]], ends: Sequence[tuple[str, Array]], limits: Thresholds
) -> float:
    """Return 1 - cosine of what two parts give at their ends when both are fed the same; -1 where it has no sense.

    Parameters
    ----------
    ends
        For each part the name of its last result, and which elements are its own, bool.
    """
    (one, first), (other, second) = ends
    if first.sum() != second.sum() or not first.any():
        return -1.0
    worst = 0.0
    for index in range(min(limits.exchange.repeated, len(plain))):
        fed = network.repeat(index)
        if fed is None:
            return -1.0
        a, b = (np.asarray(value, np.float64) for value in (plain[index][one][first], fed[other][second]))
        a, b = a - a.mean(), b - b.mean()
        worst = max(worst, 1 - float(a @ b) / (float(np.linalg.norm(a) * np.linalg.norm(b)) + 1e-30))
    return float(f"{max(worst, 0.0):.1e}")


def _step(here: dict[str, Any], there: dict[str, Any], mixed: dict[str, Any], name: str) -> float | None:
    """Return how far an embedding went from one towards another, 0..1; None where the two are one."""
    one, other, now = (np.asarray(values[name], np.float64).reshape(-1) for values in (here, there, mixed))
    if not one.shape == other.shape == now.shape:
        return None
    distance = float(((other - one) ** 2).sum())
    return float((now - one) @ (other - one)) / distance if distance > 0 else None


def _summed_up(steps: Sequence[float]) -> tuple[float, float, float]:
    """Return the least, the median and the largest, rounded as they stand in facts."""
    return round(min(steps), 3), round(float(np.median(steps)), 3), round(max(steps), 3)


def _alone(one: Array, other: Array, limits: Thresholds) -> tuple[Array, Array]:
    """Return which of a layer's results the one part changes and the other does not, and the reverse, bool."""
    wanted = limits.exchange
    largest = max(float(one.max(initial=0)), float(other.max(initial=0)))
    live = one + other > wanted.live * largest
    return live & (one > wanted.apart * other), live & (other > wanted.apart * one)


def _behind(model: OpenedModel, parts: Sequence[Part]) -> list[Layer]:
    """Return the layers whose results depend on what the parts start from."""
    structure = model.structure
    starts = 0
    for position, node in enumerate(structure.nodes):
        if any(part.is_read_by(position, node) for part in parts):
            starts |= 1 << position
    found = []
    for layer in structure.layers:
        position = structure.position[id(layer.node)]
        if (structure.ancestors[position] | 1 << position) & starts and layer.node.outputs[0] in structure.shapes:
            found.append(layer)
    return found
