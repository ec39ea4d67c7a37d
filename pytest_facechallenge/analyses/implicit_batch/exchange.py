"""An intervention: one part of the network is fed another image's data, the rest goes on with the image's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_partition import channel_axis
from pytest_facechallenge.analyses.implicit_batch.layer_index import ABOUT_SHAPE, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.replaced_parts import ReplacedParts
from pytest_facechallenge.analyses.implicit_batch.stages import bends, scales_places, stages
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.interventions import Exchanged
from pytest_facechallenge.onnx_graph.ir import Node

Array = npt.NDArray[Any]

#: Operators that sum up.
SUMMING = frozenset({"ReduceSum", "ReduceMean", "ReduceL2", "ReduceSumSquare"})


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
    layers = _behind(model, hypothesis.parts)
    read = _read_at(model.structure, layers, behind=hypothesis.behind_activations)
    names = list(dict.fromkeys(name for each in read for name in each))
    images = model.feed.images.natural(limits.exchange.pairs)
    network = ReplacedParts.of(model, hypothesis.parts, images, [*names, model.feed.output])
    followed = _followed(network, names, model.feed.output, len(images)) if network is not None else None
    if network is None or followed is None:
        return None
    changes, moved = followed
    alone = {name: _alone(changes[0][name], changes[1][name], limits) for name in names}
    live = {name: int((changes[0][name] + changes[1][name] > 0).sum()) for name in names}
    shares = [
        tuple(sum(int(alone[name][number].sum()) for name in each) / max(1, sum(live[name] for name in each))
              for number in (0, 1))
        for each in read
    ]  # fmt: skip
    behind = max(1, sum(layer.macs for layer in layers))
    work, depths, ends = [], [], []
    for number in (0, 1):
        own = [share[number] for share in shares]
        work.append(sum(layer.macs * share for layer, share in zip(layers, own, strict=True)) / behind)
        used = [index for index, share in enumerate(own) if share >= limits.exchange.owned]
        depths.append(stages(model.structure, [layers[index] for index in used]))
        last = [name for index in used[-1:] for name in read[index] if alone[name][number].any()]
        ends += [(name, alone[name][number]) for name in last[-1:]]
    return Exchanged(
        pairs=len(images),
        alone=(round(work[0], 4), round(work[1], 4)),
        stages=min(depths),
        pure=round(sum(shares[0]), 3) if shares else 0.0,
        moved=(_summed_up(moved[0]), _summed_up(moved[1])),
        apart=_apart(network, ends, limits),
    )


def _read_at(structure: Structure, layers: Sequence[Layer], *, behind: bool) -> list[list[str]]:
    """Return for each layer the values that tell whom it works for: its result, or the next that are not linear in it.

    Parameters
    ----------
    behind
        Whether it is the latter; a layer with nothing behind it but linear nodes is read at its result.
    """
    if not behind:
        return [[layer.node.outputs[0]] for layer in layers]
    found = []
    for layer in layers:
        reached, ends = {layer.node.outputs[0]}, []
        shape = structure.shapes[layer.node.outputs[0]]
        channels = shape[channel_axis(layer, shape)] if shape else 1
        for node in structure.nodes[structure.position[id(layer.node)] + 1 :]:
            if not node.outputs or node.outputs[0] not in structure.shapes or not reached & set(node.inputs):
                continue
            if node.op in ABOUT_SHAPE:
                continue
            if bends(structure, node) and not scales_places(structure, node):
                if _is_only_summed_up(structure, node, channels):
                    continue  # the deviation that a normalisation divides by
                ends.append(node.outputs[0])
            else:
                reached |= {name for name in node.outputs if name}
        found.append(ends or [layer.node.outputs[0]])
    return found


def _is_only_summed_up(structure: Structure, node: Node, channels: int) -> bool:
    """Whether a node's result is a sum over all channels of a place, or is read by such sums alone.

    Parameters
    ----------
    channels
        So many elements are summed up.
    """
    if node.op in SUMMING:
        return any(_sums(structure, node, name, channels) for name in node.inputs)
    readers = structure.graph.consumers.get(node.outputs[0], ())
    return bool(readers) and all(
        each.op in SUMMING and _sums(structure, each, node.outputs[0], channels) for each in readers
    )


def _sums(structure: Structure, node: Node, name: str, channels: int) -> bool:
    """Whether one axis of so many elements has become 1, or is left out, and all others are as they were."""
    given, made = (structure.shapes.get(each, ()) for each in (name, node.outputs[0]))
    axes = [at for at in range(1, len(given)) if given[at] == channels > 1]
    return any(made in ((*given[:at], *given[at + 1 :]), (*given[:at], 1, *given[at + 1 :])) for at in axes)


def _followed(
    network: ReplacedParts, names: Sequence[str], embedding: str, images: int
) -> tuple[tuple[dict[str, Array], ...], tuple[list[float], ...]] | None:
    """Feed each of two parts the next image's data, for every image.

    Returns
    -------
    (changes, moved) or None
        For each part: the squared changes of results, by name, summed up over the images; how far each image's
        embedding went. None where a size depends on the image, or the embedding does not.
    """
    embeddings = [network.run(index)[embedding] for index in range(images)]
    changes: tuple[dict[str, Array], ...] = ({}, {})
    moved: tuple[list[float], ...] = ([], [])
    for index in range(images):
        other = (index + 1) % images
        here = network.run(index)
        for number in (0, 1):
            mixed = network.run(index, number, other)
            step = _step(here[embedding], embeddings[other], mixed[embedding])
            if step is None or any(np.shape(mixed[name]) != np.shape(here[name]) for name in names):
                return None
            moved[number].append(step)
            for name in names:
                change = (np.asarray(mixed[name], np.float32) - np.asarray(here[name], np.float32)) ** 2
                changes[number][name] = changes[number].get(name, 0) + change
    return changes, moved


def _apart(network: ReplacedParts, ends: Sequence[tuple[str, Array]], limits: Thresholds) -> float:
    """Return 1 - cosine of what two parts give at their ends when both are fed the same; -1 where it has no sense.

    Parameters
    ----------
    ends
        For each part the name of its last result, and which elements are its own, bool; fewer where one has none.
    """
    if len(ends) < 2:
        return -1.0
    (one, first), (other, second) = ends
    if first.sum() != second.sum() or not first.any():
        return -1.0
    worst = 0.0
    for index in range(limits.exchange.repeated):
        fed = network.repeat(index)
        if fed is None:
            return -1.0
        a, b = (np.asarray(value, np.float64) for value in (network.run(index)[one][first], fed[other][second]))
        a, b = a - a.mean(), b - b.mean()
        worst = max(worst, 1 - float(a @ b) / (float(np.linalg.norm(a) * np.linalg.norm(b)) + 1e-30))
    return float(f"{max(worst, 0.0):.1e}")


def _step(here: Any, there: Any, mixed: Any) -> float | None:
    """Return how far an embedding went from one towards another, 0..1; None where the two are one."""
    one, other, now = (np.asarray(value, np.float64).reshape(-1) for value in (here, there, mixed))
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
