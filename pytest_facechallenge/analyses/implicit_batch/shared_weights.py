"""Layers with related weights that run side by side: what each of them works on."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import tensor_duplicates, weight_similarity
from pytest_facechallenge.analyses.implicit_batch.layer_index import POOLING, Layer
from pytest_facechallenge.analyses.implicit_batch.runner import as_floats
from pytest_facechallenge.analyses.implicit_batch.signatures import SAME, signatures
from pytest_facechallenge.analyses.implicit_batch.trace import NAMED, Probe
from pytest_facechallenge.core.facts.implicit_batch import TwinFact

Array = npt.NDArray[Any]


def twins(probe: Probe) -> list[TwinFact]:
    """Describe every family of layers that run side by side with related weights."""
    found: list[TwinFact] = []
    structure = probe.structure
    for group, below in probe.heads:
        first = group.layers[0]
        others = group.layers[1:]
        inputs, relation = _inputs(probe, first, others)
        apart = [entry for entry in below if entry is group or _apart(probe, entry, group)]
        if len(apart) == 1 and inputs == "one":
            continue  # they meet again before the next layer: branches on one tensor
        below = apart
        sizes = {prod(structure.shapes[layer.data]) for layer in group.layers}
        settings = {layer.settings for layer in group.layers}
        relations = [kind for entry in below for kind in entry.relations]
        found.append(
            TwinFact(
                layers=tuple(layer.node.label for layer in group.layers[:NAMED]), count=len(below),
                weights=max(set(relations), key=relations.count),
                surplus=round(sum(entry.surplus for entry in below) / max(1, structure.total_macs), 4),
                inputs=inputs, relation=relation.kind if relation else "", words=relation.words if relation else "",
                same_size=len(sizes) == 1, same_settings=len(settings) == 1,
                from_image=all(probe.feed.name in probe.regions[layer.data][1] for layer in group.layers),
                differ=_results_differ(group), branch=probe.branch,
                via=tuple(dict.fromkeys(name for layer in group.layers for name in probe.via(layer)))[:NAMED],
            )
        )  # fmt: skip
    return found


def second_visits(probe: Probe) -> list[TwinFact]:
    """Describe layers that work on the image again, after and because of what they found the first time.

    One execution depends on the other, so they are not side by side; that both read the image makes them two looks.
    What a recurrence does that reads image and state together is neither of the versions told apart here.
    """
    structure = probe.structure
    found: list[TwinFact] = []
    for index, one in enumerate(probe.front):
        for other in probe.front[index + 1 :]:
            if one.data == other.data or structure.parallel(one.node, other.node):
                continue
            weights = weight_similarity.weight_relation(structure, one, other)
            if not weights:
                continue
            inputs, relation = _pair(probe, one, other)
            again, work = _executed_again(probe, other)
            if inputs not in ("versions", "resampled"):
                continue
            found.append(
                TwinFact(
                    layers=(one.node.label, other.node.label), count=again, weights=weights,
                    surplus=round(work / max(1, structure.total_macs), 4), inputs=inputs,
                    relation=relation.kind if relation else "", words=relation.words if relation else "",
                    same_size=prod(structure.shapes[one.data]) == prod(structure.shapes[other.data]),
                    same_settings=one.settings == other.settings, from_image=True, branch=probe.branch,
                    via=probe.via(other),
                )
            )  # fmt: skip
    return found


def _executed_again(probe: Probe, start: Layer) -> tuple[int, int]:
    """Return how many layers from ``start`` on use weights that were used before it, and their multiply-adds."""
    structure = probe.structure
    bit = 1 << structure.position[id(start.node)]
    after = [
        layer
        for layer in structure.layers
        if layer is start or structure.ancestors[structure.position[id(layer.node)]] & bit
    ]
    own = {id(layer) for layer in after}
    before = {layer.weight for layer in structure.layers if id(layer) not in own}
    again = [layer for layer in after if layer.weight in before]
    return len(again), sum(layer.macs for layer in again)


def _apart(probe: Probe, entry: weight_similarity.Class, head: weight_similarity.Class) -> bool:
    """Whether the executions of ``entry`` descend from different executions of ``head``."""
    structure = probe.structure
    bits = [1 << structure.position[id(layer.node)] for layer in head.layers]
    above = []
    for layer in entry.layers:
        ancestors = structure.ancestors[structure.position[id(layer.node)]]
        above.append(tuple(bool(ancestors & bit) for bit in bits))
    return len(set(above)) == len(above)


def _results_differ(group: weight_similarity.Class) -> bool:
    """Whether the executions give different values (equal ones are a redundancy, not a second look)."""
    first = group.layers[0]
    return not all(
        layer.data == first.data and layer.settings == first.settings and relation in ("shared", "equal")
        for layer, relation in zip(group.layers[1:], group.relations, strict=True)
    )


def _inputs(probe: Probe, first: Layer, others: list[Layer]) -> tuple[str, tensor_duplicates.Relation | None]:
    structure = probe.structure
    kinds = [_pair(probe, first, other) for other in others]
    order = ("versions", "resampled", "different", "pooled", "parts", "one")
    kinds.sort(key=lambda kind: order.index(kind[0]))
    worst = kinds[0]
    if worst[0] in ("resampled", "different"):
        roots = set.union(*(probe.regions[layer.data][1] for layer in [first, *others]))
        total = sum(prod(structure.shapes[layer.data]) for layer in [first, *others])
        small = total <= 1.3 * max(prod(structure.shapes.get(root, (0,))) for root in roots)
        if small and not _see_the_same(probe, [first, *others]):
            return "parts", None
    return worst


def _see_the_same(probe: Probe, layers: list[Layer]) -> bool:
    """Whether each half of the image moves about half of each layer's input: none of them sees a part of it only."""
    names = list(dict.fromkeys(layer.data for layer in layers))
    base, other = probe.feed.images.noise(2)
    height, width = base.shape[-2:]
    rows, columns = np.arange(height)[:, None] < height // 2, np.arange(width) < width // 2
    runner = probe.open(names)
    plain = runner(probe.feed(base[None]))
    moved: dict[str, list[Array]] = {name: [] for name in names}
    for half in (rows, ~rows, columns, ~columns):
        values = runner(probe.feed(np.where(half, other, base)[None]))
        for name in names:
            now, then = as_floats(values[name]), as_floats(plain[name])
            if now is None or then is None or now.shape != then.shape:
                return False
            moved[name].append(np.abs(now - then) > 1e-4 * (np.abs(then).max() + 1e-30))
    for changes in moved.values():
        live = np.logical_or.reduce(changes)
        if not live.any() or not all(0.35 <= change[live].mean() <= 0.65 for change in changes):
            return False
    return True


def _pair(probe: Probe, one: Layer, other: Layer) -> tuple[str, tensor_duplicates.Relation | None]:
    if one.data == other.data:
        return "one", None
    a, b = probe.values.get(one.data), probe.values.get(other.data)
    if a is None or b is None:
        return "different", None
    if a.shape == b.shape and np.abs(a - b).max() <= 1e-5 * (np.abs(a).max() + 1e-30):
        return "one", None
    share, relation = tensor_duplicates.across(a, b)
    back, _ = tensor_duplicates.across(b, a)
    if max(share, back) >= tensor_duplicates.COVERAGE:
        return ("one", None) if relation.kind == "identical" else ("versions", relation)
    roots = [probe.regions[layer.data][1] for layer in (one, other)]
    common = roots[0] & roots[1]
    for root in common:
        pool = probe.values.get(root)
        if pool is None:
            continue
        if min(_share(a, pool), _share(b, pool)) >= 0.8:
            return "parts", None
    if common and roots[0] == roots[1]:
        own = [{id(node) for node in probe.regions[layer.data][0]} for layer in (one, other)]
        extra = [
            node
            for layer, theirs in ((one, own[1]), (other, own[0]))
            for node in probe.regions[layer.data][0]
            if id(node) not in theirs
        ]
        pooled = any(node.op in POOLING for node in extra)
        return ("pooled" if pooled else "resampled"), None
    return "different", None


def _share(part: Array, pool: Array) -> float:

    marks, live = signatures(part)
    places = np.flatnonzero(live)
    if len(places) == 0:
        return 0.0
    asked = marks[np.random.default_rng(1).choice(places, min(200, len(places)), replace=False)]
    source, _ = signatures(pool)
    return float((np.abs(asked @ source.T).max(1) >= SAME).mean())
