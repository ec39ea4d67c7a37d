"""Branches of the network run on turned sources: whether one computes what the other one does."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import parallel_branches, tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.channel_groups import independent_parts, mixing
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, RECURRENT, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.parallel_branches import BranchPair
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, blocks_of, results_of
from pytest_facechallenge.analyses.implicit_batch.probe_images import TURNS
from pytest_facechallenge.analyses.implicit_batch.reordered_weights import reordered
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.subgraph import Run, cut_at, stacked_runs
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import Observation, ParallelBranches, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap, Relation, Transform
from pytest_facechallenge.onnx_graph.ir import Node

Array = npt.NDArray[Any]

#: Relations of the branches' inputs that say nothing against them.
SAME_VIEW = frozenset({Relation.NOT_COMPARABLE, Relation.IDENTICAL, Relation.RESCALED})

#: Parts into which the channels of grouped layers are cut.
HALVES = 2


def observe(model: TracedModel, limits: Thresholds) -> list[Observation | Hypothesis]:
    """Compare branches of the network that meet late, and independent halves of layers."""
    try:
        found = _separate(model, limits)
        if not any(_says_something(entry.observation) for entry in found):
            found += _side_by_side(model, limits)
        halved = list(_halved_layers(model.structure, limits))
        least = limits.branches.halves_share * model.structure.total_macs
        if sum(layer.macs for layer in halved) >= least:
            found += _halves(model, halved, limits)
    except RunError as error:
        return [Unseen(gap=Gap.BRANCHES_NOT_COMPARED, error=str(error), branch=model.branch)]
    return list(found)


def _says_something(seen: Observation) -> bool:
    return isinstance(seen, ParallelBranches) and (bool(seen.transform) or seen.inputs not in SAME_VIEW)


def _separate(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Find branches that meet only late, and say how their inputs and their features relate."""
    found: list[Hypothesis] = []
    for pair in parallel_branches.separate_branches(model.structure, limits):
        if any(all(layer.node.op in RECURRENT for layer in branch) for branch in (pair.one, pair.two)):
            continue
        run, source = cut_at(model, pair.source, limits)
        layers = _comparable(model.structure, pair.one, pair.two, limits) if _deep(model.structure, pair) else []
        transform, alike, unchanged = _compare(run, source, layers, limits) if layers else (Transform.NONE, 0.0, 0.0)
        meet = parallel_branches.meeting_of(model.structure, pair.first, pair.second)
        branches = ParallelBranches(
            source=pair.source,
            first=pair.one[0].node.label,
            second=pair.two[0].node.label,
            meet=meet.label if meet is not None else "",
            summed=parallel_branches.are_added_at_once(model.structure, pair.first, pair.second),
            shares=(model.share(_macs(pair.one)), model.share(_macs(pair.two))),
            inputs=_input_relation(run, source, pair, limits),
            alike=round(alike, 3),
            transform=transform,
            alike_unchanged=round(unchanged, 3),
            reordered=round(_reordered(model.structure, pair, limits), 3),
            branch=model.branch,
        )
        starts = (_start(model.structure, pair.first, pair.one), _start(model.structure, pair.second, pair.two))
        found.append(Hypothesis(branches, results_of(*starts)))
    return found


def _reordered(structure: Structure, pair: BranchPair, limits: Thresholds) -> float:
    """Return the share of the second branch's kernels that are the first's in another order and scale, by their work.

    One constant used by both is no copy: what it works on decides there (`shared_weights`). Nor are layers that give
    results of different sizes: one head on each level of a pyramid.
    """
    left = list(pair.one)
    work = copied = 0.0
    layers = 0
    for layer in pair.two:
        weights = structure.constant(layer.weight)
        if weights is None or weights.ndim < 2 or min(weights.shape[:2]) < limits.reordering.smallest:
            continue
        work += layer.macs
        layers += 1
        match = next((other for other in left if _same_form(structure, other, layer)), None)
        if match is not None:
            left = left[left.index(match) + 1 :]
            copied += layer.macs * reordered(np.asarray(structure.constant(match.weight)), weights, limits)
        if layers == limits.reordering.layers:
            break
    return copied / work if layers > 1 else 0.0


def _same_form(structure: Structure, one: Layer, other: Layer) -> bool:
    """Whether two layers have weights and results of one shape, and weights of their own."""
    a, b = structure.constant(one.weight), structure.constant(other.weight)
    results = [structure.shapes[layer.node.outputs[0]] for layer in (one, other)]
    return (
        one.weight != other.weight and a is not None and b is not None and a.shape == b.shape
        and results[0] == results[1]
    )  # fmt: skip


def _start(structure: Structure, head: Node, layers: list[Layer]) -> str:
    """Return the value that all of a branch is made from: its head's, or what its first layer works on."""
    return head.outputs[0] if id(head) in structure.layer_of else layers[0].data


def _macs(layers: Iterable[Layer]) -> int:
    return sum(layer.macs for layer in layers)


def _deep(structure: Structure, pair: BranchPair) -> bool:
    """Whether the branches go on side by side for more than one layer (turned and merged at once is one layer)."""
    sizes = {structure.shapes[layer.node.outputs[0]] for layer in pair.one[1:]}
    return any(structure.shapes[layer.node.outputs[0]] in sizes for layer in pair.two[1:])


def _comparable(structure: Structure, one: list[Layer], two: list[Layer], limits: Thresholds) -> list[tuple[str, str]]:
    """Pair layers of both branches whose results have one size, early ones preferred.

    First layers are left out: filters that are other filters turned (horizontal and vertical edges) are one layer of
    an honest network, and show nothing of what the branches do after it.
    """
    most = limits.branches.pairs
    found: list[tuple[str, str]] = []
    left = list(one)
    fan_in = 1.0
    for layer in two:
        shape = structure.shapes[layer.node.outputs[0]]
        fan_in *= layer.macs / max(1, prod(shape))
        match = next((other for other in left if structure.shapes[other.node.outputs[0]] == shape), None)
        if match is None:
            continue
        left = left[left.index(match) + 1 :]
        later = match is not one[0] and layer is not two[0]
        if later and fan_in >= limits.branches.fan_in and len(shape) in (3, 4):
            found.append((match.node.outputs[0], layer.node.outputs[0]))
    if len(found) <= most:
        return found
    late = np.linspace(most // 2, len(found) - 1, most - most // 2).astype(int)
    return found[: most // 2] + [found[i] for i in late]


def _compare(
    run: Run, source: Array, pairs: list[tuple[str, str]], limits: Thresholds
) -> tuple[Transform, float, float]:
    """Return the turn under which most features agree, that share, and the share without a turn."""
    names = [name for pair in pairs for name in pair]
    straight = run(source, names)
    unchanged = _agreement(straight, straight, pairs, Transform.NONE, limits)
    best, transform = 0.0, Transform.NONE
    for name in TURNS:
        values = _turned(source, name)
        if values is None:
            continue
        # Either branch may be the one with mirrored kernels; comparing in one direction covers both.
        share = _agreement(run(values, names), straight, pairs, name, limits)
        if share > best:
            best, transform = share, name
    agrees = best > unchanged or best >= limits.branches.agree
    return (transform if agrees else Transform.NONE), best, unchanged


def _turned(source: Array, name: Transform) -> Array | None:
    """Return the source's values [probes, (1,) ...] turned; None where that cannot be done."""
    if source.ndim == 4:
        return parallel_branches.turn(source, name)
    flat = source[:, 0] if source.shape[1] == 1 else None
    if flat is None:
        return None
    turned = parallel_branches.turn(flat, name)
    return None if turned is None else turned[:, None]


def _agreement(
    turned: dict[str, Array],
    straight: dict[str, Array],
    pairs: list[tuple[str, str]],
    name: Transform,
    limits: Thresholds,
) -> float:
    """Return the best share of features that agree over all pairs of layers."""
    best = 0.0
    for one, two in pairs:
        first, second = parallel_branches.as_maps(turned[one]), parallel_branches.as_maps(straight[two])
        if first is not None and second is not None:
            best = max(best, parallel_branches.alike(first, second, name, limits))
    return best


def _input_relation(run: Run, source: Array, pair: BranchPair, limits: Thresholds) -> Relation:
    """Return how what the second branch's first layer sees lies to what the first's sees."""
    names = [pair.one[0].data, pair.two[0].data]
    if names[0] == names[1]:
        return Relation.IDENTICAL
    try:
        values = run(source, [name for name in names if name != pair.source])
    except RunError:
        return Relation.NOT_COMPARABLE
    if pair.source in names:
        values[pair.source] = source[:, None] if source.ndim == 4 else source
    one, two = values[names[0]], values[names[1]]
    most = limits.duplicates.elements
    if one.ndim != two.ndim or one[0].size > most or two[0].size > most:
        return Relation.NOT_COMPARABLE
    share, difference = tensor_duplicates.across(one, two, limits)
    return difference.relation if share >= limits.duplicates.coverage else Relation.NOT_COMPARABLE


def _halved_layers(structure: Structure, limits: Thresholds) -> Iterable[Layer]:
    """Yield the convolutions whose channels are two independent halves."""
    for layer in structure.layers:
        weights, matrix = structure.constant(layer.weight), mixing(structure, layer)
        if weights is None or matrix is None or layer.node.op not in CONVOLUTIONS:
            continue
        large = min(matrix.shape) >= limits.branches.halves_smallest
        if large and independent_parts(layer, weights, matrix, HALVES, limits) is not None:
            yield layer


def _halves(model: TracedModel, layers: list[Layer], limits: Thresholds) -> list[Hypothesis]:
    """Compare the independent halves of grouped (or block-diagonal) layers as if they were branches."""
    structure, feed = model.structure, model.feed
    maps = [layer for layer in layers if len(structure.shapes[layer.node.outputs[0]]) == 4][: limits.branches.pairs]
    if not maps:
        return []
    names = [layer.node.outputs[0] for layer in maps]
    noise = feed.images.noise(limits.signatures.probes)
    runner = model.open(names)
    straight = stacked_runs(runner, [feed(value[None]) for value in noise], names)
    turned_values = {
        name: stacked_runs(runner, [feed(value[None]) for value in turned], names)
        for name in TURNS
        if (turned := parallel_branches.turn(noise, name)) is not None
    }
    best, transform, unchanged, where = 0.0, Transform.NONE, 0.0, maps[0]
    for layer in maps:
        value = straight[layer.node.outputs[0]][:, 0]
        width = value.shape[1] // HALVES
        second = value[:, width : 2 * width]
        plain = parallel_branches.alike(value[:, :width], second, Transform.NONE, limits)
        for name, values in turned_values.items():
            first = values[layer.node.outputs[0]][:, 0, :width]
            share = parallel_branches.alike(first, second, name, limits)
            if share > best:
                best, transform, unchanged, where = share, name, plain, layer
    part = round(_macs(layers) / max(1, structure.total_macs) / HALVES, 4)
    found = ParallelBranches(
        source=structure.image, first=where.node.label, second=where.node.label, meet="", halves=True,
        shares=(part, part), alike=round(best, 3), transform=transform, alike_unchanged=round(unchanged, 3),
        branch=model.branch,
    )  # fmt: skip
    start = maps[0].node.outputs[0]
    extent = structure.shapes[start][1]
    return [Hypothesis(found, blocks_of(start, 1, extent, HALVES, (0, 1), interleaved=False))]


def _side_by_side(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Compare layers that work side by side on whole images, whatever trickles between their branches.

    A thread of data from one branch to the other is enough to make them one for `separate_branches`; what their
    features do is not changed by it.
    """
    structure, most = model.structure, limits.branches.pairs
    pairs = [pair for pair in _parallel_pairs(structure, limits) if _later(structure, *pair)]
    share = sum(one.macs for one, _ in pairs) / max(1, structure.total_macs)
    if share < limits.branches.least or all(one.data == two.data for one, two in pairs):
        return []
    pairs.sort(key=lambda pair: structure.position[id(pair[0].node)])
    picked = pairs[: most // 2] + pairs[most // 2 :: max(1, len(pairs) // most)][: most // 2]
    names = [(one.node.outputs[0], two.node.outputs[0]) for one, two in picked]
    run, source = cut_at(model, structure.image, limits)
    transform, best, unchanged = _compare(run, source, names, limits)
    if not transform or best < limits.branches.agree or best <= unchanged:
        return []
    first, second = picked[0]
    found = ParallelBranches(
        source=structure.image, first=first.node.label, second=second.node.label, meet="",
        shares=(round(share, 4), round(share, 4)), alike=round(best, 3), transform=transform,
        alike_unchanged=round(unchanged, 3), branch=model.branch,
    )  # fmt: skip
    return [Hypothesis(found, results_of(*names[0]))]


def _later(structure: Structure, one: Layer, other: Layer) -> bool:
    """Whether the two are not the first layers on one thing: those may be turned filters (see `_comparable`)."""
    return structure.region(one.data).roots != structure.region(other.data).roots


def _parallel_pairs(structure: Structure, limits: Thresholds) -> list[tuple[Layer, Layer]]:
    """Pair layers of one size and cost that do not feed each other, each in one pair at most.

    Pairs on one input count only where their results are then worked on side by side: not merged at once.
    """
    by_size: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in structure.layers:
        shape = structure.shapes[layer.node.outputs[0]]
        if len(shape) in (3, 4) and layer.macs >= limits.branches.fan_in * prod(shape):
            by_size.setdefault((shape, layer.macs), []).append(layer)
    pairs: list[tuple[Layer, Layer]] = []
    for layers in by_size.values():
        free = list(layers)
        while free:
            one = free.pop(0)
            other = next((layer for layer in free if structure.parallel(one.node, layer.node)), None)
            if other is not None:
                free.remove(other)
                pairs.append((one, other))
    later = 0
    for pair in pairs:
        if pair[0].data != pair[1].data:
            for layer in pair:
                later |= structure.ancestors[structure.position[id(layer.node)]]
    return [
        pair
        for pair in pairs
        if pair[0].data != pair[1].data or all((later >> structure.position[id(layer.node)]) & 1 for layer in pair)
    ]
