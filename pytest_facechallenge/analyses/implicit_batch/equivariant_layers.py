"""Layers: one makes the features of the image, another those of the changed one, and the first does not read it."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from pytest_facechallenge.analyses.implicit_batch.channel_partition import WHOLE, Statistics, agreement, channel_axis
from pytest_facechallenge.analyses.implicit_batch.feature_comparison import Comparison, asked_channels
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.parallel_branches import are_added_at_once
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, results_of
from pytest_facechallenge.analyses.implicit_batch.stages import is_linear
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.turned_back import before_the_next_layers, turned_back
from pytest_facechallenge.core.facts.implicit_batch_kinds import FeatureHome, Transform

#: Operators by which attention, gates and memories put two values together.
MULTIPLYING = frozenset({"MatMul", "Mul", "Einsum"})


class Pair(NamedTuple):
    """A layer, the one whose features on the changed image it has, and in how many of its channels."""

    one: Layer
    other: Layer
    channels: int

    @property
    def layers(self) -> tuple[Layer, Layer]:
        """The two."""
        return self.one, self.other


def in_layers(comparison: Comparison, limits: Thresholds) -> Iterator[Hypothesis]:
    """Find layers that repeat others, in branches of the network that do not feed each other.

    One branch may depend on the other (a second visit that waits for the first one's answer): it is the first branch
    that must not read the second. Kernels that run on two parts of the image, one beside the other, agree when the
    image is turned as far as they follow its coarse structure: they are one layer, and no pair.
    """
    structure = comparison.model.structure
    agreeing = _agreeing_layers(comparison, limits)
    pairs = [
        pair for pair in agreeing
        if not comparison.strips.are_parts(*pair.layers) and not _is_one_layer(comparison, pair, limits)
    ]  # fmt: skip
    yield from _fed_in_turn(comparison, pairs)
    pairs = [pair for pair in pairs if _separate(structure, pair, pairs)]
    # One layer with turned kernels, merged at once, is one layer: the two must go on side by side.
    goes_on = any(structure.depends(late.one, layer) for early in pairs for late in pairs for layer in early.layers)
    if len(pairs) >= limits.equivariance.together and goes_on:
        share = comparison.model.share(sum(min(one.macs, other.macs) for one, other, _ in pairs))
    else:
        # Two first layers may go on in one tensor (two sets of tokens): whether they stay apart there is tried.
        pairs = [pair for pair in pairs if all(layer in comparison.model.front for layer in pair.layers)]
        share = max((comparison.model.macs_after(layer) / 2 for pair in pairs for layer in pair.layers), default=0.0)
    if pairs:
        one, other, channels = pairs[0]
        parts = results_of(one.node.outputs[0], other.node.outputs[0])
        tokens = _stand_as_places(structure, one, other) or _are_multiplied(structure, one, other)
        back = turned_back(comparison, one, other, limits) if len(pairs) < limits.equivariance.together else 0
        yield comparison.found(
            FeatureHome.LAYERS, (one, other), round(share, 4), parts,
            pairs=len(pairs), tokens=tokens, channels=channels, turned_back=back,
        )  # fmt: skip


def _is_one_layer(comparison: Comparison, pair: Pair, limits: Thresholds) -> bool:
    """Whether two layers are linear in the image and added up at once, and neither's map is turned back before."""
    structure, (one, other) = comparison.model.structure, pair.layers
    if not all(is_linear(structure, layer.node.outputs[0]) for layer in pair.layers):
        return False
    return are_added_at_once(structure, one.node, other.node) and not turned_back(comparison, one, other, limits)


def _stand_as_places(structure: Structure, one: Layer, other: Layer) -> bool:
    """Whether a Concat puts the results of two layers beside each other on an axis of places, as tokens."""
    reached = [before_the_next_layers(structure, layer) for layer in (one, other)]
    shape = structure.shapes[one.node.outputs[0]]
    places = prod(shape) // shape[channel_axis(one, shape)]
    for node in structure.nodes:
        sides = [values.intersection(node.inputs) for values in reached]
        if node.op != "Concat" or not (sides[0] - reached[1] and sides[1] - reached[0]):
            continue
        joined = structure.shapes[next(iter(sides[0]))]
        if joined[int(node.attributes.get("axis", 0)) % len(joined)] == places:
            return True
    return False


def _are_multiplied(structure: Structure, one: Layer, other: Layer) -> bool:
    """Whether something made of one layer alone is multiplied with something made of the other alone."""
    sides: list[set[str]] = [set(layer.node.outputs) for layer in (one, other)]
    for node in structure.nodes:
        read = [bool(values.intersection(node.inputs)) for values in sides]
        if all(read):
            alone = [set(node.inputs) & (values - sides[1 - at]) for at, values in enumerate(sides)]
            if all(alone) and node.op in MULTIPLYING:
                return True
        for values, reads in zip(sides, read, strict=True):
            if reads:
                values.update(name for name in node.outputs if name in structure.varying)
    return False


def _agreeing_layers(comparison: Comparison, limits: Thresholds) -> list[Pair]:
    """Return the pairs of layers that agree, each layer in one pair at most."""
    structure = comparison.model.structure
    chosen, plain, turned = comparison.layers, comparison.plain, comparison.turned
    by_size: dict[tuple[int, int], list[int]] = {}  # a map and a row of its places are one size
    for index, layer in enumerate(chosen):
        if WHOLE in plain[index] and WHOLE in turned[index]:
            shape = structure.shapes[layer.node.outputs[0]]
            places = 0 if comparison.candidate.transform is Transform.HALVED else prod(shape)
            by_size.setdefault((shape[channel_axis(layer, shape)], places), []).append(index)
    pairs: list[Pair] = []
    taken: set[int] = set()
    for of_one_size in by_size.values():
        for i in of_one_size:
            for j in of_one_size:
                if i == j or {i, j} & taken:
                    continue
                if repeated := _repeats(plain[i][WHOLE], turned[j][WHOLE], plain[j][WHOLE], limits):
                    pairs.append(Pair(chosen[i], chosen[j], repeated))
                    taken |= {i, j}
    return pairs


def _repeats(one: Statistics, other: Statistics, other_plain: Statistics, limits: Thresholds) -> int:
    """Return how many of one's channels are the other's on the changed image; 0 unless most are, and not on this one.

    Of very many channels a sample is counted.
    """
    wanted = limits.equivariance
    few = wanted.glance
    some = Statistics((one.marks[0][..., :few], one.marks[1][..., :few]), (one.live[0][:, :few], one.live[1][:, :few]))
    alike, live = agreement(some, other)
    if live.sum() < wanted.channels or (alike.max(1)[live] >= wanted.alike).mean() < wanted.glance_share:
        return 0
    asked = asked_channels(one.live[0].shape[1], limits)
    alike, live = agreement(one, other, asked=asked)
    if live.sum() < wanted.channels or (alike.max(1)[live] >= wanted.alike).mean() < wanted.share:
        return 0
    same, _ = agreement(one, other_plain, asked=asked)
    if (same.max(1)[live] >= wanted.alike).mean() >= wanted.unchanged:
        return 0
    return int((alike.max(1)[live] >= wanted.alike).sum())


def _fed_in_turn(comparison: Comparison, pairs: list[Pair]) -> Iterator[Hypothesis]:
    """Find weights that are fed a feature in one execution and that of the changed image in another, in turn."""
    model = comparison.model
    for one, other, _ in pairs:
        fed: dict[str, tuple[list[Layer], list[Layer]]] = {}
        for layer in model.structure.layers:
            roots = model.regions[layer.data].roots
            reads = [out.node.outputs[0] in roots for out in (one, other)]
            if reads in ([True, False], [False, True]):
                fed.setdefault(layer.weight, ([], []))[reads.index(True)].append(layer)
        both = [executions for executions in fed.values() if executions[0] and executions[1]]
        work = _repeated(model.structure, [layer for sides in both for side in sides for layer in side])
        if work:
            first, second = both[0]
            labels = (one.node.label, other.node.label)
            parts = results_of(one.node.outputs[0], other.node.outputs[0])
            yield comparison.found(FeatureHome.IN_TURN, (first[0], second[0]), model.share(work), parts, fed_by=labels)
            return


def _repeated(structure: Structure, starts: list[Layer]) -> int:
    """Return the multiply-adds of all but the first execution of each weight, in these layers and what follows them."""
    first: set[str] = set()
    work = 0
    for layer in structure.layers:
        if layer in starts or any(structure.depends(layer, start) for start in starts):
            work += layer.macs if layer.weight in first else 0
            first.add(layer.weight)
    return work


def _separate(structure: Structure, pair: Pair, pairs: list[Pair]) -> bool:
    """Whether no other pair feeds both of this pair's layers from both of its own."""
    for early in pairs:
        above = early is not pair
        if above and all(structure.depends(mine, theirs) for theirs in early.layers for mine in pair.layers):
            return False
    return True
