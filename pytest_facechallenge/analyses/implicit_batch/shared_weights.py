"""Layers with related weights that run side by side, or on the image again: what each of them works on."""

from __future__ import annotations

import hashlib
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.connected import Head
from pytest_facechallenge.analyses.implicit_batch.layer_index import POOLING, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, inputs_of
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.signatures import signatures
from pytest_facechallenge.analyses.implicit_batch.tensor_duplicates import across
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.analyses.implicit_batch.weight_similarity import WeightClass, weight_relation
from pytest_facechallenge.core.facts.implicit_batch import SharedWeights
from pytest_facechallenge.core.facts.implicit_batch_kinds import Difference, Relation, SharedInput, WeightRelation

Array = npt.NDArray[Any]

#: What several pairs of executions work on is what the first of these says that one of them does.
WORST_FIRST = (
    SharedInput.VERSIONS,
    SharedInput.RESAMPLED,
    SharedInput.DIFFERENT,
    SharedInput.POOLED,
    SharedInput.PARTS,
    SharedInput.ONE,
)

#: Values of spikes, also pooled, are few.
SPIKES = 16

#: Weights that give the same result on the same input.
SAME_WEIGHTS = frozenset({WeightRelation.SHARED, WeightRelation.EQUAL})


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return every family of layers with related weights, first those side by side, then those after one another."""
    return [*_side_by_side(model, limits), *_on_the_image_again(model, limits), *_on_what_it_set(model, limits)]


def _side_by_side(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    structure = model.structure
    found: list[Hypothesis] = []
    for head in model.heads:
        layers = head.first.layers
        inputs, difference = _inputs(model, layers, limits)
        below = [entry for entry in head.below if entry is head.first or _apart(model, entry, head.first)]
        if len(below) == 1 and inputs is SharedInput.ONE:
            continue  # they meet again before the next layer: branches on one tensor
        relations = [relation for entry in below for relation in entry.relations]
        via = dict.fromkeys(name for layer in layers for name in model.via(layer))
        shared = SharedWeights(
            layers=tuple(layer.node.label for layer in layers[: limits.running.named]), count=len(below),
            weights=max(WeightRelation, key=relations.count),
            surplus=model.share(sum(entry.surplus for entry in below)),
            inputs=inputs, difference=difference,
            same_size=len({prod(structure.shapes[layer.data]) for layer in layers}) == 1,
            same_settings=len({layer.settings for layer in layers}) == 1,
            from_image=all(model.feed.name in model.regions[layer.data].roots for layer in layers),
            spikes=all(_is_spikes(model, layer.data) for layer in layers),
            looks=any(model.regions[layer.data].roots == {model.feed.name} for layer in layers),
            differ=_results_differ(head), via=tuple(via)[: limits.running.named], branch=model.branch,
        )  # fmt: skip
        found.append(Hypothesis(shared, inputs_of(structure, layers[0], layers[1])))
    return found


def _on_the_image_again(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return layers that work on the image again, after and because of what they found the first time.

    One execution depends on the other, so they are not side by side; that both read the image makes them two views of
    it. What a recurrence does that reads image and state together is neither of the versions told apart here.
    """
    structure = model.structure
    found: list[Hypothesis] = []
    for index, one in enumerate(model.front):
        for other in model.front[index + 1 :]:
            if one.data == other.data or structure.parallel(one.node, other.node):
                continue
            weights = weight_relation(structure, one, other, limits)
            if not weights:
                continue
            inputs, difference = _pair(model, one, other, limits)
            if inputs not in (SharedInput.VERSIONS, SharedInput.RESAMPLED):
                continue
            again = _executed_again(model, other)
            shared = SharedWeights(
                layers=(one.node.label, other.node.label), count=len(again), weights=weights,
                surplus=model.share(sum(layer.macs for layer in again)), inputs=inputs, difference=difference,
                same_size=prod(structure.shapes[one.data]) == prod(structure.shapes[other.data]),
                same_settings=one.settings == other.settings, from_image=True, via=model.via(other),
                branch=model.branch,
            )  # fmt: skip
            found.append(Hypothesis(shared, inputs_of(structure, one, other)))
    return found


def _on_what_it_set(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return first layers that work again on the image as what they found has set it (its brightness, say)."""
    structure, regions = model.structure, model.regions
    found: list[Hypothesis] = []
    for one in model.front:
        if regions[one.data].roots != {model.feed.name}:
            continue
        for other in structure.layers:
            if structure.shapes[one.data] != structure.shapes[other.data] or not structure.depends(other, one):
                continue
            if model.feed.name not in regions[other.data].roots:
                continue
            if weight_relation(structure, one, other, limits) not in SAME_WEIGHTS:
                continue
            executed = _executed_again(model, other)
            shared = SharedWeights(
                layers=(one.node.label, other.node.label), count=len({layer.weight for layer in executed}),
                weights=WeightRelation.SHARED, surplus=model.share(sum(layer.macs for layer in executed)),
                inputs=SharedInput.DIFFERENT, same_settings=one.settings == other.settings, looks=True,
                via=model.via(other), branch=model.branch,
            )  # fmt: skip
            found.append(Hypothesis(shared, inputs_of(structure, one, other)))
            break
    return found


def _executed_again(model: TracedModel, start: Layer) -> list[Layer]:
    """Return the layers from ``start`` on that use weights which were used before it.

    Exporters that fold a normalisation into weights write them once for each execution.
    """
    structure = model.structure
    after = [layer for layer in structure.layers if layer is start or structure.depends(layer, start)]
    own = {id(layer) for layer in after}
    earlier = [layer for layer in structure.layers if id(layer) not in own]
    before = {layer.weight for layer in earlier} | {_digest(structure, layer) for layer in earlier}
    return [layer for layer in after if layer.weight in before or _digest(structure, layer) in before]


def _digest(structure: Structure, layer: Layer) -> bytes:
    """Return what two layers of one kind have in common only where their weights are equal."""
    weights = structure.constant(layer.weight)
    if weights is None:
        return layer.weight.encode()
    digest = hashlib.sha256(f"{layer.node.op} {weights.dtype} {weights.shape}".encode())
    digest.update(np.ascontiguousarray(weights).data)
    return digest.digest()


def _apart(model: TracedModel, entry: WeightClass, head: WeightClass) -> bool:
    """Whether the executions of ``entry`` descend from different executions of ``head``."""
    above = {tuple(model.structure.depends(layer, first) for first in head.layers) for layer in entry.layers}
    return len(above) == len(entry.layers)


def _is_spikes(model: TracedModel, name: str) -> bool:
    """Whether a value is made of few numbers, as what neurons of a spiking network give is."""
    values = model.values.get(name)
    return values is not None and len(np.unique(values[:1])) <= SPIKES


def _results_differ(head: Head) -> bool:
    """Whether the executions give different values (equal ones are a redundancy, not a second view)."""
    first, *others = head.first.layers
    return not all(
        layer.data == first.data and layer.settings == first.settings and relation in SAME_WEIGHTS
        for layer, relation in zip(others, head.first.relations, strict=True)
    )


def _inputs(model: TracedModel, layers: tuple[Layer, ...], limits: Thresholds) -> tuple[SharedInput, Difference | None]:
    """Return what some executions work on, and how the second's input follows from the first's where it does."""
    shapes = model.structure.shapes
    kinds = [_pair(model, layers[0], other, limits) for other in layers[1:]]
    worst = min(kinds, key=lambda kind: WORST_FIRST.index(kind[0]))
    if worst[0] in (SharedInput.RESAMPLED, SharedInput.DIFFERENT):
        roots = frozenset().union(*(model.regions[layer.data].roots for layer in layers))
        total = sum(prod(shapes[layer.data]) for layer in layers)
        small = total <= limits.sharing.parts_size * max(prod(shapes.get(root, (0,))) for root in roots)
        if small and not _see_the_same(model, layers, limits):
            return SharedInput.PARTS, None
    return worst


def _see_the_same(model: TracedModel, layers: tuple[Layer, ...], limits: Thresholds) -> bool:
    """Whether each half of the image moves about half of each layer's input: none of them sees a part of it only."""
    wanted = limits.sharing
    names = list(dict.fromkeys(layer.data for layer in layers))
    base, other = model.feed.images.noise(2)
    height, width = base.shape[-2:]
    rows, columns = np.arange(height)[:, None] < height // 2, np.arange(width) < width // 2
    runner = model.open(names)
    plain = runner(model.feed(base[None]))
    moved: dict[str, list[Array]] = {name: [] for name in names}
    for half in (rows, ~rows, columns, ~columns):
        values = runner(model.feed(np.where(half, other, base)[None]))
        for name in names:
            now, then = as_floats(values[name]), as_floats(plain[name])
            if now is None or then is None or now.shape != then.shape:
                return False
            moved[name].append(np.abs(now - then) > wanted.moved * (np.abs(then).max() + 1e-30))
    for changes in moved.values():
        live = np.logical_or.reduce(changes)
        if not live.any() or not all(wanted.half_from <= change[live].mean() <= wanted.half_to for change in changes):
            return False
    return True


def _pair(model: TracedModel, one: Layer, other: Layer, limits: Thresholds) -> tuple[SharedInput, Difference | None]:
    """Return what two executions work on, and how the second's input follows from the first's where it does."""
    if one.data == other.data:
        return SharedInput.ONE, None
    a, b = model.values.get(one.data), model.values.get(other.data)
    if a is None or b is None:
        return SharedInput.DIFFERENT, None
    if a.shape == b.shape and np.abs(a - b).max() <= limits.sharing.equal * (np.abs(a).max() + 1e-30):
        return SharedInput.ONE, None
    share, difference = across(a, b, limits)
    back, _ = across(b, a, limits)
    if max(share, back) >= limits.duplicates.coverage:
        identical = difference.relation is Relation.IDENTICAL
        return (SharedInput.ONE, None) if identical else (SharedInput.VERSIONS, difference)
    regions = [model.regions[layer.data] for layer in (one, other)]
    common = regions[0].roots & regions[1].roots
    for root in common:
        pool = model.values.get(root)
        if pool is not None and min(_share(a, pool, limits), _share(b, pool, limits)) >= limits.sharing.parts:
            return SharedInput.PARTS, None
    if common and regions[0].roots == regions[1].roots:
        own = [{id(node): node for node in region.nodes} for region in regions]
        extra = [node for mine, theirs in (own, own[::-1]) for key, node in mine.items() if key not in theirs]
        return (SharedInput.POOLED if any(node.op in POOLING for node in extra) else SharedInput.RESAMPLED), None
    return SharedInput.DIFFERENT, None


def _share(part: Array, pool: Array, limits: Thresholds) -> float:
    """Return which share of a value's elements (a sample) another value holds as well."""
    marks, live = signatures(part, limits)
    places = np.flatnonzero(live)
    if len(places) == 0:
        return 0.0
    count = min(limits.sharing.sampled, len(places))
    asked = marks[np.random.default_rng(1).choice(places, count, replace=False)]
    source, _ = signatures(pool, limits)
    return float((np.abs(asked @ source.T).max(1) >= limits.signatures.same).mean())
